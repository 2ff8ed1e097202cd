"""From results about the quality of Ising models to what people read.

Every part takes the header and the rows of one result file and returns Markdown; ``section``
joins those that were measured.
"""

import itertools
import math

from benchmarks.tables import is_number, wrapped


def section(results):
    """The text of the README, from {problem: (header, rows)} of what was measured."""
    parts = [part(*results[name]) for name, part in PARTS.items() if name in results]
    return "\n" + "\n\n".join(parts) + "\n"


# -- structure -------------------------------------------------------------------------------


_STRUCTURE = (
    "Rows needed to find the graph of a 4 × 4 torus, 16 spins and 32 couplings ±J without fields, "
    "exactly and in {repetitions:.0f} of {repetitions:.0f} data sets, by the protocol of Lokhov et "
    "al. (2018): L1 for each conditional at c √(log(p²/0.05)/M), both estimates of a coupling "
    "averaged, an edge beyond J/2. c is {constants}; that of RM is ours, half of PL's as its "
    "gradient is at independent spins{quarters}. Median (and extremes) of "
    "{searches:.0f} bisections to {percent:.0f} % with data of their own ({versions}, {date})."
)


def structure(header, rows):
    """Rows needed, a line per graph and coupling and a column per criterion."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    constants = ", ".join(
        f"{next(row['constant'] for row in rows if row['model'] == model):g} for {model}"
        for model in models
    )
    about = _STRUCTURE.format(
        quarters=", and ¼ stands for a quarter of c" if any("¼" in m for m in models) else "",
        repetitions=rows[0]["repetitions"], searches=rows[0]["searches"], constants=constants,
        percent=100.0 * (rows[0]["precision"] - 1.0), **header,
    )  # fmt: skip
    lines = []
    for (graph, coupling), group in grouped(rows, "graph", "coupling"):
        cells = {row["model"]: needed(row) for row in group}
        lines.append([graph, f"{coupling:g}", *(cells.get(model, "") for model in models)])
    return f"{wrapped(about)}\n\n{markdown(['graph', 'J', *models], 1, lines)}"


def needed(row):
    """The rows needed, median (least–most)."""
    if math.isinf(row["rows_needed"]):
        return "not found"
    return f"{thousands(row['rows_needed'])} ({thousands(row['least'])}–{thousands(row['most'])})"


def thousands(value):
    """A count to two digits, 12,000 or 1.2e9."""
    if math.isinf(value):
        return "∞"
    if value >= 1e7:
        return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{float(f'{value:.2g}'):,.0f}"


# -- densities -------------------------------------------------------------------------------


_OPTIMUM = (
    "Ising models without a penalty on data of few columns, log Z summed over all states: mean "
    "log-likelihood in nats and its distance to the maximum over all Ising models of the train "
    "part, which “exact” finds by enumeration (known from other code: {known}). PL is "
    "pseudolikelihood, RM ratio matching, RISE interaction screening, PCD persistent chains "
    "({versions}, {date})."
)
_WIDE = (
    "Mean test log-likelihood in nats of wider data. L2 of pseudolikelihood was chosen by the "
    "pseudolikelihood of the valid part, persistent chains go on from there; log Z of Ising models "
    "is estimated by AIS, in brackets the 95 % interval that this leaves. Likelihoods marked † are "
    "not to be relied on: AIS itself reports that it has not converged, and then flatters "
    "({versions}, {date}). What tractable models reach on these sets and on nltcs is to be found "
    "in Rooshenas and Lowd (2014), “Learning sum-product networks with direct and indirect "
    "variable interactions”, ICML, https://proceedings.mlr.press/v32/rooshenas14.html; those "
    "numbers are not repeated, as they were not checked."
)


def densities(header, rows):
    """Two tables: models beside the optimum, and wider data by model."""
    small, wide = by_exactness(rows)
    parts = []
    if small:
        optima = {row["data"]: row for row in small if row["model"] == "exact"}
        known = ", ".join(map(known_optimum, optima.values()))
        parts.append(wrapped(_OPTIMUM.format(known=known, **header)))
        lines = [gap_cells(row, optima[row["data"]]) for row in small]
        columns = ["data", "model", "train", "to the optimum", "test", "to its test"]
        parts.append(markdown(columns, 2, lines))
    if wide:
        models = list(dict.fromkeys(row["model"] for row in wide))
        parts.append(wrapped(_WIDE.format(**header)))
        lines = [wide_cells(list(group), models) for _, group in grouped(wide, "data")]
        parts.append(markdown(["data", "columns", "rows", *models], 1, lines))
    return "\n\n".join(parts)


def by_exactness(rows):
    """Rows of data whose optimum was computed, and the others."""
    known = {row["data"] for row in rows if row["model"] == "exact"}
    return [row for row in rows if row["data"] in known], [
        row for row in rows if row["data"] not in known
    ]


def known_optimum(row):
    """What is known of an optimum, and of its likelihood on the test part."""
    at_test = f" and {signed(row['at_test'], 6)} at test" if is_number(row["at_test"]) else ""
    return f"{displayed(row['data'])} {signed(row['optimum'], 6)}{at_test}"


def gap_cells(row, optimum):
    """Likelihoods and what they fall short of, the test part left out where there is none."""
    parts = [(row["train_loglik"], optimum["train_loglik"])]
    if is_number(optimum["at_test"]):
        parts.append((row["loglik"], optimum["loglik"]))
    cells = [displayed(row["data"]), row["model"]]
    for value, best in parts:
        cells += [signed(value, 6), signed(value - best, 4) if row is not optimum else ""]
    return cells + [""] * (6 - len(cells))


def wide_cells(group, models):
    """A line of the wider data: the best model that can be relied on is in bold."""
    found = {row["model"]: row for row in group}
    sure = [row for row in group if row["converged"] == 1.0]
    best = max(sure, key=lambda row: row["loglik"])["model"] if sure else None
    cells = [likelihood_cell(found[model], model == best) for model in models]
    first = group[0]
    return [
        displayed(first["data"]), f"{first['n_features']:.0f}", f"{first['n_rows']:,.0f}", *cells,
    ]  # fmt: skip


def likelihood_cell(row, is_best):
    """A likelihood, with its interval where log Z was estimated."""
    value = signed(row["loglik"], 2)
    text = f"**{value}**" if is_best else value
    if row["method"] == "ais":
        text += f" [{signed(row['lower'], 2)}, {signed(row['upper'], 2)}]"
    return text if row["converged"] == 1.0 else f"{text} †"


PARTS = {"structure": structure, "densities": densities}


# -- Markdown --------------------------------------------------------------------------------


def grouped(rows, *keys):
    """Rows that follow each other with the same values of ``keys``."""
    pick = (lambda row: row[keys[0]]) if len(keys) == 1 else lambda row: [row[k] for k in keys]
    return itertools.groupby(rows, key=pick)


def displayed(name):
    """A data set's name for people."""
    return name.replace("_", " ")


def signed(value, digits):
    """A number with the minus sign of print."""
    return f"{value:.{digits}f}".replace("-", "−")


def markdown(columns, n_left, lines):
    """A table whose first ``n_left`` columns are text."""
    rule = ["---"] * n_left + ["---:"] * (len(columns) - n_left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *lines])
