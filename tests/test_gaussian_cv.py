"""ScoreMatchingGaussianCV: paths, what is held out, and which penalty is taken."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from reference import held_out_score_matching_loss
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit

from skebm import ScoreMatchingGaussian, ScoreMatchingGaussianCV
from skebm.gaussian import _cv, _learning, _selection, _stability

CRITERIA = ("score_matching", "log_likelihood", "ebic", "stability")
CHAIN = np.eye(8) + 0.4 * (np.eye(8, k=1) + np.eye(8, k=-1))

pytestmark = pytest.mark.filterwarnings("ignore:.*is the smallest of the path:UserWarning")


@pytest.fixture(scope="module")
def X():
    """150 rows of a chain of eight variables with means and scales of their own."""
    scale = np.geomspace(0.1, 50.0, 8)
    truth = ScoreMatchingGaussian.from_parameters(CHAIN / np.outer(scale, scale), 3.0 * scale)
    X = truth.sample(150, random_state=0)
    X.flags.writeable = False
    return X


@pytest.fixture(scope="module")
def positive():
    K = 1.5 * np.eye(4) - 0.4 * (np.eye(4, k=1) + np.eye(4, k=-1))
    model = ScoreMatchingGaussian.from_parameters(K, np.full(4, 0.5), support="nonnegative")
    return model.sample(120, n_gibbs_steps=50, random_state=0)


def with_gaps(X, share=0.1):
    return np.where(np.random.default_rng(1).random(X.shape) < share, np.nan, X)


VARIANTS = {
    "plain": {},
    "ridge": {"ridge": 0.2, "assume_centered": True},
    "not scaled": {"standardize": False},
    "spearman": {"covariance": "spearman"},
    "kendall": {"covariance": "kendall", "standardize": False},
    "pairwise": {"missing": "pairwise"},
    "infinite bounds": {"support": (-np.inf, np.full(8, np.inf))},
    "rows": {},
    "rows, ridge": {"ridge": 0.2, "assume_centered": True},
    "nonnegative": {"support": "nonnegative"},
    "box": {"support": (0.0, 10.0), "h": "log1p", "assume_centered": True},
}


@pytest.fixture(params=VARIANTS)
def variant(request, X, positive, monkeypatch):
    """(data, parameters) of each way to learn."""
    name = request.param
    if name.startswith("rows"):
        monkeypatch.setattr(_learning, "MOST_KEPT", 3)
    bounded = name in ("nonnegative", "box")
    data = positive if bounded else with_gaps(X) if name == "pairwise" else X
    return name, data, VARIANTS[name]


# -- paths -------------------------------------------------------------------------------------


def test_the_path_is_that_of_single_fits(variant):
    _, data, params = variant
    model = ScoreMatchingGaussianCV(6, cv=3, tol=1e-9, **params).fit(data)
    assert len(model.path_) == len(model.alphas_) <= 6
    assert (np.diff(model.alphas_) < 0).all()
    for alpha, K, edges in zip(model.alphas_, model.path_, model.cv_results_["n_edges"]):
        single = ScoreMatchingGaussian(float(alpha), tol=1e-9, **params).fit(data)
        assert isinstance(K, sp.csr_array)
        scale = np.sqrt(np.outer(K.diagonal(), K.diagonal()))
        np.testing.assert_allclose(K.toarray() / scale, single.precision_ / scale, atol=1e-6)
        assert edges == np.count_nonzero(np.triu(K.toarray(), 1))
    assert model.cv_results_["n_edges"][0] == 0
    place = list(model.alphas_).index(model.alpha_)
    np.testing.assert_array_equal(model.precision_, model.path_[place].toarray())


def test_given_penalties_are_taken_as_they_are(X):
    alphas = pd.Series([0.05, 0.4, 0.2])
    model = ScoreMatchingGaussianCV(alphas).fit(X)
    assert model.alphas_.tolist() == [0.4, 0.2, 0.05]
    assert model.cv_results_["alphas"].tolist() == [0.4, 0.2, 0.05]


def test_spaced_penalties(X):
    model = ScoreMatchingGaussianCV(5).fit(X)
    top = np.abs(np.corrcoef(X.T) - np.eye(8)).max()
    np.testing.assert_allclose(model.alphas_, np.geomspace(top, top / 20, 5))
    assert ScoreMatchingGaussianCV(1).fit(X).n_edges_ == 0
    coarse = ScoreMatchingGaussianCV(5, tol=0.1 * top).fit(X).alphas_
    np.testing.assert_allclose(coarse, np.geomspace(top, top / 10, 5))


def test_a_path_ends_where_variables_have_many_neighbours(X, monkeypatch):
    monkeypatch.setattr(_selection, "_NEIGHBOURS", 3)
    full = ScoreMatchingGaussianCV(20, criterion="ebic")
    short = full.fit(X).cv_results_["n_edges"]
    assert len(short) < 20 and short[-1] > 12 and (short[:-1] <= 12).all()
    given = ScoreMatchingGaussianCV([0.3, 0.01, 0.005], criterion="ebic").fit(X)
    assert len(given.alphas_) == 3 and given.cv_results_["n_edges"][1] > 12


def test_weights_of_the_penalty(X):
    weights = np.ones((8, 8))
    weights[0, 1] = weights[1, 0] = 0.0
    weights[2, 3] = weights[3, 2] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = ScoreMatchingGaussianCV(6, alpha_weights=weights).fit(X)
    for alpha, K in zip(model.alphas_, model.path_):
        single = ScoreMatchingGaussian(float(alpha), alpha_weights=weights).fit(X)
        np.testing.assert_allclose(K.toarray(), single.precision_, rtol=1e-3, atol=1e-5)
    assert all(K[0, 1] != 0 and K[2, 3] == 0 for K in model.path_)
    assert model.cv_results_["n_edges"][0] == 1
    refitted = clone(model).set_params(refit=True).fit(X)
    assert refitted.precision_[2, 3] == 0.0 != refitted.precision_[0, 1]


def test_the_path_starts_beside_pairs_without_a_penalty(X):
    """However strong these are; beyond its first penalty there is nothing but them."""
    weights, R = np.ones((8, 8)), np.corrcoef(X.T)
    rows, columns = np.arange(7), np.arange(1, 8)
    weights[rows, columns] = weights[columns, rows] = 0.0  # the chain, all that is strong
    model = ScoreMatchingGaussianCV(6, alpha_weights=weights, tol=1e-8).fit(X)
    outside = np.where((weights == 0) | np.eye(8, dtype=bool), 0.0, np.inf)
    alone = ScoreMatchingGaussian(0.0, alpha_weights=outside, tol=1e-10).fit(X)
    M = (alone.precision_ * np.outer(alone.scale_, alone.scale_)) @ R
    top = np.abs(M + M.T)[(weights == 1) & ~np.eye(8, dtype=bool)].max() / 2.0
    assert model.alphas_[0] == pytest.approx(top, rel=1e-5)
    assert top < 0.5 * np.abs(R - np.eye(8)).max()
    assert model.cv_results_["n_edges"][0] == 7 < model.cv_results_["n_edges"][1]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_infinite_bounds_are_none(X, criterion):
    """Of data whose means are not 0: all that is known of the reals, to the bit."""
    bounds = (np.full(8, -np.inf), np.inf)
    real = ScoreMatchingGaussianCV(6, cv=3, criterion=criterion, random_state=0)
    other = clone(real).set_params(support=bounds)
    for data, params in ((X, {}), (with_gaps(X), {"missing": "pairwise"}), (X, {"alphas": [0.3]})):
        real.set_params(**params).fit(data), other.set_params(**params).fit(data)
        assert other.alpha_ == real.alpha_
        for name, expected in real.cv_results_.items():
            np.testing.assert_array_equal(other.cv_results_[name], expected)
        np.testing.assert_array_equal(other.precision_, real.precision_)
        assert other.log_partition_.value == real.log_partition_.value
        np.testing.assert_array_equal(
            other.sample(2, random_state=0), real.sample(2, random_state=0)
        )


def test_results_do_not_depend_on_scale(X):
    scale, order = np.geomspace(1e-3, 1e4, 8), np.array([3, 0, 7, 1, 2, 6, 4, 5])
    for criterion in CRITERIA:
        model = ScoreMatchingGaussianCV(8, criterion=criterion, random_state=0)
        one, two = clone(model).fit(X), model.fit((X * scale + 5.0)[:, order])
        np.testing.assert_allclose(two.alphas_, one.alphas_)
        assert two.alpha_ == pytest.approx(one.alpha_)
        expected = (one.precision_ / np.outer(scale, scale))[np.ix_(order, order)]
        size = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
        np.testing.assert_allclose(two.precision_ / size, expected / size, atol=1e-5)


# -- held-out rows -----------------------------------------------------------------------------


def test_held_out_loss_is_that_of_the_formula(X):
    """In the units of the rows that a model was learned from, with weights, and gaps."""
    weights = np.random.default_rng(2).integers(0, 4, len(X)).astype(float)
    for data, params in ((X, {}), (X, {"standardize": False}), (with_gaps(X), {})):
        params = {"missing": "pairwise", "tol": 1e-9, **params}
        model = ScoreMatchingGaussianCV([0.3, 0.1], cv=3, **params)
        model.fit(data, sample_weight=weights)
        for k, (train, test) in enumerate(KFold(3).split(data)):
            for a, alpha in enumerate(model.alphas_):
                fold = ScoreMatchingGaussian(float(alpha), **params)
                fold.fit(data[train], sample_weight=weights[train])
                loss = held_out_score_matching_loss(
                    fold.precision_ * np.outer(fold.scale_, fold.scale_), data[test],
                    weights[test], fold.location_, fold.scale_,
                )  # fmt: skip
                assert model.cv_results_[f"split{k}_test_score"][a] == pytest.approx(-loss)


@pytest.mark.parametrize(
    "variant",
    ["plain", "infinite bounds", "rows", "rows, ridge", "nonnegative", "box"],
    indirect=True,
)
def test_held_out_loss_is_that_of_a_model(variant):
    """Which also knows it inside bounds, where the location is learned."""
    _, data, params = variant
    model = ScoreMatchingGaussianCV(4, cv=3, tol=1e-9, **params).fit(data)
    for k, (train, test) in enumerate(KFold(3).split(data)):
        for alpha, score in zip(model.alphas_, model.cv_results_[f"split{k}_test_score"]):
            fold = ScoreMatchingGaussian(float(alpha), tol=1e-9, **params).fit(data[train])
            assert score == pytest.approx(-fold.score_matching_loss(data[test]), rel=1e-6)


def test_held_out_ranks_do_not_see_marginal_distributions(X):
    bent = np.exp(X / np.abs(X).max(axis=0))
    bent[:, 3] **= 9
    for covariance in ("spearman", "kendall"):
        for criterion in ("score_matching", "log_likelihood"):
            model = ScoreMatchingGaussianCV(5, covariance=covariance, criterion=criterion, cv=3)
            one, two = clone(model).fit(X), model.fit(bent)
            assert one.alpha_ == pytest.approx(two.alpha_)
            scores = [each.cv_results_["split1_test_score"] for each in (one, two)]
            np.testing.assert_allclose(np.diff(scores[0]), np.diff(scores[1]), atol=1e-5)


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("params", [{}, {"standardize": False}, {"ridge": 0.1}])
def test_likelihood_selects_as_a_search_does(X, params, refit):
    weights = np.random.default_rng(2).random(len(X))
    cv = ShuffleSplit(4, random_state=0)
    model = ScoreMatchingGaussianCV(5, criterion="log_likelihood", cv=cv, tol=1e-9, **params)
    if refit:
        alphas = model.fit(X).alphas_
        for train, test in cv.split(X):
            one = clone(model).set_params(alphas=alphas, refit=True, cv=[(train, test)]).fit(X)
            single = ScoreMatchingGaussian(one.alpha_, tol=1e-9, **params).fit(X[train])
            outside = np.where(single.precision_ == 0, np.inf, 0.0)
            again = ScoreMatchingGaussian(0.0, alpha_weights=outside, tol=1e-9, **params)
            best = one.cv_results_["mean_test_score"].max()
            assert best == pytest.approx(again.fit(X[train]).score(X[test]))
        return
    model.fit(X)
    grid = {"alpha": model.alphas_.tolist()}
    search = GridSearchCV(ScoreMatchingGaussian(tol=1e-9, **params), grid, cv=cv).fit(X)
    for name in ("split0_test_score", "mean_test_score", "std_test_score"):
        np.testing.assert_allclose(model.cv_results_[name], search.cv_results_[name], rtol=1e-6)
    assert model.alpha_ == search.best_params_["alpha"]
    np.testing.assert_allclose(model.precision_, search.best_estimator_.precision_, rtol=1e-5)
    weighted = model.fit(X, sample_weight=weights).cv_results_["mean_test_score"]
    assert not np.allclose(weighted, search.cv_results_["mean_test_score"])


def test_the_one_standard_error_rule(X):
    best = ScoreMatchingGaussianCV(20).fit(X)
    model = ScoreMatchingGaussianCV(20, one_se=True).fit(X)
    scores = np.array([model.cv_results_[f"split{k}_test_score"] for k in range(5)])
    mean = scores.mean(axis=0)
    limit = mean.max() - scores[:, mean.argmax()].std(ddof=1) / np.sqrt(5)
    assert model.alpha_ == model.alphas_[mean >= limit].max() > best.alpha_
    assert best.alpha_ == best.alphas_[mean.argmax()]
    single = ScoreMatchingGaussianCV(20, one_se=True, cv=ShuffleSplit(1, random_state=0)).fit(X)
    assert single.alpha_ == single.alphas_[single.cv_results_["mean_test_score"].argmax()]


def test_weights_are_copies_of_rows(X):
    """In both parts of a split, and where a weight is zero."""
    weights = np.random.default_rng(3).integers(0, 3, len(X))
    fold = np.arange(len(X)) % 3
    copied = np.repeat(fold, weights)
    splits = [[(np.flatnonzero(f != k), np.flatnonzero(f == k)) for k in range(3)]
              for f in (fold, copied)]  # fmt: skip
    for criterion in CRITERIA[:3]:
        model = ScoreMatchingGaussianCV(6, criterion=criterion, tol=1e-9)
        one = clone(model).set_params(cv=splits[0]).fit(X, sample_weight=weights)
        two = model.set_params(cv=splits[1]).fit(np.repeat(X, weights, axis=0))
        assert one.alpha_ == pytest.approx(two.alpha_)
        for name in one.cv_results_:
            np.testing.assert_allclose(one.cv_results_[name], two.cv_results_[name], rtol=1e-6)


# -- the model that is kept --------------------------------------------------------------------


def test_the_refit_has_the_graph_and_no_penalty(variant):
    name, data, params = variant
    alpha = 0.05 if name in ("nonnegative", "box") else 0.2
    model = ScoreMatchingGaussianCV([alpha], cv=3, refit=True, tol=1e-9, **params).fit(data)
    graph = model.path_[0].toarray() != 0
    np.testing.assert_array_equal(model.precision_ != 0, graph)
    outside = np.where(graph, 1.0, np.inf)
    other = ScoreMatchingGaussian(0.0, alpha_weights=outside, tol=1e-9, **params).fit(data)
    np.testing.assert_allclose(model.precision_, other.precision_, rtol=1e-5)
    np.testing.assert_allclose(model.location_, other.location_, rtol=1e-5)
    assert model.alpha_ == alpha and 0 < model.n_edges_ < len(graph) * (len(graph) - 1) / 2
    if name == "plain":  # the slope of the loss is zero where there is an edge
        W = model.precision_ * np.outer(data.std(axis=0), data.std(axis=0)) @ np.corrcoef(data.T)
        np.testing.assert_allclose((W + W.T)[graph], 2.0 * np.eye(8)[graph], atol=1e-7)
    if name in ("plain", "nonnegative"):
        errors = model.standard_errors().precision
        np.testing.assert_allclose(errors, other.standard_errors().precision, rtol=1e-4)


def test_refitted_models_are_what_is_judged(X):
    """Without the bias of the penalty fewer edges are the best."""
    plain = ScoreMatchingGaussianCV(20).fit(X)
    refitted = ScoreMatchingGaussianCV(20, refit=True).fit(X)
    assert 7 <= refitted.n_edges_ < plain.n_edges_


def test_precisions_that_are_not_definite():
    """A mask with which the minimum is no distribution."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(9, 7)) @ rng.normal(size=(7, 7))
    mask = np.where(rng.random((7, 7)) < 0.4, np.inf, 1.0)
    params = {"alpha_weights": np.maximum(mask, mask.T)}
    model = ScoreMatchingGaussianCV([0.01], cv=[(np.arange(9), np.arange(9))], **params)
    with pytest.warns(ConvergenceWarning, match="not positive definite") as caught:
        model.fit(X)
    assert sum(issubclass(each.category, ConvergenceWarning) for each in caught) == 1
    assert np.linalg.eigvalsh(model.precision_)[0] < 0
    for ensure_pd in ("ridge", "project"):
        fixed = clone(model).set_params(ensure_pd=ensure_pd).fit(X)
        single = ScoreMatchingGaussian(0.01, ensure_pd=ensure_pd, **params).fit(X)
        assert np.linalg.eigvalsh(fixed.precision_)[0] > 0
        np.testing.assert_allclose(fixed.precision_, single.precision_, rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(fixed.path_[0].toarray(), model.precision_)
    with pytest.warns(UserWarning, match="no alpha has a finite score in all splits"):
        with pytest.warns(ConvergenceWarning):
            model.set_params(criterion="log_likelihood").fit(X)
    assert model.cv_results_["mean_test_score"].tolist() == [-np.inf]
    with pytest.warns(UserWarning, match="no precision of the path is positive definite"):
        with pytest.warns(ConvergenceWarning):
            model.set_params(criterion="ebic").fit(X)
    assert model.cv_results_["ebic"].tolist() == [np.inf]


@pytest.mark.parametrize("ensure_pd", ["warn", "ridge", "project"])
def test_what_is_held_out_knows_nothing_of_ensure_pd(ensure_pd):
    """It is for the model that is kept; a search asks each of its models to be a density."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(9, 7)) @ rng.normal(size=(7, 7))
    mask = np.where(rng.random((7, 7)) < 0.4, np.inf, 1.0)
    params = {"alpha_weights": np.maximum(mask, mask.T), "ensure_pd": ensure_pd}
    cv = [(np.arange(9), np.arange(9))]
    model = ScoreMatchingGaussianCV([0.5, 0.01], criterion="log_likelihood", cv=cv, **params)
    scores = model.fit(X).cv_results_["mean_test_score"]
    assert scores[1] == -np.inf < scores[0] and model.alpha_ == 0.5
    if ensure_pd != "warn":
        search = GridSearchCV(ScoreMatchingGaussian(**params), {"alpha": [0.5, 0.01]}, cv=cv)
        assert np.isfinite(search.fit(X).cv_results_["mean_test_score"]).all()


def test_one_warning_names_penalties_that_have_no_minimum():
    """p > n: below some penalty the loss falls for ever; the path ends before."""
    X = np.random.default_rng(0).normal(size=(12, 30))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = ScoreMatchingGaussianCV([0.5, 0.3, 0.01, 1e-3], cv=3).fit(X)
    (message,) = [str(w.message) for w in caught if w.category is ConvergenceWarning]
    assert "no minimum at alpha = " in message and "all rows" in message
    assert 1 <= len(model.alphas_) == len(model.path_) < 4 and model.kkt_ <= 1e-6
    assert all(np.isfinite(K.data).all() for K in model.path_)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ScoreMatchingGaussianCV([0.3, 0.1], cv=3, max_iter=1).fit(X)
    (message,) = [str(w.message) for w in caught if w.category is ConvergenceWarning]
    assert "max_iter=1 sweeps" in message and "alpha = 0.3, 0.1 (all rows, split 0" in message


def test_penalties_without_a_model_of_some_subsample_are_not_stable():
    X = np.random.default_rng(0).normal(size=(12, 30))
    model = ScoreMatchingGaussianCV([0.9, 0.7, 0.6, 0.55, 0.5, 0.48], criterion="stability")
    model.set_params(n_subsamples=5, stability_threshold=0.4, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"no minimum at alpha = .* subsample \d"):
        model.fit(X)
    lost = model.cv_results_["instability"] == 0.5
    assert lost.any() and model.alpha_ > model.alphas_[lost].max()
    assert np.isfinite(model.precision_).all() and model.edge_stability_.max() > 0


# -- EBIC --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("refit", [False, True])
def test_ebic_is_that_of_the_formula(X, gamma, refit):
    params = {"criterion": "ebic", "refit": refit, "tol": 1e-9}
    model = ScoreMatchingGaussianCV(8, ebic_gamma=gamma, **params).fit(X)
    expected = []
    for K, edges in zip(model.path_, model.cv_results_["n_edges"]):
        outside = np.where(K.toarray() == 0, np.inf, 0.0)
        other = ScoreMatchingGaussian(0.0, alpha_weights=outside, tol=1e-9).fit(X)
        K = other.precision_ if refit else K.toarray()
        given = ScoreMatchingGaussian.from_parameters(K, X.mean(axis=0))
        price = edges * np.log(150) + 4 * gamma * edges * np.log(8)
        expected.append(-2 * given.score_samples(X).sum() + price)
    np.testing.assert_allclose(model.cv_results_["ebic"], expected, rtol=1e-6)
    assert model.alpha_ == model.alphas_[np.argmin(expected)]
    assert set(model.cv_results_) == {"alphas", "n_edges", "ebic", "log_likelihood"}


def test_ebic_finds_the_chain(X):
    model = ScoreMatchingGaussianCV(criterion="ebic", refit=True).fit(X)
    np.testing.assert_array_equal(np.triu(model.precision_, 1) != 0, np.triu(CHAIN, 1) != 0)


# -- stability ---------------------------------------------------------------------------------


def test_instability_is_that_of_the_formula(X):
    """From graphs of single fits to the same subsamples."""
    model = ScoreMatchingGaussianCV(6, criterion="stability", n_subsamples=5, random_state=0)
    model.fit(X)
    entropy, graphs = model._entropy, np.zeros((5, 6, 8, 8))
    for k in range(5):
        order = _stability.host_generator(entropy, _stability._SUBSAMPLES, k).permutation(150)
        rows = np.sort(order[: int(0.8 * 150)])
        for a, alpha in enumerate(model.alphas_):
            K = ScoreMatchingGaussian(float(alpha)).fit(X[rows]).precision_
            graphs[k, a] = (K != 0) & ~np.eye(8, dtype=bool)
    known = int(np.isfinite(model.cv_results_["instability"]).sum())
    share = graphs.mean(axis=0)
    instability = (2 * share * (1 - share)).sum(axis=(1, 2)) / 56
    total = [instability[: a + 1].max() for a in range(6)]
    for name, expected in (("instability", instability), ("total_instability", total)):
        found = model.cv_results_[name]
        np.testing.assert_allclose(found[:known], expected[:known], atol=1e-12)
        assert np.isnan(found[known:]).all()
    assert known == 6 or max(instability[:known]) > 0.05
    place = max(a for a in range(6) if total[a] <= 0.05)
    assert model.alpha_ == model.alphas_[place]
    np.testing.assert_allclose(model.edge_stability_, share[place])


def test_sizes_of_subsamples():
    assert [_stability.subsample_size(n) for n in (2, 100, 156, 157, 10_000)] == [
        1, 80, 124, 125, 1000
    ]  # fmt: skip


def test_stability_finds_the_graph():
    """Of 30 variables in a ring: all edges and hardly another one, for any number of threads."""
    K = np.eye(30) + 0.45 * (np.roll(np.eye(30), 1, 0) + np.roll(np.eye(30), -1, 0))
    X = ScoreMatchingGaussian.from_parameters(K, np.zeros(30)).sample(400, random_state=0)
    model = ScoreMatchingGaussianCV(10, criterion="stability", n_subsamples=10, n_jobs=1)
    model.set_params(random_state=3).fit(X)
    found, true = np.triu(model.precision_, 1) != 0, np.triu(K, 1) != 0
    assert found[true].mean() > 0.9 and true[found].mean() > 0.7
    assert model.edge_stability_[true].mean() > 0.9 > 0.1 > model.edge_stability_[K == 0].mean()
    assert (model.edge_stability_ == model.edge_stability_.T).all()
    other = clone(model).set_params(n_jobs=2).fit(X)
    for name in ("instability", "total_instability"):
        np.testing.assert_array_equal(model.cv_results_[name], other.cv_results_[name])
    np.testing.assert_array_equal(model.precision_, other.precision_)
    again = clone(model).set_params(random_state=4).fit(X)
    assert not np.array_equal(model.cv_results_["instability"], again.cv_results_["instability"])
    assert not hasattr(model.set_params(criterion="ebic").fit(X), "edge_stability_")


def test_nothing_is_stable_enough(X):
    model = ScoreMatchingGaussianCV([0.2, 0.1], criterion="stability", random_state=0)
    with pytest.warns(UserWarning, match="stability_threshold=1e-06, so that the largest"):
        model.set_params(stability_threshold=1e-6).fit(X)
    assert model.alpha_ == 0.2


@pytest.mark.filterwarnings("ignore:.*no alpha has an instability:UserWarning")
def test_every_way_to_learn_has_stable_graphs(variant):
    _, data, params = variant
    model = ScoreMatchingGaussianCV(4, criterion="stability", n_subsamples=4, **params)
    model.set_params(random_state=0).fit(data)
    assert model.cv_results_["total_instability"][0] <= 0.5
    assert model.edge_stability_.shape == model.precision_.shape


# -- input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"covariance": "precomputed"}, "covariance must be None, 'spearman' or 'kendall'"),
        ({"criterion": "aic"}, "criterion must be one of"),
        ({"criterion": "ebic", "support": "nonnegative"}, "criterion='ebic' is for support='real'"),
        ({"criterion": "log_likelihood", "support": (0, 9)}, "criterion='log_likelihood' is for"),
        ({"criterion": "ebic", "one_se": True}, "one_se=True is for criterion="),
        ({"criterion": "stability", "one_se": True}, "one_se=True is for criterion="),
        ({"alphas": 0}, "alphas must be"),
        ({"alphas": [0.1, 0.0]}, "alphas must be positive"),
        ({"alphas": [[0.1]]}, "alphas must be"),
        ({"cv": 1}, "cv must be"),
        ({"n_subsamples": 1}, "n_subsamples must be"),
        ({"stability_threshold": 0.6}, "stability_threshold must be"),
        ({"ebic_gamma": -1.0}, "ebic_gamma must be"),
        ({"support": "nonnegative", "covariance": "spearman"}, "covariance='spearman' is for"),
    ],
)
def test_wrong_parameters(positive, params, message):
    with pytest.raises(ValueError, match=message):
        ScoreMatchingGaussianCV(**params).fit(positive)


def test_splits_without_rows_are_named(X):
    weights = np.ones(150)
    weights[:30] = 0.0
    with pytest.raises(ValueError, match="in the held-out part of split 0, no row with a weight"):
        ScoreMatchingGaussianCV().fit(X, sample_weight=weights)
    with pytest.raises(ValueError, match="in split 1, no row with a weight"):
        rows = np.arange(150)
        cv = [(rows[30:], rows[30:]), (rows[:30], rows[30:])]
        ScoreMatchingGaussianCV(cv=cv).fit(X, sample_weight=weights)


def test_splits_with_too_many_gaps_are_named(X):
    gaps = X.copy()
    gaps[:30, 0] = gaps[30:60, 1] = gaps[2, 3] = np.nan
    model = ScoreMatchingGaussianCV(4, missing="pairwise")
    with pytest.raises(ValueError, match=r"held-out part of split 0, no held-out row knows both"):
        model.fit(gaps)
    assert model.set_params(criterion="ebic").fit(gaps).n_edges_ > 0


@pytest.mark.filterwarnings("ignore:.*no alpha has an instability:UserWarning")
def test_columns_that_are_constant_or_alone(X, positive):
    flat = X.copy()
    flat[:, 2] = 7.0
    with pytest.warns(UserWarning, match="constant columns .*: column 2"):
        model = ScoreMatchingGaussianCV(5).fit(flat)
    assert all(K[2, 2] == 1.0 and K[[2]].nnz == 1 for K in model.path_)
    flat = positive.copy()
    flat[:, 1] = 0.5
    for criterion in ("score_matching", "stability"):
        with pytest.warns(UserWarning, match="constant columns .*: column 1"):
            model = ScoreMatchingGaussianCV(4, criterion=criterion, support="nonnegative").fit(flat)
        assert all(K[[1]].nnz == 1 for K in model.path_)
    for criterion in CRITERIA:
        alone = ScoreMatchingGaussianCV(criterion=criterion).fit(X[:, :1])
        assert alone.n_edges_ == 0 and len(alone.alphas_) == 1
        assert alone.precision_[0, 0] == pytest.approx(1.0 / X[:, 0].var())


@pytest.mark.parametrize("criterion", CRITERIA)
def test_an_interrupted_fit_leaves_the_last_model(X, criterion, monkeypatch):
    model = ScoreMatchingGaussianCV(4, criterion=criterion, random_state=0).fit(X)
    before = pickle.dumps(model)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_cv, "in_data_units", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(n_jobs=1).fit(X[:50, :5])
    assert pickle.dumps(model.set_params(n_jobs=None)) == before


def test_it_is_a_model_as_any_other(X):
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    model = ScoreMatchingGaussianCV(6, random_state=0).fit(frame)
    assert list(model.feature_names_in_) == list("abcdefgh")
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.score_samples(frame), model.score_samples(frame))
    assert model.sample(3, random_state=0).shape == (3, 8)
    assert model.standard_errors().precision.shape == (8, 8)
    warm = clone(model).set_params(warm_start=True).fit(frame).fit(frame)
    np.testing.assert_allclose(warm.precision_, model.precision_, rtol=1e-4, atol=1e-5)
    given = ScoreMatchingGaussianCV.from_parameters(model.precision_, model.location_)
    np.testing.assert_allclose(given.score(X), model.score(frame))
