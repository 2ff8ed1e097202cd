"""Score matching of Gaussian models with an L1 penalty: where few entries of K differ from zero.

A *form* is a smooth convex loss of a symmetric matrix K that knows how to descend along few of its
entries and to look at all of them (:class:`~skebm.criteria._covariance_form.CovarianceForm` from a
covariance). To it belongs a penalty: ``alpha`` times the weighted sum of |K_ij| over
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

from typing import NamedTuple

import numpy as np

from skebm.criteria._pairs import Pairs

# Diagonals of K beyond so many times that of the start: the loss has no minimum.
RUNAWAY = 1e8

# Share of the tolerance to which pairs at work are brought, and how often it may be tightened.
_INNER, _TIGHTER = 0.3, 3


class Solution(NamedTuple):
    """A precision matrix as :class:`Pairs`, and how it was reached.

    ``objective`` includes the penalty; ``kkt`` is the largest violation of a condition for the
    minimum; ``n_iter`` counts sweeps. ``diverged`` says that the loss has no minimum.
    """

    pairs: Pairs
    objective: float
    kkt: float
    n_iter: int
    diverged: bool = False


def minimise(form, penalty, *, start=None, tol=1e-6, max_iter=1000, enter=None, next_penalty=None):
    """The :class:`Solution` for one ``penalty``, and keys of pairs that may enter for the next.

    ``start`` are :class:`Pairs`; ``enter`` sorted keys of pairs that are tried from the beginning.
    """
    pairs = Pairs.of_diagonal(form.diagonal()) if start is None else start.copy()
    near = penalty if next_penalty is None else max(2.0 * next_penalty - penalty, 0.0)
    limit, inner, n_iter = RUNAWAY * form.diagonal().max(), _INNER * tol, 0
    if enter is None:
        enter = _beyond(form.look(pairs, penalty, 0.0, penalty))
    while True:
        pairs, done = _settled(form, pairs.widened(enter), penalty, inner, max_iter - n_iter)
        n_iter += done.n_iter
        diverged = not np.isfinite(pairs.diagonal).all() or pairs.diagonal.max() > limit
        if diverged:
            return done._replace(n_iter=n_iter, diverged=True), np.zeros(0, np.int64)
        keys, beyond, worst = form.look(pairs, penalty, 0.5 * tol, min(near, penalty))
        enter = np.setdiff1d(keys[beyond], pairs.keys, assume_unique=True)
        kkt = max(done.kkt, worst)
        if kkt > tol and not len(enter):
            inner *= 0.3
        if kkt <= tol or n_iter >= max_iter:
            return Solution(pairs, done.objective, kkt, n_iter), keys


def _settled(form, pairs, penalty, tol, max_iter):
    """Descend along ``pairs``; those that two sweeps leave at zero are put aside."""
    n_iter, _, kkt = form.descend(pairs, penalty, tol, min(2, max_iter))
    pairs = pairs.narrowed()
    more, objective, kkt = form.descend(pairs, penalty, tol, max(max_iter - n_iter, 1))
    pairs = pairs.narrowed()
    return pairs, Solution(pairs, objective, kkt, n_iter + more)


def _beyond(looked):
    keys, beyond, _ = looked
    return keys[beyond]


def path(form, penalties, *, start=None, tol=1e-6, max_iter=1000):
    """Yield a :class:`Solution` for each of ``penalties``, descending, each from the last one."""
    enter = None
    for k, penalty in enumerate(penalties):
        later = penalties[k + 1] if k + 1 < len(penalties) else None
        solution, enter = minimise(
            form, penalty, start=start, tol=tol, max_iter=max_iter, enter=enter, next_penalty=later
        )
        if solution.diverged:
            enter = None
        start = solution.pairs
        yield solution
        if solution.diverged:
            return
