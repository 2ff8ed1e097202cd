"""Sparse couplings: proximal Newton steps on working sets.

A pass over all rows and pairs of spins finds the coefficients that violate their optimality
conditions. They join those that are not zero, and in these sets alone each conditional gets a
model of second order, in which coordinate descent finds the next point; it costs n a^2 for a set
of a coefficients, whatever the number of spins. With one symmetric matrix the models of all
conditionals are added up, and a coupling is a coordinate of two of them.

Where many coefficients differ from zero, or where p a^2 numbers do not fit into memory, methods
that make passes over the rows alone go ahead: ``_shared.py`` for conditionals, ``_orthants.py`` for
one symmetric matrix. The models finish what these leave.
"""

import numpy as np

from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS
from skebm.criteria._orthants import minimise_by_orthants
from skebm.criteria._penalised import Solution
from skebm.criteria._shared import approach
from skebm.criteria._spin_losses import RISE
from skebm.criteria._spin_nodes import ROWS, curve_nodes, descend_nodes, descend_pairs, slope_nodes

_ARMIJO, _HALVINGS = 1e-4, 30

# Steps within the same sets, and sweeps of coordinate descent per step, at the most.
_STEPS, _SWEEPS = 100, 500

# Violators that join a set at a time: as many as it has, and some.
_JOINING = 10

# Work of a sweep for each number of the models, in operations that need not wait for memory.
_FLOPS_PER_NUMBER = 80.0

# Work of a row's losses for each entry of it, and conditionals that share a call of some rows.
_FLOPS_PER_ENTRY, _TOGETHER = 8.0, 16

# Curvatures are summed anew where the last ones do not bring residuals down to this share.
_SHARE = 0.2

# Sweeps go on until residuals of the models are this share of those that they started from.
_FORCING = 0.03

# Coefficients that are not zero, or soon may be, from which on passes over the rows alone pay,
# and how many are tried.
_MANY, _TRIAL = 0.05, 60

# Memory of the models of second order that are held together.
_BYTES = 2**29


def minimise_sparse(problem, C, tol, max_iter, suspects=None):
    """The :class:`Solution` of a :class:`Penalised` from a start ``C``.

    Parameters
    ----------
    problem : Penalised
        What is minimised.
    C : ndarray of shape (p, p + 1)
        Start.
    tol : float
        Largest residual to stop at.
    max_iter : int
        Passes over all pairs at the most.
    suspects : ndarray of shape (p, p + 1), default=None
        Bool, coefficients that belong to the first sets beside those that are not zero.
    """
    C = problem.symmetric(C)
    active = _in_sets(problem, C)
    if suspects is not None and _fit(problem, active | suspects):
        active |= suspects & problem.allowed
    found = _head_start(problem, C, active, tol, max_iter)
    if found is None:
        return _minimise_in_sets(problem, C, active, tol, max_iter)
    active, left = _in_sets(problem, found.C), max_iter - found.n_iter
    if found.residual <= tol or left <= 0 or not _fit(problem, active):
        return found
    rest = _minimise_in_sets(problem, found.C, active, tol, left)
    return rest._replace(n_iter=found.n_iter + rest.n_iter)


def _head_start(problem, C, active, tol, max_iter):
    """Where methods lead that only make passes over the rows; None where models are better."""

    def few(C, residuals):
        return _fit(problem, _in_sets(problem, C) | (residuals > tol))

    if not _fit(problem, active):
        return minimise_by_orthants(problem, C, tol, max_iter, few)
    if active.mean() < _MANY or problem.loss.loss >= RISE:
        return None
    most = min(max_iter, _TRIAL)
    if problem.joint:
        return minimise_by_orthants(problem, C, tol, most)
    return approach(problem, C, tol, most)


def _in_sets(problem, C):
    """Bool, coefficients that are not zero, and fields that move."""
    active = problem.allowed & (C != 0)
    active[:, -1] = problem.allowed[:, -1]
    return active


def _fit(problem, active):
    """Whether the models of all conditionals that are needed at once fit into memory."""
    room = float(active.sum(axis=1).max(initial=0))
    return not problem.joint or 4.0 * len(active) * room**2 <= _BYTES


def _minimise_in_sets(problem, C, active, tol, max_iter):
    """The :class:`Solution` from growing sets, for as long as their models fit."""
    sample = problem.loss.sample
    by_column = np.ascontiguousarray(sample.S.T), np.ascontiguousarray(sample.known.T)
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        C, stuck = _minimise_active(problem, by_column, C, active, 0.3 * tol)
        point = problem.at_point(C)
        residuals = problem.residuals(point)
        residual = float(residuals.max(initial=0.0))
        grown = _grown(active, residuals, tol, problem.joint)
        if residual <= tol or (stuck and (grown == active).all()):
            break
        if not _fit(problem, grown):
            rest = minimise_by_orthants(problem, C, tol, max_iter - n_iter)
            return rest._replace(n_iter=n_iter + rest.n_iter)
        active = grown
    return Solution(point, residual, n_iter)


