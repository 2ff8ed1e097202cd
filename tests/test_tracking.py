"""log Z along training: chains that follow the model, against exact values."""

import math
import pickle

import numpy as np
import pytest
import reference
from sklearn.exceptions import ConvergenceWarning

from skebm import PCDRBM
from skebm.energies import BernoulliRBM, IndependentBernoulli
from skebm.partition import tracking
from skebm.partition.tracking import ShadowChains

KEYS = (
    "log_likelihood",
    "log_partition",
    "log_partition_stderr",
    "log_partition_converged",
)


@pytest.fixture
def no_enumeration(monkeypatch):
    """Shadow chains follow even where log Z could be summed in less time."""
    monkeypatch.setattr(tracking, "FLOPS_PER_SECOND", np.inf)


def walk(seed=0, n_models=6, steepness=1.5):
    """Independent units and models further and further from them, with their base."""
    rng = np.random.default_rng(seed)
    W, b, c = rng.normal(0.2, 0.6, (5, 7)), rng.normal(0, 1, 7), rng.normal(0, 1, 5)
    models = [BernoulliRBM(t * W, b, t * c) for t in np.linspace(0, steepness, n_models)]
    return models, IndependentBernoulli(b)


def followed(models, base, seed, n_chains, n_temperatures):
    shadow = ShadowChains.start(models[0], base, (seed, 2, 3, 4), n_chains=n_chains)
    values = []
    for model in models[1:]:
        shadow = shadow.follow(model, n_temperatures)
        values.append(shadow.result())
    return shadow, values


def test_shadow_chains_are_unbiased():
    """E[Z^] = Z after every step, resampling included, over 1,000 runs: |z| < z_limit(5)."""
    models, base = walk(steepness=4.0)
    log_z = [model.exact_log_partition() for model in models[1:]]
    ratios, resampled = [], 0
    for seed in range(1000):
        shadow, found = followed(models, base, seed, n_chains=20, n_temperatures=1)
        ratios.append([math.exp(each.value - z) for each, z in zip(found, log_z)])
        resampled += shadow.variance > 0
    assert resampled > 400
    ratios = np.array(ratios)
    stderr = ratios.std(axis=0, ddof=1) / math.sqrt(1000)
    assert (stderr < 0.05).all()
    assert (abs(ratios.mean(axis=0) - 1) < reference.z_limit(5) * stderr).all()


def test_stated_error_is_that_of_repeated_runs():
    """Over 300 runs the sd is within 20 % of the mean stated error (5 errors of an sd)."""
    models, base = walk(1)
    found = [followed(models, base, seed, 128, 3)[1][-1] for seed in range(300)]
    values = np.array([each.value for each in found])
    assert values.std() == pytest.approx(np.mean([each.stderr for each in found]), rel=0.2)
    exact = models[-1].exact_log_partition()
    assert abs(values.mean() - exact) < 5 * values.std() / math.sqrt(300) + values.var()


def test_states_are_draws_of_the_last_model():
    """Weighted means of units, 4,000 chains, within z_limit of the exact ones."""
    models, base = walk(2)
    shadow, _ = followed(models, base, 0, 4000, 4)
    weights = np.exp(shadow.log_weights - shadow.log_weights.max())
    weights /= weights.sum()
    p = reference.probabilities(*models[-1]._parameters)
    expected = p @ reference.all_states(7)
    variance = shadow.variance + (weights**2).sum()
    stderr = np.sqrt(expected * (1 - expected) * variance)
    assert (abs(weights @ shadow.states - expected) < reference.z_limit(7) * stderr).all()


def test_nothing_changes_in_place():
    models, base = walk()
    first = ShadowChains.start(models[0], base, (1, 2, 3, 4))
    states, weights = first.states.copy(), first.log_weights.copy()
    second = first.follow(models[3], 5)
    assert (first.states == states).all() and (first.log_weights == weights).all()
    assert second.step == first.step + 5 and second.energy is models[3]
    again = first.follow(models[3], 5)
    assert (again.states == second.states).all()
    assert again.result() == second.result()


@pytest.mark.parametrize("gibbs", [5, "exact"])
def test_history_is_exact_where_that_is_cheap(bits, gibbs):
    """Small models: log Z of every epoch without error, and the last one is the model's."""
    model = PCDRBM(4, n_iter=6, n_gibbs_steps=gibbs, track_log_partition=True, random_state=0)
    history = model.fit(bits).history_
    assert all(len(history[key]) == 6 for key in KEYS)
    assert (history["log_partition_stderr"] == 0).all()
    assert history["log_partition"][-1] == pytest.approx(model.log_partition_.value, abs=1e-9)
    monitored = model._monitored_rows(model._state, model._rows(bits))
    assert history["log_likelihood"][-1] == pytest.approx(model.score(monitored), abs=1e-6)


