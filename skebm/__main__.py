"""``python -m skebm``: choose a model of data by its likelihood and show what it learned."""

import argparse
import sys
import time
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import Pipeline

from skebm import (
    CDRBM,
    PCDRBM,
    PseudoLikelihoodIsing,
    PseudoLikelihoodRBM,
    RatioMatchingIsing,
    RdmRBM,
    __version__,
    _continuous,
)
from skebm._picture import draw_picture

SEED = 0

# What reading a file that is no matrix has been seen to raise.
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def main(arguments=None):
    """Run the command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    figure = Path(options.figure)
    if figure.suffix.lower() != ".png" or not figure.absolute().parent.is_dir():
        parser.error(f"--figure must be a .png file in a folder that exists, got {figure}")
    try:
        jobs = [_read(options.data)] if options.data else [_digits(), _measurements()]
    except _UNREADABLE as error:
        print(f"skebm: cannot read {options.data}: {error}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Blank pixels are no news: an Ising model says of each fit that they have no couplings.
        warnings.filterwarnings("ignore", ".*no couplings and a field from counts", UserWarning)
        for name, X, y, columns in jobs:
            if columns is None:
                run(name, X, y, options.figure)
            else:
                path = figure if options.data else figure.with_stem(f"{figure.stem}-graph")
                _continuous.run(name, X, columns, path)
    print(f"\nDone in {time.perf_counter() - started:.0f} s.")
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m skebm",
        description=(
            "Fits restricted Boltzmann machines and Ising models by several principles, chooses "
            "between them by held-out log-likelihood in nats in one grid search, and compares the "
            "winners with scikit-learn's BernoulliRBM and with independent units on test data. "
            "Of continuous data it does the same with Gaussian models, and shows their graph. "
            "Without --data it uses scikit-learn's handwritten digits, binarised, and its breast "
            "cancer measurements; nothing is downloaded."
        ),
    )
    parser.add_argument("--version", action="version", version=f"skebm {__version__}")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="a matrix of your own, binary or continuous, rows are samples: .npz (key X, or its "
        "only array) or .csv (numbers, comma-separated, one header line allowed)",
    )
    parser.add_argument(
        "--figure",
        metavar="PNG",
        default="skebm.png",
        help="where the picture goes, if matplotlib is installed (default: %(default)s)",
    )
    return parser


# -- data --------------------------------------------------------------------------------------


def _digits():
    digits = load_digits()
    return "digits, 8 × 8 pixels", (digits.data >= 8).astype(np.float32), digits.target, None


def _measurements():
    cancer = load_breast_cancer()
    return "Breast cancer, 30 measurements", cancer.data, None, list(cancer.feature_names)


def _read(path):
    """(name, X, None, None) of a file with a binary matrix; of others columns' names come last."""
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        X, columns = _only_array(path), None
    elif suffix == ".csv":
        X, columns = _read_csv(path)
    else:
        raise ValueError(
            f"a .npz or a .csv file is needed, not {suffix or 'a file without ending'}"
        )
    if X.ndim != 2 or len(X) < 20 or X.shape[1] < 1:
        raise ValueError(f"a matrix of at least 20 rows is needed, found shape {X.shape}")
    values = np.unique(X)
    if np.isin(values, (0, 1)).all() or np.isin(values, (-1, 1)).all():
        return Path(path).name, (X > 0).astype(np.float32), None, None
    if len(values) <= 3 or X.shape[1] < 2:
        raise ValueError(
            f"entries must be 0 and 1, or -1 and 1, or two columns of continuous numbers and more; "
            f"found {values[:5].tolist()} (a header line of numbers counts as a row)"
        )
    X = np.asarray(X, dtype=np.float64)
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise ValueError(f"found {X[row, column]} in row {row}, column {column}; impute it first")
    return Path(path).name, X, None, columns or [f"column {j}" for j in range(X.shape[1])]


def _only_array(path):
    with np.load(path, allow_pickle=False) as file:
        if "X" in file.files:
            return file["X"]
        if len(file.files) != 1:
            raise ValueError(f"no array named X among {sorted(file.files)}")
        return file[file.files[0]]


def _read_csv(path):
    """The matrix, and the names of its columns if it has a header."""
    with open(path, encoding="utf-8-sig") as file:
        columns = file.readline().strip().split(",")
        try:
            [float(word) for word in columns]
            file.seek(0)
            columns = None
        except ValueError:
            pass  # a header, read and left behind
        return np.loadtxt(file, delimiter=",", ndmin=2), columns


# -- the job -----------------------------------------------------------------------------------


