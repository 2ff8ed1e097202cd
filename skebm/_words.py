"""Instructions between numbers and words of 32 bits, each bit a state: see :mod:`skebm._simd`."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from skebm._simd import Vectors, splat


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
