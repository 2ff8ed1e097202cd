"""Data against noise in one pass over blocks of rows, for four kinds of energies.

A block holds ``ROWS`` rows, variables first: ``Z`` (blocks, q, ROWS) with q = p + 1, the last
variable being one, so that constants are coefficients like all others. The first ``n_data`` blocks
are data, the others noise; rows that fill up a block have weight 0 and are zero, the one included.

With the margin m = -E(x) + c - log p_n(x) - log nu, whose logistic function h is the probability
of data given x, a row of data loses w softplus(-m) and a row of noise w softplus(m). Slopes by m
are a = -w (1 - h) and a = w h. With a negative ``n_data`` all rows lose w m, so that slopes are
plain weighted sums. Slot k adds the blocks k, k + slots, ... in this order, however many threads
and calls there are.
"""

from math import sqrt

import numpy as np
from numba import prange

from skebm._jit import inline, kernel
from skebm._numerics import exp, fold_sum, log1p_of_unit, log_of_normal

# Rows of a block: with their products they stay in the second-level cache.
ROWS = 256

LAPLACE, LOGISTIC, STUDENT = 0, 1, 2

_SQRT_2, _LOG_2 = 2.0**0.5, 0.6931471805599453
_LOGISTIC_SCALE = np.pi / (2.0 * 3.0**0.5)  # unit variance

# Factors below two whose product a float64 holds.
_FACTORS = 512


@inline
def weigh_margins(m, weights, block, n_data, a):
    """a (ROWS,) <- d loss / d m; returns the loss of the block."""
    losses, sign = np.empty(ROWS), 1.0 if block < n_data else -1.0
    if n_data < 0:
        for r in range(ROWS):
            losses[r] = weights[r] * m[r] if weights[r] != 0.0 else 0.0
            a[r] = weights[r]
        return fold_sum(losses, ROWS)
    for r in range(ROWS):
        t = sign * m[r]
        e = exp(-abs(t))
        losses[r] = weights[r] * (max(-t, 0.0) + log1p_of_unit(e))
        a[r] = -sign * weights[r] * (e if t >= 0.0 else 1.0) / (1.0 + e)
    return fold_sum(losses, ROWS)


@inline
def scale_rows(factor, source, out):
    """out (k, ROWS) <- factor (ROWS,) times each row of ``source``."""
    for j in range(source.shape[0]):
        for r in range(ROWS):
            out[j, r] = factor[r] * source[j, r]


@inline
def add_matrix(part, out):
    """out += part."""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            out[i, j] += part[i, j]


@kernel(writes=("margins", "values", "slopes"))
def contrast_quadratic(Z, offsets, weights, n_data, A, first, last, margins, values, slopes):
    """E - c = z'Az / 2 of blocks ``first`` ... ``last`` - 1.

    ``offsets`` (blocks, ROWS) are log p_n + log nu, ``A`` (q, q) symmetric. Adds to ``values``
    (slots,) and to ``slopes`` (slots, q, q), the sum of a zz'; sets ``margins`` (blocks, ROWS).
    """
    n_slots, q = values.shape[0], A.shape[0]
    for slot in prange(n_slots):
        T, part, a = np.empty((q, ROWS)), np.empty((q, q)), np.empty(ROWS)
        for block in range(first + (slot - first) % n_slots, last, n_slots):
            z, m = Z[block], margins[block]
            np.dot(A, z, T)
            for r in range(ROWS):
                m[r] = -offsets[block, r]
            for j in range(q):
                for r in range(ROWS):
                    m[r] -= 0.5 * T[j, r] * z[j, r]
            values[slot] += weigh_margins(m, weights[block], block, n_data, a)
            scale_rows(a, z, T)
            np.dot(T, z.T, part)
            add_matrix(part, slopes[slot])


