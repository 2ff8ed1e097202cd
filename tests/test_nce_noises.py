"""Noises: normalised, drawn from what they say, fitted with weights, and errors that name them."""

import inspect
import itertools
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import reference
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skebm import NCEEstimator
from skebm.nce import _noises
from skebm.nce._noises import (
    NAMES,
    BernoulliNoise,
    ChowLiuNoise,
    ConditionalNoise,
    GaussianNoise,
    MixtureNoise,
    StudentTNoise,
    TruncatedNoise,
    UniformNoise,
    noise_of,
)

CLASSES = [
    BernoulliNoise, ChowLiuNoise, ConditionalNoise, GaussianNoise, MixtureNoise, StudentTNoise,
    TruncatedNoise, UniformNoise,
]  # fmt: skip
CONTINUOUS = {
    "gaussian": {}, "student_t": {}, "mixture": {}, "uniform": {}, "truncated": {"low": -4.0},
    "box": {"low": -4.0, "high": 5.0},
}  # fmt: skip


def normals(n, p, seed=0):
    """Correlated columns of different scales."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p)
    return X / X.std(axis=0) * np.linspace(0.5, 2.0, p)


def bits(n, p, seed=0):
    """Dependent columns, the last of which is rare."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, p)) < 0.4
    X[:, 1:] ^= X[:, :-1] & (rng.random((n, p - 1)) < 0.8)
    X[:, -1] &= rng.random(n) < 0.2
    return X.astype(float)


def continuous(name, p, inflation=1.3):
    """A noise by its name, fitted to p columns, and these."""
    X = normals(400, p)
    X = np.clip(X, -3.9, 4.9)
    edges = CONTINUOUS[name]
    noise = noise_of(
        "truncated" if name == "box" else name, binary=False, inflation=inflation, **edges
    )
    return noise.fit(X), X


# -- normalisation -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_integrate_to_one(name):
    """One column by adaptive quadrature, two by a product rule on a wide grid."""
    noise, _ = continuous(name, 1)
    density = lambda x: math.exp(noise.log_prob([[x]])[0])  # noqa: E731
    edges = [-np.inf, -4.0, *np.linspace(-3, 3, 7), 5.0, np.inf]
    if name == "uniform":
        edges = [noise.low_[0], noise.high_[0]]
    total = sum(integrate.quad(density, *pair)[0] for pair in itertools.pairwise(edges))
    assert total == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_of_two_columns_integrate_to_one(name):
    """By Gauss-Legendre inside of edges, else after x = tan, which takes in heavy tails."""
    noise, _ = continuous(name, 2)
    nodes, weights = reference.legendre(400)
    if name in ("uniform", "truncated", "box"):
        low = noise.low_ if name == "uniform" else [-4.0, -4.0]
        high = {"uniform": getattr(noise, "high_", None), "box": [5.0, 5.0]}.get(name, [30.0, 30.0])
        axes = [(b - a) / 2 * nodes + (a + b) / 2 for a, b in zip(low, high)]
        steps = [(b - a) / 2 * weights for a, b in zip(low, high)]
    else:
        angle = 0.5 * np.pi * nodes
        axes = [3.0 * np.tan(angle)] * 2
        steps = [3.0 * 0.5 * np.pi * weights / np.cos(angle) ** 2] * 2
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    total = np.exp(noise.log_prob(grid)) @ np.outer(*steps).ravel()
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("noise", [
    BernoulliNoise(), BernoulliNoise(0.2, uniform_share=0.0), ChowLiuNoise(), ChowLiuNoise(0.9),
])  # fmt: skip
@pytest.mark.parametrize("p", [1, 2, 8])
def test_probabilities_sum_to_one(noise, p):
    noise = clone(noise).fit(bits(50, p))
    log_p = noise.log_prob(reference.all_states(p))
    assert np.isfinite(log_p).all()
    assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-12)


def test_gaussian_is_scipys():
    noise, X = continuous("gaussian", 4)
    expected = stats.multivariate_normal(X.mean(axis=0), 1.69 * np.cov(X.T, bias=True))
    assert np.allclose(noise.log_prob(X), expected.logpdf(X), rtol=1e-12)
    assert np.allclose(noise.covariance_, expected.cov, rtol=1e-12)


