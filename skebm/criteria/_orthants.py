"""Sparse couplings in little memory: L-BFGS from orthant to orthant.

Where signs do not change, a penalty of L1 is linear. A step is one of L-BFGS on the coefficients
that are not zero or want to leave it, and ends at zero where a sign would change (OWL-QN, Andrew
and Gao 2007). It costs a pass over the rows and p^2 numbers for each step remembered, whatever
the number of coefficients that differ from zero.
"""

from collections import deque

import numpy as np

from skebm._jit import single_threaded_blas
from skebm.criteria._penalised import Solution
from skebm.criteria._smooth import from_independence

_PAIRS = 12
_ARMIJO, _SHRINK, _HALVINGS = 1e-4, 0.5, 40


def minimise_by_orthants(problem, C, tol, max_iter, enough=None):
    """The :class:`Solution` of a joint :class:`Penalised` from a symmetric start ``C``.

    Parameters
    ----------
    problem : Penalised
        What is minimised.
    C : ndarray of shape (p, p + 1)
        Start.
    tol : float
        Largest residual to stop at.
    max_iter : int
        Passes over the rows at the most, but for those of the start and of the last step.
    enough : callable, default=None
        Whether another method takes over, from the coefficients and their residuals.
    """
    with single_threaded_blas:
        search = _Search(problem, C)
        while search.residual > tol and search.passes < max_iter and not search.stuck:
            if enough is not None and enough(search.point.C, search.residuals):
                break
            search.step()
    return Solution(search.point, search.residual, search.passes)


class _Search:
    """The :class:`Point` where the search stands, passes made, and steps remembered."""

    def __init__(self, problem, C):
        self.problem, self.passes, self.stuck = problem, 0, False
        self._l1 = problem.l1 * problem.penalised
        self._precondition = from_independence(problem)
        self._pairs = deque(maxlen=_PAIRS)
        self._stand(*self._at(C))

    @property
    def residual(self):
        return float(self.residuals.max(initial=0.0))

    def _at(self, C):
        self.passes += 1
        point = self.problem.at_point(C)
        return point, point.values.sum() + self.problem.penalty(C).sum()

    def _stand(self, point, value):
        self.point, self.value = point, value
        self.residuals = self.problem.residuals(point)

    def step(self):
        """One step; the search is stuck if the objective does not even fall along the gradient."""
        start = self.point
        moved = self._move(self._by_orthant())
        if not moved and self._pairs:
            self._pairs.clear()
            return
        # Far from independence the first matrix may be so wrong that no length is short enough.
        moved = moved or self._move(self._proximal)
        self.stuck = not moved
        self._pairs.append((self.point.C - start.C, self.point.slopes - start.slopes))

    def _move(self, trial):
        """Go to points nearer and nearer until the objective falls enough; whether it does.

        ``trial(length)`` is a point and the fall of the objective that it promises.
        """
        slack = self.problem.noise(self.value)
        for halvings in range(_HALVINGS):
            C, promised = trial(_SHRINK**halvings)
            if not promised < 0:
                return False
            point, value = self._at(C)
            if value <= self.value + _ARMIJO * promised + slack:
                self._stand(point, value)
                return True
        return False

    def _by_orthant(self):
        """Trials along a step of L-BFGS, as far as no sign changes."""
        C, slopes, linear = self.point.C, self.point.slopes, self._l1 > 0
        free = self.problem.allowed & ((C != 0) | (self.residuals > 0))
        signs = np.sign(np.where(C != 0, C, -slopes))
        gradient = np.where(free, slopes + self._l1 * signs, 0.0)
        step = -self._two_loops(gradient, free)

        def trial(length):
            new = C + length * step
            new[linear & (new * signs < 0)] = 0.0
            return new, np.vdot(gradient, new - C)

        return trial

    def _proximal(self, length):
        """A trial along the gradient, the penalty of L1 taken as it is."""
        C = self.point.C
        new = C - length * self.point.slopes
        new = np.sign(new) * np.maximum(np.abs(new) - length * self._l1, 0.0)
        return new, -np.vdot(new - C, new - C) / length

    def _two_loops(self, gradient, free):
        """The inverse Hessian among ``free`` coefficients times a gradient among them."""
        q, used = gradient.copy(), []
        for s, y in reversed(self._pairs):
            s, y = s * free, y * free
            if (curvature := np.vdot(s, y)) > 0:
                used.append((s, y, curvature, np.vdot(s, q) / curvature))
                q -= used[-1][-1] * y
        # As if spins were independent. Steps of all coefficients, cut down, would be too long.
        r = self._precondition.among(free)(q)
        for s, y, curvature, share in reversed(used):
            r += (share - np.vdot(y, r) / curvature) * s
        return r
