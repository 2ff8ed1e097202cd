"""From results about graphs and likelihoods of Gaussian models to what people read.

Figures of a row about graphs: those of the row that have numbers; ``tpr_deviation`` is how many
standard deviations of one graph its share of true edges is from the published one.
"""

import math

from benchmarks.gaussian_tables import markdown, wrapped
from benchmarks.ising_quality_tables import grouped, signed
from benchmarks.tables import human_seconds, is_number

_GRAPH_FIGURES = ("tpr", "fpr", "precision", "auc", "f1")


def figures(rows):
    """Figures of every row about graphs that is skebm's on its own, by name."""
    return [_of_row(row) for row in rows if row["library"] == "skebm"]


def _of_row(row):
    found = {"name": row["name"]}
    found |= {key: row[key] for key in _GRAPH_FIGURES if is_number(row[key])}
    if is_number(row["published_tpr"]):
        found["tpr_deviation"] = deviation(row)
    return found


def deviation(row):
    """Distance of the share of true edges to the published one, in standard deviations."""
    published = row["published_tpr_error"] * math.sqrt(row["graphs"])
    spread = max(row["tpr_sd"], published)
    return abs(row["tpr"] - row["published_tpr"]) / spread if spread else 0.0


# -- graphs ----------------------------------------------------------------------------------


_CONSTANTS = (
    "Edges found by score matching at the penalty c √(log p / n): shares of true edges found and "
    "of found edges that are true, mean ± standard deviation over {graphs:.0f} graphs. Random "
    "graphs of mean degree 4, calibrated to a least partial correlation of 0.2 and a condition "
    "number of 10, beside the published mean of {graphs:.0f} other graphs of this design with the "
    "same loss (github.com/AtomXT/score-matching-l0, roc_summary.csv; ± their standard error × "
    "√{graphs:.0f}). Published pairs were those only that a graphical lasso had left, which helps "
    "at c = {least:g}; skebm looks at all ({versions}, {date})."
)
_HUBS = "Lattices with hubs (Lin, Drton and Shojaie 2016), without published numbers:"
_AREAS = (
    "Graphs along a path of penalties, down to a tenth of the largest: the area under the curve of "
    "true edges against false ones, and the best F1 on the way, mean ± standard deviation over "
    "{graphs:.0f} data sets, the same for all; the best mean in bold. Non-negative draws are those "
    "of a normal distribution of mean 0 cut to x ≥ 0 (Yu, Drton and Shojaie 2019), learned with "
    "and without regard to the cut. The ridge is {ridge:g}; without one and with fewer rows than "
    "variables the path ends where the loss has no minimum any more ({versions}, {date})."
)


def graphs(header, rows):
    """Tables of graphs at given penalties and along paths."""
    parts, given = [], [row for row in rows if is_number(row["constant"])]
    if published := [row for row in given if is_number(row["published_tpr"])]:
        values = {"graphs": published[0]["graphs"], "least": published[0]["constant"]}
        parts.append(wrapped(_CONSTANTS.format(**values, **header)))
        columns = ["c", "found", "published", "true", "published", "false edges", "published"]
        parts.append(markdown(columns, 0, map(_published_cells, published)))
    if others := [row for row in given if not is_number(row["published_tpr"])]:
        columns = ["design", "c", "found", "true", "false edges"]
        parts += [_HUBS, markdown(columns, 1, map(_constant_cells, others))]
    if along := [row for row in rows if is_number(row["auc"])]:
        values = {"graphs": along[0]["graphs"], "ridge": max(row["ridge"] for row in along)}
        parts.append(wrapped(_AREAS.format(**values, **header)))
        columns = ["design", "variables", "rows", "by", "AUC", "best F1", "time of a path"]
        parts.append(markdown(columns, 1, _area_lines(along)))
    return "\n\n".join(parts)


def _published_cells(row):
    error = math.sqrt(row["graphs"])
    return [
        f"{row['constant']:g}",
        spread(row, "tpr"),
        f"{row['published_tpr']:.3f} ± {error * row['published_tpr_error']:.3f}",
        spread(row, "precision"),
        f"{row['published_precision']:.3f} ± {error * row['published_precision_error']:.3f}",
        few(row["fpr"]),
        few(row["published_fpr"]),
    ]


def _constant_cells(row):
    name = row["name"].partition(", c =")[0]
    shares = [spread(row, "tpr"), spread(row, "precision")]
    return [name, f"{row['constant']:g}", *shares, few(row["fpr"])]


def _area_lines(rows):
    for _, group in grouped(rows, "design", "p", "n_rows"):
        group = list(group)
        best = {key: max(row[key] for row in group) for key in ("auc", "f1")}
        for row in group:
            values = [spread(row, key, row[key] == best[key]) for key in best]
            yield [
                row["design"], f"{row['p']:.0f}", f"{row['n_rows']:.0f}", _method(row), *values,
                human_seconds(row["seconds"]),
            ]  # fmt: skip


def _method(row):
    name = row["library"]
    return f"{name}, x ≥ 0" if row["support"] == "nonnegative" else name


def few(share):
    """A small share."""
    return f"{share:.1e}" if share else "0"


def spread(row, key, is_best=False):
    """A mean ± its standard deviation, in bold if it is the best."""
    value = f"**{row[key]:.3f}**" if is_best else f"{row[key]:.3f}"
    return f"{value} ± {row[f'{key}_sd']:.3f}" if is_number(row[f"{key}_sd"]) else value


# -- real data -------------------------------------------------------------------------------


_REAL = (
    "Mean log-likelihood in nats of rows held out, a quarter of them, columns scaled by the rest; "
    "mean ± standard deviation over random splits, the best in bold. All choose their parameters "
    "on the part they learn from, by five folds where EBIC is not named; the time is that of a fit "
    "with its choice. On all columns of riboflavin neither a graphical lasso nor mixtures were "
    "tried, the ridge is given, and penalties are those of sparse graphs only ({versions}, {date})."
)


def real(header, rows):
    """Held-out log-likelihood by data set and model."""
    columns = ["data", "model", "rows", "columns", "log-likelihood", "edges", "time", "chosen"]
    table = markdown(columns, 2, _real_lines(rows)).replace("---: |\n", "--- |\n", 1)
    return f"{wrapped(_REAL.format(**header))}\n\n{table}"


def _real_lines(rows):
    for _, group in grouped(rows, "source"):
        group = list(group)
        best = max(row["loglik"] for row in group)
        for row in group:
            value = signed(row["loglik"], 2)
            value = f"**{value}**" if row["loglik"] == best else value
            if is_number(row["loglik_sd"]):
                value += f" ± {row['loglik_sd']:.2f}"
            yield [
                row["source"], row["model"], f"{row['n_rows']:,.0f}", f"{row['n_features']:,.0f}",
                value, f"{row['edges']:,.0f}" if is_number(row["edges"]) else "",
                human_seconds(row["seconds"]), row["params"],
            ]  # fmt: skip


def section(results):
    """The text of the README, from {problem: (header, rows)} of what was measured."""
    parts = [part(*results[name]) for name, part in PARTS.items() if name in results]
    return "\n" + "\n\n".join(parts) + "\n"


PARTS = {"gaussian_graphs": graphs, "gaussian_real": real}
