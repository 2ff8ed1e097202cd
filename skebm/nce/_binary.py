"""Energies of binary data: Ising models and restricted Boltzmann machines."""

import numpy as np
from scipy.special import logit

from skebm._rng import host_generator
from skebm._validation import positive_integer
from skebm.criteria.noise_contrastive import Hidden, Quadratic
from skebm.energies import BernoulliRBM, Ising
from skebm.nce._family import BINARY, Family, indexed
from skebm.nce._sums import weighted_sum

_START = 124  # purpose of random numbers

# Size of the weights that a search begins with.
_WEIGHTS = 0.1


def _means(Z, weights):
    """Column means of 0 and 1, kept from both by half a row."""
    return (weighted_sum(weights, Z) + 0.5) / (weights.sum() + 1.0)


class IsingModel(Family):
    """E(s) = -sum_i h_i s_i - sum_{i<j} J_ij s_i s_j of spins s = 2 x - 1: ``"ising"``.

    Parameters are the fields h, then the couplings J above the diagonal.
    """

    kind = BINARY

    def form(self, p):
        """Fields and couplings."""
        return Quadratic(p, diagonal=False, sign=-1.0)

    def names(self, p):
        """field[i], coupling[i,j]."""
        return indexed("field", np.arange(p)) + indexed("coupling", *np.triu_indices(p, 1))

    def rows(self, X):
        """Spins."""
        return 2.0 * X - 1.0

    def penalised(self, p):
        """The couplings."""
        return np.arange(p * (p + 1) // 2) >= p

    def start(self, Z, weights, entropy):
        """Independent spins."""
        field = 0.5 * logit(_means((Z + 1.0) / 2.0, weights))
        p = len(field)
        log_z = float(np.logaddexp(field, -field).sum())
        return np.append(field, np.zeros(p * (p - 1) // 2)), -log_z

    def energy(self, params, p):
        """The Ising model with these parameters."""
        J = np.zeros((p, p))
        J[np.triu_indices(p, 1)] = params[p:]
        return Ising(J + J.T, params[:p])


class RBM(Family):
    """Free energy of a Bernoulli RBM: ``"rbm"`` with the default number of hidden units.

    E(v) = -b.v - sum_j log(1 + exp(c_j + w_j.v)).

    Parameters
    ----------
    n_components : int, default=8
        Hidden units.

    Notes
    -----
    Parameters are the weights w_j one after the other, the visible biases b, and the hidden ones
    c. The order of hidden units means nothing. The loss is not convex; the search begins with
    small random weights.

    Examples
    --------
    >>> from skebm import PCDRBM, NCEEstimator
    >>> from skebm.nce import RBM
    >>> truth = PCDRBM.from_parameters([[2.0, -1.5, 1.0, 1.0]], [-0.5, 0.5, 0.0, 0.0], [0.3])
    >>> X = truth.sample(3000, random_state=0)
    >>> model = NCEEstimator(RBM(1), random_state=0).fit(X)
    >>> found, exact = model.log_partition_, model.log_partition("exact")
    >>> bool(abs(found.value - exact.value) < 3 * found.stderr)
    True
    """

    kind = BINARY
    _rules = {"n_components": positive_integer()}  # noqa: RUF012

    def __init__(self, n_components=8):
        self.n_components = n_components

    def form(self, p):
        """Hidden units."""
        return Hidden(self.n_components, p)

    def names(self, p):
        """components[j,i], intercept_visible[i], intercept_hidden[j]."""
        m = self.n_components
        names = indexed("components", *np.indices((m, p)))
        names += indexed("intercept_visible", np.arange(p))
        return names + indexed("intercept_hidden", np.arange(m))

    def penalised(self, p):
        """The weights."""
        m = self.n_components
        return np.arange(m * p + m + p) < m * p

    def start(self, Z, weights, entropy):
        """Small random weights, balanced hidden units, and the biases of independent units."""
        m, p = self.n_components, Z.shape[1]
        means = _means(Z, weights)
        W = _WEIGHTS * host_generator(entropy, _START).standard_normal((m, p))
        b = logit(means) - 0.5 * W.sum(axis=0)
        return np.concatenate([W.ravel(), b, -weighted_sum(means, W.T)]), None

    def energy(self, params, p):
        """The RBM with these parameters."""
        m = self.n_components
        W, b, c = np.split(params, [m * p, m * p + p])
        return BernoulliRBM(W.reshape(m, p), b, c)
