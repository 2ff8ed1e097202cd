"""Pseudolikelihood: each unit given all others."""

from skebm.criteria import PSEUDOLIKELIHOOD
from skebm.rbm._flips import FlipRBM


class PseudoLikelihoodRBM(FlipRBM):
    """Bernoulli RBM trained by maximum pseudolikelihood.

    The sum of log p(x_i | all others) needs neither log Z nor chains, and its gradient is exact:
    minibatches are the only noise. Consistent, if the data come from an RBM of this size. What it
    learns is conditionals, so that modes far apart may get any weights.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.2
        Step along the gradient of the mean log-pseudolikelihood per row; positive.
    batch_size : int, default=10
        Rows of a minibatch. Minibatches differ by one row at most, so none is short.
    n_iter : int, default=10
        Epochs, passes over the data in a new order; 0 gives (nearly) independent units.
    verbose : int or bool, default=0
        Print a line per epoch. Never changes the result.
    random_state : None, int, RandomState or Generator, default=None
        Seed of weights, shuffles and chains. The same seed gives the same bits for any number
        of threads.
    center : bool, default=True
        Subtract offsets from both layers in the gradient (the training mean from the visible
        one, a moving mean of P(h = 1 | data) from the hidden one): the model is the same, the
        path to it is shorter.
    learning_rate_schedule : {"constant", "linear", "geometric"}, default="geometric"
        How the rate falls over ``n_iter``: not at all, to zero, or flat for one half and then
        geometrically to 1 %.
    momentum : float, default=0.0
        Share of the last step that is taken again, in [0, 1).
    weight_decay : float, default=0.0
        L2 penalty on the weights, not on the biases.
    l1 : float, default=0.0
        L1 penalty on the weights; a weight that it drives to zero does not overshoot.
    binarize : float or None, default=0.5
        Values above it count as 1, the others as 0; 0.5 suits {0, 1}, {-1, 1} and booleans.
        None takes values in [0, 1] as they are, of which only 0 and 1 can be learned from here.
    track_log_partition : bool, default=False
        Whether ``history_`` shows log Z after every epoch, and the likelihood of the few training
        rows that are measured: good for the shape of the curve, ``score`` tells its level. It
        takes about a tenth more time (epochs of a few milliseconds take one more).
    warm_start : bool, default=False
        Whether ``fit`` goes on from the last one.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting, -1 takes all.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights W.
    intercept_visible_ : ndarray of shape (n_features,)
        Visible biases b.
    intercept_hidden_ : ndarray of shape (n_components,)
        Hidden biases c.
    log_partition_ : LogPartition
        log Z that likelihoods are normalised with, computed at first use.
    visible_mean_ : ndarray of shape (n_features,)
        Means of the training data, clipped away from 0 and 1; the base of AIS.
    history_ : dict of ndarray of shape (n_iter_,)
        Per epoch: ``learning_rate``, ``weight_norm``, and measured on 16 to 128 training rows
        ``log_pseudolikelihood`` (exact, nats per row) and ``reconstruction_error`` (squared, of
        the mean field); no ``free_energy_gap``, which takes chains. With
        ``track_log_partition`` also ``log_likelihood`` of those rows, ``log_partition`` and its
        standard error ``log_partition_stderr``, exact (0) or by chains that follow the model,
        and ``log_partition_converged``, 0 where these have lost the model.
    n_iter_ : int
        Epochs made.
    n_features_in_ : int
        Number of visible units.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had any.

    Notes
    -----
    An update takes the exact gradient: it costs about a hundred operations for each row of the
    minibatch and each weight, one division among them; nothing of that size is stored. It takes
    longer than ``log_pseudolikelihood`` of the same rows, the more so the larger the model is and
    the smaller the minibatch. float32 is quicker.
    Memory: the data as bits (or as CSR), some eight times the weights, and three times the rows
    of a minibatch and of P(h = 1 | v).

    References
    ----------
    J. Besag (1975). Statistical analysis of non-lattice data. The Statistician 24(3).
    https://doi.org/10.2307/2987782

    B. Marlin, K. Swersky, B. Chen, N. de Freitas (2010). Inductive principles for restricted
    Boltzmann machine learning. AISTATS.

    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, equation 18.20.

    Examples
    --------
    >>> from skebm import PseudoLikelihoodRBM
    >>> from skebm.datasets import make_bars_and_stripes
    >>> X = make_bars_and_stripes(200, size=3, random_state=0).data
    >>> model = PseudoLikelihoodRBM(8, n_iter=20, random_state=0).fit(X)
    >>> model.score_samples(X).shape
    (200,)
    >>> model.score(X) > -6.24  # independent units
    True
    """

    _kind = PSEUDOLIKELIHOOD

    def __init__(
        self,
        n_components=256,
        *,
        learning_rate=0.2,
        batch_size=10,
        n_iter=10,
        verbose=0,
        random_state=None,
        center=True,
        learning_rate_schedule="geometric",
        momentum=0.0,
        weight_decay=0.0,
        l1=0.0,
        binarize=0.5,
        track_log_partition=False,
        warm_start=False,
        n_jobs=None,
    ):
        super().__init__(
            n_components,
            learning_rate=learning_rate,
            batch_size=batch_size,
            n_iter=n_iter,
            verbose=verbose,
            random_state=random_state,
            center=center,
            learning_rate_schedule=learning_rate_schedule,
            momentum=momentum,
            weight_decay=weight_decay,
            l1=l1,
            binarize=binarize,
            track_log_partition=track_log_partition,
            warm_start=warm_start,
            n_jobs=n_jobs,
        )
