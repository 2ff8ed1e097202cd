"""Draws of a model against the enumerated distribution."""

import numpy as np
import pytest
import reference

from skebm import PCDRBM
from skebm.energies import BernoulliRBM
from skebm.samplers import sample

N = 100_000


def random_model(seed=0, n_visible=7, n_hidden=5, dtype=np.float64):
    """(estimator, parameters) of an asymmetric model whose chains mix within some ten sweeps."""
    rng = np.random.default_rng(seed)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    parameters = [rng.normal(0.2, 1.0, shape).astype(dtype) for shape in shapes]
    return PCDRBM.from_parameters(*parameters), parameters


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sample(dtype):
    """Every row has a chain of its own, so Pearson's test over 128 states is exact.

    100,000 draws at alpha = 1e-6 find a total variation of 0.025 but for one case in 10^6.
    """
    model, parameters = random_model(dtype=dtype)
    X = model.sample(N, n_gibbs_steps=100, random_state=1)
    assert X.dtype == dtype and X.shape == (N, 7)
    p = reference.probabilities(*parameters)
    assert reference.chi_square_p_value(reference.state_counts(X), p) > reference.ALPHA
    assert reference.detected_variation(N, 128) < 0.025


def test_sample_has_power():
    """One step from the start, or a hidden bias that is wrong by 0.3, fails the test above."""
    model, parameters = random_model()
    p = reference.probabilities(*parameters)
    start = model.sample(N, n_gibbs_steps=1, random_state=1)
    parameters[2][1] += 0.3
    wrong = PCDRBM.from_parameters(*parameters).sample(N, n_gibbs_steps=100, random_state=1)
    for X in (start, wrong):
        assert reference.chi_square_p_value(reference.state_counts(X), p) < reference.ALPHA


def test_rows_are_independent():
    """Neighbours, chunk mates and calls apart: |correlation| of log p(x) below 5 / sqrt(n)."""
    model, _ = random_model()
    energy = model.free_energy(model.sample(N, n_gibbs_steps=30, random_state=2))
    energy = (energy - energy.mean()) / energy.std()
    for lag in (1, 4, 64, 4096):
        assert abs(np.mean(energy[:-lag] * energy[lag:])) < 5 / np.sqrt(N - lag)


def test_chains_from_given_rows():
    """One step from X_init, as ``gibbs`` makes, has the enumerated transition probabilities.

    64 states, alpha = 1e-6, finds a total variation of 0.022.
    """
    model, (W, b, c) = random_model(3, 6, 4)
    x = np.array([1.0, 0, 1, 1, 0, 0])
    states = reference.all_states(6)
    transition = np.zeros(64)
    on = np.array(reference.hidden_probability(W, c, x))
    for h in reference.all_states(4):
        seen = np.array(reference.visible_probability(W, b, h))
        weight = np.prod(np.where(h == 1, on, 1 - on))
        transition += weight * np.prod(np.where(states == 1, seen, 1 - seen), axis=1)
    start = np.tile(x, (N, 1))
    moved = model.sample(X_init=start, n_gibbs_steps=1, random_state=0)
    assert (moved == model.gibbs(start, random_state=0)).all()
    assert (start == x).all()
    counts = reference.state_counts(moved)
    assert reference.chi_square_p_value(counts, transition) > reference.ALPHA
    assert reference.detected_variation(N, 64) < 0.022


def test_blocks_of_chains_change_nothing():
    energy = BernoulliRBM(*random_model()[1])
    X = (np.random.default_rng(0).random((5000, 7)) < 0.5).astype(float)
    whole = sample(energy, X.copy(), 3, (1, 2, 3, 4))
    parts = sample(energy, X[:100].copy(), 3, (1, 2, 3, 4)), X[100:].copy()
    sample(energy, parts[1], 3, (1, 2, 3, 4), first_chain=100)
    assert (whole == np.vstack(parts)).all()


# -- some units known --------------------------------------------------------------------------

KNOWN = np.array([np.nan, 1, 0, np.nan, np.nan, 1, np.nan])


