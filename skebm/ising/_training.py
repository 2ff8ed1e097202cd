"""What every Ising estimator does with its training data before it learns from them."""

from typing import NamedTuple

import numpy as np

from skebm._rows import Rows
from skebm._validation import check_binary, check_sample_weight
from skebm.criteria.spins import SpinSample
from skebm.ising._asked import check_known, checked_mask


class Training(NamedTuple):
    """What a model was trained on: distinct rows and their weights."""

    rows: Rows
    weights: np.ndarray


class Criterion(NamedTuple):
    """What a model was learned by, whatever the parameters of its estimator say by now.

    ``loss`` is a key of ``LOSSES``, or None for the likelihood; ``joint`` says whether one
    symmetric matrix was fitted; ``pairs`` (p, p) are those that could have a coupling, None all;
    ``selected`` says whether zero couplings are left out; ``ridge`` is the penalty on squares.
    """

    loss: str | None
    joint: bool
    pairs: np.ndarray | None
    selected: bool
    ridge: float
    penalize_field: bool

    @classmethod
    def of(cls, estimator, pairs, alpha):
        """That of an estimator's present parameters, with a penalty ``alpha``."""
        given = estimator.get_params(deep=False)
        l1_ratio, refit = given.get("l1_ratio", 0.0), bool(given.get("refit", False))
        return cls(
            loss=estimator._loss,
            joint=given.get("symmetrize", "joint") == "joint",
            pairs=pairs,
            selected=refit or alpha * l1_ratio > 0,
            ridge=0.0 if refit else alpha * (1.0 - l1_ratio),
            penalize_field=bool(given.get("penalize_field", False)),
        )


class Checked(NamedTuple):
    """Accepted data: ``training``, the mask (p, p) or None, dtype of the model, and coding.

    ``count`` is what one row weighs, 1 if weights can be counts and else their mean; ``counted``
    says which.
    """

    training: Training
    count: float
    counted: bool
    mask: np.ndarray | None
    dtype: type
    coding: tuple


def checked_data(estimator, X, sample_weight, *, allow_nan):
    """The :class:`Checked` data of a fit."""
    name = type(estimator).__name__
    rows, dtype, coding = check_binary(
        estimator, X, reset=True, training=True, allow_nan=allow_nan, sparse=True,
        probabilities=False,
    )  # fmt: skip
    weights = check_sample_weight(sample_weight, len(rows))
    mask = checked_mask(name, estimator.mask, rows.n_features)
    if (weights == 0).any():
        rows, weights = rows.keep(weights > 0), weights[weights > 0]
    counted = bool(weights.min() >= 1.0)
    count = 1.0 if counted else float(weights.mean())
    return Checked(Training(*rows.distinct(weights)), count, counted, mask, dtype, coding)


class Columns:
    """The sample of a fit, and which of its columns can have couplings.

    Those that are constant, or so but for one row, are ``rare``: they have none, and a field from
    counts. Where weights cannot be counts, so that no weight is known to be that of one row, only
    constant columns are.

    Parameters
    ----------
    estimator : BaseIsing
        What is fitted.
    checked : Checked
        Its data.
    """

    def __init__(self, estimator, checked):
        spins, weights = checked.training.rows.spins(), checked.training.weights
        self._up, self._known = _masses(spins, weights)
        fewer = np.minimum(self._up, self._known - self._up)
        few = (fewer <= 1.0) & (self._known > 2.0)
        self.rare = (few & checked.counted) | (fewer <= 1e-12 * self._known)
        self._half = checked.count / 2.0
        edges = ~np.eye(len(self.rare), dtype=bool) if checked.mask is None else checked.mask
        self.allowed = with_fields(edges & ~self.rare)
        self.allowed[self.rare] = False
        self.sample = SpinSample(spins, weights, self.allowed[:, :-1])
        check_known(estimator, type(estimator).__name__, spins, weights, self.sample.shares)

    def set_rare_fields(self, field):
        """Give rare columns half the log-odds of their counts, half a count added to each."""
        up, known = self._up[self.rare], self._known[self.rare]
        field[self.rare] = np.log((up + self._half) / (known - up + self._half)) / 2.0

    def warm_start(self, estimator):
        """Coefficients (p, p + 1) of the last model, learned or given, if it is asked for and fits,
        else None.
        """
        if not estimator.warm_start or not hasattr(estimator, "coupling_"):
            return None
        C = np.column_stack([estimator.coupling_, estimator.field_]).astype(np.float64)
        return np.where(self.allowed, C, 0.0) if C.shape == self.allowed.shape else None

    def attributes(self, coupling):
        """Fitted attributes that follow from the columns, and the number of edges."""
        return {
            "n_edges_": int(np.count_nonzero(coupling) // 2),
            "rare_": self.rare,
            "mean_": (self._up + self._half) / (self._known + 2.0 * self._half),
        }

    def complaint(self, estimator):
        """A sentence that names rare columns; empty if there are none."""
        columns = np.flatnonzero(self.rare)
        if not len(columns):
            return ""
        names = getattr(estimator, "feature_names_in_", None)
        shown = ", ".join(str(c) if names is None else repr(names[c]) for c in columns[:5])
        return (
            f"{type(estimator).__name__}: columns that are constant, or so but for one row, have "
            f"no couplings and a field from counts: {shown}{', ...' * (len(columns) > 5)} (see "
            "rare_)."
        )


def with_fields(edges):
    """(p, p + 1) with a last column of true."""
    return np.pad(edges, ((0, 0), (0, 1)), constant_values=True)


def _masses(spins, weights):
    """Weight of the rows where each spin is up, and where it is known, (p,) each."""
    up, known = np.zeros(spins.shape[1]), np.zeros(spins.shape[1])
    for low in range(0, len(spins), 4096):
        part, w = spins[low : low + 4096], weights[low : low + 4096, None]
        up += (w * (part > 0)).sum(axis=0)
        known += (w * (part != 0)).sum(axis=0)
    return up, known
