"""Elementary functions against the C library and NumPy, in units in the last place."""

import math

import numba
import numpy as np
import pytest
import reference
from compiled import called

from skebm._numerics import PRODUCT, exp, sigmoid, softplus, sum_softplus

DTYPES = [np.float32, np.float64]


@numba.njit
def exp_of(x):
    return np.array([exp(value) for value in x])


@numba.njit
def sigmoid_of(x):
    return np.array([sigmoid(value) for value in x])


def grid(low, high, dtype):
    """A dense grid, random points between, and the neighbours of zero."""
    points = np.random.default_rng(0).uniform(low, high, 100_000)
    small = 10.0 ** np.linspace(-30, 0, 200)
    x = np.concatenate([np.linspace(low, high, 100_001), points, small, -small, [0.0, -0.0]])
    return x.astype(dtype)


def errors_in_ulps(computed, exact):
    """Largest error in units in the last place of ``computed.dtype``; ``exact`` is longer."""
    unit = np.spacing(np.abs(exact).astype(computed.dtype)).astype(np.longdouble)
    return float((np.abs(computed.astype(np.longdouble) - exact) / unit).max())


@pytest.mark.parametrize("dtype, low, high", [(np.float32, -87, 88), (np.float64, -708, 709)])
def test_exp_within_two_ulps(dtype, low, high):
    x = grid(low, high, dtype)
    exact = np.exp(x.astype(np.longdouble))
    compiled = exp_of(x)
    assert compiled.dtype == dtype
    assert errors_in_ulps(compiled, exact) < 2.0
    plain = np.array([exp(value) for value in x[::500]], dtype=dtype)
    assert errors_in_ulps(plain, exact[::500]) < 2.0


@pytest.mark.parametrize("dtype, low", [(np.float32, -80), (np.float64, -700)])
def test_sigmoid_within_four_ulps(dtype, low):
    """exp is good to 2, the sum and the division add less than one each."""
    x = grid(low, 40, dtype)
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    compiled = sigmoid_of(x)
    assert compiled.dtype == dtype
    assert errors_in_ulps(compiled, exact) < 4.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes_saturate(dtype):
    x = np.array([-1e4, -1e3, 1e3, 1e4], dtype=dtype)
    e, s = exp_of(x), sigmoid_of(x)
    tiny = 2 * np.finfo(dtype).tiny
    assert np.isfinite(e).all()
    assert (0 <= e[:2]).all() and (e[:2] < tiny).all()
    assert (e[2:] > np.finfo(dtype).max / 4).all()
    assert (0 <= s[:2]).all() and (s[:2] < 8 * tiny).all()
    assert (s[2:] == 1).all()
    assert (0 <= np.array([called(softplus)(value) for value in x[:2]])).all()
    assert max(called(softplus)(value) for value in x[:2]) < 1e-300
    assert [called(softplus)(value) for value in x[2:]] == [1e3, 1e4]


def test_softplus():
    x = grid(-300, 300, np.float64)[::20]
    computed = np.array([called(softplus)(value) for value in x])
    exact = np.logaddexp(np.longdouble(0), x.astype(np.longdouble))
    assert (np.abs(computed - exact) <= 4 * np.spacing(exact.astype(float))).all()
    assert type(called(softplus)(np.float32(1.0))) is float


@pytest.mark.parametrize("n", [0, 1, 7, PRODUCT - 1, PRODUCT, PRODUCT + 1, 3 * PRODUCT + 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sum_softplus(dtype, n):
    """One logarithm for many factors loses less than one unit of the dtype per term."""
    rng = np.random.default_rng(n)
    for scale in (1e-3, 1.0, 30.0, 1e4):
        x, shift = rng.normal(0, scale, (2, n)).astype(dtype)
        hot = dtype(0.7)
        terms = [reference.softplus(float(t)) for t in hot * (x + shift)]
        size = math.fsum(abs(float(t)) + 1.0 for t in hot * (x + shift))
        error = abs(called(sum_softplus)(x, shift, hot, np.empty((2, PRODUCT))) - math.fsum(terms))
        assert error <= 2 * np.finfo(dtype).eps * size


def test_sum_softplus_of_many_equal_terms():
    """A product of factors two would overflow without the blocks: 2^2000."""
    zeros = np.zeros(2000)
    total = called(sum_softplus)(zeros, zeros, 1.0, np.empty((2, PRODUCT)))
    assert total == pytest.approx(2000 * math.log(2), rel=1e-13)
