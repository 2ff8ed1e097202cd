"""Whether a symmetric matrix is positive definite, its determinant and its least eigenvalue.

A sparse matrix falls into blocks, the connected components of the graph of its nonzero entries,
which are worked on one after the other.
"""

import numpy as np
from scipy import linalg
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from skebm._jit import single_threaded_blas


def component_labels(precision):
    """Number of the connected component of each variable, (p,)."""
    return connected_components(csr_array(precision != 0), directed=False)[1]


def components(precision):
    """Indices of the variables of each component that has more than one of them."""
    labels = component_labels(precision)
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return [part for part in parts if len(part) > 1]


def is_dominated_by_its_diagonal(precision):
    """Whether every diagonal entry exceeds the sum of the others of its row in size."""
    diagonal = precision.diagonal()
    return bool((2.0 * diagonal > np.abs(precision).sum(axis=1)).all() and (diagonal > 0.0).all())


def is_positive_definite(precision):
    """Whether a symmetric matrix (p, p) is, to rounding: by its diagonal, else by Cholesky."""
    return is_dominated_by_its_diagonal(precision) or log_determinant(precision) > -np.inf


def log_determinant(precision):
    """log det of a symmetric matrix (p, p), -inf if it is not positive definite."""
    diagonal = precision.diagonal().copy()
    if not (np.isfinite(precision).all() and (diagonal > 0.0).all()):
        return -np.inf
    for part in components(precision):
        try:
            with single_threaded_blas:
                factor = np.linalg.cholesky(precision[np.ix_(part, part)])
        except np.linalg.LinAlgError:
            return -np.inf
        diagonal[part] = factor.diagonal() ** 2
    return float(np.log(diagonal).sum())


def least_eigenvalue(precision):
    """The least eigenvalue of a symmetric matrix (p, p), NaN if entries are not finite."""
    if not np.isfinite(precision).all():
        return np.nan
    least = precision.diagonal().min()
    with single_threaded_blas:
        for part in components(precision):
            block = precision[np.ix_(part, part)]
            least = min(least, linalg.eigvalsh(block, subset_by_index=[0, 0])[0])
    return float(least)
