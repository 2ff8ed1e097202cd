"""Score matching among positive definite matrices: alternating directions of multipliers.

The minimum of 1/2 tr(K S K) - tr K + penalties over K >= floor I (in the order of matrices). Three
copies of K take turns: one that is smooth, one that is sparse, one whose eigenvalues are clipped
(Zhang and Zou 2014, whose D-trace loss is that of score matching). With S = V diag(d) V' the first
has a closed form in the basis V; each step takes two such products and an eigendecomposition.

References
----------
T. Zhang, H. Zou (2014). Sparse precision matrix estimation via lasso penalized D-trace loss.
Biometrika 101.
"""

import numpy as np

from skebm._jit import single_threaded_blas
from skebm.criteria._pairs import Pairs, Solution

# The multiplier is changed by a factor of 2 where one residual is so many times the other.
_UNEVEN = 10.0


def minimise_definite(form, penalty, K, *, floor, tol, max_iter):
    """The :class:`Solution` with least eigenvalue ``floor``, from a first K (p, p).

    ``kkt`` is the largest entry of what the copies still differ by, or of how fast they move.
    """
    with single_threaded_blas:
        d, V = np.linalg.eigh(form.S)
        sparse, clipped = K.copy(), _clipped(K, floor)
        U1, U2 = np.zeros_like(K), np.zeros_like(K)
        limits, rho = form.limits(penalty), float(d.mean())
        n_iter, apart, moved = 0, np.inf, np.inf
        while n_iter < max_iter and max(apart, moved) > tol:
            n_iter += 1
            smooth = _smooth(d, V, sparse - U1 + clipped - U2, rho)
            before = sparse, clipped
            sparse, clipped = _soft(smooth + U1, limits / rho), _clipped(smooth + U2, floor)
            U1, U2 = U1 + smooth - sparse, U2 + smooth - clipped
            apart = max(np.abs(smooth - sparse).max(), np.abs(smooth - clipped).max())
            moved = rho * max(np.abs(a - b).max() for a, b in zip((sparse, clipped), before))
            factor = 2.0 if apart > _UNEVEN * moved else 0.5 if moved > _UNEVEN * apart else 1.0
            rho, U1, U2 = rho * factor, U1 / factor, U2 / factor
    objective = form.total(sparse, penalty)
    return Solution(Pairs.of_matrix(sparse), objective, float(max(apart, moved)), n_iter)


def _smooth(d, V, A, rho):
    """The K that minimises the loss plus rho / 2 (|K - A_1|^2 + |K - A_2|^2), A their sum."""
    turned = V.T @ A @ V
    turned *= rho
    turned[np.diag_indices_from(turned)] += 1.0
    K = V @ (turned / (0.5 * np.add.outer(d, d) + 2.0 * rho)) @ V.T
    return (K + K.T) / 2.0


def _soft(K, limits):
    return np.sign(K) * np.maximum(np.abs(K) - limits, 0.0)


def _clipped(K, floor):
    values, vectors = np.linalg.eigh(K)
    fixed = (vectors * np.maximum(values, floor)) @ vectors.T
    return (fixed + fixed.T) / 2.0
