"""Conditionals over few neighbours: models of second order, and coordinate descent in them.

Conditional k is that of spin ``nodes[k]``, over the set ``columns[k, :sizes[k]]`` of columns of
the rows, which are kept by columns here: ``T`` (p + 1, n) int8, the last all ones. Arrays that
begin with k have room for the largest set; ``which`` names the conditionals to work on.
"""

import numpy as np
from numba import prange

from skebm._jit import inline, kernel
from skebm.criteria._spin_losses import RISE, fill_node

# Rows that are worked on together.
ROWS = 256

# Curvature of a row at the most, lest sums leave float32; steps are shortened where it is more.
_MOST = 1e30


@kernel(writes=("values", "slopes", "peaks"))
def slope_nodes(
    T, weights, known, loss, peak, which, nodes, columns, sizes, coefficients, first, last, values,
    slopes, peaks,
):  # fmt: skip
    """Sums over rows of w f and of w f' s x (size,).

    ``known`` (p, n) bool, or (p, 0) if all entries are: where it is false the loss is f(0).
    ``peak`` (p,): RISE is scaled by e^-peak; ``peaks`` (p,) the largest -t. Rows ``first`` to
    ``last`` are added to what is there, unless they are the first of all; if parts begin at
    multiples of ROWS, the bits are those of all rows at once.
    """
    for task in prange(which.shape[0]):
        k = which[task]
        i, size = nodes[k], sizes[k]
        X, rows, part = np.empty((size, ROWS)), np.empty((5, ROWS)), np.empty(size)
        s, t, f, df, ddf = rows[0], rows[1], rows[2], rows[3], rows[4]
        c, g = coefficients[k, :size], slopes[k, :size]
        if first == 0:
            values[k], peaks[i], g[:] = 0.0, -np.inf, 0.0
        value, largest = values[k], peaks[i]
        for start in range(first, last, ROWS):
            count = min(last, start + ROWS) - start
            _gather(T, known, i, columns[k, :size], start, count, s, X)
            np.dot(c, X, t)
            if loss >= RISE:
                for r in range(count):
                    largest = max(largest, -s[r] * t[r])
            w = weights[start : start + count]
            fill_node(loss, w, s, t[:count], peak[i], f, df, ddf)
            for r in range(count):
                value += f[r]
            df[count:] = 0.0
            np.dot(X, df, part)
            g += part
        values[k], peaks[i] = value, largest


@kernel(writes=("curvatures",))
def curve_nodes(
    T, weights, known, loss, peak, which, nodes, columns, sizes, coefficients, first, last,
    curvatures,
):  # fmt: skip
    """Sums over rows of w f'' x x' (size, size), float32, in the same way."""
    for task in prange(which.shape[0]):
        k = which[task]
        i, size = nodes[k], sizes[k]
        X, scaled = np.empty((size, ROWS), np.float32), np.empty((size, ROWS), np.float32)
        part, rows, q = np.empty((size, size), np.float32), np.empty((5, ROWS)), np.empty(ROWS)
        s, t, f, df, ddf = rows[0], rows[1], rows[2], rows[3], rows[4]
        c, H = coefficients[k, :size], curvatures[k, :size, :size]
        if first == 0:
            H[:] = 0.0
        for start in range(first, last, ROWS):
            count = min(last, start + ROWS) - start
            _gather(T, known, i, columns[k, :size], start, count, s, X)
            t[:] = 0.0
            for a in range(size):
                for r in range(ROWS):
                    t[r] += c[a] * X[a, r]
            fill_node(loss, weights[start : start + count], s, t[:count], peak[i], f, df, ddf)
            q[:] = 0.0
            for r in range(count):
                q[r] = min(ddf[r] * abs(s[r]), _MOST)
            for a in range(size):
                for r in range(ROWS):
                    scaled[a, r] = np.float32(q[r]) * X[a, r]
            np.dot(scaled, X.T, part)
            H += part


@inline
def _gather(T, known, i, columns, start, count, s, X):
    """s, X <- the spins of a conditional, 0 where it misses an entry, and of its set."""
    for r in range(count):
        s[r] = T[i, start + r]
    if known.shape[1]:
        for r in range(count):
            s[r] = s[r] if known[i, start + r] else 0.0
    for a in range(columns.shape[0]):
        column = T[columns[a]]
        for r in range(count):
            X[a, r] = column[start + r]
        X[a, count:] = 0.0


