"""Times of Ising models: learning beside logistic regressions, exact log Z, Gibbs sampling.

Rows of one name take turns, each time in a new process; the best of all runs counts. Before them
comes a run with the same kernels, so that nothing is compiled later; ``compile_seconds`` is the
time of that whole run. Learning is timed at the loosest tolerance at which the objective is within
1e-6 of its optimum, of every library its own: found among some spins (among all by skebm), then
checked on what is timed.
"""

from typing import NamedTuple

import numpy as np

from benchmarks import ising_optimum as optimum
from benchmarks.adapters import adapter, settle, timed
from benchmarks.ising_data import dense_model, spins, torus_model
from benchmarks.jobs.resources import resident_megabytes
from benchmarks.processes import in_fresh_process
from benchmarks.settings import grouped, label
from benchmarks.speed import limited


class Found(NamedTuple):
    """Best and slowest run, seconds before them, and what a job has beside: tolerance, gap of the
    objective, difference of coefficients, spins fitted, megabytes of the process at its peak, and
    how many states or spins were gone through."""

    seconds: float
    slowest: float
    compile_seconds: float
    tol: float = np.nan
    gap: float = np.nan
    difference: float = np.nan
    nodes: float = np.nan
    megabytes: float = np.nan
    count: float = np.nan


def times(problem, folder):
    """Measure a problem, one row of the result file after the other."""
    for group in grouped(problem["rows"]):
        known = in_fresh_process(JOBS[group[0]["job"]].known, group, folder)
        best = {}
        for _ in range(group[0].get("rounds", problem["rounds"])):
            for row in group:
                each = row | {"repeats": row.get("repeats", problem["repeats"])}
                name, before = label(row), best.get(label(row))
                if before is not None:
                    each["tol"] = before.tol
                found = in_fresh_process(measure, each, folder, known)
                best[name] = found if before is None else better_of(before, found)
        for row in group:
            yield table_row(row, best[label(row)])


def measure(row, folder, known):
    with limited(row.get("threads")):
        return JOBS[row["job"]].run(row, folder, known)


def better_of(one, other):
    """What two measurements of a row say together."""
    return one._replace(
        seconds=min(one.seconds, other.seconds),
        slowest=max(one.slowest, other.slowest),
        compile_seconds=min(one.compile_seconds, other.compile_seconds),
        megabytes=max(one.megabytes, other.megabytes),
    )


_SHAPE = ("data", "n_spins", "n_rows", "alpha", "n_alphas", "n_chains", "n_sweeps")


def table_row(row, found):
    """The line of the result file: what was run, and what came out."""
    return {
        "row": label(row),
        "name": row["name"],
        "job": row["job"],
        "library": row["library"],
        "threads": row.get("threads", ""),
        **{key: row.get(key, "") for key in _SHAPE},
        "nodes": found.nodes,
        "tol": found.tol,
        "gap": found.gap,
        "coefficient_difference": found.difference,
        "compile_seconds": found.compile_seconds,
        "seconds": found.seconds,
        "slowest": found.slowest,
        "per_second": found.count / found.seconds,
        "megabytes": found.megabytes,
    }


def repeated(call, repeats):
    """Best and slowest of some runs, and the last result."""
    seconds = []
    for _ in range(repeats):
        settle()
        each, result = timed(call)
        seconds.append(each)
    return min(seconds), max(seconds), result


# -- learning --------------------------------------------------------------------------------


def optima(group, folder):
    """Penalties, and {way to symmetrise: conditionals at the optimum}."""
    row = group[0]
    S = spins(row, folder)
    alphas = optimum.penalties(row, S)
    ways = {optimum.symmetrize(each["library"]): each["library"] for each in group}
    return alphas, {
        way: optimum.at_each(library, row, S, alphas, optimum.TIGHT)
        for way, library in ways.items()
    }


def learn(row, folder, known):
    alphas, best = known
    S, library = spins(row, folder), row["library"]
    best = best[optimum.symmetrize(library)]
    if library.startswith("skebm"):
        return _own(row, S, alphas, best)
    with optimum.nodewise(library, S, alphas, row["l1_ratio"]) as fit:
        return _peer(row, S, alphas, best, fit)


