"""The Ising energy against loops and enumeration: densities, conditionals, sweeps, annealing."""

import pickle

import numpy as np
import pytest
import reference

from skebm._bits import pack
from skebm.energies import Energy, IndependentSpins, Ising, _base, ising

DTYPES = (np.float32, np.float64)
KEY = np.array([7, 11], np.uint32)


def model(p=5, seed=0, scale=0.5, dtype=np.float64, share=1.0):
    """Normal couplings and fields, a ``share`` of the pairs coupled."""
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(0, scale, (p, p)) * (rng.random((p, p)) < share), 1)
    return Ising((J + J.T).astype(dtype), rng.normal(0, scale, p).astype(dtype))


def doubles(energy):
    return [np.asarray(array, np.float64) for array in energy.parameters]


def spins(n, p, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).choice([-1.0, 1.0], (n, p)).astype(dtype)


def tolerance(dtype):
    return {"rtol": 0, "atol": 2e-5 if dtype == np.float32 else 1e-12}


# -- densities and conditionals ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p, n", [(1, 3), (6, 70), (41, 130)])
def test_rows_against_loops(dtype, p, n):
    energy, S = model(p, dtype=dtype), spins(n, p, dtype=dtype)
    J, h = doubles(energy)
    odds = np.array([[reference.ising_log_odds(J, h, list(s), i) for i in range(p)] for s in S[:9]])
    expected = {
        "energy": [reference.ising_energy(J, h, s) for s in S[:9]],
        "local_fields": odds / 2,
        "conditional_probability": 1 / (1 + np.exp(-odds)),
        "log_pseudolikelihood": -np.log1p(np.exp(-odds * S[:9])).sum(axis=1),
    }
    for name, values in expected.items():
        found = getattr(energy, name)(S)
        assert np.allclose(found[:9], values, **tolerance(dtype)), name
        assert np.array_equal(getattr(energy, name)(pack(S > 0)), found), name
    assert energy.energy(S).dtype == energy.log_pseudolikelihood(S).dtype == np.float64
    assert energy.local_fields(S).dtype == energy.conditional_probability(S).dtype == dtype
    assert energy.local_fields(S).shape == (n, p)


