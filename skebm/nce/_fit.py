"""Learning an energy by noise-contrastive estimation."""

from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skebm._base import all_or_nothing
from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters
from skebm._warn import warn
from skebm.criteria._noise_errors import sandwich
from skebm.criteria._noise_solvers import minimise_lbfgs, minimise_newton
from skebm.criteria.noise_contrastive import Problem, Sample, area_under_curve
from skebm.nce._asked import RULES, check_together, family_of, given_of
from skebm.nce._family import Report, Units, indexed
from skebm.nce._setting import Coding, setting_of, weighted_rows
from skebm.nce._user import GivenForm
from skebm.partition import LogPartition
from skebm.partition._weights import Estimate

# Parameters up to which Newton's method, and up to which a covariance is worth its time; of a
# user's function, which is called twice for each of them.
_MOST_NEWTON, _MOST_ERRORS, _MOST_GIVEN = 1500, 2000, 500

# Chance that the classifier puts data above noise, beyond which a density chasm is said.
_CHASM = 0.99

# Rows whose mean and scale columns are learned around may be as constant as this.
_CONSTANT = 1e-12


class Learned(NamedTuple):
    """What likelihoods are computed from: the energy, and its parameters as they were learned.

    ``own`` are the user's energy and gradient, where ``family`` is None.
    """

    family: object
    own: tuple
    theta: np.ndarray
    c: float
    units: Units
    coding: Coding
    bounds: tuple
    n_noise: int
    ratio: float
    entropy: tuple
    means: np.ndarray


class Start(NamedTuple):
    """Where a search begins: parameters, c or None, and which parameters move."""

    theta: np.ndarray
    c: float
    free: np.ndarray
    units: Units


