"""What is asked of a fitted Gaussian model, whatever it was trained by."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from skebm._base import UnnormalizedModel, check_base_of_reals
from skebm._jit import single_threaded_blas, threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters, check_real
from skebm.criteria._support import Support
from skebm.energies import Gaussian
from skebm.energies._definite import least_eigenvalue
from skebm.gaussian._asked import (
    check_inside,
    check_symmetric,
    check_together,
    checked_weights,
    support_of,
)
from skebm.gaussian._draws import DrawsReals
from skebm.gaussian._inference import InfersEdges

# Rounding errors that two entries of a symmetric matrix may differ by, in units of its diagonal.
_ROUNDING = 1e-10


class Training(NamedTuple):
    """What a model was trained on: rows (n, p) and their weights (n,)."""

    X: np.ndarray
    weights: np.ndarray


class Terms(NamedTuple):
    """How a model was learned, whatever is set afterwards.

    ``penalised`` if there was an L1 penalty ``alpha`` on some pair, ``restricted`` if some pairs
    must be zero.
    """

    alpha: float
    ridge: float
    penalised: bool
    restricted: bool
    standardize: bool
    assume_centered: bool
    covariance: str | None
    missing: str
    support: Support

    @classmethod
    def of(cls, estimator, p, alpha, ridge):
        """Those of an estimator that is fitted at these penalties to p columns."""
        W = checked_weights(type(estimator).__name__, estimator.alpha_weights, p)
        penalised = alpha > 0 and (W is None or bool((np.isfinite(W) & (W > 0)).any()))
        restricted = W is not None and bool(np.isinf(W).any())
        return cls(
            alpha, ridge, penalised, restricted, estimator.standardize, estimator.assume_centered,
            estimator.covariance, estimator.missing, support_of(estimator, p),
        )  # fmt: skip


class BaseGaussian(InfersEdges, DrawsReals, UnnormalizedModel):
    """A Gaussian model, on the reals or inside bounds, as a density estimator."""

    @classmethod
    def from_parameters(cls, precision, location, **params):
        """A fitted estimator of a Gaussian model known from elsewhere.

        Parameters
        ----------
        precision : array-like of shape (n_features, n_features)
            K, symmetric.
        location : array-like of shape (n_features,)
            mu; inside bounds that of the normal before it is cut.
        **params
            Parameters of the estimator; ``support`` says where the model lives.

        Returns
        -------
        estimator
            Ready for ``score_samples``, ``sample`` and all that a fit allows but for training data.

        Raises
        ------
        ValueError
            If shapes or parameters do not fit together, a value is not finite, or ``precision``
            is not symmetric.

        Examples
        --------
        >>> from skebm import ScoreMatchingGaussian
        >>> model = ScoreMatchingGaussian.from_parameters([[1.0, 0.5], [0.5, 1.0]], [0.0, 0.0])
        >>> round(model.score([[0.0, 0.0]]), 6)  # log(0.75) / 2 - log(2 pi)
        -1.981718
        """
        estimator = cls(**params)
        check_parameters(cls._rules, estimator.get_params(deep=False), cls.__name__)
        check_together(estimator)
        K, mu = _checked(cls.__name__, precision, location)
        support = support_of(estimator, len(mu))
        vars(estimator).update(
            precision_=K,
            location_=mu,
            scale_=np.ones(len(mu)),
            n_features_in_=len(mu),
            n_edges_=n_edges(K),
            n_iter_=0,
            _training=None,
            _terms=Terms.of(estimator, len(mu), 0.0, 0.0),
            _marginal=None,
            _box=(support.low, support.high),
            _entropy=draw_entropy(estimator.random_state),
            _kept_covariance=None,
        )
        return estimator

    # -- as scikit-learn's covariance estimators have it ---------------------------------------

    @property
    def covariance_(self):
        """The inverse of ``precision_``, computed at first use.

        The covariance of the model on the reals; inside bounds that of the normal before it is cut.
        """
        check_is_fitted(self)
        kept, fingerprint = vars(self).get("_kept_covariance"), self._fingerprint()
        if kept is None or kept[0] != fingerprint:
            try:
                with single_threaded_blas:
                    inverse = np.linalg.inv(self.precision_)
            except np.linalg.LinAlgError as error:
                raise ValueError(
                    f"{type(self).__name__}: precision_ has no inverse, its least eigenvalue is "
                    f"{least_eigenvalue(self.precision_):.3g}."
                ) from error
            kept = self._kept_covariance = fingerprint, (inverse + inverse.T) / 2.0
        return kept[1]

    def get_precision(self):
        """The precision matrix, as scikit-learn's covariance estimators give it.

        Returns
        -------
        ndarray of shape (n_features, n_features)
            ``precision_``.
        """
        check_is_fitted(self)
        return self.precision_

    def mahalanobis(self, X):
        """Squared Mahalanobis distances of rows from the location.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            (x - mu)' K (x - mu).

        Raises
        ------
        ValueError
            If ``precision_`` is not positive definite, so that this is no distance.
        """
        check_is_fitted(self)
        energy = Gaussian(self.precision_, self.location_)
        energy.require_density()
        return 2.0 * self._by_blocks(energy, self._real(X))

    def error_norm(self, comp_cov, norm="frobenius", scaling=True, squared=True):
        """Distance of ``covariance_`` to another covariance, as ``EmpiricalCovariance`` has it.

        Parameters
        ----------
        comp_cov : array-like of shape (n_features, n_features)
            The covariance to compare with.
        norm : {"frobenius", "spectral"}, default="frobenius"
            sqrt(tr(A'A)) or the largest singular value of the difference A.
        scaling : bool, default=True
            Whether the squared norm is divided by n_features.
        squared : bool, default=True
            Whether the squared norm is returned.

        Returns
        -------
        float
        """
        from sklearn.covariance import EmpiricalCovariance  # takes long to import

        check_is_fitted(self)
        empirical = EmpiricalCovariance()
        empirical.covariance_ = self.covariance_
        return empirical.error_norm(comp_cov, norm=norm, scaling=scaling, squared=squared)

    # -- other forms ---------------------------------------------------------------------------

    @property
    def graph_(self):
        """Entries of ``precision_`` off its diagonal, as a SciPy ``csr_array``."""
        check_is_fitted(self)
        edges = sp.csr_array(self.precision_)
        edges.setdiag(0.0)
        edges.eliminate_zeros()
        return edges

    @property
    def partial_correlation_(self):
        """Correlations of pairs given all others, -K_ij / sqrt(K_ii K_jj), ones on the diagonal."""
        check_is_fitted(self)
        diagonal = self.precision_.diagonal()
        if not (diagonal > 0).all():
            raise ValueError(
                f"{type(self).__name__}: partial correlations need a positive diagonal of "
                f"precision_, found {diagonal.min():.3g} in column {int(diagonal.argmin())}."
            )
        root = np.sqrt(diagonal)
        partial = -self.precision_ / np.outer(root, root)
        np.fill_diagonal(partial, 1.0)
        return partial

    def score_matching_loss(self, X):
        """The loss that was minimised, without penalties, of other data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, inside of ``support``.

        Returns
        -------
        float
            Mean |K (x - mu)|^2 / 2 - tr K, inside bounds the generalised loss with ``h``, of
            columns divided by ``scale_``: the lower the better, and 0 of a flat density.
        """
        check_is_fitted(self)
        X, scale = self._real(X), self.scale_
        K = self.precision_ * np.outer(scale, scale)
        pull = (X - self.location_) / scale
        with single_threaded_blas:
            pull = pull @ K
        support = self._terms.support
        if support.is_real:
            return float(0.5 * (pull**2).sum(axis=1).mean() - np.trace(K))
        check_inside(self, X, support)
        h, slope = support.scaled(scale).weights(X / scale)
        terms = 0.5 * h * pull**2 - slope * pull - h * K.diagonal()
        return float(terms.sum(axis=1).mean())

    # -- shared by the above -------------------------------------------------------------------

    def _real(self, X, allow_nan=False):
        return check_real(self, X, reset=False, allow_nan=allow_nan)

    def _rows(self, X):
        return self._real(X)

    def _energies(self, X):
        return self._by_blocks(self._energy(), self._real(X))

    def _by_blocks(self, energy, X):
        with threads(self.n_jobs):
            return energy.energy(X)

    def _parameters(self):
        return self.precision_, self.location_, *self._box

    def _energy(self):
        return Gaussian(*self._parameters())

    def _marginals(self):
        return self._marginal

    def _base(self, energy, base):
        check_base_of_reals(base)
        return energy.base(self._marginals() if base == "marginals" else None)


def n_edges(K):
    """Pairs of a symmetric matrix (p, p) that are not zero."""
    return int(np.count_nonzero(K) - np.count_nonzero(K.diagonal())) // 2


def _checked(name, precision, location):
    """A precision and a location as float64 arrays, or a ``ValueError``."""
    K = precision.toarray() if sp.issparse(precision) else precision
    K, mu = np.array(K, dtype=np.float64), np.array(location, dtype=np.float64)
    if K.ndim != 2 or mu.shape != K.shape[:1] or K.shape != (len(mu), len(mu)) or not len(mu):
        raise ValueError(
            f"{name}: precision and location must have shapes (n_features, n_features) and "
            f"(n_features,), got {K.shape} and {mu.shape}."
        )
    for what, array in (("precision", K), ("location", mu)):
        if not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{name}: {what} must be finite, found {array[place]} at {place}.")
    check_symmetric(name, "precision must be symmetric", K, _ROUNDING)
    return (K + K.T) / 2.0, mu
