"""Exact moments, gradients, draws and maximum likelihood, against sums over all joint states."""

import math
import time
import warnings

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from skebm import CDRBM, PCDRBM, RdmRBM
from skebm._bits import pack
from skebm._jit import threads
from skebm.criteria import Exact, LearningState, Penalty, exact
from skebm.energies import BernoulliRBM, Energy, _rbm_moments
from skebm.partition import exact_log_likelihood_gradient, exact_moments

ENTROPY = (1, 2, 3, 4)
PENALTIES = [Penalty(0.0, 0.0, 0.0), Penalty(0.9, 0.0, 0.0), Penalty(0.5, 0.1, 0.4)]

pytestmark = pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")


def random_parameters(seed, n_visible, n_hidden, scale=1.0, dtype=np.float64):
    """Asymmetric on purpose, as in the tests of the energy."""
    rng = np.random.default_rng(seed)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    return tuple(rng.normal(0.3, scale, shape).astype(dtype) for shape in shapes)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def moments_by_the_larger_layer(W, b, c):
    """The other sum, in NumPy: (log Z, flat moments), enumerating the visible units."""
    n = len(b)
    V = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)
    fields = V @ W.T + c
    values = V @ b + np.logaddexp(0.0, fields).sum(axis=1)
    log_z = values.max() + np.log(np.exp(values - values.max()).sum())
    weights = np.exp(values - log_z)
    P = weights[:, None] / (1.0 + np.exp(-fields))
    return log_z, flat((P.T @ V, weights @ V, P.sum(axis=0)))


# -- moments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 200.0])
@pytest.mark.parametrize("n_visible, n_hidden", [(1, 1), (1, 5), (5, 1), (4, 6), (6, 4)])
def test_moments_are_sums_over_joint_states(n_visible, n_hidden, scale, dtype):
    """With products of factors, and with single logarithms from scale 200 on."""
    parameters = random_parameters(n_visible, n_visible, n_hidden, scale, dtype)
    computed = BernoulliRBM(*parameters).exact_moments()
    expected = flat(reference.moments(*parameters))
    assert computed.gradient.dtype == np.float64
    assert np.allclose(computed.gradient, expected, rtol=1e-10, atol=1e-13)
    assert computed.log_partition == pytest.approx(reference.log_partition(*parameters), rel=1e-12)


@pytest.mark.parametrize("scale", [0.7, 60.0])
@pytest.mark.parametrize("n_hidden", [6, 7, 11, 14])
def test_moments_of_many_chunks(monkeypatch, n_hidden, scale):
    """Tabulated, Gray-code and prefix bits, in one kernel call and in many; more than one tile."""
    energy = BernoulliRBM(*random_parameters(5, 16, n_hidden, scale))
    log_z, expected = moments_by_the_larger_layer(*energy._parameters)
    wide = BernoulliRBM(
        np.hstack([energy.components, np.zeros((n_hidden, 150))]),
        np.append(energy.intercept_visible, np.full(150, 0.4)), energy.intercept_hidden,
    )  # fmt: skip
    for bits, size in [(2**18, 8e6), (2**8, 8e6), (2**10, 1e4), (2**18, 1.0)]:
        monkeypatch.setattr(_rbm_moments, "_CHUNK_VALUES", bits)
        monkeypatch.setattr(_rbm_moments, "_CALL_BYTES", size)
        computed = energy.exact_moments()
        assert computed.log_partition == pytest.approx(log_z, rel=1e-12)
        assert np.allclose(computed.gradient, expected, rtol=1e-9, atol=1e-12)
        parts = wide.unflatten(wide.exact_moments().gradient)
        narrow = energy.unflatten(computed.gradient)
        assert np.allclose(parts["components"][:, :16], narrow["components"], atol=1e-12)
        independent = narrow["intercept_hidden"][:, None] / (1 + math.exp(-0.4))
        assert np.allclose(parts["components"][:, 16:], independent, atol=1e-12)


