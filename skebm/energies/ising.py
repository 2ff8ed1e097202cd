"""The Ising model: E(s) = -h.s - 1/2 s'Js over spins s in {-1, 1}^p, J symmetric, zero diagonal."""

import functools

import numpy as np
from scipy.special import expit, logit

from skebm._bits import Packed, unpack
from skebm._jit import CHUNK, FLOPS_PER_CALL, PARALLEL_FLOPS, single_threaded_blas
from skebm._rng import host_generator
from skebm.energies import (
    _ising_chains,
    _ising_colours,
    _ising_exact,
    _ising_moments,
    _ising_rows,
)
from skebm.energies._base import LONGEST, Energy, ExactMoments, short_calls
from skebm.energies._ising_chains import sweep_flops

# Temperatures after which annealing sums its potential anew.
_SEGMENT = 64


class IndependentSpins:
    """Independent spins, -1 or 1, in fields ``field``: a base distribution with Z = 1.

    Parameters
    ----------
    field : array-like of shape (n_features,)
        Half the log-odds of each spin, in nats: P(s) is proportional to e^{field s}.
    """

    def __init__(self, field):
        self.field = np.ascontiguousarray(field, dtype=np.float64)

    @classmethod
    def from_marginals(cls, marginals):
        """The distribution with these probabilities of 1, each strictly between 0 and 1."""
        return cls(0.5 * logit(np.asarray(marginals, dtype=np.float64)))

    def log_density(self, X):
        """Normalised log-probability of each row, (n,) float64 nats."""
        return np.asarray(X, dtype=np.float64) @ self.field - self.log_normalizer()

    def log_normalizer(self):
        """Sum of log(2 cosh(field)), which makes Z one."""
        return float(np.logaddexp(self.field, -self.field).sum())

    def sample(self, n_samples, entropy, dtype=np.float64):
        """Independent rows, (n_samples, n_features), a function of ``entropy`` alone."""
        uniforms = host_generator(entropy).random((n_samples, len(self.field)))
        return np.where(uniforms < expit(2.0 * self.field), 1.0, -1.0).astype(dtype)


