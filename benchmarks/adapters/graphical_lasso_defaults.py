"""scikit-learn's graphical_lasso as it comes: both tolerances are 1e-4."""

import warnings

from sklearn.covariance import graphical_lasso
from sklearn.exceptions import ConvergenceWarning

from benchmarks.adapters.graphical_lasso import LOSS, version

__all__ = ["LOSS", "TOLERANCES", "precision", "version"]

TOLERANCES = (1e-4,)


def precision(S, alpha, tol):
    """The precision matrix (p, p) at one penalty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return graphical_lasso(S, alpha, tol=tol)[1]
