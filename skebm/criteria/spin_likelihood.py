"""The likelihood of an Ising model, whose gradient is data's moments less the model's.

The moments of the model are summed over all states, or taken over chains that follow the model
(persistent contrastive divergence, stochastic maximum likelihood). The data enter through means
and products of spins alone, so rows are met once, whatever their number.
"""

from dataclasses import dataclass

import numpy as np

from skebm._jit import single_threaded_blas
from skebm._rng import derive_key
from skebm._validation import duration
from skebm.criteria._likelihood_exact import search_exactly
from skebm.energies import Ising

DIVERGED = 1e8

# Predicted seconds of exact moments on one core beyond which learning does not start.
LONGEST_STEP = 1.0

# Standard errors of the chains' moments that are added to the units of steps.
_DAMPING = 5.0

_START, _SWEEPS = 21, 22  # purposes of random numbers


def check_reach(owner, n_features):
    """A ``ValueError`` if the sum over all states would take long."""
    seconds = Ising(
        np.zeros((n_features, n_features)), np.zeros(n_features)
    ).exact_moments_seconds()
    if seconds > LONGEST_STEP:
        raise ValueError(
            f"{owner}: n_gibbs_steps='exact' sums over 2^{n_features} states, about "
            f"{duration(seconds)} per step on one core; the limit is {duration(LONGEST_STEP)}. "
            "Take a number of Gibbs steps, or fewer columns."
        )


@dataclass(frozen=True)
class SpinLikelihood:
    """Mean negative log-likelihood with elastic-net penalties, up to what the data alone decide.

    Parameters
    ----------
    means : ndarray of shape (p,)
        Means of the data's spins.
    products : ndarray of shape (p, p)
        Means of their products.
    allowed : ndarray of shape (p, p + 1)
        Bool, couplings and, last, fields that may move.
    l1, ridge : float
        The penalty is l1 sum |J_ij| + ridge / 2 sum J_ij^2 over i != j, both orders counted.
    penalize_field : bool
        Whether fields are penalised too.
    """

    means: np.ndarray
    products: np.ndarray
    allowed: np.ndarray
    l1: float
    ridge: float
    penalize_field: bool

    def penalty(self, J, h):
        """The penalties, a float."""
        parts = [J, h] if self.penalize_field else [J]
        return sum(self.l1 * np.abs(x).sum() + 0.5 * self.ridge * (x * x).sum() for x in parts)

    def objective(self, J, h):
        """Negative mean log-likelihood with penalties, log Z summed."""
        fit = h @ self.means + 0.5 * (J * self.products).sum()
        return float(Ising(J, h).exact_log_partition() - fit + self.penalty(J, h))

    def exact(self, J, h, tol, max_iter):
        """The minimum from a start, with model moments summed: (J, h, steps, residual)."""
        if not self.allowed.any():
            return J, h, 0, 0.0
        J, h, n_iter = search_exactly(self, J, h, tol, max_iter)
        return J, h, n_iter, self.residual(J, h)

    def residual(self, J, h):
        """Largest violation of an optimality condition, by exact moments."""
        energy = Ising(J, h)
        model = energy.unflatten(energy.exact_moments().gradient)
        slopes = np.column_stack([model["coupling"] - self.products, model["field"] - self.means])
        C = np.column_stack([J, h])
        weights = np.ones_like(C) * 2.0
        weights[:, -1] = float(self.penalize_field)
        slopes += weights * self.ridge * C
        l1 = weights * self.l1
        off = np.where(C != 0, np.abs(slopes + l1 * np.sign(C)), np.maximum(np.abs(slopes) - l1, 0))
        return float((off * self.allowed).max(initial=0.0))

    def persistent(self, J, h, rates, n_chains, n_gibbs_steps, entropy):
        """Follow the gradient with persistent chains, one update for each of ``rates``.

        Returns J, h, chains (n_chains, p), the root mean square of the gradients and whether all
        went well; if not, the last finite parameters.
        """
        energy = Ising(J.astype(np.float32), h.astype(np.float32))
        base = energy.base(np.clip((1.0 + self.means) / 2.0, 1e-6, 1 - 1e-6))
        chains = base.sample(n_chains, (*entropy, _START), np.float32)
        key, units, gaps = derive_key(entropy, _SWEEPS), self._units(n_chains), np.zeros(len(rates))
        for step, rate in enumerate(rates):
            energy.sweep(chains, 1.0, None, key, step=step * n_gibbs_steps, n_sweeps=n_gibbs_steps)
            slope, field_slope = self._slopes(chains)
            gaps[step] = np.sqrt((slope**2).mean())
            moved = self._moved(J, h, slope, field_slope, rate, units)
            if not all(np.abs(array).max() < DIVERGED for array in moved):
                return J, h, chains, gaps[: step + 1], False
            J, h = moved
            energy = Ising(J.astype(np.float32), h.astype(np.float32))
        return J, h, chains, gaps, True

    def _units(self, n_chains):
        """Units of steps of couplings (p, p) and fields (p,): variances among independent spins."""
        variances = np.maximum(1.0 - self.means**2, 1e-9)
        return _damped(variances[:, None] * variances, n_chains), _damped(variances, n_chains)

    def _slopes(self, chains):
        """Moments of the data less those of chains: of centred products (p, p), and means (p,)."""
        center, n_chains = self.center(), len(chains)
        centred = chains - center.astype(np.float32)
        with single_threaded_blas:
            model = (centred.T @ centred).astype(np.float64) / n_chains
        data = self.products - np.outer(center, self.means) - np.outer(self.means, center)
        data += np.outer(center, center)
        fields = self.means - chains.mean(axis=0, dtype=np.float64)
        return np.where(self.allowed[:, :-1], data - model, 0.0), fields * self.allowed[:, -1]

    def _moved(self, J, h, slope, field_slope, rate, units):
        """Couplings and fields after one step; fields also make up for what moves of J add."""
        lengths, field_lengths = (rate / unit for unit in units)
        new_J = _proximal(J + lengths * slope, 2.0 * lengths, self.l1, self.ridge)
        with single_threaded_blas:
            new_h = h + field_lengths * field_slope - (new_J - J) @ self.center()
        if self.penalize_field:
            new_h = _proximal(new_h, field_lengths, self.l1, self.ridge)
        # The penalty would move the fields of rare columns too, which come from counts.
        return new_J, np.where(self.allowed[:, -1], new_h, h)

    def center(self):
        """What is taken from the spins before they are multiplied: moves of J then keep means.

        Where fields are penalised they have to move for themselves.
        """
        return (
            np.zeros_like(self.means) if self.penalize_field else self.means * self.allowed[:, -1]
        )


def _damped(variances, n_chains):
    """Units of steps: variances, or where those are small some standard errors of chains.

    A spin that is hardly ever up would otherwise be moved by little but noise.
    """
    return variances + _DAMPING * np.sqrt(variances / n_chains)


def _proximal(x, length, l1, ridge):
    """The proximal step of the penalties, stable for steps of any length."""
    return np.sign(x) * np.maximum(np.abs(x) - length * l1, 0.0) / (1.0 + length * ridge)
