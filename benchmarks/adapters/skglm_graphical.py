"""skglm's GraphicalLasso, by its dual algorithm (the default), from a given covariance."""

from importlib.metadata import version as installed

from skglm.covariance import GraphicalLasso

LOSS = "likelihood"

# Bounds of the change of the precision and of the columns' own: those to try, falling.
TOLERANCES = tuple(10.0**-k for k in range(1, 9))


def version():
    return f"skglm {installed('skglm')}"


def precision(S, alpha, tol):
    """The precision matrix (p, p) at one penalty."""
    model = GraphicalLasso(alpha, tol=tol, inner_tol=min(tol, 1e-4), max_iter=200)
    return model.fit(S, mode="precomputed").precision_
