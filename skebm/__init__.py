"""skebm: energy-based models for scikit-learn, with likelihoods in nats.

Chapter 18 of *Deep Learning* ("Confronting the Partition Function") is about models
p(x) = p~(x) / Z whose Z is out of reach. It has four nouns, and so has this house:

===================  =============================================================================
``skebm.energies``   parameters, -log p~(x), conditionals, one Gibbs sweep, and their kernels
``skebm.criteria``   what is followed when Z is unknown: contrasts with chains, ratios of flips
``skebm.samplers``   Markov chains over any energy
``skebm.partition``  log Z afterwards: exact, or annealed in one direction or both; likelihoods
===================  =============================================================================

An estimator picks one of each and is thin: ``rbm``, ``ising``, ``gaussian`` and ``nce`` hold those
that users type, one file each, how they learn and what is asked of them once fitted;
``_base.py`` is what all share.
The cellar serves everybody: ``_jit.py`` (compilation, caching, threads), ``_rng.py`` (random
numbers), ``_numerics.py`` (stable functions), ``_simd.py`` and ``_words.py``
(vector instructions), ``_bits.py`` (packed binary states and their products), ``_rows.py`` (data),
``_distribute.py`` (work over processes and machines), ``_lattices.py`` (graphs of spins),
``_validation.py`` (checks), ``_warn.py``, ``_callbacks.py``. ``datasets.py`` makes data with a
known truth; ``__main__.py`` is the command ``python -m skebm``, and ``_command`` its jobs.
Imports point one way: cellar, energies, samplers, {partition, criteria}, ``_base``, estimators.
"""

from skebm._version import __version__
from skebm.gaussian import ScoreMatchingGaussian, ScoreMatchingGaussianCV
from skebm.ising import (
    InteractionScreeningIsing,
    PCDIsing,
    PseudoLikelihoodIsing,
    RatioMatchingIsing,
)
from skebm.nce import NCEEstimator
from skebm.rbm import CDRBM, PCDRBM, PseudoLikelihoodRBM, RatioMatchingRBM, RdmRBM

__all__ = [
    "CDRBM",
    "PCDRBM",
    "InteractionScreeningIsing",
    "NCEEstimator",
    "PCDIsing",
    "PseudoLikelihoodIsing",
    "PseudoLikelihoodRBM",
    "RatioMatchingIsing",
    "RatioMatchingRBM",
    "RdmRBM",
    "ScoreMatchingGaussian",
    "ScoreMatchingGaussianCV",
    "__version__",
]
