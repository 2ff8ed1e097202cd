"""The restricted Boltzmann machine estimators.

.. math::  p(v) = \\frac{1}{Z} \\sum_h e^{b^T v + c^T h + h^T W v},  v_i, h_j \\in \\{0, 1\\}

One file per estimator: ``CDRBM``, ``PCDRBM`` and ``RdmRBM`` learn with chains (``_chains.py``),
``PseudoLikelihoodRBM`` and ``RatioMatchingRBM`` from flips of single units (``_flips.py``).
``_fit.py`` is how they learn, ``_history.py`` what they remember of it, ``_model.py`` what is
asked of them once fitted.
"""

from skebm.rbm._cd import CDRBM
from skebm.rbm._pcd import PCDRBM
from skebm.rbm._pseudolikelihood import PseudoLikelihoodRBM
from skebm.rbm._ratio_matching import RatioMatchingRBM
from skebm.rbm._rdm import RdmRBM

__all__ = ["CDRBM", "PCDRBM", "PseudoLikelihoodRBM", "RatioMatchingRBM", "RdmRBM"]