@inline
def _shrunk(x, threshold):
    return max(x - threshold, 0.0) + min(x + threshold, 0.0)


@kernel(writes=("slopes", "moved", "largest"))
def descend_nodes(
    which, sizes, curvatures, l1, ridge, tol, n_sweeps, slopes, moved, largest
):  # fmt: skip
    """moved[k] <- where the model of conditional k, with its penalties, is least.

    At x = ``moved`` + d the model is slopes.d + d' curvatures d / 2, the penalties are
    ``l1`` |x| + ``ridge`` x^2 / 2, all (k, room). Coordinates are taken in turn, in ``n_sweeps``
    sweeps or until none moves a slope by ``tol``. ``slopes`` end as those of the models at
    ``moved``, so that further sweeps can follow; ``largest`` (k,) moves of slopes in the last one.
    """
    for task in prange(which.shape[0]):
        k = which[task]
        size = sizes[k]
        H, x, q = curvatures[k], moved[k], slopes[k, :size].copy()
        for _ in range(n_sweeps):
            largest[k] = 0.0
            for a in range(size):
                h = H[a, a] + ridge[k, a]
                if h <= 0.0:
                    continue
                new = _shrunk(x[a] * H[a, a] - q[a], l1[k, a]) / h
                change = new - x[a]
                if change != 0.0:
                    x[a] = new
                    largest[k] = max(largest[k], abs(change) * h)
                    for b in range(size):
                        q[b] += H[a, b] * change
            if largest[k] <= tol:
                break
        slopes[k, :size] = q


@kernel(writes=("slopes", "moved"))
def descend_shared(
    which, allowed, moments, scales, l1, ridge, tol, n_sweeps, slopes, moved
):  # fmt: skip
    """The same over all columns that are ``allowed``, where curvatures are scales[k] moments.

    ``which`` are spins here, ``allowed``, ``l1``, ``ridge``, ``slopes`` and ``moved`` (p, p + 1).
    """
    for task in prange(which.shape[0]):
        i = which[task]
        x, q, scale = moved[i], slopes[i], scales[i]
        for _ in range(n_sweeps):
            largest = 0.0
            for a in range(x.shape[0]):
                if not allowed[i, a] or (x[a] == 0.0 and abs(q[a]) <= l1[i, a]):
                    continue
                h = scale * moments[a, a]
                new = _shrunk(x[a] * h - q[a], l1[i, a]) / (h + ridge[i, a])
                change = scale * (new - x[a])
                x[a] = new
                largest = max(largest, abs(change) * moments[a, a])
                for b in range(x.shape[0]):
                    q[b] += moments[a, b] * change
            if largest <= tol:
                break


@inline
def _descend_pairs(pairs, sizes, curvatures, l1, ridge, slopes, moved):
    largest = 0.0
    for m in range(pairs.shape[0]):
        k, a, other, b = pairs[m, 0], pairs[m, 1], pairs[m, 2], pairs[m, 3]
        x, q, h = moved[k, a], slopes[k, a], curvatures[k, a, a]
        r, threshold = ridge[k, a], l1[k, a]
        if other >= 0:
            q, h = q + slopes[other, b], h + curvatures[other, b, b]
            r, threshold = r + ridge[other, b], threshold + l1[other, b]
        if h + r <= 0.0:
            continue
        new = _shrunk(x * h - q, threshold) / (h + r)
        change = new - x
        if change == 0.0:
            continue
        largest = max(largest, abs(change) * (h + r))
        moved[k, a] = new
        for c in range(sizes[k]):
            slopes[k, c] += curvatures[k, a, c] * change
        if other >= 0:
            moved[other, b] = new
            for c in range(sizes[other]):
                slopes[other, c] += curvatures[other, b, c] * change
    return largest


@kernel(writes=("slopes", "moved", "largest"))
def descend_pairs(pairs, sizes, curvatures, l1, ridge, tol, n_sweeps, slopes, moved, largest):
    """The same for couplings that two conditionals share: the sum of all models is least.

    ``pairs`` (m, 4) are k, a, other, b: place a of conditional k and b of the other one are the
    same coupling; for a field other is -1.
    """
    for _ in prange(1):  # one coupling after the other: each step needs the last one
        for _sweep in range(n_sweeps):  # _ is taken: Numba forbids to assign it again
            largest[:] = _descend_pairs(pairs, sizes, curvatures, l1, ridge, slopes, moved)
            if largest[0] <= tol:
                break
