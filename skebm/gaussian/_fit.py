"""Learning a Gaussian model by score matching."""

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skebm._base import all_or_nothing
from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters, check_real, check_sample_weight, column_name
from skebm._warn import warn
from skebm.criteria._pairs import Solution
from skebm.gaussian._asked import RULES, check_inside, check_together, is_real, support_of
from skebm.gaussian._definite import made_definite
from skebm.gaussian._learning import Data, data_of, learn, start_from
from skebm.gaussian._model import BaseGaussian, Terms, Training, n_edges

# Violations of a condition, or of ``tol``, beyond which a model is no better start than nothing.
_NO_START = 1.0


class Chosen(NamedTuple):
    """What a model is learned from in the end, the :class:`Solution` and its penalty.

    ``found`` are further attributes of the estimator, ``complaints`` sentences of a
    ``ConvergenceWarning``, ``remark`` a ``UserWarning`` or nothing.
    """

    data: Data
    solution: Solution
    alpha: float
    found: dict = MappingProxyType({})
    complaints: tuple = ()
    remark: str = ""


class LearnsByScoreMatching(BaseGaussian):
    """``fit`` of a Gaussian model by score matching, at one penalty unless ``_chosen`` says so."""

    _rules = RULES

    def fit(self, X, y=None, sample_weight=None):
        """Learn a precision matrix and a location.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, inside of ``support``; NaN is unknown with ``missing="pairwise"``. With
            ``covariance="precomputed"`` the covariance matrix (n_features, n_features) instead.
            All computations are float64.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative, equal to as many copies of it.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or X is not what is accepted, before any work.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` sweeps did not bring all optimality conditions below ``tol``, if the
            loss has no minimum, or if the precision is not positive definite.
        UserWarning
            If columns are constant: they are independent of all others, with variance 1; or if a
            covariance with negative eigenvalues, of pairs with gaps or of ranks, was repaired.
        """
        name = type(self).__name__
        check_parameters(self._rules, self.get_params(deep=False), name)
        self._check_together()
        with all_or_nothing(self), threads(self.n_jobs):
            rows = checked_data(self, X, sample_weight)
            kept = with_weight(*rows)
            data = data_of(self, *kept)
            chosen = self._chosen(data, *rows)
            solution, ridge, complaint = made_definite(
                self, chosen.data, chosen.solution, chosen.alpha
            )
            self._keep(chosen, solution, ridge, *kept)
            vars(self).update(chosen.found)
        self._warn_of_data(data)
        complaints = [*chosen.complaints, *self._complaints(solution, chosen.alpha, complaint)]
        if complaints:
            warn(f"{name}: {' '.join(complaints)}", ConvergenceWarning)
        if chosen.remark:
            warn(f"{name}: {chosen.remark}", UserWarning)
        return self

    def _check_together(self):
        check_together(self)

    def _chosen(self, data, X, weights):
        """What is learned in the end, from ``data`` of those rows that have a weight."""
        solution = learn(
            data, self.alpha, self.ridge, start=self._warm_start(data), tol=self.tol,
            max_iter=self.max_iter,
        )  # fmt: skip
        return Chosen(data, solution, self.alpha)

    def _warm_start(self, data):
        known = getattr(self, "precision_", None)
        if not self.warm_start or known is None or len(known) != self.n_features_in_:
            return None
        lost = vars(self).get("_lost", False)
        if lost or not vars(self).get("kkt_", 0.0) <= max(self.tol, _NO_START):
            return None
        return start_from(data, known, self.ridge)

    def _keep(self, chosen, solution, ridge, X, weights):
        """Set all fitted attributes."""
        data = chosen.data
        learned = data.learned(solution)
        known_rows = self.covariance != "precomputed"
        support = support_of(self, len(learned.precision))
        vars(self).update(
            precision_=learned.precision,
            location_=learned.location,
            scale_=data.scale,
            n_iter_=solution.n_iter,
            objective_=solution.objective,
            kkt_=solution.kkt,
            ridge_=ridge,
            n_edges_=n_edges(learned.precision),
            _training=Training(X.copy(), weights.copy()) if known_rows else None,
            _terms=self._terms_of(chosen, len(learned.precision), ridge),
            _marginal=data.marginals(),
            _box=(support.low, support.high),
            _lost=bool(solution.diverged),
            _entropy=draw_entropy(self.random_state),
            _kept_log_partition=None,
            _kept_covariance=None,
        )

    def _terms_of(self, chosen, p, ridge):
        terms, weights = Terms.of(self, p, chosen.alpha, ridge), chosen.data.weights
        forbidden = weights is not None and bool(np.isinf(weights).any())
        return terms._replace(restricted=terms.restricted or forbidden)

    def _warn_of_data(self, data):
        name = type(self).__name__
        columns = np.flatnonzero(data.constant)
        if len(columns):
            shown = ", ".join(column_name(self, j) for j in columns[:5])
            warn(
                f"{name}: constant columns are independent of all others, with variance 1: "
                f"{shown}{', ...' * (len(columns) > 5)}.",
                UserWarning,
            )
        if data.repaired:
            warn(
                f"{name}: the covariance had negative eigenvalues, the least {data.repaired:.3g} "
                "of scaled columns; the nearest one without is learned from.",
                UserWarning,
            )

    def _complaints(self, solution, alpha, complaint):
        """Sentences on what is not as it should be of the model that is kept."""
        if complaint:
            yield complaint
        if solution.diverged:
            yield (
                f"the loss has no minimum at alpha={alpha:g} and ridge={self.ridge:g}, since there "
                "are directions in which the data do not vary; what is kept is where it was given "
                "up. Raise alpha or ridge."
            )
        elif not solution.kkt <= self.tol:
            ended = solution.n_iter >= self.max_iter
            where = f"after max_iter={self.max_iter} sweeps" if ended else "by rounding"
            yield (
                f"{where} the largest violation of a condition is {solution.kkt:.3g}, more than "
                f"tol={self.tol:g}. Raise {'max_iter, ' * ended}alpha or ridge."
            )


def checked_data(estimator, X, sample_weight):
    """Accepted rows and weights; a covariance and None if it is precomputed."""
    name = type(estimator).__name__
    given = estimator.covariance == "precomputed"
    X = check_real(
        estimator, X, reset=True, allow_nan=given or estimator.missing == "pairwise",
        remedy=_remedy(estimator), min_rows=1 if given else 2,
    )  # fmt: skip
    if given:
        if np.isnan(X).any():
            column = column_name(estimator, int(np.argmax(np.isnan(X).any(axis=0))))
            raise ValueError(
                f"{name}: X contains NaN in {column}, but a covariance has to be complete; "
                "missing='pairwise' makes one of rows."
            )
        if sample_weight is not None:
            raise ValueError(f"{name}: sample_weight is of rows, and a covariance has none.")
        return X, None
    weights = check_sample_weight(sample_weight, len(X))
    check_inside(estimator, X, support_of(estimator, X.shape[1]))
    return X, weights


def _remedy(estimator):
    """What takes NaN, given what does not."""
    instead = ""
    if not is_real(estimator):
        instead = "support='real' with "
    elif estimator.covariance is not None:
        instead = "covariance=None with "
    return f"{instead}missing='pairwise' takes NaN"


def with_weight(X, weights):
    """The rows that have a weight, and their weights; a covariance as it is."""
    if weights is None or (weights > 0).all():
        return X, weights
    return X[weights > 0], weights[weights > 0]
