"""The estimator of noise-contrastive estimation."""

from skebm.nce._fit import LearnsByContrast
from skebm.nce._model import ContrastedModel


class NCEEstimator(LearnsByContrast, ContrastedModel):
    """Any unnormalised model, trained by noise-contrastive estimation, log Z and errors included.

    .. math::  p(x) = e^{-E(x; \\theta) - \\log Z}

    Logistic regression tells rows of data from rows of noise whose density is known. With the
    log-odds log p(x) - log p_n(x) - log nu its best classifier is the model itself, and -log Z is
    one more parameter: it need not be computed, and comes with a standard error as all others.

    Parameters
    ----------
    energy : str or object, default="gaussian"
        The energy E: ``"gaussian"``, ``"diagonal_gaussian"``, ``"ica"``, ``"ising"``, ``"rbm"``,
        ``"truncated_gaussian"``, or one of :mod:`skebm.nce` with parameters of its own (``ICA``,
        ``RBM``, ``TruncatedGaussian``, ``ExponentialFamily``). Your own is a function
        ``energy(theta, x)`` compiled by Numba, which gives the energy of one row; any other
        function ``energy(theta, X)``, which gives those of rows (n, n_features) as (n,); or a class
        of which ``cls(theta)`` has the methods of :class:`skebm.energies.Energy`. A class whose
        states are 0 and 1, or -1 and 1, takes data in either coding, turned into its own.
    gradient : callable or None, default=None
        With a function of rows: ``gradient(theta, X, w)`` gives the sum over rows of w times dE /
        dtheta, (n_params,). None takes central differences, two calls for each parameter.
    noise : str or object, default="auto"
        The noise: ``"gaussian"``, ``"student_t"``, ``"mixture"``, ``"uniform"``, ``"conditional"``
        for real data, ``"bernoulli"``, ``"chow_liu"``, ``"uniform"`` for binary ones; one of
        :mod:`skebm.nce`, a frozen distribution of SciPy, or an object with ``sample(n_samples,
        random_state)`` and ``log_prob(X)``. ``"auto"`` is Gaussian on the reals, truncated normal
        in a box, and independent on binary data: rows of 0 and 1 only, or of -1 and 1 only, are
        taken for binary, unless the energy is of real states (the Gaussian ones, components, a
        class whose base draws them) or, with an energy of your own, the noise is for real data
        alone; ``"uniform"`` is for either.
    noise_ratio : float, default=10
        Rows of noise for each row of data, nu. At least 16 rows are drawn: 100 rows of data have a
        nu of 0.16 at the least. Conditional noise makes a whole number of steps from each row, the
        nearest one (of halves the even one: 2.5 is 2, 3.5 is 4), at least 1.
    noise_inflation : float, default=1.3
        Factor on the standard deviations of noise that is given by a name.
    solver : {"auto", "newton", "lbfgs"}, default="auto"
        Newton's method, for energies that are linear in their parameters (Gaussian, Ising,
        exponential families); SciPy's L-BFGS-B; or Newton's where that is possible and there are
        at most 1,500 parameters.
    l2 : float, default=0.0
        Penalty l2 / 2 on the sum of squares of couplings, of scaled columns; of your own energies
        on all parameters.
    fixed : array-like of shape (n_params,) or None, default=None
        Truth values: which parameters stay at ``init``.
    init : array-like of shape (n_params,) or None, default=None
        Parameters to begin with, in units of the data; None leaves it to the energy. Required with
        your own energy, of which it gives the number of parameters.
    standardize : {"auto", True, False}, default="auto"
        Whether columns are scaled while learning, where the energy can take that back: ``"auto"``
        means so. Those of a Gaussian energy are mixed besides, to be uncorrelated, unless ``l2`` or
        ``fixed`` is about entries of its precision. ``params_`` are in units of the data in any
        case.
    tol : float, default=1e-06
        Largest slope of the loss at the end, over the root of its curvature by the same parameter,
        so that units do not matter. Newton's method goes on to where rounding ends it.
    max_iter : int, default=500
        Steps at the most.
    random_state : None, int, RandomState or Generator, default=None
        Seed of the noise, and of random starts.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting, -1 takes all. The bits are the same.

    Attributes
    ----------
    params_ : ndarray of shape (n_params,)
        The parameters theta, in units of the data.
    param_names_ : list of str
        Their names, such as ``"precision[0,1]"``.
    params_stderr_ : ndarray of shape (n_params,)
        Standard errors, 0 of fixed parameters, infinite of those that the rows do not determine;
        NaN where there are too many (more than 2,000; 500 of your own energies).
    params_cov_ : ndarray of shape (n_params, n_params)
        Their covariance.
    params_cov_data_, params_cov_noise_ : ndarray of shape (n_params, n_params) or None
        The parts of it that are owed to the data, and to the noise: only the second one shrinks
        with ``noise_ratio``.
    log_partition_ : LogPartition
        log Z as it was learned, with its standard error: method ``"nce"``; ``"importance"`` with
        conditional noise, as it is then estimated afterwards. :meth:`log_partition` of an energy
        without chains, with ``method="nce"`` or ``"auto"``, is by importance sampling from new
        rows of noise, and says ``"importance"`` too (``"exact"`` where log Z is known).
    noise_ : object
        The fitted noise.
    classifier_auc_ : float
        Chance that a row of data looks more like data than one of noise does: near 1/2 for noise
        near the data, which is best; above 0.99 a warning says so.
    loss_ : float
        The loss at the end, without penalties.
    n_iter_ : int
        Steps made.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had any.

    Notes
    -----
    A pass over the (1 + nu) n rows costs some k operations each for k parameters; a Newton step
    shares one curvature, of k^2 a row, with others. With noise equal to the data the variance of
    estimates is (1 + 1 / nu) times that of maximum likelihood; noise somewhat wider than the data
    costs less for scales. The noise is drawn once, so that the loss is a fixed function.

    Your own functions have to compute in float64 and to give each row an energy of its own, finite
    for rows of data; the search backs off from parameters where it is not. An evaluation of the
    loss calls the energy once for each row of data and noise, and 2k times more where slopes are
    central differences. A ``gradient`` saves these, but gives sums over rows only: with up to 30
    parameters the curvature that a search is scaled by, and with up to 500 the standard errors,
    take another 2k calls for each row and pass, of which standard errors make three. The first
    fit of a compiled energy takes some seconds to compile; loops on threads are compiled only if
    there are more than 16,384 rows, noise included.

    Standard errors are those of the sandwich I^-1 V I^-1, I the information of the classifier and
    V the variance of its slopes over data and noise. They hold if the model is right; ``l2`` biases
    estimates by what no error knows. Weights are counts.

    Noise that follows the rows it was fitted to (a kernel density, a mixture of many components)
    biases estimates: fit it to other rows, and give it as an object. Of models with too many
    parameters for a covariance the error of log Z is that of weights of the noise alone, and
    ``log_partition_.converged`` is false.

    Of a model that is wrong the log Z that is learned is not that of its energy, least so for large
    ``noise_ratio``. Weights of the noise give a second estimate; where both are more than four
    standard errors apart, a warning says so, and ``log_partition_.converged`` is false.

    Likelihoods share the error of the log Z that was learned, unless it is known in closed form
    (:meth:`score_samples`). A search over ``noise`` or ``noise_ratio`` takes the most flattering of
    these errors along: compare scores with the standard errors of ``log_partition_``, or with
    :meth:`log_partition` where an energy has chains. That error is one of log Z of the truth, data
    included; of the energy that was learned log Z is known better, the more so for a large ratio.

    Conditional noise steps from rows of the data, so that its density cancels. log Z is then not
    learned, but estimated afterwards against Gaussian noise.

    References
    ----------
    M. U. Gutmann, A. Hyvärinen (2012). Noise-contrastive estimation of unnormalized statistical
    models, with applications to natural image statistics. Journal of Machine Learning Research 13.

    C. Ceylan, M. U. Gutmann (2018). Conditional noise-contrastive estimation of unnormalised
    models. ICML.

    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, section 18.6.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import NCEEstimator
    >>> def energy(theta, X):
    ...     return theta[0] * X[:, 0] ** 4
    >>> X = np.random.default_rng(0).uniform(-1.5, 1.5, size=20000)
    >>> X = X[np.random.default_rng(1).random(20000) < np.exp(-(X**4))][:, None]
    >>> model = NCEEstimator(energy, init=[0.5], random_state=0).fit(X)
    >>> model.params_.round(1)
    array([1.])
    >>> round(model.log_partition_.value, 1)  # log of 2 Gamma(5 / 4) = 1.81
    0.6
    """

    def __init__(
        self,
        energy="gaussian",
        *,
        gradient=None,
        noise="auto",
        noise_ratio=10,
        noise_inflation=1.3,
        solver="auto",
        l2=0.0,
        fixed=None,
        init=None,
        standardize="auto",
        tol=1e-6,
        max_iter=500,
        random_state=None,
        n_jobs=None,
    ):
        self.energy = energy
        self.gradient = gradient
        self.noise = noise
        self.noise_ratio = noise_ratio
        self.noise_inflation = noise_inflation
        self.solver = solver
        self.l2 = l2
        self.fixed = fixed
        self.init = init
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs
