"""The penalty at which graphs of subsamples agree (StARS).

References
----------
H. Liu, K. Roeder, L. Wasserman (2010). Stability approach to regularization selection (StARS) for
high dimensional graphical models. Advances in Neural Information Processing Systems 23.
"""

import numpy as np

from skebm._rng import draw_entropy, host_generator
from skebm.gaussian._fit import with_weight
from skebm.gaussian._learning import keys_of
from skebm.gaussian._selection import Selected, learned_from

_SUBSAMPLES = 27  # purpose of random numbers

# Instability of graphs that disagree as much as can be.
_WORST = 0.5


class EdgeCounts:
    """How many graphs have which edges: sorted keys i p + j of pairs, and a count of each."""

    def __init__(self):
        self.n_graphs, self.keys, self.counts = 0, np.zeros(0, np.int64), np.zeros(0, np.int64)

    def add(self, keys):
        """Take another graph in."""
        self.n_graphs += 1
        together = np.concatenate([self.keys, keys])
        counts = np.concatenate([self.counts, np.ones(len(keys), np.int64)])
        self.keys, place = np.unique(together, return_inverse=True)
        self.counts = np.bincount(place, counts, len(self.keys)).astype(np.int64)

    def instability(self, p):
        """Mean over all pairs of 2 t (1 - t), t the share of graphs that have the edge."""
        share = self.counts / max(self.n_graphs, 1)
        return float(2.0 * (share * (1.0 - share)).sum()) / max(p * (p - 1) / 2.0, 1.0)

    def frequencies(self, p):
        """Shares of graphs, (p, p), symmetric."""
        out = np.zeros((p, p))
        i, j = np.divmod(self.keys, p)
        out[i, j] = out[j, i] = self.counts / max(self.n_graphs, 1)
        return out


def subsample_size(n):
    """Rows of a subsample of n."""
    return max(1, int(min(10.0 * np.sqrt(n), 0.8 * n)))


def by_stability(estimator, data, X, weights, path, troubles):
    """The smallest alpha down to which graphs of subsamples agree well enough."""
    X, weights = with_weight(X, weights)
    entropy, p = draw_entropy(estimator.random_state), len(data.scale)
    counts = [EdgeCounts() for _ in path.alphas]
    for k in range(estimator.n_subsamples):
        order = host_generator(entropy, _SUBSAMPLES, k).permutation(len(X))
        rows = np.sort(order[: subsample_size(len(X))])
        learned, solutions = learned_from(
            estimator, X[rows], weights[rows], path.alphas, f"subsample {k}", troubles
        )
        for count, solution in zip(counts, solutions):
            count.add(keys_of(learned, solution.pairs))
    return _selected(estimator, counts, p)


def _selected(estimator, counts, p):
    # Penalties that leave some subsample without a model are not to be selected.
    full = [each.n_graphs == estimator.n_subsamples for each in counts]
    instability = np.array([c.instability(p) if f else _WORST for c, f in zip(counts, full)])
    total = np.maximum.accumulate(instability)
    stable = np.flatnonzero(total <= estimator.stability_threshold)
    results = {"instability": instability, "total_instability": total}
    place, remark = (int(stable[-1]), "") if len(stable) else (0, (
        f"no alpha has an instability of at most stability_threshold="
        f"{estimator.stability_threshold:g}, so that the largest one was taken. Raise alphas."
    ))  # fmt: skip
    return Selected(place, results, counts[place].frequencies(p), remark)