def conditional(parameters):
    """Exact p(unknown | known): states of the unknown units and their probabilities."""
    states, p = reference.all_states(7), reference.probabilities(*parameters)
    known = ~np.isnan(KNOWN)
    agrees = (states[:, known] == KNOWN[known]).all(axis=1)
    return states[agrees][:, ~known], p[agrees] / p[agrees].sum()


def test_conditional_sample():
    """Pearson's test over 16 states, alpha = 1e-6, finds a total variation of 0.019."""
    model, parameters = random_model()
    X = model.conditional_sample(np.tile(KNOWN, (N, 1)), n_gibbs_steps=50, random_state=0)
    known = ~np.isnan(KNOWN)
    assert (X[:, known] == KNOWN[known]).all()
    counts = reference.state_counts(X[:, ~known])
    p = conditional(parameters)[1]
    assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    assert reference.detected_variation(N, 16) < 0.019
    marginal = reference.probabilities(*parameters).reshape([2] * 7).sum(axis=(1, 2, 5)).ravel()
    assert reference.chi_square_p_value(counts, marginal) < reference.ALPHA


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_impute(dtype):
    """Means over 2,000 chains lie within their own standard errors of the exact conditional mean.

    The limit is for four units together at alpha = 1e-6; the standard error is below 0.002.
    """
    model, parameters = random_model(dtype=dtype)
    X = model.impute(np.tile(KNOWN, (2000, 1)).astype(dtype), n_gibbs_steps=50, random_state=0)
    known = ~np.isnan(KNOWN)
    assert X.dtype == dtype
    assert (X[:, known] == KNOWN[known]).all()
    states, p = conditional(parameters)
    filled = X[:, ~known].astype(float)
    assert (0 < filled).all() and (filled < 1).all()
    stderr = filled.std(axis=0, ddof=1) / np.sqrt(2000)
    assert (stderr < 0.002).all()
    assert (np.abs(filled.mean(axis=0) - p @ states) < reference.z_limit(4) * stderr).all()
    marginal = reference.probabilities(*parameters) @ reference.all_states(7)[:, ~known]
    assert (np.abs(filled.mean(axis=0) - marginal) > 10 * stderr).any()


def test_impute_of_every_pattern():
    """Rows with different unknowns, all or none of them, each by its own conditional mean.

    Averaged over 20,000 steps, the error of a chain is below 0.01; marginals are off by more.
    """
    model, parameters = random_model(1)
    states, p = reference.all_states(7), reference.probabilities(*parameters)
    rng = np.random.default_rng(0)
    X = (rng.random((10, 7)) < 0.5).astype(float)
    X[rng.random((10, 7)) < 0.4] = np.nan
    X[0], X[1] = np.nan, 1.0
    filled = model.impute(X, n_gibbs_steps=20_000, random_state=0)
    for row, result in zip(X, filled):
        known = ~np.isnan(row)
        agrees = (states[:, known] == row[known]).all(axis=1)
        mean = p[agrees] @ states[agrees] / p[agrees].sum()
        assert np.abs(result - mean).max() < 0.02


def test_spins_stay_spins():
    """Trained on -1 and 1, a model draws and fills in the same coding."""
    rng = np.random.default_rng(0)
    X = np.where(rng.random((200, 5)) < 0.4, -1.0, 1.0)
    model = PCDRBM(3, n_iter=3, random_state=0).fit(X)
    ones = PCDRBM(3, n_iter=3, random_state=0).fit((X + 1) / 2)
    for method in ("conditional_sample", "impute"):
        hidden, coded = X[:20].copy(), (X[:20] + 1) / 2
        hidden[:, 2] = coded[:, 2] = np.nan
        spins = getattr(model, method)(hidden, random_state=0)
        assert np.allclose(spins, 2 * getattr(ones, method)(coded, random_state=0) - 1)
        assert (spins[:, [0, 1, 3, 4]] == X[:20, [0, 1, 3, 4]]).all()
    assert set(np.unique(model.sample(100, random_state=0))) == {-1.0, 1.0}
    assert set(np.unique(ones.sample(100, random_state=0))) == {0.0, 1.0}
