"""What may be asked about log Z: rules of options, and what counts as an estimator."""

import numbers

from sklearn.utils.validation import check_is_fitted

from skebm._validation import Choice, Flag, Jobs, Number, RandomState, positive_integer

METHODS = ("auto", "exact", "ais", "bridge", "nce")
CHECKS = ("none", "reverse")

RULES = {
    "n_chains": positive_integer(None),
    "n_temperatures": positive_integer("auto"),
    "check": Choice(CHECKS),
    "target_stderr": Number(numbers.Real, 0, above=True, also=(None,)),
    "level": Number(numbers.Real, 0, 1, above=True, below=True),
    "random_state": RandomState(),
    "n_jobs": Jobs(),
}

LOG_PARTITION_RULES = {"method": Choice(METHODS), **RULES, "return_chains": Flag()}


def checked_estimator(estimator):
    """A fitted estimator of this package, else a sentence about what is needed."""
    if not hasattr(estimator, "log_partition"):
        raise TypeError(
            f"a fitted estimator of skebm is needed, got {type(estimator).__module__}."
            f"{type(estimator).__name__}; from_parameters makes one of a model that was trained "
            "elsewhere, and of a pipeline it is the last step."
        )
    check_is_fitted(estimator)
    return estimator
