"""RBMs whose log Z is known: by enumeration, or because they are a model that was solved.

A family is a function that returns a :class:`Known`, computed once in a process. Families differ
in what makes AIS hard: learned weights, frustration, separated modes, correlations over a lattice.
Their parameters are float32, as after a fit of float32 data.
"""

import functools
from typing import NamedTuple

import numpy as np

from benchmarks.adapters.numpy import log_sum
from benchmarks.data import load
from benchmarks.scoring import Parameters


class Known(NamedTuple):
    """Parameters, their log Z in nats, and means that AIS starts from; None: the visible biases."""

    parameters: Parameters
    log_z: float
    means: np.ndarray | None = None

    @property
    def base(self):
        """The means as ``log_partition`` takes them."""
        return "biases" if self.means is None else self.means


# -- learned ---------------------------------------------------------------------------------


@functools.cache
def digits():
    """64 × 14, learned from the embedded digits; the base is the means of these."""
    model = _trained(load("digits", None).train, n_components=14, n_iter=30)
    parameters = _parameters(model)
    return Known(parameters, enumerated(parameters), model.visible_mean_)


@functools.cache
def mnist(folder):
    """784 × 20, learned from MNIST at 128; skebm itself sums its million hidden states."""
    X = load("mnist", folder).train
    model = _trained(X, n_components=20, n_iter=3, batch_size=100)
    return Known(_parameters(model), model.log_partition("exact").value, model.visible_mean_)


def _trained(X, **params):
    from skebm import PCDRBM  # only here: a peer that is timed does without

    return PCDRBM(**params, random_state=0, n_jobs=1).fit(X)


def _parameters(model):
    return Parameters(model.components_, model.intercept_visible_, model.intercept_hidden_)


# -- drawn -----------------------------------------------------------------------------------


@functools.cache
def glass(n_visible=60, n_hidden=16, scale=0.35):
    """Normal couplings of either sign, which no state can satisfy all."""
    generator = np.random.default_rng(1)
    return _drawn(generator.normal(0.0, scale, (n_hidden, n_visible)), generator)


@functools.cache
def planted(n_visible=60, n_patterns=4, units=3, strength=0.25):
    """Random patterns, each favoured by a few hidden units, and some noise on the weights."""
    generator = np.random.default_rng(2)
    patterns = generator.choice([-1.0, 1.0], (n_patterns, n_visible))
    weights = strength * np.repeat(patterns, units, axis=0)
    return _drawn(weights + generator.normal(0.0, 0.1, weights.shape), generator)


def _drawn(W, generator):
    """With biases that leave the spins 2 v - 1 and 2 h - 1 no field but a random one."""
    b = generator.normal(0.0, 0.3, W.shape[1]) - W.sum(axis=0) / 2.0
    c = generator.normal(0.0, 0.3, W.shape[0]) - W.sum(axis=1) / 2.0
    parameters = _in_float32(Parameters(W, b, c))
    return Known(parameters, enumerated(parameters))


def enumerated(parameters):
    """log Z in nats: NumPy's sum over all hidden states."""
    return float(log_sum(parameters, 2 ** len(parameters.c)))


def _in_float32(parameters):
    return Parameters(*(np.asarray(array, np.float32) for array in parameters))


# -- solved ----------------------------------------------------------------------------------


@functools.cache
def lattice(n_rows=8, n_columns=8, coupling=0.2):
    """An Ising model on a torus, a hidden unit per edge; the base is its means, all one half.

    Rounding to float32 moves log Z by some 1e-6 nats.
    """
    parameters, shift = lattice_rbm(n_rows, n_columns, coupling)
    log_z = ising_log_partition(n_rows, n_columns, coupling) + shift
    return Known(_in_float32(parameters), log_z, np.full(n_rows * n_columns, 0.5))


def lattice_rbm(n_rows, n_columns, coupling):
    """Float64 parameters of an RBM of that lattice, and its log Z less that of the spins.

    A hidden unit with weights w, w to the ends of an edge and bias -w adds g(x + y) with
    g(m) = log(1 + e^{w m - w}), a coupling g(2) - 2 g(1) + g(0) = 2 log cosh(w / 2) of x and y.
    With spins s = 2 x - 1 the edge shall add K s s' = 4 K x y - 2 K (x + y) + K, so w follows
    from K, what differs linearly goes to the visible biases, and what is constant to log Z.
    """
    edges = torus_edges(n_rows, n_columns)
    weight = 2.0 * np.arccosh(np.exp(2.0 * coupling))
    W = np.zeros((len(edges), n_rows * n_columns))
    np.add.at(W, (np.arange(len(edges))[:, None], edges), weight)
    off, one = np.logaddexp(0.0, [-weight, 0.0])  # g(0) and g(1)
    degrees = np.bincount(edges.ravel(), minlength=W.shape[1])
    b = -degrees * (one - off + 2.0 * coupling)
    return Parameters(W, b, np.full(len(edges), -weight)), len(edges) * (off - coupling)


def torus_edges(n_rows, n_columns):
    """(2 n_rows n_columns, 2) sites of all edges, every site with its right and lower neighbour."""
    sites = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    right, below = np.roll(sites, -1, axis=1), np.roll(sites, -1, axis=0)
    return np.stack([np.tile(sites.ravel(), 2), np.append(right, below)], axis=1)


def ising_log_partition(n_rows, n_columns, coupling):
    """log Z of Ising spins on a torus without a field, in nats.

    B. Kaufman (1949). Crystal statistics II. Physical Review 76.
    https://doi.org/10.1103/PhysRev.76.1232
    """
    n, m, double = n_rows, n_columns, 2.0 * coupling
    index = np.arange(2 * n)
    cosh = np.cosh(double) ** 2 / np.sinh(double) - np.cos(np.pi * index / n)
    gamma = np.arccosh(np.maximum(cosh, 1.0))
    gamma[0] = double + np.log(np.tanh(coupling))  # with its sign, negative at weak couplings
    half = m * gamma / 2.0
    size = np.abs(half)
    with np.errstate(divide="ignore"):  # at the critical coupling one sine is zero
        cosines, sines = (size + np.log1p(sign * np.exp(-2.0 * size)) for sign in (1.0, -1.0))
    products = [part[parity::2].sum() for parity in (1, 0) for part in (cosines, sines)]
    signs = np.array([1.0, 1.0, 1.0, np.sign(half[0])])
    total = np.log(signs @ np.exp(products - np.max(products))) + np.max(products)
    return float(total - np.log(2.0) + n * m / 2.0 * np.log(2.0 * np.sinh(double)))


FAMILIES = {"digits": digits, "glass": glass, "planted": planted, "lattice": lattice}
