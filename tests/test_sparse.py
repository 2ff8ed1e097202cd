"""Working sets of sparse couplings: calls that let Ctrl-C through, and memory."""

import numpy as np
import pytest
from test_spins import KINDS, NAMES, problem_of

from skebm._jit import Kernel
from skebm.criteria import _shared, _sparse
from skebm.criteria._sparse import minimise_sparse


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize(("loss", "joint"), KINDS)
def test_bits_do_not_depend_on_how_calls_are_split(monkeypatch, loss, joint, missing):
    ran, call = [], Kernel.__call__

    def spy(self, *arguments, **options):
        ran.append(self.function.__name__)
        return call(self, *arguments, **options)

    def solution():
        ran.clear()
        problem = problem_of(loss, joint=joint, p=6, n=1100, missing=missing).at(0.02, 0.8)
        found = minimise_sparse(problem, problem.start(), 1e-8, 50)
        return found, {name: ran.count(name) for name in ("slope_nodes", "curve_nodes", sweeps)}

    sweeps = "descend_pairs" if joint else "descend_nodes"
    monkeypatch.setattr(Kernel, "__call__", spy)
    monkeypatch.setattr(_sparse, "_MANY", 2.0)
    expected, few = solution()
    monkeypatch.setattr(_sparse, "FLOPS_PER_CALL", 1e4)
    found, many = solution()
    assert many["slope_nodes"] >= 3 * few["slope_nodes"] and many[sweeps] >= 2 * few[sweeps]
    assert few["curve_nodes"] and many["curve_nodes"] >= 3 * few["curve_nodes"]
    np.testing.assert_array_equal(found.C, expected.C)
    np.testing.assert_array_equal(found.point.values, expected.point.values)
    assert found.n_iter == expected.n_iter


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("penalize_field", [True, False])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("loss", NAMES[:2])
def test_passes_alone_end_at_the_minimum_of_the_models(
    monkeypatch, loss, joint, l1_ratio, penalize_field, missing
):
    mask = np.ones((9, 10), bool)
    mask[0, 3] = mask[3, 0] = False
    problem = problem_of(
        loss, joint=joint, p=9, n=1100, missing=missing, penalize_field=penalize_field, mask=mask
    ).at(0.02, l1_ratio)  # fmt: skip
    start = problem.start()
    head = _sparse._head_start(problem, start, problem.allowed, 1e-9, 100)
    assert head.residual < 0.01 * problem.residuals(problem.at_point(start)).max()
    found = minimise_sparse(problem, start, 1e-9, 100, problem.allowed)
    monkeypatch.setattr(_sparse, "_MANY", 2.0)
    assert _sparse._head_start(problem, start, problem.allowed, 1e-9, 100) is None
    expected = minimise_sparse(problem, start, 1e-9, 100)
    assert max(found.residual, expected.residual) <= 1e-9
    np.testing.assert_allclose(found.C, expected.C, atol=1e-7)
    np.testing.assert_array_equal(found.C == 0, expected.C == 0)


def test_shared_steps_never_climb():
    """Strong couplings, where a curvature of weak ones is wrong, and a start far away."""
    problem = problem_of("pseudolikelihood", p=6, n=400).at(1e-4, 1.0)
    start = np.where(problem.allowed, 3.0, 0.0)
    heights = []
    for most in range(1, 25):
        point = _shared.approach(problem, start, 1e-9, most).point
        heights.append(point.values + problem.penalty(point.C))
    assert (np.diff(heights, axis=0) <= 1e-12).all() and (heights[0] > heights[-1]).all()


def test_one_conditional_of_many_rows_is_split(monkeypatch):
    """Calls of much work share their rows out, and leave each other some conditionals."""
    monkeypatch.setattr(_sparse, "FLOPS_PER_CALL", 2e7)
    which, flops = np.arange(40), np.full(40, 1e3)
    work = np.array(
        [(len(k), first, last) for k, first, last in _sparse._calls(which, flops, 9999)]
    )
    rows = work[:, 2] - work[:, 1]
    assert (work[:, 0] * rows * 1e3).max() <= 1.1e7 and work[:, 0].max() > 8
    assert (work[:, 0] * rows).sum() == 40 * 9999 and (work[:, 1] % _sparse.ROWS == 0).all()


