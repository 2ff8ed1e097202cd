"""Chains of an Ising model: single-site heat bath in a fixed order, and annealing.

As many chains as one vector block has lanes are worked on side by side: row i of a *tile* (p, L)
holds spin i of L chains, so that the sum over neighbours, the exponential and the draw are vector
instructions. Each lane adds up its own field, in the order of the neighbours, and its random
numbers are addressed by (key, chain, step, spin): no chain knows which others lie beside it.

Given all other spins the log-odds of spin i at inverse temperature beta are

    2 [beta f_i + (1 - beta) g_i],  f_i = sum_j J_ij s_j + h_i,

where g are the local fields of the *base*: another model, in most cases one without couplings.

Sparse couplings are lists of neighbours, in the same order. Where they are few, and chains too,
spins of one colour fill the lanes instead: :mod:`skebm.energies._ising_colours`.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import aligned
from skebm._jit import inline, kernel
from skebm._numerics import exp
from skebm._rng import BLOCK, fill_bits, uniform
from skebm._simd import combine_blocks, lanes, square_side, transpose_square

DRAW = 0  # stream of random numbers

# Work of drawing one spin of one chain, in the time of so many flops of a dense product.
_DRAW_FLOPS = 80.0


class Spins(NamedTuple):
    """Fields ``h`` (p,), and row i of the couplings in entries indptr[i]:indptr[i + 1].

    ``neighbours`` (m,) int32 are the spins it is coupled to, ``J`` (m,) the strengths.
    """

    indptr: np.ndarray
    neighbours: np.ndarray
    J: np.ndarray
    h: np.ndarray


class Tile(NamedTuple):
    """What one thread works in: L chains side by side.

    ``spins`` (p L,), ``random`` (64 L,) uniforms of the spins of one block, ``bits`` (64,), ``u``
    (64 L,) uniforms before they are transposed; of one spin ``field``, ``other`` (that of the
    base) and ``outcome`` (L,); ``beta`` (L,) and ``potential`` (L,) float64, the rate at which
    log f grows with beta.
    """

    spins: np.ndarray
    random: np.ndarray
    bits: np.ndarray
    u: np.ndarray
    field: np.ndarray
    other: np.ndarray
    outcome: np.ndarray
    beta: np.ndarray
    potential: np.ndarray


def spins_of(coupling, field):
    """:class:`Spins` of a symmetric matrix (p, p) with zero diagonal, and fields (p,)."""
    rows, columns = np.nonzero(coupling)
    indptr = np.searchsorted(rows, np.arange(len(field) + 1))
    return Spins(indptr.astype(np.int64), columns.astype(np.int32), coupling[rows, columns], field)


def independent(field):
    """:class:`Spins` without couplings, in these fields (p,)."""
    n = len(field)
    return Spins(np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, field.dtype), field)


def sweep_flops(n_chains, model, n_other=0):
    """Work of a sweep of some chains, in the time of so many flops of a dense product.

    ``n_other`` is the number of entries in the couplings of the base.
    """
    width = lanes(model.h)
    whole = width * -(-n_chains // width)
    return whole * (2.0 * (len(model.J) + n_other) + _DRAW_FLOPS * len(model.h))


@inline
def tile_for(n_spins, like):
    """A tile in the dtype of ``like``."""
    width = lanes(like)
    lane, block = aligned(4 * width, like), aligned(2 * BLOCK * width, like)
    return Tile(
        aligned(n_spins * width, like), block[: BLOCK * width], np.empty(BLOCK, np.uint32),
        block[BLOCK * width :], lane[:width], lane[width : 2 * width],
        lane[2 * width : 3 * width], lane[3 * width :], np.zeros(width),
    )  # fmt: skip


@inline
def load_spins(X, tile):
    """Row i of the tile <- column i of ``X`` (n, p), lanes beyond n <- 1."""
    spins, width = tile.spins, lanes(X)
    for i in range(X.shape[1]):
        for r in range(X.shape[0], width):
            spins[i * width + r] = 1
        for r in range(X.shape[0]):
            spins[i * width + r] = X[r, i]


@inline
def store_spins(tile, X):
    """Columns of ``X`` (n, p) <- the rows of the tile."""
    spins, width = tile.spins, lanes(X)
    for i in range(X.shape[1]):
        for r in range(X.shape[0]):
            X[r, i] = spins[i * width + r]


@inline
def set_betas(beta, tile):
    """Each chain its own inverse temperature; ``beta`` (n,), lanes beyond n <- 0."""
    for r in range(lanes(tile.beta)):
        tile.beta[r] = beta[r] if r < beta.shape[0] else 0.0


@inline
def set_beta(beta, tile):
    """The same for all chains."""
    for r in range(lanes(tile.beta)):
        tile.beta[r] = beta


@inline
def fill_uniforms(key, first_chain, step, block, tile):
    """random[k, r] <- the uniform of spin k of a block and chain r."""
    u, bits = tile.u, tile.bits
    width, side, like = lanes(u), square_side(u), u[0]
    for r in range(width):
        fill_bits(key, first_chain + r, step, DRAW, block, bits)
        row = u[r * BLOCK : (r + 1) * BLOCK]
        for k in range(BLOCK):
            row[k] = uniform(bits[k], like)
    for r in range(0, width, side):
        for k in range(0, BLOCK, side):
            transpose_square(u, r * BLOCK + k, BLOCK, tile.random, k * width + r, width)


@inline
def fill_field(model, i, spins, field):
    """field_r <- h_i + sum_j J_ij s_rj, the local field of spin i; field (L,)."""
    h = model.h[i]
    for r in range(lanes(field)):
        field[r] = h
    combine_blocks(field, 0, model.J, model.neighbours, model.indptr[i], model.indptr[i + 1], spins)


@inline
def decide(random, tile):
    """outcome_r <- the new spin of every lane, from its fields; random (L,) uniforms.

    u < sigmoid(x) is asked as u (1 + e^-x) < 1.
    """
    # Names of their own: what is looked up within a loop keeps it from becoming vectors.
    field, other, beta, outcome = tile.field, tile.other, tile.beta, tile.outcome
    width, one, minus_two = lanes(field), field.dtype.type(1), field.dtype.type(-2)
    for r in range(width):
        outcome[r] = minus_two * (other[r] + beta[r] * (field[r] - other[r]))
    for r in range(width):
        odds = random[r] * (one + exp(outcome[r]))
        outcome[r] = one if odds < one else -one


@inline
def draw_spin(model, base, i, random, follow, tile):
    """Draw spin i of all chains; random (L,) uniforms. The potential may ``follow`` the flips."""
    width = lanes(tile.field)
    spins, field, other = tile.spins[i * width : (i + 1) * width], tile.field, tile.other
    potential, outcome = tile.potential, tile.outcome
    fill_field(model, i, tile.spins, field)
    fill_field(base, i, tile.spins, other)
    decide(random, tile)
    if follow:
        for r in range(width):
            change = np.float64(outcome[r] - spins[r])
            potential[r] += change * np.float64(field[r] - other[r])
    for r in range(width):
        spins[r] = outcome[r]


@inline
def scan(model, base, key, first_chain, step, backwards, follow, tile):
    """One sweep: spins 0, 1, ..., p - 1 in turn, or from the last to the first."""
    n, width = model.h.shape[0], lanes(tile.field)
    n_blocks = (n + BLOCK - 1) // BLOCK
    for b in range(n_blocks):
        block = n_blocks - 1 - b if backwards else b
        first = block * BLOCK
        last = min(n, first + BLOCK)
        fill_uniforms(key, first_chain, step, block, tile)
        for k in range(last - first):
            i = last - 1 - k if backwards else first + k
            low = (i - first) * width
            draw_spin(model, base, i, tile.random[low : low + width], follow, tile)


@inline
def renew_potential(model, base, tile):
    """potential_r <- log of the model's weight less that of the base's, of every chain.

    1/2 s'Js + h.s is half the sum over i of s_i (f_i + h_i).
    """
    field, other, potential = tile.field, tile.other, tile.potential
    width = lanes(field)
    for r in range(width):
        potential[r] = 0.0
    for i in range(model.h.shape[0]):
        fill_field(model, i, tile.spins, field)
        fill_field(base, i, tile.spins, other)
        shift = np.float64(model.h[i]) - np.float64(base.h[i])
        spins = tile.spins[i * width : (i + 1) * width]
        for r in range(width):
            rate = np.float64(field[r]) - np.float64(other[r]) + shift
            potential[r] += 0.5 * np.float64(spins[r]) * rate


@inline
def add_means_and_clamp(known, i, tile, total):
    """total[r, i] += E[s_i | the others] of the last draw; spin i <- ``known`` where it is."""
    width, field = lanes(tile.field), tile.field
    spins = tile.spins[i * width : (i + 1) * width]
    for r in range(known.shape[0]):
        total[r, i] += math.tanh(field[r])
        if not math.isnan(known[r, i]):
            spins[r] = known[r, i]


@inline
def add_weights(rise, tile, log_weights):
    """log_weights (n,) += the rise of beta times the potential."""
    potential = tile.potential
    for r in range(log_weights.shape[0]):
        log_weights[r] += rise * potential[r]


# The loops over tiles below do nothing but call: what is stored into an array of a tuple right in
# the body of a prange has been seen to be lost.


@inline
def sweep_tile(model, base, beta, key, first_chain, step, n_sweeps, backwards, X):
    """Sweeps of the chains of one tile."""
    tile = tile_for(X.shape[1], X)
    load_spins(X, tile)
    set_betas(beta, tile)
    for s in range(step, step + n_sweeps):
        scan(model, base, key, first_chain, s, backwards, False, tile)
    store_spins(tile, X)


@inline
def sweep_clamped_tile(model, base, known, key, first_chain, step, n_sweeps, X, total):
    """Sweeps at beta = 1 that keep what is known, of the chains of one tile."""
    tile, width = tile_for(X.shape[1], X), lanes(X)
    load_spins(X, tile)
    set_beta(1.0, tile)
    for s in range(step, step + n_sweeps):
        for i in range(X.shape[1]):
            if i % BLOCK == 0:
                fill_uniforms(key, first_chain, s, i // BLOCK, tile)
            place = i % BLOCK * width
            draw_spin(model, base, i, tile.random[place : place + width], False, tile)
            add_means_and_clamp(known, i, tile, total)
    store_spins(tile, X)


@inline
def anneal_tile(model, base, betas, key, first_chain, step, backwards, segment, X, log_weights):
    """Annealing of the chains of one tile."""
    tile = tile_for(X.shape[1], X)
    load_spins(X, tile)
    for k in range(1, betas.shape[0]):
        if (k - 1) % segment == 0:
            renew_potential(model, base, tile)
        add_weights(betas[k] - betas[k - 1], tile, log_weights)
        set_beta(betas[k], tile)
        scan(model, base, key, first_chain, step + k, backwards, True, tile)
    store_spins(tile, X)


@kernel(writes=("X",))
def gibbs_spins(model, base, beta, key, first_chain, step, n_sweeps, backwards, X):
    """Sweeps of all chains ``X`` (n, p), each at its own ``beta`` (n,)."""
    n, width = X.shape[0], lanes(X)
    for q in prange((n + width - 1) // width):
        low = np.int64(q) * width
        high = min(n, low + width)
        sweep_tile(
            model, base, beta[low:high], key, first_chain + low, step, n_sweeps, backwards,
            X[low:high],
        )  # fmt: skip


@kernel(writes=("X", "total"))
def gibbs_clamped_spins(model, base, known, key, first_chain, step, n_sweeps, X, total):
    """Sweeps at beta = 1 that keep ``known`` (n, p) where it is not NaN.

    ``total`` (n, p) is added E[s_i | the others] = tanh(field) of every sweep.
    """
    n, width = X.shape[0], lanes(X)
    for q in prange((n + width - 1) // width):
        low = np.int64(q) * width
        high = min(n, low + width)
        sweep_clamped_tile(
            model, base, known[low:high], key, first_chain + low, step, n_sweeps, X[low:high],
            total[low:high],
        )  # fmt: skip


@kernel(writes=("X", "log_weights"))
def anneal_spins(model, base, betas, key, first_chain, step, backwards, segment, X, log_weights):
    """Annealing: weigh, then move, for betas[1:]; ``X`` (n, p), ``log_weights`` (n,) float64.

    The weight grows by the rise of beta times the potential, the log of the model's weight less
    that of the base's; it follows the flips, and is summed anew every ``segment`` temperatures.
    """
    n, width = X.shape[0], lanes(X)
    for q in prange((n + width - 1) // width):
        low = np.int64(q) * width
        high = min(n, low + width)
        anneal_tile(
            model, base, betas, key, first_chain + low, step, backwards, segment, X[low:high],
            log_weights[low:high],
        )  # fmt: skip
