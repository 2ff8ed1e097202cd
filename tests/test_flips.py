"""The log-pseudolikelihood against sums over flipped states, on all sides of all switches."""

import numpy as np
import pytest
import reference
from scipy.special import expit

from skebm._bits import pack
from skebm._words import FACTORS
from skebm.energies import BernoulliRBM, _rbm_flips
from skebm.energies._rbm_flips import (
    DOUBLE,
    DOUBLE_ROOM,
    GROUP,
    SINGLE,
    SINGLE_ROOM,
    STEEP_RUN,
    TILE,
)

DTYPES = [np.float32, np.float64]


def random_model(seed, n_visible, n_hidden, scale, dtype, bias=1.0):
    rng = np.random.default_rng(seed)
    W = rng.normal(0.1 * scale, scale, (n_hidden, n_visible)).astype(dtype)
    return W, *(rng.normal(0.0, bias, n).astype(dtype) for n in (n_visible, n_hidden))


def random_rows(seed, n, n_visible, share=0.4):
    """All zeros, all ones, and rows as sparse and as dense as asked for."""
    V = (np.random.default_rng(seed).random((n, n_visible)) < share).astype(float)
    V[: n // 8], V[n // 8 : n // 4] = 0.0, 1.0
    return V


def conditionals(W, b, c, v):
    """log P(v_i | rest) of every unit of one row, and the rounding of each that is to be allowed.

    All terms of the fields may be off by an eps, the factors by four; a factor 1 + a tau
    near zero, of units that are not steep, as much more as it is smaller than one.
    """
    eps = np.finfo(W.dtype).eps
    largest = np.abs(W).max(axis=1, keepdims=True)
    exact = largest > (SINGLE if W.dtype == np.float32 else DOUBLE[W.dtype])
    W, b, c = (array.astype(np.longdouble) for array in (W, b, c))
    x, sigma = (c + W @ v)[:, None], 1.0 - 2.0 * v
    flipped, there, here = x + sigma * W, np.logaddexp(0.0, x + sigma * W), np.logaddexp(0.0, x)
    change = sigma * b + (there - here).sum(axis=0)
    losses = np.exp(np.clip(here - there + np.logaddexp(0.0, sigma * W) - np.log(2.0), 0.0, 20.0))
    fields = (np.abs(c) + np.abs(W) @ v) @ np.abs(expit(flipped) - expit(x))
    error = eps * (fields + 4 * np.where(exact, 1.0, losses).sum(axis=0))
    error += 1e-16 * len(c) * (np.abs(b) + there.sum(axis=0) + here.sum(axis=0))  # of sums
    return -np.logaddexp(0.0, change), expit(change) * error + 1e-15


def compare(parameters, V, wrong_parameters=None, wrong_V=None):
    """Errors of all rows, in the tolerance; of what is right against what is wrong, if given."""
    computed = BernoulliRBM(*parameters).log_pseudolikelihood(V)
    assert computed.dtype == np.float64
    parameters, V = wrong_parameters or parameters, V if wrong_V is None else wrong_V
    expected, allowed = zip(*(map(np.sum, conditionals(*parameters, v)) for v in V))
    return np.abs(computed - expected) / allowed


# -- the twin ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.1, 2.0, 20.0])
def test_the_twin_is_the_one_of_the_reference(scale):
    parameters = random_model(0, 9, 6, scale, np.float64)
    for v in random_rows(0, 16, 9):
        expected = reference.log_pseudolikelihood(*parameters, v)
        assert conditionals(*parameters, v)[0].sum() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.03, 1.0, 3.0, 30.0])
def test_the_comparison_sees_a_single_flip(scale, dtype):
    """Were the sign of one weight, one bias or one state wrong, rows would be far off."""
    W, b, c = random_model(1, 300, 20, scale, dtype)
    V = random_rows(1, 16, 300)
    wrong_W, wrong_b, wrong_V = W.copy(), b.copy(), V.copy()
    j, i = np.unravel_index(np.abs(W).argmax(), W.shape)
    wrong_W[j, i] *= -1
    wrong_b[i] *= -1
    wrong_V[:, i] = 1 - V[:, i]
    assert compare((W, b, c), V).max() < 1
    assert compare((W, b, c), V, (wrong_W, b, c)).max() > 50
    assert compare((W, b, c), V, (W, wrong_b, c)).max() > 50
    assert compare((W, b, c), V, wrong_V=wrong_V).max() > 50


# -- sizes and weights -------------------------------------------------------------------------

