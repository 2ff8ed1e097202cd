"""Kernels of the Bernoulli-Bernoulli RBM.

Throughout: W (H, V) weights, b (V,) visible and c (H,) hidden biases, v (n, V) and h (n, H)
states. Rows are worked on in chunks of ``CHUNK``; arrays of one kernel share their dtype, sums
are float64. Random numbers are addressed by (key, chain, step, layer).
"""

import math

import numpy as np
from numba import prange

from skebm._jit import CHUNK, inline, kernel
from skebm._numerics import (
    PRODUCT,
    exp,
    fold_product,
    fold_sum,
    sigmoid,
    softplus,
    sum_softplus,
)
from skebm._rng import bits_buffer, fill_bits, uniform

HIDDEN, VISIBLE, START = 0, 1, 2  # streams of random numbers


@inline
def draw_rows(state, bias, base, beta, key, first_chain, step, layer, bits):
    """Replace each row's field x by a draw of Bernoulli(sigmoid(beta (x + bias) + (1-beta) base)).

    u < sigmoid(t) is asked as u (1 + e^-t) < 1, which needs no division.
    """
    one = state.dtype.type(1)
    zero = state.dtype.type(0)
    for r in range(state.shape[0]):
        fill_bits(key, first_chain + r, step, layer, bits)
        hot = state.dtype.type(beta[r])
        cold = one - hot
        for i in range(state.shape[1]):
            t = hot * (state[r, i] + bias[i]) + cold * base[i]
            state[r, i] = one if uniform(bits[i], t) * (one + exp(-t)) < one else zero


@inline
def sweep_rows(W, b, c, base, v, h, beta, key, first_chain, step, n_sweeps):
    """``n_sweeps`` times h | v, then v | h, in place; ``h`` (n, H) is scratch."""
    hidden_bits, visible_bits = bits_buffer(W.shape[0]), bits_buffer(W.shape[1])
    no_base = np.zeros_like(c)
    for s in range(n_sweeps):
        np.dot(v, W.T, h)
        draw_rows(h, c, no_base, beta, key, first_chain, step + s, HIDDEN, hidden_bits)
        np.dot(h, W, v)
        draw_rows(v, b, base, beta, key, first_chain, step + s, VISIBLE, visible_bits)


@kernel(writes=("v",))
def gibbs(W, b, c, base, beta, key, first_chain, step, n_sweeps, v):
    """Block Gibbs sweeps of all chains, each at its own ``beta`` (n,)."""
    n = v.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        h = np.empty((high - low, W.shape[0]), W.dtype)
        sweep_rows(
            W, b, c, base, v[low:high], h, beta[low:high], key, first_chain + low, step, n_sweeps
        )


@kernel(writes=("v", "mean"))
def gibbs_clamped(W, b, c, known, key, first_chain, step, n_sweeps, v, mean):
    """Block Gibbs at beta = 1 with ``known`` (n, V) kept where it is not NaN.

    ``mean`` (n, V) is added P(v = 1 | h) of every sweep.
    """
    n = v.shape[0]
    beta = np.ones(CHUNK)
    no_field_h, no_field_v = np.zeros_like(c), np.zeros_like(b)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        states = v[low:high]
        h = np.empty((high - low, W.shape[0]), W.dtype)
        h_bits, v_bits = bits_buffer(W.shape[0]), bits_buffer(W.shape[1])
        for s in range(step, step + n_sweeps):
            np.dot(states, W.T, h)
            draw_rows(h, c, no_field_h, beta, key, first_chain + low, s, HIDDEN, h_bits)
            np.dot(h, W, states)
            for r in range(low, high):
                for i in range(v.shape[1]):
                    mean[r, i] += sigmoid(v[r, i] + b[i])
            draw_rows(states, b, no_field_v, beta, key, first_chain + low, s, VISIBLE, v_bits)
            for r in range(low, high):
                for i in range(v.shape[1]):
                    if not math.isnan(known[r, i]):
                        v[r, i] = known[r, i]


@kernel(writes=("out",))
def hidden_probability(W, c, v, out):
    """out (n, H) <- sigmoid(c + v W'), P(h = 1 | v)."""
    n = v.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        np.dot(v[low:high], W.T, out[low:high])
        for r in range(low, high):
            for j in range(out.shape[1]):
                out[r, j] = sigmoid(out[r, j] + c[j])


@kernel(writes=("out",))
def visible_probability(W, b, h, out):
    """out (n, V) <- sigmoid(b + h W), P(v = 1 | h)."""
    n = h.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        np.dot(h[low:high], W, out[low:high])
        for r in range(low, high):
            for i in range(out.shape[1]):
                out[r, i] = sigmoid(out[r, i] + b[i])


@inline
def mixed_field(v, b, base, share, rest, buffer):
    """share b.v + rest base.v in float64; ``buffer`` (V,)."""
    for i in range(v.shape[0]):
        buffer[i] = np.float64(v[i]) * (share * b[i] + rest * base[i])
    return fold_sum(buffer, v.shape[0])


@kernel(writes=("out",))
def log_path(W, b, c, base, beta, v, out):
    """out (n,) <- (1-beta) base.v + beta b.v + sum_j log(1 + e^{beta (c_j + W_j.v)})."""
    n = v.shape[0]
    scale = W.dtype.type(beta)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        x = np.empty((high - low, W.shape[0]), W.dtype)
        visible_buffer, hidden_buffer = np.empty(W.shape[1]), np.empty((2, PRODUCT))
        np.dot(v[low:high], W.T, x)
        for r in range(low, high):
            linear = mixed_field(v[r], b, base, beta, 1.0 - beta, visible_buffer)
            out[r] = linear + sum_softplus(x[r - low], c, scale, hidden_buffer)


