"""Annealed importance sampling of log Z.

Chains drawn exactly from a base distribution with Z = 1 are carried to the model over
temperatures 0 = beta_0 < ... < beta_K = 1, and each is weighed by the product of
f_k(x) / f_{k-1}(x) at the state *before* it moves with the new temperature. The mean weight is
an unbiased estimate of Z (Neal 2001; Salakhutdinov and Murray 2008, section 4.1); its logarithm
is therefore too small on average, and a likelihood made of it too large.

For a linear schedule K Var(log w) = Lambda^2 is nearly constant in K once K is several Lambda^2:
then ESS / M is about exp(-Lambda^2 / K) and the standard error Lambda / sqrt(M K).
"""

from typing import NamedTuple

import numpy as np

from skebm.partition._result import LogPartition
from skebm.partition._ways import Carried, up_from_base
from skebm.partition._weights import log_mean_exp

_PILOT, _FINAL, _JUDGE = 51, 52, 53  # purposes of random numbers

PILOT_CHAINS = 64
MIN_TEMPERATURES, MAX_TEMPERATURES = 100, 20_000
MIN_CHAINS, MAX_CHAIN_TEMPERATURES = 128, 20_000_000
TARGET_STDERR = 0.05

# Shares of effective samples between which other chains are asked, and how many of them.
UNDECIDED, JUDGES = (0.1, 0.7), 128


class Plan(NamedTuple):
    """How many chains over how many temperatures."""

    n_chains: int
    n_temperatures: int


def plan(way, entropy, n_chains, n_temperatures, target_stderr, barrier=None):
    """Fill in what is not given, from pilot runs whose chains are not used again.

    Chains that had a say in the plan would make the estimate biased.
    """
    if n_temperatures != "auto" and n_chains is not None:
        return Plan(n_chains, n_temperatures)
    barrier = barrier_of(way, entropy) if barrier is None else barrier
    if n_temperatures == "auto":
        n_temperatures = int(np.clip(4.0 * barrier + 1.0, MIN_TEMPERATURES, MAX_TEMPERATURES))
    if n_chains is None:
        target = TARGET_STDERR if target_stderr is None else target_stderr
        needed = barrier / (n_temperatures * target**2)
        affordable = max(MIN_CHAINS, MAX_CHAIN_TEMPERATURES // n_temperatures)
        n_chains = int(np.clip(64 * np.ceil(needed / 64), MIN_CHAINS, affordable))
    return Plan(n_chains, n_temperatures)


def barrier_of(way, entropy, n_sweeps=0):
    """Lambda^2 = K Var(log w) from pilot runs, lengthened until the variance is near one."""
    n_temperatures = MIN_TEMPERATURES
    while True:
        pilot = (*entropy, _PILOT, n_temperatures)
        variance = way.run(PILOT_CHAINS, n_temperatures, pilot, n_sweeps).log_weights.var(ddof=1)
        if variance <= 1.0 or 4 * n_temperatures > MAX_TEMPERATURES:
            return float(np.nan_to_num(n_temperatures * variance, nan=np.inf))
        n_temperatures *= 4


class Annealed(NamedTuple):
    """A run of AIS: what was planned, the chains at its end, and what others said of them."""

    plan: Plan
    chains: Carried
    judged: float | None

    def result(self, level):
        """The estimate by AIS alone."""
        return LogPartition.from_log_weights(
            self.chains.log_weights, method="ais", n_temperatures=self.plan.n_temperatures,
            level=level, doubts=self.doubts(), judged=self.judged,
        )  # fmt: skip

    def doubts(self):
        """What speaks against the chains, apart from their weights."""
        return ("all chains are in one state and explore nothing",) if self.chains.alike else ()


def anneal(energy, base, entropy, *, n_chains, n_temperatures, target_stderr):
    """Carry chains from ``base`` to ``energy``; see :func:`skebm.partition.log_partition`."""
    way = up_from_base(energy, base)
    chosen = plan(way, entropy, n_chains, n_temperatures, target_stderr)
    chains = way.run(*chosen, (*entropy, _FINAL))
    return Annealed(chosen, chains, _judged(way, chosen, chains, entropy))


def _judged(way, chosen, chains, entropy):
    """Share of effective samples among chains of their own, where a run is near the limit.

    Where weights are uneven the runs that happen to miss the large ones have both the larger
    effective sample and the smaller estimate. If they decided for themselves whether to be
    believed, those that are would cover less often than they say.
    """
    low, high = UNDECIDED
    if not low <= log_mean_exp(chains.log_weights).ess / chosen.n_chains < high:
        return None
    judges = way.run(JUDGES, chosen.n_temperatures, (*entropy, _JUDGE))
    return log_mean_exp(judges.log_weights).ess / JUDGES
