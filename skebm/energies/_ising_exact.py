"""Exact log Z of an Ising model: a sum over all states, at one multiplication for each.

The states of the first spins, the *low* ones, are tabulated; those of the others, the *high* ones,
are numbered. A high state r acts on the low spins by fields f = h + r J_HL alone, so the sum over
low states is one of products: with the low spins in two halves A and B

    sum_l e^{l'J_LL l / 2 + f.l} = e^{sum_i |f_i|} u_A' T u_B,  T_ab = e^{(a, b)'J_LL (a, b) / 2},

where u_A (2^a,) holds the products of e^{-2 |f_i|} over the spins that point against their field.
Many high states side by side make this a product of matrices, U_A T, of 2^k multiplications for
2^k states.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numba import prange
from scipy.special import logsumexp

from skebm._distribute import is_distributed, over_workers
from skebm._jit import inline, kernel
from skebm._numerics import exp
from skebm.energies import _ising_moments

LOW_SPINS = 14

# High states of one chunk.
ROWS = 64

# Spread of log-weights below which products of exponentials neither overflow nor vanish.
MOST_SPREAD = 600.0

# Nanoseconds per state, per high state and per entry of the table on one core, for predictions.
STATE_NANOSECONDS, ROW_NANOSECONDS, TABLE_NANOSECONDS = 0.11, 500.0, 200.0

SECONDS_PER_CALL = 0.05

# Predicted seconds on one core from which two threads, and from which other processes are asked
# to help; what one task then takes, unless there would be too many of them.
PARALLEL_SECONDS, WORTH_SENDING, _SECONDS_PER_TASK, _MOST_TASKS = 1e-3, 1.0, 0.2, 1024


class Split(NamedTuple):
    """A model in float64, cut into low and high spins.

    ``table`` (2^a, 2^b) is T in units of e^``peak``; ``h_low`` (k,), ``between`` (m, k) couplings
    of high to low spins, ``J`` (m, m) and ``h`` (m,) of the high ones, of which ``n_states`` are
    summed over: half of them where nothing tells a state from its mirror image.
    """

    table: np.ndarray
    peak: float
    h_low: np.ndarray
    between: np.ndarray
    J: np.ndarray
    h: np.ndarray
    n_states: int


def predicted_seconds(J, h):
    """Rough time of :func:`log_partition` on one core."""
    if not is_mild(J, h):
        return _ising_moments.predicted_seconds(len(h))
    k = _n_low(len(h))
    return TABLE_NANOSECONDS * 2.0**k * 1e-9 + _seconds(2.0 ** min(len(h) - k, 1000), k)


def _seconds(n_states, k):
    return n_states * (ROW_NANOSECONDS + STATE_NANOSECONDS * 2.0**k) * 1e-9


def _n_low(n):
    return min(LOW_SPINS, n - 1)


def is_mild(J, h):
    """Whether log-weights of low states, given any high one, spread so little that e^x is safe."""
    k = _n_low(len(h))
    J, h = np.abs(np.asarray(J, dtype=np.float64)), np.abs(np.asarray(h, dtype=np.float64))
    return bool(J[:k, :k].sum() + 2.0 * (h[:k].sum() + J[k:, :k].sum()) < MOST_SPREAD)


def log_partition(J, h):
    """log Z in nats of couplings (p, p) and fields (p,), accurate to rounding.

    It is interruptible, and the same bits wherever it is made.
    """
    if not is_mild(J, h):
        return _ising_moments.log_partition(J, h)
    model = split(J, h)
    n_chunks, seconds = -(-model.n_states // ROWS), _seconds(model.n_states, len(model.h_low))
    if seconds > WORTH_SENDING and is_distributed():
        n_tasks = min(n_chunks, _MOST_TASKS, math.ceil(seconds / _SECONDS_PER_TASK))
        edges = [task * n_chunks // n_tasks for task in range(n_tasks + 1)]
        tasks = [(model, *ends) for ends in itertools.pairwise(edges)]
        partial = np.concatenate(over_workers(_on_one_core, tasks))
    else:
        partial = log_sums(model, 0, n_chunks)
    mirrored = (len(model.h) - math.log2(model.n_states)) * math.log(2.0)
    return float(logsumexp(partial)) + mirrored


def split(J, h):
    """The :class:`Split` of a model."""
    J, h = np.asarray(J, dtype=np.float64), np.asarray(h, dtype=np.float64)
    k = _n_low(len(h))
    low = _ising_moments.spins_of(np.arange(2**k), k)
    energies = _ising_moments.spin_log_weights(low, J[:k, :k], np.zeros(k))
    # Numbers of states run over the first spin fastest, so rows of the table are those of half B.
    table = np.exp(energies - energies.max()).reshape(2 ** (k - k // 2), 2 ** (k // 2))
    n_states = 2 ** (len(h) - k) if h.any() else 2 ** (len(h) - k - 1)
    return Split(
        np.ascontiguousarray(table.T), float(energies.max()), h[:k].copy(), J[k:, :k].copy(),
        J[k:, k:].copy(), h[k:].copy(), n_states,
    )  # fmt: skip


def log_sums(model, first, last, *, parallel=True):
    """Log-sums over each of the chunks ``first`` ... ``last - 1`` of high states, in nats."""
    partial = np.empty(last - first)
    each = _seconds(min(ROWS, model.n_states), len(model.h_low))
    per_call = max(1, int(SECONDS_PER_CALL / each))
    large = each * len(partial) > PARALLEL_SECONDS
    for start in range(first, last, per_call):
        stop = min(last, start + per_call)
        sum_spins(
            *model[:-1], start, model.n_states, partial[start - first : stop - first],
            parallel=parallel and large,
        )  # fmt: skip
    return partial


def _on_one_core(model, first, last):
    return log_sums(model, first, last, parallel=False)


@kernel(writes=("out",))
def sum_spins(table, peak, h_low, between, J, h, first, n_states, out):
    """out[q] <- log-sum over the ``ROWS`` high states of chunk ``first + q``, and all low ones.

    The arrays are those of :class:`Split`.
    """
    for q in prange(out.shape[0]):
        start = np.int64(first + q) * ROWS
        n = min(ROWS, n_states - start)
        out[q] = peak + sum_rows(table, h_low, between, J, h, start, n)


@inline
def sum_rows(table, h_low, between, J, h, start, n):
    """The same over ``n`` high states from the number ``start`` on, in units of e^peak."""
    offsets, fields = np.empty(n), np.empty((n, h_low.shape[0]))
    for r in range(n):
        offsets[r] = enter_state(start + r, h_low, between, J, h, fields[r])
    half = h_low.shape[0] // 2
    left, right = np.empty((n, table.shape[0])), np.empty((n, table.shape[1]))
    weigh_half(fields[:, :half], left)
    weigh_half(fields[:, half:], right)
    products = np.dot(left, table)
    for r in range(n):
        total = 0.0
        for b in range(table.shape[1]):
            total += products[r, b] * right[r, b]
        offsets[r] += math.log(total)
    return log_sum(offsets)


@inline
def enter_state(number, h_low, between, J, h, field):
    """field (k,) <- that of a high state on the low spins; returns h.r + r'Jr / 2 + sum |field|."""
    energy = 0.0
    for i in range(field.shape[0]):
        field[i] = h_low[i]
    for j in range(h.shape[0]):
        spin = 1.0 if (number >> j) & 1 else -1.0
        local = h[j]
        for i in range(j):
            local += J[j, i] if (number >> i) & 1 else -J[j, i]
        energy += spin * local
        for i in range(field.shape[0]):
            field[i] += spin * between[j, i]
    for i in range(field.shape[0]):
        energy += abs(field[i])
    return energy


@inline
def weigh_half(fields, out):
    """out[r, s] <- product of e^{-2 |f_ri|} over the spins i of state s that are against f_ri."""
    for r in range(out.shape[0]):
        row = out[r]
        row[0] = 1.0
        for i in range(fields.shape[1]):
            size, f = 1 << i, fields[r, i]
            against = exp(-2.0 * abs(f))
            down, up = (against, 1.0) if f > 0.0 else (1.0, against)
            for s in range(size):
                row[size + s] = up * row[s]
                row[s] *= down


@inline
def log_sum(values):
    """log of the sum of e^x, in the order of the values."""
    largest, total = values.max(), 0.0
    for r in range(values.shape[0]):
        total += math.exp(values[r] - largest)
    return largest + math.log(total)
