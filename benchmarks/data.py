"""Data sets by name, as binary float32 arrays with a train and a test part, some with a third."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Data(NamedTuple):
    """Rows to learn from, to score and, or None, to choose by: (n, n_features) float32, 0 and 1."""

    train: np.ndarray
    test: np.ndarray
    valid: np.ndarray | None = None


def load(name, folder):
    """The data set ``name``; all but the digits are read from ``folder``."""
    return Data(*(np.ascontiguousarray(part, np.float32) for part in _SETS[name](folder)))


def read_arrays(folder, name):
    """All arrays of ``folder/name.npz``, with bit-packed members (they have a shape) unpacked."""
    if folder is None:
        raise SystemExit(f"{name} is not embedded: give the folder that holds it with --data")
    with np.load(Path(folder) / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    for key in [key for key in arrays if f"{key}_shape" in arrays]:
        n_columns = int(arrays.pop(f"{key}_shape")[1])
        arrays[key] = np.unpackbits(arrays[key], axis=1)[:, :n_columns]
    return arrays


def _digits(folder):
    X = load_digits().data >= 8
    return train_test_split(X, test_size=0.25, random_state=0)


def _mnist(folder):
    arrays = read_arrays(folder, "mnist/mnist_uint8")
    return [arrays[key].reshape(-1, 784) >= 128 for key in ("X_train", "X_test")]


def _split(path):
    def read(folder):
        arrays = read_arrays(folder, path)
        return arrays["train"], arrays["test"], arrays["valid"]

    return read


def _whole(path, key):
    """A set without parts: all rows are learned from and scored."""

    def read(folder):
        rows = read_arrays(folder, path)[key]
        return rows, rows

    return read


_DEBD = (
    "nltcs", "plants", "jester", "accidents", "dna", "kosarek", "msweb", "book",
)  # fmt: skip

_SETS = {
    "digits": _digits,
    "mnist": _mnist,
    "inverted_mnist": lambda folder: [~part for part in _mnist(folder)],
    "binarized_mnist": _split("mnist/binarized_mnist_fixed"),
    **{name: _split(f"debd/{name}") for name in _DEBD},
    "adult": _split("nade/adult"),
    "mushrooms": _split("nade/mushrooms"),
    "scotus_liberal": _whole("ising/scotus_rehnquist2_9", "liberal"),
    "scotus_majority": _whole("ising/scotus_rehnquist2_9", "majority"),
    "reinis": _whole("ising/reinis", "table"),
    "spikes15": _whole("ising/maxent_toolbox_spikes", "spikes15"),
}
