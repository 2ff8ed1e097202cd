"""The benchmark of Ising speed, on made-up results and small data: no times are judged here."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import (  # noqa: E402
    ising_data,
    ising_optimum,
    ising_speed,
    ising_tables,
    report,
    settings,
    targets,
)

PROBLEM = settings.problems()["ising_speed"]
HEADER = {"processor": "An Abacus", "date": "2001-02-03", "versions": "skebm 9.9"}
PACE = {"skebm": 1.0, "skebm joint": 2.0, "scikit-learn saga": 10.0, "skglm": 8.0}
LEARN = {"l1_ratio": 0.0, "n_spins": 5, "n_rows": 400, "repeats": 1, "name": "a", "alpha": 0.01}


def made_up(row, **changed):
    seconds = PACE.get(row["library"], 60.0) * (1.9 if "threads" in row else 1.0)
    found = {"seconds": seconds, "slowest": seconds, "compile_seconds": 0.1}
    found |= {"gap": 1e-7, "difference": 1e-4} if row["job"] == "learn" else {"count": 1e8}
    found |= {"megabytes": 900.0} if row["job"] == "large" else {}
    return ising_speed.table_row(row, ising_speed.Found(**found | changed))


def test_rows_have_labels_of_their_own_and_jobs_that_exist():
    labels = [settings.label(row) for row in PROBLEM["rows"]]
    assert len(set(labels)) == len(labels)
    assert {row["job"] for row in PROBLEM["rows"]} == set(ising_speed.JOBS)


def test_every_target_is_on_a_figure():
    found = targets.verdicts(PROBLEM, list(map(made_up, PROBLEM["rows"])))
    assert found and all(each.found is not None for each in found)


def test_a_solver_that_misses_the_optimum_is_not_the_fastest():
    rows = [row for row in PROBLEM["rows"] if row["name"].startswith("L1")]
    good = ising_tables.figures(list(map(made_up, rows)))[0]
    assert good["over_scikit_learn"] == 10.0 and good["over_skglm"] == 8.0
    far = [made_up(r, **({"gap": 1e-3} if "saga" in r["library"] else {})) for r in rows]
    assert ising_tables.figures(far)[0]["over_scikit_learn"] == 60.0


def test_gaps_of_skebm_are_the_larger_of_its_two_ways():
    rows = [row for row in PROBLEM["rows"] if row["name"].startswith("L2, draws")]
    found = [made_up(r, gap=1e-3 if "joint" in r["library"] else 1e-9) for r in rows]
    assert ising_tables.figures(found)[0]["gap"] == 1e-3


def test_the_section_goes_between_its_comments(tmp_path):
    readme = Path(shutil.copy(ROOT / "README.md", tmp_path))
    text = ising_tables.section(HEADER, list(map(made_up, PROBLEM["rows"])))
    report.rewrite(readme, {"Ising": text})
    assert text in readme.read_text()
    assert "| skglm |  | 8.00 s | 8.0 |" in text and "An Abacus" in text
    assert "| skebm, 1 thread | 1.90 s | 52.6 |" in text


def test_better_of_two_measurements():
    one, other = ising_speed.Found(1.0, 4.0, 0.1), ising_speed.Found(2.0, 3.0, 0.2)
    assert ising_speed.better_of(one, other)[:3] == (1.0, 4.0, 0.1)


# -- the optimum -----------------------------------------------------------------------------


def test_draws_are_repeated_and_correlate_along_their_graph():
    X, J = ising_data.draws(2000, 12), ising_data.sparse_coupling(12)
    np.testing.assert_array_equal(X, ising_data.draws(2000, 12))
    assert set(np.unique(X)) == {-1.0, 1.0} and (J == J.T).all() and not J.diagonal().any()
    assert (np.count_nonzero(J, axis=0) <= 4).all()
    edges = J != 0
    # An edge alone would have a correlation of tanh(0.3) = 0.29; its error is 0.02.
    assert ((X.T @ X / len(X)) * np.sign(J))[edges].mean() > 0.2


def test_the_objective_is_its_sum_written_out():
    generator = np.random.default_rng(0)
    S, C = np.where(generator.random((6, 3)) < 0.5, -1.0, 1.0), generator.normal(size=(1, 2, 4))
    total = 0.0
    for row, i in enumerate((0, 2)):
        C[0, row, i] = 0.0
        for s in S:
            t = s[i] * (sum(C[0, row, j] * s[j] for j in range(3)) + C[0, row, 3])
            total += math.log(1.0 + math.exp(-2.0 * t)) / 6
        for j in range(3):
            total += 0.1 * (0.3 * abs(C[0, row, j]) + 0.35 * C[0, row, j] ** 2)
    found = ising_optimum.objective(S, C, [0, 2], [0.1], 0.3)
    assert found == pytest.approx([total])


@pytest.mark.parametrize("library, l1_ratio", [
    ("scikit-learn lbfgs", 0.0), ("scikit-learn newton-cholesky", 0.0), ("scikit-learn saga", 1.0),
    ("scikit-learn liblinear", 1.0),
])  # fmt: skip
def test_peers_have_the_same_optimum(library, l1_ratio):
    row = LEARN | {"l1_ratio": l1_ratio}
    S, alphas = ising_data.spins(row, None), np.array([0.05, 0.01])
    best = ising_optimum.at_each("skebm", row, S, alphas, 1e-10)
    from benchmarks.adapters import adapter

    peer = adapter(library)
    each = [peer.node_path(library, S, i, alphas, l1_ratio, 1e-8) for i in (1, 3)]
    C = np.array(each).swapaxes(0, 1)
    gap, difference = ising_optimum.distance(S, C, best, [1, 3], alphas, l1_ratio)
    assert -1e-12 < gap < 1e-4 and difference < 1e-2
    C[..., -1] += 0.3
    worse, _ = ising_optimum.distance(S, C, best, [1, 3], alphas, l1_ratio)
    assert worse > 1e-3


def test_own_row_reaches_the_optimum():
    row = LEARN | {"library": "skebm joint", "job": "learn"}
    known = ising_speed.optima([row], None)
    found = ising_speed.measure(row, None, known)
    assert found.gap <= 1e-6 and found.nodes == 5 and found.seconds > 0.0


def test_chains_and_sums_count_what_they_did():
    row = {"library": "skebm", "n_spins": 10, "repeats": 1, "dtype": "float32"}
    row |= {"n_chains": 8, "n_sweeps": 3}
    assert ising_speed.gibbs(row, None, None).count == 240.0
    torus = row | {"graph": "torus", "n_spins": 16}
    assert ising_speed.gibbs(torus, None, None).count == 384.0
    assert (np.count_nonzero(ising_data.torus_model(16).coupling, axis=0) == 4).all()
    assert ising_speed.exact(row, None, None).count == 1024.0


def test_dwave_samples_the_same_model():
    """Means of 4,000 draws are within 0.1, six standard errors; a sign astray would be 0.3."""
    dwave = pytest.importorskip("benchmarks.adapters.dwave")
    J, h = np.array([[0.0, 0.4], [0.4, 0.0]]), np.array([0.3, -0.1])
    X = dwave.sampling(J, h, 4000, 20)().astype(float)
    states = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)])
    p = np.exp(states @ h + 0.4 * states[:, 0] * states[:, 1])
    p /= p.sum()
    np.testing.assert_allclose(X.mean(axis=0), p @ states, atol=0.1)
    assert abs((X[:, 0] * X[:, 1]).mean() - p @ (states[:, 0] * states[:, 1])) < 0.1
