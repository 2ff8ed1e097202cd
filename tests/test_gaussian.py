"""ScoreMatchingGaussian: from data to a density, and what else is asked of it."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats
from reference import z_limit
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance
from sklearn.exceptions import ConvergenceWarning

from skebm import ScoreMatchingGaussian, ScoreMatchingGaussianCV
from skebm.gaussian import _learning


@pytest.fixture(scope="module")
def truth():
    """A chain of eight variables with means and scales of their own."""
    scale = np.geomspace(0.1, 50.0, 8)
    K = np.eye(8) + 0.4 * (np.eye(8, k=1) + np.eye(8, k=-1))
    return ScoreMatchingGaussian.from_parameters(K / np.outer(scale, scale), 3.0 * scale)


@pytest.fixture(scope="module")
def X(truth):
    X = truth.sample(400, random_state=0)
    X.flags.writeable = False
    return X


def positive(n, K, location, seed=0):
    """Draws of a Gaussian on numbers that are not negative."""
    model = ScoreMatchingGaussian.from_parameters(K, location, support="nonnegative")
    return model.sample(n, n_gibbs_steps=50, random_state=seed)


# -- what is learned ---------------------------------------------------------------------------


@pytest.mark.parametrize("standardize", [True, False])
def test_without_a_penalty_it_is_the_inverse_of_the_covariance(X, standardize):
    model = ScoreMatchingGaussian(0.0, standardize=standardize).fit(X)
    expected = np.linalg.inv(np.cov(X.T, bias=True))
    np.testing.assert_allclose(model.precision_, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.location_, X.mean(axis=0))
    np.testing.assert_allclose(model.covariance_, np.cov(X.T, bias=True), rtol=1e-9)


def test_a_ridge_alone(X):
    model = ScoreMatchingGaussian(0.0, ridge=0.3).fit(X)
    R, deviation = np.corrcoef(X.T), X.std(axis=0)
    expected = np.linalg.inv(R + 0.3 * np.eye(8)) / np.outer(deviation, deviation)
    np.testing.assert_allclose(model.precision_, expected, rtol=1e-9)


def test_the_ridge_is_denoising_score_matching():
    """Unpenalised learning from noisy copies tends to the ridge, at the rate of sampling.

    Their covariance is S + ridge I but for errors of standard deviation below 1.5 / sqrt(n R);
    five of those are allowed in 15 entries, so a false alarm is rarer than one in 10^5. Noise of
    half the variance is 100 times as far away.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    ridge, far = ScoreMatchingGaussian(0.0, ridge=0.5).fit(X), []
    for repeats in (40, 4000):
        noisy = np.tile(X, (repeats, 1))
        noisy += np.sqrt(0.5) * rng.normal(size=noisy.shape)
        noise = ScoreMatchingGaussian(0.0, standardize=False, assume_centered=True).fit(noisy)
        error = np.linalg.inv(noise.precision_) - np.linalg.inv(ridge.precision_)
        far.append(np.abs(error).max() * np.sqrt(len(noisy)))
        assert far[-1] < 5 * 1.5
    assert np.abs(np.linalg.inv(ridge.precision_) - np.cov(X.T, bias=True)).max() > 0.49


