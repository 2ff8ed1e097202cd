"""The exact log Z as one would write it in NumPy: a matrix product per block of hidden states,
then ``logaddexp`` of all visible fields, in float64."""

import numpy as np

from benchmarks.adapters import timed

_BLOCK = 1024


def version():
    return f"NumPy {np.__version__}"


def state_seconds(parameters, n_states):
    """Time per hidden state, out of the sum over the first ``n_states``."""
    return timed(log_sum, parameters, n_states)[0] / n_states


def log_sum(parameters, n_states):
    """log of the sum over visible states of the first ``n_states`` hidden ones, in nats."""
    W, b, c = (array.astype(np.float64) for array in parameters)
    total = -np.inf
    for first in range(0, n_states, _BLOCK):
        numbers = np.arange(first, min(first + _BLOCK, n_states))
        states = ((numbers[:, None] >> np.arange(len(c))) & 1).astype(np.float64)
        terms = states @ c + np.logaddexp(0.0, states @ W + b).sum(axis=1)
        total = np.logaddexp(total, np.logaddexp.reduce(terms))
    return total
