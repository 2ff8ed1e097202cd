"""Densities without a loop, to compare others with: independent columns and Chow-Liu trees.

References
----------
C. K. Chow, C. N. Liu (1968). Approximating discrete probability distributions with dependence
trees. IEEE Transactions on Information Theory 14.
"""

import numpy as np

from benchmarks.scoring import marginals


class Independent:
    """Every column by itself, each value seen once more than it was."""

    def __init__(self, X):
        self.ones = marginals(X)

    def log_density(self, X):
        """Log-probability of each row in nats."""
        X = np.asarray(X, dtype=np.float64)
        return X @ np.log(self.ones) + (1.0 - X) @ np.log1p(-self.ones)


class ChowLiu:
    """The tree of pairs that says most about the data, P(x) = P(x_r) prod_i P(x_i | x_parent(i)).

    Every table of two columns has each of its four cells seen once more than it was, and all
    probabilities are taken from these tables: the tree is a maximum spanning tree of their mutual
    information.
    """

    def __init__(self, X):
        tables = pair_tables(X)
        self.root = Independent(np.asarray(X)[:, :1])
        self.pairs = spanning_tree(mutual_information(tables))
        self.given = [conditional(tables[:, :, parent, child]) for parent, child in self.pairs]

    def log_density(self, X):
        """Log-probability of each row in nats."""
        X = np.asarray(X).astype(np.intp)
        total = self.root.log_density(X[:, :1])
        for (parent, child), table in zip(self.pairs, self.given):
            total += np.log(table[X[:, parent], X[:, child]])
        return total


def pair_tables(X):
    """P(x_i = a, x_j = b), (2, 2, p, p) at [a, b, i, j], every cell with one row more."""
    values = [1.0 - np.asarray(X, dtype=np.float64), np.asarray(X, dtype=np.float64)]
    counts = np.array([[first.T @ second for second in values] for first in values])
    return (counts + 1.0) / (len(X) + 4.0)


def mutual_information(tables):
    """Of each pair in nats, (p, p)."""
    first, second = tables.sum(axis=1, keepdims=True), tables.sum(axis=0, keepdims=True)
    return (tables * np.log(tables / (first * second))).sum(axis=(0, 1))


def spanning_tree(weights):
    """[(parent, child)] of the tree of largest weight, from node 0 outwards (Prim's algorithm)."""
    parent = np.zeros(len(weights), dtype=np.intp)
    gain, pairs = weights[0].astype(np.float64), []
    outside = np.arange(len(weights)) > 0
    while outside.any():
        child = int(np.argmax(np.where(outside, gain, -np.inf)))
        pairs.append((int(parent[child]), child))
        outside[child] = False
        nearer = weights[child] > gain
        parent[nearer & outside], gain[nearer] = child, weights[child][nearer]
    return pairs


def conditional(table):
    """P(b | a) at [a, b] of a joint table."""
    return table / table.sum(axis=1, keepdims=True)
