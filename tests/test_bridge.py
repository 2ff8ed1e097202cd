"""Both directions: backward chains, Bennett's ratio, and what happens where they contradict."""

import math
import warnings

import numpy as np
import pytest
import reference
from joblib import parallel_config
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from benchmarks.known import digits, enumerated
from benchmarks.scoring import Parameters
from skebm import PCDRBM, partition
from skebm.energies import BernoulliRBM, Energy, IndependentBernoulli, addressed_uniforms
from skebm.partition import _ways, log_partition
from skebm.partition._ways import down_to_base, long_starts
from skebm.partition._weights import (
    bennett,
    gaussian_work,
    log_mean_exp,
    resampled,
    standard_errors_apart,
)
from skebm.partition.bridge import compare

KEY = np.array([7, 77], dtype=np.uint32)


def random_parameters(seed, n_visible, n_hidden, scale, mean=0.3):
    rng = np.random.default_rng(seed)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    return tuple(rng.normal(mean, scale, shape) for shape in shapes)


def estimator(parameters):
    return PCDRBM.from_parameters(*parameters)


def carried(energy, base, X, betas, anneal=None):
    """Log-weights of the path, in the convention of rising temperatures."""
    X, log_weights = X.copy(), np.zeros(len(X))
    (anneal or energy.anneal)(X, log_weights, np.asarray(betas), base, KEY)
    return log_weights if betas[0] < betas[-1] else -log_weights


def both_ways(parameters, n_chains, n_temperatures, seed):
    """Forward and backward log-weights that both begin at exact draws, and the base."""
    energy = BernoulliRBM(*parameters)
    base = IndependentBernoulli(np.random.default_rng(seed).normal(1.0, 0.5, energy.n_features))
    betas = np.linspace(0, 1, n_temperatures + 1)
    first = base.sample(n_chains, (seed, 5, 6, 7))
    last = reference.exact_draws(*parameters, n_chains, seed)
    return (
        carried(energy, base, first, betas),
        carried(energy, base, last, betas[::-1].copy()),
    )


# -- backward chains ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_temperatures", [1, 2, 5, 10])
def test_backward_weights_are_unbiased(n_temperatures):
    """E[1 / w] = 1 / Z from exact draws of ten models: |z| < 5, alpha = 6e-7 each."""
    for seed in range(10):
        parameters = random_parameters(seed, 5 + seed % 3, 4 + seed % 2, 0.6)
        log_z = reference.log_partition(*parameters)
        _, backward = both_ways(parameters, 20_000, n_temperatures, seed)
        ratios = np.exp(log_z - backward)
        stderr = ratios.std(ddof=1) / math.sqrt(len(ratios))
        assert stderr < 0.03
        assert abs(ratios.mean() - 1.0) < 5 * stderr


def test_a_wrong_order_backwards_is_rejected():
    """The test above has power: chains that move before they are weighed fail by ten errors."""
    parameters = random_parameters(0, 12, 8, 0.5)
    energy, log_z = BernoulliRBM(*parameters), reference.log_partition(*parameters)
    base, betas = energy.base(), np.linspace(1, 0, 11)
    X = reference.exact_draws(*parameters, 20_000, 0)

    def move_first(X, log_weights, betas, base, key):
        for k in range(1, len(betas)):
            energy.sweep(X, betas[k], base, key, step=k)
            log_weights += energy.log_path(X, betas[k], base)
            log_weights -= energy.log_path(X, betas[k - 1], base)

    for anneal, wrong in ((None, False), (move_first, True)):
        ratios = np.exp(log_z - carried(energy, base, X, betas, anneal))
        z = (ratios.mean() - 1.0) / (ratios.std(ddof=1) / math.sqrt(len(ratios)))
        assert abs(z) > 10 if wrong else abs(z) < 5


