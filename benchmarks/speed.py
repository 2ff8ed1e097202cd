"""Times of single jobs, beside the largest matrix product that the machine can do right now.

A row is measured in a new process, ``repeats`` times, each between two measurements of the peak
(NumPy's float32 matrix product of two 2048 x 2048 arrays with all threads); the best of each
counts. Rows of one name take turns, ``rounds`` times, so that a change in the machine's pace does
not favour one library.
"""

from contextlib import contextmanager

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.adapters import adapter, settle, timed
from benchmarks.jobs import JOBS
from benchmarks.settings import label

PEAK_SIZE = 2048

SHAPE = (
    "data", "input", "n_rows", "n_features", "n_components", "batch_size", "n_gibbs_steps",
    "density", "n_chains", "cache",
)  # fmt: skip


def measure(row, problem, folder):
    """Measure one row: the best of its repeats, as a dict."""
    work = JOBS[row["job"]](adapter(row["library"]), row, folder)
    with limited(row.get("threads")) as threads:
        work.warm_up()
    found, peaks = [], [sgemm_flops()]
    for _ in range(row.get("repeats", problem["repeats"])):
        with limited(row.get("threads")):
            settle()
            found.append(work.run())
        peaks.append(sgemm_flops())
    seconds = [each.seconds for each in found]
    return {
        "unit": work.unit,
        "threads": threads,
        "flops": work.flops,
        "seconds": min(seconds),
        "slowest": max(seconds),
        "peak": max(peaks),
        "gemm_seconds": min(each.gemm_seconds for each in found),
        "megabytes": max(each.megabytes for each in found),
        "process_megabytes": max(each.process_megabytes for each in found),
        "given_megabytes": found[0].given_megabytes,
    }


def better_of(one, other):
    """What two measurements of the same row say together."""
    largest = ("slowest", "peak", "megabytes", "process_megabytes")
    values = {key: (one[key], other[key]) for key in one if isinstance(one[key], float)}
    return one | {key: max(pair) if key in largest else min(pair) for key, pair in values.items()}


def table_row(row, measured):
    """The line of the result file: what was run, and what came out."""
    seconds, gflops = measured["seconds"], measured["flops"] / measured["seconds"] / 1e9
    return {
        "row": label(row),
        "name": row["name"],
        "job": row["job"],
        "library": row["library"],
        "threads": measured["threads"],
        "sweep": row.get("sweep", ""),
        **{key: row.get(key, "") for key in SHAPE},
        "unit": measured["unit"],
        "seconds": seconds,
        "slowest": measured["slowest"],
        "gflops": gflops,
        "peak_gflops": measured["peak"] / 1e9,
        "share_of_peak": gflops * 1e9 / measured["peak"],
        "gemm_seconds": measured["gemm_seconds"],
        "times_gemm": seconds / measured["gemm_seconds"],
        "megabytes": measured["megabytes"],
        "process_megabytes": measured["process_megabytes"],
        "times_given": measured["megabytes"] / measured["given_megabytes"],
    }


@contextmanager
def limited(threads):
    """Limit Numba and BLAS to so many threads, None: all; gives their number."""
    before = numba.get_num_threads()
    if threads is None:
        yield before
        return
    numba.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield threads
    finally:
        numba.set_num_threads(before)


def sgemm_flops(repeats=3):
    """Operations per second of NumPy's float32 matrix product with all its threads."""
    A = np.random.default_rng(0).random((PEAK_SIZE, PEAK_SIZE), dtype=np.float32)
    B, out = A.T.copy(), np.empty_like(A)
    np.dot(A, B, out)
    best = min(timed(np.dot, A, B, out)[0] for _ in range(repeats))
    return 2.0 * PEAK_SIZE**3 / best
