"""One picture of how the time of an update grows, a panel per quantity that is varied."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.tables import human_seconds, is_number

PANELS = {
    "batch_size": "rows in a minibatch",
    "n_gibbs_steps": "Gibbs steps k, minibatches of 128",
    "n_components": "hidden units, minibatches of 128",
    "density": "share of active visible units, minibatches of 128",
}

# Label, colour, line, and how a row is told: library, measured with one thread, given as CSR.
LINES = (
    ("BernoulliRBM", "#c8553d", "-", ("scikit-learn", False, False)),
    ("BernoulliRBM, CSR", "#c8553d", ":", ("scikit-learn", False, True)),
    ("rbms", "#5b8e7d", "-", ("rbms", False, False)),
    ("skebm, 1 thread", "#1f4e8c", "--", ("skebm", True, False)),
    ("skebm, CSR", "#1f4e8c", ":", ("skebm", False, True)),
    ("skebm", "#1f4e8c", "-", ("skebm", False, False)),
)
GREY = "#8a8a8a"
_LABEL_GAP = 0.062  # of the height of a panel


def draw(rows, path):
    """Draw the scaling rows into a PNG file."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(2, 2, figsize=(10.5, 7.6), layout="constrained")
    for axes, (sweep, title) in zip(panels.flat, PANELS.items()):
        _panel(axes, [row for row in rows if row["sweep"] == sweep], sweep)
        axes.set_title(title, loc="left", fontsize=11)
    threads = max(row["threads"] for row in rows)
    figure.suptitle(
        f"Time of one PCD update: 784 visible units, 500 hidden, {threads:.0f} threads",
        x=0.01, ha="left", fontsize=12.5,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axes, rows, sweep):
    labels = []
    for name, colour, line, kind in LINES:
        points = sorted((row[sweep], row["seconds"]) for row in rows if _kind(row) == kind)
        if points:
            width = 2.4 if name == "skebm" else 1.5
            axes.plot(*zip(*points), line, color=colour, lw=width, marker="o", ms=3)
            labels.append((points[-1], name, colour))
    labels.append((_ideal(axes, rows, sweep), "sgemm peak", GREY))
    axes.set(xscale="log", yscale="log")
    ticks(axes, sorted({row[sweep] for row in rows}))
    axes.grid(axis="y", color="#e5e5e5", lw=0.8)
    write_labels(axes, labels)


def _kind(row):
    limited = row["row"] != f"{row['name']}, {row['library']}"
    return row["library"], limited, row["input"] == "csr"


def _ideal(axes, rows, sweep):
    """A thin line: what the dense products of an update would take at the peak."""
    points = sorted(
        (row[sweep], row["seconds"] * row["share_of_peak"])
        for row in rows
        if _kind(row) == ("skebm", False, False) and is_number(row["share_of_peak"])
    )
    axes.plot(*zip(*points), "-", color=GREY, lw=1, zorder=0)
    return points[-1]


def ticks(axes, values):
    """Every value that was measured below, unless names would touch; times at the left."""
    reach, named = np.log(values[-1] / values[0]), [values[0]]
    for value in values[1:]:
        named += [value] if np.log(value / named[-1]) > 0.06 * reach else []
    axes.set_xticks(named, [f"{value:g}" for value in named], fontsize=8.5)
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _time(y)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _time(seconds):
    number, unit = human_seconds(seconds).split()
    return f"{float(number):g} {unit}"


def write_labels(axes, labels):
    """Names at the right ends of the lines, moved apart where they would overlap."""
    heights = _apart([_height(axes, point[1]) for point, _, _ in labels])
    for height, (_, name, colour) in zip(heights, labels):
        axes.text(
            1.015, height, name, color=colour, transform=axes.transAxes, fontsize=9, va="center"
        )


def _height(axes, y):
    low, high = np.log(axes.get_ylim())
    return (np.log(y) - low) / (high - low)


def _apart(heights):
    """The same heights in the same order, ``_LABEL_GAP`` apart and as near as can be."""
    order = np.argsort(heights)
    moved = np.array(heights, dtype=float)[order]
    for _ in range(200):
        overlap = np.maximum(_LABEL_GAP - np.diff(moved), 0.0)
        moved[:-1] -= overlap / 2.0
        moved[1:] += overlap / 2.0
        if overlap.max(initial=0.0) < 1e-4:
            break
    result = np.empty_like(moved)
    result[order] = moved
    return result
