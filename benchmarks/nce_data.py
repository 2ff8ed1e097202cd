"""Data, noise and starts that noise-contrastive losses of different libraries share.

Made with NumPy and SciPy alone, so that no library has an advantage of its own: all are given the
same rows, log-densities of noise and first parameters, flat as :class:`Contrast` says.
"""

import warnings
from typing import NamedTuple

import numpy as np
from scipy.stats import multivariate_normal

# Factor on the standard deviations of Gaussian noise.
INFLATION = 1.3

_WEIGHTS, _GIBBS_STEPS = 0.35, 100


class Contrast(NamedTuple):
    """One objective, and where searches begin.

    ``log_noise`` are log p_n of ``X`` (n, p) and ``noise`` (M, p). ``start`` holds theta, then c =
    -log Z. theta is b (p,) and the upper triangle of K (Gaussian, E = x'Kx / 2 - b.x); W (m, p)
    (sources, E = sum f(w.x)); W (H, p), the visible and the hidden biases (RBM).
    """

    model: str
    X: np.ndarray
    noise: np.ndarray
    log_noise: tuple
    ratio: float
    start: np.ndarray
    n_hidden: int = 0
    l2: float = 0.0

    @property
    def n_penalised(self):
        """The first so many parameters are penalised by l2 / 2 times their squares."""
        return self.n_hidden * self.X.shape[1]


def contrast(row):
    """The :class:`Contrast` of a row of the settings, the same at every call."""
    generator = np.random.default_rng([row["n_rows"], row["n_features"]])
    return MADE[row["model"]](row, generator)


def gaussian(row, generator):
    """Columns of unit variance that all depend on each other; the start has their moments."""
    n, p = row["n_rows"], row["n_features"]
    X = _standardised(generator.normal(size=(n, 2 * p)) @ generator.normal(size=(2 * p, p)))
    # The moments of a tenth of the rows, so that there is something left to learn.
    mean, K = X[: n // 10].mean(axis=0), np.linalg.inv(np.cov(X[: n // 10].T))
    log_z = 0.5 * (p * np.log(2.0 * np.pi) - np.linalg.slogdet(K)[1] + mean @ K @ mean)
    theta = np.concatenate([K @ mean, K[np.triu_indices(p)]])
    return _against_normal(row, X, theta, log_z, generator)


def sources(row, generator):
    """Independent sources, mixed; the start is found by FastICA."""
    from sklearn.decomposition import FastICA

    n, p = row["n_rows"], row["n_features"]
    draw = generator.laplace if row["model"] == "laplace" else generator.logistic
    X = _standardised(draw(size=(n, p)) @ mixing(p, generator).T)
    search = FastICA(whiten="unit-variance", max_iter=100, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it only has to be near
        W = search.fit(X).components_
    # Of a variable of variance one: log of the integral of exp(-f).
    log_integral = np.log(np.sqrt(2.0) if row["model"] == "laplace" else 4.0 * np.sqrt(3.0) / np.pi)
    log_z = p * log_integral - np.linalg.slogdet(W)[1]
    return _against_normal(row, X, W.ravel(), log_z, generator)


def mixing(p, generator):
    """A random matrix (p, p) with a condition number below ten."""
    while True:
        A = generator.normal(size=(p, p))
        left, values, right = np.linalg.svd(A)
        if p > 8:  # they are too rare to wait for
            values = np.geomspace(3.0, 1.0, p)
        if values[0] < 10.0 * values[-1]:
            return (left * values) @ right


def rbm(row, generator):
    """Draws of a random RBM; the start has small random weights."""
    p, m = row["n_features"], row["n_hidden"]
    W, b = generator.normal(scale=_WEIGHTS, size=(m, p)), generator.normal(scale=0.5, size=p)
    X = (generator.random((row["n_rows"], p)) < 0.5).astype(float)
    for _ in range(_GIBBS_STEPS):
        hidden = (generator.random((len(X), m)) < _logistic(X @ W.T)).astype(float)
        X = (generator.random(X.shape) < _logistic(hidden @ W + b)).astype(float)
    means = np.clip(X.mean(axis=0), 0.01, 0.99)
    noise = (generator.random((round(row["noise_ratio"] * len(X)), p)) < means).astype(float)
    log_odds, constant = np.log(means / (1.0 - means)), np.log1p(-means).sum()
    log_noise = tuple(each @ log_odds + constant for each in (X, noise))
    near = W + generator.normal(scale=row["distance"], size=W.shape)
    log_z = _log_z_of_rbm(near, b, noise, log_noise[1])
    start = np.concatenate([near.ravel(), b, np.zeros(m), [-log_z]])
    return Contrast("rbm", X, noise, log_noise, row["noise_ratio"], start, m, row["l2"])


def _log_z_of_rbm(W, b, noise, log_noise):
    """log Z by importance sampling from the noise."""
    log_weights = noise @ b + np.logaddexp(0.0, noise @ W.T).sum(axis=1) - log_noise
    top = log_weights.max()
    return float(top + np.log(np.exp(log_weights - top).mean()))


MADE = {"gaussian": gaussian, "laplace": sources, "logistic": sources, "rbm": rbm}


def _against_normal(row, X, theta, log_z, generator):
    """Noise is normal with the moments of the data, inflated."""
    normal = multivariate_normal(X.mean(axis=0), INFLATION**2 * np.cov(X.T))
    noise = normal.rvs(round(row["noise_ratio"] * len(X)), random_state=generator)
    log_noise = normal.logpdf(X), normal.logpdf(noise)
    return Contrast(row["model"], X, noise, log_noise, row["noise_ratio"], np.append(theta, -log_z))


def _standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def _logistic(t):
    return 1.0 / (1.0 + np.exp(-t))
