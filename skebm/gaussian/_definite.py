"""What is done where a learned precision matrix is not positive definite."""

from skebm.criteria._definite_form import minimise_definite
from skebm.energies._definite import is_positive_definite, least_eigenvalue
from skebm.gaussian._learning import learn

# How the ridge grows until the precision is positive definite, and where it begins.
_GROWTH, _FIRST = 2.0, 1e-3

# Least eigenvalue of a matrix made definite, as a share of the mean of its diagonal.
_FLOOR = 1e-3

_COMPLAINT = (
    "the precision is not positive definite, its least eigenvalue is {:.3g} of scaled columns, so "
    "that it is no distribution: it cannot be scored or drawn from. Raise alpha or ridge, or set "
    "ensure_pd to 'ridge' or 'project'."
)


def made_definite(estimator, data, solution, alpha):
    """The solution, its ridge, and a complaint (or nothing), by the estimator's ``ensure_pd``."""
    ridge = estimator.ridge
    if solution.diverged or is_positive_definite(solution.pairs.toarray()):
        return solution, ridge, ""
    if estimator.ensure_pd == "ridge":
        return *_with_more_ridge(estimator, data, solution, alpha, ridge), ""
    if estimator.ensure_pd == "project":
        return _projected(estimator, data, solution, alpha), ridge, ""
    least = least_eigenvalue(solution.pairs.toarray())
    return solution, ridge, _COMPLAINT.format(least)


def _with_more_ridge(estimator, data, solution, alpha, ridge):
    while not is_positive_definite(solution.pairs.toarray()):
        ridge = max(_GROWTH * ridge, _FIRST)
        solution = learn(
            data, alpha, ridge, start=solution.pairs, tol=estimator.tol,
            max_iter=estimator.max_iter,
        )  # fmt: skip
    return solution, ridge


def _projected(estimator, data, solution, alpha):
    """The minimum among matrices whose eigenvalues are not too small."""
    K = solution.pairs.toarray()
    floor = _FLOOR * float(K.diagonal().mean())
    tol = min(estimator.tol, 1e-2 * floor)
    found = minimise_definite(
        data.form(estimator.ridge),
        alpha,
        K,
        floor=floor,
        tol=tol,
        max_iter=estimator.max_iter,
    )
    return found._replace(n_iter=solution.n_iter + found.n_iter)
