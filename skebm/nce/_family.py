"""What every built-in energy is: a form for the kernels, a start, and parameters in data units."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator

from skebm._jit import single_threaded_blas
from skebm._validation import check_parameters

REAL, BINARY = "real", "binary"


class Units(NamedTuple):
    """Columns are learned as z = root^-1 ((x - shift) / scale), with (p,) shifts and scales.

    ``root`` (p, p) is lower triangular, or None where columns stay apart.
    """

    shift: np.ndarray
    scale: np.ndarray
    root: object = None

    @classmethod
    def of_data(cls, p):
        """Those of the data themselves."""
        return cls(np.zeros(p), np.ones(p))

    def standardized(self, X):
        """Rows z."""
        Z = (X - self.shift) / self.scale
        if self.root is None:
            return Z
        with single_threaded_blas:
            return linalg.solve_triangular(self.root, Z.T, lower=True, overwrite_b=True).T

    @property
    def matrix(self):
        """B of x = shift + Bz, (p, p)."""
        return np.diag(self.scale) if self.root is None else self.scale[:, None] * self.root

    @property
    def inverse(self):
        """B^-1, (p, p)."""
        if self.root is None:
            return np.diag(1.0 / self.scale)
        with single_threaded_blas:
            inverse = linalg.solve_triangular(self.root, np.eye(len(self.root)), lower=True)
        return inverse / self.scale


class Report(NamedTuple):
    """Parameters and log Z in units of the data, and their Jacobian.

    ``jacobian`` is a function that makes it, (k + 1, k + 1), by theta and c as learned; None leaves
    parameters as they are and turns the sign of c.
    """

    params: np.ndarray
    log_partition: float
    jacobian: object = None


class Family(BaseEstimator, ABC):
    """Base of the energies that come with this estimator.

    ``kind`` is what data they are for, ``standardizes`` says whether columns may be scaled, and
    ``order`` which power of the inverse of a scale is the unit of parameters at the most.
    """

    kind = REAL
    standardizes = False
    order = 1
    _rules = {}  # noqa: RUF012

    def check(self):
        """Raise if a parameter is not what is accepted."""
        check_parameters(self._rules, self.get_params(deep=False), type(self).__name__)

    def bound(self, X):
        """This energy, for data like X."""
        return self

    @abstractmethod
    def form(self, p):
        """The :class:`~skebm.criteria.noise_contrastive.Form` for p columns."""

    @abstractmethod
    def names(self, p):
        """A name for each parameter."""

    @abstractmethod
    def start(self, Z, weights, entropy):
        """Parameters to begin with, for :meth:`rows` Z, and c or None where only noise knows it."""

    def rows(self, X):
        """Rows as the form takes them, of accepted ones."""
        return X

    def bounds(self, p):
        """Edges of the support, (p,) each, or None twice."""
        return None, None

    def penalised(self, p):
        """Which parameters ``l2`` acts on."""
        return np.ones(len(self.names(p)), bool)

    def units(self, mean, scale, fixed, params):
        """The :class:`Units` to learn in, given which parameters stay at what."""
        return Units.of_data(len(mean))

    def whitens(self, fixed, p):
        """Whether columns may be mixed while they are learned, given which parameters stay."""
        return False

    def fixed(self, fixed, p):
        """Which parameters stay as they are learned, of those that do in units of the data."""
        return fixed

    def internal(self, params, units):
        """Parameters as they are learned, of those in units of the data."""
        return params

    def report(self, theta, c, units):
        """The :class:`Report` of parameters as they are learned."""
        return Report(theta, -c)

    def energy(self, params, p):
        """The :class:`~skebm.energies.Energy` with these parameters, or None if there is none."""
        return None

    def doubt(self, params, p):
        """Why there is no density with these parameters, a sentence, or None."""
        return None

    def log_partition(self, params, p):
        """Exact log Z with these parameters, or None if it is not known in closed form."""
        return None

    def draws(self, params, p):
        """A function of (n, entropy) that gives exact draws, or None if there is none."""
        return None


def indexed(name, *indices):
    """'name[0,1]', ... for index arrays."""
    return [
        f"{name}[{','.join(map(str, place))}]" for place in zip(*(np.ravel(i) for i in indices))
    ]
