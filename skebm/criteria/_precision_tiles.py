"""Score matching of a precision matrix with many entries: descent within tiles of it.

All of K and of M = K S is kept (both (p, p)). The pairs of a tile, rows from ``above`` and columns
from ``below`` on, are descended along with the slopes that only they need; what their changes do to
the rest of M is then one product. A sweep costs 2 p^3 operations of BLAS, however many entries
differ from zero.
"""

import numpy as np
from numba import prange

from skebm._jit import inline, kernel
from skebm.criteria._precision_kernels import TILE, soft

# Columns of M that one thread brings up to date at a time.
_COLUMNS = 512


@inline
def _add_multiple(line, weight, source):
    for b in range(line.shape[0]):
        line[b] += weight * source[b]


@inline
def _descend_diagonal(S, above, slopes, K, change):
    """Along the diagonal entries of a tile; returns the largest violation found."""
    worst = 0.0
    for a in range(slopes.shape[0]):
        i = above + a
        violation = 1.0 - slopes[a, a]
        step = violation / S[i, i]
        worst = max(worst, abs(violation))
        K[i, i] += step
        change[a, a] += step
        _add_multiple(slopes[a], step, S[i, above : above + slopes.shape[0]])
    return worst


@kernel(writes=("K", "change", "worst"))
def descend_tile(S, M, weights, penalty, above, below, K, change, worst):
    """One sweep over the pairs of a tile, and over its diagonal entries if it has any.

    ``change`` (n, m) <- what was added to K there; ``weights`` (p, p), or (0, 0) for ones;
    ``worst`` (1,) is raised to the largest violation found.
    """
    p = S.shape[0]
    for _ in prange(1):
        n, m = min(TILE, p - above), min(TILE, p - below)
        right, down = slice(above, above + n), slice(below, below + m)
        slopes, mirrored = M[right, down].copy(), M[down, right].copy()
        change[:] = 0.0
        largest = worst[0]
        if above == below:
            largest = max(largest, _descend_diagonal(S, above, slopes, K, change))
            mirrored = slopes
        for a in range(n):
            i = above + a
            for b in range(a + 1 if above == below else 0, m):
                j = below + b
                weight = weights[i, j] if weights.shape[0] else 1.0
                curvature, old = S[i, i] + S[j, j], K[i, j]
                z = curvature * old - (slopes[a, b] + mirrored[b, a])
                new = soft(z, 2.0 * penalty * weight) / curvature if weight < np.inf else 0.0
                if new != old:
                    step = new - old
                    largest = max(largest, 0.5 * curvature * abs(step))
                    K[i, j] = new
                    K[j, i] = new
                    change[a, b] += step
                    _add_multiple(slopes[a], step, S[j, down])
                    _add_multiple(mirrored[b], step, S[i, right])
                    if above == below:
                        change[b, a] += step
        worst[0] = largest


@kernel(writes=("M",))
def spread_change(S, change, above, below, M):
    """M += what the change of a tile, and of the one that mirrors it, makes of S."""
    p = S.shape[0]
    n, m = change.shape
    n_parts = (p + _COLUMNS - 1) // _COLUMNS
    n_tasks = n_parts if above == below else 2 * n_parts
    for task in prange(n_tasks):
        part = task % n_parts
        columns = slice(part * _COLUMNS, min(p, (part + 1) * _COLUMNS))
        if task < n_parts:
            product = np.dot(change, S[below : below + m, columns].copy())
            _add_tile(M[above : above + n, columns], product)
        else:
            product = np.dot(change.T, S[above : above + n, columns].copy())
            _add_tile(M[below : below + m, columns], product)


@inline
def _add_tile(out, product):
    for a in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[a, b] += product[a, b]
