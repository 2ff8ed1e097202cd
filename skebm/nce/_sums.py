"""Weighted sums over rows whose bits do not depend on the threads of BLAS."""

from skebm._jit import single_threaded_blas


def weighted_sum(weights, X):
    """Sum of weights (n,) times rows (n, ...)."""
    with single_threaded_blas:
        return weights @ X
