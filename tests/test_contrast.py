"""Reverse logistic regression: log Z against what is known, its error, and where it cannot know."""

import math
import warnings

import numpy as np
import pytest
import reference
from scipy import integrate, optimize, stats
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from benchmarks.known import digits
from skebm import PCDRBM, NCEEstimator, PseudoLikelihoodIsing, ScoreMatchingGaussian
from skebm.energies import (
    BernoulliRBM,
    Energy,
    Gaussian,
    IndependentBernoulli,
    IndependentNormals,
    Ising,
    addressed_uniforms,
)
from skebm.nce import ChowLiuNoise, ConditionalNoise, GaussianNoise, MixtureNoise, UniformNoise
from skebm.partition import log_partition
from skebm.partition.contrast import FEWEST, Contrast

# Level of intervals that miss once in a million runs.
SURE = 1.0 - 1e-6


def rbm(seed, n_visible=9, n_hidden=6, scale=0.5):
    rng = np.random.default_rng(seed)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    return BernoulliRBM(*(rng.normal(0.0, scale, shape) for shape in shapes))


def ising(seed, p=8, scale=0.2):
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(0.0, scale, (p, p)), 1)
    return Ising(J + J.T, rng.normal(0.0, scale, p))


def precision(p, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(p, 3 * p))
    return A @ A.T / (3 * p) + 0.3 * np.eye(p)


class CurieWeiss(Energy):
    """A user's own energy: the mean-field ferromagnet over 0 and 1."""

    n_features = 10

    def __init__(self, J=1.0, n_features=10, field=None):
        self.J, self.n_features, self.field = J, n_features, J / 2 if field is None else field

    def energy(self, X):
        return -self.J * X.sum(axis=1) ** 2 / self.n_features

    def gradient(self, X, weights):
        return np.array([-(weights * X.sum(axis=1) ** 2).sum() / self.n_features])

    def base(self, marginals=None):
        return IndependentBernoulli(np.full(self.n_features, self.field))

    def sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        cold = 0.0 if base is None else (1.0 - np.asarray(beta)) * base.field[0]
        for s in range(step, step + n_sweeps):
            uniform = addressed_uniforms(key, s, first_chain, *X.shape)
            for i in range(self.n_features):
                others = X.sum(axis=1) - X[:, i]
                field = beta * self.J * (2 * others + 1) / self.n_features + cold
                X[:, i] = uniform[:, i] < expit(field)

    def exact_log_partition(self):
        n = self.n_features
        terms = [math.comb(n, m) * math.exp(self.J * m * m / n) for m in range(n + 1)]
        return math.log(math.fsum(terms))


class Quartic(Energy):
    """A user's own energy over the reals that can be drawn from, and has no sweep."""

    n_features = 1

    def energy(self, X):
        return 0.25 * X[:, 0] ** 4 - X[:, 0]

    def gradient(self, X, weights):
        raise NotImplementedError

    def base(self, marginals=None):
        return IndependentNormals([0.8], [1.0])

    def sweep(self, X, beta, base, key, **where):
        raise NotImplementedError

    def exact_log_partition(self):
        return math.log(integrate.quad(lambda x: math.exp(x - x**4 / 4), -6, 6)[0])

    def exact_sample(self, n_samples, entropy):
        grid = np.linspace(-4.0, 5.0, 20_001)
        mass = np.cumsum(np.exp(grid - grid**4 / 4))
        u = np.random.default_rng(list(entropy)).random(n_samples)
        return np.interp(u, mass / mass[-1], grid)[:, None]


# -- the regression itself ---------------------------------------------------------------------


@pytest.mark.parametrize("n_base, n_model", [(300, 300), (3000, 300), (50, 400)])
def test_it_is_a_logistic_regression(n_base, n_model):
    """The root is where the log-likelihood of the classifier is largest; the error its sandwich."""
    rng = np.random.default_rng(n_base)
    of_base, of_model = rng.normal(6.5, 1.0, n_base), rng.normal(7.5, 1.0, n_model)
    found = Contrast(of_base, of_model)
    offset = math.log(n_model / n_base)

    def loss(r):
        logits = of_base - r + offset, of_model - r + offset
        return np.logaddexp(0.0, logits[0]).sum() + np.logaddexp(0.0, -logits[1]).sum()

    best = optimize.minimize_scalar(loss, bracket=(5.0, 9.0), tol=1e-12).x
    assert found.estimate.value == pytest.approx(best, abs=1e-5)
    h = expit(of_base - best + offset), expit(of_model - best + offset)
    curvature = sum((each * (1 - each)).sum() for each in h)
    variance = (n_base * h[0].var() + n_model * h[1].var()) / curvature**2
    assert found.estimate.stderr == pytest.approx(math.sqrt(variance), rel=0.1)


