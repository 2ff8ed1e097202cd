"""Energies of a user's own: functions of rows, compiled functions, classes; and what is wrong."""

import copy
import pickle

import numba
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from sklearn.base import clone

from skebm import NCEEstimator
from skebm.energies import Energy, IndependentNormals
from skebm.nce import ExponentialFamily

# -- the energies ------------------------------------------------------------------------------


def quartic(theta, X):
    return theta[0] * X[:, 0] ** 4 - theta[1] * X[:, 0] ** 2


def quartic_gradient(theta, X, w):
    return np.array([(w * X[:, 0] ** 4).sum(), -(w * X[:, 0] ** 2).sum()])


@numba.njit
def ring(theta, x):
    r = np.sqrt((x**2).sum())
    return 0.5 * theta[1] * (r - theta[0]) ** 2


def quartic_features(X):
    return np.hstack([-(X**4), X**2])


class Quartic(Energy):
    """The quartic energy as a class that has chains."""

    n_features = 1

    def __init__(self, theta):
        self.theta = np.asarray(theta)

    def energy(self, X):
        return quartic(self.theta, X)

    def gradient(self, X, weights):
        return quartic_gradient(self.theta, X, weights)

    def base(self, marginals=None):
        return IndependentNormals([0.0], [0.5], [-np.inf], [np.inf])

    def sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        from skebm.energies import addressed_uniforms

        for s in range(step, step + n_sweeps):
            u = addressed_uniforms(key, s, first_chain, len(X), 2)
            to = X + scipy.stats.norm.ppf(u[:, :1])
            rise = self._height(to, beta, base) - self._height(X, beta, base)
            moved = np.log(u[:, 1]) < -rise
            X[moved] = to[moved]

    def _height(self, X, beta, base):
        cold = 0.0 if base is None else (1.0 - np.asarray(beta)) * -base.log_density(X)
        return beta * self.energy(X) + cold

    def exact_log_partition(self):
        return None


THETA = np.array([0.5, 1.0])


def quartic_log_z(theta):
    total = scipy.integrate.quad(lambda x: np.exp(-theta[0] * x**4 + theta[1] * x**2), -9, 9)
    return np.log(total[0])


@pytest.fixture(scope="module")
def X():
    """8,000 draws of the quartic energy by inversion."""
    grid = np.linspace(-4, 4, 40001)
    cumulative = np.cumsum(np.exp(-quartic(THETA, grid[:, None])))
    u = (np.random.default_rng(0).random(8000)) * cumulative[-1]
    return grid[np.searchsorted(cumulative, u)][:, None]


def assert_quartic(model):
    """Parameters within 4 standard errors, which know 10 %; log Z of the estimate by quadrature."""
    assert (np.abs(model.params_ - THETA) < 4 * model.params_stderr_).all()
    assert (model.params_stderr_ < 0.1).all()
    log_partition = model.log_partition_
    assert abs(log_partition.value - quartic_log_z(THETA)) < 4 * log_partition.stderr < 0.5
    # Given the parameters log Z is known better: only noise stands between.
    assert abs(log_partition.value - quartic_log_z(model.params_)) < 0.05


# -- the ways in -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(X):
    return NCEEstimator(
        quartic, gradient=quartic_gradient, init=[1.0, 0.0], random_state=0
    ).fit(X)  # fmt: skip


def test_functions_of_rows(fitted):
    assert_quartic(fitted)
    assert fitted.log_partition_.method == "nce" and fitted.log_partition_.converged
    assert fitted.check_gradient() < 1e-7


@pytest.mark.parametrize("way", ["differences", "class", "features", "compiled"])
def test_all_ways_lead_to_one_minimum(X, fitted, way):
    compiled = numba.njit(lambda theta, x: theta[0] * x[0] ** 4 - theta[1] * x[0] ** 2)
    init = [1.0, 0.0]
    energy = {
        "differences": quartic, "class": Quartic, "features": ExponentialFamily(quartic_features),
        "compiled": compiled,
    }[way]  # fmt: skip
    model = NCEEstimator(energy, init=init, random_state=0).fit(X)
    np.testing.assert_allclose(model.params_, fitted.params_, atol=3e-5)
    np.testing.assert_allclose(model.params_stderr_, fitted.params_stderr_, rtol=1e-3)
    assert model.log_partition_.value == pytest.approx(fitted.log_partition_.value, abs=3e-5)
    np.testing.assert_allclose(model.score_samples(X[:9]), fitted.score_samples(X[:9]), atol=1e-4)


