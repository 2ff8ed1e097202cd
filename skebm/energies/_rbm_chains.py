"""Chains of the Bernoulli-Bernoulli RBM on packed states: Gibbs sweeps and annealing.

A layer is drawn tile by tile: the fields of L units are the product of the other layer's states
with one tile of weights (see :mod:`skebm._bits`), and a word of new states is the outcome of 32
comparisons. Random numbers are addressed by (key, chain, step, layer, unit), so that no chain
knows which others it is worked on with.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import (
    TABLE_BLOCKS,
    WORD,
    States,
    aligned,
    aligned_empty,
    empty_states,
    list_ones,
    multiply,
    product_flops,
    row_tiles,
    sums_table,
    to_tiles,
)
from skebm._jit import inline, kernel
from skebm._numerics import PRODUCT, exp, fold_product, fold_sum, sigmoid, sum_softplus
from skebm._rng import BLOCK, fill_bits, uniform
from skebm._simd import add_scaled, lanes
from skebm._words import signs

HIDDEN, VISIBLE, START = 0, 1, 2  # streams of random numbers

# Work of drawing one tile of one chain, and of a chain itself, counted like products.
_DRAW_FLOPS, _CHAIN_FLOPS = 6e3, 2e3


class Layers(NamedTuple):
    """An RBM in tiles: W' as seen from below, W as seen from above, and the biases.

    ``up`` (hidden tiles, rows, L) holds the weights of visible unit i in row i, ``down``
    (visible tiles, rows, L) those of hidden unit j in row j; ``b`` (visible tiles, L) and ``c``
    (hidden tiles, L) are the biases. Units beyond the last one are zero.
    """

    up: np.ndarray
    down: np.ndarray
    b: np.ndarray
    c: np.ndarray
    n_visible: int
    n_hidden: int


def layers_of(W, b, c):
    """The layers of an RBM with weights (H, V) and biases (V,) and (H,)."""
    return Layers(to_tiles(W.T), to_tiles(W), row_tiles(b), row_tiles(c), len(b), len(c))


def sweep_flops(n_chains, n_hidden, n_visible, dtype):
    """Work of one Gibbs sweep of some chains, in the time of so many flops of a dense product."""
    width = lanes(np.empty(0, dtype))
    tiles = -(-n_hidden // width) - (-n_visible // width)
    products = product_flops(n_chains, n_visible, n_hidden, dtype)
    products += product_flops(n_chains, n_hidden, n_visible, dtype)
    return products + n_chains * (_DRAW_FLOPS * tiles + _CHAIN_FLOPS)


class Scratch(NamedTuple):
    """What one thread works in.

    ``fields`` (n, L), a ``table`` of sums, ``random`` bits (n, BLOCK), and the ``words`` that it
    draws where several threads work on the same chains.
    """

    fields: np.ndarray
    table: np.ndarray
    random: np.ndarray
    words: np.ndarray


@inline
def scratch_for(n, like):
    """Scratch for ``n`` chains in the dtype of ``like``."""
    width = lanes(like)
    fields = aligned(n * width, like).reshape((n, width))
    no_words = np.empty((0, 0), np.uint32)
    return Scratch(fields, sums_table(like), np.empty((n, BLOCK), np.uint32), no_words)


def shared_scratch(n_workers, n, n_words, like):
    """The same for some threads, with a first axis that tells them apart; made in Python."""
    shapes = (n, lanes(like)), (TABLE_BLOCKS * lanes(like),)
    arrays = [aligned_empty((n_workers, *shape), like.dtype) for shape in shapes]
    shapes = (n_workers, n, BLOCK), (n_workers, n, n_words)
    return Scratch(*arrays, *(np.empty(shape, np.uint32) for shape in shapes))


@inline
def scratch_of(scratch, worker):
    """One thread's part of shared scratch."""
    return Scratch(
        scratch.fields[worker], scratch.table[worker], scratch.random[worker],
        scratch.words[worker],
    )  # fmt: skip


