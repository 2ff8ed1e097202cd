"""From result rows of Ising speed to what people read and what targets are set on.

Figures of a group, the rows of one name: ``seconds``, ``per_second``, ``megabytes``, ``gap`` and
``coefficient_difference`` (the larger one of skebm's two ways) of skebm; ``one_thread_per_second``;
``joint_seconds``; ``over_PEER`` and ``joint_over_PEER``: times faster than a peer. Where a peer has
several solvers it is the fastest one whose gap is small enough, or the fastest if none is.
"""

import itertools

from benchmarks.tables import human_seconds, is_number, wrapped

LARGEST_GAP = 1e-6
_OWN = ("seconds", "per_second", "megabytes", "gap", "coefficient_difference")


def figures(rows):
    """Figures of every group, in order."""
    return [_of_group(list(group)) for _, group in itertools.groupby(rows, lambda r: r["name"])]


def _of_group(rows):
    found, ours = {"name": rows[0]["name"]}, [r for r in rows if r["library"].startswith("skebm")]
    own = next((row for row in ours if row["row"] == f"{row['name']}, skebm"), None)
    if own is None:
        return found
    found |= {key: own[key] for key in _OWN if is_number(own[key])}
    for key in ("gap", "coefficient_difference"):
        if key in found:
            found[key] = max(row[key] for row in ours)
    joint = next((row for row in ours if row["library"] == "skebm joint"), None)
    if joint:
        found["joint_seconds"] = joint["seconds"]
    for row in ours:
        if row["row"].endswith("1 thread"):
            found["one_thread_per_second"] = row["per_second"]
    for peer, seconds in fastest(rows).items():
        found[f"over_{peer}"] = seconds / own["seconds"]
        if joint:
            found[f"joint_over_{peer}"] = seconds / joint["seconds"]
    return found


def fastest(rows):
    """{peer: seconds} of the fastest solver, one that reaches the optimum if there is one."""
    peers = {}
    for row in rows:
        if not row["library"].startswith("skebm"):
            peers.setdefault(_peer(row), []).append(row)
    found = {}
    for peer, each in peers.items():
        exact = [row for row in each if not row["gap"] > LARGEST_GAP]
        found[peer] = min(row["seconds"] for row in exact or each)
    return found


def _peer(row):
    return row["library"].split()[0].replace("-", "_")


# -- for people ------------------------------------------------------------------------------


_ABOUT = (
    "Speed of Ising models ({processor}, {date}; {versions}). Learning is timed at the loosest "
    "tolerance that brings the objective within 1e-6 nats of its optimum; “gap” is what was left "
    "and “difference” the largest one of a coupling or field. scikit-learn and skglm fit one "
    "logistic regression per spin, on two processes; where “spins” are fewer than the model has, "
    "their time is that of those, multiplied, and so is the gap. skebm is also compared with joint "
    "estimation, which has an optimum of its own. EBIC is part of skebm's time only. “faster” is "
    "how many times faster skebm is. Compilation is in no time."
)
_GIBBS = (
    "States summed or spins updated per second; a dense matrix of 100 spins stays in the cache, so "
    "that arithmetic and not memory bounds them. dwave-samplers runs on one thread, in float64. "
    "Chains on a torus lie side by side in vector registers, 64 of them in float32; of few chains "
    "the spins of one colour do, in the same scan."
)


def section(header, rows):
    """The text of the README about the speed of Ising models."""
    learning = [row for row in rows if row["job"] in ("learn", "large")]
    others = [row for row in rows if row["job"] not in ("learn", "large")]
    parts = [wrapped(_ABOUT.format(**header)), learning_table(learning)]
    parts += [wrapped(_GIBBS), counting_table(others)]
    return "\n" + "\n\n".join(parts) + "\n"


def learning_table(rows):
    """A row per problem and library, in Markdown."""
    columns = ("problem", "library", "spins", "time", "faster", "gap", "difference", "peak MB")
    own = {row["name"]: row["seconds"] for row in rows if row["row"].endswith(", skebm")}
    return _markdown(columns, 2, (_learning_cells(row, own[row["name"]]) for row in rows))


def _learning_cells(row, own):
    errors = [_or_blank(row[key], ".0e") for key in ("gap", "coefficient_difference")]
    return [
        row["name"], row["library"], _or_blank(row["nodes"], ".0f"), human_seconds(row["seconds"]),
        f"{row['seconds'] / own:.1f}", *errors, _or_blank(row["megabytes"], ",.0f"),
    ]  # fmt: skip


def counting_table(rows):
    """A row per job, library and number of threads, in Markdown."""
    columns = ("job", "library", "time", "million per second")
    return _markdown(columns, 2, map(_counting_cells, rows))


def _counting_cells(row):
    library = row["row"].removeprefix(f"{row['name']}, ")
    return [row["name"], library, human_seconds(row["seconds"]), f"{row['per_second'] / 1e6:,.1f}"]


def _or_blank(value, form):
    return f"{value:{form}}" if is_number(value) else ""


def _markdown(columns, n_left, rows):
    rule = ["---"] * n_left + ["---:"] * (len(columns) - n_left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])
