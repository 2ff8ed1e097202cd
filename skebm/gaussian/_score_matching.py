"""Score matching of a Gaussian model at one penalty."""

from skebm.gaussian._fit import LearnsByScoreMatching


class ScoreMatchingGaussian(LearnsByScoreMatching):
    """Gaussian model with a sparse precision matrix, trained by score matching.

    .. math::  p(x) \\propto e^{-(x - \\mu)' K (x - \\mu) / 2}

    Score matching compares slopes of log-densities, in which Z does not occur. For a Gaussian that
    is a quadratic loss: 1/2 tr(K S K) - tr K with the covariance S, least at the inverse of S as
    the likelihood is, without a determinant. A penalty on absolute values makes K sparse: zero
    entries are pairs that are independent given all others.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the penalty on absolute entries of K off its diagonal; 0 means none. On the
        reals it is on the scale of ``GraphicalLasso``, inside bounds it is not (see Notes).
    ridge : float, default=0.0
        Strength of the penalty ``ridge`` / 2 tr(K^2). The loss is then that of denoising score
        matching with noise of variance ``ridge``, in units of scaled columns.
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
        square of distances to them) while learning. The result is in the units of the data; the
        penalties act on scaled columns.
    assume_centered : bool, default=False
        Whether the location is zero.
    covariance : {"precomputed", "spearman", "kendall"} or None, default=None
        What stands for S: that of the rows; X itself; or the covariance of a normal distribution
        with the rank correlations of the rows, which monotone changes of columns do not alter.
    missing : {"raise", "pairwise"}, default="raise"
        What to do with NaN in training: refuse it, or take each entry of S from the rows that know
        both columns. Likelihoods are those of complete rows; ``impute`` completes them.
    alpha_weights : array-like of shape (n_features, n_features), default=None
        Symmetric multiples of ``alpha``: 0 where an entry is free, infinite where it must be zero.
    ensure_pd : {"warn", "ridge", "project"}, default="warn"
        What to do if K is not positive definite (inside bounds, where a density needs less: if
        none is known to exist): warn; raise the ridge until it is; or, on the reals, minimise among
        positive definite matrices only.
    tol : float, default=1e-06
        Largest violation of an optimality condition (an entry of the gradient) at the end.
    max_iter : int, default=1000
        Sweeps over the entries at work at the most.
    warm_start : bool, default=False
        Whether ``fit`` starts from the last model, learned or given to ``from_parameters``.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting, -1 takes all. The bits are the same.
    random_state : None, int, RandomState or Generator, default=None
        Seed of what is drawn after ``fit``: the chains of ``log_partition_``.

    Attributes
    ----------
    precision_ : ndarray of shape (n_features, n_features)
        K, symmetric.
    location_ : ndarray of shape (n_features,)
        mu; inside bounds that of the normal before it is cut; 0 with ``covariance="precomputed"``.
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
        Sweeps made.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had any.

    Notes
    -----
    The objective is 1/2 tr(K (S + ``ridge`` I) K) - tr K + ``alpha`` sum_{i != j} |K_ij|, both
    orders of a pair counted, S being the covariance of scaled columns. Without a penalty K is the
    inverse of S + ``ridge`` I. Denoising score matching of rows x + e with Gaussian noise e of
    variance s adds s / 2 tr(K^2) and a constant to its expectation (Vincent 2011): that is
    ``ridge`` = s. With fewer rows than variables and little of either penalty the loss has no
    minimum; a warning says so.

    Inside bounds the loss is the generalised one, mean sum_j [h(x_j) z_j^2 / 2 - h'(x_j) z_j -
    h(x_j) K_jj] with z = K (x - mu) (Hyvarinen 2007, Yu et al. 2019), which takes memory for a few
    copies of the rows. Weights that grow as d^2 are far less efficient than those that stop.

    What ``alpha`` does inside bounds depends on how far from them a column is, since columns are
    divided by the root mean square of that distance. With c_i the standard deviation of column i
    as a share of it, the slope of a pair of correlation r that is to be independent is about
    r (c_i / c_j + c_j / c_i) / 2, for h = 1: r itself where both columns are alike, more where one
    is far away and the other is not. Such pairs become edges first. ``alpha_weights`` of
    (c_i / c_j + c_j / c_i) / 2 even that out.

    With d neighbours each, a step over all p(p - 1) / 2 pairs costs 2 p^2 d operations and one over
    those at work p d^2. It is 2 p^3 with more than 15 % of all pairs at work, or where lists of
    what they need would hold more than half a gigabyte and eight copies of S (at p = 5,000 with 200
    neighbours each). Memory: S, a copy of it with a ridge, and K, 8 p^2 bytes each (1.9 GB at
    p = 10,000 without a ridge), and as much as such lists where there are many pairs. Whether K is
    positive definite takes p^3 / 3, or next to nothing where its diagonal dominates in some units.
    Beyond 12,000 variables S is not formed, and steps cost n p^2 for n rows. Kendall's correlations
    cost n^2 p^2. A fitted model keeps a copy of its rows, for standard errors and tests.

    The loss is not a likelihood: it weighs errors otherwise than ``GraphicalLasso``, and K need not
    be positive definite (see ``ensure_pd``).

    References
    ----------
    A. Hyvarinen (2005). Estimation of non-normalized statistical models by score matching. Journal
    of Machine Learning Research 6.

    A. Hyvarinen (2007). Some extensions of score matching. Computational Statistics and Data
    Analysis 51.

    P. Vincent (2011). A connection between score matching and denoising autoencoders. Neural
    Computation 23.

    L. Lin, M. Drton, A. Shojaie (2016). Estimation of high-dimensional graphical models using
    regularized score matching. Electronic Journal of Statistics 10.

    S. Yu, M. Drton, A. Shojaie (2019). Generalized score matching for non-negative data. Journal
    of Machine Learning Research 20.

    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, section 18.4.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import ScoreMatchingGaussian
    >>> precision = np.eye(5) + 0.4 * (np.eye(5, k=1) + np.eye(5, k=-1))
    >>> truth = ScoreMatchingGaussian.from_parameters(precision, np.zeros(5))
    >>> X = truth.sample(5000, random_state=0)
    >>> model = ScoreMatchingGaussian(alpha=0.1).fit(X)
    >>> model.n_edges_
    4
    >>> bool(abs(ScoreMatchingGaussian(0.0).fit(X).precision_ - precision).max() < 0.1)
    True
    """

    def __init__(
        self,
        alpha=0.01,
        *,
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
        self.alpha = alpha
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
