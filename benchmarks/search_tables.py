"""One search over estimators: from its results to what people read."""

from benchmarks.ising_quality_tables import markdown, signed
from benchmarks.tables import human_seconds, is_number, wrapped

_ABOUT = (
    "Candidates of one search on {data}: {columns:.0f} columns, {rows:,.0f} rows to learn from and "
    "{held_out:,.0f} held out to choose by. Mean log-likelihood of these in nats, the best in "
    "bold, and the time of a fit. The chosen one, {chosen}, has learned from both parts since: it "
    "reaches {loglik} ± {stderr:.2f} on {test:,.0f} test rows (the error is that of the rows; "
    "log Z {log_z}; {versions}, {date})."
)


def section(header, rows):
    """The text of the README, from the result file of ``search``."""
    best = max(rows, key=lambda row: row["held_out"])
    if not is_number(best["loglik"]):
        raise SystemExit("search.csv has no test score of the best candidate")
    about = _ABOUT.format(
        data=best["data"], columns=best["n_features"], rows=best["n_rows"],
        held_out=best["n_held_out"], test=best["n_test"], chosen=best["name"],
        loglik=signed(best["loglik"], 3), stderr=best["stderr_rows"], log_z=_log_z(best), **header,
    )  # fmt: skip
    lines = [[row["name"], _value(row, best), human_seconds(row["seconds"])] for row in rows]
    return f"\n{wrapped(about)}\n\n{markdown(['candidate', 'held out', 'fit'], 1, lines)}\n"


def _value(row, best):
    value = signed(row["held_out"], 3)
    return f"**{value}**" if row is best else value


def _log_z(row):
    if row["method"] == "exact":
        return "is summed exactly"
    return f"is estimated by {row['method'].upper()}, ± {row['stderr_log_z']:.2f}"
