"""What is asked of a model that was learned by noise-contrastive estimation."""

import inspect

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skebm._base import UnnormalizedModel, check_base_of_reals, wrong_base
from skebm._jit import threads
from skebm._rng import derive_seed, draw_entropy, host_generator
from skebm._validation import Flag, RandomState, check_parameters, positive_integer
from skebm._warn import warn
from skebm.criteria._noise_sample import in_blocks, spread
from skebm.criteria.noise_contrastive import Sample, error_of_slopes
from skebm.nce._asked import given_of
from skebm.nce._conditional import STEPS
from skebm.nce._pickled import check_picklable
from skebm.nce._setting import checked_codes, checked_rows, covering, drawn, inside
from skebm.partition import LogPartition
from skebm.partition._weights import log_mean_exp, resampled
from skebm.partition.ais import TARGET_STDERR
from skebm.partition.contrast import FEWEST, NoiseAsBase, base_of_noise, is_noise
from skebm.partition.exact import CHEAP
from skebm.samplers import START, sample

# Purposes of random numbers.
_EXACT, _PROPOSALS, _RESAMPLE, _LOOKED_AT, _PLANNED, _CHECKED = 125, 126, 127, 128, 119, 141

# Rows of noise that draws are taken from: so many for each, and at least.
_PER_DRAW, _LEAST = 20, 10000

# Rows of noise that log Z is estimated with at the most.
_MOST = 1_000_000

# Standard errors that estimates from two noises may be apart.
_APART = 5.0

# Rows that slopes are looked at with.
_ROWS = 16

_RULES = {
    "n_samples": positive_integer(),
    "n_gibbs_steps": positive_integer(),
    "random_state": RandomState(),
    "return_ess": Flag(),
}


