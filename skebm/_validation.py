"""Checks of parameters and data: every complaint names what was given and what is accepted."""

import numbers
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from skebm._rng import draw_entropy
from skebm._rows import Rows
from skebm._warn import warn

# Values of X that are looked at together, few enough to stay near.
_SURVEYED = 65536


def duration(seconds):
    """A time in words, in the unit that suits it."""
    units = [("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172800.0),
             ("days", 86400.0, 63072000.0), ("years", 31536000.0, np.inf)]  # fmt: skip
    name, unit = next((name, unit) for name, unit, below in units if seconds < below or unit > 3e7)
    value = seconds / unit
    return f"{value:.2g} {name}" if not 10 <= value < 1e6 else f"{value:,.0f} {name}"


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
    flags: bool = False  # True and False are accepted too

    def check(self, name, value):
        if any(
            value is other or (isinstance(other, str) and value == other) for other in self.also
        ):
            return
        if self.flags and isinstance(value, (bool, np.bool_)):
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
        also = (*self.also, "True", "False") if self.flags else map(repr, self.also)
        return " ".join(words) + "".join(f" or {other}" for other in also)


@dataclass(frozen=True)
class Choice:
    """A rule: one of a few values."""

    options: tuple

    def check(self, name, value):
        if not isinstance(value, str) or value not in self.options:
            options = ", ".join(repr(option) for option in self.options)
            raise ValueError(f"{name} must be one of {options}, got {value!r}.")


class Flag:
    """A rule: True or False."""

    @staticmethod
    def check(name, value):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {value!r}.")


class Alphas:
    """A rule: a number of penalties, or their values."""

    @staticmethod
    def check(name, value):
        if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
            return Number(numbers.Integral, 1).check(name, value)
        if not isinstance(value, (list, tuple)) and not hasattr(value, "__array__"):
            raise TypeError(
                f"{name} must be an integer >= 1 or an array of numbers, got {value!r}."
            )
        values = np.asarray(value, dtype=object)
        if values.ndim != 1 or not values.size:
            raise ValueError(
                f"{name} must be an integer >= 1 or an array of numbers that is one-dimensional, "
                f"got shape {values.shape}."
            )
        for place, each in enumerate(values):
            if not _is_positive(each):
                raise ValueError(
                    f"{name} must be positive finite numbers, found {each!r} at place {place}."
                )


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


def _is_positive(value):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return False
    return bool(np.isfinite(value) and value > 0)


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
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"sample_weight must be numbers, one per row of X: {error}.") from error
    if weights.ndim == 0:
        weights = np.full(n_samples, float(weights))
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight per row of X, got "
            f"{weights.shape}; 1D weights are accepted, not 2D."
        )
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        row = np.argmin(good)
        raise ValueError(
            f"sample_weight must be finite and not negative, found {weights[row]:g} in row {row}."
        )
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"sample_weight must have a finite sum, the largest is {weights.max():g}; scale them."
        )
    if not (weights > 0).any():
        raise ValueError("sample_weight must have at least one positive entry, all are zero.")
    return weights


# -- binary data -------------------------------------------------------------------------------


class Coding(NamedTuple):
    """How training data were coded: as -1 and 1, and with values far from any code."""

    spins: bool = False
    out_of_range: bool = False


def check_binary(
    estimator, X, *, reset, training=False, allow_nan=False, sparse=None, probabilities=True
):
    """Validate X for a binary estimator: returns (Rows, dtype of the model, Coding).

    Values that are not binary are warned of once per ``training``; later on, only values outside
    [-1, 1] are, if the training data had none. ``sparse`` says whether CSR is taken, by default
    where NaN is not; allowed NaN that it stores makes the rows dense. Without ``probabilities``
    ``binarize=None`` takes {0, 1} and {-1, 1} only.
    """
    threshold = estimator.binarize
    X = validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr" if (not allow_nan if sparse is None else sparse) else False,
        dtype="numeric",
        ensure_all_finite=False,
    )
    survey = _survey(X)
    if not survey.exact:
        _check_finite(estimator, X, allow_nan)
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    if threshold is None and not probabilities:
        _check_codes(estimator, X, survey)
        threshold = 0.0 if survey.low < 0 else 0.5
    if threshold is None:
        if survey.low < 0 or survey.high > 1:
            raise ValueError(
                f"{type(estimator).__name__}: X must lie in [0, 1] with binarize=None, found "
                f"{_where(estimator, X, survey.low if survey.low < 0 else survey.high)}. Scale X, "
                "or set binarize to a threshold."
            )
        as_they_are = survey.odd is not None or (allow_nan and _has_nan(X))
        return Rows(X) if as_they_are else Rows.binary(X, 0), dtype, Coding()
    if sp.issparse(X) and threshold < 0:
        raise ValueError(f"binarize must be >= 0 for sparse X, got {threshold!r}.")
    out_of_range = abs(threshold) <= 1 and (survey.low < -1 or survey.high > 1)
    chosen = estimator.binarize is not None  # else there are codes alone
    if chosen and (training or (out_of_range and not estimator._coding.out_of_range)):
        _warn_of_odd_values(estimator, X, survey, out_of_range)
    spins = survey.low < 0 and survey.odd is None and not survey.zeros and -1 <= threshold < 1
    coding = Coding(spins, out_of_range)
    if not allow_nan or (sparse and not _has_nan(X)):
        return Rows.binary(X, threshold), dtype, coding
    X = X.toarray() if sp.issparse(X) else X
    return Rows(np.where(np.isnan(X), np.nan, X > threshold).astype(dtype)), dtype, coding