def test_backward_anneal_is_the_twin():
    parameters = random_parameters(1, 6, 5, 1.0)
    energy, base = BernoulliRBM(*parameters), IndependentBernoulli(np.linspace(-1, 1, 6))
    betas = np.array([1.0, 0.7, 0.35, 0.1, 0.0])
    first = reference.exact_draws(*parameters, 100, 0)
    X, log_weights = first.copy(), np.zeros(100)
    energy.anneal(X, log_weights, betas, base, KEY)
    for chain in (0, 1, 70, 99):
        expected, last = reference.anneal(*parameters, base.field, betas, first[chain], KEY, chain)
        assert log_weights[chain] == pytest.approx(expected, abs=1e-12)
        assert (X[chain] == last).all()


def test_sandwich():
    """E[forward] <= log Z <= E[backward] at two temperatures and few chains, seen on 30 models."""
    for seed in range(30):
        parameters = random_parameters(seed, 4, 3, 0.8)
        log_z = reference.log_partition(*parameters)
        forward, backward = both_ways(parameters, 4 * 400, 2, seed)
        lower = [log_mean_exp(part).value for part in forward.reshape(400, 4)]
        upper = [-log_mean_exp(-part).value for part in backward.reshape(400, 4)]
        slack = reference.z_limit(60) / 20
        assert np.mean(lower) - slack * np.std(lower) < log_z
        assert np.mean(upper) + slack * np.std(upper) > log_z
        assert np.mean(lower) < np.mean(upper)


def test_long_starts_are_of_two_kinds():
    energy = BernoulliRBM(np.full((1, 30), 8.0), np.full(30, -4.0), np.zeros(1))
    base = IndependentBernoulli(np.full(30, -4.0))
    X = long_starts(energy, base)(201, (1, 2, 3, 4))
    assert X.shape == (201, 30)
    assert X[:100].mean() < 0.1  # the base, where a unit is rarely on
    ones = X[100:].mean(axis=1)
    assert (ones > 0.7).sum() + (ones < 0.3).sum() == 101  # the hidden unit on, or off
    assert 0.25 < (ones > 0.7).mean() < 0.75  # outside with probability 4e-7


def test_scattered_states_follow_the_conditionals():
    """Means of v given fair coins, each within z_limit of the exact ones."""
    W, b, c = random_parameters(3, 7, 4, 1.0)
    X = BernoulliRBM(W, b, c).scattered_states(20_000, (1, 2, 3, 4))
    expected = np.mean(
        [reference.visible_probability(W, b, h) for h in reference.all_states(4)], axis=0
    )
    stderr = np.sqrt(expected * (1 - expected) / len(X))
    assert (abs(X.mean(axis=0) - expected) < reference.z_limit(7) * stderr).all()


# -- Bennett's acceptance ratio ----------------------------------------------------------------


@pytest.mark.parametrize("n_forward, n_backward", [(50, 50), (20, 90), (7, 3)])
def test_bennett_is_the_twin(n_forward, n_backward):
    rng = np.random.default_rng(n_forward)
    forward, backward = rng.normal(9.0, 1.0, n_forward), rng.normal(10.0, 1.0, n_backward)
    estimate, overlap = bennett(forward, backward)
    expected = reference.bennett(forward.tolist(), backward.tolist())
    assert estimate.value == pytest.approx(expected, abs=1e-9)
    m = math.log(n_forward / n_backward)
    g = [reference.sigmoid(w - expected - m) for w in forward]
    h = [reference.sigmoid(m + expected - w) for w in backward]
    assert overlap == pytest.approx(np.mean(g) + np.mean(h), abs=1e-9)
    variance = sum(np.var(x, ddof=1) / np.mean(x) ** 2 / len(x) for x in (g, h))
    assert estimate.stderr == pytest.approx(math.sqrt(variance), rel=1e-6)


