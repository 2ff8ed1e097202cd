"""Exact log Z of an RBM: the smaller layer is enumerated, the larger one summed in closed form.

log Z = log sum_s exp(a.s + sum_i log(1 + e^{x_i(s)})), x(s) = d + A's, where s runs over the
2^n states of the smaller layer with biases a (n,), d (N,) are the biases of the larger layer and
A (n, N) the weights. The states are cut into chunks that share their last bits, the prefix; each
is summed by itself, so that a chunk's bits do not depend on where and beside what it is summed.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numba import prange
from scipy.special import logsumexp

from skebm._distribute import is_distributed, over_workers
from skebm._jit import inline, kernel, single_threaded_blas
from skebm._numerics import exp, softplus

LOW_BITS = 6  # states tabulated side by side
CHUNK_BITS = 8  # Gray-code steps of one chunk

# Nanoseconds per state and unit of the larger layer on one core, for predictions only: with
# products, and with a logarithm for every unit.
PRODUCT_NANOSECONDS, SOFTPLUS_NANOSECONDS = 0.5, 15.0

SECONDS_PER_CALL = 0.05

# Less work is done by one thread.
PARALLEL_SECONDS = 1e-3

# Predicted seconds on one core from which other processes are asked to help, and what one task
# then takes, unless there would be too many of them.
WORTH_SENDING, _SECONDS_PER_TASK, _MOST_TASKS = 1.0, 0.2, 1024


class Layers(NamedTuple):
    """Weights (n, N), biases (n,) of the smaller layer and (N,) of the larger one, in float64."""

    A: np.ndarray
    a: np.ndarray
    d: np.ndarray


class Plan(NamedTuple):
    """How states are cut into chunks.

    A state is ``low`` tabulated bits, then ``high`` bits of a Gray code, then the number of its
    chunk; ``block`` units share a logarithm; ``per_call`` chunks make one kernel call.
    """

    low: int
    high: int
    block: int
    n_chunks: int
    per_call: int


def layers_of(A, a, d):
    """:class:`Layers` of arrays in any precision."""
    return Layers(*(np.ascontiguousarray(array, dtype=np.float64) for array in (A, a, d)))


def predicted_seconds(A, d):
    """Rough time of the enumeration on one core."""
    return seconds_of(min(len(A), 1000), len(d), units_per_logarithm(A, d))


def seconds_of(bits, n_large, block, product=PRODUCT_NANOSECONDS, other=SOFTPLUS_NANOSECONDS):
    """Rough time of 2^bits states on one core."""
    return 2.0**bits * max(n_large, 1) * (product if block else other) * 1e-9


def log_partition(A, a, d):
    """log Z in nats, accurate to rounding; interruptible, and the same bits wherever it is made."""
    layers = layers_of(A, a, d)
    plan = _plan(layers)
    seconds = predicted_seconds(layers.A, layers.d)
    if seconds > WORTH_SENDING and is_distributed():
        n_tasks = min(plan.n_chunks, _MOST_TASKS, math.ceil(seconds / _SECONDS_PER_TASK))
        edges = [task * plan.n_chunks // n_tasks for task in range(n_tasks + 1)]
        tasks = [(layers, plan, *ends) for ends in itertools.pairwise(edges)]
        partial = np.concatenate(over_workers(_on_one_core, tasks))
    else:
        partial = log_sums(layers, plan, 0, plan.n_chunks)
    return float(logsumexp(partial))


def _plan(layers):
    n_small = len(layers.A)
    low = min(LOW_BITS, n_small)
    block = units_per_logarithm(layers.A, layers.d)
    high = min(CHUNK_BITS, n_small - low)
    while high > 0 and seconds_of(low + high, len(layers.d), block) > SECONDS_PER_CALL:
        high -= 1
    per_call = max(1, int(SECONDS_PER_CALL / seconds_of(low + high, len(layers.d), block)))
    return Plan(low, high, block, 2 ** (n_small - low - high), per_call)


def log_sums(layers, plan, first, last, *, parallel=True):
    """Log-sums over the states of each of the chunks ``first`` ... ``last - 1``, in nats."""
    table, offsets = tables_of(layers, plan.low)
    partial = np.empty(last - first)
    states = len(partial) * 2.0 ** (plan.low + plan.high)
    large = states * seconds_of(0, len(layers.d), plan.block) > PARALLEL_SECONDS
    for start in range(first, last, plan.per_call):
        stop = min(last, start + plan.per_call)
        _enumerate(
            *layers, table, offsets, plan.low, plan.high, plan.block, start,
            partial[start - first : stop - first], parallel=parallel and large,
        )  # fmt: skip
    return partial


def _on_one_core(layers, plan, first, last):
    return log_sums(layers, plan, first, last, parallel=False)


def tables_of(layers, low):
    """e^{A's} (N, 2^low) and a.s (2^low,) of the states of the ``low`` first units alone."""
    states = all_states(low)
    with single_threaded_blas:
        table = np.exp(np.clip(states @ layers.A[:low], -708, 709)).T.copy()
        return table, states @ layers.a[:low]


def all_states(bits):
    """(2^bits, bits) table of 0 and 1, the first bit running fastest."""
    return ((np.arange(2**bits)[:, None] >> np.arange(bits)) & 1).astype(np.float64)


def units_per_logarithm(A, d):
    """Units whose factors 1 + e^x may be multiplied without overflow; 0 if not even one."""
    if d.size == 0:
        return 1
    if (np.abs(A).sum(axis=0) + np.abs(d)).max() > 300.0:
        return 0
    largest = np.logaddexp(0.0, d + np.maximum(A, 0.0).sum(axis=0)).max()
    return int(np.clip(680.0 / largest, 1, 1024))


@kernel(writes=("out",))
def _enumerate(A, a, d, table, offsets, low, high, block, first, out):
    """out[q] <- log-sum over the states of chunk ``first + q``.

    The ``low`` first bits are tabulated (table (N, 2^low) = e^{A's}, offsets (2^low,) = a.s), the
    next ``high`` ones follow a Gray code, the others are the chunk's number.
    """
    for q in prange(out.shape[0]):
        out[q] = _chunk(A, a, d, table, offsets, low, high, block, first + q)


@inline
def _chunk(A, a, d, table, offsets, low, high, block, chunk):
    n_low = offsets.shape[0]
    x, values, product = d.copy(), np.empty(n_low), np.empty(n_low)
    linear = enter_chunk(A, a, low + high, chunk, x)
    largest, total = -np.inf, 0.0
    gray = 0
    for step in range(2**high):
        if step > 0:
            bit = lowest_bit(step)
            gray ^= 1 << bit
            linear += flip(A, a, low + bit, (gray >> bit) & 1, x)
        log_weights(A, x, linear, table, offsets, low, block, values, product)
        peak = values.max()
        if peak > largest:
            total *= math.exp(largest - peak)
            largest = peak
        for state in range(n_low):
            total += exp(values[state] - largest)
    return largest + math.log(total)


@inline
def enter_chunk(A, a, within, chunk, x):
    """Add to the fields x what the prefix of a chunk adds to them; returns a.s of the prefix."""
    linear = 0.0
    for bit in range(A.shape[0] - within):
        if (chunk >> bit) & 1:
            linear += flip(A, a, within + bit, True, x)
    return linear


@inline
def flip(A, a, unit, on, x):
    """Switch a unit in the fields x; returns the change of a.s."""
    sign = 1.0 if on else -1.0
    for i in range(x.shape[0]):
        x[i] += sign * A[unit, i]
    return sign * a[unit]


@inline
def lowest_bit(number):
    """Place of the last 1 of a positive number: the bit that a Gray code flips at that step."""
    bit = 0
    while not (number >> bit) & 1:
        bit += 1
    return bit


@inline
def log_weights(A, x, linear, table, offsets, low, block, values, product):
    """values_s <- linear + a.s + sum_i log(1 + e^{field_i}) of the states of the tabulated bits."""
    for state in range(values.shape[0]):
        values[state] = linear + offsets[state]
    if block > 0:
        _add_products(x, table, block, values, product)
    else:
        _add_softplus(A, x, low, values)


@inline
def _add_products(x, table, block, values, product):
    """values_s += sum_i log(1 + e^{x_i} table_is), with one logarithm per ``block`` units."""
    for start in range(0, x.shape[0], block):
        product[:] = 1.0
        for i in range(start, min(start + block, x.shape[0])):
            weight = exp(x[i])
            for state in range(product.shape[0]):
                product[state] *= 1.0 + weight * table[i, state]
        for state in range(product.shape[0]):
            values[state] += math.log(product[state])


@inline
def _add_softplus(A, x, low, values):
    """The same for fields of any size, one logarithm per unit and state."""
    for state in range(values.shape[0]):
        for i in range(x.shape[0]):
            field = x[i]
            for bit in range(low):
                if (state >> bit) & 1:
                    field += A[bit, i]
            values[state] += softplus(field)
