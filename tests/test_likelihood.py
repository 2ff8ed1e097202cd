"""Likelihoods with their errors, the difference of two models, and the bound from below."""

import math
import warnings

import numpy as np
import pytest
import reference
from scipy.stats import t
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import BernoulliRBM as BernoulliRBMOfSklearn

from benchmarks.known import digits
from skebm import CDRBM, PCDRBM
from skebm.energies import BernoulliRBM
from skebm.partition import (
    LogLikelihood,
    LogPartition,
    likelihood,
    log_likelihood_difference,
    raise_log_likelihood,
    raising,
)

KEY = np.array([7, 77], dtype=np.uint32)


def random_parameters(seed, n_visible, n_hidden, scale, mean=0.3):
    rng = np.random.default_rng(seed)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    return tuple(rng.normal(mean, scale, shape) for shape in shapes)


def estimator(parameters):
    return PCDRBM.from_parameters(*parameters)


@pytest.fixture
def no_enumeration(monkeypatch):
    """Everything as if the models were too large to be summed."""
    monkeypatch.setattr(likelihood, "cheap_log_partition", lambda energy, **_: None)


# -- one model ---------------------------------------------------------------------------------


def test_log_likelihood(fitted, bits):
    result = fitted.log_likelihood(bits, level=0.8)
    scores = fitted.score_samples(bits)
    assert float(result) == result.value == pytest.approx(fitted.score(bits), abs=1e-12)
    assert result.stderr_rows == pytest.approx(scores.std(ddof=1) / math.sqrt(len(bits)))
    assert result.stderr_log_partition == 0.0 and result.log_partition.method == "exact"
    assert result.converged and result.n_rows == len(bits)
    assert result.upper - result.value == pytest.approx(t.ppf(0.9, 149) * result.stderr)
    assert result.value - result.lower == pytest.approx(t.ppf(0.9, 149) * result.stderr)
    assert str(result).count("±") == 2 and "150 rows" in str(result)
    assert fitted.log_likelihood(bits[:1]).stderr_rows == np.inf


def test_errors_of_rows_and_of_log_z_stay_apart():
    log_z = LogPartition.from_log_weights(
        np.random.default_rng(0).normal(0, 0.5, 50), method="ais", n_temperatures=1
    )
    few, many = (
        LogLikelihood.of_rows(np.random.default_rng(1).normal(-5, 2, n), log_z) for n in (100, 1000)
    )
    assert few.stderr_log_partition == many.stderr_log_partition == log_z.stderr
    assert few.stderr_rows > 2.5 * many.stderr_rows
    assert many.stderr == pytest.approx(math.hypot(many.stderr_rows, log_z.stderr))


def test_log_likelihood_says_when_log_z_is_doubtful():
    log_z = LogPartition.from_log_weights(
        np.random.default_rng(0).normal(0, 5.0, 50), method="ais", n_temperatures=1
    )
    result = LogLikelihood.of_rows(np.zeros(3), log_z)
    assert not log_z.converged and not result.converged and "not converged" in str(result)