def crooks_pair(rng, n, spread, log_ratio):
    """Gaussian log-weights of both directions that obey p_B(w) = p_F(w) e^{w - r}."""
    return (
        rng.normal(log_ratio - spread**2 / 2, spread, n),
        rng.normal(log_ratio + spread**2 / 2, spread, n),
    )


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
def test_bennett_error_is_that_of_repeated_runs(spread):
    """Over 2,000 pairs of 200 weights: sd within 10 % of the mean error (6 errors of an sd)."""
    rng = np.random.default_rng(0)
    found = [bennett(*crooks_pair(rng, 200, spread, 42.0))[0] for _ in range(2000)]
    values = np.array([each.value for each in found])
    stderrs = [each.stderr for each in found]
    assert values.std() == pytest.approx(np.mean(stderrs), rel=0.1)
    assert abs(values.mean() - 42.0) < 5 * values.std() / math.sqrt(2000)
    forward = [log_mean_exp(crooks_pair(rng, 200, spread, 0.0)[0]).stderr for _ in range(200)]
    assert np.mean(stderrs) < np.mean(forward)


def test_overlap_runs_from_one_to_zero():
    rng = np.random.default_rng(0)
    assert bennett(np.full(10, 3.0), np.full(30, 3.0))[1] == pytest.approx(1.0)
    assert bennett(*crooks_pair(rng, 500, 8.0, 0.0))[1] < 0.01
    assert bennett(*crooks_pair(rng, 500, 0.1, 0.0))[1] > 0.99


@pytest.mark.parametrize("n_temperatures", [1, 3, 10])
def test_bennett_matches_exact(n_temperatures):
    """Ten models, exact draws at both ends: within 5 standard errors (alpha = 6e-7) of .05."""
    for seed in range(10):
        parameters = random_parameters(seed, 6, 5, 0.6)
        estimate, overlap = bennett(*both_ways(parameters, 3000, n_temperatures, seed))
        assert overlap > 0.3 and estimate.stderr < 0.05
        assert abs(estimate.value - reference.log_partition(*parameters)) < 5 * estimate.stderr


def test_coverage_of_the_bridge():
    """345 to 397 of 400 intervals from exact draws cover; see test_coverage of AIS."""
    parameters = random_parameters(3, 6, 5, 0.6)
    log_z = reference.log_partition(*parameters)
    forward, backward = both_ways(parameters, 400 * 60, 4, 3)
    covered = 0
    for up, down in zip(forward.reshape(400, 60), backward.reshape(400, 60)):
        estimate, _ = bennett(up, down)
        covered += abs(estimate.value - log_z) <= estimate.reach(0.95)
    assert 345 <= covered <= 397


@pytest.mark.parametrize("factor, n_temperatures", [(1.0, 60), (1.7, 400)])
def test_coverage_of_the_bridge_as_it_is_called(factor, n_temperatures):
    """Trained weights, and 1.7 times these, whose modes no Gibbs chain leaves: 200 runs.

    More than 165 of 200 intervals cover: missed with probability 1e-10 at a true coverage of .95
    and 8e-4 at .90, reached with probability .004 at .75. Long chains
    instead of draws by AIS would cover in .75 of the runs (.15 at twice the weights) and be
    biased by a standard error and more.
    """
    known = digits()
    parameters = tuple(factor * array for array in known.parameters)
    model, log_z = estimator(parameters), enumerated(Parameters(*parameters))
    errors, covered = [], 0
    for seed in range(200):
        run = {"n_chains": 100, "n_temperatures": n_temperatures, "random_state": seed}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            result = model.log_partition("bridge", base=known.base, **run)
        covered += result.lower <= log_z <= result.upper
        errors.append((result.value - log_z) / result.stderr)
    assert 165 < covered
    assert abs(np.mean(errors)) < 0.5 and 0.7 < np.std(errors) < 1.4


def test_resampled_indices():
    """Each index n w_i times on average over the uniform, never more than one away from it."""
    log_weights = np.log([0.1, 0.5, 0.05, 0.35])
    counts = np.array([
        np.bincount(resampled(log_weights, u), minlength=4) for u in np.linspace(0, 0.9999, 2000)
    ])  # fmt: skip
    expected = 4 * np.exp(log_weights)
    assert np.allclose(counts.mean(axis=0), expected, atol=0.01)
    assert (abs(counts - expected) < 1).all() and (counts.sum(axis=1) == 4).all()


# -- what the package reports ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_bridge_and_check_match_exact(seed):
    model = estimator(random_parameters(seed, 18, 10, 0.5, 0.1))
    exact = model.log_partition("exact").value
    bridge = model.log_partition("bridge", random_state=seed)
    assert bridge.method == "bridge" and bridge.converged and bridge.check is None
    assert bridge.stderr < 0.08
    assert abs(bridge.value - exact) < 5 * bridge.stderr
    both = model.log_partition("bridge", check="reverse", random_state=seed)
    assert both.converged and (both.value, both.stderr) == (bridge.value, bridge.stderr)

    checked = model.log_partition("ais", check="reverse", random_state=seed)
    assert checked.converged and checked.check == both.check
    assert abs(checked.check.bridge - exact) < 5 * checked.check.bridge_stderr
    plain = model.log_partition("ais", random_state=seed)
    assert plain.check is None
    assert (checked.value, checked.stderr, checked.ess) == (plain.value, plain.stderr, plain.ess)
    assert abs(checked.check.value - exact) < 5 * checked.check.stderr
    assert bridge.stderr < plain.stderr
    assert "overlap" in str(checked.check) and "bridge" in str(bridge)


def test_check_is_seldom_wrong():
    """200 runs on a model that mixes: at most 4 are doubted.

    Three statistics with |z| > 3.5 are expected in 0.14 % of the runs; more than 4 in 200 have
    probability 2e-5 at that rate.
    """
    model = estimator(random_parameters(3, 10, 8, 0.4))
    doubted = 0
    for seed in range(200):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            run = {"n_chains": 64, "n_temperatures": 30, "random_state": seed}
            doubted += not model.log_partition("ais", check="reverse", **run).check.passed
    assert doubted <= 4


GOLF_HOLE = np.full((1, 64), 6.0), np.zeros(64), np.array([-338.0])
GOLF_RUN = {"n_chains": 100, "n_temperatures": 1000, "random_state": 0}
GOLF_LOG_Z = 46.3118


def test_golf_hole_is_a_documented_limit():
    """One state in 2^64 holds 86 % of the mass: AIS is 1.95 nats off and cannot know it."""
    result = estimator(GOLF_HOLE).log_partition("ais", **GOLF_RUN)
    assert result.converged and result.upper < GOLF_LOG_Z - 1.9
    assert "hole among 2^64" in partition.__doc__


@pytest.mark.parametrize("method", ["ais", "bridge"])
@pytest.mark.parametrize("seed", range(3))
def test_golf_hole_is_caught_by_the_reverse_check(method, seed):
    """Half of the backward chains begin at random hidden states, half of these in the hole."""
    run = GOLF_RUN | {"random_state": seed, "check": "reverse"}
    with pytest.warns(ConvergenceWarning, match="random hidden states disagree") as caught:
        result = estimator(GOLF_HOLE).log_partition(method, **run)
    assert not result.converged and not result.check.passed
    assert abs(result.check.split) > 3.5
    message = str(caught[0].message)
    assert len(caught) == 1 and "The reverse run says" in message
    assert "do not help" in message and "method='exact' takes" in message
    assert "n_temperatures" not in message.split("do not help")[1]


def test_crossing_is_flagged():
    """An upper side below the lower one cannot be: something started where it should not."""
    rng = np.random.default_rng(0)
    forward, backward = crooks_pair(rng, 200, 0.5, 10.0)
    assert compare(forward, backward, 10).passed
    check = compare(forward, backward - 1.5, 10)
    assert check.crossed and not check.passed
    assert any("crossed" in doubt for doubt in check.doubts)
    check = compare(forward, backward + 1.5, 10)
    assert not check.crossed and any("larger" in doubt for doubt in check.doubts)
    check = compare(forward - 30, backward + 30, 10)
    assert any("overlap" in doubt for doubt in check.doubts)
    assert any("too few" in doubt for doubt in compare(forward[:40], backward[:40], 10).doubts)
    halves = np.concatenate([backward[:100], backward[100:] + 2.0])
    assert any("disagree" in doubt for doubt in compare(forward, halves, 10).doubts)
    forward_halves = np.concatenate([forward[:100], forward[100:] + 2.0])
    assert any("disagree" in d for d in compare(forward_halves, backward, 10, both=True).doubts)


