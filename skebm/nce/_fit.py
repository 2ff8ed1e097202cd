"""Learning an energy by noise-contrastive estimation."""

import contextlib
from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from skebm._base import all_or_nothing
from skebm._jit import single_threaded_blas, threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters, column_name
from skebm._warn import warn
from skebm.nce._asked import RULES, check_together, family_of, given_of, is_binary
from skebm.nce._family import Report, Units, indexed
from skebm.nce._given import Whose
from skebm.nce._outcome import contrasted, stepped
from skebm.nce._setting import Coding, setting_of, weighted_rows
from skebm.nce._sums import weighted_sum
from skebm.partition import LogPartition
from skebm.partition._weights import Estimate

# Chance that the classifier puts data above noise, beyond which a density chasm is said.
_CHASM = 0.99

# Parameters that are named in a message.
_NAMED = 5

# What leaves parameters undetermined, of a user's energy and of others; and what else helps.
_UNSEEN = "Parameters that the energy does not use do that, and features that depend on each other."
_UNDETERMINED = (
    "Constant and repeated columns do that, binary values that never occur together, and hidden "
    "units without weights."
)
_PENALTY = " l2 > 0 determines couplings and weights."

# Share of its parts that a sum may be to count as rounding.
_ROUNDING = 1e-6

# Standard errors that both estimates of log Z may be apart, by chance in one of 16,000 fits at the
# most, and effective rows of noise from which the second one is believed.
_APART, _BELIEVED = 4.0, 30.0

# Standard deviation, given the columns before, of a column that counts as one of these.
_DEPENDENT = 1e-6

# Rows whose mean and scale columns are learned around may be as constant as this.
_CONSTANT = 1e-12

# Power of ten that variances of parameters may have; float64 ends at 308, and they are not all of
# the size of their unit.
_POWER = 280


class Learned(NamedTuple):
    """What likelihoods are computed from: the energy, and its parameters as they were learned.

    ``own`` are the user's energy and gradient, where ``family`` is None; ``noise`` has a density.
    """

    family: object
    own: tuple
    theta: np.ndarray
    c: float
    units: Units
    coding: Coding
    bounds: tuple
    noise: object
    n_noise: int
    ratio: float
    entropy: tuple
    means: np.ndarray


class Start(NamedTuple):
    """Where a search begins: parameters, c or None, and which parameters move; and how."""

    theta: np.ndarray
    c: float
    free: np.ndarray
    units: Units
    entropy: tuple


