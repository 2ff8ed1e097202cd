"""NCEEstimator where it once went wrong: steps of own energies, units, threads, no density."""

import tracemalloc
import warnings

import numba
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from skebm import NCEEstimator
from skebm.criteria.noise_contrastive import Features, Sample
from skebm.nce import ICA, ConditionalNoise, ExponentialFamily, TruncatedGaussian


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(1000, 2))


# -- conditional noise, and energies of a user -------------------------------------------------


def quartic(theta, X):
    return theta[0] * X[:, 0] ** 2 + theta[1] * X[:, 1] ** 4


def ring(theta, X):
    squares = (X**2).sum(axis=1)
    return theta[0] * squares + theta[1] * squares**2


def ring_of_row(theta, x):
    squares = x[0] ** 2 + x[1] ** 2
    return theta[0] * squares + theta[1] * squares**2


def quartic_features(X):
    return -np.column_stack([X[:, 0] ** 2, X[:, 1] ** 4])


def ring_features(X):
    squares = (X**2).sum(axis=1)
    return -np.column_stack([squares, squares**2])


class Own:
    """An energy that is linear in its parameters, as a class."""

    features = None

    def __init__(self, theta):
        self.theta = theta

    def energy(self, X):
        return -type(self).features(X) @ self.theta

    def gradient(self, X, weights):
        return -weights @ type(self).features(X)


class Quartic(Own):
    features = staticmethod(quartic_features)


class Ring(Own):
    features = staticmethod(ring_features)


SHAPES = {
    "quartic": (quartic_features, quartic, Quartic),
    "ring": (ring_features, ring, numba.njit(ring_of_row), Ring),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ratio", [1, 3])
def test_steps_of_own_energies(rows, shape, ratio):
    """Against the same energy by its features, which is learned by Newton's method."""
    features, *energies = SHAPES[shape]
    options = {"noise": "conditional", "noise_ratio": ratio, "random_state": 0}
    known = NCEEstimator(ExponentialFamily(features), **options).fit(rows)
    for energy in energies:
        own = NCEEstimator(energy, init=[0.4, 0.3], **options).fit(rows)
        np.testing.assert_allclose(own.params_, known.params_, rtol=1e-4)
        np.testing.assert_allclose(own.params_stderr_, known.params_stderr_, rtol=1e-3)
        assert own.log_partition_.value == pytest.approx(known.log_partition_.value, abs=1e-4)
        assert own.log_partition_.stderr == pytest.approx(known.log_partition_.stderr, rel=1e-3)
        assert own.loss_ == pytest.approx(known.loss_, abs=1e-9)
        np.testing.assert_allclose(own.noise_contrastive_loss(rows), own.loss_, rtol=1e-12)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_steps_out_of_an_energy(rows):
    """Steps to where there is no density lose nothing and pull nowhere."""

    def half(theta, X):
        with np.errstate(all="ignore"):
            return np.where(X[:, 0] > 0, theta[0] * X[:, 0], np.inf)

    X = np.random.default_rng(1).exponential(size=(3000, 1))
    model = NCEEstimator(half, init=[0.5], noise="conditional", random_state=0).fit(X)
    assert abs(model.params_[0] - 1.0) < 5 * model.params_stderr_[0] < 0.3


# -- threads -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("energy", ["gaussian", "diagonal_gaussian", "ising", "own"])
def test_bits_do_not_depend_on_the_threads_of_blas(energy):
    """Sums over so many rows are shared among the threads of BLAS, unless it has one."""
    X = np.random.default_rng(0).normal(size=(20000, 20))
    options = {"noise_ratio": 0.25, "random_state": 0, "max_iter": 1, "n_jobs": 1}
    if energy == "own":

        def energy(theta, X):
            return theta[0] * X[:, 0] ** 2 + theta[1] * X[:, 1] ** 2

        options["init"] = [0.4, 0.4]
    found = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="blas"):
            model = NCEEstimator(energy, **options).fit(X > 0 if energy == "ising" else X)
        found.append([model.params_, model.params_stderr_, model.log_partition_.value])
    for one, two in zip(*found):
        np.testing.assert_array_equal(one, two)


# -- units -------------------------------------------------------------------------------------


def powers(X):
    return np.hstack([X, X**2, X**4])


