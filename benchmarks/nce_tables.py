"""From results about noise-contrastive estimation to what people read and what targets are set on.

Figures of a group of speed: ``over_PEER``, times faster than a peer, and ``gap``, the largest
relative difference of the losses at the ends of searches. Those of a row of variances:
``parameters_distance`` and ``log_z_distance`` to theory in standard errors, and ``coverage``.
Those of the most rows of data at a noise ratio: ``b_fall`` and ``log_z_fall``, the slopes without
their sign.
"""

import itertools

import numpy as np

from benchmarks.gaussian_tables import markdown, wrapped
from benchmarks.ising_quality_tables import signed
from benchmarks.tables import human_seconds, is_number

# Rows of data from which on slopes are taken.
LEAST_ROWS = 1000


# -- speed -----------------------------------------------------------------------------------


def figures(rows):
    """Figures of every group of speed, in order."""
    groups = itertools.groupby(rows, key=lambda row: row["name"])
    return [_of_group(list(group)) for _, group in groups]


def _of_group(rows):
    found = {"name": rows[0]["name"]}
    own = next((row for row in rows if row["library"] == "skebm"), None)
    if own is None:
        return found
    found["gap"] = max(row["gap"] for row in rows if is_number(row["gap"]))
    for row in rows:
        if row["library"].split()[0] != "skebm":
            found[f"over_{row['library'].split()[0]}"] = row["seconds"] / own["seconds"]
    return found


_SPEED = (
    "Times of noise-contrastive estimation ({processor}, {date}; {versions}): the same loss, rows, "
    "noise ({ratio:g} rows for each of {n_rows:,.0f}) and start, float64, 2 threads, from the rows "
    "on to a loss within a millionth of that which both reach. PyTorch has its own L-BFGS with a "
    "strong Wolfe line search, and automatic slopes of whole arrays. “gap” is the share by which "
    "the lowest loss of a library is above that of the other, “evaluations” those of loss and "
    "slopes until then. “skebm estimator” is `fit`, which draws noise of its own, goes on to the "
    "tolerance and adds standard errors. Medians; compilation is in none; “slower” is how many "
    "times slower than skebm."
)


def speed(header, rows):
    """A row per problem and library."""
    values = {"ratio": rows[0]["noise_ratio"], "n_rows": rows[0]["n_rows"]}
    own = {row["name"]: row["seconds"] for row in rows if row["library"] == "skebm"}
    columns = ["problem", "library", "time", "slower", "evaluations", "gap"]
    cells = (_speed_cells(row, own[row["name"]]) for row in rows)
    return f"{wrapped(_SPEED.format(**values, **header))}\n\n{markdown(columns, 2, cells)}"


def _speed_cells(row, own):
    known = is_number(row["gap"])
    return [
        row["name"], row["library"], human_seconds(row["seconds"]),
        f"{row['seconds'] / own:.1f}", f"{row['evaluations']:.0f}" if known else "",
        f"{row['gap']:.0e}" if known else "",
    ]  # fmt: skip


# -- variances -------------------------------------------------------------------------------


def variance_figures(rows):
    """Figures of every row beside theory."""
    return [_distances(row) for row in rows]


def _distances(row):
    found = {"name": row["name"]}
    for name in ("parameters", "log_z"):
        if is_number(row[f"{name}_z"]):
            found[f"{name}_distance"] = abs(row[f"{name}_z"])
    if is_number(row["coverage"]):
        found["coverage"] = row["coverage"]
    return found


_VARIANCES = (
    "N times the mean squared error of estimates, all parameters together and log Z, in "
    "{repetitions:,.0f} fits each, ± its standard error, beside the asymptotic variance of theory "
    "(Gutmann and Hyvärinen 2012). Of one normal variable only noise 1.3 times as wide is shown. "
    "The unmixing matrix of Laplace sources, whose slopes jump at rows, comes near theory as the "
    "root of N only: N → ∞ is extrapolated from N and N / 4, and is what is compared. "
    "The largest of all {count} distances to theory is {largest:.1f} standard errors, and "
    "{coverage:.1f} % of {intervals:,.0f} intervals at 95 % hold the truth ({versions}, {date})."
)


