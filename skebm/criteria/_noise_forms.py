"""Forms of energies that data are told from noise with: parameters in, loss and slopes out.

A form packs flat parameters theta for the kernels. Its slopes are those of (theta, c), c = -log Z
last, and its features those of -E + c, of which :mod:`skebm.criteria._noise_errors` makes products.
"""

from abc import ABC, abstractmethod
from copy import copy
from typing import NamedTuple

import numpy as np

from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS, single_threaded_blas
from skebm.criteria import _noise_kernels as kernels
from skebm.criteria._noise_kernels import LAPLACE, LOGISTIC, ROWS, STUDENT

__all__ = ["LAPLACE", "LOGISTIC", "STUDENT", "Experts", "Features", "Form", "Hidden", "Quadratic"]

# Sets of sums, whatever the number of threads, and the memory that those of products may take.
_SLOTS, _GRAM_BYTES = 16, 2**28

# Time of exponentials, logarithms and divisions of a row, in flops of a product.
_ROW_FLOPS = 200.0

# Widths of rounded corners times the weights of rows: at 1 a row on a corner is curved as others.
# Wider ones than the widest would make Laplace variables look normal, and sources all alike.
_ROUNDINGS, _WIDEST = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0), 0.25


class Evaluation(NamedTuple):
    """Loss, its slopes (k + 1,) by theta and c, and the margins (blocks, ROWS)."""

    value: float
    slopes: np.ndarray
    margins: np.ndarray


class Pairs(NamedTuple):
    """Feature k is ``scales[k]`` times variable ``left[k]`` of one, ``right[k]`` of another."""

    left: np.ndarray
    right: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(cls, *groups):
        """From groups of (left, right, scale), broadcast together."""
        parts = zip(*(np.broadcast_arrays(*group) for group in groups))
        left, right, scales = (np.concatenate([np.ravel(each) for each in part]) for part in parts)
        return cls(left.astype(np.int64), right.astype(np.int64), scales.astype(np.float64))


