"""Gaussian energies: full, diagonal, and on a box."""

import numpy as np
from scipy import linalg

from skebm._jit import single_threaded_blas
from skebm.criteria.noise_contrastive import Features, Quadratic
from skebm.energies import Gaussian
from skebm.energies._gaussian_support import require_density
from skebm.nce._family import Family, Report, Units, indexed
from skebm.nce._noise import EdgesRule
from skebm.nce._sums import weighted_sum

# What a correlation matrix is shrunk by where rows are too few to invert it.
_SHRUNK = 1e-3


class FullGaussian(Family):
    """E(x) = 1/2 (x - mu)'K(x - mu): the energy named ``"gaussian"``.

    Parameters are the location mu, then the entries of the precision K on and above its diagonal.
    """

    standardizes, order = True, 2

    def form(self, p):
        """b = K mu instead of mu, in which -E is linear."""
        return Quadratic(p, diagonal=True)

    def names(self, p):
        """location[i], precision[i,j]."""
        return indexed("location", np.arange(p)) + indexed("precision", *np.triu_indices(p))

    def penalised(self, p):
        """Entries of K off its diagonal."""
        i, j = np.triu_indices(p)
        return np.append(np.zeros(p, bool), i != j)

    def units(self, mean, scale, fixed, params):
        """Around a fixed location, if it is, else around the mean."""
        p = len(mean)
        return Units(params[:p] if fixed[:p].any() else mean, scale)

    def whitens(self, fixed, p):
        """Unless entries of K stay, which are then not those of mixed columns."""
        return not fixed[p:].any()

    def fixed(self, fixed, p):
        """A location is fixed as a whole, since it is one only together with K."""
        if fixed[:p].any() and not fixed[:p].all():
            raise ValueError(
                "fixed must take all entries of the location or none, since K mu is learned; "
                f"{int(fixed[:p].sum())} of {p} are fixed."
            )
        return fixed

    def start(self, Z, weights, entropy):
        """The normal with the moments of the rows."""
        p, share = Z.shape[1], weights / weights.sum()
        mean = weighted_sum(share, Z)
        with single_threaded_blas:
            S = (Z - mean).T @ ((Z - mean) * share[:, None])
            spread = np.maximum(S.diagonal(), np.finfo(float).tiny)
            S = (1.0 - _SHRUNK) * S
            S[np.diag_indices(p)] = spread
        K = _inverse(S)
        K = (K + K.T) / 2.0
        return np.concatenate([weighted_sum(mean, K), K[np.triu_indices(p)]]), None

    def matrix(self, entries, p):
        """K of its upper triangle."""
        K = np.zeros((p, p))
        K[np.triu_indices(p)] = entries
        return K + np.triu(K, 1).T

    def internal(self, params, units):
        """b and K of columns z."""
        p, B = len(units.shift), units.matrix
        with single_threaded_blas:
            K = B.T @ self.matrix(params[p:], p) @ B
        b = weighted_sum(units.standardized(params[:p]), K)
        return np.concatenate([b, K[np.triu_indices(p)]])

    def report(self, theta, c, units):
        """Location, precision and log Z of the energy around the location."""
        p, A = len(units.shift), units.inverse
        K = self.matrix(theta[p:], p)
        inverse = _inverse(K)
        y = weighted_sum(theta[:p], inverse)
        location = units.shift + weighted_sum(y, units.matrix.T)
        with single_threaded_blas:
            precision = (A.T @ K @ A)[np.triu_indices(p)]
        return Report(
            np.append(location, precision), -c - 0.5 * float(theta[:p] @ y),
            lambda: _jacobian(inverse, y, units.matrix, A),
        )  # fmt: skip

    def energy(self, params, p):
        """The Gaussian with these parameters, in its box; None where it has no Gibbs sampler."""
        low, high = self.bounds(p)
        K = self.matrix(params[p:], p)
        if low is None:
            return Gaussian(K, params[:p])
        if np.isfinite([low, high]).all() and not (K.diagonal() > 0.0).all():
            return None  # a density that grows to the edges
        return Gaussian(K, params[:p], low, high)

    def log_partition(self, params, p):
        """Of the normal, where that is not cut."""
        if self.bounds(p)[0] is not None or self.doubt(params, p):
            return None
        scaled, sizes = _correlated(self.matrix(params[p:], p))
        with single_threaded_blas:
            log_det = np.linalg.slogdet(scaled)[1]
        return float(0.5 * (p * np.log(2.0 * np.pi) - log_det) - np.log(sizes).sum())

    def draws(self, params, p):
        """Independent draws, on the reals."""
        energy = self.energy(params, p)
        return None if energy is None or energy.bounded.any() else energy.exact_sample

    def doubt(self, params, p):
        """K that is not positive definite in directions without edges."""
        low, high = self.bounds(p)
        if low is None:
            low, high = np.full(p, -np.inf), np.full(p, np.inf)
        return _doubt(self.matrix(params[p:], p), low, high)


def _doubt(K, low, high):
    """What is wrong with a precision matrix, or None."""
    if np.isfinite([low, high]).all():
        return None
    try:
        require_density(K, low, high)
    except ValueError as error:
        return str(error)
    return None


def _correlated(K):
    """The matrix with ones (or minus ones) on its diagonal, and what rows are divided by."""
    sizes = np.sqrt(np.abs(K.diagonal()))
    sizes[sizes == 0.0] = 1.0
    return K / sizes / sizes[:, None], sizes


