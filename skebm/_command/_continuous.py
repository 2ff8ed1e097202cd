"""The job on continuous data: Gaussian models, and their graph."""

import time
import warnings

import numpy as np
from scipy.stats import norm
from sklearn.covariance import EmpiricalCovariance, GraphicalLasso
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skebm import NCEEstimator, ScoreMatchingGaussian
from skebm._command._graph import print_edges, sure_pairs
from skebm._command._picture import draw_graph
from skebm._command._search import N_FOLDS, SEED, print_chosen, search

# Columns beyond which a fit of some peers takes minutes.
_MOST_COLUMNS = 100

# Columns beyond which noise is too far from the data.
_MOST_CONTRASTED = 40

# Share below zero from which a normal distribution is a poor model of what is never negative.
_BELOW = 0.05


def grid(n_rows, n_columns):
    """Candidates of all estimators, ours and scikit-learn's, for one search."""
    alphas = {"model__alpha": [0.3, 0.1, 0.03]}
    # With more columns than rows the loss seldom has a minimum without a ridge.
    ridges = {"model__ridge": [0.0, 0.03] if n_rows > n_columns else [0.03, 0.3]}
    ours = ScoreMatchingGaussian(max_iter=5000)  # columns may be nearly collinear
    mixture = GaussianMixture(covariance_type="full", random_state=SEED)
    # Its inner problems solved well, it converges more often, and in less time.
    lasso = GraphicalLasso(enet_tol=1e-8, max_iter=1000)
    parts = [{"model": [ours], **alphas, **ridges}, {"model": [EmpiricalCovariance()]}]
    if n_columns <= _MOST_COLUMNS:
        parts.append({"model": [lasso], **alphas})
        parts.append({"model": [mixture], "model__n_components": [1, 2, 3]})
    if n_columns <= _MOST_CONTRASTED:
        noises = {"model__noise": ["gaussian", "student_t"], "model__noise_ratio": [3, 10]}
        parts.append({"model": [NCEEstimator(random_state=SEED)], **noises})
    return parts


def run(data, figure):
    """Search, compare, list the edges and draw them; prints as it goes."""
    train, test = train_test_split(data.X, test_size=0.25, random_state=SEED)
    print(f"{data.name}, {len(train)} training and {len(test)} test rows, columns standardised.")
    _print_remarks(train, data.columns)
    n_learned = len(train) - -(-len(train) // N_FOLDS)
    with warnings.catch_warnings():
        # Candidates that have no minimum, or cannot be scored, are counted.
        for category in (ConvergenceWarning, FitFailedWarning, RuntimeWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        winners = search(
            _pipeline(ScoreMatchingGaussian()), grid(n_learned, train.shape[1]), _score, train
        )
        print("\nTest log-likelihood of the best of each, in nats per row (higher is better):\n")
        models = _compare(winners, train, test)
    print_chosen(winners)
    for scale, model in models:
        if isinstance(model, ScoreMatchingGaussian):
            print_edges(model, data.columns)
            draw_graph(model, scale.transform(train), sure_pairs(model), data.columns, figure)


def _print_remarks(train, columns):
    """What the search leaves out, if anything."""
    if train.shape[1] > _MOST_COLUMNS:
        print(f"More than {_MOST_COLUMNS} columns: GraphicalLasso and GaussianMixture stay out.")
    if train.shape[1] > _MOST_CONTRASTED:
        print(f"More than {_MOST_CONTRASTED} columns: NCEEstimator stays out.")
    low = train.min(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = norm.cdf(-train.mean(axis=0) / train.std(axis=0))
    if (low >= 0).all() and below.max() > _BELOW:
        j = int(np.argmax(below))
        print(
            f"No value is negative, but a normal distribution has {below[j]:.0%} of {columns[j]} "
            'below 0:\nsee ScoreMatchingGaussian(support="nonnegative").'
        )


def _pipeline(model):
    return Pipeline([("scale", StandardScaler()), ("model", model)])


def _score(pipeline, X):
    model = _with_likelihood(pipeline[-1])
    if isinstance(model, NCEEstimator) and not model.log_partition_.converged:
        return np.nan
    return model.score(pipeline[:-1].transform(X))


def _with_likelihood(model):
    """scikit-learn's covariance estimators have no likelihood of a row; their parameters have."""
    if isinstance(model, EmpiricalCovariance):
        return ScoreMatchingGaussian.from_parameters(model.get_precision(), model.location_)
    return model


def _compare(winners, train, test):
    """Refit the winners, print the table, return the pipelines."""
    print(_HEADING + "\n" + "-" * len(_HEADING))
    pipelines = [_pipeline(parameters["model"]).set_params(**parameters)
                 for _, parameters in winners]  # fmt: skip
    for (score, parameters), pipeline in zip(winners, pipelines):
        name, settings = type(parameters["model"]).__name__, _settings(parameters)
        _fit_and_print(name, settings, f"{score:.3f}", pipeline, train, test)
    independent = _pipeline(GaussianMixture(covariance_type="diag"))
    _fit_and_print("independent", "", "", independent, train, test)
    return pipelines


def _settings(parameters):
    chosen = {key.split("__")[1]: value for key, value in parameters.items() if key != "model"}
    return ", ".join(
        f"{key} {value if isinstance(value, str) else format(value, 'g')}"
        for key, value in chosen.items()
    )


_HEADING = (
    f"{'estimator':<21} {'settings':<31} {'held out':>8}  {'log-likelihood':>16} {'fit':>8}  log Z"
)


def _fit_and_print(name, settings, held_out, pipeline, train, test):
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        pipeline.fit(train)
    seconds = time.perf_counter() - started
    model = _with_likelihood(pipeline[-1])
    rows = model.score_samples(pipeline[:-1].transform(test))
    doubt = any(issubclass(each.category, ConvergenceWarning) for each in said)
    print(
        f"{name:<21} {settings:<31} {held_out:>8}  {rows.mean():>8.3f} ± "
        f"{rows.std(ddof=1) / np.sqrt(len(rows)):.3f} {seconds:>6.2f} s  {_log_partition(model)}"
        f"{', not converged' if doubt else ''}",
        flush=True,
    )


def _log_partition(model):
    if isinstance(model, GaussianMixture):
        return "of each component (exact)" if model.n_components > 1 else "exact"
    return model.log_partition_