@pytest.mark.parametrize("df", [2.5, 5.0, 50.0])
def test_student_is_scipys(df):
    X = normals(300, 3)
    noise = StudentTNoise(df, inflation=2.0).fit(X)
    shape = 4.0 * np.cov(X.T, bias=True) * (df - 2.0) / df
    expected = stats.multivariate_t(X.mean(axis=0), shape, df=df)
    assert np.allclose(noise.log_prob(3 * X), expected.logpdf(3 * X), rtol=1e-11)


def test_mixture_is_a_sum_of_normals():
    noise, X = continuous("mixture", 3)
    parts = [
        stats.multivariate_normal(mean, cov).pdf(X) * weight
        for weight, mean, cov in zip(noise.weights_, noise.means_, noise.covariances_)
    ]
    assert len(parts) == 5
    assert np.allclose(noise.log_prob(X), np.log(np.sum(parts, axis=0)), rtol=1e-9)


def test_mixture_finds_clusters_and_widens_them():
    rng = np.random.default_rng(0)
    centres = np.array([[-10.0, 0.0], [10.0, 5.0], [0.0, 300.0]])
    X = np.repeat(centres, 300, axis=0) + rng.normal(size=(900, 2)) * [1.0, 10.0]
    noise = MixtureNoise(3, inflation=2.0).fit(X)
    assert np.allclose(np.sort(noise.means_[:, 0]), [-10.0, 0.0, 10.0], atol=0.5)
    spread = np.sqrt(noise.covariances_[:, [0, 1], [0, 1]])
    assert np.allclose(spread, [2.0, 20.0], rtol=0.35)
    assert noise.log_prob(X).mean() > GaussianNoise().fit(X).log_prob(X).mean() + 1.0


@pytest.mark.parametrize("noise", [GaussianNoise(1.0), StudentTNoise(30.0), MixtureNoise(1)])
def test_draws_have_the_covariance(noise):
    """Each entry within z_limit of its standard error of 40,000 draws, 1e-6 for all 18."""
    X = normals(200, 3)
    noise = clone(noise).fit(X)
    expected = noise.covariances_[0] if hasattr(noise, "covariances_") else noise.covariance_
    drawn = noise.sample(40_000, random_state=2)
    products = drawn - X.mean(axis=0)
    products = products[:, :, None] * products[:, None, :]
    stderr = products.std(axis=0) / 200.0
    assert (abs(products.mean(axis=0) - expected) < reference.z_limit(18) * stderr).all()
    assert (stderr < 0.05 * np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))).all()


def test_truncated_is_scipys():
    noise, X = continuous("box", 2)
    scale, mean = 1.3 * X.std(axis=0), X.mean(axis=0)
    a, b = (-4.0 - mean) / scale, (5.0 - mean) / scale
    expected = stats.truncnorm(a, b, loc=mean, scale=scale)
    assert np.allclose(noise.log_prob(X), expected.logpdf(X).sum(axis=1), rtol=1e-10)


# -- draws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_the_density(name):
    """Five statistics of 40,000 draws against importance sampling from a wide Student t.

    False alarms: |z| of 5 tests x 6 noises by z_limit, 1e-6 in all. A mean that is off by 0.05
    standard deviations would be 7 standard errors.
    """
    noise, _ = continuous(name, 2)
    X = noise.sample(40_000, random_state=3)
    wide = stats.multivariate_t(np.zeros(2), 9.0 * np.eye(2), df=3, seed=5)
    Y = wide.rvs(400_000)
    weights = np.exp(noise.log_prob(Y) - wide.logpdf(Y))
    for statistic in (
        lambda x: np.tanh(x[:, 0]), lambda x: np.tanh(x[:, 1] / 2), lambda x: np.cos(x[:, 0]),
        lambda x: np.tanh(x[:, 0] * x[:, 1]), lambda x: np.abs(x).max(axis=1) > 2.5,
    ):  # fmt: skip
        drawn, weighted = statistic(X).astype(float), weights * statistic(Y)
        stderr = np.hypot(drawn.std() / 200.0, weighted.std() / math.sqrt(len(Y)))
        assert stderr < 0.02
        assert abs(drawn.mean() - weighted.mean()) < reference.z_limit(30) * stderr
    assert np.isfinite(noise.log_prob(X)).all()