@inline
def weigh_and_draw_hidden(x, c, before, now, key, chain, step, bits, buffer):
    """Draw h ~ Bernoulli(sigmoid(now x)) into ``x``; return sum_j sp(now x_j) - sp(before x_j).

    With e = exp(-|t|), log(1 + e^t) = max(t, 0) + log(1 + e) never overflows, the factors 1 + e
    stay below two, and the draw reuses them: sigmoid(t) is 1/(1+e) or e/(1+e).
    ``buffer`` (3, PRODUCT) float64.
    """
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    hot, cold = x.dtype.type(now), x.dtype.type(before)
    fill_bits(key, chain, step, HIDDEN, bits)
    total = 0.0
    for start in range(0, x.shape[0], PRODUCT):
        n = min(PRODUCT, x.shape[0] - start)
        for j in range(n):
            field = x[start + j] + c[start + j]
            t, s = hot * field, cold * field
            e = exp(-abs(t))
            buffer[0, j] = np.float64((t + abs(t)) - (s + abs(s)))
            buffer[1, j] = np.float64(one + e)
            buffer[2, j] = np.float64(one + exp(-abs(s)))
            odds = one if t > zero else e
            x[start + j] = one if uniform(bits[start + j], t) * (one + e) < odds else zero
        above, below = fold_product(buffer[1], n), fold_product(buffer[2], n)
        total += 0.5 * fold_sum(buffer[0], n) + math.log(above / below)
    return total


@kernel(writes=("v", "log_weights"))
def anneal(W, b, c, base, betas, key, first_chain, step, v, log_weights):
    """Annealing on the hidden-marginalised path: weigh at v, then move v, for betas[1:].

    The field of one chunk serves both the weight and the hidden draw, so a temperature costs
    the two matrix products of a sweep. ``log_weights`` (n,) float64 is added to.
    """
    n = v.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        states = v[low:high]
        h = np.empty((high - low, W.shape[0]), W.dtype)
        beta = np.empty(high - low)
        visible_buffer, hidden_buffer = np.empty(W.shape[1]), np.empty((3, PRODUCT))
        hidden_bits, visible_bits = bits_buffer(W.shape[0]), bits_buffer(W.shape[1])
        for k in range(1, betas.shape[0]):
            rise = betas[k] - betas[k - 1]
            beta[:] = betas[k]
            np.dot(states, W.T, h)
            for r in range(high - low):
                linear = mixed_field(states[r], b, base, rise, -rise, visible_buffer)
                log_weights[low + r] += linear + weigh_and_draw_hidden(
                    h[r], c, betas[k - 1], betas[k], key, first_chain + low + r, step + k,
                    hidden_bits, hidden_buffer,
                )  # fmt: skip
            np.dot(h, W, states)
            draw_rows(
                states, b, base, beta, key, first_chain + low, step + k, VISIBLE, visible_bits
            )


@kernel(writes=("out",))
def log_pseudolikelihood(W, b, c, up, down, safe, v, out):
    """out (n,) <- sum_i log P(v_i | rest), every conditional exactly.

    log P(v_i | rest) = -log(1 + e^{F(v) - F(v with i flipped)}). With x = c + W v, q = sigmoid(-x)
    and s = sigmoid(x), flipping i multiplies the sum over h_j by q_j + s_j e^{+-W_ji}: products of
    positive numbers from the tables ``up`` = e^W and ``down`` = e^-W, (H, V) float64. One
    logarithm serves ``safe`` factors; where even one would overflow (safe = 0), softplus does.
    """
    n = v.shape[0]
    n_hidden, n_visible = W.shape
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        x = np.empty((high - low, n_hidden), W.dtype)
        np.dot(v[low:high], W.T, x)
        product, change = np.empty(n_visible), np.empty(n_visible)
        on = np.empty(n_visible)
        for r in range(low, high):
            for i in range(n_visible):
                on[i] = v[r, i]
                change[i] = (1.0 - 2.0 * on[i]) * b[i]
                product[i] = 1.0
            for j in range(n_hidden):
                t = np.float64(x[r - low, j]) + np.float64(c[j])
                if safe == 0:
                    add_flip_changes(t, W[j], on, change)
                    continue
                multiply_flips(sigmoid(-t), sigmoid(t), up[j], down[j], on, product)
                if (j + 1) % safe == 0:
                    for i in range(n_visible):
                        change[i] += math.log(product[i])
                        product[i] = 1.0
            total = 0.0
            for i in range(n_visible):
                total -= softplus(change[i] + math.log(product[i]))
            out[r] = total


@inline
def multiply_flips(q, s, up, down, on, product):
    """product_i *= q + s e^{+-W_i}, the sign from the state of unit i: no branch, no rounding."""
    for i in range(product.shape[0]):
        product[i] *= q + s * (up[i] * (1.0 - on[i]) + down[i] * on[i])


@inline
def add_flip_changes(t, weights, on, change):
    """change_i += sp(t + (1 - 2 v_i) W_ji) - sp(t) for one hidden unit, weights of any size."""
    here = softplus(t)
    for i in range(on.shape[0]):
        change[i] += softplus(t + (1.0 - 2.0 * on[i]) * weights[i]) - here
