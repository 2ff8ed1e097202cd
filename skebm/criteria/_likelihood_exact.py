"""The exact likelihood of an Ising model as L-BFGS-B takes it: coordinates, value, gradient."""

import numpy as np
from scipy.optimize import minimize

from skebm._jit import single_threaded_blas
from skebm.energies import Ising


def search_exactly(likelihood, J, h, tol, max_iter):
    """Couplings, fields and steps to the minimum of a ``SpinLikelihood`` from a start."""
    search = _ExactSearch(likelihood, J, h)
    bounds = [(None, None)] * search.n_free + [(0.0, None)] * search.n_signed
    options = {
        "maxiter": max_iter,
        "maxfun": 20 * max_iter,
        "ftol": 0.0,
        "gtol": tol,
        "maxcor": 30,
    }
    with single_threaded_blas:
        found = minimize(
            search, search.start(), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
    return *search.at(found.x), int(found.nit)


class _ExactSearch:
    """Coordinates in which the likelihood is nearly round: fields of centred spins, and couplings.

    h = g - J center; both are scaled by standard deviations. With L1 a coupling is the difference
    of two numbers that are not negative, as L-BFGS-B has them.
    """

    def __init__(self, likelihood, J, h):
        self.likelihood, self._h = likelihood, h
        p = len(h)
        allowed = likelihood.allowed
        self._fields = np.flatnonzero(allowed[:, p])
        self._pairs = np.nonzero(np.triu(allowed[:, :p], 1))
        self._center = likelihood.center()
        spread = np.sqrt(np.maximum(1.0 - likelihood.means**2, 1e-6))
        self._scale = np.concatenate(
            [spread[self._fields], spread[self._pairs[0]] * spread[self._pairs[1]]]
        )
        self._split = likelihood.l1 > 0
        n, m = len(self._fields), len(self._pairs[0])
        signed_fields = self._split and likelihood.penalize_field
        self._whole = 0 if signed_fields else n  # coordinates that are not split
        self.n_free = self._whole if self._split else n + m
        self.n_signed = 2 * (n + m - self._whole) if self._split else 0
        self._initial = np.concatenate([(h + J @ self._center)[self._fields], J[self._pairs]])

    def start(self):
        """Coordinates of the start."""
        z = self._initial * self._scale
        if not self._split:
            return z
        rest = z[self._whole :]
        return np.concatenate([z[: self._whole], np.maximum(rest, 0.0), np.maximum(-rest, 0.0)])

    def _joined(self, z):
        if not self._split:
            return z
        plus, minus = np.split(z[self._whole :], 2)
        return np.concatenate([z[: self._whole], plus - minus])

    def at(self, z):
        """Couplings (p, p) and fields (p,)."""
        x = self._joined(z) / self._scale
        n, p = len(self._fields), len(self._h)
        J, h = np.zeros((p, p)), self._h.copy()
        J[self._pairs] = x[n:]
        J += J.T
        h[self._fields] = x[:n] - (J @ self._center)[self._fields]
        return J, h

    def __call__(self, z):
        """Value and gradient at coordinates ``z``."""
        like, n = self.likelihood, len(self._fields)
        J, h = self.at(z)
        energy = Ising(J, h)
        moments = energy.exact_moments()
        model = energy.unflatten(moments.gradient)
        value = moments.log_partition - h @ like.means - 0.5 * (J * like.products).sum()
        by_field = model["field"] - like.means
        by_pair = model["coupling"] - like.products
        if like.penalize_field:
            by_field = by_field + like.ridge * h
        by_pair = by_pair + 2.0 * like.ridge * J
        by_pair -= np.outer(by_field, self._center) + np.outer(self._center, by_field)
        x = np.concatenate([by_field[self._fields], by_pair[self._pairs]]) / self._scale
        value += like.penalty(J, h)
        if not self._split:
            return value, x
        counted = np.concatenate([np.full(n, float(like.penalize_field)), np.full(len(x) - n, 2.0)])
        l1 = (like.l1 * counted / self._scale)[self._whole :]
        rest = x[self._whole :]
        # Where both parts of a coupling are positive the penalty is that of their sum.
        both = np.minimum(*np.split(z[self._whole :], 2))
        value += 2.0 * (l1 * both).sum()
        return value, np.concatenate([x[: self._whole], l1 + rest, l1 - rest])
