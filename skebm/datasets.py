"""Binary data whose distribution is known, to measure an estimator against the truth."""

import numbers

import numpy as np
from scipy.special import logsumexp
from sklearn.utils import Bunch

from skebm._lattices import MOST_ACROSS, Strip, lattice_edges, regular_edges
from skebm._rng import draw_entropy, host_generator
from skebm._validation import (
    Choice,
    Flag,
    Number,
    RandomState,
    check_parameters,
    positive_integer,
)
from skebm.energies import Ising

__all__ = ["make_bars_and_stripes", "make_ising", "make_rbm"]

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


def make_ising(
    n_samples=1000, *, graph="lattice", size=4, coupling=0.4, glass=False, field=0.0,
    periodic=True, random_state=None,
):  # fmt: skip
    """Exact draws from an Ising model on a graph, whose log Z and entropy are known.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    graph : {"lattice", "regular", "complete"}, default="lattice"
        A square lattice; a random graph of degree 3; all pairs.
    size : int or tuple of two int, default=4
        Of a lattice both sides, an int being both, whose spins are numbered along the shorter
        one first; else the number of spins, which is even for ``"regular"``. At most 20 spins,
        but a lattice that is not ``periodic`` may have 12 of them along its shorter side.
    coupling : float, default=0.4
        Strength of every coupling; of a complete graph their standard deviation, times the
        square root of the number of spins.
    glass : bool, default=False
        Whether each coupling has a sign drawn at random; on a complete graph they always have.
    field : float, default=0.0
        Field on every spin.
    periodic : bool, default=True
        Whether a lattice is a torus, of at least three rows and columns, or has free ends.
    random_state : None, int, RandomState or Generator, default=None
        Seed; None differs at every call.

    Returns
    -------
    Bunch
        ``data`` (n_samples, n_features) of -1 and 1; ``coupling`` (n_features, n_features) and
        ``field`` (n_features,) as ``from_parameters`` takes them; ``log_partition`` and
        ``entropy`` in nats, by enumeration or, of larger lattices, by their transfer matrix.

    Raises
    ------
    ValueError
        If the model is too large to be drawn from exactly.

    Examples
    --------
    >>> from skebm.datasets import make_ising
    >>> torus = make_ising(100, size=4, coupling=0.3, random_state=0)
    >>> torus.data.shape, round(torus.log_partition, 9)
    ((100, 16), 12.785523326)
    """
    rules = {
        "n_samples": positive_integer(),
        "graph": Choice(("lattice", "regular", "complete")),
        "coupling": Number(numbers.Real),
        "glass": Flag(),
        "field": Number(numbers.Real),
        "periodic": Flag(),
        "random_state": RandomState(),
    }
    check_parameters(rules, {k: v for k, v in locals().items() if k in rules}, "make_ising")
    shape, generator = _shape(graph, size, periodic), host_generator(draw_entropy(random_state))
    n = int(np.prod(shape))
    if graph == "lattice":
        edges = lattice_edges(*shape, periodic)
    elif graph == "regular":
        edges = regular_edges(n, 3, generator)
    else:
        edges = np.column_stack(np.triu_indices(n, 1))
    strengths = np.full(len(edges), float(coupling))
    if graph == "complete":
        strengths *= generator.normal(size=len(edges)) / np.sqrt(n)
    elif glass:
        strengths *= generator.choice([-1.0, 1.0], len(edges))
    J, h = np.zeros((n, n)), np.full(n, float(field))
    J[edges[:, 0], edges[:, 1]] = J[edges[:, 1], edges[:, 0]] = strengths
    if n > _MAX_STATES_BITS:
        strip = Strip(J, h, *shape)
        data, log_partition, entropy = (
            strip.sample(n_samples, generator), strip.log_partition, strip.entropy
        )  # fmt: skip
    else:
        energy = Ising(J, h)
        data = energy.exact_sample(n_samples, draw_entropy(generator))
        log_partition, gradient = energy.exact_moments()
        entropy = log_partition - np.append(h, J[np.triu_indices(n, 1)]) @ gradient
    return Bunch(
        data=data, coupling=J, field=h, log_partition=log_partition, entropy=float(entropy)
    )


def _shape(graph, size, periodic):
    """Rows and columns of a lattice, the shorter side last, or (number of spins,)."""
    pair = (size, size) if graph == "lattice" and not isinstance(size, tuple | list) else size
    shape = tuple(pair) if isinstance(pair, tuple | list) else (pair,)
    expected = 2 if graph == "lattice" else 1
    if len(shape) != expected or not all(
        isinstance(each, numbers.Integral) and not isinstance(each, bool) for each in shape
    ):
        kind = "an integer or two" if graph == "lattice" else "an integer"
        raise TypeError(f"make_ising: size must be {kind} for graph={graph!r}, got {size!r}.")
    shape, n = tuple(sorted(map(int, shape), reverse=True)), int(np.prod(shape))
    least = {"lattice": 3 if periodic else 1, "regular": 4, "complete": 1}[graph]
    if shape[-1] < least or (graph == "regular" and n % 2):
        raise ValueError(
            f"make_ising: size must be at least {least}"
            f"{' and even' if graph == 'regular' else ''} for graph={graph!r}, got {size!r}."
        )
    if n > _MAX_STATES_BITS and (graph != "lattice" or periodic or shape[-1] > MOST_ACROSS):
        raise ValueError(
            f"make_ising: at most {_MAX_STATES_BITS} spins, or a lattice with periodic=False and "
            f"at most {MOST_ACROSS} spins along its shorter side; got graph={graph!r}, "
            f"size={size!r}, periodic={periodic}."
        )
    return shape


def _all_states(n):
    """(2^n, n) float64 table of 0 and 1."""
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
