"""Where the density of a Gaussian model in a box can be normalised.

What matters are the variables whose interval is not finite, and the directions in which they can
go to infinity: x'Kx has to be positive in all of these. On the reals that is positive definiteness
and on half lines it is strict copositivity, which is hard to decide. Sufficient for it is that K
without its harmless entries is positive definite: those which only raise x'Kx, since both of the
variables move the same way, or opposite ones.
"""

import numpy as np
from scipy.sparse import issparse

from skebm._jit import single_threaded_blas
from skebm.energies._definite import is_positive_definite, least_eigenvalue


def bounded_by(precision, low, high):
    """K without the entries that only raise x'Kx in the directions that are open, (p, p)."""
    way = (high == np.inf).astype(float) - (low == -np.inf)
    harmless = precision * np.outer(way, way) > 0.0
    np.fill_diagonal(harmless, False)
    return np.where(harmless, 0.0, precision)


def require_density(precision, low, high):
    """Raise a ``ValueError`` for a model that cannot be normalised, or not that anyone knows.

    ``precision`` is an array or a sparse array.
    """
    diagonal = precision.diagonal()
    if not (diagonal > 0.0).all():
        i = int(np.argmin(diagonal > 0.0))
        raise ValueError(
            "the diagonal of the precision matrix must be positive, its entry for variable "
            f"{i} is {diagonal[i]:g}."
        )
    free = np.flatnonzero((low == -np.inf) | (high == np.inf))
    block = precision if len(free) == len(low) else precision[free][:, free]
    if is_positive_definite(block):
        return
    block, low, high = block.toarray() if issparse(block) else block, low[free], high[free]
    if not (low.max(initial=-np.inf) == -np.inf and high.min(initial=np.inf) == np.inf):
        if is_positive_definite(bounded_by(block, low, high)):
            return
    where = "the reals" if ((low == -np.inf) & (high == np.inf)).all() else "a half line"
    verb = "has no" if where == "the reals" else "may have no"
    raise ValueError(
        f"the precision matrix is not positive definite, its least eigenvalue is "
        f"{least_eigenvalue(block):.3g}. A Gaussian model on {where} {verb} density then."
    )


def spread_of(precision, low, high):
    """Variances of independent normals that are at least as wide as the model's, (p,).

    Those of the normal before truncation where that exists; inf where only the box limits it.
    """
    for matrix in (precision, bounded_by(precision, low, high)):
        if is_positive_definite(matrix):
            return _inverse_diagonal(matrix)
    free = np.flatnonzero((low == -np.inf) | (high == np.inf))
    out = np.full(len(low), np.inf)
    if len(free):
        block = bounded_by(precision[np.ix_(free, free)], low[free], high[free])
        out[free] = _inverse_diagonal(block)
    return out


def _inverse_diagonal(matrix):
    with single_threaded_blas:
        return np.linalg.inv(matrix).diagonal()
