"""What importance log-weights say about log Z: the estimate, its error, and second opinions."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_expit, stdtrit


class Estimate(NamedTuple):
    """A value in nats, its standard error, and the effective number of weights behind it.

    ``degrees`` are the degrees of freedom that the error itself is known with.
    """

    value: float
    stderr: float
    ess: float
    degrees: float = np.inf

    def reach(self, level):
        """Half the width of the interval at ``level``, by Student's t."""
        return float(stdtrit(max(self.degrees, 1.0), 0.5 + level / 2.0)) * self.stderr


def log_mean_exp(log_weights):
    """log of the mean weight, with its jackknife error on the log scale.

    The mean weight is unbiased; its logarithm is too small on average, by about half the square
    of the standard error. A few large weights decide about the error, which is then known badly:
    the degrees of freedom of a variance are 2 n / (kurtosis - 1) (Satterthwaite), n for normal
    weights. The normal quantile is known to cover too little.
    """
    n, largest = len(log_weights), log_weights.max()
    weights = np.exp(log_weights - largest)
    total, apart = weights.sum(), weights - weights.mean()
    squares = apart**2
    second, fourth = squares.mean(), (squares**2).mean()
    spread = fourth - second**2
    return Estimate(
        value=float(largest + np.log(total / n)),
        stderr=_jackknife_stderr(weights),
        ess=float(total**2 / (weights**2).sum()),
        degrees=float(min(n - 1.0, 2.0 * n * second**2 / spread)) if spread > 0.0 else n - 1.0,
    )


def _jackknife_stderr(weights):
    """Standard error of the log of the mean; infinite if one chain carries all the weight."""
    n = len(weights)
    rest = weights.sum() - weights
    if n < 2 or rest.min() <= 0.0:
        return np.inf
    leave_one_out = np.log(rest / (n - 1))
    return float(np.sqrt((n - 1) / n * ((leave_one_out - leave_one_out.mean()) ** 2).sum()))


def gaussian_work(log_weights):
    """The mean of the log-weights plus half their variance: log Z where they are Gaussian.

    It needs no rare large weight to be seen, so it stays near log Z for longer when the effective
    sample is small; with skewed log-weights it is biased at any number of chains.
    """
    n = len(log_weights)
    if n < 2:
        return Estimate(float(log_weights[0]), np.inf, 1.0)
    variance = log_weights.var(ddof=1)
    stderr = np.sqrt(variance / n + variance**2 / (2.0 * (n - 1)))
    return Estimate(float(log_weights.mean() + variance / 2.0), float(stderr), float(n))


def bennett(forward, backward, starts_ess=(np.inf, np.inf)):
    """log(Z_1 / Z_0) from log-weights of paths in both directions, and their overlap.

    Bennett's acceptance ratio: with m = log(n_F / n_R), the root r of the sum over forward paths
    of sigmoid(w - r - m) less that over backward paths of sigmoid(m + r - w). Both ``forward``
    and ``backward`` hold w = the sum of log f_k - log f_{k-1}, so that they agree about log Z.
    Where paths started at weighted draws, resampled, their effective numbers ``starts_ess`` (of
    both directions) add to the error: what is wrong with the start is common to all paths.

    The overlap is the chance of a mistake when the direction of a path is guessed from its
    weight, over that of a blind guess: 1 where both directions give the same weights, 0 where
    they have none in common.
    """
    n_forward, n_backward = len(forward), len(backward)
    m = np.log(n_forward / n_backward)
    from scipy.optimize import brentq  # only here: it takes longer to import than the package

    def excess(r):
        mistaken = np.logaddexp.reduce(log_expit(forward - r - m))
        return mistaken - np.logaddexp.reduce(log_expit(m + r - backward))

    everything = np.concatenate([forward, backward])
    r = brentq(excess, everything.min() - 50 - abs(m), everything.max() + 50 + abs(m), xtol=1e-12)
    log_forward, log_backward = log_expit(forward - r - m), log_expit(m + r - backward)
    variance = _relative_variance(log_forward) * (1.0 / n_forward + 1.0 / starts_ess[0])
    variance += _relative_variance(log_backward) * (1.0 / n_backward + 1.0 / starts_ess[1])
    overlap = float(np.exp(log_forward).mean() + np.exp(log_backward).mean())
    sides = log_mean_exp(log_forward), log_mean_exp(log_backward)
    ess = min(*(side.ess for side in sides), *starts_ess)
    degrees = min(side.degrees for side in sides)
    return Estimate(float(r), float(np.sqrt(variance)), ess, degrees), overlap


def _relative_variance(log_terms):
    """Variance of the terms over the square of their mean; infinite for a single one."""
    if len(log_terms) < 2:
        return np.inf
    terms = np.exp(log_terms - log_terms.max())
    return terms.var(ddof=1) / terms.mean() ** 2


def resampled(log_weights, uniform):
    """Indices (n,) in proportion to the weights, by systematic resampling with one uniform."""
    n, weights = len(log_weights), np.exp(log_weights - log_weights.max())
    edges = np.cumsum(weights) / weights.sum()
    return np.minimum(np.searchsorted(edges, (np.arange(n) + uniform) / n), n - 1)


def standard_errors_apart(x, y):
    """Welch's statistic of two sets of independent numbers: the difference of their means."""
    spread = np.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    difference = float(x.mean() - y.mean())
    return in_standard_errors(difference, spread, scale=abs(x.mean()))


def in_standard_errors(difference, stderr, scale):
    """``difference`` over its standard error; what rounding alone explains counts as none."""
    if abs(difference) <= 1e-6 * max(1.0, scale):
        return 0.0
    return float(difference / stderr) if stderr > 0.0 else float(np.copysign(np.inf, difference))
