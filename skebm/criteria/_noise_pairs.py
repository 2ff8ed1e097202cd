"""Conditional noise-contrastive estimation: rows of data told from steps away from them.

A step from x to y is as likely as one from y to x, so that densities of noise and log Z cancel:

    J = sum_x w_x / W mean_j softplus(E(x) - E(y_j))

(Ceylan and Gutmann 2018, equation 11, without a factor of two). Where -E is linear in theta, J is
convex. A variance is that of sums over the steps of a row, over rows; what steps from one row vary
by is owed to the noise.
"""

import numpy as np

from skebm._jit import single_threaded_blas
from skebm.criteria._noise_errors import Sandwich, inverse_of, lengthened, widened
from skebm.criteria._noise_forms import Features
from skebm.criteria._noise_kernels import ROWS
from skebm.criteria._noise_sample import Sample, in_blocks, spread
from skebm.criteria.noise_contrastive import Point, curvature_weights, probed

# Blocks whose features are made together.
_BLOCKS = 16


def filled(X):
    """Rows with copies of the last one, which fill up a block."""
    return np.concatenate([X, np.repeat(X[-1:], -len(X) % ROWS, axis=0)])


def sample_of_pairs(X, weights, steps):
    """The :class:`Sample` of rows (n, p) and as many sets of steps, (sets, n, p).

    All have been filled up; ``weights`` (before that) are those of data.
    """
    Z = np.concatenate([in_blocks(X), *(in_blocks(each) for each in steps)])
    shares = spread(np.append(weights / weights.sum(), np.zeros(len(X) - len(weights))))
    none = np.zeros((len(Z), ROWS))
    total = float(weights.sum())
    rows = len(X)
    return Sample(Z, none, none, len(shares), total, rows, len(steps) * rows, 1.0, True), shares


class PairProblem:
    """The loss of a form over pairs, as a function of the parameters that move.

    Parameters
    ----------
    form : Form
        The energies.
    sample : Sample
        Rows and their steps.
    shares : ndarray of shape (blocks, ROWS)
        w / W of rows.
    theta, free, l2 : ndarray of shape (n_params,)
        As of :class:`~skebm.criteria.noise_contrastive.Problem`.
    """

    def __init__(self, form, sample, shares, theta, free, l2):
        self.form, self.sample, self.shares = form, sample, shares
        self.theta, self.l2, self.free = theta, l2, free
        self.moving = np.flatnonzero(free)
        self.n_sets = sample.n_blocks // len(shares) - 1

    def expand(self, x):
        """All parameters, and nothing for c."""
        theta = self.theta.copy()
        theta[self.moving] = x
        return theta, 0.0

    def at(self, x):
        """The :class:`Point` at ``x``; its margins (sets, blocks, ROWS) are E(y) - E(x)."""
        theta, _ = self.expand(x)
        energies = -self.form.evaluate(self.sample, theta, 0.0).margins
        energies = energies.reshape(1 + self.n_sets, *self.shares.shape)
        margins = energies[1:] - energies[0]
        losses = np.maximum(-margins, 0.0) + np.log1p(np.exp(-np.abs(margins)))
        share = self.shares / self.n_sets
        pulls = np.where(self.shares > 0, share * _sigmoid(-margins), 0.0)
        weighted = self.sample._replace(weights=_of_rows(pulls))
        found = self.form.evaluate(weighted, theta, 0.0)
        slopes = found.slopes[:-1][self.free] + (self.l2 * theta)[self.moving]
        value = float((np.where(self.shares > 0, share * losses, 0.0)).sum())
        value += 0.5 * float((self.l2 * theta**2).sum())
        return Point(x, value, slopes, margins)

    def information(self, point, rows_each=None, least=0.0):
        """Sum of curvature weights times products of feature differences, and the penalties."""
        weights = np.maximum(curvature_weights(point.margins), least)
        weights *= self.shares / self.n_sets
        theta, _ = self.expand(point.x)
        gram = sum(
            _gram(D, weights[:, part].reshape(-1, ROWS)) for part, D in self._differences(theta)
        )
        return self._penalised(gram)

    def _penalised(self, gram):
        gram, places = gram[np.ix_(self.free, self.free)], np.arange(len(self.moving))
        gram[places, places] += self.l2[self.moving]
        return gram

    def curvatures(self, point):
        """The diagonal of :meth:`information`; of a form that is not ``scaled``, an estimate."""
        if self.form.scaled:
            return self.information(point).diagonal()
        theta, _ = self.expand(point.x)
        roots = np.sqrt(self.shares / self.n_sets * curvature_weights(point.margins))
        found = probed(self.form, self.sample, theta, roots, _of_rows)
        return found[:-1][self.free] + self.l2[self.moving]

    def _differences(self, theta):
        """(slice of blocks, features of steps less those of rows, (sets * blocks, k + 1, ROWS))."""
        n = len(self.shares)
        left, right, scales = self.form.pairs
        for low in range(0, n, _BLOCKS):
            part = slice(low, min(n, low + _BLOCKS))
            parts = []
            for k in range(1 + self.n_sets):
                L, M = self.form.factors(
                    self.sample, theta, slice(k * n + part.start, k * n + part.stop)
                )
                parts.append(scales[:, None] * L[:, left] * M[:, right])
            D = np.concatenate([each - parts[0] for each in parts[1:]])
            D[:, -1] = 1.0
            yield part, D

    def sandwich(self, point):
        """The :class:`Sandwich` of theta alone; without a noise part for a single set of steps."""
        theta, _ = self.expand(point.x)
        pulls, share = _sigmoid(-point.margins), self.shares
        of = np.ix_(self.free, self.free)
        rows = pairs = curvature = 0.0
        for part, D in self._differences(theta):
            pull = pulls[:, part]
            scores = D.reshape(self.n_sets, -1, *D.shape[1:]) * pull[:, :, None]
            mean = scores.mean(axis=0)
            mean[:, -1] = 1.0
            rows = rows + _gram(mean, share[part])
            weights = share[part] / self.n_sets
            pairs = pairs + _gram(D, (weights * pull**2).reshape(-1, ROWS))
            weights = weights * curvature_weights(point.margins[:, part])
            curvature = curvature + _gram(D, weights.reshape(-1, ROWS))
        rows, pairs = rows[of], pairs[of]
        slopes = point.slopes - (self.l2 * theta)[self.moving]
        rows = rows - np.outer(slopes, slopes)
        within = (pairs - rows) / max(self.n_sets - 1, 1)
        if self.n_sets == 1:
            within = np.zeros_like(rows)
        inverse, flat = inverse_of(self._penalised(curvature))
        with single_threaded_blas:
            parts = [inverse @ V @ inverse / self.sample.total for V in (rows - within, within)]
        free = self.free
        return Sandwich(*(widened(each, free) for each in parts), lengthened(flat, free))


def _of_rows(pulls):
    """Weights of rows, then of steps, (blocks, ROWS), of what pulls on their differences."""
    return np.concatenate([-pulls.sum(axis=0)[None], pulls]).reshape(-1, ROWS)


def _gram(D, weights):
    """Sum of weights times products of features, (k, k), the last feature (of ones) left out."""
    form = Features(D.shape[1] - 1)
    sample = Sample(D, weights, weights, 0, 1.0, 0, 0, 1.0)
    return form.gram(sample, None, np.ascontiguousarray(weights))[:-1, :-1]


def _sigmoid(t):
    e = np.exp(-np.abs(t))
    return np.where(t >= 0, 1.0, e) / (1.0 + e)
