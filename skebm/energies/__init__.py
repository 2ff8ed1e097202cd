"""Energies: parameters, -log of the unnormalised probability, conditionals and one Gibbs sweep."""

from skebm.energies._base import LONGEST, Energy, ExactMoments, IndependentBernoulli
from skebm.energies.rbm import BernoulliRBM

__all__ = ["LONGEST", "BernoulliRBM", "Energy", "ExactMoments", "IndependentBernoulli"]
