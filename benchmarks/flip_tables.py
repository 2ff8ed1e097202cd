"""RBMs by criteria of flips beside contrastive ones: from results to what people read."""

from benchmarks.ising_quality_tables import markdown, signed
from benchmarks.tables import wrapped

_ABOUT = (
    "RBMs with {hidden} hidden units and default parameters after {budget:g} s of training each: "
    "exact mean log-likelihood of test rows in nats, the mean of {seeds} seeds (and extremes). "
    "Default learning rates were chosen on these and other sets ({versions}, {date})."
)


def section(header, rows, problem):
    """The text of the README, from the result file and the settings of ``flips``."""
    about = _ABOUT.format(
        hidden=problem["n_components"][0], budget=problem["seconds"], seeds=problem["seeds"],
        **header,
    )  # fmt: skip
    lines = [
        [row["name"], *(_cell(rows, data, row["name"]) for data in problem["data"])]
        for row in problem["rows"]
    ]
    return f"\n{wrapped(about)}\n\n{markdown(['estimator', *problem['data']], 1, lines)}\n"


def _cell(rows, data, name):
    """Mean, and least and most, over seeds."""
    words = [(row["row"].split(), row["loglik"]) for row in rows]
    found = [loglik for row, loglik in words if row[0] == data and name in row]
    if not found:
        raise SystemExit(f"flips.csv lacks {name} on {data}")
    mean = sum(found) / len(found)
    return f"{signed(mean, 2)} ({signed(min(found), 2)} to {signed(max(found), 2)})"
