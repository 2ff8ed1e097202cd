"""From data to a precision matrix: which form of the loss, at which scale."""

import copy
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy import linalg

from skebm._jit import single_threaded_blas
from skebm.criteria._covariance_form import CovarianceForm
from skebm.criteria._pairs import Pairs, Solution
from skebm.criteria._residual_form import ResidualForm
from skebm.criteria._support import fit_columns
from skebm.criteria.score_matching import minimise, path
from skebm.energies._definite import is_positive_definite
from skebm.gaussian import _covariance
from skebm.gaussian._asked import checked_weights, is_real, support_of

# Variables whose covariance is kept, some 1.2 GB of it; beyond them rows are worked on instead.
MOST_KEPT = 12_000


class Learned(NamedTuple):
    """A model in the units of the data, and the :class:`Solution` that it was made of."""

    precision: np.ndarray
    location: np.ndarray
    solution: Solution


class FromCovariance:
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
        self.kept = np.arange(len(moments.scale))

    def form(self, ridge):
        """The smooth loss with a ridge, in scaled units."""
        S = self.moments.S.copy()
        S[np.diag_indices_from(S)] += ridge
        return CovarianceForm(S, self.weights)

    def closed(self, ridge):
        """The :class:`Solution` without a penalty, or None if there is none."""
        S = self.moments.S.copy()
        S[np.diag_indices_from(S)] += ridge
        K = _inverse(S)
        if K is None:
            return None
        error = K @ S
        error[np.diag_indices_from(S)] -= 1.0
        kkt = 0.5 * float(np.abs(error + error.T).max())
        return Solution(Pairs.of_matrix(K), -0.5 * float(np.trace(K)), kkt, 0)

    def learned(self, solution):
        """The :class:`Learned` model in the units of the data."""
        K = solution.pairs.toarray() / self.moments.factors
        return Learned(K, self.moments.location, solution)

    def start(self, precision):
        """:class:`Pairs` of a precision in the units of the data."""
        return Pairs.of_matrix(precision * self.moments.factors)


class FromRows:
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
        self.constant = _covariance.is_constant(variance, self.location)
        self.kept = np.flatnonzero(~self.constant)
        self.scale, self.shift = np.ones(X.shape[1]), np.zeros(X.shape[1])
        if estimator.standardize:
            lengths = self.support.scales(X, sample_weight)
            self.scale = np.where(self.constant | (lengths == 0), 1.0, lengths)
        if is_real(estimator):
            self.shift = self.location
        self.assume_centered = estimator.assume_centered
        self.X = ((X - self.shift) / self.scale)[:, self.kept]
        self.weights = None if weights is None else weights[np.ix_(self.kept, self.kept)]

    def form(self, ridge):
        """The smooth loss with a ridge, in scaled units, of the columns that are kept."""
        support = self.support.scaled(self.scale, self.shift).of_columns(self.kept)
        return ResidualForm(
            self.X, support, sample_weight=self.sample_weight, weights=self.weights, ridge=ridge,
            assume_centered=self.assume_centered,
        )  # fmt: skip

    def closed(self, ridge):
        """None: there is no closed form that is quicker than descent."""
        return None

    def learned(self, solution):
        """The :class:`Learned` model in the units of the data."""
        form = self.form(0.0)
        K, location = np.eye(len(self.scale)), self.location.copy()
        K[np.ix_(self.kept, self.kept)] = solution.pairs.toarray()
        if not self.support.is_real:
            location[self.kept] = form.location(solution.pairs) * self.scale[self.kept]
        return Learned(K / np.outer(self.scale, self.scale), location, solution)

    def start(self, precision):
        """:class:`Pairs` of a precision in the units of the data."""
        K = precision * np.outer(self.scale, self.scale)
        return Pairs.of_matrix(K[np.ix_(self.kept, self.kept)])

    def marginals(self):
        """Location and precision of each column by itself, (p,) each."""
        support = self.support.scaled(self.scale, self.shift).of_columns(self.kept)
        location, precision = self.location.copy(), np.ones(len(self.scale))
        own = fit_columns(self.X, support, sample_weight=self.sample_weight)
        scale = self.scale[self.kept]
        location[self.kept] = own[0] * scale + self.shift[self.kept]
        precision[self.kept] = own[1] / scale**2
        return location, precision


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
    if not is_real(estimator) or p > MOST_KEPT:
        return FromRows(estimator, X, sample_weight, weights)
    return FromCovariance(_covariance.of_rows(estimator, X, sample_weight), weights)


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


def _inverse(S):
    """The inverse of a positive definite matrix, symmetric to the bit, or None."""
    if not is_positive_definite(S):
        return None
    with single_threaded_blas:
        K, status = linalg.lapack.dpotri(np.linalg.cholesky(S).T, lower=0)
    K = np.triu(K)
    return K + np.triu(K, 1).T if status == 0 else None
