"""Data sets by name, as binary float32 arrays with a train and a test part."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Data(NamedTuple):
    """Rows to learn from and rows to score, both (n, n_features) float32 of 0 and 1."""

    train: np.ndarray
    test: np.ndarray


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
        return arrays["train"], arrays["test"]

    return read


_SETS = {
    "digits": _digits,
    "mnist": _mnist,
    "inverted_mnist": lambda folder: [~part for part in _mnist(folder)],
    "binarized_mnist": _split("mnist/binarized_mnist_fixed"),
    "nltcs": _split("debd/nltcs"),
    "plants": _split("debd/plants"),
    "adult": _split("nade/adult"),
    "mushrooms": _split("nade/mushrooms"),
}
