"""End to end: what is learned, measured by exact likelihood against the truth or a peer."""

import numpy as np
import pytest
import reference
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM as SklearnRBM

from skebm import CDRBM, PCDRBM, RdmRBM
from skebm.datasets import make_bars_and_stripes, make_rbm

# Thirty modes far apart: many chains for small noise, ten Gibbs steps for chains that keep up.
BARS_AND_STRIPES = {
    "n_iter": 250,
    "learning_rate": 0.15,
    "learning_rate_schedule": "geometric",
    "batch_size": 100,
    "n_chains": 400,
    "n_gibbs_steps": 10,
}


@pytest.mark.parametrize("seed", [0, 1])
def test_bars_and_stripes(seed):
    """Exact expected log-likelihood within 0.1 nats of the bound, minus the entropy.

    Independent units are 7.7 nats below it, and no model is above.
    """
    problem = make_bars_and_stripes(4000, random_state=seed)
    X = problem.data.astype(np.float32)
    model = PCDRBM(16, random_state=seed, **BARS_AND_STRIPES).fit(X)
    assert model.log_partition_.method == "exact"
    gap = -problem.entropy - problem.probabilities @ model.score_samples(problem.patterns)
    assert 0 < gap < 0.1


def divergence(parameters, model):
    """Exact expected log-likelihood lost against the true parameters, over all 2^12 states."""
    states = reference.all_states(12)
    expected = PCDRBM.from_parameters(*parameters).score_samples(states)
    return np.exp(expected) @ (expected - model.score_samples(states))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_known_rbm(seed):
    """5,000 draws of ``make_rbm``, 12 x 8: within 0.1 nats of the truth at the defaults."""
    truth = make_rbm(5000, random_state=seed)
    parameters = truth.components, truth.intercept_visible, truth.intercept_hidden
    model = PCDRBM(8, random_state=seed).fit(truth.data)
    assert 0 < divergence(parameters, model) < 0.1


def correlated_parameters(seed):
    """12 x 8, with biases that leave every unit near a half, so that weights matter most."""
    rng = np.random.default_rng(seed)
    W = rng.normal(0.0, 1.0, (8, 12))
    b, c = rng.normal(0.0, 0.5, 12), rng.normal(0.0, 0.5, 8)
    return W, b - W.sum(axis=0) / 2, c - W.sum(axis=1) / 2


@pytest.mark.parametrize("estimator", [CDRBM, PCDRBM, RdmRBM])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_correlated_rbm(estimator, seed):
    """The same with units that depend on each other: half of the tolerance, from far away.

    116 parameters learned from 5,000 rows cost 0.012 nats at best; independent units, where
    learning starts, lose 0.2 at least.
    """
    parameters = correlated_parameters(seed)
    p = reference.probabilities(*parameters)
    chosen = np.random.default_rng(seed).choice(len(p), 5000, p=p / p.sum())
    X = reference.all_states(12)[chosen]
    settings = {"n_iter": 100, "batch_size": 50, "n_gibbs_steps": 10, "learning_rate": 0.1}
    model = estimator(8, random_state=seed, **settings).fit(X)
    assert 0 < divergence(parameters, model) < 0.05
    assert divergence(parameters, estimator(8, n_iter=0, random_state=seed).fit(X)) > 0.2


@pytest.fixture(scope="module")
def digits():
    X = (load_digits().data >= 8).astype(float)
    return train_test_split(X, test_size=0.25, random_state=0)


@pytest.fixture(scope="module", params=[12, 16])
def best_of_peer(request, digits):
    """(hidden units, best exact test log-likelihood of scikit-learn over five learning rates)."""
    train, test = digits
    scores = []
    for rate in (0.3, 0.1, 0.03, 0.01, 0.003):
        peer = SklearnRBM(request.param, learning_rate=rate, n_iter=30, random_state=0).fit(train)
        model = PCDRBM.from_parameters(
            peer.components_, peer.intercept_visible_, peer.intercept_hidden_
        )
        assert model.log_partition_.method == "exact"
        scores.append(model.score(test))
    return request.param, max(scores)


@pytest.mark.parametrize("estimator", [CDRBM, PCDRBM, RdmRBM])
def test_digits(estimator, digits, best_of_peer):
    """Defaults beat every learning rate of the peer by 0.3 nats of exact test log-likelihood.

    The seeds of one setting differ by 0.1 nats.
    """
    train, test = digits
    n_hidden, best = best_of_peer
    for seed in (0, 1):
        model = estimator(n_hidden, n_iter=30, random_state=seed).fit(train)
        assert model.score(test) > best + 0.3
