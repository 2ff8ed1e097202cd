"""Energies of a user's own that are right in some places only; and what is said of it."""

import copy
import pickle
import sys
import tracemalloc
import types
import warnings

import numba
import numpy as np
import pytest
import reference
import scipy.stats
from sklearn.exceptions import ConvergenceWarning

from skebm import NCEEstimator
from skebm._jit import CHUNK
from skebm.energies import BernoulliRBM, Energy, Gaussian, Ising
from skebm.nce import ICA, ExponentialFamily, GaussianNoise
from skebm.nce._asked import given_of
from skebm.nce._setting import Coding

SERIAL, PARALLEL = 2**14, 0


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(400, 1))


@pytest.fixture(params=[SERIAL, PARALLEL], ids=["serial", "parallel"])
def twin(request, monkeypatch):
    """Loops on one thread, or on several."""
    monkeypatch.setattr("skebm.nce._user._SERIAL", request.param)


def square(theta, X):
    return 0.5 * theta[0] * X[:, 0] ** 2


def square_gradient(theta, X, w):
    return np.array([0.5 * (w * X[:, 0] ** 2).sum()])


def half(theta, X):
    return np.where(X[:, 0] >= 0, 0.5 * theta[0] * X[:, 0] ** 2, np.inf)


@numba.njit
def half_compiled(theta, x):
    return 0.5 * theta[0] * x[0] ** 2 if x[0] >= 0 else np.inf


def half_gradient(theta, X, w):
    return np.array([0.5 * (w * X[:, 0] ** 2).sum()])


# -- infinite energies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy", "gradient"), [(half, None), (half, half_gradient), (half_compiled, None)]
)
def test_data_must_lie_where_the_energy_is_finite(X, energy, gradient):
    """One row outside, and weights of 0 before it: its number is that in X."""
    rows, weights = np.abs(X), np.ones(len(X))
    rows[300], weights[100:200] = -0.5, 0.0
    model = NCEEstimator(energy, gradient=gradient, init=[0.5], random_state=0)
    said = r"half.*infinite in row 300 of the data, \[-0.5\], at theta = \[0.5\]"
    with pytest.raises(ValueError, match=said):
        model.fit(rows, sample_weight=weights)
    assert not hasattr(model, "params_")
    weights[300] = 0.0
    model.fit(rows, sample_weight=weights)
    assert np.isfinite(model.params_stderr_).all()


@pytest.mark.usefixtures("twin")
def test_a_compiled_half_normal_is_that_of_rows(X):
    """Slopes leave out the rows of noise without density: inf - inf is no number."""
    rows = np.abs(X)
    expected = NCEEstimator(half, init=[0.5], random_state=0).fit(rows)
    model = NCEEstimator(half_compiled, init=[0.5], random_state=0).fit(rows)
    np.testing.assert_allclose(model.params_, expected.params_, rtol=1e-6)
    np.testing.assert_allclose(model.params_stderr_, expected.params_stderr_, rtol=1e-4)


@pytest.mark.parametrize("outside", [np.inf, np.nan, -np.inf])
@pytest.mark.parametrize("start", [1.5, 20.0])
def test_a_search_backs_off_from_where_data_have_no_density(outside, start):
    """x^3 (theta - x)^2 below theta: the first steps of L-BFGS go below the largest row.

    A search that takes no way back ends there, at the start.
    """
    rows, beyond = np.random.default_rng(0).beta(4, 3, size=(1000, 1)), []

    def energy(theta, X):
        x, inside = X[:, 0], X[:, 0] < theta[0]
        beyond.append(theta[0] < rows.max())
        room = np.where(inside, theta[0] - x, 1.0)
        return np.where(inside, -2.0 * np.log(room) - 3.0 * np.log(x), outside)

    model = NCEEstimator(
        energy, init=[start], noise="uniform", noise_inflation=1.0, noise_ratio=3, random_state=0
    ).fit(rows)
    assert any(beyond)
    assert abs(model.params_[0] - 1.0) < 4 * model.params_stderr_[0] < 0.05


def test_a_wall_on_the_way():
    """NaN of all rows below a parameter, in a search that comes from far above it."""
    rows, beyond = np.random.default_rng(1).gamma(3.0, size=(2000, 1)), []

    def energy(theta, X):
        beyond.append(theta[0] < 0.9)
        x = np.maximum(X[:, 0], 1e-300)
        inside = np.where(X[:, 0] > 0, theta[0] * x - 2.0 * np.log(x), np.inf)
        return np.full(len(X), np.nan) if beyond[-1] else inside

    model = NCEEstimator(energy, init=[6.0], noise_ratio=5, random_state=0).fit(rows)
    assert any(beyond)
    assert abs(model.params_[0] - 1.0) < 4 * model.params_stderr_[0] < 0.2


