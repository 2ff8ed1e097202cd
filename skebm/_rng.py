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
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from skebm._jit import anywhere, inline
from skebm._simd import splat

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_STREAM_BITS = np.uint64(2)

# Units whose random bits are made together, side by side in vector registers.
BLOCK = 64
_COUNTERS = BLOCK // 4


@anywhere
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
def fill_bits(key, chain, step, stream, block, bits):
    """Write 32 random bits for each of the 64 units of a block; ``bits`` (64,) uint32."""
    # A stream's number is below four; what a step has beyond 32 bits goes above it.
    stream = np.uint64(stream) | ((np.uint64(step) >> _HALF) << _STREAM_BITS)
    fill_block(
        bits, np.uint64(key[0]), np.uint64(key[1]), np.uint64(block) * np.uint64(_COUNTERS),
        np.uint64(chain), np.uint64(step) & _LOW, stream,
    )  # fmt: skip


def fill_block(bits, key_0, key_1, first, chain, step, stream):
    """Words k of counters first + m, m < 16, at ``bits[16 k + m]``."""
    for m in range(_COUNTERS):
        words = philox4x32(key_0, key_1, first + np.uint64(m), chain, step, stream)
        for k in range(4):
            bits[_COUNTERS * k + m] = np.uint32(words[k])


@overload(fill_block)
def _fill_block_in_kernels(bits, key_0, key_1, first, chain, step, stream):
    return lambda bits, key_0, key_1, first, chain, step, stream: _fill_block(
        bits, key_0, key_1, first, chain, step, stream
    )


@intrinsic
def _fill_block(typing_context, bits, key_0, key_1, first, chain, step, stream):
    """The same with a lane for each counter; plain loops become vectors only sometimes."""

    def generate(context, builder, signature, arguments):
        lanes = ir.VectorType(ir.IntType(64), _COUNTERS)
        spread = lambda value: splat(builder, value, lanes)  # noqa: E731
        constant = lambda value: ir.Constant(lanes, [int(value)] * _COUNTERS)  # noqa: E731
        key = [spread(value) for value in arguments[1:3]]
        counter = [spread(value) for value in arguments[3:]]
        counter[0] = builder.add(counter[0], ir.Constant(lanes, list(range(_COUNTERS))))
        for _ in range(10):
            products = [
                builder.mul(counter[0], constant(_MULTIPLIER_0)),
                builder.mul(counter[2], constant(_MULTIPLIER_1)),
            ]
            high = [builder.lshr(product, constant(_HALF)) for product in products]
            low = [builder.and_(product, constant(_LOW)) for product in products]
            counter = [
                builder.xor(builder.xor(high[1], counter[1]), key[0]),
                low[1],
                builder.xor(builder.xor(high[0], counter[3]), key[1]),
                low[0],
            ]
            for half, weyl in enumerate((_WEYL_0, _WEYL_1)):
                key[half] = builder.and_(builder.add(key[half], constant(weyl)), constant(_LOW))
        words = ir.VectorType(ir.IntType(32), _COUNTERS)
        data = cgutils.create_struct_proxy(bits)(context, builder, arguments[0]).data
        for k in range(4):
            place = builder.gep(data, [ir.Constant(ir.IntType(64), k * _COUNTERS)])
            place = builder.bitcast(place, words.as_pointer())
            builder.store(builder.trunc(counter[k], words), place).align = 4
        return context.get_dummy_value()

    return types.void(bits, *[types.uint64] * 6), generate


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


def derive_seed(entropy, *purpose):
    """A seed for functions that take an integer ``random_state``."""
    high, low = derive_key(entropy, *purpose)
    return int(high) << 32 | int(low)


def addressed_uniforms(key, step, first_chain, n_chains, n_units):
    """Uniforms in (0, 1) for energies written in NumPy, (n_chains, n_units) float64.

    Each is a function of (key, step, chain, unit) alone, as the protocol of energies asks.
    """
    units = np.arange(-(-n_units // 4), dtype=np.uint64)[None, :]
    chains = np.uint64(first_chain) + np.arange(n_chains, dtype=np.uint64)[:, None]
    units, chains = np.broadcast_arrays(units, chains)
    step = np.full_like(units, step)
    keys = (np.full_like(units, int(word)) for word in key)
    words = philox4x32(*keys, units, chains, step & _LOW, step >> _HALF)
    return (np.stack(words, axis=2).reshape(n_chains, -1)[:, :n_units] + 0.5) * 2.0**-32


def host_generator(entropy, *purpose):
    """A NumPy generator for the few draws made outside kernels (initial weights, shuffles)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*entropy, *purpose])))
