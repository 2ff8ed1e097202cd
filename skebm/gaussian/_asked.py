"""What the Gaussian estimators may be asked for, and what goes together."""

import numbers
from collections.abc import Iterable

import numpy as np

from skebm._validation import (
    Alphas,
    Choice,
    Flag,
    Jobs,
    Number,
    RandomState,
    column_name,
    positive_integer,
)
from skebm.criteria._support import WEIGHT_FUNCTIONS, Support, bounds_of

COVARIANCES = ("precomputed", "spearman", "kendall")


class SupportRule:
    """A rule: a named support, or a pair of bounds."""

    @staticmethod
    def check(name, value):
        accepted = f"{name} must be 'real', 'nonnegative' or a pair of bounds (low, high)"
        if isinstance(value, str):
            if value not in ("real", "nonnegative"):
                raise ValueError(f"{accepted}, got {value!r}.")
            return
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise TypeError(f"{accepted}, got {value!r}.")
        for bound in value:
            try:
                wrong = np.isnan(np.asarray(bound, dtype=np.float64)).any()
            except (TypeError, ValueError) as error:
                raise TypeError(f"{accepted} of numbers, got {value!r}.") from error
            if wrong:
                raise ValueError(f"{accepted} that are not NaN, got {value!r}.")


class MatrixRule:
    """A rule: None, or something like a matrix."""

    @staticmethod
    def check(name, value):
        if value is None or hasattr(value, "shape") or isinstance(value, (list, tuple)):
            return
        raise TypeError(f"{name} must be an array (n_features, n_features) or None, got {value!r}.")


class OptionalChoice(Choice):
    """A rule: one of a few values, or None."""

    def check(self, name, value):
        if value is None:
            return
        if not isinstance(value, str) or value not in self.options:
            options = ", ".join(repr(option) for option in self.options)
            raise ValueError(f"{name} must be None or one of {options}, got {value!r}.")


class SplitsRule:
    """A rule: None, a number of folds, a splitter of scikit-learn, or its splits."""

    @staticmethod
    def check(name, value):
        if value is None or hasattr(value, "split") or isinstance(value, Iterable):
            return
        if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
            return Number(numbers.Integral, 2).check(name, value)
        raise TypeError(
            f"{name} must be None, an integer >= 2, a splitter with a method split, or an iterable "
            f"of pairs of row numbers, got {value!r}."
        )


RULES = {
    "alpha": Number(numbers.Real, 0),
    "ridge": Number(numbers.Real, 0),
    "support": SupportRule(),
    "h": Choice(WEIGHT_FUNCTIONS),
    "h_cutoff": Number(numbers.Real, 0, above=True, also=(None,)),
    "standardize": Flag(),
    "assume_centered": Flag(),
    "covariance": OptionalChoice(COVARIANCES),
    "missing": Choice(("raise", "pairwise")),
    "alpha_weights": MatrixRule(),
    "ensure_pd": Choice(("warn", "ridge", "project")),
    "tol": Number(numbers.Real, 0, above=True),
    "max_iter": positive_integer(),
    "warm_start": Flag(),
    "n_jobs": Jobs(),
    "random_state": RandomState(),
}

CRITERIA = ("score_matching", "log_likelihood", "ebic", "stability")

SELECTION_RULES = {name: rule for name, rule in RULES.items() if name != "alpha"} | {
    "alphas": Alphas(),
    "criterion": Choice(CRITERIA),
    "cv": SplitsRule(),
    "ebic_gamma": Number(numbers.Real, 0),
    "n_subsamples": Number(numbers.Integral, 2),
    "stability_threshold": Number(numbers.Real, 0, 0.5, above=True),
    "one_se": Flag(),
    "refit": Flag(),
}


def check_together(estimator):
    """A ``ValueError`` if parameters that are right by themselves do not go together."""
    name = type(estimator).__name__
    if estimator.covariance is not None and not is_real(estimator):
        raise ValueError(
            f"{name}: covariance={estimator.covariance!r} is for support='real'; bounded data are "
            f"learned from rows, got support={estimator.support!r}."
        )
    if estimator.missing == "pairwise" and not is_real(estimator):
        raise ValueError(
            f"{name}: missing='pairwise' is for support='real', since bounded data need complete "
            f"rows, got support={estimator.support!r}."
        )
    if estimator.missing == "pairwise" and estimator.covariance is not None:
        raise ValueError(
            f"{name}: missing='pairwise' makes a covariance of its own, so covariance must be "
            f"None, got {estimator.covariance!r}."
        )
    if estimator.ensure_pd == "project" and not is_real(estimator):
        raise ValueError(
            f"{name}: ensure_pd='project' is for support='real', got support={estimator.support!r}."
        )


