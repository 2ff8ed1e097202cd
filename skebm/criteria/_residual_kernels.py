"""Score matching of a sparse precision matrix from rows: descent along few pairs, a look at all.

Variables are rows here: X (p, n), weights H and their slopes H1 (p, n), both times the weights of
the samples; H of shape (0, 0) stands for ones, H1 of that shape for zeros. K is that of
:class:`skebm.criteria._pairs.Pairs`, Z = K X - linear, and U = H Z - H1 (p, n) is what all slopes
are made of: A_ij = x_i . U_j, less the mean of H_i for i = j.
"""

import numpy as np
from numba import prange

from skebm._jit import inline, kernel
from skebm.criteria._precision_kernels import soft

# Rows and columns of a tile of slopes, which one product of matrices fills.
TILE = 128


@kernel(writes=("U", "linear"))
def fill_residuals(
    X, H, H1, heights, profiled, start, other, value, diagonal, low, high, U, linear
):  # fmt: skip
    """Rows ``low`` to ``high`` of U (p, n) and of ``linear`` (p,): the best ones, or zeros."""
    n = X.shape[1]
    for i in prange(low, high):
        u, x = U[i], X[i]
        for t in range(n):
            u[t] = diagonal[i] * x[t]
        for k in range(start[i], start[i + 1]):
            weight, x = value[k], X[other[k]]
            for t in range(n):
                u[t] += weight * x[t]
        shift = 0.0
        if H.shape[0]:
            if profiled and heights[i] > 0.0:
                total = np.dot(H[i], u)
                if H1.shape[0]:
                    for t in range(n):
                        total -= H1[i, t]
                shift = total / heights[i]
            for t in range(n):
                u[t] = H[i, t] * (u[t] - shift)
            if H1.shape[0]:
                for t in range(n):
                    u[t] -= H1[i, t]
        linear[i] = shift


@inline
def _curve(x, h, slope, height, profiled):
    """Mean of x under weights h, square deviation from it, and the product with h'."""
    centre = np.dot(h, x) / height if profiled and height > 0.0 else 0.0
    square, product = 0.0, 0.0
    for t in range(x.shape[0]):
        deviation = x[t] - centre
        square += h[t] * deviation * deviation
        product += slope[t] * deviation
    return centre, square, product


@kernel(writes=("out",))
def curve_pairs(X, H, H1, heights, profiled, rows, columns, low, high, out):
    """Constants of pairs (m, 4): curvature, means of i under h_j and j under h_i, pull of h'."""
    for e in prange(low, high):
        i, j = rows[e], columns[e]
        out[e, 1], square, product = _curve(X[i], H[j], H1[j], heights[j], profiled)
        out[e, 2], mirrored, other = _curve(X[j], H[i], H1[i], heights[i], profiled)
        if i == j:
            mirrored, other = 0.0, 0.0
        out[e, 0], out[e, 3] = square + mirrored, product + other


@kernel(writes=("slopes",))
def slope_pairs(X, U, rows, columns, low, high, slopes):
    """``slopes`` (m,): x_i . U_j + x_j . U_i, once where i = j."""
    for e in prange(low, high):
        i, j = rows[e], columns[e]
        slopes[e] = np.dot(X[i], U[j])
        if i != j:
            slopes[e] += np.dot(X[j], U[i])


# -- descent -----------------------------------------------------------------------------------


@kernel(writes=("colours",))
def colour_pairs(rows, columns, start, first, second, at_places, colours):
    """``colours`` (m,): numbers such that no two pairs of one row share theirs.

    ``at_places`` (2m,) is the pair that each place of the lists belongs to; pairs are coloured in
    their order, each with the smallest number that is free.
    """
    for _ in prange(1):
        seen = np.full(2 * rows.shape[0] + 1, -1)
        for e in range(rows.shape[0]):
            i, j = rows[e], columns[e]
            for k in range(start[i], first[e]):
                seen[colours[at_places[k]]] = e
            for k in range(start[j], second[e]):
                seen[colours[at_places[k]]] = e
            colour = 0
            while seen[colour] == e:
                colour += 1
            colours[e] = colour


