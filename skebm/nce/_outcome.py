"""What learning comes to: against noise with a density, or by steps away from the data."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from skebm._jit import single_threaded_blas
from skebm.criteria._noise_errors import Sandwich, sandwich
from skebm.criteria._noise_pairs import PairProblem
from skebm.criteria._noise_solvers import Solution, minimise_lbfgs, minimise_newton
from skebm.criteria.noise_contrastive import Problem, Sample, area_under_curve
from skebm.nce._conditional import pair_problem, reference
from skebm.nce._sums import weighted_sum
from skebm.nce._user import GivenForm
from skebm.partition._weights import Estimate, log_mean_exp

# Parameters up to which Newton's method, and up to which a covariance is worth its time; of a
# user's function, which is called twice for each of them.
_MOST_NEWTON, _MOST_ERRORS, _MOST_GIVEN = 1500, 2000, 500

# Effective rows of noise below which they do not tell log Z of a start.
_ENOUGH = 10.0


class Outcome(NamedTuple):
    """Parameters as they were learned, and all that is said of them.

    ``errors`` are of theta and c, or None; ``weighed`` is log Z by importance sampling from
    ``noise``, which has a density; ``n_rows`` are those that log Z was found with.
    """

    solution: Solution
    theta: np.ndarray
    c: float
    errors: Sandwich
    auc: float
    loss: float
    weighed: Estimate
    noise: object
    n_noise: int
    method: str
    n_rows: int


def contrasted(estimator, setting, family, given, start):
    """The :class:`Outcome` of noise with a density."""
    problem = _problem(estimator, setting, family, given, start)
    c = start.c
    if c is None:
        c = _constant(problem, problem.at(problem.reduce(start.theta, 0.0)).margins)
    solution = _minimised(estimator, problem, problem.reduce(start.theta, c))
    theta, c = problem.expand(solution.point.x)
    point = solution.point
    return Outcome(
        solution, theta, c, _errors(problem, point, family, sandwich),
        area_under_curve(problem.sample, point.margins), _loss(problem, point, theta),
        _importance(problem, point.margins - c), setting.noise, len(setting.noise_rows), "nce",
        len(setting.X),
    )  # fmt: skip


def stepped(estimator, setting, family, given, start):
    """The :class:`Outcome` of conditional noise."""
    problem = pair_problem(estimator, setting, family, given, start)
    solution = _minimised(estimator, problem, start.theta[problem.moving])
    point, (theta, _) = solution.point, problem.expand(solution.point.x)
    after = reference(estimator, setting, family, given, start, theta)
    errors = _errors(problem, point, family, PairProblem.sandwich)
    if errors is not None:
        errors = _with_log_partition(errors, after)
    right = (point.margins > 0) + 0.5 * (point.margins == 0)
    return Outcome(
        solution, theta, -after.estimate.value, errors,
        float((problem.shares * right).sum() / problem.n_sets), _loss(problem, point, theta),
        after.estimate, after.noise, problem.n_sets, "importance", after.n_rows,
    )  # fmt: skip


def _with_log_partition(errors, after):
    """Covariances of theta and c = -log Z, which moves with theta and has an error of its own."""
    k = len(after.slopes)
    A = np.vstack([np.eye(k), -after.slopes])
    with single_threaded_blas:
        data, noise = A @ errors.data @ A.T, A @ errors.noise @ A.T
    noise[k, k] += after.estimate.stderr**2
    flat = np.vstack([errors.flat, -weighted_sum(after.slopes, errors.flat)])
    return errors._replace(data=data, noise=noise, flat=flat)


def _problem(estimator, setting, family, given, start):
    X, noise = setting.X, setting.noise_rows
    penalised = np.ones(len(start.theta), bool)
    if family is None:
        form, rows = GivenForm(given, X, noise, len(start.theta)), (X[:, :0], noise[:, :0])
    else:
        form = family.form(X.shape[1])
        rows = (
            estimator._rows_of(family, start.units, setting.coding, each) for each in (X, noise)
        )
        penalised = family.penalised(X.shape[1])
    X, noise = rows
    sample = Sample.of(X, setting.weights, noise, setting.log_noise, setting.ratio)
    return Problem(form, sample, start.theta, start.free, estimator.l2 * penalised)


def _minimised(estimator, problem, x):
    newton = estimator.solver == "newton" or (
        estimator.solver == "auto" and problem.form.linear and len(x) <= _MOST_NEWTON
    )
    minimise = minimise_newton if newton else minimise_lbfgs
    return minimise(problem, x, estimator.tol, estimator.max_iter)


def _errors(problem, point, family, by):
    most = _MOST_GIVEN if family is None else _MOST_ERRORS
    if len(point.x) > most or not np.isfinite(point.value):
        return None
    return by(problem, point)


def _loss(problem, point, theta):
    """Without penalties."""
    return float(point.value - 0.5 * (problem.l2 * theta**2).sum())


def _constant(problem, margins):
    """c to begin with: by importance sampling, or where that fails by balance of both classes."""
    estimate = _importance(problem, margins)
    if estimate.ess > _ENOUGH:
        return -estimate.value
    from scipy.optimize import brentq  # takes longer to import than the package

    data, noise = (of(margins) for of in (problem.sample.of_data, problem.sample.of_noise))
    noise = noise[np.isfinite(noise)]
    weights = problem.sample.of_data(problem.sample.weights)
    share = problem.sample.ratio / max(problem.sample.n_noise, 1)

    def excess(c):
        return (weights * expit(-c - data)).sum() - share * expit(c + noise).sum()

    everything = np.append(data, noise)
    reach = 50.0 + abs(np.log(problem.sample.ratio))
    return brentq(excess, -everything.max() - reach, -everything.min() + reach, xtol=1e-6)


def _importance(problem, margins):
    """log of the mean of e^-E / p_n over noise, of margins without c, as an :class:`Estimate`."""
    log_weights = problem.sample.of_noise(margins) + np.log(problem.sample.ratio)
    if not np.isfinite(log_weights).any():
        return Estimate(0.0, np.inf, 1.0)
    return log_mean_exp(log_weights)
