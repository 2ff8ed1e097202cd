"""The benchmark commands, on made-up results: nothing is measured here."""

import csv
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import adapters, problems, report, run, settings, speed, tables, targets  # noqa: E402
from benchmarks.jobs import JOBS, updates  # noqa: E402

SETTINGS = settings.problems()
TIMED = [name for name, problem in SETTINGS.items() if problem["kind"] == "speed"]
ROWS = [(name, row) for name, problem in SETTINGS.items() for row in problem["rows"]]
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
    kinds = {"likelihood", "known log Z", "speed"}
    assert {problem["kind"] for problem in SETTINGS.values()} == kinds
    for name, row in ROWS:
        assert row["library"] in adapters.LIBRARIES, name
        if name in TIMED:
            assert row["job"] in JOBS, name
    assert {row["job"] for name, row in ROWS if name in TIMED} == set(JOBS)


@pytest.mark.parametrize("name", TIMED)
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
        report.rewrite(page, "text")


def test_targets_end_with_a_status(results, capsys):
    with pytest.raises(SystemExit, match="targets missed"):
        report.main(["--results", str(results), "--targets"])
    lines = capsys.readouterr().out.splitlines()
    row = "PCD-1 update, batch 128"
    assert f"MISSED   {row}: share_of_peak at least 0.8, found 0.5 (38 % worse)" in lines
    assert f"reached  {row}: over_scikit_learn at least 3.8, found 4 (5 % better)" in lines
    count = sum(
        len(group[0].get(bound, {}))
        for group in settings.grouped(SETTINGS["speed"]["rows"])
        for bound in ("at_least", "at_most")
    )
    assert len(lines) == count


def test_a_target_is_reached_or_missed():
    problem = {"rows": [{"name": "a", "at_least": {"x": 2.0}, "at_most": {"seconds": 1.0}}]}
    row = made_up(SETTINGS["speed"]["rows"][0]) | {"name": "a", "row": "a, skebm", "seconds": 0.5}
    x, seconds = targets.verdicts(problem, [row])
    assert not x.reached and x.found is None and "not measured" in str(x)
    assert seconds.reached and seconds.margin == pytest.approx(0.5)


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
