"""Couplings without L1: L-BFGS that starts every step from a Newton step.

SciPy's L-BFGS starts from the unit matrix and makes some hundred passes over the data where spins
are strongly coupled. The inverse Hessian it starts from here is applied by conjugate gradients,
which work on p matrices of p x p numbers and not on the rows: those of the independent model
first, all multiples of one matrix, then those of a part of the rows at the latest point. Ten to
thirty passes are enough.
"""

from collections import deque
from copy import copy
from dataclasses import replace

import numpy as np

from skebm._jit import PARALLEL_FLOPS, single_threaded_blas
from skebm.criteria._penalised import Solution
from skebm.criteria._spin_kernels import multiply_blocks, multiply_shared

_PAIRS = 12
_ARMIJO, _SHRINK, _HALVINGS = 1e-4, 0.5, 40

# Residual down to which a search may be coarse.
_COARSE = 1e-5

# A Hessian is used until so many steps with it have not brought the residual down to this share.
_PATIENCE, _SHARE = 4, 0.3

# Work of a Hessian in passes, fewest of its rows for each coefficient, and the most memory.
_HESSIAN_PASSES, _ROWS_PER_COEFFICIENT, _BYTES = 8, 8, 2**28

_CG_TOL, _CG_STEPS = 0.1, 200


def minimise_smooth(problem, C, tol, max_iter):
    """The :class:`Solution` of a :class:`Penalised` without L1 from a start ``C``."""
    with single_threaded_blas:
        search = _Search(problem, problem.symmetric(C) if problem.joint else C)
        precondition, rows = from_independence(problem), _enough_rows(problem)
        while True:
            search.run(precondition, tol, max_iter)
            if search.coarse and search.ended(max(tol, _COARSE), max_iter):
                search.refine()
            if search.ended(tol, max_iter):
                return Solution(search.point, search.residual, search.steps)
            if search.slow:
                precondition = _from_rows(problem, search.point.C, rows)
                rows *= 2


class _Search:
    """The :class:`Point` where L-BFGS stands, steps made, and the pairs it remembers.

    Conditionals that share no coefficients are problems of their own, with steps, lengths and
    curvatures of their own, that only go through the rows together.
    """

    def __init__(self, problem, C):
        self.problem, self.precision = problem, problem.loss.coarse
        self.point = problem.at_point(C, self.precision)
        self.steps, self.stuck, self.slow = 0, False, False

    @property
    def residual(self):
        """Largest slope."""
        return float(np.abs(self.point.slopes).max(initial=0.0))

    @property
    def coarse(self):
        """Whether values and slopes are in float32."""
        return self.precision != np.float64

    def ended(self, tol, max_iter):
        """Whether there is nothing left to do, or to be done."""
        return self.stuck or self.residual <= tol or self.steps >= max_iter

    def refine(self):
        """Go on in full precision."""
        self.precision, self.stuck = np.float64, False
        self.point = self.problem.at_point(self.point.C)

    def run(self, precondition, tol, max_iter):
        """L-BFGS steps (Nocedal and Wright 2006, algorithms 7.4 and 7.5) with backtracking."""
        pairs, before = deque(maxlen=_PAIRS), deque([np.inf] * _PATIENCE, maxlen=_PATIENCE)
        tol, self.slow = max(tol, _COARSE) if self.coarse else tol, False
        while not self.ended(tol, max_iter):
            self.slow = self.residual > _SHARE * before[0]
            if self.slow:
                return
            before.append(self.residual)
            start = self.point
            self._move(-_two_loops(self.problem.summed, start.slopes, pairs, precondition))
            if self.point is start:
                self.slow, self.stuck = True, not pairs
                return
            s, y = self.point.C - start.C, self.point.slopes - start.slopes
            pairs.append((s, y, self.problem.summed(s * y)))

    def _move(self, step):
        summed, start = self.problem.summed, self.point
        descent = summed(step * start.slopes)
        heights = summed(start.ridged)
        slack = self.problem.noise(heights, self.precision)
        lengths = np.where(descent < 0, 1.0, 0.0)
        for _ in range(_HALVINGS):
            if not lengths.any():
                return
            point = self.problem.at_point(start.C + lengths * step, self.precision)
            low = summed(point.ridged) <= heights + _ARMIJO * lengths * descent + slack
            if low.all():
                self.point = point
                self.steps += 1
                return
            lengths = np.where(low, lengths, _SHRINK * lengths)


def _two_loops(summed, gradient, pairs, precondition):
    q, shares = gradient.copy(), []
    for s, y, curvature in reversed(pairs):
        shares.append(_ratio(summed(s * q), curvature))
        q -= shares[-1] * y
    r = precondition(q)
    for (s, y, curvature), share in zip(pairs, reversed(shares)):
        r += (share - _ratio(summed(y * r), curvature)) * s
    return r


def _ratio(above, below):
    """Their quotient, 0 where a problem has not moved or its curvature is none."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def from_independence(problem):
    """The inverse Hessian where spins are independent: f'' (1 - m_i^2) times one matrix."""
    sample = problem.loss.sample
    moments = sample.coarse_moments
    start = problem.start()
    scales = np.maximum(problem.loss.curvatures_of_fields(start[:, -1]), 1e-6)
    flops = 2.0 * sample.p * (sample.p + 1) ** 2

    def multiply(V):
        out = np.empty_like(V)
        multiply_shared(moments, scales, V, out, parallel=flops > PARALLEL_FLOPS)
        return out

    return _Solver(problem, multiply, scales[:, None] * np.diag(moments))


def _enough_rows(problem):
    """Rows of a Hessian that are worth their time; more where it turns out too rough."""
    n, p = len(problem.loss.sample), problem.loss.sample.p
    return max(_ROWS_PER_COEFFICIENT * (p + 1), 4 * _HESSIAN_PASSES * n // (p + 1))


def _from_rows(problem, C, rows):
    """The inverse Hessian at ``C``, summed over so many rows."""
    p = problem.loss.sample.p
    if 4.0 * p * (p + 1) ** 2 > _BYTES:
        return from_independence(problem)
    blocks = problem.loss.curvatures(C, rows)
    places = np.arange(p + 1)

    def multiply(V):
        out = np.empty_like(V)
        multiply_blocks(blocks, V, out, parallel=2.0 * blocks.size > PARALLEL_FLOPS)
        return out

    return _Solver(problem, multiply, blocks[:, places, places].astype(np.float64))


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

    def among(self, free):
        """The same where only coefficients ``free`` (p, p + 1) may move."""
        other = copy(self)
        other._problem = replace(self._problem, allowed=free)
        return other

    def __call__(self, gradient):
        summed = self._problem.summed
        x, r = np.zeros_like(gradient), gradient.copy()
        z = r / self._diagonal
        d, rz = z.copy(), summed(r * z)
        enough = _CG_TOL**2 * rz
        for _ in range(_CG_STEPS):
            if (rz <= enough).all():
                break
            q = self._problem.symmetric(self._multiply(d) + self._ridge * d)
            length = _ratio(rz, summed(d * q)) * (rz > enough)
            if not length.any():
                break
            x += length * d
            r -= length * q
            z = r / self._diagonal
            before, rz = rz, summed(r * z)
            d = z + _ratio(rz, before) * d
        return np.where(summed(np.abs(x)) > 0, x, gradient / self._diagonal)
