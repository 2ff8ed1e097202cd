"""Gaussian models: sparse precision matrices learned by score matching.

.. math::  p(x) \\propto e^{-(x - \\mu)' K (x - \\mu) / 2}

on the reals, on non-negative numbers or in a box. One file per estimator; ``_covariance.py`` is
what is known of the data, ``_learning.py`` and ``_fit.py`` how a model is learned from it,
``_model.py`` and ``_draws.py`` what is asked of a fitted one, ``_selection.py``, ``_held_out.py``
and ``_stability.py`` which penalty is taken, ``_definite.py`` what is done where it is no
distribution, ``_inference.py`` how sure one can be of its edges (``_judged.py`` by which rows,
``_errors.py`` by which formulas).
"""

from skebm.gaussian._cv import ScoreMatchingGaussianCV
from skebm.gaussian._score_matching import ScoreMatchingGaussian

__all__ = ["ScoreMatchingGaussian", "ScoreMatchingGaussianCV"]
