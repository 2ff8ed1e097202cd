"""Exact moments and exact draws of an RBM: the smaller layer is enumerated, as for log Z.

With w(s) = exp(a.s) prod_i (1 + e^{x_i(s)}) of a state s of the smaller layer and the means
m_i(s) = sigmoid(x_i(s)) of the larger one given it, x(s) = d + A's,

    Z = sum_s w(s),  E[s] = sum_s w s / Z,  E[u] = sum_s w m / Z,  E[s u'] = sum_s w s m' / Z.

The tabulated states of a Gray-code step are added up in halves: the upper half of 2^k states is
what belongs to bit k - 1, and is then laid upon the lower one. So a state costs two additions
for each unit, however many bits it has.
"""

import numpy as np
from numba import prange

from skebm._jit import inline, kernel, single_threaded_blas
from skebm._numerics import exp, sigmoid
from skebm._rng import host_generator
from skebm.energies._rbm_exact import (
    LOW_BITS,
    PARALLEL_SECONDS,
    SECONDS_PER_CALL,
    Plan,
    all_states,
    enter_chunk,
    flip,
    layers_of,
    log_sums,
    log_weights,
    lowest_bit,
    seconds_of,
    tables_of,
    units_per_logarithm,
)

# Units of the larger layer whose means are made and added up together.
WIDTH = 64

# Nanoseconds per state and unit of the larger layer on one core, for predictions only.
PRODUCT_NANOSECONDS, SOFTPLUS_NANOSECONDS = 3.0, 30.0

# Values (states times units) of a chunk, chunks at least, and the memory of those of one call.
_CHUNK_VALUES, _FEWEST_CHUNKS, _CALL_BYTES = 2**18, 8, 8e6

# Units of the smaller layer that exact draws are made with.
MOST_SAMPLED_UNITS = 24


def predicted_seconds(A, d):
    """Rough time of :func:`moments` on one core."""
    return _seconds(len(A), len(d), units_per_logarithm(A, d))


def seconds_of_shape(n_hidden, n_visible):
    """The same for weights of which nothing is known but that they are not huge."""
    return _seconds(*sorted((n_hidden, n_visible)), block=1)


def _seconds(n_small, n_large, block):
    bits = min(n_small, 1000)
    return seconds_of(bits, n_large, block, PRODUCT_NANOSECONDS, SOFTPLUS_NANOSECONDS)


# -- moments -----------------------------------------------------------------------------------


def moments(A, a, d):
    """log Z in nats, E[s] (n,), E[u] (N,) and E[s u'] (n, N), in float64 and interruptible."""
    layers = layers_of(A, a, d)
    n_small, n_large = layers.A.shape
    plan = _plan(layers)
    table, offsets = tables_of(layers, plan.low)
    factors = table.T.copy()
    if not plan.block:
        factors = all_states(plan.low) @ layers.A[: plan.low]
    parallel = _seconds(n_small, n_large, plan.block) > PARALLEL_SECONDS
    total, largest = np.zeros((1 + n_small, n_large + 1)), -np.inf
    peaks = np.empty(plan.per_call)
    parts = np.empty((plan.per_call, 1 + plan.low + plan.high, n_large + 1))
    for first in range(0, plan.n_chunks, plan.per_call):
        n = min(plan.per_call, plan.n_chunks - first)
        sum_moments(
            *layers, table, factors, offsets, plan.low, plan.high, plan.block, first, peaks[:n],
            parts[:n], parallel=parallel,
        )  # fmt: skip
        largest = _merge(total, largest, peaks[:n], parts[:n], first)
    mass = total[0, -1]
    total /= mass
    return float(largest + np.log(mass)), total[1:, -1], total[0, :-1], total[1:, :-1]