@pytest.mark.parametrize("method", ["ais", "bridge"])
@pytest.mark.parametrize(
    "parameters",
    [
        (np.full((3, 5), 1e3), np.full(5, -1e3), np.zeros(3)),
        (np.full((3, 5), -1e3), np.full(5, 1e3), np.full(3, 1e3)),
        (np.zeros((3, 5)), np.linspace(-2, 2, 5), np.linspace(-1, 1, 3)),
        (np.zeros((3, 5)), np.zeros(5), np.zeros(3)),
        (np.array([[2.0]]), np.array([-1.0]), np.array([0.5])),
        (np.tile(np.random.default_rng(0).normal(size=(4, 1)), (1, 6)), np.zeros(6), np.zeros(4)),
        tuple(40.0 * array for array in random_parameters(0, 12, 9, 1.0, 0.0)),
    ],
    ids=["+1e3", "-1e3", "no weights", "nothing", "one unit", "equal columns", "frozen"],
)
def test_extreme_models(method, parameters):
    """Right within the interval at 1 - 1e-6, or not called converged; never NaN."""
    model = estimator(parameters)
    exact = model.log_partition("exact").value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        run = {"n_chains": 64, "n_temperatures": 200, "random_state": 0, "level": 1 - 1e-6}
        result = model.log_partition(method, check="reverse", **run)
    numbers = [result.value, result.second_opinion, result.check.value, result.check.bridge]
    assert all(map(math.isfinite, numbers))
    rest = [result.stderr, result.lower, result.upper, result.ess, result.second_stderr]
    rest += [result.check.stderr, result.check.gap, result.check.split, result.check.overlap]
    assert not any(map(math.isnan, rest))
    assert (not result.converged) == bool(result.doubts)
    slack = 1e-9 * max(1.0, abs(exact))
    if result.converged:
        assert result.lower - slack <= exact <= result.upper + slack
    if not parameters[0].any():
        assert result.converged and result.value == pytest.approx(exact, abs=0.3)


# -- what log-weights say ----------------------------------------------------------------------


def test_gaussian_work():
    """Right for Gaussian log-weights, with the error of repeated runs (2,000 of 100)."""
    runs = np.random.default_rng(0).normal(5.0, 1.5, (2000, 100))
    found = [gaussian_work(run) for run in runs]
    values = np.array([each.value for each in found])
    assert abs(values.mean() - (5.0 + 1.5**2 / 2)) < 5 * values.std() / math.sqrt(2000)
    assert values.std() == pytest.approx(np.mean([each.stderr for each in found]), rel=0.1)
    assert gaussian_work(np.array([3.0])).stderr == np.inf


def test_standard_errors_apart():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (2000, 40))
    z = [standard_errors_apart(row[:20], row[20:]) for row in x]
    assert abs(np.mean(z)) < 5 / math.sqrt(2000) and np.std(z) == pytest.approx(1.05, abs=0.12)
    assert standard_errors_apart(np.ones(5), np.ones(5)) == 0.0
    assert standard_errors_apart(np.ones(5), np.zeros(5)) == np.inf
    noise = 1e-14 * rng.normal(size=10)
    assert standard_errors_apart(noise[:5], noise[5:]) == 0.0


# -- an energy that a user wrote ---------------------------------------------------------------


