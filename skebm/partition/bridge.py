"""Annealing in both directions: reverse AIS, Bennett's bridge, and whether they agree.

Chains that begin at draws from the model and are carried back to the base weigh Z from the other
side: E[1 / w] = 1 / Z, so minus the log-mean-exp of -log w is too large on average (Burda, Grosse
and Salakhutdinov 2015; Grosse, Ghahramani and Adams 2015). Together, forward and backward weights
give Bennett's acceptance ratio (Bennett 1976; Shirts and Chodera 2008), which has less variance
than either where they overlap.

Only exact draws make the upper side a bound, and two things stand in for them. The *bridge*
starts at the last states of other AIS chains, resampled by weight: modes get their shares. The
*check* starts at long Gibbs chains, half of them begun in the base and half scattered. Their
shares of separate modes are wrong, which is what they are for: to contradict.
"""

from dataclasses import replace

import numpy as np

from skebm.partition._result import (
    MINIMAL_OVERLAP,
    TOLERANCE,
    LogPartition,
    ReverseCheck,
    doubts_of,
)
from skebm.partition._ways import DrawnStarts, FromBase, Way, down_to_base, half
from skebm.partition._weights import (
    bennett,
    gaussian_work,
    in_standard_errors,
    log_mean_exp,
    standard_errors_apart,
)

_BACKWARD, _BRIDGE = 54, 55  # purposes of random numbers

# Fewest sweeps between where a long chain is started and where its annealing begins.
MIN_SWEEPS = 1000

# Fewest chains that can contradict: with less, a mode may lack them by chance.
MINIMAL_CHECK = 64


def sweeps_before(n_temperatures):
    """Sweeps of a long chain."""
    return max(MIN_SWEEPS, n_temperatures)


def check_by_reverse(annealed, energy, base, entropy):
    """The :class:`ReverseCheck` of a run of AIS: as many chains over as many temperatures."""
    n_sweeps = sweeps_before(annealed.plan.n_temperatures)
    way = down_to_base(energy, base)
    backward = way.run(*annealed.plan, (*entropy, _BACKWARD), n_sweeps).log_weights
    kinds = "the base", energy.scattered_from
    return compare(annealed.chains.log_weights, backward, n_sweeps, kinds=kinds)


def bridge(annealed, energy, base, entropy, level):
    """Bennett's estimate as a :class:`LogPartition`, from as many chains back as there were up."""
    plan = annealed.plan
    starts = DrawnStarts(energy, base, plan.n_temperatures)
    way = Way(FromBase(energy, base), starts, rising=False, model=energy)
    backward = way.run(*plan, (*entropy, _BRIDGE), plan.n_temperatures).log_weights
    forward = annealed.chains.log_weights
    doubts = [
        *doubts_of(log_mean_exp(forward), plan.n_chains, judged=annealed.judged),
        *doubts_of(starts.estimate, plan.n_chains, "chains that are carried back"),
        *annealed.doubts(),
    ]
    return bridge_result(
        forward,
        backward,
        (np.inf, starts.estimate.ess),
        plan.n_temperatures,
        level=level,
        doubts=doubts,
    )


def bridge_result(forward, backward, starts_ess, n_temperatures, *, level, doubts):
    """Bennett's estimate of both directions' log-weights, believed if they agree."""
    estimate, overlap = bennett(forward, backward, starts_ess)
    second, gap = gaussian_work(forward), _gap(forward, backward)
    return LogPartition.from_estimate(
        estimate, level=level, doubts=(*doubts, *_disagreements(gap, overlap)), method="bridge",
        n_chains=len(forward), n_temperatures=n_temperatures, second_opinion=second.value,
        second_stderr=second.stderr,
    )  # fmt: skip


def _gap(forward, backward):
    """The upper side less the lower one, in standard errors."""
    below, above = log_mean_exp(forward), log_mean_exp(-backward)
    stderr = np.hypot(below.stderr, above.stderr)
    return in_standard_errors(-above.value - below.value, stderr, scale=abs(below.value))


def compare(forward, backward, n_sweeps, *, kinds=("the base", "random hidden states"), both=False):
    """Forward and backward log-weights of one path, each (n,), as a :class:`ReverseCheck`.

    The first half of the backward chains, and with ``both`` that of the forward ones too, is
    expected to have started elsewhere than the second: ``kinds`` says where.
    """
    n, above = len(backward), log_mean_exp(-backward)
    joined, overlap = bennett(forward, backward)
    gap = _gap(forward, backward)
    split = max((_split(each) for each in (backward, forward)[: 1 + both]), key=abs)
    doubts = [*_disagreements(gap, overlap)]
    if abs(split) > TOLERANCE:
        doubts.append(
            f"long chains from {kinds[0]} and from {kinds[1]} disagree, by {abs(split):.1f} "
            "standard errors: the model has separate modes, or they were too short"
        )
    if n < MINIMAL_CHECK:
        doubts.append(f"{n} backward chains are too few for a check, {MINIMAL_CHECK} are needed")
    doubts += doubts_of(above, n, "backward chains")
    return ReverseCheck(
        value=-above.value,
        stderr=above.stderr,
        ess=above.ess,
        bridge=joined.value,
        bridge_stderr=joined.stderr,
        overlap=overlap,
        gap=gap,
        split=split,
        n_chains=n,
        n_sweeps=n_sweeps,
        starts=" and ".join(kinds),
        doubts=tuple(doubts),
    )


def _split(log_weights):
    """Difference between the two halves of some chains, in standard errors."""
    middle = half(len(log_weights))
    if middle < 2:
        return 0.0
    return standard_errors_apart(log_weights[:middle], log_weights[middle:])


def _disagreements(gap, overlap):
    if gap < -TOLERANCE:
        yield f"forward and backward estimates have crossed, by {-gap:.1f} standard errors"
    elif gap > TOLERANCE:
        yield f"the backward estimate is larger, by {gap:.1f} standard errors"
    if overlap < MINIMAL_OVERLAP:
        yield f"forward and backward weights hardly overlap ({overlap:.2f} of 1)"


def with_check(result, check):
    """A result that is believed only if the check, too, has nothing against it."""
    doubts = (*result.doubts, *check.doubts)
    return replace(result, check=check, doubts=doubts, converged=not doubts)