def test_resampled_draws_count_less():
    rng = np.random.default_rng(0)
    of_base, of_model = rng.normal(6.5, 1.0, 4000), rng.normal(7.5, 1.0, 400)
    plain, fewer = (Contrast(of_base, of_model, ess).estimate for ess in (np.inf, 100.0))
    assert plain.value == fewer.value
    h = 1.0 - expit(of_model - plain.value + math.log(0.1))
    added = h.var(ddof=1) / h.mean() ** 2 / 100.0
    assert fewer.stderr**2 == pytest.approx(plain.stderr**2 + added, rel=1e-6)


def test_area_under_the_curve():
    """Against all pairs, ties counting half."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 50).astype(float), rng.integers(2, 11, 30).astype(float)
    pairs = [(a < b) + 0.5 * (a == b) for a in x for b in y]
    assert Contrast(x, y).auc() == pytest.approx(np.mean(pairs), abs=1e-12)


def test_rows_outside_of_the_model_count_as_base():
    """Noise that the model excludes: the same log Z as from the rest, with their share."""
    rng = np.random.default_rng(0)
    of_model = rng.normal(7.5, 1.0, 20_000)
    inside = rng.normal(6.5, 1.0, 20_000)
    every = np.concatenate([inside, np.full(20_000, -np.inf)])
    found = Contrast(every, of_model).estimate
    # half of the base lies inside, so that Z of e^u q is half as large
    assert found.value == pytest.approx(7.0 - math.log(2.0), abs=5 * found.stderr)
    assert 0 < found.stderr < 0.02


# -- against what is known ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [rbm, ising])
@pytest.mark.parametrize("seed", range(3))
def test_binary_models(make, seed):
    """Enumerated models by intervals of level 1 - 1e-6; an error of 0.3 would be seen."""
    energy = make(seed)
    found = log_partition(energy, method="nce", level=SURE, random_state=seed)
    assert found.converged and 0 < found.stderr < 0.06, str(found)
    assert found.lower < energy.exact_log_partition() < found.upper
    assert found.method == "nce" and found.n_temperatures == 0 and "rows" in str(found)


def test_gaussian_on_the_reals():
    energy = Gaussian(precision(4), np.arange(4.0))
    found = log_partition(energy, method="nce", level=SURE, random_state=0)
    assert found.converged and 0 < found.stderr < 0.06
    assert found.lower < energy.exact_log_partition() < found.upper


@pytest.mark.parametrize("low, high", [(0.0, np.inf), (-0.5, 1.0), ([-np.inf, 0.0], np.inf)])
def test_gaussian_in_a_box(low, high):
    """Draws by annealing, since bounded and coupled: against quadrature."""
    K, mu = np.array([[1.5, -0.7], [-0.7, 1.0]]), np.array([0.5, -0.2])
    energy = Gaussian(K, mu, low, high)
    reach = [np.clip([-9.0, 9.0], *edges) for edges in zip(energy.low, energy.high)]
    expected = integrate.dblquad(
        lambda y, x: math.exp(-reference.gaussian_energy(K, mu, (x, y))), *reach[0], *reach[1]
    )[0]
    found = log_partition(energy, method="nce", level=SURE, random_state=0)
    assert found.converged and 0 < found.stderr < 0.06 and found.n_temperatures >= 100
    assert found.lower < math.log(expected) < found.upper


@pytest.mark.parametrize("energy", [CurieWeiss(), Quartic()], ids=lambda e: type(e).__name__)
def test_energies_of_users(energy):
    """Without exact draws by annealing; with them, without a sweep."""
    found = log_partition(energy, method="nce", level=SURE, random_state=0)
    assert found.converged and 0 < found.stderr < 0.06
    assert found.lower < energy.exact_log_partition() < found.upper
    assert (found.n_temperatures == 0) == isinstance(energy, Quartic)


def test_estimators():
    rng = np.random.default_rng(0)
    X = (rng.random((300, 6)) < 0.4).astype(float)
    X[:, 1] = X[:, 0]
    X[:50, 1] = 1 - X[:50, 0]
    for model in (PCDRBM(3, n_iter=20, random_state=0), PseudoLikelihoodIsing()):
        model.fit(X)
        found = model.log_partition("nce", level=SURE, random_state=0)
        assert found.converged and found.lower < model.log_partition_.value < found.upper
    model = ScoreMatchingGaussian().fit(rng.normal(size=(300, 3)) + X[:, :3])
    found = model.log_partition("nce", level=SURE, random_state=0)
    assert found.converged and found.lower < model.log_partition_.value < found.upper


# -- its error ---------------------------------------------------------------------------------


def runs(energy, n_runs, **options):
    """Errors in standard errors, and how many intervals cover, over seeds."""
    log_z, errors, covered = energy.exact_log_partition(), [], 0
    for seed in range(n_runs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = log_partition(energy, method="nce", random_state=seed, **options)
        covered += found.lower <= log_z <= found.upper
        errors.append((found.value - log_z) / found.stderr)
    return np.array(errors), covered


def test_coverage_with_exact_draws():
    """360 to 396 of 400 intervals cover.

    Missed with probability 2e-5 at a true coverage of .95, and reached with .002 at .85. The mean
    error is within 4.5 of its own errors and the spread within 5 of its, alpha below 1e-5 both.
    """
    errors, covered = runs(ising(1, p=6), 400, n_chains=64)
    assert 360 <= covered <= 396
    assert abs(errors.mean()) < 4.5 / 20
    assert abs(errors.std() - 1.0) < 5 / math.sqrt(800)


def test_coverage_with_annealed_draws():
    """More than 165 of 200 cover: missed with probability 1e-10 at .95, reached .004 at .75."""
    errors, covered = runs(CurieWeiss(1.5), 200, n_chains=64, n_temperatures=20)
    assert covered > 165
    assert abs(errors.mean()) < 0.5 and 0.6 < errors.std() < 1.4


def test_coverage_where_modes_do_not_mix():
    """Two modes that no sweep connects have the shares that annealing gave them.

    More than 176 of 200 cover: missed with probability 2e-5 at .95. Draws that were counted as
    independent would cover in .82 and have errors of twice their size.
    """
    energy = CurieWeiss(3.2, n_features=20, field=0.2)
    errors, covered = runs(energy, 200, n_chains=200, n_temperatures=10)
    assert covered > 176 and 0.5 < errors.std() < 1.4


@pytest.mark.parametrize("distance, n, area", [(1, 64, 0.76), (3, 128, 0.983), (5, 1024, 0.9998)])
def test_coverage_of_what_is_believed(distance, n, area):
    """Normal log-ratios, so far apart that almost every pair of draws tells which is which.

    Of 400 runs, all believed, 361 to 397 intervals cover: missed with probability 3e-5 at a true
    coverage of .95, reached with .001 at .85. Effective rows tell what the area does not.
    """
    rng, covered, areas = np.random.default_rng(distance), 0, []
    for _ in range(400):
        sides = [rng.normal(-(distance**2) / 2, distance, 10 * n)]
        sides.append(rng.normal(distance**2 / 2, distance, n))
        found = Contrast(*sides)
        assert not list(found.doubts()) and found.estimate.ess > FEWEST
        covered += abs(found.estimate.value) <= found.estimate.reach(0.95)
        areas.append(found.auc())
    assert np.mean(areas) == pytest.approx(area, abs=0.3 * (1 - area))
    assert 360 < covered < 398


def test_target_stderr_is_planned_for():
    for target in (0.1, 0.02):
        found = log_partition(ising(0), method="nce", target_stderr=target, random_state=0)
        assert found.n_chains == 128 or 0.7 * target < found.stderr < 1.3 * target


# -- poor overlap ------------------------------------------------------------------------------


def test_trained_digits():
    """64 pixels and 14 hidden units against enumeration, from independent pixels; then thrice
    the weights, whose modes have nothing in common with these."""
    known = digits()
    model = PCDRBM.from_parameters(*known.parameters)
    found = model.log_partition("nce", base=known.base, level=SURE, random_state=0)
    assert found.converged and found.stderr < 0.07, str(found)
    assert found.lower < known.log_z < found.upper

    frozen = PCDRBM.from_parameters(*(3.0 * array for array in known.parameters))
    with pytest.warns(ConvergenceWarning, match="hardly overlap") as caught:
        found = frozen.log_partition("nce", base=known.base, random_state=0)
    assert not found.converged and found.n_chains <= 8192
    message = str(caught[0].message)
    assert len(caught) == 1 and "area under the curve" in message and "method='bridge'" in message
    assert "Raise n_temperatures" not in message and "method='exact' takes" in message


def test_a_nearer_base_is_believed():
    """A chasm to independent spins, none to a tree that was fitted to draws of the model."""
    J = np.diag(np.full(29, 2.0), 1)
    energy = Ising(J + J.T, np.zeros(30))
    log_z = 30 * math.log(2.0) + 29 * math.log(math.cosh(2.0))
    with pytest.warns(ConvergenceWarning, match="hardly overlap"):
        far = log_partition(energy, method="nce", n_chains=2000, random_state=0)
    noise = ChowLiuNoise().fit((_chain_of_spins(4000) + 1) / 2)
    near = log_partition(energy, noise, method="nce", level=SURE, random_state=0)
    assert near.converged and near.stderr < 0.06, str(near)
    assert near.lower < log_z < near.upper
    assert not far.converged


def _chain_of_spins(n):
    rng = np.random.default_rng(0)
    steps = np.where(rng.random((n, 30)) < expit(4.0), 1.0, -1.0)
    steps[:, 0] = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return np.cumprod(steps, axis=1)


def test_few_draws_are_said():
    with pytest.warns(ConvergenceWarning, match="too few"):
        found = log_partition(ising(0), method="nce", n_chains=8, random_state=0)
    assert not found.converged
    with pytest.warns(ConvergenceWarning):
        one = log_partition(ising(0), method="nce", n_chains=1, random_state=0)
    assert one.stderr == np.inf and (one.lower, one.upper) == (-np.inf, np.inf)


# -- bases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [GaussianNoise(), MixtureNoise(2)])
def test_noises_that_leave_the_box(noise):
    """Noise over the reals of a model on a half line: what lies outside tells that it does."""
    energy = Gaussian([[1.0]], [0.5], 0.0, np.inf)
    noise = noise.fit(np.abs(np.random.default_rng(0).normal(0.5, 1.0, (500, 1))))
    found = log_partition(energy, noise, method="nce", level=SURE, random_state=0)
    assert found.converged and found.lower < energy.exact_log_partition() < found.upper


def test_noise_has_to_cover_the_model():
    narrow = IndependentNormals([0.0, 0.0], [1.0, 1.0], -0.1, 0.1)
    with pytest.raises(ValueError, match="finite for all states"):
        log_partition(Gaussian(np.eye(2), np.zeros(2)), narrow, method="nce", random_state=0)


@pytest.mark.parametrize("method", ["nce", "ais"])
def test_what_is_no_base(method):
    with pytest.raises(TypeError, match=r"base must have .*got float"):
        log_partition(ising(0), 0.5, method=method)
    with pytest.raises(TypeError, match=r"base must have .*got ABCMeta"):
        log_partition(ising(0), ChowLiuNoise, method=method)
    if method == "ais":
        noise = ChowLiuNoise().fit(reference.all_states(8))
        with pytest.raises(TypeError, match="got ChowLiuNoise"):
            log_partition(ising(0), noise, method=method)


# -- bases of estimators -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    """Fitted estimators of binary and of real rows, and the rows as noise has them."""
    rng = np.random.default_rng(0)
    bits = (rng.random((600, 4)) < 0.4).astype(float)
    bits[:, 1] = np.where(rng.random(600) < 0.2, 1 - bits[:, 0], bits[:, 0])
    reals = rng.normal(size=(600, 4)) + bits
    coupled = 0.3 * (np.eye(4, k=1) + np.eye(4, k=-1))
    options = {"noise_ratio": 3, "random_state": 0}
    return {
        "pseudolikelihood": (PseudoLikelihoodIsing().fit(2 * bits - 1), bits),
        "given": (PseudoLikelihoodIsing.from_parameters(coupled, np.zeros(4)), bits),
        "rbm": (PCDRBM(2, n_iter=5, random_state=0).fit(bits), bits),
        "gaussian": (ScoreMatchingGaussian().fit(reals), reals),
        "nce_ising": (NCEEstimator("ising", **options).fit(2 * bits - 1), bits),
        "nce_gaussian": (NCEEstimator(**options).fit(reals), reals),
        "ica": (NCEEstimator("ica", **options).fit(reals), reals),
        "own": (
            NCEEstimator(lambda t, X: -X @ t, init=np.zeros(4), **options).fit(2 * bits - 1), bits
        ),
    }  # fmt: skip


BINARY = ["pseudolikelihood", "given", "rbm", "nce_ising", "own"]
REAL = ["gaussian", "nce_gaussian", "ica"]


@pytest.mark.parametrize("name", BINARY + REAL)
def test_a_fitted_noise_is_a_base_of_every_estimator(models, name):
    """As it is of an energy; spins are turned."""
    model, rows = models[name]
    noise = (ChowLiuNoise() if name in BINARY else GaussianNoise()).fit(rows)
    found = model.log_partition("nce", base=noise, level=SURE, random_state=0)
    expected = model.log_partition(random_state=1)
    if name == "own":
        assert expected.method == "importance"
    assert found.converged and found.stderr < 0.06
    assert abs(found.value - expected.value) < 5 * np.hypot(found.stderr, expected.stderr) + 1e-9
    again = model.log_partition("nce", base=noise, level=SURE, random_state=0)
    assert again == found
    if name not in ("ica", "own"):
        assert found == log_partition(
            model._energy(), noise, method="nce", level=SURE, random_state=0
        )


def test_a_base_that_is_too_narrow_is_not_believed(models):
    """Without chains its own rows do not tell; those of the noise of training do."""
    model, rows = models["ica"]
    noise = GaussianNoise(inflation=0.05).fit(rows)
    with pytest.warns(ConvergenceWarning, match=r"from the noise of training it is .* ± "):
        found = model.log_partition("nce", base=noise, random_state=0)
    assert not found.converged and found.ess > FEWEST
    assert abs(found.value - model.log_partition().value) > 5 * found.stderr


@pytest.mark.parametrize("method", ["auto", "nce", "ais"])
@pytest.mark.parametrize("name", BINARY + REAL)
def test_what_is_no_base_of_an_estimator(models, name, method):
    model, rows = models[name]
    noise = (ChowLiuNoise() if name in BINARY else GaussianNoise()).fit(rows)
    other = GaussianNoise().fit(rows) if name in BINARY else ChowLiuNoise().fit(rows > 0)
    for base, error, said in (
        ("foo", ValueError, "base must be .*fitted noise of skebm.nce, got 'foo'"),
        (object(), TypeError, "base must be .*fitted noise of skebm.nce, got object"),
        (ChowLiuNoise, TypeError, "base must be .*fitted noise of skebm.nce, got "),
    ):
        with pytest.raises(error, match=said):
            model.log_partition(method, base=base)
    if method != "nce":
        with pytest.raises(ValueError, match=f"method='nce' only, got .*method='{method}'"):
            model.log_partition(method, base=noise)
        return
    narrow = type(noise)().fit(rows[:, :2])
    for base, error, said in (
        (type(noise)(), NotFittedError, "not fitted"),
        (narrow, ValueError, "base must be of 4 features as the model, got .* of 2"),
        (other, ValueError, "base must be a noise of (binary|real) data for this model, got "),
        (ConditionalNoise().fit(rows), TypeError, "steps from rows"),
    ):
        with pytest.raises(error, match=said):
            model.log_partition(method, base=base)
    if name in BINARY:
        with pytest.raises(ValueError, match="UniformNoise must draw 0 and 1"):
            model.log_partition(method, base=UniformNoise().fit(rows))


def test_energies_that_are_not_finite_are_said():
    class Broken(Quartic):
        def energy(self, X):
            return np.where(X[:, 0] > 1.0, np.nan, 0.0)

    with pytest.raises(ValueError, match="finite"):
        log_partition(Broken(), method="nce", random_state=0)


# -- the same everywhere -----------------------------------------------------------------------


@pytest.mark.parametrize("energy", [rbm(0), CurieWeiss(), ising(2)])
def test_same_seed_same_bits(energy):
    options = {"method": "nce", "n_chains": 200, "return_chains": True}
    (first, draws), (again, other) = (
        log_partition(energy, random_state=5, n_jobs=n_jobs, **options) for n_jobs in (1, 2)
    )
    assert first == again and np.array_equal(draws.states, other.states)
    assert draws.states.shape == (200, energy.n_features) and not draws.log_weights.any()
    assert log_partition(energy, random_state=6, **options)[0].value != first.value


def test_no_reverse_check():
    with pytest.raises(ValueError, match=r"check='reverse' carries chains .*'bridge'"):
        log_partition(ising(0), method="nce", check="reverse")
    model = PseudoLikelihoodIsing.from_parameters(ising(0).coupling, ising(0).field)
    with pytest.raises(ValueError, match="check='reverse'"):
        model.log_partition("nce", check="reverse")


def test_draws_are_those_of_the_model():
    """Chi-squared of 20,000 draws over 2^6 states; false alarm 1e-6, variations of .03 seen."""
    energy = ising(3, p=6, scale=0.4)
    _, draws = log_partition(
        energy, method="nce", n_chains=20_000, random_state=0, return_chains=True
    )
    spins = reference.all_spins(6)
    p = reference.ising_probabilities(energy.coupling, energy.field)
    where = {tuple(s): k for k, s in enumerate(spins)}
    counts = np.bincount([where[tuple(s)] for s in draws.states], minlength=64)
    assert stats.chisquare(counts, 20_000 * np.asarray(p)).pvalue > 1e-6
