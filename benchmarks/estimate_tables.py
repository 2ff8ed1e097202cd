"""From result rows of coverage and accuracy to what people read and what targets are set on.

A row of coverage has its own figures: ``coverage`` (of the converged intervals),
``coverage_of_all``, ``converged`` (the share), ``ess_ratio``, ``sd``, ``stderr_log_z``, ``error``.
A row of tracking has ``seconds``, ``tracked_seconds`` and ``extra``, the share added.
A group of accuracy, the rows of one name, has ``mse``, ``seconds`` and ``mse_seconds`` of skebm,
and ``over_PEER``: the product of error and seconds of a peer in units of skebm's.
"""

import itertools

from benchmarks.tables import DISPLAYED, human_seconds, is_number, percent, wrapped


def figures_of_rows(rows):
    """Figures of every row, in order."""
    return [{key: value for key, value in row.items() if _is_figure(key, value)} for row in rows]


def _is_figure(key, value):
    return key == "name" or is_number(value)


def accuracy_figures(rows):
    """Figures of every group, in order."""
    return [_beside(list(group)) for _, group in itertools.groupby(rows, lambda row: row["name"])]


def _beside(rows):
    own = next((row for row in rows if row["library"] == "skebm"), None)
    if own is None:
        return {"name": rows[0]["name"]}
    found = {key: own[key] for key in ("name", "mse", "seconds", "mse_seconds")}
    for row in rows:
        if row is not own:
            found[f"over_{row['library'].lower()}"] = row["mse_seconds"] / own["mse_seconds"]
    return found


# -- for people ------------------------------------------------------------------------------


_COVERAGE = (
    "Intervals of AIS at level 0.95, {repetitions:,} seeds a row: “coverage” is how many of the "
    "converged intervals hold the known log Z, and sd, mean standard error and bias of the "
    "estimate are in nats. 100 chains, or as many chains and temperatures as are planned for a "
    "standard error of 0.1 ({machine}, {date}; {versions})."
)
_ACCURACY = (
    "Estimates of log Z by AIS beside peers, with as many chains × temperatures: mean squared "
    "error in nats² against the enumerated log Z, bias, and the median time of a run; the last "
    "column is error × time in units of skebm's. skebm and NumPy (float64) start from the means "
    "of the training data, rbms from the visible biases of the model, which is the only base it "
    "has ({machine}, {date}; {versions})."
)


_TRACKING = (
    "What ``track_log_partition`` adds to a fit, and the standard error of log Z after its last "
    "epoch, 0 where it was summed ({machine}, {date}; {versions})."
)


def section(results):
    """The text of the README about log Z, from {problem: (header, rows)} of what was measured."""
    parts = []
    for name, about, table in _PARTS:
        if name in results:
            header, rows = results[name]
            repetitions = int(rows[0].get("repetitions", 0))
            machine = {"machine": header["processor"], "repetitions": repetitions}
            parts += [wrapped(about.format(**header | machine)), table(rows)]
    return "\n" + "\n\n".join(parts) + "\n"


def coverage_table(rows):
    """A row per family and setting, in Markdown."""
    columns = ("known log Z", "converged", "coverage", "of all", "ESS", "sd", "stderr", "bias")
    return _markdown(columns, 1, map(_coverage_cells, rows))


def _coverage_cells(row):
    shares = [f"{100.0 * row[key]:.1f} %" for key in ("converged", "coverage", "coverage_of_all")]
    errors = [f"{row[key]:.3f}" for key in ("sd", "stderr_log_z")]
    return [row["name"], *shares, percent(row["ess_ratio"]), *errors, _signed(row["error"])]


def accuracy_table(rows):
    """A row per model and library, in Markdown."""
    columns = ("model, chains × temperatures", "library", "seeds", "MSE", "bias", "time",
               "× skebm")  # fmt: skip
    own = {row["name"]: row["mse_seconds"] for row in rows if row["library"] == "skebm"}
    return _markdown(columns, 2, (_accuracy_cells(row, own[row["name"]]) for row in rows))


def _accuracy_cells(row, own):
    library = DISPLAYED.get(row["library"], row["library"])
    error = f"{row['mse']:.2g} ± {row['stderr_mse']:.1g}"
    costs = human_seconds(row["seconds"]), f"{row['mse_seconds'] / own:.3g}"
    return [row["name"], library, f"{row['repetitions']:.0f}", error, _signed(row["error"]), *costs]


def tracking_table(rows):
    """A row per model, in Markdown."""
    columns = ("fit", "epochs", "seconds", "with log Z", "added", "stderr")
    return _markdown(columns, 1, map(_tracking_cells, rows))


def _tracking_cells(row):
    times = [human_seconds(row[key]) for key in ("seconds", "tracked_seconds")]
    added = f"{100.0 * row['extra']:.0f} %"
    return [row["name"], f"{row['epochs']:.0f}", *times, added, f"{row['stderr_log_z']:.2f}"]


def _signed(value):
    return f"{value:+.3f}".replace("-", "−")


def _markdown(columns, n_left, rows):
    rule = ["---"] * n_left + ["---:"] * (len(columns) - n_left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])


_PARTS = (
    ("coverage", _COVERAGE, coverage_table),
    ("accuracy", _ACCURACY, accuracy_table),
    ("tracking", _TRACKING, tracking_table),
)
