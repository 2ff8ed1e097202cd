"""Losses of spins with elastic-net penalties: one symmetric matrix, or each conditional alone."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from skebm.criteria.spins import ConditionalLoss


class Point(NamedTuple):
    """Coefficients, losses by conditional, the same with ridge, and the gradient of their sum.

    ``C`` (p, p + 1), ``values`` and ``ridged`` (p,), ``slopes`` (p, p + 1) along the coefficients
    that move.
    """

    C: np.ndarray
    values: np.ndarray
    ridged: np.ndarray
    slopes: np.ndarray


@dataclass(frozen=True)
class Penalised:
    """sum_i loss_i + sum |l1 C| + sum ridge C^2 / 2 over coefficients C (p, p + 1).

    Parameters
    ----------
    loss : ConditionalLoss
        Losses of the conditionals.
    allowed : ndarray of shape (p, p + 1)
        Bool, coefficients that may differ from zero; never the diagonal.
    joint : bool
        Whether C without its last column is symmetric.
    penalize_field : bool
        Whether the last column is penalised too.
    l1, ridge : float
        Factors of the penalties.
    """

    loss: ConditionalLoss
    allowed: np.ndarray
    joint: bool
    penalize_field: bool
    l1: float = 0.0
    ridge: float = 0.0

    def at(self, alpha, l1_ratio):
        """The same with other penalties."""
        return replace(self, l1=alpha * l1_ratio, ridge=alpha * (1.0 - l1_ratio))

    @property
    def penalised(self):
        """1 where a coefficient is penalised, else 0, (p, p + 1)."""
        mask = np.ones(self.allowed.shape)
        mask[:, -1] = self.penalize_field
        return mask

    def penalty(self, C):
        """The penalties of each row, (p,)."""
        return ((self.l1 * np.abs(C) + 0.5 * self.ridge * C * C) * self.penalised).sum(axis=1)

    def symmetric(self, V):
        """The projection of slopes or steps on what may move."""
        V = np.where(self.allowed, V, 0.0)
        if self.joint:
            V[:, :-1] = (V[:, :-1] + V[:, :-1].T) / 2.0
        return V

    def at_point(self, C, precision=np.float64):
        """The :class:`Point` at coefficients ``C``: a pass over all rows."""
        values, slopes = self.loss(C, precision)
        ridge = self.ridge * self.penalised * C
        ridged = values + 0.5 * (ridge * C).sum(axis=1)
        return Point(C, values, ridged, self.symmetric(slopes + ridge))

    def noise(self, heights, precision=np.float64):
        """By how much objectives, of all that moves together, differ from rounding alone."""
        rounding = np.sqrt(len(self.loss.sample)) * np.finfo(np.float64).eps
        if precision != np.float64:
            rounding = np.finfo(precision).eps / 4.0  # of weights, alike in all rows
        return rounding * np.maximum(1.0, np.abs(heights))

    def summed(self, terms):
        """Sums over what moves together, to be multiplied with coefficients: (1, 1), or (p, 1)
        where each conditional is a problem of its own. ``terms`` (p,) or (p, p + 1)."""
        if self.joint:
            return np.reshape(terms.sum(), (1, 1))
        return terms.reshape(len(terms), -1).sum(axis=1, keepdims=True)

    def residuals(self, point):
        """How far each coefficient is from its optimality condition, (p, p + 1)."""
        C, slopes, l1 = point.C, point.slopes, self.l1 * self.penalised
        off = np.where(C != 0, np.abs(slopes + l1 * np.sign(C)), np.maximum(np.abs(slopes) - l1, 0))
        return off * self.allowed

    def start(self):
        """Independent spins with the means of the sample, (p, p + 1)."""
        C = np.zeros(self.allowed.shape)
        C[:, -1] = np.arctanh(np.clip(self.loss.sample.means, -1 + 1e-9, 1 - 1e-9))
        return C


class Solution(NamedTuple):
    """Where a search has ended, the largest residual there, and its steps."""

    point: Point
    residual: float
    n_iter: int

    @property
    def C(self):
        """Coefficients (p, p + 1)."""
        return self.point.C
