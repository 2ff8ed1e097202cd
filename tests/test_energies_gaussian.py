"""The Gaussian energy against loops, closed forms and quadrature: densities, sweeps, annealing."""

import pickle

import numpy as np
import pytest
import reference
from scipy import integrate, stats

from skebm._jit import threads
from skebm.energies import Energy, Gaussian, IndependentNormals, _base, gaussian
from skebm.energies._definite import is_positive_definite, least_eigenvalue, log_determinant
from skebm.partition import log_partition

KEY = np.array([7, 11], np.uint32)
INF = np.inf
SURE = 1 - reference.ALPHA

# Edges of three variables and more.
BOXES = {
    "reals": (-INF, INF), "half lines": (0.0, INF), "box": (-0.5, 1.0),
    "mixed": (np.array([-INF, 0.0, -1.0]), np.array([INF, INF, 0.5])),
}  # fmt: skip


def precision_of(p, seed=0, share=1.0):
    """A positive definite matrix with a ``share`` of its entries, not dominated by its diagonal."""
    rng = np.random.default_rng(seed)
    K = np.triu(rng.normal(0, 1, (p, p)) * (rng.random((p, p)) < share), 1)
    K += K.T
    np.fill_diagonal(K, 0.6 * abs(K).sum(axis=1) + rng.uniform(0.5, 1.5, p))
    return K + max(0.0, 0.4 - np.linalg.eigvalsh(K)[0]) * np.eye(p)


def model(p=3, seed=0, low=-INF, high=INF, share=1.0):
    rng = np.random.default_rng(seed + 100)
    low, high = (np.resize(edge, p) for edge in (low, high))
    return Gaussian(precision_of(p, seed, share), rng.normal(0.3, 0.5, p), low, high)


def base_of(energy, seed=0):
    """A base that is not the model's diagonal, in the same box."""
    rng, p = np.random.default_rng(seed), energy.n_features
    return energy.base((rng.normal(0, 0.5, p), rng.uniform(0.5, 1.5, p)))


def tempered(energy, beta, base):
    """The model that a sweep at ``beta`` leaves invariant."""
    K = beta * energy.precision + (1 - beta) * np.diag(base.precision)
    linear = beta * energy.precision @ energy.location
    linear = linear + (1 - beta) * base.precision * base.location
    return Gaussian(K, np.linalg.solve(K, linear), energy.low, energy.high)


def exact_draws(energy, n, seed=0):
    """By rejection of what falls out of the box."""
    rng, covariance = np.random.default_rng(seed), np.linalg.inv(energy.precision)
    kept, total = [], 0
    while total < n:
        X = rng.multivariate_normal(energy.location, covariance, 4 * n)
        kept.append(X[((X >= energy.low) & (X <= energy.high)).all(axis=1)])
        total += len(kept[-1])
    return np.concatenate(kept)[:n]


def products(X):
    """Means, squares, products and absolute deviations of rows: what moments are taken of."""
    i, j = np.triu_indices(X.shape[1])
    return np.hstack([X, X[:, i] * X[:, j], np.exp(-abs(X))])


# -- densities ---------------------------------------------------------------------------------