@pytest.mark.parametrize("noise", [BernoulliNoise(), ChowLiuNoise()])
def test_binary_draws_follow_the_probabilities(noise):
    """Chi-squared of 400,000 draws over 2^6 states; false alarm 1e-6.

    A total variation of 0.015, that of a tenth of the uniform rows, has a noncentrality of 360
    or more and is missed with probability 1e-7.
    """
    noise = clone(noise).fit(bits(100, 6))
    X, states = noise.sample(400_000, random_state=1), reference.all_states(6)
    assert X.dtype == np.float64 and set(np.unique(X)) == {0.0, 1.0}
    code = 2.0 ** np.arange(6)
    where = {value: k for k, value in enumerate(states @ code)}
    counts = np.bincount([where[value] for value in X @ code], minlength=64)
    expected = 400_000 * np.exp(noise.log_prob(states))
    assert expected.min() > 5
    assert ((counts - expected) ** 2 / expected).sum() < stats.chi2.isf(1e-6, 63)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "conditional"])
def test_same_seed_same_draws(name):
    binary = name in ("bernoulli", "chow_liu")
    X = bits(60, 3) if binary else normals(60, 3)
    low = -50.0 if name == "truncated" else None
    noise = noise_of(name, binary=binary, inflation=1.3, low=low).fit(X)
    first = noise.sample(100, random_state=7)
    again = pickle.loads(pickle.dumps(noise))
    assert np.array_equal(first, again.sample(100, random_state=7))
    assert not np.array_equal(first, noise.sample(100, random_state=8))
    rng = [np.random.default_rng(3) for _ in range(2)]
    assert np.array_equal(noise.sample(9, rng[0]), noise.sample(9, rng[1]))
    assert not np.array_equal(noise.sample(9, rng[0]), noise.sample(9, np.random.default_rng(3)))
    assert not np.array_equal(noise.sample(9, None), noise.sample(9, None))


# -- Chow-Liu ----------------------------------------------------------------------------------


def spanning_trees(p):
    """Edges of all labelled trees, by Pruefer codes."""
    for code in itertools.product(range(p), repeat=p - 2):
        degree = np.bincount(code, minlength=p) + 1
        edges = []
        for node in code:
            leaf = int(np.argmin(np.where(degree == 1, 0, 1)))
            edges.append((leaf, node))
            degree[leaf] -= 1
            degree[node] -= 1
        edges.append(tuple(int(i) for i in np.flatnonzero(degree == 1)))
        yield edges


def tree_likelihood(X, weights, edges):
    """Largest mean log-likelihood of a tree: minus entropies, plus mutual informations."""
    share = weights / weights.sum()

    def entropy(columns):
        _, groups = np.unique(X[:, columns], axis=0, return_inverse=True)
        q = np.bincount(groups.ravel(), weights=share)
        return -(q[q > 0] * np.log(q[q > 0])).sum()

    alone = [entropy([i]) for i in range(X.shape[1])]
    pairs = sum(alone[i] + alone[j] - entropy([i, j]) for i, j in edges)
    return pairs - sum(alone)


@pytest.mark.parametrize("seed", range(5))
def test_chow_liu_is_the_best_of_all_trees(seed):
    p, rng = 5, np.random.default_rng(seed)
    X, weights = bits(80, p, seed)[:, rng.permutation(p)], rng.integers(1, 5, 80).astype(float)
    noise = ChowLiuNoise(1e-9).fit(X, weights)
    best = max(tree_likelihood(X, weights, edges) for edges in spanning_trees(p))
    assert len(list(spanning_trees(p))) == 125
    found = weights @ noise.log_prob(X) / weights.sum()
    assert found == pytest.approx(best, abs=1e-7)
    worst = min(tree_likelihood(X, weights, edges) for edges in spanning_trees(p))
    assert worst < best - 0.01


def test_chow_liu_of_constant_and_equal_columns():
    X = np.array([[1, 0, 1, 0], [1, 1, 0, 1], [1, 0, 1, 0]], dtype=float)
    noise = ChowLiuNoise(0.2).fit(X)
    log_p = noise.log_prob(np.vstack([X, [[0, 0, 0, 0]]]))
    expected = [0.8 * 2 / 3 + 0.2 / 16, 0.8 / 3 + 0.2 / 16, 0.8 * 2 / 3 + 0.2 / 16, 0.2 / 16]
    assert np.allclose(np.exp(log_p), expected)


