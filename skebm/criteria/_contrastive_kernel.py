"""The kernel behind the contrastive criteria: whole minibatch updates of an RBM.

One update is two parallel passes. The first goes over chunks of rows: chains take their Gibbs
steps (negative phase), data rows stay (positive phase), and both leave weight_r (p_r - lambda),
p = P(h = 1 | v), transposed. The second goes over blocks of hidden units: one matrix product
over the stacked rows of both phases is the gradient of the block, which steps at once.

Centring (Melchior, Fischer, Wiskott 2016, JMLR 17(99), sections 2 and 3): with offsets mu, lambda
the gradient of W is the difference of <(v - mu)(p - lambda)'> between data and model, and
b and c take - W-gradient' lambda and - W-gradient mu besides their plain differences.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._jit import CHUNK, inline, kernel
from skebm._numerics import dot, sigmoid
from skebm._rng import bits_buffer
from skebm.criteria._sgd import step_weights
from skebm.energies._rbm_kernels import START, draw_rows, sweep_rows

FROM_DATA, PERSISTENT, RANDOM = 0, 1, 2

# Rate at which the hidden offsets follow the mean of P(h = 1 | data).
OFFSET_RATE = 0.01


class Arrays(NamedTuple):
    """Weights (H, V), visible (V,) and hidden (H,) biases, or what moves with each of them."""

    W: np.ndarray
    b: np.ndarray
    c: np.ndarray


class Phase(NamedTuple):
    """How the negative phase starts and runs."""

    start: int
    n_chains: int
    n_gibbs_steps: int


@kernel(writes=("model", "velocity", "hidden_mean", "stack", "scratch"))
def train(
    model, velocity, visible_mean, hidden_mean, base, rows, row_weights, bounds, rates, phase,
    penalty, center, key, step, stack, scratch,
):  # fmt: skip
    """Update ``model`` (Arrays) once for each minibatch ``bounds[t]:bounds[t + 1]`` of ``rows``.

    ``rows`` (n, V), ``row_weights`` (n,) with mean one over the training set, ``rates`` (T,).
    ``stack`` holds the chains in its first rows, which persist between calls, then the
    minibatch; ``scratch`` is flat and holds H numbers per row of the stack. Returns the number
    of Gibbs steps made, to be added to ``step``.
    """
    n_hidden, n_visible = model.W.shape
    n_blocks = (n_hidden + CHUNK - 1) // CHUNK
    shares = np.empty((n_blocks, n_visible), model.W.dtype)
    for t in range(bounds.shape[0] - 1):
        low, n_data = bounds[t], bounds[t + 1] - bounds[t]
        n_chains = n_data if phase.start == FROM_DATA else phase.n_chains
        n_rows = n_chains + n_data
        # A minibatch whose rows weigh more takes a larger step, towards the same fixed point.
        scale = 0.0
        weights = np.empty(n_rows, model.W.dtype)
        for r in range(n_data):
            share = rates[t] * row_weights[low + r] / n_data
            scale += share
            weights[n_chains + r] = share
            if phase.start == FROM_DATA:
                weights[r] = -share
        if phase.start != FROM_DATA:
            weights[:n_chains] = -scale / n_chains
        transposed = scratch[: n_hidden * n_rows].reshape((n_hidden, n_rows))
        n_chunks = (max(n_chains, n_data) + CHUNK - 1) // CHUNK
        for chunk in prange(n_chunks):
            # Equal chunks, each with its share of both phases, keep all threads busy.
            first, last = chunk * n_chains // n_chunks, (chunk + 1) * n_chains // n_chunks
            if phase.start == FROM_DATA:
                stack[first:last] = rows[low + first : low + last]
            run_chains(
                model, base, phase, key, step + t * phase.n_gibbs_steps, first, stack[first:last]
            )
            write_activations(model, hidden_mean, weights, stack, transposed, first, last)
            first, last = chunk * n_data // n_chunks, (chunk + 1) * n_data // n_chunks
            stack[n_chains + first : n_chains + last] = rows[low + first : low + last]
            first, last = n_chains + first, n_chains + last
            write_activations(model, hidden_mean, weights, stack, transposed, first, last)
        difference = np.empty(n_visible, model.W.dtype)
        for block in prange(n_blocks + 1):
            if block == n_blocks:
                np.dot(weights, stack[:n_rows], difference)
            else:
                first = block * CHUNK
                last = min(n_hidden, first + CHUNK)
                step_block(
                    model, velocity, visible_mean, hidden_mean, stack[:n_rows],
                    transposed[first:last], n_chains, scale, rates[t], penalty, center, first,
                    shares[block],
                )  # fmt: skip
        step_visible(model.b, velocity.b, difference, shares, penalty.momentum)
    return (bounds.shape[0] - 1) * phase.n_gibbs_steps


@inline
def run_chains(model, base, phase, key, step, first, v):
    """Negative phase of one chunk: start the chains where the criterion says, move them."""
    W, b, c = model
    h = np.empty((v.shape[0], W.shape[0]), W.dtype)
    beta = np.ones(v.shape[0])
    no_base = np.zeros_like(b)
    if phase.start == RANDOM:
        v[:] = 0
        draw_rows(v, base, no_base, beta, key, first, step, START, bits_buffer(W.shape[1]))
    sweep_rows(W, b, c, no_base, v, h, beta, key, first, step, phase.n_gibbs_steps)


@inline
def write_activations(model, hidden_mean, weights, stack, transposed, first, last):
    """transposed[j, r] <- weights_r (P(h_j = 1 | v_r) - lambda_j) for one chunk of rows."""
    W, _, c = model
    x = np.empty((last - first, W.shape[0]), W.dtype)
    np.dot(stack[first:last], W.T, x)
    for r in range(last - first):
        for j in range(x.shape[1]):
            x[r, j] = weights[first + r] * (sigmoid(x[r, j] + c[j]) - hidden_mean[j])
    for j in range(x.shape[1]):
        for r in range(last - first):
            transposed[j, first + r] = x[r, j]


@inline
def step_block(
    model, velocity, visible_mean, hidden_mean, stack, activations, n_chains, scale, rate, penalty,
    center, first, share,
):  # fmt: skip
    """Gradient and step of one block of hidden units; ``share`` (V,) <- lambda' of its dW."""
    W, _, c = model
    gradient = np.dot(activations, stack)
    share[:] = 0
    ones = np.ones(activations.shape[1], W.dtype)
    buffer = np.empty(max(stack.shape[0], stack.shape[1]))
    for j in range(activations.shape[0]):
        negative = dot(activations[j, :n_chains], ones[:n_chains], buffer)
        positive = dot(activations[j, n_chains:], ones[n_chains:], buffer)
        difference = W.dtype.type(positive + negative)
        row = gradient[j]
        for i in range(row.shape[0]):
            row[i] -= difference * visible_mean[i]
            share[i] += hidden_mean[first + j] * row[i]
        correction = dot(row, visible_mean, buffer)
        step_weights(W[first + j], velocity.W[first + j], row, rate, penalty)
        move = W.dtype.type(positive + negative - correction)
        move += W.dtype.type(penalty.momentum) * velocity.c[first + j]
        velocity.c[first + j] = move
        c[first + j] += move
        if center and scale > 0.0:
            hidden_mean[first + j] += W.dtype.type(OFFSET_RATE * positive / scale)


@inline
def step_visible(b, velocity, difference, shares, momentum):
    """b += <v>_data - <v>_model - dW' lambda, folded over the blocks in order."""
    for i in range(b.shape[0]):
        move = difference[i] + b.dtype.type(momentum) * velocity[i]
        for block in range(shares.shape[0]):
            move -= shares[block, i]
        velocity[i] = move
        b[i] += move
