"""Covariances that a Gaussian model is learned from: of rows, with gaps, of ranks, or given."""

from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.stats import rankdata

from skebm._jit import FLOPS_PER_CALL, single_threaded_blas
from skebm._validation import column_name
from skebm.criteria._precision_kernels import PANEL, add_products
from skebm.gaussian._asked import check_symmetric

# Numbers of the rows that are worked on at a time.
_BLOCK = 2**22

# Least eigenvalue of correlations, but for its sign, that rounding can make of zero.
_ROUNDING = 1e-10

# The same of a covariance that is given, in single precision or with seven digits perhaps; and
# what entries that mirror each other may differ by.
_GIVEN = 1e-6


class Moments(NamedTuple):
    """What is known of some rows.

    ``location`` and ``scale`` (p,); ``S`` (p, p) the covariance of (x - location) / scale;
    ``n`` the total weight; ``constant`` (p,) bool, columns without variance, whose variance is
    taken to be 1; ``counts`` (p, p) the weight of the rows that each entry was made of, or None;
    ``repaired`` the least eigenvalue if it was negative and taken away, else 0.
    """

    location: np.ndarray
    scale: np.ndarray
    S: np.ndarray
    n: float
    constant: np.ndarray
    counts: np.ndarray | None = None
    repaired: float = 0.0

    @property
    def factors(self):
        """What a precision of scaled columns is divided by, (p, p)."""
        return np.outer(self.scale, self.scale)