class Ising(Energy):
    """Energy of an Ising model: P(s) proportional to exp(sum_i h_i s_i + sum_{i<j} J_ij s_i s_j).

    Rows are spins -1 and 1. ``energy``, ``local_fields``, ``conditional_probability``,
    ``log_pseudolikelihood`` and ``gradient`` also take rows as :func:`skebm._bits.pack` makes
    them, a bit set where a spin is 1. Flat parameters are the fields, then the couplings of
    ``np.triu_indices(p, 1)``.

    Parameters
    ----------
    coupling : ndarray of shape (n_features, n_features)
        Couplings J, symmetric with a zero diagonal; their dtype, float32 or float64, is the
        precision of the states.
    field : ndarray of shape (n_features,)
        Fields h.
    """

    def __init__(self, coupling, field):
        self.dtype = np.float32 if coupling.dtype == np.float32 else np.float64
        self.coupling = np.ascontiguousarray(coupling, dtype=self.dtype)
        self.field = np.ascontiguousarray(field, dtype=self.dtype)

    @property
    def n_features(self):
        return len(self.field)

    @property
    def parameters(self):
        """Couplings and fields."""
        return self.coupling, self.field

    def __reduce__(self):
        return type(self), self.parameters  # what is derived from them is made where it is needed

    # -- densities and conditionals ------------------------------------------------------------

    def energy(self, X):
        """-(h.s + 1/2 s'Js) of each row in nats, (n,) float64."""
        return self._of_rows(_ising_rows.spin_energy, X, None, np.float64)

    def local_fields(self, X):
        """h + s J, half the log-odds of each spin given the others, (n, n_features)."""
        return self._of_rows(_ising_rows.local_fields, X, self.n_features, self.dtype)

    def conditional_probability(self, X):
        """P(s_i = 1 | the others), (n, n_features)."""
        return self._of_rows(_ising_rows.plus_probability, X, self.n_features, self.dtype)

    def log_pseudolikelihood(self, X):
        """Sum_i log P(s_i | the others) in nats, (n,) float64."""
        return self._of_rows(_ising_rows.spin_log_pseudolikelihood, X, None, np.float64)

    def _of_rows(self, kernel, X, width, dtype):
        out = np.empty(len(X) if width is None else (len(X), width), dtype)
        step = self.rows_per_call()
        for low in range(0, len(X), step):
            part = slice(low, low + step)
            flops = 2.0 * len(out[part]) * self.coupling.size
            large = len(out[part]) > CHUNK and flops > PARALLEL_FLOPS
            kernel(self.coupling, self.field, self.states_of(X[part]), out[part], parallel=large)
        return out

    def states_of(self, rows):
        """Dense spins, (n, n_features), of rows of spins or packed ones."""
        if isinstance(rows, Packed):
            return 2 * unpack(rows, self.n_features, self.dtype) - 1
        return np.ascontiguousarray(rows, dtype=self.dtype)

    def gradient(self, X, weights):
        """Sum_n w_n dE(s_n)/d(h, J), flat, in float64."""
        S = self.states_of(X).astype(np.float64)
        weighted = S * np.asarray(weights, dtype=np.float64)[:, None]
        with single_threaded_blas:
            products = weighted.T @ S
        pairs = np.triu_indices(self.n_features, 1)
        return -np.concatenate([weighted.sum(axis=0), products[pairs]])

    def unflatten(self, theta):
        """``field`` and symmetric ``coupling`` with a zero diagonal, of a flat array."""
        theta, p = np.asarray(theta), self.n_features
        coupling = np.zeros((p, p), theta.dtype)
        coupling[np.triu_indices(p, 1)] = theta[p:]
        return {"field": theta[:p], "coupling": coupling + coupling.T}

    # -- chains --------------------------------------------------------------------------------

    def base(self, marginals=None):
        """Independent spins with the given probabilities of 1, else in the model's own fields."""
        if marginals is None:
            return IndependentSpins(self.field)
        return IndependentSpins.from_marginals(marginals)

    def scattered_states(self, n_samples, entropy):
        """Fair coins, (n_samples, n_features)."""
        return IndependentSpins(np.zeros(self.n_features)).sample(n_samples, entropy, self.dtype)

    scattered_from = "random spins"

    def sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """Heat bath of spins 0, 1, ... in turn, in place; a base of None is the uniform one."""
        self._sweep(X, beta, base, key, step, n_sweeps, first_chain, False)

    def reverse_sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """The same from the last spin to the first."""
        self._sweep(X, beta, base, key, step, n_sweeps, first_chain, True)

    def _sweep(self, X, beta, base, key, step, n_sweeps, first_chain, backwards):
        beta = np.broadcast_to(np.asarray(beta, dtype=np.float64), len(X)).copy()
        states, base = np.array(X, self.dtype, order="C"), self._base_spins(base)
        if self._goes_by_colours(len(X), n_sweeps):
            move, model = _ising_colours.gibbs_coloured_spins, (self._spins, base.h, self._colours)
        else:
            move, model = _ising_chains.gibbs_spins, (self._spins, base)
        for part, done, count in self._calls(n_sweeps, len(X)):
            move(
                *model, beta[part], key, first_chain + part.start, step + done, count, backwards,
                states[part], parallel=self._is_large(len(X), count),
            )  # fmt: skip
        X[:] = states

    def _goes_by_colours(self, n_chains, n_sweeps):
        """Which way is faster; the bits are the same."""
        if not _ising_colours.few_chains(self._spins, n_chains, n_sweeps):
            return False
        return _ising_colours.pays(self._colours, n_chains)

    def sweep_clamped(self, X, known, key, *, step=0, n_sweeps=1, first_chain=0):
        """Sweeps that keep ``known`` where it is not NaN; returns the mean of E[s_i | others]."""
        states, known = np.array(X, self.dtype, order="C"), self.states_of(known)
        total = np.zeros(X.shape)
        for part, done, count in self._calls(n_sweeps, len(X)):
            _ising_chains.gibbs_clamped_spins(
                self._spins, self._base_spins(None), known[part], key, first_chain + part.start,
                step + done, count, states[part], total[part],
                parallel=self._is_large(len(X), count),
            )  # fmt: skip
        X[:] = states
        return total / max(n_sweeps, 1)

    def anneal(self, X, log_weights, betas, base, key, *, step=0, first_chain=0):
        """Weigh and move chains along ``betas``, in place; adds to ``log_weights``."""
        where = {"step": step, "first_chain": first_chain}
        self._anneal(X, log_weights, betas, self._base_spins(base), key, **where)
        log_weights += (betas[-1] - betas[0]) * base.log_normalizer()

    def _anneal(self, X, log_weights, betas, base, key, *, step, first_chain):
        """The same from any :class:`Spins`, whose log Z is not taken for known."""
        betas, weights = np.asarray(betas, dtype=np.float64), log_weights.copy()
        states, n_other = np.array(X, self.dtype, order="C"), len(base.J)
        for part, done, count in self._calls(len(betas) - 1, len(X), _SEGMENT, n_other):
            _ising_chains.anneal_spins(
                self._spins, base, betas[done : done + count + 1], key,
                first_chain + part.start, step + done, bool(betas[0] > betas[-1]), _SEGMENT,
                states[part], weights[part], parallel=self._is_large(len(X), count),
            )  # fmt: skip
        X[:] = states
        log_weights[:] = weights

    def paths_to(self, other):
        """Straight between the parameters."""
        if not isinstance(other, Ising) or other.n_features != self.n_features:
            return []
        dtype = np.result_type(self.dtype, other.dtype)
        first, last = (
            Ising(*(array.astype(dtype) for array in model.parameters)) for model in (self, other)
        )
        return [first.straight_path_to(last)]

    def straight_path_to(self, other):
        """The path straight between the parameters, in the same precision."""
        return PathBetween(self, other)

    @functools.cached_property
    def _spins(self):
        return _ising_chains.spins_of(self.coupling, self.field)

    @functools.cached_property
    def _colours(self):
        return _ising_colours.colours_of(self._spins)

    # -- log Z ---------------------------------------------------------------------------------

    def exact_seconds(self):
        """Predicted time of :meth:`exact_log_partition` on one core."""
        return _ising_exact.predicted_seconds(*self.parameters)

    def n_exact_bits(self):
        """Spins, whose states are summed over."""
        return self.n_features

    def exact_log_partition(self):
        """log Z in nats by enumeration of all states, None if that takes hours."""
        if self.exact_seconds() > LONGEST:
            return None
        return _ising_exact.log_partition(*self.parameters)

    def exact_moments_seconds(self):
        """Predicted time of :meth:`exact_moments` on one core."""
        return _ising_moments.predicted_seconds(self.n_features)

    def exact_moments(self):
        """log Z, E[s_i] and E[s_i s_j] by enumeration of all states; None beyond hours."""
        if self.exact_moments_seconds() > LONGEST:
            return None
        log_partition, spins, products = _ising_moments.moments(*self.parameters)
        pairs = np.triu_indices(self.n_features, 1)
        return ExactMoments(log_partition, np.concatenate([spins, products[pairs]]))

    def name_moments(self, gradient):
        """``spins`` E[s_i] and ``products`` E[s_i s_j], (p, p) with ones on the diagonal."""
        spins, products = self.unflatten(gradient).values()
        return {"spins": spins, "products": products + np.eye(self.n_features)}

    def exact_sample(self, n_samples, entropy):
        """Independent draws, (n_samples, n_features), by enumeration of all states."""
        if self.n_features > _ising_moments.MOST_SAMPLED_SPINS:
            raise ValueError(
                f"exact draws need a model of at most {_ising_moments.MOST_SAMPLED_SPINS} spins, "
                f"this one has {self.n_features}."
            )
        return _ising_moments.sample(*self.parameters, n_samples, entropy).astype(self.dtype)

    # -- shared by the above -------------------------------------------------------------------

    def _base_spins(self, base):
        field = np.zeros(self.n_features) if base is None else base.field
        return _ising_chains.independent(field.astype(self.dtype))

    def rows_per_call(self):
        """Rows of one kernel call that is short enough for Ctrl-C, a multiple of a chunk."""
        chunks = FLOPS_PER_CALL / (2.0 * max(self.coupling.size, 1) * CHUNK)
        return CHUNK * int(np.clip(chunks, 1, 64))

    def _is_large(self, n_chains, n_sweeps):
        return n_sweeps * sweep_flops(n_chains, self._spins) > PARALLEL_FLOPS

    def _calls(self, n_sweeps, n_chains, unit=1, n_other=0):
        """:func:`short_calls` of these chains."""
        return short_calls(lambda n: sweep_flops(n, self._spins, n_other), n_sweeps, n_chains, unit)


class PathBetween:
    """The straight path E_t = (1 - t) E_0 + t E_1 between two models in the same precision.

    Parameters
    ----------
    first, last : Ising
        The models at 0 and at 1.
    """

    def __init__(self, first, last):
        self.first, self.last = first, last

    def flops(self, n_chains):
        """Work of one temperature."""
        return sweep_flops(n_chains, self.last._spins, len(self.first._spins.J))

    def anneal(self, X, log_weights, betas, key, *, step=0, first_chain=0):
        """Weigh and move chains along ``betas``, in place; adds to ``log_weights``."""
        where = {"step": step, "first_chain": first_chain}
        self.last._anneal(X, log_weights, betas, self.first._spins, key, **where)
