"""How well graphs of known Gaussian models are found along penalties.

Shares are over pairs: ``tpr`` of the true edges that are found, ``fpr`` of the other pairs that are
taken for edges, ``precision`` of the found ones that are true. Either at given penalties
c √(log p / n) ("constants"), or along a path from the largest penalty on ("path"): then ``auc`` is
the area under the curve of tpr against fpr, closed by straight lines at both ends, and ``f1`` the
best harmonic mean of tpr and precision on the way. Rows of one design see the same data.
"""

import functools
import itertools
import warnings
from typing import NamedTuple

import numpy as np

from benchmarks import gaussian_data
from benchmarks.adapters import adapter, timed
from benchmarks.gaussian_data import correlation
from benchmarks.processes import in_fresh_process
from benchmarks.settings import label

# Entries of K, for unit variances, up to which a pair is no edge.
ZERO = 1e-6

# The ridge where there is one.
RIDGE = 0.8

_FIRST_STEPS = 100


class Shares(NamedTuple):
    """How a graph compares with the true one."""

    tpr: float
    fpr: float
    precision: float

    @property
    def f1(self):
        both = self.tpr + self.precision
        return 2.0 * self.tpr * self.precision / both if both else 0.0


def graphs(problem, folder):
    """Measure a problem, row by row; rows at penalties of one path are learned together."""
    for (_, at_once), rows in itertools.groupby(problem["rows"], _alike):
        yield from in_fresh_process(at_constants if at_once else along_path, list(rows))


def _alike(row):
    """What rows that are measured at once have in common, and whether penalties are given."""
    given = "constant" in row
    return (row["design"], row["p"]) if given else label(row), given


# -- designs ---------------------------------------------------------------------------------


@functools.cache
def drawn(design, p, n, seed):
    """The :class:`Design` and (n, p) draws of a repetition."""
    generator = np.random.default_rng([seed, p, n])
    made = DESIGNS[design](p, generator)
    if design.startswith("non-negative"):
        return made, positive_draws(made, n, seed)
    return made, made.draw(n, generator)


DESIGNS = {
    "random": lambda p, generator: gaussian_data.random_graph(p, 4, generator),
    "hubs": lambda p, generator: gaussian_data.hub_lattices(p // 100, generator),
    "non-negative, dense": lambda p, generator: gaussian_data.dense_blocks(p, 0.8, generator),
    "non-negative, sparse": lambda p, generator: gaussian_data.dense_blocks(p, 0.2, generator),
}


def positive_draws(design, n, seed):
    """Draws of the normal distribution of mean 0, cut to numbers that are not negative."""
    from skebm import ScoreMatchingGaussian

    model = ScoreMatchingGaussian.from_parameters(
        design.K, np.zeros(len(design.K)), support="nonnegative"
    )
    return model.sample(n, n_gibbs_steps=_FIRST_STEPS, random_state=seed)


# -- what is found ---------------------------------------------------------------------------


def shares(found, edges):
    """:class:`Shares` of the pairs above the diagonal that are not zero in ``found`` (p, p)."""
    positive = np.triu(np.abs(found) > ZERO, 1)
    hits, n_found, n_true = (positive & edges).sum(), positive.sum(), edges.sum()
    others = len(edges) * (len(edges) - 1) // 2 - n_true
    return Shares(
        float(hits / n_true), float((n_found - hits) / others),
        float(hits / n_found) if n_found else 1.0,
    )  # fmt: skip


def area(points):
    """Area under tpr against fpr, from (0, 0) by all points to (1, 1)."""
    points = sorted({(0.0, 0.0), (1.0, 1.0), *((each.fpr, each.tpr) for each in points)})
    return float(np.trapezoid([tpr for _, tpr in points], [fpr for fpr, _ in points]))


def own_path(X, alphas, ridge=0.0, support="real"):
    """Precision matrices (p, p) of columns of unit variance along penalties, largest first.

    ``alphas`` may be a number of them, down to a tenth of the largest. The path ends where the
    loss has no minimum any more.
    """
    from skebm import ScoreMatchingGaussian
    from skebm.criteria.score_matching import largest_penalty
    from skebm.gaussian._learning import data_of, learn_path

    data = data_of(ScoreMatchingGaussian(support=support), X, np.ones(len(X)))
    if np.ndim(alphas) == 0:
        alphas = falling(largest_penalty(data.form(ridge)), alphas)
    for solution in learn_path(data, alphas, ridge, tol=1e-6, max_iter=1000):
        if solution.diverged:
            return
        yield solution.pairs.toarray()


def peer_path(library, X, n_alphas):
    """The same by a peer, without warm starts, until it fails."""
    R, peer = correlation(X), adapter(library)
    for alpha in falling(np.abs(R - np.eye(len(R))).max(), n_alphas):
        try:
            yield peer.precision(R, alpha, 1e-3)
        except FloatingPointError:  # too ill-conditioned
            return


def falling(largest, n_alphas):
    """Penalties on a logarithmic scale, down to a tenth."""
    return np.geomspace(largest, largest / 10.0, int(n_alphas))


# -- rows ------------------------------------------------------------------------------------


def at_constants(rows):
    """Lines of rows that differ in their constant only, largest first."""
    rows = sorted(rows, key=lambda row: -row["constant"])
    row, found = rows[0], []
    p, n = row["p"], row["n_rows"]
    alphas = np.array([each["constant"] for each in rows]) * np.sqrt(np.log(p) / n)
    seconds = 0.0
    for seed in range(row["graphs"]):
        design, X = drawn(row["design"], p, n, seed)
        each, path = timed(lambda X=X: list(own_path(X, alphas)))
        seconds += each
        found.append([shares(K, design.edges) for K in path])
    return [
        _line(row, {"tpr": tpr, "fpr": fpr, "precision": precision}, seconds / len(found))
        for row, (tpr, fpr, precision) in zip(rows, np.array(found).transpose(1, 2, 0))
    ][::-1]


def along_path(rows):
    """The line of a row: areas and best means over all repetitions."""
    (row,) = rows
    areas, means, seconds = [], [], 0.0
    for seed in range(row["graphs"]):
        design, X = drawn(row["design"], row["p"], row["n_rows"], seed)
        each, points = timed(_points, row, X, design.edges)
        seconds += each
        areas.append(area(points))
        means.append(max(point.f1 for point in points))
    return [_line(row, {"auc": areas, "f1": means}, seconds / len(areas))]


def ridge_of(row):
    return RIDGE if row["library"].endswith("ridge") else 0.0


def _points(row, X, edges):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of matrices that are nearly singular
        if row["library"].split()[0] == "skebm":
            path = own_path(X, row["n_alphas"], ridge_of(row), row.get("support", "real"))
        else:
            path = peer_path(row["library"], X, row["n_alphas"])
        return [shares(K, edges) for K in path]


_FIGURES = ("tpr", "fpr", "precision", "auc", "f1")
_PUBLISHED = ("tpr", "tpr_error", "fpr", "precision", "precision_error")


def _line(row, values, seconds):
    line = {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        **{key: row.get(key, "") for key in ("design", "p", "n_rows", "graphs", "constant")},
        "support": row.get("support", "real"),
        "ridge": ridge_of(row),
    }
    for key in _FIGURES:
        found = np.array(values.get(key, [np.nan]))
        line[key] = float(found.mean())
        line[f"{key}_sd"] = float(found.std(ddof=1)) if len(found) > 1 else np.nan
    published = row.get("published", {})
    line |= {f"published_{key}": published.get(key, "") for key in _PUBLISHED}
    return line | {"seconds": seconds}
