"""How sure one can be of a fitted Ising model: standard errors, and moments beside the data's."""

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import RandomState, check_parameters, check_sample_weight, positive_integer
from skebm.criteria.spins import SpinSample
from skebm.ising import _agreement, _errors
from skebm.ising._asked import check_known
from skebm.ising._chains import ENUMERATED_SPINS
from skebm.ising._training import Criterion

_MOMENTS = 20  # purpose of random numbers

_RULES = {
    "n_samples": positive_integer(),
    "n_gibbs_steps": positive_integer(),
    "random_state": RandomState(),
}


class JudgesItself:
    """Standard errors and the moment check of the Ising estimators."""

    def standard_errors(self, X=None, *, sample_weight=None):
        """Standard errors of couplings and fields.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Rows that the model was learned from; None means those of ``fit``. NaN is allowed as
            there.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X, equal to as many copies of them.

        Returns
        -------
        Bunch
            ``coupling`` (n_features, n_features) and ``field`` (n_features,), float64. Couplings
            that are not in the model (those that L1 or ``mask`` left out) have 0, columns of
            ``rare_`` NaN.

        Raises
        ------
        ValueError
            If there are no rows, too many parameters (the message says how many), if the rows do
            not determine the parameters, or, of a model learned by maximum likelihood, of more
            than 20 spins.

        Notes
        -----
        This is the sandwich H^-1 V H^-1 / n, n the total weight, H the mean curvature of the
        criterion and V the covariance of its slope over rows, which holds whether or not the data
        come from an Ising model. ``symmetrize="joint"`` needs the curvature of all k parameters
        at once: 8 k^2 bytes and 2 n k^2 + k^3 / 3 operations for n distinct rows; nodewise fits
        average the influence of each row on both estimates of a pair: 8 p^3 bytes and
        4 n p^3 operations for p spins, and much less where few couplings are free.

        A ridge enters H: the errors are those around the value that the penalised fit tends to,
        and its distance from the truth is not counted. Neither is the choice of edges by L1 and,
        of chains, the noise of learning. Maximum likelihood takes H, the covariance of spins and
        their products, from all 2^p states.

        References
        ----------
        V. P. Godambe (1960). An optimum property of regular maximum likelihood estimation.
        Annals of Mathematical Statistics 31.

        P. J. Huber (1967). The behavior of maximum likelihood estimates under nonstandard
        conditions. Proc. 5th Berkeley Symposium, volume 1.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> X = np.repeat([[1, 1], [1, -1], [-1, 1], [-1, -1]], [40, 10, 10, 40], axis=0)
        >>> model = PseudoLikelihoodIsing(0.0).fit(X)
        >>> round(float(model.coupling_[0, 1]), 4)  # log(40 * 40 / (10 * 10)) / 4
        0.6931
        >>> round(float(model.standard_errors().coupling[0, 1]), 4)  # sqrt(sum 1 / counts) / 4
        0.125
        """
        check_is_fitted(self)
        name, criterion = f"{type(self).__name__}: standard_errors", self._criterion
        if criterion is None:  # parameters that were given
            criterion = Criterion.of(self, self.coupling_ != 0, 0.0)
        loss = criterion.loss
        spins, weights = self._seen("standard_errors", X, sample_weight, loss is not None)
        model, allowed, shown = self._estimated(criterion)
        self._check_size(model, loss is None)
        with threads(self.n_jobs):
            if loss is None:
                coupling, field = _errors.errors_of_likelihood(model, spins, weights)
            else:
                sample = SpinSample(spins, weights, allowed)
                check_known(self, name, spins, weights, sample.shares)
                coupling, field = _errors.errors_of_conditionals(model, sample, loss)
        coupling[~shown] = 0.0
        rare = self.rare_
        coupling[rare], coupling[:, rare], field[rare] = np.nan, np.nan, np.nan
        np.fill_diagonal(coupling, 0.0)
        return Bunch(coupling=coupling, field=field)

    def moment_check(
        self, X=None, *, sample_weight=None, n_samples=5000, n_gibbs_steps=1000, random_state=None
    ):
        """Compare means and connected correlations of the model with those of data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Data, coded as in training, NaN for the unknown; None means the rows of ``fit``. A
            pair is compared over the rows where both its spins are known.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X, equal to as many copies of them.
        n_samples : int, default=5000
            Draws, each from a Markov chain of its own, that stand for a model of more than 20
            spins. Up to 20 the moments of the model are exact.
        n_gibbs_steps : int, default=1000
            Gibbs sweeps of each chain.
        random_state : None, int, RandomState or Generator, default=None
            Seed of the chains; None differs at every call.

        Returns
        -------
        MomentCheck
            ``z_mean`` and ``z_correlation``, the deviations in standard errors, ``worst``, the
            pair that is farthest away, ``p_value`` of the largest deviation, ``pearson``, and the
            moments.

        Notes
        -----
        Standard errors count the sampling error of X and, of draws, that of the model's moments;
        of a right model each z is a standard normal deviate then. There are many: of the 5,050 of
        100 spins some 14 exceed 3 in size, and the largest exceeds 4.4 in one case in 20, which
        is what ``p_value`` counts. Rows in which fewer than some 5 are expected beyond the
        rarest value make z skewed.

        On the rows that it learned from a model agrees better than that: unpenalised maximum
        likelihood without any error. On new rows the error of the parameters is added, and z is
        larger by about sqrt(1 + n / n_fit) for n new rows after n_fit.

        Examples
        --------
        >>> from skebm.datasets import make_ising
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> torus = make_ising(2000, size=3, coupling=0.3, random_state=0)
        >>> truth = PseudoLikelihoodIsing.from_parameters(torus.coupling, torus.field)
        >>> truth.moment_check(torus.data).p_value > 0.01
        True
        >>> weak = PseudoLikelihoodIsing.from_parameters(torus.coupling / 2, torus.field)
        >>> weak.moment_check(torus.data).p_value < 1e-6
        True
        """
        check_is_fitted(self)
        values = {
            "n_samples": n_samples,
            "n_gibbs_steps": n_gibbs_steps,
            "random_state": random_state,
        }
        check_parameters(_RULES, values, "moment_check")
        spins, weights = self._seen("moment_check", X, sample_weight, True)
        check_known(self, f"{type(self).__name__}: moment_check", spins, weights)
        data = _agreement.moments_of_rows(spins, weights)
        if self.n_features_in_ <= ENUMERATED_SPINS:
            return _agreement.compared(data, _agreement.exact_moments(self._energy()), 0)
        draws = self._drawn(n_samples, n_gibbs_steps, (*draw_entropy(random_state), _MOMENTS))
        model = _agreement.moments_of_rows(draws, np.ones(n_samples))
        return _agreement.compared(data, model[1:], n_samples)

    # -- shared by the above -------------------------------------------------------------------

    def _seen(self, method, X, sample_weight, allow_nan):
        """Spins (n, p) int8 and weights (n,) of X or of the training data."""
        name = f"{type(self).__name__}: {method}"
        if X is not None:
            rows = self._rows(X, allow_nan=allow_nan)
            weights = check_sample_weight(sample_weight, len(rows))
            return rows.spins(), weights
        if sample_weight is not None:
            raise ValueError(f"{name}: sample_weight is of the rows of X, which was not given.")
        if self._training is None:
            raise ValueError(f"{name} needs X, since the model was not fitted here.")
        spins, weights = self._training.rows.spins(), self._training.weights
        if not allow_nan and not spins.all():
            raise ValueError(f"{name} needs complete rows, and there was NaN in training.")
        return spins, weights

    def _estimated(self, criterion):
        """The :class:`Model` of :mod:`_errors`, pairs (p, p) that conditionals may need, and those
        that are in the model.
        """
        p = self.n_features_in_
        C = self._coefficients(self.coupling_ if criterion.joint else self._of_conditionals())
        pairs = ~np.eye(p, dtype=bool) & ~self.rare_ & ~self.rare_[:, None]
        if criterion.pairs is not None:
            pairs &= criterion.pairs
        shown, free = pairs, pairs
        if criterion.selected:
            shown, free = pairs & (self.coupling_ != 0), pairs & (C[:, :-1] != 0)
        ridge = np.full((p, p + 1), criterion.ridge)
        ridge[:, -1] *= criterion.penalize_field
        free = np.column_stack([free, ~self.rare_])
        return _errors.Model(C, free, ridge, criterion.joint), pairs, shown

    def _of_conditionals(self):
        """Couplings (p, p) of each conditional by itself, where they have been learned so."""
        return getattr(self, "nodewise_coupling_", self.coupling_)

    def _check_size(self, model, likelihood):
        name, p = f"{type(self).__name__}: standard_errors", self.n_features_in_
        if likelihood and p > _errors.MOST_SPINS:
            raise ValueError(
                f"{name} of maximum likelihood are known up to {_errors.MOST_SPINS} spins, this "
                f"model has {p}."
            )
        k, size = _errors.largest_curvature(model)
        if size > _errors.MOST_NUMBERS:
            raise ValueError(
                f"{name} would need curvatures of {k} parameters at once, {8 * size / 1e9:.1f} GB "
                f"and more than {8 * _errors.MOST_NUMBERS / 1e9:.1f}. Fewer couplings (L1, mask) "
                "or, with fewer spins than 500, symmetrize='mean' need less."
            )
