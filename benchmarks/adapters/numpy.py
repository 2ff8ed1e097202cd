"""log Z as one would write it in NumPy, in float64.

Exactly: a matrix product per block of hidden states, then ``logaddexp`` of all visible fields. By
AIS: two matrix products a temperature, the fields of the first one used for weight and draw.
"""

from itertools import pairwise

import numpy as np
from scipy.special import expit, logit, logsumexp

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


def log_z(parameters, base_means, n_chains, n_temperatures, seed):
    """An AIS estimate from independent units of these means: chains are weighed, then moved."""
    W, b, c = (array.astype(np.float64) for array in parameters)
    generator, a = np.random.default_rng(seed), logit(base_means)
    v = (generator.random((n_chains, len(b))) < base_means).astype(np.float64)
    log_weights = np.zeros(n_chains)
    for before, beta in pairwise(np.linspace(0.0, 1.0, n_temperatures + 1)):
        fields = v @ W.T + c
        rise = np.logaddexp(0.0, beta * fields) - np.logaddexp(0.0, before * fields)
        log_weights += rise.sum(axis=1) + (beta - before) * (v @ (b - a))
        h = (generator.random(fields.shape) < expit(beta * fields)).astype(np.float64)
        on = expit(beta * (h @ W + b) + (1.0 - beta) * a)
        v = (generator.random(v.shape) < on).astype(np.float64)
    base_log_z = np.logaddexp(0.0, a).sum() + len(c) * np.log(2.0)
    return base_log_z + logsumexp(log_weights) - np.log(n_chains)
