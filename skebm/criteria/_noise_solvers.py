"""Minimising the loss of noise-contrastive estimation.

Where the loss is convex, by Newton's method with a curvature that is kept as long as it serves: a
pass over the rows for slopes costs k operations a row, the curvature k^2. Otherwise by SciPy's
L-BFGS-B on the fixed sample of noise, in variables in which the curvature at the start is one.
"""

from collections import deque
from contextlib import nullcontext
from copy import copy
from typing import NamedTuple

import numpy as np
from scipy import linalg

from skebm._jit import single_threaded_blas
from skebm.criteria.noise_contrastive import Point

# A curvature is made anew when a step with it leaves more than this share of the decrement.
_STALE = 0.3

# Rows for each parameter that the first curvature is made of.
_FEWEST = 50

# Decrements at which rounding begins to decide, and at which nothing is left.
_ROUGH, _NOTHING = 1e-16, 1e-22

# Steps in a row that may change the loss by this share only, and have no smaller decrement.
_IDLE, _EPSILON = 3, 1e-15

_ARMIJO, _SHRINK, _HALVINGS = 1e-4, 0.5, 40

# Loss below which data and noise count as separated, and parameters as running away.
_SEPARATED = 1e-5

# Ridges tried, in units of the mean curvature, where a curvature is singular.
_RIDGES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)

# Parameters beyond which L-BFGS starts from the diagonal of the curvature.
_MOST_SCALED = 700

_PAIRS = 20

# What is added to a curvature of unit diagonal, whose directions of none would be steps too far.
_SAFE = 1e-5

# Curvature weights of data at the least, so that a start far from them has some curvature.
_LEAST = 1e-6

# Steps of a run of L-BFGS, at the end of which the curvature is made anew; or as many as there are
# parameters. What a run has to lower the loss by for another to follow.
_STAGE, _GAIN = 40, 1e-12

# Largest slope to which a loss is minimised whose corners will be rounded less.
_ROUGHLY = 1e-4


class Solution(NamedTuple):
    """The :class:`Point` at the end, steps made, and the largest slope there, free of units.

    Slopes are over the root of the curvature, of a loss without corners. ``separated`` says that
    data and noise can be told apart perfectly, so that there is no minimum.
    """

    point: Point
    n_iter: int
    residual: float
    separated: bool = False


def minimise_newton(problem, x, tol, max_iter):
    """Damped Newton steps from ``x``, on until rounding ends them, whatever ``tol`` is.

    Between two curvatures, the first one of a part of the rows, steps and the changes of slopes
    along them correct the last one (L-BFGS).
    """
    if not len(x):
        return Solution(problem.at(x), 0, 0.0)
    with np.errstate(all="ignore"):  # steps too far are noticed by their values
        return _newton(problem, x, tol, max_iter)


def _newton(problem, x, tol, max_iter):
    point, before, n_iter, idle = problem.at(x), np.inf, 0, 0
    solve, pairs = _inverse(problem.information(point, _FEWEST)), deque(maxlen=_PAIRS)
    whole = safe = False  # whether the curvature is of all rows here, and of no less than the least
    while n_iter < max_iter:
        step = -_two_loops(point.slopes, pairs, solve)
        decrement = -float(step @ point.slopes)
        if (pairs and not decrement <= max(_STALE * before, _ROUGH)) or decrement < 0.0:
            solve, whole = _inverse(problem.information(point)), True
            pairs.clear()
            step = -solve(point.slopes)
            decrement = -float(step @ point.slopes)
        if decrement <= _NOTHING or (before <= _ROUGH and decrement > 0.1 * before):
            break
        moved = _searched(problem, point, step, decrement)
        if moved is None and not (whole and safe):
            safe = whole  # far from all rows there is no curvature but the least
            solve, whole = _inverse(problem.information(point, least=safe * _LEAST)), True
            pairs.clear()
            continue
        if moved is None or _is_separated(problem, moved):
            point = point if moved is None else moved
            break
        s, y = moved.x - point.x, moved.slopes - point.slopes
        if s @ y > 0.0:
            pairs.append((s, y))
        is_idle = point.value - moved.value <= _EPSILON * abs(moved.value)
        is_idle &= decrement > 0.1 * before
        point, before, n_iter, whole, safe = moved, decrement, n_iter + 1, False, False
        idle = idle + 1 if is_idle else 0
        if idle == _IDLE:
            break
    residual = _largest(point.slopes, _roots(problem.curvatures(point)))
    return Solution(point, n_iter, residual, _is_separated(problem, point))


