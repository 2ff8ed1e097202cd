"""Score matching of precision matrices from a covariance: the minimum, however it is reached."""

import tracemalloc

import numba
import numpy as np
import pytest
import reference

from skebm.criteria import _covariance_form, score_matching
from skebm.criteria._covariance_form import CovarianceForm
from skebm.criteria._definite_form import minimise_definite
from skebm.criteria._pairs import Pairs
from skebm.criteria._residual_form import ResidualForm
from skebm.criteria._support import Support
from skebm.criteria.score_matching import largest_penalty, minimise, path


def covariance(p, n, seed=0, shared=0.5):
    """Correlations of n rows of p columns that have something in common."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + shared * rng.normal(size=(n, 1)) * rng.choice([-1, 1], p)
    return np.corrcoef(X.T)


def ridged(S, ridge):
    return S + ridge * np.eye(len(S))


AR4 = 0.5 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
SCALED = np.diag([1.0, 2.0, 0.5, 3.0]) @ AR4 @ np.diag([1.0, 2.0, 0.5, 3.0])


def tridiagonal(diagonal, neighbours):
    return np.diag(diagonal) + np.diag(neighbours, 1) + np.diag(neighbours, -1)


# Solved by other code to ten digits: covariance, penalty, ridge, objective, precision.
SOLVED = [
    (AR4, 0.05, 0.0, -2.81, tridiagonal([1.3, 1.6, 1.6, 1.3], [-0.6] * 3)),
    (AR4, 0.1, 0.0, -2.64, tridiagonal(
        [1.2666666667, 1.5333333333, 1.5333333333, 1.2666666667], [-0.5333333333] * 3)),
    (AR4, 0.1, 0.2, -1.9617910026, tridiagonal(
        [0.9637064000, 1.0912817613, 1.0912817613, 0.9637064000],
        [-0.3128953599, -0.3061808672, -0.3128953599])),
    (SCALED, 0.1, 0.0, -4.0080092445, tridiagonal(
        [1.28, 0.3954901961, 6.4546899841, 0.1457457457],
        [-0.28, -0.6039215686, -0.4156156156])),
]  # fmt: skip


@pytest.mark.parametrize("S, penalty, ridge, objective, expected", SOLVED)
@pytest.mark.parametrize("crowded", [0.0, 2.0])
def test_known_solutions(monkeypatch, S, penalty, ridge, objective, expected, crowded):
    monkeypatch.setattr(_covariance_form, "CROWDED", crowded)
    solution, _ = minimise(CovarianceForm(ridged(S, ridge)), penalty, tol=1e-12)
    assert abs(solution.objective - objective) < 1e-9
    np.testing.assert_allclose(solution.pairs.toarray(), expected, atol=1e-9)


@pytest.mark.parametrize("crowded", [0.0, 2.0])
@pytest.mark.parametrize("penalty, ridge", [(0.2, 0.0), (0.05, 0.3), (0.02, 0.0)])
def test_the_slow_twin_agrees(monkeypatch, crowded, penalty, ridge):
    """Lists of pairs and tiles of the whole reach what entry after entry reaches."""
    monkeypatch.setattr(_covariance_form, "CROWDED", crowded)
    S = covariance(7, 40)
    penalties = np.full((7, 7), penalty)
    expected = reference.score_matching_descent(S, penalties, ridge)
    solution, _ = minimise(CovarianceForm(ridged(S, ridge)), penalty, tol=1e-11)
    np.testing.assert_allclose(solution.pairs.toarray(), expected, atol=1e-9)
    objective = reference.score_matching_objective(expected, S, penalties, ridge)
    assert abs(solution.objective - objective) < 1e-10


@pytest.mark.parametrize("crowded", [0.0, 2.0])
def test_weights_of_penalties(monkeypatch, crowded):
    """Weights multiply penalties, 0 sets pairs free and infinity keeps them out."""
    monkeypatch.setattr(_covariance_form, "CROWDED", crowded)
    S = covariance(6, 30)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, (6, 6))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    weights[0, 1] = weights[1, 0] = 0.0
    weights[2, 3] = weights[3, 2] = np.inf
    solution, _ = minimise(CovarianceForm(S, weights), 0.1, tol=1e-11)
    expected = reference.score_matching_descent(S, 0.1 * weights)
    np.testing.assert_allclose(solution.pairs.toarray(), expected, atol=1e-9)
    assert expected[2, 3] == 0 and expected[0, 1] != 0


@pytest.mark.parametrize("p, n, penalty", [(70, 300, 0.15), (150, 100, 0.3), (150, 100, 0.2)])
def test_conditions_for_the_minimum(p, n, penalty):
    """Over more than one tile, more variables than rows, with few pairs and with many."""
    S = covariance(p, n)
    solution, _ = minimise(CovarianceForm(S), penalty, tol=1e-7)
    K = solution.pairs.toarray()
    G = 0.5 * (K @ S + S @ K) - np.eye(p)
    held = (K != 0) & ~np.eye(p, dtype=bool)
    violation = max(
        np.abs(G.diagonal()).max(),
        np.abs(G + penalty * np.sign(K))[held].max(),
        (np.abs(G) - penalty)[K == 0].max(),
    )
    assert violation <= 1e-7 and abs(violation - solution.kkt) < 1e-9
    assert len(solution.pairs) == held.sum() / 2


def test_a_path_is_its_single_solutions():
    S = covariance(80, 200)
    form = CovarianceForm(S)
    top = largest_penalty(form)
    assert abs(top - np.abs(S - np.eye(80)).max()) < 1e-12
    penalties = np.geomspace(top, 0.1 * top, 8)
    solutions = list(path(form, penalties, tol=1e-9))
    assert len(solutions[0].pairs) == 0
    np.testing.assert_allclose(solutions[0].pairs.diagonal, 1.0)
    for penalty, solution in zip(penalties, solutions, strict=True):
        alone, _ = minimise(form, penalty, tol=1e-9)
        np.testing.assert_allclose(solution.pairs.toarray(), alone.pairs.toarray(), atol=1e-6)
    assert len(minimise(form, 0.999 * top)[0].pairs) == 1


def test_largest_penalty_with_weights():
    """The largest slope in units of its weight, where pairs that are free are learned."""
    S = covariance(9, 30)
    weights = np.random.default_rng(2).uniform(0.2, 3.0, (9, 9))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    weights[0, 1:3] = weights[1:3, 0] = 0.0, np.inf
    kept = np.isfinite(weights) & (weights > 0)
    K = reference.score_matching_descent(S, np.where(weights > 0, 1e6, 0.0))
    assert np.count_nonzero(np.triu(K, 1)) == 1
    expected = (np.abs(K @ S + S @ K)[kept] / weights[kept]).max() / 2.0
    assert abs(largest_penalty(CovarianceForm(S, weights)) - expected) < 1e-7


@pytest.mark.parametrize("rows", [False, True])
def test_largest_penalty_beside_pairs_that_are_free(rows):
    """These are learned first, however large, and what they explain is no slope of others."""
    S = np.eye(5)
    S[0, 1] = S[1, 0] = 0.9
    S[2, 3] = S[3, 2] = 0.1
    S[0, 4] = S[4, 0] = 0.3
    S[1, 4] = S[4, 1] = 0.27  # all of it by way of variable 0
    weights = np.ones((5, 5)) - np.eye(5)
    weights[0, 1] = weights[1, 0] = weights[0, 4] = weights[4, 0] = 0.0
    if rows:
        X = np.sqrt(5) * np.linalg.cholesky(S).T
        form = ResidualForm(X, Support.of("real", 5), weights=weights, assume_centered=True)
    else:
        form = CovarianceForm(S, weights)
    found = largest_penalty(form)
    assert abs(found - 0.1) < 1e-6
    for penalty, edges in ((1.0001 * found, 2), (0.999 * found, 3)):
        assert len(minimise(form, penalty, tol=1e-9)[0].pairs) == edges
    weights[0, 1:] = weights[1:, 0] = 1.0
    weights[2, 3] = weights[3, 2] = 0.01
    assert abs(largest_penalty(CovarianceForm(S, weights)) - 10.0) < 1e-6
    assert largest_penalty(CovarianceForm(S, np.zeros((5, 5)))) == 0.0
    weights[:] = np.inf
    assert largest_penalty(CovarianceForm(S, weights)) == 0.0


def test_largest_penalty_where_free_pairs_have_no_minimum():
    S = covariance(6, 4)
    weights = np.zeros((6, 6))
    weights[0, 1] = weights[1, 0] = 1.0
    assert np.isfinite(largest_penalty(CovarianceForm(S, weights)))


def test_a_start_that_leads_nowhere_is_left():
    """A solution at a penalty that has a minimum, from where one at a smaller one was given up."""
    form = CovarianceForm(np.corrcoef(np.random.default_rng(0).normal(size=(10, 30)).T))
    lost = minimise(form, 0.001)[0]
    expected = minimise(form, 0.6)[0]
    assert lost.diverged and not expected.diverged
    for found in (minimise(form, 0.6, start=lost.pairs)[0], *path(form, [0.6], start=lost.pairs)):
        assert not found.diverged and found.kkt <= 1e-6
        np.testing.assert_allclose(found.pairs.toarray(), expected.pairs.toarray(), atol=1e-5)


def test_many_neighbours_take_little_memory():
    """Lists of pairs, of which there are few, grow as cubes of the variables; tiles do not."""
    p = 1100
    S = np.full((p, p), 0.0)
    S[:72, 72:] = 0.02 * np.random.default_rng(0).choice([-1, 1], (72, p - 72))
    S += S.T + np.eye(p)
    form = CovarianceForm(S)
    tracemalloc.start()
    try:
        solution = minimise(form, 0.01, tol=1e-3)[0]
        pairs = solution.pairs
        assert solution.kkt <= 1e-3 and 0.1 < len(pairs) / (p**2 / 2) < _covariance_form.CROWDED
        assert tracemalloc.get_traced_memory()[1] < 15 * 8 * p**2
    finally:
        tracemalloc.stop()


def test_descent_that_is_slow_takes_long_steps():
    """Nearly collinear columns: 300 sweeps alone would miss the conditions by a thousand times."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 12)) + 0.05 * rng.normal(size=(60, 12))
    form = CovarianceForm(np.corrcoef(X.T))
    solution, _ = minimise(form, 1e-3, tol=1e-8, max_iter=20_000)
    assert solution.kkt <= 1e-8 and solution.n_iter < 5000


