"""Independent normals, each truncated to an interval: where annealing of Gaussian models begins."""

import functools

import numpy as np
from scipy.special import erf, erfcx

from skebm._jit import CHUNK
from skebm._rng import host_generator
from skebm.energies._gaussian_chains import separate
from skebm.energies._truncated_normal import normal_quantiles

_LOG_ROOT_2_PI = 0.5 * np.log(2.0 * np.pi)

# Quantiles of one call, some tens of milliseconds, and of one that a second thread helps with.
_PER_CALL, _PARALLEL = 1e6, 1e4

# Width times slope of the log-density below which a mass is that of its middle.
_NARROW = 1e-5


class IndependentNormals:
    """Independent normals truncated to intervals: a base distribution with Z = 1.

    Parameters
    ----------
    location : array-like of shape (n_features,)
        Means before truncation.
    precision : array-like of shape (n_features,)
        Precisions before truncation, positive.
    low, high : float or array-like of shape (n_features,), default=-inf, inf
        Edges of the intervals.

    Raises
    ------
    ValueError
        If a precision is not positive.
    """

    def __init__(self, location, precision, low=-np.inf, high=np.inf):
        self.location = np.array(location, dtype=np.float64)
        self.precision = np.array(precision, dtype=np.float64)
        self.low, self.high = (
            np.array(np.broadcast_to(edge, self.location.shape), dtype=np.float64)
            for edge in (low, high)
        )
        if not (self.precision > 0.0).all():
            i = int(np.argmin(self.precision > 0.0))
            raise ValueError(
                "precisions of independent normals must be positive, that of variable "
                f"{i} is {self.precision[i]:g}."
            )

    @functools.cached_property
    def _log_normalizers(self):
        root = np.sqrt(self.precision)
        a, b = (self.low - self.location) * root, (self.high - self.location) * root
        return _LOG_ROOT_2_PI - np.log(root) + log_mass(a, b, (self.high - self.low) * root)

    def log_normalizer(self):
        """log of the integral of exp(-1/2 sum_i precision_i (x_i - location_i)^2), in nats."""
        return float(self._log_normalizers.sum())

    def log_density(self, X):
        """Normalised log-density of each row, (n,) float64 nats; -inf outside."""
        X = np.asarray(X, dtype=np.float64)
        terms = -0.5 * self.precision * (X - self.location) ** 2 - self._log_normalizers
        outside = ((X < self.low) | (X > self.high)).any(axis=1)
        return np.where(outside, -np.inf, terms.sum(axis=1))

    def sample(self, n_samples, entropy, dtype=np.float64):
        """Independent rows, (n_samples, n_features), a function of ``entropy`` alone."""
        uniforms = host_generator(entropy).random((n_samples, len(self.location)))
        np.maximum(uniforms, 2.0**-54, out=uniforms)
        step = CHUNK * max(1, int(_PER_CALL / (CHUNK * max(1, len(self.location)))))
        for low in range(0, n_samples, step):
            rows = uniforms[low : low + step]
            normal_quantiles(
                rows.copy(), self.location, self.precision, self.low, self.high, rows,
                parallel=rows.size > _PARALLEL,
            )  # fmt: skip
        return uniforms.astype(dtype, copy=False)

    def seen_from(self, location):
        """-log of the density but for its normaliser, as a quadratic of y = x - ``location``.

        A :class:`~skebm.energies._gaussian_chains.Quadratic`, and what has to be added to it.
        """
        shift = location - self.location
        pull = self.precision * shift
        return separate(self.precision, pull), 0.5 * float(pull @ shift)


def log_mass(a, b, width):
    """log of the standard normal's mass between a < b, in nats, elementwise.

    ``width`` is b - a, of which a difference of rounded edges might keep nothing.
    """
    mirrored = b < -a
    a, b = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    out = np.empty(a.shape)
    narrow = width * np.maximum(1.0, np.abs(a)) < _NARROW
    tail = ~narrow & (a > 0.0)
    centre = ~narrow & ~tail
    middle = a[narrow] + 0.5 * width[narrow]
    out[narrow] = np.log(width[narrow]) - 0.5 * middle**2 - _LOG_ROOT_2_PI
    out[tail] = _log_tail_mass(a[tail], b[tail], width[tail])
    half = np.sqrt(0.5)
    out[centre] = np.log(0.5 * (erf(half * b[centre]) - erf(half * a[centre])))
    return out


def _log_tail_mass(a, b, width):
    """The same for a > 0, by Mills' ratio."""
    half = np.sqrt(0.5)
    ratio = erfcx(half * a)
    with np.errstate(under="ignore"):
        finite = np.where(np.isfinite(width), width, 0.0)
        drop = finite * (a + 0.5 * finite) - np.log(erfcx(half * (a + finite)) / ratio)
        share = np.where(np.isfinite(width), -np.expm1(-drop), 1.0)
    return -0.5 * a**2 + np.log(0.5 * ratio) + np.log(share)
