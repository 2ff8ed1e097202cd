"""Binary data whose distribution is known, to measure an estimator against the truth."""

import numbers

import numpy as np
from scipy.special import logsumexp
from sklearn.utils import Bunch

from skebm._rng import draw_entropy, host_generator
from skebm._validation import Number, RandomState, check_parameters, positive_integer

__all__ = ["make_bars_and_stripes", "make_rbm"]

_MAX_STATES_BITS = 20


def make_bars_and_stripes(n_samples=1000, *, size=4, random_state=None):
    """Images of bars or stripes: an orientation is drawn, then every line is on or off.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of images.
    size : int, default=4
        Lines of a square image, at least 2.
    random_state : None, int, RandomState or Generator, default=None
        Seed; None differs at every call.

    Returns
    -------
    Bunch
        ``data`` (n_samples, size²) of 0 and 1, ``patterns`` (2^(size+1) - 2, size²) all distinct
        images, ``probabilities`` of those, and ``entropy``, (n+1) log 2 - 2^(1-n) log 2 nats for
        n = ``size``: no model has a higher expected log-likelihood than its negative.

    References
    ----------
    D. J. C. MacKay (2003). Information Theory, Inference, and Learning Algorithms, section 43.1.

    Examples
    --------
    >>> from skebm.datasets import make_bars_and_stripes
    >>> problem = make_bars_and_stripes(5, size=4, random_state=0)
    >>> problem.data.shape, round(problem.entropy, 6)
    ((5, 16), 3.379093)
    """
    rules = {
        "n_samples": positive_integer(),
        "size": Number(numbers.Integral, 2, 12),
        "random_state": RandomState(),
    }
    values = {"n_samples": n_samples, "size": size, "random_state": random_state}
    check_parameters(rules, values, "make_bars_and_stripes")
    lines = _all_states(size)
    stripes = np.repeat(lines, size, axis=1)
    bars = np.tile(lines, (1, size))
    everything = np.vstack([stripes, bars])
    generator = host_generator(draw_entropy(random_state))
    patterns, counts = np.unique(everything, axis=0, return_counts=True)
    return Bunch(
        data=everything[generator.integers(len(everything), size=n_samples)],
        patterns=patterns,
        probabilities=counts / len(everything),
        entropy=float((size + 1) * np.log(2) - 2.0 ** (1 - size) * np.log(2)),
    )


def make_rbm(n_samples=1000, *, n_features=12, n_components=8, scale=1.0, random_state=None):
    """Exact draws from a random RBM whose log Z and entropy are known.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features, n_components : int, default=12, 8
        Sizes of the visible and the hidden layer; the visible one has at most 20 units.
    scale : float, default=1.0
        Standard deviation of the weights, and of the biases around the values that make both
        states of a unit equally likely when the other layer is half on.
    random_state : None, int, RandomState or Generator, default=None
        Seed; None differs at every call.

    Returns
    -------
    Bunch
        ``data`` (n_samples, n_features) of 0 and 1; ``components``, ``intercept_visible`` and
        ``intercept_hidden`` as ``from_parameters`` takes them; ``log_partition`` and ``entropy``
        in nats, by enumeration.

    Examples
    --------
    >>> from skebm import PCDRBM
    >>> from skebm.datasets import make_rbm
    >>> truth = make_rbm(10, random_state=0)
    >>> model = PCDRBM.from_parameters(
    ...     truth.components, truth.intercept_visible, truth.intercept_hidden)
    >>> bool(abs(model.log_partition_.value - truth.log_partition) < 1e-9)
    True
    """
    rules = {
        "n_samples": positive_integer(),
        "n_features": Number(numbers.Integral, 1, _MAX_STATES_BITS),
        "n_components": positive_integer(),
        "scale": Number(numbers.Real, 0),
        "random_state": RandomState(),
    }
    check_parameters(rules, {k: v for k, v in locals().items() if k in rules}, "make_rbm")
    generator = host_generator(draw_entropy(random_state))
    W = generator.normal(0.0, scale, (n_components, n_features))
    # Without the half-sums most units would stick to one state and couplings would not matter.
    b = generator.normal(0.0, scale, n_features) - W.sum(axis=0) / 2
    c = generator.normal(0.0, scale, n_components) - W.sum(axis=1) / 2
    states = _all_states(n_features)
    log_weights = states @ b + np.logaddexp(0.0, states @ W.T + c).sum(axis=1)
    log_partition = float(logsumexp(log_weights))
    probabilities = np.exp(log_weights - log_partition)
    chosen = generator.choice(len(states), n_samples, p=probabilities / probabilities.sum())
    return Bunch(
        data=states[chosen],
        components=W,
        intercept_visible=b,
        intercept_hidden=c,
        log_partition=log_partition,
        entropy=float(-(probabilities * (log_weights - log_partition)).sum()),
    )


def _all_states(n):
    """(2^n, n) float64 table of 0 and 1."""
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
