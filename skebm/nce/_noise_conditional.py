"""Steps from rows of the data: noise whose density cancels."""

import numbers

import numpy as np

from skebm._rng import draw_entropy, host_generator
from skebm._validation import Number, positive_integer
from skebm.nce._noise import (
    EdgesRule,
    Noise,
    check_inside,
    checked_edges,
    checked_rows,
    moments,
)

_STEPS = 138  # purpose of random numbers


class ConditionalNoise(Noise):
    """Steps from rows of the data, Gaussian and independent in each column.

    A step from x to y is as likely as one back, so that the density of the noise cancels from
    conditional noise-contrastive estimation; as it has no density of its own, log Z is not
    learned with it. At the edges of a support steps are reflected, which keeps them symmetric.

    Parameters
    ----------
    eps : float, default=1.0
        Standard deviation of a step over that of the column, positive. Small steps make the
        criterion that of score matching.
    low : float, array-like of shape (n_features,) or None, default=None
        Lower edges of the support.
    high : float, array-like of shape (n_features,) or None, default=None
        Upper edges.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)
        Standard deviations of steps.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    C. Ceylan, M. U. Gutmann (2018). Conditional noise-contrastive estimation of unnormalised
    models. ICML.

    Examples
    --------
    >>> from skebm.nce import ConditionalNoise
    >>> noise = ConditionalNoise(0.5).fit([[-1.0], [1.0]])
    >>> noise.pairs([[0.0], [10.0]], 3, random_state=0).shape
    (6, 1)
    """

    bounded = True
    is_conditional = True
    _rules = {  # noqa: RUF012
        "eps": Number(numbers.Real, 0, above=True),
        "low": EdgesRule(),
        "high": EdgesRule(),
    }

    def __init__(self, eps=1.0, *, low=None, high=None):
        self.eps = eps
        self.low = low
        self.high = high

    def pairs(self, X, n_per_row=1, random_state=None):
        """Steps from rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_per_row : int, default=1
            Steps from each row.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples * n_per_row, n_features), float64
            Where the steps lead, those of the first row first.
        """
        positive_integer().check("ConditionalNoise: n_per_row", n_per_row)
        X, (low, high) = checked_rows(self, X), self._edges
        check_inside("ConditionalNoise", X, low, high)
        Y = np.repeat(X, n_per_row, axis=0)
        steps = host_generator(draw_entropy(random_state), _STEPS).standard_normal(Y.shape)
        return _reflected(Y + steps * self.scale_, low, high)

    def sample(self, n_samples=1, random_state=None):
        """Conditional noise has no draws without rows that it steps from.

        Parameters
        ----------
        n_samples : int, default=1
            Ignored.
        random_state : None, default=None
            Ignored.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("ConditionalNoise steps from given rows: use pairs(X).")

    def log_prob(self, X):
        """Conditional noise has no density without the rows that it steps from.

        Parameters
        ----------
        X : array-like
            Ignored.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("ConditionalNoise has no density of its own; that of a step cancels.")

    def _fit(self, X, weights):
        self._edges = checked_edges("ConditionalNoise", self.low, self.high, X.shape[1])
        check_inside("ConditionalNoise", X, *self._edges)
        self.scale_ = self.eps * moments("ConditionalNoise", X, weights)[1]

    def _sample(self, n_samples, entropy):
        raise NotImplementedError

    def _log_prob(self, X):
        raise NotImplementedError


def _reflected(X, low, high):
    """X folded into the box at its edges, in place."""
    for i, (a, b) in enumerate(zip(low, high)):
        x, length = X[:, i], b - a
        if np.isfinite(length):
            X[:, i] = np.clip(a + length - np.abs((x - a) % (2.0 * length) - length), a, b)
        elif np.isfinite(a):
            X[:, i] = a + np.abs(x - a)
        elif np.isfinite(b):
            X[:, i] = b - np.abs(b - x)
    return X
