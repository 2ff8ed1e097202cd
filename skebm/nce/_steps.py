"""Steps of differences for each parameter of a user's energy, found from energies of some rows.

A step is right where differences over it and over half of it agree, whatever the unit of its
parameter. From a small step one goes on to larger ones only as long as these say the same within
what rounding leaves of the smaller one; a larger one may lie beyond all that the energy is about.
"""

from typing import NamedTuple

import numpy as np

_EPS = np.finfo(float).eps

# Steps of differences to both sides and to one, in units of a parameter.
_TWO_SIDED, _ONE_SIDED = _EPS ** (1.0 / 3.0), _EPS**0.5

# Unit of a parameter that is zero, beside one.
_SMALL = 1e-6

# Relative errors with which a search ends at once, and with which it ends soon.
_FINE, _ROUGH = 1e-7, 1e-4

# Factor from one step to the next, the most of them, and the most without any error to tell.
_FACTOR, _MOST, _MOST_BLIND = 10.0, 40, 12

# Rungs without a better one after which a search that is good enough ends.
_IDLE = 2

# Factor of a parameter within which its steps stay, and steps, in units of it, that stay anyway.
_NEAR, _SHORT, _LONG = 4.0, 1e-8, 1e-4

# What two steps may differ by, in errors of the smaller one; errors of rounding, in roundings.
_APART, _ROUNDINGS = 10.0, 4.0


class Sides(NamedTuple):
    """Parameters, and values above and below each that differences are taken between, (k,)."""

    theta: np.ndarray
    above: np.ndarray
    below: np.ndarray

    @property
    def lengths(self):
        """What slopes are differences over, (k,)."""
        return self.above - self.below

    def halved(self):
        """Half as far away."""
        return Sides(self.theta, *(0.5 * (self.theta + side) for side in self[1:]))


class Steps(NamedTuple):
    """Steps up and down of each parameter (k,), and its value for which they were found."""

    up: np.ndarray
    down: np.ndarray
    found_at: np.ndarray

    def serve(self, theta):
        """For which of other parameters they are good enough, (k,) bool."""
        sizes, known, steps = np.abs(theta), np.abs(self.found_at), self.up + self.down
        near = (sizes <= _NEAR * known) & (known <= _NEAR * sizes)
        return near | ((steps >= _SHORT * sizes) & (steps <= _LONG * sizes))

    def around(self, theta):
        """The :class:`Sides` of parameters."""
        return Sides(theta, theta + self.up, theta - self.down)


class _Trial(NamedTuple):
    """A step, slopes of rows by its half, and their absolute and relative errors.

    ``rounded`` says that most of the error is owed to rounding.
    """

    step: float
    slopes: object
    error: float
    relative: float
    rounded: bool

    @property
    def known(self):
        """Whether there were energies on both sides."""
        return self.slopes is not None

    def supports(self, larger):
        """Whether a larger step says the same."""
        if not self.known or not larger.known:
            return not self.known
        return bool((np.abs(larger.slopes - self.slopes) <= _APART * self.error).all())


def steps_from(energies, theta, last=None):
    """The :class:`Steps` from theta; ``energies(theta)`` (n,) may be NaN.

    Those of the ``last`` ones that are good enough stay.
    """
    stay = np.zeros(len(theta), bool) if last is None else last.serve(theta)
    if stay.all() and last is not None:
        return last
    up, down, found_at = (np.where(stay, each, theta) for each in last or 3 * [theta])
    finite = np.isfinite(energies(theta))
    with np.errstate(all="ignore"):
        for j in np.flatnonzero(~stay):
            up[j], down[j] = _sides(lambda t: energies(t)[finite], theta, j)
    return Steps(up, down, found_at)


def _sides(energies, theta, j):
    """How far to go above and below of a parameter."""
    size = abs(theta[j]) or _SMALL
    small = _tried(energies, theta, j, _TWO_SIDED * size, (1.0, 1.0))
    first = small
    if size < 1.0:
        first = _tried(energies, theta, j, _TWO_SIDED, (1.0, 1.0))
        first = first if first.known and small.supports(first) else small
    best = _searched(energies, theta, j, first, (1.0, 1.0))
    if best.known:
        return best.step, best.step
    for shape in ((1.0, 0.0), (0.0, 1.0)):  # a parameter at an edge
        first = _tried(energies, theta, j, _ONE_SIDED * (abs(theta[j]) or 1.0), shape)
        one = _searched(energies, theta, j, first, shape)
        if one.known:
            return one.step * shape[0], one.step * shape[1]
    return first_guess(theta[j]), first_guess(theta[j])


def first_guess(value):
    """The step of a parameter whose energies say nothing."""
    return _TWO_SIDED * max(abs(value), 1.0)


def _searched(energies, theta, j, first, shape):
    """The best :class:`_Trial` of steps that grow or shrink from a first one."""
    best, factors = first, (1.0 / _FACTOR, _FACTOR)
    if first.known and first.rounded:
        factors = factors[::-1] if np.isfinite(first.relative) else factors[1:]
    for factor in factors:
        last, idle = first, 0
        for rung in range(_MOST):
            if best.relative <= _FINE or (best.relative <= _ROUGH and idle >= _IDLE):
                break
            if rung >= _MOST_BLIND and not np.isfinite(best.relative):
                break
            trial = _tried(energies, theta, j, last.step * factor, shape)
            if factor > 1.0 and not (last.known and trial.known and last.supports(trial)):
                break
            better = trial.relative < best.relative or (trial.known and not best.known)
            best, idle, last = (trial, 0, trial) if better else (best, idle + 1, trial)
    return best


def _tried(energies, theta, j, step, shape):
    """The :class:`_Trial` of a step, times ``shape`` above and below."""
    sides = []
    for length in (step, 0.5 * step):
        points = theta.copy(), theta.copy()
        points[0][j] += length * shape[0]
        points[1][j] -= length * shape[1]
        over = points[0][j] - points[1][j]
        if not np.isfinite(over) or over == 0.0:
            return _Trial(step, None, np.inf, np.inf, over == 0.0)
        sides.append((*(energies(point) for point in points), over))
    reach = np.abs([side for each in sides for side in each[:2]]).max(initial=0.0)
    if not np.isfinite(reach):
        return _Trial(step, None, np.inf, np.inf, False)
    wide, near = ((above - below) / over for above, below, over in sides)
    apart, size = np.abs(wide - near).max(initial=0.0), np.abs(near).max(initial=0.0)
    rounding = _EPS * reach / sides[1][2]
    if size == 0.0:
        return _Trial(step, near, _ROUNDINGS * rounding, np.inf, True)
    relative = (apart + rounding) / size
    return _Trial(step, near, apart + _ROUNDINGS * rounding, relative, apart < 10.0 * rounding)
