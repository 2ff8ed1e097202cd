"""Asymptotic variances of noise-contrastive estimates, by sums and draws, without skebm.

Gutmann and Hyvärinen (2012), theorem 3: with P = nu p_n / (p_d + nu p_n), g the slopes of log p by
theta and c = -log Z, and I = E(P gg') under the data, N times the covariance of the estimates is
I^-1 - (1 + 1 / nu) I^-1 E(Pg) E(Pg)' I^-1. Every function gives the sum over parameters of N times
their variance, and that of log Z.
"""

import itertools

import numpy as np
from scipy.stats import multivariate_normal, norm

_DRAWS, _CHUNK = 1_000_000, 50_000


def covariance(information, pushed, ratio):
    """N times the covariance, from I and E(Pg)."""
    inverse = np.linalg.inv(information)
    lost = inverse @ pushed
    return inverse - (1.0 + 1.0 / ratio) * np.outer(lost, lost)


def summed(matrix):
    """Parameters together, and log Z, the last one."""
    return float(matrix.diagonal()[:-1].sum()), float(matrix[-1, -1])


def of_states(data, noise, features, ratio):
    """From probabilities (n,) of states or grid points, and features (n, k) of log p."""
    g = np.column_stack([features, np.ones(len(features))])
    weights = data * ratio * noise / (data + ratio * noise)
    return covariance((g * weights[:, None]).T @ g, g.T @ weights, ratio)


def normal_variable(sigma, ratio):
    """-lambda x^2 / 2 + c at lambda = 1, noise of standard deviation sigma."""
    x = np.linspace(-12.0, 12.0, 24001)
    width = x[1] - x[0]
    data, noise = norm.pdf(x) * width, norm.pdf(x, scale=sigma) * width
    return summed(of_states(data, noise, -0.5 * x[:, None] ** 2, ratio))


def normal_vector(K, ratio):
    """Centred, noise as the data: the factor 1 + 1 / nu on maximum likelihood."""
    i, j = np.triu_indices(len(K))
    likelihood = (K[i, i] * K[j, j] + K[i, j] ** 2).sum()
    return (1.0 + 1.0 / ratio) * float(likelihood), (1.0 + 1.0 / ratio) * len(K) / 2.0


def laplace_sources(n_sources, ratio):
    """Unit variances, unmixing matrix B = 1, noise N(0, 1), from draws."""
    generator, k = np.random.default_rng(0), n_sources**2 + 1
    information, pushed = np.zeros((k, k)), np.zeros(k)
    noise = multivariate_normal(np.zeros(n_sources))
    for _ in range(_DRAWS // _CHUNK):
        s = generator.laplace(scale=np.sqrt(0.5), size=(_CHUNK, n_sources))
        log_odds = noise.logpdf(s) + np.sqrt(2.0) * np.abs(s).sum(axis=1)
        log_odds += n_sources * np.log(np.sqrt(2.0)) + np.log(ratio)
        P = 1.0 / (1.0 + np.exp(-log_odds))
        slopes = -np.sqrt(2.0) * np.sign(s)[:, :, None] * s[:, None, :]
        g = np.column_stack([slopes.reshape(_CHUNK, -1), np.ones(_CHUNK)])
        information += (g * P[:, None]).T @ g / _DRAWS
        pushed += P @ g / _DRAWS
    return summed(covariance(information, pushed, ratio))


def states_of_spins(p):
    """All (2^p, p) of them."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=p)))


def spin_features(states):
    """The spins, then their products."""
    i, j = np.triu_indices(states.shape[1], 1)
    return np.hstack([states, states[:, i] * states[:, j]])


def spin_probabilities(theta, p):
    """Probabilities of all states, and log Z, by summing."""
    log_weights = spin_features(states_of_spins(p)) @ theta
    log_z = float(np.logaddexp.reduce(log_weights))
    return np.exp(log_weights - log_z), log_z
