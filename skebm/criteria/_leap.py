"""Long steps of a quadratic form with a penalty, where coordinate descent is slow.

Such a form has ``refill(pairs)``, ``slopes(pairs)``, ``bend(pairs, direction)``,
``curvatures(pairs)`` and ``objective(pairs, slopes, penalties)``, over the diagonal and the pairs.
"""

import numpy as np

# Diagonals of K beyond so many times that of the start: the loss has no minimum.
RUNAWAY = 1e8

# Sweeps after which conjugate gradients are tried, without penalties and with some, where signs are
# often in their way; and directions that they take at first.
PATIENCE, DIRECTIONS = (10, 100), 50

# Curvature along a direction below this share of that of its coordinates is none at all.
_FLAT = 1e-13

# Squared residual, as a share of the first one, at which conjugate gradients end.
_SOLVED = 1e-18

# How far a direction is followed that only goes down.
_FAR = 1e12


def in_turns(form, pairs, penalties, sweep, tol, max_iter):
    """Coordinate descent, in turns with leaps where it is slow, until no condition is missed.

    ``sweep(n)`` makes up to n sweeps over ``pairs`` in place and returns how many, and the largest
    violation that it met. Returns the number of sweeps and directions.
    """
    total, directions, origin = 0, DIRECTIONS, None
    patience, limit = PATIENCE[bool(penalties.any())], RUNAWAY * form.diagonal().max()
    while True:
        done, worst = sweep(max(1, min(patience, max_iter - total)))
        total += done
        lost = not np.isfinite(pairs.diagonal).all() or pairs.diagonal.max() > limit
        if not worst > tol or total >= max_iter or lost:
            return total
        origin, before = where(pairs), origin
        spent, far = leap(form, pairs, penalties, min(directions, max_iter - total), before)
        total += spent
        directions *= 1 + far


def state(form, pairs, penalties):
    """The objective, and the largest violation of a condition for its minimum, of ``pairs``."""
    if not np.isfinite(pairs.diagonal).all():
        return np.nan, np.inf
    form.refill(pairs)
    slopes, values = form.slopes(pairs), pairs.values
    half = 0.5 * slopes[pairs.p :]
    missed = np.where(
        values == 0, np.abs(half) - penalties, np.abs(half + np.sign(values) * penalties)
    )
    worst = max(np.abs(slopes[: pairs.p]).max(), missed.max(initial=0.0))
    return form.objective(pairs, slopes, penalties), float(worst)


def leap(form, pairs, penalties, limit, origin=None):
    """Move ``pairs`` towards the minimum among those of the same signs, in place.

    Up to ``limit`` directions of conjugate gradients over the diagonal and all pairs that differ
    from zero or have no penalty; before them, on along the way that led here from ``origin``, which
    finds out soon where the loss falls for ever. Pairs that would change their sign become zero.
    Returns the number of directions, and whether no pair was in the way in the end.
    """
    p, n_directions, far = pairs.p, 0, True
    for way in ("on", "down"):
        values, step = pairs.values, None
        signs = np.where(penalties > 0, np.sign(values), 0.0)
        free = np.concatenate([np.ones(p, bool), (values != 0) | (penalties == 0)])
        form.refill(pairs)
        slopes = form.slopes(pairs)
        residual = -slopes
        residual[p:] -= 2.0 * penalties * signs
        residual[~free] = 0.0
        if way == "on" and origin is not None:
            step = _along(form, pairs, residual, np.where(free, where(pairs) - origin, 0.0))
            n_directions += 1
        elif way == "down":
            step, more = _solve(form, pairs, residual, free, limit)
            n_directions += more
        if step is not None and np.isfinite(step).all():
            before = form.objective(pairs, slopes, penalties)
            far = _go(form, pairs, step, signs, penalties, before)
    form.refill(pairs)
    return n_directions, far


def where(pairs):
    """Diagonal and values of pairs in one array, (p + m,)."""
    return np.concatenate([pairs.diagonal, pairs.values])


def _along(form, pairs, residual, direction):
    """The step along a direction to the minimum there."""
    bend, fall = (direction * form.bend(pairs, direction)).sum(), (direction * residual).sum()
    if bend > _FLAT * (form.curvatures(pairs) * direction**2).sum():
        return max(fall, 0.0) / bend * direction
    return _FAR * direction / np.abs(direction).max() if fall > 0 else np.zeros_like(direction)


def _solve(form, pairs, residual, free, limit):
    """Hessian times step = residual, as well as it can be."""
    curvatures = form.curvatures(pairs)
    curvatures[~(curvatures > 0)] = 1.0
    step, direction = np.zeros_like(residual), residual / curvatures
    left = first = (residual * direction).sum()
    for k in range(limit):
        if not left > _SOLVED * first:
            return step, k
        bent = np.where(free, form.bend(pairs, direction), 0.0)
        bend = (direction * bent).sum()
        if not bend > _FLAT * (curvatures * direction**2).sum():
            return step + _FAR * direction / np.abs(direction).max(), k + 1
        step += left / bend * direction
        residual = residual - left / bend * bent
        scaled = residual / curvatures
        left, last = (residual * scaled).sum(), left
        direction = scaled + left / last * direction
    return step, limit


def _go(form, pairs, step, signs, penalties, before):
    """Take a step, or as much of it as no sign is against; whether none was."""
    p, diagonal, values = pairs.p, pairs.diagonal.copy(), pairs.values
    crossing = signs * (values + step[p:]) < 0
    target = np.where(crossing, 0.0, values + step[p:])
    _put(pairs, diagonal + step[:p], target)
    if not crossing.any():
        return True
    form.refill(pairs)
    if form.objective(pairs, form.slopes(pairs), penalties) < before:
        return False
    shares = np.where(crossing, -values / np.where(crossing, step[p:], 1.0), 1.0)
    share, first = shares.min(), shares == shares.min()
    _put(pairs, diagonal + share * step[:p], np.where(first, 0.0, values + share * step[p:]))
    return False


def _put(pairs, diagonal, values):
    pairs.diagonal[:] = diagonal
    pairs.value[pairs.first] = pairs.value[pairs.second] = values
