"""Run problems of ``config.toml``: ``python -m benchmarks.run NAME... --data FOLDER``.

Writes ``results/NAME.csv``: a header of lines that begin with ``#`` and say what ran where, then
a table. The problems ``digits``, ``scaling``, ``coverage``, ``structure`` and those that begin with
``nce`` need no folder. A trial with ``--only``, ``--library``, ``--seconds``, ``--repetitions`` or
``--quick`` needs another ``--output`` than the tracked results.
"""

import argparse
import csv
import datetime
import itertools
import os
import platform
import subprocess
from pathlib import Path

import numba
import numpy as np

from benchmarks import tables
from benchmarks.adapters import adapter
from benchmarks.data import load
from benchmarks.problems import libraries, rows_of
from benchmarks.processes import in_fresh_process
from benchmarks.settings import HERE, data_sets, problems, quick

RESULTS = HERE / "results"


def versions(library):
    return adapter(library).version()


def processor():
    """The name of this machine's processor as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit():
    """The commit that ran, with a plus if files were changed since."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def header(name, found):
    """What a reader needs to repeat or to distrust the numbers."""
    return {
        "problem": name,
        "versions": "; ".join(dict.fromkeys(found)),
        "numerics": f"numpy {np.__version__}, numba {numba.__version__}",
        "python": platform.python_version(),
        "processor": f"{processor()}, {os.cpu_count()} cores, {numba.get_num_threads()} threads",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "load": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
    }


def run(name, problem, folder, output):
    """Measure one problem, writing each row as soon as it is there."""
    found = [in_fresh_process(versions, library) for library in libraries(problem)]
    for data in data_sets(problem):
        load(data, folder)  # what is missing is missed now, not after an hour
    output.mkdir(parents=True, exist_ok=True)
    with (output / f"{name}.csv").open("w", newline="") as file:
        for key, value in header(name, found).items():
            file.write(f"# {key}: {value}\n")
        if problem["kind"] == "speed":
            print(tables.HEADING)
        for rows in groups_of(written(file, rows_of(problem, folder))):
            print(shown(problem, rows), flush=True)


def written(file, rows):
    """The rows, each written to ``file`` before it is passed on."""
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, row, lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        yield row


def groups_of(rows):
    """Rows of one name together; those without a name alone."""
    for _, group in itertools.groupby(rows, key=lambda row: row.get("name", row["row"])):
        yield list(group)


def shown(problem, rows):
    """What is printed of a group of rows."""
    if problem["kind"] == "speed":
        return tables.line(tables.figures(rows))
    return "\n".join(
        " ".join([f"{row['row']:60s}", *(f"{key} {row[key]}" for key in SHOWN if key in row)])
        for row in rows
    )


SHOWN = (
    "seconds", "held_out", "loglik", "lower", "upper", "error", "stderr_log_z", "converged",
    "coverage", "coverage_of_all", "ess_ratio", "mse", "mse_seconds", "tracked_seconds", "extra",
    "rows_needed", "b_rmse", "log_z_rmse", "parameters", "parameters_z", "log_z", "log_z_z",
)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(problems()), metavar="NAME")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only", help="rows whose name contains this text only")
    parser.add_argument("--library", nargs="+", help="rows of these libraries only")
    parser.add_argument("--seconds", type=float, help="another budget of likelihood problems")
    parser.add_argument("--repetitions", type=int, help="so many seeds of coverage and accuracy")
    parser.add_argument("--quick", action="store_true", help="see whether speed problems run")
    options = parser.parse_args()
    trial = (options.only, options.library, options.seconds, options.repetitions, options.quick)
    if any(trial) and options.output.resolve() == RESULTS.resolve():
        raise SystemExit("a trial needs another --output than the tracked results")
    for name in options.names:
        run(name, chosen(problems()[name], options), options.data, options.output)


def chosen(problem, options):
    """A problem with what the command line leaves of it."""
    if options.library:
        problem["rows"] = [row for row in problem["rows"] if row["library"] in options.library]
    if options.only:
        problem["rows"] = [row for row in problem["rows"] if options.only in row.get("name", "")]
    if options.seconds:
        problem.update(seconds=options.seconds, epochs=None)
    if options.repetitions:
        for row in problem["rows"]:
            row.update(repetitions=options.repetitions)
    if options.quick and "speed" in problem["kind"]:
        quick(problem)
    if not problem["rows"]:
        raise SystemExit("no row is left to measure")
    return problem


if __name__ == "__main__":
    main()
