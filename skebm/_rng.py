"""Random numbers that are addressed, not consumed: Philox4x32-10.

Every uniform is a function of (key, unit, chain, step, stream), so a result does not depend on
how the work was split over threads, and no global state is touched.

References
----------
J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011). Parallel random numbers: as easy as
1, 2, 3. SC '11. https://doi.org/10.1145/2063384.2063405
"""

import numbers

import numpy as np
from numba import types
from numba.extending import overload

from skebm._jit import inline

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_STREAM_BITS = np.uint64(2)


@inline
def philox4x32(key_0, key_1, counter_0, counter_1, counter_2, counter_3):
    """Ten rounds of Philox4x32 on 32-bit words that are kept in unsigned 64-bit integers."""
    for _ in range(10):
        product_0 = counter_0 * _MULTIPLIER_0
        product_1 = counter_2 * _MULTIPLIER_1
        counter_0 = (product_1 >> _HALF) ^ counter_1 ^ key_0
        counter_2 = (product_0 >> _HALF) ^ counter_3 ^ key_1
        counter_1 = product_1 & _LOW
        counter_3 = product_0 & _LOW
        key_0 = (key_0 + _WEYL_0) & _LOW
        key_1 = (key_1 + _WEYL_1) & _LOW
    return counter_0, counter_1, counter_2, counter_3


@inline
def fill_bits(key, chain, step, stream, bits):
    """Write 32 random bits for every unit; ``bits`` (4 * blocks,) uint32, 4 units a block."""
    blocks = bits.shape[0] // 4
    key_0, key_1 = np.uint64(key[0]), np.uint64(key[1])
    # A stream's number is below four; what a step has beyond 32 bits goes above it.
    stream = np.uint64(stream) | ((np.uint64(step) >> _HALF) << _STREAM_BITS)
    chain, step = np.uint64(chain), np.uint64(step) & _LOW
    for block in range(blocks):
        a, b, c, d = philox4x32(key_0, key_1, np.uint64(block), chain, step, stream)
        bits[block] = np.uint32(a)
        bits[blocks + block] = np.uint32(b)
        bits[2 * blocks + block] = np.uint32(c)
        bits[3 * blocks + block] = np.uint32(d)


@inline
def bits_buffer(n):
    """An array for :func:`fill_bits` that serves ``n`` units."""
    return np.empty(4 * ((n + 3) // 4), np.uint32)


def uniform(bits, like):
    """Map 32 bits to the open interval (0, 1), in the precision of ``like``."""
    if isinstance(like, np.float32):
        return (np.float32(bits >> np.uint32(9)) + np.float32(0.5)) * np.float32(2.0**-23)
    return (np.float64(bits) + 0.5) * 2.0**-32


@overload(uniform)
def _uniform_in_kernels(bits, like):
    if like == types.float32:
        half, unit, drop = np.float32(0.5), np.float32(2.0**-23), np.uint32(9)
        return lambda bits, like: (np.float32(bits >> drop) + half) * unit
    return lambda bits, like: (np.float64(bits) + 0.5) * 2.0**-32


def draw_entropy(random_state):
    """Four 32-bit words from None (the operating system), an int, a RandomState or a Generator."""
    if random_state is None:
        words = np.random.SeedSequence().generate_state(4)
    elif isinstance(random_state, numbers.Integral):
        if random_state < 0:
            raise ValueError(f"random_state must not be negative, got {random_state}.")
        words = np.random.SeedSequence(int(random_state)).generate_state(4)
    elif isinstance(random_state, np.random.RandomState):
        words = random_state.randint(0, 2**32, size=4, dtype=np.uint32)
    elif isinstance(random_state, np.random.Generator):
        words = random_state.integers(0, 2**32, size=4, dtype=np.uint32)
    else:
        raise TypeError(
            "random_state must be None, an integer, a numpy RandomState or a numpy Generator, "
            f"got {random_state!r}."
        )
    return tuple(int(word) for word in words)


def derive_key(entropy, *purpose):
    """A kernel's key: two 32-bit words for one purpose, given as a few integers."""
    return np.random.SeedSequence([*entropy, *purpose]).generate_state(2)


def host_generator(entropy, *purpose):
    """A NumPy generator for the few draws made outside kernels (initial weights, shuffles)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*entropy, *purpose])))
