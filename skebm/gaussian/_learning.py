"""From data to a precision matrix: which form of the loss, at which scale."""

import copy
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy import linalg

from skebm._jit import single_threaded_blas
from skebm._validation import column_name
from skebm.criteria._covariance_form import CovarianceForm
from skebm.criteria._definite_form import minimise_definite
from skebm.criteria._pairs import Pairs, Solution
from skebm.criteria._residual_form import ResidualForm
from skebm.criteria._support import fit_columns
from skebm.criteria.score_matching import minimise, path
from skebm.energies._definite import is_positive_definite
from skebm.gaussian import _covariance
from skebm.gaussian._asked import checked_weights, is_real, support_of
from skebm.gaussian._held_out import InsideBounds, OfCovariance, OfRows, paired

# Variables whose covariance is kept, some 1.2 GB of it; beyond them rows are worked on instead.
MOST_KEPT = 12_000

# Share of a variance, for each variable, that others leave where nothing is left but rounding.
_LOST = 10.0 * np.finfo(np.float64).eps

# Squared deviations, as a share of squares, where values differ by nothing but rounding.
_EQUAL = 1e-28

# Rows of matrices that are worked on at a time.
_ROWS = 256

# Diagonals beyond so many times that without edges are no place to start from.
_FAR = 1e4


class Learned(NamedTuple):
    """A model in the units of the data, and the :class:`Solution` that it was made of."""

    precision: np.ndarray
    location: np.ndarray
    solution: Solution


class Data(ABC):
    """What a Gaussian model is learned from; penalties and solutions are in scaled units.

    ``scale`` (p,) is what columns were divided by, ``constant`` (p,) bool those without variance,
    ``kept`` the indices of those that solutions are about; ``weights`` are multiples of the
    penalty of these, or None.
    """

    repaired = 0.0  # the least eigenvalue, if it was negative and taken away

    @property
    @abstractmethod
    def bounds(self):
        """Where the columns that are kept can be, in the units of the data."""

    @abstractmethod
    def form(self, ridge):
        """The smooth loss with a ridge."""

    @abstractmethod
    def closed(self, ridge):
        """The :class:`Solution` without a penalty, or None if there is none in closed form."""

    @abstractmethod
    def definite(self, alpha, ridge, K, **options):
        """The :class:`Solution` among positive definite matrices, as ``minimise_definite`` has it.

        A ``ValueError`` if that is not known of such data.
        """

    @abstractmethod
    def start(self, precision):
        """:class:`Pairs` of a precision in the units of the data."""

    @abstractmethod
    def learned(self, solution):
        """The :class:`Learned` model in the units of the data."""

    def marginals(self):
        """Location and precision of each column by itself, (p,) each; None on the reals."""
        return None

    @abstractmethod
    def judge(self, estimator, X, weights):
        """What tells how models learned from these data do on rows X with weights."""

    @abstractmethod
    def judge_itself(self, X, weights):
        """The same of the rows that these data were made of."""


class FromCovariance(Data):
    """Learning on the reals, from a covariance.

    Parameters
    ----------
    moments : Moments
        What is known of the data.
    weights : ndarray of shape (p, p) or None
        Multiples of the penalty.
    """

    def __init__(self, moments, weights):
        self.moments, self.weights = moments, weights
        self.constant, self.scale = moments.constant, moments.scale
        self.kept, self.repaired = np.arange(len(moments.scale)), moments.repaired

    @property
    def bounds(self):
        return np.full(len(self.scale), -np.inf), np.full(len(self.scale), np.inf)

    def form(self, ridge):
        return CovarianceForm(self._ridged(ridge), self.weights)

    def _ridged(self, ridge):
        """S with a ridge but for constant columns, whose variance is 1."""
        if ridge == 0:
            return self.moments.S
        S = self.moments.S.copy()
        S[np.diag_indices_from(S)] += np.where(self.constant, 0.0, ridge)
        return S

    def closed(self, ridge):
        S = self._ridged(ridge)
        K = _inverse(S)
        if K is None:
            return None
        with single_threaded_blas:
            return _closed_solution(K, K @ S)

    def definite(self, alpha, ridge, K, **options):
        return minimise_definite(self.form(ridge), alpha, K, **options)

    def learned(self, solution):
        K = _divided(solution.pairs.toarray(), self.scale)
        return Learned(K, self.moments.location, solution)

    def start(self, precision):
        return Pairs.of_matrix(precision * self.moments.factors)

    def judge(self, estimator, X, weights):
        if estimator.covariance is not None:
            R = _covariance.of_ranks(estimator, X, weights).S
            ratio = np.sqrt(self.moments.S.diagonal() / R.diagonal())
            return OfCovariance(self.scale, R * np.outer(ratio, ratio))
        Z = (X - self.moments.location) / self.scale
        if np.isnan(Z).any():
            return OfCovariance(self.scale, paired(Z, weights))
        return OfRows(self.scale, Z, weights / weights.sum())

    def judge_itself(self, X, weights):
        return OfCovariance(self.scale, self.moments.S)


