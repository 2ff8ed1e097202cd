"""Annealed importance sampling of log Z.

Chains drawn exactly from a base distribution with Z = 1 are carried to the model over
temperatures 0 = beta_0 < ... < beta_K = 1, and each is weighed by the product of
f_k(x) / f_{k-1}(x) at the state *before* it moves with the new temperature. The mean weight is
an unbiased estimate of Z (Neal 2001; Salakhutdinov and Murray 2008, section 4.1); its logarithm
is therefore too small on average, and a likelihood made of it too large.

For a linear schedule K Var(log w) = Lambda^2 is nearly constant in K once K is several Lambda^2:
then ESS / M is about exp(-Lambda^2 / K) and the standard error Lambda / sqrt(M K).
"""

import numpy as np

from skebm._rng import derive_key
from skebm.partition._result import LogPartition

_PILOT, _FINAL = 21, 22  # purposes of random numbers

PILOT_CHAINS = 64
MIN_TEMPERATURES, MAX_TEMPERATURES = 100, 20_000
MIN_CHAINS, MAX_CHAIN_TEMPERATURES = 128, 20_000_000
TARGET_STDERR = 0.05


def annealed_importance_sampling(
    energy, base, entropy, *, n_chains=None, n_temperatures="auto", target_stderr=None, level=0.95
):
    """Estimate log Z of ``energy`` by annealing from ``base``; see :func:`log_partition`."""
    target = TARGET_STDERR if target_stderr is None else target_stderr
    if n_temperatures == "auto" or n_chains is None:
        barrier = _barrier(energy, base, entropy)
    if n_temperatures == "auto":
        n_temperatures = int(np.clip(4.0 * barrier + 1.0, MIN_TEMPERATURES, MAX_TEMPERATURES))
    if n_chains is None:
        needed = barrier / (n_temperatures * target**2)
        affordable = max(MIN_CHAINS, MAX_CHAIN_TEMPERATURES // n_temperatures)
        n_chains = int(np.clip(64 * np.ceil(needed / 64), MIN_CHAINS, affordable))
    X = base.sample(n_chains, (*entropy, _FINAL), energy.dtype)
    stuck = n_chains > 1 and bool((X == X[0]).all())  # chains from one state explore nothing
    log_weights = _log_weights(energy, base, X, n_temperatures, (*entropy, _FINAL))
    return LogPartition.from_log_weights(
        log_weights, method="ais", n_temperatures=n_temperatures, level=level, trusted=not stuck
    )


def _log_weights(energy, base, X, n_temperatures, entropy):
    log_weights = np.zeros(len(X))
    betas = np.linspace(0.0, 1.0, n_temperatures + 1)
    energy.anneal(X, log_weights, betas, base, derive_key(entropy))
    return log_weights


def _barrier(energy, base, entropy):
    """Lambda^2 = K Var(log w) from pilot runs, lengthened until the variance is near one."""
    n_temperatures = MIN_TEMPERATURES
    while True:
        pilot = (*entropy, _PILOT, n_temperatures)
        X = base.sample(PILOT_CHAINS, pilot, energy.dtype)
        variance = _log_weights(energy, base, X, n_temperatures, pilot).var(ddof=1)
        if variance <= 1.0 or 4 * n_temperatures > MAX_TEMPERATURES:
            return float(np.nan_to_num(n_temperatures * variance, nan=np.inf))
        n_temperatures *= 4
