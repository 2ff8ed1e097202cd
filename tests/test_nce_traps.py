"""NCEEstimator where it once went wrong: steps of own energies, units, threads, no density."""

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skebm import NCEEstimator
from skebm.nce import ExponentialFamily


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(1000, 2))


# -- conditional noise, and energies of a user -------------------------------------------------


def quartic(theta, X):
    return theta[0] * X[:, 0] ** 2 + theta[1] * X[:, 1] ** 4


def ring(theta, X):
    squares = (X**2).sum(axis=1)
    return theta[0] * squares + theta[1] * squares**2


def quartic_of_row(theta, x):
    return theta[0] * x[0] ** 2 + theta[1] * x[1] ** 4


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
    "quartic": (quartic_features, quartic, numba.njit(quartic_of_row), Quartic),
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
    X = np.random.default_rng(0).normal(size=(60000, 20))
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
