"""Criteria of flips: every visible unit is set against its opposite, given all others.

Z cancels from p(v) / p(v with unit i flipped) = e^{D_i}, D_i = F(v with i flipped) - F(v), so
that what is made of these ratios needs neither Z nor chains (Goodfellow, Bengio, Courville 2016,
*Deep Learning*, sections 18.3 and 18.4). With sigma the logistic function a row loses

================  ======================================  =======================================
criterion         sum over visible units i of             reference
================  ======================================  =======================================
pseudolikelihood  -log sigma(D_i)                         Besag 1975; equation 18.20
ratio matching    sigma(-D_i)^2, at most 1 each           Hyvarinen 2007; equation 18.26
================  ======================================  =======================================

Both are what they are only for binary rows.
"""

import time
from dataclasses import dataclass

import numpy as np

from skebm._bits import WORD, aligned_empty, n_words, pack, unpack
from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS
from skebm.criteria._flips_kernel import (
    PSEUDOLIKELIHOOD,
    RATIO,
    ROWS,
    TILE,
    UNITS,
    Machine,
    Pieces,
    Scratch,
    follow_flips,
)
from skebm.criteria._sgd import Penalty
from skebm.criteria.contrastive import DIVERGED, Arrays

__all__ = ["PSEUDOLIKELIHOOD", "RATIO", "Flips"]

# Work of an update: in itself, for each weight, and for each weight and row, in the time of so
# many flops of a product.
_UPDATE_FLOPS, _WEIGHT_FLOPS = 2e5, 100.0
_FLIP_FLOPS = {np.dtype(np.float32): 50.0, np.dtype(np.float64): 100.0}

# Time of one kernel call on one core, or of a single piece of a large minibatch, and the memory of
# its rows.
_CALL_SECONDS, _ROWS_BYTES = 0.1, 4e6


@dataclass(frozen=True)
class Flips:
    """Pseudolikelihood or ratio matching with its step rule.

    Parameters
    ----------
    kind : {PSEUDOLIKELIHOOD, RATIO}
        What is lost with each unit.
    center : bool
        Whether both layers are centred in the gradient.
    penalty : Penalty
        Momentum, weight decay and L1.
    """

    kind: int
    center: bool
    penalty: Penalty

    @staticmethod
    def is_compiled():
        """Whether this process has the kernel ready."""
        return follow_flips.compiled()

    def update_flops(self, state, n_rows):
        """Work of an update with ``n_rows`` rows, in the time of flops of a product."""
        W = state.model.W
        per_weight = _WEIGHT_FLOPS + n_rows * _FLIP_FLOPS[W.dtype]
        return _UPDATE_FLOPS + per_weight * W.size

    def update(self, state, take, row_weights, bounds, rates):
        """One update of ``state`` per minibatch, yielding as :class:`Contrastive` does.

        ``take(low, high)`` returns packed rows, or dense ones of 0 and 1.
        """
        run = _Run(self, state, int(np.diff(bounds).max()))
        edges, first, last, sizes, rates = _in_pieces(bounds, rates, run.rows)
        done = 0
        while done < len(rates):
            part = slice(done, done + run.pieces_per_call)
            bounds = edges[part.start : part.stop + 1]
            bits = run.packed(take(bounds[0], bounds[-1]))
            weights = row_weights[bounds[0] : bounds[-1]]
            run.follow(
                bits, weights, bounds - bounds[0], first[part], last[part], sizes[part], rates[part]
            )
            if not run.is_finite():
                yield False
                return
            run.save(state)
            done = part.stop
            yield True


