"""Learning an Ising model by a criterion that is a sum over conditionals."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skebm._base import all_or_nothing
from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters
from skebm._warn import warn
from skebm.criteria.inverse_ising import (
    follow_path,
    inverse_problem,
    minimise,
    penalties_of_path,
    symmetrised,
    theory_alpha,
)
from skebm.ising._asked import RULES, check_together
from skebm.ising._model import BaseIsing
from skebm.ising._training import Columns, Criterion, checked_data, with_fields

# Couplings from which on, without a penalty, they are suspected to have no finite optimum: given
# all others, such a pair differs once in e^10 times.
_GROWN = 5.0

# Violation at which pseudolikelihood hands over to ratio matching.
_NEAR = 1e-3


class LearnsFromConditionals(BaseIsing):
    """``fit`` of the Ising models that are learned without chains and without log Z."""

    _rules = RULES

    def fit(self, X, y=None, sample_weight=None):
        """Learn couplings and fields from binary data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, {0, 1} or {-1, 1}; see ``binarize`` for what other values mean. NaN is
            unknown: a row is left out of those conditionals only that need it, those of the
            missing spin and of its neighbours in ``mask``. float32 gives a float32 model, anything
            else float64; all sums are float64.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative, equal to as many copies of it. If positive ones are
            below 1 they are no counts: then only constant columns are ``rare_``, and the
            pseudo-count of their fields and of ``mean_`` is half of the mean weight, not 1/2.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or X is not what is accepted, before any work.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` passes did not bring all optimality conditions below ``tol``, at the
            end, at another penalty of a path or before a refit.
        UserWarning
            If columns are constant, or so but for one row (their couplings stay zero), if
            ``alpha="ebic"`` selects a graph without edges, or if couplings without a penalty have
            grown as if they had no finite optimum.
        """
        name = type(self).__name__
        check_parameters(self._rules, self.get_params(deep=False), name)
        check_together(self)
        with all_or_nothing(self), threads(self.n_jobs):
            checked = checked_data(self, X, sample_weight, allow_nan=True)
            columns = Columns(self, checked)
            fitted, others = self._learned(columns, checked.dtype)
            for stale in ("alphas_", "coupling_path_", "ebic_path_"):
                vars(self).pop(stale, None)
            vars(self).update(
                fitted, _coding=checked.coding, _training=checked.training,
                _criterion=Criterion.of(self, checked.mask, fitted["alpha_"]),
                _entropy=draw_entropy(self.random_state), _kept_log_partition=None,
            )  # fmt: skip
        if complaint := columns.complaint(self):
            warn(complaint, UserWarning)
        if columns.allowed[:, :-1].any():
            self._warn_of_empty_graph(fitted)
        self._warn_of_residuals(fitted, others)
        if self.refit or fitted["alpha_"] == 0.0:
            self._warn_of_growth(fitted["nodewise_coupling_"])
        return self

    # -- learning ------------------------------------------------------------------------------

    def _learned(self, columns, dtype):
        """The fitted attributes, as a dict, and the other solutions on the way to them."""
        sample, allowed = columns.sample, columns.allowed
        problem = self._problem(sample, allowed)
        solution, found, others = self._minimised(problem, columns)
        penalised = problem.at(found["alpha_"], self.l1_ratio)
        if self.refit:
            others = [*others, solution]
            edges = symmetrised(solution.C, self.symmetrize) != 0
            penalised = self._problem(sample, allowed & with_fields(edges))
            solution = minimise(
                penalised, np.where(penalised.allowed, solution.C, 0.0), self.tol, self.max_iter
            )
        C, values = solution.C.copy(), solution.point.values
        if columns.rare.any():
            columns.set_rare_fields(C[:, -1])
            values = problem.loss(C).values
        J = symmetrised(C, self.symmetrize)
        fitted = {
            "coupling_": J.astype(dtype),
            "field_": C[:, -1].astype(dtype),
            "nodewise_coupling_": C[:, :-1].astype(dtype),
            "n_iter_": solution.n_iter,
            "kkt_": solution.residual,
            "objective_": float((values + penalised.penalty(C)).sum()),
        }
        return found | columns.attributes(J) | fitted, others

    def _problem(self, sample, allowed, loss=None):
        return inverse_problem(
            sample, self._loss if loss is None else loss, allowed=allowed,
            joint=self.symmetrize == "joint", penalize_field=bool(self.penalize_field),
        )  # fmt: skip

    def _minimised(self, problem, columns):
        """The solution at the penalty that was asked for, what else is known then, and those at
        other penalties.
        """
        if self.alpha == "ebic":
            return self._selected(problem)
        sample, alpha = problem.loss.sample, self.alpha
        if alpha == "theory":
            alpha = theory_alpha(self._loss, sample.p, sample.total)
        penalised = problem.at(alpha, self.l1_ratio)
        solution = minimise(penalised, self._start(penalised, columns), self.tol, self.max_iter)
        return solution, {"alpha_": float(alpha)}, []

    def _start(self, problem, columns):
        """Where a single fit starts: at the last model, at independent spins, or nearer."""
        if (C := columns.warm_start(self)) is not None:
            return C
        if self._loss != "ratio_matching":
            return problem.start()
        # Ratio matching is not convex: it starts where pseudolikelihood, which is, ends.
        convex = self._problem(problem.loss.sample, problem.allowed, "pseudolikelihood")
        convex = convex.at(problem.l1 + problem.ridge, self.l1_ratio)
        return minimise(convex, convex.start(), max(_NEAR, self.tol), self.max_iter).C

    def _selected(self, problem):
        alphas = penalties_of_path(problem, self.l1_ratio, self.alphas)
        path = follow_path(problem, alphas, self.l1_ratio, self.tol, self.max_iter, self.ebic_gamma)
        ebic = path.ebic.sum(axis=1)
        best = int(np.argmin(ebic))
        couplings = [symmetrised(solution.C, self.symmetrize) for solution in path.solutions]
        found = {
            "alpha_": float(path.alphas[best]),
            "alphas_": path.alphas,
            "coupling_path_": np.array(couplings),
            "ebic_path_": ebic,
        }
        others = path.solutions[:best] + path.solutions[best + 1 :]
        return path.solutions[best], found, others

    # -- warnings ------------------------------------------------------------------------------

    def _warn_of_empty_graph(self, fitted):
        if self.alpha == "ebic" and fitted["n_edges_"] == 0:
            warn(
                f"{type(self).__name__}: alpha='ebic' selected a graph without edges, alpha_ = "
                f"{fitted['alpha_']:.3g}. coupling_path_, alphas_ and ebic_path_ hold the others; "
                "a smaller ebic_gamma selects more.",
                UserWarning,
            )

    def _warn_of_residuals(self, fitted, others):
        violation = fitted["kkt_"]
        where, raised = f": after {fitted['n_iter_']} passes", "alpha"
        if violation <= self.tol:
            violation = np.max([each.residual for each in others], initial=0.0)
            where = " before the refit, which chose its edges:"
            if self.alpha == "ebic":
                where, raised = " everywhere on its path of penalties:", "the smallest of alphas"
        if not violation <= self.tol:
            warn(
                f"{type(self).__name__} did not converge{where} the largest violation of an "
                f"optimality condition is {violation:.2g}, tol is {self.tol:.2g}. Raise max_iter "
                f"or {raised}; where some spin is determined by others, couplings have no finite "
                "optimum without a penalty.",
                ConvergenceWarning,
            )

    def _warn_of_growth(self, coupling):
        size = np.abs(coupling)
        if not (size > _GROWN).any():
            return
        names = getattr(self, "feature_names_in_", range(len(size)))
        i, j = np.unravel_index(size.argmax(), size.shape)
        warn(
            f"{type(self).__name__}: without a penalty the coupling of columns {names[i]!r} and "
            f"{names[j]!r} has grown to {coupling[i, j]:.3g}. Where a column is determined by "
            "others no finite value is the best: this one depends on tol, and its standard error "
            "means nothing. Give alpha > 0 without refit, or leave one of the columns out.",
            UserWarning,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
