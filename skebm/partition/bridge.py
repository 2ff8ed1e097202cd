"""Annealing in both directions: reverse AIS, Bennett's bridge, and whether they agree.

Chains that begin at draws from the model and are carried back to the base weigh Z from the other
side: E[1 / w] = 1 / Z, so minus the log-mean-exp of -log w is too large on average (Burda, Grosse
and Salakhutdinov 2015; Grosse, Ghahramani and Adams 2015). Together, forward and backward weights
give Bennett's acceptance ratio (Bennett 1976; Shirts and Chodera 2008), which has less variance
than either where they overlap.

Only exact draws make the upper side a bound. Here long Gibbs chains stand in for them, and what
they are good for is to contradict: half of them start in the base, half at random hidden states.
"""

from dataclasses import replace

import numpy as np

from skebm.partition._result import (
    MINIMAL_ESS_RATIO,
    MINIMAL_OVERLAP,
    TOLERANCE,
    LogPartition,
    ReverseCheck,
    doubts_of,
)
from skebm.partition._ways import down_to_base, half
from skebm.partition._weights import (
    Estimate,
    bennett,
    gaussian_work,
    in_standard_errors,
    log_mean_exp,
    standard_errors_apart,
)

_BACKWARD = 26  # purpose of random numbers

# Fewest sweeps between where a backward chain is started and where its annealing begins.
MIN_SWEEPS = 1000


def sweeps_before(n_temperatures):
    """Sweeps of a long chain, as many as there are temperatures, so that it costs no more."""
    return max(MIN_SWEEPS, n_temperatures)


def anneal_back(plan, energy, base, entropy):
    """Log-weights of as many backward chains over as many temperatures, and sweeps before them."""
    n_sweeps = sweeps_before(plan.n_temperatures)
    way = down_to_base(energy, base)
    return way.run(*plan, (*entropy, _BACKWARD), n_sweeps).log_weights, n_sweeps


def compare(forward, backward, n_sweeps, *, kinds=("the base", "random hidden states"), both=False):
    """Forward and backward log-weights of one path, each (n,), as a :class:`ReverseCheck`.

    The first half of the backward chains, and with ``both`` that of the forward ones too, is
    expected to have started elsewhere than the second: ``kinds`` says where.
    """
    below, above = log_mean_exp(forward), log_mean_exp(-backward)
    bridge, overlap = bennett(forward, backward)
    stderr = np.hypot(below.stderr, above.stderr)
    gap = in_standard_errors(-above.value - below.value, stderr, scale=abs(below.value))
    splits = [_split(log_weights) for log_weights in (backward, forward)[: 1 + both]]
    split = max(splits, key=abs)
    share = min(below.ess / len(forward), above.ess / len(backward))
    return ReverseCheck(
        value=-above.value,
        stderr=above.stderr,
        ess=above.ess,
        bridge=bridge.value,
        bridge_stderr=bridge.stderr,
        overlap=overlap,
        gap=gap,
        split=split,
        n_chains=len(backward),
        n_sweeps=n_sweeps,
        doubts=tuple(_disagreements(gap, split, overlap, share >= MINIMAL_ESS_RATIO, kinds)),
    )


def _split(log_weights):
    """Difference between the two halves of some chains, in standard errors."""
    middle = half(len(log_weights))
    if middle < 2:
        return 0.0
    return standard_errors_apart(log_weights[:middle], log_weights[middle:])


def _disagreements(gap, split, overlap, both_effective, kinds):
    if gap < -TOLERANCE:
        yield f"forward and backward estimates have crossed, by {-gap:.1f} standard errors"
    elif gap > TOLERANCE and both_effective:
        yield f"the backward estimate is larger, by {gap:.1f} standard errors"
    if abs(split) > TOLERANCE:
        yield (
            f"long chains from {kinds[0]} and from {kinds[1]} disagree, by {abs(split):.1f} "
            "standard errors: the model has separate modes, or they were too short"
        )
    if overlap < MINIMAL_OVERLAP:
        yield f"forward and backward weights hardly overlap ({overlap:.2f} of 1)"


def with_check(result, check):
    """An AIS result that is believed only if the check, too, has nothing against it."""
    above = Estimate(check.value, check.stderr, check.ess)
    backward = doubts_of(above, check.n_chains, "backward chains")
    doubts = (*result.doubts, *check.doubts, *backward)
    return replace(result, check=check, doubts=doubts, converged=not doubts)


def bridge_result(forward, backward, check, *, n_temperatures, level):
    """Bennett's estimate as a :class:`LogPartition`, believed if both directions agree."""
    second = gaussian_work(forward)
    return LogPartition.from_estimate(
        bennett(forward, backward)[0], level=level, doubts=check.doubts, method="bridge",
        n_chains=len(forward), n_temperatures=n_temperatures, second_opinion=second.value,
        second_stderr=second.stderr, check=check,
    )  # fmt: skip
