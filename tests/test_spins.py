"""Losses of conditionals: terms, passes, second-order models, and the two ways to minimise them."""

import numpy as np
import pytest
import reference
from compiled import called
from scipy.optimize import check_grad, minimize

from skebm._rows import Rows
from skebm.criteria import _spin_losses, inverse_ising, spins
from skebm.criteria._smooth import minimise_smooth
from skebm.criteria._sparse import minimise_sparse
from skebm.criteria.spins import LOSSES, ConditionalLoss, SpinSample

NAMES = tuple(LOSSES)

# logRISE is a criterion of each conditional alone.
KINDS = [
    (loss, joint) for loss in NAMES for joint in (True, False) if (loss, joint) != ("logrise", True)
]


def sample_of(n=300, p=5, seed=0, missing=0.0):
    """Dependent spins (n, p), weights (n,): three blocks of rows, the last one ragged."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 2)) @ rng.normal(size=(2, p))
    spins = np.where(hidden + rng.normal(size=(n, p)) > 0, 1, -1).astype(np.int8)
    spins[rng.random((n, p)) < missing] = 0
    return spins, rng.random(n) * 3.0


def coefficients(p, scale=0.5, seed=1):
    C = np.random.default_rng(seed).normal(0.0, scale, (p, p + 1))
    C[np.arange(p), np.arange(p)] = 0.0
    return C


def problem_of(loss, *, joint=False, penalize_field=False, mask=None, **data):
    spins, weights = sample_of(**data)
    p = spins.shape[1]
    allowed = np.ones((p, p + 1), bool) if mask is None else mask.copy()
    allowed[np.arange(p), np.arange(p)] = False
    return inverse_ising.inverse_problem(
        SpinSample(spins, weights, allowed[:, :-1]), loss, allowed=allowed, joint=joint,
        penalize_field=penalize_field,
    )  # fmt: skip


# -- one term ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", NAMES[:3])
def test_terms_are_the_loss_and_its_derivatives(loss):
    terms = called(_spin_losses.loss_terms)
    for t in np.linspace(-3.0, 3.0, 25):
        value, slope, curvature = terms(LOSSES[loss], t, 0.0)
        f = lambda x: reference.flip_loss(loss, x)  # noqa: E731
        assert value == pytest.approx(f(t), rel=1e-13)
        assert slope == pytest.approx((f(t + 1e-5) - f(t - 1e-5)) / 2e-5, rel=1e-8, abs=1e-9)
        if loss == "ratio_matching":
            flip = reference.sigmoid(-2.0 * t)
            assert curvature == pytest.approx(8.0 * (flip * (1.0 - flip)) ** 2, rel=1e-12)
        else:
            second = (f(t + 1e-4) - 2.0 * f(t) + f(t - 1e-4)) / 1e-8
            assert curvature == pytest.approx(second, rel=1e-5, abs=1e-6)


def test_terms_are_stable_at_any_t():
    terms = called(_spin_losses.loss_terms)
    assert terms(LOSSES["pseudolikelihood"], -1e6, 0.0) == (
        2e6,
        -2.0,
        pytest.approx(0.0, abs=1e-300),
    )
    assert terms(LOSSES["pseudolikelihood"], 1e6, 0.0)[0] == pytest.approx(0.0, abs=1e-300)
    assert terms(LOSSES["ratio_matching"], -1e6, 0.0)[:1] == (1.0,)
    assert terms(LOSSES["ratio_matching"], 1e6, 0.0)[0] == pytest.approx(0.0, abs=1e-300)
    assert np.isfinite(terms(LOSSES["rise"], -1e6, 0.0)).all()
    assert terms(LOSSES["rise"], -1e6, 1e6)[0] == 1.0


@pytest.mark.parametrize("loss", NAMES[:2])
def test_terms_stay_in_single_precision(loss):
    terms = called(_spin_losses.loss_terms)
    for t in np.linspace(-30.0, 30.0, 301):
        coarse = terms(LOSSES[loss], np.float32(t), np.float32(0.0))
        exact = terms(LOSSES[loss], np.float64(np.float32(t)), 0.0)
        np.testing.assert_allclose(coarse, exact, rtol=1e-6, atol=1e-30)


# -- all conditionals --------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("loss", NAMES[:2])
def test_coarse_passes_are_the_same_but_for_rounding(loss, missing):
    sample, C = SpinSample(*sample_of(missing=missing)), coefficients(5)
    function = ConditionalLoss(sample, LOSSES[loss])
    fine, coarse = function(C), function(C, np.float32)
    assert (coarse.values != fine.values).any()
    np.testing.assert_allclose(coarse.values, fine.values, rtol=1e-6)
    np.testing.assert_allclose(coarse.slopes, fine.slopes, atol=1e-6)


@pytest.mark.parametrize("loss", NAMES[:2])
def test_without_couplings_moments_tell_everything(loss):
    function = ConditionalLoss(SpinSample(*sample_of()), LOSSES[loss])
    C = coefficients(5)
    C[:, :-1] = 0.0
    fine, coarse = function(C), function(C, np.float32)
    np.testing.assert_allclose(coarse.values, fine.values, rtol=1e-6)
    np.testing.assert_allclose(coarse.slopes, fine.slopes, atol=1e-6)


def test_only_losses_that_cannot_overflow_are_coarse(monkeypatch):
    sample = SpinSample(*sample_of())
    assert all(ConditionalLoss(sample, loss).coarse is np.float64 for loss in LOSSES.values())
    monkeypatch.setattr(spins, "_WORTHWHILE", 0.0)
    chosen = {name: ConditionalLoss(sample, loss).coarse for name, loss in LOSSES.items()}
    assert [name for name in NAMES if chosen[name] is np.float32] == list(NAMES[:2])


def test_logrise_is_finite_where_every_loss_is_next_to_nothing():
    sample = SpinSample(np.array([[1, 1], [-1, -1]], np.int8), np.ones(2))
    values, slopes = ConditionalLoss(sample, LOSSES["logrise"])(
        np.array([[0, 800.0, 0], [800, 0, 0]])
    )
    np.testing.assert_allclose(values, -800.0)
    np.testing.assert_allclose(slopes[[0, 1], [1, 0]], -1.0)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("loss", NAMES)
def test_losses_agree_with_loops(loss, missing):
    spins, weights = sample_of(missing=missing)
    C = coefficients(5)
    evaluation = ConditionalLoss(SpinSample(spins, weights), LOSSES[loss])(C)
    expected = reference.conditional_losses(loss, spins.tolist(), weights.tolist(), C.tolist())
    np.testing.assert_allclose(evaluation.values, expected, rtol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("loss", NAMES)
def test_slopes_are_derivatives(loss, missing):
    spins, weights = sample_of(missing=missing)
    function, free = ConditionalLoss(SpinSample(spins, weights), LOSSES[loss]), coefficients(5) != 0

    def at(x):
        C = np.zeros((5, 6))
        C[free] = x
        return C

    x = coefficients(5)[free]
    error = check_grad(
        lambda x: function(at(x)).values.sum(),
        lambda x: function(at(x)).slopes[free],
        x,
        epsilon=1e-6,
    )
    assert error < 1e-4 * np.linalg.norm(function(at(x)).slopes[free])
    assert (function(at(x)).slopes[~free] == 0).all()


def test_a_row_leaves_only_the_conditionals_that_need_it():
    """A chain of spins: what is missing in one concerns it and its two neighbours."""
    spins, weights = sample_of(p=5)
    chain = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) == 1
    C = coefficients(5) * np.pad(chain, ((0, 0), (0, 1)), constant_values=True)
    whole = ConditionalLoss(SpinSample(spins, weights, chain), 0)(C).values
    spins[:40, 0] = 0
    holed = ConditionalLoss(SpinSample(spins, weights, chain), 0)(C).values
    np.testing.assert_allclose(holed[2:], whole[2:], rtol=1e-13)
    rest = ConditionalLoss(SpinSample(spins[40:], weights[40:], chain), 0)(C).values
    np.testing.assert_allclose(holed[:2], rest[:2], rtol=1e-13)


@pytest.mark.parametrize("loss", ["rise", "logrise"])
def test_large_coefficients_overflow_nowhere(loss):
    spins, weights = sample_of()
    with np.errstate(over="raise", invalid="raise"):
        found = ConditionalLoss(SpinSample(spins, weights), LOSSES[loss])(400.0 * coefficients(5))
    if loss == "logrise":
        C = 400.0 * coefficients(5)
        t = spins * (spins @ C[:, :-1].T + C[:, -1])
        expected = np.log(weights @ np.exp(-t - (-t).max(axis=0)) / weights.sum()) + (-t).max(
            axis=0
        )
        np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert not np.isnan(found.values).any()


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("loss", ["pseudolikelihood", "rise"])
def test_curvatures_are_second_derivatives(loss, missing):
    spins, weights = sample_of(missing=missing)
    function, C = ConditionalLoss(SpinSample(spins, weights), LOSSES[loss]), coefficients(5)
    found, step = function.curvatures(C), 1e-5
    for i in range(5):
        for j in range(6):
            if j == i:
                continue
            up, down = C.copy(), C.copy()
            up[i, j] += step
            down[i, j] -= step
            column = (function(up).slopes[i] - function(down).slopes[i]) / (2 * step)
            free = np.arange(6) != i
            np.testing.assert_allclose(found[i, free, j], column[free], rtol=2e-4, atol=2e-5)


def test_curvatures_of_some_rows_are_near():
    spins, weights = sample_of(n=6000)
    function = ConditionalLoss(SpinSample(spins, weights), 0)
    some, every = (function.curvatures(coefficients(5), n) for n in (2000, None))
    assert 0 < np.abs(some - every).max() < 0.2 * np.abs(every).max()


# -- minima ------------------------------------------------------------------------------------


def by_scipy(problem):
    """The minimum by L-BFGS over the free entries of a problem without L1, to 1e-9."""
    p = len(problem.allowed)
    free = np.argwhere(problem.allowed)
    if problem.joint:
        free = free[(free[:, 1] == p) | (free[:, 0] < free[:, 1])]

    def at(x):
        C = np.zeros((p, p + 1))
        C[free[:, 0], free[:, 1]] = x
        if problem.joint:
            C[:, :-1] += C[:, :-1].T
        return C

    def function(x):
        C = at(x)
        values, slopes = problem.loss(C)
        total = slopes + problem.ridge * problem.penalised * C
        gradient = total[free[:, 0], free[:, 1]].copy()
        if problem.joint:
            inner = free[:, 1] < p
            gradient[inner] += total[free[inner, 1], free[inner, 0]]
        return values.sum() + problem.penalty(C).sum(), gradient

    options = {"maxiter": 5000, "maxfun": 50000, "ftol": 0.0, "gtol": 1e-9}
    found = minimize(function, np.zeros(len(free)), jac=True, method="L-BFGS-B", options=options)
    return at(found.x)


@pytest.mark.parametrize(("loss", "joint"), KINDS)
@pytest.mark.parametrize("penalize_field", [True, False])
def test_both_solvers_find_the_minimum_of_scipy(loss, joint, penalize_field):
    problem = problem_of(loss, joint=joint, penalize_field=penalize_field, p=6).at(0.02, 0.0)
    expected = by_scipy(problem)
    for solver in (minimise_smooth, minimise_sparse):
        found = solver(problem, problem.start(), 1e-9, 500)
        assert found.residual <= 1e-9
        np.testing.assert_allclose(found.C, expected, atol=2e-7)


@pytest.mark.parametrize("tol", [1e-3, 1e-9])
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("loss", NAMES[:2])
def test_a_coarse_search_ends_in_full_precision(loss, joint, tol, monkeypatch):
    monkeypatch.setattr(spins, "_WORTHWHILE", 0.0)
    problem = problem_of(loss, joint=joint, p=6).at(0.02, 0.0)
    found = minimise_smooth(problem, problem.start(), tol, 500)
    exact = problem.at_point(found.C)
    assert found.residual <= tol
    np.testing.assert_array_equal(found.point.values, exact.values)
    np.testing.assert_array_equal(found.point.slopes, exact.slopes)
    if tol < 1e-6:
        np.testing.assert_allclose(found.C, by_scipy(problem), atol=2e-7)


def test_conditionals_alone_do_not_wait_for_each_other():
    """Without shared couplings, each is minimised as if the others were not there."""
    rows, weights = sample_of(p=6, n=2000)
    everything = ~np.eye(6, 7, dtype=bool)

    def steps(allowed):
        problem = inverse_ising.inverse_problem(
            SpinSample(rows, weights), "pseudolikelihood", allowed=allowed, joint=False,
            penalize_field=False,
        ).at(1e-5, 0.0)  # fmt: skip
        found = minimise_smooth(problem, problem.start(), 1e-9, 500)
        return found.n_iter, found.C

    hardest = max(steps(everything & (np.arange(6)[:, None] == i))[0] for i in range(6))
    assert steps(everything)[0] <= hardest + 1


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize(("loss", "joint"), KINDS)
def test_sparse_minima_satisfy_their_conditions(loss, joint, l1_ratio):
    """Subgradient conditions, checked with numerical derivatives of loops over rows."""
    problem = problem_of(loss, joint=joint, p=4, n=200).at(0.1, l1_ratio)
    found = minimise_sparse(problem, problem.start(), 1e-8, 100)
    spins, weights = sample_of(p=4, n=200)
    C, step = found.C, 1e-5
    if joint:
        np.testing.assert_array_equal(C[:, :-1], C[:, :-1].T)

    def slope(i, j):
        total = 0.0
        for sign in (1, -1):
            moved = C.copy()
            moved[i, j] += sign * step
            total += (
                sign
                * reference.conditional_losses(
                    loss, spins.tolist(), weights.tolist(), moved.tolist()
                )[i]
            )
        return total / (2 * step)

    zeros = 0
    for i in range(4):
        assert slope(i, 4) == pytest.approx(0.0, abs=1e-6)
        for j in range(i + 1, 4):
            for ends in [[(i, j), (j, i)]] if joint else [[(i, j)], [(j, i)]]:
                total = np.mean([slope(*end) for end in ends]) + 0.1 * (1 - l1_ratio) * C[ends[0]]
                if C[ends[0]] == 0:
                    zeros += 1
                    assert abs(total) <= 0.1 * l1_ratio + 1e-6
                else:
                    assert total == pytest.approx(-0.1 * l1_ratio * np.sign(C[ends[0]]), abs=1e-6)
    assert zeros < (6 if joint else 12)


def test_zeros_leave_the_working_sets():
    problem = problem_of("pseudolikelihood", p=6)
    dense = minimise_sparse(problem.at(1e-4, 1.0), problem.start(), 1e-7, 100).C
    cold = minimise_sparse(problem.at(0.1, 1.0), problem.start(), 1e-9, 100).C
    warm = minimise_sparse(problem.at(0.1, 1.0), dense, 1e-9, 100).C
    assert (dense[:, :-1] != 0).sum() > (warm[:, :-1] != 0).sum() > 0
    np.testing.assert_allclose(warm, cold, atol=1e-7)


def test_nothing_outside_the_mask_moves():
    mask = np.ones((5, 6), bool)
    mask[0, 1] = mask[1, 0] = mask[2, 4] = mask[4, 2] = False
    for loss in ("pseudolikelihood", "rise"):
        problem = problem_of(loss, joint=True, mask=mask).at(0.01, 0.0)
        for solver in (minimise_smooth, minimise_sparse):
            C = solver(problem, problem.start(), 1e-8, 200).C
            assert (C[~mask] == 0).all() and (C[mask & ~np.eye(5, 6, dtype=bool)] != 0).all()


def test_too_few_steps_are_reported():
    problem = problem_of("pseudolikelihood", p=6).at(1e-6, 0.0)
    found = minimise_smooth(problem, problem.start(), 1e-9, 1)
    assert found.n_iter == 1 and found.residual > 1e-9


def test_alpha_max_is_the_least_penalty_without_couplings():
    for joint in (True, False):
        problem = problem_of("pseudolikelihood", joint=joint, p=5)
        highest = inverse_ising.alpha_max(problem, 0.8)
        for factor, empty in ((1.001, True), (0.98, False)):
            C = minimise_sparse(problem.at(factor * highest, 0.8), problem.start(), 1e-8, 100).C
            assert (C[:, :-1] == 0).all() == empty


def test_a_path_is_single_fits():
    problem = problem_of("pseudolikelihood", joint=True, p=6)
    alphas = inverse_ising.penalties_of_path(problem, 1.0, 6)
    path = inverse_ising.follow_path(problem, alphas, 1.0, 1e-8, 200, 0.25)
    for alpha, solution, ebic in zip(alphas, path.solutions, path.ebic):
        single = minimise_sparse(problem.at(alpha, 1.0), problem.start(), 1e-8, 200)
        np.testing.assert_allclose(solution.C, single.C, atol=1e-6)
        n, k = problem.loss.sample.total, (single.C[:, :-1] != 0).sum(axis=1)
        expected = 2 * n * single.point.values + k * np.log(n) + 0.5 * k * np.log(5)
        np.testing.assert_allclose(ebic, expected, rtol=1e-6)


# -- equal rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [False, True])
def test_distinct_rows_are_those_of_numpy(missing):
    rng = np.random.default_rng(0)
    X = (rng.random((500, 5)) < 0.3).astype(float)
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    weights = rng.random(500)
    rows = Rows(X) if missing else Rows.binary(X, 0.5)
    found, summed = rows.distinct(weights)
    expected, inverse = np.unique(rows.spins(), axis=0, return_inverse=True)
    spins = found.spins()
    order = np.lexsort(spins.T[::-1])
    np.testing.assert_array_equal(spins[order], expected)
    np.testing.assert_allclose(summed[order], np.bincount(inverse.ravel(), weights), rtol=1e-13)


def test_mostly_distinct_rows_stay_as_they_are():
    X = np.random.default_rng(0).random((200, 60)) < 0.5
    rows, weights = Rows.binary(X, 0.5), np.ones(200)
    assert rows.distinct(weights) == (rows, weights)