@inline
def add_expert(kind, shape, u, energy, slope):
    """energy (ROWS,) += f(u) of one expert, slope <- f'(u).

    ``shape`` is Student's, or how far from 0 the corner of Laplace's is rounded.
    """
    if kind == LAPLACE and shape > 0.0:
        for r in range(ROWS):
            root = sqrt(u[r] * u[r] + shape * shape)
            energy[r] += _SQRT_2 * root
            slope[r] = _SQRT_2 * u[r] / root
    elif kind == LAPLACE:
        for r in range(ROWS):
            energy[r] += _SQRT_2 * abs(u[r])
            slope[r] = _SQRT_2 if u[r] > 0.0 else (-_SQRT_2 if u[r] < 0.0 else 0.0)
    elif kind == LOGISTIC:
        for r in range(ROWS):
            t = _LOGISTIC_SCALE * u[r]
            e = exp(-2.0 * abs(t))
            energy[r] += 2.0 * (abs(t) + log1p_of_unit(e) - _LOG_2)
            side = 1.0 if t > 0.0 else -1.0
            slope[r] = side * (2.0 * _LOGISTIC_SCALE) * (1.0 - e) / (1.0 + e)
    else:
        for r in range(ROWS):
            t = 1.0 + u[r] * u[r] / shape
            energy[r] += 0.5 * (shape + 1.0) * log_of_normal(t)
            slope[r] = (shape + 1.0) * u[r] / (shape * t)


@kernel(writes=("margins", "values", "totals", "slopes"))
def contrast_experts(
    Z, offsets, weights, n_data, W, kind, shape, c, first, last, margins, values, totals, slopes
):  # fmt: skip
    """E = sum_i f(w_i.z), ``W`` (m, q); adds to ``totals`` (slots,) the sum of a.

    ``slopes`` (slots, m, q) are the sums of a f'(w_i.z) z; else as :func:`contrast_quadratic`.
    """
    n_slots, (n_experts, q) = values.shape[0], W.shape
    for slot in prange(n_slots):
        U, D = np.empty((n_experts, ROWS)), np.empty((n_experts, ROWS))
        part, a, energy = np.empty((n_experts, q)), np.empty(ROWS), np.empty(ROWS)
        for block in range(first + (slot - first) % n_slots, last, n_slots):
            z, m = Z[block], margins[block]
            np.dot(W, z, U)
            energy[:] = 0.0
            for i in range(n_experts):
                add_expert(kind, shape, U[i], energy, D[i])
            for r in range(ROWS):
                m[r] = c - energy[r] - offsets[block, r]
            values[slot] += weigh_margins(m, weights[block], block, n_data, a)
            scale_rows(a, D, U)
            np.dot(U, z.T, part)
            add_matrix(part, slopes[slot])
            totals[slot] += fold_sum(a, ROWS)


@inline
def activate_hidden(U, m):
    """m (ROWS,) += sum_i softplus(U_i); U <- its sigmoid, (n_hidden, ROWS)."""
    product = np.ones(ROWS)
    for i in range(U.shape[0]):
        u = U[i]
        for r in range(ROWS):
            e = exp(-abs(u[r]))
            m[r] += max(u[r], 0.0)
            product[r] *= 1.0 + e
            u[r] = (1.0 if u[r] >= 0.0 else e) / (1.0 + e)
        if i % _FACTORS == _FACTORS - 1 or i == U.shape[0] - 1:
            for r in range(ROWS):
                m[r] += log_of_normal(product[r])
                product[r] = 1.0


@kernel(writes=("margins", "values", "visible", "slopes"))
def contrast_hidden(
    Z, offsets, weights, n_data, W, b, first, last, margins, values, visible, slopes
):  # fmt: skip
    """-E + c = b.z + sum_i softplus(w_i.z), ``W`` (n_hidden, q), ``b`` (q,).

    ``visible`` (slots, q) are the sums of a z, ``slopes`` (slots, n_hidden, q) those of a
    sigmoid(w_i.z) z; else as :func:`contrast_quadratic`.
    """
    n_slots, (n_hidden, q) = values.shape[0], W.shape
    for slot in prange(n_slots):
        U, P = np.empty((n_hidden, ROWS)), np.empty((n_hidden, ROWS))
        part, a, line = np.empty((n_hidden, q)), np.empty(ROWS), np.empty(q)
        for block in range(first + (slot - first) % n_slots, last, n_slots):
            z, m = Z[block], margins[block]
            np.dot(b, z, m)
            for r in range(ROWS):
                m[r] -= offsets[block, r]
            np.dot(W, z, U)
            activate_hidden(U, m)
            values[slot] += weigh_margins(m, weights[block], block, n_data, a)
            scale_rows(a, U, P)
            np.dot(P, z.T, part)
            add_matrix(part, slopes[slot])
            np.dot(z, a, line)
            for j in range(q):
                visible[slot, j] += line[j]


