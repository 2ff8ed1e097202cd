"""The energy of a Gaussian model on rows X (n, p), in chunks of ``CHUNK``."""

import numpy as np
from numba import prange

from skebm._jit import CHUNK, kernel
from skebm._numerics import fold_sum


@kernel(writes=("out",))
def gaussian_energy(precision, box, X, out):
    """out (n,) <- y'Ky / 2 with y = x - location, inf outside of the box."""
    n, p = X.shape
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        high = min(n, low + CHUNK)
        y, slope, terms = np.empty((high - low, p)), np.empty((high - low, p)), np.empty(p)
        for r in range(low, high):
            for i in range(p):
                y[r - low, i] = X[r, i] - box.location[i]
        np.dot(y, precision, slope)
        for r in range(low, high):
            within = True
            for i in range(p):
                terms[i] = y[r - low, i] * slope[r - low, i]
                within &= not (X[r, i] < box.low[i] or X[r, i] > box.high[i])
            out[r] = 0.5 * fold_sum(terms, p) if within else np.inf
