"""Models at falling penalties, and how one of them is selected."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from skebm.criteria.score_matching import largest_penalty
from skebm.gaussian._fit import with_weight
from skebm.gaussian._learning import data_of, learn, learn_path, within

# Smallest penalty of a path, as a share of the one that leaves no edge.
_LOWEST = 0.05

# A path ends with the first graph whose variables have more neighbours than this on average.
_NEIGHBOURS = 50

# Penalties that a message names one by one.
_NAMED = 6


class Path(NamedTuple):
    """Falling ``alphas`` (k,), and the :class:`Solution` at each."""

    alphas: np.ndarray
    solutions: list


class Selected(NamedTuple):
    """Which of a path was selected, and what by; ``stability`` of its edges if that is known."""

    place: int
    results: dict
    stability: np.ndarray | None = None
    remark: str = ""


class Troubles:
    """Penalties at which something was not as it should be, and the rows it was learned from."""

    def __init__(self, estimator):
        self.estimator, self.slow, self.lost = estimator, {}, {}

    def note(self, where, alphas, solutions):
        """Look at solutions at the first of some penalties."""
        for alpha, solution in zip(alphas, solutions):
            if solution.diverged:
                self.lost.setdefault(float(alpha), []).append(where)
            elif not solution.kkt <= self.estimator.tol:
                self.slow.setdefault(float(alpha), []).append(where)

    def sentences(self):
        """One for each kind of trouble."""
        if self.lost:
            yield (
                f"the loss has no minimum at {_listed(self.lost)}, since there are "
                "directions in which the data do not vary; such alphas were left out or scored "
                "as worst. Raise alphas or ridge."
            )
        if self.slow:
            yield (
                f"max_iter={self.estimator.max_iter} sweeps left violations of a condition above "
                f"tol={self.estimator.tol:g} at {_listed(self.slow)}. Raise max_iter, alphas or "
                "ridge."
            )


def _listed(found):
    """'alpha = 0.2, 0.1 (all rows, split 3)'."""
    alphas = sorted(found, reverse=True)
    shown = ", ".join(f"{alpha:.3g}" for alpha in alphas[:_NAMED])
    if len(alphas) > _NAMED:
        shown += f", ... {alphas[-1]:.3g}"
    places = list(dict.fromkeys(where for alpha in alphas for where in found[alpha]))
    return f"alpha = {shown} ({', '.join(places[:_NAMED])}{', ...' * (len(places) > _NAMED)})"


# -- paths -------------------------------------------------------------------------------------


def whole_path(estimator, data, start, troubles):
    """The :class:`Path` of all rows; it ends before a penalty that leaves the loss no minimum."""
    p, most = len(data.scale), np.inf
    if np.ndim(estimator.alphas):
        alphas = np.sort(np.asarray(estimator.alphas, dtype=np.float64))[::-1]
    else:
        alphas, most = _spaced(estimator, data), 0.5 * p * _NEIGHBOURS
    solutions = _followed(estimator, data, alphas, start, most)
    troubles.note("all rows", alphas, solutions)
    if len(solutions) > 1 and solutions[-1].diverged:
        solutions.pop()
    return Path(alphas[: len(solutions)], solutions)


def _spaced(estimator, data):
    """Penalties from the largest useful one down, even in their logarithms."""
    tol = estimator.tol
    top = tol
    if len(data.kept):
        top = max(largest_penalty(data.form(estimator.ridge), tol), tol)
    return np.unique(np.geomspace(top, max(_LOWEST * top, tol), estimator.alphas))[::-1]


def _followed(estimator, data, alphas, start=None, most=np.inf):
    solutions = []
    for solution in learn_path(
        data, alphas, estimator.ridge, start=start, tol=estimator.tol, max_iter=estimator.max_iter
    ):
        solutions.append(solution)
        if len(solution.pairs) > most:
            break
    return solutions


def refitted(estimator, data, solution):
    """The data with the edges of a solution alone, and what is learned from them without alpha."""
    data = within(data, solution.pairs.narrowed())
    return data, learn(
        data, 0.0, estimator.ridge, start=solution.pairs, tol=estimator.tol,
        max_iter=estimator.max_iter,
    )  # fmt: skip


def _kept(estimator, data, alphas, solutions, where, troubles):
    """The solutions as they would be kept: refitted, if that is what the estimator does."""
    if not estimator.refit:
        return solutions
    kept = [refitted(estimator, data, solution)[1] for solution in solutions]
    troubles.note(f"refits of {where}", alphas, kept)
    return kept


def some_data(estimator, X, weights, where):
    """What is learned from some of the rows, by their name."""
    X, weights = with_weight(X, weights)
    with _told(estimator, where):
        if not len(X):
            raise ValueError("no row with a weight.")
        return data_of(estimator, X, weights)


def some_solutions(estimator, data, alphas, where, troubles, start=None):
    """Solutions at as many penalties as have one, from the first one on."""
    solutions = _followed(estimator, data, alphas, start)
    troubles.note(where, alphas, solutions)
    return [solution for solution in solutions if not solution.diverged]


@contextmanager
def _told(estimator, where):
    """Errors tell which of the rows they are about."""
    try:
        yield
    except ValueError as error:
        said = str(error).removeprefix(f"{type(estimator).__name__}: ")
        raise ValueError(f"{type(estimator).__name__}: in {where}, {said}") from error


# -- criteria ----------------------------------------------------------------------------------


def by_splits(estimator, data, X, weights, path, troubles):
    """By the mean loss or likelihood of rows that a model has not seen."""
    from sklearn.model_selection import check_cv  # takes long to import

    splits = list(check_cv(estimator.cv).split(X))
    if not splits:
        raise ValueError(
            f"{type(estimator).__name__}: cv has no splits; an iterator that was used up has "
            "none left, a list can be used again."
        )
    scores = np.full((len(splits), len(path.alphas)), -np.inf)
    for k, (train, test) in enumerate(splits):
        where = f"split {k}"
        learned = some_data(estimator, X[train], weights[train], where)
        solutions = some_solutions(estimator, learned, path.alphas, where, troubles)
        judge = _judge(estimator, learned, X[test], weights[test], f"the held-out part of {where}")
        kept = _kept(estimator, learned, path.alphas, solutions, where, troubles)
        scores[k, : len(kept)] = [_score(estimator, judge, solution) for solution in kept]
    return _selected_by_scores(estimator, scores)


def _judge(estimator, data, X, weights, where):
    X, weights = with_weight(X, weights)
    with _told(estimator, where):
        if not len(X):
            raise ValueError("no row with a weight.")
        return data.judge(estimator, X, weights)


def _score(estimator, judge, solution):
    if solution.diverged:
        return -np.inf
    if estimator.criterion == "log_likelihood":
        return judge.log_likelihood(solution.pairs)
    return -judge.loss(solution.pairs)


def _selected_by_scores(estimator, scores):
    mean = scores.mean(axis=0)
    with np.errstate(invalid="ignore"):
        spread = scores.std(axis=0)
    results = {f"split{k}_test_score": each for k, each in enumerate(scores)}
    results |= {"mean_test_score": mean, "std_test_score": spread}
    place = int(np.argmax(mean))
    if not np.isfinite(mean[place]):
        remark = (
            "no alpha has a finite score in all splits of cv, so that the largest one was taken. "
            "Raise alphas or ridge."
        )
        return Selected(0, results, remark=remark)
    if estimator.one_se and len(scores) > 1:
        error = spread[place] / np.sqrt(len(scores) - 1)
        place = int(np.argmax(mean >= mean[place] - error))
    return Selected(place, results)


def by_ebic(estimator, data, X, weights, path, troubles):
    """By the extended Bayesian information criterion (Foygel and Drton 2010)."""
    n, p = float(weights.sum()), len(data.scale)
    judge = data.judge_itself(*with_weight(X, weights))
    kept = _kept(estimator, data, path.alphas, path.solutions, "all rows", troubles)
    likelihoods = np.array([judge.log_likelihood(each.pairs) for each in kept])
    edges = np.array([len(each.pairs.narrowed()) for each in path.solutions])
    price = np.log(n) + 4.0 * estimator.ebic_gamma * np.log(p)
    ebic = -2.0 * n * likelihoods + edges * price
    results = {"ebic": ebic, "log_likelihood": n * likelihoods}
    if not np.isfinite(ebic).any():
        remark = (
            "no precision of the path is positive definite, so that the largest alpha was taken."
        )
        return Selected(0, results, remark=remark)
    return Selected(int(np.argmin(ebic)), results)
