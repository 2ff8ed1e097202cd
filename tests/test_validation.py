"""Bad input is refused before any work, by a typed error that names it, and changes nothing."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from skebm import CDRBM, PCDRBM, RdmRBM

pytestmark = pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")

ESTIMATORS = (CDRBM, PCDRBM, RdmRBM)

# What each constructor parameter refuses.
NUMBERS = (-1, 0, 1.5, np.nan, np.inf, True, "3", None, [3])
BAD = {
    "n_components": NUMBERS,
    "learning_rate": (-0.1, 0, np.nan, np.inf, True, "0.1", None, 1j, [0.1]),
    "batch_size": NUMBERS,
    "n_iter": (-1, 1.5, np.nan, True, "3", None),
    "verbose": (-1, 0.5, "yes", None),
    "random_state": (-1, 0.5, "seed", [1, 2]),
    "n_gibbs_steps": (*NUMBERS, "all"),
    "n_chains": (-1, 0, 1.5, np.nan, True, "all"),
    "center": (0, 1, "yes", None),
    "learning_rate_schedule": ("cosine", None, 1, ["constant"]),
    "momentum": (-0.1, 1.0, 1.5, np.nan, True, "0.9", None),
    "weight_decay": (-1e-9, np.nan, np.inf, True, "0", None),
    "l1": (-1e-9, np.nan, np.inf, True, "0", None),
    "binarize": (np.nan, np.inf, True, "0.5", [0.5]),
    "track_log_partition": (0, 1, "yes", None),
    "warm_start": (0, 1, "yes", None),
    "n_jobs": (0, 1.5, True, "all"),
}
PARTITION = {
    "method": ("smc", None, 1),
    "check": ("revers", True, None),
    "n_chains": (0, -1, 1.5, True, "many"),
    "n_temperatures": (0, -1, 1.5, True, None, "many"),
    "base": ("data", None, 0.5, np.full(16, 1.0), np.full(15, 0.5), np.full(16, np.nan)),
    "target_stderr": (0, -0.1, np.nan, np.inf, True, "small"),
    "level": (0, 1, 95, np.nan, None, "high"),
    "random_state": (-1, 0.5, "seed"),
}
STEPS = {"n_gibbs_steps": (0, -1, 1.5, True, None), "random_state": (-1, 0.5, "seed")}


def cases(table):
    return [(name, value) for name, values in table.items() for value in values]


def snapshot(estimator):
    """What an estimator holds, in a form that can be compared."""
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else repr(value)
        for name, value in vars(estimator).items()
    }


# -- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("name, value", cases(BAD))
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_parameter_is_named(estimator_class, bits, method, name, value):
    if name not in estimator_class().get_params():
        pytest.skip(f"{estimator_class.__name__} has no {name}")
    model = estimator_class().set_params(**{name: value})
    before = snapshot(model)
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        getattr(model, method)(bits)
    assert snapshot(model) == before


def test_the_table_of_bad_parameters_is_complete():
    assert set().union(*(cls().get_params() for cls in ESTIMATORS)) == set(BAD)


@pytest.mark.parametrize("name, value", cases(PARTITION))
def test_bad_argument_of_log_partition_is_named(fitted, name, value):
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        fitted.log_partition(**{"method": "ais", name: value})


@pytest.mark.parametrize("name, value", cases({"n_samples": NUMBERS, **STEPS}))
def test_bad_argument_of_sample_is_named(fitted, name, value):
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        fitted.sample(**{name: value})


@pytest.mark.parametrize("name, value", cases(STEPS))
@pytest.mark.parametrize("method", ["gibbs", "conditional_sample", "impute"])
def test_bad_argument_of_chains_is_named(fitted, bits, method, name, value):
    with pytest.raises((TypeError, ValueError), match=rf"\b{name} must"):
        getattr(fitted, method)(bits, **{name: value})


def test_enumeration_out_of_reach_says_how_long_it_would_take(wide):
    with pytest.raises(ValueError, match=r"method='exact' .*2\^500 .* about \d.*e\+\d+ years"):
        wide.log_partition("exact")


def test_model_and_parameters_must_fit_together(estimator_class, bits):
    """Learning on cannot change the number of hidden units."""
    model = estimator_class(4, n_iter=1, warm_start=True, random_state=0).fit(bits)
    model.set_params(n_components=6)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="n_components"):
            method(bits)


# -- data --------------------------------------------------------------------------------------


def with_entry(X, value):
    X = X.copy()
    X[3, 5] = value
    return X


BAD_DATA = {
    "NaN": (lambda X: with_entry(X, np.nan), "contains NaN"),
    "inf": (lambda X: with_entry(X, np.inf), "contains infinity"),
    "-inf": (lambda X: with_entry(X, -np.inf), "contains infinity"),
    "1-D": (lambda X: X[0], "Expected 2D array"),
    "3-D": (lambda X: X[None], r"dim 3|3 dim|2D|<= 2"),
    "scalar": (lambda X: 1.0, "Expected 2D array"),
    "no rows": (lambda X: X[:0], "0 sample"),
    "no columns": (lambda X: X[:, :0], "0 feature"),
    "strings": (lambda X: [["a", "b"], ["c", "d"]], "could not convert string|non-numeric|str"),
    "objects": (lambda X: np.full((3, 16), object()), "argument must be|number|object"),
    "complex": (lambda X: X + 0j, "Complex data not supported"),
    "CSR with NaN": (lambda X: sp.csr_array(with_entry(X, np.nan)), "contains NaN"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "score_samples", "transform", "gibbs"])
def test_bad_data_are_refused(estimator_class, bits, method, kind):
    make, said = BAD_DATA[kind]
    model = estimator_class(3, n_iter=1, random_state=0)
    if "fit" not in method:
        model.fit(bits)
    before = snapshot(model)
    with pytest.raises((TypeError, ValueError), match=said):
        getattr(model, method)(make(bits))
    assert snapshot(model) == before


@pytest.mark.parametrize(
    "method",
    ["partial_fit", "transform", "score_samples", "score", "free_energy", "log_pseudolikelihood",
     "gibbs", "impute", "conditional_sample"],
)  # fmt: skip
def test_another_number_of_features_is_refused(fitted, bits, method):
    with pytest.raises(ValueError, match="X has 15 features, but PCDRBM is expecting 16"):
        getattr(fitted, method)(bits[:, :15])


def test_infinity_is_refused_where_nan_is_welcome(fitted, bits):
    for method in (fitted.impute, fitted.conditional_sample):
        with pytest.raises(ValueError, match="infinity"):
            method(with_entry(bits, np.inf))


@pytest.mark.parametrize("value", [-0.25, 1.5])
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, sp.csr_array])
def test_values_outside_the_domain_are_named_with_their_column(
    estimator_class, bits, value, container
):
    model = estimator_class(3, n_iter=1, binarize=None, random_state=0)
    with pytest.raises(ValueError, match=rf"\[0, 1\].* found {value} in column 5\b"):
        model.fit(container(with_entry(bits, value)))
    model.fit(container(bits))
    with pytest.raises(ValueError, match=rf"found {value} in column 5\b"):
        model.transform(container(with_entry(bits, value)))


def test_the_name_of_the_column_is_said(estimator_class, bits):
    frame = pd.DataFrame(with_entry(bits, 2.0), columns=[f"item {i}" for i in range(16)])
    with pytest.raises(ValueError, match=r"found 2 in column 5 \('item 5'\)"):
        estimator_class(3, binarize=None).fit(frame)
    with pytest.warns(UserWarning, match=r"2 in column 5 \('item 5'\)"):
        estimator_class(3, n_iter=1).fit(frame)


def test_sparse_data_need_a_threshold_that_leaves_zeros_zero(estimator_class, bits):
    with pytest.raises(ValueError, match=r"binarize must be >= 0 for sparse X, got -0\.5"):
        estimator_class(3, binarize=-0.5).fit(sp.csr_array(bits))


@pytest.mark.parametrize(
    "weights, said",
    [
        (np.ones(149), "sample_weight must have shape"),
        (np.ones((150, 1)), "sample_weight must have shape"),
        (np.full(150, np.nan), "sample_weight must be finite"),
        (np.full(150, np.inf), "sample_weight must be finite"),
        (np.r_[-1.0, np.ones(149)], "sample_weight must be finite and not negative"),
        (np.zeros(150), "sample_weight must have at least one positive"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_weights_are_refused(estimator_class, bits, method, weights, said):
    model = estimator_class(3, n_iter=1, random_state=0)
    before = snapshot(model)
    with pytest.raises(ValueError, match=said):
        getattr(model, method)(bits, sample_weight=weights)
    assert snapshot(model) == before


# -- the estimator is left as it was -----------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda X: {"X": with_entry(X, 7.0)[:, :9]},
        lambda X: {"X": X[:, :9], "sample_weight": np.zeros(150)},
        lambda X: {"X": pd.DataFrame(X[:, :9]).add_prefix("x"), "sample_weight": [-1.0] * 150},
    ],
)
def test_a_failed_refit_leaves_the_fitted_model(estimator_class, bits, spoil):
    model = estimator_class(3, n_iter=1, binarize=None, random_state=0).fit(bits)
    likelihoods = model.score_samples(bits)
    before = snapshot(model)
    with pytest.raises(ValueError):
        model.fit(**spoil(bits))
    assert snapshot(model) == before
    np.testing.assert_array_equal(model.score_samples(bits), likelihoods)


# -- order of use ------------------------------------------------------------------------------


def test_use_before_fit(estimator_class, bits):
    model = estimator_class(3)
    for method in (
        "transform", "score_samples", "score", "free_energy", "log_pseudolikelihood", "gibbs",
        "impute", "conditional_sample",
    ):  # fmt: skip
        with pytest.raises(NotFittedError):
            getattr(model, method)(bits)
    for method in ("sample", "log_partition", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(model, method)()
    assert not hasattr(model, "log_partition_")
    with pytest.raises(NotFittedError):
        _ = model.log_partition_


def test_a_good_fit_is_silent(estimator_class, bits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = estimator_class(8, n_iter=60, random_state=0).fit(bits)
        model.score(bits)
        model.sample(3)
