"""Times of noise-contrastive estimation beside PyTorch, for the same loss, rows, noise and start.

First every library minimises the loss as far as it can in ``max_iter`` steps. What they are timed
to is the loss that all have reached by then, times 1 + 1e-6; ``gap`` says how far their ends are
apart. Seconds are those from the rows on, which each library arranges as it likes, to the first
evaluation that is as low. Then rows
take turns, each time in a new process, after a run that is not counted, and the median counts.

"skebm estimator" is what users call: it draws noise of its own, so that its loss is another one,
and ends with the covariance of all estimates.
"""

from typing import NamedTuple

import numpy as np

from benchmarks.adapters import adapter, settle, timed
from benchmarks.nce_data import contrast
from benchmarks.nce_trace import Enough, Evaluations
from benchmarks.processes import in_fresh_process
from benchmarks.settings import grouped, label
from benchmarks.speed import limited

# How near to that loss, as a share of it.
NEAR = 1e-6

_TOL = 1e-9


class Found(NamedTuple):
    """All times of a row, evaluations of its last run, seconds before; the lowest loss, and by
    which share of the lowest of all it is above that."""

    seconds: tuple
    evaluations: int
    compile_seconds: float
    loss: float = np.nan
    gap: float = np.nan


def times(problem, folder):
    """Measure a problem, one row of the result file after the other."""
    for group in grouped(problem["rows"]):
        lowest = {
            row["library"]: in_fresh_process(lowest_loss, row)
            for row in group
            if row["library"] != "skebm estimator"
        }
        found, rounds = {}, group[0].get("rounds", problem["rounds"])
        for _ in range(rounds):
            for row in group:
                each = row | {"repeats": row.get("repeats", problem["repeats"])}
                one, name = in_fresh_process(measure, each, lowest), label(row)
                found[name] = together(found[name], one) if name in found else one
        for row in group:
            yield table_row(row, found[label(row)])


def together(one, other):
    """What two measurements of a row say together."""
    return one._replace(
        seconds=one.seconds + other.seconds,
        compile_seconds=min(one.compile_seconds, other.compile_seconds),
    )


def table_row(row, found):
    """The line of the result file: what was run, and what came out."""
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        **{key: row.get(key, "") for key in ("model", "n_features", "n_hidden", "n_rows")},
        "noise_ratio": row["noise_ratio"],
        "loss": found.loss,
        "gap": found.gap,
        "evaluations": found.evaluations,
        "compile_seconds": found.compile_seconds,
        "seconds": float(np.median(found.seconds)),
        "fastest": min(found.seconds),
        "slowest": max(found.seconds),
        "runs": len(found.seconds),
    }


def lowest_loss(row):
    """The lowest loss that a library finds."""
    return descend(row, contrast(row)).best


def measure(row, lowest):
    """:class:`Found` of one process."""
    given = contrast(row)
    if row["library"] == "skebm estimator":
        return _estimator(row, given)
    best, goal = min(lowest.values()), max(lowest.values()) * (1.0 + NEAR)
    compiling, _ = timed(descend, row, given, goal)
    seconds = []
    for _ in range(row["repeats"]):
        settle()
        found = descend(row, given, goal)
        seconds.append(found.reached(goal))
    loss = lowest[row["library"]]
    return Found(tuple(seconds), len(found.losses), compiling, loss, loss / best - 1.0)


def descend(row, given, goal=-np.inf):
    """:class:`Evaluations` of one search, until ``goal`` or as far as it goes."""
    if row["library"] == "skebm":
        with limited(row["n_threads"]):
            return own(given, goal, row["max_iter"])
    return adapter(row["library"]).descend(given, row["n_threads"], goal, row["max_iter"])


# -- skebm -----------------------------------------------------------------------------------


def own(given, goal=-np.inf, max_iter=500):
    """The same by skebm: rows are put in blocks, then its solver for this energy.

    Where that rounds corners, the loss without is evaluated besides, off the clock.
    """
    from skebm.criteria._noise_solvers import minimise_lbfgs, minimise_newton
    from skebm.criteria.noise_contrastive import Problem, Sample

    found = Evaluations(goal)

    class Timed(Problem):
        def at(self, x):
            point = super().at(x)
            found.add(point.value if self.form is form else lambda: exact.at(x).value)
            return point

    form, theta, weights = form_of(given), given.start[:-1], np.ones(len(given.X))
    l2 = given.l2 * (np.arange(len(theta)) < given.n_penalised)
    sample = Sample.of(given.X, weights, given.noise, given.log_noise, given.ratio)
    problem, exact = (each(form, sample, theta, np.ones(len(theta), bool), l2) for each in (
        Timed, Problem
    ))  # fmt: skip
    minimise = minimise_newton if form.linear else minimise_lbfgs
    try:
        minimise(problem, given.start, _TOL, max_iter)
    except Enough:
        pass
    return found.ended()


def form_of(given):
    """skebm's form of the energy of a :class:`~benchmarks.nce_data.Contrast`."""
    from skebm.criteria.noise_contrastive import LAPLACE, LOGISTIC, Experts, Hidden, Quadratic

    p = given.X.shape[1]
    if given.model == "gaussian":
        return Quadratic(p, diagonal=True)
    if given.model == "rbm":
        return Hidden(given.n_hidden, p)
    return Experts(p, p, {"laplace": LAPLACE, "logistic": LOGISTIC}[given.model], False)


def _estimator(row, given):
    """``fit`` as users call it."""
    from skebm import NCEEstimator
    from skebm.nce import ICA, RBM

    energies = {
        "gaussian": lambda: "gaussian",
        "rbm": lambda: RBM(row["n_hidden"]),
        "laplace": lambda: ICA(fit_intercept=False),
        "logistic": lambda: ICA("logistic", fit_intercept=False),
    }
    model = NCEEstimator(
        energies[row["model"]](), noise_ratio=row["noise_ratio"], l2=given.l2,
        random_state=0, n_jobs=row["n_threads"],
    )  # fmt: skip
    compiling, _ = timed(model.fit, given.X)
    seconds = []
    for _ in range(row["repeats"]):
        settle()
        seconds.append(timed(model.fit, given.X)[0])
    return Found(tuple(seconds), np.nan, compiling)
