"""One picture of how the time of a sparse Gaussian fit grows with variables and with edges."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.figure import GREY, ticks, write_labels
from benchmarks.tables import is_number

_BLUE = "#1f4e8c"

# Library, label, colour, line; the last ones are drawn above the others.
LINES = (
    ("scikit-learn GraphicalLasso", "scikit-learn", "#c8553d", "-"),
    ("skglm GraphicalLasso", "skglm", "#5b8e7d", "-"),
    ("plain loops", "plain loops", "#b08d3c", "-"),
    ("skebm lists", "lists", _BLUE, ":"),
    ("skebm tiles", "tiles", _BLUE, "--"),
    ("skebm estimator", "estimator", _BLUE, "-."),
    ("skebm", "skebm", _BLUE, "-"),
)
PANELS = {
    "p": "variables; random graphs, five edges a node",
    "share": "share of pairs that are edges, 500 variables",
}


def draw(rows, path):
    """Draw the rows of the two sweeps into a PNG file."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.1), layout="constrained")
    for axes, (sweep, title) in zip(panels.flat, PANELS.items()):
        _panel(axes, [row for row in rows if row["sweep"] == sweep], sweep)
        axes.set_title(title, loc="left", fontsize=11)
    figure.suptitle(
        "Time of one sparse Gaussian fit, given the correlations", x=0.01, ha="left", fontsize=12.5
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axes, rows, sweep):
    labels = []
    for library, name, colour, line in LINES:
        points = sorted((row[sweep], row["seconds"]) for row in rows if row["library"] == library)
        if points:
            width = 2.4 if name == "skebm" else 1.5
            axes.plot(*zip(*points), line, color=colour, lw=width, marker="o", ms=3)
            labels.append((points[-1], name, colour))
    if product := sorted(_products(rows, sweep)):
        axes.plot(*zip(*product), "-", color=GREY, lw=1, zorder=0)
        labels.append((product[-1], "p × p product", GREY))
    axes.set(xscale="log", yscale="log")
    ticks(axes, sorted({row[sweep] for row in rows}))
    axes.grid(axis="y", color="#e5e5e5", lw=0.8)
    write_labels(axes, labels)


def _products(rows, sweep):
    for row in rows:
        if row["library"] == "skebm" and is_number(row["gemm_seconds"]):
            yield row[sweep], row["gemm_seconds"]
