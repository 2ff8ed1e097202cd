"""What the RBM estimators promise: scikit-learn's manners, codings, likelihoods, chains."""

import copy
import pickle
import tracemalloc
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skebm import CDRBM, PCDRBM, RdmRBM
from skebm.datasets import make_rbm

# A few epochs are enough here, and too few to beat independent units.
pytestmark = pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")


def parameters(model):
    return model.components_, model.intercept_visible_, model.intercept_hidden_


def assert_same_model(one, other):
    for a, b in zip(parameters(one), parameters(other)):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def at_least(x):
    return x >= 8


# -- as a scikit-learn estimator ---------------------------------------------------------------


def test_takes_the_parameters_of_bernoulli_rbm(bits):
    theirs = BernoulliRBM(n_components=4, n_iter=2, learning_rate=0.05, random_state=0)
    model = PCDRBM(**theirs.get_params()).fit(bits)
    assert model.get_params().items() >= theirs.get_params().items()
    theirs.fit(bits)
    for name in ("components_", "intercept_visible_", "intercept_hidden_"):
        assert getattr(model, name).shape == getattr(theirs, name).shape


def test_scores_the_weights_of_bernoulli_rbm(bits):
    theirs = BernoulliRBM(n_components=4, n_iter=5, random_state=0).fit(bits)
    model = PCDRBM.from_parameters(
        theirs.components_, theirs.intercept_visible_, theirs.intercept_hidden_
    )
    np.testing.assert_allclose(model.transform(bits), theirs.transform(bits), rtol=1e-12)
    np.testing.assert_allclose(model.free_energy(bits), theirs._free_energy(bits), rtol=1e-12)


def test_clone_and_pickle(estimator_class, bits):
    model = estimator_class(4, n_iter=2, random_state=0).fit(bits)
    assert_same_model(clone(model).fit(bits), model)
    scored = estimator_class(4, n_iter=2, random_state=0).fit(bits)
    likelihoods = scored.score_samples(bits)
    for original in (model, scored):
        for again in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
            assert_same_model(again, model)
            np.testing.assert_array_equal(again.score_samples(bits), likelihoods)


def test_a_pickle_in_the_middle_of_partial_fit_goes_on_alike(estimator_class, bits):
    model = estimator_class(4, random_state=0).partial_fit(bits[:70])
    again = pickle.loads(pickle.dumps(model))
    assert_same_model(again.partial_fit(bits[70:]), model.partial_fit(bits[70:]))


def test_memory_mapped_model_works_and_learns_on(estimator_class, bits, tmp_path):
    model = estimator_class(4, n_iter=2, random_state=0).fit(bits)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert not mapped.components_.flags.writeable
    np.testing.assert_array_equal(mapped.score_samples(bits), model.score_samples(bits))
    assert_same_model(mapped.partial_fit(bits), model.partial_fit(bits))


def test_grid_search_chooses_between_the_estimators_by_likelihood(bits):
    pipeline = make_pipeline(FunctionTransformer(), CDRBM(6, n_iter=10, random_state=0))
    classes = [cls(6, n_iter=10, random_state=0) for cls in (CDRBM, PCDRBM, RdmRBM)]
    # The last class is crippled, so that the choice is known.
    grid = [
        {"cdrbm": classes[:2], "cdrbm__learning_rate": [0.1]},
        {"cdrbm": classes[2:], "cdrbm__learning_rate": [100.0]},
    ]
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=2).fit(bits)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert np.argmin(scores) == 2
    assert type(search.best_estimator_[-1]) is type(search.best_params_["cdrbm"]) is not RdmRBM
    assert search.best_score_ == scores.max()
    serial = GridSearchCV(pipeline, grid, cv=2).fit(bits)
    np.testing.assert_array_equal(serial.cv_results_["mean_test_score"], scores)


def test_features_for_a_classifier():
    X, y = load_digits(return_X_y=True)
    model = make_pipeline(
        PCDRBM(64, binarize=8, n_iter=30, random_state=0), LogisticRegression(max_iter=500)
    ).fit(X[:1200], y[:1200])
    # One class in ten is chance; raw pixels reach about 0.9 on this split.
    assert model.score(X[1200:], y[1200:]) > 0.85


