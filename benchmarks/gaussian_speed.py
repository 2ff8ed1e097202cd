"""Times of sparse Gaussian models by score matching, beside graphical lassos and a matrix product.

The losses differ, and so do the models: what is made equal is the number of edges, by the penalty
that each library is given, and how well the minimum of its own loss is reached: all are timed at
the loosest tolerance at which no condition for it is missed by more than a hundredth of the
penalty, given the correlations. "skebm estimator" is what users call instead, at its default
tolerance of 1e-6; it also checks that what it is given, and what it has learned, is positive
definite. Penalties and tolerances are found once for all rows of one name; then rows take turns,
each time in a new process, and the median of all runs counts. Nothing is compiled while the clock
runs.
"""

import functools
from typing import NamedTuple

import numpy as np

from benchmarks.adapters import adapter, settle, timed
from benchmarks.gaussian_data import correlation, graph_draws
from benchmarks.gaussian_optimum import n_edges, penalty_of, start_of, violation
from benchmarks.jobs.resources import forget_peak, resident_megabytes
from benchmarks.processes import in_fresh_process
from benchmarks.settings import grouped, label

# Violations that peers are allowed, as a share of the penalty.
ALLOWED = 0.01

# Seconds of one process after which no run is repeated.
_ENOUGH = 2.5

# What a peer learns before the clock starts.
_WARM = 0.5 * np.eye(6) + 0.5


class Found(NamedTuple):
    """All times of a row, per penalty, and what was found: seconds before them, the last penalty,
    the tolerance, edges, the largest violation; and where they were measured, seconds of the
    product of two (p, p) matrices and megabytes of the process at its peak."""

    seconds: tuple
    compile_seconds: float = np.nan
    alpha: float = np.nan
    tol: float = np.nan
    edges: float = np.nan
    kkt: float = np.nan
    gemm_seconds: float = np.nan
    megabytes: float = np.nan


def times(problem, folder):
    """Measure a problem, one row of the result file after the other."""
    for group in grouped(problem["rows"]):
        known = _known(group)
        found = {}
        for _ in range(group[0].get("rounds", problem["rounds"])):
            for row in group:
                each = row | {"repeats": row.get("repeats", problem["repeats"])}
                one = in_fresh_process(JOBS[row["job"]], each, known)
                name = label(row)
                found[name] = together(found[name], one) if name in found else one
        for row in group:
            yield table_row(row, found[label(row)])


def _known(group):
    """Penalties of the group by loss, and tolerances by library, each found in a new process."""
    known = {}
    for row in group:
        loss = _loss(row["library"])
        if loss not in known:
            known[loss] = in_fresh_process(penalties, row, known.get("score matching"))
        if row["library"].split()[0] != "skebm":
            known[row["library"]] = in_fresh_process(tolerance, row, known[loss][-1])
    return known


def together(one, other):
    """What two measurements of a row say together."""
    return one._replace(
        seconds=one.seconds + other.seconds,
        compile_seconds=min(one.compile_seconds, other.compile_seconds),
        gemm_seconds=min(one.gemm_seconds, other.gemm_seconds),
        megabytes=max(one.megabytes, other.megabytes),
    )


def table_row(row, found):
    """The line of the result file: what was run, and what came out."""
    seconds = float(np.median(found.seconds))
    return {
        "row": label(row),
        "name": row["name"],
        "job": row["job"],
        "library": row["library"],
        "sweep": row.get("sweep", ""),
        **{key: row.get(key, "") for key in ("p", "n_rows", "n_alphas", "share")},
        "alpha": found.alpha,
        "tol": found.tol,
        "edges": found.edges,
        "kkt": found.kkt,
        "compile_seconds": found.compile_seconds,
        "seconds": seconds,
        "fastest": min(found.seconds),
        "slowest": max(found.seconds),
        "runs": len(found.seconds),
        "gemm_seconds": found.gemm_seconds,
        "times_gemm": seconds / found.gemm_seconds,
        "megabytes": found.megabytes,
    }


# -- what is found before --------------------------------------------------------------------


def rows_of(row):
    """Data of a row: draws of random graphs with five edges a node."""
    return graph_draws(row["n_rows"], row["p"])


def wanted_edges(row):
    """How many edges a row asks for, by ``share`` of all pairs or by ``neighbours``."""
    p = row["p"]
    share = row["share"] if "share" in row else row["neighbours"] / (p - 1)
    return max(1, round(share * p * (p - 1) / 2))


def penalties(row, other=None):
    """Penalties of a row, the last one with as many edges as it asks for.

    For another loss than that of ``other``, its penalties, the search starts from their last.
    """
    from skebm.criteria._covariance_form import CovarianceForm
    from skebm.criteria.score_matching import largest_penalty

    S, edges, library = correlation(rows_of(row)), wanted_edges(row), row["library"]
    form = CovarianceForm(S)
    start = start_of(S, edges) if other is None else other[-1]
    if row["job"] == "large":  # near enough, and a search would take minutes
        last = start
    elif _loss(library) == "score matching":
        last = penalty_of(functools.partial(_own_edges, form), edges, start)
    else:
        peer = adapter("skglm GraphicalLasso")
        last = penalty_of(lambda alpha: n_edges(peer.precision(S, alpha, 1e-3)), edges, start)
    n_alphas = row.get("n_alphas", 1)
    return np.geomspace(largest_penalty(form), last, n_alphas) if n_alphas > 1 else np.array([last])