@pytest.mark.parametrize("n_visible, n_hidden", [(9, 5), (5, 9), (8, 8), (12, 11)])
def test_layers_may_change_places(n_visible, n_hidden):
    W, b, c = random_parameters(3, n_visible, n_hidden)
    energy, turned = BernoulliRBM(W, b, c), BernoulliRBM(W.T, c, b)
    one, other = (each.unflatten(each.exact_moments().gradient) for each in (energy, turned))
    assert np.allclose(one["components"], other["components"].T, rtol=1e-12)
    assert np.allclose(one["intercept_visible"], other["intercept_hidden"], rtol=1e-12)
    assert np.allclose(one["intercept_hidden"], other["intercept_visible"], rtol=1e-12)


@pytest.mark.parametrize("n_visible, n_hidden", [(7, 4), (4, 7)])
def test_moments_are_slopes_of_log_partition(n_visible, n_hidden):
    """Central differences of the exact log Z, whose own error is 1e-9."""
    parameters = random_parameters(1, n_visible, n_hidden)
    energy, theta = BernoulliRBM(*parameters), flat(parameters)
    at = lambda x: BernoulliRBM(*energy.unflatten(x).values()).exact_log_partition()  # noqa: E731
    steps = 1e-5 * np.eye(len(theta))
    slopes = [(at(theta + step) - at(theta - step)) / 2e-5 for step in steps]
    assert np.allclose(energy.exact_moments().gradient, slopes, atol=1e-8)


@pytest.mark.parametrize("n_visible, n_hidden", [(7, 9), (9, 7), (1, 3), (3, 1), (12, 10)])
@pytest.mark.parametrize("size", [1e3, 1e7])
def test_extreme_weights(size, n_visible, n_hidden):
    """Far beyond where e^x overflows: nothing but finite means, and right ones."""
    rng = np.random.default_rng(0)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    parameters = [rng.choice([-size, size], shape) + rng.normal(0, 1, shape) for shape in shapes]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        computed = BernoulliRBM(*parameters).exact_moments()
        X = BernoulliRBM(*parameters).exact_sample(50, ENTROPY)
    assert ((computed.gradient >= 0) & (computed.gradient <= 1 + 1e-12)).all()
    assert np.isfinite(computed.log_partition) and np.isin(X, (0, 1)).all()
    if n_visible * n_hidden < 80:
        with np.errstate(over="ignore"):
            _, expected = moments_by_the_larger_layer(*parameters)
        assert np.allclose(computed.gradient, expected, atol=1e-9)


def test_moments_of_independent_units():
    """No weights: products of means, at any bias."""
    b, c = np.array([-800.0, -3.0, 0.0, 2.0, 800.0]), np.array([-30.0, 1.0, 700.0])
    parts = BernoulliRBM(np.zeros((3, 5)), b, c)
    parts = parts.unflatten(parts.exact_moments().gradient)
    visible, hidden = (np.exp(-np.logaddexp(0.0, -x)) for x in (b, c))
    assert np.allclose(parts["intercept_visible"], visible, rtol=1e-12, atol=1e-300)
    assert np.allclose(parts["intercept_hidden"], hidden, rtol=1e-12)
    assert np.allclose(parts["components"], np.outer(hidden, visible), rtol=1e-12, atol=1e-300)


def test_twin_units_have_twin_moments():
    W, b, c = random_parameters(2, 8, 5)
    W[:, 3], b[3], W[4], c[4] = W[:, 6], b[6], W[1], c[1]
    energy = BernoulliRBM(W, b, c)
    parts = energy.unflatten(energy.exact_moments().gradient)
    products, visible, hidden = parts.values()
    assert np.allclose(products[:, 3], products[:, 6], rtol=1e-12)
    assert np.allclose(products[4], products[1], rtol=1e-12)
    assert visible[3] == pytest.approx(visible[6], rel=1e-12)
    assert hidden[4] == pytest.approx(hidden[1], rel=1e-12)


