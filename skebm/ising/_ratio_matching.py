"""Ratio matching: squared probabilities of flips."""

from skebm.ising._fit import LearnsFromConditionals


class RatioMatchingIsing(LearnsFromConditionals):
    """Ising model trained by ratio matching.

    .. math::  P(s) \\propto e^{\\sum_i h_i s_i + \\sum_{i<j} J_{ij} s_i s_j}, s_i \\in \\{-1, 1\\}

    The squared probability that a spin would be flipped given all others is matched to that of
    the data, which is the Brier score of the conditionals. It is bounded: a row that the model
    finds absurd weighs no more than any other, unlike in pseudolikelihood.

    Parameters
    ----------
    alpha : float or "ebic", default=0.01
        Strength of the penalty on couplings. ``"ebic"`` takes the one of ``alphas`` with the least
        extended BIC, summed over spins, of the pseudolikelihood. Theory knows no value for this
        loss.
    l1_ratio : float, default=0.0
        Share of L1 in the penalty, as in ``ElasticNet``: 0 is ridge, 1 is the lasso, which
        selects edges.
    symmetrize : {"joint", "mean", "and", "or"}, default="joint"
        ``"joint"`` fits one symmetric matrix. ``"mean"`` fits the conditional of every
        spin alone and averages the two estimates of a coupling; ``"and"`` then keeps edges that
        both found, ``"or"`` those that one did.
    penalize_field : bool, default=False
        Whether fields are penalised too. If not, data coded {0, 1} and {-1, 1} give the same
        model.
    mask : {array-like, sparse matrix} of shape (n_features, n_features), default=None
        Symmetric, true where a coupling may differ from zero; None means everywhere. Its diagonal
        is ignored.
    refit : bool, default=False
        Whether the selected edges are fitted again without a penalty.
    alphas : int or array-like, default=20
        Penalties that ``alpha="ebic"`` chooses among: so many, from one without edges down
        to 1 % of it, or their values.
    ebic_gamma : float, default=0.25
        How much the extended BIC minds the number of possible edges; 0 is the BIC.
    tol : float, default=1e-06
        Largest violation of an optimality condition (an entry of the gradient) at the end.
    max_iter : int, default=1000
        Steps at the most, each a pass over all rows and couplings or two.
    warm_start : bool, default=False
        Whether ``fit`` starts from the last model, learned or given to ``from_parameters``; the
        path of ``alpha="ebic"`` always starts without couplings.
    binarize : float or None, default=0.5
        Values above it are 1, the others -1; 0.5 suits {0, 1}, {-1, 1} and booleans. None
        takes exactly {0, 1} or {-1, 1} and refuses the rest.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting, -1 takes all. The bits are the same.
    random_state : None, int, RandomState or Generator, default=None
        Seed of what is drawn after ``fit``: the chains of ``log_partition_``.

    Attributes
    ----------
    coupling_ : ndarray of shape (n_features, n_features)
        J, symmetric with zero diagonal, for spins -1 and 1 however the data were coded.
    field_ : ndarray of shape (n_features,)
        h, for spins -1 and 1.
    nodewise_coupling_ : ndarray of shape (n_features, n_features)
        Row i holds the couplings in the conditional of spin i, before they were symmetrised.
    alpha_ : float
        The penalty used.
    alphas_, coupling_path_, ebic_path_ : ndarray
        With ``alpha="ebic"``: all penalties (k,), couplings (k, n_features, n_features) and
        extended BIC (k,).
    objective_ : float
        Losses and penalties at the end.
    kkt_ : float
        Largest violation of an optimality condition.
    n_edges_ : int
        Pairs of spins with a coupling.
    rare_ : ndarray of shape (n_features,)
        Bool, columns that are constant, or so but for one row: couplings zero, fields from counts.
    mean_ : ndarray of shape (n_features,)
        P(s = 1) in the training data with a pseudo-count; the base of AIS.
    log_partition_ : LogPartition
        log Z that likelihoods are normalised with, computed at first use.
    n_iter_ : int
        Steps made.
    n_features_in_ : int
        Number of spins.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had any.

    Notes
    -----
    The objective is sum_i mean_n 1 / (1 + e^{2 t_i})^2 + ``alpha`` [``l1_ratio`` sum_{i != j}
    |J_ij| + (1 - ``l1_ratio``) / 2 sum_{i != j} J_ij^2], both orders of a pair counted, with
    t_i = s_i (sum_j J_ij s_j + h_i) and means weighted by ``sample_weight``.
    It is not convex where a flip is likelier than 2/3, so a fit at one penalty starts from
    couplings found by pseudolikelihood, or with ``warm_start`` from the last model; the path of
    ``alpha="ebic"`` starts without couplings.

    An evaluation costs 4 n p^2 operations for n distinct rows and p spins, with ridge some ten to
    thirty of them; equal rows are put together first. With L1, a step costs n a^2 for each spin,
    a being the number of its candidates. Memory: 2 n p bytes, some 50 p^2 numbers, with ridge and
    p < 400 half of p^3 numbers more, with L1 those of p a^2, up to half a gigabyte. Beyond it,
    spins are fitted in turn, or, if "joint", steps cost an evaluation and p^2 numbers each: more
    of them, many more where spins hardly ever differ from what the others make of them.

    References
    ----------
    A. Hyvarinen (2007). Some extensions of score matching. Computational Statistics and Data
    Analysis 51, section 3.

    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, section 18.4.

    Examples
    --------
    >>> from skebm import RatioMatchingIsing
    >>> from skebm.datasets import make_ising
    >>> truth = make_ising(5000, size=3, coupling=0.4, random_state=0)
    >>> model = RatioMatchingIsing(0.0).fit(truth.data)
    >>> bool(abs(model.coupling_ - truth.coupling).max() < 0.1)
    True
    """

    _loss = "ratio_matching"

    def __init__(
        self,
        alpha=0.01,
        *,
        l1_ratio=0.0,
        symmetrize="joint",
        penalize_field=False,
        mask=None,
        refit=False,
        alphas=20,
        ebic_gamma=0.25,
        tol=1e-6,
        max_iter=1000,
        warm_start=False,
        binarize=0.5,
        n_jobs=None,
        random_state=None,
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.symmetrize = symmetrize
        self.penalize_field = penalize_field
        self.mask = mask
        self.refit = refit
        self.alphas = alphas
        self.ebic_gamma = ebic_gamma
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.binarize = binarize
        self.n_jobs = n_jobs
        self.random_state = random_state
