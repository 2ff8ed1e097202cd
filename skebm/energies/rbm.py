"""The Bernoulli-Bernoulli restricted Boltzmann machine.

E(v, h) = -b.v - c.h - h.W v over v in {0, 1}^V and h in {0, 1}^H. Summing the hidden units out
leaves the free energy F(v) = -b.v - sum_j log(1 + e^{c_j + W_j.v}), so that p(v) = e^{-F(v)} / Z.
"""

import functools

import numpy as np
from scipy.special import expit

from skebm._bits import Packed, pack, row_tiles, unpack
from skebm._jit import CHUNK, FLOPS_PER_CALL, PARALLEL_FLOPS, single_threaded_blas
from skebm._rng import host_generator
from skebm.energies import _rbm_chains, _rbm_exact, _rbm_flips, _rbm_kernels, _rbm_moments
from skebm.energies._base import LONGEST, Energy, ExactMoments, IndependentBernoulli
from skebm.energies._rbm_between import PathBetween
from skebm.energies._rbm_chains import sweep_flops

# Work of the pseudolikelihood per row and weight, in the time of so many flops of a product.
FLIP_FLOPS = _rbm_flips.SINGLE_FLOPS

# Time of a sweep of dense rows in that of packed states.
DENSE_SLOWNESS = 4.0


