"""Stochastic gradient ascent: learning rates over time, and one block's step inside a kernel."""

from typing import NamedTuple

import numpy as np

from skebm._jit import inline

SCHEDULES = ("constant", "linear", "geometric")

# What "geometric" has come down to at the end; its first half is flat.
GEOMETRIC_END = 0.01


class Penalty(NamedTuple):
    """How the step on the weights differs from the plain gradient."""

    momentum: float
    weight_decay: float
    l1: float


def learning_rates(schedule, rate, first, count, total):
    """The rates of updates ``first`` ... ``first + count - 1`` out of ``total``, (count,)."""
    progress = (first + np.arange(count)) / max(total, 1)
    if schedule == "linear":
        return rate * (1.0 - progress)
    if schedule == "geometric":
        return rate * GEOMETRIC_END ** np.maximum(0.0, 2.0 * progress - 1.0)
    return np.full(count, float(rate))


@inline
def step_weights(W, velocity, gradient, rate, penalty):
    """One row: ``gradient`` already holds rate * dW; decay shrinks weights, l1 cuts them off."""
    zero = W.dtype.type(0)
    decay = W.dtype.type(rate * penalty.weight_decay)
    shrink = W.dtype.type(rate * penalty.l1)
    momentum = W.dtype.type(penalty.momentum)
    for i in range(W.shape[0]):
        step = gradient[i] - decay * W[i]
        if momentum > zero:
            step += momentum * velocity[i]
            velocity[i] = step
        W[i] += step
    if shrink > zero:
        for i in range(W.shape[0]):
            W[i] = max(W[i] - shrink, zero) + min(W[i] + shrink, zero)
