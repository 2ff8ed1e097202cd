"""The edges of a Gaussian model, with how sure they are."""

import numpy as np

# Edges that are listed, and share of false ones among those that are counted.
_LISTED, _FDR = 8, 0.05


def sure_pairs(model):
    """Which pairs are edges at the false discovery rate, (n_features, n_features)."""
    try:
        return model.edge_pvalues().adjusted <= _FDR
    except ValueError:  # too few rows
        return np.zeros(model.precision_.shape, dtype=bool)


def print_edges(model, columns):
    """How many edges there are and how many are sure, and the strongest of them."""
    p = len(columns)
    print(f"\n{type(model).__name__}: {model.n_edges_} of {p * (p - 1) // 2} pairs are edges.")
    try:
        tests, intervals = model.edge_pvalues(), model.edge_confidence_intervals(0.95)
    except ValueError as error:
        print(f"No tests of them: {error}")
        return
    print(
        f"Dependent given all other columns, at a false discovery rate of {_FDR:.0%}: "
        f"{int((tests.adjusted <= _FDR).sum()) // 2} pairs."
    )
    ends = _strongest(model.partial_correlation_)
    if ends:
        print("The strongest edges:\n")
        _print_table(model, tests, intervals, ends, columns)


def _print_table(model, tests, intervals, ends, columns):
    rows = [("edge", "partial corr.", "K_ij, debiased (95 % interval)", "adjusted p")]
    for i, j in ends:
        K, low, high = (
            _short(each[i, j]) for each in (intervals.estimate, intervals.low, intervals.high)
        )
        rows.append((
            f"{columns[i]} – {columns[j]}", f"{model.partial_correlation_[i, j]:+.2f}",
            f"{K} ({low} to {high})", f"{tests.adjusted[i, j]:.1g}",
        ))  # fmt: skip
    widths = [max(map(len, each)) for each in zip(*rows)]
    for name, *numbers in rows:
        cells = [f"{each:>{width}}" for each, width in zip(numbers, widths[1:])]
        print("  ".join([f"{name:<{widths[0]}}", *cells]))


def _short(number):
    return f"{number:,.0f}" if 100 <= abs(number) < 1e6 else f"{number:.3g}"


def _strongest(partial):
    """Pairs with the largest partial correlations, those that have one."""
    i, j = np.nonzero(np.triu(partial, 1))
    order = np.argsort(-np.abs(partial[i, j]), kind="stable")[:_LISTED]
    return list(zip(i[order], j[order]))
