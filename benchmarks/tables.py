"""From result rows of speed problems to what people read.

A *group* is the rows of one name, measured beside each other. ``figures`` says in numbers how
skebm did there, and these are what targets are set on:

``seconds`` (per ``unit``), ``share_of_peak``, ``times_gemm`` (of the matrix product contained),
``megabytes`` (that a fit adds), ``times_given`` (of weights and data), ``process_megabytes`` (of
the whole process); ``one_thread_seconds``, ``over_one_thread`` (times faster than that); and per
peer ``over_PEER`` and ``one_thread_over_PEER`` (times faster than it), ``PEER_megabytes``,
``memory_over_PEER`` and ``process_over_PEER`` (skebm's memory in units of the peer's).
"""

import csv
import itertools
import math
import textwrap

DISPLAYED = {"scikit-learn": "BernoulliRBM"}
_OWN = ("seconds", "share_of_peak", "times_gemm", "megabytes", "times_given", "process_megabytes")
_TEXT = (
    "row", "name", "job", "library", "sweep", "data", "input", "cache", "unit", "family", "params",
    "model", "graph", "method", "design", "support", "source",
    "noise",
)  # fmt: skip

COLUMNS = ("job", "skebm", "of sgemm", "× BernoulliRBM", "× rbms", "× one thread", "in comparison")
_WIDTHS = (65, 22, 9, 15, 8, 13, 0)


def read(path):
    """Header and rows of a result file that is reported, numbers as floats."""
    if not path.exists():
        raise SystemExit(f"{path.name} is not there: run python -m benchmarks.run {path.stem}")
    with path.open(newline="") as file:
        lines = list(file)
    notes = [line[1:].strip().partition(": ") for line in lines if line.startswith("#")]
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {key: value for key, _, value in notes}, [
        {key: value if key in _TEXT else _number(value) for key, value in row.items()}
        for row in rows
    ]


def _number(text):
    if text in ("True", "False"):
        return float(text == "True")
    return float(text) if text not in ("", None) else math.nan


def groups(rows):
    """Figures of every group, in order."""
    by_name = itertools.groupby(rows, key=lambda row: row["name"])
    return [figures(list(group)) for _, group in by_name]


def figures(rows):
    """What a group of rows says about skebm, as numbers; without skebm there are none."""
    found = {"name": rows[0]["name"], "job": rows[0]["job"], "unit": rows[0]["unit"]}
    ours = {_limited(row): row for row in rows if row["library"] == "skebm"}
    if False not in ours:
        return found
    own, alone = ours[False], ours.get(True)
    found |= {key: float(own[key]) for key in _OWN if is_number(own.get(key))}
    if alone:
        found["one_thread_seconds"] = alone["seconds"]
        found["over_one_thread"] = alone["seconds"] / own["seconds"]
    for row in rows:
        if row["library"] != "skebm":
            found |= _beside(own, alone, row)
    return found


def _limited(row):
    return row["row"] != f"{row['name']}, {row['library']}"


def _beside(own, alone, row):
    peer = row["library"].lower().replace("-", "_")
    if is_number(row["megabytes"]):
        return {
            f"{peer}_megabytes": row["megabytes"],
            f"{peer}_process_megabytes": row["process_megabytes"],
            f"memory_over_{peer}": own["megabytes"] / row["megabytes"],
            f"process_over_{peer}": own["process_megabytes"] / row["process_megabytes"],
        }
    found = {f"over_{peer}": row["seconds"] / own["seconds"]}
    if alone:
        found[f"one_thread_over_{peer}"] = row["seconds"] / alone["seconds"]
    return found


def is_number(value):
    return isinstance(value, int | float) and not math.isnan(value)


# -- for people ------------------------------------------------------------------------------


def cells(found):
    """The cells of a group under ``COLUMNS``; what was not measured is empty."""
    return (
        found["name"],
        _cost(found),
        percent(found["share_of_peak"]) if "share_of_peak" in found else "",
        *(_ratio(found, key) for key in ("over_scikit_learn", "over_rbms", "over_one_thread")),
        _other(found),
    )


def _cost(found):
    if "megabytes" in found:
        return _memory(found)
    if "seconds" not in found:
        return ""
    return f"{human_seconds(found['seconds'])} {found['unit']}".strip()


def _ratio(found, key):
    if key not in found or "megabytes" in found:
        return ""
    return f"{found[key]:.1f}" if found[key] < 100 else f"{found[key]:.0f}"


def _other(found):
    parts = []
    if "times_gemm" in found:
        parts.append(f"takes {found['times_gemm']:.2f} × the matrix product in it")
    if "over_numpy" in found:
        parts.append(f"{_ratio(found, 'over_numpy')} × faster than NumPy")
    if "times_given" in found:
        parts.append(f"{found['times_given']:.2f} × the size of weights and data")
    for peer, name in (("scikit_learn", "BernoulliRBM"), ("rbms", "rbms")):
        if f"{peer}_megabytes" in found:
            parts.append(f"{name} {_memory(found, f'{peer}_')}")
    return "; ".join(parts)


def _memory(found, peer=""):
    """What a fit adds, and the whole process with it."""
    added, whole = found[f"{peer}megabytes"], found[f"{peer}process_megabytes"]
    return f"{added:.0f} of {whole:.0f} MB"


def percent(share):
    return f"{100.0 * share:.0f} %"


def human_seconds(seconds):
    """Three digits and a unit: 1.23 ms."""
    factor, unit = next((f, unit) for f, unit in _UNITS if seconds >= f or unit == "µs")
    value = seconds / factor
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f} {unit}"


_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def wrapped(text):
    """Text in lines that fit the README."""
    return "\n".join(textwrap.wrap(text, 98, break_long_words=False))


def line(found):
    """A group as a line of a table whose heading is ``HEADING``."""
    return _aligned(cells(found))


def _aligned(texts):
    """Texts side by side: job and cost to the left of their columns, numbers to the right."""
    left = [text.ljust(width) for text, width in zip(texts[:2], _WIDTHS[:2])]
    right = [text.rjust(width) for text, width in zip(texts[2:], _WIDTHS[2:])]
    return "  ".join(left + right).rstrip()


HEADING = _aligned(COLUMNS)


def markdown(found):
    """A table of groups in Markdown, without the columns that are empty."""
    rows = [cells(each) for each in found]
    kept = [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]
    lines = [
        COLUMNS,
        ["---" if i in (0, 1, len(COLUMNS) - 1) else "---:" for i in range(len(COLUMNS))],
    ]
    return "\n".join(f"| {' | '.join(row[i] for i in kept)} |" for row in [*lines, *rows])