def _own(row, S, alphas, best):
    library, nodes = row["library"], np.arange(S.shape[1])
    compiling, _ = timed(optimum.model(library, row, tol=1e-2).fit, S)
    for tol in _tolerances(row, optimum.OWN_TOLERANCES):
        C = optimum.at_each(library, row, S, alphas, tol)
        gap, difference = optimum.distance(S, C, best, nodes, alphas, row["l1_ratio"])
        if gap <= optimum.LARGEST_GAP:
            break
    fitted = optimum.model(library, row, tol=tol)
    seconds, slowest, _ = repeated(lambda: fitted.fit(S), row["repeats"])
    return Found(seconds, slowest, compiling, tol, gap, difference, len(nodes))


def _peer(row, S, alphas, best, fit):
    """Fits some spins at every tolerance, then those of the row, whose gap is kept."""
    p, l1_ratio = S.shape[1], row["l1_ratio"]
    nodes, few = optimum.spread(p, row.get("nodes", p)), optimum.searched(p)
    ladder = _tolerances(row, adapter(row["library"]).tolerances(row["library"]))
    for tol in ladder:
        if len(few) < len(nodes) and tol != ladder[-1]:
            gap, _ = optimum.distance(S, fit(few, tol), best, few, alphas, l1_ratio)
            if gap > optimum.LARGEST_GAP:
                continue
        settle()
        seconds, C = timed(fit, nodes, tol)
        gap, difference = optimum.distance(S, C, best, nodes, alphas, l1_ratio)
        if gap <= optimum.LARGEST_GAP:
            break
    seconds *= p / len(nodes)
    return Found(seconds, seconds, np.nan, tol, gap, difference, len(nodes))


def _tolerances(row, ladder):
    return (row["tol"],) if "tol" in row else ladder


def large(row, folder, known):
    """A fit with the default settings, and the peak of the process."""
    from skebm import PseudoLikelihoodIsing

    S = spins(row, folder)
    compiling, _ = timed(PseudoLikelihoodIsing(tol=1e-2).fit, S[:2000])
    seconds, slowest, _ = repeated(lambda: PseudoLikelihoodIsing().fit(S), row["repeats"])
    return Found(seconds, slowest, compiling, megabytes=resident_megabytes("VmHWM"))


# -- log Z and chains ------------------------------------------------------------------------


# Spins enough for the kernel that works on all threads, which smaller sums do not load.
_WARM_SPINS = 24


def exact(row, folder, known):
    """log Z of a dense model by the sum over all states."""
    compiling, _ = timed(dense_model(_WARM_SPINS).exact_log_partition)
    energy = dense_model(row["n_spins"])
    seconds, slowest, _ = repeated(energy.exact_log_partition, row["repeats"])
    return Found(seconds, slowest, compiling, count=2.0 ** row["n_spins"])


def gibbs(row, folder, known):
    """Sweeps of chains, that start from fair coins, over a dense model or a torus."""
    n_chains, n_sweeps = row["n_chains"], row["n_sweeps"]
    make = torus_model if row.get("graph") == "torus" else dense_model
    energy = make(row["n_spins"], np.dtype(row["dtype"]))
    if row["library"] == "skebm":
        call = _chains(energy, n_chains, n_sweeps)
    else:
        peer = adapter(row["library"])
        call = peer.sampling(energy.coupling, energy.field, n_chains, n_sweeps)
    compiling, _ = timed(call)
    seconds, slowest, _ = repeated(call, row["repeats"])
    count = float(n_chains) * n_sweeps * row["n_spins"]
    return Found(seconds, slowest, compiling, count=count)


def _chains(energy, n_chains, n_sweeps):
    from skebm._rng import derive_key

    key = derive_key((0,), 1)

    def draw():
        X = energy.scattered_states(n_chains, (0,))
        energy.sweep(X, 1.0, None, key, n_sweeps=n_sweeps)
        return X

    return draw


def nothing(group, folder):
    """What most jobs have to find out once: nothing."""


class Job(NamedTuple):
    """How a job is measured, and what is found out once for all rows of one name."""

    run: object
    known: object = nothing


JOBS = {
    "learn": Job(learn, optima),
    "large": Job(large),
    "exact Ising": Job(exact),
    "gibbs": Job(gibbs),
}