def test_a_ring(X):
    """A compiled energy around a circle, whose log Z is known by quadrature."""
    rng, theta = np.random.default_rng(1), np.array([3.0, 4.0])
    angle, radius = rng.uniform(0, 2 * np.pi, 20000), np.linspace(0.0, 8.0, 80001)
    cumulative = np.cumsum(radius * np.exp(-0.5 * theta[1] * (radius - theta[0]) ** 2))
    r = radius[np.searchsorted(cumulative, rng.random(20000) * cumulative[-1])]
    rows = np.column_stack([r * np.cos(angle), r * np.sin(angle)])
    model = NCEEstimator(ring, init=[2.0, 1.0], random_state=0).fit(rows)
    assert (np.abs(model.params_ - theta) < 4 * model.params_stderr_).all()
    log_z = np.log(2 * np.pi * cumulative[-1] * radius[1])
    assert abs(model.log_partition_.value - log_z) < 4 * model.log_partition_.stderr < 0.2
    draws, ess = model.sample(2000, random_state=0, return_ess=True)
    assert 2000 < ess < 40000
    assert np.hypot(*draws.T).mean() == pytest.approx(r.mean(), abs=5 * r.std() / np.sqrt(2000))


def test_a_class_of_the_protocol_has_chains_and_log_z(X):
    model = NCEEstimator(Quartic, init=[1.0, 0.0], noise_ratio=3, random_state=0).fit(X)
    draws = model.sample(2000, n_gibbs_steps=50, random_state=0)
    assert (draws**2).mean() == pytest.approx((X**2).mean(), abs=0.12)
    annealed = model.log_partition("ais", n_chains=500, n_temperatures=200, random_state=0)
    assert annealed.value == pytest.approx(quartic_log_z(model.params_), abs=5 * annealed.stderr)


def test_functions_alone_have_no_chains(fitted):
    with pytest.raises(TypeError, match="no Markov chains"):
        fitted.log_partition("ais")


def test_an_energy_of_pytorch(X):
    torch = pytest.importorskip("torch")

    def energy(theta, X):
        theta, X = torch.as_tensor(theta), torch.as_tensor(X)
        return theta[0] * X[:, 0] ** 4 - theta[1] * X[:, 0] ** 2

    def gradient(theta, X, w):
        theta = torch.tensor(theta, requires_grad=True)
        (torch.as_tensor(w) * energy(theta, X)).sum().backward()
        return theta.grad.numpy()

    model = NCEEstimator(energy, gradient=gradient, init=[1.0, 0.0], random_state=0).fit(X)
    assert_quartic(model)


def test_an_energy_of_jax(X):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    energies = jax.jit(quartic)
    slopes = jax.jit(jax.grad(lambda theta, X, w: (w * quartic(theta, X)).sum()))
    model = NCEEstimator(energies, gradient=slopes, init=[1.0, 0.0], random_state=0).fit(X)
    assert_quartic(model)


def test_fixed_parameters_stay(X):
    model = NCEEstimator(quartic, init=[0.7, 0.0], fixed=[True, False], random_state=0).fit(X)
    assert model.params_[0] == 0.7 and model.params_stderr_[0] == 0.0
    assert model.params_stderr_[1] > 0 and model.params_[1] != 0.0


def test_infinite_energies_are_no_density():
    """A half normal variable: rows of noise below zero have no density."""

    def half(theta, X):
        return np.where(X[:, 0] >= 0, 0.5 * theta[0] * X[:, 0] ** 2, np.inf)

    X = np.abs(np.random.default_rng(0).normal(size=(4000, 1)))
    model = NCEEstimator(half, init=[0.5], random_state=0).fit(X)
    assert abs(model.params_[0] - 1.0) < 4 * model.params_stderr_[0]
    assert abs(model.log_partition_.value - 0.5 * np.log(np.pi / 2)) < 0.1
    assert model.score_samples([[-1.0]])[0] == -np.inf


# -- what is wrong is named --------------------------------------------------------------------


def nan_in_row_seven(theta, X):
    energies = quartic(theta, X)
    energies[X[:, 0] == 77.0] = np.nan
    return energies


def raises_in_row_seven(theta, X):
    if (X[:, 0] == 77.0).any():
        raise KeyError("no such thing")
    return quartic(theta, X)


def changes_its_input(theta, X):
    energies = quartic(theta, X)
    X[X[:, 0] == 77.0] = 0.0
    return energies


def two_columns(theta, X):
    return np.stack([X[:, 0], X[:, 0]], axis=1)


def half_the_gradient(theta, X, w):
    return 0.5 * quartic_gradient(theta, X, w)


def gradient_of_each_row(theta, X, w):
    return np.ones((len(X), 2))


def no_numbers(theta, X):
    return ["a"] * len(X)


@pytest.fixture
def odd():
    X = np.random.default_rng(0).normal(size=(40, 1))
    X[7] = 77.0
    return X