SIZES = [
    (1, 1), (1, 5), (5, 1), (7, 9), (8, 8), (33, FACTORS + 1), (TILE - 1, 3), (TILE, 2 * FACTORS),
    (TILE + 1, FACTORS - 1), (2 * TILE + 9, 70), (100, 131),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_visible, n_hidden", SIZES)
def test_sizes(n_visible, n_hidden, dtype):
    for seed, scale in enumerate([1e-3, 0.2, 2.0]):
        parameters = random_model(seed, n_visible, n_hidden, scale, dtype)
        assert compare(parameters, random_rows(seed, 11, n_visible)).max() < 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 2.0, 4.0, 7.0, 15.0, 50.0])
def test_weights_of_all_sizes(scale, dtype):
    for seed, share in enumerate([0.05, 0.5, 0.95]):
        parameters = random_model(seed, 70, 90, scale, dtype)
        assert compare(parameters, random_rows(seed, 17, 70, share)).max() < 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [5.0, 50.0, 1e3])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0])
def test_large_biases(scale, bias, dtype):
    """Far beyond where e^x overflows, and where the odds of a flip are nothing or everything."""
    parameters = random_model(2, 50, 30, scale, dtype, bias)
    assert compare(parameters, random_rows(2, 24, 50)).max() < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_hidden_units_of_all_kinds_in_one_model(dtype):
    """Single, double and steep units, shuffled, and none of them a whole number of blocks."""
    W, b, c = random_model(3, 60, 150, 1.0, dtype)
    W *= np.random.default_rng(0).permutation(np.geomspace(0.01, 20.0, 150))[:, None].astype(dtype)
    flips = _rbm_flips.flips_of(W, b)
    assert (flips.single > 0) == (dtype == np.float32)
    assert flips.double > 0 and len(flips.steep_weights) > 0
    assert compare((W, b, c), random_rows(3, 40, 60)).max() < 1


