"""log Z along training, by chains that follow the model.

Shadow chains are drawn exactly from independent units before training begins, and whenever the
parameters have moved they are annealed along the straight line from the old to the new ones. They
are weighted draws of every model they pass, whatever the gradient was made of, so their weights
say how Z has grown: one long annealing run whose path is the training itself. Where the effective
sample falls below a half, chains are drawn anew in proportion to their weights (sequential Monte
Carlo; Del Moral, Doucet and Jasra 2006).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from skebm._rng import derive_key, host_generator
from skebm.energies import Energy
from skebm.partition._result import MINIMAL_ESS_RATIO, LogPartition
from skebm.partition._ways import up_from_base
from skebm.partition._weights import Estimate, log_mean_exp, resampled
from skebm.partition.exact import exact_log_partition

_START, _FOLLOW, _RESAMPLE = 91, 92, 93  # purposes of random numbers

N_CHAINS = 128

# Temperatures on the way to the model that is followed first: if it is nearly independent, or
# has been trained already.
NEAR, FAR = 10, 2000

# Effective share of chains below which their error is not believed, and below which they are
# carried again over more temperatures.
LEAST_SHARE, GOOD_SHARE = 0.1, 0.3

# Work done in a second, on one core, by which the exact sum is compared with it.
FLOPS_PER_SECOND = 8e10

# Work of following at all, counted like the products of a temperature.
_OVERHEAD_FLOPS = 1e7


@dataclass(frozen=True)
class ShadowChains:
    """Weighted draws of a model; to follow it is to make new ones, nothing changes in place.

    Parameters
    ----------
    energy : Energy
        The model that they are draws of, with ``straight_path_to``.
    states : ndarray of shape (n_chains, n_features)
        The draws.
    log_weights : ndarray of shape (n_chains,)
        Their log-weights since they were drawn anew.
    entropy : tuple of int
        What all random numbers are made of.
    log_partition : float, default=0.0
        What is already known of log Z from weights before that.
    variance : float, default=0.0
        Relative variance of those.
    smallest : float, default=1.0
        Smallest share of effective samples before chains were drawn anew.
    step : int, default=0
        Sweeps made, which address the random numbers.
    """

    energy: Energy
    states: np.ndarray
    log_weights: np.ndarray
    entropy: tuple
    log_partition: float = 0.0
    variance: float = 0.0
    smallest: float = 1.0
    step: int = 0

    @classmethod
    def start(cls, energy, base, entropy, *, n_chains=N_CHAINS, n_temperatures=NEAR):
        """Draws of ``energy`` by annealing from ``base``, a distribution with Z = 1."""
        entropy = (*entropy, _START)
        carried = up_from_base(energy, base).run(n_chains, n_temperatures, entropy)
        return cls(energy, carried.states, carried.log_weights, entropy)

    def follow(self, energy, n_temperatures):
        """Draws of ``energy``, reached from the present model over so many temperatures."""
        states, log_weights = self.states.copy(), self.log_weights.copy()
        betas = np.linspace(0.0, 1.0, n_temperatures + 1)
        self.energy.straight_path_to(energy).anneal(
            states, log_weights, betas, derive_key(self.entropy, _FOLLOW), step=self.step
        )
        moved = replace(
            self, energy=energy, states=states, log_weights=log_weights,
            step=self.step + n_temperatures,
        )  # fmt: skip
        estimate = log_mean_exp(log_weights)
        if estimate.ess < MINIMAL_ESS_RATIO * len(log_weights):
            return moved._drawn_anew(estimate)
        return moved

    def stands_at(self, energy):
        """Whether these are draws of that very model."""
        pairs = zip(self.energy.parameters, energy.parameters, strict=True)
        return all(np.array_equal(one, other) for one, other in pairs)

    def _drawn_anew(self, estimate):
        n = len(self.states)
        uniform = host_generator(self.entropy, _RESAMPLE, self.step).random()
        return replace(
            self, states=self.states[resampled(self.log_weights, uniform)],
            log_weights=np.zeros(n),
            log_partition=self.log_partition + estimate.value,
            variance=self.variance + estimate.stderr**2,
            smallest=min(self.smallest, estimate.ess / n),
        )  # fmt: skip

    def result(self):
        """The :class:`LogPartition` of the present model.

        Its standard error counts every set of weights as independent of those before, which is
        too small where chains are slow to forget.
        """
        now, n = log_mean_exp(self.log_weights), len(self.states)
        stderr, doubts = float(np.hypot(np.sqrt(self.variance), now.stderr)), ()
        if self.smallest < LEAST_SHARE:
            doubts = (f"{100 * self.smallest:.0f} % of the shadow chains carried all the weight",)
        ess = self.smallest * now.ess
        estimate = Estimate(self.log_partition + now.value, stderr, ess, ess - 1.0)
        return LogPartition.from_estimate(
            estimate, method="shadow", n_chains=n, n_temperatures=self.step, doubts=doubts
        )


class Tracked(NamedTuple):
    """Shadow chains, the log Z that they know (or that was summed without), work spent on it."""

    shadow: ShadowChains | None
    log_partition: LogPartition
    flops: float


def tracked(shadow, energy, base, entropy, flops, most):
    """:class:`Tracked` at ``energy``, for about ``flops`` of work, ``most`` if the way is long.

    Exact where that takes no longer; there are no chains then, and they begin anew, from ``base``
    and over many temperatures, where none are given.
    """
    exact = energy.exact_seconds() * FLOPS_PER_SECOND
    if exact <= flops:
        return Tracked(None, exact_log_partition(energy), exact)
    if shadow is None:
        shadow = ShadowChains.start(energy, base, entropy, n_temperatures=FAR)
        return Tracked(shadow, shadow.result(), flops)
    each = shadow.energy.straight_path_to(energy).flops(len(shadow.states))
    n_temperatures = int(np.clip((flops - _OVERHEAD_FLOPS) / each, 1, FAR))
    moved, spent = shadow.follow(energy, n_temperatures), n_temperatures
    while moved.smallest < GOOD_SHARE <= shadow.smallest and 5 * spent * each <= most:
        n_temperatures *= 4  # a long way, on which later epochs can save
        moved, spent = shadow.follow(energy, n_temperatures), spent + n_temperatures
    return Tracked(moved, moved.result(), _OVERHEAD_FLOPS + spent * each)
