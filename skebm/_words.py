"""Instructions between numbers and words of 32 bits, each bit a state: see :mod:`skebm._simd`."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from skebm._simd import Vectors, splat

# Factors of a product that are formed in one go.
FACTORS = 8


def add_masked(out, start, value, word):
    """out[start + l] += value for every bit l that is set in ``word``, of 32."""
    for bit in range(32):
        if (int(word) >> bit) & 1:
            out[start + bit] += value


def add_selected(out, start, source, offset, word):
    """out[start + l] += source[offset + l] for every bit l that is set in ``word``, of 32."""
    for bit in range(32):
        if (int(word) >> bit) & 1:
            out[start + bit] += source[offset + bit]


def multiply_factors(product, start, tau, first, step, a, at, word):
    """product[start + l] *= the product over k < FACTORS of 1 + a[at + k] * t, l < 32.

    Here t is tau[first + k * step + l], or minus that if bit l is set in ``word``.
    """
    sign = np.array([-1 if (int(word) >> bit) & 1 else 1 for bit in range(32)], tau.dtype)
    for k in range(FACTORS):
        low = first + k * step
        product[start : start + 32] *= 1 + a[at + k] * (sign * tau[low : low + 32])


def signs(x, start):
    """A word whose bit l, of 32, is whether x[start + l] < 0."""
    return np.packbits(x[start : start + 32] < 0, bitorder="little").view("<u4")[0]


def count_ones(word):
    """Number of bits that are set in 32."""
    return int(word).bit_count()


def write_ones(out, start, word, first):
    """out[start ...] <- first + the numbers of the bits set in ``word``; returns how many.

    Up to eight elements after the last one are overwritten.
    """
    ones = [bit for bit in range(32) if (int(word) >> bit) & 1]
    out[start : start + len(ones)] = first + np.array(ones, out.dtype)
    return len(ones)


@overload(add_masked)
def _add_masked_in_kernels(out, start, value, word):
    return lambda out, start, value, word: _add_masked(out, start, value, word)


@overload(add_selected)
def _add_selected_in_kernels(out, start, source, offset, word):
    return lambda out, start, source, offset, word: _add_selected(out, start, source, offset, word)


@overload(multiply_factors)
def _multiply_factors_in_kernels(product, start, tau, first, step, a, at, word):
    return lambda product, start, tau, first, step, a, at, word: _multiply_factors(
        product, start, tau, first, step, a, at, word
    )


@overload(signs)
def _signs_in_kernels(x, start):
    return lambda x, start: _signs(x, start)


@overload(count_ones)
def _count_ones_in_kernels(word):
    return lambda word: np.int64(_count_ones(word))


@overload(write_ones)
def _write_ones_in_kernels(out, start, word, first):
    return lambda out, start, word, first: _write_ones(out, start, word, first)


@intrinsic
def _add_masked(typing_context, out, start, value, word):
    signature = types.void(out, types.int64, out.dtype, types.uint32)

    def generate(context, builder, signature, arguments):
        target = Vectors(context, builder, out, arguments[0], 32)
        values = splat(builder, arguments[2], target.type)
        _add_where(builder, target, arguments[1], values, arguments[3])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_selected(typing_context, out, start, source, offset, word):
    signature = types.void(out, types.int64, source, types.int64, types.uint32)

    def generate(context, builder, signature, arguments):
        target = Vectors(context, builder, out, arguments[0], 32)
        values = Vectors(context, builder, source, arguments[2], 32).load(arguments[3])
        if source.dtype.bitwidth < out.dtype.bitwidth:
            values = builder.fpext(values, target.type)
        _add_where(builder, target, arguments[1], values, arguments[4])
        return context.get_dummy_value()

    return signature, generate


def _add_where(builder, target, start, values, word):
    """Add those of 32 values whose bit is set in ``word``."""
    nothing = ir.Constant(target.type, None)
    mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), 32))
    added = builder.select(mask, values, nothing)
    target.store(builder.fadd(target.load(start), added), start)


@intrinsic
def _multiply_factors(typing_context, product, start, tau, first, step, a, at, word):
    signature = types.void(
        product, types.int64, tau, types.int64, types.int64, a, types.int64, types.uint32
    )

    def generate(context, builder, signature, arguments):
        target = Vectors(context, builder, product, arguments[0], 32)
        rows = Vectors(context, builder, tau, arguments[2], 32)
        scalars = cgutils.create_struct_proxy(a)(context, builder, arguments[5]).data
        bits = ir.VectorType(ir.IntType(tau.dtype.bitwidth), 32)
        negative = ir.Constant(bits, [1 << (tau.dtype.bitwidth - 1)] * 32)
        mask = builder.bitcast(arguments[7], ir.VectorType(ir.IntType(1), 32))
        flip = builder.select(mask, negative, ir.Constant(bits, None))
        one, fused = ir.Constant(rows.type, [1.0] * 32), ("contract",)
        result = target.load(arguments[1])
        for k in range(FACTORS):
            place = builder.mul(arguments[4], ir.Constant(ir.IntType(64), k))
            t = builder.bitcast(rows.load(builder.add(arguments[3], place)), bits)
            t = builder.bitcast(builder.xor(t, flip), rows.type)
            place = builder.add(arguments[6], ir.Constant(ir.IntType(64), k))
            scalar = splat(builder, builder.load(builder.gep(scalars, [place])), rows.type)
            factor = builder.fadd(builder.fmul(scalar, t, flags=fused), one, flags=fused)
            result = builder.fmul(result, factor)
        target.store(result, arguments[1])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _signs(typing_context, x, start):
    def generate(context, builder, signature, arguments):
        numbers = Vectors(context, builder, x, arguments[0], 32)
        zero = ir.Constant(numbers.type, None)
        negative = builder.fcmp_ordered("<", numbers.load(arguments[1]), zero)
        return builder.bitcast(negative, ir.IntType(32))

    return types.uint32(x, types.int64), generate


@intrinsic
def _count_ones(typing_context, word):
    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint32(types.uint32), generate


# The numbers of the set bits of every byte, then zeros.
_ONES = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]
_ONES_OF_BYTES = b"".join(bytes(ones).ljust(8, b"\0") for ones in _ONES)


@intrinsic
def _write_ones(typing_context, out, start, word, first):
    """Byte by byte: eight numbers are looked up and written, of which some count."""

    def generate(context, builder, signature, arguments):
        numbers = Vectors(context, builder, out, arguments[0], 8)
        integer, few = ir.IntType(64), ir.VectorType(ir.IntType(8), 8)
        table = cgutils.global_constant(
            builder.module, "ones_of_bytes", cgutils.make_bytearray(_ONES_OF_BYTES)
        )
        table.align = 8
        table = builder.bitcast(table, few.as_pointer())
        word, place = builder.zext(arguments[2], integer), arguments[1]
        for shift in range(0, 32, 8):
            byte = builder.lshr(word, ir.Constant(integer, shift))
            byte = builder.and_(byte, ir.Constant(integer, 255))
            ones = builder.load(builder.gep(table, [byte]))
            ones.align = 8
            base = builder.trunc(arguments[3], numbers.type.element)
            base = builder.add(base, ir.Constant(numbers.type.element, shift))
            ones = builder.add(builder.zext(ones, numbers.type), splat(builder, base, numbers.type))
            numbers.store(ones, place)
            place = builder.add(place, builder.ctpop(byte))
        return builder.sub(place, arguments[1])

    return types.int64(out, types.int64, types.uint32, types.int64), generate
