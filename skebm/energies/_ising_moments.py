"""Exact moments of an Ising model and independent draws, by enumeration of all states.

The first ``LOW_SPINS`` spins are the *low* ones, whose 2^k states are tabulated; the states of
the others, the *high* ones, are numbered. With low part l and high part r of a state,

    log p~(l, r) = e(l) + e(r) + l'J_LH r,

so a block of high states is a product of matrices, an outer sum and 2^k exponentials for each.
That is safe for parameters of any size, where products of exponentials are not.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from skebm._jit import single_threaded_blas
from skebm._rng import host_generator
from skebm.energies._rbm_moments import choose

LOW_SPINS = 10

# High states that are summed together.
_BLOCK = 64

# Nanoseconds per state on one core, and of all else, for predictions only.
NANOSECONDS, OVERHEAD_NANOSECONDS = 16.0, 1e6

# Spins that exact draws are made with.
MOST_SAMPLED_SPINS = 24


class Split(NamedTuple):
    """A model in float64, cut into low and high spins.

    ``low`` (2^k, k) states and their ``energies`` (2^k,), log p~ of the low spins alone;
    ``fields`` (m, k) couplings of high to low spins; ``J`` (m, m) and ``h`` (m,) of the high ones.
    """

    low: np.ndarray
    energies: np.ndarray
    fields: np.ndarray
    J: np.ndarray
    h: np.ndarray


def spins_of(numbers, n):
    """(len(numbers), n) spins, -1 and 1; bit i of a number is set where spin i is 1."""
    bits = (np.asarray(numbers, dtype=np.int64)[:, None] >> np.arange(n)) & 1
    return 2.0 * bits - 1.0


def split(J, h):
    """The :class:`Split` of couplings (p, p) and fields (p,)."""
    J, h = np.asarray(J, dtype=np.float64), np.asarray(h, dtype=np.float64)
    k = min(LOW_SPINS, len(h))
    low = spins_of(np.arange(2**k), k)
    energies = spin_log_weights(low, J[:k, :k], h[:k])
    return Split(low, energies, J[k:, :k].copy(), J[k:, k:].copy(), h[k:].copy())


def spin_log_weights(S, J, h):
    """1/2 s'Js + h.s of each row."""
    with single_threaded_blas:
        return S @ h + 0.5 * np.einsum("ij,ij->i", S @ J, S)


def block_log_weights(model, high):
    """log p~ of all low states beside each of some high ones (R, m), (R, 2^k)."""
    with single_threaded_blas:
        out = (high @ model.fields) @ model.low.T
    out += model.energies
    out += spin_log_weights(high, model.J, model.h)[:, None]
    return out


def blocks(model):
    """The high states (R, m), so many at a time."""
    n = 2 ** len(model.h)
    for start in range(0, n, _BLOCK):
        yield spins_of(np.arange(start, min(n, start + _BLOCK)), len(model.h))


def log_sums(model):
    """log of the sum over all low states beside each high one, (2^m,)."""
    return np.concatenate([_row_log_sums(block_log_weights(model, high)) for high in blocks(model)])


def log_partition(J, h):
    """log Z in nats."""
    return float(logsumexp(log_sums(split(J, h))))


def _row_log_sums(values):
    peaks = values.max(axis=1, keepdims=True)
    with np.errstate(under="ignore"):
        return peaks[:, 0] + np.log(np.exp(values - peaks).sum(axis=1))


def predicted_seconds(n):
    """Rough time of :func:`moments` of ``n`` spins on one core."""
    return (2.0 ** min(n, 1000) * NANOSECONDS + OVERHEAD_NANOSECONDS) * 1e-9


def moments(J, h):
    """log Z in nats, E[s] (p,) and E[s s'] (p, p) with ones on the diagonal, in float64."""
    model = split(J, h)
    k = model.low.shape[1]
    pairs = np.triu_indices(k, 1)
    products = model.low[:, pairs[0]] * model.low[:, pairs[1]]
    table = np.column_stack([np.ones(len(model.low)), model.low, products])
    size = 1 + k + len(model.h)
    total, within, largest = np.zeros((size, size)), np.zeros(products.shape[1]), -np.inf
    for high in blocks(model):
        values = block_log_weights(model, high)
        top = max(largest, values.max())
        with single_threaded_blas, np.errstate(under="ignore"):
            scale = np.exp(largest - top)
            sums = np.exp(values - top) @ table
            rows = np.column_stack([sums[:, : 1 + k], sums[:, :1] * high])
            both = np.column_stack([np.ones(len(high)), high]).T @ rows
            # (1, high) x (mass, low, high): the products of low spins come from the table.
            total *= scale
            total[0] += both[0]
            total[1 + k :] += both[1:]
            within = scale * within + sums[:, 1 + k :].sum(axis=0)
        largest = top
    mass = total[0, 0]
    second = np.eye(size - 1)
    second[k:] = total[1 + k :, 1:] / mass
    second[:k, k:] = second[k:, :k].T
    second[pairs] = within / mass
    second[pairs[::-1]] = within / mass
    return float(largest + np.log(mass)), total[0, 1:] / mass, second


def sample(J, h, n_samples, entropy):
    """Independent draws (n_samples, p): first the high spins, then the low ones given them."""
    model, uniforms = split(J, h), host_generator(entropy).random((2, n_samples))
    sums = log_sums(model)
    numbers = choose(sums[None], uniforms[0], np.zeros(n_samples, int))
    distinct, which = np.unique(numbers, return_inverse=True)
    low = np.empty(n_samples, np.int64)
    for start in range(0, len(distinct), _BLOCK):
        rows = np.flatnonzero((which >= start) & (which < start + _BLOCK))
        high = spins_of(distinct[start : start + _BLOCK], len(model.h))
        low[rows] = choose(block_log_weights(model, high), uniforms[1, rows], which[rows] - start)
    return np.hstack([model.low[low], spins_of(numbers, len(model.h))])