def fourth(theta, X):
    return theta[0] * X[:, 0] ** 4 - theta[1] * X[:, 0] ** 2


def slopes_of_fourth(theta, X, w):
    return np.array([w @ X[:, 0] ** 4, -w @ X[:, 0] ** 2])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_units_do_not_matter_to_features(solver, scale):
    """Steps and warnings are the same, and parameters but for their units."""
    X = np.random.default_rng(0).normal(size=(3000, 1))
    one, other = (
        NCEEstimator(ExponentialFamily(powers), solver=solver, random_state=0).fit(rows)
        for rows in (X, scale * X)
    )
    units = scale ** -np.array([1.0, 2.0, 4.0])
    precise = 1e-6 if solver == "newton" else 1e-3
    errors = one.params_stderr_
    np.testing.assert_allclose(other.params_ / units, one.params_, atol=precise * errors.min())
    np.testing.assert_allclose(other.params_stderr_ / units, errors, rtol=1e-3)
    shift = other.log_partition_.value - one.log_partition_.value
    assert shift == pytest.approx(np.log(scale), abs=1e-5)
    assert abs(other.n_iter_ - one.n_iter_) <= (0 if solver == "newton" else 3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_units_do_not_matter_to_own_energies(scale):
    """Started where the search once stayed, quietly."""
    X = scale * np.random.default_rng(0).normal(size=(3000, 1))
    known = NCEEstimator(
        ExponentialFamily(lambda X: np.hstack([-(X**4), X**2])), random_state=0
    ).fit(X)
    start = [scale**-4.0, 0.0]
    own = NCEEstimator(fourth, gradient=slopes_of_fourth, init=start, random_state=0).fit(X)
    apart = np.abs(own.params_ - known.params_) / known.params_stderr_
    assert apart.max() < 1e-3
    np.testing.assert_allclose(own.params_stderr_, known.params_stderr_, rtol=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("init", [[1.0, 1.0], [1e7, 1e-7]])
def test_columns_of_very_different_units(init):
    """Precisions 1e8 and 1e-8: against a diagonal Gaussian around zero and the same noise."""
    X = np.random.default_rng(0).normal(size=(3000, 2)) * [1e-4, 1e4]

    def energy(theta, X):
        return 0.5 * X**2 @ theta

    own = NCEEstimator(energy, init=init, random_state=0).fit(X)
    known = NCEEstimator(
        "diagonal_gaussian", fixed=[True, True, False, False], init=[0.0, 0.0, 1e8, 1e-8],
        random_state=0,
    ).fit(X)  # fmt: skip
    apart = np.abs(own.params_ - known.params_[2:]) / known.params_stderr_[2:]
    assert apart.max() < 1e-3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise", ["auto", ConditionalNoise(0.2)], ids=["auto", "conditional"])
def test_curvatures_of_many_parameters_are_probed(noise):
    """Beyond 30 parameters with a gradient nobody makes the curvature, in whatever units."""
    X = np.random.default_rng(0).normal(size=(1000, 40)) * np.logspace(-3, 3, 40)

    def energy(theta, X):
        return 0.5 * X**2 @ theta

    def gradient(theta, X, w):
        return 0.5 * w @ X**2

    init = 0.5 / X.var(axis=0)
    options = {"noise": noise, "noise_ratio": 2, "noise_inflation": 1.05, "random_state": 0}
    own = NCEEstimator(energy, gradient=gradient, init=init, **options).fit(X)
    known = NCEEstimator(ExponentialFamily(lambda X: -0.5 * X**2), **options).fit(X)
    apart = np.abs(own.params_ - known.params_) / known.params_stderr_
    assert apart.max() < 1e-3


# -- no density, and what rows do not determine ------------------------------------------------


def test_a_gaussian_without_a_density_warns():
    X = np.random.default_rng(1).normal(size=(6, 5))
    with pytest.warns(ConvergenceWarning, match="cannot be normalised.*least eigenvalue"):
        model = NCEEstimator(random_state=0).fit(X)
    assert not model.log_partition_.converged
    K = np.zeros((5, 5))
    K[np.triu_indices(5)] = model.params_[5:]
    assert np.linalg.eigvalsh(K, UPLO="U")[0] < 0


def test_a_diagonal_without_a_density_warns():
    X = np.random.default_rng(0).choice([-1.0, 1.0], size=(500, 1))
    options = {"noise": "conditional", "random_state": 0}
    for data in (X, np.hstack([X, X])):
        with pytest.warns(ConvergenceWarning):
            model = NCEEstimator(
                "diagonal_gaussian", fixed=[True] * 2 * data.shape[1],
                init=[0.0] * data.shape[1] + [-1.0] * data.shape[1], **options,
            ).fit(data)  # fmt: skip
        assert not model.log_partition_.converged


@pytest.mark.parametrize("case", ["constant", "repeated"])
def test_what_rows_do_not_determine_has_infinite_errors(case):
    """Fields of constant columns and couplings of equal ones run off; the others do not."""
    X = np.random.default_rng(0).integers(0, 2, size=(2000, 3)).astype(float)
    X[:, 2] = 1.0 if case == "constant" else X[:, 1]
    name = r"field\[2\]" if case == "constant" else r"coupling\[1,2\]"
    with pytest.warns(ConvergenceWarning, match=f"do not determine .*{name}"):
        model = NCEEstimator("ising", random_state=0).fit(X)
    errors = dict(zip(model.param_names_, model.params_stderr_))
    assert errors[name.replace("\\", "")] == np.inf
    assert np.isfinite(errors["coupling[0,1]" if case == "constant" else "field[0]"])
    assert not model.log_partition_.converged
    assert not np.isnan(model.params_stderr_).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = NCEEstimator(
            "ising", l2=0.1, fixed=np.arange(6) == 2, init=3.0 * (np.arange(6) == 2), random_state=0
        ).fit(X)
    assert np.isfinite(held.params_stderr_).all() and held.log_partition_.converged


# -- log Z, draws, and nothing to learn --------------------------------------------------------


@pytest.mark.parametrize("expert", ["laplace", "logistic", "student_t"])
def test_log_z_of_components_is_known(expert):
    """Against quadrature of one component, and the learned one."""
    X = np.random.default_rng(0).laplace(size=(3000, 1))
    model = NCEEstimator(ICA(expert), random_state=0).fit(3.0 * X)
    found = model.log_partition()
    assert found.method == "exact" and found.stderr == 0.0
    grid = np.linspace(-3000.0, 3000.0, 2_000_001)
    density = np.exp(model.score_samples(grid[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-5)
    learned = model.log_partition_
    assert abs(learned.value - found.value) < 5 * learned.stderr < 0.3
    again = model.log_partition("nce", random_state=1)
    assert abs(again.value - found.value) < 5 * again.stderr < 0.3


def test_log_z_of_own_energies_is_estimated_afresh(rows):
    """Importance sampling from new noise, against quadrature.

    False alarms: 6e-7 for each of four; power: an error of log 2 is 30 errors away.
    """
    energies = [
        NCEEstimator(quartic, init=[0.4, 0.3], random_state=0).fit(rows),
        NCEEstimator(ExponentialFamily(quartic_features), random_state=0).fit(rows),
    ]
    x = np.linspace(-8.0, 8.0, 4001)
    for model in energies:
        a, b = model.params_
        exact = np.log(np.trapezoid(np.exp(-a * x**2), x) * np.trapezoid(np.exp(-b * x**4), x))
        for options in ({}, {"method": "nce", "n_chains": 5000}):
            found, draws = model.log_partition(random_state=1, return_chains=True, **options)
            assert abs(found.value - exact) < 5 * found.stderr < 0.15
            assert found.method == "importance" and found.converged
            assert len(draws.states) == len(draws.log_weights) == found.n_chains
        twice = [model.log_partition(random_state=s).value for s in (1, 1, 2)]
        assert twice[0] == twice[1] != twice[2]
        with pytest.raises(TypeError, match="no Markov chains"):
            model.log_partition("ais")
        with pytest.raises(ValueError, match="reverse"):
            model.log_partition(check="reverse")


def test_few_effective_rows_of_noise_warn():
    def spike(theta, X):
        return theta[0] * (X**2).sum(axis=1)

    X = np.random.default_rng(0).normal(size=(300, 2))
    model = NCEEstimator(spike, init=[1e9], fixed=[True], noise="conditional", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    with pytest.warns(ConvergenceWarning, match="effective number"):
        assert not model.log_partition(n_chains=1000, random_state=0).converged


def test_nothing_to_learn_by_steps(rows):
    """All parameters fixed: only log Z is left, that of a standard normal in two dimensions."""

    def energy(theta, X):
        return 0.5 * (X**2).sum(axis=1)

    for own in (energy, "diagonal_gaussian"):
        init = [1.0] if callable(own) else [0.0, 0.0, 1.0, 1.0]
        model = NCEEstimator(
            own, init=init, fixed=[True] * len(init), noise="conditional", random_state=0
        ).fit(rows)
        np.testing.assert_array_equal(model.params_, init)
        np.testing.assert_array_equal(model.params_stderr_, 0.0)
        assert model.n_iter_ == 0
        found = model.log_partition_
        assert abs(found.value - np.log(2 * np.pi)) < 5 * found.stderr < 0.1


def test_a_density_that_grows_to_the_edges_is_drawn_from():
    """Precision -12 on the unit interval: moments of draws are those of the model."""
    X = np.random.default_rng(0).beta(0.6, 0.6, size=(2000, 1))
    model = NCEEstimator(TruncatedGaussian(high=1.0), noise="uniform", random_state=0).fit(X)
    assert model.params_[1] < -1.0 and model.log_partition_.converged
    grid = np.linspace(0.0, 1.0, 20001)
    density = np.exp(model.score_samples(grid[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=5 * model.log_partition_.stderr)
    draws = model.sample(4000, random_state=0)
    assert ((draws >= 0.0) & (draws <= 1.0)).all()
    density /= np.trapezoid(density, grid)
    for power in (1, 2):
        mean = np.trapezoid(density * grid**power, grid)
        assert (draws**power).mean() == pytest.approx(mean, abs=0.03)
    again = model.log_partition(random_state=0)
    assert abs(again.value - model.log_partition_.value) < 0.1


def test_laplace_sources_from_other_starts():
    """Where a search begins does not decide on which corner of the loss it ends.

    Six starts, a tenth of a standard deviation of sources away, end within a hundredth of a
    standard error (0.06) of each other; with corners as they are they ended as far apart as that.
    """
    X = np.random.default_rng(1).laplace(scale=np.sqrt(0.5), size=(300, 4))
    found = []
    for seed in range(6):
        init = np.eye(4) + 0.1 * np.random.default_rng(seed).standard_normal((4, 4))
        model = NCEEstimator(ICA(fit_intercept=False), init=init.ravel(), random_state=0).fit(X)
        found.append(model.params_)
    assert np.ptp(found, axis=0).max() < 0.01 * model.params_stderr_.mean()


@pytest.mark.parametrize("standardize", ["auto", False])
@pytest.mark.parametrize("far", [1e-3, 1e6])
@pytest.mark.filterwarnings("error")
def test_columns_of_any_units_from_far_away(standardize, far):
    """Columns of 1e-4 and 1e4, precisions decades off: the loss is convex, and there is one end."""
    X = np.random.default_rng(0).normal(size=(1000, 2)) * [1e-4, 1e4]
    model = NCEEstimator(standardize=standardize, random_state=0)
    expected = model.fit(X).params_
    model.set_params(init=np.array([0.0, 0.0, 1e8 * far, 0.0, 1e-8 * far])).fit(X)
    np.testing.assert_allclose(model.params_, expected, rtol=1e-6)
    distance = (model.params_[:2] - X.mean(axis=0)) / X.std(axis=0)
    assert (np.abs(distance) < 0.05).all()  # some five standard errors of what noise adds


def test_a_wrong_model_says_that_its_densities_do_not_sum_to_one():
    """A normal learned from uniform rows with little noise: log Z is off by 10 standard errors."""
    X = np.random.default_rng(0).uniform(size=(50_000, 3))
    with pytest.warns(UserWarning, match="do not sum to one"):
        model = NCEEstimator(noise_ratio=0.3, random_state=0).fit(X)
    exact, found = model.log_partition("exact"), model.log_partition_
    assert abs(found.value - exact.value) > 4 * found.stderr
    assert not found.converged


@pytest.mark.filterwarnings("error")
def test_a_right_model_is_not_accused():
    """Of 40 fits with few rows of noise none warns: by chance in one of 400 such tests at most."""
    for seed in range(40):
        X = np.random.default_rng(seed).normal(size=(500, 2))
        assert NCEEstimator(noise_ratio=0.3, random_state=seed).fit(X).log_partition_.converged


@pytest.mark.parametrize("p, near, solver", [(10, 1e-6, "newton"), (38, 1e-3, "lbfgs")])
@pytest.mark.filterwarnings("error")
def test_correlated_columns_are_learned_as_well_as_others(p, near, solver):
    """Condition of 10^6 by Newton's method, of 5,000 by L-BFGS: as of the same rows unmixed."""
    t = np.arange(p)
    C = np.exp(-0.5 * ((t[:, None] - t) / 2.5) ** 2) + near * np.eye(p)
    root = np.linalg.cholesky(C)
    X = np.random.default_rng(0).normal(size=(3000, p))
    model = NCEEstimator(noise_ratio=3, solver=solver, random_state=0)
    white, mixed = (clone(model).fit(Z) for Z in (X, X @ root.T))
    assert mixed.n_iter_ < 40 and np.isfinite(mixed.params_stderr_).all()
    volume = np.linalg.slogdet(root)[1]
    found, expected = mixed.log_partition_, white.log_partition_
    assert found.value - volume == pytest.approx(expected.value, abs=1e-4)
    assert found.stderr == pytest.approx(expected.stderr, rel=1e-3)
    np.testing.assert_allclose(
        mixed.score_samples(X @ root.T), white.score_samples(X) - volume, atol=1e-3
    )


@pytest.mark.parametrize("standardize", ["auto", False])
def test_errors_of_mixed_columns_are_those_of_columns_apart(standardize):
    """A tiny penalty keeps columns apart: parameters and all covariances agree."""
    X = np.random.default_rng(0).normal(size=(1000, 3)) @ [[1, 0.5, 0], [0, 2, 1], [0, 0, 3]] + 5
    model = NCEEstimator(standardize=standardize, random_state=0)
    mixed = model.fit(X)
    found = [mixed.params_, mixed.params_cov_data_, mixed.params_cov_noise_]
    found.append(mixed.log_partition_.stderr)
    apart = model.set_params(l2=1e-13).fit(X)
    assert apart._learned.units.root is None
    expected = [apart.params_, apart.params_cov_data_, apart.params_cov_noise_]
    for one, other in zip(found, [*expected, apart.log_partition_.stderr]):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9 * np.abs(other).max())
    start = model.set_params(l2=0.0, init=apart.params_, max_iter=1).fit(X)
    np.testing.assert_allclose(start.params_, apart.params_, rtol=1e-6, atol=1e-9)


def test_weights_of_laplace_sources_are_repetition():
    """Corners are rounded by the weight of rows, not by their number."""
    s = np.random.default_rng(0).laplace(scale=np.sqrt(0.5), size=(6, 1))
    model = NCEEstimator(ICA(), noise_ratio=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # six rows are not Laplace's
        once = model.fit(s, sample_weight=np.full(6, 300)).params_
        again = model.fit(np.repeat(s, 300, axis=0)).params_
        np.testing.assert_allclose(once, again, rtol=1e-6)
        few = NCEEstimator(ICA(), random_state=0).fit(s[:3])
    assert few.loss_ == pytest.approx(few.noise_contrastive_loss(s[:3]), rel=1e-12)


@pytest.mark.parametrize("expert", ["laplace", "student_t"])
def test_sources_far_from_zero_start_where_they_are(expert):
    """Unscaled columns with a mean of 30 end where scaled ones do."""
    X = np.random.default_rng(0).laplace(size=(1000, 2)) @ [[1.0, 0.2], [0.5, 1.0]] + 30.0
    losses = [
        NCEEstimator(ICA(expert), standardize=standardize, random_state=0).fit(X).loss_
        for standardize in (True, False)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_separated_data_have_no_finite_errors():
    X = np.random.default_rng(0).normal(size=(500, 2))
    with pytest.warns(ConvergenceWarning, match="separated"):
        model = NCEEstimator(noise_inflation=1000, random_state=0).fit(X)
    assert np.isinf(model.params_stderr_).all() and model.log_partition_.stderr == np.inf


def test_the_diagonal_of_a_curvature_is_made_without_the_rest():
    """Of 1,500 features: less memory than a matrix of their products would take for 64 blocks."""
    rng = np.random.default_rng(0)
    form, k = Features(1500), 1501
    sample = Sample.of(
        rng.normal(size=(4000, 1500)), np.ones(4000), rng.normal(size=(4000, 1500)),
        (np.zeros(4000), np.zeros(4000)), 1.0,
    )  # fmt: skip
    weights = rng.random(sample.weights.shape)
    tracemalloc.start()
    found = form.squares(sample, np.zeros(1500), weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * sample.Z.nbytes < 8 * k * k * 64
    Z = np.moveaxis(sample.Z, 1, 0).reshape(k, -1)
    np.testing.assert_allclose(found, (Z**2 * weights.ravel()).sum(axis=1), rtol=1e-10)


# -- the edge of float64 -----------------------------------------------------------------------


def mixed_sources():
    sources = np.random.default_rng(0).laplace(size=(1000, 2))
    return sources @ np.array([[1.0, 0.4], [0.2, 1.0]]) + 1.0


SCALED = {"gaussian": 70, "diagonal_gaussian": 70, "truncated_gaussian": 70, "ica": 140}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("standardize", ["auto", False])
@pytest.mark.parametrize("noise", ["auto", "conditional"])
@pytest.mark.parametrize("energy", SCALED)
def test_results_are_right_wherever_a_scale_is_accepted(energy, noise, standardize):
    X = mixed_sources()
    asked = energy
    if energy == "truncated_gaussian":
        X, asked = np.abs(X), TruncatedGaussian()
    kinds = {"location": 1.0, "precision": -2.0, "components": -1.0, "intercept": 0.0}
    found = []
    for power in (0, -SCALED[energy], SCALED[energy] - 1):
        model = NCEEstimator(asked, noise=noise, standardize=standardize, random_state=0)
        scale = 10.0**power
        model.fit(scale * X)
        units = scale ** np.array([kinds[n.split("[")[0]] for n in model.param_names_])
        errors = np.sqrt(model.params_cov_.diagonal())
        np.testing.assert_allclose(errors, model.params_stderr_)
        densities = model.score_samples(scale * X[:5]) + 2 * np.log(scale)
        found.append((model.params_ / units, errors / units, densities))
    apart = 1e-3 if energy == "ica" else 1e-6
    for other in found[1:]:
        np.testing.assert_allclose(other[0], found[0][0], atol=10 * apart * found[0][1].min())
        np.testing.assert_allclose(other[1], found[0][1], rtol=10 * apart)
        np.testing.assert_allclose(other[2], found[0][2], atol=apart)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("standardize", ["auto", False])
@pytest.mark.parametrize("power", [-320, -308, -300, -200, -100, 100, 200, 300, 307])
@pytest.mark.parametrize("energy", SCALED)
def test_scales_whose_errors_are_no_numbers_are_refused(energy, power, standardize):
    """Before any work, with the name of the column and its standard deviation."""
    X = np.abs(mixed_sources())
    spread = X[:, 1].std() * 10.0**power
    X[:, 1] *= 10.0**power
    model = NCEEstimator(energy, standardize=standardize, random_state=0)
    if abs(power) < SCALED[energy]:
        model.set_params(standardize="auto").fit(X)
        assert np.isfinite(model.params_stderr_).all()
        return
    room = f"between 1e-{SCALED[energy]} and 1e{SCALED[energy]}"
    with pytest.raises(ValueError, match=f"standard deviation of column 1 must lie {room}") as said:
        model.fit(X)
    assert f"found {spread:.3g}" in str(said.value) or power == -320
    assert not hasattr(model, "params_")


def test_likelihoods_have_the_log_z_that_is_known():
    """Little noise knows log Z badly, and no search may take such an error for a likelihood.

    Scores of Gaussians and of components are those of normalised densities, whatever the ratio;
    an error is stated for log Z as it was learned, and none for the likelihood.
    """
    X = np.random.default_rng(0).normal(size=(300, 2)) * [1.0, 1e-3] + 2.0
    for energy in ("gaussian", "diagonal_gaussian"):
        model = NCEEstimator(energy, noise_ratio=1, random_state=0).fit(X)
        exact = model.log_partition("exact").value
        assert model._formula() == pytest.approx(exact, abs=1e-9)
        assert model.log_partition_.value != exact
        assert model.log_likelihood(X).stderr_log_partition == 0.0
        gap = model.score_samples(X) - model._log_densities(X)
        np.testing.assert_allclose(gap, model.log_partition_.value - exact, atol=1e-9)
