"""Likelihoods with their two errors, and the difference of two models.

The mean log-likelihood of a test set is known up to the error of a mean over rows, and up to the
error of log Z, which all rows share: more rows make the first smaller and not the second, and a
second model does not cancel it. Two models are therefore better compared along a path from one
to the other, which need not pass the base that both are far from.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit
from sklearn.exceptions import ConvergenceWarning

from skebm._jit import threads
from skebm._rng import derive_seed, draw_entropy
from skebm._validation import check_parameters
from skebm._warn import warn
from skebm.partition._asked import RULES, checked_estimator
from skebm.partition._result import LogPartition, doubts_of
from skebm.partition._ways import DrawnStarts, Way, long_starts, up_from_base
from skebm.partition._weights import Estimate
from skebm.partition.ais import barrier_of, plan
from skebm.partition.bridge import bridge_result, compare, sweeps_before, with_check
from skebm.partition.exact import cheap_log_partition

# Purposes of random numbers.
_PILOT, _FORWARD, _BACKWARD, _CHECK_FORWARD, _CHECK_BACKWARD, _A, _B = range(71, 78)


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
        return self.value - self._reach()

    @property
    def upper(self):
        """Upper end of the same interval."""
        return self.value + self._reach()

    def _reach(self):
        """Student's t with the degrees of freedom of Welch and Satterthwaite."""
        if not np.isfinite(self.stderr) or self.stderr == 0.0:
            return self.stderr
        shares = self.stderr_rows**2, self.stderr_log_partition**2
        degrees = max(self.n_rows - 1.0, 1.0), max(self.log_partition.ess - 1.0, 1.0)
        inverse = sum(share**2 / each for share, each in zip(shares, degrees))
        return float(stdtrit(sum(shares) ** 2 / inverse, 0.5 + self.level / 2.0)) * self.stderr

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
    estimator_a, estimator_b, X, *, n_chains=None, n_temperatures="auto", check="none",
    target_stderr=None, level=0.95, random_state=None, n_jobs=None,
):  # fmt: skip
    """Mean of log p_a(x) - log p_b(x) over rows, by annealing from one model to the other.

    Both partition functions are exact where that takes a moment. Otherwise draws of each model,
    made by AIS, are carried to the other, and Bennett's acceptance ratio gives log(Z_a / Z_b).
    Of the paths that the models offer the one with the smaller variance in a pilot is taken: for
    RBMs over the hidden units of both, or, with as many of them, straight between the parameters;
    for Ising models the latter.

    Parameters
    ----------
    estimator_a : estimator
        A fitted estimator of this package.
    estimator_b : estimator
        Another one, of the same variables.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, coded as in the training of both.
    n_chains : int or None, default=None
        Chains in each direction; None plans them for ``target_stderr``.
    n_temperatures : int or "auto", default="auto"
        Temperatures between the models; ``"auto"`` plans them by pilot runs.
    check : {"none", "reverse"}, default="none"
        ``"reverse"`` also carries long chains of each model to the other, half of them from
        scattered states, and believes nothing that they contradict.
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
        If the effective samples are too small, or the two directions, or chains from different
        starts, disagree.

    Notes
    -----
    Models that offer no path to each other are compared by two separate log Z. The draws cost a
    run of AIS for each model, and a temperature between models costs twice a Gibbs sweep; what is
    won is the smaller error, since the models are nearer to each other than to any base.

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
    plan = {"n_chains": n_chains, "n_temperatures": n_temperatures, "target_stderr": target_stderr}
    values = {"check": check, "level": level, "random_state": random_state, "n_jobs": n_jobs}
    check_parameters(RULES, plan | values, "log_likelihood_difference")
    pair = checked_estimator(estimator_a), checked_estimator(estimator_b)
    rows = estimator_b._energies(X) - estimator_a._energies(X)
    with threads(n_jobs):
        ratio = _log_ratio(*pair, draw_entropy(random_state), check, level, plan)
    if not ratio.converged:
        warn(
            f"log(Z_a / Z_b) is not to be trusted: {ratio}: {'; '.join(ratio.doubts)}. Raise "
            "n_temperatures or n_chains, or look at each log_partition by itself.",
            ConvergenceWarning,
        )
    return LogLikelihood.of_rows(rows, ratio, level)


def _log_ratio(a, b, entropy, check, level, options):
    """log(Z_a / Z_b) as a :class:`LogPartition`."""
    first, last = b._energy(), a._energy()
    exact = [cheap_log_partition(energy) for energy in (last, first)]
    if None not in exact:
        return LogPartition(value=exact[0].value - exact[1].value, level=level)
    paths = first.paths_to(last)
    if not paths:
        return _separately(a, b, entropy, level, options)
    ends = [(energy, energy.base(each._marginals())) for each, energy in ((b, first), (a, last))]
    starts = [_drawn_starts(*end, (*entropy, which)) for which, end in zip((_B, _A), ends)]
    ways = [Way(path, starts[0], True, first) for path in paths]
    barriers = [barrier_of(way, (*entropy, _PILOT)) for way in ways]
    up = ways[int(np.argmin(barriers))]
    down = Way(up.path, starts[1], False, last)
    chosen = plan(up, entropy, barrier=min(barriers), **options)
    forward = up.run(*chosen, (*entropy, _FORWARD), chosen.n_temperatures).log_weights
    backward = down.run(*chosen, (*entropy, _BACKWARD), chosen.n_temperatures).log_weights
    doubts = [
        doubt
        for name, start in zip("ba", starts)
        for doubt in doubts_of(start.estimate, chosen.n_chains, f"chains that lead to model {name}")
    ]
    ess = [start.estimate.ess for start in starts]
    result = bridge_result(
        forward, backward, ess, chosen.n_temperatures, level=level, doubts=doubts
    )
    if check == "reverse":
        result = with_check(result, _check(up.path, ends, chosen, entropy))
    return result


def _drawn_starts(energy, base, entropy):
    """Draws of a model by AIS over as many temperatures as it takes."""
    planned = plan(up_from_base(energy, base), entropy, None, "auto", None)
    return DrawnStarts(energy, base, planned.n_temperatures)


def _check(path, ends, chosen, entropy):
    """Long chains of both models, half of them scattered, in both directions."""
    n_sweeps = sweeps_before(chosen.n_temperatures)
    up, down = (
        Way(path, long_starts(*end), rising, end[0]).run(*chosen, (*entropy, purpose), n_sweeps)
        for end, rising, purpose in zip(ends, (True, False), (_CHECK_FORWARD, _CHECK_BACKWARD))
    )
    kinds = "the base", ends[0][0].scattered_from
    return compare(up.log_weights, down.log_weights, n_sweeps, kinds=kinds, both=True)


def _separately(a, b, entropy, level, options):
    """The same from two log Z that know nothing of each other."""
    both = [
        each.log_partition(random_state=derive_seed(entropy, which), **options)
        for which, each in zip((_A, _B), (a, b))
    ]
    difference = Estimate(
        value=both[0].value - both[1].value,
        stderr=float(np.hypot(both[0].stderr, both[1].stderr)),
        ess=min(each.ess for each in both),
        degrees=min(each.ess for each in both) - 1.0,
    )
    doubts = [doubt for each in both for doubt in each.doubts]
    return LogPartition.from_estimate(difference, level=level, doubts=doubts, method="separate")