def test_a_loss_without_a_minimum_is_noticed():
    rng = np.random.default_rng(0)
    S = np.corrcoef(rng.normal(size=(4, 12)).T)
    solution, _ = minimise(CovarianceForm(S), 0.01, max_iter=100_000)
    assert solution.diverged and np.isfinite(solution.pairs.toarray()).all()


@pytest.mark.parametrize("crowded", [0.0, 2.0])
def test_threads_and_calls_change_no_bit(monkeypatch, crowded):
    monkeypatch.setattr(_covariance_form, "CROWDED", crowded)
    S = covariance(200, 150)
    expected = minimise(CovarianceForm(S), 0.3)[0].pairs.toarray()
    monkeypatch.setattr(_covariance_form, "_WORTH_SHARING", 0)
    monkeypatch.setattr(_covariance_form, "PARALLEL_FLOPS", 0)
    monkeypatch.setattr(_covariance_form, "FLOPS_PER_CALL", 1e5)
    before = numba.get_num_threads()
    try:
        for n_threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(n_threads)
            again = minimise(CovarianceForm(S), 0.3)[0].pairs.toarray()
            np.testing.assert_array_equal(again, expected)
    finally:
        numba.set_num_threads(before)


def test_a_definite_minimum():
    """Where the minimum is not positive definite: that among those which are, by another method.

    The set is convex, so that no point of it on the way to a better one may be lower.
    """
    rng = np.random.default_rng(8)
    S = np.corrcoef((rng.normal(size=(9, 7)) @ rng.normal(size=(7, 7))).T)
    weights = np.where(rng.random((7, 7)) < 0.4, np.inf, 1.0)
    weights = np.maximum(weights, weights.T)
    form = CovarianceForm(S, weights)
    free = minimise(form, 0.01, tol=1e-10)[0].pairs.toarray()
    assert np.linalg.eigvalsh(free)[0] < -0.01
    found = minimise_definite(form, 0.01, free, floor=0.05, tol=1e-9, max_iter=20_000)
    K = found.pairs.toarray()
    assert abs(np.linalg.eigvalsh(K)[0] - 0.05) < 1e-6
    assert (K[np.isinf(weights) & ~np.eye(7, dtype=bool)] == 0).all()
    slopes = 0.5 * (K @ S + S @ K) - np.eye(7)
    for seed in range(200):
        A = np.random.default_rng(seed).normal(size=(7, 7)) * np.isfinite(weights)
        other = A + A.T
        np.fill_diagonal(other, 1.0)
        other += np.eye(7) * max(0.0, 0.05 - np.linalg.eigvalsh(other)[0])
        ahead = (slopes * (other - K)).sum() + 0.01 * (
            np.abs(other).sum() - np.abs(other).trace() - np.abs(K).sum() + np.abs(K).trace()
        )
        assert ahead > -1e-5


