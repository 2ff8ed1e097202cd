"""Score matching of a sparse precision matrix: descent along few pairs, a look at all.

The matrix K (p, p) is that of :class:`skebm.criteria._pairs.Pairs`: ``diagonal`` (p,), and lists
``value`` (2m,) of neighbours ``other`` (2m,) from ``start`` (p + 1,); pair e = (``rows[e]``,
``columns[e]``) is at ``first[e]`` and ``second[e]``. S (p, p) is the covariance, ridge on its
diagonal. The slope of the loss is G = (M + M') / 2 - I with M = K S, made of sparse products.
"""

import numpy as np
from numba import prange

from skebm._jit import inline, kernel

# Rows and columns of a tile: two of its lines fit the first-level cache with all they are made of.
TILE = 64

# Rows and columns of a covariance that one product makes.
PANEL = 256

# Pairs whose covariances are copied by one thread at a time.
_PAIRS = 256


@kernel(writes=("S",))
def add_products(rows, panels, first, last, S):
    """S (p, p) += B B' for B = ``rows`` (p, n), one column for each of n rows of data.

    Only in some of its parts, ``first`` to ``last`` of ``panels`` (k, 2), and those that mirror
    them.
    """
    for k in prange(first, last):
        above, below = panels[k, 0] * PANEL, panels[k, 1] * PANEL
        part = np.dot(rows[above : above + PANEL], rows[below : below + PANEL].T)
        for a in range(part.shape[0]):
            for b in range(part.shape[1]):
                S[above + a, below + b] += part[a, b]
                if above < below:
                    S[below + b, above + a] += part[a, b]


@inline
def soft(x, threshold):
    """The nearest value to x, after moving it by ``threshold`` towards zero."""
    if x > threshold:
        return x - threshold
    return x + threshold if x < -threshold else 0.0


