"""Exact log Z of an RBM: the smaller layer is enumerated, the larger one summed in closed form.

log Z = log sum_s exp(a.s + sum_i log(1 + e^{x_i(s)})), x(s) = d + A's, where s runs over the
2^n states of the smaller layer with biases a (n,), d (N,) are the biases of the larger layer and
A (n, N) the weights.
"""

import math

import numpy as np
from numba import prange
from scipy.special import logsumexp

from skebm._jit import inline, kernel
from skebm._numerics import exp, softplus

LOW_BITS = 6  # states tabulated side by side
CHUNK_BITS = 8  # Gray-code steps of one chunk

# Nanoseconds per state and unit of the larger layer on one core, for predictions only: with
# products, and with a logarithm for every unit.
PRODUCT_NANOSECONDS, SOFTPLUS_NANOSECONDS = 0.5, 15.0

_SECONDS_PER_CALL = 0.05

# Predicted seconds on one core beyond which nothing is started.
LONGEST = 3600.0


def predicted_seconds(A, d):
    """Rough time of the enumeration on one core."""
    return _seconds(min(len(A), 1000), d, _units_per_logarithm(A, d))


def _seconds(bits, d, block):
    each = PRODUCT_NANOSECONDS if block else SOFTPLUS_NANOSECONDS
    return 2.0**bits * max(len(d), 1) * each * 1e-9


def log_partition(A, a, d):
    """log Z in nats, accurate to rounding; interruptible, and the same for any thread count."""
    A, a, d = (np.ascontiguousarray(array, dtype=np.float64) for array in (A, a, d))
    n_small = len(A)
    low = min(LOW_BITS, n_small)
    block = _units_per_logarithm(A, d)
    high = min(CHUNK_BITS, n_small - low)
    while high > 0 and _seconds(low + high, d, block) > _SECONDS_PER_CALL:
        high -= 1
    table = np.exp(np.clip(_all_states(low) @ A[:low], -708, 709)).T.copy()
    offsets = _all_states(low) @ a[:low]
    chunks = 2 ** (n_small - low - high)
    partial = np.empty(chunks)
    per_call = max(1, int(_SECONDS_PER_CALL / _seconds(low + high, d, block)))
    for first in range(0, chunks, per_call):
        last = min(chunks, first + per_call)
        _enumerate(A, a, d, table, offsets, low, high, block, first, partial[first:last])
    return float(logsumexp(partial))


def _all_states(bits):
    """(2^bits, bits) table of 0 and 1, the first bit running fastest."""
    return ((np.arange(2**bits)[:, None] >> np.arange(bits)) & 1).astype(np.float64)


def _units_per_logarithm(A, d):
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
    n_small, n_large = A.shape
    n_low = offsets.shape[0]
    x = d.copy()
    linear = 0.0
    for bit in range(n_small - low - high):
        if (chunk >> bit) & 1:
            linear += a[low + high + bit]
            x += A[low + high + bit]
    values, product = np.empty(n_low), np.empty(n_low)
    largest, total = -np.inf, 0.0
    gray = 0
    for step in range(2**high):
        if step > 0:
            bit = _lowest_bit(step)
            gray ^= 1 << bit
            sign = 1.0 if (gray >> bit) & 1 else -1.0
            linear += sign * a[low + bit]
            for i in range(n_large):
                x[i] += sign * A[low + bit, i]
        for state in range(n_low):
            values[state] = linear + offsets[state]
        if block > 0:
            _add_products(x, table, block, values, product)
        else:
            _add_softplus(A, x, low, values)
        peak = values.max()
        if peak > largest:
            total *= math.exp(largest - peak)
            largest = peak
        for state in range(n_low):
            total += exp(values[state] - largest)
    return largest + math.log(total)


@inline
def _lowest_bit(number):
    bit = 0
    while not (number >> bit) & 1:
        bit += 1
    return bit


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