class Form(ABC):
    """Energies of one form.

    ``linear`` says that -E is linear in theta, ``scaled`` that a curvature is worth its time where
    it only helps, ``foreign`` that it calls functions of a user, whose BLAS keeps its threads;
    ``flops`` is the work of a row.
    """

    linear = foreign = False
    scaled = True

    @abstractmethod
    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample`."""

    @abstractmethod
    def factors(self, sample, theta, part):
        """What features of a slice of blocks are made of: two arrays (blocks, any, ROWS)."""

    def rounded(self, total):
        """Forms to be minimised one after the other, the last one from close by: one if smooth."""
        return [self]

    def gram(self, sample, theta, weights):
        """Sum of weights (blocks, ROWS) times gg', g the features of -E + c, (k + 1, k + 1)."""
        return self.grams(sample, theta, weights)[0]

    def grams(self, sample, theta, *sets):
        """:meth:`gram` with each of some sets of weights, the features being made once.

        Blocks without weight cost nothing.
        """
        pairs, size = self.pairs, len(self.pairs.left)
        tile = -(-size // -(-size // 64))
        padded = tile * -(-size // tile)
        slots = int(np.clip(_GRAM_BYTES // (8 * padded**2 * len(sets)), 1, _SLOTS))
        grams, step = np.zeros((len(sets), slots, padded, padded)), self.gram_blocks(padded)
        for low in range(0, sample.n_blocks, step):
            chosen = slice(low, min(sample.n_blocks, low + step))
            L, M = self.factors(sample, theta, chosen)
            for weights, gram in zip(sets, grams):
                live = np.flatnonzero(weights[chosen].any(axis=1))
                first, last = (live[0], live[-1] + 1) if len(live) else (0, 0)
                kernels.add_gram(
                    L, M, *pairs, weights[chosen], tile, first, last, gram,
                    parallel=(last - first) * ROWS * padded**2 > PARALLEL_FLOPS,
                )  # fmt: skip
        lower = np.tril(grams.sum(axis=1)[:, :size, :size])
        return lower + np.tril(lower, -1).transpose(0, 2, 1)

    def gram_blocks(self, size):
        """Blocks of one call that makes products of so many features."""
        return blocks_per_call(float(size**2))

    def squares(self, sample, theta, weights):
        """The diagonal of :meth:`gram`, (k + 1,)."""
        (left, on_left), (right, on_right) = (
            np.unique(each, return_inverse=True) for each in self.pairs[:2]
        )
        total, step = 0.0, 64
        for low in range(0, sample.n_blocks, step):
            part = slice(low, low + step)
            L, M = self.factors(sample, theta, part)
            with single_threaded_blas:
                weighted = L[:, left] ** 2 * weights[part, None]
                products = weighted @ (M[:, right] ** 2).transpose(0, 2, 1)
            total = total + products.sum(axis=0)
        return self.pairs.scales**2 * total[on_left, on_right]

    def _sums(self, sample, *shapes):
        n_slots = min(_SLOTS, sample.n_blocks)
        arrays = [np.zeros((n_slots, *shape)) for shape in shapes]
        return np.empty_like(sample.offsets), np.zeros(n_slots), *arrays

    def _calls(self, sample):
        """(first, last, parallel) of kernel calls that are short enough for Ctrl-C."""
        step = blocks_per_call(self.flops)
        for first in range(0, sample.n_blocks, step):
            last = min(sample.n_blocks, first + step)
            yield first, last, ROWS * (last - first) * self.flops > PARALLEL_FLOPS


def blocks_per_call(flops):
    """Blocks of one kernel call that is short enough for Ctrl-C, a multiple of the slots."""
    return _SLOTS * int(np.clip(FLOPS_PER_CALL / (flops * ROWS * _SLOTS), 1, 2**20))


class Quadratic(Form):
    """E = x'Ax / 2 - b.x; theta is b, then the upper triangle of A or of minus A.

    Parameters
    ----------
    p : int
        Variables.
    diagonal : bool
        Whether A has a diagonal.
    sign : {1, -1}
        A is so many times its parameters.
    """

    linear = True

    def __init__(self, p, diagonal, sign=1.0):
        self.p, self.sign = p, sign
        self._triangle = np.triu_indices(p, 0 if diagonal else 1)
        i, j = self._triangle
        halves = np.where(i == j, 0.5, 1.0)
        self.pairs = Pairs.of(
            (np.arange(p), p, 1.0), (i, j, -sign * halves), (np.array([p]), p, 1.0)
        )
        self.flops = 4.0 * (p + 1) ** 2 + _ROW_FLOPS

    @property
    def n_params(self):
        return self.p + len(self._triangle[0])

    def matrix(self, theta, c=0.0):
        """A bordered by -b, and by -2c at its corner, (p + 1, p + 1)."""
        p = self.p
        A = np.zeros((p + 1, p + 1))
        A[self._triangle] = self.sign * theta[p:]
        A += np.triu(A, 1).T
        A[p, :p] = A[:p, p] = -theta[:p]
        A[p, p] = -2.0 * c
        return A

    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample`."""
        margins, values, slopes = self._sums(sample, (self.p + 1, self.p + 1))
        A = self.matrix(theta, c)
        for first, last, parallel in self._calls(sample):
            kernels.contrast_quadratic(
                sample.Z, sample.offsets, sample.weights, sample.split, A, first, last, margins,
                values, slopes, parallel=parallel,
            )  # fmt: skip
        sums, (left, right, scales) = slopes.sum(axis=0), self.pairs
        return Evaluation(float(values.sum()), scales * sums[left, right], margins)

    def factors(self, sample, theta, part):
        """The variables, twice."""
        return sample.Z[part], sample.Z[part]


class Experts(Form):
    """E = sum_i f(w_i.x + b_i); theta is W (m, p), then b (m,) if there is one.

    Parameters
    ----------
    n_experts, p : int
        Experts and variables.
    kind : {LAPLACE, LOGISTIC, STUDENT}
        The function f.
    intercept : bool
        Whether there is b.
    shape : float
        Degrees of freedom of Student's t.
    """

    def __init__(self, n_experts, p, kind, intercept, shape=0.0):
        self.shape = n_experts, p
        self.kind, self.intercept = kind, intercept
        self.tail = float(shape) if kind == STUDENT else 0.0
        m, rows, columns = n_experts, *np.indices(self.shape)
        groups = [(rows, columns, -1.0)]
        groups += [(np.arange(m), p, -1.0)] * intercept
        self.pairs = Pairs.of(*groups, (np.array([m]), p, 1.0))
        self.flops = 4.0 * m * (p + 1) + 20.0 * m + _ROW_FLOPS

    @property
    def n_params(self):
        return self.shape[0] * (self.shape[1] + self.intercept)

    def rounded(self, total):
        """The same with a root of u^2 + width^2 for abs(u), of less and less width."""
        if self.kind != LAPLACE:
            return super().rounded(total)
        widths = {min(each / total, _WIDEST) for each in _ROUNDINGS}
        return [self._of_tail(width) for width in sorted(widths, reverse=True)]

    def _of_tail(self, tail):
        form = copy(self)
        form.tail = tail
        return form

    def bordered(self, theta):
        """W with b as a last column, (m, p + 1)."""
        m, p = self.shape
        W = np.zeros((m, p + 1))
        W[:, :p] = theta[: m * p].reshape(m, p)
        if self.intercept:
            W[:, p] = theta[m * p :]
        return W

    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample`."""
        W = self.bordered(theta)
        margins, values, totals, slopes = self._sums(sample, (), W.shape)
        for first, last, parallel in self._calls(sample):
            kernels.contrast_experts(
                sample.Z, sample.offsets, sample.weights, sample.split, W, self.kind, self.tail,
                float(c), first, last, margins, values, totals, slopes, parallel=parallel,
            )  # fmt: skip
        sums, p = slopes.sum(axis=0), self.shape[1]
        parts = [-sums[:, :p].ravel(), *[-sums[:, p]] * self.intercept, [totals.sum()]]
        return Evaluation(float(values.sum()), np.concatenate(parts), margins)

    def factors(self, sample, theta, part):
        """Slopes of the experts, and the variables."""
        return activated(sample.Z[part], self.bordered(theta), self.kind, self.tail), sample.Z[part]


