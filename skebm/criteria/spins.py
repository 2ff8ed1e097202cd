"""Spins given all others: the losses that couplings are learned from without log Z.

All minimise sum_i mean_n f(t_ni) with t_ni = s_ni (sum_j J_ij s_nj + h_i): pseudolikelihood,
ratio matching, RISE and logRISE differ by f alone (``_spin_losses.py``). Coefficients are (p,
p + 1): row i those of spin i's conditional, zero at place i, its field last.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS, single_threaded_blas
from skebm.criteria._spin_kernels import ROWS, add_conditionals, curvature_blocks
from skebm.criteria._spin_losses import LOG_RISE, PSEUDOLIKELIHOOD, RATIO_MATCHING, RISE

LOSSES = {
    "pseudolikelihood": PSEUDOLIKELIHOOD,
    "ratio_matching": RATIO_MATCHING,
    "rise": RISE,
    "logrise": LOG_RISE,
}

# Sets of sums that rows are dealt out to; as many threads can work, whatever there are.
_SLOTS = 16

# Operations of a pass beyond which a second, faster one in float32 earns its compilation.
_WORTHWHILE = 1e8

# Largest -t - peak, in size, whose e^ may be summed without overflow or loss.
SAFE = 600.0

# Loss of a conditional that misses an entry, which is then taken out again.
_AT_ZERO = {PSEUDOLIKELIHOOD: np.log(2.0), RATIO_MATCHING: 0.25, RISE: 1.0, LOG_RISE: 1.0}


class Evaluation(NamedTuple):
    """``values`` (p,) mean losses of the conditionals, ``slopes`` (p, p + 1) by coefficients."""

    values: np.ndarray
    slopes: np.ndarray


class SpinSample:
    """Weighted rows of spins as the kernels take them.

    Parameters
    ----------
    spins : ndarray of shape (n, p)
        -1 and 1, and 0 for the unknown.
    weights : ndarray of shape (n,)
        Weights of the rows, not negative.
    neighbours : ndarray of shape (p, p), default=None
        Bool, spins that may enter each other's conditionals, symmetric; None means all. A row
        with unknown entries takes part in those conditionals only that need none of them.
    """

    def __init__(self, spins, weights, neighbours=None):
        known = _known(spins, neighbours)
        if len(known):
            some = known.any(axis=1)
            spins, weights, known = spins[some], weights[some], known[some]
        self.S = np.ones((len(spins), spins.shape[1] + 1), np.int8)
        self.S[:, :-1] = spins
        self.known = known[:0] if known.all() else known
        self.total = float(weights.sum())
        self.weights = weights / self.total if self.total > 0 else weights

    def __len__(self):
        return len(self.S)

    @property
    def p(self):
        """Number of spins."""
        return self.S.shape[1] - 1

    @property
    def shares(self):
        """Share of all weight that each conditional is averaged over, (p,)."""
        if not len(self.known):
            return np.full(self.p, float(self.total > 0))
        with single_threaded_blas:
            return self.weights @ self.known

    def thinned(self, n):
        """Some ``n`` rows, evenly spaced, with the same total weight."""
        step = max(1, len(self) // n)
        some = object.__new__(SpinSample)
        some.S, some.known = self.S[::step], self.known[::step]
        some.weights = self.weights[::step] / self.weights[::step].sum()
        some.total = self.total
        return some

    @cached_property
    def means(self):
        """Weighted mean of each spin over the rows of its conditional, (p,)."""
        S = self.S[:, :-1]
        with single_threaded_blas:
            return self.weights @ (S * self.known if len(self.known) else S) / self.shares

    @cached_property
    def moments(self):
        """Weighted means of the products of the columns, that of ones last, (p + 1, p + 1)."""
        return self._moments(np.float64)

    @cached_property
    def coarse_moments(self):
        """The same in float32."""
        return self._moments(np.float32)

    def _moments(self, precision):
        total = np.zeros((self.p + 1, self.p + 1), precision)
        weights = self.weights.astype(precision)
        for low in range(0, len(self), 4096):
            S = self.S[low : low + 4096].astype(precision)
            with single_threaded_blas:
                total += (S * weights[low : low + 4096, None]).T @ S
        return total


def _known(spins, neighbours):
    """(n, p) bool, whether a row has all that a conditional needs; (0, p) if no entry is 0."""
    p = spins.shape[1]
    unknown = spins == 0
    if not unknown.any():
        return np.empty((0, p), bool)
    needed = np.ones((p, p), bool) if neighbours is None else neighbours | np.eye(p, dtype=bool)
    return unknown.astype(np.float32) @ needed.astype(np.float32) == 0


def _terms(loss, t):
    """f and f' of pseudolikelihood or ratio matching, an array in NumPy's own functions."""
    flip = np.exp(-np.logaddexp(0.0, 2.0 * t))
    if loss == PSEUDOLIKELIHOOD:
        return np.logaddexp(0.0, -2.0 * t), -2.0 * flip
    return flip**2, -4.0 * flip**2 * (1.0 - flip)


class ConditionalLoss:
    """The losses of all conditionals of a sample.

    Parameters
    ----------
    sample : SpinSample
        Rows.
    loss : int
        One of ``LOSSES``.
    """

    def __init__(self, sample, loss):
        self.sample, self.loss = sample, loss
        self.peak = np.zeros(sample.p)
        self.shares = sample.shares

    @property
    def coarse(self):
        """The precision that is enough far from the optimum: float32 where that saves time.

        e^{-t} may leave its range.
        """
        sample = self.sample
        some = self.loss < RISE and 4.0 * len(sample) * sample.p**2 > _WORTHWHILE
        return np.float32 if some else np.float64

    def __call__(self, C, precision=np.float64):
        """The :class:`Evaluation` at coefficients ``C`` (p, p + 1)."""
        if precision != np.float64 and not len(self.sample.known) and not C[:, :-1].any():
            return self._of_fields(C[:, -1])
        values, slopes, peaks = self._sums(C.astype(precision))
        if self.outgrown(peaks):
            values, slopes, peaks = self._sums(C)
        p = self.sample.p
        values, slopes = self.finished(values, slopes)
        slopes[np.arange(p), np.arange(p)] = 0.0
        return Evaluation(values, slopes)

    def _of_fields(self, fields):
        """The same without couplings, where the moments tell everything, in their precision."""
        moments = self.sample.coarse_moments
        means = moments[:-1, -1:]
        (f, df), (g, dg) = (_terms(self.loss, t[:, None]) for t in (fields, -fields))
        values = ((f + g) + means * (f - g)) / 2.0
        slopes = ((df - dg) * moments[-1] + (df + dg) * moments[:-1]) / 2.0
        np.fill_diagonal(slopes, 0.0)
        return Evaluation(values[:, 0].astype(np.float64), slopes.astype(np.float64))

    def outgrown(self, peaks):
        """Whether e^{-t} has left the range of the scale in use, which is then changed."""
        if self.loss != LOG_RISE or not (np.abs(peaks - self.peak) > SAFE).any():
            return False
        self.peak = np.maximum(peaks, -1e300)
        return True

    def finished(self, values, slopes, nodes=slice(None)):
        """Means from sums over rows, (k,) and (k, m); changes the arrays given."""
        shares, peak = self.shares[nodes], self.peak[nodes]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            missed = np.where(shares < 1, (1.0 - shares) * _AT_ZERO[self.loss] * np.exp(-peak), 0)
            values = (values - missed) / shares
            scale = shares * values if self.loss == LOG_RISE else shares
            slopes /= scale[:, None]
            if self.loss == LOG_RISE:
                values = np.log(values) + peak
        return values, slopes

    def scales(self, values, nodes=slice(None)):
        """What sums of curvatures are divided by, (k,), where the losses are ``values`` (k,).

        That of logRISE is less the product of the slopes; without, steps are never too long.
        """
        shares = self.shares[nodes]
        return shares * np.exp(values - self.peak[nodes]) if self.loss == LOG_RISE else shares

    def curvatures(self, C, n_rows=None):
        """Second derivatives of each conditional, (p, p + 1, p + 1) float32, of some rows.

        For ratio matching it is their part without negative eigenvalues.
        """
        sample = self.sample if n_rows is None else self.sample.thinned(n_rows)
        p = sample.p
        out = np.empty((p, p + 1, p + 1), np.float32)
        flops = 2.0 * len(sample) * (p + 1) ** 2
        step = 2 * max(1, int(FLOPS_PER_CALL / (2 * flops)))
        for low in range(0, p, step):
            nodes = np.arange(low, min(p, low + step))
            curvature_blocks(
                sample.S, sample.weights, sample.known, C, self.loss, self.peak, nodes,
                out[nodes[0] : nodes[-1] + 1], parallel=flops * p > PARALLEL_FLOPS,
            )  # fmt: skip
        some = self.of(sample)
        values = some(C).values if self.loss == LOG_RISE else None
        out /= some.scales(values)[:, None, None].astype(np.float32)
        return out

    def curvatures_of_fields(self, fields):
        """Mean f'' of independent spins with these ``fields``, (p,)."""
        up = 1.0 / (1.0 + np.exp(-2.0 * fields))
        product = up * (1.0 - up)
        if self.loss == PSEUDOLIKELIHOOD:
            return 4.0 * product
        if self.loss == RATIO_MATCHING:
            return 8.0 * product**2
        return 2.0 * np.sqrt(product)

    def of(self, sample):
        """The same losses, on the same scale, of other rows."""
        other = ConditionalLoss(sample, self.loss)
        other.peak = self.peak
        return other

    def _sums(self, C):
        S, weights, known = self.sample.S, self.sample.weights, self.sample.known
        p, n_blocks = self.sample.p, -(-len(S) // ROWS)
        slots = min(_SLOTS, n_blocks)
        values, slopes = np.zeros((slots, p)), np.zeros((slots, p, p + 1))
        peaks = np.full((slots, p), -np.inf)
        C, peak = np.ascontiguousarray(C), self.peak.astype(C.dtype)
        flops = 4.0 * ROWS * (p + 1) * p
        step = slots * max(1, int(FLOPS_PER_CALL / (flops * slots)))
        for first in range(0, n_blocks, step):
            add_conditionals(
                S, weights, known, C, self.loss, peak, first,
                min(n_blocks, first + step), values, slopes, peaks,
                parallel=flops * n_blocks > PARALLEL_FLOPS,
            )  # fmt: skip
        return values.sum(axis=0), slopes.sum(axis=0), peaks.max(axis=0)
