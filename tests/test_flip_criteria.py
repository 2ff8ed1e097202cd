"""Pseudolikelihood and ratio matching: slow twins, differences, and what their fixed points are."""

import numpy as np
import pandas as pd
import pytest
import reference
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skebm import PCDRBM, PseudoLikelihoodRBM, RatioMatchingRBM
from skebm._bits import pack
from skebm.criteria import PSEUDOLIKELIHOOD, RATIO, Flips, LearningState, Penalty, flips
from skebm.criteria._flips_kernel import NEAR_ROWS, ROWS, TILE, UNITS
from skebm.datasets import make_bars_and_stripes, make_rbm
from skebm.energies import BernoulliRBM

KINDS = [PSEUDOLIKELIHOOD, RATIO]
ESTIMATORS = [PseudoLikelihoodRBM, RatioMatchingRBM]
PLAIN = Penalty(0.0, 0.0, 0.0)
DTYPES = [np.float32, np.float64]

of_kind = pytest.mark.parametrize("kind", KINDS, ids=["pseudolikelihood", "ratio"])
of_estimator = pytest.mark.parametrize("cls", ESTIMATORS)


def random_state(n_visible, n_hidden, dtype=np.float64, scale=1.0, seed=0):
    """A state in the middle of learning: parameters, motion and offsets that are not special."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(0.2, 0.8, n_visible)
    state = LearningState.start(n_hidden, means, 50, 0, (1, 2, 3, 4), dtype)
    for arrays, size in ((state.model, scale), (state.velocity, 0.01)):
        for array in arrays:
            array[...] = rng.normal(0, size, array.shape)
    state.hidden_mean[:] = rng.uniform(0.1, 0.9, n_hidden)
    return state


def random_rows(n, n_visible, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.random((n, n_visible)) < 0.4).astype(float), rng.uniform(0.5, 2.0, n)


def learn(state, criterion, X, weights, bounds, rates, *, packed=True):
    take = lambda low, high: pack(X[low:high]) if packed else X[low:high]  # noqa: E731
    assert all(criterion.update(state, take, weights, np.array(bounds), np.array(rates)))
    return state


def slopes(kind, state, X, weights, center=False):
    """What the criterion adds to the parameters at rate one, in float64."""
    after = learn(state.copy(), Flips(kind, center, PLAIN), X, weights, [0, len(X)], [1.0])
    return [new.astype(float) - old for new, old in zip(after.model, state.model)]


def conditional_flips(model, X):
    """e^{-D} of every flip and the fields of hidden units, in long doubles: (rows, H, V) arrays."""
    W, b, c = (array.astype(np.longdouble) for array in model)
    d = 1.0 - 2.0 * X
    a = X @ W.T + c
    flipped = a[:, :, None] + d[:, None, :] * W
    change = np.logaddexp(0, flipped) - np.logaddexp(0, a)[:, :, None]
    return d * b + change.sum(axis=1), a, flipped, d


def numpy_slopes(kind, model, X, weights):
    """The twin of larger models: minus the gradient, with arrays of rows x hidden x visible."""
    level, a, flipped, d = conditional_flips(model, X)
    flip = 1 / (1 + np.exp(-level))
    g = flip if kind == PSEUDOLIKELIHOOD else 2 * flip**2 / (1 + np.exp(level))
    g = g * weights[:, None] / len(X)
    p, after = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-flipped))
    Q = (g[:, None, :] * (after - p[:, :, None])).sum(axis=2)
    dW = -(Q.T @ X) - ((g * d)[:, None, :] * after).sum(axis=0)
    return [dW, -(g * d).sum(axis=0), -Q.sum(axis=0)]


# -- the kernel is its twin --------------------------------------------------------------------


@of_kind
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "penalty", [PLAIN, Penalty(0.9, 0.0, 0.0), Penalty(0.0, 0.3, 0.0), Penalty(0.5, 0.1, 0.4)]
)
def test_updates_are_the_twin(kind, center, packed, penalty):
    """Three ragged minibatches with row weights and falling rates, each from its equations."""
    state, (X, weights) = random_state(6, 5), random_rows(12, 6)
    for low, high, rate in [(0, 7, 0.3), (7, 8, 0.2), (8, 12, 0.1)]:
        before, rows, shares = state.copy(), X[low:high], weights[low:high]
        criterion = Flips(kind, center, penalty)
        learn(state, criterion, rows, shares, [0, high - low], [rate], packed=packed)
        mu = before.visible_mean if center else np.zeros(6)
        lam = before.hidden_mean if center else np.zeros(5)
        model, velocity, lam = reference.flip_update(
            before.model, before.velocity, (mu, lam), rows, shares, rate, kind == RATIO, *penalty
        )
        for computed, expected in zip(state.model, model):
            assert np.allclose(computed, expected, rtol=1e-11, atol=1e-13)
        if penalty.momentum:
            for computed, expected in zip(state.velocity, velocity):
                assert np.allclose(computed, expected, rtol=1e-11, atol=1e-13)
        expected = lam if center else before.hidden_mean
        assert np.allclose(state.hidden_mean, expected, rtol=1e-12)
        assert state.step == before.step + 1


@of_kind
def test_the_twin_follows_central_differences(kind):
    """Of the two public losses, which are made elsewhere: relative error 1e-6 of the largest."""
    state, (X, weights) = random_state(7, 4), random_rows(9, 7)

    def loss(model):
        energy = BernoulliRBM(*model)
        of_rows = -energy.log_pseudolikelihood(X) if kind == PSEUDOLIKELIHOOD else (
            energy.ratio_matching(X)
        )  # fmt: skip
        return weights @ of_rows / len(X)

    for which, slope in enumerate(slopes(kind, state, X, weights)):
        expected = np.zeros(slope.shape)
        for place in np.ndindex(slope.shape):
            values = []
            for step in (1e-5, -1e-5):
                model = [array.copy() for array in state.model]
                model[which][place] += step
                values.append(loss(model))
            expected[place] = -(values[0] - values[1]) / 2e-5
        assert np.abs(slope - expected).max() < 1e-6 * np.abs(expected).max()
        assert np.abs(slope + expected).max() > 0.5 * np.abs(expected).max()  # a flipped sign


@of_kind
def test_large_twin_is_the_small_one(kind):
    state, (X, weights) = random_state(6, 5), random_rows(8, 6)
    small = reference.flip_slopes(*state.model, X, weights, kind == RATIO)
    for one, other in zip(numpy_slopes(kind, state.model, X, weights), small):
        assert np.allclose(one.astype(float), other, rtol=1e-11, atol=1e-14)


SIZES = [
    (1, 1, 1), (5, 1, 2), (33, UNITS, ROWS), (32, UNITS + 1, ROWS + 1), (TILE, 9, 7),
    (TILE + 1, 2 * UNITS - 1, NEAR_ROWS + 1), (2 * TILE + 40, 17, 2 * NEAR_ROWS + 3),
]  # fmt: skip


@of_kind
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_visible, n_hidden, n_rows", SIZES)
def test_sizes(n_visible, n_hidden, n_rows, dtype, kind):
    """On all sides of tiles, tasks and groups of rows: within rounding of the twin."""
    scale = 1.0 / np.sqrt(n_visible)
    state, (X, weights) = (
        random_state(n_visible, n_hidden, dtype, scale),
        random_rows(n_rows, n_visible),
    )
    expected = numpy_slopes(kind, state.model, X, weights)
    eps = np.finfo(dtype).eps
    for slope, wanted, old in zip(slopes(kind, state, X, weights), expected, state.model):
        allowed = 20 * eps * (1 + np.abs(old).max() + np.abs(wanted).max())
        assert np.abs(slope - wanted).max() < allowed


@of_kind
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-3, 3.0, 10.0, 30.0, 79.0])
def test_weights_of_all_sizes(scale, dtype, kind):
    """Factors from e^-79 to e^79, with fields to match: no digit is lost, nothing overflows."""
    rng = np.random.default_rng(0)
    state, (X, weights) = random_state(40, 21, dtype), random_rows(30, 40)
    state.model.W[...] = rng.uniform(-scale, scale, (21, 40))
    state.model.W[::3] *= 0.01
    state.model.W[1, 3], state.model.W[2, 4] = scale, -scale
    state.model.c[...] = rng.normal(0, scale, 21) - state.model.W @ X[0]
    state.model.b[...] = rng.normal(0, scale, 40)
    expected = numpy_slopes(kind, state.model, X, weights)
    # The fields a may be off by eps times their terms, and every conditional by as much.
    eps, terms = np.finfo(dtype).eps, np.abs(state.model.W).sum(axis=1).max()
    for slope, wanted, old in zip(slopes(kind, state, X, weights), expected, state.model):
        assert np.isfinite(slope).all()
        allowed = eps * (20 + 10 * terms + np.abs(old).max())
        assert np.abs(slope - wanted).max() < allowed


@of_kind
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_flipped_sign_is_seen(kind, dtype):
    state, (X, weights) = random_state(40, 20, dtype, 0.3), random_rows(30, 40)
    allowed = 100 * np.finfo(dtype).eps
    for which, place in ((0, (7, 11)), (1, (11,)), (2, (7,))):
        wrong = [array.copy() for array in state.model]
        wrong[which][place] = -(wrong[which][place] + dtype(0.5))
        right = [array.copy() for array in state.model]
        right[which][place] += dtype(0.5)
        state.model[which][place] += dtype(0.5)
        computed = slopes(kind, state, X, weights)
        for model, least, most in ((right, 0.0, 20 * allowed), (wrong, 20 * allowed, np.inf)):
            expected = numpy_slopes(kind, model, X, weights)
            errors = [np.abs(x - y).max() for x, y in zip(computed, expected)]
            assert least <= max(errors) < most


@of_kind
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_visible, n_hidden", [(70, 9), (300, 33)])
def test_twins_calls_and_rows_change_no_bit(monkeypatch, kind, dtype, n_visible, n_hidden):
    """Serial and parallel, packed and dense, in one call of the kernel or one for each update."""
    X, weights = random_rows(90, n_visible)
    bounds, rates = [0, 7, 41, 42, 90], [0.1, 0.2, 0.05, 0.1]

    def learned(flops, seconds, packed):
        monkeypatch.setattr(flips, "PARALLEL_FLOPS", flops)
        monkeypatch.setattr(flips._Run, "seconds_over_planned", seconds)
        monkeypatch.setattr(flips, "_CALL_SECONDS", 1.0 if seconds == 1.0 else 1e-9)
        state = random_state(n_visible, n_hidden, dtype, 0.2)
        criterion = Flips(kind, True, Penalty(0.5, 0.1, 0.01))
        return learn(state, criterion, X, weights, bounds, rates, packed=packed)

    expected = learned(np.inf, 1.0, True)
    for setting in ((0.0, 1.0, True), (np.inf, 1.0, False), (np.inf, 1e9, True), (0.0, 1e9, False)):
        state = learned(*setting)
        for one, other in zip(
            (*state.model, *state.velocity), (*expected.model, *expected.velocity)
        ):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(state.hidden_mean, expected.hidden_mean)


@of_kind
def test_pieces_of_a_minibatch_are_summed(monkeypatch, kind):
    """Within rounding of a minibatch in one piece; how calls are cut changes no bit."""
    X, weights = random_rows(90, 40)
    bounds, rates, criterion = [0, 17, 25, 90], [0.1, 0.2, 0.05], Flips(kind, True, PLAIN)
    whole = learn(random_state(40, 9), criterion, X, weights, bounds, rates)
    monkeypatch.setattr(flips._Run, "seconds_over_planned", 1.0)
    monkeypatch.setattr(flips, "FLOPS_PER_CALL", 1.0)
    pieces = learn(random_state(40, 9), criterion, X, weights, bounds, rates)
    monkeypatch.setattr(flips, "_CALL_SECONDS", 1e-9)
    alone = learn(random_state(40, 9), criterion, X, weights, bounds, rates)
    assert flips._Run(criterion, whole, 65).rows == ROWS
    assert whole.step == pieces.step == alone.step == 3
    assert any((one != other).any() for one, other in zip(whole.model, pieces.model))
    for one, other, third in zip(whole.model, pieces.model, alone.model):
        assert np.allclose(one, other, rtol=0, atol=1e-13)
        np.testing.assert_array_equal(other, third)


def test_calls_are_short():
    """A large minibatch is cut into pieces; updates of a small model share calls."""
    large = random_state(784, 500, np.float32)
    criterion = Flips(PSEUDOLIKELIHOOD, True, PLAIN)
    assert criterion.update_flops(large, 512) > 30 * criterion.update_flops(large, 10)
    runs = [flips._Run(criterion, state, n) for state, n in ((large, 512), (random_state(9, 5), 3))]
    assert runs[0].rows < 512 and runs[0].most <= 1.1 and runs[1].most > 100


# -- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.1, 2.0, 6.0, 30.0])
def test_ratio_matching_loss_is_its_twin(dtype, scale):
    """Single, double and steep units; the mean over rows of the estimator's method."""
    rng = np.random.default_rng(0)
    W, b, c = (rng.normal(0, scale, n).astype(dtype) for n in ((6, 9), 9, 6))
    X = (rng.random((20, 9)) < 0.5).astype(float)
    expected = [reference.ratio_matching(W, b, c, v) for v in X]
    model = PCDRBM.from_parameters(W, b, c)
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    assert np.allclose(BernoulliRBM(W, b, c).ratio_matching(X), expected, rtol=0, atol=tolerance)
    assert np.isclose(model.ratio_matching_loss(X), np.mean(expected), rtol=0, atol=tolerance)
    assert isinstance(model.ratio_matching_loss(X), float)
    assert model.ratio_matching_loss(2 * X - 1) == model.ratio_matching_loss(X)


