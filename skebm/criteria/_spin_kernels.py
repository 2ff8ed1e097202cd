"""Value, slopes and curvature of a loss over all conditionals, in passes over blocks of rows.

``S`` (n, p + 1) int8 holds spins -1 and 1 and a last column of ones, ``C`` (p, p + 1) the
coefficients: row i those of spin i's conditional, its field last, and zero in column i. The
fields are F = S C', the slopes G = D' S with D = w f'(S o F) o S: two products and one exponential
for every row and spin.
"""

import numpy as np
from numba import prange

from skebm._jit import inline, kernel
from skebm.criteria._spin_losses import RISE, add_row, loss_terms

# Rows that are worked on together: their fields and slopes stay in the second-level cache.
ROWS = 128


@inline
def _widen(S, start, stop, out):
    """out[: stop - start] <- rows of ``S`` as floats."""
    for r in range(stop - start):
        for j in range(S.shape[1]):
            out[r, j] = S[start + r, j]


@inline
def _spins_of(x, known, n, out):
    """out (p,) <- the spins of a row, 0 where their conditional misses an entry."""
    for i in range(out.shape[0]):
        out[i] = x[i]
    if known.shape[0]:
        for i in range(out.shape[0]):
            out[i] = out[i] if known[n, i] else 0.0


@kernel(writes=("values", "slopes", "peaks"))
def add_conditionals(S, weights, known, C, loss, peak, first, last, values, slopes, peaks):
    """Add blocks ``first`` ... ``last`` - 1 of rows to one set of sums for each of the slots.

    ``weights`` (n,); ``known`` (n, p) bool, or (0, p) if all are: where it is false the loss is
    f(0). ``peak`` (p,), in the precision of ``C``: RISE is scaled by e^-peak. ``values``
    (slots, p) sums of f, ``slopes`` (slots, p, p + 1) of its derivatives by ``C``, ``peaks``
    (slots, p) the largest -t. Slot k adds blocks k, k + slots, ... in this order, however many
    threads there are. Rows are worked on in the precision of ``C``, and summed up in float64.
    """
    n_slots, p = values.shape
    n = S.shape[0]
    for slot in prange(n_slots):
        X, part = np.empty((ROWS, p + 1), C.dtype), np.empty((p, p + 1), C.dtype)
        F, D = np.empty((ROWS, p), C.dtype), np.empty((ROWS, p), C.dtype)
        spins, value = np.empty(p, C.dtype), np.empty(p, C.dtype)
        for block in range(first + slot, last, n_slots):
            start, stop = block * ROWS, min(n, (block + 1) * ROWS)
            count = stop - start
            _widen(S, start, stop, X)
            np.dot(X[:count], C.T, F[:count])
            value[:] = 0
            for r in range(count):
                _spins_of(X[r], known, start + r, spins)
                if loss >= RISE:
                    for i in range(p):
                        peaks[slot, i] = max(peaks[slot, i], -spins[i] * F[r, i])
                weight = C.dtype.type(weights[start + r])
                add_row(loss, weight, spins, F[r], peak, value, D[r])
            np.dot(D[:count].T, X[:count], part)
            for i in range(p):
                values[slot, i] += value[i]
                for j in range(p + 1):
                    slopes[slot, i, j] += part[i, j]


@kernel(writes=("out",))
def curvature_blocks(S, weights, known, C, loss, peak, nodes, out):
    """out[k] (p + 1, p + 1) <- S' diag(w f''(t_i)) S of the conditional i = nodes[k], float32."""
    n, p = S.shape[0], C.shape[0]
    for k in prange(nodes.shape[0]):
        i = nodes[k]
        X, scaled = np.empty((ROWS, p + 1), np.float32), np.empty((ROWS, p + 1), np.float32)
        part = np.empty((p + 1, p + 1), np.float32)
        column = C[i].astype(np.float32)
        out[k] = np.float32(0.0)
        for start in range(0, n, ROWS):
            stop = min(n, start + ROWS)
            _widen(S, start, stop, X)
            for r in range(stop - start):
                q = np.float32(0.0)
                if known.shape[0] == 0 or known[start + r, i]:
                    t = X[r, i] * np.dot(X[r], column)
                    q = np.float32(weights[start + r] * loss_terms(loss, np.float64(t), peak[i])[2])
                for j in range(p + 1):
                    scaled[r, j] = q * X[r, j]
            np.dot(X[: stop - start].T, scaled[: stop - start], part)
            out[k] += part


@kernel(writes=("out",))
def multiply_blocks(blocks, V, out):
    """out[i] <- blocks[i] V[i]: symmetric (p, q, q) float32 times (p, q)."""
    for i in prange(V.shape[0]):
        out[i] = np.dot(blocks[i], V[i].astype(np.float32))


@kernel(writes=("out",))
def multiply_shared(matrix, scales, V, out):
    """out[i] <- scales[i] matrix V[i]: one symmetric (q, q) float32 times (p, q)."""
    p = V.shape[0]
    for chunk in prange((p + 63) // 64):
        part = slice(64 * chunk, min(p, 64 * chunk + 64))
        product = np.dot(V[part].astype(np.float32), matrix)
        for i in range(product.shape[0]):
            for j in range(product.shape[1]):
                out[64 * chunk + i, j] = scales[64 * chunk + i] * product[i, j]