def test_the_ridge_minimises_the_loss_of_denoising():
    """mean |K (x + s e) - e / s|^2 / 2 over 800,000 pairs of rows and noise, s^2 the ridge.

    Steps of 0.02 and -0.02 along the diagonal, or along a pair, raise it by 2e-4 times half the
    curvature, 4e-4 at the least; the slope that is left is a mean whose errors move that by less
    than 8e-5. With noise of half the variance they do not raise it: the minimum is elsewhere.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) @ np.array([[1, 0.5, 0], [0, 1, -0.5], [0, 0, 1]])
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    K = ScoreMatchingGaussian(0.0, ridge=0.5).fit(X).precision_
    noise = rng.normal(size=(20_000, 40, 3))

    def loss(K, variance):
        noisy = (X + np.sqrt(variance) * noise).reshape(-1, 3)
        return 0.5 * ((noisy @ K - (noise / np.sqrt(variance)).reshape(-1, 3)) ** 2).sum(1).mean()

    pair = np.zeros((3, 3))
    pair[0, 1] = pair[1, 0] = 1.0
    at_ridge, elsewhere = loss(K, 0.5), loss(K, 0.25)
    for direction in (np.eye(3), pair):
        steps = [K + step * direction for step in (-0.02, 0.02)]
        assert min(loss(each, 0.5) for each in steps) > at_ridge + 2e-4
    assert min(loss(K + step * np.eye(3), 0.25) for step in (-0.02, 0.02)) < elsewhere - 1e-3


def test_a_large_penalty_leaves_variances(X):
    model = ScoreMatchingGaussian(1.0).fit(X)
    np.testing.assert_allclose(model.precision_, np.diag(1 / X.var(axis=0)), rtol=1e-9)
    assert model.n_edges_ == 0 and model.graph_.nnz == 0


def test_symmetries(X):
    """Permutations and scales of columns do the same to the model, shifts of them nothing."""
    model = ScoreMatchingGaussian(0.1).fit(X)
    order, scale = np.random.default_rng(0).permutation(8), np.geomspace(0.01, 100.0, 8)
    other = ScoreMatchingGaussian(0.1).fit((X * scale + 5.0)[:, order])
    expected = (model.precision_ / np.outer(scale, scale))[np.ix_(order, order)]
    np.testing.assert_allclose(other.precision_, expected, rtol=1e-4, atol=1e-9)
    assert other.n_edges_ == model.n_edges_ > 0
    for loss in (
        model.score_matching_loss(X),
        other.score_matching_loss((X * scale + 5)[:, order]),
    ):
        penalty = (
            0.1 * 2 * np.abs(np.triu(model.precision_ * np.outer(X.std(0), X.std(0)), 1)).sum()
        )
        assert abs(loss + penalty - model.objective_) < 1e-6


def test_weights_are_repetitions(X):
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    one = ScoreMatchingGaussian(0.1).fit(X, sample_weight=weights)
    two = ScoreMatchingGaussian(0.1).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(one.precision_, two.precision_, rtol=1e-7)
    for covariance in ("spearman", "kendall"):
        model = ScoreMatchingGaussian(0.1, covariance=covariance)
        one = model.fit(X, sample_weight=weights).precision_
        two = model.fit(np.repeat(X, weights, axis=0)).precision_
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_edges_of_a_chain(X):
    model = ScoreMatchingGaussian(0.2).fit(X)
    found = np.triu(model.precision_, 1) != 0
    assert found[np.eye(8, k=1, dtype=bool)].all() and model.n_edges_ == found.sum() < 14
    partial = model.partial_correlation_
    np.testing.assert_allclose(partial.diagonal(), 1.0)
    assert (partial[np.eye(8, k=1, dtype=bool)] < -0.1).all()


def test_alpha_weights(X):
    weights = np.ones((8, 8))
    weights[0, 1] = weights[1, 0] = np.inf
    weights[0, 7] = weights[7, 0] = 0.0
    K = ScoreMatchingGaussian(0.2, alpha_weights=weights).fit(X).precision_
    assert K[0, 1] == 0 and K[0, 7] != 0
    free = ScoreMatchingGaussian(0.0, alpha_weights=weights).fit(X)
    assert free.precision_[0, 1] == 0 and free.n_edges_ == 27 and free.kkt_ < 1e-6


def test_rank_correlations(X):
    """Monotone changes of columns are not seen; correlations are those of the normal."""
    bent = np.exp((X - X.mean(axis=0)) / X.std(axis=0))
    for covariance, measure, angle in (
        ("spearman", scipy.stats.spearmanr, lambda r: 2 * np.sin(np.pi / 6 * r)),
        ("kendall", scipy.stats.kendalltau, lambda r: np.sin(np.pi / 2 * r)),
    ):
        plain = ScoreMatchingGaussian(0.0, covariance=covariance).fit(X)
        other = ScoreMatchingGaussian(0.0, covariance=covariance).fit(bent)
        ratio = plain.scale_ / other.scale_
        np.testing.assert_allclose(
            other.precision_, plain.precision_ * np.outer(ratio, ratio), rtol=1e-8
        )
        R = plain.covariance_ / np.outer(plain.scale_, plain.scale_)
        assert abs(R[0, 1] - angle(measure(X[:, 0], X[:, 1]).statistic)) < 1e-9
    ties = np.round(X / X.std(axis=0))
    model = ScoreMatchingGaussian(0.0, covariance="kendall").fit(ties)
    R = model.covariance_ / np.outer(model.scale_, model.scale_)
    tau = scipy.stats.kendalltau(ties[:, 2], ties[:, 3]).statistic
    assert abs(R[2, 3] - np.sin(np.pi / 2 * tau)) < 1e-6


def test_precomputed(X):
    S = np.cov(X.T, bias=True)
    model = ScoreMatchingGaussian(0.1, covariance="precomputed").fit(S)
    expected = ScoreMatchingGaussian(0.1).fit(X)
    np.testing.assert_allclose(model.precision_, expected.precision_, rtol=1e-6)
    assert (model.location_ == 0).all()


def test_pairwise_with_gaps(X):
    """Complete rows give what they give anyway; with gaps the same in expectation.

    A tenth is missing at random: entries of the scaled covariance move by 0.02 on average.
    """
    complete = ScoreMatchingGaussian(0.1, missing="pairwise").fit(X)
    expected = ScoreMatchingGaussian(0.1).fit(X)
    np.testing.assert_array_equal(complete.precision_, expected.precision_)
    gaps = X.copy()
    gaps[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = ScoreMatchingGaussian(0.0, missing="pairwise").fit(gaps)
    d = np.outer(X.std(axis=0), X.std(axis=0))
    assert np.abs((model.covariance_ - np.cov(X.T, bias=True)) / d).max() < 0.1
    known = ~np.isnan(gaps[:, :2]).any(axis=1)
    a, b = gaps[known, 0] - np.nanmean(gaps[:, 0]), gaps[known, 1] - np.nanmean(gaps[:, 1])
    assert abs(model.covariance_[0, 1] / (a @ b / known.sum()) - 1) < 1e-9


def test_few_rows_with_gaps_are_repaired():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 6)) + rng.normal(size=(12, 1))
    X[rng.random(X.shape) < 0.4] = np.nan
    with pytest.warns(UserWarning, match="negative eigenvalues, the least -"):
        model = ScoreMatchingGaussian(0.2, ridge=0.1, missing="pairwise").fit(X)
    assert np.isfinite(model.precision_).all()


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("assume_centered", [False, True])
@pytest.mark.parametrize("alpha, ridge", [(0.4, 0.0), (0.2, 0.3), (0.0, 0.3)])
@pytest.mark.parametrize("n", [30, 200])
def test_many_variables_are_learned_from_rows(
    monkeypatch, standardize, assume_centered, alpha, ridge, n
):
    """Beyond what a covariance would take, the same model without it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 80)) + 0.4 * rng.normal(size=(n, 1)) + np.linspace(-1.5, 1.5, 80)
    X[:, 5] = 0.0
    params = {"standardize": standardize, "assume_centered": assume_centered, "ridge": ridge}
    model = ScoreMatchingGaussian(alpha, tol=1e-8, max_iter=5000, **params)
    with pytest.warns(UserWarning, match="column 5"):
        expected = clone(model).fit(X, sample_weight=np.arange(n) % 3)
    monkeypatch.setattr(_learning, "MOST_KEPT", 10)
    with pytest.warns(UserWarning, match="column 5"):
        model.fit(X, sample_weight=np.arange(n) % 3)
    np.testing.assert_allclose(model.scale_, expected.scale_, rtol=1e-12)
    np.testing.assert_allclose(model.precision_, expected.precision_, atol=1e-5)
    assert model.n_edges_ == expected.n_edges_ > 0 and model.kkt_ <= 1e-8
    np.testing.assert_allclose(model.location_, expected.location_, atol=1e-12)
    assert model.precision_[5, 5] == expected.precision_[5, 5] == 1.0
    assert alpha or model.n_iter_ == 0


