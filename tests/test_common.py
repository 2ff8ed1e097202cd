"""scikit-learn's own checks, and the four that it does not hand to other packages."""

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skebm import CDRBM, PCDRBM, PseudoLikelihoodRBM, RatioMatchingRBM, RdmRBM

# Minibatches are drawn, so repeating a row and doubling its weight give other minibatches; that
# both mean the same is shown on one full batch in test_rbm.py.
_REASON = "minibatches are drawn at random: weighting and repeating rows give other minibatches"
_EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": _REASON,
    "check_sample_weight_equivalence_on_sparse_data": _REASON,
}

# A few epochs are enough here, and too few to beat independent units.
pytestmark = pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")


# An expected failure that passes is an error where scikit-learn can say so, since 1.8.
_STRICT = {
    name: True
    for name in inspect.signature(parametrize_with_checks).parameters
    if name == "xfail_strict"
}


ESTIMATORS = (CDRBM, PCDRBM, PseudoLikelihoodRBM, RatioMatchingRBM, RdmRBM)


@parametrize_with_checks(
    [cls(3, n_iter=2, random_state=0) for cls in ESTIMATORS],
    expected_failed_checks=lambda estimator: _EXPECTED,
    **_STRICT,
)
@pytest.mark.filterwarnings("ignore:.*binarised at:UserWarning")
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture
def frame(bits):
    return pd.DataFrame(bits, columns=[f"item {i}" for i in range(16)], index=range(7, 157))


def test_set_output_wraps_transform(estimator_class, frame):
    model = estimator_class(3, n_iter=2, random_state=0).fit(frame)
    plain = model.transform(frame)
    wrapped = model.set_output(transform="pandas").transform(frame)
    prefix = estimator_class.__name__.lower()
    assert isinstance(wrapped, pd.DataFrame)
    assert list(wrapped.columns) == [f"{prefix}{j}" for j in range(3)]
    assert wrapped.index.equals(frame.index)
    np.testing.assert_array_equal(wrapped.to_numpy(), plain)
    again = estimator_class(3, n_iter=2, random_state=0).set_output(transform="pandas")
    pd.testing.assert_frame_equal(again.fit_transform(frame), wrapped)


def test_get_feature_names_out(estimator_class, frame):
    model = estimator_class(3, n_iter=1, random_state=0).fit(frame)
    expected = [f"{estimator_class.__name__.lower()}{j}" for j in range(3)]
    assert list(model.get_feature_names_out()) == expected
    assert list(model.get_feature_names_out(frame.columns)) == expected
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        model.get_feature_names_out(frame.columns[::-1])


def test_column_names_are_remembered_and_checked(estimator_class, frame):
    model = estimator_class(3, n_iter=1, random_state=0).fit(frame)
    np.testing.assert_array_equal(model.feature_names_in_, frame.columns)
    swapped = frame[frame.columns[::-1]]
    for method in ("transform", "score_samples", "free_energy", "impute", "partial_fit"):
        with pytest.raises(ValueError, match="feature names should match"):
            getattr(model, method)(swapped)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            getattr(model, method)(frame.to_numpy())


def test_refitting_without_names_forgets_them(estimator_class, frame):
    model = estimator_class(3, n_iter=1, random_state=0).fit(frame).fit(frame.to_numpy())
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("name", sorted(PCDRBM().get_params()))
def test_every_parameter_is_checked_by_name(estimator_class, bits, name):
    """No parameter accepts an object of a class that it has never heard of."""
    if name not in estimator_class().get_params():
        pytest.skip(f"{estimator_class.__name__} has no {name}")
    model = estimator_class().set_params(**{name: type("Unheard", (), {})()})
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        model.fit(bits)
