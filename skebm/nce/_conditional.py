"""Learning from steps away from the data, and log Z afterwards."""

from typing import NamedTuple

import numpy as np

from skebm._rng import derive_seed
from skebm.criteria._noise_pairs import PairProblem, filled, sample_of_pairs
from skebm.criteria.noise_contrastive import Sample
from skebm.nce._given import NOISE_ROWS
from skebm.nce._noises import noise_of
from skebm.nce._setting import covering, n_steps, rows_afterwards
from skebm.nce._user import GivenForm
from skebm.partition._weights import log_mean_exp

STEPS, _REFERENCE = 129, 120  # purposes of random numbers


class Reference(NamedTuple):
    """log Z by importance sampling from noise with a density, after learning.

    ``slopes`` (k,) are those of log Z by theta.
    """

    noise: object
    estimate: object
    slopes: np.ndarray
    n_rows: int


def pair_problem(estimator, setting, family, given, start):
    """The :class:`PairProblem` of a fit."""
    n_sets = n_steps(estimator.noise_ratio)
    X, weights, bits = setting.X, setting.weights, setting.coding.bits
    seed = derive_seed(start.entropy, STEPS)
    steps = setting.noise.pairs(bits(X), n_sets, random_state=seed)
    steps = np.stack([filled(steps[k::n_sets]) for k in range(n_sets)])
    X, l2 = filled(X), estimator.l2
    if family is None:
        form = GivenForm(given, X, steps.reshape(-1, X.shape[1]), len(start.theta))
        given.known_energies(start.theta, form.noise, NOISE_ROWS)
        sample, shares = sample_of_pairs(X[:, :0], weights, steps[:, :, :0])
        l2 = np.full(len(start.theta), float(l2))
    else:
        rows = [
            estimator._rows_of(family, start.units, setting.coding, each) for each in (X, *steps)
        ]
        form, l2 = family.form(X.shape[1]), l2 * family.penalised(X.shape[1])
        sample, shares = sample_of_pairs(rows[0], weights, rows[1:])
    return PairProblem(form, sample, shares, start.theta, start.free, l2)


def reference(estimator, setting, family, given, start, theta):
    """The :class:`Reference` of a learned energy."""
    low, high = setting.bounds
    noise = noise_of(
        "auto", binary=False, inflation=estimator.noise_inflation, low=low, high=high
    ).fit(setting.X, sample_weight=setting.weights)
    n = rows_afterwards(len(setting.X))
    rows = noise.sample(n, random_state=derive_seed(start.entropy, _REFERENCE))
    log_noise = covering(noise, rows, "noise")
    if family is None:
        form, Z = GivenForm(given, rows[:0], rows, len(theta)), rows[:, :0]
        given.known_energies(theta, rows, NOISE_ROWS)
    else:
        form = family.form(rows.shape[1])
        Z = estimator._rows_of(family, start.units, setting.coding, rows)
    sample = Sample.of(Z[:0], np.ones(0), Z, (np.empty(0), log_noise), 1.0)._replace(n_data=0)
    log_weights = sample.of_noise(form.evaluate(sample, theta, 0.0).margins)
    estimate = log_mean_exp(log_weights)
    # The mean of features of -E under the model: what log Z changes by with theta.
    share = np.zeros_like(sample.weights)
    share.ravel()[:n] = np.exp(log_weights - log_weights.max())
    share /= share.sum()
    sloped = form.evaluate(sample._replace(weights=share, plain=True), theta, 0.0)
    return Reference(noise, estimate, sloped.slopes[:-1], n)
