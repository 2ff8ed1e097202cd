"""Chains carried along an annealing path, from one of its ends to the other.

A *way* starts chains at one end of a path and weighs them on the way to the other. The weight of
a chain is always the sum of log f_k - log f_{k-1} over the temperatures, whichever direction it
was carried in, so that ways in both directions can be set against each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skebm._distribute import is_distributed, over_workers
from skebm._rng import derive_key, host_generator
from skebm.energies import Energy
from skebm.partition._weights import log_mean_exp, resampled

# Purposes of random numbers.
START, SWEEPS, PATH, SCATTERED, RESAMPLE = 61, 62, 63, 64, 65

# Chains of one task for another process, and the work (chains x temperatures x variables) that
# is worth sending tasks anywhere.
CHAINS_PER_TASK, WORTH_SENDING = 128, 2e7


@dataclass(frozen=True)
class FromBase:
    """The path from a tractable base, whose Z is 1, to a model."""

    energy: Energy
    base: Any

    def anneal(self, X, log_weights, betas, key, **where):
        """:meth:`Energy.anneal` from this base."""
        self.energy.anneal(X, log_weights, betas, self.base, key, **where)


class Carried(NamedTuple):
    """Last states (n, n_features) and log-weights (n,) of chains; whether none ever moved apart."""

    states: np.ndarray
    log_weights: np.ndarray
    alike: bool


@dataclass(frozen=True)
class Way:
    """How chains start at one end of a path.

    Parameters
    ----------
    path : object with ``anneal``
        What they are carried along.
    start : callable
        ``start(n_chains, entropy)`` gives the first states.
    rising : bool
        Whether they start at temperature 0 of the path, or at 1.
    model : Energy, default=None
        The model at that end, whose Gibbs chains lead from the first states to where annealing
        begins; None if these are exact draws.
    """

    path: Any
    start: Callable
    rising: bool = True
    model: Energy = None

    def run(self, n_chains, n_temperatures, entropy, n_sweeps=0):
        """:class:`Carried` chains, a function of ``entropy`` and these numbers."""
        betas = np.linspace(0.0, 1.0, n_temperatures + 1)
        betas = betas if self.rising else betas[::-1].copy()
        X = self.start(n_chains, (*entropy, START))
        keys = derive_key(entropy, SWEEPS), derive_key(entropy, PATH)
        model, size = self.model if n_sweeps else None, len(X)
        if X.size * (n_temperatures + n_sweeps) >= WORTH_SENDING and is_distributed():
            size = CHAINS_PER_TASK
        tasks = [
            (self.path, model, X[low : low + size], betas, keys, n_sweeps, low)
            for low in range(0, n_chains, size)
        ]
        parts = over_workers(carry, tasks) if len(tasks) > 1 else [carry(*tasks[0])]
        states, log_weights = (np.concatenate(part) for part in zip(*parts))
        if not np.isfinite(log_weights).all():
            raise ValueError(
                "energies along the path are not finite for all states that chains reach; log Z by "
                "annealing needs an energy (and a base) that is finite everywhere."
            )
        alike = n_chains > 1 and bool((X == X[0]).all() and (states == states[0]).all())
        return Carried(states, log_weights if self.rising else -log_weights, alike)


def carry(path, model, X, betas, keys, n_sweeps, first_chain):
    """Take some chains through ``n_sweeps`` of ``model``, then along ``betas``.

    Every chain is a function of ``keys`` and its number alone, so that tasks may be cut anywhere,
    sent anywhere and made again.
    """
    X, log_weights = X.copy(), np.zeros(len(X))
    if n_sweeps:
        sweep = model.sweep if betas[0] <= betas[-1] else model.reverse_sweep
        sweep(X, 1.0, None, keys[0], n_sweeps=n_sweeps, first_chain=first_chain)
    path.anneal(X, log_weights, betas, keys[1], first_chain=first_chain)
    return X, log_weights


def up_from_base(energy, base):
    """From exact draws of the base to the model: annealed importance sampling."""
    return Way(FromBase(energy, base), lambda n, entropy: base.sample(n, entropy, energy.dtype))


def down_to_base(energy, base):
    """From long chains of the model to the base: reverse annealing."""
    return Way(FromBase(energy, base), long_starts(energy, base), rising=False, model=energy)


def long_starts(energy, base):
    """Where long chains start: half of them in the base, half scattered, so that modes differ."""

    def start(n_chains, entropy):
        first = base.sample(half(n_chains), entropy, energy.dtype)
        rest = n_chains - len(first)
        return np.vstack([first, energy.scattered_states(rest, (*entropy, SCATTERED))])

    return start


def half(n_chains):
    """How many of the long chains start in the base."""
    return n_chains // 2


class DrawnStarts:
    """Starts that are draws of a model: the last states of AIS, resampled by their weights.

    Each mode gets its share of them, as far as AIS has seen it; long chains alone stay in the
    mode that they began in.

    Parameters
    ----------
    energy : Energy
        The model.
    base : object with ``sample``
        Where AIS begins.
    n_temperatures : int
        Its temperatures.
    """

    def __init__(self, energy, base, n_temperatures):
        self.way, self.n_temperatures = up_from_base(energy, base), n_temperatures
        self.estimate = None  # of log Z by the last draws

    def __call__(self, n_chains, entropy):
        states, log_weights, _ = self.way.run(n_chains, self.n_temperatures, entropy)
        self.estimate = log_mean_exp(log_weights)
        return states[resampled(log_weights, host_generator(entropy, RESAMPLE).random())]
