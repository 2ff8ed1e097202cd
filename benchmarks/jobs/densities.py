"""What is asked of a fitted model for many rows, beside the matrix product it contains."""

import numpy as np

from benchmarks.adapters import settle, timed
from benchmarks.jobs.work import Measured, Work, random_model, random_rows


def transform(peer, row, folder):
    """P(h = 1 | x) of all rows."""
    return _method(peer, row, "transform")


def score_samples(peer, row, folder):
    """log p(x) of all rows; log Z is known from the warm-up."""
    return _method(peer, row, "score_samples")


def log_pseudolikelihood(peer, row, folder):
    """The exact log-pseudolikelihood of all rows."""
    return _method(peer, row, "log_pseudolikelihood")


def _method(peer, row, name):
    parameters = random_model(row)
    method = getattr(peer.fitted(parameters), name)
    X = random_rows(row["n_rows"], row)
    weights, out = parameters.W.T.copy(), np.empty((len(X), len(parameters.W)), np.float32)

    def run():
        product = min(timed(np.dot, X, weights, out)[0] for _ in range(3))
        settle()
        return Measured(timed(method, X)[0], gemm_seconds=product)

    return Work(unit="", run=run, warm_up=run)
