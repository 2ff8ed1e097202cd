"""How many rows it takes to find the graph of a small Ising model, by criterion.

The protocol of Lokhov et al. (2018) on a periodic 4 × 4 lattice, 16 spins and 32 edges: every
conditional is fitted with L1 at the penalty of theory, c sqrt(log(p^2 / 0.05) / M); a coupling is
the mean of its two estimates, an edge if that is beyond half of the smallest true |coupling|; M is
enough if all of 45 data sets give exactly the true graph, which a method that finds it in 95 % of
cases does with probability 0.1. Here all true couplings have one size, +coupling in the ferromagnet
and signs drawn once in the glass, whereas published couplings range from 0.4 upwards; fields are
zero, and are fitted too.

M is doubled or halved until it is enough and half of it is not, then bisected on a logarithmic
scale. That is a matter of luck too, so the search is repeated with other data, and the median and
the extremes are reported. M rows are counts of the 65,536 states, drawn at once, so that M costs
nothing. Criteria that are tried at the same M see the same data.

References
----------
A. Y. Lokhov, M. Vuffray, S. Misra, M. Chertkov (2018). Optimal structure and parameter learning of
Ising models. Science Advances 4, e1700791.
"""

import functools
import warnings

import numba
import numpy as np

from benchmarks.adapters import timed
from benchmarks.processes import fresh_processes
from benchmarks.settings import label

SIZE = 4

# c of the penalty: published but for ratio matching, where it is half of pseudolikelihood's, as
# both its gradient and its curvature are at t = 0; both penalties then shrink weak couplings alike.
# Strong couplings make its gradient far smaller than that, so all three are tried at a quarter too.
CONSTANTS = {"PL": 0.2, "RISE": 0.4, "RM": 0.1, "PL ¼": 0.05, "RISE ¼": 0.1, "RM ¼": 0.025}

# Ratio matching is nearly flat where couplings are strong: slopes say little about couplings there.
TOL, FLAT_TOL = 1e-5, 1e-8

# Rows beyond which a search gives up, and data sets that a process looks at in one go.
_MOST, _AT_A_TIME = 2**31, 4


def structure(problem, folder):
    """Search the number of rows for every row of the problem, by processes of one thread."""
    workers = numba.get_num_threads()
    with fresh_processes(workers) as pool:
        for row in problem["rows"]:
            list(pool.map(functools.partial(recoveries, row, 0, 100), [[0]] * workers))  # compiled
            seconds, found = timed(searches, pool, workers, row)
            yield structure_row(row, *zip(*found), seconds)


def searches(pool, workers, row):
    """(enough, too few, trials) of every repeated search."""
    return [
        least_rows(
            functools.partial(all_recovered, pool, workers, row, search),
            row["first"],
            row["precision"],
        )
        for search in range(row["searches"])
    ]


def structure_row(row, enough, too_few, trials, seconds):
    """The results of the searches, a search without an end being infinite."""
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "graph": row["graph"],
        "coupling": row["coupling"],
        "model": row["model"],
        "constant": CONSTANTS[row["model"]],
        "repetitions": row["repetitions"],
        "searches": len(enough),
        "precision": row["precision"],
        "rows_needed": float(np.median(enough)),
        "least": min(enough),
        "most": max(enough),
        "too_few": float(np.median(too_few)),
        "trials": sum(trials),
        "seconds": seconds,
    }


# -- the search ------------------------------------------------------------------------------


def least_rows(enough, first, precision):
    """Rows that are ``enough``, fewer that are not, at most ``precision`` times less, and trials.

    ``enough(M)`` need not be monotone, being a matter of chance; both ends were tried, unless one
    row is enough (0 are too few) or none that is tried (infinitely many are needed).
    """
    low, high, trials = None, None, 0
    M = first
    while low is None or high is None:
        trials += 1
        if enough(M):
            high, M = M, max(M // 2, 1)
        else:
            low, M = M, 2 * M
        if M > _MOST:
            return np.inf, low, trials
        if high == 1:
            return 1, 0, trials
    while high > precision * low and high - low > 1:
        trials += 1
        M = min(max(round(np.sqrt(low * high)), low + 1), high - 1)
        low, high = (low, M) if enough(M) else (M, high)
    return high, low, trials


def all_recovered(pool, workers, row, search, M):
    """Whether every data set of ``M`` rows gives the graph; it stops at the first that does not."""
    look, seeds = functools.partial(recoveries, row, search, M), range(row["repetitions"])
    parts = [seeds[low : low + _AT_A_TIME] for low in range(0, len(seeds), _AT_A_TIME)]
    for low in range(0, len(parts), workers):
        found = list(pool.map(look, parts[low : low + workers]))
        if not all(map(all, found)):
            return False
    return True


# -- one data set ----------------------------------------------------------------------------


def recoveries(row, search, M, seeds):
    """Whether the graph is found, per seed."""
    truth = lattice(row["graph"], row["coupling"])
    return [recovered(truth, row["model"], counted(truth, M, (search, seed)), M) for seed in seeds]


@functools.cache
def lattice(graph, coupling):
    """Couplings, all states and their probabilities; the signs of a glass are drawn once."""
    from skebm.datasets import make_ising
    from skebm.energies import Ising

    glass = {"ferromagnet": False, "spin glass": True}[graph]
    made = make_ising(1, size=SIZE, coupling=coupling, glass=glass, random_state=0)
    p = len(made.field)
    states = 2.0 * ((np.arange(2**p)[:, None] >> np.arange(p)) & 1) - 1.0
    weights = np.exp(-Ising(made.coupling, made.field).energy(states) - made.log_partition)
    return made.coupling, states, weights / weights.sum()


def counted(truth, M, seed):
    """How often each state is seen in ``M`` rows."""
    return np.random.default_rng([M, *seed]).multinomial(M, truth[2])


def recovered(truth, model, counts, M):
    """Whether the edges found are those of the model."""
    J, states, _ = truth
    seen = counts > 0
    alpha = CONSTANTS[model] * np.sqrt(np.log(len(J) ** 2 / 0.05) / M)
    make = estimators()[model.split()[0]]
    tol = FLAT_TOL if model.startswith("RM") else TOL
    estimator = make(alpha, l1_ratio=1.0, symmetrize="mean", tol=tol, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # too few rows
        found = estimator.fit(states[seen], sample_weight=counts[seen].astype(float)).coupling_
    return bool(((np.abs(found) > 0.5 * np.abs(J[J != 0]).min()) == (J != 0)).all())


def estimators():
    """Classes by the name of their criterion."""
    from skebm.ising import InteractionScreeningIsing, PseudoLikelihoodIsing, RatioMatchingIsing

    return {
        "PL": PseudoLikelihoodIsing,
        "RISE": InteractionScreeningIsing,
        "RM": RatioMatchingIsing,
    }
