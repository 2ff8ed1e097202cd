"""What the rest of the package asks of an energy, and the reference distributions it starts from.

An energy owns the parameters of p(x) = e^{-E(x)} / Z. Write a class with ``n_features`` and the
five methods of :class:`Energy`, and it gets Gibbs sampling and every estimate of log Z.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from skebm._bits import Packed, unpack
from skebm._jit import CHUNK, FLOPS_PER_CALL
from skebm._rng import host_generator

# Predicted seconds on one core beyond which no exact method starts.
LONGEST = 3600.0


def short_calls(flops, n_sweeps, n_chains, unit=1):
    """Kernel calls short enough for Ctrl-C: (slice of chains, first sweep, sweeps) of each.

    ``flops(n)`` is the work of one sweep of n chains. The sweeps of one call are a multiple of
    ``unit``, but for the last ones.
    """
    chains = CHUNK * int(np.clip(FLOPS_PER_CALL / (unit * flops(CHUNK)), 1, 64))
    for low in range(0, n_chains, chains):
        part = slice(low, min(n_chains, low + chains))
        per_call = unit * max(1, int(FLOPS_PER_CALL / (unit * flops(part.stop - low))))
        for done in range(0, n_sweeps, per_call):
            yield part, done, min(per_call, n_sweeps - done)


class ExactMoments(NamedTuple):
    """log Z in nats, and d log Z / d theta = -E[dE(x) / d theta], flat and ordered as gradients."""

    log_partition: float
    gradient: np.ndarray


class Energy(ABC):
    """The energy protocol: p(x) proportional to e^{-E(x)}, x of shape (n_features,)."""

    @property
    @abstractmethod
    def n_features(self):
        """Number of variables of one state."""

    @abstractmethod
    def energy(self, X):
        """-log of the unnormalised probability of each row, (n,) float64."""

    @abstractmethod
    def gradient(self, X, weights):
        """Sum over rows of ``weights[n]`` times dE(x_n)/dtheta, flat."""

    @abstractmethod
    def base(self, marginals=None):
        """A tractable distribution near the model.

        ``marginals`` (n_features,) are probabilities of a one (of spins: of plus one) to have,
        each strictly between 0 and 1, such as those of the data; None leaves it to the energy.
        """

    @abstractmethod
    def sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """Move the chains ``X`` in place, each at its own inverse temperature ``beta``.

        One sweep leaves exp(-beta E(x)) base(x)^(1 - beta) invariant. Its random numbers are a
        function of (key, step, chain) alone; sweep number s uses ``step + s``. Where ``beta`` is 1
        there may be no base: ``base`` is then None.
        """

    @abstractmethod
    def exact_log_partition(self):
        """log Z in nats by enumeration or in closed form, or None where that is out of reach."""

    def reverse_sweep(self, X, beta, base, key, *, step=0, n_sweeps=1, first_chain=0):
        """The reversal of :meth:`sweep`: moves x' to x as often as a sweep moves x to x'.

        The default is right for sweeps in detailed balance, as block Gibbs of an RBM's visible
        units; a scan over the variables has to take them in the opposite order here.
        """
        self.sweep(X, beta, base, key, step=step, n_sweeps=n_sweeps, first_chain=first_chain)

    def scattered_states(self, n_samples, entropy):
        """States spread more widely than the model's, (n_samples, n_features).

        Chains that start here find modes which chains from the base may miss. By default they
        come from the energy's own base, which is worth little; ``scattered_from`` says so.
        """
        return self.base().sample(n_samples, entropy, self.dtype)

    #: What :meth:`scattered_states` are, as a message calls them.
    scattered_from = "its own base again"

    def paths_to(self, other):
        """Annealing paths from this model to ``other``, a model of the same variables; or none.

        Each path has ``anneal(X, log_weights, betas, key, *, step, first_chain)`` as
        :meth:`anneal`, with this model at 0 and the other one at 1, and log f_1 - log f_0 scaled
        so that the mean weight is the ratio of their partition functions.
        """
        return []

    def sweep_clamped(self, X, known, key, *, step=0, n_sweeps=1, first_chain=0):
        """Sweeps that keep ``known`` where it is not NaN; returns the mean of E[x_i | others]."""
        raise NotImplementedError(f"{type(self).__name__} cannot draw given known variables.")

    #: Precision of the states that ``sweep`` and ``anneal`` move in place.
    dtype = np.float64

    def states_of(self, rows):
        """Dense states in the energy's codes, of rows as estimators keep them: packed or not."""
        return unpack(rows, self.n_features, self.dtype) if isinstance(rows, Packed) else rows

    def rows_per_call(self):
        """Rows that :meth:`energy` takes in well under a second."""
        return 4096

    def exact_seconds(self):
        """Predicted time of :meth:`exact_log_partition` on one core.

        Unknown by default, so that only ``method="exact"`` calls that.
        """
        return np.inf

    def n_exact_bits(self):
        """Exact methods sum over 2^bits states; None where they know a closed form."""
        return None

    def exact_moments(self):
        """:class:`ExactMoments` by summation over all states, or None where out of reach."""
        return None

    def exact_moments_seconds(self):
        """Predicted time of :meth:`exact_moments` on one core."""
        return np.inf

    def exact_sample(self, n_samples, entropy):
        """Independent draws (n_samples, n_features) of the model, a function of ``entropy``."""
        raise NotImplementedError(f"{type(self).__name__} cannot be drawn from exactly.")

    def unflatten(self, theta):
        """A dict of arrays shaped like the parameters, from a flat array in their order."""
        return {"theta": np.asarray(theta)}

    def name_moments(self, gradient):
        """A dict of the moments that :attr:`ExactMoments.gradient` is made of, by their names."""
        return self.unflatten(gradient)

    def log_path(self, X, beta, base):
        """log f_beta(x), the annealing path from ``base`` (beta = 0) to the model (beta = 1)."""
        return (1.0 - beta) * base.log_density(X) - beta * self.energy(X)

    def anneal(self, X, log_weights, betas, base, key, *, step=0, first_chain=0):
        """Carry ``X`` along ``betas`` in place and add to its log-weights: weigh, then move.

        Entering with states left by the kernel at ``betas[0]``, for k = 1, 2, ...: first the
        increment log f_k(x) - log f_{k-1}(x) is added, then one sweep at ``betas[k]`` is made,
        reversed where ``betas`` descend. A sweep at the last temperature is made too, so that
        blocks of ``betas`` can be chained.
        """
        sweep = self.sweep if betas[0] <= betas[-1] else self.reverse_sweep
        for k in range(1, len(betas)):
            log_weights += self.log_path(X, betas[k], base)
            log_weights -= self.log_path(X, betas[k - 1], base)
            beta = np.full(len(X), betas[k])
            sweep(X, beta, base, key, step=step + k, first_chain=first_chain)


class IndependentBernoulli:
    """Independent {0, 1} variables with log-odds ``field``: a base distribution with Z = 1.

    Parameters
    ----------
    field : array-like of shape (n_features,)
        Log-odds of each variable, in nats.
    """

    def __init__(self, field):
        self.field = np.ascontiguousarray(field, dtype=np.float64)

    @classmethod
    def from_marginals(cls, marginals):
        """The distribution with these means, each strictly between 0 and 1."""
        return cls(logit(np.asarray(marginals, dtype=np.float64)))

    def log_density(self, X):
        """Normalised log-probability of each row, (n,) float64 nats."""
        return np.asarray(X, dtype=np.float64) @ self.field - np.logaddexp(0.0, self.field).sum()

    def sample(self, n_samples, entropy, dtype=np.float64):
        """Independent rows, (n_samples, n_features), a function of ``entropy`` alone."""
        uniforms = host_generator(entropy).random((n_samples, len(self.field)))
        return (uniforms < expit(self.field)).astype(dtype)
