"""What is asked of a fitted RBM, whatever it was trained by."""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skebm._base import UnnormalizedModel
from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import (
    Coding,
    RandomState,
    check_binary,
    check_parameters,
    positive_integer,
)
from skebm.criteria import DIVERGED
from skebm.energies import BernoulliRBM
from skebm.energies.rbm import FLIP_FLOPS
from skebm.rbm._fit import LearnsByMinibatches
from skebm.samplers import START, conditional_mean, conditional_sample, sample

_CHAIN_RULES = {
    "n_samples": positive_integer(),
    "n_gibbs_steps": positive_integer(),
    "random_state": RandomState(),
}


class BaseRBM(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, LearnsByMinibatches, UnnormalizedModel
):
    """A Bernoulli RBM as a density estimator and a transformer."""

    def __init__(
        self,
        n_components=256,
        *,
        learning_rate=0.1,
        batch_size=10,
        n_iter=10,
        verbose=0,
        random_state=None,
        center=True,
        learning_rate_schedule="geometric",
        momentum=0.0,
        weight_decay=0.0,
        l1=0.0,
        binarize=0.5,
        track_log_partition=False,
        warm_start=False,
        n_jobs=None,
    ):
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.verbose = verbose
        self.random_state = random_state
        self.center = center
        self.learning_rate_schedule = learning_rate_schedule
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.l1 = l1
        self.binarize = binarize
        self.track_log_partition = track_log_partition
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    @classmethod
    def from_parameters(cls, components, intercept_visible, intercept_hidden, **params):
        """A fitted estimator of an RBM trained elsewhere.

        Parameters
        ----------
        components : array-like of shape (n_components, n_features)
            Weights.
        intercept_visible : array-like of shape (n_features,)
            Visible biases.
        intercept_hidden : array-like of shape (n_components,)
            Hidden biases.
        **params
            Parameters of the estimator; ``n_components`` follows from the weights.

        Returns
        -------
        estimator
            Ready for ``score_samples``, ``sample``, ``transform`` and all that a fit allows;
            its codes are 0 and 1. AIS starts from the visible biases, the training means being
            unknown; ``log_partition(base=means)`` is often far better.

        Raises
        ------
        ValueError
            If the shapes do not fit together or a value is not finite.
        """
        W = np.asarray(components)
        dtype = np.float32 if W.dtype == np.float32 else np.float64
        arrays = [np.array(a, dtype=dtype) for a in (W, intercept_visible, intercept_hidden)]
        W, b, c = arrays
        estimator = cls(len(W) if W.ndim else 0, **params)
        check_parameters(cls._rules, estimator.get_params(deep=False), cls.__name__)
        if W.ndim != 2 or 0 in W.shape or b.shape != W.shape[1:] or c.shape != W.shape[:1]:
            raise ValueError(
                "components, intercept_visible and intercept_hidden must have shapes "
                f"(n_components, n_features), (n_features,) and (n_components,), got {W.shape}, "
                f"{b.shape} and {c.shape}."
            )
        for name, array in zip(("components", "intercept_visible", "intercept_hidden"), arrays):
            if not (np.abs(array) < DIVERGED).all():
                raise ValueError(f"{name} must be finite, and smaller than {DIVERGED:g} in size.")
        vars(estimator).update(
            components_=W,
            intercept_visible_=b,
            intercept_hidden_=c,
            n_features_in_=W.shape[1],
            n_iter_=0,
            history_={name: np.empty(0) for name in cls._curves},
            visible_mean_=None,
            _entropy=draw_entropy(estimator.random_state),
            _n_features_out=len(W),
            _coding=Coding(),
        )
        return estimator

    # -- densities -----------------------------------------------------------------------------

    def transform(self, X):
        """Activations of the hidden units.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            P(h_j = 1 | x), in the precision of the model.
        """
        check_is_fitted(self)
        rows, energy = self._rows(X), self._energy()
        out = np.empty((len(rows), self._n_features_out), energy.dtype)
        with threads(self.n_jobs):
            for part, block in rows.blocks(energy.dtype, energy.rows_per_call()):
                out[part] = energy.hidden_probability(block)
        return out

    def free_energy(self, X):
        """Free energy of each row: -log of its unnormalised probability.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            F(x) in nats; log p(x) = -F(x) - log Z.
        """
        check_is_fitted(self)
        return self._energies(X)

    def log_pseudolikelihood(self, X):
        """Log-pseudolikelihood of each row, exactly: no unit is sampled or left out.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; mean-field values are rounded.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Sum over i of log p(x_i | all others), in nats.
        """
        return self._of_flips("log_pseudolikelihood", X)

    def ratio_matching_loss(self, X):
        """What ratio matching minimises: squared probabilities of the opposite of each unit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; mean-field values are rounded.

        Returns
        -------
        float
            Mean over rows of the sum over i of (1 - p(x_i | all others))^2, which is between 0
            and n_features: the Brier score of all conditionals, exactly.
        """
        return float(self._of_flips("ratio_matching", X).mean())

    # -- chains --------------------------------------------------------------------------------

    def sample(self, n_samples=1, *, n_gibbs_steps=1000, X_init=None, random_state=None):
        """Draw from the model, each row from a Markov chain of its own.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; with ``X_init`` it is the number of rows of that.
        n_gibbs_steps : int, default=1000
            Gibbs steps of every chain. A model with separate modes may need many more.
        X_init : array-like of shape (n_samples, n_features), default=None
            Where the chains start; None means independent units with the training means (the
            visible biases after ``from_parameters``).
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Binary rows in the coding of the training data, {0, 1} or {-1, 1}.
        """
        check_is_fitted(self)
        self._check_chains(n_samples=n_samples, n_gibbs_steps=n_gibbs_steps, seed=random_state)
        entropy, energy = draw_entropy(random_state), self._energy()
        if X_init is None:
            base = energy.base(self._marginals())
            states = base.sample(n_samples, (*entropy, START), energy.dtype)
        else:
            rows = self._rows(X_init)
            states = rows.dense(np.arange(len(rows)), energy.dtype)
        with threads(self.n_jobs):
            return self._encoded(sample(energy, states, n_gibbs_steps, entropy))

    def gibbs(self, X, *, n_gibbs_steps=1, random_state=None):
        """Move every row by Gibbs steps.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Where the chains start.
        n_gibbs_steps : int, default=1
            Steps, each h given x and then x given h.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Binary rows in the coding of the training data.
        """
        return self.sample(X_init=X, n_gibbs_steps=n_gibbs_steps, random_state=random_state)

    def conditional_sample(self, X, *, n_gibbs_steps=1000, random_state=None):
        """Draw the unknown entries of each row given the known ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.
        n_gibbs_steps : int, default=1000
            Gibbs steps of every row's chain, the known entries held fast.
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
        X : array-like of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.
        n_gibbs_steps : int, default=1000
            Gibbs steps averaged over, after as many of burn-in.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Known entries binarised, in the coding of the training data; for the others
            P(x_i = 1 | known), or twice that minus one in the coding {-1, 1}.
        """
        return self._fill(conditional_mean, X, n_gibbs_steps, random_state)

    # -- shared by the above -------------------------------------------------------------------

    def _of_flips(self, method, X):
        check_is_fitted(self)
        rows, energy = self._rows(X), self._energy()
        out = np.empty(len(rows))
        with threads(self.n_jobs):
            for part, block in rows.blocks(energy.dtype, energy.rows_per_call(FLIP_FLOPS)):
                out[part] = getattr(energy, method)(block)
        return out

    def _fill(self, method, X, n_gibbs_steps, random_state):
        check_is_fitted(self)
        self._check_chains(n_gibbs_steps=n_gibbs_steps, seed=random_state)
        rows, _, _ = check_binary(self, X, reset=False, allow_nan=True)
        energy = self._energy()
        known, base = rows.dense(np.arange(len(rows)), energy.dtype), energy.base(self._marginals())
        with threads(self.n_jobs):
            filled = method(energy, known, n_gibbs_steps, base, draw_entropy(random_state))
        return self._encoded(filled)

    @staticmethod
    def _check_chains(*, seed, **values):
        rules = {name: _CHAIN_RULES[name] for name in values}
        check_parameters({**rules, "random_state": RandomState()}, {**values, "random_state": seed})

    def _encoded(self, states):
        return 2 * states - 1 if self._coding.spins else states

    def _rows(self, X):
        return check_binary(self, X, reset=False)[0]

    def _parameters(self):
        return self.components_, self.intercept_visible_, self.intercept_hidden_

    def _energy(self):
        return BernoulliRBM(*self._parameters())

    def _marginals(self):
        return self.visible_mean_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
