"""Covariance of noise-contrastive estimates: what is owed to the data, and what to the noise.

With the information H = sum of w h (1 - h) gg' over both kinds of rows, the estimates vary by
H^-1 (V_x / W + nu^2 V_y / M) H^-1, V_x the variance of (1 - h) g over data and V_y that of h g over
noise (Gutmann and Hyvarinen 2012, theorem 3). Weights are counts, of sum W.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from skebm._jit import single_threaded_blas


class Sandwich(NamedTuple):
    """Covariances (k + 1, k + 1) of theta and c: by the data and by the noise.

    Rows and columns of fixed parameters are zero. ``singular`` says that some direction is not
    determined by the rows.
    """

    data: np.ndarray
    noise: np.ndarray
    singular: bool


def sandwich(problem, point):
    """The :class:`Sandwich` at the end of a search."""
    form, sample, free = problem.form, problem.sample, problem.free
    theta, c = problem.expand(point.x)
    h = _posterior(point.margins)
    data, noise = slice(0, sample.n_data), slice(sample.n_data, None)
    w, of = sample.weights, np.ix_(free, free)
    pulled = -form.evaluate(sample.only_data(), theta, c).slopes[free]  # sum of w (1 - h) g
    pushed = (form.evaluate(sample, theta, c).slopes[free] + pulled) / sample.ratio
    spread_x = form.gram(sample, theta, w * (1.0 - h) ** 2, data)[of] - np.outer(pulled, pulled)
    spread_y = form.gram(sample, theta, w * h**2, noise)[of] / sample.ratio
    spread_y -= np.outer(pushed, pushed)
    inverse, singular = inverse_of(problem.information(point))
    with single_threaded_blas:
        by_data = inverse @ (spread_x / sample.total) @ inverse
        by_noise = inverse @ (spread_y * sample.ratio**2 / sample.n_noise) @ inverse
    return Sandwich(_widened(by_data, free), _widened(by_noise, free), singular)


def _posterior(margins):
    e = np.exp(-np.abs(margins))
    return np.where(margins >= 0, 1.0, e) / (1.0 + e)


def inverse_of(H):
    """The inverse, and whether it had to leave out directions without curvature."""
    scale = np.sqrt(np.maximum(H.diagonal(), np.finfo(float).tiny))
    with single_threaded_blas:
        values, vectors = linalg.eigh(H / np.outer(scale, scale))
        good = values > 1e-12 * max(values[-1], 0.0)
        vectors = vectors[:, good] / scale[:, None]
        return (vectors / values[good]) @ vectors.T, not good.all()


def _widened(matrix, free):
    out = np.zeros((len(free), len(free)))
    out[np.ix_(free, free)] = (matrix + matrix.T) / 2.0
    return out