class Ferromagnet(Energy):
    """E(x) = -J m^2 / n, m the number of ones among n; its scan has a direction."""

    def __init__(self, n, J):
        self.n, self.J = n, J

    @property
    def n_features(self):
        return self.n

    def energy(self, X):
        return -self.J * X.sum(axis=1) ** 2 / self.n

    def gradient(self, X, weights):
        return np.array([-(weights * X.sum(axis=1) ** 2 / self.n).sum()])

    def base(self, marginals=None):
        means = np.full(self.n, 0.5) if marginals is None else marginals
        return IndependentBernoulli.from_marginals(means)

    def sweep(self, X, beta, base, key, **where):
        self._scan(X, beta, base, key, range(self.n), **where)

    def reverse_sweep(self, X, beta, base, key, **where):
        self._scan(X, beta, base, key, range(self.n)[::-1], **where)

    def _scan(self, X, beta, base, key, order, *, step=0, n_sweeps=1, first_chain=0):
        beta = np.broadcast_to(beta, len(X))
        for s in range(step, step + n_sweeps):
            uniform = addressed_uniforms(key, s, first_chain, *X.shape)
            for i in order:
                others = X.sum(axis=1) - X[:, i]
                field = beta * self.J * (2 * others + 1) / self.n
                if base is not None:
                    field = field + (1 - beta) * base.field[i]
                X[:, i] = uniform[:, i] * (1 + np.exp(-field)) < 1

    def exact_log_partition(self):
        ones = np.arange(self.n + 1)
        binomial = [math.log(math.comb(self.n, m)) for m in ones]
        return float(logsumexp(binomial + self.J * ones**2 / self.n))


def test_users_own_energy_by_the_bridge():
    """The protocol is enough: within 5 standard errors (alpha = 6e-7) of 0.05 nats."""
    energy = Ferromagnet(12, 1.5)
    run = {"n_temperatures": 60, "n_chains": 600, "random_state": 0}
    result = log_partition(energy, method="bridge", **run)
    assert result.converged and result.stderr < 0.05
    assert abs(result.value - energy.exact_log_partition()) < 5 * result.stderr


def test_scans_are_reversed_on_the_way_back():
    """Descending temperatures use reverse_sweep, rising ones sweep."""
    energy, calls = Ferromagnet(4, 1.0), []
    energy.sweep = lambda *args, **where: calls.append("sweep")
    energy.reverse_sweep = lambda *args, **where: calls.append("reverse")
    base = energy.base()
    X = base.sample(10, (1, 2, 3, 4))
    energy.anneal(X, np.zeros(10), np.linspace(0, 1, 4), base, KEY)
    assert calls == ["sweep"] * 3
    calls.clear()
    down_to_base(energy, base).run(10, 3, (1, 2, 3, 4), n_sweeps=5)
    assert calls == ["reverse"] * 4


class Broken(Ferromagnet):
    """Impossible states: an energy of infinity."""

    def energy(self, X):
        return np.where(X.sum(axis=1) > 3, np.inf, 0.0)


@pytest.mark.parametrize("method", ["ais", "bridge"])
def test_infinite_energies_are_refused(method):
    with pytest.raises(ValueError, match="not finite for all states"), np.errstate(all="ignore"):
        log_partition(Broken(6, 1.0), method=method, n_chains=50, n_temperatures=5)


@pytest.mark.parametrize(
    "name, value",
    [("method", "exakt"), ("check", "revers"), ("n_temperatures", 0), ("n_chains", 0)],
)
def test_public_function_checks_its_options(name, value):
    with pytest.raises(ValueError, match=f"log_partition: {name} must be"):
        log_partition(Ferromagnet(4, 1.0), **{name: value})


@pytest.mark.filterwarnings("ignore:log Z is not to be trusted")
def test_users_energy_in_other_workers(monkeypatch):
    """Chains of addressed random numbers do not depend on how they were cut into tasks."""
    energy, run = Ferromagnet(6, 1.0), {"n_chains": 40, "n_temperatures": 3, "random_state": 0}
    here = log_partition(energy, method="ais", **run)
    monkeypatch.setattr(_ways, "WORTH_SENDING", 0.0)
    monkeypatch.setattr(_ways, "CHAINS_PER_TASK", 7)
    with parallel_config(backend="threading", n_jobs=2):
        assert log_partition(energy, method="ais", **run) == here
    assert log_partition(energy, **run).method == "ais"  # nobody knows how long a sum would take
