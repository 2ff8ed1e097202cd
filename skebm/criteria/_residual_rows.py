"""What single rows say of a Gaussian inside bounds: their score matching losses, standard errors.

Notation is that of :mod:`skebm.criteria._residual_form`: K, eta, Z = X K - 1 eta', weights h.

References
----------
P. J. Huber (1967). The behavior of maximum likelihood estimates under nonstandard conditions.
Proc. 5th Berkeley Symposium, volume 1.

P. G. M. Forbes, S. Lauritzen (2015). Linear estimating equations for exponential families with
application to Gaussian linear concentration models. Linear Algebra and its Applications 473.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from skebm._jit import single_threaded_blas
from skebm.criteria._pairs import Pairs

# Free parameters beyond which their Hessian is not made.
MOST_PARAMETERS = 2500

# Rows whose slopes are made together.
_ROWS = 256


class Errors(NamedTuple):
    """Standard errors: ``precision`` (p, p), zero where K is; ``linear``, ``location`` (p,)."""

    precision: np.ndarray
    linear: np.ndarray
    location: np.ndarray


def row_losses(X, support, K, linear):
    """The loss of each row, (n,), without ridge and penalty.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows inside the support.
    support : Support
        Bounds and weight function.
    K : ndarray or sparse array of shape (p, p)
        Precision matrix.
    linear : ndarray of shape (p,)
        eta, K times the location.
    """
    h, slope = support.weights(X)
    Z = X @ K - linear
    return ((0.5 * h * Z - slope) * Z).sum(axis=1) - h @ K.diagonal()


def residual_errors(X, support, K, linear, *, sample_weight=None, ridge=0.0, assume_centered=False):
    """Standard errors of K, eta and the location where the loss has its minimum.

    The sandwich H^-1 V H^-1 / n over eta, the diagonal, and the pairs that are not zero in ``K``:
    H the Hessian of the loss, V the covariance of its slopes over rows, n their total weight. It
    holds for a minimum without penalty over these pairs, whether or not the rows are from such a
    model; that pairs were chosen is not counted. Errors of the location K^-1 eta are linearised.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows that were learned from.
    support : Support
        Bounds and weight function.
    K : ndarray or sparse array of shape (p, p)
        The estimate.
    linear : ndarray of shape (p,)
        Its eta.
    sample_weight : ndarray of shape (n,), default=None
        Weights of rows, equal to as many copies of them.
    ridge : float, default=0.0
        That of the loss.
    assume_centered : bool, default=False
        Whether eta was kept at zero; it then has errors zero, as the location has.

    Returns
    -------
    Errors
        ``precision``, ``linear``, ``location``.

    Raises
    ------
    ValueError
        If there are more than 2,500 parameters, or if the rows do not determine them.
    """
    pairs = Pairs.of_matrix(sp.csr_array(K))
    p, free = pairs.p, 0 if assume_centered else pairs.p
    n_parameters = free + p + len(pairs)
    if n_parameters > MOST_PARAMETERS:
        raise ValueError(
            f"standard errors of {n_parameters:,} parameters ({len(pairs):,} pairs of {p:,} "
            f"variables) would take too long: at most {MOST_PARAMETERS:,}"
        )
    total = float(len(X)) if sample_weight is None else float(np.sum(sample_weight))
    w = np.ones(len(X)) / total if sample_weight is None else sample_weight / total
    centre = np.zeros(p) if assume_centered else w @ X
    h, slope = support.weights(X)
    X, linear = X - centre, linear - K @ centre
    U = h * (X @ K - linear) - slope
    with single_threaded_blas:
        covariance = _sandwich(pairs, free, X, h, U, w, ridge) / total
        return _errors(pairs, free, covariance, centre, K, linear)


def _sandwich(pairs, free, X, h, U, w, ridge):
    H = _hessian(pairs, free, X, h * w[:, None], ridge)
    # In units of their own: locations far away have other ones than what is small about them.
    unit = np.sqrt(np.where(H.diagonal() > 0, H.diagonal(), 1.0))
    H /= np.outer(unit, unit)
    try:
        factor = scipy.linalg.cho_factor(H, lower=True)
    except np.linalg.LinAlgError:
        factor = None
    if factor is None or factor[0].diagonal().min() ** 2 <= 1e-13:
        raise ValueError(
            f"the rows do not determine all {len(H):,} parameters: more rows, fewer pairs, or a "
            "ridge are needed"
        )
    half = scipy.linalg.cho_solve(factor, _spread(pairs, free, X, h, U, w) / unit[:, None])
    return scipy.linalg.cho_solve(factor, half.T / unit[:, None]) / np.outer(unit, unit)


def _hessian(pairs, free, X, weighted, ridge):
    """Curvature in eta, the diagonal and pairs: each column has its own few parameters."""
    p = pairs.p
    H = np.zeros((free + p + len(pairs),) * 2)
    pair_at = np.empty(2 * len(pairs), np.int64)
    pair_at[pairs.first] = pair_at[pairs.second] = np.arange(len(pairs))
    for j in range(p):
        inside = slice(pairs.start[j], pairs.start[j + 1])
        numbers = np.concatenate([[free + j], free + p + pair_at[inside]])
        design = X[:, np.concatenate([[j], pairs.other[inside]])]
        if free:
            numbers = np.concatenate([[j], numbers])
            design = np.column_stack([np.full(len(X), -1.0), design])
        H[np.ix_(numbers, numbers)] += design.T @ (design * weighted[:, j, None])
    H[np.diag_indices(len(H))] += ridge * np.repeat([0.0, 1.0, 2.0], [free, p, len(pairs)])
    return H


def _spread(pairs, free, X, h, U, w):
    """Covariance over rows of their slopes."""
    mean, square = 0.0, 0.0
    for low in range(0, len(X), _ROWS):
        x, u, some = (each[low : low + _ROWS] for each in (X, U, w))
        own = x * u - h[low : low + _ROWS]
        both = x[:, pairs.rows] * u[:, pairs.columns] + x[:, pairs.columns] * u[:, pairs.rows]
        slopes = np.hstack([-u[:, :free], own, both])
        mean = mean + some @ slopes
        square = square + slopes.T @ (slopes * some[:, None])
    return square - np.outer(mean, mean)


def _errors(pairs, free, covariance, centre, K, linear):
    p = pairs.p
    errors = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    precision = np.diag(errors[free : free + p])
    precision[pairs.rows, pairs.columns] = precision[pairs.columns, pairs.rows] = errors[free + p :]
    if not free:
        return Errors(precision, np.zeros(p), np.zeros(p))
    inverse = np.linalg.inv(K.toarray() if sp.issparse(K) else K)
    to_linear = np.hstack([np.eye(p), _products(pairs, centre)])
    to_location = inverse @ np.hstack([np.eye(p), -_products(pairs, inverse @ linear)])
    return Errors(
        precision,
        *(np.sqrt(np.maximum(((J @ covariance) * J).sum(axis=1), 0.0))
          for J in (to_linear, to_location)),
    )  # fmt: skip


def _products(pairs, vector):
    """Derivatives of K vector by the diagonal and the pairs, (p, p + m)."""
    m = np.arange(len(pairs))
    both = np.zeros((pairs.p, len(pairs)))
    both[pairs.rows, m], both[pairs.columns, m] = vector[pairs.columns], vector[pairs.rows]
    return np.hstack([np.diag(vector), both])
