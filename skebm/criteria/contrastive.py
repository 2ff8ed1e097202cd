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

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skebm._bits import (
    WORD,
    Packed,
    aligned_empty,
    empty_states,
    from_tiles,
    n_words,
    pack,
    product_flops,
    row_tiles,
    to_tiles,
    unpack,
)
from skebm._jit import FLOPS_PER_CALL, PARALLEL_FLOPS, n_threads
from skebm._rng import derive_key, host_generator
from skebm._simd import lanes
from skebm.criteria._contrastive_kernel import (
    FROM_DATA,
    VISIBLE_ROWS,
    Gradient,
    Minibatches,
    Motion,
    Offsets,
    Phase,
    train,
)
from skebm.criteria._sgd import Penalty
from skebm.energies import BernoulliRBM, IndependentBernoulli
from skebm.energies._rbm_chains import layers_of, shared_scratch, sweep_flops

INITIAL_SCALE = 0.01
DIVERGED = 1e8
_WEIGHTS, _CHAINS, _TRAINING = 1, 2, 3  # purposes of random numbers

# Work of an update besides its products, and for each weight, counted like them.
_UPDATE_FLOPS, _WEIGHT_FLOPS = 5e5, 40.0

# Work of one kernel call, a tenth of a second on one core or a single update: longer than
# elsewhere, since what is done between two of them is done by one thread.
_TRAINING_FLOPS, _TRAINING_SECONDS = 3 * FLOPS_PER_CALL, 0.1

# Work for each value of rows that are not binary and tile of hidden units, and the memory of
# packed and of such rows in one kernel call.
_VALUE_FLOPS, _PACKED_BYTES, _VALUE_BYTES = 1.5e3, 1e6, 4e6


class Arrays(NamedTuple):
    """Weights (H, V), visible (V,) and hidden (H,) biases, or what moves with each of them."""

    W: np.ndarray
    b: np.ndarray
    c: np.ndarray


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
    shadow: object = None  # chains that follow log Z, never changed in place
    continued: bool = False  # whether parameters were set from outside

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
        self.continued = True

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
            shadow=self.shadow,
            continued=self.continued,
        )

    @property
    def is_new(self):
        """Whether this is where learning starts: near independent units, no update made."""
        return self.step == 0 and not self.continued

    def energy(self):
        return BernoulliRBM(*self.model)

    def fixed_energy(self):
        """The same, untouched by what becomes of the state."""
        return BernoulliRBM(*(array.copy() for array in self.model))


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

    def update_flops(self, state, n_rows):
        """Work of an update with ``n_rows`` binary rows, in the time of flops of a product."""
        W = state.model.W
        n_hidden, n_visible = W.shape
        n_chains = self._n_chains(state, n_rows)
        flops = _UPDATE_FLOPS + _WEIGHT_FLOPS * W.size
        flops += product_flops(n_chains + n_rows, n_visible, n_hidden, W.dtype)
        flops += product_flops(n_visible, n_chains + n_rows, n_hidden, W.dtype)
        return flops + self.n_gibbs_steps * sweep_flops(n_chains, n_hidden, n_visible, W.dtype)

    def _n_chains(self, state, n_rows):
        return n_rows if self.start == FROM_DATA else len(state.chains)

    def update(self, state, take, row_weights, bounds, rates):
        """One update of ``state`` per minibatch, yielding after every kernel call.

        ``take(low, high)`` returns rows, packed or dense; minibatch t is rows
        ``bounds[t]:bounds[t + 1]``. What is yielded says whether the call's result was finite
        and has become the state, which is complete at every moment: it may be kept, copied or
        given up.
        """
        largest, packed = int(np.diff(bounds).max()), isinstance(take(0, 0), Packed)
        run = _Run(self, state, largest, packed=packed)
        first = 0
        while first < len(rates):
            edges = bounds[first : first + run.updates_per_call + 1]
            rows = take(edges[0], edges[-1])
            weights = row_weights[edges[0] : edges[-1]]
            run.train(rows, weights, edges - edges[0], rates[first : first + len(edges) - 1])
            if not run.is_finite():
                yield False
                return
            run.save(state, edges[-1] - edges[-2])
            first += len(edges) - 1
            yield True


