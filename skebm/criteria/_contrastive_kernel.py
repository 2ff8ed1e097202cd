"""The kernel behind the contrastive criteria: whole minibatch updates of an RBM.

One update works through the units, not the rows: threads share tiles of units, so that each keeps
its part of the weights at hand whatever the size of the minibatch. Whatever is written belongs to
one row, cell (tile, chain), word or tile, so that no bit depends on who did it. The chains and
then the data lie in one *stack* of packed states. The chains take their Gibbs steps (negative
phase); then each tile of hidden units makes w_r (p_r - lambda), p = P(h = 1 | v), of both phases
at once, and one product with the transposed stack is its gradient, which steps at once. Products
with packed states need no multiplications, see :mod:`skebm._bits`.

Centring (Melchior, Fischer, Wiskott 2016, JMLR 17(99), sections 2 and 3): with offsets mu, lambda
the gradient of W is the difference of <(v - mu)(p - lambda)'> between data and model, and
b and c take - W-gradient' lambda and - W-gradient mu besides their plain differences.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import WORD, States, list_ones, multiply, transpose_word
from skebm._jit import inline, kernel
from skebm._numerics import fold_sum, sigmoid
from skebm._simd import add_scaled, dot_blocks, lanes, square_side, transpose_square
from skebm._words import add_masked, add_selected
from skebm.criteria._sgd import step_weights
from skebm.energies._rbm_chains import (
    HIDDEN,
    START,
    VISIBLE,
    add_product,
    draw_tile,
    fill_fields,
    scratch_of,
)

FROM_DATA, PERSISTENT, RANDOM = 0, 1, 2

# Rate at which the hidden offsets follow the mean of P(h = 1 | data).
OFFSET_RATE = 0.01

VISIBLE_ROWS = 256  # weights of a tile that step together, while they are near

# Most rows whose gradient is added to the weights in passing, a word of rows at a time, and so
# rounded to them as often as there are words; that of more is summed first.
ROWS_IN_PASSING = 32 * WORD


class Phase(NamedTuple):
    """How the negative phase starts and runs, and whether the gradient is centred.

    ``n_chains`` counts persistent and random chains; those from the data are as many as its rows.
    """

    start: int
    n_chains: int
    n_gibbs_steps: int
    center: bool


class Offsets(NamedTuple):
    """Centre of the visible (visible tiles * L,) and of the hidden units (hidden tiles, L).

    ``base`` (visible tiles, L) is the field of the units that random chains start from,
    ``square`` is mu.mu of the visible ones.
    """

    visible: np.ndarray
    hidden: np.ndarray
    base: np.ndarray
    square: float


class Minibatches(NamedTuple):
    """Rows of some minibatches: minibatch t is ``bounds[t]:bounds[t + 1]``.

    ``bits`` (n, words) or, where rows are not binary, ``values`` (n, V); ``weights`` (n,) with
    mean one over the training set; ``rates`` (T,) learning rates.
    """

    bits: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    bounds: np.ndarray
    rates: np.ndarray


class Gradient(NamedTuple):
    """Scratch for the gradient of the weights, tile by tile.

    ``activation`` (hidden tiles, 32 * words of rows + 1, L), ``weights`` (workers,
    VISIBLE_ROWS, L), ``share`` (hidden tiles, rows).
    """

    activation: np.ndarray
    weights: np.ndarray
    share: np.ndarray


class Motion(NamedTuple):
    """What the last update added to the weights from below and to the biases, in tiles."""

    up: np.ndarray
    b: np.ndarray
    c: np.ndarray


@kernel(
    writes=(
        "model", "velocity", "offsets", "stack", "hidden", "columns", "gradient", "scratch",
    )
)  # fmt: skip
def train(
    model, velocity, offsets, batches, phase, penalty, key, step, stack, hidden, columns,
    gradient, scratch,
):  # fmt: skip
    """Update ``model`` (Layers) once for each minibatch.

    ``stack`` are States whose first rows are the chains, which last from call to call;
    ``hidden`` those of the chains' hidden units, ``columns`` those of the transposed stack.
    Returns the number of Gibbs steps made, to be added to ``step``.
    """
    n_visible, n_workers = model.n_visible, scratch.fields.shape[0]
    words = (n_visible + WORD - 1) // WORD
    from_data = phase.start == FROM_DATA
    for t in range(batches.rates.shape[0]):
        values = batches.values[batches.bounds[t] : batches.bounds[t + 1]]
        n_chains = batches.bounds[t + 1] - batches.bounds[t] if from_data else phase.n_chains
        weights, scale = weigh_rows(batches, t, n_chains, from_data, model.b)
        n_rows, along = weights.shape[0], np.empty(weights.shape[0])
        load_rows(batches, t, n_chains, from_data, stack.bits)
        first_half = -1 if phase.start == RANDOM else 0
        if first_half < 0:
            hidden.bits[:] = 0
        # Every half of a Gibbs step has two stages, the only ones that use what is set from `half`.
        index_stage = 2 * (2 * phase.n_gibbs_steps - first_half)
        step_stage, bias_stage = index_stage + 1, index_stage + 2
        total = 0.0
        for stage in range(bias_stage + 1):
            # Even halves draw h | v, odd ones v | h, half -1 draws v from the base.
            half = first_half + stage // 2
            to_hidden = half % 2 == 0
            tiles = model.up if to_hidden else model.down
            bias = model.c if to_hidden else (model.b if half > 0 else offsets.base)
            source = States(
                stack.bits if to_hidden else hidden.bits,
                stack.ones if to_hidden else hidden.ones,
                stack.counts if to_hidden else hidden.counts,
            )
            bits = hidden.bits if to_hidden else stack.bits
            n_source, n_target = n_visible, model.n_hidden
            if not to_hidden:
                n_source, n_target = n_target, n_source
            stream = HIDDEN if to_hidden else (VISIBLE if half > 0 else START)
            start = values if from_data and half == 0 else values[:0]
            if stage == bias_stage:
                total = move_weights(weights, gradient.share)
            # One loop for all stages, since every prange takes a second to compile.
            for index in prange(n_workers):
                worker = np.int64(index)
                if stage < index_stage and stage % 2 == 0:
                    low, high = share_of(n_chains, worker, n_workers)
                    list_ones(source, low, high, n_source)
                elif stage < index_stage:
                    draw_units(
                        tiles, bias, source, start, n_chains, key, step + max(half, 0) // 2,
                        stream, n_target, bits, worker, scratch,
                    )  # fmt: skip
                elif stage == index_stage:
                    low, high = share_of(n_rows, worker, n_workers)
                    list_ones(stack, low, high, n_visible)
                    project(stack.bits, values, offsets.visible, low, high, along)
                    low, high = share_of(words, worker, n_workers)
                    for word in range(low, high):
                        transpose_word(stack.bits, word, n_rows, columns.bits)
                    list_ones(columns, low * WORD, min(n_visible, high * WORD), n_rows)
                elif stage == step_stage:
                    low, high = share_of(model.up.shape[0], worker, n_workers)
                    for tile in range(low, high):
                        step_tile(
                            model, velocity, offsets, tile, weights, along, n_chains, values,
                            scale, batches.rates[t], penalty, phase.center, stack, columns,
                            gradient, scratch.table[worker], worker,
                        )  # fmt: skip
                else:
                    low, high = share_of(words, worker, n_workers)
                    for word in range(low, high):
                        step_visible(
                            model, velocity, offsets, word, weights, total, n_chains, values,
                            penalty, stack.bits,
                        )  # fmt: skip
        step += phase.n_gibbs_steps
    return batches.rates.shape[0] * phase.n_gibbs_steps


@inline
def share_of(n, worker, n_workers):
    """The part ``low:high`` of ``n`` things that one of several workers takes."""
    return worker * n // n_workers, (worker + 1) * n // n_workers


@inline
def weigh_rows(batches, t, n_chains, from_data, like):
    """Weight of each row of the stack in the gradient, and the sum over the data.

    A minibatch whose rows weigh more takes a larger step, towards the same fixed point.
    """
    low, n_data = batches.bounds[t], batches.bounds[t + 1] - batches.bounds[t]
    weights = np.empty(n_chains + n_data, like.dtype)
    scale = 0.0
    for r in range(n_data):
        share = batches.rates[t] * batches.weights[low + r] / n_data
        scale += share
        weights[n_chains + r] = share
        if from_data:
            weights[r] = -share
    if not from_data:
        weights[:n_chains] = -scale / n_chains
    return weights, scale


@inline
def load_rows(batches, t, n_chains, from_data, bits):
    """Write a minibatch below the chains, and over them where they start from it."""
    low = batches.bounds[t]
    for r in range(batches.bounds[t + 1] - low):
        if batches.values.shape[0] > 0:
            bits[n_chains + r] = 0  # these rows' part of the gradient comes from their values
        for w in range(batches.bits.shape[1]):
            bits[n_chains + r, w] = batches.bits[low + r, w]
            if from_data:
                bits[r, w] = batches.bits[low + r, w]


@inline
def draw_units(
    weights, bias, source, start, n_chains, key, step, stream, n_units, bits, worker, scratch
):
    """One worker's share of a layer, given ``source`` or, if not empty, ``start``.

    The cells (tile, chain) are dealt out evenly, so that threads share a tile where they must.
    """
    own, n_workers = scratch_of(scratch, worker), scratch.fields.shape[0]
    begin, end = share_of(weights.shape[0] * n_chains, worker, n_workers)
    cell = begin
    while cell < end:
        tile, low = cell // n_chains, cell % n_chains
        high = min(n_chains, low + end - cell)
        rows = States(source.bits[low:high], source.ones[low:high], source.counts[low:high])
        fill_fields(weights[tile], bias[tile], rows, high - low, start[low:high], own)
        draw_tile(high - low, own, key, low, step, stream, tile, n_units, own.words[low:high])
        cell += high - low
    # The words of a state share cache lines with those of other workers: written once, at the end.
    for r in range(n_chains):
        first, last = (begin - r + n_chains - 1) // n_chains, (end - r + n_chains - 1) // n_chains
        for w in range(first * lanes(weights) // WORD, last * lanes(weights) // WORD):
            bits[r, w] = own.words[r, w]


@inline
def project(bits, values, mean, low, high, along):
    """along_r <- mu.v_r for rows ``low:high`` of the stack; ``mean`` is mu, padded to words."""
    n_binary = along.shape[0] - values.shape[0]
    sums = np.empty(4 * WORD)  # four that need not wait for each other
    for r in range(low, high):
        sums[:] = 0.0
        for w in range(mean.shape[0] // WORD if r < n_binary else 0):
            add_selected(sums, w % 4 * WORD, mean, w * WORD, bits[r, w])
        along[r] = fold_sum(sums, 4 * WORD)
        for i in range(values.shape[1] if r >= n_binary else 0):
            along[r] += np.float64(values[r - n_binary, i]) * np.float64(mean[i])


@inline
def step_tile(
    model, velocity, offsets, tile, weights, along, n_chains, values, scale, rate, penalty, center,
    stack, columns, work, table, worker,
):  # fmt: skip
    """Gradient and step of one tile of hidden units.

    c takes the sum over rows of w_r (p_r - lambda) (1 - mu.(v_r - mu)): - W-gradient mu is in it.
    """
    up, c, mean = model.up[tile], model.c[tile], offsets.hidden[tile]
    activation, n = work.activation[tile], lanes(model.up)
    n_rows, n_visible = weights.shape[0], model.n_visible
    n_binary, n_units = n_rows - values.shape[0], min(n, model.n_hidden - tile * n)
    for r in range(n_rows):
        for j in range(n):
            activation[r, j] = c[j]
    multiply(stack, n_binary, up, activation, table)
    if n_binary < n_rows:
        add_product(values, up, activation[n_binary:n_rows])
    activate(activation, weights, mean, n_units, work.share[tile])
    total, positive, move = np.zeros(n), np.zeros(n), np.zeros(n)
    for r in range(n_rows):
        for j in range(n):
            total[j] += activation[r, j]
            move[j] += (1.0 + offsets.square - along[r]) * activation[r, j]
    for r in range(n_chains, n_rows):
        for j in range(n):
            positive[j] += activation[r, j]
    difference = total.astype(up.dtype)
    plain = penalty.momentum == 0 and penalty.weight_decay == 0 and penalty.l1 == 0
    in_passing = plain and n_rows <= ROWS_IN_PASSING
    for first in range(0, n_visible, VISIBLE_ROWS):
        last = min(n_visible, first + VISIBLE_ROWS)
        gradient = up[first:last] if in_passing else work.weights[worker, : last - first]
        steps = gradient.ravel()
        if not in_passing:
            steps[:] = 0
        if center:
            for i in range(first, last):
                add_scaled(steps, (i - first) * n, -offsets.visible[i], difference, 0)
        part = States(
            columns.bits[first:last], columns.ones[first:last], columns.counts[first:last]
        )
        multiply(part, last - first, activation[: padded(n_rows) + 1], gradient, table)
        if n_binary < n_rows:
            add_product(values[:, first:last].T, activation[n_binary:n_rows], gradient)
        if not in_passing:
            for i in range(first, last):
                step_weights(up[i], velocity.up[tile, i], gradient[i - first], rate, penalty)
    for j in range(n_units):
        step = up.dtype.type(move[j]) + up.dtype.type(penalty.momentum) * velocity.c[tile, j]
        velocity.c[tile, j] = step
        c[j] += step
        if center and scale > 0.0:
            mean[j] += up.dtype.type(OFFSET_RATE * positive[j] / scale)
    store_transposed(up, tile, model.down)


@inline
def padded(n_rows):
    """Rows of an activation with a word for each 32 of them."""
    return (n_rows + WORD - 1) // WORD * WORD


@inline
def activate(activation, weights, mean, n_units, share):
    """activation_rj <- weight_r (sigmoid(activation_rj) - mean_j); share_r <- mean.activation_r."""
    n_rows, numbers = weights.shape[0], activation.ravel()
    for r in range(n_rows):
        row = activation[r]
        for j in range(lanes(activation)):
            row[j] = weights[r] * (sigmoid(row[j]) - mean[j])
        row[n_units:] = 0
    for r in range(n_rows):
        share[r] = dot_blocks(mean, 0, numbers, r * lanes(activation))
    activation[n_rows : padded(n_rows) + 1] = 0


@inline
def store_transposed(up, tile, down):
    """The weights of one tile of hidden units in the tiles as seen from above."""
    side, n = square_side(up), lanes(up)
    source, target = up.ravel(), down.ravel()
    first_unit, n_rows = tile * n, down.shape[1]
    for i in range(0, up.shape[0] - 1, side):
        for j in range(0, min(n, n_rows - 1 - first_unit), side):
            row = i // n * n_rows + first_unit + j
            transpose_square(source, i * n + j, n, target, row * n + i % n, n)


@inline
def move_weights(weights, share):
    """weights_r -= lambda.activation_r, which centres the visible biases; returns the total."""
    total = 0.0
    for r in range(weights.shape[0]):
        sum_of_tiles = 0.0
        for tile in range(share.shape[0]):
            sum_of_tiles += share[tile, r]
        weights[r] -= weights.dtype.type(sum_of_tiles)
        total += sum_of_tiles
    return total


@inline
def step_visible(model, velocity, offsets, word, weights, total, n_chains, values, penalty, bits):
    """b += <v>_data - <v>_model - dW' lambda for the 32 units of one word."""
    width, first = lanes(model.b), word * WORD
    last = min(model.n_visible, first + WORD)
    move = np.zeros(WORD)
    n_binary = weights.shape[0] if values.shape[0] == 0 else n_chains
    for r in range(n_binary):
        add_masked(move, 0, np.float64(weights[r]), bits[r, word])
    for r in range(n_binary, weights.shape[0]):
        for i in range(first, last):
            move[i - first] += np.float64(weights[r]) * values[r - n_binary, i]
    for i in range(first, last):
        t, k = i // width, i % width
        step = model.b.dtype.type(move[i - first] + total * offsets.visible[i])
        step += model.b.dtype.type(penalty.momentum) * velocity.b[t, k]
        velocity.b[t, k] = step
        model.b[t, k] += step
