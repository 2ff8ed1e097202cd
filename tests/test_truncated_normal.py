"""Draws of truncated normals and their masses: against logarithms, limits and quadrature."""

import numpy as np
import pytest
import reference
from scipy import stats

from skebm.energies import Gaussian, IndependentNormals
from skebm.energies._truncated_normal import normal_quantiles

INF = np.inf
# Middles of cells, so that 1 - u is exact.
UNIFORMS = np.array([0.0, 1e-12, 1e-5, 0.01, 0.3, 0.5, 0.77, 0.999, 1 - 1e-9, 1 - 2.0**-52])
UNIFORMS = (np.floor(UNIFORMS * 2.0**52) + 0.5) / 2.0**52

# (mean, precision, low, high) with the edges up to 40 standard deviations away.
CASES = [
    (0, 1, -INF, INF), (1.5, 4, -INF, INF), (0, 1, 0, INF), (-3, 1, 0, INF), (-29.9, 1, 0, INF),
    (-30.1, 1, 0, INF), (-40, 1, 0, INF), (40, 1, -INF, 0), (35, 1, -INF, 0), (3, 1, -INF, 0),
    (-40, 1, 0, 0.01), (40, 1, -0.5, 0), (0, 1, -1, 2), (0, 1, -9, 9), (0, 1, -40, 40),
    (0, 1, 5, 5.1), (0, 1, -12, -11), (0, 1, -0.001, 0.001), (2, 0.25, 1, INF), (0, 9, -INF, -1),
]  # fmt: skip


def quantiles(uniforms, mean, precision, low, high):
    """The kernel on one variable."""
    one = lambda value: np.array([value], dtype=np.float64)  # noqa: E731
    u = np.asarray(uniforms, dtype=np.float64)[:, None]
    out = np.full(u.shape, np.nan)
    normal_quantiles(u, one(mean), one(precision), one(low), one(high), out, parallel=False)
    return out[:, 0]


@pytest.mark.parametrize("case", CASES)
def test_quantiles_against_logarithms(case):
    """Within 1e-11 of the distance between two quantiles, the twin's own error among it."""
    mean, precision, low, high = case
    found = quantiles(UNIFORMS, *case)
    expected = [reference.truncated_quantile(u, mean, precision**-0.5, low, high) for u in UNIFORMS]
    assert np.allclose(found, expected, rtol=0, atol=1e-11 * (expected[6] - expected[4]))
    assert (np.diff(found) > 0).all() or (found[:2] == low).all()


@pytest.mark.parametrize("case", [(0, 1, 0.5, 2), (1, 4, -INF, 0.3), (-2, 1, 0, INF)])
def test_quantiles_against_scipy(case):
    mean, precision, low, high = case
    scale = precision**-0.5
    expected = stats.truncnorm.ppf(UNIFORMS[1:9], (low - mean) / scale, (high - mean) / scale)
    assert np.allclose(quantiles(UNIFORMS[1:9], *case), mean + scale * expected, rtol=1e-9)


@pytest.mark.parametrize("a", [1e5, 1e7, 1e9, 1e150])
def test_far_tails_are_exponential(a):
    """The distance from the edge, to the order of 1 / a^2 beyond the leading term."""
    expected = -np.log1p(-UNIFORMS) / a
    found = quantiles(UNIFORMS, -a, 1.0, 0.0, INF)
    assert np.allclose(found, expected, rtol=40 / a**2 + 1e-14, atol=0)
    mirrored = quantiles(1 - UNIFORMS, a, 1.0, -INF, 0.0)
    assert np.allclose(mirrored, -found, rtol=1e-15, atol=0)