# -- memory ------------------------------------------------------------------------------------


@pytest.fixture
def ways(monkeypatch):
    """Names of the ways that searches have gone, in their order; models first if they fit."""
    monkeypatch.setattr(_sparse, "_MANY", 2.0)
    found = []

    def watched(name):
        function = getattr(_sparse, name)

        def watch(*arguments):
            found.append(name)
            return function(*arguments)

        monkeypatch.setattr(_sparse, name, watch)

    for name in ("minimise_by_orthants", "_minimise_in_sets"):
        watched(name)
    return found


JOINT = [loss for loss, joint in KINDS if joint]


@pytest.mark.parametrize("penalize_field", [True, False])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("loss", JOINT)
def test_in_little_memory_minima_are_the_same(monkeypatch, ways, loss, l1_ratio, penalize_field):
    problem = problem_of(loss, joint=True, penalize_field=penalize_field, p=9, n=500)
    problem = problem.at(0.02, l1_ratio)
    expected = minimise_sparse(problem, problem.start(), 1e-9, 100)
    monkeypatch.setattr(_sparse, "_BYTES", 0)
    found = minimise_sparse(problem, problem.start(), 1e-9, 1000)
    assert ways == ["_minimise_in_sets", "minimise_by_orthants"]
    assert found.residual <= 1e-9 and found.residual == problem.residuals(found.point).max()
    np.testing.assert_allclose(found.C, expected.C, atol=1e-6)
    np.testing.assert_array_equal(found.C != 0, expected.C != 0)
    np.testing.assert_array_equal(found.C[:, :-1], found.C[:, :-1].T)


def test_models_take_over_where_they_fit(monkeypatch, ways):
    """From a dense start to few couplings, and from few to many."""
    problem = problem_of("pseudolikelihood", joint=True, p=9, n=500)
    sparse, dense = problem.at(0.2, 1.0), problem.at(0.005, 1.0)
    few, many = (minimise_sparse(each, each.start(), 1e-9, 100).C for each in (sparse, dense))
    room = (few != 0).sum(axis=1).max()
    assert room < (many != 0).sum(axis=1).max()
    monkeypatch.setattr(_sparse, "_BYTES", 4 * 9 * room**2)
    for each, start, expected, way in (
        (sparse, many, few, ["minimise_by_orthants", "_minimise_in_sets"]),
        (dense, few, many, ["_minimise_in_sets", "minimise_by_orthants"]),
    ):
        ways.clear()
        found = minimise_sparse(each, start, 1e-9, 1000)
        assert ways == way and found.residual <= 1e-9
        np.testing.assert_allclose(found.C, expected, atol=1e-6)


def test_suspects_join_where_they_fit(monkeypatch, ways):
    problem = problem_of("pseudolikelihood", joint=True, p=9, n=500).at(0.2, 1.0)
    expected = minimise_sparse(problem, problem.start(), 1e-9, 100)
    room = (expected.C != 0).sum(axis=1).max()
    monkeypatch.setattr(_sparse, "_BYTES", 4 * 9 * room**2)
    found = minimise_sparse(problem, expected.C, 1e-9, 100, np.ones((9, 10), bool))
    assert ways == ["_minimise_in_sets"] * 2 and found.n_iter == 1


def test_no_pass_too_many_is_made_in_little_memory(monkeypatch):
    problem = problem_of("rise", joint=True, p=9).at(0.001, 1.0)
    monkeypatch.setattr(_sparse, "_BYTES", 0)
    found = minimise_sparse(problem, problem.start(), 1e-12, 3)
    assert found.residual > 1e-12 and found.n_iter <= 4


def test_models_of_a_thousand_spins_fit_only_if_they_are_sparse():
    """At most half a gigabyte."""
    problem = problem_of("pseudolikelihood", joint=True, p=9)
    assert _sparse._BYTES <= 2**29
    active = np.zeros((1000, 1001), bool)
    active[:, :300] = True
    assert _sparse._fit(problem, active)
    active[0, :700] = True
    assert not _sparse._fit(problem, active)
