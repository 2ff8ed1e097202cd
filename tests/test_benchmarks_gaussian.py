"""Benchmarks of Gaussian models: designs, conditions, peers and tables, on tiny problems."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import (  # noqa: E402
    gaussian_data,
    gaussian_optimum,
    gaussian_quality,
    gaussian_quality_tables,
    gaussian_real,
    gaussian_speed,
    gaussian_tables,
    report,
    settings,
    targets,
)
from benchmarks.adapters import adapter  # noqa: E402
from skebm import ScoreMatchingGaussian  # noqa: E402

SETTINGS = settings.problems()
SPEED, GRAPHS, REAL = (SETTINGS[f"gaussian_{name}"] for name in ("speed", "graphs", "real"))
HEADER = {"processor": "An Abacus", "date": "2001-02-03", "versions": "skebm 9.9"}
PACE = {
    "skebm": 1.0,
    "skebm estimator": 2.0,
    "skebm lists": 1.0,
    "plain loops": 40.0,
    "skglm GraphicalLasso": 60.0,
}
PEERS = ["plain loops", "scikit-learn GraphicalLasso", "skglm GraphicalLasso"]


def random_covariance(p, seed=0):
    return gaussian_data.correlation(np.random.default_rng(seed).normal(size=(4 * p, p)))


# -- designs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "hubs"])
def test_designs_have_unit_variances_and_draws_of_them(name):
    design, X = gaussian_quality.drawn(name, 100, 4000, 0)
    covariance = np.linalg.inv(design.K)
    np.testing.assert_allclose(covariance.diagonal(), 1.0, rtol=1e-10)
    # An entry has an error of sqrt(2 / 4000) = 0.022 at most.
    assert np.abs(X.T @ X / len(X) - covariance).max() < 0.13
    again = gaussian_quality.drawn.__wrapped__(name, 100, 4000, 0)[1]
    np.testing.assert_array_equal(X, again)


def test_random_graphs_are_calibrated():
    design = gaussian_data.random_graph(200, 4, np.random.default_rng(3))
    root = np.sqrt(design.K.diagonal())
    partial = np.abs(design.K / np.outer(root, root))[design.edges]
    assert 350 < design.edges.sum() < 450
    assert partial.min() == pytest.approx(0.2, abs=0.03)


def test_lattices_have_hubs():
    design = gaussian_data.hub_lattices(2, np.random.default_rng(0))
    degrees = (design.edges | design.edges.T).sum(axis=0)
    assert np.count_nonzero(degrees >= 20) == 6 and degrees.min() >= 2
    assert not design.edges[:100, 100:].any()
    assert np.linalg.eigvalsh(design.K)[0] > 0.0


def test_dense_blocks_have_the_least_eigenvalue():
    design = gaussian_data.dense_blocks(30, 0.8, np.random.default_rng(0))
    assert np.linalg.eigvalsh(design.K)[0] == pytest.approx(0.1)
    assert (design.K[~np.kron(np.eye(3), np.ones((10, 10))).astype(bool)] == 0).all()


def test_draws_of_many_variables_are_made_of_small_graphs(monkeypatch):
    monkeypatch.setattr(gaussian_data, "LARGEST_GRAPH", 20)
    R = gaussian_data.correlation(gaussian_data.graph_draws(2000, 50))
    assert R.shape == (50, 50)
    assert np.abs(R[:20, 20:]).max() < 0.12 < np.abs(R[:20, :20] - np.eye(20)).max()


# -- what is compared --------------------------------------------------------------------------


def test_conditions_of_both_losses():
    """At the minimum nothing is missed; a changed entry, or another penalty, shows."""
    S = random_covariance(8)
    K = ScoreMatchingGaussian(0.05, covariance="precomputed", tol=1e-10).fit(S).precision_
    assert gaussian_optimum.violation(S, K, 0.05, "score matching") < 1e-9
    assert gaussian_optimum.violation(S, K, 0.06, "score matching") > 9e-3
    assert gaussian_optimum.violation(S, np.linalg.inv(S), 0.0, "likelihood") < 1e-12
    assert gaussian_optimum.violation(S, K, 0.05, "likelihood") > 1e-4


@pytest.mark.parametrize("library", PEERS)
def test_peers_reach_the_minimum_of_their_loss(library):
    if library.startswith("skglm"):
        pytest.importorskip("skglm")
    S, peer = random_covariance(8), adapter(library)
    K = peer.precision(S, 0.05, 1e-6)
    assert gaussian_optimum.violation(S, K, 0.05, peer.LOSS) < 1e-4
    assert 0 < gaussian_optimum.n_edges(K) < 28
    assert peer.version()


def test_plain_loops_agree_with_skebm():
    S = random_covariance(12)
    K = ScoreMatchingGaussian(0.04, covariance="precomputed", tol=1e-10).fit(S).precision_
    found = adapter("plain loops").precision(S, 0.04, 1e-10)
    np.testing.assert_allclose(found, K, atol=1e-8)


@pytest.mark.parametrize("start", [0.01, 0.3, 5.0])
def test_penalties_are_found_by_their_edges(start):
    alpha = gaussian_optimum.penalty_of(lambda a: round(1000 / (1 + 50 * a)), 300, start)
    assert abs(round(1000 / (1 + 50 * alpha)) - 300) <= 3


def test_start_of_a_search():
    S = random_covariance(10)
    size = np.abs(S[np.triu_indices(10, 1)])
    assert np.count_nonzero(size > gaussian_optimum.start_of(S, 7)) == 7


# -- speed -------------------------------------------------------------------------------------


def timed_row(row, **changed):
    seconds = PACE.get(row["library"], 200.0)
    if row["library"] == "skebm tiles":
        seconds = 0.5 if row["share"] > 0.08 else 2.0
    found = {"seconds": (seconds, 3.0 * seconds, seconds), "edges": 100.0, "kkt": 1e-7}
    found |= {"gemm_seconds": 10.0} if row["job"] in ("fit", "path") else {"megabytes": 900.0}
    return gaussian_speed.table_row(row, gaussian_speed.Found(**found | changed))


def test_rows_have_labels_of_their_own_and_jobs_that_exist():
    for problem in (SPEED, GRAPHS, REAL):
        labels = [settings.label(row) for row in problem["rows"]]
        assert len(set(labels)) == len(labels)
    assert {row["job"] for row in SPEED["rows"]} == set(gaussian_speed.JOBS)


def test_every_target_of_speed_is_on_a_figure():
    found = targets.verdicts(SPEED, list(map(timed_row, SPEED["rows"])))
    assert len(found) >= 9 and all(each.found is not None for each in found)
    over = {each.figure: each.found for each in found}
    assert over["over_scikit_learn"] == 200.0 and over["over_skglm"] == 60.0
    assert over["times_gemm"] == pytest.approx(0.1) and over["mismatch"] == 0.0


def test_numbers_of_edges_that_differ_show():
    rows = [row for row in SPEED["rows"] if row["name"] == "one fit, 500 variables"]
    found = [timed_row(r, edges=105.0 if "skglm" in r["library"] else 100.0) for r in rows]
    assert gaussian_tables.figures(found)[0]["mismatch"] == pytest.approx(0.05)


def test_the_section_of_speed():
    rows = list(map(timed_row, SPEED["rows"]))
    text = gaussian_tables.section(HEADER, rows)
    words = " ".join(text.split())
    assert "| 500 | skglm GraphicalLasso | 100 | 60.0 s | 60 | 1e-07 |" in text
    assert "An Abacus" in text and "1.00 s per penalty | 0.10 |" in text and "| 900 |" in text
    assert gaussian_tables.crossing(rows) == 0.1 and "from 10 % of all pairs on" in words
    assert "| nan" not in text and "losses differ" in words


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks.gaussian_figure import draw

    draw(list(map(timed_row, SPEED["rows"])), tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_two_measurements_of_a_row_are_put_together():
    one = gaussian_speed.Found((1.0, 5.0), 0.2, megabytes=3.0)
    other = gaussian_speed.Found((2.0,), 0.1, megabytes=4.0)
    found = gaussian_speed.together(one, other)
    assert found[:2] == ((1.0, 5.0, 2.0), 0.1) and found.megabytes == 4.0
    line = gaussian_speed.table_row(SPEED["rows"][0], found)
    assert (line["seconds"], line["fastest"], line["slowest"], line["runs"]) == (2.0, 1.0, 5.0, 3)


TINY = {"name": "a", "p": 24, "n_rows": 60, "neighbours": 3.0, "repeats": 1}


@pytest.mark.parametrize("job", ["fit", "path", "regime", "large"])
def test_jobs_on_tiny_problems(job):
    row = TINY | {"job": job, "library": "skebm", "n_alphas": 1 if job == "fit" else 4}
    known = {"score matching": gaussian_speed.penalties(row)}
    assert len(known["score matching"]) == row["n_alphas"]
    found = gaussian_speed.JOBS[job](row, known)
    assert found.kkt < (1e-2 if job == "fit" else 2e-6) and min(found.seconds) > 0.0
    assert abs(found.edges - 36) <= (10 if job == "large" else 1)
    assert math.isnan(found.megabytes) != (job == "large")


def test_the_estimator_is_timed_at_its_own_tolerance():
    row = TINY | {"job": "fit"}
    known = {"score matching": np.array([0.1])}
    loose = gaussian_speed.fit(row | {"library": "skebm"}, known)
    exact = gaussian_speed.fit(row | {"library": "skebm estimator"}, known)
    assert exact.kkt <= exact.tol == 1e-6
    assert loose.kkt <= loose.tol == pytest.approx(1e-3)


def test_regimes_have_the_same_minimum():
    row = TINY | {"job": "regime"}
    known = {"score matching": np.array([0.1])}
    edges = {
        gaussian_speed.one_regime(row | {"library": f"skebm{which}"}, known).edges
        for which in ("", " lists", " tiles")
    }
    assert len(edges) == 1


def test_a_peer_is_timed_at_its_own_penalty_and_tolerance():
    pytest.importorskip("skglm")
    row = TINY | {"job": "fit", "library": "scikit-learn GraphicalLasso"}
    own = gaussian_speed.penalties(row | {"library": "skebm"})
    alpha = gaussian_speed.penalties(row, own)[-1]
    tol = gaussian_speed.tolerance(row, alpha)
    found = gaussian_speed.fit(row, {"likelihood": np.array([alpha]), row["library"]: tol})
    assert found.kkt <= gaussian_speed.ALLOWED * alpha
    assert abs(found.edges - 36) <= 1 and found.alpha == alpha


# -- graphs ------------------------------------------------------------------------------------


def test_shares_by_counting():
    edges = np.triu(np.array([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool))
    K = np.eye(4)
    K[0, 1] = K[1, 0] = K[1, 2] = K[2, 1] = 0.3
    found = gaussian_quality.shares(K, edges)
    assert found == pytest.approx((1 / 3, 1 / 3, 1 / 2))
    assert found.f1 == pytest.approx(0.4)
    assert gaussian_quality.shares(np.eye(4), edges) == (0.0, 0.0, 1.0)


def test_area_under_a_curve():
    points = [gaussian_quality.Shares(t, f, 1.0) for t, f in ((0.0, 0.0), (0.5, 0.0), (1.0, 0.5))]
    assert gaussian_quality.area(points) == pytest.approx(0.875)
    assert gaussian_quality.area([]) == 0.5


def graph_row(**changed):
    row = {"name": "a", "library": "skebm", "design": "random", "p": 30, "n_rows": 200}
    return row | {"graphs": 2} | changed


def test_rows_at_given_penalties():
    rows = [graph_row(name=f"c {c}", constant=c) for c in (0.5, 1.5, 3.0)]
    found = gaussian_quality.at_constants(rows)
    assert [line["constant"] for line in found] == [0.5, 1.5, 3.0]
    assert found[0]["tpr"] > 0.9 > found[-1]["tpr"]
    assert found[0]["precision"] < found[1]["precision"]
    assert all(math.isnan(line["auc"]) and line["tpr_sd"] >= 0.0 for line in found)


@pytest.mark.parametrize("changed", [
    {}, {"library": "scikit-learn GraphicalLasso"},
    {"design": "non-negative, dense", "support": "nonnegative",
     "library": "skebm with ridge"},
])  # fmt: skip
def test_rows_along_a_path(changed):
    (line,) = gaussian_quality.along_path([graph_row(n_alphas=8) | changed])
    assert 0.5 < line["auc"] <= 1.0 and 0.0 < line["f1"] <= 1.0
    assert line["support"] == changed.get("support", "real")
    assert (line["ridge"] > 0.0) == ("support" in changed)


def test_draws_that_are_not_negative():
    X = gaussian_quality.drawn("non-negative, sparse", 20, 50, 0)[1]
    assert X.shape == (50, 20) and (X >= 0).all()


def found_graph(row):
    given = {"tpr": [0.9, 1.0], "fpr": [0.0, 1e-3], "precision": [0.95, 1.0]}
    auc = {"auc": [0.8, 0.9], "f1": [0.5, 0.7]}
    if "skglm" in row["library"]:
        auc["auc"] = [0.95, 0.97]
    return gaussian_quality._line(row, given if "constant" in row else auc, 0.5)


def as_read(row):
    """A line as it comes back from a file: empty cells of numbers are NaN."""
    return {key: math.nan if value == "" else value for key, value in row.items()}


def test_every_target_of_graphs_is_on_a_figure():
    lines = [as_read(found_graph(row)) for row in GRAPHS["rows"]]
    found = targets.verdicts(GRAPHS, lines)
    assert len(found) == 19 and all(each.found is not None for each in found)
    c18 = next(each for each in found if "c = 1.8" in each.name and "tpr" in each.figure)
    assert c18.found == pytest.approx(abs(0.95 - 0.951993) / np.std([0.9, 1.0], ddof=1), abs=1e-3)


# -- real data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [
    {"estimator": "independent", "library": "scikit-learn"},
    {"estimator": "LedoitWolf", "library": "scikit-learn"},
    {"estimator": "ScoreMatchingGaussian", "library": "skebm",
     "grid": {"alpha": [0.1, 0.01], "ridge": [0.0, 0.1]}},
])  # fmt: skip
def test_real_data(model):
    row = {"name": "a", "source": "wine", "model": "b", "splits": 2, **model}
    line = gaussian_real.measure(row, None)
    assert (line["n_rows"], line["n_features"], line["splits"]) == (178, 13, 2)
    assert -25.0 < line["loglik"] < -12.0
    assert ("alpha" in line["params"]) == ("grid" in model)
    assert math.isnan(line["edges"]) == (model["estimator"] == "independent")


def test_test_rows_are_scaled_by_the_others():
    train, test = next(gaussian_real.parts(load_wine().data, 1))
    assert (len(train), len(test)) == (133, 45)
    np.testing.assert_allclose(train.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(train.std(axis=0), 1.0)
    assert np.abs(test.mean(axis=0)).max() > 0.01


# -- the README --------------------------------------------------------------------------------


def found_real(row):
    loglik = -10.0 if row["library"] == "skebm" else -11.0
    return {
        "row": settings.label(row), "name": row["name"], "library": row["library"],
        "source": row["source"], "model": row["model"], "n_rows": 71.0, "n_features": 4088.0,
        "splits": 2.0, "loglik": loglik, "loglik_sd": 0.5, "edges": 7.0, "params": "alpha 0.1",
        "seconds": 0.25,
    }  # fmt: skip


def test_sections_go_between_their_comments(tmp_path):
    readme = Path(shutil.copy(ROOT / "README.md", tmp_path))
    results = {
        "gaussian_graphs": (HEADER, [as_read(found_graph(row)) for row in GRAPHS["rows"]]),
        "gaussian_real": (HEADER, list(map(found_real, REAL["rows"]))),
    }
    text = gaussian_quality_tables.section(results)
    report.rewrite(readme, {"Gaussian": text})
    assert text in readme.read_text() and "nan" not in text
    assert "| 1.6 | 0.950 ± 0.071 | 0.985 ± 0.008 | 0.975 ± 0.035 |" in text
    assert "| skglm GraphicalLasso | **0.960** ± 0.014 |" in text
    assert "| riboflavin | LedoitWolf | 71 | 4,088 | −11.00 ± 0.50 | 7 | 250 ms | alpha" in text
    assert "| skebm, x ≥ 0 | **0.850** ± 0.071 |" in text