def test_no_penalty_at_all_from_rows(X, monkeypatch):
    expected = ScoreMatchingGaussian(0.0).fit(X)
    monkeypatch.setattr(_learning, "MOST_KEPT", 3)
    model = ScoreMatchingGaussian(0.0).fit(X)
    np.testing.assert_allclose(model.precision_, expected.precision_, rtol=1e-9)
    assert model.objective_ == pytest.approx(expected.objective_) and model.n_iter_ == 0


@pytest.mark.parametrize("bounds", ["real", "mixed"])
def test_scales_of_columns_that_are_centred(X, bounds):
    """Root mean squares: about 0, or the bound where there is one."""
    support = "real" if bounds == "real" else ([0.0] + [-np.inf] * 7, np.inf)
    X = np.abs(X)
    model = ScoreMatchingGaussian(0.1, support=support, assume_centered=True).fit(X)
    np.testing.assert_allclose(model.scale_, np.sqrt((X**2).mean(axis=0)))


def test_warm_start(X):
    model = ScoreMatchingGaussian(0.1, warm_start=True).fit(X)
    first = model.n_iter_
    again = model.fit(X)
    assert again.n_iter_ < first and again.kkt_ <= 1e-6
    given = ScoreMatchingGaussian.from_parameters(
        model.precision_, model.location_, alpha=0.1, warm_start=True
    )
    assert given.fit(X).n_iter_ < first