# -- fits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_weights_are_repetitions(cls):
    binary = cls.kinds == ("binary",)
    X = bits(40, 4) if binary else normals(40, 4)
    weights = np.random.default_rng(1).integers(0, 4, 40)
    weighted, repeated = cls().fit(X, weights), cls().fit(np.repeat(X, weights, axis=0))
    if cls is ConditionalNoise:
        assert np.allclose(weighted.scale_, repeated.scale_, rtol=1e-12)
        return
    rows = X[weights > 0]
    assert np.allclose(weighted.log_prob(rows), repeated.log_prob(rows), rtol=1e-9)
    assert np.allclose(weighted.sample(20, 0), repeated.sample(20, 0), rtol=1e-9)
    plain = cls().fit(X)
    if cls is not UniformNoise:
        assert not np.allclose(weighted.log_prob(rows), plain.log_prob(rows))


def test_fractional_weights_of_a_mixture():
    """Rows of a thousandth of the weight have at most two thousandths of the noise."""
    X = np.concatenate([normals(200, 2), normals(200, 2) + 50.0])
    for rare, most in ((1e-3, 2e-3), (0.25, 0.21)):
        noise = MixtureNoise(2).fit(X, np.repeat([1.0, rare], 200))
        share = noise.weights_[noise.means_[:, 0] > 10].sum()
        assert share <= most
    assert share > 0.19


def test_fitting_again_forgets():
    noise = GaussianNoise().fit(normals(50, 3))
    with pytest.raises(ValueError, match="constant"):
        noise.fit(np.ones((5, 2)))
    assert noise.n_features_in_ == 3 and noise.log_prob(normals(2, 3)).shape == (2,)


@pytest.mark.parametrize("noise", [GaussianNoise(), StudentTNoise(), MixtureNoise(2)])
def test_collinear_columns_are_covered(noise):
    """Fewer rows than columns, and a column twice: a density exists and is that of the draws."""
    X = normals(4, 6)
    for data in (X, np.repeat(normals(50, 2), 2, axis=1)):
        noise = clone(noise).fit(data)
        assert np.isfinite(noise.log_prob(data)).all()
        drawn = noise.sample(2000, 0)
        assert np.isfinite(noise.log_prob(drawn)).all()
        assert np.allclose(drawn.mean(axis=0), data.mean(axis=0), atol=6 * drawn.std() / 40)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scales_do_not_matter(scale):
    X = normals(50, 3)
    for cls in (GaussianNoise, StudentTNoise, MixtureNoise, TruncatedNoise, UniformNoise):
        plain, scaled = cls().fit(X), cls().fit(scale * X)
        shifted = scaled.log_prob(scale * X) + 3 * math.log(scale)
        assert np.allclose(plain.log_prob(X), shifted, rtol=1e-6), cls


def test_uniform_boxes():
    X = np.array([[1.0, -2.0], [3.0, 2.0]])
    noise = UniformNoise(1.5).fit(X)
    assert np.allclose([noise.low_, noise.high_], [[0.5, -3.0], [3.5, 3.0]])
    assert np.allclose(noise.log_prob([[1.0, 0.0], [1.0, 4.0]]), [-math.log(18.0), -np.inf])
    noise = noise_of("uniform", binary=False, inflation=1.5, low=0.0, high=[5.0, np.inf])
    with pytest.raises(ValueError, match="column 1"):
        noise.fit(X)
    noise = noise_of("uniform", binary=False, inflation=1.5, low=[0, -9], high=[5.0, np.inf])
    noise.fit(X)
    assert np.allclose([noise.low_, noise.high_], [[0.0, -9.0], [5.0, 3.0]])
    assert (UniformNoise(1.0).fit(X).log_prob(X) > -np.inf).all()


def test_uniform_of_binary_data():
    X = bits(30, 3)
    for noise in ("uniform", UniformNoise()):
        fitted = noise_of(noise, binary=True, inflation=1.3).fit(X)
        assert np.allclose(fitted.log_prob(X), -3 * math.log(2.0))


