"""Checks of parameters and data: every complaint names what was given and what is accepted."""

import numbers
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from skebm._jit import CHUNK
from skebm._rng import draw_entropy
from skebm._warn import warn

# Rows looked at together while the values of X are checked.
_ROWS = 4096

# Memory of the rows that are dense at the same time.
_BYTES = 32_000_000


# -- parameters --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A rule: a number of type ``kind`` between ``low`` and ``high``, or one of ``also``."""

    kind: type
    low: float = -np.inf
    high: float = np.inf
    above: bool = False  # low itself is excluded
    below: bool = False  # high itself is excluded
    also: tuple = ()

    def check(self, name, value):
        if any(
            value is other or (isinstance(other, str) and value == other) for other in self.also
        ):
            return
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, self.kind):
            raise TypeError(f"{name} must be {self}, got {value!r}.")
        too_low = value <= self.low if self.above else value < self.low
        too_high = value >= self.high if self.below else value > self.high
        if too_low or too_high or not np.isfinite(value):
            raise ValueError(f"{name} must be {self}, got {value!r}.")

    def __str__(self):
        words = ["an integer" if self.kind is numbers.Integral else "a number"]
        if self.low > -np.inf:
            words.append(f"{'>' if self.above else '>='} {self.low:g}")
        if self.high < np.inf:
            words.append(
                ("and " if len(words) > 1 else "") + f"{'<' if self.below else '<='} {self.high:g}"
            )
        return " ".join(words) + "".join(f" or {other!r}" for other in self.also)


@dataclass(frozen=True)
class Choice:
    """A rule: one of a few values."""

    options: tuple

    def check(self, name, value):
        if not any(type(value) is type(option) and value == option for option in self.options):
            options = ", ".join(repr(option) for option in self.options)
            raise ValueError(f"{name} must be one of {options}, got {value!r}.")


class Flag:
    """A rule: True or False."""

    @staticmethod
    def check(name, value):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {value!r}.")


class Jobs:
    """A rule: None, or a number of threads as joblib counts them."""

    @staticmethod
    def check(name, value):
        if value is None:
            return
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
            raise TypeError(f"{name} must be an integer other than 0, or None, got {value!r}.")
        if value == 0:
            raise ValueError(f"{name} must be an integer other than 0, or None, got 0.")


class RandomState:
    """A rule: anything that random numbers can be seeded with."""

    @staticmethod
    def check(name, value):
        if isinstance(value, (np.random.RandomState, np.random.Generator)):
            return  # looking at it must not consume it
        draw_entropy(value)


def positive_integer(*also):
    """A rule: an integer of at least 1, or one of ``also``."""
    return Number(numbers.Integral, 1, also=also)


def check_parameters(rules, values, owner=""):
    """Check ``values`` (a dict) against ``rules``; the message starts with ``owner``."""
    for name, rule in rules.items():
        rule.check(f"{owner}: {name}" if owner else name, values[name])


def check_sample_weight(sample_weight, n_samples):
    """Non-negative finite float64 weights, (n_samples,), not all zero."""
    if sample_weight is None:
        return np.ones(n_samples)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(n_samples, float(weights))
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight per row of X, got "
            f"{weights.shape}; 1D weights are accepted, not 2D."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite and not negative.")
    if not (weights > 0).any():
        raise ValueError("sample_weight must have at least one positive entry, all are zero.")
    return weights


# -- binary data -------------------------------------------------------------------------------


class Rows:
    """Checked rows that are made dense a few at a time.

    Binary rows are kept as uint8, or as CSR if they came sparse; mean-field rows as they came.
    """

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return self.X.shape[0]

    def dense(self, rows, dtype):
        """The rows at a slice or index array, C-contiguous in ``dtype``."""
        part = self.X[rows]
        if sp.issparse(part):
            part = part.toarray()
        return np.ascontiguousarray(part, dtype=dtype)

    def blocks(self, dtype, n_rows=_ROWS):
        """Pairs (slice, dense rows) that cover everything in order, ``n_rows`` at the most."""
        chunks = _BYTES // (CHUNK * self.X.shape[1] * np.dtype(dtype).itemsize)
        n_rows = min(n_rows, CHUNK * max(1, chunks))
        for low in range(0, len(self), n_rows):
            part = slice(low, min(len(self), low + n_rows))
            yield part, self.dense(part, dtype)


