"""Covariance of noise-contrastive estimates: what is owed to the data, and what to the noise.

With the information H = sum of w h (1 - h) gg' over both kinds of rows, the estimates vary by
H^-1 (V_x / W + nu^2 V_y / M) H^-1, V_x the variance of (1 - h) g over data and V_y that of h g over
noise (Gutmann and Hyvarinen 2012, theorem 3). Weights are counts, of sum W.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from skebm._jit import single_threaded_blas
from skebm.criteria.noise_contrastive import curvature_weights

# Entries of unit vectors that are rounding, and share of the largest curvature, for each parameter,
# below which another one is.
_ROUNDING, _FLAT = 1e-6, 4.0 * np.finfo(float).eps


class Sandwich(NamedTuple):
    """Covariances (k + 1, k + 1) of theta and c: by the data and by the noise.

    Rows and columns of fixed parameters are zero. ``flat`` (k + 1, any) are the directions that
    the rows do not determine, and which covariances leave out.
    """

    data: np.ndarray
    noise: np.ndarray
    flat: np.ndarray


def sandwich(problem, point):
    """The :class:`Sandwich` at the end of a search."""
    form, sample, free = problem.form, problem.sample, problem.free
    theta, c = problem.expand(point.x)
    h = _posterior(point.margins)
    w, of, is_data = sample.weights, np.ix_(free, free), np.arange(sample.n_blocks) < sample.n_data
    curvature, of_data, of_noise = form.grams(
        sample, theta, w * curvature_weights(point.margins),
        w * (1.0 - h) ** 2 * is_data[:, None], w * h**2 * ~is_data[:, None],
    )  # fmt: skip
    pulled = -form.evaluate(sample.only_data(), theta, c).slopes[free]  # sum of w (1 - h) g
    pushed = (form.evaluate(sample, theta, c).slopes[free] + pulled) / sample.ratio
    spread_x = of_data[of] - np.outer(pulled, pulled)
    spread_y = of_noise[of] / sample.ratio
    spread_y -= np.outer(pushed, pushed)
    inverse, flat = inverse_of(problem.penalised(curvature))
    with single_threaded_blas:
        by_data = inverse @ (spread_x / sample.total) @ inverse
        by_noise = inverse @ (spread_y * sample.ratio**2 / sample.n_noise) @ inverse
    return Sandwich(widened(by_data, free), widened(by_noise, free), lengthened(flat, free))


def _posterior(margins):
    e = np.exp(-np.abs(margins))
    return np.where(margins >= 0, 1.0, e) / (1.0 + e)


def inverse_of(H):
    """The inverse, and the directions without curvature (k, any) that it had to leave out."""
    if not len(H):
        return H, np.zeros((0, 0))
    scale = np.sqrt(np.maximum(H.diagonal(), np.finfo(float).tiny))
    with single_threaded_blas:
        values, vectors = linalg.eigh(H / np.outer(scale, scale))
        good = values > _FLAT * len(H) * max(values[-1], 0.0)
        kept, flat = vectors[:, good] / scale[:, None], vectors[:, ~good]
        flat = np.where(np.abs(flat) > _ROUNDING, flat, 0.0) / scale[:, None]
        return (kept / values[good]) @ kept.T, flat


def lengthened(directions, free):
    """Directions of all parameters, of those of free ones."""
    out = np.zeros((len(free), directions.shape[1]))
    out[free] = directions
    return out


def widened(matrix, free):
    """A symmetric matrix of all parameters, of that of free ones."""
    out = np.zeros((len(free), len(free)))
    out[np.ix_(free, free)] = (matrix + matrix.T) / 2.0
    return out
