"""log Z estimated again and again: is the interval right, is the value, what does it cost.

``coverage`` asks how often the interval of AIS holds the known log Z; ``accuracy`` asks for the
mean squared error and the seconds of an estimate, beside peers that make as many sweeps;
``tracking`` asks what it costs to follow log Z along training.
"""

import functools
import warnings

import numba
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import known
from benchmarks.adapters import adapter, settle, timed
from benchmarks.data import load
from benchmarks.processes import fresh_processes, in_fresh_process
from benchmarks.settings import label

# -- coverage --------------------------------------------------------------------------------


def coverage(problem, folder):
    """The seeds 0, 1, ... of every row, in as many processes of one thread as there are cores."""
    workers = numba.get_num_threads()
    with fresh_processes(workers) as pool:
        for row in problem["rows"]:
            estimate = functools.partial(intervals, row["family"], row["params"])
            list(pool.map(estimate, [[0]] * workers))  # nothing is compiled after
            parts = np.array_split(np.arange(row["repetitions"]), 4 * workers)
            seconds, found = timed(list, pool.map(estimate, parts))
            yield coverage_row(row, np.concatenate(found), seconds)


def intervals(family, params, seeds):
    """Per seed: error, lower and upper end less log Z, error bar, ESS ratio, converged."""
    from skebm import PCDRBM

    truth = known.FAMILIES[family]()
    model = PCDRBM.from_parameters(*truth.parameters, n_jobs=1)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is counted
        for seed in seeds:
            each = model.log_partition("ais", base=truth.base, random_state=int(seed), **params)
            ends = [end - truth.log_z for end in (each.value, each.lower, each.upper)]
            found.append([*ends, each.stderr, each.ess / each.n_chains, each.converged])
    return np.array(found).reshape(-1, 6)


def coverage_row(row, found, seconds):
    """What many intervals say together; ``coverage`` is that of the converged ones."""
    error, lower, upper, stderr, ess_ratio, converged = found.T
    covered, converged = (lower <= 0.0) & (upper >= 0.0), converged == 1.0
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "family": row["family"],
        "params": " ".join(f"{key}={value}" for key, value in row["params"].items()),
        "repetitions": len(found),
        "converged": converged.mean(),
        "coverage": covered[converged].mean() if converged.any() else np.nan,
        "coverage_of_all": covered.mean(),
        "ess_ratio": ess_ratio.mean(),
        "sd": error.std(),
        "stderr_log_z": stderr.mean(),
        "error": error.mean(),
        "seconds": seconds,
    }


# -- accuracy --------------------------------------------------------------------------------


def accuracy(problem, folder):
    """Every row in a process of its own, on models that are learned once."""
    models = {}
    for row in problem["rows"]:
        model = row["model"]
        if model not in models:
            models[model] = in_fresh_process(trained, model, folder)
        yield in_fresh_process(measure_accuracy, row, models[model])


def trained(name, folder):
    """The trained model of that name, with its log Z."""
    return known.mnist(folder) if name == "mnist" else known.FAMILIES[name]()


def measure_accuracy(row, truth):
    """Estimates with the seeds 0, 1, ..., each timed alone."""
    settle()
    estimate = adapter(row["library"]).log_z
    sweeps = row["n_chains"], row["n_temperatures"]
    estimate(truth.parameters, truth.means, row["n_chains"], 10, 0)  # nothing is compiled after
    runs = [
        timed(estimate, truth.parameters, truth.means, *sweeps, seed)
        for seed in range(row["repetitions"])
    ]
    seconds, values = np.array(runs).T
    return accuracy_row(row, truth.log_z, values, float(np.median(seconds)))


def accuracy_row(row, log_z, values, seconds):
    """Error and cost of many estimates; their product hardly changes with chains or sweeps."""
    squares = (values - log_z) ** 2
    mse = squares.mean()
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "model": row["model"],
        "n_chains": row["n_chains"],
        "n_temperatures": row["n_temperatures"],
        "repetitions": len(values),
        "log_z": log_z,
        "mse": mse,
        "stderr_mse": squares.std(ddof=1) / np.sqrt(len(values)),
        "error": values.mean() - log_z,
        "seconds": seconds,
        "mse_seconds": mse * seconds,
    }


# -- tracking --------------------------------------------------------------------------------


def tracking(problem, folder):
    """Every row in a process of its own: the same fits with and without log Z, in turns."""
    for row in problem["rows"]:
        yield in_fresh_process(measure_tracking, row, folder)


def measure_tracking(row, folder):
    """Seconds of both fits, and what following adds to the median."""
    from skebm import PCDRBM

    X = load(row["data"], folder).train[: row.get("n_rows")]
    fit = lambda on: PCDRBM(random_state=0, track_log_partition=on, **row["params"]).fit(X)  # noqa: E731
    fit(True)  # nothing is compiled after
    settle()
    pairs = [(timed(fit, False)[0], timed(fit, True)) for _ in range(row["rounds"])]
    plain = np.array([seconds for seconds, _ in pairs])
    tracked = np.array([seconds for _, (seconds, _) in pairs])
    return tracking_row(row, plain, tracked, pairs[-1][1][1].history_)


def tracking_row(row, plain, tracked, history):
    """The pairs of fits as figures; ``extra`` is the median over pairs of what is added."""
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "params": " ".join(f"{key}={value}" for key, value in row["params"].items()),
        "rounds": len(plain),
        "seconds": float(np.median(plain)),
        "tracked_seconds": float(np.median(tracked)),
        "extra": float(np.median(tracked / plain)) - 1.0,
        "epochs": len(history["log_partition"]),
        "stderr_log_z": float(history["log_partition_stderr"][-1]),
    }