class Hidden(Form):
    """E = -b.x - sum_j softplus(w_j.x + a_j); theta is W (H, p), b (p,), a (H,).

    Parameters
    ----------
    n_hidden, p : int
        Hidden and visible units.
    """

    def __init__(self, n_hidden, p):
        self.shape = n_hidden, p
        rows, columns = np.indices(self.shape)
        self.pairs = Pairs.of(
            (rows, columns, 1.0), (n_hidden, np.arange(p), 1.0), (np.arange(n_hidden), p, 1.0),
            (np.array([n_hidden]), p, 1.0),
        )  # fmt: skip
        self.flops = 4.0 * n_hidden * (p + 1) + 20.0 * n_hidden + _ROW_FLOPS

    @property
    def n_params(self):
        return self.shape[0] * (self.shape[1] + 1) + self.shape[1]

    def bordered(self, theta, c=0.0):
        """W with a as a last column, (H, p + 1), and b with c at its end, (p + 1,)."""
        n_hidden, p = self.shape
        W, b, a = np.split(theta, [n_hidden * p, n_hidden * p + p])
        return np.column_stack([W.reshape(n_hidden, p), a]), np.append(b, c)

    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample`."""
        W, b = self.bordered(theta, c)
        margins, values, visible, slopes = self._sums(sample, b.shape, W.shape)
        for first, last, parallel in self._calls(sample):
            kernels.contrast_hidden(
                sample.Z, sample.offsets, sample.weights, sample.split, W, b, first, last,
                margins, values, visible, slopes, parallel=parallel,
            )  # fmt: skip
        sums, line = slopes.sum(axis=0), visible.sum(axis=0)
        parts = sums[:, :-1].ravel(), line[:-1], sums[:, -1], line[-1:]
        return Evaluation(float(values.sum()), np.concatenate(parts), margins)

    def factors(self, sample, theta, part):
        """Probabilities of the hidden units, and the visible ones."""
        return activated(sample.Z[part], self.bordered(theta)[0], -1, 0.0), sample.Z[part]


class Features(Form):
    """E = -theta.phi(x), with the features phi in place of variables in the sample.

    Parameters
    ----------
    n_params : int
        Features.
    """

    linear = True

    def __init__(self, n_params):
        self.n_params = n_params
        numbers = np.arange(n_params + 1)
        self.pairs = Pairs(numbers, np.full(len(numbers), n_params), np.ones(len(numbers)))
        self.flops = 4.0 * (n_params + 1) + _ROW_FLOPS

    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample`."""
        whole = np.append(theta, c)
        margins, values, slopes = self._sums(sample, whole.shape)
        for first, last, parallel in self._calls(sample):
            kernels.contrast_features(
                sample.Z, sample.offsets, sample.weights, sample.split, whole, first, last,
                margins, values, slopes, parallel=parallel,
            )  # fmt: skip
        return Evaluation(float(values.sum()), slopes.sum(axis=0), margins)

    def factors(self, sample, theta, part):
        """The features, twice, the last one being one."""
        return sample.Z[part], sample.Z[part]


def activated(Z, W, kind, tail):
    """Slopes of experts or probabilities of hidden units, (blocks, m + 1, ROWS), the last one."""
    out = np.empty((len(Z), len(W) + 1, ROWS))
    parallel = ROWS * len(Z) * 2.0 * W.size > PARALLEL_FLOPS
    kernels.activate_blocks(Z, W, kind, tail, out, parallel=parallel)
    return out