def _inverse(K):
    """Of a matrix whose columns may have any units; without directions that are flat in all."""
    scaled, sizes = _correlated(K)
    with single_threaded_blas:
        values = np.abs(linalg.eigvalsh(scaled))
        singular = values.min() <= 1e-14 * values.max()
        inverse = linalg.pinvh(scaled) if singular else linalg.inv(scaled)
    return inverse / sizes / sizes[:, None]


def _jacobian(inverse, y, B, A):
    """Of location, precision and log Z by b, K and c, with y = K^-1 b and A = B^-1."""
    p = len(y)
    i, j = np.triu_indices(p)
    k, off = p + len(i), i != j
    J = np.zeros((k + 1, k + 1))
    with single_threaded_blas:
        J[:p, :p] = B @ inverse
        J[:p, p:k] = -B @ (inverse[:, i] * y[j] + inverse[:, j] * y[i] * off)
    J[p:k, p:k] = (A[i][:, i] * A[j][:, j] + A[j][:, i] * A[i][:, j] * off[:, None]).T
    J[k, :p] = -y
    J[k, p:k] = y[i] * y[j] * np.where(off, 1.0, 0.5)
    J[k, k] = -1.0
    return J


class TruncatedGaussian(FullGaussian):
    """E(x) = 1/2 (x - mu)'K(x - mu) in a box, infinite outside: ``"truncated_gaussian"`` on R+.

    Parameters
    ----------
    low, high : float or array-like of shape (n_features,), default=0.0, inf
        Edges of the box, infinite where there are none.

    Notes
    -----
    Parameters are the location, of the normal before it is cut, then the entries of the precision
    on and above its diagonal.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import NCEEstimator
    >>> from skebm.nce import TruncatedGaussian
    >>> X = np.random.default_rng(0).uniform(size=(2000, 1))
    >>> model = NCEEstimator(TruncatedGaussian(high=1.0), noise="uniform", random_state=0).fit(X)
    >>> model.score_samples([[0.2], [0.7]]).round(1) + 0.0  # log 1
    array([0., 0.])
    """

    _rules = {"low": EdgesRule(), "high": EdgesRule()}  # noqa: RUF012

    def __init__(self, low=0.0, high=np.inf):
        self.low = low
        self.high = high

    def bounds(self, p):
        """Edges of the box."""
        edges = []
        for word, edge, nothing in (("low", self.low, -np.inf), ("high", self.high, np.inf)):
            edge = np.asarray(nothing if edge is None else edge, dtype=np.float64)
            if edge.shape not in ((), (p,)):
                raise ValueError(
                    f"energy: {word} must be a number or have shape ({p},), got {edge.shape}."
                )
            edges.append(np.broadcast_to(edge, (p,)).copy())
        if not (edges[0] < edges[1]).all():
            raise ValueError(
                f"energy: low must be less than high, got {self.low!r}, {self.high!r}."
            )
        return tuple(edges)


class DiagonalGaussian(Family):
    """E(x) = 1/2 sum_i k_i (x_i - mu_i)^2: the energy named ``"diagonal_gaussian"``.

    Parameters are the locations mu, then the precisions k.
    """

    standardizes, order = True, 2

    def form(self, p):
        """Features z and -z^2 / 2, of b = k mu and k."""
        return Features(2 * p)

    def names(self, p):
        """location[i], precision[i]."""
        return indexed("location", np.arange(p)) + indexed("precision", np.arange(p))

    def rows(self, X):
        """The features."""
        return np.hstack([X, -0.5 * X**2])

    def penalised(self, p):
        """None: there are no couplings."""
        return np.zeros(2 * p, bool)

    def units(self, mean, scale, fixed, params):
        """Around the mean, and around locations that are fixed."""
        p = len(mean)
        return Units(np.where(fixed[:p], params[:p], mean), scale)

    def start(self, Z, weights, entropy):
        """The normal with the moments of the rows."""
        share, Z = weights / weights.sum(), Z[:, : Z.shape[1] // 2]
        mean = weighted_sum(share, Z)
        variances = weighted_sum(share, (Z - mean) ** 2)
        precision = 1.0 / np.maximum(variances, np.finfo(float).tiny)
        return np.append(precision * mean, precision), None

    def internal(self, params, units):
        """b and k of columns z."""
        location, precision = np.split(params, 2)
        precision = precision * units.scale**2
        return np.append(precision * (location - units.shift) / units.scale, precision)

    def report(self, theta, c, units):
        """Locations, precisions and log Z of the energy around the locations."""
        (b, k), shift, scale = np.split(theta, 2), units.shift, units.scale
        p, y = len(b), b / k
        params = np.append(shift + scale * y, k / scale**2)
        J, places = np.zeros((2 * p + 1, 2 * p + 1)), np.arange(p)
        J[places, places] = scale / k
        J[places, p + places] = -scale * y / k
        J[p + places, p + places] = 1.0 / scale**2
        J[2 * p] = np.concatenate([-y, 0.5 * y**2, [-1.0]])
        return Report(params, -c - 0.5 * float(b @ y), lambda: J)

    def doubt(self, params, p):
        """Precisions that are not positive."""
        return _doubt(np.diag(params[p:]), np.full(p, -np.inf), np.full(p, np.inf))

    def log_partition(self, params, p):
        """Of independent normals."""
        k = params[p:]
        return float(0.5 * np.log(2.0 * np.pi / k).sum()) if (k > 0.0).all() else None

    def energy(self, params, p):
        """The Gaussian with these parameters."""
        return Gaussian(np.diag(params[p:]), params[:p])

    def draws(self, params, p):
        """Independent draws."""
        return self.energy(params, p).exact_sample
