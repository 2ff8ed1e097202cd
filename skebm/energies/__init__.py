"""Energies: parameters, -log of the unnormalised probability, conditionals and one Gibbs sweep.

How to add an energy
--------------------
Write a class with ``n_features`` and the five methods of :class:`Energy`, in NumPy or Numba:
``energy``, ``gradient`` (for criteria that learn; log Z does without), ``base``, ``sweep`` and
``exact_log_partition``. It then has Gibbs sampling and every estimate of log Z: AIS, reverse AIS,
the bridge, and what they say against each other. Here is the mean-field ferromagnet, E(x) = -J
m^2 / n with m ones among n:

>>> import math
>>> import numpy as np
>>> from skebm.energies import Energy, IndependentBernoulli, addressed_uniforms
>>> from skebm.partition import log_partition
>>> class CurieWeiss(Energy):
...     n_features = 10
...     J = 1.5
...
...     def energy(self, X):
...         return -self.J * X.sum(axis=1) ** 2 / self.n_features
...
...     def gradient(self, X, weights):
...         return np.array([-(weights * X.sum(axis=1) ** 2).sum() / self.n_features])
...
...     def base(self, marginals=None):
...         means = np.full(self.n_features, 0.5) if marginals is None else marginals
...         return IndependentBernoulli.from_marginals(means)
...
...     def sweep(self, X, beta, base, key, **where):
...         self._scan(X, beta, base, key, range(self.n_features), **where)
...
...     def reverse_sweep(self, X, beta, base, key, **where):
...         self._scan(X, beta, base, key, range(self.n_features)[::-1], **where)
...
...     def _scan(self, X, beta, base, key, order, *, step=0, n_sweeps=1, first_chain=0):
...         cold = 0.0 if base is None else (1.0 - np.asarray(beta)) * base.field[0]
...         for s in range(step, step + n_sweeps):
...             uniform = addressed_uniforms(key, s, first_chain, *X.shape)
...             for i in order:
...                 others = X.sum(axis=1) - X[:, i]
...                 field = beta * self.J * (2 * others + 1) / self.n_features + cold
...                 X[:, i] = uniform[:, i] * (1 + np.exp(-field)) < 1
...
...     def exact_log_partition(self):
...         n = self.n_features
...         return math.log(sum(math.comb(n, m) * math.exp(self.J * m * m / n)
...                             for m in range(n + 1)))
>>> energy = CurieWeiss()
>>> estimate = log_partition(energy, method="bridge", random_state=0)
>>> estimate.converged
True
>>> bool(abs(estimate.value - energy.exact_log_partition()) < 5 * estimate.stderr)
True

A sweep has to leave exp(-beta E(x)) base(x)^(1 - beta) invariant: annealing is only as right as
that, so it is worth a test of its own. Its random numbers come from ``addressed_uniforms``, so
that a chain does not depend on which others it is worked on with. A scan in a fixed order needs
``reverse_sweep``, the scan in the opposite order; without it the bridge would be biased, though
AIS would not. All else has a default that is right and slow: ``anneal`` (fuse weights and moves),
``exact_seconds`` (predict, so that ``auto`` can choose), ``scattered_states`` (starts that find
other modes, without which the reverse check is blind), ``paths_to`` (another model of the same
kind), ``exact_moments`` and ``exact_sample``.
"""

from skebm._rng import addressed_uniforms
from skebm.energies._base import LONGEST, Energy, ExactMoments, IndependentBernoulli
from skebm.energies._independent_normals import IndependentNormals
from skebm.energies.gaussian import Gaussian
from skebm.energies.ising import IndependentSpins, Ising
from skebm.energies.rbm import BernoulliRBM

__all__ = [
    "LONGEST",
    "BernoulliRBM",
    "Energy",
    "ExactMoments",
    "Gaussian",
    "IndependentBernoulli",
    "IndependentNormals",
    "IndependentSpins",
    "Ising",
    "addressed_uniforms",
]