class LearnsByContrast:
    """``fit`` of an energy by noise-contrastive estimation."""

    def fit(self, X, y=None, sample_weight=None):
        """Learn the parameters of the energy, and log Z.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data: real numbers inside the support of the energy, or binary ones coded as
            0 and 1 or as -1 and 1. All computations are float64. Sparse data are for ``"ising"``
            and ``"rbm"``, and are made dense.
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
            If a parameter or X is not what is accepted, before any work; if a function of the user
            returns what it should not, with its name and the row.
        RuntimeError
            If a function of the user raises, with its name and the row.

        Warns
        -----
        ConvergenceWarning
            If slopes did not come below ``tol``; if data and noise are separated so well that
            there is no minimum; if rows do not determine a parameter; if what was learned has no
            density.
        UserWarning
            If the classifier tells data from noise nearly always, so that estimates are poor.
        """
        name = type(self).__name__
        check_parameters(RULES, self.get_params(deep=False), name)
        check_together(self)
        with all_or_nothing(self), threads(self.n_jobs):
            rows = weighted_rows(self, X, sample_weight)
            complaints, remarks = self._learn(*rows, sample_weight is not None)
        if complaints:
            warn(f"{name}: {sentences(complaints)}", ConvergenceWarning)
        if remarks:
            warn(f"{name}: {sentences(remarks)}", UserWarning)
        return self

    def _learn(self, X, weights, places, weighted):
        entropy, family = draw_entropy(self.random_state), family_of(self)
        if family is not None:
            family = family.bound(X)
            check_scales(self, family, X, weights)
        setting = setting_of(self, X, weights, places, weighted, family, entropy)
        own = self.energy, self.gradient
        given = given_of(*own, setting.coding) if family is None else None
        n_params = len(self.init) if family is None else len(family.names(X.shape[1]))
        start = self._start(setting, family, n_params, entropy)
        if given is not None:
            given.data = Whose("the data", places)
            given.check(start.theta, setting.X, setting.noise_rows)
        if self.solver == "newton" and (family is None or not family.form(X.shape[1]).linear):
            raise ValueError(
                "solver='newton' is for energies that are linear in their parameters; take 'lbfgs' "
                "or 'auto'."
            )
        learn = stepped if setting.noise.is_conditional else contrasted
        outcome = learn(self, setting, family, given, start)
        learned = Learned(
            family, own, outcome.theta, outcome.c, start.units, setting.coding, setting.bounds,
            outcome.noise, outcome.n_noise, setting.ratio, entropy,
            weighted_sum(weights, setting.coding.bits(X)) / weights.sum(),
        )  # fmt: skip
        complaints, remarks = self._keep(setting, outcome, learned)
        if complaints and given is not None:  # a gradient may be right at the start only
            complaints.extend(filter(None, [given.doubt(outcome.theta, setting.X)]))
        return complaints, remarks

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = is_binary(self.energy)
        return tags

    # -- before --------------------------------------------------------------------------------

    def _start(self, setting, family, n_params, entropy):
        """The :class:`Start` of a search."""
        X, weights = setting.X, setting.weights
        p, fixed = X.shape[1], np.zeros(n_params, bool)
        init = None if self.init is None else np.asarray(self.init, dtype=np.float64)
        for name, values in (("init", init), ("fixed", self.fixed)):
            if values is not None and np.shape(values) != (n_params,):
                raise ValueError(
                    f"{name} must have shape ({n_params},), one entry for each parameter of the "
                    f"energy, got {np.shape(values)}."
                )
        if self.fixed is not None:
            fixed = np.asarray(self.fixed)
        if family is None:
            return Start(init.copy(), None, ~fixed, Units.of_data(p), entropy)
        known = np.zeros(n_params) if init is None else init
        fixed = family.fixed(fixed, p)
        units = Units.of_data(p)
        if family.standardizes and self.standardize is not False:
            units = family.units(*moments(X, weights), fixed, known)
            if not self.l2 and family.whitens(fixed, p):
                units = units._replace(root=correlation_root(units.standardized(X), weights))
        elif family.standardizes:
            units = family.units(np.zeros(p), np.ones(p), fixed, known)
        theta, c = family.start(self._rows_of(family, units, setting.coding, X), weights, entropy)
        if init is not None:
            theta, c = family.internal(init, units), None
        return Start(theta, c, ~fixed, units, entropy)

    @staticmethod
    def _rows_of(family, units, coding, X):
        """Rows as a family takes them, standardised; binary ones from 0 and 1."""
        if family.kind is None:
            return family.rows(X)
        return family.rows(units.standardized(coding.bits(X)))

    # -- after ---------------------------------------------------------------------------------

    def _keep(self, setting, outcome, learned):
        """Set all fitted attributes; returns sentences of warnings."""
        report, data, noise, lost = reported(outcome, learned)
        k, names = len(report.params), indexed("theta", np.arange(len(report.params)))
        if learned.family is not None:
            names = learned.family.names(setting.X.shape[1])
        complaints, remarks = self._said(outcome, lost, names, learned.family)
        if learned.family is not None:
            doubt = learned.family.doubt(report.params, setting.X.shape[1])
            if doubt is not None:
                complaints.append(
                    f"what was learned cannot be normalised: {doubt} Take more rows, a larger "
                    "noise_ratio, or l2 > 0."
                )
        doubts = [*complaints, *remarks]
        cov = np.full((k + 1, k + 1), np.nan) if data is None else data + noise
        stderr = np.sqrt(np.maximum(cov.diagonal(), 0.0))
        if data is None:
            stderr[-1] = outcome.weighed.stderr
            doubts.append("its error leaves out that of the parameters, which are too many")
        vars(self).update(
            params_=report.params,
            param_names_=names,
            params_stderr_=stderr[:-1],
            params_cov_=cov[:-1, :-1],
            params_cov_data_=None if data is None else data[:-1, :-1],
            params_cov_noise_=None if data is None else noise[:-1, :-1],
            noise_=setting.noise,
            classifier_auc_=outcome.auc,
            loss_=outcome.loss,
            n_iter_=outcome.solution.n_iter,
            _learned=learned,
            _entropy=learned.entropy,
            _kept_log_partition=LogPartition.from_estimate(
                Estimate(report.log_partition, float(stderr[-1]), outcome.weighed.ess),
                doubts=doubts, method=outcome.method, n_chains=outcome.n_rows,
            ),
        )  # fmt: skip
        return complaints, remarks

    def _said(self, outcome, lost, names, family):
        """Sentences on what is not as it should be."""
        complaints, remarks, solution = [], [], outcome.solution
        if solution.separated:
            complaints.append(
                "data and noise are separated: the classifier tells them apart perfectly, and the "
                "loss has no minimum. Take noise nearer to the data (a smaller noise_inflation, "
                "noise='mixture'), more rows, or l2 > 0; leave out repeated columns."
            )
        elif not solution.residual <= self.tol:
            ended = solution.n_iter >= self.max_iter
            where = f"after max_iter={self.max_iter} steps" if ended else "where the search ended"
            complaints.append(
                f"{where} the largest slope, over the root of its curvature, is "
                f"{solution.residual:.3g}, more than tol={self.tol:g}. "
                f"{'Raise max_iter' if ended else 'Raise tol'} or l2."
            )
        if lost.any() and not solution.separated:
            lost = [name for name, each in zip((*names, "log Z"), lost) if each]
            more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
            complaints.append(
                f"the rows do not determine {', '.join(lost[:_NAMED])}{more}: standard errors are "
                f"infinite. {_UNSEEN if family is None else _UNDETERMINED}"
                f"{'' if self.l2 else _PENALTY}"
            )
        if outcome.auc > _CHASM and not solution.separated:
            remarks.append(
                f"the classifier tells data from noise nearly always (AUC {outcome.auc:.4f}), "
                "across a chasm of densities where estimates have large errors. Take noise nearer "
                "to the data: noise='mixture', or a smaller noise_inflation."
            )
        if not (complaints or remarks) and outcome.weighed.ess < _BELIEVED < outcome.n_noise / 10:
            remarks.append(
                f"the effective number of {outcome.n_noise} rows of noise that the learned energy "
                f"is seen by is {outcome.weighed.ess:.1f}: there may be no density, or noise may "
                "not cover it. Take wider noise, or look whether the energy grows on all sides."
            )
        apart = disagreement(outcome)
        if not (complaints or remarks) and apart > _APART:
            remarks.append(
                f"log Z as it was learned is {apart:.1f} standard errors away from "
                "that of the learned energy by importance sampling from the noise, so that "
                "densities do not sum to one: the model is far from the data. Take an energy that "
                "is nearer, or a larger noise_ratio, with which both agree."
            )
        return complaints, remarks