@inline
def dot_lists(x, y, start, stop, offset):
    """Sum of x[start : stop] y[offset : ...], four sums at a time."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    k = start
    while k + 4 <= stop:
        o = offset + k - start
        a += x[k] * y[o]
        b += x[k + 1] * y[o + 1]
        c += x[k + 2] * y[o + 2]
        d += x[k + 3] * y[o + 3]
        k += 4
    while k < stop:
        a += x[k] * y[offset + k - start]
        k += 1
    return (a + b) + (c + d)


@kernel(writes=("beside", "across"))
def copy_covariances(S, rows, columns, start, other, places, beside, across):
    """The covariances that a sweep reads, in the order in which it does.

    ``beside`` (2m,): S between a row and its neighbours. ``across``: from ``places[e]`` (m,) those
    between the column of pair e and the neighbours of its row, then those between its row and the
    neighbours of its column.
    """
    p, m = start.shape[0] - 1, rows.shape[0]
    for i in prange(p):
        for k in range(start[i], start[i + 1]):
            beside[k] = S[i, other[k]]
    for part in prange((m + _PAIRS - 1) // _PAIRS):
        for e in range(part * _PAIRS, min(m, (part + 1) * _PAIRS)):
            i, j, o = rows[e], columns[e], places[e]
            for k in range(start[i], start[i + 1]):
                across[o] = S[j, other[k]]
                o += 1
            for k in range(start[j], start[j + 1]):
                across[o] = S[i, other[k]]
                o += 1


@inline
def _slopes(e, i, j, start, first, places, beside, across, value, diagonal):
    """M_ij + M_ji of pair e = (i, j)."""
    covariance, o = beside[first[e]], places[e]
    a = dot_lists(value, across, start[i], start[i + 1], o)
    b = dot_lists(value, across, start[j], start[j + 1], o + start[i + 1] - start[i])
    return (diagonal[i] + diagonal[j]) * covariance + a + b


@kernel(writes=("value", "diagonal", "done"))
def descend_precision(
    rows, columns, start, first, second, places, variances, beside, across, penalties, tol,
    n_sweeps, value, diagonal, done,
):  # fmt: skip
    """Coordinate descent over the diagonal and all pairs in turn, up to ``n_sweeps`` times.

    ``variances`` (p,) the diagonal of S; ``penalties`` (m,). It ends when no condition was found
    violated by more than ``tol``. ``done`` (2,): sweeps, and the largest violation in the last.
    """
    m = rows.shape[0]
    for _ in prange(1):
        sweep, worst = 0, np.inf
        while sweep < n_sweeps and worst > tol:
            worst, e = 0.0, 0
            for i in range(diagonal.shape[0]):
                s = dot_lists(value, beside, start[i], start[i + 1], start[i])
                new = (1.0 - s) / variances[i]
                worst = max(worst, abs(new - diagonal[i]) * variances[i])
                diagonal[i] = new
                while e < m and rows[e] == i:
                    j = columns[e]
                    slope = _slopes(e, i, j, start, first, places, beside, across, value, diagonal)
                    curvature = variances[i] + variances[j]
                    old = value[first[e]]
                    new = soft(curvature * old - slope, 2.0 * penalties[e]) / curvature
                    if new != old:
                        worst = max(worst, 0.5 * curvature * abs(new - old))
                        value[first[e]] = new
                        value[second[e]] = new
                    e += 1
            sweep += 1
        done[0], done[1] = sweep, worst


@kernel(writes=("out",))
def slope_precision(
    rows, columns, start, first, places, variances, beside, across, value, diagonal, out
):
    """``out`` (p + m,) <- M_ii of the diagonal, then M_ij + M_ji of the pairs."""
    p = diagonal.shape[0]
    for part in prange((p + rows.shape[0] + _PAIRS - 1) // _PAIRS):
        for place in range(part * _PAIRS, min(p + rows.shape[0], (part + 1) * _PAIRS)):
            if place < p:
                s = dot_lists(value, beside, start[place], start[place + 1], start[place])
                out[place] = diagonal[place] * variances[place] + s
            else:
                e = place - p
                out[place] = _slopes(
                    e, rows[e], columns[e], start, first, places, beside, across, value, diagonal
                )


@inline
def _fill_slopes(S, rows, n_rows, columns, n_columns, start, other, value, diagonal, out):
    """out <- M = K S from row ``rows`` and column ``columns`` on."""
    for a in range(n_rows):
        i = rows + a
        line, source = out[a, :n_columns], S[i, columns : columns + n_columns]
        for b in range(n_columns):
            line[b] = diagonal[i] * source[b]
        for k in range(start[i], start[i + 1]):
            weight, source = value[k], S[other[k], columns : columns + n_columns]
            for b in range(n_columns):
                line[b] += weight * source[b]


@inline
def _fold(slopes, mirrored, diagonal_tile):
    """slopes <- (slopes + mirrored') / 2 in size; 0 on and below the diagonal of the matrix."""
    for a in range(slopes.shape[0]):
        for b in range(slopes.shape[1]):
            slopes[a, b] = 0.5 * abs(slopes[a, b] + mirrored[b, a])
        if diagonal_tile:
            slopes[a, : a + 1] = 0.0


@inline
def _mark(slopes, penalty, beyond, near, found, counts):
    """Mark the slopes beyond ``near``, and return the largest excess over ``penalty``."""
    worst = 0.0
    for a in range(slopes.shape[0]):
        count, above = 0, 0
        for b in range(slopes.shape[1]):
            count += slopes[a, b] > near
            above += slopes[a, b] > penalty
        counts[a] = count
        if count:
            for b in range(slopes.shape[1]):
                found[a, b] = (slopes[a, b] > near) + 2 * (slopes[a, b] > penalty + beyond)
        if above:
            for b in range(slopes.shape[1]):
                worst = max(worst, slopes[a, b] - penalty)
    return worst


@inline
def _weigh(slopes, weights, penalty, diagonal_tile):
    """Shift slopes so that they exceed ``penalty`` by what they exceed its multiple by."""
    for a in range(slopes.shape[0]):
        for b in range(a + 1 if diagonal_tile else 0, slopes.shape[1]):
            slopes[a, b] -= penalty * (weights[a, b] - 1.0)


@kernel(writes=("found", "counts", "worst"))
def look_at_pairs(
    S, start, other, value, diagonal, weights, penalty, beyond, near, tiles, first, last, found,
    counts, worst,
):  # fmt: skip
    """Where the slopes of pairs would let them enter: ``found`` (p, p) uint8 above the diagonal.

    Bit 0 where a slope is beyond ``near`` times its weight, bit 1 where it is beyond ``penalty``
    times that by more than ``beyond``. ``weights`` (p, p), or (0, 0) for ones. Tiles ``first`` to
    ``last`` of ``tiles`` (t, 2) are looked at; ``counts[i, tile]`` is how many of row i's pairs
    there were marked, ``worst`` (t,) the largest slope beyond its penalty.
    """
    p = S.shape[0]
    for t in prange(first, last):
        above, below = tiles[t, 0] * TILE, tiles[t, 1] * TILE
        n, m = min(TILE, p - above), min(TILE, p - below)
        slopes, mirrored = np.empty((n, m)), np.empty((m, n))
        _fill_slopes(S, above, n, below, m, start, other, value, diagonal, slopes)
        _fill_slopes(S, below, m, above, n, start, other, value, diagonal, mirrored)
        _fold(slopes, mirrored, above == below)
        right, down = slice(above, above + n), slice(below, below + m)
        if weights.shape[0]:
            _weigh(slopes, weights[right, down], penalty, above == below)
        worst[t] = _mark(
            slopes, penalty, beyond, near, found[right, down], counts[right, tiles[t, 1]]
        )


@kernel(writes=("keys", "marks"))
def list_pairs(found, counts, places, keys, marks):
    """The marked pairs in order: ``keys`` i p + j and their ``marks``; ``places`` (p,) by row."""
    p, n_tiles = counts.shape
    for i in prange(p):
        place = places[i]
        for tile in range(i // TILE, n_tiles):
            if counts[i, tile]:
                for j in range(tile * TILE, min(p, (tile + 1) * TILE)):
                    if found[i, j]:
                        keys[place], marks[place] = i * p + j, found[i, j]
                        place += 1
