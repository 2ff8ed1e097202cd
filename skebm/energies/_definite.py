"""Whether a symmetric matrix is positive definite, its determinant and its least eigenvalue.

A sparse matrix falls into blocks, the connected components of the graph of its nonzero entries,
which are worked on one after the other. Matrices are arrays or SciPy's sparse arrays.
"""

import numpy as np
from scipy import linalg
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import connected_components

from skebm._jit import single_threaded_blas

# Scales of variables that are tried, and by how much a diagonal has to win with one of them.
_TURNS, _WIN = 20, 1e-10

# Share of entries up to which a matrix is worked on without its zeros.
_SPARSE = 0.1


def component_labels(precision):
    """Number of the connected component of each variable, (p,)."""
    return connected_components(csr_array(precision != 0), directed=False)[1]


def components(precision):
    """Indices of the variables of each component that has more than one of them."""
    labels = component_labels(precision)
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return [part for part in parts if len(part) > 1]


def without_zeros(precision):
    """The same as a ``csr_array`` if few of its entries differ from zero."""
    if issparse(precision):
        return csr_array(precision)
    few = np.count_nonzero(precision) <= _SPARSE * precision.size
    return csr_array(precision) if few else precision


def is_dominated_by_its_diagonal(precision):
    """Whether every diagonal entry exceeds the sum of the others of its row in size.

    That is enough in some units of the variables, and those are sought by a few turns of power
    iteration: with A_ij = |K_ij| / sqrt(K_ii K_jj), i != j, and some x > 0, all of A x < x.
    """
    diagonal = precision.diagonal()
    if not (_is_finite(precision) and (diagonal > 0.0).all()):
        return False
    root, size, x = np.sqrt(diagonal), abs(precision), np.ones(len(diagonal))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_TURNS):
            sums = size @ x
            others = sums - diagonal * x
            if (others < (1.0 - _WIN) * diagonal * x).all():
                return True
            if not (others < diagonal * x).any():
                return False
            x = sums / root
            x /= x.max() * root
    return False


def is_positive_definite(precision):
    """Whether a symmetric matrix (p, p) is, to rounding: by its diagonal, else by Cholesky."""
    precision = without_zeros(precision)
    return is_dominated_by_its_diagonal(precision) or log_determinant(precision) > -np.inf


def log_determinant(precision):
    """log det of a symmetric matrix (p, p), -inf if it is not positive definite."""
    diagonal = precision.diagonal().copy()
    if not (_is_finite(precision) and (diagonal > 0.0).all()):
        return -np.inf
    for part in components(precision):
        block = _block(precision, part)
        with single_threaded_blas:
            factor, status = linalg.lapack.dpotrf(block.T, lower=0, clean=0, overwrite_a=1)
        if status:
            return -np.inf
        diagonal[part] = factor.diagonal() ** 2
    return float(np.log(diagonal).sum())


def least_eigenvalue(precision):
    """The least eigenvalue of a symmetric matrix (p, p), NaN if entries are not finite."""
    if not _is_finite(precision):
        return np.nan
    least = precision.diagonal().min()
    for part in components(precision):
        with single_threaded_blas:
            block = _block(precision, part)
            least = min(least, linalg.eigvalsh(block, subset_by_index=[0, 0], overwrite_a=True)[0])
    return float(least)


def _is_finite(precision):
    return bool(np.isfinite(precision.data if issparse(precision) else precision).all())


def _block(precision, part):
    """A copy of the entries among some variables, (k, k)."""
    if issparse(precision):
        return precision[part][:, part].toarray()
    return precision[np.ix_(part, part)]
