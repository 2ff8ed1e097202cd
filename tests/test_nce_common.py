"""NCEEstimator in scikit-learn's company."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skebm import NCEEstimator, ScoreMatchingGaussian
from skebm.nce import ICA, MixtureNoise


@parametrize_with_checks(
    [
        NCEEstimator(random_state=0),
        NCEEstimator("diagonal_gaussian", noise="student_t", random_state=0),
        NCEEstimator(ICA("logistic"), noise_ratio=2, max_iter=50, random_state=0),
    ]
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # checks give it few and odd rows
def test_scikit_learn_check(estimator, check):
    """None is expected to fail."""
    check(estimator)


@pytest.mark.parametrize("name", sorted(NCEEstimator().get_params()))
def test_every_parameter_is_checked_by_name(name):
    """No parameter accepts an object of a class that it has never heard of."""
    model = NCEEstimator().set_params(**{name: type("Unheard", (), {})()})
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        model.fit(np.eye(6))


@pytest.fixture(scope="module")
def X():
    """Two modes in three dimensions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)) + np.where(rng.random((600, 1)) < 0.5, -1.5, 1.5)
    return X


def test_search_over_noise_and_its_ratio(X):
    """All fits are of one Gaussian, so that scores differ by the errors of log Z only."""
    grid = {"noise": ["gaussian", "student_t", "mixture"], "noise_ratio": [0.2, 10]}
    search = GridSearchCV(NCEEstimator(random_state=0), grid, cv=3).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    error = search.best_estimator_.log_partition_.stderr
    exact = ScoreMatchingGaussian(0.0).fit(X).score(X)
    assert search.best_score_ == pytest.approx(exact, abs=4 * error + 0.05)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_one_search_over_three_principles(X):
    """Held-out log-likelihood tells a mixture from single Gaussians, whatever they learned by."""
    pipeline = Pipeline([("as is", FunctionTransformer()), ("model", NCEEstimator())])
    models = [ScoreMatchingGaussian(0.0), NCEEstimator(random_state=0),
              GaussianMixture(1, random_state=0), GaussianMixture(2, random_state=0)]  # fmt: skip
    search = GridSearchCV(pipeline, {"model": models}, cv=3).fit(X)
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(scores[:3], scores[0], atol=0.02)
    assert search.best_params_["model"] is models[3] and scores[3] > scores[0] + 0.1


def test_after_a_scaler_and_with_names(X):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = make_pipeline(StandardScaler(), NCEEstimator(random_state=0)).fit(frame)
    assert np.isfinite(model.score(frame))
    direct = NCEEstimator(random_state=0).fit(frame)
    np.testing.assert_array_equal(direct.feature_names_in_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="feature names should match"):
        direct.score_samples(frame[["c", "b", "a"]])
    with pytest.raises(ValueError, match=r"NaN in column 1 \('b'\)"):
        direct.fit(frame.assign(b=np.nan))


def test_noise_in_a_grid_of_its_own_parameters(X):
    model = NCEEstimator(noise=MixtureNoise(2), random_state=0)
    search = GridSearchCV(model, {"noise__n_components": [1, 2]}, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_weights_are_routed(X):
    weights = np.random.default_rng(0).random(len(X)) + 0.1
    direct = NCEEstimator(random_state=0).fit(X, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(NCEEstimator(random_state=0).set_fit_request(sample_weight=True))
        model = pipeline.fit(X, sample_weight=weights)[-1]
    np.testing.assert_array_equal(model.params_, direct.params_)
    assert not np.array_equal(model.params_, NCEEstimator(random_state=0).fit(X).params_)