def variances(header, rows):
    """A row per model and noise."""
    fitted = [row for row in rows if row["model"] != "pooled"]
    pooled = next(row for row in rows if row["model"] == "pooled")
    z = [abs(row[f"{name}_z"]) for row in fitted for name in ("parameters", "log_z")]
    z = [each for each in z if is_number(each)]
    values = {
        "repetitions": min(row["repetitions"] for row in fitted if is_number(row["repetitions"])),
        "count": len(z),
        "largest": max(z), "coverage": 100.0 * pooled["coverage"],
        "intervals": pooled["intervals"],
    }  # fmt: skip
    columns = ["model", "N", "parameters", "theory", "log Z", "theory", "coverage"]
    shown = [row for row in fitted if row["sigma"] == 1.3 or not is_number(row["sigma"])]
    table = markdown(columns, 1, map(_variance_cells, shown))
    return f"{wrapped(_VARIANCES.format(**values, **header))}\n\n{table}"


def _variance_cells(row):
    cells = [row["name"], f"{row['n_rows']:,.0f}" if is_number(row["n_rows"]) else ""]
    for name in ("parameters", "log_z"):
        value, error = row[name], row[f"{name}_error"]
        digits = 1 if value >= 10 else 2
        cells.append(f"{value:.{digits}f} ± {error:.{digits}f}")
        cells.append(f"{row[f'{name}_theory']:.{digits}f}")
    return [*cells, f"{100.0 * row['coverage']:.1f} %" if is_number(row["coverage"]) else ""]


# -- slopes ----------------------------------------------------------------------------------


def slope(rows, name):
    """Slope of log10 error against log10 N, weighted by errors, and its standard error."""
    rows = [row for row in rows if row["n_rows"] >= LEAST_ROWS]
    x = np.log10([row["n_rows"] for row in rows])
    y = np.log10([row[f"{name}_rmse"] for row in rows])
    relative = np.array([row[f"{name}_rmse_error"] / row[f"{name}_rmse"] for row in rows])
    weights = (np.log(10.0) / relative) ** 2
    centred = x - np.average(x, weights=weights)
    spread = float(weights @ centred**2)
    return float(weights @ (centred * y)) / spread, spread**-0.5


def slope_figures(rows):
    """Slopes of every noise ratio, by the name of its last row."""
    return [
        {"name": of[-1]["name"]} | {f"{name}_fall": -slope(of, name)[0] for name in ("b", "log_z")}
        for of in by_ratio(rows).values()
        if sum(row["n_rows"] >= LEAST_ROWS for row in of) > 1
    ]


def by_ratio(rows):
    """{noise ratio: its rows by the number of rows of data}, ascending."""
    ratios = sorted({row["noise_ratio"] for row in rows})
    return {
        ratio: sorted(
            (row for row in rows if row["noise_ratio"] == ratio), key=lambda row: row["n_rows"]
        )
        for ratio in ratios
    }


_SLOPES = (
    "Four Laplace sources, mixed at random: roots of the median squared error of the unmixing "
    "matrix (all 16 entries of BA together, order and signs resolved) and of log Z, and how they "
    "fall with rows, as slopes of their logarithms from {least:,} rows on ± standard errors; "
    "theory says −0.5. {repetitions} data sets a point; those in which sources were not told apart "
    "are left out ({failed} of {total:,}; {versions}, {date})."
)
_PICTURE = (
    "![Errors of the unmixing matrix and of log Z against rows of data, by noise ratio, with lines "
    "of theory](docs/nce.png)"
)


def slopes(header, rows):
    """A row per noise ratio, and the picture."""
    counts = [row["repetitions"] for row in rows]
    values = {
        "least": LEAST_ROWS, "repetitions": f"{min(counts):.0f} to {max(counts):.0f}",
        "failed": f"{sum(row['failed'] for row in rows):.0f}", "total": int(sum(counts)),
    }  # fmt: skip
    sizes, columns = sorted({row["n_rows"] for row in rows}), ["ν"]
    for of in ("B", "log Z"):
        columns += [*(f"{of}, {size:,.0f} rows" for size in (sizes[0], sizes[-1])), "slope"]
    table = markdown(columns, 0, (_slope_cells(*each) for each in by_ratio(rows).items()))
    return f"{wrapped(_SLOPES.format(**values, **header))}\n\n{table}\n\n{_PICTURE}"


def _slope_cells(ratio, rows):
    cells = [f"{ratio:g}"]
    for name in ("b", "log_z"):
        value, error = slope(rows, name)
        cells += [f"{row[f'{name}_rmse']:.2g}" for row in (rows[0], rows[-1])]
        cells.append(f"{signed(value, 2)} ± {error:.2f}")
    return cells


def section(results):
    """The text of the README, from {problem: (header, rows)} of what was measured."""
    parts = [part(*results[name]) for name, part in PARTS.items() if name in results]
    return "\n" + "\n\n".join(parts) + "\n"


PARTS = {"nce_asymptotics": variances, "nce_slopes": slopes, "nce_speed": speed}