def diverged(cls, support, **params):
    """A model of more variables than rows, which has no minimum, and its rows."""
    X = np.random.default_rng(0).normal(size=(10, 30))
    X = X if support == "real" else np.abs(X)
    name = "alpha" if cls is ScoreMatchingGaussian else "alphas"
    lost = 0.001 if cls is ScoreMatchingGaussian else [0.001]
    model = cls(**{name: lost}, support=support, warm_start=True, **params)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        model.fit(X)
    assert model.precision_.diagonal().max() > 1e4 / X.var(axis=0).min()
    return model, X, name


@pytest.mark.filterwarnings("ignore:.*in scaled columns the diagonal:UserWarning")
@pytest.mark.filterwarnings("ignore:.*no alpha has a finite score:UserWarning")
@pytest.mark.parametrize("cls", [ScoreMatchingGaussian, ScoreMatchingGaussianCV])
@pytest.mark.parametrize("support", ["real", "nonnegative"])
def test_nothing_starts_from_where_one_was_lost(cls, support):
    cv = {"cv": [(np.arange(10), np.arange(10))]} if cls is ScoreMatchingGaussianCV else {}
    model, X, name = diverged(cls, support, **cv)
    value = 0.6 if cls is ScoreMatchingGaussian else [0.6]
    model.set_params(**{name: value}).fit(X)
    cold = clone(model).fit(X)
    np.testing.assert_array_equal(model.precision_, cold.precision_)
    assert model.kkt_ <= 1e-6
    # Nor from what was given, or kept, if that is as far away.
    lost, X, _ = diverged(cls, support, **cv)
    given = cls.from_parameters(lost.precision_, lost.location_, **model.get_params())
    np.testing.assert_array_equal(given.fit(X).precision_, cold.precision_)


