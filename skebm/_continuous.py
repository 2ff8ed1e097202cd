"""The second job of ``python -m skebm``: Gaussian models of continuous data, and their graph."""

import time
import warnings

import numpy as np
from sklearn.covariance import GraphicalLasso
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skebm import ScoreMatchingGaussian
from skebm._picture import draw_graph

SEED = 0

# Edges that are listed, and share of false ones among those that are counted.
_LISTED, _FDR = 5, 0.05


def grid():
    """Candidates of all estimators for one search."""
    alphas = {"model__alpha": [0.3, 0.1, 0.03]}
    mixture = GaussianMixture(reg_covar=1e-3, random_state=SEED)
    return [
        {"model": [ScoreMatchingGaussian()], **alphas, "model__ridge": [0.0, 0.01, 0.03]},
        {"model": [GraphicalLasso()], **alphas},
        {
            "model": [mixture],
            "model__n_components": [1, 2, 3],
            "model__covariance_type": ["diag", "full"],
        },
    ]


def run(name, X, columns, figure):
    """Search, compare, list the edges and draw them; prints as it goes."""
    train, test = train_test_split(X, test_size=0.25, random_state=SEED)
    print(f"\n{name}, {len(train)} training and {len(test)} test rows, columns standardised.")
    winners = _winners(_search(train))
    print("\nTest log-likelihood of the best of each, in nats per row (higher is better):\n")
    print(_HEADING + "\n" + "-" * len(_HEADING))
    models = [_compare(score, parameters, train, test) for score, parameters in winners]
    _compare(None, {"model": GaussianMixture(1, covariance_type="diag")}, train, test)
    print(f"\nChosen by held-out log-likelihood: {type(models[0][-1]).__name__}.")
    for scale, model in models:
        if isinstance(model, ScoreMatchingGaussian):
            _list_edges(model, columns)
            draw_graph(model, scale.transform(train), columns, figure)


def _search(train):
    candidates, n_folds = grid(), 3
    n = sum(int(np.prod([len(values) for values in part.values()])) for part in candidates)
    print(
        f"One search over {n} candidates of three estimators, {n_folds} folds each, by held-out "
        "log-likelihood …",
        flush=True,
    )
    pipeline = Pipeline([("scale", StandardScaler()), ("model", ScoreMatchingGaussian())])
    with warnings.catch_warnings():
        # Candidates that have no minimum, or cannot be scored, come last.
        for category in (ConvergenceWarning, FitFailedWarning, RuntimeWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        return GridSearchCV(pipeline, candidates, cv=n_folds, refit=False).fit(train).cv_results_


def _winners(results):
    """(mean held-out score, parameters) of the best candidate of each estimator, best first."""
    best = {}
    for score, parameters in zip(results["mean_test_score"], results["params"]):
        kind = type(parameters["model"])
        if np.isfinite(score) and (kind not in best or score > best[kind][0]):
            best[kind] = score, parameters
    return sorted(best.values(), key=lambda entry: -entry[0])


def _compare(score, parameters, train, test):
    """Refit a winner, print its line, and return it; without a score the baseline."""
    pipeline = Pipeline([("scale", StandardScaler()), ("model", parameters["model"])])
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.set_params(**parameters).fit(train)
    seconds = time.perf_counter() - started
    model = pipeline[-1]
    rows = _score_samples(model, pipeline[:-1].transform(test))
    name = "independent" if score is None else type(model).__name__
    settings = {} if score is None else parameters
    shown = ", ".join(f"{key[7:]} {value}" for key, value in settings.items() if key != "model")
    held_out = "" if score is None else f"{score:.3f}"
    print(
        f"{name:<21} {shown:<36} {held_out:>8}  {rows.mean():>8.3f} ± "
        f"{rows.std(ddof=1) / np.sqrt(len(rows)):.3f} {seconds:>6.2f} s",
        flush=True,
    )
    return pipeline


def _score_samples(model, X):
    """Log-likelihood of each row; scikit-learn's covariance estimators know their mean only."""
    if isinstance(model, GraphicalLasso):
        given = ScoreMatchingGaussian.from_parameters(model.precision_, model.location_)
        return given.score_samples(X)
    return model.score_samples(X)


def _list_edges(model, columns):
    """How many edges are sure, and the strongest of them with intervals."""
    tests, partial = model.edge_pvalues(fdr=_FDR), model.partial_correlation_
    print(
        f"\n{type(model).__name__} has {model.n_edges_} edges; {tests.graph.nnz // 2} pairs are "
        "not independent given all others, at a false discovery rate of "
        f"{_FDR:.0%}.\nThe strongest:"
    )
    rows, ends = np.triu_indices(len(partial), 1)
    strongest = np.argsort(-np.abs(partial[rows, ends]), kind="stable")[:_LISTED]
    for i, j in zip(rows[strongest], ends[strongest]):
        print(
            f"  {columns[i]} – {columns[j]}: partial correlation {partial[i, j]:+.2f}, "
            f"p = {tests.adjusted[i, j]:.1g}"
        )


_HEADING = f"{'estimator':<21} {'settings':<36} {'held out':>8}  {'log-likelihood':>16} {'fit':>8}"
