"""Gibbs chains of any energy: one independent chain per returned row.

Conditional draws need an energy with ``sweep_clamped``.
"""

import numpy as np

from skebm._rng import derive_key

START, _SWEEPS, _CLAMPED = 11, 12, 13  # purposes of random numbers


def sample(energy, X, n_sweeps, entropy, *, first_chain=0):
    """Move every row of ``X`` by ``n_sweeps`` Gibbs sweeps, in place, and return it."""
    key = derive_key(entropy, _SWEEPS)
    energy.sweep(X, 1.0, None, key, n_sweeps=n_sweeps, first_chain=first_chain)
    return X


def sample_thinned(energy, X, n_rows, burn_in, thin, entropy):
    """``n_rows`` states of the chains ``X`` in turn, (n_rows, n_features); moves ``X``.

    The first states come after ``burn_in`` sweeps, further ones of a chain ``thin`` sweeps apart.
    The first rows do not depend on how many are asked for.
    """
    key, n_chains = derive_key(entropy, _SWEEPS), len(X)
    rows, step, n_sweeps = np.empty((n_rows, X.shape[1]), X.dtype), 0, burn_in
    for low in range(0, n_rows, n_chains):
        energy.sweep(X, 1.0, None, key, step=step, n_sweeps=n_sweeps)
        step, n_sweeps = step + n_sweeps, thin
        rows[low : low + n_chains] = X[: n_rows - low]
    return rows


def conditional_sample(energy, known, n_sweeps, base, entropy):
    """A draw of the NaN entries of each row given the others, after ``n_sweeps`` sweeps."""
    return _clamped(energy, known, 0, n_sweeps, base, entropy)[0]


def conditional_mean(energy, known, n_sweeps, base, entropy):
    """E[x_i | known] of the NaN entries, averaged over ``n_sweeps`` sweeps after as many again.

    Averages conditional means rather than draws, which has less variance (Rao-Blackwell).
    """
    return _clamped(energy, known, n_sweeps, n_sweeps, base, entropy)[1]


def _clamped(energy, known, burn_in, n_sweeps, base, entropy):
    key = derive_key(entropy, _CLAMPED)
    unknown = np.isnan(known)
    states = np.where(unknown, base.sample(len(known), (*entropy, START), known.dtype), known)
    if burn_in:
        energy.sweep_clamped(states, known, key, n_sweeps=burn_in)
    means = energy.sweep_clamped(states, known, key, step=burn_in, n_sweeps=n_sweeps)
    return states, np.where(unknown, means, known).astype(known.dtype)
