"""The kinds of problems, each a generator of rows: what was run, how long, how good.

A problem in ``config.toml`` names its ``kind``; its ``rows`` are what is compared. Every row is
measured in a process of its own, so that no library meets another one's threads.
"""

import itertools

import numpy as np

from benchmarks import (
    estimates,
    gaussian_quality,
    gaussian_real,
    gaussian_speed,
    ising_densities,
    ising_speed,
    ising_structure,
    nce_asymptotics,
    nce_slopes,
    nce_speed,
    search,
    speed,
)
from benchmarks.adapters import Budget, adapter, timed
from benchmarks.data import load, read_arrays
from benchmarks.processes import in_fresh_process
from benchmarks.scoring import likelihood, marginals
from benchmarks.settings import grouped, label


def libraries(problem):
    """The libraries that a problem compares, each once, in order."""
    return list(dict.fromkeys(row["library"] for row in problem["rows"]))


def rows_of(problem, folder):
    """Measure a problem, row by row."""
    return KINDS[problem["kind"]](problem, folder)


# -- likelihood ------------------------------------------------------------------------------


def likelihoods(problem, folder):
    """Train every row within the problem's budget and score it by test log-likelihood."""
    sizes = problem.get("n_components", [None])
    for dataset, hidden, row in itertools.product(problem["data"], sizes, problem["rows"]):
        row = dict(row, data=row.get("data", dataset), n_components=hidden)
        for seed in range(problem.get("seeds", 1)):
            yield in_fresh_process(measure_likelihood, row, problem, folder, seed)


def measure_likelihood(row, problem, folder, seed):
    data = load(row["data"], folder)
    params = dict(row.get("params", {}), n_components=row["n_components"])
    budget = Budget(problem.get("epochs"), problem.get("seconds"))
    fitted = adapter(row["library"]).fit(data, params, budget, seed)
    score_seconds, score = timed(likelihood, fitted.parameters, data, **problem.get("score", {}))
    return {
        "row": f"{row['data']} {row['n_components']} {row['name']} seed {seed}",
        "library": row["library"],
        "params": " ".join(f"{key}={value}" for key, value in row.get("params", {}).items()),
        "epochs": round(fitted.epochs, 2),
        "compile_seconds": round(fitted.compile_seconds, 3),
        "seconds": round(fitted.seconds, 4),
        "score_seconds": round(score_seconds, 2),
        **_rounded(score._asdict()),
    }


# -- known log Z -----------------------------------------------------------------------------


def known_log_z(problem, folder):
    """Exact and AIS log Z of trained RBMs whose log Z is published."""
    for row in problem["rows"]:
        yield in_fresh_process(measure_log_z, row, folder)


def measure_log_z(row, folder):
    from skebm import PCDRBM

    arrays = read_arrays(folder, f"rbm_weights/{row['model']}")
    model = PCDRBM.from_parameters(arrays["W"].T, arrays["vbias"], arrays["hbias"], random_state=0)
    options = dict(row["params"], random_state=0)
    if "base" in row:
        options["base"] = marginals(load(row["base"], folder).train)
    seconds, found = timed(model.log_partition, **options)
    truth = row["truth"]
    return {
        "row": f"{row['model']} {found.method}" + (f" from {row['base']}" if "base" in row else ""),
        "library": row["library"],
        "params": " ".join(f"{key}={value}" for key, value in row["params"].items()),
        "seconds": round(seconds, 4),
        **_rounded({
            "log_z": found.value, "truth": truth, "error": found.value - truth,
            "stderr_log_z": found.stderr, "ess": found.ess, "converged": found.converged,
        }),
    }  # fmt: skip


# -- speed -----------------------------------------------------------------------------------


def speeds(problem, folder):
    """Time jobs as shares of this machine's matrix product; rows of one name take turns."""
    for group in grouped(problem["rows"]):
        best = {}
        for _ in range(group[0].get("rounds", problem["rounds"])):
            for row in group:
                found = in_fresh_process(speed.measure, row, problem, folder)
                name = label(row)
                best[name] = speed.better_of(best[name], found) if name in best else found
        for row in group:
            yield _rounded(speed.table_row(row, best[label(row)]))


# -- errors of AIS ---------------------------------------------------------------------------


def coverages(problem, folder):
    """How often the intervals of AIS hold the known log Z."""
    yield from map(_rounded, estimates.coverage(problem, folder))


def accuracies(problem, folder):
    """Mean squared error and seconds of AIS beside peers."""
    yield from map(_rounded, estimates.accuracy(problem, folder))


def trackings(problem, folder):
    """What it costs to follow log Z along training."""
    yield from map(_rounded, estimates.tracking(problem, folder))


# -- speed of Ising models -------------------------------------------------------------------


def ising_speeds(problem, folder):
    """Time learning, log Z and chains of Ising models beside peers."""
    yield from map(_rounded, ising_speed.times(problem, folder))


# -- quality of Ising models -----------------------------------------------------------------


def structures(problem, folder):
    """How many rows it takes to find the graph of a lattice."""
    yield from map(_rounded, ising_structure.structure(problem, folder))


def densities(problem, folder):
    """Test log-likelihood of Ising models beside independent columns and trees."""
    yield from map(_rounded, ising_densities.densities(problem, folder))


# -- one search ------------------------------------------------------------------------------


def searches(problem, folder):
    """Held-out log-likelihood of every candidate of one search, the test score of the chosen."""
    yield from map(_rounded, search.searches(problem, folder))


# -- Gaussian models -------------------------------------------------------------------------


def gaussian_speeds(problem, folder):
    """Time sparse Gaussian models beside graphical lassos and matrix products."""
    yield from map(_rounded, gaussian_speed.times(problem, folder))


def gaussian_graphs(problem, folder):
    """How well known graphs are found, beside graphical lassos."""
    yield from map(_rounded, gaussian_quality.graphs(problem, folder))


def gaussian_densities(problem, folder):
    """Held-out log-likelihood of Gaussian models on real data."""
    yield from map(_rounded, gaussian_real.densities(problem, folder))


# -- noise-contrastive estimation ------------------------------------------------------------


def nce_speeds(problem, folder):
    """Time noise-contrastive estimation beside PyTorch, to the same loss."""
    yield from map(_rounded, nce_speed.times(problem, folder))


def nce_errors(problem, folder):
    """How errors fall with rows."""
    yield from map(_rounded, nce_slopes.slopes(problem, folder))


def nce_variances(problem, folder):
    """Variances of estimates beside theory, and coverage of intervals."""
    yield from map(_rounded, nce_asymptotics.asymptotics(problem, folder))


KINDS = {
    "likelihood": likelihoods,
    "known log Z": known_log_z,
    "speed": speeds,
    "coverage": coverages,
    "accuracy": accuracies,
    "tracking": trackings,
    "ising speed": ising_speeds,
    "structure": structures,
    "densities": densities,
    "search": searches,
    "gaussian speed": gaussian_speeds,
    "gaussian graphs": gaussian_graphs,
    "gaussian densities": gaussian_densities,
    "nce speed": nce_speeds,
    "nce slopes": nce_errors,
    "nce asymptotics": nce_variances,
}


def _rounded(row):
    """Numbers to nine digits; what is not a number becomes an empty cell."""
    return {
        key: _digits(value) if isinstance(value, float | np.floating) else value
        for key, value in row.items()
    }


def _digits(value):
    return "" if np.isnan(value) else float(f"{value:.9g}")