@kernel(writes=("margins", "values", "slopes"))
def contrast_features(F, offsets, weights, n_data, theta, first, last, margins, values, slopes):
    """-E + c = theta.F, ``F`` (blocks, k, ROWS); ``slopes`` (slots, k) are the sums of a F."""
    n_slots, k = values.shape[0], theta.shape[0]
    for slot in prange(n_slots):
        a, part = np.empty(ROWS), np.empty(k)
        for block in range(first + (slot - first) % n_slots, last, n_slots):
            m = margins[block]
            np.dot(theta, F[block], m)
            for r in range(ROWS):
                m[r] -= offsets[block, r]
            values[slot] += weigh_margins(m, weights[block], block, n_data, a)
            np.dot(F[block], a, part)
            for j in range(k):
                slopes[slot, j] += part[j]


@kernel(writes=("margins", "values", "slopes"))
def contrast_energies(energies, offsets, weights, n_data, c, margins, values, slopes):
    """From energies (blocks, ROWS) alone; ``values`` (blocks,), ``slopes`` a (blocks, ROWS)."""
    for block in prange(values.shape[0]):
        m = margins[block]
        for r in range(ROWS):
            m[r] = c - energies[block, r] - offsets[block, r]
        values[block] = weigh_margins(m, weights[block], block, n_data, slopes[block])


@kernel(writes=("out",))
def activate_blocks(Z, W, kind, shape, out):
    """out (blocks, m + 1, ROWS) <- f'(w_i.z), for ``kind`` -1 sigmoid(w_i.z); the last is one."""
    n_units = W.shape[0]
    for block in prange(Z.shape[0]):
        U, unused = np.empty((n_units, ROWS)), np.zeros(ROWS)
        np.dot(W, Z[block], U)
        if kind < 0:
            activate_hidden(U, unused)
        for i in range(n_units):
            if kind >= 0:
                add_expert(kind, shape, U[i], unused, out[block, i])
            else:
                out[block, i] = U[i]
        out[block, n_units] = 1.0


@kernel(writes=("grams",))
def add_gram(L, M, left, right, scales, weights, tile, first, last, grams):
    """Add weighted products of features to ``grams`` (slots, K, K), lower tiles only.

    Feature k is scales[k] L[:, left[k]] M[:, right[k]], of ``L`` and ``M`` (blocks, any, ROWS);
    ``weights`` (blocks, ROWS) are not negative. K is a multiple of ``tile``, and features beyond
    the last one are zero.
    """
    n_slots, size = grams.shape[0], grams.shape[1]
    for slot in prange(n_slots):
        F, part, root = np.zeros((size, ROWS)), np.empty((tile, tile)), np.empty(ROWS)
        for block in range(first + (slot - first) % n_slots, last, n_slots):
            for r in range(ROWS):
                root[r] = np.sqrt(weights[block, r])
            for k in range(left.shape[0]):
                x, y, scale = L[block, left[k]], M[block, right[k]], scales[k]
                for r in range(ROWS):
                    F[k, r] = (scale * root[r]) * (x[r] * y[r])
            for i in range(0, size, tile):
                for j in range(0, i + 1, tile):
                    np.dot(F[i : i + tile], F[j : j + tile].T, part)
                    add_matrix(part, grams[slot, i : i + tile, j : j + tile])
