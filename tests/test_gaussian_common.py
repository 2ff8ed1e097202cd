"""The Gaussian estimators in scikit-learn's company."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skebm import ScoreMatchingGaussian, ScoreMatchingGaussianCV

BOTH = (ScoreMatchingGaussian, ScoreMatchingGaussianCV)


@parametrize_with_checks(
    [
        ScoreMatchingGaussian(),
        ScoreMatchingGaussian(0.1, ridge=0.5, covariance="spearman"),
        ScoreMatchingGaussianCV(),
        ScoreMatchingGaussianCV(4, ridge=0.1, criterion="log_likelihood", one_se=True, cv=3),
        ScoreMatchingGaussianCV(4, ridge=0.1, criterion="ebic", refit=True),
        ScoreMatchingGaussianCV(4, ridge=0.1, criterion="stability", n_subsamples=3),
    ]
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # checks give them odd data
def test_scikit_learn_check(estimator, check):
    """None is expected to fail."""
    check(estimator)


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls in BOTH for name in sorted(cls().get_params())]
)
def test_every_parameter_is_checked_by_name(cls, name):
    """No parameter accepts an object of a class that it has never heard of."""
    model = cls().set_params(**{name: type("Unheard", (), {})()})
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        model.fit(np.eye(6))


@pytest.fixture(scope="module")
def X():
    K = np.eye(6) + 0.45 * (np.eye(6, k=1) + np.eye(6, k=-1))
    return ScoreMatchingGaussian.from_parameters(K, np.arange(6.0)).sample(150, random_state=0)


def test_search_over_both_penalties(X):
    """Held-out likelihood takes little of either, and finds the chain."""
    grid = {"alpha": [0.9, 0.1, 0.01], "ridge": [0.0, 0.1, 5.0]}
    search = GridSearchCV(ScoreMatchingGaussian(), grid, cv=3).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["alpha"] < 0.9 and search.best_params_["ridge"] < 5.0
    assert (np.abs(np.diagonal(search.best_estimator_.precision_, 1)) > 0.2).all()
    assert search.best_score_ > ScoreMatchingGaussian(0.9).fit(X).score(X)


@pytest.mark.filterwarnings("ignore:.*is the smallest of the path:UserWarning")
def test_search_inside_a_search(X):
    """The estimator that selects alpha itself, in a search over the ridge, after a scaler."""
    pipeline = make_pipeline(StandardScaler(), ScoreMatchingGaussianCV(5, cv=3))
    name = "scorematchinggaussiancv__ridge"
    search = GridSearchCV(pipeline, {name: [0.0, 3.0]}, cv=2).fit(X)
    assert search.best_params_[name] == 0.0
    assert search.best_estimator_[-1].alpha_ in search.best_estimator_[-1].alphas_


@pytest.mark.parametrize("cls", BOTH)
def test_weights_are_routed(cls, X):
    weights = np.random.default_rng(0).random(len(X)) + 0.1
    direct = cls().fit(X, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(cls().set_fit_request(sample_weight=True))
        model = pipeline.fit(X, sample_weight=weights)[-1]
    np.testing.assert_array_equal(model.precision_, direct.precision_)
    assert not np.array_equal(model.precision_, cls().fit(X).precision_)
