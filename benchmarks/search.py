"""One ``GridSearchCV`` over estimators of different kinds and principles, by held-out likelihood.

Candidates learn from the train part and are chosen by mean log-likelihood on the valid part; the
chosen one learns from both, and it alone is scored on the test part. Every row of the problem is
one candidate: an estimator, and values of its parameters.
"""

import numpy as np
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import Pipeline

from benchmarks.data import load
from benchmarks.processes import in_fresh_process
from benchmarks.settings import label

PARAMETERS = ("n_components", "n_iter", "alpha")


def searches(problem, folder):
    """Every row of the problem, from one search in a new process."""
    yield from in_fresh_process(measure, problem["rows"], folder)


def measure(rows, folder):
    """Results of all candidates; the search is run twice, as the first one compiles."""
    data = load(rows[0]["data"], folder)
    search(rows, data)
    found = search(rows, data)
    chosen = scored(found, data.test)
    empty = dict.fromkeys(chosen, "")
    return [
        candidate_row(row, k, found.cv_results_, data)
        | (chosen if k == found.best_index_ else empty)
        for k, row in enumerate(rows)
    ]


def search(rows, data):
    """The fitted search over all candidates; the valid part is what is held out."""
    part = np.repeat([-1, 0], [len(data.train), len(data.valid)])
    return GridSearchCV(
        Pipeline([("model", candidate(rows[0]))]), list(map(grid, rows)), cv=PredefinedSplit(part)
    ).fit(np.concatenate([data.train, data.valid]))


def grid(row):
    """One candidate as a grid of a single point."""
    given = {f"model__{name}": [row[name]] for name in PARAMETERS if name in row}
    return {"model": [candidate(row)], **given}


def candidate(row):
    """The estimator of a row with its defaults."""
    import skebm

    return getattr(skebm, row["estimator"])(random_state=0)


def candidate_row(row, k, results, data):
    """What the search says about candidate ``k``, and the sizes of the three parts."""
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "data": row["data"],
        "n_features": data.train.shape[1],
        "n_rows": len(data.train),
        "n_held_out": len(data.valid),
        "n_test": len(data.test),
        "seconds": results["mean_fit_time"][k],
        "score_seconds": results["mean_score_time"][k],
        "held_out": results["mean_test_score"][k],
    }


def scored(found, X):
    """The chosen model on the test part: mean log-likelihood, error of the rows, and its log Z."""
    model = found.best_estimator_[-1]
    each = model.score_samples(X)
    return {
        "loglik": each.mean(),
        "stderr_rows": each.std(ddof=1) / np.sqrt(len(X)),
        "stderr_log_z": model.log_partition_.stderr,
        "method": model.log_partition_.method,
    }
