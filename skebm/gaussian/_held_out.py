"""How well models that were learned from some rows do on others."""

import numpy as np
from scipy import linalg

from skebm._jit import single_threaded_blas


class OnTheReals:
    """Loss and likelihood of rows in the units of those that were learned from.

    What is known of the rows are two sums of products with K, both O(nnz(K)) for each row or
    variable; the likelihood takes a determinant too, p^3 / 3 operations.

    Parameters
    ----------
    scale : ndarray of shape (p,)
        What columns were divided by.
    """

    def __init__(self, scale):
        self._log_scale = float(np.log(scale).sum())

    def loss(self, pairs):
        """1/2 tr(K S K) - tr K of the rows, without penalties."""
        return 0.5 * self._pulls(pairs.tocsr()) - float(pairs.diagonal.sum())

    def log_likelihood(self, pairs):
        """Mean log p(x) of the rows in their own units; -inf unless K is positive definite."""
        with single_threaded_blas:
            L, status = linalg.lapack.dpotrf(pairs.toarray(), lower=1, overwrite_a=1)
        if status or not np.isfinite(L.diagonal()).all():
            return -np.inf
        half = float(np.log(L.diagonal()).sum()) - 0.5 * pairs.p * np.log(2.0 * np.pi)
        return half - 0.5 * self._squares(pairs.tocsr()) - self._log_scale


class OfCovariance(OnTheReals):
    """By a covariance of the rows, S (p, p)."""

    def __init__(self, scale, S):
        super().__init__(scale)
        self.S = S

    def _pulls(self, K):
        return float(K.multiply(K @ self.S).sum())

    def _squares(self, K):
        return float(K.multiply(self.S).sum())


class OfRows(OnTheReals):
    """By the rows themselves, Z (n, p), and their shares (n,)."""

    def __init__(self, scale, Z, shares):
        super().__init__(scale)
        self.Z, self.shares = Z, shares

    def _pulls(self, K):
        return float(self.shares @ ((self.Z @ K) ** 2).sum(axis=1))

    def _squares(self, K):
        return float(self.shares @ ((self.Z @ K) * self.Z).sum(axis=1))


class InsideBounds:
    """The generalised loss of rows Z (n, p) inside bounds, with the location learned elsewhere."""

    def __init__(self, form, support, Z, shares):
        self.form, self.Z, self.shares = form, Z, shares
        self.h, self.slope = support.weights(Z)

    def loss(self, pairs):
        """Mean of sum_j [h z_j^2 / 2 - h' z_j - h K_jj] with z = K x - eta."""
        z = self.Z @ pairs.tocsr() - self.form.linear_term(pairs)
        terms = 0.5 * self.h * z**2 - self.slope * z - self.h * pairs.diagonal
        return float(self.shares @ terms.sum(axis=1))


def paired(Z, weights):
    """Mean products of columns, each of the rows that know both."""
    known = ~np.isnan(Z)
    Z, shares = np.where(known, Z, 0.0), weights[:, None] * known
    counts = shares.T @ known
    if not (counts > 0).all():
        i, j = np.argwhere(counts <= 0)[0]
        raise ValueError(f"no held-out row knows both column {i} and column {j}.")
    return (Z * weights[:, None]).T @ Z / counts
