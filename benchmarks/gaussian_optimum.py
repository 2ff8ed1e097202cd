"""What two losses have to be compared by: conditions for the minimum, and numbers of edges."""

import numpy as np

# Entries of a precision below this share of its diagonal are no edges.
_ZERO = 1e-8

# Numbers of edges within this share of each other are called equal.
MATCHED = 0.02

_MOST_TRIALS = 25


def n_edges(K):
    """Pairs of a matrix (p, p) that are not zero."""
    root = np.sqrt(K.diagonal())
    return int(np.count_nonzero(np.triu(np.abs(K) > _ZERO * np.outer(root, root), 1)))


def violation(S, K, alpha, loss):
    """The largest amount by which ``K`` misses a condition for the minimum of a penalised loss.

    ``loss`` is "score matching", 1/2 tr(K S K) - tr K, or "likelihood", tr(S K) - log det K; the
    penalty is ``alpha`` on each entry off the diagonal.
    """
    if loss == "score matching":
        slopes = K @ S
        slopes = (slopes + slopes.T) / 2.0
        slopes[np.diag_indices_from(K)] -= 1.0
    else:
        inverse = np.linalg.inv(K)
        slopes = S - (inverse + inverse.T) / 2.0
    limits = np.where(np.eye(len(K), dtype=bool), 0.0, alpha)
    free = np.abs(slopes + np.sign(K) * limits)
    return float(np.where(K != 0, free, np.abs(slopes) - limits).max())


def start_of(S, edges):
    """The penalty that as many covariances exceed: near it there are so many edges."""
    size = np.abs(S[np.triu_indices(len(S), 1)])
    return float(np.partition(size, len(size) - edges - 1)[len(size) - edges - 1])


def penalty_of(count, edges, start):
    """A penalty with ``edges`` edges up to 2 %, as ``count(alpha)`` tells them; the best of some.

    Steps from ``start`` grow until both sides are known; then the interval is halved.
    """
    alpha, step, low, high, best = start, 1.05, None, None, (np.inf, start)
    for _ in range(_MOST_TRIALS):
        found = count(alpha)
        best = min(best, (abs(found - edges), alpha))
        if best[0] <= max(MATCHED * edges, 0.5) / 2.0:
            break
        low, high = (alpha, high) if found > edges else (low, alpha)
        if low is None or high is None:
            alpha, step = (alpha * step if high is None else alpha / step), step**1.5
        else:
            alpha = np.sqrt(low * high)
    return float(best[1])
