"""Generalised score matching of a Gaussian inside a product of intervals, from the rows themselves.

The density is proportional to exp(-x'Kx / 2 + eta'x) inside, with Z = X K - 1 eta' the loss is

    sum_j [ 1/2 mean(h(x_j) Z_j^2) - mean(h'(x_j) Z_j) - K_jj mean(h(x_j)) ] + 1/2 ridge tr(K^2),

h of :class:`skebm.criteria._support.Support` (Hyvarinen 2007 for h = x^2; Yu, Drton and Shojaie
2019). It is the mean of h s^2 / 2 + h ds/dx_j + h' s over rows, s = -Z_j the slope of the log
density, integrated by parts, which needs h = 0 at bounds. It is quadratic in K and eta; the best
eta for each K is put in, or eta is 0.

With h = 1 it is the loss of :class:`~skebm.criteria._covariance_form.CovarianceForm` at
S + ridge I, S the covariance of the rows, which is not formed: that is how many more variables than
rows are learned from. ``ridge`` multiplies the same squares of entries here as there, whatever h.

Memory is that of five to six copies of the rows, and a few numbers for each pair at work; one of
those costs O(n) per sweep, all pairs together one product of matrices, 2 n p^2 operations.

References
----------
A. Hyvarinen (2007). Some extensions of score matching. Computational Statistics & Data Analysis 51.

L. Lin, M. Drton, A. Shojaie (2016). Estimation of high-dimensional graphical models using
regularized score matching. Electronic Journal of Statistics 10.

S. Yu, M. Drton, A. Shojaie (2019). Generalized score matching for non-negative data. Journal of
Machine Learning Research 20.
"""

import functools

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS
from skebm.criteria import _residual_kernels as kernels
from skebm.criteria._leap import in_turns, state
from skebm.criteria._residual_kernels import TILE

# Rows beyond which the slopes of a tile are made in parts, and rows of a part.
MANY, ROWS = 2**14, 2**12

# Tiles of marks that are kept at a time, eight megabytes of them.
_TILES = 512

# A sweep waits for memory and for threads: so many times as long as its products alone.
_WAITING = 5.0


