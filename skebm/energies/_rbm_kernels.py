"""Kernels of the Bernoulli-Bernoulli RBM on dense rows.

Throughout: W (H, V) weights, b (V,) visible and c (H,) hidden biases, v (n, V) and h (n, H)
states, which need not be binary here; chains of binary states are in ``_rbm_chains``. Rows are
worked on in chunks of ``CHUNK``; arrays of one kernel share their dtype, sums are float64.
"""

import math

import numpy as np
from numba import prange

from skebm._jit import CHUNK, inline, kernel
from skebm._numerics import (
    PRODUCT,
    exp,
    fold_sum,
    sigmoid,
    sum_softplus,
)
from skebm._rng import BLOCK, fill_bits, uniform
from skebm.energies._rbm_chains import HIDDEN, VISIBLE


@inline
def draw_rows(state, bias, key, first_chain, step, layer):
    """Replace each row's field x by a draw of Bernoulli(sigmoid(x + bias))."""
    one = state.dtype.type(1)
    zero = state.dtype.type(0)
    random = np.empty(BLOCK, np.uint32)
    for r in range(state.shape[0]):
        for block in range((state.shape[1] + BLOCK - 1) // BLOCK):
            fill_bits(key, first_chain + r, step, layer, block, random)
            first = block * BLOCK
            for i in range(first, min(first + BLOCK, state.shape[1])):
                t = state[r, i] + bias[i]
                hit = uniform(random[i - first], t) * (one + exp(-t)) < one
                state[r, i] = one if hit else zero


@kernel(writes=("v", "mean"))
def gibbs_clamped(W, b, c, known, key, first_chain, step, n_sweeps, v, mean):
    """Block Gibbs at beta = 1 with ``known`` (n, V) kept where it is not NaN.

    ``mean`` (n, V) is added P(v = 1 | h) of every sweep.
    """
    n = v.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        states = v[low:high]
        h = np.empty((high - low, W.shape[0]), W.dtype)
        for s in range(step, step + n_sweeps):
            np.dot(states, W.T, h)
            draw_rows(h, c, key, first_chain + low, s, HIDDEN)
            np.dot(h, W, states)
            for r in range(low, high):
                for i in range(v.shape[1]):
                    mean[r, i] += sigmoid(v[r, i] + b[i])
            draw_rows(states, b, key, first_chain + low, s, VISIBLE)
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
