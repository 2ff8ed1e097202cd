"""Working sets of sparse couplings: calls that let Ctrl-C through, and memory."""

import numpy as np
import pytest
from test_spins import KINDS, problem_of

from skebm._jit import Kernel
from skebm.criteria import _sparse
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
        return found, {name: ran.count(name) for name in ("model_nodes", sweeps)}

    sweeps = "descend_pairs" if joint else "descend_nodes"
    monkeypatch.setattr(Kernel, "__call__", spy)
    expected, few = solution()
    monkeypatch.setattr(_sparse, "FLOPS_PER_CALL", 1e4)
    found, many = solution()
    assert many["model_nodes"] >= 6 * few["model_nodes"] and many[sweeps] >= 3 * few[sweeps]
    np.testing.assert_array_equal(found.C, expected.C)
    np.testing.assert_array_equal(found.point.values, expected.point.values)
    assert found.n_iter == expected.n_iter


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
