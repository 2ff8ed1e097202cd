"""What the RBMs share whose negative phase is made of chains."""

from skebm._validation import positive_integer
from skebm.criteria import FROM_DATA, PERSISTENT, Contrastive, Exact, check_reach
from skebm.rbm._fit import RULES
from skebm.rbm._history import CURVES_WITH_CHAINS
from skebm.rbm._model import BaseRBM

STEP_RULES = {**RULES, "n_gibbs_steps": positive_integer("exact")}
CHAIN_RULES = {**STEP_RULES, "n_chains": positive_integer(None)}


class ChainRBM(BaseRBM):
    """An RBM that learns by contrast with chains; subclasses say where these start."""

    _start = None
    _rules = STEP_RULES
    _curves = CURVES_WITH_CHAINS
    _remedy = "Lower learning_rate, or raise n_gibbs_steps or n_iter."

    def __init__(
        self,
        n_components=256,
        *,
        learning_rate=0.1,
        batch_size=10,
        n_iter=10,
        verbose=0,
        random_state=None,
        n_gibbs_steps=5,
        center=True,
        learning_rate_schedule="geometric",
        momentum=0.0,
        weight_decay=0.0,
        l1=0.0,
        binarize=0.5,
        track_log_partition=False,
        warm_start=False,
        n_jobs=None,
    ):
        super().__init__(
            n_components,
            learning_rate=learning_rate,
            batch_size=batch_size,
            n_iter=n_iter,
            verbose=verbose,
            random_state=random_state,
            center=center,
            learning_rate_schedule=learning_rate_schedule,
            momentum=momentum,
            weight_decay=weight_decay,
            l1=l1,
            binarize=binarize,
            track_log_partition=track_log_partition,
            warm_start=warm_start,
            n_jobs=n_jobs,
        )
        self.n_gibbs_steps = n_gibbs_steps

    def _criterion(self):
        if self.n_gibbs_steps == "exact":
            return Exact(bool(self.center), self._penalty())
        steps = int(self.n_gibbs_steps)
        return Contrastive(self._start, steps, bool(self.center), self._penalty())

    def _check_rows(self, rows):
        if self.n_gibbs_steps == "exact":
            check_reach(type(self).__name__, self.n_components, rows.n_features)

    def _n_chains(self, n_rows):
        if self._start == FROM_DATA:
            return min(self.batch_size, n_rows)
        return self.batch_size if self.n_chains is None else self.n_chains

    def _attributes(self, state, history):
        attributes = super()._attributes(state, history)
        if self._start == PERSISTENT:
            attributes["chains_"] = state.chains
        return attributes