@pytest.mark.parametrize("p, n", [(1, 3), (4, 70), (41, 130)])
def test_energy_against_loops(p, n):
    energy = model(p, low=-1.0)
    X = np.random.default_rng(0).uniform(-1, 2, (n, p))
    found = energy.energy(X)
    expected = [reference.gaussian_energy(energy.precision, energy.location, x) for x in X[:9]]
    assert np.allclose(found[:9], expected, rtol=1e-12) and found.dtype == np.float64
    assert np.allclose(energy.energy(np.asfortranarray(X)), found, rtol=1e-15)
    X[n // 2, 0], X[0, -1] = -1.001, -1.0
    assert np.flatnonzero(np.isinf(energy.energy(X))).tolist() == [n // 2]


def test_gradient_is_that_of_the_energy():
    """Central differences, in the order that ``unflatten`` takes apart."""
    energy, rng = model(4), np.random.default_rng(1)
    X, weights = rng.normal(size=(6, 4)), np.arange(6) - 1.5
    found = energy.unflatten(energy.gradient(X, weights))
    total = lambda K, mu: weights @ Gaussian(K, mu).energy(X)  # noqa: E731
    K, mu = energy.parameters
    for i in range(4):
        step = 0.5 * np.eye(4)[i]
        slope = total(K, mu + step) - total(K, mu - step)
        assert found["location"][i] == pytest.approx(slope, abs=1e-10)
        for j in range(4):
            step = np.zeros((4, 4))
            step[i, j] = step[j, i] = 0.5
            slope = total(K + step, mu) - total(K - step, mu)
            assert found["precision"][i, j] == pytest.approx(slope, abs=1e-10)


def test_pickles_are_small_and_whole():
    energy = model(30, low=0.0)
    energy.sweep(np.ones((4, 30)), 1.0, None, KEY)
    data = pickle.dumps(energy)
    again = pickle.loads(data)
    assert len(data) < 30 * 34 * 8 + 1000
    assert np.array_equal(again.precision, energy.precision) and (again.low == 0.0).all()


def test_bad_boxes_and_bases():
    with pytest.raises(ValueError, match=r"low must be less than high.*variable 1"):
        Gaussian(np.eye(2), np.zeros(2), [0.0, 1.0], 1.0)
    with pytest.raises(ValueError, match="must be positive, that of variable 1"):
        IndependentNormals([0.0, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="same box"):
        model(2, low=0.0).sweep(np.ones((1, 2)), 0.5, model(2).base(), KEY)


# -- closed forms ------------------------------------------------------------------------------


@pytest.mark.parametrize("p, share", [(1, 1.0), (5, 1.0), (40, 0.03)])
def test_log_z_on_the_reals(p, share):
    energy, X = model(p, share=share), np.random.default_rng(2).normal(size=(7, p))
    covariance = np.linalg.inv(energy.precision)
    expected = stats.multivariate_normal(energy.location, covariance).logpdf(X)
    log_z = energy.exact_log_partition()
    assert np.allclose(-energy.energy(X) - log_z, expected, rtol=1e-12, atol=1e-11)
    assert energy.exact_seconds() == 0.0 and log_partition(energy).value == log_z


def test_log_z_of_coupled_reals_beside_separate_bounded_variables():
    """A product of what is known: log Z adds up."""
    both = np.zeros((5, 5))
    both[:3, :3], both[3, 3], both[4, 4] = precision_of(3), 2.0, 0.5
    mu, low = np.array([0.1, 0.2, -0.3, 1.0, -2.0]), np.array([-INF, -INF, -INF, 0.0, 0.0])
    energy = Gaussian(both, mu, low)
    apart = Gaussian(both[:3, :3], mu[:3]).exact_log_partition()
    apart += sum(
        Gaussian(both[k : k + 1, k : k + 1], mu[k : k + 1], 0.0).exact_log_partition()
        for k in (3, 4)
    )
    assert energy.exact_log_partition() == pytest.approx(apart, abs=1e-12)
    X = energy.exact_sample(100, (1,))
    assert (X[:, 3:] >= 0).all() and (X[:, :3] < 0).any()
    both[0, 3] = both[3, 0] = 0.1
    coupled = Gaussian(both, mu, low)
    assert coupled.exact_log_partition() is None and coupled.exact_seconds() == INF
    with pytest.raises(ValueError, match="not both bounded and coupled"):
        coupled.exact_sample(3, (1,))


def test_exact_draws_and_moments():
    """50,000 draws: |z| < z_limit for all first and second moments, of errors of 0.02 at most."""
    energy, n = model(4), 50_000
    X = energy.exact_sample(n, (5,))
    log_z, gradient = energy.exact_moments()
    moments = energy.name_moments(gradient)
    covariance = np.linalg.inv(energy.precision)
    assert log_z == energy.exact_log_partition()
    assert np.allclose(moments["means"], energy.location)
    assert np.allclose(moments["products"], covariance + np.outer(energy.location, energy.location))
    assert np.allclose(-energy.gradient(X, np.full(n, 1 / n)), gradient, atol=0.05)
    pairs = np.triu_indices(4)
    terms = np.hstack([X, X[:, pairs[0]] * X[:, pairs[1]]])
    stderr = terms.std(axis=0) / np.sqrt(n)
    expected = np.concatenate([moments["means"], moments["products"][pairs]])
    limit = reference.z_limit(len(expected))
    assert (abs(terms.mean(axis=0) - expected) < limit * stderr).all() and stderr.max() < 0.02
    assert np.array_equal(X, energy.exact_sample(n, (5,)))
    assert model(3, low=0.0).exact_moments() is None


# -- models without a density ------------------------------------------------------------------


def test_a_model_that_is_not_positive_definite():
    K = np.array([[1.0, 2.0], [2.0, 1.0]])
    energy = Gaussian(K, np.zeros(2))
    for ask in (
        energy.exact_log_partition, energy.base, lambda: log_partition(energy),
        lambda: energy.sweep(np.ones((2, 2)), 1.0, None, KEY), lambda: energy.exact_sample(2, (1,)),
        lambda: log_partition(Gaussian(-K + np.eye(2), np.zeros(2), 0.0)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"eigenvalue is -1|must be positive"):
            ask()
    with pytest.raises(ValueError, match=r"least eigenvalue is -1\. A Gaussian model on a half"):
        log_partition(Gaussian(K * [[1, -1], [-1, 1]], np.zeros(2), 0.0))
    assert Gaussian(K, np.zeros(2), 0.0, 1.0).exact_log_partition() is None
    with pytest.raises(ValueError, match="its entry for variable 1 is -1"):
        Gaussian(np.diag([1.0, -1.0]), np.zeros(2), 0.0, 1.0).exact_log_partition()


@pytest.mark.parametrize("high, sign", [(INF, 1.0), (3.0, -1.0)])
def test_a_density_without_a_positive_definite_matrix(high, sign):
    """Half lines that both variables go along, where their coupling helps; and a box."""
    K = np.array([[1.0, sign * 2.0], [sign * 2.0, 1.0]])
    energy = Gaussian(K, np.zeros(2), 0.0, high)
    top = min(high, 12.0)
    expected = integrate.dblquad(
        lambda x, y: np.exp(-0.5 * (x * x + 4 * sign * x * y + y * y)), 0, top, 0, top
    )[0]
    found = log_partition(energy, check="reverse", random_state=0, level=SURE)
    assert found.lower < np.log(expected) < found.upper and found.stderr < 0.06
    assert np.isfinite(energy.scattered_states(10, (1,))).all()


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_determinants_by_components(share):
    K = precision_of(30, share=share)
    assert log_determinant(K) == pytest.approx(np.linalg.slogdet(K)[1], abs=1e-11)
    least = np.linalg.eigvalsh(K)[0]
    assert least_eigenvalue(K) == pytest.approx(least, abs=1e-12) and is_positive_definite(K)
    assert is_positive_definite(K - 0.99 * least * np.eye(30))
    assert not is_positive_definite(K - 1.01 * least * np.eye(30))
    K[3, 4] = K[4, 3] = np.nan
    assert log_determinant(K) == -INF and not is_positive_definite(K)
    assert np.isnan(least_eigenvalue(K))


# -- bases -------------------------------------------------------------------------------------


def test_bases_and_scattered_states():
    energy = model(3, **dict(zip(("low", "high"), BOXES["mixed"])))
    base = energy.base()
    assert np.array_equal(base.precision, energy.precision.diagonal())
    assert np.array_equal(base.location, energy.location)
    given = energy.base(([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]))
    assert np.array_equal(given.location, [1, 2, 3]) and np.array_equal(given.low, energy.low)
    X = model(3).scattered_states(4000, (3,))
    spread = np.sqrt(np.linalg.inv(energy.precision).diagonal())
    assert np.allclose(X.std(axis=0), 3 * spread, rtol=0.1)
    inside = energy.scattered_states(200, (3,))
    assert np.isfinite(energy.energy(inside)).all()
    assert base.log_density(np.array([[0.0, -1.0, 0.0]])) == [-INF]
    assert base.sample(3, (1,)).shape == (3, 3)


# -- sweeps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("p, share", [(1, 1.0), (5, 1.0), (70, 0.05)])
def test_a_sweep_is_its_twin(p, share, box, beta, backwards):
    """The same values from the same uniforms, over tiles that are not full."""
    energy = model(p, share=share, **dict(zip(("low", "high"), BOXES[box])))
    base = base_of(energy)
    X = base.sample(37, (1,))
    moved = X.copy()
    move = energy.reverse_sweep if backwards else energy.sweep
    move(moved, beta, base, KEY, step=3, n_sweeps=2, first_chain=5)
    rest = energy.low, energy.high, beta, base.precision, base.location
    for r in (0, 36) if p > 5 else (0, 1, 31, 32, 36):
        x = X[r].tolist()
        for step in (3, 4):
            x = reference.gaussian_sweep(*energy.parameters, *rest, x, KEY, 5 + r, step, backwards)
        assert np.allclose(x, moved[r], rtol=0, atol=1e-8)
    assert (moved != X).all()


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_the_reversed_scan_is_the_reversal(beta):
    """On the reals a sweep is x -> A x + noise: reversal means A' S = S A~, S the covariance."""
    energy = model(4)
    base = base_of(energy)
    covariance = np.linalg.inv(tempered(energy, beta, base).precision)

    def slopes(move):
        rows = []
        for x in [np.zeros(4), *np.eye(4)]:
            X = x[None].copy()
            move(X, beta, base, KEY)
            rows.append(X[0])
        return (np.array(rows[1:]) - rows[0]).T

    there, back = slopes(energy.sweep), slopes(energy.reverse_sweep)
    assert np.allclose(there @ covariance, (back @ covariance).T, rtol=0, atol=1e-13)
    if beta:
        assert not np.allclose(there @ covariance, (there @ covariance).T, rtol=0, atol=1e-3)


@pytest.mark.parametrize("box", BOXES)
def test_sweeps_keep_exact_draws_where_they_are(box):
    """Moments before and after, paired: finds a shift of 0.07 standard deviations.

    100,000 chains at each beta, alpha = 1e-6 for each box over all comparisons. A paired change
    has at most twice the deviation of the moment, which is asserted; a mean change of
    (z_limit + 4.75) times its standard error is missed once in 10^6.
    """
    energy, n = model(3, **dict(zip(("low", "high"), BOXES[box]))), 100_000
    base, betas = base_of(energy), (0.0, 0.4, 1.0)
    X = np.vstack([exact_draws(tempered(energy, beta, base), n, k) for k, beta in enumerate(betas)])
    before = products(X)
    for move in (energy.sweep, energy.reverse_sweep):
        moved = X.copy()
        move(moved, np.repeat(betas, n), base, KEY)
        change = (products(moved) - before).reshape(3, n, -1)
        z = change.mean(axis=1) / change.std(axis=1) * np.sqrt(n)
        assert abs(z).max() < reference.z_limit(2 * z.size)
        assert (change.std(axis=1) < 2 * before.reshape(3, n, -1).std(axis=1)).all()
        assert 2 * (reference.z_limit(2 * z.size) + 4.75) / np.sqrt(n) < 0.075


def test_a_truncated_scan_and_its_reversal_exchange_places():
    """E[x_i x'_j^2] of the scan is E[x'_i x_j^2] of its reversal: 200,000 chains, 9 comparisons."""
    energy, n = model(3, low=0.0), 200_000
    X = exact_draws(energy, n)
    there, back = X.copy(), X.copy()
    energy.sweep(there, 1.0, None, KEY)
    energy.reverse_sweep(back, 1.0, None, KEY[::-1].copy())
    one = X[:, :, None] * there[:, None, :] ** 2
    other = back[:, :, None] * X[:, None, :] ** 2
    swapped = there[:, :, None] * X[:, None, :] ** 2
    stderr = np.sqrt(2 / n) * one.std(axis=0)
    limit = reference.z_limit(9) * stderr
    assert (abs((one - other).mean(axis=0)) < limit).all()
    assert (abs((one - swapped).mean(axis=0)) > limit).any()


@pytest.mark.parametrize("n", [1, 31, 64, 65, 300])
@pytest.mark.parametrize("low", [-INF, 0.0])
def test_a_chain_does_not_know_its_company(monkeypatch, low, n):
    """Whatever tiles and kernel calls it is worked on in, and however many sweeps these make."""
    energy = model(70, low=low, share=0.1)
    base, betas = base_of(energy), np.linspace(0, 1, 150)
    X = base.sample(300, (1,))

    def moved(first, last):
        Y, Z, weights = X[first:last].copy(), X[first:last].copy(), np.zeros(last - first)
        rates = np.linspace(0, 1, 300)[first:last]
        energy.sweep(Y, rates, base, KEY, n_sweeps=3, first_chain=first)
        energy.anneal(Z, weights, betas, base, KEY, first_chain=first)
        return Y, Z, weights

    whole = moved(0, 300)
    for module in (gaussian, _base):
        monkeypatch.setattr(module, "FLOPS_PER_CALL", 1.0)
    for one, other in zip(moved(300 - n, 300), whole):
        assert np.array_equal(one, other[300 - n :])


@pytest.mark.parametrize("box", BOXES)
def test_threads_and_twins_give_the_same_bits(monkeypatch, box):
    energy = model(70, share=0.1, **dict(zip(("low", "high"), BOXES[box])))
    base = base_of(energy)

    def results():
        X, weights = base.sample(200, (1,)), np.zeros(200)
        known = np.where(np.random.default_rng(0).random(X.shape) < 0.5, np.nan, X)
        energy.anneal(X, weights, np.linspace(0, 1, 6), base, KEY)
        energy.reverse_sweep(X, 0.5, base, KEY)
        total = energy.sweep_clamped(X, known, KEY, n_sweeps=2)
        return X, weights, total, energy.energy(X)

    usual = results()
    for limit in (0.0, INF):
        monkeypatch.setattr(gaussian, "PARALLEL_FLOPS", limit)
        for n_jobs in (1, 2):
            with threads(n_jobs):
                for one, other in zip(results(), usual):
                    assert np.array_equal(one, other)


@pytest.mark.parametrize("box", BOXES)
def test_known_values_stay(box):
    """Given the first one, the others are a model of their own: means within z_limit(4).

    20,000 chains; the means of conditionals have less variance than those of the draws.
    """
    energy, n = model(3, **dict(zip(("low", "high"), BOXES[box]))), 20_000
    value = 0.4
    known = np.full((n, 3), np.nan)
    known[:, 0] = value
    X = base_of(energy).sample(n, (1,))
    X[:, 0] = value
    energy.sweep_clamped(X, known, KEY, n_sweeps=20)
    means = energy.sweep_clamped(X, known, KEY, step=20, n_sweeps=5)
    K, mu = energy.parameters
    shift = np.linalg.solve(K[1:, 1:], K[1:, 0] * (value - mu[0]))
    given = Gaussian(K[1:, 1:], mu[1:] - shift, energy.low[1:], energy.high[1:])
    truth = exact_draws(given, n)
    assert (X[:, 0] == value).all()
    error = X[:, 1:].std(axis=0) / np.sqrt(n)
    limit = reference.z_limit(4) * np.sqrt(2) * error
    assert (abs(X[:, 1:].mean(axis=0) - truth.mean(axis=0)) < limit).all()
    assert (abs(means[:, 1:].mean(axis=0) - truth.mean(axis=0)) < limit).all()
    assert (means[:, 1:].std(axis=0) < X[:, 1:].std(axis=0)).all() and error.max() < 0.01


# -- annealing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("box", BOXES)
def test_annealing_is_sweeps_and_weights(box, falling):
    """The default of the protocol, made of sweeps and log_path, over two segments and more."""
    energy = model(9, **dict(zip(("low", "high"), BOXES[box])))
    base, betas = base_of(energy), np.linspace(0, 1, 2 * gaussian._SEGMENT + 9)
    betas = betas[::-1] if falling else betas
    fused = base.sample(70, (1,))
    plain, weights = fused.copy(), np.zeros((2, 70))
    energy.anneal(fused, weights[0], betas, base, KEY, step=2, first_chain=3)
    Energy.anneal(energy, plain, weights[1], betas, base, KEY, step=2, first_chain=3)
    assert np.array_equal(fused, plain)
    assert np.allclose(*weights, rtol=0, atol=1e-11) and weights[0].std() > 0.05


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("n_temperatures", [1, 2, 5])
def test_weights_between_models_are_unbiased(falling, n_temperatures):
    """E[w] from exact draws is the ratio of partition functions, either way: |z| < z_limit."""
    first = model(4, seed=1)
    last = Gaussian(1.1 * model(4, seed=1).precision + 0.2 * np.eye(4), first.location + 0.2)
    start, end = (last, first) if falling else (first, last)
    betas = np.linspace(0, 1, n_temperatures + 1)
    (path,) = first.paths_to(last)
    X, weights = start.exact_sample(40_000, (5,)), np.zeros(40_000)
    path.anneal(X, weights, betas[::-1] if falling else betas, KEY)
    w = np.exp(weights - end.exact_log_partition() + start.exact_log_partition())
    stderr = w.std(ddof=1) / np.sqrt(len(w))
    assert abs(w.mean() - 1) < reference.z_limit() * stderr and stderr < 0.02
    assert first.paths_to(model(5)) == first.paths_to(model(4, low=0.0)) == []
    assert path.flops(64) > 0


@pytest.mark.parametrize("options", [
    {"method": "auto"}, {"method": "bridge"}, {"method": "ais", "check": "reverse"},
])  # fmt: skip
@pytest.mark.parametrize("box", ["half lines", "box", "mixed"])
def test_log_z_of_two_bounded_variables(box, options):
    """Against quadrature, in an interval that misses it once in a million, to 0.25 nats at most."""
    K, mu = np.array([[2.0, -0.9], [-0.9, 1.0]]), np.array([0.3, -0.4])
    low, high = (np.resize(edge, 2) for edge in BOXES[box])
    energy = Gaussian(K, mu, low, high)
    reach = [np.clip([-9.0, 9.0], *edges) for edges in zip(low, high)]
    expected = integrate.dblquad(
        lambda y, x: np.exp(-reference.gaussian_energy(K, mu, (x, y))), *reach[0], *reach[1]
    )[0]
    found = log_partition(energy, random_state=0, level=SURE, **options)
    assert found.converged and 0 < found.stderr < 0.05
    assert found.lower < np.log(expected) < found.upper
    assert found.check is None or not found.check.doubts


def test_log_z_on_the_reals_by_annealing():
    energy = model(20, share=0.3)
    for method in ("ais", "bridge"):
        found = log_partition(
            energy, base_of(energy), method=method, check="reverse", random_state=0, level=SURE
        )
        assert found.lower < energy.exact_log_partition() < found.upper and found.stderr < 0.06