class FromRows(Data):
    """Learning from rows: inside bounds, or of so many variables that S would be too large.

    Columns that are constant are left out, and are independent with variance 1 in the end.

    Parameters
    ----------
    estimator : BaseGaussian
        What is fitted.
    X : ndarray of shape (n, p)
        Rows inside the support.
    sample_weight : ndarray of shape (n,)
        Weights of the rows.
    weights : ndarray of shape (p, p) or None
        Multiples of the penalty.
    """

    def __init__(self, estimator, X, sample_weight, weights):
        self.support, self.sample_weight = support_of(estimator, X.shape[1]), sample_weight
        self.location, variance = _covariance.location_and_variance(estimator, X, sample_weight)
        self.constant = _covariance.constant_columns(X, self.location, variance)
        self.kept = np.flatnonzero(~self.constant)
        self.scale, self.shift = np.ones(X.shape[1]), np.zeros(X.shape[1])
        if estimator.standardize:
            lengths = self.support.scales(X, sample_weight, self.location)
            self.scale = np.where(self.constant | (lengths == 0), 1.0, lengths)
        if is_real(estimator):
            self.shift = self.location
        self.assume_centered = estimator.assume_centered
        self.X = ((X - self.shift) / self.scale)[:, self.kept]
        self._check_heights(estimator)
        self.weights = None if weights is None else weights[np.ix_(self.kept, self.kept)]

    def _check_heights(self, estimator):
        """A ``ValueError`` if a column has no two values that the loss sees, by its weights h."""
        if self.support.is_real:
            return
        name, X = type(estimator).__name__, self.X
        h = self._scaled_support().weights(X)[0]
        h *= (self.sample_weight / self.sample_weight.sum())[:, None]
        heights = h.sum(axis=0)
        if not (heights > 0).all():
            column = column_name(estimator, self.kept[np.argmin(heights > 0)])
            raise ValueError(
                f"{name}: all values of {column} are on its bounds, where score matching does not "
                f"see them, with support={estimator.support!r}."
            )
        centre = np.zeros(X.shape[1])
        for _ in range(0 if self.assume_centered else 2):  # twice, for the digits of large means
            centre += np.einsum("ti,ti->i", h, X - centre) / heights
        spread = np.einsum("ti,ti->i", h, (X - centre) ** 2)
        seen = spread > _EQUAL * np.einsum("ti,ti->i", h, X**2)
        if not seen.all():
            column = column_name(estimator, self.kept[np.argmin(seen)])
            raise ValueError(
                f"{name}: all values of {column} off its bounds are equal, and score matching does "
                f"not see the others, with support={estimator.support!r}."
            )

    def _scaled_support(self):
        return self.support.scaled(self.scale, self.shift).of_columns(self.kept)

    @property
    def bounds(self):
        return self.support.low[self.kept], self.support.high[self.kept]

    def form(self, ridge):
        return ResidualForm(
            self.X, self._scaled_support(), sample_weight=self.sample_weight,
            weights=self.weights, ridge=ridge, assume_centered=self.assume_centered,
        )  # fmt: skip

    def closed(self, ridge):
        """The :class:`Solution` without a penalty, or None if there is none in closed form.

        On the reals, from n rows of fewer numbers than variables by Woodbury's identity, in O(n
        p^2): (ridge I + Y'Y)^-1 = (I - Y'(ridge I + YY')^-1 Y) / ridge.
        """
        n, p = self.X.shape
        if not self.support.is_real or (n < p and ridge == 0):
            return None
        Y = self.X * np.sqrt(self.sample_weight / self.sample_weight.sum())[:, None]
        with single_threaded_blas:
            if n >= p:
                S = Y.T @ Y
                S[np.diag_indices(p)] += ridge
                K = _inverse(S)
                return None if K is None else _closed_solution(K, K @ S)
            G = Y @ Y.T
            G[np.diag_indices(n)] += ridge
            try:
                half = linalg.solve_triangular(np.linalg.cholesky(G), Y, lower=True)
            except np.linalg.LinAlgError:
                return None
            K = half.T @ half
            K *= -1.0 / ridge
            K[np.diag_indices(p)] += 1.0 / ridge
            return _closed_solution(K, (K @ Y.T) @ Y + ridge * K)

    def definite(self, alpha, ridge, K, **options):
        raise ValueError("ensure_pd='project' works on a covariance, and there is none.")

    def learned(self, solution):
        K, location = np.eye(len(self.scale)), self.location.copy()
        K[np.ix_(self.kept, self.kept)] = solution.pairs.toarray()
        if not self.support.is_real:
            form = self.form(0.0)
            location[self.kept] = form.location(solution.pairs) * self.scale[self.kept]
        return Learned(_divided(K, self.scale), location, solution)

    def start(self, precision):
        K = precision * np.outer(self.scale, self.scale)
        return Pairs.of_matrix(K[np.ix_(self.kept, self.kept)])

    def marginals(self):
        if self.support.is_real:
            return None
        location, precision = self.location.copy(), np.ones(len(self.scale))
        own = fit_columns(self.X, self._scaled_support(), sample_weight=self.sample_weight)
        scale = self.scale[self.kept]
        location[self.kept] = own[0] * scale + self.shift[self.kept]
        precision[self.kept] = own[1] / scale**2
        return location, precision

    def judge(self, estimator, X, weights):
        Z, shares = ((X - self.shift) / self.scale)[:, self.kept], weights / weights.sum()
        if self.support.is_real:
            return OfRows(self.scale, Z, shares)
        return InsideBounds(self.form(0.0), self._scaled_support(), Z, shares)

    def judge_itself(self, X, weights):
        return self.judge(None, X, weights)


