"""Conditionals of Ising models, learned by skebm and by peers, and how far from the optimum.

An optimum is skebm's at a tolerance of 1e-10. The objective is written out here in NumPy and
counts for everybody: for every spin its mean loss and its penalty, all spins added up.
"""

from contextlib import contextmanager

import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from benchmarks.adapters import adapter

TIGHT = 1e-10
LARGEST_GAP = 1e-6
OWN_TOLERANCES = tuple(10.0**-k for k in range(1, 10))

# Spins among which a tolerance is looked for before all of them are fitted.
_SEARCHED = 4


def symmetrize(library):
    return "joint" if library.endswith("joint") else "mean"


def model(library, row, **changed):
    """skebm's estimator for a row; ``n_alphas`` makes it a path with EBIC."""
    from skebm import PseudoLikelihoodIsing

    params = {"alpha": row.get("alpha", "ebic"), "l1_ratio": row["l1_ratio"]}
    params |= {"alphas": row.get("n_alphas", 20), "symmetrize": symmetrize(library)}
    return PseudoLikelihoodIsing(**params | {"max_iter": 100_000} | changed)


def conditionals(fitted):
    """(p, p + 1): the couplings in the conditional of every spin, and its field."""
    return np.column_stack([fitted.nodewise_coupling_, fitted.field_])


def at_each(library, row, S, alphas, tol):
    """(k, p, p + 1) conditionals of skebm, each penalty alone."""
    each = (model(library, row, alpha=float(a), tol=tol).fit(S) for a in alphas)
    return np.array([conditionals(fitted) for fitted in each])


def penalties(row, S):
    """The penalty of a row, or those of its path."""
    if "alpha" in row:
        return np.array([row["alpha"]])
    return model("skebm", row, tol=1e-2).fit(S).alphas_


def objective(S, C, nodes, alphas, l1_ratio):
    """(k,) sum over ``nodes`` of mean loss and penalty, C (k, len(nodes), p + 1)."""
    found = np.zeros(len(alphas))
    for k, alpha in enumerate(alphas):
        J, h = C[k, :, :-1], C[k, :, -1]
        losses = np.logaddexp(0.0, -2.0 * S[:, nodes] * (S @ J.T + h)).mean(axis=0).sum()
        penalty = l1_ratio * np.abs(J).sum() + 0.5 * (1.0 - l1_ratio) * (J**2).sum()
        found[k] = losses + alpha * penalty
    return found


def distance(S, C, optimum, nodes, alphas, l1_ratio):
    """Gap of the objective of all spins, and largest difference of a coupling or field.

    The largest of all penalties; where only some spins were fitted, their gap times all by some.
    """
    best = optimum[:, nodes]
    gaps = objective(S, C, nodes, alphas, l1_ratio) - objective(S, best, nodes, alphas, l1_ratio)
    return gaps.max() * S.shape[1] / len(nodes), np.abs(C - best).max()


def spread(p, n):
    """``n`` of the spins 0 ... p - 1, evenly."""
    return np.unique(np.linspace(0, p - 1, min(n, p)).round().astype(int))


def searched(p):
    return spread(p, _SEARCHED)


@contextmanager
def nodewise(library, S, alphas, l1_ratio):
    """A call (nodes, tol) that fits the conditionals of these spins on two processes.

    Both are there, with the library loaded, before it is called.
    """
    peer = adapter(library)
    with Parallel(n_jobs=2, backend="loky", max_nbytes="1M") as parallel:
        few = S[:200]
        parallel(
            delayed(peer.node_path)(library, few, i % S.shape[1], alphas[:1], l1_ratio, 1e-2)
            for i in range(8)
        )

        def fit(nodes, tol):
            found = parallel(
                delayed(peer.node_path)(library, S, i, alphas, l1_ratio, tol) for i in nodes
            )
            return np.array(found).swapaxes(0, 1)

        yield fit
    get_reusable_executor().shutdown()
