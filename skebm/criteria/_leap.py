"""Long steps of a quadratic form with a penalty, where coordinate descent is slow."""

import numpy as np

# Curvature along a direction below this share of that of its coordinates is none at all.
_FLAT = 1e-13

# Squared residual, as a share of the first one, at which conjugate gradients end.
_SOLVED = 1e-18

# How far a direction is followed that only goes down.
_FAR = 1e12


def leap(form, pairs, penalties, limit):
    """Move ``pairs`` towards the minimum among those of the same signs, in place.

    Up to ``limit`` directions of conjugate gradients over the diagonal and all pairs that differ
    from zero or have no penalty. Pairs that would change their sign become zero. Returns the number
    of directions.
    """
    p, values = pairs.p, pairs.values
    signs = np.where(penalties > 0, np.sign(values), 0.0)
    free = np.concatenate([np.ones(p, bool), (values != 0) | (penalties == 0)])
    form.refill(pairs)
    slopes = form.slopes(pairs)
    residual = -slopes
    residual[p:] -= 2.0 * penalties * signs
    step, n_directions = _solve(form, pairs, np.where(free, residual, 0.0), free, limit)
    if np.isfinite(step).all():
        before = form.objective(pairs, slopes, penalties)
        _go(form, pairs, step, signs, penalties, before)
    form.refill(pairs)
    return n_directions


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
    p, diagonal, values = pairs.p, pairs.diagonal.copy(), pairs.values
    crossing = signs * (values + step[p:]) < 0
    target = np.where(crossing, 0.0, values + step[p:])
    _put(pairs, diagonal + step[:p], target)
    if not crossing.any():
        return
    form.refill(pairs)
    if form.objective(pairs, form.slopes(pairs), penalties) < before:
        return
    share = (values[crossing] / -step[p:][crossing]).min()
    first = crossing & (values <= -share * step[p:] * signs * signs) & (signs > 0)
    first |= crossing & (values >= -share * step[p:]) & (signs < 0)
    _put(pairs, diagonal + share * step[:p], np.where(first, 0.0, values + share * step[p:]))


def _put(pairs, diagonal, values):
    pairs.diagonal[:] = diagonal
    pairs.value[pairs.first] = pairs.value[pairs.second] = values