# -- compiled functions that fail away from the start ------------------------------------------


@numba.njit
def raises_away(theta, x):
    if theta[0] != 0.5 and x[0] == 77.0:
        raise ValueError("too far")
    return 0.5 * theta[0] * x[0] ** 2


@numba.njit
def changes_away(theta, x):
    if theta[0] != 0.5 and x[0] == 77.0:
        x[0] = 0.0
    return 0.5 * theta[0] * x[0] ** 2


@numba.njit
def changes_theta_away(theta, x):
    if theta[0] != 0.5 and x[0] == 77.0:
        theta[0] = 0.0
    return 0.5 * theta[0] * x[0] ** 2


@pytest.mark.parametrize(
    ("energy", "error", "said"),
    [
        (raises_away, RuntimeError, r"raises_away.*ValueError in row 150 of the data.*: too far"),
        (changes_away, ValueError, "changes_away.*changed x in row 150 of the data"),
        (changes_theta_away, ValueError, "changes_theta_away.*changed theta in row 150 of the dat"),
    ],
)
def test_what_is_wrong_in_slopes_only(X, energy, error, said):
    """theta + step is where central differences call it; the message says so."""
    X[150] = 77.0
    with pytest.raises(error, match=said) as caught:
        NCEEstimator(energy, init=[0.5], noise_inflation=0.01, random_state=0).fit(X)
    if error is RuntimeError:
        assert "at theta = [0.500" in str(caught.value)


def test_an_error_within_threads_in_slopes_only(X, monkeypatch):
    """It cannot be caught there; the chunk that is not finished tells of it."""
    monkeypatch.setattr("skebm.nce._user._SERIAL", PARALLEL)
    X[150] = 77.0
    with pytest.raises(RuntimeError, match=r"raises_away.*ValueError in row 150 of the data.*: to"):
        NCEEstimator(raises_away, init=[0.5], noise_inflation=0.01, random_state=0).fit(X)


def test_nan_in_slopes_only_is_left_out(X):
    """As where energies are infinite."""

    @numba.njit
    def energy(theta, x):
        if theta[0] != 0.5 and x[0] == 0.125:
            return np.nan
        return 0.5 * theta[0] * x[0] ** 2

    X[150] = 0.125
    with pytest.warns(ConvergenceWarning):  # nothing but the start is allowed
        model = NCEEstimator(energy, init=[0.5], noise_ratio=1, random_state=0).fit(X)
    assert model.params_[0] == 0.5


# -- rows are named ----------------------------------------------------------------------------


@numba.njit
def nan_below_compiled(theta, x):
    return np.nan if x[0] < 0 else theta[0] * x[0]


def nan_below(theta, X):
    return np.where(X[:, 0] < 0, np.nan, theta[0] * X[:, 0])


def raises_below(theta, X):
    if (X[:, 0] < 0).any():
        raise KeyError("below")
    return theta[0] * X[:, 0]


@pytest.mark.parametrize("energy", [nan_below, nan_below_compiled, raises_below])
def test_rows_of_noise_are_called_so(X, energy):
    """And shown, since nobody can look them up."""
    model = NCEEstimator(energy, init=[0.5], random_state=0)
    said = r"in row \d+ of the noise, \[-\d\S+\], at theta = \[0.5\]"
    with pytest.raises((ValueError, RuntimeError), match=said):
        model.fit(np.abs(X))


@pytest.mark.parametrize("energy", [nan_below, nan_below_compiled, raises_below])
def test_rows_have_the_numbers_of_the_x_that_was_given(X, energy):
    rows, weights = np.abs(X), np.ones(len(X))
    rows[350], weights[:100] = -1.5, 0.0
    with pytest.raises((ValueError, RuntimeError), match="in row 350 of the data"):
        NCEEstimator(energy, init=[0.5], random_state=0).fit(rows, sample_weight=weights)
    with pytest.raises((ValueError, RuntimeError), match="in row 350 of the data"):
        model = NCEEstimator(energy, init=[0.5], noise="conditional", random_state=0)
        model.fit(rows, sample_weight=weights)


