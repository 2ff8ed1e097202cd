"""Noises inside of bounds: uniform in a box, and truncated normals."""

import numbers

import numpy as np

from skebm._validation import Number
from skebm.energies import IndependentNormals
from skebm.nce._noise import DRAWS, EdgesRule, Noise, check_inside, checked_edges, moments
from skebm.nce._noise_continuous import INFLATION


class UniformNoise(Noise):
    """Uniform noise in a box: that of the support, or one around the data.

    Binary data have the corners of the unit cube for a box.

    Parameters
    ----------
    inflation : float, default=1.3
        Width of the box over the range of the data, at least 1, where there is no edge.
    low : float, array-like of shape (n_features,) or None, default=None
        Lower edges; None, or -inf, leaves them to the data.
    high : float, array-like of shape (n_features,) or None, default=None
        Upper edges; None, or inf, leaves them to the data.

    Attributes
    ----------
    low_, high_ : ndarray of shape (n_features,)
        The box.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    M. U. Gutmann, A. Hyvärinen (2012). Noise-contrastive estimation of unnormalized statistical
    models, with applications to natural image statistics. JMLR 13, section 2.4.

    Examples
    --------
    >>> from skebm.nce import UniformNoise
    >>> noise = UniformNoise(inflation=2.0, low=0.0).fit([[1.0], [3.0]])
    >>> float(noise.low_[0]), float(noise.high_[0])
    (0.0, 4.0)
    """

    kinds = ("real", "binary")
    bounded = True
    _rules = {  # noqa: RUF012
        "inflation": Number(numbers.Real, 1),
        "low": EdgesRule(),
        "high": EdgesRule(),
    }

    def __init__(self, inflation=1.3, *, low=None, high=None):
        self.inflation = inflation
        self.low = low
        self.high = high

    def _fit(self, X, weights):
        low, high = checked_edges("UniformNoise", self.low, self.high, X.shape[1])
        check_inside("UniformNoise", X, low, high)
        least, most = X.min(axis=0), X.max(axis=0)
        middle, reach = least + (most - least) / 2.0, self.inflation * (most - least) / 2.0
        self.low_ = np.where(np.isfinite(low), low, np.minimum(middle - reach, least))
        self.high_ = np.where(np.isfinite(high), high, np.maximum(middle + reach, most))
        _require_width(X, self.low_, self.high_)

    def _sample(self, n_samples, entropy):
        uniform = self._generator(entropy).random((n_samples, self.n_features_in_))
        return self.low_ + (self.high_ - self.low_) * uniform

    def _log_prob(self, X):
        inside = ((self.low_ <= X) & (self.high_ >= X)).all(axis=1)
        return np.where(inside, -np.log(self.high_ - self.low_).sum(), -np.inf)


def _require_width(X, low, high):
    if (low < high).all():
        return
    column = int(np.argmin(low < high))
    raise ValueError(
        f"UniformNoise: column {column} of X is constant ({X[0, column]:g}), so that a box "
        "around it has no width. Leave the column out, or give low and high."
    )


class TruncatedNoise(Noise):
    """Independent normals, cut to the support: noise for non-negative or bounded data.

    Parameters
    ----------
    inflation : float, default=1.3
        Factor on the standard deviations of the data, which those of the normals before they
        are cut are; positive.
    low : float, array-like of shape (n_features,) or None, default=None
        Lower edges; None is none.
    high : float, array-like of shape (n_features,) or None, default=None
        Upper edges; None is none.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Means of the data, those of the normals before they are cut.
    scale_ : ndarray of shape (n_features,)
        Standard deviations of the normals before they are cut.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    N. L. Johnson, S. Kotz, N. Balakrishnan (1994). Continuous univariate distributions, vol. 1,
    section 13.10.

    Examples
    --------
    >>> from skebm.nce import TruncatedNoise
    >>> noise = TruncatedNoise(low=0.0).fit([[0.5], [2.0]])
    >>> bool((noise.sample(1000, random_state=0) >= 0).all())
    True
    """

    bounded = True
    _rules = {"inflation": INFLATION, "low": EdgesRule(), "high": EdgesRule()}  # noqa: RUF012

    def __init__(self, inflation=1.3, *, low=None, high=None):
        self.inflation = inflation
        self.low = low
        self.high = high

    def _fit(self, X, weights):
        edges = checked_edges("TruncatedNoise", self.low, self.high, X.shape[1])
        check_inside("TruncatedNoise", X, *edges)
        self.location_, spread = moments("TruncatedNoise", X, weights)
        self.scale_ = self.inflation * spread
        self._normals = IndependentNormals(self.location_, self.scale_**-2.0, *edges)

    def _sample(self, n_samples, entropy):
        return self._normals.sample(n_samples, (*entropy, DRAWS))

    def _log_prob(self, X):
        return self._normals.log_density(X)