def test_ratio_matching_loss_keeps_nan():
    W, b, c = np.ones((3, 4)), np.zeros(4), np.array([0.0, np.nan, 0.0])
    assert np.isnan(BernoulliRBM(W, b, c).ratio_matching(np.ones((2, 4)))).all()


@of_estimator
def test_full_batch_descent_lowers_its_loss_at_every_step(cls, bits):
    model = cls(
        5, batch_size=len(bits), n_iter=5, learning_rate=0.3, warm_start=True,
        learning_rate_schedule="constant", random_state=0,
    )  # fmt: skip
    losses = []
    for _ in range(8):
        model.fit(bits)
        losses.append(
            -model.log_pseudolikelihood(bits).mean()
            if cls is PseudoLikelihoodRBM
            else model.ratio_matching_loss(bits)
        )
    assert (np.diff(losses) < 0).all()


# -- fixed points ------------------------------------------------------------------------------


@of_estimator
@pytest.mark.parametrize("center", [True, False])
def test_the_truth_is_a_fixed_point(cls, center):
    """All states as rows, weighed by their exact probabilities; elsewhere there is a slope."""
    truth = make_rbm(1, n_features=7, n_components=3, random_state=2)
    parameters = truth.components, truth.intercept_visible, truth.intercept_hidden
    states, p = reference.all_states(7), reference.probabilities(*parameters)
    settings = {"batch_size": len(p), "center": center, "learning_rate": 1.0}
    model = cls.from_parameters(*parameters, **settings).partial_fit(states, sample_weight=p)
    for before, after in zip(parameters, model._parameters()):
        assert np.allclose(before, after, rtol=0, atol=1e-13)
    moved = [array + 0.1 for array in parameters]
    model = cls.from_parameters(*moved, **settings).partial_fit(states, sample_weight=p)
    assert max(np.abs(x - y).max() for x, y in zip(moved, model._parameters())) > 1e-3