@inline
def _move(u, x, H, i, step, centre):
    """u += step h_i (x - centre)."""
    if H.shape[0]:
        h = H[i]
        for t in range(u.shape[0]):
            u[t] += step * h[t] * (x[t] - centre)
    else:
        for t in range(u.shape[0]):
            u[t] += step * x[t]


@inline
def _step_diagonal(i, X, H, U, height, ridge, constants, diagonal, linear):
    """The best entry of the diagonal; returns how much its condition was violated."""
    slope = np.dot(X[i], U[i]) - height + ridge * diagonal[i]
    step = -slope / (constants[0] + ridge)
    diagonal[i] += step
    linear[i] += step * constants[1]
    _move(U[i], X[i], H, i, step, constants[1])
    return abs(slope)


@inline
def _step_pair(i, j, X, H, U, ridge, constants, penalty, old, linear):
    """The best value of a pair, and how much its condition was violated."""
    curvature = constants[0] + 2.0 * ridge
    slope = np.dot(X[i], U[j]) + np.dot(X[j], U[i]) + 2.0 * ridge * old
    new = soft(curvature * old - slope, 2.0 * penalty) / curvature if curvature > 0.0 else 0.0
    if new == old:
        return new, 0.0
    step = new - old
    linear[j] += step * constants[1]
    linear[i] += step * constants[2]
    _move(U[j], X[i], H, j, step, constants[1])
    _move(U[i], X[j], H, i, step, constants[2])
    return new, 0.5 * curvature * abs(step)


@kernel(writes=("value", "diagonal", "linear", "U", "violations", "done"))
def descend_residual(
    X, H, heights, ridge, rows, columns, first, second, order, classes, whole, constants, own,
    penalties, tol, n_sweeps, value, diagonal, linear, U, violations, done,
):  # fmt: skip
    """Coordinate descent over the diagonal and all pairs in turn, up to ``n_sweeps`` times.

    Pairs ``order[classes[c] : classes[c + 1]]`` have no rows in common, so that threads share them
    and every sweep has one result. The diagonal takes part only if ``whole``. ``constants`` (m, 4)
    and ``own`` (p, 4) are those of :func:`curve_pairs`; ``violations`` (p + m,) is room. It ends
    when no condition was found violated by more than ``tol``. ``done`` (2,): sweeps, and the
    largest violation in the last.
    """
    p, m = X.shape[0], rows.shape[0]
    for sweep in range(n_sweeps):
        for i in prange(p if whole else 0):
            violations[i] = _step_diagonal(i, X, H, U, heights[i], ridge, own[i], diagonal, linear)
        for c in range(classes.shape[0] - 1):
            for k in prange(classes[c], classes[c + 1]):
                e = order[k]
                new, violation = _step_pair(
                    rows[e], columns[e], X, H, U, ridge, constants[e], penalties[e],
                    value[first[e]], linear,
                )  # fmt: skip
                value[first[e]], value[second[e]] = new, new
                violations[p + e] = violation
        worst = 0.0
        for k in range(p + m):
            worst = max(worst, violations[k])
        done[0], done[1] = sweep + 1, worst
        if not worst > tol:
            break


# -- all pairs ---------------------------------------------------------------------------------


@inline
def _mark_tile(slopes, mirrored, above, below, penalty, weights, beyond, near, marks):
    """Mark the pairs of a tile from row ``above`` and column ``below`` on.

    Returns how many were marked, and the largest violation.
    """
    worst, count = 0.0, 0
    for a in range(slopes.shape[0]):
        i = above + a
        for b in range(slopes.shape[1]):
            j, mark = below + b, 0
            weight = weights[i, j] if weights.shape[0] else 1.0
            if j > i and weight < np.inf:
                slope = abs(0.5 * (slopes[a, b] + mirrored[a, b]))
                mark = (slope > near * weight) + 2 * (slope > penalty * weight + beyond)
                worst = max(worst, slope - penalty * weight)
            marks[a, b] = mark
            count += mark > 0
    return count, worst


