"""The likelihood itself, by persistent chains or by enumeration."""

import numbers

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skebm._base import all_or_nothing
from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import Choice, Number, check_parameters, positive_integer
from skebm._warn import warn
from skebm.criteria import SCHEDULES, learning_rates
from skebm.criteria.inverse_ising import inverse_problem, minimise
from skebm.criteria.spin_likelihood import SpinLikelihood, check_reach
from skebm.ising._asked import RULES
from skebm.ising._model import BaseIsing
from skebm.ising._training import Columns, Criterion, checked_data

# Violation at which pseudolikelihood hands over, and its least penalty: where some spin is
# determined by others it would go on for ever.
_NEAR, _LEAST_ALPHA = 1e-3, 1e-4

_SHARED = (
    "l1_ratio", "penalize_field", "mask", "tol", "max_iter", "warm_start", "binarize", "n_jobs",
    "random_state",
)  # fmt: skip


class PCDIsing(BaseIsing):
    """Ising model trained by maximum likelihood, with persistent chains or exactly.

    .. math::  P(s) \\propto e^{\\sum_i h_i s_i + \\sum_{i<j} J_{ij} s_i s_j}, s_i \\in \\{-1, 1\\}

    The gradient of the log-likelihood is the data's means and products of spins less the model's.
    Those are taken over chains that follow the model (persistent contrastive divergence), or, with
    ``n_gibbs_steps="exact"``, summed over all 2^p states. Learning starts at the couplings found by
    pseudolikelihood, so chains have to correct what is left.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the penalty on couplings.
    l1_ratio : float, default=0.0
        Share of L1 in the penalty, as in ``ElasticNet``: 0 is ridge, 1 is the lasso.
    n_gibbs_steps : int or "exact", default=1
        Sweeps over all spins between two updates, or maximum likelihood by enumeration, for 20
        spins or so.
    n_chains : int, default=1000
        Number of persistent chains; the error of the gradient falls with its square root.
    learning_rate : float, default=0.05
        Step along the gradient, each coupling's in units of its variance among independent spins.
    learning_rate_schedule : {"constant", "linear", "geometric"}, default="geometric"
        How the rate falls over ``n_iter``: not at all, to zero, or flat for one half and then
        geometrically to 1 %.
    n_iter : int, default=500
        Updates; 0 leaves the couplings of pseudolikelihood.
    penalize_field : bool, default=False
        Whether fields are penalised too. If not, data coded {0, 1} and {-1, 1} give the same
        model.
    mask : {array-like, sparse matrix} of shape (n_features, n_features), default=None
        Symmetric, true where a coupling may differ from zero; None means everywhere. Its diagonal
        is ignored.
    tol : float, default=1e-06
        Largest violation of an optimality condition at the end of an exact fit.
    max_iter : int, default=1000
        Steps of an exact fit at the most.
    warm_start : bool, default=False
        Whether ``fit`` starts from the last model, learned or given to ``from_parameters``.
    binarize : float or None, default=0.5
        Values above it are 1, the others -1; 0.5 suits {0, 1}, {-1, 1} and booleans. None takes
        exactly {0, 1} or {-1, 1} and refuses the rest.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting, -1 takes all. The bits are the same.
    random_state : None, int, RandomState or Generator, default=None
        Seed of the chains, those of ``log_partition_`` included.

    Attributes
    ----------
    coupling_ : ndarray of shape (n_features, n_features)
        J, symmetric with zero diagonal, for spins -1 and 1 however the data were coded.
    field_ : ndarray of shape (n_features,)
        h, for spins -1 and 1.
    alpha_ : float
        The penalty used.
    chains_ : ndarray of shape (n_chains, n_features)
        Where the chains stand, spins -1 and 1; None after an exact fit.
    history_ : dict of ndarray of shape (n_iter_,)
        Per update: ``learning_rate`` and ``moment_gap``, root mean square of the differences
        between products of spins in the data and in the chains. Empty after an exact fit.
    objective_ : float
        Negative mean log-likelihood with penalties after an exact fit, else NaN.
    kkt_ : float
        Largest violation of an optimality condition after an exact fit, else NaN.
    n_edges_ : int
        Pairs of spins with a coupling.
    rare_ : ndarray of shape (n_features,)
        Bool, columns that are constant, or so but for one row: couplings zero, fields from counts.
    mean_ : ndarray of shape (n_features,)
        P(s = 1) in the training data with a pseudo-count; the base of AIS.
    log_partition_ : LogPartition
        log Z that likelihoods are normalised with, computed at first use.
    n_iter_ : int
        Updates, or steps of an exact fit.
    n_features_in_ : int
        Number of spins.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had any.

    Notes
    -----
    The objective is the negative mean log-likelihood + ``alpha`` [``l1_ratio`` sum_{i != j} |J_ij|
    + (1 - ``l1_ratio``) / 2 sum_{i != j} J_ij^2]. The rows are met twice, for the start and for
    their moments; an update costs ``n_chains`` (2 ``n_gibbs_steps`` + 2) p^2 operations in float32,
    an exact step some nanoseconds for each of 2^p states. Memory: that of
    :class:`PseudoLikelihoodIsing`, and 4 ``n_chains`` p bytes.

    References
    ----------
    L. Younes (1989). Parametric inference for imperfectly observed Gibbsian fields. Probability
    Theory and Related Fields 82.

    T. Tieleman (2008). Training restricted Boltzmann machines using approximations to the
    likelihood gradient. ICML.

    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, algorithm 18.3.

    Examples
    --------
    >>> from skebm import PCDIsing
    >>> from skebm.datasets import make_ising
    >>> truth = make_ising(5000, size=3, coupling=0.4, random_state=0)
    >>> model = PCDIsing(0.0, n_gibbs_steps="exact").fit(truth.data)
    >>> chains = PCDIsing(0.0, random_state=0).fit(truth.data)
    >>> bool(0 <= model.score(truth.data) - chains.score(truth.data) < 0.01)
    True
    """

    _loss = None
    _rules = {name: RULES[name] for name in _SHARED} | {
        "alpha": Number(numbers.Real, 0),
        "n_gibbs_steps": positive_integer("exact"),
        "n_chains": positive_integer(),
        "learning_rate": Number(numbers.Real, 0, above=True),
        "learning_rate_schedule": Choice(SCHEDULES),
        "n_iter": Number(numbers.Integral, 0),
    }

    def __init__(
        self,
        alpha=0.01,
        *,
        l1_ratio=0.0,
        n_gibbs_steps=1,
        n_chains=1000,
        learning_rate=0.05,
        learning_rate_schedule="geometric",
        n_iter=500,
        penalize_field=False,
        mask=None,
        tol=1e-6,
        max_iter=1000,
        warm_start=False,
        binarize=0.5,
        n_jobs=None,
        random_state=None,
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.n_iter = n_iter
        self.penalize_field = penalize_field
        self.mask = mask
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.binarize = binarize
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y=None, sample_weight=None):
        """Learn couplings and fields from binary data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, {0, 1} or {-1, 1}; see ``binarize`` for what other values mean. float32
            gives a float32 model, anything else float64.
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
            If an exact fit did not reach ``tol``, or chains diverged (the last finite parameters
            are kept).
        UserWarning
            If columns are constant, or so but for one row (their couplings stay zero).
        """
        name = type(self).__name__
        check_parameters(self._rules, self.get_params(deep=False), name)
        with all_or_nothing(self), threads(self.n_jobs):
            checked = checked_data(self, X, sample_weight, allow_nan=False)
            if self.n_gibbs_steps == "exact":
                check_reach(name, checked.training.rows.n_features)
            columns = Columns(self, checked)
            entropy = draw_entropy(self.random_state)
            fitted = self._learned(columns, entropy)
            for array in ("coupling_", "field_"):
                fitted[array] = fitted[array].astype(checked.dtype)
            vars(self).update(
                fitted, _coding=checked.coding, _training=checked.training,
                _criterion=Criterion.of(self, checked.mask, fitted["alpha_"]),
                _entropy=entropy, _kept_log_partition=None,
            )  # fmt: skip
        if complaint := columns.complaint(self):
            warn(complaint, UserWarning)
        return self

    def _learned(self, columns, entropy):
        """The fitted attributes, as a dict."""
        likelihood = self._likelihood(columns.sample, columns.allowed)
        J, h = self._start(columns)
        columns.set_rare_fields(h)
        if self.n_gibbs_steps == "exact":
            fitted = self._exactly(likelihood, J, h)
        else:
            fitted = self._by_chains(likelihood, J, h, entropy)
        return fitted | columns.attributes(fitted["coupling_"]) | {"alpha_": float(self.alpha)}

    def _likelihood(self, sample, allowed):
        gram = sample.moments
        return SpinLikelihood(
            gram[:-1, -1], gram[:-1, :-1], allowed, self.alpha * self.l1_ratio,
            self.alpha * (1.0 - self.l1_ratio), bool(self.penalize_field),
        )  # fmt: skip

    def _start(self, columns):
        """The last model if asked for, else couplings (p, p) and fields (p,) near the optimum."""
        C = columns.warm_start(self)
        if C is None:
            problem = inverse_problem(
                columns.sample, "pseudolikelihood", allowed=columns.allowed, joint=True,
                penalize_field=bool(self.penalize_field),
            ).at(max(self.alpha, _LEAST_ALPHA), self.l1_ratio)  # fmt: skip
            C = minimise(problem, problem.start(), _NEAR, self.max_iter).C
        return C[:, :-1].copy(), C[:, -1].copy()

    def _exactly(self, likelihood, J, h):
        J, h, n_iter, residual = likelihood.exact(J, h, 0.2 * self.tol, self.max_iter)
        if not residual <= self.tol:
            warn(
                f"{type(self).__name__} did not converge: after {n_iter} steps the largest "
                f"violation of an optimality condition is {residual:.2g}, tol is {self.tol:.2g}. "
                "Raise max_iter or alpha; where two values never meet, couplings have no finite "
                "optimum without a penalty.",
                ConvergenceWarning,
            )
        return {
            "coupling_": J, "field_": h, "n_iter_": n_iter, "kkt_": residual,
            "objective_": likelihood.objective(J, h), "chains_": None, "history_": {},
        }  # fmt: skip

    def _by_chains(self, likelihood, J, h, entropy):
        rates = learning_rates(
            self.learning_rate_schedule, self.learning_rate, 0, self.n_iter, self.n_iter
        )
        J, h, chains, gaps, finite = likelihood.persistent(
            J, h, rates, self.n_chains, self.n_gibbs_steps, entropy
        )
        if not finite:
            warn(
                f"{type(self).__name__} diverged: parameters grew beyond all bounds. Learning "
                "stopped and the last good parameters were kept. Lower learning_rate (now "
                f"{self.learning_rate!r}).",
                ConvergenceWarning,
            )
        return {
            "coupling_": J, "field_": h, "n_iter_": len(gaps), "kkt_": np.nan, "objective_": np.nan,
            "chains_": chains,
            "history_": {"learning_rate": rates[: len(gaps)], "moment_gap": gaps},
        }  # fmt: skip
