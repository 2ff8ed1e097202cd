"""Standard errors of couplings and fields: the sandwich of Godambe and Huber.

An estimate theta is a root of the mean over rows of scores g_n(theta), plus the slope of a ridge.
Row n moves it by its *influence* phi_n = -H^-1 (g_n - mean of g), where H is the mean curvature
plus the ridge's, and Var(theta) = sum_n w_n phi_n^2 / W^2 for weights that are counts, of sum W.
The criteria are sums over conditionals: with t_i = s_i (sum_j J_ij s_j + h_i), conditional i adds
f'(t_i) s_i s_j to the score of J_ij and f'(t_i) s_i to that of h_i, and f''(t_i) s_j s_k to the
curvature of J_ij and J_ik.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from skebm._jit import single_threaded_blas
from skebm.criteria.spins import LOSSES, ConditionalLoss
from skebm.energies._ising_moments import spin_log_weights, spins_of

# Numbers in the curvatures together: 1.6 GB.
MOST_NUMBERS = 200_000_000

# Spins up to which the curvature of the likelihood is summed over all states.
MOST_SPINS = 20

# Numbers that are worked on together.
_BLOCK = 4_000_000

# Share of a parameter's curvature that must not be explained by the other parameters.
_UNEXPLAINED = 1e-11


class Model(NamedTuple):
    """What has been estimated.

    ``C`` (p, p + 1) coefficients of the conditionals; ``free`` (p, p + 1) bool, those estimated,
    no field being so whose conditional was not; ``ridge`` (p, p + 1) second derivatives of the
    penalty on each conditional; ``joint`` whether both orders of a pair are one parameter.
    """

    C: np.ndarray
    free: np.ndarray
    ridge: np.ndarray
    joint: bool


class Pairs(NamedTuple):
    """Numbers of the parameters of a joint model: fields, then pairs ``first`` < ``second``."""

    fields: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, free):
        """The free parameters of a model."""
        return cls(np.flatnonzero(free[:, -1]), *np.nonzero(np.triu(free[:, :-1], 1)))

    def __len__(self):
        return len(self.fields) + len(self.first)

    def numbers(self, p):
        """(p, p + 1), the place of every coefficient among the parameters; -1 if it has none."""
        numbers = np.full((p, p + 1), -1)
        numbers[self.fields, -1] = np.arange(len(self.fields))
        numbers[self.first, self.second] = np.arange(len(self.fields), len(self))
        numbers[self.second, self.first] = numbers[self.first, self.second]
        return numbers

    def matrices(self, variances, p):
        """Square roots as couplings (p, p) and fields (p,)."""
        J, h, errors = np.zeros((p, p)), np.zeros(p), np.sqrt(variances)
        h[self.fields] = errors[: len(self.fields)]
        J[self.first, self.second] = J[self.second, self.first] = errors[len(self.fields) :]
        return J, h


def errors_of_conditionals(model, sample, loss):
    """Standard errors (p, p), (p,) of what minimises the losses of a sample's conditionals."""
    with single_threaded_blas:  # another number of threads would sum in another order
        terms = Terms(model, sample, loss)
        blocks = node_curvatures(model, terms)
        return (_joint if model.joint else _nodewise)(model, terms, blocks)


def largest_curvature(model):
    """Numbers in the curvatures that errors of conditionals need, and parameters (k, numbers)."""
    counts = model.free.sum(axis=1).astype(np.int64)
    k = len(Pairs.of(model.free)) if model.joint else int(counts.max(initial=0))
    return k, int((counts**2).sum()) + (k * k if model.joint else 0)


