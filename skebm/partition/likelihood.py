"""Likelihoods with their two errors, and the difference of two models.

The mean log-likelihood of a test set is known up to the error of a mean over rows, and up to the
error of log Z, which all rows share: more rows make the first smaller and not the second, and a
second model does not cancel it. Two models are therefore better compared along a path from one
to the other, which need not pass the base that both are far from.
"""

import numbers
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import Jobs, Number, RandomState, check_parameters, positive_integer
from skebm._warn import warn
from skebm.partition._result import LogPartition
from skebm.partition._ways import Way, long_starts
from skebm.partition._weights import Estimate
from skebm.partition.ais import barrier_of, plan
from skebm.partition.bridge import MIN_SWEEPS, bridge_result, compare, sweeps_before
from skebm.partition.exact import cheap_log_partition

_PILOT, _FORWARD, _BACKWARD = 27, 28, 29  # purposes of random numbers

RULES = {
    "n_chains": positive_integer(None),
    "n_temperatures": positive_integer("auto"),
    "target_stderr": Number(numbers.Real, 0, above=True, also=(None,)),
    "level": Number(numbers.Real, 0, 1, above=True, below=True),
    "random_state": RandomState(),
    "n_jobs": Jobs(),
}


@dataclass(frozen=True)
class LogLikelihood:
    """A mean log-likelihood, or the difference of two, in nats per row.

    Attributes
    ----------
    value : float
        The mean over rows; ``float(result)`` is the same.
    stderr_rows : float
        Standard error that comes from the choice of rows; infinite for a single one.
    stderr_log_partition : float
        Standard error that comes from log Z and is the same for any number of rows.
    n_rows : int
        Rows.
    log_partition : LogPartition
        log Z, or log(Z_a / Z_b) of a difference: its method, interval and doubts.
    level : float
        Level of the interval.
    """

    value: float
    stderr_rows: float
    stderr_log_partition: float
    n_rows: int
    log_partition: LogPartition
    level: float = 0.95

    @classmethod
    def of_rows(cls, unnormalized, log_partition, level=0.95):
        """From the unnormalised log-probability of each row (n,), or the difference of two."""
        n = len(unnormalized)
        return cls(
            value=float(np.mean(unnormalized) - log_partition.value),
            stderr_rows=float(np.std(unnormalized, ddof=1) / np.sqrt(n)) if n > 1 else np.inf,
            stderr_log_partition=log_partition.stderr,
            n_rows=n,
            log_partition=log_partition,
            level=level,
        )

    @property
    def stderr(self):
        """Standard error from both sources together."""
        return float(np.hypot(self.stderr_rows, self.stderr_log_partition))

    @property
    def lower(self):
        """Lower end of the interval for the expectation over rows."""
        return self.value - float(ndtri(0.5 + self.level / 2.0)) * self.stderr

    @property
    def upper(self):
        """Upper end of the same interval."""
        return self.value + float(ndtri(0.5 + self.level / 2.0)) * self.stderr

    @property
    def converged(self):
        """Whether the error of log Z may be believed."""
        return self.log_partition.converged

    def __float__(self):
        return self.value

    def __str__(self):
        doubt = "" if self.converged else ", log Z not converged"
        return (
            f"{self.value:.3f} ± {self.stderr_rows:.3f} ({self.n_rows} rows) ± "
            f"{self.stderr_log_partition:.3f} (log Z, {self.log_partition.method}{doubt})"
        )