def test_public_moments():
    parameters = random_parameters(0, 5, 3)
    model = PCDRBM.from_parameters(*parameters)
    computed, (products, visible, hidden) = exact_moments(model), reference.moments(*parameters)
    assert np.allclose(computed.products, products) and computed.products.shape == (3, 5)
    assert np.allclose(computed.visible, visible) and np.allclose(computed.hidden, hidden)
    assert computed.log_partition == pytest.approx(model.log_partition("exact").value, rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spins", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_public_gradient_is_the_slope_of_the_score(dtype, spins, sparse):
    """Central differences of the mean log-likelihood by every parameter."""
    rng = np.random.default_rng(0)
    X = (rng.random((30, 5)) < 0.4).astype(dtype)
    model = PCDRBM(3, n_iter=2, random_state=0).fit(2 * X - 1 if spins else X)
    rows = sp.csr_array(X) if sparse and not spins else 2 * X - 1 if spins else X
    computed = exact_log_likelihood_gradient(model, rows)
    theta = flat(model._parameters()).astype(float)
    energy = model._energy()

    def score(x):
        parts = energy.unflatten(x).values()
        return PCDRBM.from_parameters(*parts).score(X.astype(float))

    slopes = [(score(theta + e) - score(theta - e)) / 2e-5 for e in 1e-5 * np.eye(len(theta))]
    assert list(computed) == ["components", "intercept_visible", "intercept_hidden"]
    assert computed.components.shape == (3, 5)
    assert np.allclose(flat(computed.values()), slopes, atol=1e-7)


# -- limits ------------------------------------------------------------------------------------


def test_moments_out_of_reach_are_refused_before_work():
    model = PCDRBM.from_parameters(np.zeros((60, 50)), np.zeros(50), np.zeros(60))
    assert model._energy().exact_moments() is None
    said = r"exact moments are out of reach.*2\^50 states.*about 6.4 years on one core.*60 min"
    for refused in (exact_moments, lambda m: exact_log_likelihood_gradient(m, np.ones((1, 50)))):
        with pytest.raises(ValueError, match=said):
            refused(model)
    with pytest.raises(ValueError, match="at most 24 units, the smaller one has 50"):
        model._energy().exact_sample(1, ENTROPY)
    huge = BernoulliRBM(np.zeros((1500, 1500)), np.zeros(1500), np.zeros(1500))
    assert huge.exact_moments() is None and huge.exact_log_partition() is None


@pytest.mark.parametrize("n_visible, n_hidden", [(300, 14), (13, 200)])
def test_predicted_time(n_visible, n_hidden):
    """Within a factor of ten of what one thread takes, on a machine that may be busy."""
    energy = BernoulliRBM(*random_parameters(0, n_visible, n_hidden, 0.1))
    energy.exact_moments()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        with threads(1):
            energy.exact_moments()
        times.append(time.perf_counter() - started)
    assert 0.1 < min(times) / energy.exact_moments_seconds() < 10


class Minimal(Energy):
    """An energy with the five methods of the protocol and no sums over states."""

    n_features = 3
    energy = gradient = base = sweep = None

    def exact_log_partition(self):
        return None


def test_the_protocol_does_not_ask_for_moments():
    energy = Minimal()
    assert energy.exact_moments() is None and energy.exact_moments_seconds() == np.inf
    assert energy.n_exact_bits() is None
    assert energy.unflatten(np.ones(2))["theta"].shape == (2,)
    with pytest.raises(NotImplementedError, match="Minimal cannot be drawn from exactly"):
        energy.exact_sample(1, ENTROPY)


# -- exact draws -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_visible, n_hidden", [(8, 7), (7, 8), (8, 2), (2, 8)])
def test_draws_have_the_models_distribution(n_visible, n_hidden, dtype):
    """Pearson over all visible states at alpha = 1e-6; a total variation of 0.02 is found.

    Layers of seven or eight units have several blocks of tabulated states.
    """
    parameters = random_parameters(4, n_visible, n_hidden, 0.8, dtype)
    X = BernoulliRBM(*parameters).exact_sample(200_000, ENTROPY)
    assert X.dtype == dtype and X.shape == (200_000, n_visible)
    p = reference.probabilities(*parameters)
    assert reference.detected_variation(200_000, len(p)) < 0.02
    assert reference.chi_square_p_value(reference.state_counts(X), p) > reference.ALPHA
    p[:2] = p[[1, 0]] + [0.03, -0.03]  # a wrong model is noticed
    assert reference.chi_square_p_value(reference.state_counts(X), abs(p)) < reference.ALPHA


def test_draws_are_independent():
    """Pairs of neighbours have the product distribution: Pearson at alpha = 1e-6, d < 0.02."""
    parameters = random_parameters(4, 3, 8)
    X = BernoulliRBM(*parameters).exact_sample(300_000, ENTROPY)
    p = reference.probabilities(*parameters)
    counts = reference.state_counts(X.reshape(-1, 6))
    assert reference.detected_variation(150_000, 64) < 0.02
    assert reference.chi_square_p_value(counts, np.outer(p, p).ravel()) > reference.ALPHA


def test_draws_are_a_function_of_their_entropy():
    energy = BernoulliRBM(*random_parameters(0, 30, 9))
    first, second, other = (energy.exact_sample(40, seed) for seed in (ENTROPY, ENTROPY, (1, 2)))
    assert (first == second).all() and (first != other).any()
    assert energy.exact_sample(0, ENTROPY).shape == (0, 30)


# -- maximum likelihood ------------------------------------------------------------------------


def random_state(n_visible, n_hidden, n_chains, dtype=np.float64):
    """A state in the middle of learning."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.8, n_visible)
    state = LearningState.start(n_hidden, means, 50, n_chains, ENTROPY, dtype)
    for arrays, scale in ((state.model, 1.0), (state.velocity, 0.01)):
        for array in arrays:
            array[...] = rng.normal(0, scale, array.shape)
    state.hidden_mean[:] = rng.uniform(0.1, 0.9, n_hidden)
    return state


def learn(state, criterion, X, weights, bounds, rates, *, packed=True):
    take = lambda low, high: pack(X[low:high]) if packed else X[low:high]  # noqa: E731
    assert all(criterion.update(state, take, weights, np.array(bounds), np.array(rates)))
    return state


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_visible, n_hidden", [(6, 5), (5, 6)])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("rows", ["packed", "mean-field"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_updates_are_the_twin(n_visible, n_hidden, center, rows, penalty, dtype):
    """Three ragged minibatches with row weights and falling rates, each from its equations."""
    rng, state = np.random.default_rng(1), random_state(n_visible, n_hidden, 4, dtype)
    packed = rows == "packed"
    X, weights = rng.random((12, n_visible)).astype(dtype), rng.integers(1, 4, 12).astype(float)
    X = (X < 0.4).astype(dtype) if packed else X
    error = 1e-11 if dtype == np.float64 else 1e-5
    for low, high, rate in [(0, 7, 0.3), (7, 8, 0.2), (8, 12, 0.1)]:
        before, data, shares = state.copy(), X[low:high], weights[low:high]
        learn(
            state, Exact(center, penalty), data, shares, [0, high - low], [rate], packed=packed
        )  # fmt: skip
        mu = before.visible_mean if center else np.zeros(n_visible)
        lam = before.hidden_mean.astype(float) if center else np.zeros(n_hidden)
        model, velocity = (
            tuple(array.astype(float) for array in arrays)
            for arrays in (before.model, before.velocity)
        )
        model, velocity, lam = reference.exact_update(
            model, velocity, (mu, lam), data, shares, rate, *penalty
        )
        for computed, expected in zip(state.model, model):
            assert computed.dtype == dtype
            assert np.allclose(computed, expected, rtol=error, atol=error)
        if penalty.momentum:
            for computed, expected in zip(state.velocity, velocity):
                assert np.allclose(computed, expected, rtol=error, atol=error)
        expected = lam if center else before.hidden_mean
        assert np.allclose(state.hidden_mean, expected, rtol=error)
        assert state.step == before.step + 1


def test_long_minibatches_are_taken_in_blocks(monkeypatch):
    X, weights = (np.random.default_rng(0).random((100, 6)) < 0.4) * 1.0, np.linspace(0.5, 1.5, 100)
    run = Exact(True, PENALTIES[2]), X, weights, [0, 60, 100], [0.2, 0.1]
    whole = learn(random_state(6, 5, 4), *run)
    monkeypatch.setattr(exact, "_VALUES", 6 * 7)
    parts = learn(random_state(6, 5, 4), *run)
    assert np.allclose(flat(whole.model), flat(parts.model), rtol=1e-12)
    assert (whole.chains == parts.chains).all()


def test_a_step_follows_the_public_gradient(bits):
    """From the same parameters, without offsets: theta + rate * gradient of the mean."""
    start = PCDRBM(4, n_iter=3, random_state=0).fit(bits)
    gradient = exact_log_likelihood_gradient(start, bits)
    learner = PCDRBM.from_parameters(
        *start._parameters(), n_gibbs_steps="exact", center=False, batch_size=len(bits),
        learning_rate=0.05,
    ).partial_fit(bits)  # fmt: skip
    for before, after, slope in zip(start._parameters(), learner._parameters(), gradient.values()):
        assert np.allclose(after - before, 0.05 * slope, rtol=1e-9, atol=1e-13)


def test_offsets_change_the_path_but_no_fixed_point():
    """At a model whose exact gradient vanishes, the centred step vanishes as well."""
    parameters = random_parameters(6, 3, 2)
    states, p = reference.all_states(3), reference.probabilities(*parameters)
    for center in (True, False):
        model = PCDRBM.from_parameters(
            *parameters, n_gibbs_steps="exact", batch_size=8, center=center
        ).partial_fit(states, sample_weight=p)
        for before, after in zip(parameters, model._parameters()):
            assert np.allclose(before, after, atol=1e-14)


def test_likelihood_rises_at_every_step(bits):
    """Full-batch ascent with a small rate; what it climbs is the exact training likelihood."""
    model = PCDRBM(
        5, n_gibbs_steps="exact", batch_size=len(bits), n_iter=15, learning_rate=1.0,
        learning_rate_schedule="constant", warm_start=True, random_state=0,
    )  # fmt: skip
    scores = [model.fit(bits).score(bits) for _ in range(8)]
    assert (np.diff(scores) > 0).all()
    assert scores[-1] - scores[0] > 0.1


def test_a_small_problem_is_learned_to_its_optimum():
    """Three units with all eight states: a model of four hidden units can be the data itself."""
    p = np.array([9.0, 1, 2, 6, 3, 7, 8, 1])
    X = np.repeat(reference.all_states(3), p.astype(int), axis=0)
    entropy = -(p / p.sum() * np.log(p / p.sum())).sum()
    model = CDRBM(
        4, n_gibbs_steps="exact", batch_size=len(X), n_iter=600, learning_rate=1.0, momentum=0.9,
        learning_rate_schedule="constant", random_state=0,
    ).fit(X)  # fmt: skip
    assert abs(-model.score(X) - entropy) < 1e-4
    gradient = flat(exact_log_likelihood_gradient(model, X).values())
    assert np.abs(gradient).max() < 1e-3
    fitted = reference.probabilities(*model._parameters())
    assert np.allclose(fitted, p / p.sum(), atol=0.01)


def test_chains_become_draws_of_the_model():
    """Pearson over the 16 states at alpha = 1e-6; a total variation of 0.04 is found."""
    X = (np.random.default_rng(0).random((40, 4)) < [0.2, 0.5, 0.5, 0.9]).astype(float)
    X[:, 2], n_chains = X[:, 1], 25_000
    model = PCDRBM(
        3, n_gibbs_steps="exact", n_chains=n_chains, n_iter=30, learning_rate=0.5, random_state=0
    ).fit(X)
    p = reference.probabilities(*model._parameters())
    assert reference.detected_variation(n_chains, 16) < 0.04
    counts = reference.state_counts(model.chains_)
    assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    before = model.chains_
    assert (model.partial_fit(X).chains_ != before).any()


def test_all_estimators_are_one(bits):
    """Without chains in the gradient nothing is left of where they start."""
    models = [
        cls(4, n_gibbs_steps="exact", n_iter=3, random_state=0).fit(bits)
        for cls in (CDRBM, PCDRBM, RdmRBM)
    ]
    for model in models[1:]:
        for one, other in zip(models[0]._parameters(), model._parameters()):
            assert (one == other).all()


def test_weights_are_repetitions():
    """On one full batch, as for the chains that start at the data."""
    X = (np.random.default_rng(0).random((30, 6)) < 0.4).astype(float)
    weights = np.arange(30) % 3
    run = {"n_gibbs_steps": "exact", "batch_size": 1000, "n_iter": 5, "random_state": 0}
    weighted = CDRBM(4, **run).fit(X, sample_weight=weights)
    repeated = CDRBM(4, **run).fit(np.repeat(X, weights, axis=0))
    # Their initial biases are clipped marginals of the same means.
    for one, other in zip(weighted._parameters(), repeated._parameters()):
        assert np.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["csr", "spins", "mean-field", "float32"])
def test_any_rows(bits, kind):
    plain = PCDRBM(4, n_gibbs_steps="exact", n_iter=2, random_state=0)
    X = {
        "csr": sp.csr_array(bits), "spins": 2 * bits - 1, "mean-field": 0.9 * bits,
        "float32": bits.astype(np.float32),
    }[kind]  # fmt: skip
    model = PCDRBM(4, n_gibbs_steps="exact", n_iter=2, random_state=0)
    model.set_params(binarize=None if kind == "mean-field" else 0.5).fit(X)
    assert np.isfinite(model.score(X)) and model.components_.dtype == X.dtype
    if kind in ("csr", "spins"):
        assert np.allclose(plain.fit(bits).components_, model.components_, rtol=1e-12)


def test_learning_may_go_on_with_chains(bits):
    model = PCDRBM(4, n_gibbs_steps="exact", n_iter=2, random_state=0).fit(bits)
    model.set_params(n_gibbs_steps=2).partial_fit(bits)
    model.set_params(n_gibbs_steps="exact", warm_start=True).fit(bits)
    assert model.n_iter_ == 4 and np.isfinite(model.score(bits))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_large_layers_are_refused_before_work(estimator_class, method):
    """Named are the parameter, the time of an update and the limit; nothing is set."""
    X = np.ones((5, 784))
    if "n_gibbs_steps" not in estimator_class().get_params():
        pytest.skip("learns without chains")
    model = estimator_class(20, n_gibbs_steps="exact")
    before = dict(vars(model))
    said = r"n_gibbs_steps='exact'.*2\^20 states.*about 2\.5 s per update.*limit is 1 s"
    with pytest.raises(ValueError, match=said):
        getattr(model, method)(X)
    assert vars(model) == before
    model.set_params(n_components=500, n_iter=0).fit(X[:, :4])  # the smaller layer counts


def test_divergence_keeps_the_last_good_parameters(bits):
    model = PCDRBM(4, n_gibbs_steps="exact", learning_rate=1e9, n_iter=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(bits)
    assert all(np.isfinite(array).all() for array in model._parameters())
    assert np.isfinite(model.transform(bits)).all()
