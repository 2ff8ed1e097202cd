"""What every noise is: a distribution that is fitted to data, drawn from, and normalised."""

from abc import ABC, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skebm._base import all_or_nothing
from skebm._jit import single_threaded_blas
from skebm._rng import draw_entropy, host_generator
from skebm._validation import check_parameters, check_sample_weight, positive_integer
from skebm.nce._sums import weighted_sum

DRAWS = 139  # purpose of random numbers

REAL, BINARY = "real", "binary"

# Least eigenvalue of a correlation matrix below which columns count as collinear, and by how much
# correlations are then shrunk.
_COLLINEAR, _SHRUNK = 1e-6, 0.1


class Noise(BaseEstimator, ABC):
    """Base of the noises that come with this package.

    ``kinds`` says what data a noise is for, ``bounded`` whether it can stay inside of bounds, and
    ``is_conditional`` whether it steps from rows instead of having a density of its own.
    """

    kinds = (REAL,)
    bounded = False
    is_conditional = False
    _rules = {}  # noqa: RUF012

    def fit(self, X, sample_weight=None):
        """Fit the noise to data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data; binary ones as 0 and 1.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; a row of weight 2 counts as two rows, one of weight 0 not at all.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data do not suit this noise; the message names the column.
        """
        check_parameters(self._rules, self.get_params(deep=False), type(self).__name__)
        X, weights = _checked_data(self, X, sample_weight)
        with all_or_nothing(self):
            self.n_features_in_ = X.shape[1]
            self._fit(X, weights)
        return self

    def sample(self, n_samples=1, random_state=None):
        """Independent draws.

        Parameters
        ----------
        n_samples : int, default=1
            Rows.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
        """
        check_is_fitted(self)
        positive_integer().check(f"{type(self).__name__}: n_samples", n_samples)
        return self._sample(n_samples, draw_entropy(random_state))

    def log_prob(self, X):
        """Normalised log-probability or log-density.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; binary ones as 0 and 1.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Nats; -inf where the noise never is.
        """
        check_is_fitted(self)
        return self._log_prob(checked_rows(self, X))

    @abstractmethod
    def _fit(self, X, weights):
        """Set fitted attributes from rows (n, p) and their positive weights (n,)."""

    @abstractmethod
    def _sample(self, n_samples, entropy):
        """Draws, a function of ``entropy``."""

    @abstractmethod
    def _log_prob(self, X):
        """Log-densities of checked rows."""

    def _generator(self, entropy):
        return host_generator(entropy, DRAWS)


# -- checks ------------------------------------------------------------------------------------


def _checked_data(noise, X, sample_weight):
    """Rows that count, (n, p) float64, and their weights."""
    name = type(noise).__name__
    X = _table(name, X)
    weights = check_sample_weight(sample_weight, len(X))
    X, weights = X[weights > 0], weights[weights > 0]
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise ValueError(
            f"{name}: X must be finite, found {X[row, column]:g} in column {column}, row {row}."
        )
    if noise.kinds == (BINARY,) and not ((X == 0) | (X == 1)).all():
        row, column = np.argwhere((X != 0) & (X != 1))[0]
        raise ValueError(
            f"{name}: X must hold 0 and 1, found {X[row, column]:g} in column {column}; noises of "
            "real data are 'gaussian', 'student_t', 'mixture', 'uniform' and 'conditional'."
        )
    return X, weights


def checked_rows(noise, X):
    """Rows as a float64 array with as many columns as the noise was fitted to."""
    name = type(noise).__name__
    X = _table(name, X)
    if X.shape[1] != noise.n_features_in_:
        raise ValueError(
            f"{name}: X has {X.shape[1]} features, but the noise was fitted to "
            f"{noise.n_features_in_}."
        )
    return X


def _table(name, X):
    try:
        X = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: X must be a table of numbers: {error}.") from error
    if X.ndim != 2 or not X.size:
        raise ValueError(
            f"{name}: X must have shape (n_samples, n_features), none of them 0, got {X.shape}."
        )
    return X


def checked_edges(name, low, high, p):
    """Edges of a box, each (p,) float64; None is none."""
    edges = []
    for word, edge, nothing in (("low", low, -np.inf), ("high", high, np.inf)):
        try:
            edge = np.asarray(nothing if edge is None else edge, dtype=np.float64)
            edges.append(np.broadcast_to(edge, (p,)).copy())
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name}: {word} must be a number or an array of shape ({p},), got {edge!r}."
            ) from error
    if not (edges[0] < edges[1]).all():
        i = int(np.argmin(edges[0] < edges[1]))
        raise ValueError(
            f"{name}: low must be less than high, they are {edges[0][i]:g} and {edges[1][i]:g} for "
            f"column {i}."
        )
    return edges


def check_inside(name, X, low, high):
    """A ``ValueError`` if a row lies outside of the box."""
    outside = (X < low) | (X > high)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise ValueError(
            f"{name}: X must lie between low and high, found {X[row, column]:g} in column "
            f"{column}, outside of [{low[column]:g}, {high[column]:g}]."
        )


class EdgesRule:
    """A rule: None, a number, or an array of them, none of which is NaN."""

    @staticmethod
    def check(name, value):
        if value is None:
            return
        try:
            wrong = np.isnan(np.asarray(value, dtype=np.float64)).any()
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} must be None, a number or an array of numbers, got {value!r}."
            ) from error
        if wrong:
            raise ValueError(f"{name} must not be NaN, got {value!r}.")


# -- what noises are fitted by -----------------------------------------------------------------


def moments(name, X, weights):
    """Weighted means and standard deviations, (p,) each, of columns that vary."""
    share = weights / weights.sum()
    mean = weighted_sum(share, X)
    apart = X - mean
    reach = np.abs(apart).max(axis=0)
    constant = (X == X[0]).all(axis=0) | (reach <= 8 * np.finfo(float).eps * np.abs(mean))
    if constant.any():
        column = int(np.argmax(constant))
        rows = " X has 1 sample." if len(X) == 1 else ""
        raise ValueError(
            f"{name}: column {column} of X is constant ({X[0, column]:g}), so that noise around it "
            f"has no width.{rows} Leave the column out, or give a noise of your own."
        )
    return mean, reach * np.sqrt(weighted_sum(share, (apart / reach) ** 2))


def correlations(X, weights, mean, spread):
    """Weighted correlations (p, p), shrunk where columns are collinear so that an inverse exists.

    Noise has to cover the data, not to equal them: what is shrunk is only wider in directions in
    which the data do not vary.
    """
    Z = (X - mean) / spread * np.sqrt(weights / weights.sum())[:, None]
    with single_threaded_blas:
        C = Z.T @ Z
        C = (C + C.T) / 2.0
        np.fill_diagonal(C, 1.0)
        if np.linalg.eigvalsh(C)[0] < _COLLINEAR:
            C *= 1.0 - _SHRUNK
            np.fill_diagonal(C, 1.0)
    return C