def data_of(estimator, X, sample_weight):
    """What is learned from: :class:`FromCovariance` or :class:`FromRows`."""
    p = X.shape[1]
    weights = checked_weights(type(estimator).__name__, estimator.alpha_weights, p)
    if estimator.covariance == "precomputed":
        return FromCovariance(_covariance.precomputed(estimator, X), weights)
    if estimator.covariance is not None:
        return FromCovariance(_covariance.of_ranks(estimator, X, sample_weight), weights)
    if estimator.missing == "pairwise" and np.isnan(X).any():
        return FromCovariance(_covariance.with_gaps(estimator, X, sample_weight), weights)
    if not is_real(estimator):
        return FromRows(estimator, X, sample_weight, weights)
    if p > MOST_KEPT:
        if estimator.ensure_pd == "project":
            raise ValueError(
                f"{type(estimator).__name__}: ensure_pd='project' works on a covariance, which is "
                f"kept of at most {MOST_KEPT:,} variables, got {p:,}."
            )
        return FromRows(estimator, X, sample_weight, weights)
    return FromCovariance(_covariance.of_rows(estimator, X, sample_weight), weights)


def start_from(data, precision, ridge):
    """:class:`Pairs` of a precision in the units of the data, or None if it leads nowhere."""
    if not np.isfinite(precision).all():
        return None
    start = data.start(precision)
    return start if (start.diagonal <= _FAR * data.form(ridge).diagonal()).all() else None


def learn(data, alpha, ridge, *, start=None, tol, max_iter):
    """The :class:`Solution` at one penalty, in scaled units."""
    if alpha == 0 and (data.weights is None or not np.isinf(data.weights).any()):
        if (solution := data.closed(ridge)) is not None:
            return solution
    return minimise(data.form(ridge), alpha, start=start, tol=tol, max_iter=max_iter)[0]


def learn_path(data, alphas, ridge, *, start=None, tol, max_iter):
    """Yield a :class:`Solution` for each of ``alphas``, descending, in scaled units."""
    yield from path(data.form(ridge), alphas, start=start, tol=tol, max_iter=max_iter)


def within(data, pairs):
    """The same data with no penalty on some pairs, all others being zero."""
    other = copy.copy(data)
    other.weights = np.full((pairs.p, pairs.p), np.inf)
    other.weights[pairs.rows, pairs.columns] = other.weights[pairs.columns, pairs.rows] = 0.0
    np.fill_diagonal(other.weights, 0.0)
    return other


def in_data_units(data, pairs):
    """A precision of scaled columns as a ``csr_array`` (p, p) in the units of the data."""
    K = pairs.tocsr().tocoo()
    rows, columns = (data.kept[ends] for ends in K.coords)
    rest = np.setdiff1d(np.arange(len(data.scale)), data.kept)
    rows, columns = (np.concatenate([ends, rest]) for ends in (rows, columns))
    values = np.concatenate([K.data, np.ones(len(rest))])
    values /= data.scale[rows] * data.scale[columns]
    K = sp.csr_array((values, (rows, columns)), shape=(len(data.scale),) * 2)
    K.sort_indices()
    return K


def keys_of(data, pairs):
    """Sorted numbers i p + j, i < j < p, of pairs that differ from zero."""
    pairs = pairs.narrowed()
    return data.kept[pairs.rows] * len(data.scale) + data.kept[pairs.columns]


def _divided(K, scale):
    """K, each entry divided by both of its scales, in place and symmetric to the bit."""
    for low in range(0, len(K), _ROWS):
        K[low : low + _ROWS] /= np.multiply.outer(scale[low : low + _ROWS], scale)
    return K


def _closed_solution(K, M):
    """The :class:`Solution` K without a penalty, M = K S of the same shape its product."""
    M[np.diag_indices_from(M)] -= 1.0
    violations = (np.abs(M[low : low + _ROWS] + M[:, low : low + _ROWS].T).max(initial=0.0)
                  for low in range(0, len(M), _ROWS))  # fmt: skip
    kkt = 0.5 * float(max(violations, default=0.0))
    return Solution(Pairs.of_matrix(K), -0.5 * float(np.trace(K)), kkt, 0)


def _inverse(S):
    """The inverse of a positive definite matrix, symmetric to the bit, or None.

    None also if rounding alone may have made it positive definite.
    """
    if not is_positive_definite(S):
        return None
    with single_threaded_blas:
        factor = np.linalg.cholesky(S)
        if (factor.diagonal() ** 2 < _LOST * len(S) * S.diagonal()).any():
            return None
        K, status = linalg.lapack.dpotri(factor.T, lower=0)
    K = np.triu(K)
    return K + np.triu(K, 1).T if status == 0 else None