def check_binary(estimator, X, *, reset, allow_nan=False):
    """Validate X for a binary estimator: returns (Rows, dtype of the model, codes are -1 and 1).

    Warnings about values that are not binary are given when ``reset``, that is once per fit.
    """
    threshold = estimator.binarize
    X = validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse=False if allow_nan else "csr",
        dtype="numeric",
        ensure_all_finite="allow-nan" if allow_nan else True,
    )
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    low, high, odd = _survey(X)
    spins = low < 0 and odd is None and not _has_zeros(X)
    if threshold is None:
        if low < 0 or high > 1:
            raise ValueError(
                f"{type(estimator).__name__}: X must lie in [0, 1] with binarize=None, found "
                f"{_where(estimator, X, low if low < 0 else high)}. Scale X, or set binarize to a "
                "threshold."
            )
        return Rows(X if X.dtype.kind == "f" else X.astype(np.uint8)), dtype, False
    if sp.issparse(X) and threshold < 0:
        raise ValueError(f"binarize must be >= 0 for sparse X, got {threshold!r}.")
    if reset:
        _warn_of_odd_values(estimator, X, low, high, odd, threshold)
    return Rows(_binarized(X, threshold, allow_nan)), dtype, spins and -1 <= threshold < 1


def _binarized(X, threshold, allow_nan):
    if sp.issparse(X):
        X = sp.csr_array((X.data > threshold, X.indices, X.indptr), shape=X.shape, dtype=np.uint8)
        X.eliminate_zeros()
        return X
    if not allow_nan or X.dtype.kind != "f":
        return (X > threshold).view(np.uint8)
    binary = (X > threshold).astype(X.dtype)
    binary[np.isnan(X)] = np.nan
    return binary


def _survey(X):
    """(minimum, maximum, some value other than -1, 0 and 1 or None), ignoring NaN."""
    low, high, odd = np.inf, -np.inf, None
    values = X.data[:, None] if sp.issparse(X) else X
    if values.dtype == bool:
        return 0.0, 1.0, None
    for first in range(0, len(values), _ROWS):
        part = values[first : first + _ROWS]
        part = part[~np.isnan(part)] if part.dtype.kind == "f" else part
        if part.size:
            low, high = min(low, part.min()), max(high, part.max())
            if odd is None and not (known := (part == 0) | (part == 1) | (part == -1)).all():
                odd = float(part[~known][0])
    return float(low), float(high), odd


def _has_zeros(X):
    return sp.issparse(X) or bool((X == 0).any())


def _warn_of_odd_values(estimator, X, low, high, odd, threshold):
    name = type(estimator).__name__
    extreme = high if high > 1 else low
    if (low < -1 or high > 1) and abs(threshold) <= 1:
        warn(
            f"{name}: X has values outside [-1, 1] ({_where(estimator, X, extreme)}); all values "
            f"were binarised at binarize={threshold!r}. Set binarize to the threshold you mean.",
            UserWarning,
        )
    elif odd is not None and abs(threshold) <= 1:
        warn(
            f"{name}: X has values strictly between its codes ({_where(estimator, X, odd)}); they "
            f"were binarised at binarize={threshold!r}. Set binarize=None to take values in [0, 1] "
            "as probabilities.",
            UserWarning,
        )


def _where(estimator, X, value):
    """ "3.2 in column 4 ('age')" for a value that X holds."""
    if sp.issparse(X):
        column = int(X.indices[np.flatnonzero(X.data == value)[0]])
    else:
        column = int(np.argwhere(X == value)[0][1])
    names = getattr(estimator, "feature_names_in_", None)
    return f"{value:g} in column {column}" + (f" ({names[column]!r})" if names is not None else "")