def test_new_rows_are_those_of_x(X):
    def energy(theta, X):
        return np.where(X[:, 0] == 77.0, np.nan, square(theta, X))

    model = NCEEstimator(energy, init=[0.5], random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"found nan in row 1 of X, \[77\.\], at theta = "):
        model.score_samples([[0.0], [77.0]])


def test_noise_that_misses_a_row_names_it_as_given(X):
    narrow, weights = scipy.stats.uniform(-4.5, 9.0), np.ones(len(X))
    X[350], weights[:100] = 9.0, 0.0
    with pytest.raises(ValueError, match=r"found -inf in row 350 there: noise has to cover"):
        NCEEstimator("gaussian", noise=narrow, random_state=0).fit(X, sample_weight=weights)


# -- gradients ---------------------------------------------------------------------------------


def two(theta, X):
    return 0.5 * theta[0] * X[:, 0] ** 2 + 0.5 * theta[1] * X[:, 1] ** 2


def two_gradient(theta, X, w):
    return 0.5 * (w[:, None] * X**2).sum(axis=0)


def two_wrong(theta, X, w):
    return two_gradient(theta, X, w) * [1.0, 3.0]


def test_a_gradient_that_is_wrong_in_small_units():
    """Slopes of the second parameter are a millionth of those of the first one."""
    X = np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 1e-3]
    init = [0.5, 1e5]
    with pytest.raises(ValueError, match=r"two_wrong' is not the gradient.*row \d+ of the data"):
        NCEEstimator(two, gradient=two_wrong, init=init, random_state=0).fit(X)
    model = NCEEstimator(two, gradient=two_gradient, init=init, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert model.fit(X).check_gradient() < 1e-6
    for small in (1e-3, 1e-6):
        rows = X[:, :1] * small
        with pytest.raises(ValueError, match="is not the gradient"):
            wrong = NCEEstimator(
                square, gradient=lambda t, X, w: 3.0 * square_gradient(t, X, w), init=[small**-2]
            )
            wrong.fit(rows)


def test_rounding_of_large_energies_is_no_error(X):
    """A constant of 1e6 leaves differences of energies with errors of some 1e-5."""

    def energy(theta, X):
        return 1e6 + square(theta, X)

    model = NCEEstimator(energy, gradient=square_gradient, init=[0.5], noise_ratio=1)
    assert model.set_params(random_state=0).fit(X).params_[0] > 0.5


def test_a_gradient_that_is_wrong_away_from_the_start(X):
    def gradient(theta, X, w):
        return square_gradient(theta, X, w) * (1.0 if theta[0] == 0.5 else -1.0)

    with pytest.warns(ConvergenceWarning, match="Gradient 'gradient' is not the gradient of"):
        NCEEstimator(square, gradient=gradient, init=[0.5], random_state=0).fit(X)


# -- numbers -----------------------------------------------------------------------------------


def test_float32_is_refused_for_what_it_is(X):
    def energy(theta, X):
        return square(theta, X).astype(np.float32)

    @numba.njit
    def compiled(theta, x):
        return np.float32(theta[0] * x[0] ** 2)

    def gradient(theta, X, w):
        return square_gradient(theta, X, w).astype(np.float32)

    for params in ({"energy": energy}, {"energy": compiled},
                   {"energy": square, "gradient": gradient}):  # fmt: skip
        with pytest.raises(TypeError, match=r"must compute in float64, got float32.*jax_enable_x6"):
            NCEEstimator(**params, init=[0.5], random_state=0).fit(X)


def test_complex_numbers_are_refused(X):
    def energy(theta, X):
        return square(theta, X) + 0j

    def features(X):
        return X + 0j

    for asked in (energy, ExponentialFamily(features)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(TypeError, match="must return real numbers, got complex128"):
                NCEEstimator(asked, init=[0.5], random_state=0).fit(X)


def test_an_energy_that_mixes_rows(X):
    def energy(theta, X):
        return theta[0] * (X[:, 0] - X[:, 0].mean()) ** 2

    with pytest.raises(ValueError, match=r"'energy' must give each row .*row \d+ of the data has"):
        NCEEstimator(energy, init=[0.5], random_state=0).fit(X)


def test_features_that_mix_rows(X):
    with pytest.raises(ValueError, match=r"'features' must give each row features of its own"):
        features = lambda X: (X - X.mean()) ** 2  # noqa: E731
        features.__name__ = "features"
        NCEEstimator(ExponentialFamily(features), random_state=0).fit(X)


def test_features_may_be_of_any_numbers(X):
    """Truth values and float32 too: only energies are told apart by small differences."""
    exact = NCEEstimator(ExponentialFamily(lambda X: X > 0.5), random_state=0).fit(X)
    for kind in (np.int8, np.float32, np.float64):
        family = ExponentialFamily(lambda X, kind=kind: (X > 0.5).astype(kind))
        model = NCEEstimator(family, random_state=0).fit(X)
        np.testing.assert_array_equal(model.params_, exact.params_)


def test_a_compiled_energy_with_threads_of_its_own(X):
    """Such a one inside of our threads ends the process; it is refused before it is compiled."""

    @numba.njit(parallel=True)
    def energy(theta, x):
        return theta[0] * x[0] ** 2

    with pytest.raises(ValueError, match="energy must be compiled without parallel=True, got 'ene"):
        NCEEstimator(energy, init=[0.5]).fit(X)
    assert not energy.signatures


def test_few_rows_compile_the_loops_on_one_thread_only(X):
    from skebm._jit import loops_over

    energy = numba.njit(lambda theta, x: 0.5 * theta[0] * x[0] ** 2)
    model = NCEEstimator(energy, init=[0.5], random_state=0).fit(X[: 3 * CHUNK])
    model.score_samples(X)
    for loop in loops_over(energy):
        assert list(loop._twins) == ["serial"]


# -- what is given stays as it was -------------------------------------------------------------


def test_parameters_that_are_set_later_do_not_change_what_was_learned():
    X = np.random.default_rng(0).standard_t(5, size=(300, 2))
    model = NCEEstimator(ICA("student_t"), noise_ratio=1, max_iter=30, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X)
    before = model.score_samples(X)
    model.set_params(energy__df=500.0)
    np.testing.assert_array_equal(model.score_samples(X), before)


def test_noise_that_is_changed_later_does_not_change_what_was_learned(X):
    class Normal:
        scale = 1.5

        def sample(self, n_samples, random_state):
            generator = np.random.default_rng(random_state)
            return generator.normal(scale=self.scale, size=(n_samples, 1))

        def log_prob(self, X):
            z = X[:, 0] / self.scale
            return -0.5 * z**2 - np.log(self.scale) - 0.5 * np.log(2 * np.pi)

    noise = Normal()
    model = NCEEstimator("gaussian", noise=noise, random_state=0).fit(X)
    before = model.noise_contrastive_loss(X)
    noise.scale = 3.0
    assert model.noise_contrastive_loss(X) == before


def test_copies_of_estimators_with_lambdas(X):
    model = NCEEstimator(lambda theta, X: square(theta, X), init=[0.5], random_state=0).fit(X)
    for again in (copy.deepcopy(model), copy.copy(model), copy.deepcopy([model])[0]):
        np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))