@pytest.mark.parametrize("side", [1 - 1e-6, 1 + 1e-6])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bound", sorted({SINGLE, *DOUBLE.values()}))
def test_both_sides_of_every_bound(bound, dtype, side):
    """All weights just so large, fields as large with either sign: factors as small as they get."""
    rng = np.random.default_rng(4)
    for n_hidden in (3, 80):
        W = (side * bound * rng.choice([-1.0, 1.0], (n_hidden, 40))).astype(dtype)
        V = random_rows(4, 16, 40)
        c = (rng.normal(0.0, bound, n_hidden) - W @ V[-1]).astype(dtype)
        b = rng.normal(0.0, 1.0, 40).astype(dtype)
        flips = _rbm_flips.flips_of(W, b)
        single = dtype == np.float32 and abs(W[0, 0]) <= SINGLE
        steep = abs(W[0, 0]) > DOUBLE[W.dtype]
        counts = flips.single, flips.double, len(flips.steep_weights)
        assert counts == tuple(n_hidden * k for k in (single, not (single or steep), steep))
        assert compare((W, b, c), V).max() < 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [SINGLE - 1e-3, min(DOUBLE.values()) - 1e-3, 17.99, 40.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_products_neither_overflow_nor_vanish(sign, size, dtype):
    """A thousand factors near zero, or near two, or each of them in one half of the units."""
    n_hidden = 20 * STEEP_RUN + 3
    W = np.full((n_hidden, 12), size, dtype)
    W[:, 6:] *= -1
    for c in (sign * size, 0.0, sign * 3 * size):
        b, c = np.zeros(12, dtype), np.full(n_hidden, c, dtype)
        b[:6] = -sign * size * n_hidden / 2
        V = random_rows(5, 16, 12, 0.5)
        assert compare((W, b, c), V).max() < 1


@pytest.mark.parametrize("n_steep", [1, STEEP_RUN - 1, STEEP_RUN, STEEP_RUN + 1])
def test_numbers_of_steep_units(n_steep):
    W, b, c = random_model(6, 30, n_steep + 5, 1.0, np.float32)
    W[::2][:5] *= 0.1
    W[W.shape[0] - n_steep :, 0] = 30.0
    assert len(_rbm_flips.flips_of(W, b).steep_weights) == n_steep
    assert compare((W, b, c), random_rows(6, 12, 30)).max() < 1


def test_float32_is_nearly_as_exact_as_the_fields():
    """The error of a typical model, 784 x 500, is far below 1e-6 of the result."""
    parameters = random_model(7, 784, 500, 0.1, np.float32)
    V = random_rows(7, 16, 784)
    expected = [conditionals(*parameters, v)[0].sum() for v in V]
    computed = BernoulliRBM(*parameters).log_pseudolikelihood(V)
    assert np.allclose(computed, expected, rtol=3e-7, atol=0.0)
    parameters = [array.astype(np.float64) for array in parameters]
    computed = BernoulliRBM(*parameters).log_pseudolikelihood(V)
    assert np.allclose(computed, expected, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_weights_units_are_independent(dtype):
    _, b, c = random_model(8, 300, 20, 1.0, dtype, 5.0)
    V = random_rows(8, 20, 300)
    expected = -np.logaddexp(0.0, (1 - 2 * V) * b).sum(axis=1)
    computed = BernoulliRBM(np.zeros((20, 300), dtype), b, c).log_pseudolikelihood(V)
    assert np.allclose(computed, expected, rtol=1e-14)


@pytest.mark.parametrize("where", ["W", "b", "c"])
@pytest.mark.parametrize("scale", [0.1, 8.0, 100.0])
def test_nan_stays_nan(where, scale):
    parameters = dict(zip("Wbc", random_model(9, 20, 10, scale, np.float32)))
    parameters[where].flat[3] = np.nan
    assert np.isnan(BernoulliRBM(*parameters.values()).log_pseudolikelihood(np.ones((3, 20)))).all()


# -- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 2, GROUP - 1, GROUP, GROUP + 1, 63, 64, 65, 200])
def test_no_row_knows_its_company_nor_its_twin(n_rows, dtype):
    """Bit for bit: serial and parallel, alone and in company, dense and packed."""
    W, b, c = random_model(10, 300, 40, 1.0, dtype)
    W[:7] *= 5
    W[7:9] *= 30
    energy, V = BernoulliRBM(W, b, c), random_rows(10, n_rows, 300)
    serial, parallel = np.empty(n_rows), np.empty(n_rows)
    for twin, out in ((False, serial), (True, parallel)):
        _rbm_flips.log_pseudolikelihood(
            energy._layers, energy._flip_tables, pack(V), out, parallel=twin
        )
    assert (serial == parallel).all()
    assert (serial == energy.log_pseudolikelihood(V)).all()
    assert (serial == energy.log_pseudolikelihood(pack(V))).all()
    some = range(0, n_rows, max(1, n_rows // 10))
    alone = [energy.log_pseudolikelihood(V[k : k + 1])[0] for k in some]
    assert (serial[some] == alone).all()


def test_mean_field_values_are_rounded():
    parameters = random_model(11, 30, 10, 1.0, np.float64)
    energy, V = BernoulliRBM(*parameters), np.random.default_rng(0).random((9, 30))
    expected = energy.log_pseudolikelihood((V > 0.5).astype(np.uint8))
    assert (energy.log_pseudolikelihood(V) == expected).all()


# -- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_runs_of_blocks_fit_their_room(seed):
    """2^room is not exceeded between two rescalings, whatever the states: a bound on the losses."""
    scales = np.random.default_rng(seed).uniform(0.01, 6.0, 300)[:, None]
    W = (scales * np.random.default_rng(seed).uniform(-1, 1, (300, 10))).astype(np.float32)
    flips = _rbm_flips.flips_of(W, np.zeros(10, np.float32))
    W = W[flips.order].astype(np.float64)
    for tau, ends, room in (
        (np.tanh(W[: flips.single] / 2), flips.single_ends, SINGLE_ROOM),
        (np.tanh(W[flips.single :] / 2), flips.double_ends, DOUBLE_ROOM),
    ):
        assert (np.diff([0, *ends]) > 0).all() and ends[-1] == -(-len(tau) // FACTORS)
        for low, high in zip([0, *ends[:-1]], ends):
            largest = np.abs(tau[low * FACTORS : high * FACTORS]).max(axis=1)
            assert -np.log2(1 - largest).sum() <= room and np.log2(1 + largest).sum() <= room


def test_factors_lose_no_more_digits_than_is_said():
    """2 / (1 + e^w), the smallest factor, where 1 + a tau is formed from terms of about one."""
    lost = lambda w: np.log2((1 + np.exp(w)) / 2)  # noqa: E731
    assert lost(SINGLE) < 6
    assert lost(DOUBLE[np.dtype(np.float32)]) < 25
    assert lost(DOUBLE[np.dtype(np.float64)]) < 12


def test_any_block_fits_its_room():
    for largest, room in ((SINGLE, SINGLE_ROOM), (max(DOUBLE.values()), DOUBLE_ROOM)):
        assert FACTORS * np.log2((1 + np.exp(largest)) / 2) <= room


def test_calls_are_short_whatever_the_weights(monkeypatch):
    """Steep units are slow, so that fewer rows make a call."""
    calls = []

    def counted(layers, flips, bits, out, parallel):
        calls.append(len(bits))
        out[:] = 0.0

    monkeypatch.setattr(_rbm_flips, "log_pseudolikelihood", counted)
    for scale, most in ((0.01, 4096), (10.0, 2048), (1e3, 128)):
        calls.clear()
        parameters = random_model(12, 784, 300, scale, np.float32)
        BernoulliRBM(*parameters).log_pseudolikelihood(np.zeros((3000, 784)))
        assert sum(calls) == 3000 and max(calls) <= most