class Terms:
    """Derivatives of the losses of each row's conditionals, block by block."""

    def __init__(self, model, sample, loss):
        self.loss, self.sample, self.C = loss, sample, model.C
        evaluation = ConditionalLoss(sample, LOSSES[loss])(model.C)
        self.values, self.slopes = evaluation
        with np.errstate(divide="ignore"):
            self.scale = 1.0 / sample.shares

    def __call__(self, width):
        """For blocks of rows: weights (B,), spins and ones X (B, p + 1), and of each conditional
        slope (B, p), curvature (B, p), and the weight of the mean slope (B, p).
        """
        step = max(1, _BLOCK // max(width, 1))
        sample, p = self.sample, self.sample.p
        for low in range(0, len(sample), step):
            part = slice(low, low + step)
            X = sample.S[part].astype(np.float64)
            counted = np.broadcast_to(self.scale, (len(X), p))
            if len(sample.known):
                counted = np.where(sample.known[part], counted, 0.0)
            S = X[:, :-1]
            slope, curvature, share = self._derivatives(S * (X @ self.C.T))
            yield (
                sample.weights[part], X, counted * slope * S, counted * curvature, counted * share,
            )  # fmt: skip

    def _derivatives(self, t):
        """f', f'' and the weight that a row has in the mean, of ``t`` (B, p)."""
        if self.loss in ("rise", "logrise"):
            log_mean = self.values if self.loss == "logrise" else 0.0
            with np.errstate(over="ignore"):
                e = np.exp(-t - log_mean)
            return -e, e, e if self.loss == "logrise" else 1.0
        u = expit(-2.0 * t)
        if self.loss == "pseudolikelihood":
            return -2.0 * u, 4.0 * u * (1.0 - u), 1.0
        return -4.0 * u**2 * (1.0 - u), 8.0 * u**2 * (1.0 - u) * (2.0 - 3.0 * u), 1.0


def node_curvatures(model, terms):
    """Of each conditional its mean curvature (k, k) by its free coefficients, ridge included."""
    columns = [np.flatnonzero(row) for row in model.free]
    blocks = [np.diag(ridge[free]) for ridge, free in zip(model.ridge, columns)]
    for weights, X, _, curvature, _ in terms(len(columns)):
        scaled = weights[:, None] * curvature
        for i, free in enumerate(columns):
            chosen = X[:, free]
            blocks[i] += chosen.T @ (scaled[:, i, None] * chosen)
    if terms.loss == "logrise":
        for i, free in enumerate(columns):
            blocks[i] -= np.outer(terms.slopes[i, free], terms.slopes[i, free])
    return blocks


def factor(H):
    """Cholesky factor of a curvature, in its place, or a ``ValueError`` if it is singular."""
    if not len(H):
        return None
    diagonal = np.diagonal(H).copy()
    try:
        found = cho_factor(H.T, lower=True, overwrite_a=True)
        if (np.diagonal(found[0]) ** 2 > _UNEXPLAINED * diagonal).all():
            return found
    except (np.linalg.LinAlgError, ValueError):
        pass
    raise ValueError(
        "standard_errors: the criterion has no invertible curvature at these parameters, so the "
        "rows do not determine all of them. Learn with a ridge (l1_ratio below 1), or fewer "
        "couplings (mask, L1)."
    )


def solved(found, scores):
    """H^-1 times each row of ``scores`` (B, k), which it overwrites."""
    if found is None:
        return scores
    return cho_solve(found, scores.T, overwrite_b=True).T


def _joint(model, terms, blocks):
    p, pairs = len(model.C), Pairs.of(model.free)
    numbers, H = pairs.numbers(p), np.zeros((len(pairs), len(pairs)))
    for i, block in enumerate(blocks):
        mine = numbers[i, np.flatnonzero(model.free[i])]
        H[np.ix_(mine, mine)] += block
    blocks.clear()
    solver, variances = factor(H), np.zeros(len(pairs))
    first, second, fields = pairs.first, pairs.second, pairs.fields
    for weights, X, slope, _, share in terms(len(pairs)):
        scores = np.empty((len(X), len(pairs)))
        scores[:, : len(fields)] = slope[:, fields] - share[:, fields] * terms.slopes[fields, -1]
        rest = scores[:, len(fields) :]
        rest[:] = slope[:, first] * X[:, second] + slope[:, second] * X[:, first]
        rest -= share[:, first] * terms.slopes[first, second]
        rest -= share[:, second] * terms.slopes[second, first]
        variances += weights @ solved(solver, scores) ** 2
    return pairs.matrices(variances / terms.sample.total, p)


def _nodewise(model, terms, blocks):
    """Errors of the mean of both estimates of a pair; one that was left out is a certain zero."""
    p, pairs = len(model.C), Pairs.of(model.free | _turned(model.free))
    columns = [np.flatnonzero(row) for row in model.free]
    ends = np.cumsum([0, *map(len, columns)])
    places = np.full((p, p + 1), ends[-1])  # a column of zeros comes last
    for i, free in enumerate(columns):
        places[i, free] = np.arange(ends[i], ends[i + 1])
    solvers, variances = [factor(block) for block in blocks], np.zeros(len(pairs))
    for weights, X, slope, _, share in terms(ends[-1]):
        influences = np.zeros((len(X), ends[-1] + 1))
        for i, free in enumerate(columns):
            scores = slope[:, i, None] * X[:, free] - share[:, i, None] * terms.slopes[i, free]
            influences[:, ends[i] : ends[i + 1]] = solved(solvers[i], scores)
        both = influences[:, places[pairs.first, pairs.second]]
        both = (both + influences[:, places[pairs.second, pairs.first]]) / 2.0
        of_fields = influences[:, places[pairs.fields, -1]]
        variances += weights @ np.hstack([of_fields, both]) ** 2
    return pairs.matrices(variances / terms.sample.total, p)


def _turned(free):
    """The same with rows and columns of its couplings exchanged."""
    return np.column_stack([free[:, :-1].T, free[:, -1]])


# -- maximum likelihood ------------------------------------------------------------------------


def errors_of_likelihood(model, spins, weights):
    """Standard errors (p, p), (p,) of exact maximum likelihood, of complete rows of spins."""
    p, pairs = len(model.C), Pairs.of(model.free)
    total = weights.sum()
    with single_threaded_blas:
        H = fisher_information(model.C, pairs)
        H[np.diag_indices(len(H))] += _ridge_of(model, pairs)
        solver, variances = factor(H), np.zeros(len(pairs))
        step = max(1, _BLOCK // max(len(pairs), 1))
        blocks = [slice(low, low + step) for low in range(0, len(spins), step)]
        means = sum(weights[b] @ statistics(spins[b], pairs) for b in blocks) / total
        for block in blocks:
            scores = statistics(spins[block], pairs) - means
            variances += weights[block] @ solved(solver, scores) ** 2
    return pairs.matrices(variances / total**2, p)


def _ridge_of(model, pairs):
    both = model.ridge[pairs.first, pairs.second] + model.ridge[pairs.second, pairs.first]
    return np.concatenate([model.ridge[pairs.fields, -1], both])


def statistics(spins, pairs):
    """s_i of the free fields, then s_i s_j of the free pairs, (n, k) float64."""
    S = spins.astype(np.float64)
    return np.hstack([S[:, pairs.fields], S[:, pairs.first] * S[:, pairs.second]])


def fisher_information(C, pairs):
    """Covariance of :func:`statistics` under the model, (k, k), by a sum over all states."""
    p, step = len(C), 4096
    blocks = [np.arange(low, min(2**p, low + step)) for low in range(0, 2**p, step)]
    logs = [spin_log_weights(spins_of(numbers, p), C[:, :-1], C[:, -1]) for numbers in blocks]
    peak = max(part.max() for part in logs)
    chances = [np.exp(part - peak) for part in logs]
    mass = sum(part.sum() for part in chances)
    means, products = np.zeros(len(pairs)), np.zeros((len(pairs), len(pairs)))
    for numbers, chance in zip(blocks, chances):
        T = statistics(spins_of(numbers, p), pairs)
        means += chance @ T / mass
        products += T.T @ (chance[:, None] / mass * T)
    return products - np.outer(means, means)
