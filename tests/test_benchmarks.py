"""The benchmark commands, on made-up results and tiny models: no times are measured here."""

import csv
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import (  # noqa: E402
    adapters,
    estimate_tables,
    estimates,
    known,
    problems,
    report,
    run,
    settings,
    speed,
    tables,
    targets,
)
from benchmarks.jobs import JOBS, updates  # noqa: E402
from benchmarks.scoring import Parameters  # noqa: E402

SETTINGS = settings.problems()
TIMED = [name for name, problem in SETTINGS.items() if problem["kind"] == "speed"]
ROWS = [(name, row) for name, problem in SETTINGS.items() for row in problem["rows"]]
JUDGED = [name for name, problem in SETTINGS.items() if problem["kind"] in targets.FIGURES]
PACE = {"skebm": 1.0, "scikit-learn": 4.0, "rbms": 5.0, "NumPy": 80.0}


def made_up(row, **changed):
    """What a row might measure: half of the peak for skebm, peers at their ``PACE``."""
    has_flops = "batch_size" in row and "n_gibbs_steps" in row and row["job"] == "update"
    flops = updates.update_flops(row) if has_flops else math.nan
    pace = PACE[row["library"]] * (1.9 if "threads" in row else 1.0)
    pace *= 1.0 if row.get("density", 0.5) >= 0.3 else 0.2 + 2.0 * row["density"]
    seconds = pace * (flops / 100e9 if has_flops else 2e-7)
    memory = row["job"] == "memory"
    measured = {
        "unit": "per update",
        "threads": row.get("threads", 2),
        "flops": flops,
        "seconds": seconds,
        "slowest": 1.1 * seconds,
        "peak": 200e9,
        "gemm_seconds": seconds / 1.2 if row["job"] == "transform" else math.nan,
        "megabytes": 20.0 * pace if memory else math.nan,
        "process_megabytes": 100.0 + 20.0 * pace if memory else math.nan,
        "given_megabytes": 40.0 if memory else math.nan,
    }
    return problems._rounded(speed.table_row(row, measured | changed))


def write(path, rows):
    """A result file as ``benchmarks.run`` writes it."""
    with path.open("w", newline="") as file:
        file.write("# problem: speed\n# versions: skebm 9.9; rbms 8.8\n# date: 2001-02-03\n")
        file.write("# processor: An Abacus: 2 cores, 2 threads\n")
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def results(tmp_path):
    """A folder with a complete made-up result file of every timed problem."""
    for name in TIMED:
        write(tmp_path / f"{name}.csv", [made_up(row) for row in SETTINGS[name]["rows"]])
    return tmp_path


@pytest.fixture
def readme(tmp_path):
    """A copy of the README."""
    return Path(shutil.copy(ROOT / "README.md", tmp_path / "README.md"))


# -- settings ----------------------------------------------------------------------------------


def test_every_row_names_a_known_library_and_job():
    assert {problem["kind"] for problem in SETTINGS.values()} == set(problems.KINDS)
    for name, row in ROWS:
        assert row["library"] in adapters.LIBRARIES, name
        if name in TIMED:
            assert row["job"] in JOBS, name
        if name == "coverage":
            assert row["family"] in known.FAMILIES
    assert {row["job"] for name, row in ROWS if name in TIMED} == set(JOBS)


@pytest.mark.parametrize("name", JUDGED)
def test_rows_have_names_of_their_own(name):
    labels = [settings.label(row) for row in SETTINGS[name]["rows"]]
    assert len(set(labels)) == len(labels)
    groups = settings.grouped(SETTINGS[name]["rows"])
    assert len({group[0]["name"] for group in groups}) == len(groups)


@pytest.mark.parametrize("name", TIMED)
def test_no_peer_but_scikit_learn_is_asked_for_csr_and_it_knows_one_gibbs_step(name):
    for row in SETTINGS[name]["rows"]:
        if row.get("input") == "csr":
            assert row["library"] in ("skebm", "scikit-learn")
        if row["library"] == "scikit-learn":
            assert row.get("n_gibbs_steps", 1) == 1