@pytest.mark.parametrize(
    ("energy", "gradient", "error", "said"),
    [
        (nan_in_row_seven, None, ValueError, "nan_in_row_seven.*NaN.*row 7"),
        (raises_in_row_seven, None, RuntimeError, "raises_in_row_seven.*KeyError in row 7"),
        (changes_its_input, None, ValueError, "changes_its_input.*changed X in row 7"),
        (two_columns, None, ValueError, r"two_columns.*shape \(40,\).*\(40, 2\)"),
        (no_numbers, None, TypeError, "no_numbers.*must return numbers"),
        (quartic, half_the_gradient, ValueError, "half_the_gradient.*not the gradient.*row"),
        (quartic, gradient_of_each_row, ValueError, r"gradient_of_each_row.*shape \(2,\)"),
    ],
)
def test_functions_that_are_wrong(odd, energy, gradient, error, said):
    model = NCEEstimator(energy, gradient=gradient, init=[0.1, 0.1], random_state=0)
    with pytest.raises(error, match=said):
        model.fit(odd)
    assert not hasattr(model, "params_") and not hasattr(model, "n_features_in_")


@numba.njit
def compiled_nan(theta, x):
    return np.nan if x[0] == 77.0 else theta[0] * x[0] ** 2


@numba.njit
def compiled_change(theta, x):
    if x[0] == 77.0:
        x[0] = 0.0
    return theta[0] * x[0] ** 2


@numba.njit
def compiled_raise(theta, x):
    if x[0] == 77.0:
        raise ValueError("too far")
    return theta[0] * x[0] ** 2


@numba.njit
def compiled_array(theta, x):
    return theta * x[0]


@pytest.mark.parametrize(
    ("energy", "error", "said"),
    [
        (compiled_nan, ValueError, "compiled_nan.*NaN.*row 7"),
        (compiled_change, ValueError, "compiled_change.*changed x in row 7"),
        (compiled_raise, RuntimeError, "compiled_raise.*ValueError in row 7.*too far"),
        (compiled_array, TypeError, "compiled_array.*returns a number"),
    ],
)
@pytest.mark.parametrize("n_copies", [1, 9])
def test_compiled_functions_that_are_wrong(odd, energy, error, said, n_copies, monkeypatch):
    """In the serial loop and in the parallel one."""
    monkeypatch.setattr("skebm.nce._user._SERIAL", 2**14 if n_copies == 1 else 64)
    rows = np.vstack([odd] + [odd[:7]] * (n_copies - 1))
    with pytest.raises(error, match=said):
        NCEEstimator(energy, init=[0.1], noise_inflation=3.0, random_state=0).fit(rows)


@pytest.mark.parametrize(
    ("params", "error", "said"),
    [
        ({"energy": quartic}, ValueError, "init is required"),
        ({"energy": quartic, "init": [[1.0, 2.0]]}, ValueError, "init must be a one-dim"),
        ({"energy": quartic, "init": [np.nan, 2.0]}, ValueError, "init .* found nan at place 0"),
        ({"energy": quartic, "init": [1.0], "fixed": [1]}, TypeError, "fixed must be"),
        ({"energy": quartic, "init": [1.0, 0.0], "fixed": [True]}, ValueError, "fixed must have"),
        ({"energy": quartic, "init": [1.0, 0.0], "solver": "newton"}, ValueError, "solver='newton"),
        ({"energy": quartic, "init": [1.0, 0.0], "standardize": True}, ValueError, "standardize"),
        ({"energy": ring, "init": [1.0, 0.0], "gradient": quartic_gradient}, ValueError, "gradie"),
        ({"energy": "gaussian", "gradient": quartic_gradient}, ValueError, "gradient is for"),
        ({"energy": "gaussian", "init": [1.0]}, ValueError, r"init must have shape \(2,\)"),
        ({"energy": "gaussian", "fixed": [True, False]}, ValueError, "fixed needs init"),
        ({"energy": int}, TypeError, "energy must be one of .* got the class int"),
        ({"energy": "banana"}, ValueError, "energy must be one of 'gaussian'"),
        ({"energy": Quartic, "init": [1.0, 0.0], "gradient": quartic_gradient}, ValueError, "grad"),
    ],
)
def test_what_does_not_go_together(odd, params, error, said):
    with pytest.raises(error, match=said):
        NCEEstimator(**params).fit(odd)


# -- pickles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("energy", [quartic, ring, Quartic, ExponentialFamily(quartic_features)])
def test_functions_of_modules_are_pickled_and_cloned(X, energy):
    rows = np.hstack([X, X[::-1]])[:400] if energy is ring else X[:400]
    model = NCEEstimator(energy, init=[1.0, 0.5], noise_ratio=2, random_state=0).fit(rows)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(rows), model.score_samples(rows))
    np.testing.assert_array_equal(clone(model).fit(rows).params_, model.params_)
    np.testing.assert_array_equal(copy.deepcopy(model).params_, model.params_)


def test_lambdas_say_why_they_are_not_pickled(X):
    model = NCEEstimator(lambda theta, X: theta[0] * X[:, 0] ** 2, init=[1.0], random_state=0)
    model.fit(X[:200])
    with pytest.raises(pickle.PicklingError, match=r"energy=.*lambda.*top of a module"):
        pickle.dumps(model)
    cloudpickle = pytest.importorskip("cloudpickle")
    again = pickle.loads(cloudpickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
