"""Times of single jobs, beside the largest matrix product that the machine can do right now."""

import numpy as np

from benchmarks.adapters import Budget, adapter, timed
from benchmarks.data import Data, load
from benchmarks.scoring import Parameters

PEAK_SIZE = 2048


def measure(row, problem):
    """One row: the best of ``repeats`` runs of a job, after one that warms up."""
    job, peer = JOBS[row["job"]], adapter(row["library"])
    peak = sgemm_flops()
    job(peer, row)
    results = [job(peer, row) for _ in range(problem["repeats"])]
    peak = max(peak, sgemm_flops())
    seconds, flops = min(results)
    return {
        "row": " ".join([row["job"], *(f"{key}={row[key]}" for key in _SIZES if key in row)])
        + f" {row['library']}",
        "library": row["library"],
        "seconds": seconds,
        "slowest": max(results)[0],
        "gflops": flops / seconds / 1e9,
        "peak_gflops": peak / 1e9,
        "share_of_peak": flops / seconds / peak,
    }


_SIZES = ("n_features", "n_components", "batch_size", "n_gibbs_steps", "n_chains", "active")


def sgemm_flops(repeats=5):
    """Operations per second of NumPy's float32 matrix product with all its threads."""
    A = np.random.default_rng(0).random((PEAK_SIZE, PEAK_SIZE), dtype=np.float32)
    B, out = A.T.copy(), np.empty_like(A)
    np.dot(A, B, out)
    return 2.0 * PEAK_SIZE**3 / min(timed(np.dot, A, B, out)[0] for _ in range(repeats))


def update(peer, row):
    """One PCD-k update with as many chains as rows: 3 + 2k matrix products."""
    shape = (row["updates"] * row["batch_size"], row["n_features"])
    X = (np.random.default_rng(0).random(shape) < row["active"]).astype(np.float32)
    hidden, k = row["n_components"], row["n_gibbs_steps"]
    seconds = peer.update_seconds(X, hidden, row["batch_size"], k)
    return seconds, 2.0 * (3 + 2 * k) * row["batch_size"] * row["n_features"] * hidden


def temperature(peer, row):
    """One temperature of AIS: two matrix products."""
    generator = np.random.default_rng(0)
    hidden, visible = row["n_components"], row["n_features"]
    W = generator.normal(0.0, 0.05, (hidden, visible)).astype(np.float32)
    b, c = np.zeros(visible, np.float32), np.zeros(hidden, np.float32)
    seconds = peer.temperature_seconds(Parameters(W, b, c), row["n_chains"], row["temperatures"])
    return seconds, 4.0 * row["n_chains"] * hidden * visible


def whole_fit(peer, row):
    """A whole fit of the embedded digits, five matrix products per update."""
    data = load("digits", None)
    params = {"n_components": row["n_components"], "batch_size": row["batch_size"]}
    fitted = peer.fit(Data(data.train, data.test), params, Budget(epochs=row["epochs"]))
    return fitted.seconds, 10.0 * row["epochs"] * data.train.size * row["n_components"]


JOBS = {"update": update, "temperature": temperature, "digits": whole_fit}
