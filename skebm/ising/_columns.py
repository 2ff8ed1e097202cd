"""Columns that can have couplings, and those that cannot."""

import numpy as np


def masses(spins, weights):
    """Weight of the rows where each spin is up, and where it is known, (p,) each."""
    up, known = np.zeros(spins.shape[1]), np.zeros(spins.shape[1])
    for low in range(0, len(spins), 4096):
        part, w = spins[low : low + 4096], weights[low : low + 4096, None]
        up += (w * (part > 0)).sum(axis=0)
        known += (w * (part != 0)).sum(axis=0)
    return up, known


def rare_columns(up, known):
    """Columns that are constant, or so but for the weight of one row, (p,) bool."""
    fewer = np.minimum(up, known - up)
    return (fewer <= 1e-12 * known) | ((fewer <= 1.0) & (known > 2.0))


def field_of_counts(up, known):
    """Half the log-odds with half a count for each value: finite for a constant column."""
    return np.log((up + 0.5) / (known - up + 0.5)) / 2.0


def with_fields(edges):
    """(p, p + 1) with a last column of true."""
    return np.pad(edges, ((0, 0), (0, 1)), constant_values=True)


def allowed_coefficients(mask, rare):
    """Coefficients (p, p + 1) that may differ from zero."""
    edges = ~np.eye(len(rare), dtype=bool) if mask is None else mask
    allowed = with_fields(edges & ~rare)
    allowed[rare] = False
    return allowed


def complaint_about(estimator, rare):
    """A sentence that names rare columns."""
    names = getattr(estimator, "feature_names_in_", None)
    columns = np.flatnonzero(rare)
    shown = ", ".join(str(c) if names is None else repr(names[c]) for c in columns[:5])
    return (
        f"{type(estimator).__name__}: columns that are constant, or so but for one row, have no "
        f"couplings and a field from counts: {shown}{', ...' * (len(columns) > 5)} (see rare_)."
    )
