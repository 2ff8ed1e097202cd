"""The picture of the main job; matplotlib is optional."""

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage

SEED = 0

# Variables beyond which names would not be legible.
_MOST_NAMES = 60


def draw_picture(best, models, X_test, path):
    """Data beside samples, filters, and the learning curves; says where it went, or why not."""
    if (Figure := _figure_class()) is None:
        return
    figure = Figure(figsize=(10, 9.4), layout="constrained")
    figure.suptitle(f"{type(best).__name__}, {len(best.components_)} hidden units", fontsize=13)
    panels = figure.subplots(2, 2)
    samples = best.sample(64, random_state=SEED)
    side = round(np.sqrt(X_test.shape[1]))
    if side * side == X_test.shape[1]:
        _show_tiles(panels[0, 0], X_test[:64], side, "Test data", "gray_r")
        _show_tiles(panels[0, 1], samples, side, "Samples of the model", "gray_r")
        _show_tiles(panels[1, 0], best.components_[:64], side, "Filters (weights)", "RdBu_r")
    else:
        many = best.sample(len(X_test), random_state=SEED)
        _show_agreement(panels[0, 0], X_test.mean(0), many.mean(0), "Means")
        _show_agreement(panels[0, 1], *_covariances(X_test, many), "Covariances of pairs")
        _show_weights(panels[1, 0], best.components_)
    _show_curves(panels[1, 1], models)
    figure.savefig(path, dpi=100)
    print(f"\nPicture: {path}")


def draw_graph(model, X, columns, path):
    """Correlations beside partial correlations, columns in an order that keeps groups together."""
    if (Figure := _figure_class()) is None:
        return
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    edges = f"{model.n_edges_} edges, alpha {model.alpha:g}"
    figure.suptitle(f"{type(model).__name__}, {edges}", fontsize=13)
    correlation, partial = np.corrcoef(X, rowvar=False), model.partial_correlation_
    order = leaves_list(linkage(1.0 - np.abs(correlation)[np.triu_indices(len(partial), 1)]))
    panels = figure.subplots(1, 2)
    for axes, matrix, title in (
        (panels[0], correlation, "Correlations of the data"),
        (panels[1], partial, "Partial correlations of the model (white: no edge)"),
    ):
        shown = matrix[np.ix_(order, order)]
        np.fill_diagonal(shown, np.nan)
        image = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[])
        if len(order) <= _MOST_NAMES:
            axes.set_yticks(range(len(order)), [str(columns[i]) for i in order], fontsize=7)
    figure.colorbar(image, ax=panels, shrink=0.8)
    figure.savefig(path, dpi=100)
    print(f"\nPicture: {path}")


def _figure_class():
    """matplotlib's Figure, or None and a line that says so."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'skebm[plot]').")
        return None
    return Figure


def _show_tiles(axes, rows, side, title, colours):
    """Up to 64 images in a square."""
    across = int(np.ceil(np.sqrt(len(rows))))
    sheet = np.full((across * (side + 1) - 1, across * (side + 1) - 1), np.nan)
    for number, row in enumerate(rows):
        top, left = (side + 1) * (number // across), (side + 1) * (number % across)
        sheet[top : top + side, left : left + side] = row.reshape(side, side)
    limit = np.abs(rows).max() or 1.0
    low = -limit if colours.startswith("RdBu") else rows.min()
    axes.imshow(sheet, cmap=colours, vmin=low, vmax=limit, interpolation="nearest")
    axes.set(title=title, xticks=[], yticks=[])


def _show_agreement(axes, data, model, title):
    axes.plot(data, model, ".", markersize=3)
    ends = [min(data.min(), model.min()), max(data.max(), model.max())]
    axes.plot(ends, ends, color="gray", linewidth=0.8)
    axes.set(title=title, xlabel="test data", ylabel="samples of the model")


def _covariances(X, samples):
    pairs = np.triu_indices(X.shape[1], 1)
    return np.cov(X, rowvar=False)[pairs], np.cov(samples, rowvar=False)[pairs]


def _show_weights(axes, weights):
    limit = np.abs(weights).max()
    axes.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.set(title="Weights", xlabel="visible unit", ylabel="hidden unit")


def _show_curves(axes, models):
    for model in models:
        curve = model.history_["log_pseudolikelihood"]
        label = f"{type(model).__name__}, {len(model.components_)} hidden"
        axes.plot(np.arange(1, len(curve) + 1), curve, label=label)
    axes.set(title="Learning curves", xlabel="epoch", ylabel="log-pseudolikelihood, nats per row")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
