"""Score matching of Gaussian models with an L1 penalty: where few entries of K differ from zero.

A *form* is a smooth convex loss of a symmetric matrix K that knows how to descend along few of its
entries and to look at all of them (:class:`~skebm.criteria._covariance_form.CovarianceForm` from a
covariance; one that knows no better way with many entries says that it is never crowded). To it
belongs a penalty: ``alpha`` times the weighted sum of |K_ij| over
i != j, both orders of a pair counted. Here is what all forms share: which pairs are worked on.

Pairs enter where the slope exceeds the penalty, and leave where their value is zero. Along a path
of penalties those enter beforehand that the sequential strong rule names (Tibshirani et al. 2012):
slopes beyond 2 alpha - alpha_before. That rule can err, so all pairs are looked at in the end.

References
----------
A. Hyvarinen (2005). Estimation of non-normalized statistical models by score matching. Journal of
Machine Learning Research 6.

L. Lin, M. Drton, A. Shojaie (2016). Estimation of high-dimensional graphical models using
regularized score matching. Electronic Journal of Statistics 10.

R. Tibshirani et al. (2012). Strong rules for discarding predictors in lasso-type problems. Journal
of the Royal Statistical Society B 74.
"""

import copy

import numpy as np

from skebm.criteria._leap import RUNAWAY
from skebm.criteria._pairs import Pairs, Solution

# Violations, as shares of the penalty, below which most pairs have found their sign.
_ROUGH = 1e-2

# Tolerances, as shares of that, for which it is worth to put pairs aside before.
_MUCH_LESS = 0.1

# Between penalties far apart the strong rule names nearly all: it is then not followed below this
# share of the later one.
_NEAREST = 0.7

# How exactly the largest penalty is found where pairs have weights.
_EXACT = 1e-9

# Share of the tolerance to which pairs at work are brought.
_INNER = 0.3


def minimise(form, penalty, *, start=None, tol=1e-6, max_iter=1000, enter=None, next_penalty=None):
    """The :class:`Solution` for one ``penalty``, and keys of pairs that may enter for the next.

    ``start`` are :class:`Pairs`; ``enter`` sorted keys of pairs that are tried from the beginning.
    From a start that leads nowhere it is tried once more without.
    """
    options = {"tol": tol, "max_iter": max_iter, "next_penalty": next_penalty}
    found = _minimised(form, penalty, start=start, enter=enter, **options)
    if found[0].diverged and start is not None:
        return _minimised(form, penalty, start=None, enter=None, **options)
    return found


def _minimised(form, penalty, *, start, tol, max_iter, enter, next_penalty):
    pairs = Pairs.of_diagonal(form.diagonal()) if start is None else start.copy()
    near = penalty if next_penalty is None else _near(penalty, next_penalty)
    if enter is None:
        keys, beyond, _ = form.look(pairs, penalty, 0.0, penalty)
        enter = keys[beyond]
    inner, n_iter, limit = _INNER * tol, 0, RUNAWAY * form.diagonal().max()
    while True:
        pairs = pairs.widened(enter)
        if form.is_crowded(pairs):
            solution, keys = form.descend_all(pairs, penalty, tol, max_iter - n_iter, near)
            n_iter += solution.n_iter
            return solution._replace(n_iter=n_iter, diverged=_is_lost(solution.pairs, limit)), keys
        solution = _settled(form, pairs, penalty, inner, max_iter - n_iter)
        pairs, n_iter = solution.pairs, n_iter + solution.n_iter
        if _is_lost(pairs, limit):
            return solution._replace(n_iter=n_iter, diverged=True), np.zeros(0, np.int64)
        keys, beyond, worst = form.look(pairs, penalty, 0.5 * tol, near)
        enter = np.setdiff1d(keys[beyond], pairs.keys, assume_unique=True)
        kkt = max(solution.kkt, worst)
        if kkt <= tol or n_iter >= max_iter:
            return solution._replace(kkt=kkt, n_iter=n_iter), keys
        if not len(enter):
            inner *= _INNER


def _near(penalty, later):
    return min(penalty, max(2.0 * later - penalty, _NEAREST * later))


def _settled(form, pairs, penalty, tol, max_iter):
    """Descend along ``pairs``; those that are zero when most is done are put aside."""
    rough, n_iter = _ROUGH * penalty, 0
    if tol < _MUCH_LESS * rough:
        n_iter, *_ = form.descend(pairs, penalty, rough, max_iter)
        pairs = pairs.narrowed()
    more, objective, kkt = form.descend(pairs, penalty, tol, max(max_iter - n_iter, 1))
    return Solution(pairs.narrowed(), objective, kkt, n_iter + more)


def _is_lost(pairs, limit):
    return not np.isfinite(pairs.diagonal).all() or pairs.diagonal.max() > limit


def path(form, penalties, *, start=None, tol=1e-6, max_iter=1000):
    """Yield a :class:`Solution` for each of ``penalties``, descending, each from the last one."""
    enter = None
    for k, penalty in enumerate(penalties):
        later = penalties[k + 1] if k + 1 < len(penalties) else None
        solution, enter = (minimise if k == 0 else _minimised)(
            form, penalty, start=start, tol=tol, max_iter=max_iter, enter=enter, next_penalty=later
        )
        start = solution.pairs
        yield solution
        if solution.diverged:
            return


def largest_penalty(form, tol=1e-8):
    """The least penalty that leaves a diagonal matrix, all pairs without a penalty apart.

    Those are learned first, to ``tol``, by which the penalty is then larger.
    """
    start, form, free = Pairs.of_diagonal(form.diagonal()), copy.copy(form), False
    if form.weights.size:
        nothing = form.weights == 0
        free = nothing.sum() > nothing.diagonal().sum()
        if free:
            start = _learned_freely(form, start, tol)
        form.weights = np.where(form.weights == 0, np.inf, form.weights)
    excess = form.look(start, 0.0, 0.0, np.inf)[2]
    weights = form.weights[np.isfinite(form.weights)]
    if not form.weights.size or excess == 0.0 or not weights.size:
        return excess
    low, high = 0.5 * excess / weights.max(), excess / weights.min()
    while high > low * (1.0 + _EXACT):
        middle = np.sqrt(low * high)
        found = form.look(start, middle, 0.0, middle)[1].any()
        low, high = (middle, high) if found else (low, middle)
    return float(high + tol * free)


def _learned_freely(form, start, tol):
    """The pairs that have no penalty, all others being zero; none if they have no minimum."""
    alone = copy.copy(form)
    alone.weights = np.where(form.weights == 0, 0.0, np.inf)
    solution = minimise(alone, 0.0, tol=tol)[0]
    return start if solution.diverged else solution.pairs
