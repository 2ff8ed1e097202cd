"""Score matching by plain coordinate descent in Numba, the same-language baseline of ours.

As published codes have it: every pair in turn, both of its products K S recomputed from whole rows
of K and S, and from the start for every penalty. One thread; arithmetic may be reordered, so that
the compiler can use vectors.
"""

import numba
import numpy as np

LOSS = "score matching"

# Bounds of the largest change of an entry in a sweep: those to try, falling.
TOLERANCES = tuple(10.0**-k for k in range(2, 9))


def version():
    return f"plain loops in numba {numba.__version__}"


def precision(S, alpha, tol):
    """The precision matrix (p, p) at one penalty."""
    return _descend(np.ascontiguousarray(S), alpha, tol, 1000)


@numba.njit(fastmath={"reassoc", "contract", "nsz"})
def _descend(S, alpha, tol, max_sweeps):
    p = len(S)
    K = np.zeros((p, p))
    for i in range(p):
        K[i, i] = 1.0 / S[i, i]
    for _ in range(max_sweeps):
        largest = 0.0
        for i in range(p):
            total = 0.0
            for k in range(p):
                total += K[i, k] * S[i, k]
            change = (1.0 - total) / S[i, i]
            K[i, i] += change
            largest = max(largest, abs(change))
            for j in range(i + 1, p):
                total = 0.0
                for k in range(p):
                    total += K[i, k] * S[j, k] + K[j, k] * S[i, k]
                curvature = S[i, i] + S[j, j]
                wanted = curvature * K[i, j] - total
                value = np.sign(wanted) * max(abs(wanted) - 2.0 * alpha, 0.0) / curvature
                largest = max(largest, abs(value - K[i, j]))
                K[i, j] = value
                K[j, i] = value
        if largest <= tol:
            break
    return K