class ContrastedModel(UnnormalizedModel):
    """A model whose log Z was learned with its parameters."""

    @property
    def log_partition_(self):
        """The :class:`~skebm.partition.LogPartition` that was learned, method ``"nce"``."""
        check_is_fitted(self)
        return self._kept_log_partition

    def noise_contrastive_loss(self, X):
        """The loss that was minimised, without penalties, of other data against the same noise.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, coded as in training.

        Returns
        -------
        float
            Mean softplus(log nu - G(x)) over the rows and nu times mean softplus(G(y) - log nu)
            over noise, with G = log p - log p_n in nats and nu the ratio of training; a classifier
            that knows nothing has log(1 + nu) + nu log(1 + 1 / nu). With conditional noise mean
            softplus(E(x) - E(y)) over steps from rows x to y, log 2 if nothing is known.
        """
        check_is_fitted(self)
        X, learned = self._rows(X), self._learned
        if self.noise_.is_conditional:
            return self._loss_of_steps(X)
        noise, bits = self.noise_, learned.coding.bits
        rows = drawn(noise, learned.n_noise, learned.entropy)
        parts = []
        for sign, some in ((1.0, bits(X)), (-1.0, rows)):
            G = self._log_densities(learned.coding.codes(some)) - covering(noise, some, "rows")
            parts.append(np.logaddexp(0.0, -sign * (G - np.log(learned.ratio))).mean())
        return float(parts[0] + learned.ratio * parts[1])

    def _loss_of_steps(self, X):
        """Mean softplus(E(x) - E(y)) over steps from rows to y."""
        learned = self._learned
        seed = derive_seed(learned.entropy, STEPS)
        steps = self.noise_.pairs(X, learned.n_noise, random_state=seed)
        G = np.repeat(self.score_samples(X), learned.n_noise) - self.score_samples(steps)
        return float(np.logaddexp(0.0, -G).mean())

    def check_gradient(self, X=None):
        """Compare slopes of the energy at ``params_`` with central differences.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None, default=None
            Rows to look at; None takes a few of the noise.

        Returns
        -------
        float
            Largest difference over rows and parameters: some 1e-9 for a right gradient. It is
            relative to the largest slope of the parameter over the rows, if the energy is your own;
            to the largest slope of the row (or to 1), if it is built in.

        Examples
        --------
        >>> import numpy as np
        >>> from skebm import NCEEstimator
        >>> X = np.random.default_rng(0).normal(size=(100, 2))
        >>> NCEEstimator(random_state=0).fit(X).check_gradient() < 1e-6
        True
        """
        check_is_fitted(self)
        learned = self._learned
        if X is None:
            seed = derive_seed(learned.entropy, _LOOKED_AT)
            X = learned.coding.codes(learned.noise.sample(_ROWS, random_state=seed))
        else:
            X = self._rows(X)
        if learned.family is None:
            return given_of(*learned.own, learned.coding).check_slopes(learned.theta, X)[0]
        return self._error_of_slopes(X)

    def _error_of_slopes(self, X):
        """The same of a built-in energy, of rows one by one."""
        learned, worst = self._learned, 0.0
        form = learned.family.form(X.shape[1])
        for r in range(len(X)):
            block = _sample(self._internal_rows(X[r : r + 1]), weight=1.0)
            worst = max(worst, error_of_slopes(form, block, learned.theta))
        return float(worst)

    # -- draws ---------------------------------------------------------------------------------

    def sample(self, n_samples=1, *, n_gibbs_steps=1000, random_state=None, return_ess=False):
        """Draw from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        n_gibbs_steps : int, default=1000
            Where an energy has a Gibbs sampler: sweeps of the chain that each row is the end of.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.
        return_ess : bool, default=False
            Whether to return the effective number of rows behind the draws too.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows in the codes of the data; with ``return_ess`` a pair of it and a float, infinite
            for draws that are not taken from the noise.

        Warns
        -----
        UserWarning
            If draws are taken from the noise, and fewer effective rows than ``n_samples`` are
            behind them.

        Notes
        -----
        Gaussian energies on the reals and independent components are drawn exactly; energies in a
        box, spins and RBMs by Gibbs chains, as are classes of a user that have ``sweep`` and
        ``base``. All others by sampling-importance-resampling: 20 rows of noise for each draw
        (10,000 at least), resampled in proportion to p / p_n.
        """
        check_is_fitted(self)
        values = {
            "n_samples": n_samples, "n_gibbs_steps": n_gibbs_steps, "random_state": random_state,
            "return_ess": return_ess,
        }  # fmt: skip
        check_parameters(_RULES, values, "sample")
        entropy = draw_entropy(random_state)
        with threads(self.n_jobs):
            X, ess = self._drawn(n_samples, n_gibbs_steps, entropy)
        if ess < n_samples:
            warn(
                f"{type(self).__name__}: draws are rows of noise, resampled: {n_samples} are asked "
                f"for, but the effective number behind them is {ess:.0f}. Noise nearer to the "
                "model has more.",
                UserWarning,
            )
        return (X, ess) if return_ess else X

    def _drawn(self, n_samples, n_gibbs_steps, entropy):
        learned, p = self._learned, self.n_features_in_
        if learned.family is not None:
            draw = learned.family.draws(self.params_, p)
            if draw is not None:
                return draw(n_samples, (*entropy, _EXACT)), np.inf
        energy = self._known_energy()
        if energy is not None and _moves(energy):
            base = self._base(energy, "marginals")
            states = base.sample(n_samples, (*entropy, START), energy.dtype)
            states = sample(energy, states, n_gibbs_steps, entropy)
            return self._learned.coding.codes_of_states(states), np.inf
        return self._resampled(n_samples, entropy)

    def _resampled(self, n_samples, entropy):
        """Sampling-importance-resampling from the noise."""
        noise, codes = self._learned.noise, self._learned.coding.codes
        seed = derive_seed(entropy, _PROPOSALS)
        bits = noise.sample(max(_LEAST, _PER_DRAW * n_samples), random_state=seed)
        log_weights = self.score_samples(codes(bits)) - noise.log_prob(bits)
        weights = np.exp(log_weights - log_weights.max())
        generator = host_generator(entropy, _RESAMPLE)
        order = resampled(log_weights, generator.random())  # as many as proposals
        chosen = generator.permutation(order)[:n_samples]
        return codes(bits)[chosen], float(weights.sum() ** 2 / (weights**2).sum())

    # -- shared by the above -------------------------------------------------------------------

    def _internal_rows(self, X):
        learned = self._learned
        return self._rows_of(learned.family, learned.units, learned.coding, X)

    def _energies(self, X):
        return -self._log_densities(self._rows(X)) - self.log_partition_.value

    def _log_densities(self, X):
        """log p of checked rows."""
        learned = self._learned
        with threads(self.n_jobs):
            if learned.family is None:
                given = given_of(*learned.own, learned.coding)
                return learned.c - given.known_energies(learned.theta, X)
            sample = _sample(self._internal_rows(X))
            form = learned.family.form(X.shape[1])
            found = form.evaluate(sample, learned.theta, learned.c).margins.ravel()[: len(X)]
        return np.where(inside(X, *learned.bounds), found, -np.inf)

    def score_samples(self, X):
        """Log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, coded as in training.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            log p(x) = -E(x) - log Z in nats; -inf outside of the support. log Z is that of the
            energy in closed form where there is one (Gaussian energies on the reals, as many
            components as columns), else the one that was learned, whose error all rows share.
        """
        return super().score_samples(X)

    def _normaliser(self):
        exact = self._formula()
        return self.log_partition_ if exact is None else LogPartition(value=exact)

    def _formula(self):
        """log Z of a built-in energy in closed form, or None."""
        family = self._learned.family
        return None if family is None else family.log_partition(self.params_, self.n_features_in_)

    def _rows(self, X):
        check_is_fitted(self)
        return checked_codes(self, checked_rows(self, X, reset=False), self._learned.coding)

    def _parameters(self):
        return (self.params_,)

    def _known_energy(self):
        family, (own, _), theta = self._learned.family, self._learned.own, self._learned.theta
        if family is not None:
            return family.energy(self.params_, self.n_features_in_)
        return own(theta) if inspect.isclass(own) else None

    def _compute_log_partition(self, method, base, entropy, *, n_jobs=None, **options):
        energy = self._known_energy()
        if energy is not None and hasattr(energy, "anneal"):
            return super()._compute_log_partition(method, base, entropy, n_jobs=n_jobs, **options)
        base = self._noise_for(base, method)
        exact = self._closed(energy, method)
        if exact is None and method not in ("auto", "nce"):
            self._energy()  # says that there are no chains
        with threads(self.n_jobs if n_jobs is None else n_jobs):
            return self._weighed(exact, base, entropy, **options)

    def _noise_for(self, base, method):
        """What log Z of an energy without chains is estimated from, of rows as data have them."""
        coding = self._learned.coding
        if is_noise(base):
            return base_of_noise(base, self.n_features_in_, coding, method)
        if not (isinstance(base, str) and base == "marginals"):
            raise wrong_base(base, "'marginals' (the noise of training) without Markov chains")
        return NoiseAsBase(self._learned.noise, coding)

    def _closed(self, energy, method):
        """log Z as far as it is known without error, or None."""
        if method not in ("auto", "exact"):
            return None
        if self._learned.family is not None:
            return self._formula()
        if method == "auto" and getattr(energy, "exact_seconds", float)() > CHEAP:
            return None
        return energy.exact_log_partition() if hasattr(energy, "exact_log_partition") else None

    def _weighed(
        self, exact, base, entropy, *, level=0.95, n_chains=None, check="none", target_stderr=None,
        return_chains=False, **_,
    ):  # fmt: skip
        """log Z in closed form, or by importance sampling from rows of ``base``."""
        if exact is not None:
            result = LogPartition(value=exact, level=level)
            return (result, None) if return_chains else result
        if check == "reverse":
            raise ValueError(
                "log_partition: check='reverse' carries chains back to the base, and this energy "
                "has none; use check='none'."
            )
        n = _LEAST if n_chains is None else n_chains
        X, log_weights = self._proposals(base, n, (*entropy, _PROPOSALS))
        estimate, target = log_mean_exp(log_weights), target_stderr or TARGET_STDERR
        if n_chains is None and estimate.stderr > target:
            more = n * (estimate.stderr / target) ** 2 if np.isfinite(estimate.stderr) else np.inf
            n = int(min(_MOST, 1.2 * more))
            X, log_weights = self._proposals(base, n, (*entropy, _PLANNED))
            estimate = log_mean_exp(log_weights)
        doubts = list(self._doubts(base, estimate, n, entropy))
        result = LogPartition.from_estimate(
            estimate, level=level, doubts=doubts, method="importance", n_chains=n
        )
        if doubts:
            warn(
                f"{type(self).__name__}: log Z is not to be trusted: {result}: {doubts[0]}. Noise "
                "nearer to the model has more, in the fit or as base with method='nce'.",
                ConvergenceWarning,
            )
        chains = Bunch(states=X, log_weights=log_weights)
        return (result, chains) if return_chains else result

    def _doubts(self, base, estimate, n, entropy):
        """Why not to believe an estimate; a base may miss what the noise of training has."""
        if estimate.ess < FEWEST:
            yield f"the effective number of {n} rows of noise is {estimate.ess:.1f}, not {FEWEST}"
        if base.noise is self._learned.noise:
            return
        base = NoiseAsBase(self._learned.noise, self._learned.coding)
        other = log_mean_exp(self._proposals(base, _LEAST, (*entropy, _CHECKED))[1])
        error = np.hypot(estimate.stderr, other.stderr)
        if other.ess >= FEWEST and not abs(estimate.value - other.value) <= _APART * error:
            yield f"from the noise of training it is {other.value:.3f} ± {other.stderr:.3f}"

    def _proposals(self, base, n, entropy):
        """Rows of a base, and log of e^-E / p_n."""
        X = base.sample(n, entropy)
        return X, -self._energies(X) - base.log_density(X)

    def _energy(self):
        energy = self._known_energy()
        if energy is None or not hasattr(energy, "anneal"):
            raise TypeError(
                f"{type(self).__name__}: this energy has no Markov chains that log Z could be "
                "computed with, and no exact_log_partition that knows it; method='auto' and 'nce' "
                "take rows of noise, and log_partition_ is what was learned."
            )
        return energy

    def _marginals(self):
        return self._learned.means if self._learned.coding.binary else None

    def _base(self, energy, base):
        if self._learned.coding.binary:
            return super()._base(energy, base)
        check_base_of_reals(base)
        return energy.base()

    def __getstate__(self):
        check_picklable(self)
        return super().__getstate__()


def _moves(energy):
    return all(hasattr(energy, name) for name in ("sweep", "base", "dtype"))


def _sample(rows, weight=0.0):
    """A :class:`Sample` of rows against no noise."""
    Z = in_blocks(rows)
    weights = spread(np.full(len(rows), weight))
    return Sample(Z, np.zeros_like(weights), weights, len(Z), 1.0, len(rows), 0, 1.0)
