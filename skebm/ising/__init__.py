"""Ising models: pairwise binary models, learned in several ways.

.. math::  P(s) \\propto e^{\\sum_i h_i s_i + \\sum_{i<j} J_{ij} s_i s_j}, s_i \\in \\{-1, 1\\}

One file per estimator; ``_fit.py`` is how those learn that need only the conditionals of spins,
``_model.py`` what is asked of all once fitted, ``_errors.py`` and ``_agreement.py`` how sure one
can be of them.
"""

from skebm.ising._interaction_screening import InteractionScreeningIsing
from skebm.ising._pcd import PCDIsing
from skebm.ising._pseudolikelihood import PseudoLikelihoodIsing
from skebm.ising._ratio_matching import RatioMatchingIsing

__all__ = [
    "InteractionScreeningIsing",
    "PCDIsing",
    "PseudoLikelihoodIsing",
    "RatioMatchingIsing",
]
