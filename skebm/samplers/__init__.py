"""Samplers: Markov chains, started, run in time that can be interrupted, and read off."""

from skebm.samplers.gibbs import (
    START,
    conditional_mean,
    conditional_sample,
    sample,
    sample_thinned,
)

__all__ = ["START", "conditional_mean", "conditional_sample", "sample", "sample_thinned"]
