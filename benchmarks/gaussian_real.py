"""Held-out log-likelihood of Gaussian models on real data, beside scikit-learn's.

Rows are split at random several times. Every model learns from one part, where it also chooses
what it has to choose, and is scored on the other: mean log-likelihood per row in nats, of columns
that were centred and scaled by the first part. ``seconds`` is a fit with all of its choices.
"""

import warnings

import numpy as np
from sklearn.covariance import GraphicalLassoCV, LedoitWolf
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.preprocessing import StandardScaler

from benchmarks.adapters import timed
from benchmarks.data import read_arrays
from benchmarks.gaussian_optimum import n_edges
from benchmarks.processes import in_fresh_process
from benchmarks.settings import label

_TEST_SHARE = 0.25
_WARM_COLUMNS = 6


def densities(problem, folder):
    """Measure a problem, each row in a new process."""
    for source in dict.fromkeys(row["source"] for row in problem["rows"]):
        continuous(source, folder)  # what is missing is missed now
    for row in problem["rows"]:
        yield in_fresh_process(measure, row, folder)


def continuous(name, folder):
    """A data set (n, p) of real numbers; intensities of sachs as logarithms."""
    if name == "wine":
        return load_wine().data
    if name == "breast cancer":
        return load_breast_cancer().data
    if name == "sachs":
        return np.log(read_arrays(folder, "continuous/sachs_cyto_full")["X"])
    arrays = read_arrays(folder, "continuous/riboflavin")
    return arrays["x"] if name == "riboflavin" else arrays["x"][:, _largest(arrays["x"], 100)]


def _largest(X, k):
    """The ``k`` columns that vary most."""
    return np.sort(np.argsort(X.var(axis=0))[-k:])


def parts(X, splits):
    """(train, test) of every split, in units of the train part."""
    for train, test in ShuffleSplit(splits, test_size=_TEST_SHARE, random_state=0).split(X):
        scaler = StandardScaler().fit(X[train])
        yield scaler.transform(X[train]), scaler.transform(X[test])


# -- models ----------------------------------------------------------------------------------


def estimator_of(row):
    """What is fitted: an estimator that chooses its parameters itself, or a search over them."""
    import skebm

    grid, params = row.get("grid"), row.get("params", {})
    made = {
        "independent": lambda: GaussianMixture(covariance_type="diag"),
        "LedoitWolf": LedoitWolf,
        "GraphicalLassoCV": GraphicalLassoCV,
        "GaussianMixture": lambda: GaussianMixture(random_state=0),
        "ScoreMatchingGaussian": lambda: skebm.ScoreMatchingGaussian(ensure_pd="ridge"),
        "ScoreMatchingGaussianCV": lambda: skebm.ScoreMatchingGaussianCV(ensure_pd="ridge"),
    }[row["estimator"]]()
    made.set_params(**params)
    return GridSearchCV(made, grid) if grid else made


def chosen_of(fitted):
    """The chosen parameters in words, and the model itself."""
    if isinstance(fitted, GridSearchCV):
        words = ", ".join(f"{key} {_shown(value)}" for key, value in fitted.best_params_.items())
        return words, fitted.best_estimator_
    return f"alpha {fitted.alpha_:.3g}" if hasattr(fitted, "alpha_") else "", fitted


def _shown(value):
    return f"{value:.3g}" if isinstance(value, float) else value


# -- rows ------------------------------------------------------------------------------------


def measure(row, folder):
    """The line of a row: its mean over splits."""
    X = continuous(row["source"], folder)
    found, seconds, edges, chosen = [], [], [], ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of candidates that do not converge
        estimator_of(row).fit(next(parts(X[:, :_WARM_COLUMNS], 1))[0])
        for train, test in parts(X, row["splits"]):
            each, fitted = timed(estimator_of(row).fit, train)
            words, model = chosen_of(fitted)
            found.append(model.score(test))
            seconds.append(each)
            chosen = chosen or words
            is_one = hasattr(model, "covariance_")  # and no mixture
            edges.append(n_edges(model.get_precision()) if is_one else np.nan)
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "source": row["source"],
        "model": row["model"],
        "n_rows": len(X),
        "n_features": X.shape[1],
        "splits": len(found),
        "loglik": float(np.mean(found)),
        "loglik_sd": float(np.std(found, ddof=1)) if len(found) > 1 else np.nan,
        "edges": float(np.mean(edges)),
        "params": chosen,
        "seconds": float(np.median(seconds)),
    }
