"""Contrastive learning: follow the likelihood gradient with a negative phase of short chains.

The gradient of log p(v) is <-dE/dtheta>_data - <-dE/dtheta>_model (Goodfellow, Bengio, Courville
2016, *Deep Learning*, equation 18.13). The model's expectation is taken over chains of k Gibbs
steps, and where those start is the whole difference between the three criteria:

=========================  ======================================  ==========================
criterion                  chains start                            reference
=========================  ======================================  ==========================
contrastive divergence     at the minibatch, every time            Hinton 2002; algorithm 18.2
persistent CD (SML)        where they stood after the last update  Tieleman 2008; algorithm 18.3
random start (Rdm-k)       at independent draws, every time        algorithm 18.1
=========================  ======================================  ==========================
"""

from dataclasses import dataclass

import numpy as np

from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS
from skebm._rng import derive_key, host_generator
from skebm.criteria._contrastive_kernel import Arrays, Phase, train
from skebm.criteria._sgd import Penalty
from skebm.energies import BernoulliRBM, IndependentBernoulli
from skebm.energies.rbm import sweep_flops

INITIAL_SCALE = 0.01
DIVERGED = 1e8
_WEIGHTS, _CHAINS, _TRAINING = 1, 2, 3  # purposes of random numbers

# Fixed cost of one update, in the time of so many flops of a matrix product.
_UPDATE_FLOPS = 2e5

# Memory of the rows that are made dense for one kernel call.
_BYTES_PER_CALL = 4e6


@dataclass
class LearningState:
    """Everything one more update depends on: parameters, their motion, offsets, chains, time."""

    model: Arrays
    velocity: Arrays
    marginals: np.ndarray
    visible_mean: np.ndarray
    hidden_mean: np.ndarray
    chains: np.ndarray
    entropy: tuple
    step: int = 0
    n_rows: int = 0

    @classmethod
    def start(cls, n_components, means, n_rows, n_chains, entropy, dtype):
        """Small random weights, biases of independent units, chains drawn from those units."""
        generator = host_generator(entropy, _WEIGHTS)
        weights = generator.normal(0.0, INITIAL_SCALE, (n_components, len(means))).astype(dtype)
        base = IndependentBernoulli.from_marginals(_clipped(means, n_rows))
        model = Arrays(weights, base.field.astype(dtype), np.zeros(n_components, dtype))
        return cls(
            model=model,
            velocity=Arrays(*(np.zeros_like(array) for array in model)),
            marginals=np.array(means),
            visible_mean=_clipped(means, n_rows),
            hidden_mean=np.full(n_components, 0.5, dtype),
            chains=base.sample(n_chains, (*entropy, _CHAINS), dtype),
            entropy=entropy,
            n_rows=n_rows,
        )

    def set_parameters(self, components, intercept_visible, intercept_hidden):
        """Start from the parameters of another model."""
        for array, values in zip(self.model, (components, intercept_visible, intercept_hidden)):
            array[...] = values

    def set_marginals(self, means, n_rows):
        """Take the means of ``n_rows`` rows for those of the training data."""
        self.marginals, self.n_rows = means, n_rows
        self.visible_mean = _clipped(means, n_rows)

    def resize_chains(self, n_chains):
        """Repeat or drop chains to reach another number; repeated ones part at the next step."""
        if n_chains != len(self.chains):
            self.chains = np.resize(self.chains, (n_chains, self.chains.shape[1]))

    def add_marginals(self, means, n_rows):
        """Let ``marginals`` follow the means of ``n_rows`` more rows."""
        total = self.n_rows + n_rows
        self.set_marginals((self.marginals * self.n_rows + means * n_rows) / total, total)

    def copy(self):
        """An independent state."""
        return LearningState(
            model=Arrays(*(array.copy() for array in self.model)),
            velocity=Arrays(*(array.copy() for array in self.velocity)),
            marginals=self.marginals.copy(),
            visible_mean=self.visible_mean.copy(),
            hidden_mean=self.hidden_mean.copy(),
            chains=self.chains.copy(),
            entropy=self.entropy,
            step=self.step,
            n_rows=self.n_rows,
        )

    def has_diverged(self):
        """Whether some parameter is no number, or so large that energies lose their meaning."""
        return not all((np.abs(array) < DIVERGED).all() for array in self.model)

    def energy(self):
        return BernoulliRBM(*self.model)


@dataclass(frozen=True)
class Contrastive:
    """A contrastive criterion with its step rule.

    Parameters
    ----------
    start : {FROM_DATA, PERSISTENT, RANDOM}
        Where the chains of the negative phase start.
    n_gibbs_steps : int
        Gibbs steps k of every negative phase.
    center : bool
        Whether both layers are centred in the gradient.
    penalty : Penalty
        Momentum, weight decay and L1.
    """

    start: int
    n_gibbs_steps: int
    center: bool
    penalty: Penalty

    @staticmethod
    def is_compiled():
        """Whether this process has the kernel ready."""
        return train.compiled()

    def update(self, state, take, row_weights, bounds, rates):
        """One update of ``state`` per minibatch, yielding after every kernel call.

        ``take(low, high)`` returns dense rows; minibatch t is rows ``bounds[t]:bounds[t + 1]``.
        Between two calls the state is complete: it may be kept, copied or given up.
        """
        model = state.model
        largest = int(np.diff(bounds).max())
        n_chains = len(state.chains)
        stack_rows = 2 * largest if self.start == 0 else n_chains + largest
        stack = np.zeros((stack_rows, model.W.shape[1]), model.W.dtype)
        if self.start:
            stack[:n_chains] = state.chains
        scratch = np.empty(stack_rows * model.W.shape[0], model.W.dtype)
        visible_mean, hidden_mean = state.visible_mean.astype(model.W.dtype), state.hidden_mean
        if not self.center:
            visible_mean, hidden_mean = np.zeros_like(visible_mean), np.zeros_like(hidden_mean)
        base = IndependentBernoulli.from_marginals(state.visible_mean).field.astype(model.W.dtype)
        key = derive_key(state.entropy, _TRAINING)
        moved = stack_rows - largest
        flops = 4.0 * model.W.size * stack_rows
        flops += moved * self.n_gibbs_steps * sweep_flops(*model.W.shape)
        per_call = FLOPS_PER_CALL / (flops + _UPDATE_FLOPS)
        per_call = max(1, int(min(per_call, _BYTES_PER_CALL / (largest * stack[0].nbytes))))
        for first in range(0, len(rates), per_call):
            part = slice(first, first + per_call)
            edges = bounds[first : first + per_call + 1]
            low, high = edges[0], edges[-1]
            state.step += train(
                model, state.velocity, visible_mean, hidden_mean, base, take(low, high),
                row_weights[low:high], edges - low, rates[part],
                Phase(self.start, n_chains, self.n_gibbs_steps), self.penalty, self.center, key,
                state.step, stack, scratch, parallel=flops > PARALLEL_FLOPS,
            )  # fmt: skip
            if self.start:
                state.chains[:] = stack[:n_chains]
            else:
                state.chains = stack[: edges[-1] - edges[-2]].copy()
            yield


def _clipped(means, n_rows):
    """Means kept as far from 0 and 1 as ``n_rows`` rows can tell."""
    margin = 1.0 / (n_rows + 2.0)
    return np.clip(means, margin, 1.0 - margin)
