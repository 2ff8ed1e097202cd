"""From result rows of the speed of Gaussian models to what people read and what targets are set on.

Figures of a group, the rows of one name: ``seconds`` (per penalty and of a whole path from the data
on), ``times_gemm`` (in units of the product of two matrices of that size), ``edges``, ``kkt``,
``megabytes`` of skebm; ``mismatch``, the largest relative difference of the number of edges to
skebm's; ``over_PEER``, times faster than a peer.
"""

import itertools
import textwrap

from benchmarks.tables import human_seconds, is_number, percent
from skebm.criteria._covariance_form import CROWDED

_OWN = ("seconds", "times_gemm", "edges", "kkt", "megabytes")


def figures(rows):
    """Figures of every group, in order."""
    return [_of_group(list(group)) for _, group in itertools.groupby(rows, lambda r: r["name"])]


def _of_group(rows):
    found = {"name": rows[0]["name"]}
    own = next((row for row in rows if row["library"] == "skebm"), None)
    if own is None:
        return found
    found |= {key: own[key] for key in _OWN if is_number(own[key])}
    peers = [row for row in rows if row["library"].split()[0] != "skebm"]
    if peers:
        found["mismatch"] = max(abs(row["edges"] / own["edges"] - 1.0) for row in peers)
    for row in peers:
        found[f"over_{_peer(row)}"] = row["seconds"] / own["seconds"]
    return found


def _peer(row):
    return row["library"].removesuffix(" GraphicalLasso").replace("-", "_").replace(" ", "_")


# -- for people ------------------------------------------------------------------------------


_ABOUT = (
    "Speed of sparse Gaussian models ({processor}, {date}; {versions}): draws of random graphs, "
    "learned from their correlations. The losses differ, so the models do: score matching is "
    "quadratic and takes no determinant, graphical lassos maximise the likelihood and give a "
    "positive definite matrix always. What is made equal is the number of edges, up to 2 %, by the "
    "penalty, and how well the minimum is reached: each has the loosest tolerance at which no "
    "condition for that of its loss is missed by more than a hundredth of the penalty; “violation” "
    "is the largest one. “skebm estimator” is `fit` at its default tolerance, checks of definite "
    "matrices included, which the others do not make; “scikit-learn defaults” is its function as "
    "it comes. “plain loops” is the loss of skebm by cyclic coordinate descent over all pairs, in "
    "Numba on one thread, as published codes do it. Medians of several runs, compilation is in "
    "none; “slower” is how many times slower than skebm."
)
_PATHS = (
    "Paths of penalties, from the largest one on; per penalty where the correlations are given, "
    "beside the product of two p × p matrices in float64 with all threads, in the same process; "
    "in all, from the data on, with the peak memory of the process."
)
_CROSSING = (
    "With few edges skebm works on lists of pairs, with many on tiles of the whole matrix: from "
    "{share} of all pairs on tiles were faster here (picture, right). It changes over at "
    "{crowded}."
)
_PICTURE = (
    "![Time of a fit against the number of variables, and against the share of pairs that are "
    "edges](docs/gaussian.png)"
)


def section(header, rows):
    """The text of the README about the speed of Gaussian models."""
    fits = [row for row in rows if row["job"] == "fit"]
    paths = [row for row in rows if row["job"] in ("path", "large")]
    parts = [wrapped(_ABOUT.format(**header)), fit_table(fits)]
    parts += [wrapped(_PATHS), path_table(paths), _PICTURE]
    if crossed := crossing(rows):
        parts.append(wrapped(_CROSSING.format(share=percent(crossed), crowded=percent(CROWDED))))
    return "\n" + "\n\n".join(parts) + "\n"


def fit_table(rows):
    """A row per number of variables and library, in Markdown."""
    columns = ("variables", "library", "edges", "time", "slower", "violation")
    own = {row["name"]: row["seconds"] for row in rows if row["library"] == "skebm"}
    return markdown(columns, 2, (_fit_cells(row, own[row["name"]]) for row in rows))


def _fit_cells(row, own):
    return [
        f"{row['p']:,.0f}", row["library"], f"{row['edges']:,.0f}", human_seconds(row["seconds"]),
        _times(row["seconds"] / own), f"{row['kkt']:.0e}",
    ]  # fmt: skip


def _times(value):
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def path_table(rows):
    """A row per path, in Markdown."""
    columns = ("job", "edges at last", "time", "of a matrix product", "peak MB")
    return markdown(columns, 1, map(_path_cells, rows))


def _path_cells(row):
    unit = " per penalty" if row["job"] == "path" else ""
    return [
        row["name"], f"{row['edges']:,.0f}", human_seconds(row["seconds"]) + unit,
        f"{row['times_gemm']:.2f}" if is_number(row["times_gemm"]) else "",
        f"{row['megabytes']:,.0f}" if is_number(row["megabytes"]) else "",
    ]  # fmt: skip


def crossing(rows):
    """The least share of pairs from which on tiles beat lists at all that were measured."""
    seconds = {
        library: {r["share"]: r["seconds"] for r in rows if r["library"] == f"skebm {library}"}
        for library in ("lists", "tiles")
    }
    crossed = None
    for share in sorted(seconds["lists"], reverse=True):
        if seconds["tiles"].get(share, float("inf")) >= seconds["lists"][share]:
            break
        crossed = share
    return crossed


def wrapped(text):
    """Text in lines that fit the README; addresses stay whole."""
    return "\n".join(textwrap.wrap(text, 98, break_long_words=False, break_on_hyphens=False))


def markdown(columns, n_left, rows):
    """A table whose first ``n_left`` columns are text."""
    rule = ["---"] * n_left + ["---:"] * (len(columns) - n_left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])
