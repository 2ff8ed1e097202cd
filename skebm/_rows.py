"""Checked training and test rows, as small as they can be kept."""

import numpy as np
import scipy.sparse as sp

from skebm._bits import WORD, Packed, n_words, pack, pack_ones, sum_columns, unpack
from skebm._jit import CHUNK

# Share of distinct rows beyond which putting equal ones together is not worth it.
_MOSTLY_DISTINCT = 0.9

# Rows worked on together at the most, and the memory that they may take.
_ROWS, _BYTES = 4096, 4_000_000


class Rows:
    """Rows that are handed out a few at a time.

    Binary rows are kept as packed words, or as CSR where they came sparse; mean-field rows, and
    those with NaN, as they came.

    Parameters
    ----------
    data : ndarray or CSR array
        Words (n, words) uint32 of binary rows; CSR whose entries are ones; else (n, n_features).
    n_features : int, default=None
        Number of columns; None means as many as ``data`` has.
    """

    def __init__(self, data, n_features=None):
        self._data = data
        self.n_features = data.shape[1] if n_features is None else n_features

    @classmethod
    def binary(cls, X, threshold):
        """Rows of ones where X, dense or CSR, is above ``threshold``."""
        if sp.issparse(X):
            ones = X.data > threshold
            parts = ones, X.indices, X.indptr
            # What is taken out is taken out of a copy, never of the arrays of the caller.
            X = sp.csr_array(parts, shape=X.shape, dtype=np.uint8, copy=not ones.all())
            if not ones.all():
                X.eliminate_zeros()
            return cls(X)
        bits = np.empty((len(X), n_words(X.shape[1])), np.uint32).view(Packed)
        for part in _parts(len(X), X.shape[1]):
            bits[part] = pack(X[part] > threshold)
        return cls(bits, X.shape[1])

    def __len__(self):
        return self._data.shape[0]

    @property
    def is_binary(self):
        return self._data.dtype.kind == "u"

    def keep(self, chosen):
        """The rows where ``chosen``, a mask, is true."""
        return Rows(self._data[chosen], self.n_features)

    def take(self, rows, dtype):
        """The rows at a slice or index array: :class:`Packed`, or dense if not binary."""
        if not self.is_binary:
            taken = self._data[rows]
            taken = taken.toarray() if sp.issparse(taken) else taken
            return np.ascontiguousarray(taken, dtype=dtype)
        if not sp.issparse(self._data):
            return self._data[rows]
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        bits = np.zeros((len(rows), n_words(self.n_features)), np.uint32).view(Packed)
        pack_ones(self._data.indptr, self._data.indices, rows, bits, parallel=False)
        return bits

    def dense(self, rows, dtype):
        """The rows at a slice or index array, C-contiguous in ``dtype``."""
        taken = self.take(rows, dtype)
        return unpack(taken, self.n_features, dtype) if self.is_binary else taken

    def blocks(self, dtype, n_rows=_ROWS):
        """Pairs (slice, those rows as :meth:`take` gives them) that cover everything in order."""
        for part in _parts(len(self), self.n_features, n_rows):
            yield part, self.take(part, dtype)

    def distinct(self, weights):
        """Distinct rows and their summed weights; these very rows if few are equal.

        They come in an order that has nothing to do with theirs.
        """
        words = self._words()
        hashes = _hashes(words)
        order = np.argsort(hashes, kind="stable")
        words, hashes = words[order], hashes[order]
        new = np.ones(len(order), bool)
        new[1:] = (hashes[1:] != hashes[:-1]) | (words[1:] != words[:-1]).any(axis=1)
        first = np.flatnonzero(new)
        if len(first) > _MOSTLY_DISTINCT * len(order):
            return self, weights
        return Rows(self._data[order[first]], self.n_features), np.add.reduceat(
            weights[order], first
        )

    def spins(self):
        """All rows as -1 and 1, and 0 for NaN, (n, n_features) int8."""
        if self.is_binary:
            spins = self.dense(slice(0, len(self)), np.int8)
            return np.subtract(spins << 1, 1, out=spins)
        return np.where(np.isnan(self._data), 0, np.sign(self._data - 0.5)).astype(np.int8)

    def _words(self):
        """All rows as words of 64 bits: binary ones packed, others a byte for each value."""
        if self.is_binary:
            packed = np.asarray(self.take(slice(0, len(self)), np.uint8))
        else:
            codes = self.spins().view(np.uint8)
            padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 4)))
            packed = np.ascontiguousarray(padded).view(np.uint32)
        return np.pad(packed, ((0, 0), (0, packed.shape[1] % 2))).view(np.uint64)

    def column_means(self, weights):
        """Weighted means of the columns, (n_features,) float64."""
        total = np.zeros(WORD * n_words(self.n_features))
        for part, rows in self.blocks(np.float64):
            if self.is_binary:
                sum_columns(rows, weights[part], total, parallel=False)
            else:  # BLAS would sum in an order that depends on its threads
                total[: self.n_features] += (weights[part][:, None] * rows).sum(axis=0)
        return total[: self.n_features] / weights.sum()


def _hashes(words):
    """One number for each row of words, (n,) uint64."""
    hashes = np.zeros(len(words), np.uint64)
    for column in words.T:
        hashes ^= column
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _parts(n, n_features, n_rows=_ROWS):
    """Slices of at most ``n_rows`` that would not take much memory when dense in float32."""
    fitting = CHUNK * max(1, _BYTES // (4 * CHUNK * max(1, n_features)))
    step = max(1, min(n_rows, fitting))
    return [slice(low, min(n, low + step)) for low in range(0, n, step)]