class BernoulliRBM(Energy):
    """Energy of a Bernoulli-Bernoulli RBM, as a model of its visible units.

    ``energy``, ``log_path``, ``hidden_probability``, ``log_pseudolikelihood`` and
    ``ratio_matching`` also take rows as :func:`skebm._bits.pack` makes them, which is quicker.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        Weights W; their dtype, float32 or float64, is the precision of the states.
    intercept_visible : ndarray of shape (n_features,)
        Visible biases b.
    intercept_hidden : ndarray of shape (n_components,)
        Hidden biases c.
    """

    def __init__(self, components, intercept_visible, intercept_hidden):
        self.dtype = np.float32 if components.dtype == np.float32 else np.float64
        self.components = np.ascontiguousarray(components, dtype=self.dtype)
        self.intercept_visible = np.ascontiguousarray(intercept_visible, dtype=self.dtype)
        self.intercept_hidden = np.ascontiguousarray(intercept_hidden, dtype=self.dtype)
        self._parameters = (self.components, self.intercept_visible, self.intercept_hidden)

    @property
    def n_features(self):
        return self.components.shape[1]

    @property
    def parameters(self):
        """Weights, visible and hidden biases."""
        return self._parameters

    def __reduce__(self):
        return type(self), self._parameters  # what is derived from them is made where it is needed

    # -- densities and conditionals ------------------------------------------------------------

    def energy(self, X):
        """Free energy F(v) of each row in nats, (n,) float64."""
        return -self.log_path(X, 1.0, None)

    def joint_energy(self, V, H):
        """E(v, h) of paired rows in nats, (n,) float64."""
        V, H = np.asarray(V, dtype=np.float64), np.asarray(H, dtype=np.float64)
        interaction = ((H @ self.components) * V).sum(axis=1)
        return -(V @ self.intercept_visible) - H @ self.intercept_hidden - interaction

    def log_path(self, X, beta, base):
        """log of sum_h e^{-beta E(v, h)} (base(v) / 2^H)^{1 - beta}, so that Z = 1 at beta = 0."""
        out, field = np.empty(len(X)), self._field(base)
        if _is_packed(X):
            _rbm_chains.packed_log_path(
                self._layers, row_tiles(field), float(beta), X, out, parallel=self._is_large(len(X))
            )
        else:
            _rbm_kernels.log_path(
                *self._parameters, field, float(beta), self._states(X), out,
                parallel=self._is_large(len(X)),
            )  # fmt: skip
        return out - (1.0 - beta) * self._base_log_partition(field)

    def hidden_probability(self, X):
        """P(h = 1 | v), (n, n_components)."""
        W, _, c = self._parameters
        out = np.empty((len(X), len(c)), self.dtype)
        large = self._is_large(len(X))
        if _is_packed(X):
            _rbm_chains.packed_hidden_probability(self._layers, X, out, parallel=large)
        else:
            _rbm_kernels.hidden_probability(W, c, self._states(X), out, parallel=large)
        return out

    def visible_probability(self, H):
        """P(v = 1 | h), (n, n_features)."""
        H = self._states(H)
        W, b, _ = self._parameters
        out = np.empty((len(H), len(b)), self.dtype)
        _rbm_kernels.visible_probability(W, b, H, out, parallel=self._is_large(len(H)))
        return out

    def log_pseudolikelihood(self, X):
        """Sum_i log P(v_i | the others) in nats, (n,) float64; mean-field values are rounded."""
        return self._of_flips(_rbm_flips.log_pseudolikelihood, X)

    def ratio_matching(self, X):
        """Sum_i (1 - P(v_i | the others))^2, (n,) float64; mean-field values are rounded."""
        return self._of_flips(_rbm_flips.ratio_matching, X)

    def _of_flips(self, kernel, X):
        bits = X if _is_packed(X) else pack(np.rint(X))
        out = np.empty(len(bits))
        flops = _rbm_flips.flops_per_weight(self._flip_tables)
        step = self.rows_per_call(flops)
        for low in range(0, len(bits), step):
            part = slice(low, low + step)
            kernel(
                self._layers, self._flip_tables, bits[part], out[part],
                parallel=self._is_large(len(bits), flops),
            )  # fmt: skip
        return out

    @functools.cached_property
    def _flip_tables(self):
        return _rbm_flips.flips_of(self.components, self.intercept_visible)

    def energy_of_few(self, X):
        """F(v) of some hundred dense rows, (n,) float64, and their hidden fields, (n, H).

        In NumPy, which is quick enough for them and has no kernels to compile, on one thread.
        """
        W, b, c = self._parameters
        with single_threaded_blas, np.errstate(under="ignore"):
            fields = X @ W.T
            fields += c
            softplus = np.maximum(fields, 0.0) + np.log1p(np.exp(-np.abs(fields)))
            return -(X @ b.astype(np.float64)) - softplus.sum(axis=1, dtype=np.float64), fields

    def reconstruction_of_few(self, fields):
        """Mean-field visible units (n, n_features) of the rows with these hidden fields."""
        W, b, _ = self._parameters
        with single_threaded_blas, np.errstate(under="ignore"):
            visible = expit(fields) @ W
            visible += b
            return expit(visible, out=visible)

    def gradient(self, X, weights):
        """Sum_n w_n dF(v_n)/d(W, b, c), flat, in float64."""
        X = np.asarray(X, dtype=np.float64)
        weights = np.asarray(weights, dtype=np.float64)
        weighted = self.hidden_probability(X).astype(np.float64) * weights[:, None]
        with single_threaded_blas:
            sums = (weighted.T @ X).ravel(), weights @ X, weighted.sum(axis=0)
        return -np.concatenate(sums)

    # -- chains --------------------------------------------------------------------------------

    def base(self, marginals=None):
        """Independent units with the given means, else with the model's own visible biases."""
        if marginals is None:
            return IndependentBernoulli(self.intercept_visible)
        return IndependentBernoulli.from_marginals(marginals)

    def scattered_states(self, n_samples, entropy):
        """Visible units given hidden ones that are fair coins, (n_samples, n_features)."""
        generator, out = host_generator(entropy), np.empty((n_samples, self.n_features), self.dtype)
        step = self.rows_per_call()
        for part in (slice(low, low + step) for low in range(0, n_samples, step)):
            hidden = generator.random((len(out[part]), len(self.components))) < 0.5
            probability = self.visible_probability(hidden)
            out[part] = generator.random(probability.shape) < probability
        return out

    scattered_from = "random hidden states"

    def sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """Block Gibbs in place, h | v then v | h; a base of None is the uniform one."""
        if not len(X) or not n_sweeps:
            return
        beta = np.broadcast_to(np.asarray(beta, dtype=np.float64), len(X)).copy()
        base, bits = self._base_tiles(base), self._packed(X)
        start = self._states(X if ((X != 0) & (X != 1)).any() else X[:0])
        for part, done, count in self._calls(n_sweeps, len(X)):
            _rbm_chains.gibbs(
                self._layers, base, beta[part], key, first_chain + part.start, step + done, count,
                start[part] if done == 0 else start[:0], bits[part],
                parallel=self._is_large(len(X), 2.0 * count),
            )  # fmt: skip
        X[:] = unpack(bits, X.shape[1], X.dtype)

    def sweep_clamped(self, X, known, key, *, step=0, n_sweeps=1, first_chain=0):
        """Sweeps that keep ``known`` where it is not NaN; returns the mean of P(v = 1 | h)."""
        known = self._states(known)
        total = np.zeros(X.shape)
        for part, done, count in self._calls(n_sweeps, len(X), DENSE_SLOWNESS):
            _rbm_kernels.gibbs_clamped(
                *self._parameters, known[part], key, first_chain + part.start, step + done, count,
                X[part], total[part], parallel=self._is_large(len(X)),
            )  # fmt: skip
        return total / n_sweeps

    def anneal(self, X, log_weights, betas, base, key, *, step=0, first_chain=0):
        """Weigh and move binary chains along ``betas``, in place; adds to ``log_weights``."""
        betas, weights = np.asarray(betas, dtype=np.float64), log_weights.copy()
        tiles, bits = self._base_tiles(base), self._packed(X)
        for part, done, count in self._calls(len(betas) - 1, len(X)):
            _rbm_chains.anneal(
                self._layers, tiles, betas[done : done + count + 1], key,
                first_chain + part.start, step + done, bits[part], weights[part],
                parallel=self._is_large(len(X), 2.0 * count),
            )  # fmt: skip
        X[:] = unpack(bits, X.shape[1], X.dtype)
        rise = betas[-1] - betas[0]
        log_weights[:] = weights + rise * self._base_log_partition(self._field(base))

    def paths_to(self, other):
        """Over the units of both, and with as many hidden units also straight between them."""
        if not isinstance(other, BernoulliRBM) or other.n_features != self.n_features:
            return []
        dtype = np.result_type(self.dtype, other.dtype)
        (W, b, c), (V, d, e) = (
            [array.astype(dtype) for array in model._parameters] for model in (self, other)
        )
        first = BernoulliRBM(np.vstack([W, np.zeros_like(V)]), b, np.append(c, np.zeros_like(e)))
        last = BernoulliRBM(np.vstack([np.zeros_like(W), V]), d, np.append(np.zeros_like(c), e))
        # Each model has the other's hidden units too, and a factor of two for each of them.
        paths = [PathBetween(first, last, (len(c) - len(e)) * np.log(2.0))]
        if len(c) == len(e):
            paths.append(BernoulliRBM(W, b, c).straight_path_to(BernoulliRBM(V, d, e)))
        return paths

    def straight_path_to(self, other):
        """The path straight between the parameters, for as many hidden units of the same kind."""
        return PathBetween(self, other)

    @functools.cached_property
    def _layers(self):
        return _rbm_chains.layers_of(*self._parameters)

    def _packed(self, X):
        return np.asarray(pack(X, self._layers.b.size))

    def _base_tiles(self, base):
        return row_tiles(self._field(base))

    # -- log Z ---------------------------------------------------------------------------------

    def exact_seconds(self):
        """Predicted time of :meth:`exact_log_partition` on one core."""
        weights, _, larger = self._by_size()
        return _rbm_exact.predicted_seconds(weights, larger)

    def n_exact_bits(self):
        """Units of the smaller layer, whose states are summed over."""
        return min(self.components.shape)

    def exact_log_partition(self):
        """log Z in nats by enumeration of the smaller layer, None if that takes hours."""
        if self.exact_seconds() > LONGEST:
            return None
        return _rbm_exact.log_partition(*self._by_size())

    def exact_moments_seconds(self):
        """Predicted time of :meth:`exact_moments` on one core."""
        weights, _, larger = self._by_size()
        return _rbm_moments.predicted_seconds(weights, larger)

    def exact_moments(self):
        """log Z and E[h v'], E[v], E[h] by enumeration of the smaller layer; None beyond hours."""
        if self.exact_moments_seconds() > LONGEST:
            return None
        log_partition, smaller, larger, products = _rbm_moments.moments(*self._by_size())
        parts = products, larger, smaller
        if not self._hidden_is_smaller:
            parts = products.T, smaller, larger
        return ExactMoments(log_partition, np.concatenate([part.ravel() for part in parts]))

    def exact_sample(self, n_samples, entropy):
        """Independent draws, (n_samples, n_features), by enumeration of the smaller layer."""
        if self.n_exact_bits() > _rbm_moments.MOST_SAMPLED_UNITS:
            raise ValueError(
                f"exact draws need a layer of at most {_rbm_moments.MOST_SAMPLED_UNITS} units, "
                f"the smaller one has {self.n_exact_bits()}."
            )
        smaller, larger = _rbm_moments.sample(*self._by_size(), n_samples, entropy)
        return (larger if self._hidden_is_smaller else smaller).astype(self.dtype)

    def unflatten(self, theta):
        """``components``, ``intercept_visible`` and ``intercept_hidden`` of a flat array."""
        n_hidden, n_visible = self.components.shape
        W, b, c = np.split(theta, [n_hidden * n_visible, n_hidden * n_visible + n_visible])
        return {
            "components": W.reshape(n_hidden, n_visible),
            "intercept_visible": b,
            "intercept_hidden": c,
        }

    def name_moments(self, gradient):
        """``visible`` E[v], ``hidden`` E[h] and their ``products`` E[h v']."""
        products, visible, hidden = self.unflatten(gradient).values()
        return {"visible": visible, "hidden": hidden, "products": products}

    @property
    def _hidden_is_smaller(self):
        return self.components.shape[0] <= self.components.shape[1]

    def _by_size(self):
        """Weights (n, N), biases (n,) of the smaller layer and (N,) of the larger one."""
        W, b, c = self._parameters
        return (W, c, b) if self._hidden_is_smaller else (W.T, b, c)

    # -- shared by the above -------------------------------------------------------------------

    def _states(self, X):
        return np.ascontiguousarray(X, dtype=self.dtype)

    def _field(self, base):
        if base is None:
            return np.zeros(self.n_features, self.dtype)
        return base.field.astype(self.dtype)

    def rows_per_call(self, flops_per_weight=2.0):
        """Rows of one kernel call that is short enough for Ctrl-C, a multiple of a chunk."""
        chunks = FLOPS_PER_CALL / (flops_per_weight * self.components.size * CHUNK)
        return CHUNK * int(np.clip(chunks, 1, 64))

    def _is_large(self, n_rows, flops_per_weight=2.0):
        flops = flops_per_weight * n_rows * self.components.size
        return n_rows > CHUNK and flops > PARALLEL_FLOPS

    def _calls(self, n_sweeps, n_chains, slowness=1.0):
        """Kernel calls short enough for Ctrl-C: (slice of chains, first sweep, sweeps) of each."""
        flops = lambda n: slowness * sweep_flops(n, *self.components.shape, self.dtype)  # noqa: E731
        chains = CHUNK * int(np.clip(FLOPS_PER_CALL / flops(CHUNK), 1, 64))
        for low in range(0, n_chains, chains):
            part = slice(low, min(n_chains, low + chains))
            per_call = max(1, int(FLOPS_PER_CALL / flops(part.stop - low)))
            for done in range(0, n_sweeps, per_call):
                yield part, done, min(per_call, n_sweeps - done)

    def _base_log_partition(self, field):
        visible = np.logaddexp(0.0, np.asarray(field, dtype=np.float64)).sum()
        return visible + len(self.intercept_hidden) * np.log(2.0)


def _is_packed(X):
    return isinstance(X, Packed)