class ResidualForm:
    """The smooth loss of a precision matrix, from rows that are kept.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows inside the support.
    support : Support
        Bounds of the variables, and the weight function.
    sample_weight : ndarray of shape (n,), default=None
        Weights of rows, not all zero.
    weights : ndarray of shape (p, p), default=None
        Penalties are multiples of these; infinite where a pair must stay zero. None means ones.
    ridge : float, default=0.0
        Half of it multiplies the sum of all squared entries of K.
    assume_centered : bool, default=False
        Whether eta, and with it the location, is zero.
    """

    def __init__(
        self, X, support, *, sample_weight=None, weights=None, ridge=0.0, assume_centered=False
    ):
        n = len(X)
        w = np.full(n, 1.0 / n) if sample_weight is None else sample_weight / np.sum(sample_weight)
        self.weights = np.zeros((0, 0)) if weights is None else weights
        self.ridge = float(ridge)
        self.profiled = not (assume_centered or support.is_real)
        self.centre = np.zeros(X.shape[1]) if assume_centered else w @ X
        self._X = np.subtract(X.T, self.centre[:, None], dtype=np.float64, order="C")
        self._H = self._H1 = np.zeros((0, 0))
        self._heights = np.ones(self.p)
        self.constant = 0.0
        if support.is_real:
            self._X *= np.sqrt(w)
        else:
            self._weigh(w, *support.weights(X))
        self._U, self._linear, self._other_U = np.empty_like(self._X), np.zeros(self.p), None
        self._keys, self._constants = np.zeros(0, np.int64), np.zeros((0, 4))

    def _weigh(self, w, h, slope):
        self._H, self._H1 = (np.multiply(each.T, w, order="C") for each in (h, slope))
        self._heights = self._H.sum(axis=1)
        if self.profiled:
            drifts = self._H1.sum(axis=1)
            seen = self._heights > 0
            self.constant = -0.5 * float((drifts[seen] ** 2 / self._heights[seen]).sum())

    @property
    def p(self):
        """Number of variables."""
        return len(self._X)

    @property
    def n(self):
        """Number of rows."""
        return self._X.shape[1]

    def diagonal(self):
        """The best diagonal matrix, (p,); where it is not positive, that of the variances."""
        own = self._own
        with np.errstate(divide="ignore", invalid="ignore"):
            best = (self._heights + own[:, 3]) / (own[:, 0] + self.ridge)
            usual = self._heights / (own[:, 0] + self.ridge)
        return np.where(best > 0, best, usual)

    def weights_of(self, pairs):
        """Weights of the penalties of some :class:`Pairs`, (m,)."""
        if not self.weights.size:
            return np.ones(len(pairs))
        return self.weights[pairs.rows, pairs.columns]

    def linear_term(self, pairs):
        """The best eta, (p,)."""
        self.refill(pairs)
        return self._linear + pairs.tocsr() @ self.centre

    def location(self, pairs):
        """K^-1 eta, (p,), the mean of the Gaussian before it is cut."""
        if not self.profiled:
            return self.centre.copy()
        self.refill(pairs)
        return self.centre + np.atleast_1d(spsolve(sp.csc_array(pairs.tocsr()), self._linear))

    def is_crowded(self, pairs):
        """Never: rows know no better way with many pairs."""
        return False

    # -- few pairs -----------------------------------------------------------------------------

    def descend(self, pairs, penalty, tol, max_sweeps):
        """Coordinate descent over ``pairs``, in place, until no condition is missed by ``tol``.

        Where it is slow, conjugate gradients take turns with it. Returns the number of sweeps, and
        the objective and largest violation at the end.
        """
        self.refill(pairs)
        sweep, penalties = self._sweeper(pairs, penalty, tol), penalty * self.weights_of(pairs)
        total = in_turns(self, pairs, penalties, sweep, tol, max_sweeps)
        return total, *state(self, pairs, penalties)

    def _sweeper(self, pairs, penalty, tol):
        """A function that sweeps so many times at the most: how often it did, the violation."""
        order, classes = _coloured(pairs)
        penalties, constants = penalty * self.weights_of(pairs), self.constants(pairs)
        violations, done = np.zeros(self.p + len(pairs)), np.zeros(2)
        flops = 8.0 * self.n * len(order) / max(1, len(classes) - 1)  # each class wakes threads
        per_call = max(1, int(FLOPS_PER_CALL / max(_WAITING * flops, 1.0)))
        parts = range(0, max(1, len(classes) - 1), per_call)

        def run(n_sweeps, low):
            kernels.descend_residual(
                self._X, self._H, self._heights, self.ridge, pairs.rows, pairs.columns,
                pairs.first, pairs.second, order, classes[low : low + per_call + 1], low == 0,
                constants, self._own, penalties, tol, n_sweeps, pairs.value, pairs.diagonal,
                self._linear, self._U, violations, done, parallel=flops > PARALLEL_FLOPS,
            )  # fmt: skip

        def sweep(n_sweeps):
            total, at_once = 0, max(1, per_call // max(1, len(classes) - 1))
            while total < n_sweeps:
                for low in parts:
                    run(min(at_once, n_sweeps - total), low)
                total += int(done[0])
                worst = violations.max()
                if not worst > tol:
                    break
            return total, worst

        return sweep

    def refill(self, pairs):
        """Make the residuals those of ``pairs``."""
        self._fill(pairs, pairs.value, pairs.diagonal, self._H1, self._U, self._linear)

    def slopes(self, pairs):
        """Derivatives of the loss by the diagonal and by the pairs, (p + m,), once filled."""
        slopes = self._slopes(pairs, self._U)
        slopes[: self.p] += self.ridge * pairs.diagonal - self._heights
        slopes[self.p :] += 2.0 * self.ridge * pairs.values
        return slopes

    def bend(self, pairs, direction):
        """The product of the Hessian in diagonal and pairs with a direction, (p + m,)."""
        if self._other_U is None:
            self._other_U = np.empty_like(self._U)
        value, diagonal = np.empty_like(pairs.value), direction[: self.p]
        value[pairs.first] = value[pairs.second] = direction[self.p :]
        self._fill(pairs, value, diagonal, np.zeros((0, 0)), self._other_U, np.empty(self.p))
        slopes = self._slopes(pairs, self._other_U)
        slopes[: self.p] += self.ridge * diagonal
        slopes[self.p :] += 2.0 * self.ridge * direction[self.p :]
        return slopes

    def curvatures(self, pairs):
        """The diagonal of that Hessian, (p + m,)."""
        pair = self.constants(pairs)[:, 0] + 2.0 * self.ridge
        return np.concatenate([self._own[:, 0] + self.ridge, pair])

    def objective(self, pairs, slopes, penalties):
        """The loss with the penalty, of a quadratic whose slopes here are known."""
        theta = np.concatenate([pairs.diagonal, pairs.values])
        pulls = [self._heights + self._own[:, 3], self.constants(pairs)[:, 3]]
        loss = 0.5 * (theta * (slopes - np.concatenate(pulls))).sum()
        return float(self.constant + loss + 2.0 * (penalties * np.abs(pairs.values)).sum())

    def constants(self, pairs):
        """What does not change of pairs, (m, 4), as ``curve_pairs`` says."""
        keys, known = pairs.keys, self._keys
        if not np.array_equal(keys, known):
            place = np.minimum(np.searchsorted(known, keys), max(len(known) - 1, 0))
            have = known[place] == keys if len(known) else np.zeros(len(keys), bool)
            constants = np.empty((len(keys), 4))
            constants[have] = self._constants[place[have]]
            constants[~have] = self._curved(pairs.rows[~have], pairs.columns[~have])
            self._keys, self._constants = keys, constants
        return self._constants

    @functools.cached_property
    def _own(self):
        rows = np.arange(self.p)
        return self._curved(rows, rows)

    @functools.cached_property
    def _variances(self):
        return np.einsum("it,it->i", self._X, self._X)

    def _curved(self, rows, columns):
        out = np.zeros((len(rows), 4))
        if not self._H.size:
            other = np.where(rows == columns, 0.0, self._variances[columns])
            out[:, 0] = self._variances[rows] + other
            return out
        for low, high, parallel in self._parts(len(rows), 14.0):
            kernels.curve_pairs(
                self._X, self._H, self._H1, self._heights, self.profiled, rows, columns, low, high,
                out, parallel=parallel,
            )  # fmt: skip
        return out

    def _slopes(self, pairs, U):
        own, slopes = np.arange(self.p), np.empty(self.p + len(pairs))
        rows, columns = (np.concatenate([own, ends]) for ends in (pairs.rows, pairs.columns))
        for low, high, parallel in self._parts(len(rows), 4.0):
            kernels.slope_pairs(self._X, U, rows, columns, low, high, slopes, parallel=parallel)
        return slopes

    def _fill(self, pairs, value, diagonal, H1, U, linear):
        for low, high, parallel in self._parts(self.p, 4.0 + 2.0 * len(pairs.other) / self.p):
            kernels.fill_residuals(
                self._X, self._H, H1, self._heights, self.profiled, pairs.start, pairs.other,
                value, diagonal, low, high, U, linear, parallel=parallel,
            )  # fmt: skip

    def _parts(self, length, operations):
        """First, last and whether in parallel, of calls that take ``operations`` per number."""
        each = operations * self.n
        step = max(1, int(FLOPS_PER_CALL / each))
        for low in range(0, length, step):
            high = min(length, low + step)
            yield low, high, each * (high - low) > PARALLEL_FLOPS

    # -- all pairs -----------------------------------------------------------------------------

    def look(self, pairs, penalty, beyond, near):
        """Which pairs have slopes that are large, given that ``pairs`` are the nonzero ones.

        Returns sorted keys of those whose slope is beyond ``near``, whether it also is beyond
        ``penalty`` by more than ``beyond``, and the largest slope beyond ``penalty``.
        """
        self.refill(pairs)
        tiles = np.column_stack(np.triu_indices(-(-self.p // TILE)))
        step = min(_TILES, max(1, int(FLOPS_PER_CALL / (4.0 * TILE**2 * (self.n + 10.0)))))
        step = step if self.n <= MANY else 1
        marks = np.empty((min(step, len(tiles)), TILE, TILE), np.uint8)
        matrix = self.ridge, pairs.start, pairs.other, pairs.value
        asked, found, largest = (self.weights, penalty, beyond, near), [], 0.0
        for low in range(0, len(tiles), step):
            part = tiles[low : low + step]
            counts, worst = np.empty(len(part), np.int64), np.empty(len(part))
            if self.n <= MANY:
                kernels.look_at_residuals(
                    self._X, self._U, *matrix, *asked, part, marks, counts, worst,
                    parallel=len(part) > 1,
                )  # fmt: skip
            else:
                slopes = self._slopes_of_tile(*part[0] * TILE)
                kernels.mark_slopes(
                    *slopes, *part[0] * TILE, *matrix, *asked, marks, counts, worst, parallel=False
                )
            found.append(self._listed(marks, part, counts))
            largest = max(largest, float(worst.max()))
        keys, bits = (np.concatenate(each) for each in zip(*found))
        order = np.argsort(keys)
        return keys[order], bits[order] > 1, largest

    def _slopes_of_tile(self, above, below):
        """Slopes, and those that mirror them, from many rows, (2, a, b)."""
        sides = min(TILE, self.p - above), min(TILE, self.p - below)
        parts = np.empty((-(-self.n // ROWS), 2, *sides))
        flops = 4.0 * ROWS * sides[0] * sides[1]
        step = max(1, int(FLOPS_PER_CALL / 4.0 / flops))
        for first in range(0, len(parts), step):
            last = min(first + step, len(parts))
            kernels.multiply_parts(
                self._X, self._U, above, below, ROWS, first, last, parts, parallel=last - first > 1
            )
        return parts.sum(axis=0)

    def _listed(self, marks, tiles, counts):
        keys, bits = np.empty(counts.sum(), np.int64), np.empty(counts.sum(), np.uint8)
        full = np.flatnonzero(counts)
        places = np.cumsum(counts[full]) - counts[full]
        kernels.list_marked(
            marks, full, tiles[full], self.p, places, keys, bits, parallel=len(full) > 8
        )
        return keys, bits


def _coloured(pairs):
    """An order of pairs, and where in it classes begin that have no rows in common."""
    m, p = len(pairs), pairs.p
    if 8 * m > p**2:
        colours = (pairs.rows + pairs.columns) % p
    else:
        at_places, colours = np.empty(2 * m, np.int64), np.empty(m, np.int64)
        at_places[pairs.first] = at_places[pairs.second] = np.arange(m)
        kernels.colour_pairs(
            pairs.rows, pairs.columns, pairs.start, pairs.first, pairs.second, at_places, colours,
            parallel=False,
        )  # fmt: skip
    sizes = np.bincount(colours)
    return np.argsort(colours, kind="stable"), np.concatenate([[0], np.cumsum(sizes[sizes > 0])])
