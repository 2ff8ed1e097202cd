"""skglm's SparseLogisticRegression, one for every spin given all others, warm along penalties."""

import warnings
from importlib.metadata import version as installed

import numpy as np
from skglm import SparseLogisticRegression
from sklearn.exceptions import ConvergenceWarning


def version():
    return f"skglm {installed('skglm')}"


def tolerances(library):
    """Those to try, falling."""
    return tuple(10.0**-k for k in range(2, 10))


def node_path(library, S, i, alphas, l1_ratio, tol):
    """(k, p + 1) coefficients and intercepts of the conditional of spin i, halved: J and h."""
    if l1_ratio != 1.0:
        raise ValueError("SparseLogisticRegression has the L1 penalty only here")
    X, y = np.asfortranarray(np.delete(S, i, axis=1)), S[:, i]
    model = SparseLogisticRegression(tol=tol, warm_start=True)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the gap of the objective is measured
        for alpha in alphas:
            model.set_params(alpha=alpha / 2.0).fit(X, y)
            found.append(np.append(np.insert(model.coef_[0], i, 0.0), model.intercept_) / 2.0)
    return np.array(found)