def sentences(parts):
    """One after the other, the first as it is."""
    first, *others = parts
    return " ".join([first, *(each[0].upper() + each[1:] for each in others)])


def disagreement(outcome):
    """Standard errors between both estimates of log Z, or 0 where one of them is not known."""
    if outcome.errors is None or not outcome.weighed.ess > _BELIEVED:
        return 0.0
    variance = (outcome.errors.data + outcome.errors.noise)[-1, -1] + outcome.weighed.stderr**2
    apart = abs(outcome.weighed.value + outcome.c)
    return float(apart / np.sqrt(variance)) if variance > 0.0 else 0.0


def check_scales(estimator, family, X, weights):
    """A ``ValueError`` where variances of parameters are no numbers of float64."""
    if not family.standardizes:
        return
    power = _POWER // (2 * family.order)
    scale = moments(X, weights)[1]
    odd = ~((scale >= 10.0**-power) & (scale <= 10.0**power))
    if odd.any():
        column = int(np.argmax(odd))
        raise ValueError(
            f"{type(estimator).__name__}: the standard deviation of "
            f"{column_name(estimator, column)} must lie between 1e-{power} and 1e{power} for this "
            f"energy, found {scale[column]:.3g}: variances of parameters, whose unit is its power "
            f"{-2 * family.order}, are no numbers of float64 beyond. Take another unit for X."
        )


def moments(X, weights):
    """Means and standard deviations of columns, 1 where these are constant."""
    share = weights / weights.sum()
    powers = np.frexp(np.abs(X).max(axis=0))[1]  # by which squares neither vanish nor overflow
    Z = np.ldexp(X, -powers)
    mean = (share[:, None] * Z).sum(axis=0)
    scale = np.sqrt((share[:, None] * (Z - mean) ** 2).sum(axis=0))
    constant = scale <= _CONSTANT * np.abs(mean)
    return np.ldexp(mean, powers), np.where(constant, 1.0, np.ldexp(scale, powers))


def correlation_root(Z, weights):
    """Cholesky factor of the correlations of standardised columns, None where these depend."""
    Z = Z - weighted_sum(weights, Z) / weights.sum()
    with single_threaded_blas, contextlib.suppress(linalg.LinAlgError):
        S = (Z * weights[:, None]).T @ Z / weights.sum()
        root = linalg.cholesky(S, lower=True)
        return root if root.diagonal().min() > _DEPENDENT else None
    return None


def reported(outcome, learned):
    """The :class:`Report`, covariances of parameters and log Z by data and by noise, or None.

    And which of parameters and log Z the rows do not determine, (k + 1,); these have an infinite
    variance, and no covariances.
    """
    report, errors = Report(outcome.theta, -outcome.c), outcome.errors
    if learned.family is not None:
        report = learned.family.report(outcome.theta, outcome.c, learned.units)
    if errors is None:
        return report, None, None, np.zeros(len(report.params) + 1, bool)
    if report.jacobian is None:
        J = np.diag(np.append(np.ones(len(outcome.theta)), -1.0))
    else:
        J = report.jacobian()
    with single_threaded_blas:
        data, noise, moved = J @ errors.data @ J.T, J @ errors.noise @ J.T, J @ errors.flat
        size = np.abs(J) @ np.abs(errors.flat)
    lost = (np.abs(moved) > _ROUNDING * size).any(axis=1)
    if outcome.solution.separated:
        lost = (data + noise).diagonal() > 0.0
        lost[-1] = True
    for cov in (data, noise):
        cov[lost] = np.nan
        cov[:, lost] = np.nan
        cov[lost, lost] = np.inf
    return report, data, noise, lost
