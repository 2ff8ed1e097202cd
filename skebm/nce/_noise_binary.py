"""Noises over binary states, coded as 0 and 1: independent variables, and a tree of them."""

import numbers
from abc import abstractmethod

import numpy as np
from scipy.special import xlogy

from skebm._jit import single_threaded_blas
from skebm._rng import host_generator
from skebm._validation import Number
from skebm.energies import IndependentBernoulli
from skebm.nce._noise import BINARY, Noise
from skebm.nce._sums import weighted_sum

_COMPONENT = 136  # purpose of random numbers

_LOG_2 = np.log(2.0)
_TINY = 1e-300  # what rounding leaves of an empty cell has a finite logarithm

# Digits of a mutual information that count: ties are told apart by columns, not by rounding.
_DIGITS = 12


class _PartlyUniform(Noise):
    """Binary noise, some rows of which are uniform over all states."""

    kinds = (BINARY,)
    bounded = True

    def _sample(self, n_samples, entropy):
        uniforms = self._generator(entropy).random((n_samples, self.n_features_in_))
        free = host_generator(entropy, _COMPONENT).random(n_samples) < self.uniform_share
        X = np.empty(uniforms.shape)
        X[free] = uniforms[free] < 0.5
        X[~free] = self._states(uniforms[~free])
        return X

    def _log_prob(self, X):
        own = self._log_share(X)
        if not self.uniform_share:
            return own
        uniform = np.log(self.uniform_share) - X.shape[1] * _LOG_2
        return np.logaddexp(np.log1p(-self.uniform_share) + own, uniform)

    @abstractmethod
    def _states(self, uniforms):
        """Draws of what is not uniform, from uniforms of the same shape."""

    @abstractmethod
    def _log_share(self, X):
        """Log-probabilities of what is not uniform."""


class BernoulliNoise(_PartlyUniform):
    """Independent binary variables with the means of the data, mixed with uniform noise.

    Parameters
    ----------
    shrinkage : float, default=0.1
        Share of fair coins in each mean, in (0, 1], so that no value is excluded; 1 is uniform
        noise.
    uniform_share : float, default=0.3
        Share of rows that are uniform over all states, in [0, 1). Of a few strongly coupled
        variables uniform noise tells more than their means do, of many hardly anything; with some
        of both kinds of rows neither can do much harm.

    Attributes
    ----------
    means_ : ndarray of shape (n_features,)
        Probabilities of a one in rows that are not uniform.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    M. U. Gutmann, A. Hyvärinen (2012). Noise-contrastive estimation of unnormalized statistical
    models, with applications to natural image statistics. JMLR 13, theorem 3.

    Examples
    --------
    >>> from skebm.nce import BernoulliNoise
    >>> noise = BernoulliNoise(0.5, uniform_share=0.0).fit([[0, 1], [0, 0]])
    >>> noise.means_
    array([0.25, 0.5 ])
    >>> noise.log_prob([[0, 1]]).round(6)  # log(3 / 8)
    array([-0.980829])
    """

    _rules = {  # noqa: RUF012
        "shrinkage": Number(numbers.Real, 0, 1, above=True),
        "uniform_share": Number(numbers.Real, 0, 1, below=True),
    }

    def __init__(self, shrinkage=0.1, *, uniform_share=0.3):
        self.shrinkage = shrinkage
        self.uniform_share = uniform_share

    def _fit(self, X, weights):
        means = weighted_sum(weights / weights.sum(), X)
        self.means_ = (1.0 - self.shrinkage) * means + 0.5 * self.shrinkage
        self._variables = IndependentBernoulli.from_marginals(self.means_)

    def _states(self, uniforms):
        return uniforms < self.means_

    def _log_share(self, X):
        with single_threaded_blas:
            return self._variables.log_density(X)