def test_a_fit_that_was_cut_short_goes_on(X):
    """Sweeps made before are not made again, if they led anywhere."""
    model = ScoreMatchingGaussian(0.05, tol=1e-10, max_iter=3, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        before = model.fit(X).kkt_
    with pytest.warns(ConvergenceWarning):
        assert model.fit(X).kkt_ < before


# -- inside bounds -----------------------------------------------------------------------------


def test_nonnegative_data():
    """The truth is found where an unbounded model is far from it.

    Over 20,000 rows the standard errors of entries are below 0.03; six of them are allowed, and the
    unbounded model is wrong by 1 in its diagonal.
    """
    K = np.array([[1.0, -0.4, 0.0], [-0.4, 1.0, 0.3], [0.0, 0.3, 1.0]])
    X = positive(20_000, K, np.array([0.3, 0.0, 0.5]))
    model = ScoreMatchingGaussian(0.0, support="nonnegative").fit(X)
    assert np.abs(model.precision_ - K).max() < 0.18
    assert np.abs(model.location_ - [0.3, 0.0, 0.5]).max() < 0.18
    unbounded = ScoreMatchingGaussian(0.0).fit(X)
    assert np.abs(unbounded.precision_ - K).max() > 1
    assert model.score(X) > unbounded.score(X) + 0.1
    assert model.log_partition_.method == "ais" and model.log_partition_.converged


def test_likelihood_inside_a_box():
    """AIS against quadrature in two dimensions; five standard errors, a false alarm in 10^6."""
    K, mu = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([0.5, -0.2])
    model = ScoreMatchingGaussian.from_parameters(
        K, mu, support=([0.0, -1.0], [np.inf, 1.0]), random_state=0
    )

    def density(y, x):
        d = np.array([x, y]) - mu
        return np.exp(-0.5 * d @ K @ d)

    expected = np.log(scipy.integrate.dblquad(density, 0.0, 8.0, -1.0, 1.0)[0])
    found = model.log_partition_
    assert abs(found.value - expected) < 5 * found.stderr + 1e-8
    assert model.score_samples([[-0.1, 0.0], [0.1, 0.0]])[0] == -np.inf
    draws = model.sample(500, n_gibbs_steps=20, random_state=0)
    assert (draws[:, 0] >= 0).all() and (np.abs(draws[:, 1]) <= 1).all()


def test_bounds_far_away_do_not_matter(X):
    """Where h has its largest value everywhere the loss is that without bounds."""
    low = X.min(axis=0) - 50 * X.std(axis=0)
    inside = ScoreMatchingGaussian(0.1, support=(low, np.inf), standardize=False, h_cutoff=1e-3)
    free = ScoreMatchingGaussian(0.1 / 1e-3, standardize=False)
    # h = 0.001 multiplies the loss, not the penalty
    np.testing.assert_allclose(
        inside.fit(X).precision_, free.fit(X).precision_, rtol=1e-3, atol=1e-5
    )


# -- what is asked of it -----------------------------------------------------------------------


def test_likelihood_is_that_of_the_normal(X):
    model = ScoreMatchingGaussian(0.1).fit(X)
    normal = scipy.stats.multivariate_normal(model.location_, model.covariance_)
    np.testing.assert_allclose(model.score_samples(X), normal.logpdf(X), rtol=1e-8)
    assert model.log_partition_.method == "exact" and model.log_partition_.stderr == 0
    assert abs(model.log_likelihood(X).value - model.score(X)) < 1e-12


def test_scikit_learns_covariance_interface(X):
    model = ScoreMatchingGaussian(0.0).fit(X)
    empirical = EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(model.mahalanobis(X), empirical.mahalanobis(X), rtol=1e-8)
    np.testing.assert_allclose(model.get_precision(), empirical.get_precision(), rtol=1e-8)
    assert abs(model.score(X) - empirical.score(X)) < 1e-8
    other = np.diag(X.var(axis=0))
    for options in ({}, {"norm": "spectral"}, {"scaling": False, "squared": False}):
        expected = empirical.error_norm(other, **options)
        assert abs(model.error_norm(other, **options) / expected - 1) < 1e-9


def test_draws_have_the_moments_of_the_model(truth):
    """Means and covariances of 50,000 draws: 44 numbers in standard errors, one alarm in 100."""
    draws = truth.sample(50_000, random_state=1)
    S, n = truth.covariance_, 50_000
    z = (draws.mean(axis=0) - truth.location_) / np.sqrt(S.diagonal() / n)
    variance = (np.outer(S.diagonal(), S.diagonal()) + S**2) / n
    zz = ((np.cov(draws.T, bias=True) - S) / np.sqrt(variance))[np.triu_indices(8)]
    assert np.abs(np.concatenate([z, zz])).max() < z_limit(44) + 0.5
    assert (truth.sample(3, random_state=1) == truth.sample(3, random_state=1)).all()


def test_imputation(truth, X):
    gaps = X.copy()
    gaps[0, 2] = gaps[1, [0, 5]] = gaps[2] = np.nan
    filled = truth.impute(gaps)
    S, mu = truth.covariance_, truth.location_
    for row, unknown in ((0, [2]), (1, [0, 5])):
        known = np.setdiff1d(np.arange(8), unknown)
        shift = np.linalg.solve(S[np.ix_(known, known)], X[row, known] - mu[known])
        expected = mu[unknown] + S[np.ix_(unknown, known)] @ shift
        np.testing.assert_allclose(filled[row, unknown], expected, rtol=1e-7)
    np.testing.assert_allclose(filled[2], mu)
    np.testing.assert_array_equal(filled[3:], X[3:])


def test_imputation_inside_bounds_knows_them():
    model = ScoreMatchingGaussian.from_parameters(np.eye(2) + 0.5, [0, 0], support="nonnegative")
    with pytest.raises(ValueError, match=r"between 0 and inf .* found -5 in column 0"):
        model.impute([[1.0, 2.0], [-5.0, np.nan]])
    filled = model.impute([[0.5, np.nan]], n_gibbs_steps=10, random_state=0)
    assert filled[0, 0] == 0.5 and filled[0, 1] > 0


def test_the_covariance_is_that_of_the_precision(X):
    model = ScoreMatchingGaussian(0.0).fit(X)
    before, score = model.covariance_, model.score(X)
    model.precision_ *= 4.0
    np.testing.assert_allclose(4.0 * model.covariance_, before)
    assert model.covariance_ is model.covariance_ and model.score(X) != score


def test_from_parameters_and_back(truth, X):
    model = ScoreMatchingGaussian(0.1).fit(X)
    given = ScoreMatchingGaussian.from_parameters(model.precision_, model.location_)
    assert given.score(X) == model.score(X)
    with pytest.raises(ValueError, match=r"precision must be symmetric.*\(0, 1\)"):
        ScoreMatchingGaussian.from_parameters([[1, 2], [0, 1]], [0, 0])
    with pytest.raises(ValueError, match=r"entries \(1, 2\) and \(2, 1\) are 0.9 and -0.9"):
        K = [[1e12, 0, 0], [0, 1, 0.9], [0, -0.9, 1]]
        ScoreMatchingGaussian.from_parameters(K, np.zeros(3))
    with pytest.raises(ValueError, match="covariance='kendall' is for support='real'"):
        params = {"support": "nonnegative", "covariance": "kendall"}
        ScoreMatchingGaussian.from_parameters(np.eye(2), np.zeros(2), **params)
    with pytest.raises(ValueError, match="must have shapes"):
        ScoreMatchingGaussian.from_parameters(np.eye(2), np.zeros(3))
    with pytest.raises(ValueError, match="precision must be finite, found nan"):
        ScoreMatchingGaussian.from_parameters([[np.nan]], [0.0])


def test_clone_pickle_names(X):
    frame = pd.DataFrame(X, columns=[f"item {j}" for j in range(8)])
    model = ScoreMatchingGaussian(0.1, support=(-1e9, np.inf), h_cutoff=None)
    assert clone(model).get_params()["support"] == (-1e9, np.inf)
    model = ScoreMatchingGaussian(0.1).fit(frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    again = pickle.loads(pickle.dumps(model))
    assert again.score(frame) == model.score(frame)
    with pytest.raises(ValueError, match="feature names"):
        model.score(frame[frame.columns[::-1]])


# -- what goes wrong ---------------------------------------------------------------------------


def test_constant_columns_are_independent(X):
    with_constant = np.column_stack([X, np.full(len(X), 7.0)])
    with pytest.warns(UserWarning, match="constant columns .* variance 1: column 8"):
        model = ScoreMatchingGaussian(0.1).fit(with_constant)
    expected = ScoreMatchingGaussian(0.1).fit(X).precision_
    np.testing.assert_allclose(model.precision_[:8, :8], expected, rtol=1e-6)
    np.testing.assert_array_equal(model.precision_[8], np.eye(9)[8])
    with pytest.warns(UserWarning, match="column 2"):
        model = ScoreMatchingGaussian(0.1, support="nonnegative").fit(
            np.column_stack([np.abs(X[:, :2]), np.zeros(len(X))])
        )
    assert np.isfinite(model.precision_).all() and model.precision_[2, 2] == 1


def test_collinear_columns(X):
    """With a penalty there is one solution; without, no inverse and so no silent nonsense."""
    twice = np.column_stack([X, X[:, 0]])
    model = ScoreMatchingGaussian(0.05, ridge=0.01, max_iter=20_000).fit(twice)
    assert model.kkt_ <= 1e-6 and np.isfinite(model.precision_).all()
    assert abs(model.precision_[0, 8]) > 0
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        ScoreMatchingGaussian(0.0).fit(twice)


def test_more_variables_than_rows():
    X = np.random.default_rng(0).normal(size=(10, 30))
    with pytest.warns(ConvergenceWarning, match=r"no minimum at alpha=0.01.*Raise alpha or ridge"):
        model = ScoreMatchingGaussian().fit(X)
    assert np.isfinite(model.precision_).all()
    model = ScoreMatchingGaussian(0.5, ridge=0.1).fit(X)
    assert np.isfinite(model.score(X)) and model.kkt_ <= 1e-6


def indefinite():
    """A covariance and a mask for which the minimum is not positive definite."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(9, 7)) @ rng.normal(size=(7, 7))
    weights = np.where(rng.random((7, 7)) < 0.4, np.inf, 1.0)
    weights = np.maximum(weights, weights.T)
    np.fill_diagonal(weights, 0.0)
    return X, weights


def test_ensure_pd():
    X, weights = indefinite()
    model = ScoreMatchingGaussian(0.01, alpha_weights=weights)
    with pytest.warns(ConvergenceWarning, match="not positive definite, its least eigenvalue is -"):
        model.fit(X)
    for method in (lambda: model.score(X), lambda: model.sample(), lambda: model.impute(X)):
        with pytest.raises(ValueError, match="not positive definite"):
            method()
    objectives = [model.objective_]
    for policy in ("project", "ridge"):
        model.set_params(ensure_pd=policy).fit(X)
        scaled = model.precision_ * np.outer(model.scale_, model.scale_)
        assert np.linalg.eigvalsh(scaled)[0] > 1e-4 and np.isfinite(model.score(X))
        assert (model.precision_[np.isinf(weights)] == 0).all()
        objectives.append(model.objective_)
    assert model.ridge_ > 0 and objectives == sorted(objectives)


def test_ensure_pd_from_rows(monkeypatch):
    """Raising the ridge is the same; the projection needs the covariance, and says so."""
    X, weights = indefinite()
    model = ScoreMatchingGaussian(0.01, alpha_weights=weights, ensure_pd="ridge")
    expected = clone(model).fit(X)
    monkeypatch.setattr(_learning, "MOST_KEPT", 3)
    assert model.fit(X).ridge_ == expected.ridge_ > 0
    np.testing.assert_allclose(model.precision_, expected.precision_, atol=1e-6)
    monkeypatch.setattr(_learning, "minimise", None)
    for cls in (ScoreMatchingGaussian, ScoreMatchingGaussianCV):
        with pytest.raises(ValueError, match=r"ensure_pd='project' .* at most 3 variables, got 7"):
            cls(alpha_weights=weights, ensure_pd="project").fit(X)


@pytest.mark.parametrize(
    "params, change, error, message",
    [
        ({"support": "nonnegative"}, ("negative", 1, -2.0), ValueError, r"found -2 in column 1"),
        ({"support": (0, 1)}, ("negative", 3, 1.5), ValueError, r"between 0 and 1 .* found 1.5"),
        ({}, ("negative", 2, np.nan), ValueError, r"NaN in column 2.*missing='pairwise'"),
        ({}, ("negative", 2, np.inf), ValueError, r"infinity in column 2"),
        ({"support": (1, 0)}, None, ValueError, r"low < high"),
        ({"support": "positive"}, None, ValueError, r"support must be 'real'"),
        ({"support": 3}, None, TypeError, r"support must be 'real'"),
        ({"support": ("a", 1)}, None, TypeError, r"support must be .* of numbers"),
        ({"support": ([0, 0], 1)}, None, ValueError, r"low of support must be .*\(5,\)"),
        ({"support": "nonnegative", "covariance": "kendall"}, None, ValueError, r"covariance="),
        ({"support": "nonnegative", "missing": "pairwise"}, None, ValueError, r"missing="),
        ({"support": "nonnegative", "ensure_pd": "project"}, None, ValueError, r"ensure_pd="),
        ({"covariance": "kendall", "missing": "pairwise"}, None, ValueError, r"missing="),
        ({"covariance": "pearson"}, None, ValueError, r"covariance must be None or one of"),
        ({"covariance": "precomputed"}, None, ValueError, r"square covariance"),
        (
            {"covariance": "precomputed"},
            ("negative", 2, np.nan),
            ValueError,
            r"NaN in column 2, but a covariance has to be complete",
        ),
        (
            {"covariance": "kendall"},
            ("negative", 2, np.nan),
            ValueError,
            r"NaN in column 2.*covariance=None with missing='pairwise' takes NaN",
        ),
        (
            {"support": (0, 1)},
            ("negative", 2, np.nan),
            ValueError,
            r"NaN in column 2.*support='real' with missing='pairwise' takes NaN",
        ),
        ({"alpha": -1}, None, ValueError, r"alpha must be a number >= 0, got -1"),
        ({"alpha_weights": np.ones((2, 2))}, None, ValueError, r"shape \(5, 5\), got \(2, 2\)"),
        ({"alpha_weights": -np.ones((5, 5))}, None, ValueError, r"negative or NaN"),
        ({"alpha_weights": np.arange(25).reshape(5, 5)}, None, ValueError, r"symmetric"),
        ({"alpha_weights": 2.0}, None, TypeError, r"alpha_weights must be an array"),
        ({"h_cutoff": 0}, None, ValueError, r"h_cutoff must be a number > 0"),
    ],
)
def test_what_is_refused(params, change, error, message):
    X = np.random.default_rng(0).uniform(0.2, 0.8, (20, 5))
    if change:
        X[3, change[1]] = change[2]
    model = ScoreMatchingGaussian().fit(np.random.default_rng(0).uniform(0.2, 0.8, (20, 5)))
    before = dict(vars(model))
    model.set_params(**params)
    with pytest.raises(error, match=message):
        model.fit(X)
    assert {name: v for name, v in vars(model).items() if name not in params} == {
        name: v for name, v in before.items() if name not in params
    }


@pytest.mark.parametrize(
    "S, message",
    [
        ([[1.0, 0.5], [0.2, 1.0]], r"symmetric covariance matrix"),
        ([[1.0, 2.0], [2.0, 1.0]], r"positive semidefinite .* ridge of at least 1"),
        (
            [[1e12, 0, 0], [0, 1, 0.9], [0, -0.9, 1]],
            r"entries \(1, 2\) and \(2, 1\) are 0.9 and -0.9",
        ),
        ([[-1.0, 0.0], [0.0, 1.0]], r"variances must not be negative, found -1 in column 0"),
    ],
)
def test_covariances_that_are_refused(S, message):
    with pytest.raises(ValueError, match=message):
        ScoreMatchingGaussian(0.1, covariance="precomputed").fit(S)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_a_small_block_is_looked_at_too(standardize, scale):
    """However large the other variances are."""
    S = np.diag([1e12, scale, scale])
    S[1, 2] = S[2, 1] = 2.0 * scale
    model = ScoreMatchingGaussian(0.01, covariance="precomputed", standardize=standardize)
    with pytest.raises(ValueError, match="positive semidefinite"):
        model.fit(S)
    S[1, 2] = S[2, 1] = scale * (1.0 + 1e-7)  # which seven digits may have made of 1
    K = model.set_params(ridge=0.1 * (1.0 if standardize else scale)).fit(S).precision_
    np.testing.assert_allclose(K[1, 1], K[2, 2], rtol=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("standardize, size", [(True, 1.0), (True, 7.0), (False, 7.0)])
def test_the_ridge_that_is_asked_for_is_enough(ridge, standardize, size):
    S = size * np.array([[1.0, 1.2345], [1.2345, 1.0]])
    model = ScoreMatchingGaussian(
        0.1, ridge=0.1 * ridge, covariance="precomputed", standardize=standardize
    )
    with pytest.raises(ValueError, match="its least eigenvalue is -") as caught:
        model.fit(S)
    least = float(str(caught.value).split("eigenvalue is ")[1].split()[0].rstrip(";"))
    needed = float(str(caught.value).split("at least ")[1].split()[0])
    expected = 0.2345 * (1.0 if standardize else size)
    assert least == pytest.approx(-expected, rel=5e-3) and expected <= needed < 1.02 * expected
    model.set_params(ridge=needed).fit(S)
    with pytest.raises(ValueError):
        model.set_params(ridge=0.99 * expected).fit(S)


def test_a_ridge_makes_up_for_a_negative_eigenvalue():
    model = ScoreMatchingGaussian(0.0, ridge=1.5, covariance="precomputed")
    K = model.fit([[1.0, 2.0], [2.0, 1.0]]).precision_
    np.testing.assert_allclose(K, np.linalg.inv([[2.5, 2.0], [2.0, 2.5]]), rtol=1e-9)


def test_overflow_is_named():
    X = np.random.default_rng(0).normal(size=(10, 2)) * [1.0, 1e200]
    with pytest.raises(ValueError, match="variance of column 1"):
        ScoreMatchingGaussian().fit(X)


def test_few_sweeps_are_said():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 10)) + 0.05 * rng.normal(size=(30, 10))
    with pytest.warns(ConvergenceWarning, match=r"max_iter=2 sweeps .* more than tol=1e-06"):
        ScoreMatchingGaussian(ridge=0.1, max_iter=2).fit(X)
