"""Errors, intervals and tests of Gaussian precisions: derivatives, closed forms, simulation."""

import math
import pickle

import numpy as np
import pytest
import reference
from reference import z_limit
from scipy import stats

from skebm import ScoreMatchingGaussian
from skebm.gaussian import _errors

UPPER5 = np.triu_indices(5)


def precision_of(p, seed=0, degree=3.0):
    """A random sparse precision matrix of variables with variance 1, some of them strong."""
    rng = np.random.default_rng(seed)
    pairs = np.triu(rng.random((p, p)) < degree / (p - 1), 1)
    K = np.where(pairs, rng.uniform(0.3, 0.6, (p, p)) * rng.choice([-1.0, 1.0], (p, p)), 0.0)
    K = K + K.T
    K += (0.5 - min(0.0, np.linalg.eigvalsh(K)[0])) * np.eye(p)
    deviation = np.sqrt(np.linalg.inv(K).diagonal())
    return K * np.outer(deviation, deviation)


def rows_of(K, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, len(K))) @ np.linalg.inv(np.linalg.cholesky(K))


def theory(p, n):
    return math.sqrt(math.log(p) / n)


def mean_and_error(values):
    values = np.asarray(values)
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


# -- the slow twin: derivatives by weights of rows ---------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_errors_are_those_of_the_derivatives(ridge, standardize, missing):
    """But for the factor n / (n - d); with gaps the mean is known, which else has a part in it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)) @ (np.eye(3) + 0.4 * rng.normal(size=(3, 3))) * [1.0, 5.0, 0.2]
    X[rng.random(X.shape) < missing] = np.nan
    weights, centred = rng.integers(1, 4, 50).astype(float), missing > 0
    model = ScoreMatchingGaussian(
        0.0, ridge=ridge, standardize=standardize, missing="pairwise", assume_centered=centred
    ).fit(X, sample_weight=weights)

    def estimate(weights):
        S = reference.covariance_of_pairs(X, weights, centred)
        return reference.ridge_inverse(S, ridge, standardize)

    np.testing.assert_allclose(model.precision_, estimate(weights), rtol=1e-9)
    expected = reference.infinitesimal_jackknife(estimate, weights)
    K, S = estimate(weights), reference.covariance_of_pairs(X, weights, centred)
    total = weights @ ~np.isnan(X)
    lost = 2 * (1 - (1 - (K @ S).diagonal()) ** 2) + (not centred)
    root = np.sqrt(total / (total - lost))
    expected *= np.sqrt(np.outer(root, root))
    np.testing.assert_allclose(model.standard_errors().precision, expected, rtol=1e-6)
    again = model.standard_errors(X, sample_weight=weights)
    np.testing.assert_array_equal(again.precision, model.standard_errors().precision)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_one_step_and_its_errors(missing):
    """2 K - K S K of an L1 fit, K held: the squared residuals scaled to the new diagonal."""
    X = rows_of(precision_of(4), 80) * [1.0, 3.0, 0.1, 1.0]
    X[np.random.default_rng(1).random(X.shape) < missing] = np.nan
    centred, weights = missing > 0, np.ones(80)
    model = ScoreMatchingGaussian(0.2, missing="pairwise", assume_centered=centred).fit(X)
    K = model.precision_
    assert 0 < model.n_edges_ < 6

    def estimate(weights):
        return 2 * K - K @ reference.covariance_of_pairs(X, weights, centred) @ K

    S, one_step = reference.covariance_of_pairs(X, weights, centred), estimate(weights)
    total = (~np.isnan(X)).sum(axis=0)
    free = total - (K != 0).sum(axis=1) + 1 - (not centred)
    shrunk = np.sqrt((free - 2) / total)
    gain = np.maximum(one_step.diagonal() / (K @ S @ K).diagonal(), 1.0) * total / free
    expected = reference.infinitesimal_jackknife(estimate, weights)
    expected *= np.sqrt(np.outer(gain, gain)) ** 0.5 * np.outer(shrunk, shrunk)
    np.testing.assert_allclose(model.standard_errors().precision, expected, rtol=1e-6)
    found = model.debiased_precision()
    np.testing.assert_allclose(found, one_step * np.outer(shrunk, shrunk), rtol=1e-9)


def test_adjusted_pvalues_are_the_twin():
    model = ScoreMatchingGaussian(0.05).fit(rows_of(precision_of(8), 60))
    result, upper = model.edge_pvalues(fdr=0.3), np.triu_indices(8, 1)
    expected = reference.false_discovery_adjusted(result.pvalues[upper].tolist())
    np.testing.assert_allclose(result.adjusted[upper], expected, rtol=1e-12)
    for values in (result.pvalues, result.adjusted):
        np.testing.assert_array_equal(values, values.T)
        assert np.isnan(values.diagonal()).all()
    graph = result.graph.toarray()
    assert 0 < np.count_nonzero(graph) < 56
    np.testing.assert_array_equal(graph != 0, result.adjusted <= 0.3)
    debiased = model.debiased_precision()
    np.testing.assert_array_equal(graph[graph != 0], debiased[graph != 0])
    assert model.edge_pvalues().graph is None


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_intervals_and_pvalues_agree(alpha):
    model = ScoreMatchingGaussian(alpha).fit(rows_of(precision_of(12), 90))
    pvalues = model.edge_pvalues().pvalues
    for level in (0.5, 0.95):
        found = model.edge_confidence_intervals(level)
        outside = (found.low > 0) | (found.high < 0)
        np.fill_diagonal(outside, False)
        np.testing.assert_array_equal(outside, pvalues < 1.0 - level)
        np.testing.assert_allclose((found.low + found.high) / 2.0, found.estimate, atol=1e-12)
    np.testing.assert_array_equal(found.estimate, model.debiased_precision())


# -- closed forms ------------------------------------------------------------------------------


def test_unpenalised_estimate_loses_its_bias():
    """(n - p - 2) / n times the inverse; a ridge alone does not matter, a known mean is one row."""
    X = rows_of(precision_of(5), 40)
    for ridge in (0.0, 0.2):
        model = ScoreMatchingGaussian(0.0, ridge=ridge).fit(X)
        expected = np.linalg.inv(np.cov(X.T, ddof=0)) * (40 - 5 - 2) / 40
        np.testing.assert_allclose(model.debiased_precision(), expected, rtol=1e-9)
    model = ScoreMatchingGaussian(0.0, assume_centered=True).fit(X)
    expected = np.linalg.inv(X.T @ X / 40) * (40 - 5 - 1) / 40
    np.testing.assert_allclose(model.debiased_precision(), expected, rtol=1e-9)
    assert (model.standard_errors().location == 0).all()


def test_pairs_of_two_variables():
    """p = 2: without a penalty the statistic is that of a correlation, by its fourth moments."""
    X = rows_of(precision_of(2, degree=1.0), 30)
    K = np.linalg.inv(np.cov(X.T, ddof=0))
    Z = (X - X.mean(axis=0)) @ K
    error = math.sqrt(np.var(Z[:, 0] * Z[:, 1]) / (30 - 2))
    model = ScoreMatchingGaussian(0.0).fit(X)
    errors = model.standard_errors()
    assert errors.precision[0, 1] == pytest.approx(error, rel=1e-9)
    np.testing.assert_allclose(errors.location, X.std(axis=0, ddof=1) / math.sqrt(30), rtol=1e-9)
    pvalue = 2 * stats.t.sf(abs(K[0, 1]) / error, 28)
    assert model.edge_pvalues().pvalues[0, 1] == pytest.approx(pvalue, rel=1e-6)


def test_variance_of_normal_data():
    """n var(K_ij) = K_ii K_jj + K_ij^2, of 2,000 estimates from 400 rows, and of the errors.

    The variance of 2,000 numbers has relative error 0.032, and p / n adds up to 3 %: with 15
    entries a deviation of 0.21 has rate 1e-6 by chance; errors of entries without K_ij^2 are off by
    0.29, those of the diagonal without its factor 2 by 0.5.
    """
    K, n = np.eye(5) + 0.5 * (np.eye(5, k=1) + np.eye(5, k=-1)), 400
    K[0, 1] = K[1, 0] = -0.65
    X = rows_of(K, 2000 * n).reshape(2000, n, 5)
    X = X - X.mean(axis=1, keepdims=True)
    inverses = np.linalg.inv(np.einsum("rni,rnj->rij", X, X) / n)
    expected = np.outer(K.diagonal(), K.diagonal()) + K**2
    assert (K**2 / expected)[0, 1] > 0.29
    ratio = n * (inverses * (n - 7) / n).var(axis=0) / expected
    assert abs(ratio[UPPER5] - 1).max() < 0.21
    errors = ScoreMatchingGaussian.from_parameters(K, np.zeros(5)).standard_errors(
        X.reshape(-1, 5)[:200_000]
    )
    found = 200_000 * errors.precision**2 / expected
    # Of z^4 for a normal z, 96 / 4 the relative variance of one term: 0.011 for this many.
    assert abs(found[UPPER5] - 1).max() < 0.011 * z_limit(15)


def test_student_quantiles():
    degrees = np.array([3.0, 17.5, 17.5, np.inf])
    found = _errors.student_quantile(0.9, degrees)
    np.testing.assert_allclose(found, [*stats.t.isf(0.05, degrees[:3]), stats.norm.isf(0.05)])
    both = _errors.two_sided(np.array([-1.5, 30.0]), np.array([4.0, 50.0]))
    np.testing.assert_allclose(both, 2 * stats.t.sf([1.5, 30.0], [4.0, 50.0]), rtol=1e-9)


# -- simulation --------------------------------------------------------------------------------


def shares_covered(K, fits, level=0.95):
    """Means over entries, of each fit, of intervals that cover the truth."""
    upper, shares = np.triu_indices(len(K), 1), []
    for model in fits:
        found = model.edge_confidence_intervals(level)
        shares.append(((found.low <= K) & (found.high >= K))[upper].mean())
    return mean_and_error(shares)


def test_coverage_without_a_penalty():
    """400 fits of 500 rows, 10 pairs each: 95 % +- 2 %, whose standard error is about 0.45 %.

    A false alarm has rate 1e-5; errors that are too small by a fifth (88 %) or too large by a
    fourth (98.5 %) are found but for one case in 10^3.
    """
    K = precision_of(5)
    X = rows_of(K, 400 * 500).reshape(400, 500, 5)
    share, error = shares_covered(K, (ScoreMatchingGaussian(0.0).fit(rows) for rows in X))
    assert error < 0.006
    assert abs(share - 0.95) < 0.02, share


@pytest.mark.parametrize(("n", "factor"), [(100, 1.0), (250, 1.0), (500, 0.25)])
def test_coverage_with_l1(n, factor):
    """16 fits to p = 50, 1,225 pairs each: 95 % +- 2 %, whose standard error is below 0.4 %.

    It is 96.5 %, 96.1 % and 94.7 % of more fits, with errors 0.15 % here, so that a false alarm
    has rate 1e-3 at n = 100 if seeds change, less at the others. Without the step more than a fifth
    of the edges are missed, which fails.
    """
    K = precision_of(50)
    X = rows_of(K, 16 * n, seed=2).reshape(16, n, 50)
    alpha = factor * theory(50, n)
    fits = [ScoreMatchingGaussian(alpha).fit(rows) for rows in X]
    share, error = shares_covered(K, fits)
    assert error < 0.004
    assert abs(share - 0.95) < 0.02, share
    edges = np.triu(K != 0, 1)
    covered, bare = [], []
    for model in fits:
        found, errors = model.edge_confidence_intervals(), model.standard_errors().precision
        covered.append(((found.low <= K) & (found.high >= K))[edges].mean())
        bare.append((abs(model.precision_ - K) < 1.96 * errors)[edges].mean())
    assert np.mean(covered) > 0.90
    assert factor < 1 or np.mean(bare) < 0.80


@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_errors_of_heavy_tails(alpha):
    """Student's t with 8 degrees of freedom: E z^2 = 1 with these errors, 1.5 with normal ones.

    300 fits of 1,000 rows of 4 variables: the mean of z^2 over 6 pairs has a standard error of
    about 0.04. At rate 1e-6 it fails for errors that are too small by a fifth.
    """
    K, n, rng = precision_of(4, degree=2.0), 1000, np.random.default_rng(5)
    X = rows_of(K, 300 * n, seed=4) * np.sqrt(6 / rng.chisquare(8, size=(300 * n, 1)))
    upper, robust, normal = np.triu_indices(4, 1), [], []
    for rows in X.reshape(300, n, 4):
        model = ScoreMatchingGaussian(alpha).fit(rows)
        estimate = model.debiased_precision()
        errors = (model.edge_confidence_intervals().high - estimate)[upper] / 1.962
        own = np.outer(estimate.diagonal(), estimate.diagonal()) + estimate**2
        robust.append((((estimate - K)[upper] / errors) ** 2).mean())
        normal.append((n * (estimate - K) ** 2 / own)[upper].mean())
    mean, error = mean_and_error(robust)
    assert abs(mean - 1) < z_limit() * error + 0.03, mean
    mean, error = mean_and_error(np.subtract(normal, robust))
    assert mean - z_limit() * error > 0.2, (mean, error)


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_false_discoveries(factor):
    """12 graphs of 60 variables, 300 rows: the mean false share is at most q and 4.75 errors.

    That has rate 1e-6 at a share of q; it is 0.08 here, and 0.15 or more is found by the second
    bound. Thresholds of 5 % for each pair by itself give a share of 0.5.
    """
    shares, power, unadjusted = [], [], []
    for seed in range(12):
        K = precision_of(60, seed=seed)
        model = ScoreMatchingGaussian(factor * theory(60, 300)).fit(rows_of(K, 300, seed=seed))
        truth = np.triu(K != 0, 1)
        result = model.edge_pvalues(fdr=0.1)
        found = np.triu(result.graph.toarray() != 0, 1)
        shares.append((found & ~truth).sum() / max(1, found.sum()))
        power.append((found & truth).sum() / truth.sum())
        each = np.triu(result.pvalues < 0.05, 1)
        unadjusted.append((each & ~truth).sum() / each.sum())
    mean, error = mean_and_error(shares)
    assert mean < 0.1 + stats.norm.isf(1e-6) * error, mean
    assert mean < 0.15 and np.mean(unadjusted) > 0.3
    assert np.mean(power) > (0.65 if factor else 0.45), np.mean(power)


def test_pvalues_of_independent_variables_are_uniform():
    """12 fits of p = 40 columns of noise: 9,360 p-values; their dependence is weak.

    The share below 0.05, 0.01 and 0.002 with binomial errors, each at rate 1e-6: between 3.9 % and
    6.1 % for the first.
    """
    X = np.random.default_rng(3).standard_t(12, size=(12, 400, 40))
    upper = np.triu_indices(40, 1)
    fits = [ScoreMatchingGaussian(theory(40, 400)).fit(rows) for rows in X]
    values = np.concatenate([model.edge_pvalues().pvalues[upper] for model in fits])
    for bound in (0.05, 0.01, 0.002):
        error = math.sqrt(bound * (1 - bound) / len(values))
        assert abs((values < bound).mean() - bound) < z_limit() * error, bound


# -- invariance --------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "ridge"), [(0.0, 0.0), (0.0, 0.2), (0.1, 0.0), (0.1, 0.1)])
def test_scales_orders_and_weights(alpha, ridge):
    X, rng = rows_of(precision_of(8), 100), np.random.default_rng(0)
    weights = rng.integers(0, 4, 100).astype(float)
    make = lambda **kw: ScoreMatchingGaussian(alpha, ridge=ridge, tol=1e-11, **kw)  # noqa: E731
    one = make().fit(X, sample_weight=weights)
    errors, debiased = one.standard_errors(), one.debiased_precision()
    pvalues = one.edge_pvalues().pvalues
    other = make().fit(np.repeat(X, weights.astype(int), axis=0))
    np.testing.assert_allclose(other.standard_errors().precision, errors.precision, rtol=1e-6)
    np.testing.assert_allclose(other.standard_errors().location, errors.location, rtol=1e-9)
    scale = 10.0 ** rng.integers(-5, 6, 8)
    scaled = make().fit(X * scale + 7.0 * scale, sample_weight=weights)
    factors, found = np.outer(scale, scale), scaled.standard_errors()
    np.testing.assert_allclose(found.precision * factors, errors.precision, rtol=1e-6)
    np.testing.assert_allclose(found.location / scale, errors.location, rtol=1e-6)
    found = scaled.debiased_precision() * factors
    np.testing.assert_allclose(found, debiased, rtol=1e-6, atol=1e-7)
    turned = make(n_jobs=2).fit(X[::-1, ::-1], sample_weight=weights[::-1])
    found = turned.edge_pvalues().pvalues[::-1, ::-1]
    np.testing.assert_allclose(found, pvalues, rtol=1e-4, atol=1e-9)


def test_errors_are_of_the_fit_whatever_is_set_afterwards():
    X = rows_of(precision_of(6), 100)
    for alpha, ridge in ((0.0, 0.2), (0.1, 0.1)):
        model = ScoreMatchingGaussian(alpha, ridge=ridge).fit(X)
        errors, pvalues = model.standard_errors().precision, model.edge_pvalues().pvalues
        model.set_params(
            alpha=0.5, ridge=3.0, standardize=False, assume_centered=True, support="nonnegative"
        )
        for same in (model, pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(same.standard_errors().precision, errors)
            np.testing.assert_array_equal(same.edge_pvalues().pvalues, pvalues)


def test_rows_that_change_afterwards():
    X, weights = rows_of(precision_of(6), 100), np.ones(100)
    model = ScoreMatchingGaussian(0.1).fit(X, sample_weight=weights)
    errors = model.standard_errors().precision
    X[:], weights[:] = 0.0, 9.0
    np.testing.assert_array_equal(model.standard_errors().precision, errors)


def test_rows_given_later():
    """A model from parameters or from a covariance is judged by the rows it came from."""
    X = rows_of(precision_of(6), 100)
    fitted = ScoreMatchingGaussian(0.0).fit(X)
    given = ScoreMatchingGaussian.from_parameters(fitted.precision_, fitted.location_)
    covariance = ScoreMatchingGaussian(0.0, covariance="precomputed").fit(np.cov(X.T, ddof=0))
    for model in (given, covariance):
        with pytest.raises(ValueError, match="standard_errors needs X, since the model was"):
            model.standard_errors()
        found, expected = model.standard_errors(X), fitted.standard_errors()
        np.testing.assert_allclose(found.precision, expected.precision, rtol=1e-9)
        np.testing.assert_allclose(found.location, expected.location, rtol=1e-9)
        np.testing.assert_allclose(
            model.edge_pvalues(None, X).pvalues, fitted.edge_pvalues().pvalues, rtol=1e-8
        )


def test_many_rows_in_blocks(monkeypatch):
    model = ScoreMatchingGaussian(0.1).fit(rows_of(precision_of(6), 100))
    errors = model.standard_errors().precision
    monkeypatch.setattr(_errors, "_BLOCK", 100)
    np.testing.assert_allclose(model.standard_errors().precision, errors, rtol=1e-12)


# -- what is special ---------------------------------------------------------------------------


def test_more_variables_than_rows():
    X = rows_of(precision_of(60), 40)
    model = ScoreMatchingGaussian(theory(60, 40)).fit(X)
    found = model.edge_confidence_intervals()
    assert np.isfinite(found.low).all() and (found.low < found.high).all()
    dense = ScoreMatchingGaussian(0.0, ridge=2.0).fit(X)
    assert np.isfinite(dense.standard_errors().precision).all()
    with pytest.raises(ValueError, match="edge_pvalues: the covariance of the rows has no inverse"):
        dense.edge_pvalues()
    few = ScoreMatchingGaussian(0.0).fit(X[:20, 4:22])
    with pytest.raises(ValueError, match="has 17 neighbours, too many for 20 rows"):
        few.standard_errors()


def test_constant_columns_have_no_errors():
    X = rows_of(precision_of(5), 80)
    expected = ScoreMatchingGaussian(0.1).fit(X)
    with pytest.warns(UserWarning, match="constant"):
        model = ScoreMatchingGaussian(0.1).fit(np.insert(X, 2, 4.0, axis=1))
    errors, keep = model.standard_errors(), np.array([0, 1, 3, 4, 5])
    assert np.isnan(errors.precision[2]).all() and np.isnan(errors.location[2])
    among = np.ix_(keep, keep)
    found = errors.precision[among]
    np.testing.assert_allclose(found, expected.standard_errors().precision, rtol=1e-6)
    assert np.isfinite(model.debiased_precision()).all()
    result, other = model.edge_pvalues(0.2), expected.edge_pvalues(0.2)
    np.testing.assert_allclose(result.adjusted[among], other.adjusted, rtol=1e-6)
    assert np.isnan(result.pvalues[2]).all() and result.graph.nnz == other.graph.nnz


def test_inside_bounds():
    """Intervals are around the estimate, with errors of the sandwich; zeros are certain."""
    K = np.array([[1.5, 0.4, 0.0], [0.4, 1.2, -0.3], [0.0, -0.3, 1.0]])
    truth = ScoreMatchingGaussian.from_parameters(K, [0.3, 0.5, 0.2], support="nonnegative")
    scale = np.array([1.0, 20.0, 0.1])
    X = truth.sample(3000, n_gibbs_steps=30, random_state=0) * scale
    model = ScoreMatchingGaussian(0.0, support="nonnegative").fit(X)
    found, errors = model.edge_confidence_intervals(0.99999), model.standard_errors()
    np.testing.assert_array_equal(found.estimate, model.precision_)
    np.testing.assert_allclose(
        found.high - found.low, 2 * stats.norm.isf(5e-6) * errors.precision, rtol=1e-9
    )
    true = K / np.outer(scale, scale)
    assert ((found.low < true) & (found.high > true)).all()
    assert (abs(model.location_ - [0.3, 10.0, 0.02]) < 4.5 * errors.location).all()
    assert np.argwhere(model.edge_pvalues(fdr=1e-3).graph.toarray()).tolist() == [
        [0, 1], [1, 0], [1, 2], [2, 1],
    ]  # fmt: skip
    again = model.standard_errors(X, sample_weight=np.ones(3000))
    np.testing.assert_allclose(again.precision, errors.precision, rtol=1e-12)
    W = np.zeros((3, 3))
    W[0, 2] = W[2, 0] = np.inf
    known = ScoreMatchingGaussian(0.1, support="nonnegative", alpha_weights=W).fit(X)
    assert known.standard_errors().precision[0, 2] == 0
    assert np.isnan(known.edge_pvalues().pvalues[0, 2])
    assert known.edge_pvalues().pvalues[0, 1] < 1e-3


def test_what_cannot_be_answered():
    X = abs(rows_of(precision_of(4), 60))
    model = ScoreMatchingGaussian(0.1).fit(X)
    for call, message in (
        (lambda: model.standard_errors(sample_weight=np.ones(60)), "sample_weight is of the rows"),
        (lambda: model.edge_confidence_intervals(1.0), "level must be a number > 0 and < 1"),
        (lambda: model.edge_pvalues(0.0), "fdr must be a number > 0 and < 1 or None"),
        (lambda: model.edge_pvalues(None, X[:, :3]), "3 features"),
        (lambda: model.edge_pvalues(None, np.where(X > 2, np.nan, X)), "missing='pairwise' takes"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="level"):
        model.edge_confidence_intervals("95%")
    ranks = ScoreMatchingGaussian(0.1, covariance="kendall").fit(X)
    with pytest.raises(ValueError, match="standard_errors is not known with covariance='kendall'"):
        ranks.standard_errors(X)
    inside = ScoreMatchingGaussian(0.1, support="nonnegative").fit(X)
    with pytest.raises(ValueError, match=r"inside bounds needs a fit without L1, got alpha=0\.1"):
        inside.standard_errors()
    inside = ScoreMatchingGaussian(0.0, ridge=0.1, support="nonnegative").fit(X)
    assert np.isfinite(inside.standard_errors().precision).all()
    with pytest.raises(ValueError, match="inside bounds needs a fit without a ridge"):
        inside.edge_pvalues()
    with pytest.raises(ValueError, match="X must lie between 0 and inf"):
        inside.standard_errors(-X)


def test_gaps_are_those_of_the_fit():
    """Whatever is set afterwards."""
    X = rows_of(precision_of(4), 60)
    X[0, 0] = np.nan
    model = ScoreMatchingGaussian(0.1, missing="pairwise").fit(X)
    expected = model.standard_errors(X).precision
    found = model.set_params(missing="raise").standard_errors(X).precision
    np.testing.assert_array_equal(found, expected)
    model.fit(X[1:]).set_params(missing="pairwise")
    with pytest.raises(ValueError, match="NaN in column 0"):
        model.standard_errors(X)


def test_gaps_that_cannot_be_answered():
    X = rows_of(precision_of(4), 60)
    gaps = X.copy()
    gaps[:30, 0], gaps[30:, 1] = np.nan, np.nan
    model = ScoreMatchingGaussian(0.1, missing="pairwise").fit(X)
    with pytest.raises(ValueError, match="no row where column 0 and column 1 are both known"):
        model.debiased_precision(gaps)
    gaps[:, 0] = np.nan
    with pytest.raises(ValueError, match="no known value in column 0"):
        model.debiased_precision(gaps)
    rng = np.random.default_rng(2)
    few = rng.normal(size=(8, 6))
    few[rng.random(few.shape) < 0.3] = np.nan
    with pytest.warns(UserWarning, match="negative eigenvalues"):
        model = ScoreMatchingGaussian(0.0, ridge=0.3, missing="pairwise").fit(few)
    with pytest.raises(ValueError, match="had negative eigenvalues and was repaired"):
        model.standard_errors(few[np.newaxis].repeat(9, axis=0).reshape(-1, 6))
