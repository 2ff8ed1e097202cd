"""Contrastive learning: every update against a slow twin, and what its fixed points are."""

import numpy as np
import pytest
import reference
from scipy import stats
from sklearn.neural_network import BernoulliRBM as SklearnRBM

from skebm import CDRBM, PCDRBM, RdmRBM
from skebm._bits import pack
from skebm._rng import derive_key
from skebm.criteria import (
    FROM_DATA,
    PERSISTENT,
    RANDOM,
    Contrastive,
    LearningState,
    Penalty,
    contrastive,
    learning_rates,
)
from skebm.energies import BernoulliRBM

PLAIN = Penalty(0.0, 0.0, 0.0)
STARTS = [FROM_DATA, PERSISTENT, RANDOM]
ENTROPY = (1, 2, 3, 4)


def random_state(n_visible, n_hidden, n_chains, dtype=np.float64, seed=0):
    """A state in the middle of learning: parameters, motion and offsets that are not special."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(0.2, 0.8, n_visible)
    state = LearningState.start(n_hidden, means, 50, n_chains, ENTROPY, dtype)
    for arrays, scale in ((state.model, 1.0), (state.velocity, 0.01)):
        for array in arrays:
            array[...] = rng.normal(0, scale, array.shape)
    state.hidden_mean[:] = rng.uniform(0.1, 0.9, n_hidden)
    state.step = 17
    return state


def random_rows(n, n_visible, dtype=np.float64):
    rng = np.random.default_rng(n)
    X = (rng.random((n, n_visible)) < 0.4).astype(dtype)
    return X, rng.integers(1, 4, n).astype(float)


def learn(state, criterion, X, weights, bounds, rates, *, packed=True):
    take = lambda low, high: pack(X[low:high]) if packed else X[low:high]  # noqa: E731
    bounds, rates = np.array(bounds), np.array(rates)
    assert all(criterion.update(state, take, weights, bounds, rates))
    return state


def parameters(state):
    return tuple(array.astype(float) for array in state.model)


# -- the kernel is its twin --------------------------------------------------------------------


def expected_chains(state, criterion, rows):
    """Where addressed random numbers take the chains of one minibatch."""
    W, b, c = state.model
    key = derive_key(state.entropy, contrastive._TRAINING)
    starts = {FROM_DATA: rows, PERSISTENT: state.chains}.get(criterion.start)
    if starts is None:
        p, stream = state.visible_mean, 2
        draws = [
            reference.uniforms(key, chain, state.step, stream, len(b))
            for chain in range(len(state.chains))
        ]
        starts = (np.array(draws) < p).astype(float)
    chains = []
    for chain, v in enumerate(starts):
        for step in range(state.step, state.step + criterion.n_gibbs_steps):
            v = reference.addressed_sweep(W, b, c, np.zeros_like(b), 1.0, v, key, chain, step)
        chains.append(v)
    return np.array(chains)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("rows", ["packed", "dense", "mean-field"])
@pytest.mark.parametrize(
    "penalty", [PLAIN, Penalty(0.9, 0.0, 0.0), Penalty(0.0, 0.3, 0.0), Penalty(0.5, 0.1, 0.4)]
)
def test_updates_are_the_twin(start, center, rows, penalty):
    """Three ragged minibatches with row weights and falling rates, each from its equations."""
    state, (X, weights) = random_state(6, 5, 4), random_rows(12, 6)
    packed = rows == "packed"
    if rows == "mean-field":
        X = np.random.default_rng(1).random(X.shape)
    criterion = Contrastive(start, 2, center, penalty)
    for low, high, rate in [(0, 7, 0.3), (7, 8, 0.2), (8, 12, 0.1)]:
        before, rows, shares = state.copy(), X[low:high], weights[low:high]
        learn(state, criterion, rows, shares, [0, high - low], [rate], packed=packed)
        assert (state.chains == expected_chains(before, criterion, rows)).all()
        mu = before.visible_mean if center else np.zeros(6)
        lam = before.hidden_mean if center else np.zeros(5)
        model, velocity, lam = reference.contrastive_update(
            before.model, before.velocity, (mu, lam), rows, shares, state.chains,
            shares if start == FROM_DATA else np.ones(4), rate, *penalty,
        )  # fmt: skip
        for computed, expected in zip(state.model, model):
            assert np.allclose(computed, expected, rtol=1e-11, atol=1e-13)
        if penalty.momentum:
            for computed, expected in zip(state.velocity, velocity):
                assert np.allclose(computed, expected, rtol=1e-11, atol=1e-13)
        expected = lam if center else before.hidden_mean
        assert np.allclose(state.hidden_mean, expected, rtol=1e-12)
        assert state.step == before.step + 2


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_large_updates_are_the_twin(start, dtype):
    """Several chunks of rows, of chains and of hidden units, whole and ragged."""
    state, (X, weights) = random_state(7, 70, 66, dtype), random_rows(130, 7, dtype)
    before, criterion = state.copy(), Contrastive(start, 1, True, Penalty(0.0, 0.1, 0.05))
    learn(state, criterion, X, weights, [0, 130], [0.2])
    if dtype == np.float64:
        assert (state.chains == expected_chains(before, criterion, X)).all()
    model, _, lam = reference.contrastive_update(
        parameters(before), (0.0, 0.0, 0.0), (before.visible_mean, before.hidden_mean), X, weights,
        state.chains, weights if start == FROM_DATA else np.ones(66), 0.2, 0.0, 0.1, 0.05,
    )  # fmt: skip
    error = 100 * np.finfo(dtype).eps
    for computed, expected in zip((*state.model, state.hidden_mean), (*model, lam)):
        assert computed.dtype == dtype
        assert np.abs(computed - expected).max() < error * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", [0.1, 0.6, "mean-field"])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("penalty", [PLAIN, Penalty(0.5, 0.1, 0.05)])
@pytest.mark.parametrize(
    "n_visible, n_hidden, n_rows",
    [
        (130, 70, 17),
        (64, 64, 17),
        (33, 129, 17),
        (784, 40, 17),
        (784, 130, 17),
        (130, 70, 1003),
        (130, 70, 1100),
    ],
)
def test_updates_beyond_one_word_and_tile(
    n_visible, n_hidden, n_rows, penalty, center, kind, dtype
):
    """Against NumPy: with lists, tables and values, steps in passing and of a summed gradient."""
    rng = np.random.default_rng(0)
    state = random_state(n_visible, n_hidden, 21, dtype)
    state.model.W[...] *= 0.1
    density = 0.3 if kind == "mean-field" else kind
    X = (rng.random((n_rows, n_visible)) < density).astype(dtype)
    if kind == "mean-field":
        X *= rng.random(X.shape).astype(dtype)
    state.chains[:] = rng.random(state.chains.shape) < density
    weights, before = rng.random(n_rows) + 0.5, state.copy()
    learn(
        state, Contrastive(PERSISTENT, 1, center, penalty), X, weights, [0, n_rows], [0.2],
        packed=kind != "mean-field",
    )  # fmt: skip
    (W, b, c), velocity = parameters(before), [x.astype(float) for x in before.velocity]
    mu, lam = before.visible_mean * center, before.hidden_mean.astype(float) * center
    rows, chains = X.astype(float), state.chains.astype(float)
    shares = np.concatenate([weights / n_rows, np.full(21, -weights.mean() / 21)])
    v = np.vstack([rows, chains])
    p = 1.0 / (1.0 + np.exp(-(v @ W.T + c))) - lam
    dW = (shares[:, None] * p).T @ (v - mu)
    dc = shares @ p - dW @ mu
    db = shares @ v - dW.T @ lam
    momentum, decay, l1 = penalty
    moved = 0.2 * dW - 0.2 * decay * W + momentum * velocity[0]
    W = W + moved
    W = np.sign(W) * np.maximum(np.abs(W) - 0.2 * l1, 0.0)
    expected = W, b + 0.2 * db + momentum * velocity[1], c + 0.2 * dc + momentum * velocity[2]
    for computed, wanted in zip(state.model, expected):
        assert np.abs(computed - wanted).max() < 200 * np.finfo(dtype).eps * np.abs(wanted).max()
    if momentum:
        assert np.abs(state.velocity.W - moved).max() < 200 * np.finfo(dtype).eps


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("rows", ["packed", "dense", "mean-field"])
def test_minibatches_may_share_a_call(start, rows):
    """Many minibatches in one kernel call are the same bits as one call for each."""
    X, weights = random_rows(40, 6)
    packed = rows == "packed"
    if rows == "mean-field":
        X = np.random.default_rng(1).random(X.shape)
    bounds, rates = [0, 3, 13, 14, 30, 40], [0.1, 0.2, 0.3, 0.2, 0.1]
    criterion = Contrastive(start, 3, True, Penalty(0.5, 0.01, 0.01))
    together = learn(random_state(6, 5, 4), criterion, X, weights, bounds, rates, packed=packed)
    apart = random_state(6, 5, 4)
    for low, high, rate in zip(bounds, bounds[1:], rates):
        learn(
            apart, criterion, X[low:high], weights[low:high], [0, high - low], [rate],
            packed=packed,
        )  # fmt: skip
    for one, other in zip((*together.model, together.chains), (*apart.model, apart.chains)):
        assert (one == other).all()


def test_l1_makes_zeros():
    """A weight within reach of the threshold is exactly zero, whatever its gradient."""
    X, weights = random_rows(10, 6)
    criterion = Contrastive(PERSISTENT, 1, True, Penalty(0.0, 0.0, 1e6))
    state = learn(random_state(6, 5, 4), criterion, X, weights, [0, 10], [1e-3])
    assert (state.model.W == 0).all()
    gentle = Contrastive(PERSISTENT, 1, True, Penalty(0.0, 0.0, 10.0))
    state = learn(random_state(6, 5, 4), gentle, X, weights, [0, 10], [1e-3])
    assert (state.model.W != 0).any()


# -- schedules ---------------------------------------------------------------------------------


def test_learning_rates():
    assert (learning_rates("constant", 0.3, 5, 4, 100) == 0.3).all()
    linear = learning_rates("linear", 0.5, 0, 10, 10)
    assert np.allclose(linear, 0.5 * np.arange(10, 0, -1) / 10)
    geometric = learning_rates("geometric", 0.5, 0, 1000, 1000)
    assert (geometric[:501] == 0.5).all()
    assert geometric[750] == pytest.approx(0.05)
    assert geometric[-1] == pytest.approx(0.005, rel=0.01)
    ratios = geometric[502:] / geometric[501:-1]
    assert np.allclose(ratios, 0.01 ** (1 / 500))
    assert learning_rates("geometric", 0.5, 0, 0, 0).shape == (0,)


@pytest.mark.parametrize("schedule", ["constant", "linear", "geometric"])
def test_learning_rates_in_parts(schedule):
    whole = learning_rates(schedule, 0.3, 0, 60, 60)
    parts = [learning_rates(schedule, 0.3, first, 20, 60) for first in (0, 20, 40)]
    assert (whole == np.concatenate(parts)).all()


# -- fixed points ------------------------------------------------------------------------------


def contributions(model, offsets, V):
    """What each row adds to the ascent direction (W, b, c), (n, H V + V + H)."""
    (W, _, c), (mu, lam) = model, offsets
    p = 1 / (1 + np.exp(-(V @ W.T + c)))
    outer = (p - lam)[:, :, None] * (V - mu)[:, None, :]
    for_b = V - np.einsum("nji,j->ni", outer, lam)
    for_c = p - np.einsum("nji,i->nj", outer, mu)
    return np.hstack([outer.reshape(len(V), -1), for_b, for_c])


def largest_deviate(start, n_gibbs_steps, center, wrong=0.0, n=20_000):
    """Largest |z| of one step from the model's own parameters along 2 n of its exact draws.

    ``wrong`` is added to one weight of the model that learns.
    """
    state = random_state(6, 4, n, seed=3)
    model, rng = parameters(state), np.random.default_rng(0)
    states, p = reference.all_states(6), reference.probabilities(*model)
    X, state.chains[:] = states[rng.choice(64, (2, n), p=p)]
    offsets = (state.visible_mean, state.hidden_mean) if center else (np.zeros(6), np.zeros(4))
    each = contributions(model, offsets, states)
    variance = p @ each**2 - (p @ each) ** 2
    state.model.W[1, 2] += wrong
    before = np.concatenate([array.ravel() for array in state.copy().model])
    learn(state, Contrastive(start, n_gibbs_steps, center, PLAIN), X, np.ones(n), [0, n], [1.0])
    moves = np.concatenate([array.ravel() for array in state.model]) - before
    return np.abs(moves / np.sqrt(2 * variance / n)).max(), len(moves)


# CD starts at the data, whose draws are exact; random starts need to forget theirs.
@pytest.mark.parametrize("start, k", [(FROM_DATA, 1), (PERSISTENT, 1), (RANDOM, 100)])
@pytest.mark.parametrize("center", [True, False])
def test_gradient_vanishes_at_the_truth(start, k, center):
    """Positive and negative phase cancel in expectation, at alpha = 1e-6 over all parameters.

    20,000 draws for each phase: a standard error of a gradient is below 0.006.
    """
    deviate, n_parameters = largest_deviate(start, k, center)
    assert deviate < reference.z_limit(n_parameters)


@pytest.mark.parametrize("center", [True, False])
def test_gradient_does_not_vanish_elsewhere(center):
    """One weight that is wrong by 0.5 is noticed at the above size."""
    deviate, n_parameters = largest_deviate(RANDOM, 100, center, wrong=0.5)
    assert deviate > reference.z_limit(n_parameters)


def test_gradient_of_log_partition_by_sampling():
    """d log Z = E[d log p~]: exact slopes against 100,000 draws of the sampler's chains.

    All 34 parameters together at alpha = 1e-6; standard errors are below 0.0016.
    """
    rng = np.random.default_rng(5)
    model = rng.normal(0, 0.8, (4, 6)), rng.normal(0, 0.5, 6), rng.normal(0, 0.5, 4)
    X = PCDRBM.from_parameters(*model).sample(100_000, n_gibbs_steps=100, random_state=0)
    computed = -BernoulliRBM(*model).gradient(X, np.full(len(X), 1 / len(X)))
    stderr = contributions(model, (np.zeros(6), np.zeros(4)), X).std(axis=0) / np.sqrt(len(X))
    flat, slopes = np.concatenate([array.ravel() for array in model]), []
    for step in 1e-5 * np.eye(flat.size):
        ends = [flat + step, flat - step]
        above, below = (
            reference.log_partition(x[:24].reshape(4, 6), x[24:30], x[30:]) for x in ends
        )
        slopes.append((above - below) / 2e-5)
    assert (stderr < 0.0016).all()
    assert (np.abs(computed - slopes) < reference.z_limit(flat.size) * stderr + 1e-8).all()


# -- minibatches of any size -------------------------------------------------------------------

FIVE_ROWS = np.array([[1.0, 0], [1, 0], [1, 1], [1, 0], [0, 0]])  # means 0.8 and 0.2


def marginals(model):
    W, b, c = model.components_, model.intercept_visible_, model.intercept_hidden_
    return reference.probabilities(W, b, c) @ reference.all_states(2)


def independent_units(estimator, **params):
    """A model far from the data whose weights l1 holds near zero."""
    parameters = np.zeros((1, 2)), np.array([-1.0, 1.0]), np.zeros(1)
    return estimator.from_parameters(*parameters, batch_size=10, l1=10.0, **params)


@pytest.mark.parametrize("estimator", [PCDRBM, RdmRBM])
def test_marginals_of_five_rows(estimator):
    """A batch of ten with only five rows learns their means, with a sd of 0.003.

    The tolerance is six of these; a negative phase that is summed over ten chains and divided
    by five rows is off by 0.4, as scikit-learn's is.
    """
    params = {"n_iter": 3000, "learning_rate": 0.1, "random_state": 0}
    model = independent_units(estimator, warm_start=True, **params).fit(FIVE_ROWS)
    assert np.abs(marginals(model) - [0.8, 0.2]).max() < 0.02
    theirs = SklearnRBM(1, batch_size=10, **{**params, "learning_rate": 0.01}).fit(FIVE_ROWS)
    assert np.abs(marginals(theirs) - [0.8, 0.2]).max() > 0.1


def mean_marginals(model, chunk, n_calls):
    """Average over the last three quarters of the calls, each with the next ``chunk`` rows."""
    rows, total = np.tile(FIVE_ROWS, (chunk // 5 + 2, 1)), np.zeros(2)
    for call in range(n_calls):
        first = call * chunk % 5
        model.partial_fit(rows[first : first + chunk])
        if call >= n_calls // 4:
            total += marginals(model)
    return total / (n_calls - n_calls // 4)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 10, 11, 23, 100])
def test_marginals_of_any_chunk(chunk):
    """Chunks of 1 to 100 rows with batch_size=10 hover about the data's means.

    The sum of all moves of a bias is bounded, so the chains' means average to the data's; over
    more than 700 updates of ten chains that leaves a sd of 0.006 at most; the tolerance is six.
    """
    model = independent_units(PCDRBM, learning_rate=0.1, random_state=0)
    computed = mean_marginals(model, chunk, 1000)
    assert np.abs(computed - [0.8, 0.2]).max() < 0.035


@pytest.mark.parametrize("chunk", [5, 100])
def test_marginals_of_chunks_have_power(chunk):
    theirs = SklearnRBM(1, batch_size=10, learning_rate=0.1, random_state=0)
    assert np.abs(mean_marginals(theirs, chunk, 1000) - [0.8, 0.2]).max() > 0.1


@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_visible_mean_of_chunks(chunk):
    """The means of a stream are those of all its rows, however it was cut."""
    X = (np.random.default_rng(0).random((60, 4)) < [0.2, 0.4, 0.6, 0.8]).astype(float)
    model = PCDRBM(2, random_state=0)
    for low in range(0, 60, chunk):
        model.partial_fit(X[low : low + chunk])
    assert np.allclose(model.visible_mean_, X.mean(axis=0), atol=1e-12)


def test_visible_mean_after_fit():
    """``partial_fit`` adds its rows to those of ``fit``; one row more does not replace them."""
    X = (np.random.default_rng(0).random((60, 4)) < [0.2, 0.4, 0.6, 0.8]).astype(float)
    model = PCDRBM(2, n_iter=2, random_state=0).fit(X[:40]).partial_fit(X[40:])
    assert np.allclose(model.visible_mean_, X.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("estimator", [PCDRBM, RdmRBM])
def test_weights_are_repetition(estimator):
    """One full batch with integer weights follows the same path as repeated rows."""
    X, _ = random_rows(20, 6)
    weights = np.random.default_rng(0).integers(0, 4, 20)
    params = {
        "batch_size": 100, "n_chains": 30, "n_iter": 20, "learning_rate": 0.2, "momentum": 0.5,
        "weight_decay": 0.01, "l1": 0.001, "random_state": 0,
    }  # fmt: skip
    weighted = estimator(5, **params).fit(X, sample_weight=weights)
    scaled = estimator(5, **params).fit(X, sample_weight=0.25 * weights)
    repeated = estimator(5, **params).fit(np.repeat(X, weights, axis=0))
    plain = estimator(5, **params).fit(X)
    for name in ("components_", "intercept_visible_", "intercept_hidden_", "visible_mean_"):
        expected = getattr(repeated, name)
        assert np.allclose(getattr(weighted, name), expected, rtol=1e-8, atol=1e-10)
        assert np.allclose(getattr(scaled, name), expected, rtol=1e-8, atol=1e-10)
        assert not np.allclose(getattr(plain, name), expected, rtol=1e-2)


# -- centring ----------------------------------------------------------------------------------


def flipped(model):
    """The parameters of the same distribution over 1 - v."""
    W, b, c = model
    return -W, -b, c + W.sum(axis=1)


@pytest.mark.parametrize("center", [True, False])
def test_a_centred_step_does_not_care_for_the_coding(center):
    """Of the twin that the kernel is: a centred step on 1 - X is the flipped step on X."""
    state, (X, weights) = random_state(6, 5, 8), random_rows(9, 6)
    model, mu = parameters(state), state.visible_mean if center else np.zeros(6)
    lam = state.hidden_mean if center else np.zeros(5)
    still = tuple(np.zeros_like(array) for array in model)
    update = (weights, state.chains, np.ones(8), 0.1)
    here = reference.contrastive_update(model, still, (mu, lam), X, *update)[0]
    update = (weights, 1 - state.chains, np.ones(8), 0.1)
    mu = 1 - mu if center else mu
    there = reference.contrastive_update(flipped(model), still, (mu, lam), 1 - X, *update)[0]
    same = all(np.allclose(one, two) for one, two in zip(there, flipped(here)))
    assert same == center


def exact_scores(X, center, seeds):
    settings = {"n_iter": 30, "batch_size": 30, "learning_rate": 0.3, "center": center}
    settings["learning_rate_schedule"] = "geometric"
    return np.array([PCDRBM(10, random_state=s, **settings).fit(X).score(X) for s in seeds])


def test_flip_invariance():
    """Centred training on sparse X and on 1 - X reaches the same exact likelihood.

    Ten seeds each, Welch's t at alpha = 1e-6; a difference of 0.5 nats is seen. Uncentred
    training of the same length falls behind on 1 - X by more.
    """
    rng = np.random.default_rng(0)
    prototypes = np.repeat(np.eye(10), 4, axis=1)
    X = np.abs(prototypes[rng.integers(0, 10, 300)] - (rng.random((300, 40)) < 0.02))
    limit = stats.t.isf(reference.ALPHA / 2, 18)
    for center in (True, False):
        here, there = exact_scores(X, center, range(10)), exact_scores(1 - X, center, range(10, 20))
        stderr = np.sqrt((here.var(ddof=1) + there.var(ddof=1)) / 10)
        assert (abs(here.mean() - there.mean()) < limit * stderr) == center
        assert stderr < 0.07


# -- the three criteria are different ----------------------------------------------------------


def test_where_chains_start():
    """CD leaves its chains one step from the data, Rdm from the marginals, PCD where they were."""
    X, weights = random_rows(50, 6)
    X[:, :2] = 1.0
    state = random_state(6, 5, 50)
    state.model.W[...], state.model.b[...] = 0.0, [9, 9, 0, 0, 0, 0]
    state.model.W[0, 2] = 40.0  # with its hidden unit, a memory of unit 2
    state.model.c[0], state.model.b[2] = -20.0, -20.0
    stays = {}
    for start in STARTS:
        own = state.copy()
        before = (X if start == FROM_DATA else own.chains)[:, 2].copy()
        learn(own, Contrastive(start, 1, True, PLAIN), X, weights, [0, 50], [1e-6])
        stays[start] = (own.chains[:, 2] == before).mean()
    assert stays[FROM_DATA] == stays[PERSISTENT] == 1.0
    assert stays[RANDOM] < 0.9


def test_estimators_use_their_criterion():
    for estimator, start in ((CDRBM, FROM_DATA), (PCDRBM, PERSISTENT), (RdmRBM, RANDOM)):
        assert estimator()._criterion().start == start


@pytest.mark.parametrize("start", STARTS)
def test_how_updates_are_cut_into_calls_does_not_matter(monkeypatch, start):
    """A slow machine makes shorter calls of the kernel, and the same bits."""
    X = (np.random.default_rng(0).random((300, 20)) < 0.4).astype(np.float32)
    cls = {FROM_DATA: CDRBM, PERSISTENT: PCDRBM, RANDOM: RdmRBM}[start]

    def learned():
        model = cls(6, batch_size=10, n_iter=2, n_gibbs_steps=2, momentum=0.5, random_state=0)
        calls, train = [], contrastive.train
        with monkeypatch.context() as patch:
            spy = lambda *args, **kwargs: calls.append(0) or train(*args, **kwargs)  # noqa: E731
            spy.compiled = train.compiled
            patch.setattr(contrastive, "train", spy)
            model.fit(X)
        return len(calls), [*model._parameters(), *model.history_.values()]

    monkeypatch.setattr(contrastive._Run, "seconds_over_planned", 1.0)
    few, expected = learned()
    monkeypatch.setattr(contrastive, "_TRAINING_SECONDS", 1e-9)
    many, arrays = learned()
    assert few < 8 and many > 25
    for one, other in zip(expected, arrays):
        np.testing.assert_array_equal(one, other)
