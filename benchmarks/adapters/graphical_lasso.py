"""scikit-learn's graphical_lasso, by coordinate descent, from a given covariance."""

import warnings

import sklearn
from sklearn.covariance import graphical_lasso
from sklearn.exceptions import ConvergenceWarning

LOSS = "likelihood"

# Bounds of the dual gap: those to try, falling. That of a column is a hundredth: where it is larger
# the gap may never close, where it is smaller more is done for each column than is needed.
TOLERANCES = tuple(10.0**-k for k in range(1, 8))


def version():
    return f"scikit-learn {sklearn.__version__}"


def precision(S, alpha, tol):
    """The precision matrix (p, p) at one penalty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its conditions are measured
        return graphical_lasso(S, alpha, mode="cd", tol=tol, enet_tol=tol / 100.0)[1]
