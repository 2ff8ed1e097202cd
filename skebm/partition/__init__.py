"""log Z after training, so that models can be compared by likelihood.

``exact`` enumerates the smaller layer and has no error. ``ais`` anneals chains from a tractable
base to the model; its estimate of Z is unbiased and its logarithm is too small on average, so the
likelihoods it gives flatter the model. The standard error covers what the chains have seen; a
mode that none of them visited is in no error bar.
"""

import warnings

from sklearn.exceptions import ConvergenceWarning

from skebm.partition._result import LogPartition
from skebm.partition.ais import annealed_importance_sampling
from skebm.partition.exact import exact_log_partition, is_cheap

__all__ = ["LogPartition", "log_partition"]

METHODS = ("auto", "exact", "ais")


def log_partition(energy, base, entropy, *, method="auto", **options):
    """log Z of ``energy`` by the named method; ``auto`` is exact where that takes seconds."""
    if method == "exact" or (method == "auto" and is_cheap(energy)):
        return exact_log_partition(energy, level=options.get("level", 0.95))
    result = annealed_importance_sampling(energy, base, entropy, **options)
    if not result.converged:
        warnings.warn(
            f"log Z is not to be trusted: {result}. Raise n_temperatures (or n_chains), or choose "
            "another base.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return result