@inline
def _add_ridge(slopes, above, below, ridge, start, other, value):
    """Slopes of ``ridge`` K^2, both orders of a pair in one."""
    for a in range(slopes.shape[0]):
        for k in range(start[above + a], start[above + a + 1]):
            b = other[k] - below
            if 0 <= b < slopes.shape[1]:
                slopes[a, b] += 2.0 * ridge * value[k]


@kernel(writes=("marks", "counts", "worst"))
def look_at_residuals(
    X, U, ridge, start, other, value, weights, penalty, beyond, near, tiles, marks, counts, worst
):  # fmt: skip
    """Where the slopes of pairs would let them enter: ``marks`` (t, TILE, TILE) uint8.

    Bit 0 where a slope is beyond ``near`` times its weight, bit 1 where it is beyond ``penalty``
    times that by more than ``beyond``. ``weights`` (p, p), or (0, 0) for ones. Of the ``tiles``
    (t, 2), ``counts`` (t,) pairs were marked; ``worst`` (t,) are largest slopes beyond penalties.
    """
    p = X.shape[0]
    for t in prange(tiles.shape[0]):
        above, below = tiles[t, 0] * TILE, tiles[t, 1] * TILE
        a, b = min(p, above + TILE), min(p, below + TILE)
        slopes = np.dot(X[above:a], U[below:b].T)
        mirrored = np.dot(U[above:a], X[below:b].T)
        if ridge > 0.0:
            _add_ridge(slopes, above, below, ridge, start, other, value)
        counts[t], worst[t] = _mark_tile(
            slopes, mirrored, above, below, penalty, weights, beyond, near, marks[t]
        )


@kernel(writes=("parts",))
def multiply_parts(X, U, above, below, rows, first, last, parts):
    """What a tile's slopes are the sums of, in ``parts`` (k, 2, a, b), from ``rows`` rows each.

    Of its pairs in parts ``first`` to ``last``: products of X and U, then those of U and X.
    """
    p, n = X.shape
    a, b = min(p, above + TILE), min(p, below + TILE)
    for k in prange(first, last):
        some = slice(k * rows, min(n, (k + 1) * rows))
        parts[k, 0] = np.dot(X[above:a, some].copy(), U[below:b, some].copy().T)
        parts[k, 1] = np.dot(U[above:a, some].copy(), X[below:b, some].copy().T)


@kernel(writes=("slopes", "marks", "counts", "worst"))
def mark_slopes(
    slopes, mirrored, above, below, ridge, start, other, value, weights, penalty, beyond, near,
    marks, counts, worst,
):  # fmt: skip
    """The same as :func:`look_at_residuals` for a tile whose ``slopes`` (a, b) are known."""
    for t in prange(1):
        if ridge > 0.0:
            _add_ridge(slopes, above, below, ridge, start, other, value)
        counts[t], worst[t] = _mark_tile(
            slopes, mirrored, above, below, penalty, weights, beyond, near, marks[t]
        )


@kernel(writes=("keys", "found"))
def list_marked(marks, full, tiles, p, places, keys, found):
    """``keys`` i p + j of marked pairs and their marks ``found``, from ``places`` (t,) on.

    Those of tiles ``full`` (t,) of ``marks``, which are at ``tiles`` (t, 2).
    """
    for t in prange(tiles.shape[0]):
        above, below = tiles[t, 0] * TILE, tiles[t, 1] * TILE
        place = places[t]
        for a in range(min(TILE, p - above)):
            for b in range(min(TILE, p - below)):
                mark = marks[full[t], a, b]
                if mark:
                    keys[place], found[place] = (above + a) * p + below + b, mark
                    place += 1
