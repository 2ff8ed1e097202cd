"""Exact conditionals of a Bernoulli RBM: every visible unit of every row is flipped.

log P(v_i | rest) = -log(1 + e^{F(v) - F(v with i flipped)}). Let x = c + W v be the fields of the
hidden units, sigma_i = 1 - 2 v_i, a_j = tanh(x_j / 2) and tau_ji = tanh(W_ji / 2). Since

    (1 + e^{x + sigma w}) / (1 + e^x) = (1 + a sigma tau) (1 + e^{sigma w}) / 2,

e^{F(v) - F(v with i flipped)} is the product over j of the factors 1 + a_j sigma_i tau_ji, times
what depends on i and v_i only. The factors, one for each row, hidden and visible unit, are all
the work: a sign, a multiply-add and a product each. So many of them are multiplied that one
logarithm per row and tile of visible units is enough.

Factors near zero have lost digits: if |W_ji| <= w, they are 2 / (1 + e^w) at least, and their
relative error is (1 + e^w) / 2 times that of a and tau at most. So hidden units are sorted by
their largest weight: *single* ones are multiplied in float32, *double* ones in float64, and for
*steep* ones log(1 + e^{x + sigma w}) is taken as it stands.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import WORD, States, aligned, aligned_empty, multiply, sums_table
from skebm._jit import CHUNK, inline, kernel
from skebm._numerics import exp, fold_product, fold_sum
from skebm._simd import lanes
from skebm._words import FACTORS, multiply_factors

# Visible units and rows that go through all hidden units together: their products, and the tau of
# FACTORS hidden units, stay in the fastest cache.
TILE, GROUP = 256, 8

# Largest weights of single units, and of double ones by the precision of the model. Factors of a
# float32 model may lose 6 of their 24 bits, besides the last two of tau, those of a float64 model
# 12 of 53. They do so only where |x_j| is about as large as w, too; a sum of hundreds of terms that
# comes to |x_j| has lost as much in float32. Factors of a float32 model in float64 may lose 25 bits
# and keep 28.
SINGLE = 4.8
DOUBLE = {np.dtype(np.float32): 18.0, np.dtype(np.float64): 9.0}

# Powers of two that a product from 1 ... 2 may change by before its own power is taken off: less
# than overflows or loses digits, and no less than any block of factors needs.
SINGLE_ROOM, DOUBLE_ROOM = 120, 960

# Steep units whose factors, between a half and two, are multiplied before a logarithm is taken.
STEEP_RUN = 64

# Odds e^level times a product are cut at this level, where 1 + odds = odds for any product.
_LOG_2 = math.log(2.0)
_CAP = (STEEP_RUN + 60) * _LOG_2

# Work of each kind of unit per row and weight, in the time of so many flops of a product.
SINGLE_FLOPS, DOUBLE_FLOPS, STEEP_FLOPS = 9.0, 16.0, 210.0


class Flips(NamedTuple):
    """Tables of one model: how its odds change with each visible unit.

    ``order`` (H,) sorts the hidden units, ``single`` + ``double`` + steep ones. ``constants``
    (2, V) are the log-odds of a flip from 0 and from 1 but for the factors. ``single_tau`` and
    ``double_tau`` (visible tiles, blocks * FACTORS * TILE) are tau, zero beyond the last unit;
    powers are taken off products after the blocks in ``single_ends`` and ``double_ends``.
    ``steep_weights`` is (steep units, V). A tile is ``width`` visible units, in whole words.
    """

    order: np.ndarray
    constants: np.ndarray
    single: int
    single_tau: np.ndarray
    single_ends: np.ndarray
    double: int
    double_tau: np.ndarray
    double_ends: np.ndarray
    steep_weights: np.ndarray
    width: int


def flips_of(W, b):
    """The tables of an RBM with weights (H, V) and visible biases (V,)."""
    largest = np.abs(W).max(axis=1)
    order = np.argsort(largest, kind="stable")
    W, largest = W[order], largest[order].astype(np.float64)
    single = int((largest <= SINGLE).sum()) if b.dtype == np.float32 else 0
    flat = int((largest <= DOUBLE[b.dtype]).sum())
    losses = np.logaddexp(0.0, largest[:flat]) / _LOG_2 - 1.0
    n_tiles = -(-W.shape[1] // TILE)
    width = WORD * -(-W.shape[1] // (WORD * n_tiles))
    constants = np.array([b, -b], dtype=np.float64)
    single_tau = _tabulate(W[:single], np.float32, width, constants)
    double_tau = _tabulate(W[single:flat], np.float64, width, constants)
    return Flips(
        order, constants,
        single, single_tau, _ends(losses[:single], SINGLE_ROOM),
        flat - single, double_tau, _ends(losses[single:], DOUBLE_ROOM),
        W[flat:].astype(np.float64), width,
    )  # fmt: skip


def _tabulate(W, dtype, width, constants):
    """The tiles of tau of some hidden units; adds their part to ``constants``."""
    n_tiles, n_blocks = -(-W.shape[1] // width), -(-len(W) // FACTORS)
    tiles = aligned_empty((n_tiles, n_blocks * FACTORS, TILE), dtype)
    tiles[:] = 0.0
    for first in range(0, len(W), 8 * FACTORS):  # so many stay in the cache
        weights = W[first : first + 8 * FACTORS].astype(dtype, copy=False)
        odds = np.expm1(weights)
        products = np.multiply.reduceat(1.0 + 0.5 * odds, range(0, len(odds), FACTORS))
        constants += np.log(products).sum(axis=0, dtype=np.float64)
        constants[1] -= weights.sum(axis=0, dtype=np.float64)
        tau = np.divide(odds, odds + 2.0, out=odds)
        for tile in range(n_tiles):
            part = tau[:, tile * width : (tile + 1) * width]
            tiles[tile, first : first + len(part), : part.shape[1]] = part
    return tiles.reshape(n_tiles, n_blocks * FACTORS * TILE)


def _ends(losses, room):
    """Ends of runs of blocks whose factors together are between 2^-room and 2^room."""
    blocks = np.append(losses, np.zeros(-len(losses) % FACTORS)).reshape(-1, FACTORS).sum(axis=1)
    ends, total = [], 0.0
    for block, loss in enumerate(blocks):
        if total + loss > room:
            ends.append(block)
            total = 0.0
        total += loss
    return np.array([*ends, len(blocks)])


def flops_per_weight(flips):
    """Work per row and weight, in the time of so many flops of a product."""
    steep = len(flips.steep_weights)
    work = flips.single * SINGLE_FLOPS + flips.double * DOUBLE_FLOPS + steep * STEEP_FLOPS
    return work / len(flips.order)


@kernel(writes=("out",))
def log_pseudolikelihood(layers, flips, bits, out):
    """out (n,) <- sum_i log P(v_i | rest) of packed states, every conditional exactly."""
    n = bits.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = np.int64(chunk) * CHUNK
        high = min(n, low + CHUNK)
        flip_rows(layers, flips, bits[low:high], False, out[low:high])


@kernel(writes=("out",))
def ratio_matching(layers, flips, bits, out):
    """out (n,) <- sum_i (1 - P(v_i | rest))^2 of packed states, every conditional exactly."""
    n = bits.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = np.int64(chunk) * CHUNK
        high = min(n, low + CHUNK)
        flip_rows(layers, flips, bits[low:high], True, out[low:high])


@inline
def multiply_units(tau, ends, a, bits, digits, bias, product, powers):
    """product 2^powers <- products over hidden units, for one tile and a few rows.

    ``tau`` (blocks * FACTORS * TILE,); ``a`` (rows, hidden units); ``bits`` (rows, words) of the
    tile; ``product`` and ``powers``, integers of the same size, are (GROUP * TILE,). Floating
    point numbers have ``digits`` and an exponent that is 2^0 at ``bias``.
    """
    n, numbers, exponents = bits.shape[0], a.ravel(), product.view(powers.dtype)
    for i in range(n * TILE):
        product[i], powers[i] = 1, 0
    start = 0
    for end in ends:
        for block in range(start, end):
            for r in range(n):
                for w in range(bits.shape[1]):
                    multiply_factors(
                        product, r * TILE + w * WORD, tau, block * FACTORS * TILE + w * WORD, TILE,
                        numbers, r * a.shape[1] + block * FACTORS, bits[r, w],
                    )  # fmt: skip
        for i in range(n * TILE):
            own = (exponents[i] >> digits) - bias
            exponents[i] -= own << digits
            powers[i] += own
        start = end


@inline
def flip_rows(layers, flips, bits, squares, out):
    """The same for the rows of one chunk: logarithms, or squares."""
    n, n_visible = bits.shape[0], flips.constants.shape[1]
    flat = flips.single + flips.double
    x = np.empty((n, flips.order.shape[0]), layers.c.dtype)
    sort_fields(layers, flips.order, bits, x)
    a_single = np.empty((n, flips.single_tau.shape[1] // TILE), np.float32)
    a_double = np.empty((n, flips.double_tau.shape[1] // TILE), np.float64)
    for r in range(n):
        out[r] = 0.0
        for j in range(x.shape[1]):
            out[r] += np.float64(x[r, j] - x[r, j])  # NaN stays NaN
        tanh_half(x[r, : flips.single], a_single[r])
        tanh_half(x[r, flips.single : flat], a_double[r])
    size = GROUP * TILE
    on, level, product = np.zeros(size, np.uint8), np.empty(TILE), np.empty(TILE)
    single, single_powers = np.ones(size, np.float32), np.zeros(size, np.int32)
    double, double_powers = np.ones(size, np.float64), np.zeros(size, np.int64)
    for tile in range(flips.single_tau.shape[0]):
        left, right = tile * flips.width, min(n_visible, (tile + 1) * flips.width)
        from_0, from_1 = flips.constants[0, left:right], flips.constants[1, left:right]
        for first in range(0, n, GROUP):
            last = min(n, first + GROUP)
            words = bits[first:last, left // WORD : (right + WORD - 1) // WORD]
            unpack_tile(words, right - left, on)
            if flips.single > 0:
                multiply_units(
                    flips.single_tau[tile], flips.single_ends, a_single[first:last], words,
                    np.int32(23), np.int32(127), single, single_powers,
                )  # fmt: skip
            if flips.double > 0:
                multiply_units(
                    flips.double_tau[tile], flips.double_ends, a_double[first:last], words,
                    np.int64(52), np.int64(1023), double, double_powers,
                )  # fmt: skip
            for r in range(first, last):
                at = (r - first) * TILE
                for i in range(right - left):
                    below, above = from_0[i], from_1[i]
                    power = _LOG_2 * (single_powers[at + i] + double_powers[at + i])
                    level[i] = (above if on[at + i] else below) + power
                    product[i] = np.float64(single[at + i]) * double[at + i]
                for j in range(flips.steep_weights.shape[0]):
                    weights = flips.steep_weights[j, left:right]
                    multiply_steep(np.float64(x[r, flat + j]), weights, on[at:], level, product)
                    if (j + 1) % STEEP_RUN == 0:
                        for i in range(right - left):
                            level[i] += math.log(product[i])
                            product[i] = 1.0
                if squares:
                    out[r] += sum_squares(level, product, right - left)
                else:
                    out[r] -= sum_log_1_plus(level, product, right - left)


@inline
def sort_fields(layers, order, bits, x):
    """x (n, H) <- fields of the hidden units, in that order.

    All states are taken for dense: lists would take longer to compile than they save here.
    """
    n, width = bits.shape[0], lanes(x)
    states = States(
        np.empty((n, bits.shape[1]), np.uint32), np.empty((n, 0), np.int32), np.empty(n, np.int32)
    )
    for r in range(n):
        states.counts[r] = -1
        for w in range(bits.shape[1]):
            states.bits[r, w] = bits[r, w]
    fields, table = aligned(n * width, x).reshape((n, width)), sums_table(x)
    place = np.empty(order.shape[0], np.int64)
    for j in range(order.shape[0]):
        place[order[j]] = j
    for t in range(layers.up.shape[0]):
        for r in range(n):
            for j in range(width):
                fields[r, j] = layers.c[t, j]
        multiply(states, n, layers.up[t], fields, table)
        for r in range(n):
            for j in range(min(width, layers.n_hidden - t * width)):
                x[r, place[t * width + j]] = fields[r, j]


@inline
def unpack_tile(words, width, on):
    """on (GROUP * TILE,) <- whether the units of a tile are on, a list of TILE for each row."""
    for r in range(words.shape[0]):
        for i in range(width):
            on[r * TILE + i] = (words[r, i // WORD] >> np.uint32(i % WORD)) & np.uint32(1)


@inline
def tanh_half(x, a):
    """a_j <- tanh(x_j / 2), zero beyond the end of x."""
    for j in range(x.shape[0]):
        t = np.float64(x[j])
        e = exp(-abs(t))
        a[j] = math.copysign((1.0 - e) / (1.0 + e), t)
    for j in range(x.shape[0], a.shape[0]):
        a[j] = 0.0


@inline
def multiply_steep(x, weights, on, level, product):
    """Odds times (1 + e^t) / (1 + e^x) for one hidden unit, t = x + sigma w.

    No exponential overflows, since log(1 + e^t) = max(t, 0) + log(1 + e^-|t|).
    """
    here, share = max(x, 0.0), 1.0 / (1.0 + exp(-abs(x)))
    for i in range(weights.shape[0]):
        w = weights[i]
        t = x - w if on[i] else x + w
        level[i] += max(t, 0.0) - here
        product[i] *= share * (1.0 + exp(-abs(t)))


@inline
def sum_log_1_plus(level, product, n):
    """Sum of log(1 + product e^level) over n numbers, which are overwritten; NaN stays NaN.

    The powers of two are taken off all 1 + odds, so that what is left can be multiplied.
    """
    powers = 0
    for i in range(n):
        t, p = level[i], product[i]
        bits = np.float64(1.0 + p * exp(min(t, _CAP))).view(np.int64)
        power = (bits >> 52) - 1023
        powers += power
        product[i] = np.int64(bits - (power << 52)).view(np.float64)
        level[i] = max(t - _CAP, 0.0) + (t - t)
    return _LOG_2 * powers + fold_sum(level, n) + math.log(fold_product(product, n))


@inline
def sum_squares(level, product, n):
    """Sum of (odds / (1 + odds))^2 over n odds product e^level; NaN stays NaN."""
    for i in range(n):
        t = level[i]
        odds = product[i] * exp(min(max(t, -600.0), 600.0))
        flip = odds / (1.0 + odds) + (t - t)
        level[i] = flip * flip
    return fold_sum(level, n)