def test_lists_are_written_out():
    short = {"name": "b {batch_size}", "library": ["skebm", "rbms"], "batch_size": [1, 2]}
    rows = settings.written_out(short | {"one_thread": True})
    assert list(map(settings.label, rows)) == [
        "b 1, skebm", "b 1, skebm, 1 thread", "b 1, rbms",
        "b 2, skebm", "b 2, skebm, 1 thread", "b 2, rbms",
    ]  # fmt: skip
    assert [len(group) for group in settings.grouped(rows)] == [3, 3]


def test_targets_are_set_on_figures_that_exist():
    for name in TIMED:
        rows = SETTINGS[name]["rows"]
        found = {each["name"]: each for each in tables.groups([made_up(row) for row in rows])}
        for row in rows:
            for figure in {**row.get("at_least", {}), **row.get("at_most", {})}:
                made_up_here = figure in found[row["name"]]
                assert made_up_here or figure in ("share_of_peak", "times_gemm"), figure


# -- a peer that is not there ------------------------------------------------------------------


def test_a_missing_peer_is_named(monkeypatch):
    monkeypatch.setitem(adapters.LIBRARIES, "rbms", "no_such_module_of_anyone")
    with pytest.raises(SystemExit, match=r"benchmark needs rbms.*skebm\[bench\]"):
        adapters.adapter("rbms")


def test_a_missing_peer_ends_the_run_before_anything_is_measured(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    command = [sys.executable, "-m", "benchmarks.run", "scaling", "--library", "rbms"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "results")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "benchmark needs rbms" in done.stderr and "no torch here" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_run_without_the_data_folder_ends_before_anything_is_measured(tmp_path):
    problem = dict(SETTINGS["speed"])
    problem["rows"] = [row for row in problem["rows"] if row["library"] == "skebm"]
    with pytest.raises(SystemExit, match="--data"):
        run.run("speed", problem, None, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_trials_do_not_overwrite_tracked_results(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "scaling", "--quick"])
    with pytest.raises(SystemExit, match="another --output"):
        run.main()


# -- tables ------------------------------------------------------------------------------------


def test_figures_of_a_group():
    group = next(g for g in settings.grouped(SETTINGS["speed"]["rows"]) if len(g) == 4)
    found = tables.figures([made_up(row) for row in group])
    assert found["share_of_peak"] == pytest.approx(0.5)
    assert found["over_scikit_learn"] == pytest.approx(4.0)
    assert found["over_rbms"] == pytest.approx(5.0)
    assert found["over_one_thread"] == pytest.approx(1.9)
    assert found["one_thread_over_rbms"] == pytest.approx(5.0 / 1.9)
    line = tables.line(found)
    assert group[0]["name"] in line and "50 %" in line
    assert line.split()[-3:] == ["4.0", "5.0", "1.9"]


def test_memory_is_shown_as_memory():
    rows = [made_up(row) for row in SETTINGS["speed"]["rows"] if row["job"] == "memory"]
    found = tables.groups(rows)[0]
    assert found["memory_over_rbms"] == pytest.approx(0.2)
    text = "; ".join(tables.cells(found))
    assert found["process_over_rbms"] == pytest.approx(0.6)
    assert "20 of 120 MB" in text and "rbms 100 of 200 MB" in text
    assert "0.50 × the size of weights and data" in text
    assert "per update" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.3456, "12.3 s"), (1.0, "1.00 s"), (0.0123, "12.3 ms"), (4.56e-7, "0.456 µs")],
)
def test_seconds_for_people(seconds, text):
    assert tables.human_seconds(seconds) == text


