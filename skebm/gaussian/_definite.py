"""What is done where a learned precision matrix has no density."""

from skebm.energies._gaussian_support import require_density
from skebm.gaussian._learning import learn

# How the ridge grows until there is a density, where it begins, and where it has not helped.
_GROWTH, _FIRST, _LAST = 2.0, 1e-3, 1e3

# Least eigenvalue of a matrix made definite, as a share of the mean of its diagonal.
_FLOOR = 1e-3

_REMEDY = "Raise alpha or ridge, or set ensure_pd to 'ridge' or, on the reals, 'project'."
_HOPELESS = f"There is no ridge up to {_LAST:,.0f} that would help."


def made_definite(estimator, data, solution, alpha):
    """The solution, its ridge, and a complaint (or nothing), by the estimator's ``ensure_pd``.

    Inside bounds a density may do without a positive definite matrix.
    """
    ridge = estimator.ridge
    if solution.diverged or not (complaint := _complaint(data, solution)):
        return solution, ridge, ""
    if estimator.ensure_pd == "project":
        return _projected(estimator, data, solution, alpha), ridge, ""
    if estimator.ensure_pd == "warn":
        return solution, ridge, f"{complaint} {_REMEDY}"
    raised, more = _with_more_ridge(estimator, data, solution, alpha)
    if raised is None:
        return solution, ridge, f"{complaint} {_HOPELESS}"
    return raised, more, ""


def _complaint(data, solution):
    """What is wrong with a model in scaled units, if anything."""
    try:
        require_density(solution.pairs.tocsr(), *data.bounds)
    except ValueError as error:
        return f"in scaled columns {error} It cannot be scored or drawn from."
    return ""


def _with_more_ridge(estimator, data, solution, alpha):
    """A solution that has a density, and its ridge; None if none is found."""
    ridge = max(_GROWTH * estimator.ridge, _FIRST)
    while ridge <= max(_LAST, _GROWTH * estimator.ridge):
        solution = learn(
            data, alpha, ridge, start=solution.pairs, tol=estimator.tol,
            max_iter=estimator.max_iter,
        )  # fmt: skip
        if solution.diverged or (solution.pairs.diagonal <= 0).all():
            break
        if not _complaint(data, solution):
            return solution, ridge
        ridge *= _GROWTH
    return None, estimator.ridge


def _projected(estimator, data, solution, alpha):
    """The minimum among matrices whose eigenvalues are not too small."""
    K = solution.pairs.toarray()
    floor = _FLOOR * float(K.diagonal().mean())
    found = data.definite(
        alpha, estimator.ridge, K, floor=floor, tol=min(estimator.tol, 1e-2 * floor),
        max_iter=estimator.max_iter,
    )  # fmt: skip
    return found._replace(n_iter=solution.n_iter + found.n_iter)
