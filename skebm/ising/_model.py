"""What is asked of a fitted Ising model, whatever it was trained by."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from skebm._base import UnnormalizedModel
from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import Coding, check_binary, check_parameters
from skebm.criteria.spins import LOSSES, ConditionalLoss, SpinSample
from skebm.energies import Ising
from skebm.ising._asked import check_known
from skebm.ising._chains import DrawsSpins
from skebm.ising._inference import JudgesItself

# Rounding errors that two entries of a symmetric matrix may differ by, as a share of the largest.
_ROUNDING = {np.float32: 1e-6, np.float64: 1e-12}


class BaseIsing(DrawsSpins, JudgesItself, UnnormalizedModel):
    """An Ising model as a density estimator."""

    # The criterion that the model was trained by, a key of ``LOSSES``; None for the likelihood.
    _loss = None

    @classmethod
    def from_parameters(cls, coupling, field, **params):
        """A fitted estimator of an Ising model trained elsewhere.

        Parameters
        ----------
        coupling : {array-like, sparse matrix} of shape (n_features, n_features)
            J, symmetric with a zero diagonal: each pair of spins adds J_ij s_i s_j once.
        field : array-like of shape (n_features,)
            h, fields on spins -1 and 1.
        **params
            Parameters of the estimator.

        Returns
        -------
        estimator
            Ready for ``score_samples``, ``sample`` and all that a fit allows but for training
            data; its codes are -1 and 1. AIS starts from the fields, the training means being
            unknown; ``log_partition(base=means)`` is often far better.

        Raises
        ------
        ValueError
            If shapes do not fit together, a value is not finite, ``coupling`` is not symmetric
            or has a nonzero diagonal.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> model = PseudoLikelihoodIsing.from_parameters([[0.0, 0.5], [0.5, 0.0]], [0.0, 0.0])
        >>> round(model.score([[1, 1]]), 6)  # 1/2 - log(4 cosh(1/2))
        -1.006409
        """
        estimator = cls(**params)
        check_parameters(cls._rules, estimator.get_params(deep=False), cls.__name__)
        J, h = _checked(cls.__name__, coupling, field)
        vars(estimator).update(
            coupling_=J,
            field_=h,
            n_features_in_=len(h),
            n_edges_=int(np.count_nonzero(J) // 2),
            n_iter_=0,
            rare_=np.zeros(len(h), bool),
            mean_=None,
            _training=None,
            _criterion=None,
            _entropy=draw_entropy(estimator.random_state),
            _coding=Coding(spins=True),
        )
        return estimator

    # -- conditionals --------------------------------------------------------------------------

    def conditional_probability(self, X):
        """Probability of each spin being 1 given all others.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            P(s_i = 1 | all others) = 1 / (1 + e^{-2 (sum_j J_ij s_j + h_i)}), in the precision of
            the model, whatever the value of s_i itself is or if it is unknown; NaN where a spin
            that s_i is coupled to is unknown.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> model = PseudoLikelihoodIsing.from_parameters([[0.0, 0.5], [0.5, 0.0]], [0.0, 0.0])
        >>> model.conditional_probability([[1, -1]]).round(4)
        array([[0.2689, 0.7311]])
        """
        check_is_fitted(self)
        rows, energy = self._rows(X, allow_nan=True), self._energy()
        out = np.empty((len(rows), self.n_features_in_), energy.dtype)
        with threads(self.n_jobs):
            for part, block in rows.blocks(energy.dtype, energy.rows_per_call()):
                if rows.is_binary:
                    out[part] = energy.conditional_probability(block)
                    continue
                spins, unknown = _spins_and_unknown(block)
                out[part] = energy.conditional_probability(spins)
                out[part][self._touched(unknown)] = np.nan
        return out

    def log_pseudolikelihood(self, X):
        """Log-pseudolikelihood of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Sum over i of log P(s_i | all others), in nats. In rows with unknown spins the sum is
            over the conditionals that can be known: of spins that are known and coupled to
            known ones only.
        """
        check_is_fitted(self)
        rows, energy = self._rows(X, allow_nan=True), self._energy()
        out = np.empty(len(rows))
        with threads(self.n_jobs):
            for part, block in rows.blocks(energy.dtype, energy.rows_per_call()):
                if rows.is_binary:
                    out[part] = energy.log_pseudolikelihood(block)
                    continue
                spins, unknown = _spins_and_unknown(block)
                t = (spins * energy.local_fields(spins)).astype(np.float64)
                known = ~(unknown | self._touched(unknown))
                out[part] = -np.where(known, np.logaddexp(0.0, -2.0 * t), 0.0).sum(axis=1)
        return out

    def ratio_matching_loss(self, X):
        """Ratio matching loss: how surely the model would flip spins that are as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training; NaN marks the unknown.

        Returns
        -------
        float
            Sum over i of the mean over rows of (1 - P(s_i | all others))^2, between 0 and
            n_features; fair coins have n_features / 4. The mean of a spin is over the rows where
            it and all that it is coupled to are known.

        Raises
        ------
        ValueError
            If some spin has no such row.

        References
        ----------
        A. Hyvarinen (2007). Some extensions of score matching. Computational Statistics and Data
        Analysis 51, equation 17.
        """
        check_is_fitted(self)
        rows = self._rows(X, allow_nan=True)
        spins, weights = rows.spins(), np.ones(len(rows))
        sample = SpinSample(spins, weights, self.coupling_ != 0)
        check_known(self, type(self).__name__, spins, weights, sample.shares)
        with threads(self.n_jobs):
            loss = ConditionalLoss(sample, LOSSES["ratio_matching"])
            return float(loss(self._coefficients(self.coupling_)).values.sum())

    # -- other forms ---------------------------------------------------------------------------

    @property
    def graph_(self):
        """Couplings that differ from zero, as a SciPy ``csr_array`` (n_features, n_features)."""
        check_is_fitted(self)
        return sp.csr_array(self.coupling_)

    def to_binary_params(self):
        """Parameters of the same distribution over x = (s + 1) / 2 in {0, 1}.

        Returns
        -------
        coupling : ndarray of shape (n_features, n_features)
            4 J, symmetric with a zero diagonal.
        field : ndarray of shape (n_features,)
            2 h_i - 2 sum_j J_ij. Then P(x) is proportional to exp(sum_i field_i x_i +
            sum_{i<j} coupling_ij x_i x_j), whose logarithm is that of e^{-E(s)} plus
            sum_i h_i - sum_{i<j} J_ij.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> model = PseudoLikelihoodIsing.from_parameters([[0.0, 0.5], [0.5, 0.0]], [0.0, 1.0])
        >>> coupling, field = model.to_binary_params()
        >>> coupling, field
        (array([[0., 2.],
               [2., 0.]]), array([-1.,  1.]))
        """
        check_is_fitted(self)
        return 4 * self.coupling_, 2 * self.field_ - 2 * self.coupling_.sum(axis=1)

    def to_dimod(self):
        """Biases as ``dimod.BinaryQuadraticModel.from_ising`` takes them.

        Returns
        -------
        h, J : dict
            Of variables and of pairs of them, in the order of the columns; variables are columns'
            names where X had any, else their numbers, and pairs without a coupling are left out.
            The signs are flipped: dimod's samplers look for low energies sum h_i s_i +
            sum J_ij s_i s_j, and draw with P(s) proportional to e^{-energy} at beta = 1.

        Examples
        --------
        >>> from skebm.ising import PseudoLikelihoodIsing
        >>> model = PseudoLikelihoodIsing.from_parameters([[0.0, 0.5], [0.5, 0.0]], [0.0, 1.0])
        >>> model.to_dimod()
        ({0: 0.0, 1: -1.0}, {(0, 1): -0.5})
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        fields = {name: 0.0 - float(value) for name, value in zip(names, self.field_)}
        pairs = np.argwhere(np.triu(self.coupling_, 1))
        couplings = {(names[i], names[j]): -float(self.coupling_[i, j]) for i, j in pairs}
        return fields, couplings

    # -- shared by the above -------------------------------------------------------------------

    def _touched(self, unknown):
        """(n, p) bool, spins coupled to an unknown one; ``unknown`` (n, p) bool."""
        edges = (self.coupling_ != 0).astype(np.float32)
        return unknown.astype(np.float32) @ edges > 0

    def _coefficients(self, coupling):
        """Rows of conditionals, each with its field, (p, p + 1) float64."""
        return np.column_stack([coupling, self.field_]).astype(np.float64)

    def _rows(self, X, allow_nan=False):
        return check_binary(
            self, X, reset=False, allow_nan=allow_nan, sparse=True, probabilities=False
        )[0]

    def _parameters(self):
        return self.coupling_, self.field_

    def _energy(self):
        return Ising(*self._parameters())

    def _marginals(self):
        return self.mean_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _spins_and_unknown(codes):
    """-1 and 1 of the codes 0 and 1, 0 for NaN, and where that was."""
    unknown = np.isnan(codes)
    return np.where(unknown, 0, 2 * codes - 1), unknown