def check_real(
    estimator, X, *, reset, allow_nan=False, remedy="impute takes NaN", min_rows=1, sparse=False
):
    """Validate X for an estimator of real data: an ndarray (n, p), float64, NaN where allowed.

    ``remedy`` is what a message says of NaN where it is not. ``sparse`` X is made dense, if taken.
    """
    X = validate_data(
        estimator, X, reset=reset, dtype=np.float64, order="C", ensure_all_finite=False,
        ensure_min_samples=min_rows, accept_sparse="csr" if sparse else False,
    )  # fmt: skip
    X = X.toarray() if sp.issparse(X) else X
    _check_finite(estimator, X, allow_nan, remedy)
    return X


def _check_codes(estimator, X, survey):
    if survey.odd is None and not (survey.low < 0 and survey.zeros):
        return
    odd = survey.odd if survey.odd is not None else 0.0
    raise ValueError(
        f"{type(estimator).__name__}: X must hold 0 and 1, or -1 and 1, with binarize=None, found "
        f"{_where(estimator, X, odd)}. Set binarize to a threshold."
    )


def _has_nan(X):
    values = X.data if sp.issparse(X) else X
    return values.dtype.kind == "f" and bool(np.isnan(values).any())


def _check_finite(estimator, X, allow_nan, remedy="impute and conditional_sample take NaN"):
    """A ``ValueError`` that names the column of the first NaN or infinity that is not accepted."""
    values = X.data if sp.issparse(X) else X
    if values.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):  # which may also overflow, so that one looks again below
            return
    infinite, missing = np.isinf(values), np.isnan(values)
    if infinite.any():
        where = _where(estimator, X, values[infinite][0]).split(" in ", 1)[1]
        raise ValueError(f"{type(estimator).__name__}: X contains infinity in {where}.")
    if missing.any() and not allow_nan:
        where = _where(estimator, X, np.nan).split(" in ", 1)[1]
        raise ValueError(
            f"{type(estimator).__name__}: X contains NaN in {where}. Complete rows are needed "
            f"here; {remedy} for the unknown."
        )


class _Survey(NamedTuple):
    """The range of some data, one value other than -1, 0 and 1 if any, and whether 0 occurs.

    ``exact`` says that there are only zeros and ones.
    """

    low: float
    high: float
    odd: float | None
    zeros: bool
    exact: bool


def _survey(X):
    """What values X holds, NaN left aside."""
    low, high, odd, zeros, exact = np.inf, -np.inf, None, _has_gaps(X), True
    values = X.data[:, None] if sp.issparse(X) else X
    if values.dtype == bool:
        return _Survey(0.0, 1.0, None, True, True)
    n_rows = max(1, _SURVEYED // max(1, values.shape[1]))
    for first in range(0, len(values), n_rows):
        part = values[first : first + n_rows]
        counts = [np.count_nonzero(part == value) for value in (0, 1)]
        if sum(counts) == part.size:  # the usual case, and the quickest way to know
            found = [value for value, count in enumerate(counts) if count]
            low, high = min([low, *found]), max([high, *found])
            zeros = zeros or 0 in found
            continue
        exact = False
        part = part[~np.isnan(part)] if part.dtype.kind == "f" else part
        if part.size:
            low, high = min(low, part.min()), max(high, part.max())
            zero = part == 0
            zeros = zeros or bool(zero.any())
            if odd is None and not (known := zero | (part == 1) | (part == -1)).all():
                odd = float(part[~known][0])
    return _Survey(float(low), float(high), odd, zeros, exact)


def _has_gaps(X):
    """Whether X is sparse and has zeros that are not stored."""
    return sp.issparse(X) and X.nnz < X.shape[0] * X.shape[1]


def _warn_of_odd_values(estimator, X, survey, out_of_range):
    name, threshold = type(estimator).__name__, estimator.binarize
    if abs(threshold) > 1:
        return  # a threshold of the user's own, for data on a scale of their own
    if out_of_range:
        extreme = survey.high if survey.high > 1 else survey.low
        said = (
            f"X has values outside [-1, 1] ({_where(estimator, X, extreme)}); all values were "
            f"binarised at binarize={threshold!r}. Set binarize to the threshold you mean."
        )
    elif survey.odd is not None:
        said = (
            f"X has values strictly between its codes ({_where(estimator, X, survey.odd)}); they "
            f"were binarised at binarize={threshold!r}. Set binarize=None to take values in [0, 1] "
            "as probabilities."
        )
    elif survey.low < 0 and survey.zeros:
        said = (
            f"X mixes -1, 0 and 1 ({_where(estimator, X, -1)}); binarize={threshold!r} tells only "
            "values above it from the others."
        )
    else:
        return
    warn(f"{name}: {said}", UserWarning)


def _where(estimator, X, value):
    """'3.2 in column 4 ('age')' for a value that X holds."""
    values = X.data if sp.issparse(X) else X
    places = np.argwhere(np.isnan(values) if np.isnan(value) else values == value)
    if not len(places):
        column = _first_gap(X)
    else:
        column = X.indices[places[0][0]] if sp.issparse(X) else places[0][1]
    return f"{value:g} in {column_name(estimator, column)}"


def _first_gap(X):
    """The column of the first entry of a CSR matrix that is not stored."""
    row = np.flatnonzero(np.diff(X.indptr) < X.shape[1])[0]
    stored = X.indices[X.indptr[row] : X.indptr[row + 1]]
    return np.setdiff1d(np.arange(X.shape[1]), stored)[0]


def column_name(estimator, column):
    """'column 4 ('age')', or without a name where X had none."""
    names = getattr(estimator, "feature_names_in_", None)
    return f"column {column}" + (f" ({names[column]!r})" if names is not None else "")
