"""log Z after training, so that models can be compared by likelihood.

``exact`` enumerates the smaller layer and has no error. ``ais`` anneals chains from a tractable
base to the model; its estimate of Z is unbiased and its logarithm is too small on average, so the
likelihoods it gives flatter the model. The standard error covers what the chains have seen; a
mode that none of them visited is in no error bar.
"""

from sklearn.exceptions import ConvergenceWarning

from skebm._warn import warn
from skebm.partition._result import LogPartition
from skebm.partition.ais import annealed_importance_sampling
from skebm.partition.exact import (
    cheap_log_partition,
    exact_log_likelihood_gradient,
    exact_log_partition,
    exact_moments,
)

__all__ = ["LogPartition", "exact_log_likelihood_gradient", "exact_moments", "log_partition"]

METHODS = ("auto", "exact", "ais")


def log_partition(energy, base, entropy, *, method="auto", **options):
    """log Z of ``energy`` by the named method; ``auto`` is exact where that takes seconds."""
    level = options.get("level", 0.95)
    if method == "exact":
        return exact_log_partition(energy, level=level)
    exact = cheap_log_partition(energy, level=level) if method == "auto" else None
    if exact is not None:
        return exact
    result = annealed_importance_sampling(energy, base, entropy, **options)
    if not result.converged:
        warn(
            f"log Z is not to be trusted: {result}. Raise n_temperatures (or n_chains), or choose "
            "another base.",
            ConvergenceWarning,
        )
    return result