def test_history_by_shadow_chains(bits, no_enumeration, monkeypatch):
    """Every epoch within 5 stated errors of the exact value, which training did not see."""
    models, measure = [], tracking.tracked

    def spy(shadow, energy, *rest):
        models.append(energy)
        return measure(shadow, energy, *rest)

    monkeypatch.setattr(tracking, "tracked", spy)
    params = {"n_iter": 30, "random_state": 0}
    model = PCDRBM(6, track_log_partition=True, **params).fit(bits)
    history = model.history_
    exact = [each.exact_log_partition() for each in models]
    errors = history["log_partition"] - exact
    assert (history["log_partition_stderr"] > 0).all()
    assert (abs(errors) < 5 * history["log_partition_stderr"]).all()
    assert history["log_partition_stderr"].max() < 1.0
    assert history["log_likelihood"][-1] > history["log_likelihood"][0] + 0.5

    plain = PCDRBM(6, **params).fit(bits)
    for key in plain.history_:
        np.testing.assert_array_equal(plain.history_[key], history[key])
    np.testing.assert_array_equal(plain.components_, model.components_)
    np.testing.assert_array_equal(plain.chains_, model.chains_)
    assert not set(KEYS) & set(plain.history_)


def test_shadow_chains_go_on(bits, no_enumeration):
    """A warm start follows on; edited parameters are only a longer way; both stay calibrated."""
    params = {"n_iter": 4, "random_state": 0, "warm_start": True, "track_log_partition": True}
    model = PCDRBM(5, **params).fit(bits)
    first = model.history_["log_partition"].copy()
    model = pickle.loads(pickle.dumps(model)).fit(bits)
    history = model.history_
    assert len(history["log_partition"]) == 8
    np.testing.assert_array_equal(history["log_partition"][:4], first)
    model.components_ = model.components_ * 1.2
    model.fit(bits)
    exact = model._energy().exact_log_partition()
    error = model.history_["log_partition"][-1] - exact
    assert abs(error) < 5 * model.history_["log_partition_stderr"][-1]


def test_tracking_may_begin_late(bits, no_enumeration):
    """Epochs that were not tracked are NaN; chains start from the base with many temperatures."""
    model = PCDRBM(5, n_iter=10, random_state=0, warm_start=True).fit(bits)
    model.set_params(track_log_partition=True, n_iter=3).fit(bits)
    tracked = model.history_["log_partition"]
    assert np.isnan(tracked[:10]).all() and np.isfinite(tracked[10:]).all()
    exact = model._energy().exact_log_partition()
    assert abs(tracked[-1] - exact) < 5 * model.history_["log_partition_stderr"][-1]


def test_a_lost_model_is_said_to_be_lost(bits, no_enumeration):
    """One step to a model far away: few chains carry all the weight, and the result says so."""
    rng = np.random.default_rng(0)
    W = rng.normal(0, 2.5, (12, 30))
    far, near = (BernoulliRBM(f * W, -f * W.sum(axis=0) / 2, np.zeros(12)) for f in (1.0, 0.01))
    shadow = ShadowChains.start(near, near.base(), (1, 2, 3, 4)).follow(far, 1)
    result = shadow.result()
    assert not result.converged and "carried all the weight" in result.doubts[0]
    assert result.ess < 128 * 0.1
    assert not shadow.follow(far, 5).result().converged  # and is not forgotten


@pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")
def test_models_from_elsewhere_are_reached_slowly(no_enumeration, bits):
    """from_parameters, then fit: chains are not taken for draws of what they never visited."""
    rng = np.random.default_rng(0)
    parameters = rng.normal(0, 1.0, (6, 16)), rng.normal(0, 1, 16), rng.normal(0, 1, 6)
    model = PCDRBM.from_parameters(
        *parameters, random_state=0, warm_start=True, n_iter=2, learning_rate=1e-6,
        track_log_partition=True,
    ).fit(bits)  # fmt: skip
    exact = model._energy().exact_log_partition()
    error = model.history_["log_partition"][-1] - exact
    assert abs(error) < 5 * model.history_["log_partition_stderr"][-1] < 1.0


def test_a_long_way_gets_more_temperatures(no_enumeration):
    """As many as it takes not to lose the model, within the most that is granted."""
    rng = np.random.default_rng(0)
    W = rng.normal(0, 1.0, (12, 30))
    far, near = (BernoulliRBM(f * W, -f * W.sum(axis=0) / 2, np.zeros(12)) for f in (1.0, 0.01))
    shadow = ShadowChains.start(near, near.base(), (1, 2, 3, 4))
    assert not shadow.follow(far, 1).result().converged
    moved, result, spent = tracking.tracked(shadow, far, near.base(), (1, 2, 3, 4), 0.0, 1e12)
    assert moved.smallest >= tracking.GOOD_SHARE and result.converged and 0 < spent < 1e12
    assert abs(result.value - far.exact_log_partition()) < 5 * result.stderr
    moved, result, spent = tracking.tracked(shadow, far, near.base(), (1, 2, 3, 4), 0.0, 1e6)
    assert moved.step == shadow.step + 1 and not result.converged


def test_a_lost_log_partition_is_warned_of(bits, no_enumeration, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "LEAST_SHARE", 2.0)
    with pytest.warns(ConvergenceWarning, match="was lost in 2 of 2 epochs"):
        model = PCDRBM(3, n_iter=2, track_log_partition=True, verbose=1, random_state=0).fit(bits)
    assert (model.history_["log_partition_converged"] == 0).all()
    assert "epoch 2/2: log-likelihood -" in capsys.readouterr().out


def test_tracking_needs_a_flag(bits):
    with pytest.raises(TypeError, match="track_log_partition must be True or False, got 'yes'"):
        PCDRBM(2, track_log_partition="yes").fit(bits)