def test_bernoulli_never_excludes():
    X = np.ones((5, 2))
    noise = BernoulliNoise(0.2, uniform_share=0.5).fit(X)
    assert np.allclose(noise.means_, 0.9)
    assert np.allclose(np.exp(noise.log_prob(np.zeros((1, 2)))), 0.5 * 0.01 + 0.5 * 0.25)


# -- conditional noise -------------------------------------------------------------------------


def test_steps_are_from_their_rows():
    """Means within 5 standard errors of 0, spreads of eps times the columns' within 2 %."""
    X = normals(300, 2)
    noise = ConditionalNoise(0.5).fit(X)
    Y = noise.pairs(X, 100, random_state=0)
    steps = Y - np.repeat(X, 100, axis=0)
    assert Y.shape == (30_000, 2)
    assert np.allclose(steps.std(axis=0), 0.5 * X.std(axis=0), rtol=0.02)
    assert (abs(steps.mean(axis=0)) < 5 * steps.std(axis=0) / math.sqrt(30_000)).all()
    assert np.array_equal(Y, noise.pairs(X, 100, random_state=0))


@pytest.mark.parametrize("edges", [(0.0, None), (None, 1.0), (0.0, 1.0), (None, None)])
def test_steps_are_symmetric(edges):
    """From draws of a uniform law, as many steps go from A to B as from B to A.

    40,000 pairs, 36 differences of counts, each within z_limit standard errors. Steps that were
    cut at the edges instead would fail by 20.
    """
    low, high = edges
    X = np.random.default_rng(0).random((40_000, 1))
    noise = ConditionalNoise(1.5, low=low, high=high).fit(X)
    Y = noise.pairs(X, 1, random_state=1)
    assert (Y >= (-np.inf if low is None else low)).all()
    assert (Y <= (np.inf if high is None else high)).all()
    inside = ((Y >= 0) & (Y <= 1)).ravel()
    cells = [np.minimum((9 * each[inside, 0]).astype(int), 8) for each in (X, Y)]
    counts = np.zeros((9, 9))
    np.add.at(counts, tuple(cells), 1)
    spread = np.sqrt(counts + counts.T)
    assert spread.min() > 10
    off = np.triu_indices(9, 1)
    assert (abs(counts - counts.T)[off] < reference.z_limit(4 * 36) * spread[off]).all()


def test_conditional_noise_has_no_density():
    noise = noise_of("conditional", binary=False, inflation=1.3).fit(normals(9, 2))
    assert noise.is_conditional and not GaussianNoise.is_conditional
    with pytest.raises(TypeError, match="pairs"):
        noise.sample(3)
    with pytest.raises(TypeError, match="no density"):
        noise.log_prob(normals(9, 2))


# -- what a user gives -------------------------------------------------------------------------


def test_frozen_univariate():
    noise = noise_of(stats.norm(1.0, 2.0), binary=False, inflation=1.3).fit(normals(9, 3))
    X = noise.sample(20_000, random_state=0)
    assert X.shape == (20_000, 3) and abs(X.mean() - 1.0) < 5 * 2.0 / math.sqrt(60_000)
    assert np.allclose(noise.log_prob(X[:5]), stats.norm(1.0, 2.0).logpdf(X[:5]).sum(axis=1))
    assert np.array_equal(X, noise.sample(20_000, random_state=0))
    counts = noise_of(stats.poisson(3.0), binary=False, inflation=1.3).fit(np.ones((9, 1)))
    drawn = counts.sample(50, random_state=0)
    assert np.allclose(counts.log_prob(drawn), stats.poisson(3.0).logpmf(drawn[:, 0]))
    coins = noise_of(stats.bernoulli(0.25), binary=True, inflation=1.3).fit(bits(9, 2))
    assert np.allclose(np.exp(coins.log_prob([[0, 1], [1, 1]])), [0.1875, 0.0625])
    assert set(np.unique(coins.sample(99, 0))) == {0.0, 1.0}


