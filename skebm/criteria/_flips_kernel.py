"""The kernel behind the criteria of flips: whole minibatch updates of an RBM.

For a row v let d_i = 1 - 2 v_i, a = c + W v, p_j = sigmoid(a_j), q_j = 1 - p_j. To flip unit i
multiplies its odds by

    e^{-D_i} = e^{d_i b_i} prod_j f_ji,   f_ji = (1 + e^{a_j + d_i W_ji}) / (1 + e^{a_j})
                                               = q_j + p_j e^{d_i W_ji},

D_i = F(v with i flipped) - F(v), and P(h_j = 1 | v with i flipped) is p_j^i = p_j e^{d_i W_ji} /
f_ji. Everything in f is positive, so that no digits are lost whatever W and a are. The criteria
are sums over i of functions of D_i alone (:data:`PSEUDOLIKELIHOOD`, :data:`RATIO`): with the slope
-g_i = -w dL/dD_i of a row of weight w, dD_i/db_i = -d_i, dD_i/dc_j = p_j - p_j^i and dD_i/dW_jk =
(p_j - p_j^i) v_k - [i = k] d_i p_j^i, the step along -dL is

    dW_jk = -sum_rows (v_k Q_j + g_k d_k p_j^k),  db_k = -sum_rows g_k d_k,  dc_j = -sum_rows Q_j,
    Q_j = sum_i g_i (p_j^i - p_j).

An update passes twice over rows times hidden times visible units: for the odds, where only
products are taken and their powers of two kept apart, and for p_j^i, one division each. Nothing
of that size is stored. Threads share hidden units, or rows and tiles of visible ones; whatever is
summed is summed by one of them in a fixed order.

Exponentials e^{+-W} saturate at |W| = 80 in float32 and 600 in float64.

Centring is that of :mod:`skebm.criteria._contrastive_kernel`.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import WORD
from skebm._jit import inline, kernel
from skebm._numerics import exp, fold_sum, sigmoid
from skebm._words import FACTORS, add_quotients, multiply_mixtures
from skebm.criteria._contrastive_kernel import OFFSET_RATE
from skebm.criteria._sgd import step_weights

PSEUDOLIKELIHOOD, RATIO = 0, 1

# Rows and visible units that go through all hidden units together, and rows whose divisions are
# made while they are near. A task is as many hidden units as are multiplied in one go.
UNITS, ROWS, TILE, NEAR_ROWS = FACTORS, 8, 256, 32

# Slopes that are nothing beside one; smaller numbers would take long.
_NOTHING = 1e-30

_LOG2_E, _LOG_2 = 1.4426950408889634, 0.6931471805599453


class Pieces(NamedTuple):
    """Rows of some minibatches, in pieces: piece t is ``bounds[t]:bounds[t + 1]``.

    ``rows`` (n, V) of 0 and 1 in the dtype of the model, ``bits`` (n, words) the same;
    ``weights`` (n,) with mean one over the training set. By piece (T,): whether it is the
    ``first`` and the ``last`` one of its minibatch, how many rows that has (``sizes``), and its
    learning rate (``rates``).
    """

    rows: np.ndarray
    bits: np.ndarray
    weights: np.ndarray
    bounds: np.ndarray
    first: np.ndarray
    last: np.ndarray
    sizes: np.ndarray
    rates: np.ndarray


class Machine(NamedTuple):
    """Weights W (H, V), visible b (V,) and hidden c (H,) biases, or what moves with each.

    Here and in the scratch V is padded to whole words and H to whole tasks, by zeros.
    """

    W: np.ndarray
    b: np.ndarray
    c: np.ndarray


class Scratch(NamedTuple):
    """What one update works in; n is the number of rows of the largest piece.

    ``table`` (tiles * H * 2 * TILE,) holds e^W and e^-W of each tile and hidden unit, ``spans``
    (H,) the powers of two that factors of a unit may span. ``p`` (H * n,) is P(h = 1 | v), ``q``
    1 - p and ``Q`` as above, units first; ``g`` (n, V). Sums over the pieces of a minibatch:
    ``dW`` (H, V), ``db`` (V,), ``dc`` (H,), ``mean`` (H,) of weighted p and ``mass`` (1,) of
    weights. ``shares`` (tasks, V) is lambda.dW by task; ``whole`` an empty array of whole numbers
    as long as the floats.
    """

    table: np.ndarray
    spans: np.ndarray
    p: np.ndarray
    q: np.ndarray
    Q: np.ndarray
    g: np.ndarray
    dW: np.ndarray
    db: np.ndarray
    dc: np.ndarray
    mean: np.ndarray
    mass: np.ndarray
    shares: np.ndarray
    whole: np.ndarray


@kernel(writes=("model", "velocity", "hidden_mean", "scratch"))
def follow_flips(
    model, velocity, mu, hidden_mean, pieces, kind, center, penalty, n_visible, n_hidden, scratch
):  # fmt: skip
    """Update ``model`` (Machine) at the end of each minibatch, along -dL above.

    ``mu`` (V,) is the centre of the visible units, zero without centring, ``hidden_mean`` (H,)
    that of the hidden ones; ``n_visible`` and ``n_hidden`` are V and H before padding. What a
    minibatch has summed lasts in ``scratch`` from call to call.
    """
    n_tasks, n_words = model.W.shape[0] // UNITS, model.W.shape[1] // WORD
    n_tiles = (model.W.shape[1] + TILE - 1) // TILE
    for t in range(pieces.rates.shape[0]):
        low, high, size = pieces.bounds[t], pieces.bounds[t + 1], pieces.sizes[t]
        rate, n_groups = pieces.rates[t], (high - low + ROWS - 1) // ROWS
        rows, bits = pieces.rows[low:high], pieces.bits[low:high]
        weights, first = pieces.weights[low:high], pieces.first[t]
        for task in prange(n_tasks):
            if first:
                tabulate_weights(model.W, task, scratch)
            activate_units(model, rows, weights, task, n_hidden, scratch)
        for part in prange(n_groups * n_tiles):
            weigh_flips(model.b, bits, weights, part, n_tiles, kind, n_visible, size, scratch)
        for word in prange(n_words):
            sum_visible(bits, weights, word, first, scratch)
        for task in prange(n_tasks):
            sum_units(rows, bits, task, n_hidden, scratch)
        n_stepping = n_tasks if pieces.last[t] else 0
        for task in prange(n_stepping):
            step_units(
                model, velocity, mu, hidden_mean, task, n_hidden, rate, center, penalty, scratch
            )
        n_stepping = n_words if pieces.last[t] else 0
        for word in prange(n_stepping):
            step_visible(model.b, velocity.b, word, rate, penalty, scratch)


@inline
def units_of(flat, n, task):
    """Those (UNITS, n) of (H * n,) numbers that belong to a task."""
    return flat[task * UNITS * n : (task + 1) * UNITS * n].reshape((UNITS, n))


@inline
def tabulate_weights(W, task, scratch):
    """Tables of the weights of one task's units; their sums begin at zero."""
    one = W.dtype.type(1)
    limit = W.dtype.type(80.0 if W.itemsize == 4 else 600.0)
    sizes = np.empty(W.shape[1], W.dtype)
    for j in range(task * UNITS, task * UNITS + UNITS):
        for left in range(0, W.shape[1], TILE):
            at = ((left // TILE) * W.shape[0] + j) * 2 * TILE
            for i in range(min(TILE, W.shape[1] - left)):
                w = min(max(W[j, left + i], -limit), limit)
                sizes[left + i] = abs(w)
                e = exp(w)
                scratch.table[at + i] = e
                scratch.table[at + TILE + i] = one / e
        scratch.spans[j] = _LOG2_E * fold_max(sizes)
        scratch.dW[j] = 0
        scratch.dc[j], scratch.mean[j] = 0.0, 0.0


@inline
def activate_units(model, rows, weights, task, n_hidden, scratch):
    """p and q = 1 - p of one task's units for all rows.

    Units beyond the last one have p = 0, q = 1 and so factors of one.
    """
    n, first = rows.shape[0], task * UNITS
    p, q = units_of(scratch.p, n, task), units_of(scratch.q, n, task)
    np.dot(model.W[first : first + UNITS], rows.T, p)
    for k in range(UNITS):
        for r in range(n):
            a = p[k, r] + model.c[first + k]
            p[k, r] = sigmoid(a)
            q[k, r] = sigmoid(-a)
        if first + k >= n_hidden:
            p[k] = 0
            q[k] = 1
        for r in range(n):
            scratch.mean[first + k] += weights[r] * np.float64(p[k, r])


@inline
def fold_max(x):
    """The largest entry of x, which is overwritten."""
    n = x.shape[0]
    while n > 1:
        half = (n + 1) // 2
        for i in range(n - half):
            x[i] = max(x[i], x[half + i])
        n = half
    return np.float64(x[0])


@inline
def take_powers(product, powers):
    """Move powers of two from ``product``, which is then in [1, 2), to ``powers``."""
    digits = powers.dtype.type(23 if product.itemsize == 4 else 52)
    bias = powers.dtype.type(127 if product.itemsize == 4 else 1023)
    exponents = product.ravel().view(powers.dtype)
    total = powers.ravel()
    for i in range(total.shape[0]):
        own = (exponents[i] >> digits) - bias
        exponents[i] -= own << digits
        total[i] += own


@inline
def multiply_flips(bits, first, tile, product, powers, n, scratch):
    """product 2^powers (rows, TILE) <- prod_j f_ji, ``bits`` (rows, words) of one tile.

    ``first`` is the number of the first of these rows out of n.
    """
    n_units, numbers = scratch.spans.shape[0], product.ravel()
    room, used = 120.0 if product.itemsize == 4 else 960.0, 0.0
    one_p, one_q = np.zeros(FACTORS, product.dtype), np.ones(FACTORS, product.dtype)
    for j in range(0, n_units, FACTORS):
        at = (tile * n_units + j) * 2 * TILE
        span = scratch.spans[j : j + FACTORS].sum()
        if used + span > room:
            take_powers(product, powers)
            used = 0.0
        if span <= room:
            used += span
            for r in range(bits.shape[0]):
                for w in range(bits.shape[1]):
                    multiply_mixtures(
                        numbers, r * TILE + w * WORD, scratch.table, at + w * WORD, 2 * TILE,
                        scratch.p, scratch.q, j * n + first + r, n, bits[r, w],
                    )  # fmt: skip
            continue
        for k in range(FACTORS):  # one after the other, beside factors of one
            for r in range(bits.shape[0]):
                own = (j + k) * n + first + r
                one_p[k], one_q[k] = scratch.p[own], scratch.q[own]
                for w in range(bits.shape[1]):
                    multiply_mixtures(
                        numbers, r * TILE + w * WORD, scratch.table, at + w * WORD, 2 * TILE,
                        one_p, one_q, 0, 1, bits[r, w],
                    )  # fmt: skip
            one_p[k], one_q[k] = 0, 1
            take_powers(product, powers)
    take_powers(product, powers)


@inline
def weigh_flips(b, bits, weights, part, n_tiles, kind, n_visible, size, scratch):
    """g of a few rows and one tile of visible units, from the odds of their flips."""
    first, left = part // n_tiles * ROWS, part % n_tiles * TILE
    n = bits.shape[0]
    last, right = min(n, first + ROWS), min(b.shape[0], left + TILE)
    product = np.ones((last - first, TILE), b.dtype)
    powers = np.zeros((last - first, TILE), scratch.whole.dtype)
    words = bits[first:last, left // WORD : right // WORD]
    multiply_flips(words, first, left // TILE, product, powers, n, scratch)
    bias, sign = b[left:right], np.empty(TILE)
    for r in range(first, last):
        weight = weights[r] / size
        g, own, power = scratch.g[r, left:right], product[r - first], powers[r - first]
        read_signs(words[r - first], sign)
        for i in range(g.shape[0]):
            level = sign[i] * np.float64(bias[i]) + _LOG_2 * np.float64(power[i])
            odds = np.float64(own[i]) * exp(min(max(level, -700.0), 700.0))
            flip, stay = odds / (1.0 + odds), 1.0 / (1.0 + odds)
            slope = flip if kind == PSEUDOLIKELIHOOD else 2.0 * flip * flip * stay
            g[i] = weight * slope if slope > _NOTHING else 0.0
        for i in range(n_visible - left, g.shape[0]):
            g[i] = 0


@inline
def read_signs(words, sign):
    """sign_i <- d_i = 1 - 2 v_i."""
    for w in range(words.shape[0]):
        for k in range(WORD):
            sign[w * WORD + k] = 1.0 - 2.0 * np.float64((words[w] >> np.uint32(k)) & np.uint32(1))


@inline
def sum_visible(bits, weights, word, first, scratch):
    """db_i -= sum over rows of g_i d_i, for the units of one word; the first one sums weights."""
    total, sign, left = np.zeros(WORD), np.empty(WORD), word * WORD
    for r in range(bits.shape[0]):
        read_signs(bits[r, word : word + 1], sign)
        for i in range(WORD):
            total[i] -= sign[i] * np.float64(scratch.g[r, left + i])
    for i in range(WORD):
        scratch.db[left + i] = total[i] + (0.0 if first else scratch.db[left + i])
    if word == 0:
        scratch.mass[0] = weights.sum() + (0.0 if first else scratch.mass[0])


@inline
def sum_flips(bits, n_units, task, change, scratch):
    """change (UNITS, V) += sum over rows of g_k d_k p_j^k, and Q, for one task's units."""
    n, first = bits.shape[0], task * UNITS
    p, q, Q = (
        units_of(scratch.p, n, task), units_of(scratch.q, n, task), units_of(scratch.Q, n, task),
    )  # fmt: skip
    changes, g, moved = change.ravel(), scratch.g.ravel(), np.empty(WORD, change.dtype)
    words = TILE // WORD
    Q[:] = 0
    for low in range(0, n, NEAR_ROWS):
        for k in range(n_units):
            for r in range(low, min(n, low + NEAR_ROWS)):
                moved[:] = 0
                for w in range(bits.shape[1]):
                    at = (w // words * scratch.spans.shape[0] + first + k) * 2 * TILE
                    at += w % words * WORD
                    add_quotients(
                        changes, k * change.shape[1] + w * WORD, moved, scratch.table, at,
                        at + TILE, g, r * change.shape[1] + w * WORD, p[k, r], q[k, r], bits[r, w],
                    )  # fmt: skip
                Q[k, r] = fold_sum(moved, WORD)


@inline
def sum_units(rows, bits, task, n_hidden, scratch):
    """dW and dc of one task's units: what the rows of a piece add to them."""
    n, first = rows.shape[0], task * UNITS
    n_units, change = min(UNITS, n_hidden - first), scratch.dW[first : first + UNITS]
    sum_flips(bits, n_units, task, change, scratch)
    Q, direct = units_of(scratch.Q, n, task), np.empty(change.shape, rows.dtype)
    np.dot(Q, rows, direct)
    for k in range(n_units):
        for i in range(rows.shape[1]):
            change[k, i] += direct[k, i]
        for r in range(n):
            scratch.dc[first + k] -= np.float64(Q[k, r])


@inline
def step_units(
    model, velocity, mu, hidden_mean, task, n_hidden, rate, center, penalty, scratch
):  # fmt: skip
    """Step the weights and biases of one task's units; leaves lambda.dW for the visible ones."""
    n_columns, mass = model.W.shape[1], scratch.mass[0]
    share, along = np.zeros(n_columns), np.empty(n_columns)
    gradient = np.empty(n_columns, model.W.dtype)
    for j in range(task * UNITS, min(task * UNITS + UNITS, n_hidden)):
        dc, lam = scratch.dc[j], np.float64(hidden_mean[j]) if center else 0.0
        for i in range(n_columns):
            dW = -np.float64(scratch.dW[j, i]) - (lam * scratch.db[i] + dc * mu[i])
            share[i] += lam * dW
            along[i] = dW * mu[i]
            gradient[i] = rate * dW
        dc -= fold_sum(along, n_columns)
        step_weights(model.W[j], velocity.W[j], gradient, rate, penalty)
        step = model.c.dtype.type(rate * dc + penalty.momentum * np.float64(velocity.c[j]))
        velocity.c[j] = step
        model.c[j] += step
        if center and mass > 0.0:
            hidden_mean[j] += model.c.dtype.type(OFFSET_RATE * (scratch.mean[j] / mass - lam))
    scratch.shares[task] = share


@inline
def step_visible(b, velocity, word, rate, penalty, scratch):
    """b += db - dW' lambda for the units of one word."""
    for i in range(word * WORD, (word + 1) * WORD):
        slope = scratch.db[i]
        for task in range(scratch.shares.shape[0]):
            slope -= scratch.shares[task, i]
        step = b.dtype.type(rate * slope + penalty.momentum * np.float64(velocity[i]))
        velocity[i] = step
        b[i] += step
