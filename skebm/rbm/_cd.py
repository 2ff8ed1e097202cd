"""Contrastive divergence: chains start at the minibatch, every time."""

from skebm.criteria import FROM_DATA
from skebm.rbm._chains import ChainRBM


class CDRBM(ChainRBM):
    """Bernoulli RBM trained by contrastive divergence (CD-k).

    The chains of every negative phase start at the minibatch and take k Gibbs steps. Cheap and
    steady; the model it finds can put probability on states far from the data that no chain
    reaches, which persistent chains notice.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.1
        Step along the gradient of the mean log-likelihood per row; positive.
    batch_size : int, default=10
        Rows of a minibatch. Minibatches differ by one row at most, so none is short.
    n_iter : int, default=10
        Epochs, passes over the data in a new order; 0 gives (nearly) independent units.
    verbose : int or bool, default=0
        Print a line per epoch. Never changes the result.
    random_state : None, int, RandomState or Generator, default=None
        Seed of weights, shuffles and chains. The same seed gives the same bits for any number
        of threads.
    n_gibbs_steps : int or "exact", default=5
        Gibbs steps k of every negative phase. ``"exact"`` sums over all states of the smaller
        layer instead, for true maximum likelihood by steps along its gradient.
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
        None takes values in [0, 1] as probabilities (mean-field data); scores of values strictly
        between are then no likelihoods and do not compare with those of binary data.
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
        ``log_pseudolikelihood`` (exact, nats per row), ``free_energy_gap`` (of up to 512
        chains over the rows) and ``reconstruction_error`` (squared, of the mean field). With
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
    An update costs (3 + 2k) products of a minibatch (or the chains) with the weights, that is
    2 (3 + 2k) · batch_size · n_features · n_components operations, in float32 if X is float32.
    Binary states are kept as bits and their products are sums of looked-up rows, or of single
    rows where less than 22 % of the units are on.
    Memory: the data as bits (or as CSR), some seven times the weights (ten with momentum), and
    about a float32 row for each row of a minibatch and each chain.

    References
    ----------
    G. E. Hinton (2002). Training products of experts by minimizing contrastive divergence.
    Neural Computation 14(8). https://doi.org/10.1162/089976602760128018

    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, algorithm 18.2.

    Examples
    --------
    >>> from skebm import CDRBM
    >>> from skebm.datasets import make_bars_and_stripes
    >>> X = make_bars_and_stripes(200, size=3, random_state=0).data
    >>> model = CDRBM(8, n_iter=20, random_state=0).fit(X)
    >>> model.score_samples(X).shape
    (200,)
    >>> model.score(X) > -6.24  # independent units
    True
    """

    _start = FROM_DATA