def _in_pieces(bounds, rates, most):
    """Edges (T + 1,) of pieces of ``most`` rows or fewer, none of which is of two minibatches.

    And by piece, (T,): whether it is the first and the last one of its minibatch, how many rows
    that has, and its rate.
    """
    sizes = np.diff(bounds)
    counts = -(-sizes // most)
    batch = np.repeat(np.arange(len(sizes)), counts)
    place = np.arange(len(batch)) - np.repeat(np.cumsum(counts) - counts, counts)
    edges = np.append(bounds[batch] + place * most, bounds[-1])
    last = place == counts[batch] - 1
    return edges, place == 0, last, sizes[batch], np.asarray(rates, dtype=np.float64)[batch]


class _Run:
    """A state in the form that the kernel works on, and the kernel's scratch."""

    # How much slower this machine is than calls are planned for; it changes no bit of a result.
    seconds_over_planned = 1.0

    def __init__(self, criterion, state, largest):
        self.criterion, self.step = criterion, state.step
        self.dtype, self.shape = state.model.W.dtype, state.model.W.shape
        n_hidden, n_visible = UNITS * -(-self.shape[0] // UNITS), WORD * n_words(self.shape[1])
        self.sizes = n_hidden, n_visible
        self.model = self._machine(state.model)
        self.velocity = self._machine(state.velocity)
        center = float(criterion.center)
        self.mu = self._pad(state.visible_mean * center, n_visible).astype(np.float64)
        self.hidden_mean = self._pad(state.hidden_mean, n_hidden)
        # A piece takes some tens of milliseconds at most, whatever the size of the minibatch.
        self.rows = _FLIP_FLOPS[self.dtype] * state.model.W.size
        self.rows = ROWS * max(1, int(FLOPS_PER_CALL / (ROWS * self.rows)))
        largest = min(largest, self.rows)
        flops = criterion.update_flops(state, largest)
        self.parallel = flops > PARALLEL_FLOPS
        row_bytes = n_visible * self.dtype.itemsize
        self.most = min(FLOPS_PER_CALL / flops, _ROWS_BYTES / (largest * row_bytes))
        n_tiles, whole = -(-n_visible // TILE), np.dtype(f"i{self.dtype.itemsize}")
        self.scratch = Scratch(
            table=np.ones(n_tiles * n_hidden * 2 * TILE, self.dtype),
            spans=np.empty(n_hidden),
            p=np.empty(n_hidden * largest, self.dtype),
            q=np.empty(n_hidden * largest, self.dtype),
            Q=np.empty(n_hidden * largest, self.dtype),
            g=np.empty((largest, n_visible), self.dtype),
            dW=np.zeros((n_hidden, n_visible), self.dtype),
            db=np.empty(n_visible),
            dc=np.empty(n_hidden),
            mean=np.empty(n_hidden),
            mass=np.empty(1),
            shares=np.empty((n_hidden // UNITS, n_visible)),
            whole=np.empty(0, whole),
        )

    def _pad(self, array, *shape):
        padded = aligned_empty(shape, self.dtype)
        padded[...] = 0
        padded[tuple(map(slice, array.shape))] = array
        return padded

    def _machine(self, arrays):
        n_hidden, n_visible = self.sizes
        return Machine(
            self._pad(arrays.W, n_hidden, n_visible),
            self._pad(arrays.b, n_visible),
            self._pad(arrays.c, n_hidden),
        )

    def packed(self, rows):
        """Rows as words, packed if they are not."""
        rows = rows if rows.dtype == np.uint32 else pack(rows)
        return np.ascontiguousarray(rows[:, : self.sizes[1] // WORD])

    def follow(self, bits, weights, bounds, first, last, sizes, rates):
        """One kernel call."""
        compiled, started = follow_flips.compiled(), time.perf_counter()
        criterion, (n_hidden, n_visible) = self.criterion, self.shape
        follow_flips(
            self.model, self.velocity, self.mu, self.hidden_mean,
            Pieces(
                unpack(bits, self.sizes[1], self.dtype), bits, weights, bounds, first, last, sizes,
                rates,
            ),
            criterion.kind, criterion.center, criterion.penalty, n_visible, n_hidden,
            self.scratch, parallel=self.parallel,
        )  # fmt: skip
        self.step += int(last.sum())
        if compiled:
            _Run.seconds_over_planned = (time.perf_counter() - started) / (
                _CALL_SECONDS * len(rates) / self.most
            )

    @property
    def pieces_per_call(self):
        """Fewer than planned where the last calls in this process took longer than they should."""
        return max(1, int(self.most / max(1.0, _Run.seconds_over_planned)))

    def is_finite(self):
        """Whether no parameter is so large that energies lose their meaning, or no number."""
        return all(max(array.max(), -array.min()) < DIVERGED for array in self.model)

    def save(self, state):
        """Write everything back, all at once."""
        n_hidden, n_visible = self.shape
        parts = (slice(n_hidden), slice(n_visible)), slice(n_visible), slice(n_hidden)
        moved = self.velocity if self.criterion.penalty.momentum else map(np.zeros_like, self.model)
        changed = {
            "model": Arrays(*(array[part].copy() for array, part in zip(self.model, parts))),
            "velocity": Arrays(*(array[part].copy() for array, part in zip(moved, parts))),
            "step": self.step,
        }
        if self.criterion.center:
            changed["hidden_mean"] = self.hidden_mean[:n_hidden].copy()
        vars(state).update(changed)
