"""Rows of data and of noise in blocks, with what stays fixed while parameters move."""

from typing import NamedTuple

import numpy as np

from skebm.criteria._noise_kernels import ROWS


class Sample(NamedTuple):
    """Blocks of data and of noise after them.

    ``Z`` (blocks, p + 1, ROWS), the last variable being one; ``offsets`` (blocks, ROWS) log p_n +
    log nu; ``weights`` (blocks, ROWS) w / W of data and 1 / N of noise, 0 where a block is filled
    up; ``n_data`` blocks are data. ``total`` is W, ``n_noise`` the number of noise rows and
    ``ratio`` nu. Where
    ``plain``, all rows lose their weight times their margin, and slopes are weighted sums.
    """

    Z: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray
    n_data: int
    total: float
    n_rows: int
    n_noise: int
    ratio: float
    plain: bool = False

    @classmethod
    def of(cls, X, weights, noise, log_noise, ratio):
        """From data (n, p), weights (n,), noise rows (M, p) and log p_n of both, a pair.

        nu is ``ratio``, so that noise rows weigh nu / M each, as data rows together weigh one.
        """
        parts = [in_blocks(np.asarray(rows, dtype=np.float64)) for rows in (X, noise)]
        n_data, shift, total = len(parts[0]), np.log(ratio), float(weights.sum())
        shares = weights / total, np.full(len(noise), ratio / len(noise))
        offsets = [spread(np.asarray(each) + shift) for each in log_noise]
        return cls(
            np.concatenate(parts), np.concatenate(offsets),
            np.concatenate([spread(each) for each in shares]), n_data, total, len(X), len(noise),
            ratio,
        )  # fmt: skip

    @property
    def split(self):
        """Number of blocks of data as kernels take it, negative where losses are plain."""
        return -1 if self.plain else self.n_data

    @property
    def n_blocks(self):
        """Blocks of both kinds."""
        return len(self.offsets)

    def of_data(self, values):
        """The entries of (blocks, ROWS) ``values`` that belong to rows of data, (n,)."""
        return values[: self.n_data].ravel()[: self.n_rows]

    def of_noise(self, values):
        """Those that belong to rows of noise, (M,)."""
        return values[self.n_data :].ravel()[: self.n_noise]

    def thinned(self, step):
        """Every so many blocks, where only products are made."""
        Z, offsets, weights = (each[::step] for each in (self.Z, self.offsets, self.weights))
        return self._replace(Z=np.ascontiguousarray(Z), offsets=offsets, weights=weights)

    def only_data(self):
        """The same where noise has no weight."""
        weights = self.weights.copy()
        weights[self.n_data :] = 0.0
        return self._replace(weights=weights)

    def rows(self, block):
        """Rows of a range of blocks as they came, (blocks * ROWS, p), the filling included."""
        part = self.Z[block, :-1]
        return np.ascontiguousarray(part.transpose(0, 2, 1)).reshape(-1, part.shape[1])


def in_blocks(X):
    """Rows (n, p) as (blocks, p + 1, ROWS), the last variable being one."""
    n, p = X.shape
    n_blocks = -(-n // ROWS)
    blocks = np.zeros((n_blocks, p + 1, ROWS))
    whole = n // ROWS
    blocks[:whole, :p] = X[: whole * ROWS].reshape(whole, ROWS, p).transpose(0, 2, 1)
    blocks[:whole, p] = 1.0
    if whole < n_blocks:
        rest = X[whole * ROWS :]
        blocks[whole, :p, : len(rest)] = rest.T
        blocks[whole, p, : len(rest)] = 1.0
    return blocks


def spread(values, fill=0.0):
    """Values (n,) as (blocks, ROWS)."""
    out = np.full((-(-len(values) // ROWS), ROWS), fill)
    out.ravel()[: len(values)] = values
    return out