@pytest.mark.parametrize("frozen", [
    stats.multivariate_normal([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]]),
    stats.multivariate_t([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]], df=4),
])  # fmt: skip
def test_frozen_multivariate(frozen):
    noise = noise_of(frozen, binary=False, inflation=1.3).fit(normals(9, 2))
    X = noise.sample(100, random_state=0)
    assert X.shape == (100, 2) and noise.sample(1, 0).shape == (1, 2)
    assert np.allclose(noise.log_prob(X), frozen.logpdf(X))
    assert noise.log_prob(X[:1]).shape == (1,)
    assert np.array_equal(X, noise.sample(100, random_state=0))
    with pytest.raises(ValueError, match=r"rvs must return shape \(4, 3\)"):
        noise_of(frozen, binary=False, inflation=1.3).fit(normals(9, 3)).sample(4, 0)


def test_scikit_learns_densities_are_fitted_copies():
    X = normals(50, 2)
    given = KernelDensity()
    noise = noise_of(given, binary=False, inflation=1.3).fit(X, np.arange(50.0))
    assert not hasattr(given, "tree_")
    expected = KernelDensity().fit(X[1:], sample_weight=np.arange(1.0, 50.0))
    assert np.allclose(noise.log_prob(X), expected.score_samples(X))
    assert np.array_equal(noise.sample(5, 3), noise.sample(5, 3))
    frozen = FrozenEstimator(KernelDensity().fit(X + 100.0))
    noise = noise_of(frozen, binary=False, inflation=1.3).fit(X)
    assert noise.sample(5, 3).min() > 50


class Own:
    """Standard normals, or whatever the arguments say."""

    def __init__(self, draws=None, density=None):
        self.draws, self.density = draws, density

    def sample(self, n_samples, random_state):
        if self.draws is not None:
            return self.draws(n_samples)
        return np.random.RandomState(random_state).normal(size=(n_samples, 2))

    def log_prob(self, X):
        if self.density is not None:
            return self.density(X)
        return stats.norm.logpdf(X).sum(axis=1)


def test_an_object_of_the_users():
    noise = noise_of(Own(), binary=False, inflation=1.3).fit(normals(9, 2), np.ones(9))
    X = noise.sample(7, random_state=0)
    assert X.shape == (7, 2) and np.array_equal(X, noise.sample(7, random_state=0))
    assert np.allclose(noise.log_prob(X), stats.norm.logpdf(X).sum(axis=1))


def spoils(X):
    X[0] = 99.0
    return np.zeros(len(X))


def test_an_object_does_not_change_the_rows():
    noise = noise_of(Own(density=spoils), binary=False, inflation=1.3).fit(normals(9, 2))
    X = normals(3, 2)
    before = X.copy()
    noise.log_prob(X)
    assert np.array_equal(X, before)


@pytest.mark.parametrize("draws, options, said", [
    (lambda n: np.zeros(n), {}, r"Own\.sample must return shape \(3, 2\), got \(3,\)"),
    (lambda n: np.zeros((n, 3)), {}, r"shape \(3, 2\), got \(3, 3\)"),
    (lambda n: np.array([[0, 0], [0, np.nan], [1, 1]]), {}, r"sample must be finite, row 1"),
    (lambda n: np.array([[0, 0], [0, 1], [-1, 1]]), {"binary": True}, r"0 and 1 .* row 2"),
    (lambda n: np.array([[1, 1], [1, 1], [1, -1]]), {"low": np.zeros(2)}, r"row 2 is below low"),
    (lambda n: 1 / 0, {}, r"sample, called as sample\(n_samples, random_state\), raised ZeroDiv"),
])  # fmt: skip
def test_draws_are_checked(draws, options, said):
    options = {"binary": False, **options}
    noise = noise_of(Own(draws), inflation=1.3, **options).fit(np.ones((4, 2)))
    with pytest.raises(ValueError, match=f"noise: .*{said}"):
        noise.sample(3, 0)


@pytest.mark.parametrize("density, said", [
    (lambda X: X, r"Own\.log_prob must return shape \(4,\), got \(4, 2\)"),
    (lambda X: np.where(np.arange(4) == 2, np.nan, 0.0), "found nan in row 2"),
    (lambda X: np.where(np.arange(4) == 1, -np.inf, 0.0), "found -inf in row 1 .*cover the data"),
    (lambda X: np.where(np.arange(4) == 3, np.inf, 0.0), "found inf in row 3"),
    (lambda X: X.nothing, "log_prob, called as .* raised AttributeError"),
])  # fmt: skip
def test_densities_are_checked(density, said):
    noise = noise_of(Own(density=density), binary=False, inflation=1.3).fit(np.ones((4, 2)))
    with pytest.raises(ValueError, match=f"noise: .*{said}"):
        noise.log_prob(normals(4, 2))


