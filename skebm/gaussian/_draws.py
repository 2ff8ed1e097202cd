"""Draws of a fitted Gaussian model, and what it makes of unknown entries."""

import numpy as np
from scipy import linalg
from sklearn.utils.validation import check_is_fitted

from skebm._jit import single_threaded_blas, threads
from skebm._rng import draw_entropy
from skebm._validation import RandomState, check_parameters, positive_integer
from skebm.gaussian._asked import check_inside
from skebm.samplers import START, conditional_mean, sample

_EXACT = 23  # purpose of random numbers

_RULES = {
    "n_samples": positive_integer(),
    "n_gibbs_steps": positive_integer(),
    "random_state": RandomState(),
}


class DrawsReals:
    """Sampling and imputation of the Gaussian estimators."""

    def sample(self, n_samples=1, *, n_gibbs_steps=1000, random_state=None):
        """Draw from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        n_gibbs_steps : int, default=1000
            Inside bounds: Gibbs sweeps of the chain that each row is the end of. On the reals
            draws are exact.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Independent rows, float64.

        Raises
        ------
        ValueError
            If ``precision_`` is not positive definite, so that there is no distribution.

        Examples
        --------
        >>> from skebm import ScoreMatchingGaussian
        >>> model = ScoreMatchingGaussian.from_parameters(
        ...     [[1.0, 0.0], [0.0, 4.0]], [0.0, 0.0], support="nonnegative"
        ... )
        >>> X = model.sample(4000, n_gibbs_steps=1, random_state=0)
        >>> X.mean(axis=0).round(1)  # sqrt(2 / pi) and half of it
        array([0.8, 0.4])
        """
        check_is_fitted(self)
        values = {
            "n_samples": n_samples, "n_gibbs_steps": n_gibbs_steps, "random_state": random_state,
        }  # fmt: skip
        check_parameters(_RULES, values, "sample")
        energy, entropy = self._energy(), draw_entropy(random_state)
        with threads(self.n_jobs):
            if not energy.bounded.any():
                return energy.exact_sample(n_samples, (*entropy, _EXACT))
            states = energy.base(self._marginals()).sample(n_samples, (*entropy, START))
            return sample(energy, states, n_gibbs_steps, entropy)

    def impute(self, X, *, n_gibbs_steps=1000, random_state=None):
        """Replace the unknown entries of each row by their mean given the known ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data; NaN marks the unknown.
        n_gibbs_steps : int, default=1000
            Inside bounds: Gibbs sweeps averaged over, after as many of burn-in. On the reals means
            are exact.
        random_state : None, int, RandomState or Generator, default=None
            Seed of these; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            E[x_i | known entries] where X is NaN, else X.

        Raises
        ------
        ValueError
            If there is no distribution, or if a known entry is outside of it.

        Examples
        --------
        >>> from skebm import ScoreMatchingGaussian
        >>> model = ScoreMatchingGaussian.from_parameters([[2.0, -1.0], [-1.0, 2.0]], [0.0, 1.0])
        >>> model.impute([[3.0, np.nan], [np.nan, np.nan]])
        array([[3. , 2.5],
               [0. , 1. ]])
        """
        check_is_fitted(self)
        values = {"n_gibbs_steps": n_gibbs_steps, "random_state": random_state}
        rules = {name: _RULES[name] for name in values}
        check_parameters(rules, values, "impute")
        X, energy = self._real(X, allow_nan=True), self._energy()
        check_inside(self, X, self._terms.support)
        energy.require_density()
        with threads(self.n_jobs):
            if not energy.bounded.any():
                return _filled(X, energy.precision, energy.location)
            base = energy.base(self._marginals())
            return conditional_mean(energy, X, n_gibbs_steps, base, draw_entropy(random_state))


def _filled(X, precision, location):
    """Conditional means of a Gaussian on the reals, the rows with the same gaps together."""
    X, unknown = X.copy(), np.isnan(X)
    patterns, which = np.unique(unknown, axis=0, return_inverse=True)
    for k, gaps in enumerate(patterns):
        if not gaps.any():
            continue
        rows = np.flatnonzero(which.ravel() == k)
        known = X[rows][:, ~gaps] - location[~gaps]
        with single_threaded_blas:
            pull = known @ precision[np.ix_(~gaps, gaps)]
            shift = linalg.solve(precision[np.ix_(gaps, gaps)], pull.T, assume_a="pos").T
        X[np.ix_(rows, gaps)] = location[gaps] - shift
    return X