@of_estimator
def test_weights_are_repetitions_on_one_full_batch(cls):
    X = (np.random.default_rng(0).random((30, 6)) < 0.4).astype(float)
    weights = np.arange(30) % 3
    run = {"batch_size": 1000, "n_iter": 5, "random_state": 0, "momentum": 0.5}
    weighted = cls(4, **run).fit(X, sample_weight=weights)
    repeated = cls(4, **run)
    repeated.fit(np.repeat(X, weights, axis=0))
    for one, other in zip(weighted._parameters(), repeated._parameters()):
        assert np.allclose(one, other, rtol=1e-10, atol=1e-12)


# -- learning ----------------------------------------------------------------------------------


@of_estimator
def test_bars_and_stripes(cls):
    """Exact expected log-likelihood at the defaults but the epochs; independent units: -6.24."""
    problem = make_bars_and_stripes(1000, size=3, random_state=0)
    start = cls(12, n_iter=0, random_state=0).fit(problem.data)
    model = cls(12, n_iter=60, random_state=0).fit(problem.data)
    scores = [problem.probabilities @ m.score_samples(problem.patterns) for m in (start, model)]
    assert scores[0] < -6.0 and scores[1] > -3.5 and scores[1] < -problem.entropy


@of_estimator
@pytest.mark.parametrize("n_hidden", [12, 16])
def test_digits(cls, n_hidden):
    """At the defaults no worse than persistent chains by exact test log-likelihood, but 0.3 nats.

    The seeds of one setting differ by 0.1 nats; independent units are 5 nats below at least.
    """
    X = (load_digits().data >= 8).astype(np.float32)
    train, test = train_test_split(X, test_size=0.25, random_state=0)
    settings = {"n_components": n_hidden, "random_state": 0}
    model = cls(**settings, n_iter=30).fit(train)
    assert model.log_partition_.method == "exact"
    assert model.score(test) > PCDRBM(**settings, n_iter=30).fit(train).score(test) - 0.3
    assert model.score(test) > cls(**settings, n_iter=0).fit(train).score(test) + 5.0


