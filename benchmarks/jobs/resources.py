"""What is paid besides time per step: memory of a fit, the first import, the first fit."""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import scipy.sparse as sp

from benchmarks.adapters import adapter
from benchmarks.jobs.updates import WARM_UP_ROWS, training_rows, update_shape
from benchmarks.jobs.work import Measured, Work

_WARM_UP_BATCHES = 4

# -- memory ----------------------------------------------------------------------------------


_MEMORY = """
import json, sys
from benchmarks.jobs.resources import measure_memory
print(json.dumps(measure_memory(json.loads(sys.argv[1]))))
"""


def memory(peer, row, folder):
    """Resident memory of a new process with one library that fits: at its peak, and how much of
    it the fit has added. Libraries are loaded, kernels compiled and the data there before."""
    few = row | {"n_rows": min(row["n_rows"], WARM_UP_ROWS)}

    def run(asked=row):
        return Measured(**json.loads(_output(_MEMORY, json.dumps(asked))))

    return Work("per update", run, warm_up=lambda: run(few))


def measure_memory(row):
    """The fields of :class:`Measured` for a fit in this process."""
    peer = adapter(row["library"])
    X, shape = training_rows(row, None), update_shape(row)
    peer.update_seconds(X[: _WARM_UP_BATCHES * row["batch_size"]], *shape)
    before = forget_peak()
    seconds = peer.update_seconds(X, *shape)
    peak = resident_megabytes("VmHWM")
    return {
        "seconds": seconds,
        "megabytes": peak - before,
        "process_megabytes": peak,
        "given_megabytes": data_megabytes(X) + row["n_components"] * row["n_features"] * 4 / 1e6,
    }


def data_megabytes(X):
    """Memory of an array, or of the three arrays of CSR."""
    parts = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
    return sum(part.nbytes for part in parts) / 1e6


def forget_peak():
    """Let the system's record of the peak start anew; returns what is in use, in megabytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise SystemExit(f"the memory rows need Linux ({error})") from error
    return resident_megabytes("VmRSS")


def resident_megabytes(entry):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(entry))


# -- new processes ---------------------------------------------------------------------------


_IMPORT = """
import time
import numba, sklearn
started = time.perf_counter()
import skebm
print(time.perf_counter() - started)
"""

_FIRST_FIT = """
import sys, time
import numpy as np
from skebm import PCDRBM
n_rows, n_features, n_components, batch_size = map(int, sys.argv[1:])
X = (np.random.default_rng(0).random((n_rows, n_features)) < 0.5).astype(np.float32)
started = time.perf_counter()
PCDRBM(n_components, batch_size=batch_size, n_iter=1, random_state=0).fit(X)
print(time.perf_counter() - started)
"""


def import_time(peer, row, folder):
    """Seconds that ``import skebm`` takes where scikit-learn and Numba are imported already."""

    def run():
        return Measured(_seconds_of(_IMPORT))

    return Work(unit="", run=run, warm_up=run)


def first_fit(peer, row, folder):
    """Seconds of the first fit in a new process; ``cache``: with an empty or a filled cache."""
    shape = [row[key] for key in ("n_rows", "n_features", "n_components", "batch_size")]
    filled = tempfile.TemporaryDirectory()

    def warm():
        return Measured(_seconds_of(_FIRST_FIT, *shape, NUMBA_CACHE_DIR=filled.name))

    def cold():
        with tempfile.TemporaryDirectory() as empty:
            return Measured(_seconds_of(_FIRST_FIT, *shape, NUMBA_CACHE_DIR=empty))

    if row["cache"] == "warm":
        return Work(unit="", run=warm, warm_up=warm)
    return Work(unit="", run=cold, warm_up=lambda: None)


def _seconds_of(code, *arguments, **environment):
    return float(_output(code, *arguments, **environment))


def _output(code, *arguments, **environment):
    """What ``code`` prints, run by a new interpreter that has the same skebm."""
    env = {**os.environ, **environment}
    # Byte code of the modules is kept, as it is after an installation; kernels are kept too.
    for name in ("PYTHONDONTWRITEBYTECODE", "SKEBM_CACHE"):
        env.pop(name, None)
    homes = [str(Path(find_spec(name).origin).parents[1]) for name in ("skebm", "benchmarks")]
    env["PYTHONPATH"] = os.pathsep.join([*homes, *filter(None, [env.get("PYTHONPATH")])])
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"a new process failed:\n{done.stderr}")
    return done.stdout
