"""Kernels of an Ising model on rows of spins: J (p, p), h (p,), S (n, p) of -1 and 1.

Rows are worked on in chunks of ``CHUNK``; arrays of one kernel share their dtype, sums are float64.
"""

import numpy as np
from numba import prange

from skebm._jit import CHUNK, inline, kernel
from skebm._numerics import PRODUCT, fold_sum, sigmoid, sum_softplus


@inline
def fields_of(J, h, S, out):
    """out (n, p) <- h + S J."""
    np.dot(S, J, out)
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[r, i] += h[i]


@kernel(writes=("out",))
def local_fields(J, h, S, out):
    """out (n, p) <- h + S J, the field on each spin."""
    n = S.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        fields_of(J, h, S[low:high], out[low:high])


@kernel(writes=("out",))
def plus_probability(J, h, S, out):
    """out (n, p) <- sigmoid(2 (h + S J)), P(s_i = 1 | the others)."""
    n, two = S.shape[0], out.dtype.type(2)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        fields_of(J, h, S[low:high], out[low:high])
        for r in range(low, high):
            for i in range(out.shape[1]):
                out[r, i] = sigmoid(two * out[r, i])


@kernel(writes=("out",))
def spin_energy(J, h, S, out):
    """out (n,) <- -(h.s + 1/2 s'Js)."""
    n, p = S.shape
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        x, buffer = np.empty((high - low, p), S.dtype), np.empty(p)
        np.dot(S[low:high], J, x)
        for r in range(low, high):
            for i in range(p):
                half = 0.5 * np.float64(x[r - low, i]) + np.float64(h[i])
                buffer[i] = np.float64(S[r, i]) * half
            out[r] = -fold_sum(buffer, p)


@kernel(writes=("out",))
def spin_log_pseudolikelihood(J, h, S, out):
    """out (n,) <- sum_i log P(s_i | the others) = -sum_i log(1 + e^{-2 t_i}), t = s (h + s J)."""
    n, p = S.shape
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        t, buffer = np.empty((high - low, p), S.dtype), np.empty((2, PRODUCT))
        no_shift, scale = np.zeros(p, S.dtype), S.dtype.type(-2)
        fields_of(J, h, S[low:high], t)
        for r in range(low, high):
            for i in range(p):
                t[r - low, i] *= S[r, i]
            out[r] = -sum_softplus(t[r - low], no_shift, scale, buffer)
