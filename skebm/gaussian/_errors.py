"""Errors of precision matrices on the reals: what single rows do to an inverse covariance.

Where S moves by E, its inverse K moves by -K E K. A row x of the sample moves S by (yy' - S) / n,
y = x - mu, and so entry ij of K by -(z_i z_j - K_ij) / n with z = K y. Here columns are divided by
their standard deviations.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from skebm._jit import single_threaded_blas
from skebm.gaussian._covariance import is_constant

# Numbers of the rows that are worked on at a time.
_BLOCK = 2**21


class Sample(NamedTuple):
    """Rows in scaled units.

    ``U`` (n, p) deviations from the location, 0 where unknown; ``known`` (n, p) bool or None if
    all is; ``total`` weight and ``shares`` (n,) of it; ``totals`` (p,) the weight of what is known
    of each column; ``shared`` (p, p) the share of the rows that know both columns, or None; ``S``
    (p, p); ``scale`` (p,); ``constant`` (p,) bool; ``lost`` degrees of freedom of a mean.
    """

    U: np.ndarray
    known: np.ndarray | None
    total: float
    shares: np.ndarray
    totals: np.ndarray
    shared: np.ndarray | None
    S: np.ndarray
    scale: np.ndarray
    constant: np.ndarray
    lost: int

    @classmethod
    def of(cls, X, weights, assume_centered):
        """From rows (n, p), NaN where unknown, and their weights (n,)."""
        known, total = ~np.isnan(X), weights.sum()
        shares, whole = weights / total, known.all()
        seen = np.minimum(shares @ known, 1.0)
        location = np.zeros(X.shape[1])
        for _ in range(0 if assume_centered else 2):  # twice, for the digits of large means
            location = location + shares @ np.where(known, X - location, 0.0) / seen
        U = np.where(known, X - location, 0.0)
        variance = shares @ U**2 / seen
        constant = is_constant(variance, location)
        scale = np.where(constant, 1.0, np.sqrt(variance))
        U /= scale
        U[:, constant] = 0.0
        with single_threaded_blas:
            S = (U * shares[:, None]).T @ U
            shared = None if whole else (known * shares[:, None]).T @ known
        if not whole:
            S /= np.where(shared > 0, shared, np.nan)
        S[constant, constant] = 1.0
        return cls(
            U, None if whole else known, float(total), shares, total * seen, shared, S, scale,
            constant, 0 if assume_centered else 1,
        )  # fmt: skip

    @property
    def factors(self):
        """What a precision is multiplied by to be one of scaled columns, (p, p)."""
        return np.outer(self.scale, self.scale)

    def blocks(self):
        """Deviations and shares of rows, some at a time."""
        step = max(1, _BLOCK // self.U.shape[1])
        for low in range(0, len(self.U), step):
            yield self.U[low : low + step], self.shares[low : low + step]


class Room(NamedTuple):
    """What is left of the rows of each column once its neighbours are learned, (p,) each.

    ``degrees`` of freedom; ``inflation`` of squared errors; ``shrinkage`` of precisions, which are
    too large by as much.
    """

    degrees: np.ndarray
    inflation: np.ndarray
    shrinkage: np.ndarray


def room(sample, K):
    """:class:`Room` with a precision, that of normal data and without a penalty.

    Then n - p times a diagonal entry of S has a chi-square distribution when divided into that of
    the truth, and (n - p - 2) K / n has the truth for its mean. A penalty on K leaves fewer
    neighbours, and a ridge a part of each, 1 - (1 - u)^2 for u on the diagonal of K S, as in the
    residuals of a ridge regression.
    """
    fitted = 1.0 - (1.0 - np.clip(np.einsum("ij,ij->i", K, sample.S), 0.0, 1.0)) ** 2
    lost = ((K != 0).sum(axis=1) - 1) * fitted + sample.lost
    degrees = sample.totals - lost
    return Room(degrees, sample.totals / degrees, (degrees - 2.0) / sample.totals)


def spread(sample, K, ridge=0.0):
    """Variance over rows of their pull on entries of the inverse, (p, p).

    ``ridge`` is one that multiplies variances on the diagonal, so that these pull on it too.
    """
    if sample.known is not None or ridge:
        return _spread_of_matrices(sample, K, ridge)
    square, mean = np.zeros_like(K), np.zeros_like(K)
    for U, shares in sample.blocks():
        with single_threaded_blas:
            Z = U @ K
            weighted = Z.T * shares
            mean += weighted @ Z
            weighted *= Z.T
            square += weighted @ np.square(Z, out=Z)
    return np.maximum(square - mean**2, 0.0)


def _spread_of_matrices(sample, K, ridge):
    """What one row does to S is not of rank one: K times it, row by row of K."""
    p = len(K)
    Q = np.ones((p, p)) if sample.shared is None else 1.0 / sample.shared
    Q[np.diag_indices(p)] *= 1.0 + ridge
    gaps = None if sample.known is None else sample.known.astype(np.float64)
    out = np.empty((p, p))
    with single_threaded_blas:
        for i in range(p):
            pull = ((sample.U * K[i]) @ Q) * sample.U
            if gaps is not None:
                pull -= ((gaps * K[i]) @ (Q * sample.S)) * gaps
            pull = pull @ K
            out[i] = sample.shares @ pull**2 - (sample.shares @ pull) ** 2
    return np.maximum((out + out.T) / 2.0, 0.0)


def errors_of_inverse(sample, room, K, ridge):
    """Standard errors of K = (S + ridge)^-1 around what it tends to, in the units of the data."""
    root = np.sqrt(room.inflation)
    errors = np.sqrt(spread(sample, K, ridge) * (np.outer(root, root) / sample.total))
    return _in_units(sample, errors)


def one_step(sample, room, K):
    """The inverse of S by a step from K, and its standard errors, in the units of the data."""
    with single_threaded_blas:
        both = K @ sample.S @ K
    both = (both + both.T) / 2.0
    estimate = 2.0 * K - both
    # Residuals of the rows that a penalised K was learned from are too small by as much.
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.maximum(estimate.diagonal() / both.diagonal(), 1.0)
    root, shrunk = np.sqrt(gain * room.inflation), np.sqrt(room.shrinkage)
    errors = np.sqrt(spread(sample, K) * (np.outer(root, root) / sample.total))
    errors *= np.outer(shrunk, shrunk)
    shrunk[sample.constant] = 1.0
    return estimate * np.outer(shrunk, shrunk) / sample.factors, _in_units(sample, errors)


def _in_units(sample, errors):
    errors /= sample.factors
    errors[sample.constant], errors[:, sample.constant] = np.nan, np.nan
    return errors


def student_quantile(level, degrees):
    """Quantile of Student's t that ``level`` of it stays below in size, (p,) for ``degrees``."""
    values, place = np.unique(degrees, return_inverse=True)
    return special.stdtrit(values, (1.0 + level) / 2.0)[place]


def two_sided(statistic, degrees):
    """p-values of Student's t, elementwise."""
    return 2.0 * special.stdtr(degrees, -np.abs(statistic))
