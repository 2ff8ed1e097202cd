"""Spins to learn Ising models from: draws of a sparse random graph, or a data set as -1 and 1."""

import math

import numpy as np

from benchmarks.data import load
from skebm._lattices import lattice_edges
from skebm._rng import derive_key  # purposes of random numbers are those of skebm
from skebm.energies import Ising

COUPLING = 0.3
_SWEEPS = 100


def spins(row, folder):
    """(n_rows, n_spins) float64 of -1 and 1: the data set of a row without its constant columns,
    or else draws."""
    if "data" not in row:
        return draws(row["n_rows"], row["n_spins"])
    X = load(row["data"], folder).train[: row.get("n_rows")]
    X = X[:, X.min(axis=0) < X.max(axis=0)]
    return 2.0 * X.astype(np.float64) - 1.0


def draws(n_rows, n_spins):
    """Independent chains of Gibbs sampling on a sparse graph, after 100 sweeps from fair coins.

    Far above the temperature at which such a graph turns into a glass, where 3 tanh(J)^2 = 1: here
    it is 0.25, so that correlations between sweeps die out within a few of them.
    """
    model = Ising(sparse_coupling(n_spins), np.zeros(n_spins))
    X = np.where(np.random.default_rng(1).random((n_rows, n_spins)) < 0.5, -1.0, 1.0)
    model.sweep(X, 1.0, None, derive_key((0,), 1), n_sweeps=_SWEEPS)
    return X


def sparse_coupling(n_spins):
    """Two random rings through all spins, of degree four at most: couplings 0.3 of random sign."""
    generator, J = np.random.default_rng(0), np.zeros((n_spins, n_spins))
    for _ in range(2):
        ring = generator.permutation(n_spins)
        J[ring, np.roll(ring, 1)] = generator.choice([-COUPLING, COUPLING], n_spins)
    J = np.where(J == 0, J.T, J)
    return np.triu(J, 1) + np.triu(J, 1).T


def dense_model(n_spins, dtype=np.float64):
    """All pairs coupled, normal with deviation 0.3 / sqrt(n_spins); normal fields of 0.1."""
    generator = np.random.default_rng(0)
    J = np.triu(generator.normal(0.0, 0.3 / np.sqrt(n_spins), (n_spins, n_spins)), 1)
    return Ising((J + J.T).astype(dtype), generator.normal(0.0, 0.1, n_spins).astype(dtype))


def torus_model(n_spins, dtype=np.float64):
    """A square torus without fields, couplings 0.3."""
    size = math.isqrt(n_spins)
    J = np.zeros((size**2, size**2), dtype)
    J[tuple(lattice_edges(size, size, True).T)] = COUPLING
    return Ising(np.maximum(J, J.T), np.zeros(size**2, dtype))
