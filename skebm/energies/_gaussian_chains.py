"""Chains of a Gaussian model, on the reals or in a box: Gibbs sweeps in a fixed order, annealing.

As many chains as one vector block has lanes are worked on side by side: row i of a *tile* (p, L)
holds y_i = x_i - location_i of L chains. The energies along the path are quadratic,

    beta E(y) + (1 - beta) E_0(y),  E(y) = y'Ky / 2 + pull.y,  E_0 likewise,

so that variable i given all others is a normal of precision q = beta K_ii + (1 - beta) D_ii and
mean -[beta (pull + sum_j K_ij y_j) + (1 - beta) (...)_0] / q, truncated to the box. E_0 is the
*base*: without couplings in most cases.

Each chain adds up its own field, in the order of the neighbours, and its random numbers are
addressed by (key, chain, step, variable): no chain knows which others lie beside it. What a chain
is at in between is x, which y is made of, so that it does not matter where calls are cut.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import aligned
from skebm._jit import inline, kernel
from skebm._rng import BLOCK, fill_bits
from skebm._simd import combine_blocks, lanes, square_side, transpose_square
from skebm.energies._truncated_normal import (
    Lanes,
    draw_normals,
    draw_truncated,
    lanes_for,
    mean_of_truncated,
)

_DRAW = 0  # stream of random numbers

# Work of one coupling and of one draw, in the time of so many flops of a dense product.
_COUPLING_FLOPS, _DRAW_FLOPS, _TRUNCATED_FLOPS = 8.0, 2500.0, 4000.0


class Quadratic(NamedTuple):
    """An energy y'Ky / 2 + pull.y: row i of K off its diagonal is entries indptr[i]:indptr[i + 1].

    ``neighbours`` (m,) int32 and ``K`` (m,) float64; ``diagonal`` (p,) and ``pull`` (p,).
    """

    indptr: np.ndarray
    neighbours: np.ndarray
    K: np.ndarray
    diagonal: np.ndarray
    pull: np.ndarray


class Box(NamedTuple):
    """``location`` (p,) of y = 0, and where x may be: ``low`` and ``high`` (p,)."""

    location: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Tile(NamedTuple):
    """What one thread works in: L chains side by side.

    ``y`` (p L,), ``random`` (64 L,) uniforms of the variables of one block, ``bits`` (2, 64) and
    ``u`` (64 L,) before they are transposed; of one variable the slopes of both energies by y,
    ``field`` and ``other`` (L,); ``beta`` and ``potential`` (L,), the rate at which log f grows
    with beta; ``draw`` the scratch of a draw.
    """

    y: np.ndarray
    random: np.ndarray
    bits: np.ndarray
    u: np.ndarray
    field: np.ndarray
    other: np.ndarray
    beta: np.ndarray
    potential: np.ndarray
    draw: Lanes


def quadratic_of(precision, pull):
    """The :class:`Quadratic` of a symmetric matrix (p, p) and a linear term (p,)."""
    rows, columns = np.nonzero(precision)
    apart = rows != columns
    rows, columns = rows[apart], columns[apart]
    indptr = np.searchsorted(rows, np.arange(len(pull) + 1))
    return Quadratic(
        indptr.astype(np.int64), columns.astype(np.int32), precision[rows, columns],
        precision.diagonal().copy(), pull,
    )  # fmt: skip


def separate(diagonal, pull):
    """The :class:`Quadratic` of independent variables with these precisions (p,)."""
    n = len(pull)
    return Quadratic(
        np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0), diagonal, pull
    )  # fmt: skip


def sweep_flops(n_chains, model, box, n_other=0):
    """Work of a sweep of some chains, in the time of so many flops of a dense product.

    ``n_other`` is the number of couplings of the base.
    """
    width = lanes(model.K)
    whole = width * -(-n_chains // width)
    n_bounded = np.count_nonzero((box.low > -np.inf) | (box.high < np.inf))
    draws = _DRAW_FLOPS * len(box.low) + (_TRUNCATED_FLOPS - _DRAW_FLOPS) * n_bounded
    return whole * (_COUPLING_FLOPS * (len(model.K) + n_other) + draws)


@inline
def gaussian_tile(n_variables, like):
    """A tile."""
    width = lanes(like)
    block, lane = aligned(2 * BLOCK * width, like), aligned(4 * width, like)
    return Tile(
        aligned(n_variables * width, like), block[: BLOCK * width],
        np.empty((2, BLOCK), np.uint32), block[BLOCK * width :], lane[:width],
        lane[width : 2 * width], lane[2 * width : 3 * width], lane[3 * width :], lanes_for(like),
    )  # fmt: skip


@inline
def load_values(X, box, tile):
    """Row i of the tile <- column i of ``X`` (n, p) less its location, 0 in lanes beyond n."""
    y, width = tile.y, lanes(X)
    for i in range(X.shape[1]):
        for r in range(width):
            y[i * width + r] = X[r, i] - box.location[i] if r < X.shape[0] else 0.0


@inline
def set_chain_betas(beta, tile):
    """Each chain its own inverse temperature; ``beta`` (n,), lanes beyond n <- 1."""
    for r in range(lanes(tile.beta)):
        tile.beta[r] = beta[r] if r < beta.shape[0] else 1.0


@inline
def set_common_beta(beta, tile):
    """The same for all chains."""
    for r in range(lanes(tile.beta)):
        tile.beta[r] = beta


@inline
def fill_long_uniforms(key, first_chain, step, block, tile):
    """random[k, r] <- the uniform of variable k of a block and chain r: the middle of a cell.

    Of the 2^52 cells of (0, 1), since 1 - u is then as exact as u; two words each.
    """
    u, bits = tile.u, tile.bits
    width, side = lanes(u), square_side(u)
    for r in range(width):
        fill_bits(key, first_chain + r, step, _DRAW, 2 * block, bits[0])
        fill_bits(key, first_chain + r, step, _DRAW, 2 * block + 1, bits[1])
        row = u[r * BLOCK : (r + 1) * BLOCK]
        for k in range(BLOCK):
            high, low = np.float64(bits[0, k]), np.float64(bits[1, k] >> np.uint32(12))
            row[k] = high * 2.0**-32 + (low + 0.5) * 2.0**-52
    for r in range(0, width, side):
        for k in range(0, BLOCK, side):
            transpose_square(u, r * BLOCK + k, BLOCK, tile.random, k * width + r, width)


@inline
def fill_slope(energy, i, y, slope):
    """slope_r <- pull_i + sum over j != i of K_ij y_rj."""
    pull = energy.pull[i]
    for r in range(lanes(slope)):
        slope[r] = pull
    combine_blocks(
        slope, 0, energy.K, energy.neighbours, energy.indptr[i], energy.indptr[i + 1], y
    )  # fmt: skip


@inline
def fill_normals(model, base, box, i, tile):
    """Mean, deviation and one over it of variable i given the others, in all chains."""
    draw, field, other, beta = tile.draw, tile.field, tile.other, tile.beta
    fill_slope(model, i, tile.y, field)
    fill_slope(base, i, tile.y, other)
    ours, theirs, location = model.diagonal[i], base.diagonal[i], box.location[i]
    centre, spread, root = draw.centre, draw.spread, draw.root
    for r in range(lanes(field)):
        precision = theirs + beta[r] * (ours - theirs)
        slope = other[r] + beta[r] * (field[r] - other[r])
        deviation = 1.0 / math.sqrt(precision)
        centre[r] = location - slope * deviation * deviation
        spread[r] = deviation
        root[r] = precision * deviation


@inline
def is_bounded(box, i):
    """Whether variable i has an edge."""
    return box.low[i] > -np.inf or box.high[i] < np.inf


@inline
def draw_variable(model, base, box, i, random, follow, tile):
    """draw.x <- variable i of all chains, and the tile; random (L,) uniforms.

    The potential may ``follow`` the moves.
    """
    width, draw, field, other = lanes(tile.field), tile.draw, tile.field, tile.other
    y, potential = tile.y[i * width : (i + 1) * width], tile.potential
    u, x, location = draw.u, draw.x, box.location[i]
    for r in range(width):
        u[r] = random[r]
    fill_normals(model, base, box, i, tile)
    if is_bounded(box, i):
        draw_truncated(box.low[i], box.high[i], draw)
    else:
        draw_normals(draw)
    if follow:
        half = 0.5 * (base.diagonal[i] - model.diagonal[i])
        for r in range(width):
            moved = x[r] - location
            rate = other[r] - field[r] + half * (moved + y[r])
            potential[r] += (moved - y[r]) * rate
    for r in range(width):
        y[r] = x[r] - location


@inline
def sweep_once(model, base, box, key, first_chain, step, backwards, follow, tile, X):
    """Variables 0, 1, ..., p - 1 in turn, or from the last to the first; ``X`` <- the draws."""
    n, width = X.shape[1], lanes(tile.field)
    x = tile.draw.x
    n_blocks = (n + BLOCK - 1) // BLOCK
    for b in range(n_blocks):
        block = n_blocks - 1 - b if backwards else b
        first = block * BLOCK
        last = min(n, first + BLOCK)
        fill_long_uniforms(key, first_chain, step, block, tile)
        for k in range(last - first):
            i = last - 1 - k if backwards else first + k
            place = (i - first) * width
            random = tile.random[place : place + width]
            draw_variable(model, base, box, i, random, follow, tile)
            for r in range(X.shape[0]):
                X[r, i] = x[r]


@inline
def sum_potential(model, base, tile):
    """potential_r <- E_0(y) - E(y) of every chain."""
    field, other, potential = tile.field, tile.other, tile.potential
    width = lanes(field)
    for r in range(width):
        potential[r] = 0.0
    for i in range(model.diagonal.shape[0]):
        fill_slope(model, i, tile.y, field)
        fill_slope(base, i, tile.y, other)
        pull = base.pull[i] - model.pull[i]
        diagonal = base.diagonal[i] - model.diagonal[i]
        y = tile.y[i * width : (i + 1) * width]
        for r in range(width):
            potential[r] += 0.5 * y[r] * (other[r] - field[r] + pull + diagonal * y[r])


@inline
def add_to_weights(rise, tile, log_weights):
    """log_weights (n,) += the rise of beta times the potential."""
    for r in range(log_weights.shape[0]):
        log_weights[r] += rise * tile.potential[r]


@inline
def keep_known(known, box, i, tile, X, total):
    """total[r, i] += E[x_i | the others] of the last draw; variable i <- ``known`` or that draw."""
    width, draw = lanes(tile.field), tile.draw
    y = tile.y[i * width : (i + 1) * width]
    for r in range(known.shape[0]):
        mean = draw.centre[r]
        if is_bounded(box, i):
            mean = mean_of_truncated(mean, draw.root[r], box.low[i], box.high[i])
        total[r, i] += mean
        X[r, i] = draw.x[r]
        if not math.isnan(known[r, i]):
            X[r, i] = known[r, i]
            y[r] = known[r, i] - box.location[i]


# The loops over tiles below do nothing but call: what is stored into an array of a tuple right in
# the body of a prange has been seen to be lost.


@inline
def sweep_normals_tile(model, base, box, beta, key, first_chain, step, n_sweeps, backwards, X):
    """Sweeps of the chains of one tile."""
    tile = gaussian_tile(X.shape[1], X)
    load_values(X, box, tile)
    set_chain_betas(beta, tile)
    for s in range(step, step + n_sweeps):
        sweep_once(model, base, box, key, first_chain, s, backwards, False, tile, X)


@inline
def clamped_normals_tile(model, base, box, known, key, first_chain, step, n_sweeps, X, total):
    """Sweeps at beta = 1 that keep what is known, of the chains of one tile."""
    tile, width = gaussian_tile(X.shape[1], X), lanes(X)
    load_values(X, box, tile)
    set_common_beta(1.0, tile)
    for s in range(step, step + n_sweeps):
        for i in range(X.shape[1]):
            if i % BLOCK == 0:
                fill_long_uniforms(key, first_chain, s, i // BLOCK, tile)
            place = i % BLOCK * width
            random = tile.random[place : place + width]
            draw_variable(model, base, box, i, random, False, tile)
            keep_known(known, box, i, tile, X, total)


@inline
def anneal_normals_tile(
    model, base, box, betas, key, first_chain, step, backwards, segment, X, log_weights
):
    """Annealing of the chains of one tile."""
    tile = gaussian_tile(X.shape[1], X)
    load_values(X, box, tile)
    for k in range(1, betas.shape[0]):
        if (k - 1) % segment == 0:
            sum_potential(model, base, tile)
        add_to_weights(betas[k] - betas[k - 1], tile, log_weights)
        set_common_beta(betas[k], tile)
        sweep_once(model, base, box, key, first_chain, step + k, backwards, True, tile, X)


@kernel(writes=("X",))
def gibbs_normals(model, base, box, beta, key, first_chain, step, n_sweeps, backwards, X):
    """Sweeps of all chains ``X`` (n, p), each at its own ``beta`` (n,)."""
    n, width = X.shape[0], lanes(X)
    for q in prange((n + width - 1) // width):
        low = np.int64(q) * width
        high = min(n, low + width)
        sweep_normals_tile(
            model, base, box, beta[low:high], key, first_chain + low, step, n_sweeps, backwards,
            X[low:high],
        )  # fmt: skip


@kernel(writes=("X", "total"))
def gibbs_clamped_normals(model, base, box, known, key, first_chain, step, n_sweeps, X, total):
    """Sweeps at beta = 1 that keep ``known`` (n, p) where it is not NaN.

    ``total`` (n, p) is added E[x_i | the others] of every sweep.
    """
    n, width = X.shape[0], lanes(X)
    for q in prange((n + width - 1) // width):
        low = np.int64(q) * width
        high = min(n, low + width)
        clamped_normals_tile(
            model, base, box, known[low:high], key, first_chain + low, step, n_sweeps,
            X[low:high], total[low:high],
        )  # fmt: skip


@kernel(writes=("X", "log_weights"))
def anneal_normals(
    model, base, box, betas, key, first_chain, step, backwards, segment, X, log_weights
):
    """Annealing: weigh, then move, for betas[1:]; ``X`` (n, p), ``log_weights`` (n,).

    The weight grows by the rise of beta times the potential E_0 - E, constants left out; it
    follows the moves, and is summed anew every ``segment`` temperatures.
    """
    n, width = X.shape[0], lanes(X)
    for q in prange((n + width - 1) // width):
        low = np.int64(q) * width
        high = min(n, low + width)
        anneal_normals_tile(
            model, base, box, betas, key, first_chain + low, step, backwards, segment,
            X[low:high], log_weights[low:high],
        )  # fmt: skip