class LearnsByContrast:
    """``fit`` of an energy by noise-contrastive estimation."""

    def fit(self, X, y=None, sample_weight=None):
        """Learn the parameters of the energy, and log Z.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data: real numbers inside the support of the energy, or binary ones coded as
            0 and 1 or as -1 and 1. All computations are float64.
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
            If slopes did not come below ``tol``, or if data and noise are separated so well that
            there is no minimum.
        UserWarning
            If the classifier tells data from noise nearly always, so that estimates are poor.
        """
        name = type(self).__name__
        check_parameters(RULES, self.get_params(deep=False), name)
        check_together(self)
        with all_or_nothing(self), threads(self.n_jobs):
            rows, weights = weighted_rows(self, X, sample_weight)
            complaints, remarks = self._learn(rows, weights, sample_weight is not None)
        if complaints:
            warn(f"{name}: {' '.join(complaints)}", ConvergenceWarning)
        if remarks:
            warn(f"{name}: {' '.join(remarks)}", UserWarning)
        return self

    def _learn(self, X, weights, weighted):
        entropy, family = draw_entropy(self.random_state), family_of(self)
        if family is not None:
            family = family.bound(X)
        setting = setting_of(self, X, weights, weighted, family, entropy)
        own = self.energy, self.gradient
        given = given_of(*own) if family is None else None
        n_params = len(self.init) if family is None else len(family.names(X.shape[1]))
        start = self._start(setting, family, n_params, entropy)
        if given is not None:
            given.check(start.theta, setting.X)
        problem = self._problem(setting, family, given, start)
        solution, newton = self._solved(problem, start)
        report, errors = self._reported(problem, solution, family, start.units)
        theta, c = problem.expand(solution.point.x)
        learned = Learned(
            family, own, theta, c, start.units, setting.coding, setting.bounds,
            len(setting.noise_rows), setting.ratio, entropy,
            weights @ setting.coding.bits(X) / weights.sum(),
        )  # fmt: skip
        return self._keep(setting, problem, solution, learned, report, errors, newton)

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
            return Start(init.copy(), None, ~fixed, Units.of_data(p))
        known = np.zeros(n_params) if init is None else init
        fixed = family.fixed(fixed, p)
        units = Units.of_data(p)
        if family.standardizes and self.standardize is not False:
            units = family.units(*moments(X, weights), fixed, known)
        elif family.standardizes:
            units = family.units(np.zeros(p), np.ones(p), fixed, known)
        theta, c = family.start(self._rows_of(family, units, setting.coding, X), weights, entropy)
        if init is not None:
            theta, c = family.internal(init, units), None
        return Start(theta, c, ~fixed, units)

    @staticmethod
    def _rows_of(family, units, coding, X):
        """Rows as a family takes them, standardised; binary ones from 0 and 1."""
        if family.kind is None:
            return family.rows(X)
        return family.rows(units.standardized(coding.bits(X)))

    def _problem(self, setting, family, given, start):
        X, noise = setting.X, setting.noise_rows
        penalised = np.ones(len(start.theta), bool)
        if family is None:
            form = GivenForm(given, X, noise, len(start.theta))
            rows = X[:, :0], noise[:, :0]
        else:
            form = family.form(X.shape[1])
            rows = (self._rows_of(family, start.units, setting.coding, each) for each in (X, noise))
            penalised = family.penalised(X.shape[1])
        X, noise = rows
        sample = Sample.of(X, setting.weights, noise, setting.log_noise, setting.ratio)
        return Problem(form, sample, start.theta, start.free, self.l2 * penalised)

    # -- learning ------------------------------------------------------------------------------

    def _solved(self, problem, start):
        """The :class:`Solution`, and whether it is Newton's."""
        linear = problem.form.linear
        if self.solver == "newton" and not linear:
            raise ValueError(
                "solver='newton' is for energies that are linear in their parameters; take 'lbfgs' "
                "or 'auto'."
            )
        c = start.c
        if c is None:
            c = -importance(problem, problem.at(problem.reduce(start.theta, 0.0)).margins).value
        x = problem.reduce(start.theta, c)
        newton = self.solver == "newton" or (
            self.solver == "auto" and linear and len(x) <= _MOST_NEWTON
        )
        minimise = minimise_newton if newton else minimise_lbfgs
        return minimise(problem, x, self.tol, self.max_iter), newton

    def _reported(self, problem, solution, family, units):
        """Parameters in units of the data, and covariances of them and log Z: two parts or None."""
        theta, c = problem.expand(solution.point.x)
        report = Report(theta, -c) if family is None else family.report(theta, c, units)
        most = _MOST_GIVEN if family is None else _MOST_ERRORS
        if len(solution.point.x) > most or not np.isfinite(solution.point.value):
            return report, None
        parts = sandwich(problem, solution.point)
        J = report.jacobian
        if J is None:
            J = np.ones(len(theta) + 1)
            J[-1] = -1.0
            return report, parts._replace(
                data=parts.data * np.outer(J, J), noise=parts.noise * np.outer(J, J)
            )
        return report, parts._replace(data=J @ parts.data @ J.T, noise=J @ parts.noise @ J.T)

    # -- after ---------------------------------------------------------------------------------

    def _keep(self, setting, problem, solution, learned, report, errors, newton):
        """Set all fitted attributes; returns sentences of warnings."""
        sample, point, k = problem.sample, solution.point, len(report.params)
        theta, auc = learned.theta, area_under_curve(sample, point.margins)
        complaints, remarks = self._said(problem, solution, auc, errors, newton)
        weighed = importance(problem, point.margins - learned.c)
        cov = np.full((k + 1, k + 1), np.nan) if errors is None else errors.data + errors.noise
        stderr = np.sqrt(np.maximum(cov.diagonal(), 0.0))
        doubts = [*complaints, *remarks]
        if errors is None:
            stderr[-1] = weighed.stderr
            doubts.append("its error leaves out that of the parameters, which are too many")
        names = indexed("theta", np.arange(k))
        if learned.family is not None:
            names = learned.family.names(setting.X.shape[1])
        vars(self).update(
            params_=report.params,
            param_names_=names,
            params_stderr_=stderr[:-1],
            params_cov_=cov[:-1, :-1],
            params_cov_data_=None if errors is None else errors.data[:-1, :-1],
            params_cov_noise_=None if errors is None else errors.noise[:-1, :-1],
            noise_=setting.noise,
            classifier_auc_=auc,
            loss_=float(point.value - 0.5 * problem.l2 @ theta**2),
            n_iter_=solution.n_iter,
            _learned=learned,
            _entropy=learned.entropy,
            _kept_log_partition=LogPartition.from_estimate(
                Estimate(report.log_partition, float(stderr[-1]), weighed.ess),
                doubts=doubts, method="nce",
            ),
        )  # fmt: skip
        return complaints, remarks

    def _said(self, problem, solution, auc, errors, newton):
        """Sentences on what is not as it should be."""
        complaints, remarks = [], []
        if solution.separated:
            complaints.append(
                "data and noise are separated: the classifier tells them apart perfectly, and the "
                "loss has no minimum. Take noise nearer to the data (a smaller noise_inflation, "
                "noise='mixture'), more rows, or l2 > 0."
            )
        elif not solution.residual <= self.tol:
            ended = solution.n_iter >= self.max_iter
            where = f"after max_iter={self.max_iter} steps" if ended else "where the search ended"
            complaints.append(
                f"{where} the largest slope is {solution.residual:.3g}, more than "
                f"tol={self.tol:g}. {'Raise max_iter' if ended else 'Raise tol'} or l2."
            )
        if errors is not None and errors.singular and not solution.separated:
            remarks.append(
                "some parameters are not determined by the rows, and standard errors leave out the "
                "directions in which they may vary."
            )
        if auc > _CHASM and not solution.separated:
            remarks.append(
                f"the classifier tells data from noise nearly always (AUC {auc:.4f}), across a "
                "chasm of densities where estimates have large errors. Take noise nearer to the "
                "data: noise='mixture', or a smaller noise_inflation."
            )
        return complaints, remarks


def moments(X, weights):
    """Means and standard deviations of columns, 1 where these are constant."""
    share = weights / weights.sum()
    mean = (share[:, None] * X).sum(axis=0)
    scale = np.sqrt((share[:, None] * (X - mean) ** 2).sum(axis=0))
    constant = scale <= _CONSTANT * np.maximum(np.abs(mean), np.finfo(float).tiny)
    return mean, np.where(constant, 1.0, scale)


def importance(problem, margins):
    """log of the mean of e^-E / p_n over noise, of margins without c, as an :class:`Estimate`."""
    from skebm.partition._weights import log_mean_exp

    log_weights = problem.sample.of_noise(margins) + np.log(problem.sample.ratio)
    finite = log_weights[np.isfinite(log_weights)]
    return log_mean_exp(log_weights) if len(finite) else Estimate(0.0, np.inf, 1.0)
