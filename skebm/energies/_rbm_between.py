"""Annealing from one RBM to another: E_t = (1 - t) E_0 + t E_1, with hidden units in common.

Where the hidden units mean the same, as in one model at two times of its training, they are
shared, and the path is the straight line between the parameters. Models that know nothing of
each other are given the hidden units of both, each with zero weights for those of the other:
then one set of units is heated away while the other one is cooled in. Both are one path here.
"""

import math

import numpy as np
from numba import prange

from skebm._bits import empty_states, list_ones, pack, unpack
from skebm._jit import inline, kernel
from skebm._numerics import exp, fold_product, fold_sum
from skebm._rng import BLOCK, fill_bits, uniform
from skebm._simd import lanes
from skebm.energies._rbm_chains import (
    HIDDEN,
    VISIBLE,
    add_linear,
    chunk_of,
    draw_tile,
    fill_fields,
    scratch_for,
    states_of,
    sweep_flops,
    write_words,
)

# Time of a temperature in that of a Gibbs sweep.
_SWEEPS = 2.5


class PathBetween:
    """The path between two RBMs with as many hidden units and in the same precision.

    Parameters
    ----------
    first, last : BernoulliRBM
        The models at 0 and at 1.
    offset : float, default=0.0
        What log(Z_last / Z_first) is larger by than the ratio that is wanted.
    """

    def __init__(self, first, last, offset=0.0):
        self.first, self.last, self.offset = first, last, offset

    def flops(self, n_chains):
        """Work of one temperature: twice the products of a Gibbs sweep, and the weights."""
        return _SWEEPS * sweep_flops(n_chains, *self.first.components.shape, self.first.dtype)

    def anneal(self, X, log_weights, betas, key, *, step=0, first_chain=0):
        """Weigh and move binary chains along ``betas``, in place; adds to ``log_weights``."""
        betas = np.asarray(betas, dtype=np.float64)
        lower, upper = self.first._layers, self.last._layers
        bits, weights = np.asarray(pack(X, lower.b.size)), log_weights.copy()
        for part, done, count in self.first._calls(len(betas) - 1, len(X), _SWEEPS):
            anneal_between(
                lower, upper, betas[done : done + count + 1], key, first_chain + part.start,
                step + done, bits[part], weights[part],
                parallel=self.first._is_large(len(X), 2.0 * _SWEEPS * count),
            )  # fmt: skip
        X[:] = unpack(bits, X.shape[1], X.dtype)
        log_weights[:] = weights - (betas[-1] - betas[0]) * self.offset


@kernel(writes=("bits", "log_weights"))
def anneal_between(lower, upper, betas, key, first_chain, step, bits, log_weights):
    """Annealing on the hidden-marginalised path: weigh at v, then move v, for betas[1:].

    ``lower`` and ``upper`` are the layers at 0 and at 1, ``bits`` (n, words) the visible states,
    ``log_weights`` (n,) float64 is added to.
    """
    n = bits.shape[0]
    chunk = chunk_of(n)
    for q in prange((n + chunk - 1) // chunk):
        low = np.int64(q) * chunk
        high = min(n, low + chunk)
        visible = states_of(bits[low:high], lower.n_visible, lower.b)
        hidden = empty_states(high - low, lower.n_hidden, lower.b)
        carry_between(
            lower, upper, betas, key, first_chain + low, step, visible, hidden,
            scratch_for(high - low, lower.b), scratch_for(high - low, lower.b),
            log_weights[low:high],
        )  # fmt: skip


@inline
def carry_between(
    lower, upper, betas, key, first_chain, step, visible, hidden, scratch, other, log_weights
):
    """The same for the chains of one chunk."""
    n, n_visible, n_hidden = log_weights.shape[0], lower.n_visible, lower.n_hidden
    buffer = np.empty((3, lanes(lower.up)))
    nowhere = np.empty((0, n_visible), lower.up.dtype)
    for k in range(1, betas.shape[0]):
        list_ones(visible, 0, n, n_visible)
        rise = betas[k] - betas[k - 1]
        add_linear(visible, upper.b, lower.b, rise, -rise, log_weights)
        for t in range(lower.up.shape[0]):
            fill_fields(lower.up[t], lower.c[t], visible, n, nowhere, scratch)
            fill_fields(upper.up[t], upper.c[t], visible, n, nowhere, other)
            weigh_and_draw_between(
                scratch, other.fields, betas[k - 1], betas[k], key, first_chain, step + k, t,
                n_hidden, hidden.bits, buffer, log_weights,
            )  # fmt: skip
        list_ones(hidden, 0, n, n_hidden)
        for t in range(lower.down.shape[0]):
            fill_fields(lower.down[t], lower.b[t], hidden, n, nowhere, scratch)
            fill_fields(upper.down[t], upper.b[t], hidden, n, nowhere, other)
            mix(n, scratch.fields, other.fields, betas[k])
            draw_tile(n, scratch, key, first_chain, step + k, VISIBLE, t, n_visible, visible.bits)


@inline
def mix(n, fields, others, beta):
    """fields <- (1 - beta) fields + beta others."""
    hot = fields.dtype.type(beta)
    for r in range(n):
        for i in range(fields.shape[1]):
            fields[r, i] += hot * (others[r, i] - fields[r, i])


@inline
def weigh_and_draw_between(
    scratch, others, before, now, key, first_chain, step, tile, n_units, bits, buffer, log_weights
):
    """Draw Bernoulli(sigmoid(t)); add sum_l log(1 + e^{t_l}) - log(1 + e^{s_l}).

    Here t and s are the fields at ``now`` and ``before``, between those in ``scratch`` and in
    ``others`` (n, L). ``buffer`` (3, L) float64.
    """
    fields = scratch.fields
    one, zero = fields.dtype.type(1), fields.dtype.type(0)
    hot, cold = fields.dtype.type(now), fields.dtype.type(before)
    width = lanes(fields)
    n = min(width, n_units - tile * width)
    block, first = tile * width // BLOCK, tile * width % BLOCK
    for r in range(log_weights.shape[0]):
        fill_bits(key, first_chain + r, step, HIDDEN, block, scratch.random[r])
    for r in range(log_weights.shape[0]):
        for i in range(width):
            x = fields[r, i]
            slope = others[r, i] - x
            t, s = x + hot * slope, x + cold * slope
            e = exp(-abs(t))
            buffer[0, i] = np.float64(max(t, zero)) - np.float64(max(s, zero))
            buffer[1, i] = np.float64(one + e)
            buffer[2, i] = np.float64(one + exp(-abs(s)))
            odds = one if t > zero else e
            fields[r, i] = uniform(scratch.random[r, first + i], t) * (one + e) - odds
        above, below = fold_product(buffer[1], n), fold_product(buffer[2], n)
        log_weights[r] += fold_sum(buffer[0], n) + math.log(above / below)
    write_words(log_weights.shape[0], fields, tile, n_units, bits)
