"""Ising models as densities of real data: test log-likelihood, beside trees and the optimum.

Criteria are compared without a penalty where log Z is exact, on data whose largest likelihood is
known. On wider data pseudolikelihood is fitted with L2, its penalty the one whose model has the
best pseudolikelihood on the valid part, which serves for nothing else. Persistent chains then go on
with half of it: pseudolikelihood has each coupling in two conditionals, the likelihood has it once.
log Z is estimated by AIS from independent columns.
"""

import functools
import itertools
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks.adapters import timed
from benchmarks.data import load
from benchmarks.processes import in_fresh_process
from benchmarks.scoring import marginals
from benchmarks.settings import label
from benchmarks.trees import ChowLiu, Independent

CLOSED = {"independent": Independent, "Chow-Liu": ChowLiu}


def densities(problem, folder):
    """Every row of the problem, all rows of one data set in one process."""
    for _, rows in itertools.groupby(problem["rows"], key=lambda row: row["data"]):
        yield from in_fresh_process(measure_set, list(rows), problem, folder)


def measure_set(rows, problem, folder):
    """Results of rows about one data set; the penalty is chosen once."""
    data = load(rows[0]["data"], folder)
    chosen = functools.cache(lambda: chosen_alpha(data, problem["alphas"]))
    return [measure(row, data, chosen, problem.get("score", {})) for row in rows]


def measure(row, data, chosen, options):
    """One model of one data set, learned and scored; ``options`` go to ``log_partition``."""
    if row["model"] in CLOSED:
        seconds, density = timed(CLOSED[row["model"]], data.train)
        return density_row(row, data, np.nan, seconds, closed_score(density, data))
    alpha = row["alpha"] if "alpha" in row else chosen()
    if row["model"] == "PCD":
        alpha /= 2.0
    seconds, model = timed(fitted, row["model"], alpha, data.train)
    scored = score(model.coupling_, model.field_, data, **options)
    return density_row(row, data, alpha, seconds, scored)


def density_row(row, data, alpha, seconds, scored):
    """A result; the likelihoods are means over rows, lower and upper those of ``loglik``."""
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "data": row["data"],
        "model": row["model"],
        "n_features": data.train.shape[1],
        "n_rows": len(data.train),
        "alpha": alpha,
        "seconds": seconds,
        **scored,
        "optimum": row.get("optimum", np.nan),
        "at_test": row.get("at_test", np.nan),
    }


# -- learning --------------------------------------------------------------------------------


def fitted(name, alpha, X):
    """The estimator of that name, fitted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # constant columns, runaway couplings
        return estimator(name, alpha).fit(np.asarray(X, dtype=np.float64))


def estimator(name, alpha):
    """An estimator by the name of its criterion."""
    from skebm.ising import (
        InteractionScreeningIsing,
        PCDIsing,
        PseudoLikelihoodIsing,
        RatioMatchingIsing,
    )

    make = {
        "PL": PseudoLikelihoodIsing,
        "RM": RatioMatchingIsing,
        "RISE": InteractionScreeningIsing,
        "PCD": functools.partial(PCDIsing, random_state=0),
        "exact": functools.partial(PCDIsing, n_gibbs_steps="exact"),
    }
    return make[name](alpha)


def chosen_alpha(data, alphas):
    """The one of ``alphas`` whose model has the best pseudolikelihood on the valid part."""
    from skebm.energies import Ising

    model, found = estimator("PL", 0.0).set_params(warm_start=True, tol=1e-4), {}
    for alpha in sorted(alphas, reverse=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model.set_params(alpha=alpha).fit(np.asarray(data.train, dtype=np.float64))
        energy = Ising(model.coupling_, model.field_)
        found[alpha] = energy.log_pseudolikelihood(spins(data.valid)).mean()
    return max(found, key=found.get)


# -- scoring ---------------------------------------------------------------------------------


def spins(X):
    """{0, 1} as -1 and 1."""
    return 2.0 * np.asarray(X, dtype=np.float64) - 1.0


def closed_score(density, data):
    """Likelihoods that need no log Z."""
    test, train = (density.log_density(part) for part in (data.test, data.train))
    return scores(test, train, 0.0, 0.0, 0.0) | {
        "stderr_log_z": 0.0, "method": "closed", "converged": 1,
    }  # fmt: skip


def score(coupling, field, data, **options):
    """Likelihoods of an Ising model, log Z summed or by AIS from independent columns."""
    from skebm.energies import Ising
    from skebm.partition import log_partition

    energy = Ising(np.asarray(coupling, np.float64), np.asarray(field, np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stands in the table
        base = energy.base(marginals(data.train))
        log_z = log_partition(energy, base, random_state=0, **options)
    test, train = (-energy.energy(spins(part)) for part in (data.test, data.train))
    return scores(test, train, log_z.value, log_z.lower, log_z.upper) | {
        "stderr_log_z": log_z.stderr, "method": log_z.method, "converged": int(log_z.converged),
    }  # fmt: skip


def scores(test, train, value, lower, upper):
    """Means of unnormalised log-likelihoods less log Z, with the error of log Z and of rows."""
    return {
        "loglik": test.mean() - value,
        "lower": test.mean() - upper,
        "upper": test.mean() - lower,
        "train_loglik": train.mean() - value,
        "stderr_rows": test.std(ddof=1) / np.sqrt(len(test)),
    }
