"""What the Ising estimators may be asked for, and what goes together."""

import numbers

import numpy as np
import scipy.sparse as sp

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
from skebm.criteria.inverse_ising import THEORY

SYMMETRIZE = ("joint", "mean", "and", "or")


class Matrix:
    """A rule: None, or something like a matrix."""

    @staticmethod
    def check(name, value):
        if (
            value is not None
            and not hasattr(value, "shape")
            and not isinstance(value, (list, tuple))
        ):
            raise TypeError(f"{name} must be an array (n_features, n_features), got {value!r}.")


RULES = {
    "alpha": Number(numbers.Real, 0, also=("theory", "ebic")),
    "l1_ratio": Number(numbers.Real, 0, 1),
    "symmetrize": Choice(SYMMETRIZE),
    "penalize_field": Flag(),
    "mask": Matrix(),
    "refit": Flag(),
    "alphas": Alphas(),
    "ebic_gamma": Number(numbers.Real, 0),
    "tol": Number(numbers.Real, 0, above=True),
    "max_iter": positive_integer(),
    "warm_start": Flag(),
    "binarize": Number(numbers.Real, also=(None,)),
    "n_jobs": Jobs(),
    "random_state": RandomState(),
}


def check_together(estimator):
    """A ``ValueError`` if parameters that are right by themselves do not go together."""
    name, loss, alpha = type(estimator).__name__, estimator._loss, estimator.alpha
    if loss == "logrise" and estimator.symmetrize == "joint":
        raise ValueError(
            f"{name}: loss='logrise' is a criterion of each conditional alone, so symmetrize "
            "must be 'mean', 'and' or 'or', got 'joint'."
        )
    if not isinstance(alpha, str):
        return
    if alpha == "theory" and loss not in THEORY:
        raise ValueError(
            f"{name}: alpha='theory' is known for pseudolikelihood, RISE and logRISE only, "
            "give a number or 'ebic'."
        )
    if estimator.l1_ratio == 0:
        raise ValueError(
            f"{name}: alpha={alpha!r} chooses among sparse couplings and needs l1_ratio > 0, got "
            f"{estimator.l1_ratio!r}."
        )


def checked_mask(name, mask, p):
    """``mask`` as a bool matrix (p, p) that is false on its diagonal, or None."""
    if mask is None:
        return None
    try:
        mask = mask.toarray() if sp.issparse(mask) else np.asarray(mask)
    except ValueError as error:
        raise ValueError(
            f"{name}: mask must have shape ({p}, {p}), got rows of several lengths."
        ) from error
    if mask.shape != (p, p):
        raise ValueError(f"{name}: mask must have shape ({p}, {p}), got {mask.shape}.")
    if mask.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: mask must be bool, or hold 0 and 1, got values of type {mask.dtype}."
        )
    if len(odd := np.argwhere((mask != 0) & (mask != 1))):
        i, j = odd[0]
        raise ValueError(
            f"{name}: mask must be bool, or hold 0 and 1, found {mask[i, j]:g} at ({i}, {j})."
        )
    mask = mask.astype(bool)
    if (mask != mask.T).any():
        i, j = np.argwhere(mask != mask.T)[0]
        raise ValueError(
            f"{name}: mask must be symmetric, but its entries ({i}, {j}) and ({j}, {i}) differ."
        )
    return mask & ~np.eye(p, dtype=bool)


def check_known(estimator, name, spins, weights, shares=None):
    """A ``ValueError`` if rows tell nothing.

    With ``shares`` (p,), the weight of the rows of each conditional, every column needs a known
    value and every conditional a row; without, one known value is enough.
    """
    known = (spins[weights > 0] != 0).any(axis=0)
    if shares is None:
        if not known.any():
            raise ValueError(f"{name}: X has no known value.")
        return
    if not known.all():
        column = column_name(estimator, np.argmin(known))
        raise ValueError(f"{name}: X has no known value in {column}.")
    if not (shares > 0).all():
        column = column_name(estimator, np.argmin(shares))
        raise ValueError(
            f"{name}: X has no row where {column} and all columns that it may be coupled to are "
            "known; mask couplings or impute."
        )