def _own_edges(form, alpha):
    from skebm.criteria.score_matching import minimise

    return len(minimise(form, alpha, tol=1e-4)[0].pairs)


def _loss(library):
    return "score matching" if library.split()[0] == "skebm" else adapter(library).LOSS


def tolerance(row, alpha):
    """The loosest tolerance of a peer that meets the conditions well enough, or its last one."""
    S, peer = correlation(rows_of(row)), adapter(row["library"])
    for tol in peer.TOLERANCES:
        if violation(S, peer.precision(S, alpha, tol), alpha, peer.LOSS) <= ALLOWED * alpha:
            break
    return tol


# -- jobs ------------------------------------------------------------------------------------


def fit(row, known):
    """One penalty from nothing, given the correlations."""
    S, library = correlation(rows_of(row)), row["library"]
    loss = _loss(library)
    alpha = known[loss][-1]
    if library.split()[0] == "skebm":
        tol, call = _own_fit(library, S, alpha)
        compiling, _ = timed(call)
    else:
        peer, tol = adapter(library), known[library]
        compiling, _ = timed(peer.precision, _WARM, 0.1, tol)
        call = functools.partial(peer.precision, S, alpha, tol)
    gemm = gemm_seconds(S)
    seconds, K = repeated(call, row["repeats"])
    kkt = violation(S, K, alpha, loss)
    return Found(seconds, compiling, alpha, tol, n_edges(K), kkt, gemm)


def _own_fit(library, S, alpha):
    """The tolerance of skebm, and a call that returns K (p, p)."""
    from skebm import ScoreMatchingGaussian
    from skebm.criteria._covariance_form import CovarianceForm
    from skebm.criteria.score_matching import minimise

    if library == "skebm estimator":
        model = ScoreMatchingGaussian(alpha, covariance="precomputed")
        return model.tol, lambda: model.fit(S).precision_
    tol = ALLOWED * alpha
    return tol, lambda: minimise(CovarianceForm(S), alpha, tol=tol)[0].pairs.toarray()


def along(row, known):
    """Penalties from the largest on, each from the last one, given the correlations."""
    from skebm.criteria._covariance_form import CovarianceForm
    from skebm.criteria.score_matching import path

    S, alphas = correlation(rows_of(row)), known["score matching"]
    form = CovarianceForm(S)
    compiling, _ = timed(lambda: list(path(form, alphas)))
    gemm = gemm_seconds(S)
    seconds, found = repeated(lambda: list(path(form, alphas)), row["repeats"])
    seconds = tuple(each / len(alphas) for each in seconds)
    K = found[-1].pairs.toarray()
    kkt = max(violation(S, K, alphas[-1], "score matching"), *(each.kkt for each in found))
    return Found(seconds, compiling, alphas[-1], 1e-6, n_edges(K), kkt, gemm)


def one_regime(row, known):
    """One penalty from nothing, by lists of pairs, by tiles of the matrix, or as it comes."""
    from skebm.criteria._covariance_form import CovarianceForm
    from skebm.criteria.score_matching import minimise

    S, alpha = correlation(rows_of(row)), known["score matching"][-1]
    form = CovarianceForm(S)
    if regime := row["library"].partition(" ")[2]:
        form.is_crowded = lambda pairs: regime == "tiles"
    call = functools.partial(minimise, form, alpha)
    compiling, _ = timed(call)
    seconds, (found, _) = repeated(call, row["repeats"])
    K = found.pairs.toarray()
    kkt = violation(S, K, alpha, "score matching")
    return Found(seconds, compiling, alpha, 1e-6, n_edges(K), kkt)


def large(row, known):
    """All penalties from the rows of data on, and the peak of the process."""
    X, alphas = rows_of(row), known["score matching"]
    few = row | {"p": min(row["p"], 600)}
    compiling, _ = timed(_path_of_rows, rows_of(few), np.geomspace(0.5, 0.1, 5))
    forget_peak()
    seconds, found = repeated(lambda: _path_of_rows(X, alphas), row["repeats"])
    peak = resident_megabytes("VmHWM")
    kkt = max(each.kkt for each in found)
    edges = len(found[-1].pairs)
    return Found(seconds, compiling, alphas[-1], 1e-6, edges, kkt, megabytes=peak)


def _path_of_rows(X, alphas):
    from skebm import ScoreMatchingGaussian
    from skebm.gaussian._learning import data_of, learn_path

    data = data_of(ScoreMatchingGaussian(), X, np.ones(len(X)))
    return list(learn_path(data, alphas, 0.0, tol=1e-6, max_iter=1000))


JOBS = {"fit": fit, "path": along, "regime": one_regime, "large": large}


def repeated(call, repeats):
    """Seconds of some runs, fewer if they are long, and the last result."""
    seconds = []
    while len(seconds) < repeats and sum(seconds) < _ENOUGH:
        settle()
        each, result = timed(call)
        seconds.append(each)
    return tuple(seconds), result


def gemm_seconds(S, repeats=5):
    """Seconds of NumPy's product of two (p, p) float64 matrices, with all its threads."""
    out = np.empty_like(S)
    np.dot(S, S, out)
    found = min(timed(np.dot, S, S, out)[0] for _ in range(repeats))
    settle()
    return found