def test_rows_of_a_name_take_turns_and_the_best_round_counts(monkeypatch):
    short = {"name": "a", "job": "update", "library": ["skebm", "rbms"]}
    problem = {"rows": settings.written_out(short), "rounds": 2}
    turns = []

    def measured(function, row, problem, folder):
        turns.append(row["library"])
        values = {"seconds": 5.0 - len(turns), "slowest": 9.0, "peak": 10.0 + len(turns)}
        empty = ("gemm_seconds", "megabytes", "process_megabytes", "given_megabytes")
        return {"unit": "", "threads": 2, "flops": 26.0, **values, **dict.fromkeys(empty, math.nan)}

    monkeypatch.setattr(problems, "in_fresh_process", measured)
    ours, peer = problems.speeds(problem, None)
    assert turns == ["skebm", "rbms"] * 2
    assert (ours["seconds"], peer["seconds"]) == (2.0, 1.0)
    assert ours["share_of_peak"] == 1.0 and ours["peak_gflops"] == 1.3e-8
    assert ours["megabytes"] == ""


def test_two_measurements_of_a_row_become_the_better_one():
    one = {"unit": "", "threads": 2, "seconds": 2.0, "slowest": 3.0, "peak": 5.0, "megabytes": 1.0}
    other = one | {"seconds": 1.0, "slowest": 2.0, "peak": 4.0, "megabytes": 2.0}
    best = speed.better_of(one, other)
    assert best == one | {"seconds": 1.0, "megabytes": 2.0}


# -- report ------------------------------------------------------------------------------------


def report_arguments(results, readme):
    picture = results / "docs" / "speed.png"
    return ["--results", str(results), "--readme", str(readme), "--picture", str(picture)]