def _grown(active, residuals, tol, joint):
    """The sets with their worst violators."""
    outside = np.where(active, 0.0, residuals)
    room = active.sum(axis=1) + _JOINING
    ranks = np.argsort(np.argsort(-outside, axis=1, kind="stable"), axis=1, kind="stable")
    new = (outside > tol) & (ranks < room[:, None])
    if joint:
        new[:, :-1] |= new[:, :-1].T
    return active | new


def _minimise_active(problem, by_column, C, active, tol):
    """Coefficients at the minimum over those ``active``, and whether some search got stuck."""
    p, room = len(C), max(1, active.sum(axis=1).max(initial=1))
    step = p if problem.joint else max(1, int(_BYTES / (4.0 * room**2)))
    C, stuck = C.copy(), False
    for low in range(0, p, step):
        models = _Models(problem, by_column, np.arange(low, min(p, low + step)), C, active)
        stuck = models.minimise(tol) or stuck
        models.write(C)
    return C, stuck


class _Models:
    """Conditionals over their sets, with models of second order where they stand."""

    def __init__(self, problem, by_column, nodes, C, active):
        self.problem, self.nodes = problem, nodes
        self._T, self._known = by_column
        self.sizes = active[nodes].sum(axis=1)
        room = max(1, self.sizes.max(initial=1))
        # The active columns in their order, then the field's as padding that is never read.
        self.columns = np.argsort(~active[nodes], axis=1, kind="stable")[:, :room]
        self.columns = np.ascontiguousarray(self.columns, dtype=np.int32)
        self._used = np.arange(room) < self.sizes[:, None]
        penalised = self._at_sets(problem.penalised[nodes])
        self.l1, self.ridge = problem.l1 * penalised, problem.ridge * penalised
        self.c = self._at_sets(C[nodes])
        self.values = np.empty(len(nodes))
        self.slopes = np.zeros((len(nodes), room))
        self.curvatures = np.zeros((len(nodes), room, room), np.float32)
        self.pairs = self._pairs(active) if problem.joint else None
        # Whether curvatures are those at the present coefficients.
        self._newest = np.zeros(len(nodes), bool)

    def _at_sets(self, matrix):
        return np.where(self._used, np.take_along_axis(matrix, self.columns, axis=1), 0.0)

    def write(self, C):
        """Put the coefficients into their rows of ``C``."""
        rows, places = np.nonzero(self._used)
        C[self.nodes[rows], self.columns[rows, places]] = self.c[rows, places]

    def _pairs(self, active):
        """(m, 4) places of couplings in the sets of their two spins, and of fields."""
        p = len(active)
        place = np.cumsum(active, axis=1) - 1
        i, j = np.nonzero(active & ~np.tri(p, p + 1, dtype=bool))
        inner = j < p
        back = np.where(inner, place[np.minimum(j, p - 1), i], 0)
        return np.column_stack([i, place[i, j], np.where(inner, j, -1), back])

    def minimise(self, tol):
        """Newton steps until residuals are below ``tol``; whether some could not be made."""
        going, stuck = np.arange(len(self.nodes)), False
        self._evaluate(going)
        residuals = self._residuals()
        slow = self._unfinished(residuals, tol)
        for _ in range(_STEPS):
            self._curve(slow)
            going = np.intersect1d(going, self._unfinished(residuals, tol))
            if not len(going):
                break
            near = max(0.1 * tol, _FORCING * float(residuals[going].max()))
            moved = self._search(going, self._target(going, near))
            kept = moved | ~self._newest[going]
            self._newest[going[moved]] = False
            going, stuck = going[kept], stuck or not kept.all()
            before, residuals = residuals, self._residuals()
            slow = np.intersect1d(going, self._slow(before, residuals, tol))
        return stuck

    def _unfinished(self, residuals, tol):
        """Those with more left than ``tol``: all that have a coupling in common with one."""
        if self.problem.joint:
            residuals = np.full(len(self.nodes), residuals.max(initial=0.0))
        return np.flatnonzero(residuals > tol)

    def _slow(self, before, residuals, tol):
        """Those to which the curvatures that they have are of little use."""
        # Few rows may carry all of the curvature of RISE, and others after a step.
        share = _SHARE if self.problem.loss.loss < RISE else 0.0
        if self.problem.joint:
            before = before.max(initial=0.0)
        return self._unfinished(residuals, np.maximum(tol, share * before))

    def _residuals(self):
        """Largest distance from optimality of each conditional's coefficients, (k,)."""
        slopes = self.slopes + self.ridge * self.c
        if self.problem.joint:
            slopes = self._joined(slopes)
        signed = np.abs(slopes + self.l1 * np.sign(self.c))
        off = np.where(self.c != 0, signed, np.maximum(np.abs(slopes) - self.l1, 0.0))
        return (off * self._used).max(axis=1)

    def _joined(self, slopes):
        """Slopes with those of shared couplings replaced by the mean of both."""
        k, a, other, b = self.pairs[self.pairs[:, 2] >= 0].T
        slopes, mean = slopes.copy(), (slopes[k, a] + slopes[other, b]) / 2.0
        slopes[k, a] = slopes[other, b] = mean
        return slopes

    def _target(self, which, tol):
        """Where the models with their penalties are least, (k, room)."""
        slopes, target, largest = self.slopes.copy(), self.c.copy(), np.zeros(len(self.nodes))
        left = _SWEEPS
        while left and len(which):
            numbers = (self.sizes[which] ** 2).sum()
            sweeps = min(left, max(1, int(FLOPS_PER_CALL / (_FLOPS_PER_NUMBER * numbers))))
            models = self.sizes, self.curvatures, self.l1, self.ridge, tol, sweeps
            if self.problem.joint:
                descend_pairs(self.pairs, *models, slopes, target, largest, parallel=False)
            else:
                parallel = _FLOPS_PER_NUMBER * numbers * sweeps > PARALLEL_FLOPS
                descend_nodes(which, *models, slopes, target, largest, parallel=parallel)
            left -= sweeps
            which = which[~(largest[which] <= tol)]
        return target

    def _search(self, which, target):
        """Move towards ``target`` until the objective falls enough; which conditionals moved."""
        start, step = self.c.copy(), target - self.c
        before = self.values + self._penalty(start)
        fall = (self.slopes * step).sum(axis=1) + self._penalty(target) - self._penalty(start)
        if self.problem.joint:
            before, fall = np.full_like(before, before.sum()), np.full_like(fall, fall.sum())
        slack = self.problem.noise(before)
        length, trying = np.ones(len(self.nodes)), which
        for _ in range(_HALVINGS):
            self.c[trying] = start[trying] + length[trying, None] * step[trying]
            self._evaluate(trying)
            now = self.values + self._penalty(self.c)
            if self.problem.joint:
                now = np.full_like(now, now.sum())
            high = before + _ARMIJO * length * fall + slack
            good = (now <= high)[trying]
            trying = trying[~good]
            if not len(trying):
                return np.ones(len(which), bool)
            length[trying] *= 0.5
        self.c[trying] = start[trying]
        self._evaluate(trying)
        return ~np.isin(which, trying)

    def _penalty(self, c):
        return (self.l1 * np.abs(c) + 0.5 * self.ridge * c * c).sum(axis=1)

    def _evaluate(self, which):
        """Values and slopes of some conditionals where they stand."""
        loss, weights = self.problem.loss, self.problem.loss.sample.weights
        flops = _FLOPS_PER_ENTRY * (self.sizes[which] + 10.0)
        parallel = len(weights) * flops.sum() > PARALLEL_FLOPS
        for _ in range(2):
            peaks = loss.peak.copy()
            for part, first, last in _calls(which, flops, len(weights)):
                slope_nodes(
                    self._T, weights, self._known, loss.loss, loss.peak, part, self.nodes,
                    self.columns, self.sizes, self.c, first, last, self.values, self.slopes, peaks,
                    parallel=parallel,
                )  # fmt: skip
            if not loss.outgrown(peaks):
                break
        self.values[which], self.slopes[which] = loss.finished(
            self.values[which], self.slopes[which], self.nodes[which]
        )

    def _curve(self, which):
        """Curvatures of some conditionals where they stand."""
        if not len(which):
            return
        loss, weights = self.problem.loss, self.problem.loss.sample.weights
        flops = self.sizes[which] ** 2 + 10.0 * self.sizes[which]
        parallel = 2.0 * len(weights) * flops.sum() > PARALLEL_FLOPS
        for part, first, last in _calls(which, flops, len(weights)):
            curve_nodes(
                self._T, weights, self._known, loss.loss, loss.peak, part, self.nodes,
                self.columns, self.sizes, self.c, first, last, self.curvatures, parallel=parallel,
            )  # fmt: skip
        scales = loss.scales(self.values[which], self.nodes[which])
        for k, scale in zip(which, scales):
            self.curvatures[k] /= np.float32(scale)
        self._newest[which] = True


def _calls(which, flops, n_rows):
    """Parts of ``which`` and of the rows, (part, first, last), whose work lets Ctrl-C through.

    ``flops`` are those of a row, in float64, which take twice the time. Rows are split first, so
    that threads have conditionals to share.
    """
    most = FLOPS_PER_CALL / 2
    step = min(n_rows, ROWS * max(1, int(most / max(1.0, ROWS * _TOGETHER * flops.max()))))
    calls = (np.cumsum(flops) * step / most).astype(int)
    for part in np.split(which, np.flatnonzero(np.diff(calls)) + 1):
        for first in range(0, n_rows, step):
            yield part, first, min(n_rows, first + step)
