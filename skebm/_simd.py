"""Instructions that plain loops do not turn into: sums of blocks of numbers.

A block is 256 bytes, 64 float32 or 32 float64: four registers of the widest kind in use today,
and a whole number of narrower ones. The code is LLVM's portable one, in a fixed order, so that
these instructions give the same bits on every processor that has fused multiply-adds. Arrays are
flat; starts and offsets count elements.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

_BLOCK_BYTES = 256

# What vector loads like; a block that straddles two cache lines takes twice as long.
ALIGNMENT = 64


def lanes(array):
    """Numbers of one block: 64 in float32, 32 in float64."""
    return _BLOCK_BYTES // array.dtype.itemsize


@overload(lanes)
def _lanes_in_kernels(array):
    count = _BLOCK_BYTES * 8 // array.dtype.bitwidth
    return lambda array: count


def add_blocks(out, start, source, offsets):
    """out[start + l] += source[offsets[0] + l] + source[offsets[1] + l] ..., summed beforehand."""
    n = lanes(out)
    total = source[offsets[0] : offsets[0] + n]
    for offset in offsets[1:]:
        total = total + source[offset : offset + n]
    out[start : start + n] += total


def add_scaled(out, start, value, source, offset):
    """out[start + l] += value * source[offset + l]."""
    n = lanes(out)
    out[start : start + n] += value * source[offset : offset + n]


def combine_blocks(out, start, weights, indices, first, last, source):
    """out[start + l] += the sum over first <= k < last of weights[k] source[L indices[k] + l].

    L is the length of a block; the terms are added to ``out`` in their order.
    """
    n = lanes(out)
    for k in range(first, last):
        low = n * indices[k]
        out[start : start + n] += weights[k] * source[low : low + n]


def dot_blocks(x, start, y, offset):
    """Sum over l of x[start + l] * y[offset + l] in float64, halves upon halves."""
    n = lanes(x)
    products = x[start : start + n].astype(np.float64) * y[offset : offset + n]
    while len(products) > 1:
        products = products[: len(products) // 2] + products[len(products) // 2 :]
    return products[0]


def transpose_square(source, start, stride, target, offset, step):
    """target[offset + k * step + l] <- source[start + l * stride + k], k and l below the side."""
    side = square_side(source)
    for k in range(side):
        for i in range(side):
            target[offset + k * step + i] = source[start + i * stride + k]


def square_side(array):
    """Rows and columns of a square: what one wide register holds, 16 float32 or 8 float64."""
    return lanes(array) // 4


def tabulate_sums(table, start, source, offset):
    """Block s of ``table`` <- the sum of those of four blocks of ``source`` that s has bits for."""
    n = lanes(table)
    four = source[offset : offset + 4 * n].reshape(4, n)
    for subset in range(16):
        block = table[start + subset * n : start + (subset + 1) * n]
        block[:] = 0
        for bit in range(4):
            if (subset >> bit) & 1:
                block += four[bit]


@overload(add_blocks)
def _add_blocks_in_kernels(out, start, source, offsets):
    return lambda out, start, source, offsets: _add_blocks(out, start, source, offsets)


@overload(add_scaled)
def _add_scaled_in_kernels(out, start, value, source, offset):
    return lambda out, start, value, source, offset: _add_scaled(out, start, value, source, offset)


@overload(combine_blocks)
def _combine_blocks_in_kernels(out, start, weights, indices, first, last, source):
    return lambda out, start, weights, indices, first, last, source: _combine_blocks(
        out, start, weights, indices, first, last, source
    )


@overload(dot_blocks)
def _dot_blocks_in_kernels(x, start, y, offset):
    return lambda x, start, y, offset: _dot_blocks(x, start, y, offset)


@overload(transpose_square)
def _transpose_square_in_kernels(source, start, stride, target, offset, step):
    return lambda source, start, stride, target, offset, step: _transpose_square(
        source, start, stride, target, offset, step
    )


@overload(square_side)
def _square_side_in_kernels(array):
    side = _count(array) // 4
    return lambda array: side


@overload(tabulate_sums)
def _tabulate_sums_in_kernels(table, start, source, offset):
    return lambda table, start, source, offset: _tabulate_sums(table, start, source, offset)


class Vectors:
    """The elements of a flat array, to be loaded and stored many at a time."""

    def __init__(self, context, builder, array_type, array, count):
        self._builder = builder
        self._data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
        element = context.get_data_type(array_type.dtype)
        self.type = ir.VectorType(element, count)
        self._bytes = array_type.dtype.bitwidth // 8

    def _pointer(self, offset):
        element = self._builder.gep(self._data, [offset])
        return self._builder.bitcast(element, self.type.as_pointer())

    def load(self, offset):
        """LLVM code that reads a vector, wherever in memory it begins."""
        value = self._builder.load(self._pointer(offset))
        value.align = self._bytes
        return value

    def store(self, value, offset):
        """LLVM code that writes one."""
        self._builder.store(value, self._pointer(offset)).align = self._bytes


def splat(builder, value, vector):
    """LLVM code for a vector of this type whose elements are all ``value``."""
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(first, empty, everywhere)


def _count(array_type):
    return _BLOCK_BYTES * 8 // array_type.dtype.bitwidth


@intrinsic
def _add_blocks(typing_context, out, start, source, offsets):
    signature = types.void(out, types.int64, source, types.UniTuple(types.int64, len(offsets)))

    def generate(context, builder, signature, arguments):
        count = _count(out)
        target = Vectors(context, builder, out, arguments[0], count)
        blocks = Vectors(context, builder, source, arguments[2], count)
        total = blocks.load(builder.extract_value(arguments[3], 0))
        for k in range(1, len(offsets)):
            total = builder.fadd(total, blocks.load(builder.extract_value(arguments[3], k)))
        target.store(builder.fadd(target.load(arguments[1]), total), arguments[1])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_scaled(typing_context, out, start, value, source, offset):
    signature = types.void(out, types.int64, out.dtype, source, types.int64)

    def generate(context, builder, signature, arguments):
        target = Vectors(context, builder, out, arguments[0], _count(out))
        block = Vectors(context, builder, source, arguments[3], _count(out)).load(arguments[4])
        added = builder.fmul(splat(builder, arguments[2], target.type), block)
        target.store(builder.fadd(target.load(arguments[1]), added), arguments[1])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _combine_blocks(typing_context, out, start, weights, indices, first, last, source):
    integer = types.int64
    signature = types.void(out, integer, weights, indices, integer, integer, source)

    def generate(context, builder, signature, arguments):
        count, fused = _count(out), ("contract",)
        target = Vectors(context, builder, out, arguments[0], count)
        blocks = Vectors(context, builder, source, arguments[6], count)
        weight, index = (
            cgutils.create_struct_proxy(kind)(context, builder, array).data
            for kind, array in zip((weights, indices), arguments[2:4])
        )
        total = cgutils.alloca_once_value(builder, target.load(arguments[1]))
        length = builder.sub(arguments[5], arguments[4])
        with cgutils.for_range(builder, length) as loop:
            k = builder.add(arguments[4], loop.index)
            number = builder.sext(builder.load(builder.gep(index, [k])), ir.IntType(64))
            block = blocks.load(builder.mul(number, ir.Constant(ir.IntType(64), count)))
            factor = splat(builder, builder.load(builder.gep(weight, [k])), target.type)
            product = builder.fmul(factor, block, flags=fused)
            builder.store(builder.fadd(builder.load(total), product, flags=fused), total)
        target.store(builder.load(total), arguments[1])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _dot_blocks(typing_context, x, start, y, offset):
    signature = types.float64(x, types.int64, y, types.int64)

    def generate(context, builder, signature, arguments):
        count = _count(x)
        wide = ir.VectorType(ir.DoubleType(), count)
        factors = [
            Vectors(context, builder, kind, array, count).load(first)
            for kind, array, first in ((x, *arguments[:2]), (y, *arguments[2:]))
        ]
        if x.dtype.bitwidth < 64:
            factors = [builder.fpext(factor, wide) for factor in factors]
        total = builder.fmul(*factors)
        while count > 1:
            count //= 2
            halves = [
                builder.shuffle_vector(total, total, _lane_numbers(range(first, first + count)))
                for first in (0, count)
            ]
            total = builder.fadd(*halves)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return signature, generate


def _lane_numbers(numbers):
    numbers = list(numbers)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


@intrinsic
def _transpose_square(typing_context, source, start, stride, target, offset, step):
    signature = types.void(source, *[types.int64] * 2, target, *[types.int64] * 2)

    def generate(context, builder, signature, arguments):
        side = _count(source) // 4
        rows = Vectors(context, builder, source, arguments[0], side)
        columns = Vectors(context, builder, target, arguments[3], side)
        at = lambda k, first, step: builder.add(  # noqa: E731
            first, builder.mul(step, ir.Constant(ir.IntType(64), k))
        )
        square = [rows.load(at(k, *arguments[1:3])) for k in range(side)]
        distance = 1
        while distance < side:  # swap the off-diagonal halves of ever larger squares
            for k in range(side):
                if not k & distance:
                    pair = square[k], square[k + distance]
                    for first, row in ((0, k), (distance, k + distance)):
                        square[row] = _interleave(builder, pair, first, distance)
            distance *= 2
        for k, column in enumerate(square):
            columns.store(column, at(k, *arguments[4:]))
        return context.get_dummy_value()

    return signature, generate


def _interleave(builder, pair, first, distance):
    """Groups of ``distance`` elements of two vectors in turn, from group 0 or 1 on."""
    count = pair[0].type.count
    chosen = [
        lane + first if not lane & distance else lane + first - distance + count
        for lane in range(count)
    ]
    return builder.shuffle_vector(*pair, _lane_numbers(chosen))


@intrinsic
def _tabulate_sums(typing_context, table, start, source, offset):
    signature = types.void(table, types.int64, source, types.int64)

    def generate(context, builder, signature, arguments):
        count = _count(table)
        target = Vectors(context, builder, table, arguments[0], count)
        blocks = Vectors(context, builder, source, arguments[2], count)
        step = lambda first, k: builder.add(first, ir.Constant(ir.IntType(64), k * count))  # noqa: E731
        sums = [ir.Constant(target.type, None)]
        for bit in range(4):
            block = blocks.load(step(arguments[3], bit))
            sums += [block] + [builder.fadd(value, block) for value in sums[1:]]
        for subset, value in enumerate(sums):
            target.store(value, step(arguments[1], subset))
        return context.get_dummy_value()

    return signature, generate
