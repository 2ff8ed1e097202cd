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
from skebm.gaussian._selection import Selected, some_data, some_solutions

_SUBSAMPLES = 27  # purpose of random numbers

# Penalties of all subsamples that are looked at before it is known whether smaller ones matter.
_AT_ONCE = 4

# Numbers of covariances that are kept between them, half a gigabyte.
_KEPT = 2**26

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
    counts = [EdgeCounts() for _ in path.alphas]
    subsamples = Subsamples(estimator, *with_weight(X, weights))
    for low in range(0, len(counts), _AT_ONCE):
        part = slice(low, low + _AT_ONCE)
        subsamples.count(path.alphas[part], counts[part], troubles)
        instability = _instability(estimator, counts[: part.stop], len(data.scale))
        if instability.max() > estimator.stability_threshold:
            break
    return _selected(estimator, counts, instability, len(data.scale))


class Subsamples:
    """Subsamples of rows, and the solutions at the last penalty that was counted."""

    def __init__(self, estimator, X, weights):
        self.estimator, self.X, self.weights = estimator, X, weights
        self.entropy = draw_entropy(estimator.random_state)
        self.starts, self.known = dict.fromkeys(range(estimator.n_subsamples)), {}

    def count(self, alphas, counts, troubles):
        """Add the graphs at the next ``alphas`` to ``counts``."""
        for k, start in list(self.starts.items()):
            data, where = self._data(k), f"subsample {k}"
            solutions = some_solutions(self.estimator, data, alphas, where, troubles, start)
            for count, solution in zip(counts, solutions):
                count.add(keys_of(data, solution.pairs))
            if len(solutions) == len(alphas):
                self.starts[k] = solutions[-1].pairs
            else:
                del self.starts[k]

    def _data(self, k):
        if k in self.known:
            return self.known[k]
        n = len(self.X)
        order = host_generator(self.entropy, _SUBSAMPLES, k).permutation(n)
        rows = np.sort(order[: subsample_size(n)])
        data = some_data(self.estimator, self.X[rows], self.weights[rows], f"subsample {k}")
        if len(data.scale) ** 2 * self.estimator.n_subsamples <= _KEPT:
            self.known[k] = data
        return data


def _instability(estimator, counts, p):
    # Penalties that leave some subsample without a model are not to be selected.
    full = [each.n_graphs == estimator.n_subsamples for each in counts]
    return np.array([c.instability(p) if f else _WORST for c, f in zip(counts, full)])


def _selected(estimator, counts, instability, p):
    known = np.full(len(counts), np.nan)
    known[: len(instability)] = instability
    total = np.maximum.accumulate(known)
    stable = np.flatnonzero(total <= estimator.stability_threshold)
    place, remark = (int(stable[-1]), "") if len(stable) else (0, (
        f"no alpha has an instability of at most stability_threshold="
        f"{estimator.stability_threshold:g}, so that the largest one was taken. Raise alphas."
    ))  # fmt: skip
    results = {"instability": known, "total_instability": total}
    return Selected(place, results, counts[place].frequencies(p), remark)
