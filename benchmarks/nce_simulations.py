"""Simulations of noise-contrastive estimation, whose variances theory knows.

Each function gives estimates (n_simulations, k + 1) of parameters and c = -log Z, less the truth
and times sqrt(n), so that mean squares are what tables list. They use the package's own criterion
and solvers, without the estimator around them.
"""

import numpy as np
import scipy.stats

from skebm.criteria._noise_solvers import minimise_lbfgs, minimise_newton
from skebm.criteria.noise_contrastive import LAPLACE, Experts, Features, Problem, Quadratic, Sample

# N MSE(B) and N var(c) of four Laplace sources by the noise ratio, and of maximum likelihood.
FOUR_SOURCES = {0.01: (1583.0, 708.0), 0.1: (177.0, 77.7), 1.0: (33.3, 13.1), 10.0: (16.2, 5.46),
                100.0: (13.3, 4.36), np.inf: (12.0, 4.0)}  # fmt: skip

_STEPS = 8


def problem_of(form, X, noise, log_noise, nu, theta, free=None, weights=None):
    """The loss for rows as the form takes them."""
    weights = np.ones(len(X)) if weights is None else weights
    sample = Sample.of(X, weights, noise, log_noise, nu)
    free = np.ones(len(theta), bool) if free is None else free
    return Problem(form, sample, theta, free, np.zeros(len(theta)))


def one_normal(sigma, nu, n, n_simulations=2000, seed=0):
    """-lambda x^2 / 2 + c of data N(0, 1), noise N(0, sigma^2)."""
    rng, form, theta = np.random.default_rng(seed), Features(1), np.ones(1)
    log_noise = scipy.stats.norm(scale=sigma).logpdf
    start, found = np.array([1.0, -0.5 * np.log(2 * np.pi)]), np.empty((n_simulations, 2))
    for estimate in found:
        x, y = rng.normal(size=(n, 1)), sigma * rng.normal(size=(round(nu * n), 1))
        logs = log_noise(x[:, 0]), log_noise(y[:, 0])
        problem = problem_of(form, -0.5 * x**2, -0.5 * y**2, logs, nu, theta)
        estimate[:] = minimise_newton(problem, start, 1e-8, _STEPS).point.x
    return np.sqrt(n) * (found - start)


def noise_as_data(K, nu, n, n_simulations=2000, seed=0):
    """Precision (its upper triangle) and c of a centred Gaussian whose noise is its own."""
    rng, p = np.random.default_rng(seed), len(K)
    truth = scipy.stats.multivariate_normal(cov=np.linalg.inv(K))
    form, pairs = Quadratic(p, diagonal=True), np.triu_indices(p)
    theta = np.append(np.zeros(p), K[pairs])
    start = np.append(K[pairs], truth.logpdf(np.zeros(p)))
    found = np.empty((n_simulations, len(start)))
    for estimate in found:
        x, y = (truth.rvs(m, random_state=rng) for m in (n, round(nu * n)))
        logs = truth.logpdf(x), truth.logpdf(y)
        problem = problem_of(form, x, y, logs, nu, theta, np.arange(len(theta)) >= p)
        estimate[:] = minimise_newton(problem, start, 1e-8, _STEPS).point.x
    return np.sqrt(n) * (found - start)


def spins(states, truth, density, theta, log_z, nu, n, n_simulations=2000, seed=0):
    """Fields, couplings and c of an Ising model, from its few states with counts as weights.

    ``truth`` and ``density`` are probabilities of ``states`` (2^p, p) under model and noise.
    """
    rng, p = np.random.default_rng(seed), states.shape[1]
    form, start = Quadratic(p, diagonal=False, sign=-1.0), np.append(theta, -log_z)
    logs, found = np.log(density), np.empty((n_simulations, len(start)))
    for estimate in found:
        data, drawn = rng.multinomial(n, truth), rng.multinomial(round(nu * n), density)
        seen = data > 0
        problem = problem_of(
            form, states[seen], np.repeat(states, drawn, axis=0),
            (logs[seen], np.repeat(logs, drawn)), nu, theta, None, data[seen],
        )  # fmt: skip
        estimate[:] = minimise_newton(problem, start, 1e-8, _STEPS).point.x
    return np.sqrt(n) * (found - start)


def four_sources(nu, n, n_simulations=2000, seed=0, size=4):
    """Unmixing matrix and c of independent Laplace sources of variance 1, noise N(0, I).

    By equivariance it holds for any mixing A when errors are those of B A.
    """
    rng, form = np.random.default_rng(seed), Experts(size, size, LAPLACE, False)
    theta = np.eye(size).ravel()
    log_noise = scipy.stats.multivariate_normal(np.zeros(size)).logpdf
    start = np.append(theta, -0.5 * size * np.log(2.0))
    found = np.empty((n_simulations, len(start)))
    for estimate in found:
        x = rng.laplace(scale=np.sqrt(0.5), size=(n, size))
        y = rng.normal(size=(round(nu * n), size))
        problem = problem_of(form, x, y, (log_noise(x), log_noise(y)), nu, theta)
        estimate[:] = minimise_lbfgs(problem, start, 1e-4, 200).point.x
    return np.sqrt(n) * (found - start)


def in_standard_errors(squares, expected, n_independent=1):
    """(mean - expected) over its standard error, of sums of so many independent squares or more."""
    spread = expected * np.sqrt(2.0 / n_independent / len(squares))
    return float((np.mean(squares) - expected) / spread)