def _plan(layers):
    n_small, n_large = layers.A.shape
    low = min(LOW_BITS, n_small)
    block = units_per_logarithm(layers.A, layers.d)
    high = int(np.log2(max(1, _CHUNK_VALUES // (max(n_large, 1) << low))))
    high = max(0, min(high, n_small - low - int(np.log2(_FEWEST_CHUNKS))))
    n_chunks = 2 ** (n_small - low - high)
    in_time = SECONDS_PER_CALL / _seconds(low + high, n_large, block)
    in_memory = _CALL_BYTES / (8 * (1 + low + high) * (n_large + 1))
    return Plan(low, high, block, n_chunks, max(1, min(n_chunks, int(min(in_time, in_memory)))))


def _merge(total, largest, peaks, parts, first):
    """Add sums over chunks, each in units of e^peak, to ``total``, in units of e^largest."""
    within = parts.shape[1]
    prefixes = (first + np.arange(len(peaks)))[:, None] >> np.arange(len(total) - within) & 1
    top = max(largest, peaks.max())
    with single_threaded_blas, np.errstate(under="ignore"):
        total *= np.exp(largest - top)
        scale = np.exp(peaks - top)
        total[:within] += np.tensordot(scale, parts, 1)
        total[within:] += (scale[:, None] * prefixes).T @ parts[:, 0]
    return top


@kernel(writes=("peaks", "moments"))
def sum_moments(A, a, d, table, factors, offsets, low, high, block, first, peaks, moments):
    """Sums over chunk ``first + q``: moments[q] times e^{peaks[q]}.

    Row 0 of moments[q] (1 + low + high, N + 1) is sum w m', row 1 + j the same over the states
    whose bit j is on; the last column has m = 1. ``factors`` (2^low, N) are e^{A's} of the
    tabulated bits where units share logarithms (``block`` > 0), else A's.
    """
    for q in prange(peaks.shape[0]):
        peaks[q] = _chunk(
            A, a, d, table, factors, offsets, low, high, block, first + q, moments[q]
        )  # fmt: skip


@inline
def _chunk(A, a, d, table, factors, offsets, low, high, block, chunk, out):
    n_low, n_large = factors.shape
    fields, values = np.empty((2**high, n_large)), np.empty((2**high, n_low))
    x, buffer, rows = d.copy(), np.empty(n_low), np.empty((n_low, WIDTH))
    linear = enter_chunk(A, a, low + high, chunk, x)
    gray = 0
    for step in range(2**high):
        if step > 0:
            bit = lowest_bit(step)
            gray ^= 1 << bit
            linear += flip(A, a, low + bit, (gray >> bit) & 1, x)
        log_weights(A, x, linear, table, offsets, low, block, values[step], buffer)
        for i in range(n_large):
            fields[step, i] = exp(x[i]) if block > 0 else x[i]
    largest = values.max()
    out[:] = 0.0
    gray = 0
    for step in range(2**high):
        if step > 0:
            gray ^= 1 << lowest_bit(step)
        for state in range(n_low):
            buffer[state] = exp(values[step, state] - largest)
        for start in range(0, n_large, WIDTH):
            width = min(WIDTH, n_large - start)
            _weigh_means(fields[step], factors, buffer, block, start, width, rows)
            _fold(rows, width, low, high, gray, start, out)
        for state in range(n_low):
            rows[state, 0] = buffer[state]
        _fold(rows, 1, low, high, gray, n_large, out)
    return largest


@inline
def _weigh_means(field, factors, weights, block, start, width, rows):
    """rows[s, u] <- w_s times the mean of unit ``start + u`` given tabulated state s."""
    for state in range(rows.shape[0]):
        weight = weights[state]
        if block > 0:
            for u in range(width):
                odds = field[start + u] * factors[state, start + u]
                rows[state, u] = weight * odds / (1.0 + odds)
        else:
            for u in range(width):
                rows[state, u] = weight * sigmoid(field[start + u] + factors[state, start + u])


@inline
def _fold(rows, width, low, high, gray, start, out):
    """Add the tabulated states up, each also to the rows of the bits that are on; spoils rows."""
    for bit in range(low - 1, -1, -1):
        half = 1 << bit
        for state in range(half):
            for u in range(width):
                out[1 + bit, start + u] += rows[half + state, u]
                rows[state, u] += rows[half + state, u]
    for u in range(width):
        out[0, start + u] += rows[0, u]
    for bit in range(high):
        if (gray >> bit) & 1:
            for u in range(width):
                out[1 + low + bit, start + u] += rows[0, u]


# -- exact draws -------------------------------------------------------------------------------


def sample(A, a, d, n_samples, entropy):
    """Independent draws of both layers, (n_samples, n) and (n_samples, N) bool.

    First the tabulated block that a state lies in, then the state, then the larger layer given it.
    """
    layers, generator = layers_of(A, a, d), host_generator(entropy)
    low, block = min(LOW_BITS, len(layers.A)), units_per_logarithm(layers.A, layers.d)
    per_call = max(1, int(SECONDS_PER_CALL / seconds_of(low, len(layers.d), block)))
    plan = Plan(low, 0, block, 2 ** (len(layers.A) - low), per_call)
    uniforms = generator.random((2, n_samples))
    of_blocks = log_sums(layers, plan, 0, plan.n_chunks)
    blocks = choose(of_blocks[None], uniforms[0], np.zeros(n_samples, int))
    distinct, which = np.unique(blocks, return_inverse=True)
    states = choose(_state_weights(layers, plan, distinct), uniforms[1], which)
    states = (states + (blocks << low))[:, None] >> np.arange(len(layers.A)) & 1
    larger = np.empty((n_samples, len(layers.d)), bool)
    rows = max(1, 2**20 // max(1, len(layers.d)))
    for start in range(0, n_samples, rows):
        with single_threaded_blas, np.errstate(over="ignore"):
            fields = states[start : start + rows] @ layers.A + layers.d
            # u < sigmoid(x), without a sum that loses what is small beside one
            uniform = generator.random(fields.shape)
            larger[start : start + rows] = uniform * (1.0 + np.exp(-fields)) < 1.0
    return states.astype(bool), larger


def choose(log_weights, uniforms, rows):
    """Column drawn with the weights of its row, one for each uniform."""
    with np.errstate(under="ignore"):
        weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    sums = np.cumsum(weights, axis=1)
    chosen = np.empty(len(uniforms), np.int64)
    if len(sums) == 1:
        chosen[:] = np.searchsorted(sums[0], uniforms * sums[0, -1], side="right")
    else:
        for part in range(0, len(uniforms), 2**14):
            own = sums[rows[part : part + 2**14]]
            below = own <= (uniforms[part : part + 2**14] * own[:, -1].T)[:, None]
            chosen[part : part + 2**14] = below.sum(axis=1)
    return np.minimum(chosen, sums.shape[1] - 1)


def _state_weights(layers, plan, blocks):
    """log w of the tabulated states in each of some blocks, (len(blocks), 2^low)."""
    table, offsets = tables_of(layers, plan.low)
    out = np.empty((len(blocks), len(offsets)))
    large = out.size * seconds_of(0, len(layers.d), plan.block) > PARALLEL_SECONDS
    for first in range(0, len(blocks), plan.per_call):
        part = slice(first, first + plan.per_call)
        weigh_states(
            *layers, table, offsets, plan.low, plan.block, blocks[part], out[part], parallel=large
        )
    return out


@kernel(writes=("out",))
def weigh_states(A, a, d, table, offsets, low, block, blocks, out):
    """out[q, s] <- log w of tabulated state s with the prefix blocks[q]; out (m, 2^low)."""
    for q in prange(out.shape[0]):
        x, product = d.copy(), np.empty(offsets.shape[0])
        linear = enter_chunk(A, a, low, blocks[q], x)
        log_weights(A, x, linear, table, offsets, low, block, out[q], product)