class ChowLiuNoise(_PartlyUniform):
    """The tree of binary variables that is nearest to the data, mixed with uniform noise.

    Of all distributions in which a variable depends on one other, it has the largest likelihood:
    the spanning tree of largest total mutual information.

    Parameters
    ----------
    uniform_share : float, default=0.3
        Share of rows that are uniform over all states, in (0, 1). Without them states that the
        tree excludes would have no noise.

    Attributes
    ----------
    parents_ : ndarray of shape (n_features,), int
        The variable that each depends on, -1 of the root.
    conditionals_ : ndarray of shape (n_features, 2)
        Probabilities of a one where the parent is 0, and where it is 1.
    n_features_in_ : int
        Number of columns.

    Notes
    -----
    A fit costs a product of the data with themselves, n_samples x n_features^2.

    References
    ----------
    C. K. Chow, C. N. Liu (1968). Approximating discrete probability distributions with dependence
    trees. IEEE Transactions on Information Theory 14.

    Examples
    --------
    >>> from skebm.nce import ChowLiuNoise
    >>> noise = ChowLiuNoise(0.1).fit([[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]])
    >>> noise.parents_[:2], noise.conditionals_[1]
    (array([-1,  0]), array([0., 1.]))
    >>> round(float(noise.log_prob([[1, 1, 0]])[0]), 6)  # log(0.9 / 4 + 0.1 / 8)
    -1.437588
    """

    _rules = {"uniform_share": Number(numbers.Real, 0, 1, above=True, below=True)}  # noqa: RUF012

    def __init__(self, uniform_share=0.3):
        self.uniform_share = uniform_share

    def _fit(self, X, weights):
        with single_threaded_blas:
            both = X.T @ (X * (weights / weights.sum())[:, None])
        means = np.clip(both.diagonal(), 0.0, 1.0)
        self._order, self.parents_ = _tree(_mutual_information(both, means))
        parents = np.maximum(self.parents_, 0)
        joint, of_parent = both[np.arange(len(means)), parents], means[parents]
        with np.errstate(divide="ignore", invalid="ignore"):
            conditionals = np.stack(
                [(means - joint) / (1.0 - of_parent), joint / of_parent], axis=1
            )
        unseen = np.stack([of_parent >= 1.0, of_parent <= 0.0], axis=1)
        unseen |= self.parents_[:, None] < 0
        self.conditionals_ = np.clip(np.where(unseen, means[:, None], conditionals), 0.0, 1.0)

    def _states(self, uniforms):
        X = np.zeros(uniforms.shape)
        for i in self._order:
            X[:, i] = uniforms[:, i] < self._given(i, X[:, self.parents_[i]])
        return X

    def _given(self, i, parent):
        return np.where(parent == 1, self.conditionals_[i, 1], self.conditionals_[i, 0])

    def _log_share(self, X):
        tree = np.zeros(len(X))
        with np.errstate(divide="ignore"):
            for i in self._order:
                p = self._given(i, X[:, self.parents_[i]])
                tree += np.log(np.where(X[:, i] == 1, p, 1.0 - p))
        return tree


def _mutual_information(both, means):
    """(p, p) nats, from E[x_i x_j] and E[x_i]."""
    a, b = means[:, None], means[None, :]
    total = np.zeros(both.shape)
    for joint, p, q in (
        (both, a, b), (a - both, a, 1.0 - b), (b - both, 1.0 - a, b),
        (1.0 - a - b + both, 1.0 - a, 1.0 - b),
    ):  # fmt: skip
        joint = np.clip(joint, 0.0, 1.0)
        total += xlogy(joint, joint) - xlogy(joint, np.maximum(p * q, _TINY))
    return np.round(np.maximum(total, 0.0), _DIGITS)


def _tree(information):
    """Variables in an order where parents come first, and the parent of each, -1 of the root."""
    # only here: they take longer to import than the package
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    p = len(information)
    if p == 1:
        return np.zeros(1, dtype=np.int64), np.full(1, -1, dtype=np.int64)
    costs = np.triu(1.0 + information.max() - information, 1)  # zeros would be missing edges
    order, parents = breadth_first_order(minimum_spanning_tree(costs), 0, directed=False)
    return order.astype(np.int64), np.where(parents < 0, -1, parents).astype(np.int64)
