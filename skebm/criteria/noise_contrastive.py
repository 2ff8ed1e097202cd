"""Noise-contrastive estimation: data told from noise by logistic regression, log Z included.

With N rows of data (their weights W in all) and nu times as many of noise of known density p_n,
and G(u) = -E(u) + c - log p_n(u) of a row u, c standing for -log Z, the loss is

    J = sum_x w_x / W softplus(log nu - G(x)) + nu / M sum_y softplus(G(y) - log nu)

(Gutmann and Hyvarinen 2012, equation 8, for softplus(t) = log(1 + e^t)). log nu stays inside: with
it the minimum is at log Z, as N grows, for every nu. Slopes weigh the features g of -E + c by
-(1 - h) of data and by h of noise, with h = sigmoid(G - log nu), so that only weighted sums of
dE / d theta over rows are ever needed. Where -E is linear in theta, J is convex.
"""

from typing import NamedTuple

import numpy as np

from skebm._rng import host_generator
from skebm.criteria._noise_forms import (
    LAPLACE,
    LOGISTIC,
    STUDENT,
    Experts,
    Features,
    Form,
    Hidden,
    Pairs,
    Quadratic,
)
from skebm.criteria._noise_sample import Sample

__all__ = [
    "LAPLACE",
    "LOGISTIC",
    "STUDENT",
    "Experts",
    "Features",
    "Form",
    "Hidden",
    "Pairs",
    "Point",
    "Problem",
    "Quadratic",
    "Sample",
    "area_under_curve",
    "curvature_weights",
    "error_of_slopes",
    "probed",
]

_SIGNS = 118  # purpose of random numbers

# Sums with random signs that a curvature is judged by: to some 25 % of it.
_PROBES = 32


class Point(NamedTuple):
    """Where a search stands: what moves, the penalised loss, its slopes, and the margins."""

    x: np.ndarray
    value: float
    slopes: np.ndarray
    margins: np.ndarray


class Problem:
    """The loss of a form on a sample, as a function of the parameters that move.

    Parameters
    ----------
    form : Form
        The energies.
    sample : Sample
        Data and noise.
    theta : ndarray of shape (n_params,)
        Where those stay that do not move.
    free : ndarray of shape (n_params,)
        Which move; c always does.
    l2 : ndarray of shape (n_params,)
        Penalties l2 theta^2 / 2.
    """

    def __init__(self, form, sample, theta, free, l2):
        self.form, self.sample, self.theta, self.l2 = form, sample, theta, l2
        self.free = np.append(free, True)
        self.moving = np.flatnonzero(free)

    def expand(self, x):
        """All parameters, and c."""
        theta = self.theta.copy()
        theta[self.moving] = x[:-1]
        return theta, float(x[-1])

    def reduce(self, theta, c):
        """What moves, of parameters and c."""
        return np.append(theta[self.moving], c)

    def at(self, x):
        """The :class:`Point` at ``x``."""
        theta, c = self.expand(x)
        found = self.form.evaluate(self.sample, theta, c)
        slopes = found.slopes[self.free]
        slopes[:-1] += (self.l2 * theta)[self.moving]
        value = found.value + 0.5 * float((self.l2 * theta**2).sum())
        return Point(x, value, slopes, found.margins)

    def information(self, point, rows_each=None, least=0.0):
        """Sum of w h (1 - h) gg' and the penalties, over what moves.

        The curvature where -E is linear in theta, and otherwise in the limit of many rows.
        ``rows_each`` takes only so many rows for each parameter, if there are more than that;
        h (1 - h) of data is ``least`` at the least.
        """
        weights = self.sample.weights * curvature_weights(point.margins)
        if least:
            data = self.sample.n_data
            weights[:data] = np.maximum(weights[:data], least * self.sample.weights[:data])
        (theta, _), sample = self.expand(point.x), self.sample
        step = 1 if rows_each is None else max(1, weights.size // (rows_each * len(self.free)))
        if step > 1:
            sample, weights = sample.thinned(step), step * weights[::step]
        return self.penalised(self.form.gram(sample, theta, weights))

    def penalised(self, gram):
        """The curvature of what moves, of a sum (k + 1, k + 1) over rows."""
        gram, places = gram[np.ix_(self.free, self.free)], np.arange(len(self.moving))
        gram[places, places] += self.l2[self.moving]
        return gram

    def curvatures(self, point):
        """The diagonal of :meth:`information`; of a form that is not ``scaled``, an estimate."""
        weights = self.sample.weights * curvature_weights(point.margins)
        theta, _ = self.expand(point.x)
        if self.form.scaled:
            diagonal = self.form.squares(self.sample, theta, weights)[self.free]
        else:
            diagonal = probed(self.form, self.sample, theta, np.sqrt(weights))[self.free]
        diagonal[:-1] += self.l2[self.moving]
        return diagonal


def probed(form, sample, theta, roots, spread_out=None):
    """Sum of squares of ``roots`` (.., blocks, ROWS) times features, by sums with random signs.

    The mean square of such a sum is the sum of squares, without any feature of a row by itself.
    ``spread_out`` makes weights of rows of what has been given signs.
    """
    generator, total = host_generator((0,), _SIGNS), 0.0
    for _ in range(_PROBES):
        weights = roots * (2.0 * generator.integers(0, 2, roots.shape) - 1.0)
        weights = weights if spread_out is None else spread_out(weights)
        found = form.evaluate(sample._replace(weights=weights, plain=True), theta, 0.0)
        total = total + found.slopes**2
    return total / _PROBES


def curvature_weights(margins):
    """h (1 - h) of margins, without cancellation."""
    e = np.exp(-np.abs(margins))
    return e / (1.0 + e) ** 2


def error_of_slopes(form, block, theta):
    """Largest difference of slopes of one row to central differences, over the largest slope or 1.

    ``block`` is a :class:`Sample` of that row, against no noise.
    """
    found, worst = form.evaluate(block, theta, 0.0), 0.0
    pull, size = found.slopes[-1], max(1.0, np.abs(found.slopes).max())
    for j in range(len(theta)):
        step, sides = 1e-5 * max(1.0, abs(theta[j])), []
        for moved in (theta[j] + step, theta[j] - step):
            there = theta.copy()
            there[j] = moved
            sides.append(form.evaluate(block, there, 0.0).margins[0, 0])
        expected = pull * (sides[0] - sides[1]) / (2.0 * step)
        worst = max(worst, abs(found.slopes[j] - expected) / size)
    return worst


def area_under_curve(sample, margins):
    """Chance that a row of data has a larger margin than one of noise, ties counted half."""
    data, weights = sample.of_data(margins), sample.of_data(sample.weights)
    noise = np.sort(sample.of_noise(margins))
    ranks = np.searchsorted(noise, data, "left") + np.searchsorted(noise, data, "right")
    return float((weights * ranks).sum() / (2.0 * len(noise) * weights.sum()))
