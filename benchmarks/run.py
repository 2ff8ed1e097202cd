"""Run problems of ``config.toml``: ``python -m benchmarks.run NAME... --data FOLDER``.

Writes ``results/NAME.csv``: a header of lines that begin with ``#`` and say what ran where, then
a table. The problems ``digits`` and ``speed`` need no folder. A trial with ``--library`` or
``--seconds`` belongs into another ``--output`` than the tracked results.
"""

import argparse
import csv
import datetime
import os
import platform
import subprocess
import tomllib
from pathlib import Path

import numba
import numpy as np

from benchmarks.adapters import adapter
from benchmarks.problems import in_fresh_process, libraries, rows_of

HERE = Path(__file__).parent


def problems():
    """All problems by name."""
    return tomllib.loads((HERE / "config.toml").read_text())["problems"]


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
        "versions": "; ".join(found),
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
    output.mkdir(parents=True, exist_ok=True)
    with (output / f"{name}.csv").open("w", newline="") as file:
        for key, value in header(name, found).items():
            file.write(f"# {key}: {value}\n")
        writer = None
        for row in rows_of(problem, folder):
            if writer is None:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            shown = {key: row[key] for key in SHOWN if key in row}
            print(f"{row['row']:60s}", *(f"{key} {value}" for key, value in shown.items()))


SHOWN = ("seconds", "loglik", "lower", "upper", "error", "stderr_log_z", "gflops", "share_of_peak")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(problems()), metavar="NAME")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--library", nargs="+", help="rows of these libraries only")
    parser.add_argument("--seconds", type=float, help="another budget, to try a problem out")
    options = parser.parse_args()
    for name in options.names:
        problem = problems()[name]
        if options.library:
            problem["rows"] = [row for row in problem["rows"] if row["library"] in options.library]
        if options.seconds:
            problem.update(seconds=options.seconds, epochs=None)
        run(name, problem, options.data, options.output)


if __name__ == "__main__":
    main()
