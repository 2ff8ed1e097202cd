"""Noise-contrastive estimation: any unnormalised model told from noise that is known.

:class:`NCEEstimator` takes one of these energies, or your own, and one of these noises.
"""

from skebm.nce._binary import RBM, IsingModel
from skebm.nce._estimator import NCEEstimator
from skebm.nce._experts import ICA
from skebm.nce._features import ExponentialFamily
from skebm.nce._gaussians import DiagonalGaussian, FullGaussian, TruncatedGaussian
from skebm.nce._noise_binary import BernoulliNoise, ChowLiuNoise
from skebm.nce._noise_box import TruncatedNoise, UniformNoise
from skebm.nce._noise_conditional import ConditionalNoise
from skebm.nce._noise_continuous import GaussianNoise, MixtureNoise, StudentTNoise

__all__ = [
    "ICA",
    "RBM",
    "BernoulliNoise",
    "ChowLiuNoise",
    "ConditionalNoise",
    "DiagonalGaussian",
    "ExponentialFamily",
    "FullGaussian",
    "GaussianNoise",
    "IsingModel",
    "MixtureNoise",
    "NCEEstimator",
    "StudentTNoise",
    "TruncatedGaussian",
    "TruncatedNoise",
    "UniformNoise",
]
