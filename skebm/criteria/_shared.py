"""Sparse couplings at the dense end of a path: steps that share one curvature matrix.

The curvature of conditional i is a multiple of the moments of all spins wherever its couplings
are weak, and nearly so where they are not. A proximal step with that multiple, found anew from
the slopes before and after each step (Barzilai and Borwein 1988), costs a pass over the rows for
all conditionals together, and coordinate descent; models of second order cost n a^2 for each
conditional of a couplings. Where the steps no longer help, those take over.
"""

import numpy as np

from skebm._jit import PARALLEL_FLOPS
from skebm.criteria._penalised import Solution
from skebm.criteria._spin_nodes import descend_shared

_SWEEPS = 100

# Steps that have to bring residuals down to this share.
_PATIENCE, _SHARE = 3, 0.5

# Sweeps go on until they move slopes by less than this share of the residual.
_FORCING = 0.03

# Curvature after a step that has not lowered its objective, and limits of a new one.
_STEEPER, _LEAST, _MOST = 4.0, 1e-3, 1.0


def approach(problem, C, tol, max_iter):
    """The :class:`Solution`, or a point nearer to it than ``C`` where steps no longer help.

    Conditionals have no couplings in common, and the loss may be any but RISE. ``max_iter`` is of
    passes over the rows.
    """
    moments, point = problem.loss.sample.moments, problem.at_point(C)
    scales = problem.loss.curvatures_of_fields(problem.start()[:, -1])
    history = []
    for _ in range(max_iter):
        residuals = problem.residuals(point).max(axis=1)
        history.append(residuals.max(initial=0.0))
        stale = len(history) > _PATIENCE and history[-1] > _SHARE * history[-1 - _PATIENCE]
        if history[-1] <= tol or stale:
            break
        going = np.flatnonzero(residuals > tol)
        target = _target(problem, point, moments, scales, going, history[-1])
        point, scales = _moved(problem, point, target, moments, scales, going)
    return Solution(point, float(problem.residuals(point).max(initial=0.0)), len(history))


def _target(problem, point, moments, scales, going, residual):
    """Where the models of some conditionals, with their penalties, are least, (p, p + 1)."""
    C, penalised = point.C.copy(), problem.penalised
    slopes = point.slopes - problem.ridge * penalised * point.C
    descend_shared(
        going, problem.allowed, moments, scales, problem.l1 * penalised,
        problem.ridge * penalised, _FORCING * residual, _SWEEPS, slopes, C,
        parallel=20.0 * len(going) * len(moments) ** 2 > PARALLEL_FLOPS,
    )  # fmt: skip
    return C


def _moved(problem, point, target, moments, scales, going):
    """The point where those that fall stand at ``target``, and new scales, (p,)."""
    there = problem.at_point(target)
    before, after = (each.ridged + _lasso(problem, each.C) for each in (point, there))
    falls = after <= before + problem.noise(before)
    step = target - point.C
    bent = ((there.slopes - point.slopes - problem.ridge * problem.penalised * step) * step).sum(1)
    flat = ((step @ moments) * step).sum(axis=1)
    new = np.clip(np.divide(bent, flat, out=scales.copy(), where=flat > 0), _LEAST, _MOST)
    new = np.where(falls, new, np.minimum(_STEEPER * scales, _MOST))
    scales = np.where(np.isin(np.arange(len(scales)), going), new, scales)
    kept = falls[:, None]
    return point._replace(
        C=np.where(kept, there.C, point.C),
        values=np.where(falls, there.values, point.values),
        ridged=np.where(falls, there.ridged, point.ridged),
        slopes=np.where(kept, there.slopes, point.slopes),
    ), scales


def _lasso(problem, C):
    return (problem.l1 * problem.penalised * np.abs(C)).sum(axis=1)
