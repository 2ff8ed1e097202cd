"""One picture of how errors of independent components fall with rows of data."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.figure import GREY, write_labels
from benchmarks.nce_tables import by_ratio

# N MSE(B) and N var(log Z) of maximum likelihood, in closed form.
LIKELIHOOD = {"b": 12.0, "log_z": 4.0}

_COLOURS = ("#c8553d", "#b08d3c", "#5b8e7d", "#1f4e8c")
PANELS = {"b": "unmixing matrix, all entries of BA together", "log_z": "log Z, nats"}


def draw(rows, path):
    """Draw the errors of both into a PNG file."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.1), layout="constrained")
    for axes, (name, title) in zip(panels.flat, PANELS.items()):
        _panel(axes, rows, name)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("rows of data")
    figure.suptitle(
        "Error of four Laplace sources by noise-contrastive estimation: root of the median square, "
        "± standard error",
        x=0.01, ha="left", fontsize=12.5,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axes, rows, name):
    labels = []
    for colour, (ratio, of) in zip(_COLOURS, by_ratio(rows).items()):
        x = np.array([row["n_rows"] for row in of])
        y = np.array([row[f"{name}_rmse"] for row in of])
        error = np.array([row[f"{name}_rmse_error"] for row in of])
        axes.plot(x, y, "-", color=colour, lw=1.8, marker="o", ms=3.5)
        axes.fill_between(x, y - error, y + error, color=colour, alpha=0.2, lw=0)
        labels.append(((x[-1], y[-1]), f"ν = {ratio:g}", colour))
    sizes = np.array(sorted({row["n_rows"] for row in rows}))
    ideal = np.sqrt(LIKELIHOOD[name] * _median_of_squares(name) / sizes)
    axes.plot(sizes, ideal, "--", color=GREY, lw=1.2, zorder=0)
    labels.append(((sizes[-1], ideal[-1]), "likelihood", GREY))
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=8.5)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#e5e5e5", lw=0.8)
    write_labels(axes, labels)


def _median_of_squares(name):
    """Median over mean of the squared error of maximum likelihood at its limit, from draws.

    Diagonal entries of BA vary by 1 / N, the others by 2 / 3N and, in pairs (i, j), (j, i), with a
    correlation of -1/2; log Z by 4 / N.
    """
    generator = np.random.default_rng(0)
    if name == "log_z":
        return float(np.median(generator.normal(size=100_000) ** 2))
    pairs = generator.multivariate_normal(
        np.zeros(2), np.array([[2.0, -1.0], [-1.0, 2.0]]) / 3.0, size=(100_000, 6)
    )
    squares = (generator.normal(size=(100_000, 4)) ** 2).sum(axis=1) + (pairs**2).sum(axis=(1, 2))
    return float(np.median(squares) / squares.mean())