def _largest(slopes, roots):
    """The largest slope in units in which curvatures are one."""
    return float((np.abs(slopes) / roots).max(initial=0.0))


def _roots(curvatures):
    """Their roots; parameters without any curvature keep their unit."""
    return np.sqrt(np.where(curvatures > 0.0, curvatures, 1.0))


def _two_loops(slopes, pairs, solve):
    """Inverse curvature times slopes (Nocedal and Wright 2006, algorithm 7.4)."""
    q, shares = slopes.copy(), []
    for s, y in reversed(pairs):
        shares.append((s @ q) / (s @ y))
        q -= shares[-1] * y
    r = solve(q)
    for (s, y), share in zip(pairs, reversed(shares)):
        r += (share - (y @ r) / (s @ y)) * s
    return r


def _searched(problem, point, step, decrement):
    """The first point along a step that is low enough, or None."""
    slack, length = 1e-15 * max(1.0, abs(point.value)), 1.0
    for _ in range(_HALVINGS):
        there = problem.at(point.x + length * step)
        if there.value <= point.value - _ARMIJO * length * decrement + slack:
            return there
        length *= _SHRINK
    return None


def _is_separated(problem, point):
    return not problem.l2.any() and point.value < _SEPARATED * min(1.0, problem.sample.ratio)


def _inverse(H):
    """Solver with a curvature matrix, raised where it is singular."""
    scale = _roots(H.diagonal())
    scaled = H / np.outer(scale, scale)
    for ridge in _RIDGES:
        try:
            with single_threaded_blas:
                factor = linalg.cho_factor(scaled + ridge * np.eye(len(H)), lower=True)
        except linalg.LinAlgError:
            continue
        return lambda slopes, factor=factor: _solved(factor, slopes / scale) / scale
    return lambda slopes: slopes / scale**2


def _solved(factor, right):
    with single_threaded_blas:
        return linalg.cho_solve(factor, right)


def minimise_lbfgs(problem, x, tol, max_iter):
    """SciPy's L-BFGS-B from ``x``, begun anew as long as that helps; ``tol`` is of slopes.

    Slopes are over the roots of curvatures, in a run of those at its start. A loss with corners
    ends on one of many, depending on where it began; so its corners are rounded, less and less
    until none takes more than the curvature of a row, and the minimum is that of the last.
    """
    if not len(x):
        return Solution(problem.at(x), 0, 0.0)
    first, *others = _rounded(problem)
    search, roughly = _Search(first, x), max(tol, _ROUGHLY)
    for following in others:
        if search.n_iter < max_iter and not search.residual <= roughly:
            search.run(max_iter - search.n_iter, roughly)
        search.turn_to(following)
    if others:
        search.look()
    while not search.residual <= tol and search.n_iter < max_iter:
        before, done, left = search.lowest.value, search.n_iter, max_iter - search.n_iter
        search.run(min(left, max(_STAGE, len(x))) if problem.form.scaled else left, tol)
        search.look()
        if search.n_iter == done or (before - search.lowest.value <= _GAIN and not search.enough):
            break
    is_same = search.problem.form is problem.form
    point = search.lowest if is_same else problem.at(search.lowest.x)
    return Solution(point, search.n_iter, search.residual, _is_separated(problem, point))


def _rounded(problem):
    """Problems to be minimised one after the other, that itself where its form is smooth."""
    problems = []
    for form in problem.form.rounded(problem.sample.total):
        problems.append(copy(problem))
        problems[-1].form = form
    return problems