def test_a_mixture_of_scikit_learn_says_what_takes_its_place():
    """Its draws cannot be told a seed; found before any work, alone or frozen."""
    X, mixture = normals(50, 2), GaussianMixture(2)
    said = "noise must be one of .*got .*GaussianMixture.*sample takes no random_state.*MixtureNois"
    for noise in (mixture, FrozenEstimator(mixture.fit(X))):
        with pytest.raises(TypeError, match=said):
            NCEEstimator(noise=noise, random_state=0).fit(X)


def test_a_kernel_density_is_noise():
    X = normals(200, 1)
    for noise in (KernelDensity(), FrozenEstimator(KernelDensity().fit(X))):
        model = NCEEstimator(noise=noise, random_state=0).fit(X)
        precision, error = model.params_[1], model.params_stderr_[1]
        assert abs(precision * X.var() - 1.0) < 4 * error * X.var() < 1.0


def test_words_are_no_numbers():
    for own in (Own(lambda n: "three"), Own(density=lambda X: "four")):
        noise = noise_of(own, binary=False, inflation=1.3).fit(np.ones((4, 2)))
        with pytest.raises(TypeError, match="must return numbers"):
            noise.sample(3, 0)
            noise.log_prob(np.ones((4, 2)))


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise, options, error, said", [
    ("gausian", {}, ValueError, "noise must be one of 'auto', 'gaussian'.*got 'gausian'"),
    ("bernoulli", {}, ValueError, "noise='bernoulli' is not for real data.*'student_t'"),
    ("gaussian", {"binary": True}, ValueError, "not for binary data: accepted are 'auto', 'unif"),
    ("conditional", {"binary": True}, ValueError, "not for binary data"),
    ("gaussian", {"low": 0.0}, ValueError, "not for data inside bounds.*'truncated'"),
    ("truncated", {}, ValueError, "not for real data"),
    (ChowLiuNoise(), {}, ValueError, r"noise=ChowLiuNoise\(\) is not for real data.*Gaussian"),
    (StudentTNoise(), {"high": 3.0}, ValueError, "inside bounds: accepted are UniformNoise, Tr"),
    (GaussianNoise(), {"binary": True}, ValueError, "accepted are UniformNoise, BernoulliN"),
    (stats.norm(), {"binary": True}, ValueError, "density, norm_gen"),
    (3, {}, TypeError, "frozen distribution of SciPy or an object .*, got 3"),
    (None, {}, TypeError, "got None"),
    (GaussianNoise, {}, TypeError, "class GaussianNoise; an instance"),
    (stats.norm, {}, TypeError, "norm_gen without its parameters"),
    (SimpleNamespace(sample=len), {}, TypeError, "without log_prob"),
    (SimpleNamespace(log_prob=len), {}, TypeError, "without sample"),
])  # fmt: skip
def test_noises_that_do_not_fit(noise, options, error, said):
    with pytest.raises(error, match=said):
        noise_of(noise, inflation=1.3, **{"binary": False, **options})


@pytest.mark.parametrize("noise, error, said", [
    (GaussianNoise(0.0), ValueError, "GaussianNoise: inflation must be a number > 0"),
    (GaussianNoise("wide"), TypeError, "inflation must be"),
    (StudentTNoise(2.0), ValueError, "df must be a number > 2"),
    (BernoulliNoise(0.0), ValueError, "BernoulliNoise: shrinkage must be a number > 0"),
    (BernoulliNoise(uniform_share=1.0), ValueError, "uniform_share must be a number >= 0 and < 1"),
    (ChowLiuNoise(0.0), ValueError, "ChowLiuNoise: uniform_share must be"),
    (UniformNoise(0.9), ValueError, "inflation must be a number >= 1"),
    (MixtureNoise(0), ValueError, "n_components"),
    (MixtureNoise(random_state="x"), TypeError, "random_state"),
    (ConditionalNoise(-1.0), ValueError, "eps"),
    (ConditionalNoise(low="a"), TypeError, "low must be None, a number or an array"),
    (UniformNoise(low=np.nan), ValueError, "low must not be NaN"),
    (UniformNoise(low=[0.0, 0.0, 0.0]), ValueError, r"low must be .* shape \(2,\)"),
    (TruncatedNoise(low=5.0, high=5.0), ValueError, "low must be less than high"),
    (TruncatedNoise(low=0.0), ValueError, "between low and high, found"),
])  # fmt: skip
def test_parameters_are_checked(noise, error, said):
    with pytest.raises(error, match=said):
        noise.fit(normals(20, 2) - 1.0)
    assert not hasattr(noise, "n_features_in_")


