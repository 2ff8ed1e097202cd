"""Data and parameters that score matching of Gaussian models could silently go wrong on."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold

from skebm import ScoreMatchingGaussian, ScoreMatchingGaussianCV
from skebm.gaussian import _covariance


def rng(seed=0):
    return np.random.default_rng(seed)


# -- a model that is no distribution -----------------------------------------------------------


@pytest.mark.parametrize("case", ["U-shaped", "zero-inflated"])
def test_a_ridge_that_cannot_help_ends(case):
    """Densities that rise towards a bound have a negative diagonal, whatever the ridge."""
    if case == "U-shaped":
        X, support = rng().beta(0.5, 0.5, size=(500, 3)), (0, 1)
    else:
        X, support = np.full((300, 3), 0.0), "nonnegative"
        X[:30] = rng().exponential(size=(30, 3))
        X[30:] = 1e-3 * rng().exponential(size=(270, 3))
    model = ScoreMatchingGaussian(0.01, support=support, ensure_pd="ridge")
    with pytest.warns(ConvergenceWarning, match="no ridge"):
        model.fit(X)
    assert np.isfinite(model.precision_).all() and model.ridge_ == 0.0


def test_inside_bounds_a_density_need_not_be_positive_definite():
    """A copositive K is a distribution on the positive quadrant; nothing is to be said of it."""
    K = np.array([[1.0, 3.0], [3.0, 1.0]])
    truth = ScoreMatchingGaussian.from_parameters(K, np.zeros(2), support="nonnegative")
    X = truth.sample(4000, n_gibbs_steps=200, random_state=0)
    model = ScoreMatchingGaussian(0.0, support="nonnegative", ensure_pd="ridge").fit(X)
    assert np.linalg.eigvalsh(model.precision_)[0] < -1 and model.ridge_ == 0.0
    assert np.isfinite(model.score(X))


def test_what_an_indefinite_matrix_cannot_say():
    model = ScoreMatchingGaussian.from_parameters([[1.0, 2.0], [2.0, 1.0]], [0.0, 0.0])
    with pytest.raises(ValueError, match="not positive definite"):
        model.mahalanobis([[1.0, -1.0]])
    singular = ScoreMatchingGaussian.from_parameters([[1.0, 1.0], [1.0, 1.0]], [0.0, 0.0])
    with pytest.raises(ValueError, match="no inverse"):
        _ = singular.covariance_
    negative = ScoreMatchingGaussian.from_parameters(
        [[-1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], support=(0, 1)
    )
    with pytest.raises(ValueError, match="diagonal"):
        _ = negative.partial_correlation_


# -- no penalty --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("case", ["sum", "twin", "few rows", 1e-8, 1e-7, 1e-6, 1e-4])
def test_without_a_penalty_collinear_columns_are_said(seed, case):
    """Never silently far from the minimum: within ``tol`` of it, or a warning."""
    X = rng(seed).normal(size=(200, 4))
    if case == "sum":
        X = np.column_stack([X, X.sum(axis=1)])
    elif case == "twin":
        X = np.column_stack([X, X[:, 0]])
    elif case == "few rows":
        X = rng(seed).normal(size=(20, 20))
    else:
        X = np.column_stack([X, X[:, 0] + case * rng(seed + 50).normal(size=200)])
    model = ScoreMatchingGaussian(0.0)
    if case == 1e-4:
        model.fit(X)
        assert model.kkt_ <= 1e-6
        return
    with pytest.warns(ConvergenceWarning, match="no minimum|largest violation|not positive"):
        model.fit(X)
    assert np.isfinite(model.precision_).all()


# -- constant columns --------------------------------------------------------------------------


def test_constant_columns_of_many_rows(monkeypatch):
    """The mean of many equal numbers is rounded, and what is left is no variance."""
    monkeypatch.setattr(_covariance, "_BLOCK", 1000)
    X = rng().normal(size=(200_000, 3))
    X[:, 0] = 0.1
    for weights in (None, rng(1).uniform(size=len(X))):
        with pytest.warns(UserWarning, match="column 0"):
            model = ScoreMatchingGaussian().fit(X, sample_weight=weights)
        assert model.precision_[0, 0] == 1.0
    X[::7, 1] = np.nan
    with pytest.warns(UserWarning, match="column 0"):
        model = ScoreMatchingGaussian(missing="pairwise").fit(X)
    assert model.precision_[0, 0] == 1.0
    errors = model.standard_errors()
    assert np.isnan(errors.precision[0]).all() and np.isfinite(errors.precision[1:, 1:]).all()


@pytest.mark.parametrize("covariance", [None, "spearman", "kendall"])
def test_constant_columns_of_every_covariance(covariance):
    X = rng().normal(size=(60, 4))
    X[:, 2] = 3.0
    with pytest.warns(UserWarning, match="column 2"):
        model = ScoreMatchingGaussian(0.01, covariance=covariance).fit(X)
    np.testing.assert_array_equal(model.precision_[2], np.eye(4)[2])
    assert (model.precision_[0, [1, 3]] != 0).any()


@pytest.mark.parametrize("covariance", ["spearman", "kendall"])
def test_ranks_do_not_see_the_scale(covariance):
    """Nor do they call constant what only hardly varies; what cannot be scaled is refused."""
    X = rng().normal(size=(60, 3))
    X[:, 1] += X[:, 0]
    plain = ScoreMatchingGaussian(0.0, covariance=covariance).fit(X)
    far = X.copy()
    far[:, 0] = 1e16 + 4.0 * X[:, 0].argsort().argsort()
    model = ScoreMatchingGaussian(0.0, covariance=covariance).fit(far)
    np.testing.assert_allclose(
        model.partial_correlation_, plain.partial_correlation_, rtol=1e-9, atol=1e-12
    )
    with pytest.raises(ValueError, match="variance of column 0"):
        ScoreMatchingGaussian(0.0, covariance=covariance).fit(X * [1e-170, 1.0, 1.0])


# -- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", [None, "spearman", "kendall"])
@pytest.mark.parametrize("weight", [1e-50, 1e50])
def test_the_scale_of_weights_is_nothing(covariance, weight):
    X = rng().normal(size=(50, 3))
    X[:, 1] += X[:, 0]
    model = ScoreMatchingGaussian(0.0, covariance=covariance)
    expected = model.fit(X, sample_weight=np.arange(50) % 3).precision_
    found = model.fit(X, sample_weight=weight * (np.arange(50) % 3)).precision_
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_weights_without_a_sum():
    with pytest.raises(ValueError, match=r"sample_weight .* sum"):
        ScoreMatchingGaussian().fit(rng().normal(size=(50, 2)), sample_weight=np.full(50, 1e308))


def test_weights_that_are_shares_are_too_few_rows():
    X = rng().normal(size=(100, 3))
    model = ScoreMatchingGaussian(0.0).fit(X, sample_weight=np.full(100, 0.01))
    with pytest.raises(ValueError, match=r"1 rows \(their total weight\)"):
        model.standard_errors()


# -- bounds ------------------------------------------------------------------------------------


def test_columns_on_their_bounds_are_refused():
    """Where h is zero the loss knows nothing of a column."""
    X = rng().integers(0, 2, size=(300, 2)).astype(float)
    model = ScoreMatchingGaussian(support=(0, 1))
    with pytest.raises(ValueError, match=r"column 0 .* bounds"):
        model.fit(X)
    with pytest.raises(ValueError, match=r"column 1 .* bounds"):
        model.fit(np.column_stack([rng().uniform(size=300), X[:, 0]]))


@pytest.mark.filterwarnings("ignore:.*in scaled columns the diagonal:UserWarning")
@pytest.mark.parametrize("value", [1.0, 0.1, 1e-9, 5.0])
@pytest.mark.parametrize("standardize", [True, False])
def test_columns_of_one_value_off_their_bounds_are_refused(value, standardize):
    """Score matching has no spread to learn from where h is positive."""
    X = np.abs(rng().normal(size=(200, 3)))
    X[:, 1] = value * (rng().random(200) < 0.3)
    params = {"support": "nonnegative", "standardize": standardize}
    message = "all values of column 1 off its bounds are equal"
    with pytest.raises(ValueError, match=message):
        ScoreMatchingGaussian(**params).fit(X)
    with pytest.raises(ValueError, match=message):
        ScoreMatchingGaussianCV(3, **params).fit(X, sample_weight=np.arange(200) % 3 + 0.5)
    # A second value is enough, as is one about a location that is known.
    centred = ScoreMatchingGaussian(assume_centered=True, **params).fit(X)
    X[0, 1] = 2.0 * value
    model = ScoreMatchingGaussian(**params).fit(X)
    for each in (model, centred):
        assert np.isfinite(each.precision_).all() and np.isfinite(each.objective_)
    X[X[:, 1] == 2.0 * value, 1] = value
    X[:3, 1] = 2.0 * value
    with pytest.raises(ValueError, match=f"in split 0, {message}"):
        ScoreMatchingGaussianCV(3, cv=[(np.arange(3, 200), np.arange(3))], **params).fit(X)


def test_a_column_of_its_bounds_and_the_centre_is_refused():
    X = np.column_stack([rng().uniform(-1, 1, 90), np.arange(90) % 3 - 1.0])
    model = ScoreMatchingGaussian(support=(-1, 1), assume_centered=True)
    with pytest.raises(ValueError, match="all values of column 1 off its bounds are equal"):
        model.fit(X)


@pytest.mark.parametrize("mean", [10.0, 1e4, 1e7])
def test_errors_far_from_the_bound(mean):
    """Where nothing is near a bound they are those on the reals, whatever the mean."""
    X = rng().normal(size=(500, 3))
    X[:, 1] += 0.5 * X[:, 0]
    X += mean
    inside = ScoreMatchingGaussian(0.0, support="nonnegative", h_cutoff=0.1).fit(X)
    errors = inside.standard_errors()
    expected = ScoreMatchingGaussian(0.0).fit(X).standard_errors()
    np.testing.assert_allclose(errors.precision, expected.precision, rtol=0.02)
    np.testing.assert_allclose(errors.location, expected.location, rtol=0.02)


def test_the_loss_is_that_of_the_fit():
    X = rng().beta(3.0, 3.0, size=(300, 3))
    model = ScoreMatchingGaussian(0.01, support=(0, 1)).fit(X)
    loss = model.score_matching_loss(X)
    assert model.set_params(h="square", h_cutoff=None).score_matching_loss(X) == loss
    assert model.set_params(support="real").score_matching_loss(X) == loss


# -- covariances that are given ----------------------------------------------------------------


def test_covariances_in_single_precision():
    Z = rng().normal(size=(30, 60)).astype(np.float32)
    S = np.cov(Z.T).astype(np.float32)
    single = ScoreMatchingGaussian(0.5, ridge=0.1, covariance="precomputed").fit(S)
    double = ScoreMatchingGaussian(0.5, ridge=0.1, covariance="precomputed").fit(np.cov(Z.T))
    np.testing.assert_allclose(single.precision_, double.precision_, atol=1e-4)


def test_a_variance_of_zero_has_no_covariances():
    with pytest.raises(ValueError, match="variance of column 0 is 0, but"):
        ScoreMatchingGaussian(covariance="precomputed").fit([[0.0, 5.0], [5.0, 1.0]])


# -- selection ---------------------------------------------------------------------------------


def test_splits_that_are_used_up():
    X = rng().normal(size=(60, 3))
    model = ScoreMatchingGaussianCV([0.5, 0.2], cv=KFold(3).split(X)).fit(X)
    with pytest.raises(ValueError, match=r"cv .*no splits"):
        model.fit(X)
