"""Instructions between numbers and words of 32 bits, each bit a state: see :mod:`skebm._simd`."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from skebm._simd import Vectors, splat

# Factors of a product that are formed in one go.
FACTORS = 8

_FUSED = ("contract",)


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


def multiply_mixtures(product, start, table, first, step, p, q, at, stride, word):
    """product[start + l] *= the product over k < FACTORS of q_k + p_k e, l < 32.

    p_k and q_k are p[at + k * stride] and q[...]; e is table[first + k * step + l], or that
    half a step further on if bit l is set in ``word``.
    """
    on = np.array([int(word) >> bit & 1 for bit in range(32)], dtype=bool)
    for k in range(FACTORS):
        low, place = first + k * step, at + k * stride
        high = low + step // 2
        e = np.where(on, table[high : high + 32], table[low : low + 32])
        product[start : start + 32] *= q[place] + p[place] * e


def add_quotients(change, start, total, table, first, second, g, at, p, q, word):
    """Add g x to change[start + l] and g (x - p) to total[l], l < 32, x = p e / (q + p e).

    Here e is table[first + l] and g is g[at + l]; but where bit l is set in ``word`` e is
    table[second + l], and g x is taken off.
    """
    on = np.array([int(word) >> bit & 1 for bit in range(32)], dtype=bool)
    odds = p * np.where(on, table[second : second + 32], table[first : first + 32])
    x, weights = odds / (q + odds), g[at : at + 32]
    change[start : start + 32] += np.where(on, -weights, weights) * x
    total[:32] += weights * (x - p)


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


@overload(multiply_mixtures)
def _multiply_mixtures_in_kernels(product, start, table, first, step, p, q, at, stride, word):
    return lambda product, start, table, first, step, p, q, at, stride, word: _multiply_mixtures(
        product, start, table, first, step, p, q, at, stride, word
    )


@overload(add_quotients)
def _add_quotients_in_kernels(change, start, total, table, first, second, g, at, p, q, word):
    return lambda change, start, total, table, first, second, g, at, p, q, word: _add_quotients(
        change, start, total, table, first, second, g, at, p, q, word
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
def _multiply_mixtures(typing_context, product, start, table, first, step, p, q, at, stride, word):
    index = types.int64
    signature = types.void(
        product, index, table, index, index, p, q, index, index, types.uint32
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        target = Vectors(context, builder, product, arguments[0], 32)
        rows = Vectors(context, builder, table, arguments[2], 32)
        scalars = [
            cgutils.create_struct_proxy(kind)(context, builder, array).data
            for kind, array in ((p, arguments[5]), (q, arguments[6]))
        ]
        mask = builder.bitcast(arguments[9], ir.VectorType(ir.IntType(1), 32))
        integer = ir.IntType(64)
        half = builder.lshr(arguments[4], ir.Constant(integer, 1))
        result = target.load(arguments[1])
        for k in range(FACTORS):
            row = builder.mul(arguments[4], ir.Constant(integer, k))
            row = builder.add(arguments[3], row)
            e = builder.select(mask, rows.load(builder.add(row, half)), rows.load(row))
            place = builder.mul(arguments[8], ir.Constant(integer, k))
            place = builder.add(arguments[7], place)
            own_p, own_q = (
                splat(builder, builder.load(builder.gep(data, [place])), rows.type)
                for data in scalars
            )
            product_ = builder.fmul(own_p, e, flags=_FUSED)
            result = builder.fmul(result, builder.fadd(product_, own_q, flags=_FUSED))
        target.store(result, arguments[1])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_quotients(typing_context, change, start, total, table, first, second, g, at, p, q, word):
    index, number = types.int64, change.dtype
    signature = types.void(
        change, index, total, table, index, index, g, index, number, number, types.uint32
    )

    def generate(context, builder, signature, arguments):
        changes, totals, rows, weights = (
            Vectors(context, builder, signature.args[k], arguments[k], 32) for k in (0, 2, 3, 6)
        )
        mask = builder.bitcast(arguments[10], ir.VectorType(ir.IntType(1), 32))
        e = builder.select(mask, rows.load(arguments[5]), rows.load(arguments[4]))
        own_p, own_q = (splat(builder, arguments[k], rows.type) for k in (8, 9))
        odds = builder.fmul(own_p, e)
        x = builder.fdiv(odds, builder.fadd(own_q, odds))
        weight = weights.load(arguments[7])
        signed = builder.select(mask, builder.fneg(weight), weight)
        moved = builder.fmul(signed, x, flags=_FUSED)
        changed = builder.fadd(changes.load(arguments[1]), moved, flags=_FUSED)
        changes.store(changed, arguments[1])
        moved = builder.fmul(weight, builder.fsub(x, own_p), flags=_FUSED)
        zero = ir.Constant(ir.IntType(64), 0)
        totals.store(builder.fadd(totals.load(zero), moved, flags=_FUSED), zero)
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
