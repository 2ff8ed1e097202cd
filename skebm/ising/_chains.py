"""Draws of spins from a fitted Ising model, freely or given some of them."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import Choice, RandomState, check_parameters, positive_integer
from skebm.samplers import START, conditional_mean, conditional_sample, sample, sample_thinned

# Most spins that draws are made by enumeration for unless asked otherwise.
ENUMERATED_SPINS = 20

_EXACT = 19  # purpose of random numbers

RULES = {
    "n_samples": positive_integer(),
    "n_gibbs_steps": positive_integer(),
    "n_chains": positive_integer(None),
    "thin": positive_integer(),
    "method": Choice(("auto", "exact", "gibbs")),
    "random_state": RandomState(),
}


class DrawsSpins:
    """Sampling methods of the Ising estimators."""

    def sample(
        self,
        n_samples=1,
        *,
        n_gibbs_steps=1000,
        n_chains=None,
        thin=1,
        X_init=None,
        method="auto",
        random_state=None,
    ):
        """Draw from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; with ``X_init`` it is the number of rows of that.
        n_gibbs_steps : int, default=1000
            Gibbs sweeps of every chain before its first row. A model with separate modes may
            need many more.
        n_chains : int or None, default=None
            Chains; None gives each row one of its own, and the rows are independent. With fewer
            chains than rows each gives several, ``thin`` sweeps apart: row r is of chain r modulo
            ``n_chains``.
        thin : int, default=1
            Sweeps between two rows of one chain.
        X_init : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Where the chains start, one for each row; None means independent spins with the means
            of the training data (in the model's fields after ``from_parameters``).
        method : {"auto", "exact", "gibbs"}, default="auto"
            ``"exact"`` draws by enumeration of all states, of 24 spins at the most. ``"auto"``
            does so up to 20 spins unless ``n_chains`` or ``X_init`` ask for chains.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows in the coding of the training data, {0, 1} or {-1, 1}, in the precision of the
            model.

        Raises
        ------
        ValueError
            If ``method="exact"`` is asked for with ``X_init`` or ``n_chains``, or of too many
            spins.

        Notes
        -----
        A sweep is a heat bath of all spins in turn: 2 n_features^2 operations for each chain at
        the most, and fewer where only few spins change or couplings are sparse.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> model = PseudoLikelihoodIsing.from_parameters([[0.0, 1.0], [1.0, 0.0]], [0.0, 0.0])
        >>> X = model.sample(1000, random_state=0)
        >>> bool(abs((X[:, 0] * X[:, 1]).mean() - np.tanh(1.0)) < 0.1)  # E[s_1 s_2] = tanh(J)
        True
        """
        check_is_fitted(self)
        values = {
            "n_samples": n_samples,
            "n_gibbs_steps": n_gibbs_steps,
            "n_chains": n_chains,
            "thin": thin,
            "method": method,
            "random_state": random_state,
        }
        check_parameters(RULES, values, "sample")
        chains = X_init is not None or n_chains is not None
        if method == "exact" and chains:
            raise ValueError("sample: method='exact' has no chains, so no X_init and no n_chains.")
        if X_init is not None and n_chains is not None:
            raise ValueError("sample: each row of X_init is a chain, so n_chains must be None.")
        entropy, energy = draw_entropy(random_state), self._energy()
        with threads(self.n_jobs):
            if method == "exact" or (
                method == "auto" and not chains and energy.n_features <= ENUMERATED_SPINS
            ):
                return self._encoded(energy.exact_sample(n_samples, (*entropy, _EXACT)))
            if X_init is not None:
                rows = self._rows(X_init)
                states = _spins(rows.dense(np.arange(len(rows)), energy.dtype))
                return self._encoded(sample(energy, states, n_gibbs_steps, entropy))
            n = n_samples if n_chains is None else min(n_chains, n_samples)
            drawn = self._drawn(n_samples, n_gibbs_steps, entropy, n_chains=n, thin=thin)
            return self._encoded(drawn)

    def gibbs(self, X, *, n_gibbs_steps=1, random_state=None):
        """Move every row by Gibbs sweeps.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Where the chains start.
        n_gibbs_steps : int, default=1
            Sweeps, each over all spins in turn.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows in the coding of the training data.
        """
        return self.sample(X_init=X, n_gibbs_steps=n_gibbs_steps, random_state=random_state)

    def conditional_sample(self, X, *, n_gibbs_steps=1000, random_state=None):
        """Draw the unknown entries of each row given the known ones.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.
        n_gibbs_steps : int, default=1000
            Gibbs sweeps of every row's chain, the known entries held fast.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows without NaN, in the coding of the training data.
        """
        return self._fill(conditional_sample, X, n_gibbs_steps, random_state)

    def impute(self, X, *, n_gibbs_steps=1000, random_state=None):
        """Replace the unknown entries of each row by their mean given the known ones.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.
        n_gibbs_steps : int, default=1000
            Gibbs sweeps averaged over, after as many of burn-in.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Known entries binarised, in the coding of the training data; for the others
            P(s_i = 1 | known), or twice that minus one in the coding {-1, 1}. Conditional
            probabilities are averaged, not draws (Rao-Blackwell): where all others are known the
            answer is exact.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> model = PseudoLikelihoodIsing.from_parameters([[0.0, 1.0], [1.0, 0.0]], [0.0, 0.0])
        >>> model.impute([[1, np.nan], [np.nan, -1]]).round(4)  # tanh(1) and its opposite
        array([[ 1.    ,  0.7616],
               [-0.7616, -1.    ]])
        """
        return self._fill(conditional_mean, X, n_gibbs_steps, random_state)

    # -- shared by the above -------------------------------------------------------------------

    def _drawn(self, n_samples, n_gibbs_steps, entropy, *, n_chains=None, thin=1):
        """Spins (n_samples, n_features) from chains that start at the base."""
        energy = self._energy()
        base, n_chains = energy.base(self._marginals()), n_chains or n_samples
        states = base.sample(n_chains, (*entropy, START), energy.dtype)
        with threads(self.n_jobs):
            return sample_thinned(energy, states, n_samples, n_gibbs_steps, thin, entropy)

    def _fill(self, method, X, n_gibbs_steps, random_state):
        check_is_fitted(self)
        rules = {"n_gibbs_steps": positive_integer(), "random_state": RandomState()}
        values = {"n_gibbs_steps": n_gibbs_steps, "random_state": random_state}
        check_parameters(rules, values, method.__name__.replace("conditional_mean", "impute"))
        rows, energy = self._rows(X, allow_nan=True), self._energy()
        known = _spins(rows.dense(np.arange(len(rows)), energy.dtype))
        base = energy.base(self._marginals())
        with threads(self.n_jobs):
            filled = method(energy, known, n_gibbs_steps, base, draw_entropy(random_state))
        return self._encoded(filled)

    def _encoded(self, states):
        """Spins in the coding of the training data."""
        return states if self._coding.spins else (states + 1) / 2


def _spins(codes):
    """-1 and 1 of the codes 0 and 1; NaN stays."""
    return 2 * codes - 1