@pytest.mark.parametrize("n_rows", [3, 10])
def test_interval_over_few_rows(n_rows):
    """Normal rows and a log Z of 20 weights: 2,000 intervals cover in .93 to .97 (4 errors)."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        log_z = LogPartition.from_log_weights(
            rng.normal(-0.02, 0.2, 20), method="ais", n_temperatures=1
        )
        result = LogLikelihood.of_rows(rng.normal(-5, 0.1, n_rows), log_z)
        covered += result.lower <= -5.0 <= result.upper
    assert 0.93 < covered / 2000 < 0.97


@pytest.mark.parametrize("level", [0.0, 1.0, "high", None])
def test_log_likelihood_checks_its_level(fitted, bits, level):
    with pytest.raises((TypeError, ValueError), match="log_likelihood: level"):
        fitted.log_likelihood(bits, level=level)
    with pytest.raises(NotFittedError):
        PCDRBM().log_likelihood(bits)


# -- from one model to another -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_anneal_between_is_the_twin(dtype):
    """Log-weights and last states of the kernel, and of the loops, in both directions."""
    first, last = (
        tuple(array.astype(dtype) for array in random_parameters(seed, 6, 5, 1.0))
        for seed in (1, 2)
    )
    path = BernoulliRBM(*first).straight_path_to(BernoulliRBM(*last))
    start = (np.random.default_rng(0).random((150, 6)) < 0.5).astype(dtype)
    for betas in (np.array([0.0, 0.1, 0.35, 0.7, 1.0]), np.array([1.0, 0.5, 0.0])):
        X, log_weights = start.copy(), np.zeros(150)
        path.anneal(X, log_weights, betas, KEY)
        for chain in (0, 1, 70, 149):
            expected, state = reference.anneal_between(
                first, last, betas, start[chain], KEY, chain, single=dtype == np.float32
            )
            error = 100 * float(np.finfo(dtype).eps)
            assert log_weights[chain] == pytest.approx(expected, abs=error)
            assert (X[chain] == state).all()


def test_anneal_between_in_blocks():
    path = BernoulliRBM(*random_parameters(1, 6, 5, 1.0)).straight_path_to(
        BernoulliRBM(*random_parameters(2, 6, 5, 1.0))
    )
    X = (np.random.default_rng(0).random((100, 6)) < 0.5).astype(float)
    Y, whole, parts, betas = X.copy(), np.zeros(100), np.zeros(100), np.linspace(0, 1, 8)
    path.anneal(X, whole, betas, KEY)
    path.anneal(Y, parts, betas[:4], KEY)
    path.anneal(Y, parts, betas[3:], KEY, step=3)
    assert (X == Y).all() and np.allclose(whole, parts, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_temperatures", [1, 2, 10])
def test_paths_between_are_unbiased(n_temperatures):
    """E[w] = Z_b / Z_a on every path, from exact draws: |z| < 5, alpha = 6e-7 each."""
    for seed in range(6):
        a = random_parameters(seed, 6, 4, 0.5)
        b = random_parameters(seed + 50, 6, 4 + seed % 2, 0.5)
        log_ratio = reference.log_partition(*b) - reference.log_partition(*a)
        X = reference.exact_draws(*a, 20_000, seed)
        paths = BernoulliRBM(*a).paths_to(BernoulliRBM(*b))
        assert len(paths) == 2 - seed % 2
        for path in paths:
            states, log_weights = X.copy(), np.zeros(len(X))
            path.anneal(states, log_weights, np.linspace(0, 1, n_temperatures + 1), KEY)
            weights = np.exp(log_weights - log_ratio)
            stderr = weights.std(ddof=1) / math.sqrt(len(X))
            assert stderr < 0.05
            assert abs(weights.mean() - 1.0) < 5 * stderr


def test_no_path_to_another_kind_of_model():
    energy = BernoulliRBM(*random_parameters(0, 6, 4, 1.0))
    assert energy.paths_to(BernoulliRBM(*random_parameters(0, 7, 4, 1.0))) == []
    assert energy.paths_to(object()) == []


def exact_difference(a, b, X):
    both = [-model.free_energy(X) - model.log_partition("exact").value for model in (a, b)]
    return both[0] - both[1]


def test_difference_of_small_models_is_exact():
    a, b = (estimator(random_parameters(seed, 8, 5, 1.0)) for seed in (0, 1))
    X = (np.random.default_rng(0).random((40, 8)) < 0.5).astype(float)
    result, rows = log_likelihood_difference(a, b, X), exact_difference(a, b, X)
    assert result.value == pytest.approx(rows.mean(), abs=1e-12)
    assert result.stderr_rows == pytest.approx(rows.std(ddof=1) / math.sqrt(40))
    assert result.stderr_log_partition == 0.0 and result.log_partition.method == "exact"
    back = log_likelihood_difference(b, a, X)
    assert back.value == pytest.approx(-result.value, abs=1e-12)


@pytest.mark.parametrize("n_hidden", [9, 12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_difference_by_annealing(no_enumeration, n_hidden, dtype):
    """Within 5 standard errors (alpha = 6e-7) of .05, for three seeds and mixed precisions."""
    a = estimator(random_parameters(0, 18, 9, 0.4, 0.1))
    parameters = random_parameters(1, 18, n_hidden, 0.4, 0.1)
    b = estimator(tuple(array.astype(dtype) for array in parameters))
    X = (np.random.default_rng(0).random((40, 18)) < 0.5).astype(float)
    truth = exact_difference(a, b, X).mean()
    for seed in range(3):
        result = log_likelihood_difference(a, b, X, random_state=seed)
        assert result.converged and result.log_partition.method == "bridge"
        assert 0 < result.stderr_log_partition < 0.05
        assert abs(result.value - truth) < 5 * result.stderr_log_partition
    again = log_likelihood_difference(a, b, X, random_state=2, n_jobs=1)
    assert again.value == result.value


def test_difference_has_less_variance_than_two_log_z(no_enumeration, bits):
    """Twenty repetitions of a model before and after more training.

    Its standard deviation is at most a half of that of the difference of two log Z by AIS with as
    many chains and temperatures (the draws of both models cost two AIS runs more, and the path
    between four); the ratio itself is known to 16 %.
    """
    model = CDRBM(8, n_iter=100, random_state=0, warm_start=True).fit(bits)
    before = CDRBM.from_parameters(*(array.copy() for array in model._parameters()))
    after = model.set_params(n_iter=20).fit(bits)
    truth = exact_difference(after, before, bits).mean()
    run = {"n_chains": 128, "n_temperatures": 50}
    joined, apart = [], []
    for seed in range(20):
        result = log_likelihood_difference(after, before, bits, random_state=seed, **run)
        joined.append(result.value - truth)
        two = [
            each.log_partition("ais", base="marginals", random_state=seed + 100 * k, **run).value
            for k, each in enumerate((after, before))
        ]
        apart.append(two[1] - two[0])
    assert np.std(joined) < 0.5 * np.std(apart)
    assert abs(np.mean(joined)) < 5 * np.std(joined, ddof=1) / math.sqrt(20)


def test_the_better_path_is_taken(no_enumeration, monkeypatch):
    """Straight between two states of one training, over both layers between strangers."""
    taken, run = [], likelihood.Way.run

    def spy(self, n_chains, *args, **kwargs):
        if hasattr(self.path, "first"):
            taken.append(len(self.path.first.components))
        return run(self, n_chains, *args, **kwargs)

    monkeypatch.setattr(likelihood.Way, "run", spy)
    W, b, c = random_parameters(0, 12, 5, 1.5, 0.0)
    near = W + 0.05, b, c
    # The same model with its hidden units renamed, and half of them flipped.
    order, flip = [3, 4, 0, 1, 2], np.array([1, -1, 1, -1, 1])
    strange = (flip[:, None] * W)[order], b + W[flip < 0].sum(axis=0), (flip * c)[order]
    X = np.zeros((2, 12))
    for other, n_hidden in ((near, 5), (strange, 10)):
        taken.clear()
        log_likelihood_difference(estimator((W, b, c)), estimator(other), X, random_state=0)
        assert taken[-2:] == [n_hidden] * 2  # forward and backward, after the pilots


def test_difference_of_separate_modes_is_doubted(no_enumeration):
    """Two frozen models with modes apart: whatever comes out is not called converged."""
    W = np.zeros((2, 40))
    W[0, :20] = W[1, 20:] = 12.0  # each half is on or off, and no chain goes from one to the other
    a = W, np.full(40, -6.0), np.full(2, -120.0)
    b = W, np.full(40, -6.0), np.full(2, -118.0)
    with pytest.warns(ConvergenceWarning, match="log.Z_a / Z_b. is not to be trusted"):
        result = log_likelihood_difference(
            estimator(a), estimator(b), np.zeros((2, 40)), n_chains=64, n_temperatures=50,
            check="reverse", random_state=0,
        )  # fmt: skip
    assert not result.converged and math.isfinite(result.value)


@pytest.mark.parametrize("factors", [(2.0, 1.8), (2.0, 1.0)])
def test_difference_of_models_that_do_not_mix(no_enumeration, factors):
    """Trained weights times two, whose modes no chain leaves: within 5 stated errors, unbiased.

    Long chains instead of draws by AIS would be wrong by seven standard errors here.
    """
    known = digits()
    parameters = [tuple(f * array for array in known.parameters) for f in factors]
    models = [estimator(each) for each in parameters]
    for model in models:
        model.visible_mean_ = known.means
    X = np.zeros((2, 64))
    truth = exact_difference(*models, X).mean()
    errors = []
    for seed in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            run = {"n_chains": 128, "n_temperatures": 300, "random_state": seed}
            result = log_likelihood_difference(*models, X, **run)
        errors.append((result.value - truth) / result.stderr_log_partition)
    assert max(map(abs, errors)) < 5 and abs(np.mean(errors)) < 2.5


def test_models_without_a_path_are_compared_separately(no_enumeration, monkeypatch):
    monkeypatch.setattr(BernoulliRBM, "paths_to", lambda self, other: [])
    a, b = (estimator(random_parameters(seed, 8, 5, 1.0)) for seed in (0, 1))
    X = np.zeros((2, 8))
    result = log_likelihood_difference(a, b, X)
    assert result.log_partition.method == "separate"
    assert result.value == pytest.approx(exact_difference(a, b, X).mean(), abs=1e-12)


def test_difference_checks_its_arguments(fitted, bits):
    for name, value in (("n_chains", 0), ("n_temperatures", "many"), ("level", 2), ("n_jobs", 0)):
        with pytest.raises((TypeError, ValueError), match=f"log_likelihood_difference: {name}"):
            log_likelihood_difference(fitted, fitted, bits, **{name: value})
    with pytest.raises(TypeError, match="from_parameters makes one"):
        log_likelihood_difference(fitted, BernoulliRBMOfSklearn().fit(bits), bits)
    with pytest.raises(ValueError, match="features"):
        log_likelihood_difference(fitted, estimator(random_parameters(0, 7, 4, 1.0)), bits)
    with pytest.raises(NotFittedError):
        log_likelihood_difference(fitted, PCDRBM(), bits)


# -- RAISE -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_temperatures", [1, 2, 5])
def test_raise_is_unbiased_for_the_annealed_model(n_temperatures):
    """E[p^(v)] = p_ann(v) for each of 16 states, from matrices of transitions.

    20,000 paths each, |z| < z_limit(16); errors are at most 2 %. The wrong convention, without
    the sweep at beta = 1, is a model of one temperature less and is rejected.
    """
    parameters = random_parameters(0, 4, 3, 0.8)
    W, b, c = parameters
    model, betas = estimator(parameters), np.linspace(0, 1, n_temperatures + 1)
    exact = reference.annealed_probabilities(W, b, c, b, betas)
    other = reference.annealed_probabilities(W, b, c, b, betas[:-1])
    states = reference.all_states(4)
    result = raise_log_likelihood(
        model, np.repeat(states, 200, axis=0), max_rows=None, n_chains=100,
        n_temperatures=n_temperatures, random_state=0,
    )  # fmt: skip
    each = np.exp(result.log_likelihood).reshape(16, 200)
    mean, stderr = each.mean(axis=1), each.std(axis=1, ddof=1) / math.sqrt(200)
    assert (stderr < 0.02 * exact).all()
    assert (abs(mean - exact) < reference.z_limit(16) * stderr).all()
    assert (abs(mean - other) > 10 * stderr).any()


def test_raise_is_a_lower_bound_that_tends_to_the_likelihood():
    model = estimator(random_parameters(1, 10, 6, 1.5, 0.0))
    X = reference.exact_draws(*model._parameters(), 400, 0)
    truth = model.score_samples(X)
    gaps = []
    for n_temperatures in (2, 10, 1000):
        run = {
            "max_rows": None,
            "n_chains": 20,
            "n_temperatures": n_temperatures,
            "random_state": 0,
        }
        result = raise_log_likelihood(model, X, **run)
        gaps.append((truth - result.log_likelihood).mean())
    assert gaps[0] > 0.05 and gaps[0] > gaps[1] and abs(gaps[2]) < 0.02
    one = raise_log_likelihood(model, X, n_chains=1, n_temperatures=20, random_state=0)
    assert one.value < raise_log_likelihood(model, X, n_temperatures=20, random_state=0).value


def test_raise_plans_and_reports(fitted, bits):
    result = raise_log_likelihood(fitted, bits, max_rows=30, random_state=0)
    assert result.n_temperatures >= 1000 and result.n_chains == 32
    assert result.log_likelihood.shape == result.rows.shape == (30,)
    assert len(set(result.rows)) == 30 and (np.diff(result.rows) > 0).all()
    assert abs(result.value - fitted.score(bits[result.rows])) < 0.1
    assert float(result) == result.value == pytest.approx(result.log_likelihood.mean())
    assert result.stderr == pytest.approx(result.log_likelihood.std(ddof=1) / math.sqrt(30))
    assert "annealed model, from below" in str(result)
    again = raise_log_likelihood(fitted, bits, max_rows=30, random_state=0, n_jobs=1)
    np.testing.assert_array_equal(again.log_likelihood, result.log_likelihood)
    assert raise_log_likelihood(fitted, bits[:1], n_temperatures=5).stderr == np.inf


def test_raise_in_blocks_and_of_binary_rows_only(fitted, bits, monkeypatch):
    whole = raise_log_likelihood(fitted, bits[:40], n_temperatures=200, random_state=0)
    monkeypatch.setattr(raising, "_VALUES", 7 * 32 * 16)
    parts = raise_log_likelihood(fitted, bits[:40], n_temperatures=200, random_state=0)
    assert abs(whole.log_likelihood - parts.log_likelihood).max() < 0.2
    soft = PCDRBM(3, n_iter=1, binarize=None, random_state=0).fit(0.9 * bits)
    with pytest.raises(ValueError, match="raise_log_likelihood: X must be binary"):
        raise_log_likelihood(soft, 0.9 * bits)


def test_raise_checks_its_arguments(fitted, bits):
    for name, value in (("n_chains", 0), ("n_temperatures", "many"), ("max_rows", -1)):
        with pytest.raises((TypeError, ValueError), match=f"raise_log_likelihood: {name}"):
            raise_log_likelihood(fitted, bits, **{name: value})
    with pytest.raises(NotFittedError):
        raise_log_likelihood(PCDRBM(), bits)
    with pytest.raises(ValueError, match="features"):
        raise_log_likelihood(fitted, bits[:, :5])


def test_raise_of_extreme_models_is_finite():
    for size in (1e3, -1e3):
        model = estimator((np.full((3, 5), size), np.full(5, -size), np.zeros(3)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = raise_log_likelihood(
                model, reference.all_states(5), n_temperatures=20, random_state=0
            )
        assert np.isfinite(result.log_likelihood).all()
