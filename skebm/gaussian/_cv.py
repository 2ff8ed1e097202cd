"""Score matching of a Gaussian model whose penalty is selected."""

import numpy as np

from skebm.gaussian._asked import SELECTION_RULES, check_selection
from skebm.gaussian._fit import Chosen, LearnsByScoreMatching
from skebm.gaussian._learning import in_data_units
from skebm.gaussian._selection import Troubles, by_ebic, by_splits, refitted, whole_path
from skebm.gaussian._stability import by_stability

_SELECT = {
    "score_matching": by_splits,
    "log_likelihood": by_splits,
    "ebic": by_ebic,
    "stability": by_stability,
}


class ScoreMatchingGaussianCV(LearnsByScoreMatching):
    """Gaussian model with a sparse precision matrix whose penalty is selected from a path.

    :class:`ScoreMatchingGaussian` at falling penalties, each learned from the last one, and one of
    them kept: by held-out loss or likelihood, by an information criterion, or by the stability of
    graphs.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,), default=20
        Penalties, positive; or how many, spaced evenly in their logarithms from the least one that
        leaves no edge down to a twentieth of it (not below ``tol``). Such a path ends early, with
        the first graph whose variables have more than 50 neighbours on average. Either ends before
        a penalty at which the loss has no minimum.
    criterion : {"score_matching", "log_likelihood", "ebic", "stability"}, \
default="score_matching"
        What alpha is selected by: the loss or the likelihood of rows held out, the extended
        Bayesian information criterion, or StARS. Inside bounds only the loss and StARS are.
    cv : int, splitter, iterable of splits or None, default=None
        Splits of the rows for held-out scores, as scikit-learn takes them; None means 5 folds of
        ``KFold``. A splitter is not given ``y``.
    ebic_gamma : float, default=0.5
        What EBIC adds for each edge beyond BIC, in units of 4 log(n_features).
    n_subsamples : int, default=20
        Subsamples of StARS, at least 2, each of min(10 sqrt(n), 0.8 n) of n rows without
        replacement. Their rows keep their weights.
    stability_threshold : float, default=0.05
        Largest instability that StARS accepts, at most 0.5.
    one_se : bool, default=False
        Whether the largest alpha is taken whose mean score is within one standard error of the
        best, that of the mean over splits.
    refit : bool, default=False
        Whether the model is learned again without ``alpha``, with the edges that were selected.
        Held-out scores and EBIC are then those of refitted models.
    ridge : float, default=0.0
        Strength of the penalty ``ridge`` / 2 tr(K^2), in units of scaled columns: the loss is that
        of denoising score matching with noise of this variance.
    support : {"real", "nonnegative"} or (low, high), default="real"
        Where the density is: on all numbers, on those that are not negative, or between bounds,
        each a number or one for each column, infinite where there is none.
    h : {"min", "log1p", "square"}, default="min"
        Inside bounds: how terms of the loss are weighted by the distance d to the nearest bound,
        as d, log(1 + d) or d^2.
    h_cutoff : float or None, default=1.0
        Largest weight h, in units of scaled columns; None means no limit.
    standardize : bool, default=True
        Whether columns are divided by their standard deviations (inside bounds by the root mean
        square of distances to them) while learning.
    assume_centered : bool, default=False
        Whether the location is zero.
    covariance : {"spearman", "kendall"} or None, default=None
        What stands for S: that of the rows; or the covariance of a normal distribution with the
        rank correlations of the rows.
    missing : {"raise", "pairwise"}, default="raise"
        What to do with NaN: refuse it, or take each entry of S from the rows that know both
        columns.
    alpha_weights : array-like of shape (n_features, n_features), default=None
        Symmetric multiples of ``alpha``: 0 where an entry is free, infinite where it must be zero.
    ensure_pd : {"warn", "ridge", "project"}, default="warn"
        What to do if the selected K is not positive definite (inside bounds: if no density is
        known to exist): warn; raise the ridge until it is; or, on the reals, minimise among
        positive definite matrices only.
    tol : float, default=1e-06
        Largest violation of an optimality condition (an entry of the gradient) at the end.
    max_iter : int, default=1000
        Sweeps over the entries at work at the most, for each alpha.
    warm_start : bool, default=False
        Whether the path of all rows starts from the last model, learned or given to
        ``from_parameters``.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting, -1 takes all. The bits are the same.
    random_state : None, int, RandomState or Generator, default=None
        Seed of the subsamples of StARS, and of what is drawn after ``fit``: the chains of
        ``log_partition_``.

    Attributes
    ----------
    alpha_ : float
        The penalty that was selected.
    alphas_ : ndarray of shape (n_alphas_,)
        Penalties of the path, descending.
    path_ : list of csr_array of shape (n_features, n_features)
        K at each of them, of all rows, in the units of the data, without ``refit`` and before
        ``ensure_pd``.
    cv_results_ : dict of ndarray of shape (n_alphas_,)
        ``alphas``, ``n_edges`` and what alpha was selected by. Of held-out rows, the larger the
        better: ``split0_test_score``, ... of each split, ``mean_test_score`` and
        ``std_test_score``; a score is the mean log-likelihood per row in nats, or the loss with
        its sign changed, and -inf without a model. Of EBIC: ``ebic`` and ``log_likelihood``. Of
        StARS: ``instability`` and ``total_instability``, its maximum over this and larger alphas,
        NaN where larger ones are so unstable that it was not looked at.
    edge_stability_ : ndarray of shape (n_features, n_features)
        With ``criterion="stability"``: in which share of subsamples a pair was an edge at
        ``alpha_``.
    precision_ : ndarray of shape (n_features, n_features)
        K, symmetric.
    location_ : ndarray of shape (n_features,)
        mu; inside bounds that of the normal before it is cut.
    scale_ : ndarray of shape (n_features,)
        What columns were divided by while learning.
    covariance_ : ndarray of shape (n_features, n_features)
        The inverse of K, computed at first use.
    graph_ : csr_array of shape (n_features, n_features)
        Entries of K off its diagonal that are not zero.
    partial_correlation_ : ndarray of shape (n_features, n_features)
        Correlations of pairs given all others.
    n_edges_ : int
        Pairs with an entry that is not zero.
    objective_ : float
        Loss and penalties at the end, in scaled units.
    kkt_ : float
        Largest violation of an optimality condition.
    ridge_ : float
        The ridge used, larger than ``ridge`` if ``ensure_pd="ridge"`` raised it.
    log_partition_ : LogPartition
        log Z that likelihoods are normalised with, computed at first use: exact on the reals, by
        AIS from independent cut normals inside bounds.
    n_iter_ : int
        Sweeps made at ``alpha_``, or for the refit.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had any.

    Notes
    -----
    Held-out rows are shifted and divided by the location and scale of the rows that a model was
    learned from, and their loss is 1/2 tr(K S K) - tr K with their mean product S. With gaps each
    entry of S is from the rows that know both columns. With rank correlations S has those of the
    rows held out, and the variances of the others: marginal distributions then play no part.
    ``criterion="log_likelihood"`` without gaps or ranks selects what ``GridSearchCV`` over
    :class:`ScoreMatchingGaussian` does, if all precisions are positive definite. One that is not
    scores -inf here, whatever ``ensure_pd``: that is for the model which is kept, whereas the
    models of a search have all been made definite, or have no score.

    Inside bounds penalties depend on how far from them a column is, as the notes of
    :class:`ScoreMatchingGaussian` say; those on the reals are on the scale of ``GraphicalLasso``.

    EBIC is -2 log-likelihood + E log n + 4 ``ebic_gamma`` E log p for E edges, p variables and n
    rows (their total weight). Foygel and Drton take it of maximum likelihood given the edges,
    which ``refit=True`` is near to. Of estimates that a penalty has shrunken it selects more edges.

    The instability of StARS is the mean over pairs of 2 t (1 - t), t the share of subsamples that
    have the edge. The smallest alpha is taken such that neither it nor a larger one is beyond
    ``stability_threshold``.

    There is one path of all rows and one for each split or subsample, each with all threads. If
    the smallest alpha is selected, a smaller one might be better: a warning says so.

    References
    ----------
    L. Lin, M. Drton, A. Shojaie (2016). Estimation of high-dimensional graphical models using
    regularized score matching. Electronic Journal of Statistics 10.

    R. Foygel, M. Drton (2010). Extended Bayesian information criteria for Gaussian graphical
    models. Advances in Neural Information Processing Systems 23.

    H. Liu, K. Roeder, L. Wasserman (2010). Stability approach to regularization selection (StARS)
    for high dimensional graphical models. Advances in Neural Information Processing Systems 23.

    T. Hastie, R. Tibshirani, J. Friedman (2009). The Elements of Statistical Learning, section
    7.10.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import ScoreMatchingGaussian, ScoreMatchingGaussianCV
    >>> precision = np.eye(5) + 0.4 * (np.eye(5, k=1) + np.eye(5, k=-1))
    >>> truth = ScoreMatchingGaussian.from_parameters(precision, np.zeros(5))
    >>> X = truth.sample(500, random_state=0)
    >>> model = ScoreMatchingGaussianCV(criterion="ebic").fit(X)
    >>> np.argwhere(np.triu(model.precision_, 1)).tolist()
    [[0, 1], [1, 2], [2, 3], [3, 4]]
    """

    _rules = SELECTION_RULES

    def __init__(
        self,
        alphas=20,
        *,
        criterion="score_matching",
        cv=None,
        ebic_gamma=0.5,
        n_subsamples=20,
        stability_threshold=0.05,
        one_se=False,
        refit=False,
        ridge=0.0,
        support="real",
        h="min",
        h_cutoff=1.0,
        standardize=True,
        assume_centered=False,
        covariance=None,
        missing="raise",
        alpha_weights=None,
        ensure_pd="warn",
        tol=1e-6,
        max_iter=1000,
        warm_start=False,
        n_jobs=None,
        random_state=None,
    ):
        self.alphas = alphas
        self.criterion = criterion
        self.cv = cv
        self.ebic_gamma = ebic_gamma
        self.n_subsamples = n_subsamples
        self.stability_threshold = stability_threshold
        self.one_se = one_se
        self.refit = refit
        self.ridge = ridge
        self.support = support
        self.h = h
        self.h_cutoff = h_cutoff
        self.standardize = standardize
        self.assume_centered = assume_centered
        self.covariance = covariance
        self.missing = missing
        self.alpha_weights = alpha_weights
        self.ensure_pd = ensure_pd
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check_together(self):
        check_selection(self)
        super()._check_together()

    def _chosen(self, data, X, weights):
        troubles = Troubles(self)
        path = whole_path(self, data, self._warm_start(data), troubles)
        selected = _SELECT[self.criterion](self, data, X, weights, path, troubles)
        alpha, solution = float(path.alphas[selected.place]), path.solutions[selected.place]
        found = self._found(data, path, selected)
        if self.refit:
            (data, solution), alpha = refitted(self, data, solution), 0.0
        complaints = tuple(troubles.sentences())
        remark = selected.remark or ("" if troubles.lost else _remark(path, selected.place))
        return Chosen(data, solution, alpha, found, complaints, remark)

    def _found(self, data, path, selected):
        """The attributes that a single fit does not have."""
        vars(self).pop("edge_stability_", None)
        found = {
            "alpha_": float(path.alphas[selected.place]),
            "alphas_": path.alphas,
            "path_": [in_data_units(data, each.pairs) for each in path.solutions],
        }
        edges = [(K.nnz - K.shape[0]) // 2 for K in found["path_"]]
        found["cv_results_"] = {
            "alphas": path.alphas.copy(), "n_edges": np.array(edges), **selected.results,
        }  # fmt: skip
        if selected.stability is not None:
            found["edge_stability_"] = selected.stability
        return found


def _remark(path, place):
    if not 0 < place == len(path.alphas) - 1:
        return ""
    return (
        f"alpha_={path.alphas[place]:.3g} is the smallest of the path, a smaller one might be "
        "better. Give other values as alphas."
    )