def test_a_module_whose_name_holds_that_of_a_pickler(X, monkeypatch):
    """It does not carry lambdas, though "dill" is in its name."""
    module = types.ModuleType("my_dill_models")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("import pickle\ndef dumped(model):\n    return pickle.dumps(model)", module.__dict__)
    model = NCEEstimator(lambda theta, X: square(theta, X), init=[0.5], random_state=0).fit(X)
    with pytest.raises(pickle.PicklingError, match=r"energy=.*lambda.*top of a module"):
        module.dumped(model)


# -- classes, and how their states are coded ---------------------------------------------------

RING = np.roll(np.eye(6), 1, 1) + np.roll(np.eye(6), -1, 1)


class Circle(Ising):
    """Spins around a circle, with one field and one coupling."""

    def __init__(self, theta):
        super().__init__(theta[1] * RING, np.full(6, theta[0]))

    def gradient(self, X, weights):
        pairs = 0.5 * (X * (X @ RING)).sum(axis=1)
        return -weights @ np.column_stack([X.sum(axis=1), pairs])


class OneHidden(BernoulliRBM):
    """An RBM of one hidden unit, whose weights are one number."""

    def __init__(self, theta):
        super().__init__(np.full((1, 6), theta[1]), np.full(6, theta[0]), np.array([-1.0]))

    def gradient(self, X, weights):
        ones = X.sum(axis=1)
        hidden = 1.0 / (1.0 + np.exp(1.0 - self.components[0, 0] * ones))
        return -weights @ np.column_stack([ones, hidden * ones])


