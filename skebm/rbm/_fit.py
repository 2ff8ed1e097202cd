"""Learning an RBM by minibatches: fit and partial_fit, epoch by epoch."""

import numbers
import time

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skebm._callbacks import CallbackSupportMixin, with_callbacks
from skebm._jit import threads
from skebm._rng import draw_entropy, host_generator
from skebm._validation import (
    Choice,
    Flag,
    Jobs,
    Number,
    RandomState,
    check_binary,
    check_parameters,
    check_sample_weight,
    positive_integer,
)
from skebm._warn import warn
from skebm.criteria import SCHEDULES, LearningState, Penalty, learning_rates
from skebm.energies import IndependentBernoulli
from skebm.partition import tracking
from skebm.rbm._history import CURVES, TRACKED, as_arrays, measure

_SHUFFLE, _MONITOR = 31, 32  # purposes of random numbers

# Training rows, fewest and most, that the curves in ``history_`` are measured on.
_MONITORED_ROWS = 16, 128

# Share of a fit's work that following log Z may take.
_TRACKING_SHARE = 0.06

RULES = {
    "n_components": positive_integer(),
    "learning_rate": Number(numbers.Real, 0, above=True),
    "batch_size": positive_integer(),
    "n_iter": Number(numbers.Integral, 0),
    "verbose": Number(numbers.Integral, 0, flags=True),
    "random_state": RandomState(),
    "center": Flag(),
    "learning_rate_schedule": Choice(SCHEDULES),
    "momentum": Number(numbers.Real, 0, 1, below=True),
    "weight_decay": Number(numbers.Real, 0),
    "l1": Number(numbers.Real, 0),
    "binarize": Number(numbers.Real, also=(None,)),
    "track_log_partition": Flag(),
    "warm_start": Flag(),
    "n_jobs": Jobs(),
}