def _checked(name, coupling, field):
    """Couplings and fields as float arrays of one dtype, or a ``ValueError``."""
    J = coupling.toarray() if sp.issparse(coupling) else np.asarray(coupling)
    dtype = np.float32 if J.dtype == np.float32 else np.float64
    J, h = np.array(J, dtype=dtype), np.array(field, dtype=dtype)
    if J.ndim != 2 or h.shape != J.shape[:1] or J.shape != (len(h), len(h)) or not len(h):
        raise ValueError(
            f"{name}: coupling and field must have shapes (n_features, n_features) and "
            f"(n_features,), got {J.shape} and {h.shape}."
        )
    for what, array in (("coupling", J), ("field", h)):
        if not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{name}: {what} must be finite, found {array[place]} at {place}.")
    if np.diagonal(J).any():
        i = int(np.flatnonzero(np.diagonal(J))[0])
        raise ValueError(
            f"{name}: coupling must have a zero diagonal, found {J[i, i]:g} at ({i}, {i}); fields "
            "have an array of their own."
        )
    difference = np.abs(J - J.T)
    if difference.max() > _ROUNDING[dtype] * np.abs(J).max():
        i, j = (int(k) for k in np.unravel_index(np.argmax(difference), J.shape))
        raise ValueError(
            f"{name}: coupling must be symmetric, but its entries ({i}, {j}) and ({j}, {i}) are "
            f"{J[i, j]:g} and {J[j, i]:g}, {difference[i, j]:.3g} apart."
        )
    return (J + J.T) / 2, h
