"""Draws of truncated normals by inversion, for kernels, on as many lanes as a vector block has.

A uniform u picks the quantile x of a normal cut to [low, high]. With standardised edges a < b,

    P(x) = (1 - u) P(a) + u P(b),  Q(x) = (1 - u) Q(a) + u Q(b),  P + Q = 1,

both sums of positive terms, so that the smaller one is right to rounding in either tail; its
quantile is that of Wichura (1988). Tails are e^{-z^2/2} R(z) / sqrt(2 pi), where Mills' ratio R
is a polynomial in (z - 4) / (z + 4), R(z) (z + 4) = sum_k c_k s^k, within 4e-16: the Chebyshev
series of a function that is smooth up to z = inf.

Two kinds of intervals are worked on apart, by the distance t from an edge in units of one standard
deviation: those far out in a tail, where t obeys a t + t^2/2 - log(R(a + t) / R(a)) = -log(1 - v)
(by Newton's method), and those so narrow that the density is straight on them.

References
----------
M. J. Wichura (1988). Algorithm AS 241: The percentage points of the normal distribution.
Applied Statistics 37, 477-484.

J. L. Schonfelder (1978). Chebyshev expansions for the error and related functions. Mathematics of
Computation 32, 1232-1240.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import aligned
from skebm._jit import inline, kernel
from skebm._numerics import exp, log_of_normal
from skebm._simd import lanes

# Edges further out than this are far: their tails come near the smallest float64.
_FAR = 30.0

# Width times slope of the log-density, below which an interval is narrow.
_NARROW = 1e-5

_ROOT_2_PI = math.sqrt(2.0 * math.pi)
_DENSITY_AT_0 = 1.0 / _ROOT_2_PI


class Lanes(NamedTuple):
    """Scratch of one draw in L lanes, (L,) float64 each.

    Standardised edges ``a`` and ``b`` and their tails, the smaller probability ``p`` and its
    quantile ``z``; of the normals before truncation the mean ``centre``, the standard deviation
    ``spread`` and ``root``, one over it; ``u`` the uniforms and ``x`` what they pick.
    """

    a: np.ndarray
    b: np.ndarray
    tail_a: np.ndarray
    tail_b: np.ndarray
    p: np.ndarray
    z: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    root: np.ndarray
    u: np.ndarray
    x: np.ndarray


@inline
def lanes_for(like):
    """Scratch for one draw."""
    n = lanes(like)
    rows = aligned(11 * n, like).reshape(11, n)
    return Lanes(
        rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7], rows[8], rows[9],
        rows[10],
    )  # fmt: skip


# -- the normal distribution -------------------------------------------------------------------


@inline
def mills_of(s):
    """R(z) (z + 4) as a polynomial in s = (z - 4) / (z + 4)."""
    p = 2.568755311229722e-06 + s * (6.829633831673466e-07 + s * (
        -4.00493929251171e-07 + s * (-2.1774195022039326e-07 + s * (
            4.473060051450323e-08 + s * (5.3711037651589576e-08 + s * (
                -1.4722998923746307e-09 + s * (-9.35134044482434e-09 + s * (
                    -3.0073979672398766e-10 + s * 8.53083886026053e-10))))))))  # fmt: skip
    p = 0.0003342446162328441 + s * (-0.0005792693046478719 + s * (
        -4.783264259417208e-06 + s * (8.809573121072337e-05 + s * (
            1.7963971214040778e-06 + s * (-1.4843277679080294e-05 + s * (
                -1.5787665654677373e-06 + s * p))))))  # fmt: skip
    return 1.8932190633084853 + s * (-1.5237709108199835 + s * (
        0.9704095548675884 + s * (-0.4675409629983325 + s * (
            0.15139176231244347 + s * (-0.018900450861711257 + s * (
                -0.008722295274260125 + s * (0.004087855681200072 + s * p)))))))  # fmt: skip


@inline
def mills_ratio(z):
    """Q(z) / phi(z) of one z >= 0."""
    return mills_of((z - 4.0) / (z + 4.0)) / (z + 4.0)


@inline
def fill_tails(edge, out):
    """out_r <- the upper tail at |edge_r|, beyond 37 standard deviations some number near it."""
    for r in range(lanes(out)):
        z = min(abs(edge[r]), 40.0)
        scale = 1.0 / (z + 4.0)
        out[r] = exp(-0.5 * z * z) * (scale * _DENSITY_AT_0) * mills_of((z - 4.0) * scale)


@inline
def fill_quantiles(tail, out):
    """out_r >= 0 <- where the upper tail is tail_r, at most a half (AS 241, PPND16)."""
    for r in range(lanes(out)):
        p = tail[r]
        q = 0.5 - p
        central = q <= 0.425
        root = math.sqrt(-log_of_normal(p))
        near = root <= 5.0
        t = 0.180625 - q * q if central else (root - 1.6 if near else root - 5.0)
        above = 3.3871328727963666080e0 + t * (1.3314166789178437745e2 + t * (
            1.9715909503065514427e3 + t * (1.3731693765509461125e4 + t * (
                4.5921953931549871457e4 + t * (6.7265770927008700853e4 + t * (
                    3.3430575583588128105e4 + t * 2.5090809287301226727e3))))))  # fmt: skip
        below = 1.0 + t * (4.2313330701600911252e1 + t * (
            6.8718700749205790830e2 + t * (5.3941960214247511077e3 + t * (
                2.1213794301586595867e4 + t * (3.9307895800092710610e4 + t * (
                    2.8729085735721942674e4 + t * 5.2264952788528545610e3))))))  # fmt: skip
        above_near = 1.42343711074968357734e0 + t * (4.63033784615654529590e0 + t * (
            5.76949722146069140550e0 + t * (3.64784832476320460504e0 + t * (
                1.27045825245236838258e0 + t * (2.41780725177450611770e-1 + t * (
                    2.27238449892691845833e-2 + t * 7.74545014278341407640e-4))))))  # fmt: skip
        below_near = 1.0 + t * (2.05319162663775882187e0 + t * (
            1.67638483018380384940e0 + t * (6.89767334985100004550e-1 + t * (
                1.48103976427480074590e-1 + t * (1.51986665636164571966e-2 + t * (
                    5.47593808499534494600e-4 + t * 1.05075007164441684324e-9))))))  # fmt: skip
        above_far = 6.65790464350110377720e0 + t * (5.46378491116411436990e0 + t * (
            1.78482653991729133580e0 + t * (2.96560571828504891230e-1 + t * (
                2.65321895265761230930e-2 + t * (1.24266094738807843860e-3 + t * (
                    2.71155556874348757815e-5 + t * 2.01033439929228813265e-7))))))  # fmt: skip
        below_far = 1.0 + t * (5.99832206555887937690e-1 + t * (
            1.36929880922735805310e-1 + t * (1.48753612908506148525e-2 + t * (
                7.86869131145613259100e-4 + t * (1.84631831751005468180e-5 + t * (
                    1.42151175831644588870e-7 + t * 2.04426310338993978564e-15))))))  # fmt: skip
        above_out = above_near if near else above_far
        below_out = below_near if near else below_far
        out[r] = (q * above if central else above_out) / (below if central else below_out)


# -- draws -------------------------------------------------------------------------------------


@inline
def draw_normals(draw):
    """x_r <- quantile u_r of a normal that is not truncated."""
    p, z, u, x = draw.p, draw.z, draw.u, draw.x
    centre, spread = draw.centre, draw.spread
    for r in range(lanes(p)):
        p[r] = min(u[r], 1.0 - u[r])
    fill_quantiles(p, z)
    for r in range(lanes(p)):
        x[r] = centre[r] + (spread[r] if u[r] > 0.5 else -spread[r]) * z[r]


@inline
def draw_truncated(low, high, draw):
    """x_r <- quantile u_r of a normal truncated to [low, high], always within."""
    a, b, p, z, x = draw.a, draw.b, draw.p, draw.z, draw.x
    centre, spread, root = draw.centre, draw.spread, draw.root
    fill_edges(low, draw, a, draw.tail_a)
    fill_edges(high, draw, b, draw.tail_b)
    weigh_sides(draw)
    fill_quantiles(p, z)
    n_apart, length = 0, high - low
    for r in range(lanes(p)):
        x[r] = min(max(centre[r] + x[r] * spread[r] * z[r], low), high)
        width = length * root[r]
        apart = (a[r] > _FAR) | (b[r] < -_FAR) | (width * max(1.0, abs(a[r])) < _NARROW)
        n_apart += 1 if apart else 0
    if n_apart:
        draw_apart(low, high, draw)


@inline
def fill_edges(edge, draw, standard, tail):
    """An edge in standard deviations from the centre, and the tail beyond it; both (L,)."""
    centre, root = draw.centre, draw.root
    for r in range(lanes(standard)):
        standard[r] = (edge - centre[r]) * root[r]
    if abs(edge) < np.inf:
        fill_tails(standard, tail)
    else:
        for r in range(lanes(tail)):
            tail[r] = 0.0


@inline
def weigh_sides(draw):
    """p_r <- the smaller of P(x) and Q(x); x_r <- the sign of the quantile, of the smaller Q."""
    a, b, p, x, u = draw.a, draw.b, draw.p, draw.x, draw.u
    tail_a, tail_b = draw.tail_a, draw.tail_b
    for r in range(lanes(p)):
        v, w = 1.0 - u[r], u[r]
        near, far = v * tail_a[r], v * (1.0 - tail_a[r])
        below, above = (near, far) if a[r] < 0.0 else (far, near)
        near, far = w * tail_b[r], w * (1.0 - tail_b[r])
        below += near if b[r] < 0.0 else far
        above += far if b[r] < 0.0 else near
        p[r] = min(below, above)
        x[r] = 1.0 if above < below else -1.0


@inline
def draw_apart(low, high, draw):
    """The draws whose interval is far out or narrow."""
    a, b = draw.a, draw.b
    for r in range(lanes(a)):
        width = (high - low) * draw.root[r]
        if a[r] > _FAR or b[r] < -_FAR or width * max(1.0, abs(a[r])) < _NARROW:
            draw.x[r] = draw_from_edge(a[r], b[r], width, draw.root[r], draw.u[r], low, high)


@inline
def draw_from_edge(a, b, width, root, u, low, high):
    """Quantile u of one normal on an interval that is far out or narrow."""
    if width * max(1.0, abs(a)) < _NARROW:
        x = low + (high - low) * u * (1.0 - 0.5 * a * width * (1.0 - u))
    elif a > 0.0:
        x = low + tail_distance(a, width, u, 1.0 - u) / root
    else:
        x = high - tail_distance(-b, width, 1.0 - u, u) / root
    return min(max(x, low), high)


@inline
def log_tail_drop(a, t):
    """log of Q(a) / Q(a + t), a > 0."""
    return t * (a + 0.5 * t) - math.log(mills_ratio(a + t) / mills_ratio(a))


@inline
def tail_distance(a, width, u, rest):
    """t in [0, width] with Q(a + t) = rest Q(a) + u Q(a + width), u + rest = 1, for a far out."""
    most = log_tail_drop(a, width) if a * width < 800.0 else 800.0
    if u < 0.5:
        drop = -math.log1p(u * math.expm1(-most))
    else:
        drop = -math.log(rest + u * math.exp(-most))
    if a > 1e8:  # exponential to rounding
        return min(drop / a, width)
    slope = a + 1.0 / a
    t = 2.0 * drop / (slope + math.sqrt(slope * slope + 2.0 * drop))
    for _ in range(3):
        t += (drop - log_tail_drop(a, t)) * mills_ratio(a + t)
        t = max(t, 0.0)
    return min(t, width)


@inline
def mean_of_truncated(centre, root, low, high):
    """Mean of one normal truncated to [low, high]."""
    a, b = (low - centre) * root, (high - centre) * root
    if b <= -a:  # the same, mirrored: the edge that is nearer to the centre comes first
        return -mean_beyond(-b, -a, (high - low) * root, -centre, root, -high)
    return mean_beyond(a, b, (high - low) * root, centre, root, low)


@inline
def mean_beyond(a, b, width, centre, root, low):
    """The same where |a| <= |b|, or a < 0 < b."""
    slope = max(1.0, abs(a))
    if width * slope < 1e-3:
        return low + width * (0.5 - a * width / 12.0) / root
    if a > 1000.0:
        rest = width / math.expm1(a * width) if a * width < 700.0 else 0.0
        return low + (1.0 / a - rest) / root
    if a > 0.0:
        left = math.exp(-width * (a + 0.5 * width))  # phi(b) / phi(a)
        beyond = left * mills_ratio(b) if left > 0.0 else 0.0
        return centre + (1.0 - left) / (mills_ratio(a) - beyond) / root
    mass = 0.5 * (math.erf(b / math.sqrt(2.0)) - math.erf(a / math.sqrt(2.0)))
    slopes = math.exp(-0.5 * a * a) - math.exp(-0.5 * b * b)
    return centre + slopes / (_ROOT_2_PI * mass) / root


# -- a table of them ---------------------------------------------------------------------------


@inline
def quantiles_of_tile(uniforms, location, precision, low, high, out):
    """The kernel below, of at most L rows."""
    draw, n = lanes_for(location), out.shape[0]
    for i in range(out.shape[1]):
        for r in range(lanes(location)):
            draw.u[r] = uniforms[r, i] if r < n else 0.5
            draw.centre[r] = location[i]
            draw.root[r] = math.sqrt(precision[i])
            draw.spread[r] = 1.0 / draw.root[r]
        if low[i] == -np.inf and high[i] == np.inf:
            draw_normals(draw)
        else:
            draw_truncated(low[i], high[i], draw)
        for r in range(n):
            out[r, i] = draw.x[r]


@kernel(writes=("out",))
def normal_quantiles(uniforms, location, precision, low, high, out):
    """out (n, p) <- quantiles ``uniforms`` (n, p), in (0, 1), of p truncated normals."""
    n, width = out.shape[0], lanes(location)
    for q in prange((n + width - 1) // width):
        first = np.int64(q) * width
        last = min(n, first + width)
        quantiles_of_tile(
            uniforms[first:last], location, precision, low, high, out[first:last]
        )  # fmt: skip
