"""Exact log Z where the energy can be summed in reasonable time."""

from skebm.partition._result import LogPartition

# Predicted seconds on one core below which "auto" is exact.
CHEAP = 2.0


def cheap_log_partition(energy, *, level=0.95):
    """log Z without error where that takes a moment, else None."""
    value = energy.exact_log_partition() if energy.exact_seconds() <= CHEAP else None
    return None if value is None else LogPartition(value=value, level=level)


def exact_log_partition(energy, *, level=0.95):
    """log Z without error, or a ``ValueError`` that says how long it would have taken."""
    value = energy.exact_log_partition()
    if value is None:
        raise ValueError(
            f"method='exact' is out of reach for this {type(energy).__name__}: about "
            f"{energy.exact_seconds():.1e} s on one core. Use method='ais'."
        )
    return LogPartition(value=value, level=level)
