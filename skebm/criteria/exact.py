"""Maximum likelihood: the negative phase of contrastive learning without chains.

The model's expectation in the gradient of log p(v), <-dE/dtheta>_data - <-dE/dtheta>_model, is
summed over the states of the smaller layer. With all rows in one minibatch an update is a step of
gradient ascent on the likelihood; else it is the stochastic one of which contrastive divergence
and its siblings are cheap versions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from skebm._bits import Packed, unpack
from skebm._jit import single_threaded_blas
from skebm._validation import duration
from skebm.criteria._contrastive_kernel import OFFSET_RATE
from skebm.criteria._sgd import Penalty
from skebm.criteria.contrastive import DIVERGED, Arrays
from skebm.energies._rbm_moments import seconds_of_shape, sum_moments

# Predicted seconds of an update on one core beyond which learning does not start.
LONGEST_UPDATE = 1.0

_DRAWS = 4  # purpose of random numbers

# Values of the rows that are worked on together.
_VALUES = 2**20


def check_reach(owner, n_hidden, n_visible):
    """A ``ValueError`` if an exact update of such a model would take long; all else is cheap."""
    seconds = seconds_of_shape(n_hidden, n_visible)
    if seconds > LONGEST_UPDATE:
        raise ValueError(
            f"{owner}: n_gibbs_steps='exact' sums over the 2^{min(n_hidden, n_visible)} states of "
            f"the smaller layer, about {duration(seconds)} per update on one core; the limit is "
            f"{duration(LONGEST_UPDATE)}. Lower n_components, or take a number of Gibbs steps."
        )


class Moments(NamedTuple):
    """Sums over weighted rows (or a mean times the rows' weight): of p v', v, p and 1."""

    products: np.ndarray
    visible: np.ndarray
    hidden: np.ndarray
    mass: float


@dataclass(frozen=True)
class Exact:
    """The likelihood itself as a criterion, with its step rule.

    Parameters
    ----------
    center : bool
        Whether both layers are centred in the gradient.
    penalty : Penalty
        Momentum, weight decay and L1.
    """

    center: bool
    penalty: Penalty

    @staticmethod
    def is_compiled():
        """Whether this process has the kernel ready."""
        return sum_moments.compiled()

    def update_flops(self, state, n_rows):
        """Without bound: where every update sums over all states, log Z costs little beside it."""
        return np.inf

    def update(self, state, take, row_weights, bounds, rates):
        """One update of ``state`` per minibatch, yielding after each as :class:`Contrastive` does.

        At the end the chains of ``state`` are independent draws of the model.
        """
        for low, high, rate in zip(bounds[:-1], bounds[1:], rates):
            data = _data_moments(state.model, take, row_weights, low, high)
            changed = self._step(state, data, _model_moments(state, data.mass), rate)
            if changed is None:
                yield False
                return
            vars(state).update(changed)
            yield True
        entropy = (*state.entropy, _DRAWS, state.step)
        state.chains = state.energy().exact_sample(len(state.chains), entropy)

    def _step(self, state, data, model, rate):
        """What an update changes in ``state``, or None where parameters cease to be finite."""
        visible, hidden = data.visible - model.visible, data.hidden - model.hidden
        mu, lam = state.visible_mean * self.center, state.hidden_mean * float(self.center)
        momentum, decay, l1 = self.penalty
        with single_threaded_blas, np.errstate(over="ignore", invalid="ignore", under="ignore"):
            products = data.products - model.products
            products -= np.outer(lam, visible) + np.outer(hidden, mu)
            slopes = Arrays(products, visible - lam @ products, hidden - products @ mu)
            moves = [
                rate * slope + momentum * before.astype(np.float64)
                for slope, before in zip(slopes, state.velocity)
            ]
            moves[0] -= rate * decay * state.model.W
            W, b, c = (before + move for before, move in zip(state.model, moves))
            W = np.sign(W) * np.maximum(np.abs(W) - rate * l1, 0.0) if l1 else W
        if not all(np.abs(array).max() < DIVERGED for array in (W, b, c)):
            return None
        dtype = state.model.W.dtype
        moves = moves if momentum else map(np.zeros_like, moves)
        changed = {
            "model": Arrays(*(array.astype(dtype) for array in (W, b, c))),
            "velocity": Arrays(*(move.astype(dtype) for move in moves)),
            "step": state.step + 1,
        }
        if self.center:
            mean = state.hidden_mean + OFFSET_RATE * (data.hidden / data.mass - state.hidden_mean)
            changed["hidden_mean"] = mean.astype(dtype)
        return changed


def _data_moments(model, take, row_weights, low, high):
    """Moments of rows ``low`` ... ``high - 1`` with weights over their number, block by block."""
    W, b, c = (array.astype(np.float64) for array in model)
    products, visible, hidden, mass = np.zeros_like(W), np.zeros_like(b), np.zeros_like(c), 0.0
    step = max(1, _VALUES // len(b))
    for first in range(low, high, step):
        last = min(high, first + step)
        rows, shares = take(first, last), row_weights[first:last] / (high - low)
        V = unpack(rows, len(b), np.float64) if isinstance(rows, Packed) else rows.astype(float)
        with single_threaded_blas, np.errstate(under="ignore"):
            P = expit(V @ W.T + c)
            P *= shares[:, None]
            products += P.T @ V
            visible += shares @ V
        hidden += P.sum(axis=0)
        mass += shares.sum()
    return Moments(products, visible, hidden, mass)


def _model_moments(state, mass):
    """The model's expectations times ``mass``."""
    energy = state.energy()
    W, b, c = energy.unflatten(mass * energy.exact_moments().gradient).values()
    return Moments(W, b, c, mass)
