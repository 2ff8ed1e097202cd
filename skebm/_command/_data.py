"""Data of the command: scikit-learn's own, or a file with a matrix."""

import csv
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

# What reading a file that is no matrix has been seen to raise.
UNREADABLE = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, csv.Error)


class Data(NamedTuple):
    """A matrix with what is known of it: labels of its rows and names of its columns, or None."""

    name: str
    X: np.ndarray
    binary: bool
    y: np.ndarray | None = None
    columns: list[str] | None = None


def digits():
    """scikit-learn's handwritten digits, pixels black or white."""
    found = load_digits()
    return Data("digits, 8 × 8 pixels", (found.data >= 8).astype(np.float32), True, found.target)


def measurements():
    """scikit-learn's breast cancer data, as they are."""
    found = load_breast_cancer()
    names = [str(name) for name in found.feature_names]
    return Data("breast cancer, 30 measurements of cell nuclei", found.data, False, None, names)


def read(path):
    """The matrix of a .npz or a .csv file; errors are among ``UNREADABLE``."""
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        X, columns = _only_array(path), None
    elif suffix == ".csv":
        X, columns = _read_csv(path)
    else:
        raise ValueError(
            f"a .npz or a .csv file is needed, not {suffix or 'a file without ending'}"
        )
    if X.ndim != 2 or len(X) < 20 or X.shape[1] < 1:
        raise ValueError(f"a matrix of at least 20 rows is needed, found shape {X.shape}")
    _check_numbers(X, columns)
    values = np.unique(X)
    if np.isin(values, (0, 1)).all() or np.isin(values, (-1, 1)).all():
        return Data(Path(path).name, (X > 0).astype(np.float32), True, None, columns)
    if len(values) <= 3 or X.shape[1] < 2:
        raise ValueError(
            f"entries must be 0 and 1, or -1 and 1, or two columns of continuous numbers and more; "
            f"found {values[:5].tolist()} (a header line of numbers counts as a row)"
        )
    columns = columns or [f"column {j + 1}" for j in range(X.shape[1])]
    return Data(Path(path).name, np.asarray(X, dtype=np.float64), False, None, columns)


def _only_array(path):
    with np.load(path, allow_pickle=False) as file:
        if "X" in file.files:
            return file["X"]
        if len(file.files) != 1:
            raise ValueError(f"no array named X among {sorted(file.files)}")
        return file[file.files[0]]


# -- CSV ---------------------------------------------------------------------------------------


def _read_csv(path):
    """The matrix, empty cells NaN, and the names of its columns if it has a header."""
    with open(path, encoding="utf-8-sig") as file:
        columns = _header(file.readline())
        start = file.tell() if columns else 0
        X = _load(file, start)
    if columns and X.size and len(columns) != X.shape[1]:
        raise ValueError(f"the header names {len(columns)} columns, rows have {X.shape[1]}")
    return X, columns


def _header(line):
    """The names in a line, or None if it is one of numbers."""
    words = next(csv.reader([line.lstrip("# ")], skipinitialspace=True), [])
    try:
        [_number(word) for word in words]
    except ValueError:
        return [word.strip() or f"column {j + 1}" for j, word in enumerate(words)]
    return None


def _load(file, start):
    file.seek(start)
    try:
        return np.loadtxt(file, delimiter=",", ndmin=2)
    except ValueError:
        # Slower, and the only one that knows empty cells.
        file.seek(start)
        return np.loadtxt(file, delimiter=",", ndmin=2, converters=_number, encoding="utf-8")


def _number(word):
    word = word.strip()
    return np.nan if word in ("", "NA") else float(word)


# -- values ------------------------------------------------------------------------------------


def _check_numbers(X, columns):
    """Real numbers, all of them known."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"numbers are needed, found {X.flat[0]!r}")
    for wrong in (np.isinf(X), np.isnan(X)):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            place = f"row {row + 1}, column {columns[column] if columns else column + 1}"
            raise ValueError(_complaint(X, X[row, column], place))


def _complaint(X, value, place):
    if np.isinf(value):
        return f"numbers must be finite, found {value} in {place}"
    return (
        f"{np.isnan(X).sum()} of {X.size} cells are empty or NaN, the first in {place}; the "
        "command takes complete matrices, since not all estimators that it compares take others: "
        "fill these cells or leave out their rows (in Python, "
        "ScoreMatchingGaussian(missing='pairwise') learns from continuous data with gaps)"
    )