@pytest.mark.parametrize("size", [1e3, 1e4])
def test_any_field_has_finite_conditionals(size):
    energy = Ising(np.array([[0.0, size], [size, 0.0]]), np.array([size, -size]))
    S = reference.all_spins(2)
    fields = np.array([[size + size * s[1], -size + size * s[0]] for s in S])
    expected = np.where(S * fields < 0, 2 * S * fields, np.where(fields == 0, -np.log(2), 0.0))
    assert np.allclose(energy.log_pseudolikelihood(S), expected.sum(axis=1), rtol=1e-12)
    assert np.isfinite(energy.conditional_probability(S)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_is_that_of_the_energy(dtype):
    """Central differences, in the order that ``unflatten`` takes apart."""
    energy, S = model(4, dtype=dtype), spins(6, 4)
    weights = np.arange(6) - 1.5
    for rows in (S, pack(S > 0)):
        found = energy.unflatten(energy.gradient(rows, weights))
    J, h = doubles(energy)
    total = lambda J, h: sum(  # noqa: E731
        w * reference.ising_energy(J, h, s) for w, s in zip(weights, S)
    )
    for i in range(4):
        step = np.eye(4)[i] / 2
        assert found["field"][i] == pytest.approx(total(J, h + step) - total(J, h - step))
        for j in range(4):
            step = np.zeros((4, 4))
            step[i, j] = step[j, i] = 0.5 * (i != j)
            expected = total(J + step, h) - total(J - step, h)
            assert found["coupling"][i, j] == pytest.approx(expected, abs=1e-9)


def test_pickles_are_small_and_whole():
    energy = model(30, dtype=np.float32)
    energy.sweep(spins(4, 30, dtype=np.float32), 1.0, None, KEY)
    data = pickle.dumps(energy)
    again = pickle.loads(data)
    assert len(data) < 30 * 31 * 4 + 1000 and again.dtype == np.float32
    for one, other in zip(again.parameters, energy.parameters):
        assert np.array_equal(one, other)


# -- bases -------------------------------------------------------------------------------------


def test_independent_spins():
    """Normalised, with the means asked for: alpha = 1e-6, 100,000 rows find errors of 0.02."""
    means = np.array([0.1, 0.5, 0.8])
    base = IndependentSpins.from_marginals(means)
    S = reference.all_spins(3)
    p = np.exp(base.log_density(S))
    assert p.sum() == pytest.approx(1.0, abs=1e-14)
    assert np.allclose(p @ (S > 0), means, rtol=0, atol=1e-14)
    draws = base.sample(100_000, (1, 2), np.float32)
    assert draws.dtype == np.float32 and set(np.unique(draws)) == {-1.0, 1.0}
    assert reference.chi_square_p_value(reference.state_counts(draws > 0), p) > reference.ALPHA
    assert reference.detected_variation(100_000, 8) < 0.02


def test_bases_of_a_model():
    energy = model()
    assert np.array_equal(energy.base().field, energy.field)
    assert np.array_equal(energy.base(np.full(5, 0.5)).field, np.zeros(5))
    S = energy.scattered_states(4000, (3,))
    assert set(np.unique(S)) == {-1.0, 1.0} and (abs(S.mean(axis=0)) < 0.1).all()


# -- sweeps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("p, share", [(1, 1.0), (5, 1.0), (70, 0.1)])
def test_a_sweep_is_its_twin(p, share, beta, backwards):
    """The same spins from the same uniforms, over tiles that are not full."""
    energy = model(p, scale=1.0, share=share)
    base, S = IndependentSpins(np.linspace(-1, 1, p)), spins(37, p)
    moved = S.copy()
    move = energy.reverse_sweep if backwards else energy.sweep
    move(moved, beta, base, KEY, step=3, n_sweeps=2, first_chain=5)
    tempered = reference.tempered(*energy.parameters, beta, base.field)
    for r in (0, 1, 31, 32, 36):
        s = S[r].tolist()
        for step in (3, 4):
            s = reference.ising_sweep(*tempered, s, KEY, 5 + r, step, backwards)
        assert s == moved[r].tolist()
    assert (moved != S).any()


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_scan_leaves_the_tempered_model_invariant(beta):
    """The twin's transition matrix, and that of the reversed scan, which is its reversal."""
    energy, a = model(4, scale=1.0), np.array([0.7, -0.4, 0.0, 1.1])
    tempered = reference.tempered(*energy.parameters, beta, a)
    p = reference.ising_probabilities(*tempered)
    there = reference.ising_transitions(*tempered, range(4))
    back = reference.ising_transitions(*tempered, range(4)[::-1])
    assert np.allclose(p @ there, p, rtol=0, atol=1e-14)
    assert np.allclose(p[:, None] * there, (p[:, None] * back).T, rtol=0, atol=1e-14)
    assert not np.allclose(p[:, None] * there, (p[:, None] * there).T, rtol=0, atol=1e-3) or (
        beta == 0.0
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_sweeps_keep_exact_draws_where_they_are(dtype):
    """Pearson's test after a sweep, each chain at its own beta: finds a variation of 0.02.

    200,000 chains and 16 states for each beta, alpha = 1e-6, in both directions.
    """
    energy, n, betas = model(4, scale=1.0, dtype=dtype), 200_000, (0.3, 1.0)
    base = IndependentSpins([0.7, -0.4, 0.0, 1.1])
    ps = [
        reference.ising_probabilities(*reference.tempered(*doubles(energy), beta, base.field))
        for beta in betas
    ]
    rng = np.random.default_rng(0)
    S = np.vstack([reference.all_spins(4)[rng.choice(16, n, p=p)] for p in ps]).astype(dtype)
    for move in (energy.sweep, energy.reverse_sweep):
        X = S.copy()
        move(X, np.repeat(betas, n), base, KEY)
        for part, p in zip((X[:n], X[n:]), ps):
            counts = reference.state_counts(part > 0)
            assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    assert reference.detected_variation(n, 16) < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 31, 64, 65, 300])
