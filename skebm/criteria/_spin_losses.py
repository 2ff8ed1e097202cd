"""Losses of the conditionals of spins, as functions of t = s_i (sum_j J_ij s_j + h_i).

t is half the log-odds of spin i keeping the value it has, given all others; e^{-2t} / (1 + e^{-2t})
= sigma(-2t) is the probability that it would be flipped. With that share called u:

==================  ====================  ===============  =================  ==================
loss                f(t)                  f'(t)            curvature          minimised by
==================  ====================  ===============  =================  ==================
pseudolikelihood    log(1 + e^{-2t})      -2 u             4 u (1 - u)        Besag 1975
ratio matching      u^2                   -4 u^2 (1 - u)   8 u^2 (1 - u)^2    Hyvarinen 2007
RISE                e^{-t}                -e^{-t}          e^{-t}             Vuffray et al. 2016
logRISE             log of the mean of the same over rows                     Lokhov et al. 2018
==================  ====================  ===============  =================  ==================

The curvature is f'' where f is convex; ratio matching is not where u > 2/3, and takes the part of
f'' that is never negative (Gauss-Newton). RISE summed over all spins with a symmetric J is minimum
probability flow over single flips (Sohl-Dickstein, Battaglino, DeWeese 2011).
"""

from skebm._jit import inline
from skebm._numerics import exp, like, log1p_of_unit

PSEUDOLIKELIHOOD, RATIO_MATCHING, RISE, LOG_RISE = range(4)


@inline
def loss_terms(loss, t, peak):
    """f, f' and the curvature at ``t``, from the table above; RISE is scaled by e^-peak.

    In the precision of ``t``, which must be that of ``peak``.
    """
    if loss >= RISE:
        e = exp(-t - peak)
        return e, -e, e
    one, four = like(t, 1.0), like(t, 4.0)
    e = exp(-(abs(t) + abs(t)))
    kept = one / (one + e)
    product = kept * kept * e
    flip = e * kept if t > 0 else kept
    if loss == PSEUDOLIKELIHOOD:
        return abs(t) - t + log1p_of_unit(e), -(flip + flip), four * product
    return flip * flip, -four * flip * product, (four + four) * product * product


@inline
def _add_row(loss, weight, s, field, peak, value, slope):
    for i in range(field.shape[0]):
        f, df, _ = loss_terms(loss, s[i] * field[i], peak[i])
        value[i] += weight * f
        slope[i] = weight * df * s[i]


@inline
def add_row(loss, weight, s, field, peak, value, slope):
    """One row: value[i] += weight f(t_i), slope[i] = weight f'(t_i) s_i; all arrays (p,)."""
    # A loop of its own for each loss: with the choice inside, none would be vectorised.
    if loss == PSEUDOLIKELIHOOD:
        _add_row(PSEUDOLIKELIHOOD, weight, s, field, peak, value, slope)
    elif loss == RATIO_MATCHING:
        _add_row(RATIO_MATCHING, weight, s, field, peak, value, slope)
    else:
        _add_row(RISE, weight, s, field, peak, value, slope)


@inline
def _fill_node(loss, weights, s, field, peak, value, slope, curvature):
    for r in range(field.shape[0]):
        f, df, ddf = loss_terms(loss, s[r] * field[r], peak)
        value[r] = weights[r] * f
        slope[r] = weights[r] * df * s[r]
        curvature[r] = weights[r] * ddf


@inline
def fill_node(loss, weights, s, field, peak, value, slope, curvature):
    """One conditional: its terms of n rows, weighted; all arrays (n,)."""
    if loss == PSEUDOLIKELIHOOD:
        _fill_node(PSEUDOLIKELIHOOD, weights, s, field, peak, value, slope, curvature)
    elif loss == RATIO_MATCHING:
        _fill_node(RATIO_MATCHING, weights, s, field, peak, value, slope, curvature)
    else:
        _fill_node(RISE, weights, s, field, peak, value, slope, curvature)
