"""Gaussian data with known graphs: random graphs of any size, and three published designs."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse.linalg import eigsh

# Least partial correlation and condition number that the random graphs are calibrated to.
SIGNAL, CONDITION = 0.2, 10.0

# Variables of a graph that draws of many variables are put together from.
LARGEST_GRAPH = 500


class Design(NamedTuple):
    """A precision matrix K (p, p) whose inverse is a correlation matrix; rows are drawn with it."""

    K: np.ndarray

    @property
    def edges(self):
        """(p, p) True above the diagonal where K is not zero."""
        return np.triu(self.K != 0, 1)

    def draw(self, n, generator):
        """(n, p) independent draws: Z solved by the Cholesky factor of K."""
        Z = generator.normal(size=(len(self.K), n))
        return np.ascontiguousarray(solve_triangular(cholesky(self.K), Z).T)


def correlation(X):
    """Correlations (p, p) of the columns of ``X``, 1 / n."""
    X = X - X.mean(axis=0)
    X /= np.sqrt((X**2).mean(axis=0))
    R = X.T @ X
    R /= len(X)
    np.fill_diagonal(R, 1.0)
    return R


def graph_draws(n, p, degree=5, seed=0):
    """(n, p) draws of random graphs of at most 500 variables each, independent of each other.

    Neither the precision nor its Cholesky factor is ever larger than that. All have the same graph.
    """
    generator = np.random.default_rng(seed)
    size = min(p, LARGEST_GRAPH)
    design, X = random_graph(size, degree, generator), np.empty((n, p))
    for low in range(0, p, size):
        X[:, low : low + size] = design.draw(n, generator)[:, : p - low]
    return X


# -- published designs -----------------------------------------------------------------------


def random_graph(p, degree, generator):
    """A random recursive tree with random edges added, up to a mean degree; K calibrated.

    Edges have random signs and sizes in [w, 1], w the one of 0.05, 0.1, ..., 1 that brings the
    least partial correlation next to 0.2 with a condition number of 10.
    """
    edges, order = np.zeros((p, p), bool), generator.permutation(p)
    for position in range(1, p):
        edges[order[position], order[generator.integers(position)]] = True
    edges = np.triu(edges | edges.T, 1)
    free = ~edges & np.triu(np.ones((p, p), bool), 1)
    share = (round(p * degree / 2) - (p - 1)) / max(1, free.sum())
    rows, columns = np.nonzero(edges | free & (generator.random((p, p)) < share))
    signs, sizes = generator.choice([-1.0, 1.0], len(rows)), generator.random(len(rows))
    tried = [
        _calibrated(p, rows, columns, signs * (low + (1.0 - low) * sizes))
        for low in np.linspace(0.05, 1.0, 20)
    ]
    return Design(_unit_variances(min(tried, key=lambda each: each[0])[1].toarray()))


def _calibrated(p, rows, columns, values):
    """How far the least partial correlation is from 0.2, and the sparse precision."""
    K = sp.csr_array((values, (rows, columns)), shape=(p, p))
    K = K + K.T
    first = np.random.default_rng(0).random(p)  # so that a graph is always the same to the bit
    ends = eigsh(K, k=2, which="BE", return_eigenvectors=False, tol=1e-8, v0=first)
    least, largest = np.sort(ends)
    diagonal = (largest - CONDITION * least) / (CONDITION - 1.0)
    return abs(np.abs(values).min() / diagonal - SIGNAL), K + diagonal * sp.eye_array(p)


def hub_lattices(components, generator, side=10, hubs=3, degree=20):
    """Separate lattices of ``side`` × ``side`` with three hubs each that have twenty neighbours.

    The design of Lin, Drton and Shojaie (2016): weights in [0.5, 1], rows divided by 1.5 times
    their sums, made symmetric by averaging.
    """
    size = side**2
    edges = np.zeros((components * size,) * 2, bool)
    places = np.arange(size).reshape(side, side)
    for low in range(0, components * size, size):
        for a, b in ((places[:, :-1], places[:, 1:]), (places[:-1], places[1:])):
            edges[low + a.ravel(), low + b.ravel()] = edges[low + b.ravel(), low + a.ravel()] = True
        chosen = low + generator.choice(size, hubs, replace=False)
        for hub in chosen:
            free = np.setdiff1d(low + np.flatnonzero(~edges[hub, low : low + size]), chosen)
            more = generator.choice(free, degree - edges[hub].sum(), replace=False)
            edges[hub, more] = edges[more, hub] = True
    weights = np.where(edges, generator.uniform(0.5, 1.0, edges.shape), 0.0)
    weights /= 1.5 * weights.sum(axis=1, keepdims=True)
    return Design(_unit_variances((weights + weights.T) / 2.0 + np.eye(len(edges))))


def dense_blocks(p, share, generator, size=10):
    """Blocks of ten variables, ``share`` of their pairs at U(0.5, 1), least eigenvalue 0.1.

    The design of Yu, Drton and Shojaie (2019) for data that are not negative. K is as it is, its
    inverse no correlation matrix.
    """
    K = np.zeros((p, p))
    for low in range(0, p, size):
        block = generator.uniform(0.5, 1.0, (size, size)) * (generator.random((size, size)) < share)
        K[low : low + size, low : low + size] = np.triu(block, 1)
    K += K.T
    return Design(K + (0.1 - np.linalg.eigvalsh(K)[0]) * np.eye(p))


def _unit_variances(K):
    deviation = np.sqrt(np.linalg.inv(K).diagonal())
    return K * np.outer(deviation, deviation)
