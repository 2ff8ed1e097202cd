"""log Z with everything that is known about its error."""

from dataclasses import dataclass

import numpy as np

from skebm.partition._weights import gaussian_work, log_mean_exp

# Below this share of effective samples the stated interval is known to cover too little.
MINIMAL_ESS_RATIO = 0.5

# Fewer chains do not know their own error.
MINIMAL_CHAINS = 16

# Overlap of forward and backward weights below which Bennett's error is known to be too small.
MINIMAL_OVERLAP = 0.06

# Standard errors by which two answers may differ that should agree.
TOLERANCE = 3.5


@dataclass(frozen=True)
class ReverseCheck:
    """What annealing from the model back to the base says about an estimate.

    If the backward chains started at exact draws from the model, E[value] would be an upper bound
    of log Z as that of AIS is a lower one. They start where long Gibbs chains have come, half of
    these from the base and half from scattered ones, so it is a heuristic upper side. What
    it cannot see is a mode that none of the chains of either kind has found.

    Attributes
    ----------
    value : float
        The upper side: minus the log-mean-exp of the negative backward log-weights.
    stderr : float
        Its standard error.
    ess : float
        Effective number of backward chains.
    bridge : float
        Bennett's acceptance ratio (BAR) of both directions together.
    bridge_stderr : float
        Its standard error.
    overlap : float
        From 1, when both directions give the same weights, to 0; below 0.06 is a doubt.
    gap : float
        ``value`` less the estimate by AIS, in standard errors; negative if they have crossed.
        More than 3.5 in size is a doubt.
    split : float
        Difference between the backward weights of the two kinds of starts, in standard errors,
        with the same limit.
    n_chains : int
        Backward chains.
    n_sweeps : int
        Sweeps from where a backward chain was started to where its annealing began.
    starts : str
        Where long chains were started.
    doubts : tuple of str
        What speaks against the estimate, empty if nothing does.
    """

    value: float
    stderr: float
    ess: float
    bridge: float
    bridge_stderr: float
    overlap: float
    gap: float
    split: float
    n_chains: int
    n_sweeps: int
    starts: str
    doubts: tuple = ()

    @property
    def modes_differ(self):
        """Whether chains of the two kinds of starts disagree by more than chance explains."""
        return bool(abs(self.split) > TOLERANCE)

    @property
    def crossed(self):
        """Whether the upper side lies below the lower one by more than chance explains."""
        return bool(self.gap < -TOLERANCE)

    @property
    def passed(self):
        """Whether nothing speaks against the estimate."""
        return not self.doubts

    def __str__(self):
        return (
            f"reverse {self.value:.3f} ± {self.stderr:.3f}, bridge {self.bridge:.3f} ± "
            f"{self.bridge_stderr:.3f}, overlap {self.overlap:.2f}, from {self.starts}"
        )


@dataclass(frozen=True)
class LogPartition:
    """An estimate of log Z in nats.

    Attributes
    ----------
    value : float
        The estimate; ``float(result)`` is the same.
    stderr : float
        Its standard error, 0 if exact, infinite if one chain carries all the weight.
    lower, upper : float
        Ends of the interval at ``level``.
    ess : float
        Effective number of chains, between 1 and ``n_chains``; infinite if exact.
    method : str
        ``"exact"``, ``"ais"``, ``"bridge"`` or ``"nce"``; ``"importance"`` from noise after
        learning by conditional noise, ``"shadow"`` along training, ``"separate"`` in a difference
        of models that have no path to each other.
    converged : bool
        Whether the interval may be believed as far as the run itself can tell.
    n_chains, n_temperatures : int
        What was run, 0 if exact; of ``"nce"`` the rows that are no noise, and the temperatures
        that they were drawn with, 0 if none; of ``"importance"`` the rows of noise.
    level : float
        Level of the interval.
    second_opinion, second_stderr : float
        The estimate that would be right for Gaussian log-weights, and its standard error: to be
        looked at where ``converged`` is false. Of an exact result, that result.
    check : ReverseCheck or None
        What the reverse run said, if there was one.
    doubts : tuple of str
        Why ``converged`` is false; empty if it is true.

    Notes
    -----
    The interval is that of Student's t on the log scale, with as many degrees of freedom as the
    standard error is known with: fewer than chains where few of them carry the weight. It holds
    for the modes that chains have visited; no run can notice one that none of them has seen:
    the error is then larger than stated, log Z too small and every likelihood too large.
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
    second_opinion: float = None
    second_stderr: float = 0.0
    check: ReverseCheck = None
    doubts: tuple = ()

    def __post_init__(self):
        for name in ("lower", "upper", "second_opinion"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.value)

    def __float__(self):
        return float(self.value)

    def __str__(self):
        if self.method == "exact":
            return f"{self.value:.6f} (exact)"
        doubt = "" if self.converged else ", not converged"
        run = f"{self.n_chains} chains × {self.n_temperatures} temperatures"
        run = f"{self.n_chains} rows" if self.method in ("nce", "importance") else run
        run = f"{self.method}, {run}, ESS {self.ess:.0f}{doubt}"
        return f"{self.value:.3f} ± {self.stderr:.3f} ({run})"

    @classmethod
    def from_estimate(cls, estimate, *, level=0.95, doubts=(), **run):
        """An :class:`Estimate` with its interval; ``run`` says what was run."""
        reach = estimate.reach(level)
        return cls(
            value=estimate.value,
            stderr=estimate.stderr,
            lower=estimate.value - reach,
            upper=estimate.value + reach,
            ess=estimate.ess,
            converged=not doubts,
            level=level,
            doubts=tuple(doubts),
            **run,
        )

    @classmethod
    def from_log_weights(
        cls, log_weights, *, method, n_temperatures, level=0.95, doubts=(), judged=None
    ):
        """The log-mean-exp of importance log-weights, and what they say of its error.

        ``judged`` is the share of effective samples that decides, where other chains know it.
        """
        estimate, second = log_mean_exp(log_weights), gaussian_work(log_weights)
        return cls.from_estimate(
            estimate,
            level=level,
            doubts=(*doubts_of(estimate, len(log_weights), judged=judged), *doubts),
            method=method,
            n_chains=len(log_weights),
            n_temperatures=n_temperatures,
            second_opinion=second.value,
            second_stderr=second.stderr,
        )


def doubts_of(estimate, n, chains="chains", judged=None):
    """Sentences that say why a log-mean-exp of ``n`` weights should not be believed."""
    share = estimate.ess / n if judged is None else judged
    if n < MINIMAL_CHAINS:
        yield f"{n} {chains} are too few to know their own error, {MINIMAL_CHAINS} are needed"
    elif not np.isfinite(estimate.stderr):
        yield f"one of {n} {chains} carries all the weight"
    elif share < MINIMAL_ESS_RATIO and judged is not None:
        yield f"{100 * judged:.0f} % of the {chains} of a separate run carry the weight, not half"
    elif share < MINIMAL_ESS_RATIO:
        yield f"the effective sample is {estimate.ess:.1f} of {n} {chains}, less than half"
