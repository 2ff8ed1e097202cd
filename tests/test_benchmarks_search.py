"""The search over estimators of different principles: the README's example, results and table."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import data, problems, report, run, search, search_tables, settings  # noqa: E402

PROBLEM = settings.problems()["search"]
HEADER = {"versions": "skebm 9.9", "date": "2001-02-03", "processor": "An Abacus"}


@pytest.fixture
def bits():
    """Train, test and valid parts of four columns that depend on each other."""
    rng = np.random.default_rng(0)
    parts = []
    for n in (300, 200, 100):
        hidden = rng.random((n, 1)) < 0.5
        noise = rng.random((n, 4)) < 0.5
        parts.append(np.where(rng.random((n, 4)) < 0.4, noise, hidden).astype(np.float32))
    return data.Data(*parts)


def test_the_example_of_the_readme_is_the_search_that_is_measured(bits, monkeypatch, capsys):
    """The block is run as it stands, on other data: same candidates, same likelihoods."""
    monkeypatch.setattr(data, "load", lambda name, folder: {"nltcs": bits}[name])
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    names = {}
    exec(code, names)
    measured = search.search(PROBLEM["rows"], bits)
    found = [each.cv_results_ for each in (names["search"], measured)]
    candidates = [
        [{**each, "model": str(each["model"])} for each in one["params"]] for one in found
    ]
    assert candidates[0] == candidates[1] and len(candidates[0]) == len(PROBLEM["rows"])
    np.testing.assert_array_equal(*(each["mean_test_score"] for each in found))
    assert f"{measured.score(bits.test):.10f}"[:9] in capsys.readouterr().out


def test_five_estimators_are_searched():
    labels = [settings.label(row) for row in PROBLEM["rows"]]
    assert len(set(labels)) == len(labels)
    assert len({row["estimator"] for row in PROBLEM["rows"]}) == 5


def test_results_of_two_candidates(bits, monkeypatch):
    """The score held out is that of a model fitted on the train part; only one is tested."""
    from skebm import PseudoLikelihoodIsing

    monkeypatch.setattr(search, "load", lambda name, folder: bits)
    common = {"library": "skebm", "data": "nltcs", "estimator": "PseudoLikelihoodIsing"}
    rows = [common | {"name": f"alpha {a}", "alpha": a} for a in (3.0, 0.001)]
    bad, good = search.measure(rows, None)
    model = PseudoLikelihoodIsing(0.001).fit(bits.train)
    assert good["held_out"] == pytest.approx(model.score(bits.valid), abs=1e-9)
    assert bad["held_out"] < good["held_out"] and bad["loglik"] == ""
    model = PseudoLikelihoodIsing(0.001).fit(np.concatenate([bits.train, bits.valid]))
    assert good["loglik"] == pytest.approx(model.score(bits.test), abs=1e-9)
    assert (good["method"], good["stderr_log_z"]) == ("exact", 0.0)
    assert (good["n_rows"], good["n_held_out"], good["n_test"]) == (300, 100, 200)


# -- the table ---------------------------------------------------------------------------------


def made_up(chosen=3, method="exact"):
    """Results whose candidate ``chosen`` is the best."""
    scored = {"loglik": -5.5, "stderr_rows": 0.05, "stderr_log_z": 0.125, "method": method}
    return [
        {"row": settings.label(row), "name": row["name"], "library": "skebm", "data": "nltcs"}
        | {"n_features": 16, "n_rows": 1600, "n_held_out": 200, "n_test": 300}
        | {"seconds": 0.5, "score_seconds": 0.1, "held_out": -6.0 - abs(k - chosen)}
        | (scored if k == chosen else dict.fromkeys(scored, ""))
        for k, row in enumerate(PROBLEM["rows"])
    ]


def written(path, rows):
    """A result file of these rows."""
    with path.open("w", newline="") as file:
        file.write("".join(f"# {key}: {value}\n" for key, value in HEADER.items()))
        list(run.written(file, map(problems._rounded, rows)))
    return path


def test_the_table_shows_what_was_chosen(tmp_path):
    path = written(tmp_path / "search.csv", made_up())
    text = search_tables.section(*report.complete(PROBLEM, path))
    best = PROBLEM["rows"][3]["name"]
    assert f"\n| {best} | **−6.000** | 500 ms |\n" in text and text.count("**") == 2
    flat = " ".join(text.split())
    assert f"The chosen one, {best}, has" in flat and "reaches −5.500 ± 0.05 on 300 test" in flat
    assert "log Z is summed exactly" in flat and "1,600 rows" in flat
    estimated = search_tables.section(
        *report.complete(PROBLEM, written(tmp_path / "other.csv", made_up(method="ais")))
    )
    assert "log Z is estimated by AIS, ± 0.12;" in " ".join(estimated.split())


def test_a_file_without_a_test_score_or_a_candidate_is_refused(tmp_path):
    rows = made_up()
    rows[3] |= {"loglik": ""}
    with pytest.raises(SystemExit, match="no test score"):
        search_tables.section(*report.complete(PROBLEM, written(tmp_path / "search.csv", rows)))
    with pytest.raises(SystemExit, match="lacks 1 rows: PCDRBM"):
        report.complete(PROBLEM, written(tmp_path / "search.csv", rows[:4] + rows[5:]))


def test_tracked_results_are_in_the_readme():
    """The section between the comments is what the tracked file says."""
    path = ROOT / "benchmarks" / "results" / "search.csv"
    text = search_tables.section(*report.complete(PROBLEM, path))
    readme = (ROOT / "README.md").read_text()
    assert f"<!-- search: begin -->\n{text}\n<!-- search: end -->" in readme


def test_the_csv_reads_back(tmp_path):
    """Numbers are numbers, and what was not measured is not a number."""
    _, rows = report.complete(PROBLEM, written(tmp_path / "search.csv", made_up()))
    assert rows[3]["loglik"] == -5.5 and np.isnan(rows[0]["loglik"])
    assert rows[0]["method"] == ""