def log_likelihood_difference(
    estimator_a, estimator_b, X, *, n_chains=None, n_temperatures="auto", target_stderr=None,
    level=0.95, random_state=None, n_jobs=None,
):  # fmt: skip
    """Mean of log p_a(x) - log p_b(x) over rows, by annealing from one model to the other.

    Both partition functions exact where that takes a moment. Otherwise chains that have run long
    in each model are carried to the other, and Bennett's acceptance ratio gives log(Z_a / Z_b).
    Of the paths that the models offer the one with the smaller variance in a pilot is taken: for
    RBMs over the hidden units of both, or, with as many of them, straight between the parameters.

    Parameters
    ----------
    estimator_a, estimator_b : estimator
        Fitted estimators of this package.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, coded as in the training of both.
    n_chains : int or None, default=None
        Chains in each direction; None plans them for ``target_stderr``.
    n_temperatures : int or "auto", default="auto"
        Temperatures between the models; ``"auto"`` plans them by pilot runs.
    target_stderr : float or None, default=None
        Standard error in nats that ``n_chains`` is planned for; None means 0.05.
    level : float, default=0.95
        Level of the interval, between 0 and 1.
    random_state : None, int, RandomState or Generator, default=None
        Seed; None differs at every call.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting.

    Returns
    -------
    LogLikelihood
        Positive where a is the better model; the error over rows is that of paired differences.

    Raises
    ------
    ValueError
        If the models are not of the same variables.

    Warns
    -----
    ConvergenceWarning
        If chains from different starts, or the two directions, disagree.

    Notes
    -----
    Models that offer no path to each other are compared by two separate log Z.

    Examples
    --------
    >>> from skebm import PCDRBM
    >>> from skebm.datasets import make_bars_and_stripes
    >>> from skebm.partition import log_likelihood_difference
    >>> X = make_bars_and_stripes(200, size=3, random_state=0).data
    >>> short, long = (PCDRBM(8, n_iter=n, random_state=0).fit(X) for n in (1, 30))
    >>> difference = log_likelihood_difference(long, short, X)
    >>> difference.value > 3 * difference.stderr
    True
    >>> difference.log_partition.method
    'exact'
    """
    values = {
        "n_chains": n_chains, "n_temperatures": n_temperatures, "target_stderr": target_stderr,
        "level": level, "random_state": random_state, "n_jobs": n_jobs,
    }  # fmt: skip
    check_parameters(RULES, values, "log_likelihood_difference")
    for estimator in (estimator_a, estimator_b):
        check_is_fitted(estimator)
    rows = estimator_b._energies(X) - estimator_a._energies(X)
    entropy = draw_entropy(random_state)
    with threads(n_jobs):
        ratio = _log_ratio(
            estimator_a, estimator_b, entropy, n_chains, n_temperatures, target_stderr, level
        )
    if not ratio.converged:
        warn(
            f"log(Z_a / Z_b) is not to be trusted: {ratio}: {'; '.join(ratio.doubts)}. Raise "
            "n_temperatures or n_chains, or look at each log_partition by itself.",
            ConvergenceWarning,
        )
    return LogLikelihood.of_rows(rows, ratio, level)


def _log_ratio(a, b, entropy, n_chains, n_temperatures, target_stderr, level):
    """log(Z_a / Z_b) as a :class:`LogPartition`."""
    first, last = b._energy(), a._energy()
    exact = [cheap_log_partition(energy) for energy in (last, first)]
    if None not in exact:
        return LogPartition(value=exact[0].value - exact[1].value, level=level)
    starts = [
        long_starts(each._energy(), each._energy().base(each._marginals())) for each in (b, a)
    ]
    ways = [Way(path, starts[0], True, first) for path in first.paths_to(last)]
    if not ways:
        return _separately(a, b, level)
    pilot = lambda way: barrier_of(way, (*entropy, _PILOT), MIN_SWEEPS)  # noqa: E731
    barriers = [pilot(way) for way in ways]
    up = ways[int(np.argmin(barriers))]
    chosen = plan(up, entropy, n_chains, n_temperatures, target_stderr, min(barriers))
    n_sweeps = sweeps_before(chosen.n_temperatures)
    down = Way(up.path, starts[1], False, last)
    forward = up.run(*chosen, (*entropy, _FORWARD), n_sweeps).log_weights
    backward = down.run(*chosen, (*entropy, _BACKWARD), n_sweeps).log_weights
    check = compare(forward, backward, n_sweeps, both=True)
    return bridge_result(
        forward, backward, check, level=level, n_temperatures=chosen.n_temperatures
    )


def _separately(a, b, level):
    """The same from two log Z that know nothing of each other."""
    both = a.log_partition_, b.log_partition_
    difference = Estimate(
        value=both[0].value - both[1].value,
        stderr=float(np.hypot(both[0].stderr, both[1].stderr)),
        ess=min(each.ess for each in both),
    )
    doubts = [doubt for each in both for doubt in each.doubts]
    return LogPartition.from_estimate(difference, level=level, doubts=doubts, method="separate")
