"""Symmetric matrices while they are learned: a diagonal, and values at few pairs i < j."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class Pairs:
    """A symmetric matrix with a full diagonal whose other entries are zero but for some pairs.

    Values are kept in the lists of both ends of a pair: those of row i are
    ``value[start[i] : start[i + 1]]``, its neighbours ``other`` of the same places, ascending.
    Pair e is at the places ``first[e]`` (in the list of its smaller end) and ``second[e]``.

    Parameters
    ----------
    diagonal : ndarray of shape (p,), float64
        Entries of the diagonal; changed in place by those who learn.
    rows, columns : ndarray of shape (m,)
        The pairs, each with ``rows < columns``, ordered by rows, then by columns.
    values : ndarray of shape (m,)
        Their entries.
    """

    def __init__(self, diagonal, rows, columns, values):
        self.diagonal = np.array(diagonal, dtype=np.float64)
        self.rows = np.asarray(rows, dtype=np.int64)
        self.columns = np.asarray(columns, dtype=np.int64)
        p, m = len(self.diagonal), len(self.rows)
        below, above = (np.bincount(ends, minlength=p) for ends in (self.columns, self.rows))
        self.start = np.concatenate([[0], np.cumsum(below + above)])
        # In the list of a row stand first the pairs that it ends, then those that it begins.
        by_column = np.argsort(self.columns, kind="stable")
        self.second = np.empty(m, np.int64)
        self.second[by_column] = self.start[self.columns[by_column]] + _ranks(below)
        self.first = self.start[self.rows] + below[self.rows] + _ranks(above)
        self.other, self.value = np.empty(2 * m, np.int64), np.empty(2 * m)
        self.other[self.first], self.other[self.second] = self.columns, self.rows
        self.value[self.first] = self.value[self.second] = values

    @classmethod
    def of_diagonal(cls, diagonal):
        """No pairs at all."""
        return cls(diagonal, *np.zeros((3, 0), np.int64))

    @classmethod
    def of_matrix(cls, K):
        """The nonzero entries of a dense or sparse symmetric matrix."""
        upper = sp.triu(sp.csr_array(K), 1, format="csr")
        upper.sort_indices()
        upper.eliminate_zeros()
        rows = np.repeat(np.arange(K.shape[0]), np.diff(upper.indptr))
        return cls(K.diagonal(), rows, upper.indices, upper.data)

    @property
    def p(self):
        """Rows of the matrix."""
        return len(self.diagonal)

    def __len__(self):
        return len(self.rows)

    @property
    def values(self):
        """Entries of the pairs, (m,)."""
        return self.value[self.first]

    @property
    def keys(self):
        """Numbers that are ordered as the pairs are, (m,)."""
        return self.rows * self.p + self.columns

    def widened(self, keys):
        """The same matrix with further pairs, of value zero; ``keys`` sorted."""
        own = self.keys
        new = np.setdiff1d(keys, own, assume_unique=True)
        if not len(new):
            return self
        together = np.concatenate([own, new])
        order = np.argsort(together, kind="stable")
        values = np.concatenate([self.values, np.zeros(len(new))])[order]
        return Pairs(self.diagonal, *np.divmod(together[order], self.p), values)

    def narrowed(self):
        """The same matrix without pairs of value zero."""
        values = self.values
        kept = values != 0
        if kept.all():
            return self
        return Pairs(self.diagonal, self.rows[kept], self.columns[kept], values[kept])

    def copy(self):
        """A copy whose values can be changed."""
        return Pairs(self.diagonal, self.rows, self.columns, self.values)

    def tocsr(self):
        """The matrix as a SciPy ``csr_array`` (p, p) without stored zeros."""
        kept = self.narrowed()
        rows = np.concatenate([np.arange(kept.p), kept.rows, kept.columns])
        columns = np.concatenate([np.arange(kept.p), kept.columns, kept.rows])
        values = np.concatenate([kept.diagonal, kept.values, kept.values])
        K = sp.csr_array((values, (rows, columns)), shape=(kept.p, kept.p))
        K.sort_indices()
        return K

    def toarray(self):
        """The matrix as an ndarray (p, p)."""
        K = np.zeros((self.p, self.p))
        K[self.rows, self.columns] = K[self.columns, self.rows] = self.values
        np.fill_diagonal(K, self.diagonal)
        return K


class Solution(NamedTuple):
    """A precision matrix as :class:`Pairs`, and how it was reached.

    ``objective`` includes the penalty; ``kkt`` is the largest violation of a condition for the
    minimum; ``n_iter`` counts sweeps. ``diverged`` says that the loss has no minimum.
    """

    pairs: Pairs
    objective: float
    kkt: float
    n_iter: int
    diverged: bool = False


def _ranks(counts):
    """0, 1, ... for each of the counts, one after the other."""
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.arange(counts.sum()) - np.repeat(before, counts)