# -- what X may be -----------------------------------------------------------------------------


@of_estimator
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_values_between_the_codes_are_refused(cls, bits, method):
    """Before any work, with the column; binary values pass, and other methods round."""
    X = pd.DataFrame(bits).add_prefix("item ")
    X.iloc[3, 5] = 0.25
    model = cls(3, n_iter=1, binarize=None, random_state=0)
    with pytest.raises(ValueError, match=r"only 0 and 1 .* found 0\.25 in column 5 \('item 5'\)"):
        getattr(model, method)(X)
    assert not hasattr(model, "n_features_in_")
    assert_same(
        getattr(model, method)(bits), getattr(cls(3, n_iter=1, random_state=0), method)(bits)
    )
    assert np.isfinite(model.log_pseudolikelihood(0.9 * bits)).all()


def assert_same(one, other):
    for a, b in zip(one._parameters(), other._parameters()):
        np.testing.assert_array_equal(a, b)


@of_estimator
def test_parameters_are_those_of_pcd_without_chains(cls):
    chains = {"n_gibbs_steps", "n_chains"}
    assert set(cls().get_params()) == set(PCDRBM().get_params()) - chains


@of_estimator
def test_log_partition_can_be_followed(cls, bits):
    model = cls(4, n_iter=3, track_log_partition=True, random_state=0).fit(bits)
    history = model.history_
    assert np.isfinite(history["log_partition"]).all() and "free_energy_gap" not in history
    assert history["log_partition"][-1] == pytest.approx(model.log_partition("exact").value)
    assert_same(model, cls(4, n_iter=3, random_state=0).fit(bits))


@of_estimator
def test_an_interrupted_call_is_undone(cls, bits, monkeypatch):
    """Ctrl-C arrives when the kernel has moved the weights and nothing else has followed."""
    model = cls(4, n_iter=2, warm_start=True, random_state=0).fit(bits)
    before = model._state.step

    def interrupted(machine, *_, **__):
        machine.W[...] = np.nan
        raise KeyboardInterrupt

    interrupted.compiled = lambda: True
    monkeypatch.setattr(flips, "follow_flips", interrupted)
    for method in (model.partial_fit, model.fit):
        with pytest.raises(KeyboardInterrupt):
            method(bits)
        assert np.isfinite(model.components_).all() and model._state.step == before