def test_a_chain_does_not_know_its_company(monkeypatch, dtype, n):
    """Whatever tiles and kernel calls it is worked on in, and however many sweeps these make."""
    energy, base = model(70, scale=0.2, dtype=dtype), IndependentSpins(np.linspace(-1, 1, 70))
    S, betas = spins(300, 70, dtype=dtype), np.linspace(0, 1, 150)

    def moved(low, high):
        X, Y, weights = S[low:high].copy(), S[low:high].copy(), np.zeros(high - low)
        energy.sweep(X, np.linspace(0, 1, 300)[low:high], base, KEY, n_sweeps=3, first_chain=low)
        energy.anneal(Y, weights, betas, base, KEY, first_chain=low)
        return X, Y, weights

    whole = moved(0, 300)
    for module in (ising, _base):
        monkeypatch.setattr(module, "FLOPS_PER_CALL", 1.0)
    for one, other in zip(moved(300 - n, 300), whole):
        assert np.array_equal(one, other[300 - n :])


def test_known_spins_stay():
    """Given the first spin, the others are a model of their own: means within z_limit(3)."""
    energy, n = model(4, scale=0.6), 20_000
    known = np.full((n, 4), np.nan)
    known[:, 0] = -1.0
    X = np.where(np.isnan(known), spins(n, 4), known)
    energy.sweep_clamped(X, known, KEY, n_sweeps=20)
    means = energy.sweep_clamped(X, known, KEY, step=20, n_sweeps=5)
    J, h = energy.coupling[1:, 1:], energy.field[1:] - energy.coupling[0, 1:]
    expected = reference.ising_probabilities(J, h) @ reference.all_spins(3)
    assert (X[:, 0] == -1).all()
    error = X[:, 1:].std(axis=0) / np.sqrt(n)
    limit = reference.z_limit(6)
    assert (abs(X[:, 1:].mean(axis=0) - expected) < limit * error).all()
    stderr = means[:, 1:].std(axis=0) / np.sqrt(n)
    assert (abs(means[:, 1:].mean(axis=0) - expected) < limit * stderr).all()
    assert (stderr < error).all() and error.max() < 0.008


# -- annealing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("falling", [False, True])
def test_annealing_is_sweeps_and_weights(dtype, falling):
    """The default of the protocol, made of sweeps and log_path, over two segments and more."""
    energy, base = model(9, dtype=dtype), IndependentSpins(np.linspace(-1, 1, 9))
    betas = np.linspace(0, 1, 2 * ising._SEGMENT + 9)
    betas = betas[::-1] if falling else betas
    fused, plain = spins(70, 9, dtype=dtype), spins(70, 9, dtype=dtype)
    weights = np.zeros((2, 70))
    energy.anneal(fused, weights[0], betas, base, KEY, step=2, first_chain=3)
    Energy.anneal(energy, plain, weights[1], betas, base, KEY, step=2, first_chain=3)
    assert np.array_equal(fused, plain)
    assert np.allclose(*weights, **tolerance(dtype))
    assert weights[0].std() > 0.1


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("n_temperatures", [1, 2, 5])
def test_weights_between_models_are_unbiased(falling, n_temperatures):
    """E[w] from exact draws is the ratio of partition functions, either way: |z| < z_limit."""
    first, last = model(4, seed=1), model(4, seed=2, scale=0.8)
    start, end = (last, first) if falling else (first, last)
    betas = np.linspace(0, 1, n_temperatures + 1)
    (path,) = first.paths_to(last)
    X, weights = start.exact_sample(40_000, (5,)), np.zeros(40_000)
    path.anneal(X, weights, betas[::-1] if falling else betas, KEY)
    ratio = np.exp(end.exact_log_partition() - start.exact_log_partition())
    w = np.exp(weights) / ratio
    stderr = w.std(ddof=1) / np.sqrt(len(w))
    assert abs(w.mean() - 1) < reference.z_limit() * stderr and stderr < 0.05


def test_paths_lead_to_models_of_the_same_spins():
    single, double = model(4, dtype=np.float32), model(4)
    assert single.paths_to(double)[0].first.dtype == np.float64
    assert single.paths_to(model(5)) == []
    path = double.paths_to(double)[0]
    weights = np.zeros(3)
    path.anneal(spins(3, 4), weights, np.linspace(0, 1, 4), KEY)
    assert (weights == 0).all() and path.flops(64) > 0
