"""Ising models: pairwise binary models, learned in several ways.

.. math::  P(s) \\propto e^{\\sum_i h_i s_i + \\sum_{i<j} J_{ij} s_i s_j}, s_i \\in \\{-1, 1\\}

One file per estimator; ``_training.py`` is what all do with their data first, ``_fit.py`` how
those learn that need only the conditionals of spins, ``_model.py`` and ``_chains.py`` what is asked
of all once fitted, ``_inference.py`` how sure one can be of them (``_errors.py``,
``_agreement.py``).
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