class LearnsByMinibatches(CallbackSupportMixin):
    """``fit`` and ``partial_fit`` of the RBMs; subclasses say which criterion they follow."""

    _rules = RULES
    _curves = CURVES
    _remedy = "Lower learning_rate, or raise n_iter."  # of learning that went astray

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Learn from binary data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data; see ``binarize`` for what values mean. CSR stays sparse but for
            the minibatches being worked on, which are packed to bits. float32 gives a float32
            model, anything else float64.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative; rows of weight zero are left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or X is not what is accepted, before any work.

        Warns
        -----
        ConvergenceWarning
            If learning diverged; the last finite parameters are kept.
        """
        resume = self._check_parameters(resume=bool(self.warm_start))
        rows, weights, dtype = self._training_rows(X, sample_weight, reset=not resume, recode=True)
        with threads(self.n_jobs):
            state = self._learning_state(rows, weights, dtype, resume)
            if resume:
                state.set_marginals(rows.column_means(weights), len(rows))
            history = self._history() if resume else []
            root = self._init_callback_context(max_subtasks=self.n_iter)
            metadata = None if sample_weight is None else {"sample_weight": sample_weight}
            shown = {"estimator": self, "X": X, "y": y, "metadata": metadata}
            root.call_on_fit_task_begin(**shown)
            try:
                self._run_epochs(state, rows, weights, history, root, shown)
            finally:
                self._publish(state, history)
            root.call_on_fit_task_end(**shown, reconstruction_attributes={})
        return self

    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one chunk of data, in the order given, at the constant ``learning_rate``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Any number of rows; they are cut into minibatches of about ``batch_size``.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row relative to the others of the chunk.

        Returns
        -------
        self
            With the same ``n_iter_`` and ``history_``, which count epochs of ``fit``.
        """
        resume = self._check_parameters(resume=True)
        rows, weights, dtype = self._training_rows(
            X, sample_weight, reset=not resume, recode=not resume
        )
        with threads(self.n_jobs):
            known = resume and hasattr(self, "_state")
            state = self._learning_state(rows, weights, dtype, resume)
            history = self._history() if resume else []
            if known:
                state.add_marginals(rows.column_means(weights), len(rows))
            bounds = self._minibatches(len(rows))
            rates = np.full(len(bounds) - 1, float(self.learning_rate))
            order = np.arange(len(rows))
            self._run_updates(state, rows, weights, order, bounds, rates)
            self._publish(state, history)
        return self

    def _check_parameters(self, *, resume):
        """Check all parameters; returns whether learning goes on from a fitted model."""
        name = type(self).__name__
        check_parameters(self._rules, self.get_params(deep=False), name)
        resume = resume and hasattr(self, "components_")
        if resume and len(self.components_) != self.n_components:
            raise ValueError(
                f"{name}: n_components must stay {len(self.components_)} to learn on with the "
                f"fitted model, got {self.n_components}."
            )
        return resume

    def _training_rows(self, X, sample_weight, *, reset, recode):
        """Checked rows, weights with mean one, dtype of the model; nothing is set if they fail."""
        before = dict(vars(self))
        try:
            rows, dtype, coding = check_binary(self, X, reset=reset, training=True)
            weights = check_sample_weight(sample_weight, len(rows))
            self._check_rows(rows)
        except (TypeError, ValueError):
            vars(self).clear()
            vars(self).update(before)
            raise
        if recode:
            self._coding = coding
        if not reset:
            dtype = self.components_.dtype
        if (weights == 0).any():
            rows, weights = rows.keep(weights > 0), weights[weights > 0]
        return rows, weights / weights.mean(), dtype

    def _learning_state(self, rows, weights, dtype, resume):
        """Where learning begins: where it stood, or afresh; at the fitted parameters, if any."""
        if resume and hasattr(self, "_state"):
            state = self._state.copy()
            state.resize_chains(self._n_chains(len(rows)))
        else:
            state = LearningState.start(
                self.n_components,
                rows.column_means(weights),
                len(rows),
                self._n_chains(len(rows)),
                draw_entropy(self.random_state),
                dtype,
            )
        if resume:
            state.set_parameters(self.components_, self.intercept_visible_, self.intercept_hidden_)
        return state

    def _check_rows(self, rows):
        """A ``ValueError`` if the criterion cannot learn from such rows."""

    def _n_chains(self, n_rows):
        """Chains that the criterion works with."""
        return 0

    def _penalty(self):
        return Penalty(float(self.momentum), float(self.weight_decay), float(self.l1))

    def _minibatches(self, n_rows):
        """Edges of minibatches whose sizes differ by one at most and reach ``batch_size``."""
        n_batches = -(-n_rows // self.batch_size)
        return np.arange(n_batches + 1) * n_rows // n_batches

    def _run_epochs(self, state, rows, weights, history, root, shown):
        if self.verbose and not self._criterion().is_compiled():
            print(
                f"[{type(self).__name__}] compiling kernels, some ten seconds once on every "
                "machine, or loading them",
                flush=True,
            )
        bounds = self._minibatches(len(rows))
        n_batches = len(bounds) - 1
        monitored = self._monitored_rows(state, rows)
        base = IndependentBernoulli.from_marginals(state.visible_mean)
        independent = base.log_density(monitored).mean()
        if self.track_log_partition:
            self._prepare_shadow(state, base)
            work = self._criterion().update_flops(state, np.diff(bounds).max()) * n_batches
            purse = _TRACKING_SHARE * work * self.n_iter
        for epoch in range(self.n_iter):
            started = time.perf_counter()
            task = root.subcontext(task_name="epoch").call_on_fit_task_begin(**shown)
            rates = learning_rates(
                self.learning_rate_schedule, self.learning_rate, epoch * n_batches, n_batches,
                self.n_iter * n_batches,
            )  # fmt: skip
            order = host_generator(state.entropy, _SHUFFLE, len(history)).permutation(len(rows))
            if not self._run_updates(state, rows, weights, order, bounds, rates):
                task.call_on_fit_task_end(**shown, reconstruction_attributes=None)
                return
            log_partition = None
            if self.track_log_partition:
                log_partition, purse = self._follow(state, base, purse, self.n_iter - epoch)
            history.append(measure(state, monitored, rates[-1], log_partition))
            self._report(epoch, history[-1], time.perf_counter() - started)
            if task.call_on_fit_task_end(
                **shown, reconstruction_attributes=lambda: self._attributes(state.copy(), history)
            ):
                return
        self._warn_of_lost_log_partition(history)
        if self.n_iter and history[-1]["log_pseudolikelihood"] < 1.05 * independent:
            warn(
                f"{type(self).__name__} ended with a log-pseudolikelihood of "
                f"{history[-1]['log_pseudolikelihood']:.4g} on its training data, below the "
                f"{independent:.4g} of independent units: learning went astray. {self._remedy}",
                ConvergenceWarning,
            )

    def _run_updates(self, state, rows, weights, order, bounds, rates):
        """Update over the minibatches; False if parameters ceased to be finite (last good kept)."""
        take = lambda low, high: rows.take(order[low:high], state.model.W.dtype)  # noqa: E731
        for finite in self._criterion().update(state, take, weights[order], bounds, rates):
            if not finite:
                warn(
                    f"{type(self).__name__} diverged: parameters grew beyond all bounds. "
                    "Learning stopped and the last good parameters were kept. Lower "
                    f"learning_rate (now {self.learning_rate!r}).",
                    ConvergenceWarning,
                )
                return False
        return True

    def _warn_of_lost_log_partition(self, history):
        lost = sum(entry.get(TRACKED[-1], 1.0) == 0.0 for entry in history)
        if self.track_log_partition and lost:
            warn(
                f"{type(self).__name__}: log Z along training was lost in {lost} of {len(history)} "
                "epochs (history_['log_partition_converged'] is 0). log_partition_ is computed "
                "afresh and not affected.",
                ConvergenceWarning,
            )

    @staticmethod
    def _prepare_shadow(state, base):
        """Shadow chains at a new model; those that stand elsewhere than the model are given up."""
        energy = state.fixed_energy()
        if state.is_new:
            state.shadow = tracking.ShadowChains.start(energy, base, state.entropy)
        elif state.shadow is not None and not state.shadow.stands_at(energy):
            state.shadow = None

    def _follow(self, state, base, purse, remaining):
        """log Z of the model that an epoch has led to; takes what it costs from the ``purse``.

        That is a share of the whole fit's work, dealt out evenly to the ``remaining`` epochs; one
        that has moved far may take half of what is left.
        """
        found = tracking.tracked(
            state.shadow, state.fixed_energy(), base, state.entropy, purse / remaining, purse / 2
        )
        state.shadow = found.shadow
        return found.log_partition, purse - found.flops

    def _monitored_rows(self, state, rows):
        n = min(len(rows), int(np.clip(len(rows) // 50, *_MONITORED_ROWS)))
        chosen = host_generator(state.entropy, _MONITOR).choice(len(rows), n, replace=False)
        return rows.dense(np.sort(chosen), state.model.W.dtype)

    def _history(self):
        """The entries of ``history_``, one dict per epoch."""
        names = list(self.history_)
        return [dict(zip(names, values)) for values in zip(*map(self.history_.get, names))]

    def _report(self, epoch, entry, seconds):
        if self.verbose:
            tracked = ""
            if self.track_log_partition:
                tracked = (
                    f"log-likelihood {entry['log_likelihood']:.3f}, log Z "
                    f"{entry['log_partition']:.3f} ± {entry['log_partition_stderr']:.3f}, "
                )
            print(
                f"[{type(self).__name__}] epoch {epoch + 1}/{self.n_iter}: {tracked}"
                f"log-pseudolikelihood {entry['log_pseudolikelihood']:.3f} nats, {seconds:.2f} s",
                flush=True,
            )

    def _publish(self, state, history):
        vars(self).update(self._attributes(state, history))

    def _attributes(self, state, history):
        """Fitted attributes of this moment; a log Z of other parameters is not among them."""
        return {
            "components_": state.model.W,
            "intercept_visible_": state.model.b,
            "intercept_hidden_": state.model.c,
            "visible_mean_": state.visible_mean,
            "n_iter_": len(history),
            "history_": as_arrays(history, self._curves),
            "_state": state,
            "_entropy": state.entropy,
            "_n_features_out": len(state.model.c),
            "_kept_log_partition": None,
        }