def test_report_writes_the_readme_and_the_picture(results, readme, capsys):
    pytest.importorskip("matplotlib")
    before = readme.read_text()
    report.main(report_arguments(results, readme))
    written = readme.read_text()
    report.main(report_arguments(results, readme))
    assert readme.read_text() == written
    outside = [tables_cut(text) for text in (before, written)]
    assert outside[0] == outside[1]
    assert (results / "docs" / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert "PCD-1 update, batch 128 " in capsys.readouterr().out


def tables_cut(text):
    start, end = text.index("<!-- speed: begin -->"), text.index("<!-- speed: end -->")
    return text[:start] + text[end:]


def test_the_section_says_what_the_files_say(results):
    header, rows = tables.read(results / "speed.csv")
    scaling = tables.read(results / "scaling.csv")[1]
    text = report.section(header, rows, scaling)
    words = " ".join(text.split())
    assert (
        "An Abacus: 2 cores, 2 threads" in words and "rbms 8.8" in words and "2001-02-03" in words
    )
    cells = next(line for line in text.splitlines() if line.startswith("| PCD-1 update, batch 512"))
    assert [cell.strip() for cell in cells.split("|")[3:7]] == ["50 %", "4.0", "5.0", "1.9"]
    assert "takes 1.20 × the matrix product in it" in text and "80.0 × faster than NumPy" in text
    assert "1 % of the visible units active takes 0.22 of the" in words
    assert "nan" not in text


def test_report_refuses_a_file_that_lacks_a_row(results, readme):
    pytest.importorskip("matplotlib")
    lines = (results / "speed.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith('"PCD-1 update, batch 128, rbms"')]
    assert len(kept) == len(lines) - 1
    (results / "speed.csv").write_text("".join(kept))
    before = readme.read_text()
    with pytest.raises(SystemExit, match="lacks 1 rows: PCD-1 update, batch 128, rbms"):
        report.main(report_arguments(results, readme))
    assert readme.read_text() == before


def test_report_asks_for_the_measurement_that_is_missing(tmp_path):
    with pytest.raises(SystemExit, match=r"python -m benchmarks\.run speed"):
        tables.read(tmp_path / "speed.csv")


def test_report_needs_the_two_comments(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# no comments\n")
    with pytest.raises(SystemExit, match="speed: begin"):
        report.rewrite(page, {"speed": "text"})


def test_targets_end_with_a_status(results, capsys):
    with pytest.raises(SystemExit, match="targets missed"):
        report.main(["--results", str(results), "--targets"])
    lines = capsys.readouterr().out.splitlines()
    row = "PCD-1 update, batch 128"
    assert f"MISSED   {row}: share_of_peak at least 0.8, found 0.5 (38 % worse)" in lines
    assert f"reached  {row}: over_scikit_learn at least 3.8, found 4 (5 % better)" in lines
    assert "MISSED   digits, planned: coverage at least 0.9176, not measured" in lines
    count = sum(
        len(group[0].get(bound, {}))
        for name in JUDGED
        for group in settings.grouped(SETTINGS[name]["rows"])
        for bound in ("at_least", "at_most")
    )
    assert len(lines) == count


def test_a_target_is_reached_or_missed():
    wanted = {"name": "a", "at_least": {"x": 2.0}, "at_most": {"seconds": 1.0}}
    problem = {"kind": "speed", "rows": [wanted]}
    row = made_up(SETTINGS["speed"]["rows"][0]) | {"name": "a", "row": "a, skebm", "seconds": 0.5}
    x, seconds = targets.verdicts(problem, [row])
    assert not x.reached and x.found is None and "not measured" in str(x)
    assert seconds.reached and seconds.margin == pytest.approx(0.5)


# -- known log Z -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "coupling", "log_z"),
    [
        ((4, 4), 0.3, 12.785523325714),
        ((4, 4), 0.6, 20.056532884347),
        ((4, 5), 0.44, 19.225564471293),
        ((32, 32), math.log1p(math.sqrt(2)) / 2, 952.64808),
    ],
)
def test_the_solved_lattice(shape, coupling, log_z):
    """Below, above and at the critical coupling."""
    assert known.ising_log_partition(*shape, coupling) == pytest.approx(log_z, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("shape", [(2, 3), (3, 3)])
def test_the_lattice_is_an_rbm(shape):
    """Every state of the spins has the weight that their edges give it, but for one constant."""
    coupling, n = 0.3, math.prod(shape)
    parameters, shift = known.lattice_rbm(*shape, coupling)
    edges, states = known.torus_edges(*shape), reference.all_states(n)
    spins = 2.0 * states - 1.0
    weights = coupling * (spins[:, edges[:, 0]] * spins[:, edges[:, 1]]).sum(axis=1)
    energies = [reference.closed_free_energy(*parameters, state) for state in states]
    assert np.allclose(-np.array(energies), weights + shift, rtol=0, atol=1e-12)
    log_z = reference.log_sum_exp(weights.tolist())
    assert known.ising_log_partition(*shape, coupling) == pytest.approx(log_z, abs=1e-12)
    rounded = known.lattice(*shape, coupling)
    assert rounded.log_z == pytest.approx(reference.log_partition(*rounded.parameters), abs=1e-5)


def test_every_edge_of_a_torus_is_there_once():
    edges = known.torus_edges(4, 5)
    assert len({frozenset(edge) for edge in edges.tolist()}) == len(edges) == 40
    assert (np.bincount(edges.ravel()) == 4).all()


def test_drawn_models_are_summed():
    for truth in (known.glass(7, 5), known.planted(7, 2, 2)):
        assert truth.log_z == pytest.approx(reference.log_partition(*truth.parameters), rel=1e-12)
        assert truth.means is None and truth.base == "biases"
        assert {array.dtype for array in truth.parameters} == {np.dtype(np.float32)}


def test_families_are_what_they_say():
    """Sizes, finite log Z, and once computed the same object for all who ask."""
    shapes = {"digits": (14, 64), "glass": (16, 60), "planted": (12, 60), "lattice": (128, 64)}
    for name, family in known.FAMILIES.items():
        truth = family()
        assert truth is family() and truth.parameters.W.shape == shapes[name]
        assert math.isfinite(truth.log_z)
    assert known.digits().base is known.digits().means
    assert (known.lattice().means == 0.5).all()


# -- coverage and accuracy ---------------------------------------------------------------------


TINY = known.Known(
    Parameters(np.full((2, 3), 0.5, np.float32), *(np.zeros(n, np.float32) for n in (3, 2))),
    3.9,
    np.full(3, 0.6),
)


@pytest.fixture
def tiny(monkeypatch):
    """A family of one tiny model, whose log Z is enumerated."""
    truth = TINY._replace(log_z=reference.log_partition(*TINY.parameters))
    monkeypatch.setitem(known.FAMILIES, "tiny", lambda: truth)
    return truth


def test_intervals_of_a_tiny_model(tiny):
    """Wide enough to hold log Z nearly always, the same for the same seeds, and no warning."""
    found = estimates.intervals("tiny", {"n_chains": 64, "n_temperatures": 5}, range(40))
    again = estimates.intervals("tiny", {"n_chains": 64, "n_temperatures": 5}, range(20, 40))
    assert (found[20:] == again).all()
    error, lower, upper, stderr, ess_ratio, _ = found.T
    assert (lower < error).all() and (error < upper).all()
    assert ((upper - error) / stderr > 1.96).all() and ((upper - error) / stderr < 2.3).all()
    assert abs(error.mean()) < 0.1 and ((0.5 < ess_ratio) & (ess_ratio <= 1.0)).all()
    row = SETTINGS["coverage"]["rows"][0]
    measured = estimates.coverage_row(row, found, 1.0)
    assert 0.8 < measured["coverage"] <= 1.0 and measured["repetitions"] == 40
    assert estimates.intervals("tiny", {"n_chains": 2}, []).shape == (0, 6)


def test_coverage_counts_converged_intervals():
    """Of four the second misses log Z, the third too but it says that it is not converged."""
    row = SETTINGS["coverage"]["rows"][0]
    found = np.array([
        [0.0, -0.1, 0.1, 0.05, 0.8, 1],
        [0.2, 0.1, 0.3, 0.05, 0.6, 1],
        [-0.4, -0.5, -0.1, 0.1, 0.2, 0],
        [0.0, 0.0, 0.1, 0.05, 0.8, 1],
    ])  # fmt: skip
    measured = estimates.coverage_row(row, found, 2.0)
    assert measured["row"] == settings.label(row)
    assert measured["converged"] == 0.75 and measured["coverage"] == pytest.approx(2 / 3)
    assert measured["coverage_of_all"] == 0.5 and measured["ess_ratio"] == pytest.approx(0.6)
    assert measured["error"] == pytest.approx(-0.05)
    nowhere = problems._rounded(estimates.coverage_row(row, found[2:3], 1.0))
    assert nowhere["coverage"] == "" and nowhere["converged"] == 0.0


def test_accuracy_of_estimates():
    row = SETTINGS["accuracy"]["rows"][0]
    measured = estimates.accuracy_row(row, 10.0, np.array([10.1, 9.7]), 0.5)
    assert measured["mse"] == pytest.approx(0.05) and measured["error"] == pytest.approx(-0.1)
    assert measured["mse_seconds"] == pytest.approx(0.025)
    assert measured["stderr_mse"] == pytest.approx(0.04)


@pytest.mark.parametrize("library", ["skebm", "rbms", "NumPy"])
def test_libraries_estimate_the_same_log_z(library, tiny):
    """Within 6 standard errors (0.005 nats at most) of the truth, the same for the same seed."""
    if library == "rbms":
        pytest.importorskip("rbms")
    estimate = adapters.adapter(library).log_z
    values = [estimate(tiny.parameters, tiny.means, 2000, 4, seed) for seed in range(10)]
    assert values[3] == estimate(tiny.parameters, tiny.means, 2000, 4, 3)
    stderr = np.std(values, ddof=1) / math.sqrt(10)
    assert stderr < 0.005 and abs(np.mean(values) - tiny.log_z) < 6 * stderr


def test_accuracy_is_measured_with_every_seed(monkeypatch, tiny):
    seeds = []

    def log_z(parameters, means, n_chains, n_temperatures, seed):
        seeds.append(seed)
        return tiny.log_z + 0.1

    peer = type("Peer", (), {"log_z": staticmethod(log_z)})
    monkeypatch.setattr(estimates, "adapter", lambda library: peer)
    row = SETTINGS["accuracy"]["rows"][0] | {"repetitions": 3}
    measured = estimates.measure_accuracy(row, tiny)
    assert seeds == [0, 0, 1, 2]  # the first compiles
    assert measured["repetitions"] == 3 and measured["mse"] == pytest.approx(0.01)


def made_up_coverage(row, covered=0.94):
    """What a row of coverage might find."""
    return {
        "row": settings.label(row), "name": row["name"], "library": "skebm",
        "family": row["family"], "params": "n_chains=100", "repetitions": 10_000,
        "converged": 0.999, "coverage": covered, "coverage_of_all": 0.939, "ess_ratio": 0.53,
        "sd": 0.11, "stderr_log_z": 0.1, "error": -0.006, "seconds": 9.0,
    }  # fmt: skip


def made_up_accuracy(row):
    """What a row of accuracy might find: peers ten times as slow, rbms with twice the error."""
    spread = {"skebm": 0.01, "NumPy": 0.01, "rbms": 0.02}[row["library"]]
    seconds = 0.1 if row["library"] == "skebm" else 1.0
    values = np.array([-spread, spread]) - 0.001
    return problems._rounded(estimates.accuracy_row(row, 0.0, values, seconds))


def made_up_tracking(row):
    """Fits of a second, or a tenth more with log Z."""
    history = {"log_partition": np.zeros(30), "log_partition_stderr": np.full(30, 0.1)}
    plain = np.ones(row["rounds"])
    return problems._rounded(estimates.tracking_row(row, plain, 1.1 * plain, history))


MADE_UP = {
    "coverage": made_up_coverage,
    "accuracy": made_up_accuracy,
    "tracking": made_up_tracking,
}


@pytest.fixture
def estimated(results):
    """The made-up results, those of coverage and accuracy too."""
    for name, each in MADE_UP.items():
        write(results / f"{name}.csv", [each(row) for row in SETTINGS[name]["rows"]])
    return results


def test_targets_are_set_on_figures_of_estimates():
    for name, each in MADE_UP.items():
        rows = [each(row) for row in SETTINGS[name]["rows"]]
        assert all(found.found is not None for found in targets.verdicts(SETTINGS[name], rows))


def test_targets_judge_coverage_and_accuracy(estimated, capsys):
    rows = SETTINGS["coverage"]["rows"]
    changed = [made_up_coverage(rows[0], 0.97), *map(made_up_coverage, rows[1:])]
    write(estimated / "coverage.csv", changed)
    with pytest.raises(SystemExit, match="targets missed"):
        report.main(["--results", str(estimated), "--targets"])
    lines = capsys.readouterr().out.splitlines()
    name, other = rows[0]["name"], rows[1]["name"]
    assert f"MISSED   {name}: coverage at most 0.96, found 0.97 (1 % worse)" in lines
    assert f"reached  {other}: coverage at least 0.9176, found 0.94 (2 % better)" in lines
    ours = [line for line in lines if "over_rbms at least 6, found 39.7" in line]
    assert len(ours) == len(settings.grouped(SETTINGS["accuracy"]["rows"]))


def test_report_writes_about_log_z(estimated, readme):
    pytest.importorskip("matplotlib")
    mark = "<!-- log Z: begin -->\n"
    assert mark in readme.read_text()
    readme.write_text(readme.read_text().replace(mark, f"{mark}stale\n"))
    report.main(report_arguments(estimated, readme))
    text = readme.read_text().partition("<!-- log Z: begin -->")[2]
    assert "| digits, planned | 99.9 % | 94.0 % | 93.9 % | 53 % | 0.110 | 0.100 | −0.006 |" in text
    rows = [line for line in text.splitlines() if line.startswith("| digits 64 × 14")]
    assert [row.split(" | ")[1] for row in rows] == ["skebm", "rbms", "NumPy"]
    assert [row.rstrip(" |").split(" | ")[-1] for row in rows] == ["1", "39.7", "10"]
    assert "| digits, 16 hidden | 30 | 1.00 s | 1.10 s | 10 % | 0.10 |" in text
    assert "10,000 seeds" in text and "rbms 8.8" in text and "stale" not in text


def test_report_writes_what_there_is_about_log_z(estimated, readme):
    (estimated / "coverage.csv").unlink()
    found = report.estimate_results(SETTINGS, estimated)
    text = estimate_tables.section(found)
    assert "beside peers" in text and "seeds a row" not in text


def test_report_needs_the_comments_about_log_z(estimated, readme):
    pytest.importorskip("matplotlib")
    before = readme.read_text().replace("log Z: begin", "none")
    readme.write_text(before)
    with pytest.raises(SystemExit, match="log Z: begin"):
        report.main(report_arguments(estimated, readme))
    assert readme.read_text() == before


def test_report_refuses_coverage_that_lacks_a_row(estimated):
    rows = SETTINGS["coverage"]["rows"][1:]
    write(estimated / "coverage.csv", list(map(made_up_coverage, rows)))
    with pytest.raises(SystemExit, match=r"coverage.csv lacks 1 rows: digits, 20 temperatures"):
        report.estimate_results(SETTINGS, estimated)


def test_tracking_of_a_tiny_fit():
    params = {"n_components": 2, "n_iter": 2}
    row = {"name": "tiny", "library": "skebm", "data": "digits", "n_rows": 60, "rounds": 3}
    found = estimates.measure_tracking(row | {"params": params}, None)
    assert found["rounds"] == 3 and found["epochs"] == 2 and found["stderr_log_z"] == 0.0
    assert found["seconds"] > 0 and found["extra"] > -1.0


def test_trials_have_fewer_repetitions():
    options = type("Options", (), {"repetitions": 7, "only": "digits"})
    for name in ("library", "seconds", "quick"):
        setattr(options, name, None)
    chosen = run.chosen(settings.problems()["accuracy"], options)
    assert [row["repetitions"] for row in chosen["rows"]] == [7] * 3


# -- compare -----------------------------------------------------------------------------------


def compared(tmp_path, before, after):
    pytest.importorskip("pandas")
    from benchmarks import compare

    paths = [write(tmp_path / "before.csv", before), write(tmp_path / "after.csv", after)]
    return compare.compared(*map(compare.read, paths)).set_index("row").verdict


def test_compare_names_regressions(tmp_path):
    settings_rows = SETTINGS["speed"]["rows"]
    rows = [made_up(row) for row in settings_rows]
    half, gone = rows[0]["row"], rows[1]["row"]
    state, fat = (
        next(r["row"] for r in rows if r["job"] == job and r["library"] == "skebm")
        for job in ("state", "memory")
    )
    after = []
    for row, result in zip(settings_rows, rows):
        if result["row"] == half:
            result = made_up(row, seconds=2.0 * result["seconds"])
        elif result["row"] == state:
            result = made_up(row, seconds=1.3 * result["seconds"])
        elif result["row"] == fat:
            result = made_up(row, megabytes=30.0)
        if result["row"] != gone:
            after.append(result)
    verdicts = compared(tmp_path, rows, after)
    assert dict(verdicts[verdicts != ""]) == {
        half: "slower", gone: "missing", state: "slower", fat: "larger",
    }  # fmt: skip
    assert set(compared(tmp_path, after, rows)) == {"", "new"}


def test_compare_forgives_a_slower_machine(tmp_path):
    row = SETTINGS["speed"]["rows"][0]
    fast = made_up(row)
    slow = made_up(row, seconds=2.0 * fast["seconds"], peak=100e9)
    assert list(compared(tmp_path, [fast], [slow])) == [""]


def test_compare_ends_with_the_names(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    from benchmarks import compare

    row = SETTINGS["speed"]["rows"][0]
    before = write(tmp_path / "before.csv", [made_up(row)])
    after = write(tmp_path / "after.csv", [made_up(row, seconds=1.0)])
    monkeypatch.setattr(sys, "argv", ["compare", str(before), str(after)])
    with pytest.raises(SystemExit, match="1 regressions: PCD-1 update, batch 10, skebm"):
        compare.main()
    assert "slower" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare", str(before), str(before)])
    compare.main()


def test_compare_reads_the_tracked_results(tmp_path):
    pytest.importorskip("pandas")
    from benchmarks import compare

    tracked = sorted((ROOT / "benchmarks" / "results").glob("*.csv"))
    for path in tracked:
        if path.stem in SETTINGS:
            table = compare.read(path)
            assert set(compare.compared(table, table).verdict) == {""}, path.name