class Wrapped(Energy):
    """The circle as an energy that is known by its base only, or by draws of that."""

    n_features, known = 6, True

    def __init__(self, theta):
        self._inner = Circle(theta)
        for name in ("energy", "gradient", "sweep", "exact_log_partition"):
            setattr(self, name, getattr(self._inner, name))

    energy = gradient = sweep = exact_log_partition = None

    def base(self, marginals=None):
        base = self._inner.base(marginals)
        return base if self.known else types.SimpleNamespace(**{
            name: getattr(base, name) for name in ("sample", "log_density", "field")
        })  # fmt: skip


class Drawn(Wrapped):
    known = False


@pytest.fixture(scope="module")
def spins():
    """2,000 rows around a circle, and from an RBM."""
    S = reference.all_spins(6)
    rows = {}
    for cls, states in ((Circle, S), (OneHidden, (S + 1) / 2)):
        p = np.exp(-cls([0.1, 0.4]).energy(states))
        rows[cls] = S[np.random.default_rng(0).choice(len(S), 2000, p=p / p.sum())]
    return rows


@pytest.mark.parametrize("cls", [Circle, OneHidden, Wrapped, Drawn])
def test_states_of_a_class_are_recoded_for_it(spins, cls):
    """In either coding of the data all ways lead to one model, with draws in these codes."""
    S, found = spins[OneHidden if cls is OneHidden else Circle], []
    for rows in (S, (S + 1) / 2):
        model = NCEEstimator(cls, init=[0.0, 0.0], random_state=0).fit(rows)
        exact = model.log_partition("exact")
        learned = model.log_partition_
        assert abs(exact.value - learned.value) < 0.05
        draws = model.sample(2000, n_gibbs_steps=50, random_state=0)
        np.testing.assert_array_equal(np.unique(draws), np.unique(rows))
        assert draws.mean() == pytest.approx(rows.mean(), abs=0.1)
        assert model.check_gradient() < 1e-6
        for method, base in (("ais", "marginals"), ("nce", model.noise_)):
            again = model.log_partition(method, base=base, random_state=0)
            assert abs(again.value - exact.value) < 5 * again.stderr < 0.3
        found.append((model.params_, model.score_samples(rows), learned.value))
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_binary_class_takes_binary_rows_only(X):
    rows = np.repeat(X, 6, axis=1)
    with pytest.raises(ValueError, match=r"X must hold 0 and 1, or -1 and 1, for this energy"):
        NCEEstimator(Circle, init=[0.0, 0.0]).fit(rows)
    with pytest.raises(ValueError, match="noise='gaussian' is not for binary data"):
        NCEEstimator(Circle, init=[0.0, 0.0], noise="gaussian").fit((rows > 0) * 1.0)


class KnownSquare:
    """A class without chains whose log Z is known."""

    known = True

    def __init__(self, theta):
        self.theta = theta

    def energy(self, X):
        return square(self.theta, X)

    def gradient(self, X, weights):
        return square_gradient(self.theta, X, weights)

    def exact_log_partition(self):
        return float(0.5 * np.log(2 * np.pi / self.theta[0])) if self.known else None


class UnknownSquare(KnownSquare):
    known = False


class SlowSquare(KnownSquare):
    def exact_seconds(self):
        return 100.0


def test_a_class_without_chains_may_know_its_log_z(X):
    for cls in (KnownSquare, SlowSquare, UnknownSquare):
        model = NCEEstimator(cls, init=[0.5], random_state=0).fit(X)
        if cls is not UnknownSquare:
            exact = model.log_partition("exact")
            assert exact.value == 0.5 * np.log(2 * np.pi / model.params_[0])
            assert exact.stderr == 0.0 and exact.method == "exact"
            assert model.log_partition("exact", return_chains=True) == (exact, None)
        auto = model.log_partition(random_state=0)
        assert auto.method == ("exact" if cls is KnownSquare else "importance")
        assert model.log_partition("nce", random_state=0).method == "importance"
        with pytest.raises(TypeError, match="no Markov chains"):
            model.log_partition("ais")
    with pytest.raises(TypeError, match="no exact_log_partition that knows it"):
        model.log_partition("exact")


# -- binary rows, and what they are taken for --------------------------------------------------


class Normal:
    """A noise of a user's own over the reals, of standard deviation 2."""

    def sample(self, n_samples, random_state):
        return np.random.default_rng(random_state).normal(0.0, 2.0, (n_samples, 1))

    def log_prob(self, X):
        return scipy.stats.norm.logpdf(X, 0.0, 2.0).sum(axis=1)


def normal(theta, X):
    return 0.5 * np.exp(theta[0]) * (X[:, 0] - theta[1]) ** 2


