"""Score matching of a Gaussian from its covariance: 1/2 tr(K S K) - tr K, S with a ridge."""

import functools

import numpy as np

from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS, single_threaded_blas
from skebm.criteria import _precision_kernels as kernels
from skebm.criteria import _precision_tiles as tiles
from skebm.criteria._leap import DIRECTIONS, PATIENCE, RUNAWAY, in_turns, leap, state
from skebm.criteria._pairs import Pairs, Solution
from skebm.criteria._precision_kernels import TILE

# Share of all pairs beyond which sweeps over all of them are faster than over lists.
CROWDED = 0.15

# Covariances to copy or multiply that are worth a second thread.
_WORTH_SHARING = 200_000

# Share of the tolerance that is left to sweeps over all pairs.
_OWN_SHARE = 0.5


class CovarianceForm:
    """The smooth loss of a precision matrix, from a covariance that is kept whole.

    Parameters
    ----------
    S : ndarray of shape (p, p), float64
        Covariance with the ridge on its diagonal, positive semidefinite.
    weights : ndarray of shape (p, p), default=None
        Penalties are multiples of these; infinite where a pair must stay zero. None means ones.
    """

    def __init__(self, S, weights=None):
        self.S = np.ascontiguousarray(S, dtype=np.float64)
        self.weights = np.zeros((0, 0)) if weights is None else weights
        self.variances = np.diagonal(self.S).copy()
        self._listed = None

    @property
    def p(self):
        """Number of variables."""
        return len(self.S)

    def diagonal(self):
        """The best diagonal matrix, (p,)."""
        return 1.0 / self.variances

    def weights_of(self, pairs):
        """Weights of the penalties of some :class:`Pairs`, (m,)."""
        if not self.weights.size:
            return np.ones(len(pairs))
        return self.weights[pairs.rows, pairs.columns]

    # -- few pairs -----------------------------------------------------------------------------

    def descend(self, pairs, penalty, tol, max_sweeps):
        """Coordinate descent over ``pairs``, in place, until no condition is missed by ``tol``.

        Where it is slow, conjugate gradients take turns with it. Returns the number of sweeps, and
        the objective and largest violation at the end.
        """
        self.refill(pairs)
        penalties, done = penalty * self.weights_of(pairs), np.zeros(2)
        flops = 4.0 * len(self._lists[-1]) + 100.0 * self.p
        at_once = max(1, int(FLOPS_PER_CALL / flops))

        def sweep(n_sweeps):
            total = 0
            while total < n_sweeps:
                kernels.descend_precision(
                    pairs.rows, pairs.columns, pairs.start, pairs.first, pairs.second,
                    *self._lists, penalties, tol, min(at_once, n_sweeps - total), pairs.value,
                    pairs.diagonal, done, parallel=False,
                )  # fmt: skip
                total += int(done[0])
                if not done[1] > tol:
                    break
            return total, done[1]

        total = in_turns(self, pairs, penalties, sweep, tol, max_sweeps)
        return total, *state(self, pairs, penalties)

    def refill(self, pairs):
        """Copy the covariances that ``pairs`` need, unless those are at hand."""
        if pairs is self._listed or self.is_crowded(len(pairs)):
            return
        lengths = np.diff(pairs.start)
        sizes = lengths[pairs.rows] + lengths[pairs.columns]
        places = np.cumsum(sizes) - sizes
        beside, across = np.empty(2 * len(pairs)), np.empty(int(sizes.sum()))
        kernels.copy_covariances(
            self.S, pairs.rows, pairs.columns, pairs.start, pairs.other, places, beside, across,
            parallel=len(across) > _WORTH_SHARING,
        )  # fmt: skip
        self._listed, self._lists = pairs, (places, self.variances, beside, across)

    def slopes(self, pairs):
        """Derivatives of the loss by the diagonal and by the pairs, (p + m,)."""
        slopes = self._product_at(pairs, pairs.value, pairs.diagonal)
        slopes[: self.p] -= 1.0
        return slopes

    def bend(self, pairs, direction):
        """The product of the Hessian in diagonal and pairs with a direction, (p + m,)."""
        value = np.empty_like(pairs.value)
        value[pairs.first] = value[pairs.second] = direction[self.p :]
        return self._product_at(pairs, value, direction[: self.p])

    def curvatures(self, pairs):
        """The diagonal of that Hessian, (p + m,)."""
        v = self.variances
        return np.concatenate([v, v[pairs.rows] + v[pairs.columns]])

    @staticmethod
    def objective(pairs, slopes, penalties):
        """The loss with the penalty, of a quadratic whose slopes here are known."""
        trace, values = pairs.diagonal.sum(), pairs.values
        loss = 0.5 * ((pairs.diagonal * slopes[: pairs.p]).sum() - trace)
        loss += 0.5 * (values * slopes[pairs.p :]).sum()
        return float(loss + 2.0 * (penalties * np.abs(values)).sum())

    def _product_at(self, pairs, value, diagonal):
        """M_ii and M_ij + M_ji of M = K S where K has ``value`` and ``diagonal``."""
        if self.is_crowded(len(pairs)):
            K = np.zeros((self.p, self.p))
            K[pairs.rows, pairs.columns] = K[pairs.columns, pairs.rows] = value[pairs.first]
            np.fill_diagonal(K, diagonal)
            M = self._product(K)
            both = M[pairs.rows, pairs.columns] + M[pairs.columns, pairs.rows]
            return np.concatenate([M.diagonal(), both])
        out = np.empty(self.p + len(pairs))
        kernels.slope_precision(
            pairs.rows, pairs.columns, pairs.start, pairs.first, *self._lists, value, diagonal,
            out, parallel=len(self._lists[-1]) > _WORTH_SHARING,
        )  # fmt: skip
        return out

    # -- all pairs -----------------------------------------------------------------------------

    def look(self, pairs, penalty, beyond, near):
        """Which pairs have slopes that are large, given that ``pairs`` are the nonzero ones.

        Returns sorted keys of those whose slope is beyond ``near``, whether it also is beyond
        ``penalty`` by more than ``beyond``, and the largest slope beyond ``penalty``.
        """
        found, counts, worst = self._room
        flops = 4.0 * TILE**2 * (1.0 + len(pairs.other) / self.p) + 8.0 * TILE**2
        step = max(1, int(FLOPS_PER_CALL / flops))
        large = 4.0 * flops * len(self._tiles) > PARALLEL_FLOPS  # reads more than it multiplies
        for low in range(0, len(self._tiles), step):
            kernels.look_at_pairs(
                self.S, pairs.start, pairs.other, pairs.value, pairs.diagonal, self.weights,
                penalty, beyond, near, self._tiles, low, min(low + step, len(self._tiles)), found,
                counts, worst, parallel=large,
            )  # fmt: skip
        per_row = counts.sum(axis=1)
        keys, marks = np.empty(per_row.sum(), np.int64), np.empty(per_row.sum(), np.uint8)
        places = np.cumsum(per_row) - per_row
        kernels.list_pairs(found, counts, places, keys, marks, parallel=False)
        return keys, marks > 1, max(0.0, float(worst.max()))

    # -- many pairs ----------------------------------------------------------------------------

    def is_crowded(self, n_pairs):
        """Whether so many pairs are better worked on in tiles of the whole matrix."""
        return n_pairs > CROWDED * self.p**2 / 2.0

    def descend_all(self, pairs, penalty, tol, max_sweeps, near):
        """Coordinate descent over all pairs, from ``pairs`` on.

        Returns a :class:`Solution`, and sorted keys of the pairs whose slope is beyond ``near``.
        """
        K, total, directions, before = pairs.toarray(), 0, DIRECTIONS, None
        own, limit = _OWN_SHARE * tol, RUNAWAY * self.diagonal().max()
        while True:
            patience = max(1, min(PATIENCE[bool(penalty > 0)], max_sweeps - total))
            done, found = self._sweep_all(K, penalty, own, patience)
            total += done
            if not np.isfinite(found) or K.max() > limit or total >= max_sweeps:
                break
            if found <= own:
                if self._judged(K, penalty)[1] <= tol:
                    break
                own *= _OWN_SHARE
                continue
            pairs = Pairs.of_matrix(K)
            origin = None
            if before is not None:
                origin = np.concatenate([before.diagonal(), before[pairs.rows, pairs.columns]])
            penalties = penalty * self.weights_of(pairs)
            spent, far = leap(
                self, pairs, penalties, min(directions, max_sweeps - total), origin
            )
            before, K = K, pairs.toarray()
            total, directions = total + spent, directions * (1 + far)
        slopes, violation = self._judged(K, penalty)
        keys = np.flatnonzero(np.triu(np.abs(slopes) > near, 1))
        return Solution(Pairs.of_matrix(K), self.total(K, penalty), violation, total), keys

    def _sweep_all(self, K, penalty, tol, max_sweeps):
        """Sweeps made, in place, and the largest violation met in the last."""
        M, done, found = self._product(K), 0, np.inf
        while done < max_sweeps and found > tol:
            found, done = self._sweep_tiles(K, M, penalty), done + 1
            if not np.isfinite(found):
                break
        return done, found

    def _product(self, K):
        with single_threaded_blas:
            return K @ self.S

    def _sweep_tiles(self, K, M, penalty):
        """One sweep, in place; returns the largest violation on the way."""
        worst, large = np.zeros(1), 4.0 * TILE**2 * self.p > PARALLEL_FLOPS
        for above, below in self._tiles * TILE:
            change = np.empty((min(TILE, self.p - above), min(TILE, self.p - below)))
            tiles.descend_tile(
                self.S, M, self.weights, penalty, above, below, K, change, worst, parallel=False
            )
            if change.any():
                tiles.spread_change(self.S, change, above, below, M, parallel=large)
        return float(worst[0])

    def _judged(self, K, penalty):
        """Slopes (p, p) of the loss, and the largest violation of a condition."""
        slopes = self._product(K)
        slopes += slopes.T.copy()
        slopes *= 0.5
        slopes[np.diag_indices(self.p)] -= 1.0
        limits = self.limits(penalty)
        free = np.abs(slopes + np.sign(K) * np.where(K != 0, limits, 0.0))
        violations = np.where(K != 0, free, np.abs(slopes) - limits)
        return slopes, float(violations.max())

    def total(self, K, penalty):
        """Loss and penalties of a dense matrix."""
        smooth = 0.5 * np.vdot(K, self._product(K)) - np.trace(K)
        limits = np.where(K != 0, self.limits(penalty), 0.0)
        return float(smooth + (limits * np.abs(K)).sum())

    def limits(self, penalty):
        """Penalties of all entries, (p, p): none on the diagonal."""
        limits = np.full((self.p, self.p), penalty)
        if self.weights.size:
            limits = np.where(np.isinf(self.weights), np.inf, penalty * np.nan_to_num(self.weights))
        np.fill_diagonal(limits, 0.0)
        return limits

    @functools.cached_property
    def _tiles(self):
        n = -(-self.p // TILE)
        return np.column_stack(np.triu_indices(n))

    @functools.cached_property
    def _room(self):
        n = -(-self.p // TILE)
        found = np.empty((self.p, self.p), np.uint8)
        return found, np.zeros((self.p, n), np.int64), np.empty(len(self._tiles))
