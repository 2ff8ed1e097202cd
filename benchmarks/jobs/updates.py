"""Learning: the time of one update, and of a whole fit of a small model."""

import numpy as np
import scipy.sparse as sp

from benchmarks.adapters import Budget
from benchmarks.data import load
from benchmarks.jobs.work import Measured, Work, random_rows

# Rows of the fit that warms up: enough for all kernels that a long fit compiles.
WARM_UP_ROWS = 6400


def update(peer, row, folder):
    """One PCD-k update with as many chains as rows, out of a whole fit: 3 + 2k products."""
    X, shape = training_rows(row, folder), update_shape(row)
    few = X[: max(WARM_UP_ROWS, 2 * row["batch_size"])]
    return Work(
        unit="per update",
        run=lambda: Measured(peer.update_seconds(X, *shape)),
        warm_up=lambda: peer.update_seconds(few, *shape),
        flops=update_flops(row),
    )


def update_shape(row):
    """Hidden units, rows of a minibatch, Gibbs steps."""
    return row["n_components"], row["batch_size"], row["n_gibbs_steps"]


def update_flops(row):
    """Operations of the matrix products of one update, no zero left out."""
    hidden, batch, k = update_shape(row)
    return 2.0 * (3 + 2 * k) * batch * row["n_features"] * hidden


def training_rows(row, folder):
    """The rows to learn from: a data set, a random array, or random CSR."""
    n_rows = number_of_rows(row)
    if "data" in row:
        return load(row["data"], folder).train[:n_rows]
    if row.get("input") == "csr":
        return random_csr(n_rows, row)
    return random_rows(n_rows, row)


def number_of_rows(row):
    """``n_rows``, or enough for ``gflop`` of work in 50 to 1,000 updates."""
    if "n_rows" in row:
        return row["n_rows"]
    updates = np.clip(row["gflop"] * 1e9 / update_flops(row), 50, 1000)
    return int(updates) * row["batch_size"]


def random_csr(n_rows, row):
    """The rows of ``random_rows`` as CSR, made without ever being dense."""
    blocks, generator = [], np.random.default_rng(0)
    for first in range(0, n_rows, 1000):
        shape = (min(1000, n_rows - first), row["n_features"])
        dense = generator.random(shape, dtype=np.float32) < row["density"]
        blocks.append(sp.csr_matrix(dense, dtype=np.float32))
    return sp.vstack(blocks, format="csr")


def whole_fit(peer, row, folder):
    """A whole fit of the embedded digits, five matrix products per update."""
    data = load("digits", folder)
    params = {"n_components": row["n_components"], "batch_size": row["batch_size"]}
    params |= row["own"].get(row["library"], {})

    def fit():
        return Measured(peer.fit(data, params, Budget(epochs=row["epochs"])).seconds)

    flops = 10.0 * row["epochs"] * data.train.size * row["n_components"]
    return Work(unit="per fit", run=fit, warm_up=fit, flops=flops)
