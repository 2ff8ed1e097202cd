"""Where variables can be, products of intervals, and the weights that score matching has there.

Score matching integrates by parts, so that its terms must vanish where the density ends: each is
weighted by h(x_j) = min(f(d), c), d the distance of x_j to the nearest bound (Hyvarinen 2007 with
f(d) = d^2; Yu, Drton and Shojaie 2019 for other f, of which those that do not grow estimate
better; Liu, Kanamori and Williams 2022 for distances to boundaries). A variable without bounds
has h = 1.

With columns scaled to root mean square distance 1 (:meth:`Support.scales`), c = 1 is near the best
for all f: of one normal variable cut at 0, location -2 to 3 standard deviations, both parameters
unknown, log(1 + d) reaches .91 to .99 of the efficiency of maximum likelihood (square root of the
ratio of determinants), d .89 to .94, and d^2, uncut, .47 to .60. Without a cut it is .91 to 1.00
and .83 to .98.

References
----------
A. Hyvarinen (2007). Some extensions of score matching. Computational Statistics & Data Analysis 51.

S. Yu, M. Drton, A. Shojaie (2019). Generalized score matching for non-negative data. Journal of
Machine Learning Research 20.

S. Liu, T. Kanamori, D. J. Williams (2022). Estimating density models with truncation boundaries
using score matching. Journal of Machine Learning Research 23.
"""

import numpy as np

WEIGHT_FUNCTIONS = ("min", "log1p", "square")

_NAMED = {"real": (-np.inf, np.inf), "nonnegative": (0.0, np.inf)}


def bounds_of(support):
    """The pair (low, high) of a support: its own, or those of its name."""
    if not isinstance(support, str):
        return support
    if support not in _NAMED:
        raise ValueError(f"unknown support {support!r}: {sorted(_NAMED)} or a pair of bounds")
    return _NAMED[support]


class Support:
    """A product of intervals with a weight function.

    Parameters
    ----------
    low, high : array-like of shape (n_features,)
        Bounds; infinite where there is none.
    function : {"min", "log1p", "square"}, default="min"
        f(d) = d, log(1 + d) or d^2 of the distance d to the nearest bound.
    cutoff : float, default=inf
        c > 0: h = min(f(d), c), with slope zero beyond.
    """

    def __init__(self, low, high, function="min", cutoff=np.inf):
        if function not in WEIGHT_FUNCTIONS:
            raise ValueError(f"unknown weight function {function!r}: one of {WEIGHT_FUNCTIONS}")
        if not cutoff > 0:
            raise ValueError(f"the cutoff of weights must be positive, got {cutoff!r}")
        self.low, self.high = (np.asarray(bound, dtype=np.float64) for bound in (low, high))
        self.function, self.cutoff = function, float(cutoff)
        if not (self.low < self.high).all():
            j = int(np.argmin(self.low < self.high))
            raise ValueError(f"the interval of column {j} is empty: ({low[j]}, {high[j]})")

    @classmethod
    def of(cls, support, n_features, function="min", cutoff=np.inf):
        """From "real", "nonnegative", or a pair of bounds, each a number or one for each column."""
        bounds = (np.broadcast_to(np.float64(b), n_features) for b in bounds_of(support))
        return cls(*bounds, function=function, cutoff=cutoff)

    @property
    def is_real(self):
        """Whether no variable has a bound."""
        return not (np.isfinite(self.low) | np.isfinite(self.high)).any()

    def scaled(self, scale, shift=0.0):
        """The support of (X - shift) / scale."""
        low, high = ((bound - shift) / scale for bound in (self.low, self.high))
        return Support(low, high, self.function, self.cutoff)

    def of_columns(self, columns):
        """The support of some of the columns."""
        return Support(self.low[columns], self.high[columns], self.function, self.cutoff)

    def contains(self, X):
        """Where entries of X are inside, bounds included, (n, n_features) bool."""
        return (self.low <= X) & (self.high >= X)

    def distances(self, X):
        """Distances to the nearest bound, infinite where there is none, and their slopes +-1."""
        below, above = X - self.low, self.high - X
        return np.minimum(below, above), np.where(below <= above, 1.0, -1.0)

    def scales(self, X, sample_weight=None, location=None):
        """Root mean square of the distances, without bounds of deviations from the location.

        That is the mean unless it is given.
        """
        distances, _ = self.distances(X)
        if location is None:
            location = np.average(X, axis=0, weights=sample_weight)
        centred = X - location
        lengths = np.where(np.isfinite(distances), distances, centred)
        return np.sqrt(np.average(lengths**2, axis=0, weights=sample_weight))

    def weights(self, X):
        """h and its derivative, each (n, n_features) as X."""
        d, sign = self.distances(X)
        free = np.isinf(d)
        d[free] = 0.0
        if self.function == "min":
            h, slope = d, np.ones_like(d)
        elif self.function == "log1p":
            h, slope = np.log1p(d), 1.0 / (1.0 + d)
        else:
            h, slope = d**2, 2.0 * d
        slope = np.where(h < self.cutoff, slope * sign, 0.0)
        h = np.minimum(h, self.cutoff)
        h[free], slope[free] = 1.0, 0.0
        return h, slope


def fit_columns(X, support, *, sample_weight=None, location=None, precision=None):
    """Normal distributions cut to the support, one for each column, in closed form.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows inside the support.
    support : Support
        Bounds and weight function.
    sample_weight : ndarray of shape (n,), default=None
        Weights of rows; None means equal ones.
    location, precision : array-like of shape (n_features,) or float, default=None, None
        Where one of the two is known, only the other one is estimated.

    Returns
    -------
    location, precision : ndarray of shape (n_features,)
        Parameters of the distributions before they are cut. A column whose estimate is not a
        distribution (decreasing faster than any half of a normal one) gets its mean and variance.
    """
    total = len(X) if sample_weight is None else np.sum(sample_weight)
    w = np.full(len(X), 1.0 / total) if sample_weight is None else sample_weight / total
    h, slope = support.weights(X)
    height, drift = w @ h, w @ slope
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = w @ (h * X) / height
        if precision is None:
            deviation = X - (centre if location is None else location)
            curvature = w @ (h * deviation**2)
            precision = (w @ (slope * deviation) + height) / curvature
        if location is None:
            location = centre - drift / (height * precision)
    location, precision = np.broadcast_arrays(location, precision, subok=False)
    fine = np.isfinite(location) & np.isfinite(precision) & (precision > 0)
    mean = w @ X
    variance = w @ (X - mean) ** 2
    usual = 1.0 / np.where(variance > 0, variance, 1.0)
    return np.where(fine, location, mean), np.where(fine, precision, usual)
