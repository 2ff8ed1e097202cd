"""What the jobs share: one search over estimators by likelihood, and its winners."""

import sys

import numpy as np
from sklearn.model_selection import GridSearchCV, ParameterGrid

SEED, N_FOLDS = 0, 3


def search(pipeline, grid, score, X):
    """(mean score, parameters) of the best candidate of each estimator, best first.

    ``score(fitted, X)`` takes a fitted pipeline and rows held out; ``grid`` is that of
    ``GridSearchCV``, and may have any estimators as values of ``model``.
    """
    candidates = ParameterGrid(grid)
    kinds = {type(each["model"]) for each in candidates}
    print(
        f"One search over {len(candidates)} candidates of {len(kinds)} estimators, {N_FOLDS} folds "
        "each, by held-out log-likelihood.\nThe first fit compiles the kernels, once per machine.",
        flush=True,
    )
    progress = _Progress(score, len(candidates) * N_FOLDS)
    search = GridSearchCV(pipeline, grid, cv=N_FOLDS, scoring=progress, refit=False).fit(X)
    progress.close()
    means, parameters = search.cv_results_["mean_test_score"], search.cv_results_["params"]
    _report_failures(means, parameters)
    return _winners(means, parameters)


class _Progress:
    """A scorer that shows how far the search is, and the best mean so far, which it chooses by."""

    def __init__(self, score, total):
        self.score, self.total, self.done = score, total, 0
        self.folds, self.best = {}, -np.inf

    def __call__(self, pipeline, X, y=None):
        score = self.score(pipeline, X)
        self.done += 1
        candidate = type(pipeline[-1]), repr(pipeline[-1].get_params())
        folds = self.folds.setdefault(candidate, [])
        folds.append(score)
        if len(folds) == N_FOLDS and np.mean(folds) > self.best:
            self.best = np.mean(folds)
        if sys.stdout.isatty():
            print(f"\r{self._line()}", end="", flush=True)
        elif self.done % 10 == 0 and self.done < self.total:
            print(self._line(), flush=True)
        return score

    def _line(self):
        best = f", best mean of {N_FOLDS} folds so far {self.best:.3f} nats"
        return f"  {self.done}/{self.total} fits{best if np.isfinite(self.best) else ''}"

    def close(self):
        """The last line."""
        print(f"\r{self._line()}" if sys.stdout.isatty() else self._line(), flush=True)


def _report_failures(means, parameters):
    """Estimators some of whose candidates have no likelihood."""
    failed = [type(each["model"]).__name__ for m, each in zip(means, parameters)
              if not np.isfinite(m)]  # fmt: skip
    if failed:
        counts = ", ".join(f"{failed.count(name)} of {name}" for name in dict.fromkeys(failed))
        print(f"Candidates that failed, or whose likelihood is not to be trusted: {counts}.")


def _winners(means, parameters):
    best = {}
    for score, each in zip(means, parameters):
        kind = type(each["model"])
        if np.isfinite(score) and (kind not in best or score > best[kind][0]):
            best[kind] = score, each
    return sorted(best.values(), key=lambda entry: -entry[0])


def print_chosen(winners):
    """The best of a search, which has not seen the test rows."""
    score, parameters = winners[0]
    print(
        f"\nChosen by held-out log-likelihood, {score:.3f} nats in the mean of {N_FOLDS} folds: "
        f"{type(parameters['model']).__name__}."
    )
