"""Couplings without L1: L-BFGS that starts every step from a Newton step.

SciPy's L-BFGS starts from the unit matrix and makes some hundred passes over the data where spins
are strongly coupled. The inverse Hessian it starts from here is applied by conjugate gradients,
which work on p matrices of p x p numbers and not on the rows: those of the independent model
first, all multiples of one matrix, then those of a part of the rows at the latest point. Ten to
thirty passes are enough.
"""

from collections import deque

import numpy as np

from skebm._jit import PARALLEL_FLOPS, single_threaded_blas
from skebm.criteria._penalised import Solution
from skebm.criteria._spin_kernels import multiply_blocks, multiply_shared
from skebm.criteria._spin_losses import PSEUDOLIKELIHOOD, RATIO_MATCHING

_PAIRS = 12
_ARMIJO, _SHRINK, _HALVINGS = 1e-4, 0.5, 40

# A Hessian is used until so many steps with it have not brought the residual down to this share.
_PATIENCE, _SHARE = 4, 0.3

# Work of a Hessian in passes, fewest of its rows for each coefficient, and the most memory.
_HESSIAN_PASSES, _ROWS_PER_COEFFICIENT, _BYTES = 8, 8, 2**28

_CG_TOL, _CG_STEPS = 1e-2, 200


def minimise_smooth(problem, C, tol, max_iter):
    """The :class:`Solution` of a :class:`Penalised` without L1 from a start ``C``."""
    with single_threaded_blas:
        search = _Search(problem.at_point, problem.symmetric(C) if problem.joint else C)
        search.run(_from_independence(problem), tol, max_iter)
        rows = _enough_rows(problem)
        while search.residual > tol and search.steps < max_iter and not search.stuck:
            search.run(_from_rows(problem, search.point.C, rows), tol, max_iter)
            rows *= 2
    return Solution(search.point, search.residual, search.steps)


class _Search:
    """The :class:`Point` where L-BFGS stands, and steps made."""

    def __init__(self, function, C):
        self.function, self.point = function, function(C)
        self.steps, self.stuck = 0, False

    @property
    def residual(self):
        return float(np.abs(self.point.slopes).max(initial=0.0))

    def run(self, precondition, tol, max_iter):
        """L-BFGS steps (Nocedal and Wright 2006, algorithms 7.4 and 7.5) with backtracking."""
        pairs, before = deque(maxlen=_PAIRS), deque([np.inf] * _PATIENCE, maxlen=_PATIENCE)
        while self.residual > tol and self.steps < max_iter:
            if self.residual > _SHARE * before[0]:
                return
            before.append(self.residual)
            step = -_two_loops(self.point.slopes, pairs, precondition)
            start = self.point
            if not self._move(step):
                self.stuck = not pairs
                return
            s, y = self.point.C - start.C, self.point.slopes - start.slopes
            if (curvature := np.vdot(s, y)) > 0:
                pairs.append((s, y, curvature))

    def _move(self, step):
        start, length = self.point, 1.0
        slope = np.vdot(step, start.slopes)
        # Values near the minimum differ by less than their rounding.
        slack = 1e-15 * len(step) * max(1.0, abs(start.smooth))
        if not slope < 0:
            return False
        for _ in range(_HALVINGS):
            point = self.function(start.C + length * step)
            if point.smooth <= start.smooth + _ARMIJO * length * slope + slack:
                self.point = point
                self.steps += 1
                return True
            length *= _SHRINK
        return False


def _two_loops(gradient, pairs, precondition):
    q, shares = gradient.copy(), []
    for s, y, curvature in reversed(pairs):
        shares.append(np.vdot(s, q) / curvature)
        q -= shares[-1] * y
    r = precondition(q)
    for (s, y, curvature), share in zip(pairs, reversed(shares)):
        r += (share - np.vdot(y, r) / curvature) * s
    return r


def _from_independence(problem):
    """The inverse Hessian where spins are independent: f'' (1 - m_i^2) times one matrix."""
    sample = problem.loss.sample
    gram = sample.gram().astype(np.float32)
    start = problem.start()
    scales = np.maximum(_curvatures_of_fields(problem.loss.loss, start[:, -1]), 1e-6)
    flops = 2.0 * sample.p * (sample.p + 1) ** 2

    def multiply(V):
        out = np.empty_like(V)
        multiply_shared(gram, scales, V, out, parallel=flops > PARALLEL_FLOPS)
        return out

    return _Solver(problem, multiply, scales[:, None] * np.diag(gram))


def _enough_rows(problem):
    """Rows of a Hessian that are worth their time; more where it turns out too rough."""
    n, p = len(problem.loss.sample), problem.loss.sample.p
    return max(_ROWS_PER_COEFFICIENT * (p + 1), 4 * _HESSIAN_PASSES * n // (p + 1))


def _from_rows(problem, C, rows):
    """The inverse Hessian at ``C``, summed over so many rows."""
    p = problem.loss.sample.p
    if 4.0 * p * (p + 1) ** 2 > _BYTES:
        return _from_independence(problem)
    blocks = problem.loss.curvatures(C, rows)
    places = np.arange(p + 1)

    def multiply(V):
        out = np.empty_like(V)
        multiply_blocks(blocks, V, out, parallel=2.0 * blocks.size > PARALLEL_FLOPS)
        return out

    return _Solver(problem, multiply, blocks[:, places, places].astype(np.float64))


def _curvatures_of_fields(loss, fields):
    """Mean f'' of independent spins with these fields, (p,)."""
    up = 1.0 / (1.0 + np.exp(-2.0 * fields))
    product = up * (1.0 - up)
    if loss == PSEUDOLIKELIHOOD:
        return 4.0 * product
    if loss == RATIO_MATCHING:
        return 8.0 * product**2
    return 2.0 * np.sqrt(product)


class _Solver:
    """Steps for gradients: conjugate gradients with the Hessian of a :class:`Penalised`.

    Parameters
    ----------
    problem : Penalised
        What moves, and the ridge.
    multiply : callable
        Hessians of all conditionals times their coefficients, (p, p + 1) to (p, p + 1).
    diagonal : ndarray of shape (p, p + 1)
        Diagonals of those.
    """

    def __init__(self, problem, multiply, diagonal):
        self._problem, self._multiply = problem, multiply
        # The last bits of float32 sums may leave a Hessian slightly indefinite.
        floor = 1e-6 * diagonal.max()
        self._ridge = problem.ridge * problem.penalised + floor
        self._diagonal = problem.symmetric(diagonal + self._ridge)
        self._diagonal[self._diagonal <= 0] = 1.0

    def __call__(self, gradient):
        x, r = np.zeros_like(gradient), gradient.copy()
        z = r / self._diagonal
        d, rz = z.copy(), np.vdot(r, z)
        enough = _CG_TOL**2 * rz
        for _ in range(_CG_STEPS):
            if rz <= enough:
                break
            q = self._problem.symmetric(self._multiply(d) + self._ridge * d)
            curvature = np.vdot(d, q)
            if not curvature > 0:
                break
            x += (rz / curvature) * d
            r -= (rz / curvature) * q
            z = r / self._diagonal
            before, rz = rz, np.vdot(r, z)
            d = z + (rz / before) * d
        return x if x.any() else gradient / self._diagonal