def squares(X):
    return np.hstack([X, X**2])


class NormalClass(Gaussian):
    """The same as an energy of real states."""

    def __init__(self, theta):
        super().__init__(np.array([[np.exp(theta[0])]]), theta[1:])

    def gradient(self, X, weights):
        apart = X[:, 0] - self.location[0]
        precision = self.precision[0, 0]
        return np.array(
            [weights @ (0.5 * precision * apart**2), -precision * float(weights @ apart)]
        )


REAL_NOISES = ["gaussian", "student_t", "conditional", GaussianNoise(), Normal(),
               scipy.stats.norm(0.5, 2.0)]  # fmt: skip


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("noise", REAL_NOISES, ids=lambda noise: str(noise)[:20])
def test_noise_for_reals_takes_binary_rows_for_real_numbers(low, noise):
    """Also where new rows have other values; the normal density is that of the moments."""
    X = np.where(np.random.default_rng(0).random((500, 1)) < 0.4, 1.0, low)
    for energy, init in ((normal, [0.0, 0.0]), (ExponentialFamily(squares), None)):
        model = NCEEstimator(energy, init=init, noise=noise, noise_ratio=3, random_state=0).fit(X)
        log_z = 0.5 * np.log(2 * np.pi * X.var())
        rows = np.array([[0.3], [-2.0], [5.0]])
        assert np.isfinite(model.score_samples(rows)).all()
        assert len(np.unique(model.sample(50, random_state=0))) > 40
        if energy is normal:
            assert abs(-model.params_[0] - np.log(X.var())) < 5 * model.params_stderr_[0] < 2.0
            assert abs(model.log_partition_.value - log_z) < 5 * model.log_partition_.stderr < 1.0


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_binary_rows_of_an_own_energy_say_what_they_were_taken_for(low):
    X = np.where(np.random.default_rng(0).random((100, 1)) < 0.4, 1.0, low)
    model = NCEEstimator(square, init=[0.5], noise_ratio=1, random_state=0)
    model.set_params(fixed=[True]).fit(X)
    said = rf"must hold {low:g} and 1 .*found 0.5 in .*noise='gaussian' they are real numbers"
    with pytest.raises(ValueError, match=said):
        model.score_samples([[1.0], [0.5]])
    ising = NCEEstimator("ising", random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"found 0.5 in [^.]*\.$"):
        ising.score_samples([[0.5]])


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_class_of_real_states_takes_binary_rows_for_real_numbers(low):
    X = np.where(np.random.default_rng(0).random((500, 1)) < 0.4, 1.0, low)
    model = NCEEstimator(NormalClass, init=[0.0, 0.0], random_state=0).fit(X)
    exact, learned = model.log_partition(), model.log_partition_
    assert exact.method == "exact" and exact.stderr == 0.0
    assert abs(exact.value - learned.value) < 5 * learned.stderr < 1.0
    draws = model.sample(500, n_gibbs_steps=5, random_state=0)
    assert draws.std() == pytest.approx(np.exp(-0.5 * model.params_[0]), rel=0.15)
    assert np.isfinite(model.score_samples([[0.3]])).all()


# -- noise -------------------------------------------------------------------------------------


def test_weights_that_ask_for_more_noise_than_there_is_memory(X):
    weights = np.full(len(X), 1e9)
    said = "noise_ratio=10 times the sum of sample_weight asks for 4,000,000,000,000 rows of noise"
    with pytest.raises(ValueError, match=f"{said}.*GiB.*smaller weights"):
        NCEEstimator().fit(X, sample_weight=weights)
    with pytest.raises(
        ValueError, match=r"the number of rows asks for .*Take a smaller noise_ratio"
    ):
        NCEEstimator(noise_ratio=1e12).fit(X)