def check_selection(estimator):
    """A ``ValueError`` if what alpha is selected by does not go with the rest."""
    name, criterion = type(estimator).__name__, estimator.criterion
    if estimator.covariance == "precomputed":
        raise ValueError(
            f"{name}: covariance must be None, 'spearman' or 'kendall', got 'precomputed'. alpha "
            "is selected by rows; ScoreMatchingGaussian learns from a covariance at one alpha."
        )
    if criterion in ("log_likelihood", "ebic") and not is_real(estimator):
        raise ValueError(
            f"{name}: criterion={criterion!r} is for support='real', since inside bounds each "
            "likelihood would take a run of AIS, got "
            f"support={estimator.support!r}. 'score_matching' and 'stability' do without."
        )
    if estimator.one_se and criterion in ("ebic", "stability"):
        raise ValueError(
            f"{name}: one_se=True is for criterion='score_matching' or 'log_likelihood', whose "
            f"scores of several splits have a standard error, got criterion={criterion!r}."
        )


def is_real(estimator):
    """Whether the support is all real numbers: by its name, or since all bounds are infinite."""
    bounds = bounds_of(estimator.support)
    return not any(np.isfinite(np.asarray(bound, np.float64)).any() for bound in bounds)


def support_of(estimator, p):
    """The :class:`Support` of data with p columns, without a weight function's scale."""
    (low, high), name, bounds = bounds_of(estimator.support), type(estimator).__name__, []
    for which, bound in (("low", low), ("high", high)):
        bound = np.asarray(bound, dtype=np.float64)
        if bound.ndim and bound.shape != (p,):
            raise ValueError(
                f"{name}: {which} of support must be a number or ({p},) numbers, one per column, "
                f"got shape {bound.shape}."
            )
        bounds.append(np.broadcast_to(bound, (p,)))
    if not (bounds[0] < bounds[1]).all():
        j = int(np.argmin(bounds[0] < bounds[1]))
        raise ValueError(
            f"{name}: support must have low < high, got {bounds[0][j]:g} and {bounds[1][j]:g} for "
            f"column {j}."
        )
    cutoff = np.inf if estimator.h_cutoff is None else estimator.h_cutoff
    return Support(*bounds, estimator.h, cutoff)


def checked_weights(name, weights, p):
    """``alpha_weights`` as a float matrix (p, p), or None."""
    if weights is None:
        return None
    try:
        W = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: alpha_weights must be numbers in shape ({p}, {p}): {error}."
        ) from error
    if W.shape != (p, p):
        raise ValueError(f"{name}: alpha_weights must have shape ({p}, {p}), got {W.shape}.")
    np.fill_diagonal(W, 0.0)
    if np.isnan(W).any() or (W < 0).any():
        i, j = np.argwhere(np.isnan(W) | (W < 0))[0]
        raise ValueError(
            f"{name}: alpha_weights must not be negative or NaN, found {W[i, j]:g} at ({i}, {j})."
        )
    if (W != W.T).any():
        i, j = np.argwhere(W != W.T)[0]
        raise ValueError(
            f"{name}: alpha_weights must be symmetric, but its entries ({i}, {j}) and ({j}, {i}) "
            "differ."
        )
    return W


def check_symmetric(name, what, S, tolerance):
    """A ``ValueError`` if entries that mirror each other differ, in units of their diagonals.

    So large entries do not hide that small ones differ.
    """
    root = np.sqrt(np.abs(S.diagonal()))
    for low in range(0, len(S), 64):
        rows, columns = S[low : low + 64], S[:, low : low + 64].T
        apart = np.abs(rows - columns)
        if not apart.any():
            continue
        size = np.maximum(np.abs(rows), np.abs(columns))
        np.maximum(size, root[low : low + 64, None] * root, out=size)
        if (wrong := apart > tolerance * size).any():
            i, j = np.argwhere(wrong)[0] + (low, 0)
            raise ValueError(
                f"{name}: {what}, but its entries ({i}, {j}) and ({j}, {i}) are {S[i, j]:g} and "
                f"{S[j, i]:g}."
            )


def check_inside(estimator, X, support):
    """A ``ValueError`` that names the column of the first value outside the support."""
    outside = (X < support.low) | (X > support.high)
    if not outside.any():
        return
    i, j = np.argwhere(outside)[0]
    raise ValueError(
        f"{type(estimator).__name__}: X must lie between {support.low[j]:g} and "
        f"{support.high[j]:g} with support={estimator.support!r}, found {X[i, j]:g} in "
        f"{column_name(estimator, j)}."
    )