@pytest.mark.parametrize("cls", CLASSES)
def test_data_are_checked(cls):
    binary = cls.kinds == ("binary",)
    X = bits(20, 3) if binary else normals(20, 3)
    name = cls.__name__
    for bad, said in (
        (X[0], "shape"), (X[:0], "none of them 0"), (np.where(X == X[3, 1], np.nan, X), "nan in"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{name}: X .*{said}"):
            cls().fit(bad)
    with pytest.raises(TypeError, match=f"{name}: X must be a table of numbers"):
        cls().fit([["a", "b"]])
    with pytest.raises(ValueError, match="sample_weight"):
        cls().fit(X, np.zeros(20))
    if binary:
        with pytest.raises(ValueError, match=f"{name}: X must hold 0 and 1, found 0.5 in column 2"):
            cls().fit(np.where(np.arange(3) == 2, 0.5, X))
    else:
        with pytest.raises(ValueError, match=f"{name}: column 1 of X is constant"):
            cls().fit(np.where(np.arange(3) == 1, 7.1, X))
    fitted = cls().fit(X)
    if cls is not ConditionalNoise:
        with pytest.raises(ValueError, match=f"{name}: X has 2 features"):
            fitted.log_prob(X[:, :2])
        with pytest.raises(ValueError, match="n_samples must be an integer >= 1"):
            fitted.sample(0)
        for seed, error in ((-1, ValueError), ("x", TypeError)):
            with pytest.raises(error, match="random_state"):
                fitted.sample(3, seed)


@pytest.mark.parametrize("noise", ["kde", "gmm"])
def test_fits_without_weights_say_so(noise):
    class NoWeights(Own):
        def fit(self, X):
            return self

    given = noise_of(NoWeights(), binary=False, inflation=1.3)
    given.fit(normals(9, 2))
    with pytest.raises(TypeError, match=r"NoWeights\.fit takes no sample_weight"):
        given.fit(normals(9, 2), np.ones(9))


# -- as scikit-learn's objects -----------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_noises_are_plain_objects(cls):
    """Cloneable, with their parameters documented and their first one positional."""
    noise = cls()
    assert clone(noise).get_params() == noise.get_params()
    text = inspect.getdoc(cls)
    for name, parameter in inspect.signature(cls).parameters.items():
        assert f"\n{name} : " in text
        assert f"default={parameter.default!r}" in text
    for title in ("Parameters", "Attributes", "References", "Examples"):
        assert f"\n{title}\n---" in text
    binary = cls.kinds == ("binary",)
    fitted = cls().fit(bits(20, 3) if binary else normals(20, 3))
    for name in vars(fitted):
        if name.endswith("_") and not name.startswith("_"):
            assert name in text, name


def test_instances_keep_what_they_were_told():
    noise = ConditionalNoise(0.3)
    made = noise_of(noise, binary=False, inflation=9.0, low=0.0)
    assert made is not noise and made.eps == 0.3 and made.low == 0.0 and noise.low is None
    assert noise_of(GaussianNoise(2.0), binary=False, inflation=9.0).inflation == 2.0
    assert noise_of("gaussian", binary=False, inflation=9.0).inflation == 9.0
    assert noise_of(UniformNoise(low=-1.0), binary=False, inflation=9.0, low=0.0).low == -1.0


def test_auto():
    kinds = [
        type(noise_of("auto", inflation=1.3, **options))
        for options in (
            {"binary": False}, {"binary": True}, {"binary": False, "low": 0.0},
            {"binary": False, "low": -np.inf, "high": np.inf},
        )
    ]  # fmt: skip
    assert kinds == [GaussianNoise, BernoulliNoise, TruncatedNoise, GaussianNoise]
    assert set(NAMES) == {"auto", *_noises._REAL, *_noises._BINARY}
