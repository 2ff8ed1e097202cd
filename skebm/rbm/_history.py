"""The curves of learning: what ``history_`` holds of every epoch."""

import numpy as np

# Most chains that the curves are measured on, a few percent of an epoch's work.
_MONITORED_CHAINS = 512

GAP = "free_energy_gap"

# Curves of every RBM, and of those that learn with chains.
CURVES = ("learning_rate", "log_pseudolikelihood", "reconstruction_error", "weight_norm")
CURVES_WITH_CHAINS = (*CURVES[:2], GAP, *CURVES[2:])

TRACKED = ("log_likelihood", "log_partition", "log_partition_stderr", "log_partition_converged")


def as_arrays(history, curves):
    """Entries of epochs as one array per name; what an epoch did not record is NaN."""
    tracked = TRACKED * any(TRACKED[0] in entry for entry in history)
    names = *curves, *tracked
    return {name: np.array([entry.get(name, np.nan) for entry in history]) for name in names}


def measure(state, rows, rate, log_partition):
    """One entry of ``history_``, on a few training rows; needs no random numbers."""
    energy = state.energy()
    of_rows, fields = energy.energy_of_few(rows)
    error = energy.reconstruction_of_few(fields)
    error -= rows
    with np.errstate(under="ignore"):
        error = np.square(error, out=error).sum(axis=1)
    entry = {
        "learning_rate": float(rate),
        "log_pseudolikelihood": float(energy.log_pseudolikelihood(rows).mean()),
        "reconstruction_error": float(error.mean()),
        "weight_norm": float(np.sqrt(np.square(state.model.W, dtype=np.float64).sum())),
    }
    if len(state.chains):
        of_chains, _ = energy.energy_of_few(state.chains[:_MONITORED_CHAINS])
        entry[GAP] = float(of_chains.mean() - of_rows.mean())
    if log_partition is not None:
        values = log_partition.value, log_partition.stderr, float(log_partition.converged)
        entry |= zip(TRACKED, (float(-of_rows.mean()) - log_partition.value, *values))
    return entry
