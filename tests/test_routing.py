"""Metadata routing: weights reach the estimator inside a pipeline and a search when asked for."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skebm import PCDRBM


@pytest.fixture
def weights():
    return np.random.default_rng(0).random(150) + 0.1


def test_pipeline_passes_requested_weights(bits, weights):
    direct = PCDRBM(4, n_iter=2, random_state=0).fit(bits, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        model = PCDRBM(4, n_iter=2, random_state=0).set_fit_request(sample_weight=True)
        model = Pipeline([("model", model)]).fit(bits, sample_weight=weights)[-1]
    np.testing.assert_array_equal(model.components_, direct.components_)
    unweighted = PCDRBM(4, n_iter=2, random_state=0).fit(bits)
    assert not np.array_equal(model.components_, unweighted.components_)


def test_weights_that_nobody_asked_for_are_refused(bits, weights):
    with config_context(enable_metadata_routing=True):
        pipeline = Pipeline([("model", PCDRBM(4, n_iter=1, random_state=0))])
        with pytest.raises(UnsetMetadataPassedError):
            pipeline.fit(bits, sample_weight=weights)


def test_search_passes_requested_weights(bits, weights):
    with config_context(enable_metadata_routing=True):
        model = PCDRBM(4, n_iter=1, random_state=0).set_fit_request(sample_weight=True)
        search = GridSearchCV(model, {"n_components": [2, 3]}, cv=2)
        search.fit(bits, sample_weight=weights)
    best = PCDRBM(**search.best_params_, n_iter=1, random_state=0)
    best.fit(bits, sample_weight=weights)
    np.testing.assert_array_equal(search.best_estimator_.components_, best.components_)
