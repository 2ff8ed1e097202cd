"""What rows say of a fitted precision matrix: which rows, and of which estimate."""

from typing import NamedTuple

import numpy as np

from skebm._jit import single_threaded_blas
from skebm._validation import check_real, check_sample_weight, column_name
from skebm.criteria._residual_rows import residual_errors
from skebm.energies._definite import is_positive_definite
from skebm.gaussian import _errors
from skebm.gaussian._asked import check_inside
from skebm.gaussian._covariance import constant_columns, least_of, location_and_variance


class Judged(NamedTuple):
    """An estimate (p, p), its standard errors, and degrees of freedom (p,), infinite if normal.

    ``location_errors`` (p,) are those of the location.
    """

    estimate: np.ndarray
    errors: np.ndarray
    degrees: np.ndarray
    location_errors: np.ndarray


def evidence(estimator, name, X, sample_weight):
    """Rows (n, p) and their weights (n,), of X or of the training data."""
    terms = estimator._terms
    if terms.covariance in ("spearman", "kendall"):
        raise ValueError(f"{name} is not known with covariance={terms.covariance!r}.")
    if X is None:
        if sample_weight is not None:
            raise ValueError(f"{name}: sample_weight is of the rows of X, which was not given.")
        if estimator._training is None:
            learned = "learned from a covariance" if terms.covariance else "given"
            raise ValueError(f"{name} needs X, since the model was {learned}, not from rows.")
        return estimator._training
    X = check_real(
        estimator, X, reset=False, allow_nan=terms.missing == "pairwise",
        remedy="missing='pairwise' takes NaN",
    )  # fmt: skip
    weights = check_sample_weight(sample_weight, len(X))
    check_inside(estimator, X, terms.support)
    return X[weights > 0], weights[weights > 0]


def judged_itself(estimator, name, X, weights):
    """:class:`Judged` of the estimate, of the debiased one if L1 or zeros had a part in it."""
    terms = estimator._terms
    if not terms.support.is_real:
        return _inside(estimator, name, X, weights)
    sample, room, K = _sampled(estimator, name, X, weights)
    if terms.penalised or terms.restricted:
        return _judged(sample, room, *_errors.one_step(sample, room, K))
    if sample.known is not None and least_of(sample.S, 0.0) < 0:
        raise ValueError(
            f"{name} is not known of a covariance that had negative eigenvalues and was repaired; "
            "with alpha > 0 it is."
        )
    ridge = terms.ridge if terms.standardize else 0.0
    errors = _errors.errors_of_inverse(sample, room, K, ridge)
    return _judged(sample, room, estimator.precision_, errors)


def judged_debiased(estimator, name, X, weights):
    """:class:`Judged` of the debiased estimate."""
    terms = estimator._terms
    if terms.support.is_real:
        ridge_alone = terms.ridge > 0 and not (terms.penalised or terms.restricted)
        sample, room, K = _sampled(estimator, name, X, weights, inverted=ridge_alone)
        return _judged(sample, room, *_errors.one_step(sample, room, K))
    if terms.ridge:
        raise ValueError(
            f"{name} inside bounds needs a fit without a ridge, whose bias is not known there, got "
            f"ridge={terms.ridge:g}."
        )
    return _inside(estimator, name, X, weights)


def _judged(sample, room, estimate, errors):
    location = sample.scale * sample.lost / np.sqrt(sample.totals - sample.lost)
    return Judged(estimate, errors, room.degrees, np.where(sample.constant, np.nan, location))


def _sampled(estimator, name, X, weights, inverted=False):
    """The :class:`Sample`, the :class:`Room` that the model leaves in it, and its scaled K.

    Or, if ``inverted``, that of the model without any penalty.
    """
    seen = ~np.isnan(X).all(axis=0)
    if not seen.all():
        column = column_name(estimator, int(np.argmin(seen)))
        raise ValueError(f"{name}: X has no known value in {column}.")
    sample = _errors.Sample.of(X, weights, estimator._terms.assume_centered)
    if sample.shared is not None and not (sample.shared > 0).all():
        i, j = (column_name(estimator, int(k)) for k in np.argwhere(sample.shared <= 0)[0])
        raise ValueError(f"{name}: X has no row where {i} and {j} are both known.")
    K = _inverse(name, sample) if inverted else estimator.precision_ * sample.factors
    room = _errors.room(sample, K)
    if not (room.shrinkage > 0).all():
        i = int(np.argmin(room.shrinkage))
        raise ValueError(
            f"{name}: {column_name(estimator, i)} has {np.count_nonzero(K[i]) - 1:,} neighbours, "
            f"too many for {sample.totals[i]:g} rows (their total weight). Raise alpha or ridge."
        )
    return sample, room, K


def _inverse(name, sample):
    if not is_positive_definite(sample.S):
        raise ValueError(
            f"{name}: the covariance of the rows has no inverse. With a ridge alone it takes more "
            "rows than variables; with alpha > 0 it does not."
        )
    with single_threaded_blas:
        K = np.linalg.inv(sample.S)
    return (K + K.T) / 2.0


def _inside(estimator, name, X, weights):
    """:class:`Judged` of the estimate inside bounds, by the sandwich."""
    terms, scale, p = estimator._terms, estimator.scale_, X.shape[1]
    if terms.penalised:
        raise ValueError(
            f"{name} inside bounds needs a fit without L1, got alpha={terms.alpha:g}: alpha=0, or "
            "alpha_weights that are 0 for the pairs to learn and infinite for others."
        )
    location, variance = location_and_variance(estimator, X, weights)
    kept = np.flatnonzero(~constant_columns(X, location, variance))
    factors, among = np.outer(scale, scale), np.ix_(kept, kept)
    K = (estimator.precision_ * factors)[among]
    try:
        found = residual_errors(
            (X / scale)[:, kept], terms.support.scaled(scale).of_columns(kept), K,
            K @ (estimator.location_ / scale)[kept], sample_weight=weights, ridge=terms.ridge,
            assume_centered=terms.assume_centered,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    errors, of_location = np.full((p, p), np.nan), np.full(p, np.nan)
    errors[among], of_location[kept] = found.precision, found.location
    normal = np.full(p, np.inf)
    return Judged(estimator.precision_.copy(), errors / factors, normal, of_location * scale)