# -- what X may be -----------------------------------------------------------------------------


def test_sparse_equals_dense_bit_for_bit(estimator_class, bits):
    sparse = sp.csr_array(bits)
    dense_model = estimator_class(4, n_iter=3, random_state=0).fit(bits)
    sparse_model = estimator_class(4, n_iter=3, random_state=0).fit(sparse)
    assert_same_model(sparse_model, dense_model)
    for method in ("transform", "score_samples", "free_energy", "log_pseudolikelihood"):
        ours, theirs = (getattr(dense_model, method)(X) for X in (sparse, bits))
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(
        dense_model.gibbs(sparse, random_state=0), dense_model.gibbs(bits, random_state=0)
    )
    assert_same_model(sparse_model.partial_fit(sparse[:31]), dense_model.partial_fit(bits[:31]))


def test_mean_field_sparse_equals_dense(bits):
    greys = bits * 0.75
    models = [PCDRBM(4, n_iter=2, binarize=None, random_state=0) for _ in range(2)]
    assert_same_model(models[0].fit(sp.csr_matrix(greys)), models[1].fit(greys))


def test_sparse_is_never_made_dense_as_a_whole(estimator_class):
    """5000 x 4000 is 160 MB as float64, and 20 MB as bytes; its 20,000 ones are 160 kB."""
    X = sp.csr_array(sp.random(5000, 4000, density=1e-3, random_state=0))
    X.data[:] = 1.0
    model = estimator_class(1, n_iter=1, batch_size=50, random_state=0)

    def work():
        model.fit(X).transform(X)
        model.free_energy(X)

    work()  # so that no memory of the compiler is counted
    tracemalloc.start()
    try:
        work()
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.2, 1.0]])
def test_sparse_input_is_read_only(estimator_class, values):
    """What is below the threshold is dropped from a copy; memory maps are read-only."""
    X = sp.random(60, 20, density=0.3, format="csr", random_state=0)
    X.data[:] = np.resize(values, X.nnz)
    for array in (X.data, X.indices, X.indptr):
        array.setflags(write=False)
    before = X.toarray()
    model = estimator_class(3, n_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    model.transform(X)
    assert (X.toarray() == before).all() and X.nnz == len(X.data)
    dense = estimator_class(3, n_iter=1, random_state=0, binarize=0.5).fit(1.0 * (before > 0.5))
    np.testing.assert_array_equal(model.components_, dense.components_)


def test_codings_of_the_same_data_agree(estimator_class, bits):
    def fit(X):
        return estimator_class(4, n_iter=2, random_state=0).fit(X)

    reference = fit(bits)
    spins = 2 * bits - 1
    for X in (bits.astype(bool), bits.astype(int), bits.astype(np.uint8), spins, spins.astype(int)):
        model = fit(X)
        assert_same_model(model, reference)
        np.testing.assert_array_equal(model.score_samples(X), reference.score_samples(bits))
        low = X.min()
        for drawn in (
            model.sample(20, n_gibbs_steps=5, random_state=0),
            model.gibbs(X, random_state=0),
            model.conditional_sample(X.astype(float), random_state=0),
        ):
            assert set(np.unique(drawn)) == {low, 1}
    assert_same_model(fit(bits.tolist()), reference)
    assert_same_model(fit(pd.DataFrame(bits)), reference)


def test_imputed_means_follow_the_coding(bits):
    hole = bits.copy()
    hole[:, 3] = np.nan
    spins = PCDRBM(4, n_iter=5, random_state=0).fit(2 * bits - 1)
    binary = PCDRBM(4, n_iter=5, random_state=0).fit(bits)
    means = binary.impute(hole, n_gibbs_steps=20, random_state=0)
    np.testing.assert_array_equal(
        spins.impute(2 * hole - 1, n_gibbs_steps=20, random_state=0), 2 * means - 1
    )


def test_float32_is_kept(estimator_class, bits):
    model = estimator_class(4, n_iter=2, random_state=0).fit(bits.astype(np.float32))
    assert {a.dtype for a in parameters(model)} == {np.dtype(np.float32)}
    assert model.transform(bits).dtype == np.float32
    assert model.sample(random_state=0).dtype == np.float32
    assert model.score_samples(bits).dtype == np.float64
    double = estimator_class(4, n_iter=2, random_state=0).fit(bits)
    # Single precision draws other uniforms, so chains part; one epoch moves little.
    np.testing.assert_allclose(model.intercept_visible_, double.intercept_visible_, atol=0.5)
    assert model.partial_fit(bits).components_.dtype == np.float32


def test_binarize_is_a_threshold(bits, recwarn):
    reference = PCDRBM(4, n_iter=2, random_state=0).fit(bits)
    greys = np.where(bits, 9.0, 8.0)
    model = PCDRBM(4, n_iter=2, binarize=8, random_state=0).fit(greys)
    assert_same_model(model, reference)
    np.testing.assert_array_equal(model.transform(greys), reference.transform(bits))
    digits = load_digits().data
    PCDRBM(4, n_iter=1, binarize=8, random_state=0).fit(digits).transform(digits)
    assert not [w for w in recwarn if "binarised" in str(w.message)]


def test_mean_field_data_are_probabilities(bits):
    """binarize=None: binary data give the same model, greys give biases at the greys' log-odds."""
    strict = PCDRBM(4, n_iter=2, binarize=None, random_state=0).fit(bits)
    assert_same_model(strict, PCDRBM(4, n_iter=2, random_state=0).fit(bits))
    greys = 0.2 + 0.5 * bits
    model = PCDRBM(4, n_iter=0, binarize=None, random_state=0).fit(greys)
    np.testing.assert_allclose(model.visible_mean_, greys.mean(axis=0), rtol=1e-12)
    hidden = greys @ model.components_.T + model.intercept_hidden_
    np.testing.assert_allclose(model.transform(greys), 1 / (1 + np.exp(-hidden)), rtol=1e-12)


@pytest.mark.parametrize(
    "distort, said",
    [
        (lambda X: 3 * X, r"outside \[-1, 1\] \(3 in column \d+\)"),
        (lambda X: X - 4, r"outside \[-1, 1\] \(-4 in column \d+\)"),
        (lambda X: 0.3 + 0.5 * X, r"strictly between its codes \(0\.\d in column \d+\)"),
    ],
)
def test_odd_values_are_said_once_and_only_in_fit(bits, distort, said):
    X = distort(bits)
    model = PCDRBM(4, n_iter=3, random_state=0)
    with pytest.warns(UserWarning, match=said) as record:
        model.fit(X)
    assert len([w for w in record if "binarised" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.transform(X)
        model.score_samples(X)
        model.sample(2, X_init=X[:2])


def test_codes_that_would_be_merged_are_said(bits):
    with pytest.warns(UserWarning, match="mixes -1, 0 and 1"):
        PCDRBM(4, n_iter=1, random_state=0).fit(np.where(bits > 0, 1.0, -1.0) * (bits[::-1] > 0))


def test_data_on_another_scale_than_in_training_are_said(fitted, bits):
    with pytest.warns(UserWarning, match=r"outside \[-1, 1\]"):
        fitted.score_samples(16 * bits)


def test_display_computes_no_log_partition(bits, monkeypatch):
    """A notebook shows what it can list; that must not start annealing."""
    model = PCDRBM(4, n_iter=1, random_state=0).fit(bits)
    compute = PCDRBM._compute_log_partition
    monkeypatch.setattr(PCDRBM, "_compute_log_partition", None)
    assert "log_partition_" not in dir(model)
    assert "PCDRBM" in model._repr_html_()
    monkeypatch.setattr(PCDRBM, "_compute_log_partition", compute)
    assert model.log_partition_.value == model.log_partition().value
    assert "log_partition_" in dir(model)


def test_log_partition_of_very_wide_layers():
    """2^1100 states overflow a float: log Z goes to AIS, and exact says how long it would take."""
    model = PCDRBM.from_parameters(np.zeros((1100, 1100)), np.zeros(1100), np.zeros(1100))
    assert model.log_partition_.method == "ais"
    assert model.log_partition_.value == pytest.approx(2200 * np.log(2), rel=1e-12)
    with pytest.raises(ValueError, match=r"out of reach.* years on one core"):
        model.log_partition("exact")


def test_stderr_is_planned_for_given_temperatures(wide):
    result = wide.log_partition("ais", n_temperatures=20, target_stderr=0.02, random_state=0)
    assert result.n_temperatures == 20 and result.n_chains > 128
    assert result.stderr < 1.5 * 0.02


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_models_without_units_are_refused(shape):
    with pytest.raises(ValueError, match=r"must have shapes|n_components must be"):
        PCDRBM.from_parameters(np.zeros(shape), np.zeros(shape[1]), np.zeros(shape[0]))


def test_warm_start_takes_the_means_of_its_data(bits):
    model = PCDRBM(4, n_iter=1, warm_start=True, random_state=0).fit(bits)
    model.fit(1 - bits[:50])
    np.testing.assert_allclose(model.visible_mean_, 1 - bits[:50].mean(axis=0))


def test_number_of_chains_may_change(bits):
    model = PCDRBM(4, n_iter=1, n_chains=10, warm_start=True, random_state=0).fit(bits)
    assert model.set_params(n_chains=25).fit(bits).chains_.shape == (25, 16)
    assert model.set_params(n_chains=3).partial_fit(bits).chains_.shape == (3, 16)


def test_interrupted_call_is_undone(bits, monkeypatch):
    """Ctrl-C arrives when the kernel has moved the weights and nothing else has followed."""
    model = PCDRBM(4, n_iter=2, warm_start=True, random_state=0).fit(bits)
    before = pickle.dumps(model._state)

    def interrupted(layers, *_, **__):
        layers.up[...] = np.nan
        raise KeyboardInterrupt

    interrupted.compiled = lambda: True
    monkeypatch.setattr("skebm.criteria.contrastive.train", interrupted)
    for method in (model.partial_fit, model.set_params(verbose=0).fit):
        with pytest.raises(KeyboardInterrupt):
            method(bits)
        assert np.isfinite(model.components_).all()
        assert model._state.step == pickle.loads(before).step
        assert len(set(map(len, model.history_.values()))) == 1


def test_warnings_point_at_the_line_that_called(estimator_class, bits):
    for method in ("fit", "partial_fit"):
        with pytest.warns(UserWarning, match="outside") as record:
            getattr(estimator_class(4, random_state=0), method)(3 * bits)
        assert record[0].filename == __file__, method
    with pytest.warns(ConvergenceWarning, match="diverged") as record:
        estimator_class(4, learning_rate=1e308, random_state=0).fit(bits)
    assert record[0].filename == __file__


# -- likelihoods -------------------------------------------------------------------------------


def test_likelihood_of_a_large_model_is_its_free_energy_and_its_log_partition(wide):
    X = (np.random.default_rng(1).random((50, 784)) < 0.3).astype(np.float32)
    likelihoods = wide.score_samples(X)
    result = wide.log_partition_
    assert result.method == "ais" and result.converged and result.stderr > 0
    np.testing.assert_array_equal(likelihoods, -wide.free_energy(X) - result.value)
    np.testing.assert_array_equal(wide.score_samples(X), likelihoods)
    assert wide.score(X) == likelihoods.mean()
    assert wide.log_partition_ is result


def test_kept_log_partition_is_dropped_when_parameters_change(bits):
    model = PCDRBM(4, n_iter=2, random_state=0).fit(bits)
    first = model.log_partition_
    assert model.log_partition_ is first
    model.components_ += 0.5
    second = model.log_partition_
    assert second.value > first.value + 0.1
    model.intercept_hidden_ = model.intercept_hidden_ + 1.0
    third = model.log_partition_
    assert third.value > second.value + 0.1
    model.partial_fit(bits)
    assert model.log_partition_ is not third
    assert model.fit(bits).log_partition_.value == first.value
    assert model.log_partition_ is not first


def test_log_partition_is_computed_afresh(fitted):
    estimates = [fitted.log_partition("ais", random_state=seed) for seed in (0, 0, 1, None, None)]
    values = [estimate.value for estimate in estimates]
    assert values[0] == values[1]
    assert len(set(values)) == 4
    assert fitted.log_partition_.method == "exact"


def test_exact_and_annealed_log_partition_agree():
    """24 hidden units; 5.5 standard errors (alpha 4e-8) of at most 0.02 nats: detects 0.15."""
    truth = make_rbm(1, n_features=20, n_components=24, scale=0.5, random_state=3)
    model = PCDRBM.from_parameters(
        truth.components, truth.intercept_visible, truth.intercept_hidden
    )
    exact = model.log_partition("exact")
    assert abs(exact.value - truth.log_partition) < 1e-9
    assert exact.stderr == 0 and exact.lower == exact.upper == exact.value == float(exact)
    annealed = model.log_partition("ais", target_stderr=0.02, random_state=0)
    assert annealed.converged and 0 < annealed.stderr < 0.022
    assert abs(annealed.value - exact.value) < 5.5 * annealed.stderr


# -- learning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [1, 2, 9, 10, 11, 37, 150])
def test_partial_fit_takes_any_number_of_rows(estimator_class, bits, n_rows):
    model = estimator_class(4, random_state=0)
    assert model.partial_fit(bits[:n_rows]) is model
    assert model.partial_fit(bits[-n_rows:]) is model
    assert all(np.isfinite(a).all() for a in parameters(model))
    assert model.n_iter_ == 0


def test_partial_fit_keeps_its_chains(bits):
    model = PCDRBM(8, n_gibbs_steps=1, n_iter=60, n_chains=7, random_state=0).fit(bits)
    assert model.chains_.shape == (7, 16)
    other = copy.deepcopy(model)
    other.chains_[:] = 1 - other.chains_
    model.partial_fit(bits[:10])
    other.partial_fit(bits[:10])
    assert not np.array_equal(model.components_, other.components_)


def test_partial_fit_goes_on_from_given_parameters(estimator_class, bits):
    truth = make_rbm(1, n_features=16, n_components=4, random_state=5)
    arrays = truth.components, truth.intercept_visible, truth.intercept_hidden
    model = estimator_class.from_parameters(*arrays, learning_rate=1e-9, random_state=0)
    model.partial_fit(bits)
    for ours, given in zip(parameters(model), arrays):
        np.testing.assert_allclose(ours, given, rtol=0, atol=1e-6)
        assert not np.array_equal(ours, given)


def test_parameters_set_by_hand_are_learned_on_from(estimator_class, bits):
    model = estimator_class(4, learning_rate=1e-9, random_state=0).partial_fit(bits)
    model.components_ = model.components_ + 1.0
    expected = model.components_.copy()
    model.partial_fit(bits)
    np.testing.assert_allclose(model.components_, expected, rtol=0, atol=1e-6)


def test_warm_start_goes_on(estimator_class, bits):
    model = estimator_class(4, n_iter=5, warm_start=True, random_state=0).fit(bits)
    first, weights = model.history_, model.components_.copy()
    model.fit(bits)
    assert model.n_iter_ == 10
    for name, values in model.history_.items():
        assert values.shape == (10,)
        np.testing.assert_array_equal(values[:5], first[name])
    assert not np.array_equal(model.components_, weights)
    cold = model.set_params(warm_start=False).fit(bits)
    np.testing.assert_array_equal(cold.components_, weights)
    assert cold.n_iter_ == 5


def test_no_epochs_leave_independent_units(estimator_class, bits):
    model = estimator_class(4, n_iter=0, random_state=0).fit(bits)
    assert model.n_iter_ == 0 and all(len(v) == 0 for v in model.history_.values())
    rate = np.clip(bits.mean(axis=0), 1 / 152, 151 / 152)
    np.testing.assert_allclose(model.intercept_visible_, np.log(rate / (1 - rate)), rtol=1e-12)
    independent = (bits * np.log(rate) + (1 - bits) * np.log(1 - rate)).sum(axis=1)
    # Initial weights have standard deviation 0.01.
    np.testing.assert_allclose(model.score_samples(bits), independent, rtol=0, atol=0.3)


def test_history_holds_one_entry_per_epoch(estimator_class, bits):
    model = estimator_class(4, n_iter=6, learning_rate=0.02, random_state=0).fit(bits)
    chains = "n_gibbs_steps" in model.get_params()
    names = {"learning_rate", "log_pseudolikelihood", "reconstruction_error", "weight_norm"}
    assert set(model.history_) == names | ({"free_energy_gap"} if chains else set())
    for values in model.history_.values():
        assert values.shape == (6,) and values.dtype == np.float64 and np.isfinite(values).all()
    assert model.history_["learning_rate"][0] == 0.02
    assert model.history_["learning_rate"][-1] < 0.001
    np.testing.assert_allclose(
        model.history_["weight_norm"][-1], np.linalg.norm(model.components_), rtol=1e-12
    )
    few = estimator_class(4, n_iter=6, random_state=0).fit(bits[:16])  # all of them are measured
    np.testing.assert_allclose(
        few.history_["log_pseudolikelihood"][-1],
        few.log_pseudolikelihood(bits[:16]).mean(),
        rtol=1e-12,
    )
    if chains:
        gap = few.free_energy(few._state.chains).mean() - few.free_energy(bits[:16]).mean()
        np.testing.assert_allclose(few.history_["free_energy_gap"][-1], gap, atol=1e-10)
    visible = expit(few.transform(bits[:16]) @ few.components_ + few.intercept_visible_)
    error = np.square(bits[:16] - visible).sum(axis=1).mean()
    np.testing.assert_allclose(few.history_["reconstruction_error"][-1], error, rtol=1e-10)


def test_verbose_prints_a_line_per_epoch_and_changes_no_bit(estimator_class, bits, capsys):
    quiet = estimator_class(4, n_iter=3, random_state=0).fit(bits)
    assert capsys.readouterr().out == ""
    loud = estimator_class(4, n_iter=3, verbose=True, random_state=0).fit(bits)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"[{estimator_class.__name__}] epoch {epoch}/3" for epoch in (1, 2, 3)
    ]
    assert_same_model(loud, quiet)


def test_rows_of_weight_zero_are_left_out(estimator_class, bits):
    weights = np.random.default_rng(0).random(150) * (np.arange(150) % 3 > 0)
    whole = estimator_class(4, n_iter=2, random_state=0).fit(bits, sample_weight=weights)
    rest = estimator_class(4, n_iter=2, random_state=0)
    rest.fit(bits[weights > 0], sample_weight=weights[weights > 0])
    assert_same_model(whole, rest)
    sparse = estimator_class(4, n_iter=2, random_state=0)
    assert_same_model(sparse.fit(sp.csr_array(bits), sample_weight=weights), rest)
    ones = estimator_class(4, n_iter=2, random_state=0).fit(bits, sample_weight=np.full(150, 3.0))
    assert_same_model(ones, estimator_class(4, n_iter=2, random_state=0).fit(bits))


def test_weights_equal_repetitions_on_one_full_batch(bits):
    """Persistent chains see no data, so a full batch makes both updates the same but rounding."""
    counts = np.arange(50) % 4
    repeated = np.repeat(bits[:50], counts, axis=0)
    settings = {"n_iter": 1, "learning_rate": 0.5, "n_chains": 20, "random_state": 0}
    weighted = PCDRBM(4, batch_size=200, **settings).fit(bits[:50], sample_weight=counts)
    longer = PCDRBM(4, batch_size=200, **settings).fit(repeated)
    for a, b in zip(parameters(weighted), parameters(longer)):
        np.testing.assert_allclose(a, b, rtol=0, atol=0.05)
    # Clipping of the marginals depends on the number of rows; without it they agree closely.
    start = parameters(longer)
    updates = []
    for X, weight in ((bits[:50], counts), (repeated, None)):
        model = PCDRBM.from_parameters(*start, batch_size=200, **settings)
        model.partial_fit(X, sample_weight=weight)
        updates.append(parameters(model))
    assert np.abs(updates[0][0] - start[0]).max() > 1e-3
    for a, b in zip(*updates):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-2)


@pytest.mark.parametrize("rate, dtype", [(1e300, np.float64), (1e308, float), (1e30, np.float32)])
def test_divergence_warns_and_keeps_finite_parameters(estimator_class, bits, rate, dtype):
    model = estimator_class(4, n_iter=3, learning_rate=rate, random_state=0)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(bits.astype(dtype))
    assert [w.category for w in record] == [ConvergenceWarning]
    assert "learning_rate" in str(record[0].message)
    assert all(np.isfinite(a).all() for a in parameters(model))
    assert np.isfinite(model.transform(bits)).all()
    assert model.n_iter_ == len(model.history_["weight_norm"]) <= 3
    recovered = model.set_params(learning_rate=0.1).fit(bits)
    assert recovered.n_iter_ == 3 and np.isfinite(recovered.score(bits))


# -- chains ------------------------------------------------------------------------------------


def test_shapes_and_seeds_of_what_is_drawn(fitted, bits):
    hole = np.where(np.arange(16) % 5, bits, np.nan)
    draws = {
        "sample": lambda seed: fitted.sample(150, n_gibbs_steps=3, random_state=seed),
        "X_init": lambda seed: fitted.sample(X_init=bits, n_gibbs_steps=3, random_state=seed),
        "gibbs": lambda seed: fitted.gibbs(bits, random_state=seed),
        "conditional_sample": lambda seed: fitted.conditional_sample(
            hole, n_gibbs_steps=3, random_state=seed
        ),
        "impute": lambda seed: fitted.impute(hole, n_gibbs_steps=3, random_state=seed),
    }
    for name, draw in draws.items():
        first, again, other, unseeded = draw(0), draw(0), draw(1), draw(None)
        assert first.shape == (150, 16), name
        np.testing.assert_array_equal(first, again)
        for different in (other, unseeded):
            assert not np.array_equal(first, different), name
        if name != "impute":
            assert set(np.unique(first)) <= {0, 1}
    assert fitted.sample().shape == (1, 16)
    np.testing.assert_array_equal(
        draws["X_init"](0), fitted.gibbs(bits, n_gibbs_steps=3, random_state=0)
    )


def test_known_entries_stay_and_unknown_ones_are_filled(fitted, bits):
    unknown = np.random.default_rng(0).random(bits.shape) < 0.4
    hole = np.where(unknown, np.nan, bits)
    for filled in (
        fitted.conditional_sample(hole, n_gibbs_steps=5, random_state=0),
        fitted.impute(hole, n_gibbs_steps=5, random_state=0),
    ):
        np.testing.assert_array_equal(filled[~unknown], bits[~unknown])
        assert ((filled >= 0) & (filled <= 1)).all()
    means = fitted.impute(hole, n_gibbs_steps=5, random_state=0)
    assert ((means[unknown] > 0) & (means[unknown] < 1)).all()
    np.testing.assert_array_equal(fitted.impute(bits), bits)


def test_chains_start_where_they_are_told():
    """With saturated weights one step copies the start; from elsewhere it would not return."""
    identity = 60.0 * np.eye(6)
    model = PCDRBM.from_parameters(identity, np.full(6, -30.0), np.full(6, -30.0))
    X = np.eye(6)
    for drawn in (model.gibbs(X), model.sample(X_init=X, n_gibbs_steps=50)):
        np.testing.assert_array_equal(drawn, X)


@pytest.mark.parametrize(
    "shapes",
    [[(3,), (4,), (3,)], [(3, 4), (3,), (4,)], [(3, 4), (4,), (4,)], [(3, 4), (4, 1), (3,)]],
)
def test_from_parameters_refuses_shapes_that_do_not_fit(estimator_class, shapes):
    with pytest.raises(ValueError, match="must have shapes"):
        estimator_class.from_parameters(*map(np.zeros, shapes))


@pytest.mark.parametrize("position", range(3))
def test_from_parameters_refuses_what_is_not_finite(estimator_class, position):
    arrays = [np.zeros((3, 4)), np.zeros(4), np.zeros(3)]
    arrays[position].flat[1] = np.nan
    name = ("components", "intercept_visible", "intercept_hidden")[position]
    with pytest.raises(ValueError, match=f"^{name} must be finite"):
        estimator_class.from_parameters(*arrays)
