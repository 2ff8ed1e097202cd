"""Couplings and fields of an Ising model from data, at one penalty or along a path of them."""

from typing import NamedTuple

import numpy as np

from skebm.criteria._penalised import Penalised
from skebm.criteria._smooth import minimise_smooth
from skebm.criteria._sparse import minimise_sparse
from skebm.criteria.spins import LOSSES, ConditionalLoss

# Factors of sqrt(log(p^2 / 0.05) / n), below which structure is found with high probability.
THEORY = {"pseudolikelihood": 0.2, "rise": 0.4, "logrise": 0.8}

# Smallest penalty of a path, as a share of the one that leaves no coupling.
_LOWEST = 0.01

# Share of all coefficients up to which those that may differ from zero count as few.
_FEW = 0.25


class Path(NamedTuple):
    """Solutions at falling ``alphas`` (k,), and ``ebic`` (k, p) of each conditional."""

    alphas: np.ndarray
    solutions: list
    ebic: np.ndarray


def inverse_problem(sample, loss, *, allowed, joint, penalize_field):
    """The :class:`Penalised` loss, by its name, of a sample, still without penalties."""
    return Penalised(ConditionalLoss(sample, LOSSES[loss]), allowed, joint, penalize_field)


def theory_alpha(loss, n_features, n_samples):
    """The penalty that theory asks for (Lokhov et al. 2018), for L1 and nodewise fits."""
    return THEORY[loss] * np.sqrt(np.log(n_features**2 / 0.05) / n_samples)


def minimise(problem, C, tol, max_iter, suspects=None):
    """The :class:`Solution` from a start ``C``, by the method that suits the problem.

    L1 and few neighbours call for working sets. logRISE does too: there each conditional takes
    steps of its own length, which a row that outweighs all others makes necessary.
    """
    few = problem.allowed.mean() < _FEW
    if problem.l1 > 0 or few or problem.loss.loss == LOSSES["logrise"]:
        return minimise_sparse(problem, C, tol, max_iter, suspects)
    return minimise_smooth(problem, C, tol, max_iter)


def alpha_max(problem, l1_ratio):
    """The smallest penalty at which no coupling differs from zero."""
    slopes = problem.at_point(problem.start()).slopes
    return float(np.abs(slopes[:, :-1]).max(initial=0.0)) / l1_ratio


def penalties_of_path(problem, l1_ratio, alphas):
    """``alphas`` in falling order, or so many of them, (k,)."""
    if np.ndim(alphas):
        return np.sort(np.asarray(alphas, dtype=np.float64))[::-1]
    highest = max(alpha_max(problem, l1_ratio), np.finfo(float).tiny)
    return highest * _LOWEST ** np.linspace(0.0, 1.0, alphas)


def follow_path(problem, alphas, l1_ratio, tol, max_iter, gamma):
    """The :class:`Path` of solutions, each from the last one.

    The coefficients that may join at the next penalty are foreseen by the sequential strong rule
    (Tibshirani et al. 2012, equation 13), and checked by the solver.
    """
    C, before, solutions, ebic = problem.start(), alphas[0], [], []
    slopes = problem.at_point(C).slopes
    for alpha in alphas:
        suspects = np.abs(slopes) > l1_ratio * (2.0 * alpha - before)
        solution = minimise(problem.at(alpha, l1_ratio), C, tol, max_iter, suspects)
        C, slopes, before = solution.C, solution.point.slopes, alpha
        solutions.append(solution)
        ebic.append(extended_bic(problem, solution, gamma))
    return Path(np.asarray(alphas), solutions, np.array(ebic))


def extended_bic(problem, solution, gamma):
    """EBIC of each conditional: -2 log-pseudolikelihood + k log n + 2 gamma k log(p - 1), (p,).

    k counts the couplings of a spin, n is the total weight (Foygel and Drton 2010, equation 3).
    """
    sample, p = problem.loss.sample, len(solution.C)
    values = solution.point.values
    if problem.loss.loss != LOSSES["pseudolikelihood"]:
        values = ConditionalLoss(sample, LOSSES["pseudolikelihood"])(solution.C).values
    n, k = sample.total * problem.loss.shares, (solution.C[:, :-1] != 0).sum(axis=1)
    return 2.0 * n * values + k * np.log(n) + 2.0 * gamma * k * np.log(max(p - 1, 1))


def symmetrised(C, rule):
    """One symmetric matrix (p, p) from the two estimates of each coupling.

    Their mean, for ``rule`` "joint", "mean" and "or"; with "and" zero unless both differ from it.
    """
    J = C[:, :-1]
    mean = (J + J.T) / 2.0
    return np.where((J != 0) & (J.T != 0), mean, 0.0) if rule == "and" else mean
