"""The Gaussian model: E(x) = 1/2 (x - mu)'K(x - mu) over the reals, or over a box in them."""

import functools

import numpy as np
from scipy.linalg import solve_triangular

from skebm._jit import CHUNK, FLOPS_PER_CALL, PARALLEL_FLOPS, single_threaded_blas
from skebm._rng import host_generator
from skebm.energies import _gaussian_chains, _gaussian_rows
from skebm.energies._base import Energy, ExactMoments, short_calls
from skebm.energies._definite import components, log_determinant
from skebm.energies._gaussian_chains import Box, quadratic_of, separate, sweep_flops
from skebm.energies._gaussian_support import require_density, spread_of
from skebm.energies._independent_normals import IndependentNormals

_EXACT = 101  # purpose of random numbers

# Temperatures after which annealing sums its potential anew: so many, or the work of a call.
_SEGMENT, _SEGMENT_FLOPS = 64, 4e9

# Scattered states spread so many times as widely as the model.
_SCATTER = 3.0


class Gaussian(Energy):
    """Energy of a Gaussian model, p(x) proportional to e^{-(x - mu)'K(x - mu) / 2} in a box.

    Rows are float64. Flat parameters are the location, then the entries of the precision at
    ``np.triu_indices(p)``, diagonal included; a derivative by an entry off the diagonal counts
    both of its places.

    On finite intervals K need not be positive definite, but its diagonal has to be positive.

    Parameters
    ----------
    precision : ndarray of shape (n_features, n_features)
        Symmetric matrix K.
    location : ndarray of shape (n_features,)
        Centre mu: the mean on the reals, not in a box.
    low, high : float or array-like of shape (n_features,), default=-inf, inf
        The box.

    Raises
    ------
    ValueError
        If the box is empty.
    """

    def __init__(self, precision, location, low=-np.inf, high=np.inf):
        self.precision = np.ascontiguousarray(precision, dtype=np.float64)
        self.location = np.ascontiguousarray(location, dtype=np.float64)
        self.low, self.high = (
            np.array(np.broadcast_to(edge, self.location.shape), dtype=np.float64)
            for edge in (low, high)
        )
        if not (self.low < self.high).all():
            i = int(np.argmin(self.low < self.high))
            raise ValueError(
                f"low must be less than high, they are {self.low[i]:g} and {self.high[i]:g} for "
                f"variable {i}."
            )

    @property
    def n_features(self):
        return len(self.location)

    @property
    def parameters(self):
        """Precision and location."""
        return self.precision, self.location

    def __reduce__(self):
        return type(self), (*self.parameters, self.low, self.high)

    @property
    def bounded(self):
        """Whether each variable has an edge, (n_features,)."""
        return (self.low > -np.inf) | (self.high < np.inf)

    def require_density(self):
        """Raise a ``ValueError`` if the model has no density, or none that is known to exist."""
        if not self.__dict__.get("_has_density", False):
            require_density(self.precision, self.low, self.high)
            self._has_density = True

    # -- densities -----------------------------------------------------------------------------

    def energy(self, X):
        """1/2 (x - mu)'K(x - mu) of each row in nats, (n,) float64; inf outside of the box."""
        out, step = np.empty(len(X)), self.rows_per_call()
        for low in range(0, len(X), step):
            part = slice(low, low + step)
            rows = np.ascontiguousarray(X[part], dtype=np.float64)
            large = len(rows) > CHUNK and 2.0 * len(rows) * self.precision.size > PARALLEL_FLOPS
            _gaussian_rows.gaussian_energy(
                self.precision, self._box, rows, out[part], parallel=large
            )
        return out

    def gradient(self, X, weights):
        """Sum_n w_n dE(x_n)/d(mu, K), flat, in float64."""
        Y = np.asarray(X, dtype=np.float64) - self.location
        weighted = Y * np.asarray(weights, dtype=np.float64)[:, None]
        with single_threaded_blas:
            products = weighted.T @ Y
            force = -self.precision @ weighted.sum(axis=0)
        products[np.diag_indices(self.n_features)] *= 0.5
        return np.concatenate([force, products[np.triu_indices(self.n_features)]])

    def unflatten(self, theta):
        """``location`` and symmetric ``precision``, of a flat array."""
        theta, p = np.asarray(theta), self.n_features
        precision = np.zeros((p, p), theta.dtype)
        precision[np.triu_indices(p)] = theta[p:]
        precision.T[np.triu_indices(p)] = theta[p:]
        return {"location": theta[:p], "precision": precision}

    # -- chains --------------------------------------------------------------------------------

    def base(self, marginals=None):
        """Independent normals in the same box.

        ``marginals`` is a pair (locations, precisions) of the normals before truncation, each
        (n_features,); None is the model without its couplings.
        """
        if marginals is None:
            self.require_density()
            marginals = self.location, self.precision.diagonal()
        return IndependentNormals(*marginals, self.low, self.high)

    def scattered_states(self, n_samples, entropy):
        """Independent normals of three times the model's spread, cut to the box; uniform in it
        where nothing else limits a variable."""
        self.require_density()
        spread = _SCATTER**2 * spread_of(self.precision, self.low, self.high)
        with np.errstate(invalid="ignore"):
            precision = np.where(spread < np.inf, 1.0 / spread, 1e-9 / (self.high - self.low) ** 2)
        location = np.where(spread < np.inf, self.location, self.low)
        draws = IndependentNormals(location, precision, self.low, self.high)
        return draws.sample(n_samples, entropy, self.dtype)

    scattered_from = "states of three times the spread"

    def sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """Draws of variables 0, 1, ... given the others, in place; a base of None is a flat one."""
        self._sweep(X, beta, base, key, step, n_sweeps, first_chain, False)

    def reverse_sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """The same from the last variable to the first."""
        self._sweep(X, beta, base, key, step, n_sweeps, first_chain, True)

    def _sweep(self, X, beta, base, key, step, n_sweeps, first_chain, backwards):
        self.require_density()
        beta = np.broadcast_to(np.asarray(beta, dtype=np.float64), len(X)).copy()
        states, (base, _) = np.array(X, self.dtype, order="C"), self._base_quadratic(base)
        for part, done, count in self._calls(n_sweeps, len(X)):
            _gaussian_chains.gibbs_normals(
                self._quadratic, base, self._box, beta[part], key, first_chain + part.start,
                step + done, count, backwards, states[part],
                parallel=self._is_large(len(X), count),
            )  # fmt: skip
        X[:] = states

    def sweep_clamped(self, X, known, key, *, step=0, n_sweeps=1, first_chain=0):
        """Sweeps that keep ``known`` where it is not NaN; returns the mean of E[x_i | others]."""
        self.require_density()
        states = np.array(X, self.dtype, order="C")
        known = np.ascontiguousarray(known, dtype=self.dtype)
        total, (base, _) = np.zeros(X.shape), self._base_quadratic(None)
        for part, done, count in self._calls(n_sweeps, len(X)):
            _gaussian_chains.gibbs_clamped_normals(
                self._quadratic, base, self._box, known[part], key, first_chain + part.start,
                step + done, count, states[part], total[part],
                parallel=self._is_large(len(X), count),
            )  # fmt: skip
        X[:] = states
        return total / max(n_sweeps, 1)

    def anneal(self, X, log_weights, betas, base, key, *, step=0, first_chain=0):
        """Weigh and move chains along ``betas``, in place; adds to ``log_weights``."""
        where = {"step": step, "first_chain": first_chain}
        self._anneal(X, log_weights, betas, self._base_quadratic(base), key, **where)
        log_weights += (betas[-1] - betas[0]) * base.log_normalizer()

    def _anneal(self, X, log_weights, betas, base, key, *, step, first_chain):
        """The same from any quadratic and constant, whose log Z is not taken for known."""
        self.require_density()
        betas, weights = np.asarray(betas, dtype=np.float64), log_weights.copy()
        states, (base, constant) = np.array(X, self.dtype, order="C"), base
        flops = sweep_flops(CHUNK, self._quadratic, self._box, len(base.K))
        segment = int(np.clip(_SEGMENT_FLOPS / flops, 1, _SEGMENT))  # of the models alone
        for part, done, count in self._calls(len(betas) - 1, len(X), segment, len(base.K)):
            _gaussian_chains.anneal_normals(
                self._quadratic, base, self._box, betas[done : done + count + 1], key,
                first_chain + part.start, step + done, bool(betas[0] > betas[-1]), segment,
                states[part], weights[part], parallel=self._is_large(len(X), count),
            )  # fmt: skip
        X[:] = states
        log_weights[:] = weights + (betas[-1] - betas[0]) * constant

    def paths_to(self, other):
        """Straight between the energies, for a model in the same box."""
        if not (isinstance(other, Gaussian) and other.n_features == self.n_features):
            return []
        same = np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)
        return [self.straight_path_to(other)] if same else []

    def straight_path_to(self, other):
        """The path straight between the energies, of a model in the same box."""
        return PathBetween(self, other)

    def seen_from(self, location):
        """This energy as a quadratic of y = x - ``location``, and what has to be added to it."""
        shift = location - self.location
        with single_threaded_blas:
            pull = self.precision @ shift
            return quadratic_of(self.precision, pull), 0.5 * float(pull @ shift)

    def _base_quadratic(self, base):
        if base is None:
            return separate(np.zeros(self.n_features), np.zeros(self.n_features)), 0.0
        if not (np.array_equal(base.low, self.low) and np.array_equal(base.high, self.high)):
            raise ValueError("the base of a Gaussian model must be in the same box as the model.")
        return base.seen_from(self.location)

    @functools.cached_property
    def _quadratic(self):
        return quadratic_of(self.precision, np.zeros(self.n_features))

    @functools.cached_property
    def _box(self):
        return Box(self.location, self.low, self.high)

    # -- log Z ---------------------------------------------------------------------------------

    def _is_closed(self):
        """Whether no variable that is bounded has a coupling."""
        rows = np.flatnonzero(self.bounded)
        return np.count_nonzero(self.precision[rows]) == np.count_nonzero(
            self.precision.diagonal()[rows]
        )

    def exact_seconds(self):
        """0 where there is a closed form, to which no annealing comes near; else inf.

        Also 0 where there is no density, so that it is asked for, and says so.
        """
        if self._is_closed():
            return 0.0
        try:
            self.require_density()
        except ValueError:
            return 0.0
        return np.inf

    def exact_log_partition(self):
        """log Z in nats in closed form; None where variables are both bounded and coupled.

        Raises
        ------
        ValueError
            If the model has no density; it names the least eigenvalue of the precision.
        """
        self.require_density()
        if not self._is_closed():
            return None
        # The couplings shrink the volume of those that are independent.
        separately = np.log(self.precision.diagonal()).sum()
        return self.base().log_normalizer() + 0.5 * (separately - log_determinant(self.precision))

    def exact_moments_seconds(self):
        """0 on the reals, else inf."""
        return np.inf if self.bounded.any() else 0.0

    def exact_moments(self):
        """log Z, and minus the mean gradient of the energy, on the reals; None in a box."""
        if self.bounded.any():
            return None
        log_partition = self.exact_log_partition()
        with single_threaded_blas:
            products = np.linalg.inv(self.precision)
        products[np.diag_indices(self.n_features)] *= 0.5
        pairs = np.triu_indices(self.n_features)
        return ExactMoments(
            log_partition, np.concatenate([np.zeros(self.n_features), -products[pairs]])
        )

    def name_moments(self, gradient):
        """``means`` E[x] and ``products`` E[xx'], (p, p)."""
        force, products = self.unflatten(-np.asarray(gradient)).values()
        products[np.diag_indices(self.n_features)] *= 2.0
        with single_threaded_blas:
            shift = -np.linalg.solve(self.precision, force)
        means = self.location + shift
        cross = np.outer(self.location, shift)
        return {
            "means": means,
            "products": products + cross + cross.T + np.outer(self.location, self.location),
        }

    def exact_sample(self, n_samples, entropy):
        """Independent draws, (n_samples, n_features), where :meth:`exact_log_partition` is known.

        By Cholesky's factor of the precision, x = mu + L^-T z.
        """
        if not self._is_closed():
            raise ValueError(
                "exact draws of a Gaussian model need variables that are not both bounded and "
                "coupled."
            )
        X, generator = self.base().sample(n_samples, entropy), host_generator(entropy, _EXACT)
        for part in components(self.precision):
            z = generator.standard_normal((len(part), n_samples))
            with single_threaded_blas:
                factor = np.linalg.cholesky(self.precision[np.ix_(part, part)])
                y = solve_triangular(factor, z, lower=True, trans="T", overwrite_b=True)
            X[:, part] = self.location[part] + y.T
        return X

    # -- shared by the above -------------------------------------------------------------------

    def rows_per_call(self):
        """Rows of one kernel call that is short enough for Ctrl-C, a multiple of a chunk."""
        chunks = FLOPS_PER_CALL / (2.0 * max(self.precision.size, 1) * CHUNK)
        return CHUNK * int(np.clip(chunks, 1, 64))

    def _is_large(self, n_chains, n_sweeps):
        return n_sweeps * sweep_flops(n_chains, self._quadratic, self._box) > PARALLEL_FLOPS

    def _calls(self, n_sweeps, n_chains, unit=1, n_other=0):
        """:func:`short_calls` of these chains."""
        return short_calls(
            lambda n: sweep_flops(n, self._quadratic, self._box, n_other), n_sweeps, n_chains, unit
        )


class PathBetween:
    """The straight path E_t = (1 - t) E_0 + t E_1 between two models in the same box.

    Parameters
    ----------
    first, last : Gaussian
        The models at 0 and at 1.
    """

    def __init__(self, first, last):
        self.first, self.last = first, last

    def flops(self, n_chains):
        """Work of one temperature."""
        n_other = len(self.first._quadratic.K)
        return sweep_flops(n_chains, self.last._quadratic, self.last._box, n_other)

    def anneal(self, X, log_weights, betas, key, *, step=0, first_chain=0):
        """Weigh and move chains along ``betas``, in place; adds to ``log_weights``."""
        self.first.require_density()
        base = self.first.seen_from(self.last.location)
        where = {"step": step, "first_chain": first_chain}
        self.last._anneal(X, log_weights, betas, base, key, **where)