@pytest.mark.parametrize("width", [1e-15, 1e-9, 1e-7, 1e-6, 1e-4])
@pytest.mark.parametrize("a", [0.0, 1.0, -3.0, 40.0])
def test_narrow_intervals(a, width):
    """[0, width] in a density e^{-a t - t^2/2}: exponential to the order of the width squared."""
    found = quantiles(UNIFORMS, -a, 1.0, 0.0, width)
    tilt = -np.log1p(UNIFORMS * np.expm1(-a * width)) / a if a else UNIFORMS * width
    slack = width**2 / 4 + 1e-9  # where edges are rounded, at most eps (1 + |a|) / width
    assert np.allclose(found / width, tilt / width, rtol=0, atol=slack)


def test_no_draw_leaves_its_interval():
    """Means, precisions, edges and widths of any size, 320,000 draws."""
    rng = np.random.default_rng(0)
    p, n = 5000, 64
    sized = lambda low, high: rng.choice([-1, 1], p) * 10 ** rng.uniform(low, high, p)  # noqa: E731
    mean, precision = sized(-9, 9), abs(sized(-12, 12))
    low = np.where(rng.random(p) < 0.3, -INF, sized(-9, 9))
    high = np.where(np.isfinite(low), low + abs(sized(-12, 12)), sized(-9, 9))
    high = np.where(np.isfinite(low) & (rng.random(p) < 0.3), INF, high)
    high = np.where(high <= low, np.nextafter(low, INF), high)
    u = rng.random((n, p)).clip(2.0**-54)
    u[0], u[1] = 2.0**-54, 1 - 2.0**-53
    out = np.full((n, p), np.nan)
    normal_quantiles(u, mean, precision, low, high, out)
    assert np.isfinite(out).all() and (out >= low).all() and (out <= high).all()


def quadrature(case, power=0):
    """Integral of x^power times the density, standard deviations around where there is mass."""
    mean, precision, low, high = case
    scale = precision**-0.5
    mode = min(max(mean, low), high)
    reach = min(scale, scale**2 / max(abs(mode - mean), 1e-300))
    low, high = max(low, mode - 60 * reach), min(high, mode + 60 * reach)
    nodes, weights = reference.legendre(400)
    x = low + (high - low) * (nodes + 1) / 2
    log_f = -0.5 * precision * (x - mode) * (x + mode - 2 * mean)
    total = (high - low) / 2 * (weights * np.exp(log_f) * (x - mode) ** power).sum()
    return total, mode, -0.5 * precision * (mode - mean) ** 2


MASSES = [*CASES, (-100, 1, 0, INF), (-1e4, 1, 0, 1), (0, 1, -1e-6, 1e-6), (0, 1, 5, 5.0001),
          (300, 1, -INF, 5), (-1e7, 1, 0, INF), (1, 1e-8, 0, 1)]  # fmt: skip


@pytest.mark.parametrize("case", MASSES)
def test_normalizers_against_quadrature(case):
    mean, precision, low, high = case
    total, _, shift = quadrature(case)
    energy = Gaussian(np.array([[float(precision)]]), np.array([float(mean)]), low, high)
    assert energy.exact_log_partition() == pytest.approx(np.log(total) + shift, abs=2e-9, rel=1e-13)
    base = IndependentNormals([mean], [precision], low, high)
    x = base.sample(50, (1,))
    assert np.allclose(base.log_density(x), -energy.energy(x) - energy.exact_log_partition())


@pytest.mark.parametrize("case", MASSES)
def test_conditional_means_against_quadrature(case):
    """E[x] of one variable, which is what clamped sweeps return; in widths of the density."""
    mean, precision, low, high = case
    total, mode, _ = quadrature(case)
    first, second = (quadrature(case, k)[0] / total for k in (1, 2))
    energy = Gaussian(np.array([[float(precision)]]), np.array([float(mean)]), low, high)
    start = np.full((1, 1), mode)
    key = np.array([1, 2], np.uint32)
    found = energy.sweep_clamped(start, np.full((1, 1), np.nan), key, n_sweeps=2)
    assert abs(found[0, 0] - (mode + first)) < 1e-6 * np.sqrt(second - first**2)