def test_pairs():
    K = np.diag([1.0, 2.0, 3.0, 4.0])
    K[0, 3] = K[3, 0] = 0.5
    K[1, 2] = K[2, 1] = -0.5
    pairs = Pairs.of_matrix(K)
    np.testing.assert_array_equal(pairs.toarray(), K)
    np.testing.assert_array_equal(pairs.tocsr().toarray(), K)
    wider = pairs.widened(np.array([1, 3, 7]))  # pairs (0, 1), (0, 3) and (1, 3)
    assert list(wider.keys) == [1, 3, 6, 7] and len(wider.narrowed()) == 2
    np.testing.assert_array_equal(wider.toarray(), K)
    for i in range(4):
        others = wider.other[wider.start[i] : wider.start[i + 1]]
        assert list(others) == sorted(others)
        np.testing.assert_array_equal(
            wider.value[wider.start[i] : wider.start[i + 1]], K[i, others]
        )


def test_what_the_strong_rule_misses_is_found(monkeypatch):
    """A rule that names nobody costs time, not edges."""
    monkeypatch.setattr(score_matching, "_near", lambda penalty, later: penalty)
    form = CovarianceForm(covariance(60, 80))
    penalties = np.geomspace(0.6, 0.2, 4)
    for penalty, solution in zip(penalties, path(form, penalties, tol=1e-8)):
        alone, _ = minimise(form, penalty, tol=1e-8)
        np.testing.assert_allclose(solution.pairs.toarray(), alone.pairs.toarray(), atol=1e-6)