def run(name, X, y, figure):
    """Search, compare and draw; prints as it goes."""
    labels = np.zeros(len(X), dtype=int) if y is None else y
    X_train, X_test, y_train, y_test = train_test_split(
        X, labels, test_size=0.25, random_state=SEED, stratify=labels
    )
    print(f"skebm {__version__}: {name}, {len(X_train)} training and {len(X_test)} test rows.")
    results = _search(X_train).cv_results_
    winners = _winners(results)
    print("\nTest log-likelihood of the best of each, in nats per row (higher is better):\n")
    models = _compare(winners, X_train, X_test)
    # By the search, which has not seen the test rows.
    print(f"\nChosen by held-out log-likelihood: {type(models[0]).__name__}.")
    rbms = [model for model in models if hasattr(model, "transform")]
    if y is not None:
        _classify(rbms[0], X_train, X_test, y_train, y_test)
    draw_picture(rbms[0], rbms[:3], X_test, figure)


def _grid():
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


def _search(X_train):
    grid = _grid()
    candidates = sum(np.prod([len(values) for values in part.values()]) for part in grid)
    n_folds = 3
    progress = _LikelihoodScore(int(candidates) * n_folds)
    search = GridSearchCV(
        Pipeline([("model", PCDRBM())]), grid, cv=n_folds, scoring=progress, refit=False
    )
    print(
        f"One search over {candidates} candidates of seven estimators, {n_folds} folds each, by "
        "held-out log-likelihood.\nThe first fit compiles the kernels, once per machine."
    )
    with warnings.catch_warnings():
        # A peer that went astray, or whose log Z cannot be trusted, is seen in the table.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return search.fit(X_train)


class _LikelihoodScore:
    """Scores any RBM by its normalised log-likelihood, and shows how far the search is."""

    def __init__(self, total):
        self.total, self.done, self.best = total, 0, -np.inf

    def __call__(self, pipeline, X, y=None):
        score = _as_skebm(pipeline[-1]).score(X)
        self.done += 1
        self.best = max(self.best, score)
        line = f"  {self.done}/{self.total} fits, best fold so far {self.best:.3f} nats"
        if sys.stdout.isatty():
            print(f"\r{line}", end="\n" if self.done == self.total else "", flush=True)
        elif self.done % 10 == 0 or self.done == self.total:
            print(line, flush=True)
        return score


def _as_skebm(model):
    """scikit-learn's BernoulliRBM has no likelihood; its parameters have, given log Z."""
    if isinstance(model, BernoulliRBM):
        parameters = model.components_, model.intercept_visible_, model.intercept_hidden_
        return PCDRBM.from_parameters(*parameters, random_state=SEED)
    return model


def _winners(results):
    """The best candidate of each estimator, ours first, the best of them leading."""
    best = {}
    for score, parameters in zip(results["mean_test_score"], results["params"]):
        kind = type(parameters["model"])
        if kind not in best or score > best[kind][0]:
            best[kind] = score, parameters
    ranked = sorted(best.values(), key=lambda entry: -entry[0])
    ranked.sort(key=lambda entry: isinstance(entry[1]["model"], BernoulliRBM))
    return [parameters for _, parameters in ranked]


def _compare(winners, X_train, X_test):
    """Refit the winners, print the table, return the models."""
    heading = (
        f"{'estimator':<21} {'hidden':>6} {'rate':>5} {'alpha':>5}  {'log-likelihood':>16} "
        f"{'fit':>7}  log Z"
    )
    print(heading + "\n" + "-" * (len(heading) + 14))
    models = []
    for parameters in winners:
        pipeline = Pipeline([("model", parameters["model"])]).set_params(**parameters)
        started = time.perf_counter()
        fitted = pipeline.fit(X_train)[-1]
        seconds = time.perf_counter() - started
        models.append(_as_skebm(fitted))
        _print_row(type(fitted).__name__, fitted, models[-1], X_test, f"{seconds:.2f} s")
    independent = PCDRBM(1, n_iter=0, random_state=SEED).fit(X_train)
    _print_row("independent", None, independent, X_test, "")
    return models


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
    hidden = LogisticRegression(max_iter=2000).fit(model.transform(X_train), y_train)
    pixels = LogisticRegression(max_iter=2000).fit(X_train, y_train)
    print(
        f"\nLogisticRegression on the hidden units of {type(model).__name__}, the best RBM: "
        f"{hidden.score(model.transform(X_test), y_test):.1%} of the test rows right; "
        f"on raw pixels: {pixels.score(X_test, y_test):.1%}."
    )


if __name__ == "__main__":
    sys.exit(main())