class _Search:
    """The lowest point that runs of L-BFGS-B have seen, and their steps."""

    def __init__(self, problem, x):
        self.problem, self.lowest, self.n_iter = problem, problem.at(x), 0
        self.enough = False  # whether the last run ended by slopes
        self.look()

    @property
    def residual(self):
        """Largest slope at the lowest point, in units of the last curvature."""
        return _largest(self.lowest.slopes, self.roots)

    def look(self):
        """Make the curvature anew, by which slopes are judged and steps are made."""
        with np.errstate(all="ignore"):
            self.scaling, self.roots = _scaled(self.problem, self.lowest)

    def turn_to(self, problem):
        """Go on with another loss, by the same curvature."""
        self.problem, self.lowest = problem, problem.at(self.lowest.x)

    def run(self, max_iter, tol):
        """One run of ``max_iter`` steps at most from the lowest point to slopes of ``tol``."""
        from scipy.optimize import minimize  # takes longer to import than the package

        first, scaling, roots = self.lowest, self.scaling, self.roots
        origin, self.enough = first.x, False

        def value_and_slopes(u):
            point = self.problem.at(origin + scaling.forth(u)) if u.any() else first
            if not np.isfinite(point.value):
                return self._beyond(u - scaling.of_point(self.lowest.x - origin), scaling)
            small = _largest(point.slopes, roots) <= tol
            if point.value <= self.lowest.value or small:
                self.lowest = point
            if small:
                raise _Enough
            return point.value, scaling.back(point.slopes)

        def count(_):
            self.n_iter += 1

        options = {"maxcor": _PAIRS, "maxiter": max_iter, "maxfun": 10 * max_iter, "gtol": 0.0,
                   "ftol": 0.0, "maxls": 40}  # fmt: skip
        # Threads of BLAS would wait for each other longer than small products of L-BFGS-B take.
        try:
            with nullcontext() if self.problem.form.foreign else single_threaded_blas:
                minimize(
                    value_and_slopes, np.zeros(len(origin)), method="L-BFGS-B", jac=True,
                    callback=count, options=options,
                )  # fmt: skip
        except _Enough:
            self.n_iter, self.enough = self.n_iter + 1, True

    def _beyond(self, step, scaling):
        """What stands in for a loss that is not finite: a parabola that leads back to 1/4 a step.

        The line search takes no infinities.
        """
        slopes = scaling.back(self.lowest.slopes)
        fall = max(abs(float(slopes @ step)), 1e-8 * max(1.0, abs(self.lowest.value)))
        return self.lowest.value + fall, 3.0 * fall * step / (step @ step)


class _Enough(Exception):
    """The slopes are small enough."""


def _scaled(problem, point):
    """The :class:`_Scaling` at a point, and roots of curvatures that slopes are judged by."""
    if not problem.form.scaled or len(point.x) > _MOST_SCALED:
        roots = _roots(problem.curvatures(point))
        return _Scaling(roots), roots
    H = problem.information(point, least=_LEAST)
    roots = _roots(H.diagonal())
    with single_threaded_blas:
        scaled = H / np.outer(roots, roots) + _SAFE * np.eye(len(H))
        factor = linalg.cholesky(scaled, lower=True)
    return _Scaling(roots[:, None] * factor), roots


class _Scaling(NamedTuple):
    """x = factor^-T u: variables u in which the curvature is one, or has a diagonal of ones."""

    factor: np.ndarray

    def forth(self, u):
        """x of u."""
        if self.factor.ndim == 1:
            return u / self.factor
        with single_threaded_blas:
            return linalg.solve_triangular(self.factor, u, lower=True, trans="T")

    def of_point(self, x):
        """u of x."""
        if self.factor.ndim == 1:
            return x * self.factor
        return np.einsum("ij,i->j", self.factor, x)

    def back(self, slopes):
        """Slopes by u, of those by x."""
        if self.factor.ndim == 1:
            return slopes / self.factor
        with single_threaded_blas:
            return linalg.solve_triangular(self.factor, slopes, lower=True)
