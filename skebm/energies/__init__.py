"""Energies: parameters, -log of the unnormalised probability, conditionals and one Gibbs sweep."""

from skebm.energies._base import Energy, IndependentBernoulli
from skebm.energies.rbm import BernoulliRBM

__all__ = ["BernoulliRBM", "Energy", "IndependentBernoulli"]