class _Run:
    """A state in the form that the kernel works on, and the kernel's scratch."""

    # How much slower this machine is than calls are planned for; it changes no bit of a result.
    seconds_over_planned = 1.0

    def __init__(self, criterion, state, largest, *, packed):
        W, b, c = state.model
        n_hidden, n_visible = W.shape
        self.penalty = criterion.penalty
        from_data = criterion.start == FROM_DATA
        n_chains = criterion._n_chains(state, largest)
        self.phase = Phase(criterion.start, n_chains, criterion.n_gibbs_steps, criterion.center)
        self.model = layers_of(W, b, c)
        self.key, self.step = derive_key(state.entropy, _TRAINING), state.step
        base = IndependentBernoulli.from_marginals(state.visible_mean).field
        center = state.visible_mean, state.hidden_mean
        if not criterion.center:
            center = [np.zeros_like(means) for means in center]
        visible = row_tiles(center[0].astype(W.dtype)).ravel()
        self.offsets = Offsets(
            visible, row_tiles(center[1]), row_tiles(base.astype(W.dtype)),
            float(np.square(visible, dtype=np.float64).sum()),
        )  # fmt: skip
        n_rows, flops = n_chains + largest, criterion.update_flops(state, largest)
        most = _PACKED_BYTES / (largest * 4 * n_words(n_visible))
        if not packed:
            flops += _VALUE_FLOPS * largest * n_visible * len(self.model.up)
            most = _VALUE_BYTES / (largest * W[0].nbytes)
        self.parallel = flops > PARALLEL_FLOPS
        self.most = min(_TRAINING_FLOPS / flops, most)

        n_workers = n_threads() if self.parallel else 1
        words = max(self.model.b.size, self.model.c.size) // WORD
        self.scratch = shared_scratch(n_workers, n_chains, words, W)
        self.stack = empty_states(n_rows, n_visible, W)
        self.hidden = empty_states(n_chains, n_hidden, W)
        self.columns = empty_states(self.model.down.shape[0] * lanes(W), n_rows, W)
        self.gradient = Gradient(
            activation=aligned_empty(
                (len(self.model.up), WORD * n_words(n_rows) + 1, lanes(W)), W.dtype
            ),
            weights=aligned_empty((n_workers, VISIBLE_ROWS, lanes(W)), W.dtype),
            share=np.empty((len(self.model.up), n_rows)),
        )
        if not from_data:
            self.stack.bits[:n_chains] = pack(state.chains, self.model.b.size)
        # Without momentum nobody touches the motion, which then takes no memory.
        moving = np.zeros(self.model.up.shape, W.dtype)
        if self.penalty.momentum:
            moving = to_tiles(state.velocity.W.T)
        self.velocity = Motion(moving, row_tiles(state.velocity.b), row_tiles(state.velocity.c))

    def train(self, rows, weights, bounds, rates):
        """One kernel call."""
        packed, compiled = isinstance(rows, Packed), train.compiled()
        started = time.perf_counter()
        nothing = np.empty((0, self.model.n_visible), self.model.b.dtype)
        batches = Minibatches(
            np.asarray(rows) if packed else np.empty((0, 0), np.uint32),
            nothing if packed else rows, weights, bounds, rates,
        )  # fmt: skip
        self.step += train(
            self.model, self.velocity, self.offsets, batches, self.phase, self.penalty,
            self.key, self.step, self.stack, self.hidden, self.columns, self.gradient,
            self.scratch, parallel=self.parallel,
        )  # fmt: skip
        if compiled:
            _Run.seconds_over_planned = (time.perf_counter() - started) / (
                _TRAINING_SECONDS * len(rates) / self.most
            )

    @property
    def updates_per_call(self):
        """Fewer than planned where the last calls in this process took longer than they should."""
        return max(1, int(self.most / max(1.0, _Run.seconds_over_planned)))

    def is_finite(self):
        """Whether no parameter is so large that energies lose their meaning, or no number."""
        parameters = self.model.up, self.model.b, self.model.c
        return all(max(array.max(), -array.min()) < DIVERGED for array in parameters)

    def save(self, state, last_batch):
        """Write everything back, all at once."""
        model, shape = self.model, (self.model.n_hidden, self.model.n_visible)
        n_chains = last_batch if self.phase.start == FROM_DATA else self.phase.n_chains
        natural = lambda tiles, n: tiles.ravel()[:n].copy()  # noqa: E731
        W = from_tiles(model.down, shape)
        changed = {
            "model": Arrays(W, natural(model.b, shape[1]), natural(model.c, shape[0])),
            "chains": unpack(self.stack.bits[:n_chains], shape[1], W.dtype),
            "step": self.step,
        }
        if self.phase.center:
            changed["hidden_mean"] = natural(self.offsets.hidden, shape[0])
        still = np.zeros(shape, W.dtype), *map(np.zeros_like, changed["model"][1:])
        changed["velocity"] = Arrays(*still)
        if self.penalty.momentum:
            moved = from_tiles(self.velocity.up, shape[::-1]).T
            changed["velocity"] = Arrays(
                np.ascontiguousarray(moved),
                natural(self.velocity.b, shape[1]),
                natural(self.velocity.c, shape[0]),
            )
        vars(state).update(changed)


def _clipped(means, n_rows):
    """Means kept as far from 0 and 1 as ``n_rows`` rows can tell."""
    margin = 1.0 / (n_rows + 2.0)
    return np.clip(means, margin, 1.0 - margin)
