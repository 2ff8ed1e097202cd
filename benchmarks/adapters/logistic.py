"""scikit-learn's LogisticRegression, one for every spin given all others.

The solver is the last word of the library's name. Warm starts along the penalties where the solver
has them, liblinear has none; liblinear penalises the intercept too, which a large
``intercept_scaling`` makes negligible.
"""

import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

_MOST_STEPS = 20_000


def version():
    return f"scikit-learn {sklearn.__version__}"


def tolerances(library):
    """Those to try, falling. liblinear goes on for hours below the last of its own."""
    return tuple(10.0**-k for k in range(2, 6 if library.endswith("liblinear") else 10))


def node_path(library, S, i, alphas, l1_ratio, tol):
    """(k, p + 1) coefficients and intercepts of the conditional of spin i, halved: J and h.

    ``alphas`` are skebm's; C is 4 / (n alpha) with ridge and 2 / (n alpha) with L1.
    """
    X, y = np.delete(S, i, axis=1), S[:, i]
    solver = library.split()[-1]
    model = LogisticRegression(
        l1_ratio=l1_ratio, solver=solver, tol=tol, max_iter=_MOST_STEPS, random_state=0,
        warm_start=solver != "liblinear",
        intercept_scaling=1e5 if solver == "liblinear" else 1.0,
    )  # fmt: skip
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the gap of the objective is measured
        for alpha in alphas:
            model.set_params(C=(2.0 if l1_ratio else 4.0) / (len(S) * alpha)).fit(X, y)
            found.append(np.append(np.insert(model.coef_[0], i, 0.0), model.intercept_) / 2.0)
    return np.array(found)
