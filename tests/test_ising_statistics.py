"""What the Ising estimators find in random data: the graph, and parameters as well as can be."""

import numpy as np
import pytest
import reference

from skebm import (
    InteractionScreeningIsing,
    PCDIsing,
    PseudoLikelihoodIsing,
    RatioMatchingIsing,
)
from skebm.datasets import make_ising

# -- structure ---------------------------------------------------------------------------------


@pytest.mark.parametrize("glass", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        PseudoLikelihoodIsing("theory", l1_ratio=1.0, symmetrize="mean", tol=1e-4),
        InteractionScreeningIsing("theory", l1_ratio=1.0, symmetrize="mean", tol=1e-4),
        RatioMatchingIsing(0.002, l1_ratio=1.0, symmetrize="mean", tol=1e-4),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_graph_of_a_torus_is_found_45_times_of_45(model, glass):
    """4 x 4 torus, couplings of size 0.5, 100,000 rows: an edge is more than half of that.

    Protocol of Lokhov et al. 2018: 45 of 45 says that P(found) exceeds 0.95 at confidence 0.9.
    """
    torus = make_ising(1, size=4, coupling=0.5, glass=glass, random_state=0)
    states, p = reference.ising_distribution(torus.coupling, torus.field)
    rng = np.random.default_rng(1)
    for _ in range(45):
        counts = rng.multinomial(100_000, p)
        model.fit(states[counts > 0], sample_weight=counts[counts > 0])
        np.testing.assert_array_equal(np.abs(model.coupling_) > 0.25, torus.coupling != 0)


# -- efficiency --------------------------------------------------------------------------------

PAIRS = np.triu_indices(5, 1)
LOSSES = {
    "pseudolikelihood": PseudoLikelihoodIsing(0.0, tol=1e-7),
    "ratio_matching": RatioMatchingIsing(0.0, tol=1e-7),
    "rise": InteractionScreeningIsing(0.0, tol=1e-7),
    "likelihood": PCDIsing(0.0, n_gibbs_steps="exact", tol=1e-7),
}


@pytest.fixture(scope="module")
def truth():
    """A model of five spins, parameters of standard deviation 0.4, and 500 samples of it."""
    rng = np.random.default_rng(5)
    J = np.triu(rng.normal(0.0, 0.4, (5, 5)), 1)
    J, h = J + J.T, rng.normal(0.0, 0.4, 5)
    states, p = reference.ising_distribution(J, h)
    return J, h, states, rng.multinomial(20_000, p, size=500)


def errors_of(model, truth):
    """Errors of (h, J) over all samples, (500, 15)."""
    J, h, states, samples = truth
    found = []
    for counts in samples:
        model.fit(states, sample_weight=counts)
        found.append(np.concatenate([model.field_ - h, (model.coupling_ - J)[PAIRS]]))
    return np.array(found)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_errors_are_those_of_the_sandwich(loss, truth):
    """n times the summed squared error, mean of 500 samples, against the asymptotic trace.

    Four standard errors: a false alarm in 16,000, and a trace wrong by a quarter is found with
    power 0.99, since the sum's standard deviation is about half of its mean.
    """
    squares = 20_000 * (errors_of(LOSSES[loss], truth) ** 2).sum(axis=1)
    expected = np.trace(reference.ising_sandwich(*truth[:2], loss))
    stderr = squares.std(ddof=1) / np.sqrt(len(squares))
    assert abs(squares.mean() - expected) < 4.0 * stderr
    assert 8.0 * stderr < 0.25 * expected


def test_the_order_of_efficiency(truth):
    """Nobody beats the likelihood; pseudolikelihood is close, ratio matching and RISE less so."""
    traces = {loss: np.trace(reference.ising_sandwich(*truth[:2], loss)) for loss in LOSSES}
    assert traces["likelihood"] <= traces["pseudolikelihood"] < 1.03 * traces["likelihood"]
    for loss in ("ratio_matching", "rise"):
        assert traces["pseudolikelihood"] < traces[loss] < 1.3 * traces["likelihood"]