def of_rows(estimator, X, weights):
    """:class:`Moments` of complete rows (n, p) with weights (n,)."""
    location, variance = location_and_variance(estimator, X, weights)
    constant = constant_columns(X, location, variance)
    scale = _scale(estimator, variance, constant)
    S = np.zeros((X.shape[1], X.shape[1]))
    shares = np.sqrt(weights / weights.sum())
    panels = np.column_stack(np.triu_indices(-(-len(S) // PANEL)))
    for low in range(0, len(X), step := max(1, _BLOCK // X.shape[1])):
        part = slice(low, low + step)
        block = np.ascontiguousarray(((X[part] - location) * (shares[part, None] / scale)).T)
        at_once = max(2, int(FLOPS_PER_CALL / (2.0 * PANEL**2 * block.shape[1])))
        for first in range(0, len(panels), at_once):
            last = min(first + at_once, len(panels))
            add_products(block, panels, first, last, S, parallel=block.size * len(S) > 2e7)
    _settle(S, constant, estimator)
    return Moments(location, scale, S, float(weights.sum()), constant)


def with_gaps(estimator, X, weights):
    """:class:`Moments` of rows with NaN: each entry from the rows where both columns are known."""
    known = ~np.isnan(X)
    if not (weights @ known > 0).all():
        column = column_name(estimator, int(np.argmin(weights @ known > 0)))
        raise ValueError(f"{type(estimator).__name__}: X has no known value in {column}.")
    with single_threaded_blas:
        counts = (weights[:, None] * known).T @ known
    if not (counts > 0).all():
        i, j = (column_name(estimator, int(k)) for k in np.argwhere(counts <= 0)[0])
        raise ValueError(
            f"{type(estimator).__name__}: X has no row where {i} and {j} are both known."
        )
    location = np.zeros(X.shape[1])
    for _ in range(0 if estimator.assume_centered else 2):  # twice, for the digits of large means
        location += weights @ np.where(known, X - location, 0.0) / counts.diagonal()
    deviations = np.where(known, X - location, 0.0)
    variance = (weights @ deviations**2) / counts.diagonal()
    constant = constant_columns(X, location, variance)
    scale = _scale(estimator, variance, constant)
    deviations /= scale
    with single_threaded_blas:
        S = (deviations * weights[:, None]).T @ deviations / counts
    _settle(S, constant, estimator)
    S, least = repaired(S)
    return Moments(location, scale, S, float(weights.sum()), constant, counts, least)


def of_ranks(estimator, X, weights):
    """:class:`Moments` with the correlations of the normal that has these rank correlations."""
    location, variance = location_and_variance(estimator, X, weights)
    constant, total = (X == X[0]).all(axis=0), float(weights.sum())
    if not (constant | (variance > 0)).all():
        column = column_name(estimator, int(np.argmin(constant | (variance > 0))))
        raise ValueError(
            f"{type(estimator).__name__}: the variance of {column} is less than can be told from "
            "0, scale X."
        )
    weights = weights / weights.max()
    if estimator.covariance == "spearman":
        R = 2.0 * np.sin(np.pi / 6.0 * _spearman(X, weights, constant))
    else:
        R = np.sin(np.pi / 2.0 * _kendall(X, weights, constant))
    R[constant], R[:, constant] = 0.0, 0.0
    np.fill_diagonal(R, 1.0)
    R, least = repaired(R)
    deviation = np.where(constant, 1.0, np.sqrt(variance))
    scale = deviation if estimator.standardize else np.ones_like(deviation)
    S = R * np.outer(deviation / scale, deviation / scale)
    return Moments(location, scale, S, total, constant, None, least)


def precomputed(estimator, S):
    """:class:`Moments` of a covariance that is given; its rows are not known."""
    name = type(estimator).__name__
    if S.ndim != 2 or S.shape[0] != S.shape[1]:
        raise ValueError(f"{name}: X must be a square covariance matrix, got shape {S.shape}.")
    check_symmetric(name, "X must be a symmetric covariance matrix", S, _GIVEN)
    variance = np.diagonal(S).copy()
    if (variance < 0).any():
        i = int(np.argmin(variance))
        raise ValueError(
            f"{name}: variances must not be negative, found {variance[i]:g} in "
            f"{column_name(estimator, i)}."
        )
    constant = variance == 0
    if (S[constant] != 0).any():
        i = int(np.argmax(constant & (S != 0).any(axis=1)))
        raise ValueError(
            f"{name}: the variance of {column_name(estimator, i)} is 0, but some of its "
            "covariances are not."
        )
    scale = _scale(estimator, variance, constant)
    S = (S + S.T) / 2.0 / np.outer(scale, scale)
    _settle(S, constant, estimator)
    least = least_of(S, estimator.ridge)
    if least < -_GIVEN:
        with single_threaded_blas:
            least = linalg.eigvalsh(S, subset_by_index=[0, 0])[0]
        of_what = " of scaled columns" if estimator.standardize else ""
        raise ValueError(  # half a percent more is enough when rounded to three digits
            f"{name}: X must be a positive semidefinite covariance matrix, its least eigenvalue "
            f"is {least:.3g}{of_what}; a ridge of at least {-1.005 * least:.3g} would do."
        )
    if least < 0:
        S, _ = repaired(S)
    return Moments(np.zeros(len(S)), scale, S, np.nan, constant)


# -- shared by the above -----------------------------------------------------------------------


def location_and_variance(estimator, X, weights):
    """Weighted means, 0 if the estimator takes them for it, and variances about them, (p,) each."""
    shares = weights / weights.sum()
    location = np.zeros(X.shape[1]) if estimator.assume_centered else _mean(shares, X)
    variance = np.zeros(X.shape[1])
    for low in range(0, len(X), step := max(1, _BLOCK // X.shape[1])):
        part = slice(low, low + step)
        with np.errstate(over="ignore"):
            variance += shares[part] @ (X[part] - location) ** 2
    if not np.isfinite(variance).all():
        column = column_name(estimator, int(np.argmin(np.isfinite(variance))))
        raise ValueError(
            f"{type(estimator).__name__}: the variance of {column} is beyond 1.8e308, scale X."
        )
    return location, variance


def _mean(shares, X):
    # In two passes, since the first one loses digits where means are large beside deviations.
    first = shares @ X
    rest, step = np.zeros(X.shape[1]), max(1, _BLOCK // X.shape[1])
    for low in range(0, len(X), step):
        rest += shares[low : low + step] @ (X[low : low + step] - first)
    return first + rest


def constant_columns(X, location, variance):
    """Columns of one value, the location, or so but for rounding, (p,) bool; NaN is no value."""
    with np.errstate(invalid="ignore"):
        lowest, highest = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
        one_value = (lowest == highest) & (np.abs(lowest - location) <= 1e-6 * np.abs(location))
    return one_value | (variance <= (1e-14 * np.abs(location)) ** 2)


def _scale(estimator, variance, constant):
    if not estimator.standardize:
        return np.ones_like(variance)
    return np.where(constant, 1.0, np.sqrt(variance))


def _settle(S, constant, estimator):
    """Variances of constant columns are 1, and those of scaled ones are so without rounding."""
    S[constant], S[:, constant] = 0.0, 0.0
    ones = np.ones(len(S), bool) if estimator.standardize else constant
    S[ones, ones] = 1.0


def least_of(S, ridge):
    """The least eigenvalue of S + ridge I, or 0 if it is not negative but for rounding.

    That is of columns divided by their standard deviations, lest large ones hide the others.
    """
    root = np.sqrt(S.diagonal() + ridge)
    R = S / root
    R /= root[:, None]
    R[np.diag_indices_from(R)] = 1.0 + _ROUNDING
    try:
        with single_threaded_blas:
            np.linalg.cholesky(R)
    except np.linalg.LinAlgError:
        with single_threaded_blas:
            return min(0.0, float(linalg.eigvalsh(R, subset_by_index=[0, 0])[0]))
    return 0.0


def repaired(S):
    """S and 0, or without its negative eigenvalues, with the old diagonal, and the least of them.

    The nearest positive semidefinite matrix to the correlations, scaled to the variances.
    """
    if (least := least_of(S, 0.0)) == 0.0:
        return S, 0.0
    root = np.sqrt(S.diagonal())
    with single_threaded_blas:
        values, vectors = np.linalg.eigh(S / np.outer(root, root))
        fixed = (vectors * np.maximum(values, 0.0)) @ vectors.T
    ratio = root / np.sqrt(fixed.diagonal())
    fixed *= np.outer(ratio, ratio)
    return (fixed + fixed.T) / 2.0, least


def _spearman(X, weights, constant):
    """Correlations of ranks, ties in the middle."""
    ranks = _weighted_ranks(X, weights) if (weights != 1.0).any() else rankdata(X, axis=0)
    shares = weights / weights.sum()
    ranks = ranks - shares @ ranks
    with single_threaded_blas:
        R = (ranks * shares[:, None]).T @ ranks
    deviation = np.sqrt(np.where(constant, 1.0, R.diagonal()))
    return R / np.outer(deviation, deviation)


def _weighted_ranks(X, weights):
    """Ranks of rows that stand for ``weights`` copies of themselves each, but for a constant."""
    ranks = np.empty(X.shape)
    for j in range(X.shape[1]):
        values, place = np.unique(X[:, j], return_inverse=True)
        mass = np.bincount(place, weights, len(values))
        ranks[:, j] = (np.cumsum(mass) - mass / 2.0)[place]
    return ranks


def _kendall(X, weights, constant):
    """Kendall's tau-b: agreement of the signs of differences between rows."""
    p = X.shape[1]
    T, equal = np.zeros((p, p)), (weights == weights[0]).all()
    with single_threaded_blas:
        for k in range(len(X) - 1):
            signs = np.sign(X[k + 1 :] - X[k])
            if equal:  # sums of so few ones are exact in single precision too
                signs = signs.astype(np.float32)
                T += signs.T @ signs
            else:
                T += weights[k] * (signs.T @ (signs * weights[k + 1 :, None]))
    deviation = np.sqrt(np.where(constant, 1.0, T.diagonal()))
    return T / np.outer(deviation, deviation)
