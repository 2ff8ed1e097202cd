"""Elementary functions for kernels: stable where libraries overflow, and fast in loops.

Numba calls the C library for every single ``exp``. The one here is plain arithmetic, which the
compiler turns into vector instructions; it saturates instead of overflowing, so that
``1 / (1 + exp(-x))`` needs no special cases. All functions take a float32 or a float64 and stay
in that precision.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from skebm._jit import FASTMATH, anywhere, inline

_LOG2_E = 1.4426950408889634
# log 2 in two parts, the first short enough to make its product with a whole number exact.
_LOG2_HIGH_32, _LOG2_LOW_32 = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LOG2_HIGH_64, _LOG2_LOW_64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2_E_32 = np.float32(_LOG2_E)
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (
    1.0 / math.factorial(n) for n in range(2, 14)
)
_S2, _S3, _S4, _S5, _S6, _S7 = (np.float32(1.0 / math.factorial(n)) for n in range(2, 8))

# Longest product of factors between one and two that a float64 holds, with room to spare.
PRODUCT = 512


@anywhere
def _exp32(x):
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    n = np.floor(x * _LOG2_E_32 + np.float32(0.5))
    r = (x - n * _LOG2_HIGH_32) - n * _LOG2_LOW_32
    p = _S2 + r * (_S3 + r * (_S4 + r * (_S5 + r * (_S6 + r * _S7))))
    p = np.float32(1.0) + (r + r * r * p)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@anywhere
def _exp64(x):
    x = min(max(x, -708.0), 709.0)
    n = np.floor(x * _LOG2_E + 0.5)
    r = (x - n * _LOG2_HIGH_64) - n * _LOG2_LOW_64
    p = _C8 + r * (_C9 + r * (_C10 + r * (_C11 + r * (_C12 + r * _C13))))
    p = _C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * (_C6 + r * (_C7 + r * p)))))
    p = 1.0 + (r + r * r * p)
    return p * np.int64((np.int64(np.int32(n)) + np.int64(1023)) << np.int64(52)).view(np.float64)


def exp(x):
    """e^x within two units in the last place; x is cut to where the result is finite."""
    return _exp32(x) if isinstance(x, np.float32) else _exp64(x)


def sigmoid(x):
    """1 / (1 + e^-x)."""
    return 1 / (1 + exp(-x))


@overload(exp, jit_options={"fastmath": FASTMATH})
def _exp_in_kernels(x):
    if x == types.float32:
        return lambda x: _exp32(x)
    return lambda x: _exp64(x)


@overload(sigmoid, jit_options={"fastmath": FASTMATH})
def _sigmoid_in_kernels(x):
    one = np.float32(1.0) if x == types.float32 else 1.0
    return lambda x: one / (one + exp(-x))


def like(x, constant):
    """A constant in the precision of x, which arithmetic with it then keeps."""
    return type(x)(constant)


@overload(like, jit_options={"fastmath": FASTMATH})
def _like_in_kernels(x, constant):
    if x == types.float32:
        return lambda x, constant: np.float32(constant)
    return lambda x, constant: np.float64(constant)


@anywhere
def log_of_normal(x):
    """log(x) of a positive normal float64, as vectorised arithmetic.

    2 artanh of (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)) the mantissa, whose square is below
    0.03; within two units in the last place.
    """
    word = np.float64(x).view(np.int64)
    fraction = word & np.int64(0x000FFFFFFFFFFFFF)
    m = np.int64(fraction | np.int64(0x3FF0000000000000)).view(np.float64)
    large = m > 1.4142135623730951
    m = 0.5 * m if large else m
    n = np.float64(np.int32((word >> np.int64(52)) - np.int64(1022 if large else 1023)))
    z = (m - 1.0) / (m + 1.0)
    q = z * z
    p = 1.0 / 15 + q * (1.0 / 17 + q * (1.0 / 19 + q * (1.0 / 21)))
    p = 1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13 + q * p))))
    p = 1.0 / 3 + q * p
    return n * _LOG2_HIGH_64 + (2.0 * z + (2.0 * z * (q * p) + n * _LOG2_LOW_64))


@inline
def log1p_of_unit(x):
    """log(1 + x) for x in [0, 1], as a vectorised series: 2 artanh of x / (2 + x).

    Above sqrt(2) - 1 the argument 1 + x is halved first, so that the square of the quotient is
    below 0.03; the error is a few units in the last place of 1.
    """
    large = x > like(x, 0.41421356237309503)
    zero, one, two = like(x, 0.0), like(x, 1.0), like(x, 2.0)
    z = (x - (one if large else zero)) / (x + two + (one if large else zero))
    q = z * z
    p = like(x, 1.0 / 17) + q * like(x, 1.0 / 19)
    p = like(x, 1.0 / 11) + q * (like(x, 1.0 / 13) + q * (like(x, 1.0 / 15) + q * p))
    p = like(x, 1.0 / 5) + q * (like(x, 1.0 / 7) + q * (like(x, 1.0 / 9) + q * p))
    p = one + q * (like(x, 1.0 / 3) + q * p)
    return two * z * p + (like(x, 0.6931471805599453) if large else zero)


@inline
def softplus(x):
    """log(1 + e^x), never overflowing, as a float64."""
    return max(np.float64(x), 0.0) + math.log1p(exp(-abs(np.float64(x))))


@inline
def fold_sum(x, n):
    """Sum of the ``n`` first entries, halves upon halves: a fixed order that still vectorises."""
    while n > 1:
        half = (n + 1) // 2
        for j in range(n - half):
            x[j] += x[half + j]
        n = half
    return x[0] if n else 0.0


@inline
def fold_product(x, n):
    """Product of the ``n`` first entries, in the same way."""
    while n > 1:
        half = (n + 1) // 2
        for j in range(n - half):
            x[j] *= x[half + j]
        n = half
    return x[0] if n else 1.0


@inline
def sum_softplus(x, shift, scale, buffer):
    """Sum over j of log(1 + e^{scale (x_j + shift_j)}), one logarithm per many factors.

    log(1 + e^t) = (t + |t|) / 2 + log(1 + e^-|t|); ``buffer`` (2, PRODUCT) float64.
    """
    total = 0.0
    for start in range(0, x.shape[0], PRODUCT):
        n = min(PRODUCT, x.shape[0] - start)
        for j in range(n):
            t = scale * (x[start + j] + shift[start + j])
            buffer[0, j] = np.float64(t + abs(t))
            buffer[1, j] = 1.0 + np.float64(exp(-abs(t)))
        total += 0.5 * fold_sum(buffer[0], n) + math.log(fold_product(buffer[1], n))
    return total