@inline
def add_product(left, tile, out):
    """out (n, L) += left tile, for values that are not binary; zeros cost nothing."""
    width = lanes(tile)
    source, target = tile.ravel(), out.ravel()
    for r in range(left.shape[0]):
        for i in range(left.shape[1]):
            if left[r, i] != 0:
                add_scaled(target, r * width, left[r, i], source, i * width)


@inline
def fill_fields(tile, bias, states, n, start, scratch):
    """fields_r <- bias + the product of state r, or of row r of ``start`` if there are any."""
    fields = scratch.fields
    for r in range(n):
        for i in range(fields.shape[1]):
            fields[r, i] = bias[i]
    if start.shape[0] > 0:
        add_product(start, tile, fields)
    else:
        multiply(states, n, tile, fields, scratch.table)


@inline
def draw_tile(n, scratch, key, first_chain, step, stream, tile, n_units, bits):
    """Draw Bernoulli(sigmoid(fields)) for ``n`` chains into the words of one tile of ``bits``.

    u < sigmoid(t) is asked as u (1 + e^-t) - 1 < 0, which needs no division.
    """
    fields = scratch.fields
    width = lanes(fields)
    one = fields.dtype.type(1)
    block, first = tile * width // BLOCK, tile * width % BLOCK
    for r in range(n):
        fill_bits(key, first_chain + r, step, stream, block, scratch.random[r])
    for r in range(n):
        for i in range(width):
            t = fields[r, i]
            fields[r, i] = uniform(scratch.random[r, first + i], t) * (one + exp(-t)) - one
    write_words(n, fields, tile, n_units, bits)


