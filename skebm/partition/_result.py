"""log Z with everything that is known about its error."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, ndtri

# Below this share of effective samples the stated interval is known not to cover.
MINIMAL_ESS_RATIO = 0.3


@dataclass(frozen=True)
class LogPartition:
    """An estimate of log Z in nats.

    Attributes
    ----------
    value : float
        The estimate; ``float(result)`` is the same.
    stderr : float
        Its standard error, 0 if exact.
    lower, upper : float
        Ends of the interval at ``level``.
    ess : float
        Effective number of chains, between 1 and ``n_chains``; infinite if exact.
    method : str
        ``"exact"`` or ``"ais"``.
    converged : bool
        Whether the interval may be believed as far as the run itself can tell.
    n_chains, n_temperatures : int
        What was run, 0 if exact.
    level : float
        Level of the interval.

    Notes
    -----
    No run can notice a mode that none of its chains has visited: the error is then larger than
    stated, log Z too small and every likelihood too large.
    """

    value: float
    stderr: float = 0.0
    lower: float = None
    upper: float = None
    ess: float = np.inf
    method: str = "exact"
    converged: bool = True
    n_chains: int = 0
    n_temperatures: int = 0
    level: float = 0.95

    def __post_init__(self):
        for end in ("lower", "upper"):
            if getattr(self, end) is None:
                object.__setattr__(self, end, self.value)

    def __float__(self):
        return float(self.value)

    def __str__(self):
        if self.method == "exact":
            return f"{self.value:.6f} (exact)"
        doubt = "" if self.converged else ", not converged"
        return (
            f"{self.value:.3f} ± {self.stderr:.3f} ({self.method}, {self.n_chains} chains × "
            f"{self.n_temperatures} temperatures, ESS {self.ess:.0f}{doubt})"
        )

    @classmethod
    def from_log_weights(cls, log_weights, *, method, n_temperatures, level=0.95, trusted=True):
        """The log-mean-exp of importance log-weights, with its jackknife error on the log scale."""
        n = len(log_weights)
        value = float(logsumexp(log_weights) - np.log(n))
        weights = np.exp(log_weights - log_weights.max())
        ess = float(weights.sum() ** 2 / (weights**2).sum())
        stderr = _jackknife_stderr(weights)
        trusted = (
            trusted and ess >= MINIMAL_ESS_RATIO * n and _agrees_with_gaussian(log_weights, stderr)
        )
        reach = ndtri(0.5 + level / 2.0) * stderr
        return cls(
            value=value,
            stderr=stderr,
            lower=float(value - reach),
            upper=float(value + reach),
            ess=ess,
            method=method,
            converged=bool(trusted),
            n_chains=n,
            n_temperatures=n_temperatures,
            level=level,
        )


def _jackknife_stderr(weights):
    """Standard error of the log of the mean; infinite if one chain carries all the weight."""
    n = len(weights)
    rest = weights.sum() - weights
    if n < 2 or rest.min() <= 0.0:
        return np.inf
    leave_one_out = np.log(rest / (n - 1))
    return float(np.sqrt((n - 1) / n * ((leave_one_out - leave_one_out.mean()) ** 2).sum()))


def _agrees_with_gaussian(log_weights, stderr):
    """Second opinion: for Gaussian log-weights log Z is their mean plus half their variance."""
    n = len(log_weights)
    if n < 2 or not np.isfinite(stderr):
        return False
    variance = log_weights.var(ddof=1)
    gaussian = log_weights.mean() + variance / 2.0
    gaussian_variance = variance / n + variance**2 / (2.0 * (n - 1))
    value = logsumexp(log_weights) - np.log(n)
    return bool(abs(value - gaussian) <= 3.0 * np.sqrt(stderr**2 + gaussian_variance) + 1e-12)
