"""The job on binary data: restricted Boltzmann machines and Ising models."""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import Pipeline

from skebm import (
    CDRBM,
    PCDRBM,
    PseudoLikelihoodIsing,
    PseudoLikelihoodRBM,
    RatioMatchingIsing,
    RdmRBM,
)
from skebm._command._picture import draw_picture
from skebm._command._search import SEED, print_chosen, search
from skebm._jit import single_threaded_blas


def grid():
    """Candidates of all estimators, ours and scikit-learn's, for one search."""
    common = {"model__n_components": [16, 64], "model__n_iter": [30]}
    rates = {"model__learning_rate": [0.1, 0.03]}
    seed = {"random_state": SEED}
    by_chains = [CDRBM(**seed), PCDRBM(**seed), RdmRBM(**seed)]
    spins = [PseudoLikelihoodIsing(**seed), RatioMatchingIsing(**seed)]
    return [
        {"model": by_chains, **common, **rates},
        {"model": [PseudoLikelihoodRBM(**seed)], **common, "model__learning_rate": [0.03]},
        {"model": spins, "model__alpha": [0.1, 0.03, 0.01]},
        {"model": [BernoulliRBM(**seed)], **common, "model__learning_rate": [0.1, 0.03, 0.01]},
    ]


def run(data, figure):
    """Search, compare and draw; prints as it goes."""
    labels = np.zeros(len(data.X), dtype=int) if data.y is None else data.y
    X_train, X_test, y_train, y_test = train_test_split(
        data.X, labels, test_size=0.25, random_state=SEED, stratify=labels
    )
    print(f"{data.name}, {len(X_train)} training and {len(X_test)} test rows.")
    winners = _search(X_train)
    print("\nTest log-likelihood of the best of each, in nats per row (higher is better):\n")
    models = _compare(winners, X_train, X_test)
    print_chosen(winners)
    rbms = [model for model in models if hasattr(model, "transform")]
    if data.y is not None:
        _classify(rbms[0], X_train, X_test, y_train, y_test)
    draw_picture(rbms[0], rbms[:3], X_test, data.columns, figure)


def _search(X_train):
    with warnings.catch_warnings():
        # A peer that went astray, or whose log Z cannot be trusted, is seen in the table.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return search(Pipeline([("model", PCDRBM())]), grid(), _score, X_train)


def _score(pipeline, X):
    return _as_skebm(pipeline[-1]).score(X)


def _as_skebm(model):
    """scikit-learn's BernoulliRBM has no likelihood; its parameters have, given log Z."""
    if isinstance(model, BernoulliRBM):
        parameters = model.components_, model.intercept_visible_, model.intercept_hidden_
        return PCDRBM.from_parameters(*parameters, random_state=SEED)
    return model


def _compare(winners, X_train, X_test):
    """Refit the winners, print the table, return the models; the peer comes last."""
    heading = (
        f"{'estimator':<21} {'hidden':>6} {'rate':>5} {'alpha':>5}  {'log-likelihood':>16} "
        f"{'fit':>7}  log Z"
    )
    print(heading + "\n" + "-" * (len(heading) + 14))
    models = []
    for _, parameters in sorted(winners, key=lambda each: _is_peer(each[1])):
        pipeline = Pipeline([("model", parameters["model"])]).set_params(**parameters)
        started = time.perf_counter()
        fitted = pipeline.fit(X_train)[-1]
        seconds = time.perf_counter() - started
        models.append(_as_skebm(fitted))
        _print_row(type(fitted).__name__, fitted, models[-1], X_test, f"{seconds:.2f} s")
    independent = PCDRBM(1, n_iter=0, random_state=SEED).fit(X_train)
    _print_row("independent", None, independent, X_test, "")
    return models


def _is_peer(parameters):
    return isinstance(parameters["model"], BernoulliRBM)


def _print_row(name, fitted, model, X_test, seconds):
    scores = model.score_samples(X_test)
    stderr = scores.std(ddof=1) / np.sqrt(len(scores))
    hidden, rate, alpha = (
        f"{getattr(fitted, setting):g}" if hasattr(fitted, setting) else ""
        for setting in ("n_components", "learning_rate", "alpha")
    )
    print(
        f"{name:<21} {hidden:>6} {rate:>5} {alpha:>5}  {scores.mean():>8.3f} ± {stderr:.3f} "
        f"{seconds:>7}  "
        f"{model.log_partition_}",
        flush=True,
    )


def _classify(model, X_train, X_test, y_train, y_test):
    """What the hidden units are worth to a classifier."""
    with single_threaded_blas:  # threads would wait for each other, for many seconds
        hidden = LogisticRegression(max_iter=2000).fit(model.transform(X_train), y_train)
        pixels = LogisticRegression(max_iter=2000).fit(X_train, y_train)
    print(
        f"\nLogisticRegression on the hidden units of {type(model).__name__}, the best RBM: "
        f"{hidden.score(model.transform(X_test), y_test):.1%} of the test rows right; "
        f"on raw pixels: {pixels.score(X_test, y_test):.1%}."
    )