@inline
def write_words(n, outcome, tile, n_units, bits):
    """Bits of one tile <- whether ``outcome`` (n, L) is negative, zero beyond the last unit."""
    width = lanes(outcome)
    numbers = outcome.ravel()
    for w in range(width // WORD):
        unit = tile * width + w * WORD
        valid = np.uint32((np.int64(1) << max(0, min(WORD, n_units - unit))) - 1)
        for r in range(n):
            bits[r, unit // WORD] = signs(numbers, r * width + w * WORD) & valid


@inline
def temper(n, scratch, beta, base):
    """fields <- beta fields + (1 - beta) base, each chain at its own beta."""
    fields = scratch.fields
    for r in range(n):
        hot = fields.dtype.type(beta[r])
        cold = fields.dtype.type(1) - hot
        for i in range(fields.shape[1]):
            fields[r, i] = hot * fields[r, i] + cold * base[i]


@inline
def sweep_chains(
    layers, base, beta, key, first_chain, step, n_sweeps, start, visible, hidden, scratch
):
    """``n_sweeps`` times h | v, then v | h, of all chains; the first one from ``start``, if any."""
    up, down, b, c, n_visible, n_hidden = layers
    n = visible.bits.shape[0]
    no_base = np.zeros_like(c[0])
    for s in range(step, step + n_sweeps):
        list_ones(visible, 0, n, n_visible)
        begin = start if s == step else start[:0]
        for t in range(up.shape[0]):
            fill_fields(up[t], c[t], visible, n, begin, scratch)
            temper(n, scratch, beta, no_base)
            draw_tile(n, scratch, key, first_chain, s, HIDDEN, t, n_hidden, hidden.bits)
        list_ones(hidden, 0, n, n_hidden)
        for t in range(down.shape[0]):
            fill_fields(down[t], b[t], hidden, n, start[:0], scratch)
            temper(n, scratch, beta, base[t])
            draw_tile(n, scratch, key, first_chain, s, VISIBLE, t, n_visible, visible.bits)


@inline
def chunk_of(n_chains):
    """Chains that are worked on together: more share a table, fewer leave work for all threads."""
    return 128 if n_chains >= 512 else 64


@inline
def states_of(bits, n, like):
    """States whose words live in ``bits``."""
    lists = empty_states(bits.shape[0], n, like)
    return States(bits, lists.ones, lists.counts)


@inline
def listed_states(bits, n, like):
    """States with the words of ``bits`` and their lists."""
    states = empty_states(bits.shape[0], n, like)
    for r in range(bits.shape[0]):
        for w in range((n + WORD - 1) // WORD):
            states.bits[r, w] = bits[r, w]
    list_ones(states, 0, bits.shape[0], n)
    return states


@kernel(writes=("bits",))
def gibbs(layers, base, beta, key, first_chain, step, n_sweeps, start, bits):
    """Block Gibbs sweeps of all chains, each at its own ``beta`` (n,).

    ``bits`` (n, words) are the visible states, ``base`` (visible tiles, L) the field at beta = 0.
    ``start`` is (n, V) if the first sweep begins at values that are not binary, else (0, V).
    """
    n = bits.shape[0]
    chunk = chunk_of(n)
    for q in prange((n + chunk - 1) // chunk):
        low = np.int64(q) * chunk
        high = min(n, low + chunk)
        visible = states_of(bits[low:high], layers.n_visible, base)
        hidden = empty_states(high - low, layers.n_hidden, base)
        scratch = scratch_for(high - low, base)
        sweep_chains(
            layers, base, beta[low:high], key, first_chain + low, step, n_sweeps,
            start[low:high], visible, hidden, scratch,
        )  # fmt: skip


@kernel(writes=("bits", "log_weights"))
def anneal(layers, base, betas, key, first_chain, step, bits, log_weights):
    """Annealing on the hidden-marginalised path: weigh at v, then move v, for betas[1:].

    The fields of the hidden units serve both the weight and their draw, so a temperature costs
    the two products of a sweep. ``log_weights`` (n,) float64 is added to.
    """
    n = bits.shape[0]
    chunk = chunk_of(n)
    for q in prange((n + chunk - 1) // chunk):
        low = np.int64(q) * chunk
        high = min(n, low + chunk)
        visible = states_of(bits[low:high], layers.n_visible, base)
        hidden = empty_states(high - low, layers.n_hidden, base)
        anneal_chains(
            layers, base, betas, key, first_chain + low, step, visible, hidden,
            scratch_for(high - low, base), log_weights[low:high],
        )  # fmt: skip


@inline
def anneal_chains(
    layers, base, betas, key, first_chain, step, visible, hidden, scratch, log_weights
):
    """The same for the chains of one chunk."""
    up, down, b, c, n_visible, n_hidden = layers
    n = log_weights.shape[0]
    beta = np.empty(n)
    buffer = np.empty((3, lanes(up)))
    nowhere = np.empty((0, n_visible), up.dtype)
    for k in range(1, betas.shape[0]):
        beta[:] = betas[k]
        list_ones(visible, 0, n, n_visible)
        rise = betas[k] - betas[k - 1]
        add_linear(visible, b, base, rise, -rise, log_weights)
        for t in range(up.shape[0]):
            fill_fields(up[t], c[t], visible, n, nowhere, scratch)
            weigh_and_draw_tile(
                scratch, betas[k - 1], betas[k], key, first_chain, step + k, t, n_hidden,
                hidden.bits, buffer, log_weights,
            )  # fmt: skip
        list_ones(hidden, 0, n, n_hidden)
        for t in range(down.shape[0]):
            fill_fields(down[t], b[t], hidden, n, nowhere, scratch)
            temper(n, scratch, beta, base[t])
            draw_tile(n, scratch, key, first_chain, step + k, VISIBLE, t, n_visible, visible.bits)


@inline
def add_linear(states, b, base, share, rest, linear):
    """linear_r += (share b + rest base).v_r, in float64."""
    width = lanes(b)
    buffer = np.empty(width)
    for r in range(linear.shape[0]):
        for t in range(b.shape[0]):
            for w in range(width // WORD):
                word = np.uint32(0)
                if t * (width // WORD) + w < states.bits.shape[1]:
                    word = states.bits[r, t * (width // WORD) + w]
                for bit in range(WORD):
                    i = w * WORD + bit
                    on = np.float64((word >> np.uint32(bit)) & np.uint32(1))
                    buffer[i] = on * (share * b[t, i] + rest * base[t, i])
            linear[r] += fold_sum(buffer, width)


@inline
def weigh_and_draw_tile(
    scratch, before, now, key, first_chain, step, tile, n_units, bits, buffer, log_weights
):
    """Draw Bernoulli(sigmoid(now x)); add sum_l log(1 + e^{now x_l}) - log(1 + e^{before x_l}).

    With e = exp(-|t|), log(1 + e^t) = max(t, 0) + log(1 + e) never overflows, the factors 1 + e
    stay below two, and the draw reuses them: sigmoid(t) is 1/(1+e) or e/(1+e).
    ``buffer`` (3, L) float64.
    """
    fields = scratch.fields
    one, zero = fields.dtype.type(1), fields.dtype.type(0)
    hot, cold = fields.dtype.type(now), fields.dtype.type(before)
    width = lanes(fields)
    n = min(width, n_units - tile * width)
    block, first = tile * width // BLOCK, tile * width % BLOCK
    for r in range(log_weights.shape[0]):
        fill_bits(key, first_chain + r, step, HIDDEN, block, scratch.random[r])
    for r in range(log_weights.shape[0]):
        for i in range(width):
            x = fields[r, i]
            t, s = hot * x, cold * x
            e = exp(-abs(t))
            buffer[0, i] = max(np.float64(x), 0.0)
            buffer[1, i] = np.float64(one + e)
            buffer[2, i] = np.float64(one + exp(-abs(s)))
            odds = one if t > zero else e
            fields[r, i] = uniform(scratch.random[r, first + i], t) * (one + e) - odds
        above, below = fold_product(buffer[1], n), fold_product(buffer[2], n)
        log_weights[r] += (now - before) * fold_sum(buffer[0], n) + math.log(above / below)
    write_words(log_weights.shape[0], fields, tile, n_units, bits)


@kernel(writes=("out",))
def packed_hidden_probability(layers, bits, out):
    """out (n, H) <- P(h = 1 | v) of packed visible states."""
    n, width = bits.shape[0], lanes(out)
    chunk = chunk_of(n)
    for q in prange((n + chunk - 1) // chunk):
        low = np.int64(q) * chunk
        high = min(n, low + chunk)
        states = listed_states(bits[low:high], layers.n_visible, out)
        scratch, nowhere = scratch_for(chunk, out), np.empty((0, 0), out.dtype)
        for t in range(layers.up.shape[0]):
            fill_fields(layers.up[t], layers.c[t], states, high - low, nowhere, scratch)
            for r in range(high - low):
                for j in range(min(width, layers.n_hidden - t * width)):
                    out[low + r, t * width + j] = sigmoid(scratch.fields[r, j])


@kernel(writes=("out",))
def packed_log_path(layers, base, beta, bits, out):
    """out (n,) <- (1-beta) base.v + beta b.v + sum_j log(1 + e^{beta (c_j + W_j.v)})."""
    n, width = bits.shape[0], lanes(base)
    scale, chunk = base.dtype.type(beta), chunk_of(n)
    for q in prange((n + chunk - 1) // chunk):
        low = np.int64(q) * chunk
        high = min(n, low + chunk)
        states = listed_states(bits[low:high], layers.n_visible, base)
        scratch, nowhere = scratch_for(chunk, base), np.empty((0, 0), base.dtype)
        no_shift, buffer = np.zeros(width, base.dtype), np.empty((2, PRODUCT))
        for r in range(low, high):
            out[r] = 0.0
        add_linear(states, layers.b, base, beta, 1.0 - beta, out[low:high])
        for t in range(layers.up.shape[0]):
            n_units = min(width, layers.n_hidden - t * width)
            fill_fields(layers.up[t], layers.c[t], states, high - low, nowhere, scratch)
            for r in range(high - low):
                out[low + r] += sum_softplus(scratch.fields[r, :n_units], no_shift, scale, buffer)