@pytest.mark.filterwarnings("ignore:.*nearly always")
@pytest.mark.parametrize("params, n_rows, p", [
    ({}, 5000, 1), ({}, 5000, 8), ({"energy": "diagonal_gaussian"}, 5000, 8),
    ({"noise": "conditional"}, 5000, 8), ({"noise": "conditional", "noise_ratio": 1}, 5000, 8),
    ({"noise": "mixture"}, 5000, 1), ({"energy": "ising"}, 5000, 8),
    ({"energy": square, "init": [0.5]}, 5000, 1), ({"energy": square, "init": [0.5]}, 5000, 8),
    ({"energy": ExponentialFamily(lambda X: np.hstack([X**k for k in range(1, 9)]))}, 5000, 1),
])  # fmt: skip
def test_a_fit_stays_within_the_memory_that_it_asked_for(params, n_rows, p, monkeypatch):
    """At the peak it takes less than it was counted to, and more than a third of that."""
    rows = np.random.default_rng(0).normal(size=(n_rows, p))
    rows = (rows > 0) * 1.0 if params.get("energy") == "ising" else rows
    model = NCEEstimator(random_state=0, max_iter=5, tol=1.0).set_params(**params)
    model.fit(rows[:200])
    tracemalloc.start()
    model.fit(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    monkeypatch.setattr("skebm.nce._setting.memory", lambda: peak / 0.75)
    with pytest.raises(ValueError, match=r"A fit takes up to .* GiB with them, more than three"):
        model.fit(rows)
    monkeypatch.setattr("skebm.nce._setting.memory", lambda: 3.0 * peak / 0.75)
    model.fit(rows)


def test_steps_are_counted_as_rows_of_noise(X, monkeypatch):
    monkeypatch.setattr("skebm.nce._setting.memory", lambda: 2**24)
    said = "noise_ratio=200 times the number of rows asks for 80,000 rows of noise.*smaller noise_r"
    with pytest.raises(ValueError, match=said):
        NCEEstimator(noise="conditional", noise_ratio=200).fit(X, sample_weight=np.ones(len(X)))


def test_weights_that_fill_the_memory_with_noise(X, monkeypatch):
    """Rows of noise alone would fit in."""
    monkeypatch.setattr("skebm.nce._setting.memory", lambda: 2**30)
    with pytest.raises(ValueError, match=r"sum of sample_weight.* 11\.\d GiB .*smaller weights"):
        NCEEstimator(noise_ratio=1).fit(X, sample_weight=np.full(len(X), 1e5))


def test_inflation_of_a_box_is_called_by_its_name(X):
    with pytest.raises(ValueError, match=r"^noise_inflation must be >= 1 with noise='uniform'"):
        NCEEstimator(noise="uniform", noise_inflation=0.9).fit(X)


# -- steps of differences ----------------------------------------------------------------------


def student(theta, X):
    return 3.0 * np.log1p(X[:, 0] ** 2 / (5.0 * theta[0] ** 2))


def student_gradient(theta, X, w):
    u = X[:, 0] ** 2 / (5.0 * theta[0] ** 2)
    return np.array([w @ (-6.0 * u / (1.0 + u) / theta[0])])


@numba.njit
def student_of_row(theta, x):
    return 3.0 * np.log1p(x[0] ** 2 / (5.0 * theta[0] ** 2))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("s", [1e-100, 1e-6, 1e-5, 1e-4, 1e5])
@pytest.mark.parametrize(
    ("energy", "gradient"),
    [(student, student_gradient), (student, None), (student_of_row, None)],
    ids=["gradient", "rows", "compiled"],
)
def test_units_of_parameters_do_not_matter_to_differences(energy, gradient, s):
    """A scale that is a small number: steps of 1e-6 are beyond all that the energy is about."""
    T = np.random.default_rng(0).standard_t(5, size=(2000, 1))
    one, other = (
        NCEEstimator(
            energy, gradient=gradient, init=[0.7 * unit], noise="student_t", random_state=0
        ).fit(T * unit)
        for unit in (1.0, s)
    )
    assert abs(one.params_[0] - 1.0) < 4 * one.params_stderr_[0] < 0.2
    np.testing.assert_allclose(other.params_ / s, one.params_, rtol=1e-5)
    np.testing.assert_allclose(other.params_stderr_ / s, one.params_stderr_, rtol=1e-5)
    assert other.check_gradient() < 1e-5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("s", [1e-6, 1.0, 1e6])
def test_parameters_that_begin_at_zero_or_pass_through_it(s):
    """A location from 0 and from the other side, in units that its value does not tell."""
    X = s * np.random.default_rng(0).logistic(0.5, size=(2000, 1))

    def energy(theta, X):
        return 2.0 * np.log(np.cosh((X[:, 0] / s - theta[0] / s) / 2.0))

    found = [
        NCEEstimator(energy, init=[start * s], random_state=0).fit(X) for start in (0.0, -1.0, 2.0)
    ]
    for model in found:
        assert abs(model.params_[0] / s - 0.5) < 4 * model.params_stderr_[0] / s < 0.3
        assert model.params_[0] / s == pytest.approx(found[1].params_[0] / s, abs=1e-4)
        assert model.params_stderr_[0] == pytest.approx(found[1].params_stderr_[0], rel=1e-4)


@pytest.mark.parametrize("unit", [1e-8, 1.0])
def test_differences_stay_where_an_energy_is_finite(unit):
    """A rate > 0 that begins near its edge, and one that begins on it."""
    X = np.random.default_rng(0).exponential(unit, size=(1000, 1))

    def scale(theta, X):
        inside = X[:, 0] / theta[0] if theta[0] > 0 else np.full(len(X), np.nan)
        return np.where(X[:, 0] >= 0, inside, np.inf)

    def mixed(theta, X):
        if theta[0] < 0:
            raise ValueError("negative")
        return np.where(X[:, 0] >= 0, X[:, 0] / unit * (1.0 + theta[0] / unit), np.inf)

    model = NCEEstimator(scale, init=[0.5 * unit], noise_ratio=3, random_state=0).fit(X)
    assert abs(model.params_[0] / unit - 1.0) < 4 * model.params_stderr_[0] / unit < 0.5
    model = NCEEstimator(mixed, init=[0.0], noise_ratio=3, random_state=0).fit(0.5 * X)
    assert abs(model.params_[0] / unit - 1.0) < 4 * model.params_stderr_[0] / unit < 1.0


def test_steps_do_not_run_away_from_energies_that_are_flat():
    """A slope of 0 here, and of one beyond a kink; and a parameter that means nothing."""
    rows = np.linspace(1.0, 2.0, 8)[:, None]

    def energy(theta, X):
        return X[:, 0] ** 2 + np.maximum(0.0, theta[0] * X[:, 0] - 5.0)

    one, other = (given_of(energy, None, Coding(False, False)) for _ in range(2))
    assert not one.features(np.array([1.0, 3.0]), rows).any()
    slopes = other.features(np.array([6.0, 3.0]), rows)
    np.testing.assert_allclose(slopes, np.hstack([rows, 0.0 * rows]), rtol=1e-8)


def test_differences_cost_two_energies_for_each_parameter(X):
    """Whatever else it takes to find steps is done with a few rows."""
    calls = {}

    def energy(theta, X):
        calls[len(X)] = calls.get(len(X), 0) + 1
        return 0.5 * theta[0] * (X[:, 0] - theta[1]) ** 2

    given = given_of(energy, None, Coding(False, False))
    given.check(np.array([0.5, 0.1]), X, X)
    for i, theta in enumerate(([0.6, 0.1], [0.7, 0.2], [0.5, 0.3])):
        calls.clear()
        given.slopes(np.array(theta), X, np.ones(len(X)))
        assert calls.pop(len(X)) == 4
        assert list(calls) == [32] * (i == 0)


# -- the commonest mistakes of functions of one row --------------------------------------------


def test_entries_that_are_not_there_are_not_read(X):
    """Compiled functions do not look at bounds, and would take what lies behind."""

    @numba.njit
    def energy(theta, x):
        return theta[0] * x[0] ** 2 + theta[2] * x[0] ** 4

    with pytest.raises(ValueError, match=r"'energy' asks for an entry that is not.*init, 2,"):
        NCEEstimator(energy, init=[1.0, 1.0], random_state=0).fit(X)


def test_arrays_for_numbers_and_rows_for_tables_are_told_apart(X):
    @numba.njit
    def energy(theta, x):
        return theta[0] * x**2

    def of_a_row(theta, x):
        return theta[0] * x[0] ** 2

    X = np.hstack([X, X + 1.0])
    with pytest.raises(TypeError, match=r"returned an array of shape \(2,\)"):
        NCEEstimator(energy, init=[1.0], random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"one row must be compiled, by numba\.njit"):
        NCEEstimator(of_a_row, init=[1.0], random_state=0).fit(X)


def test_parameters_that_an_energy_does_not_use_are_named(X):
    with pytest.warns(ConvergenceWarning, match=r"theta\[1\].*that the energy does not use"):
        NCEEstimator(square, init=[0.5, 1.0], random_state=0).fit(X)


def test_energies_that_noise_hardly_sees_warn():
    """A density that grows beyond the noise: few of its rows carry log Z."""

    def slope(theta, X):
        return theta[0] * X[:, 0]

    X = np.random.default_rng(0).normal(size=(500, 1))
    with pytest.warns(UserWarning, match="effective number of 5000 rows of noise"):
        NCEEstimator(slope, init=[9.0], fixed=[True], random_state=0).fit(X)
