"""One module per library, all with the same functions.

``fit(data, params, budget, seed)`` trains an RBM and returns :class:`Fitted`; ``version()`` names
the library. A library that is timed has what its rows need: ``update_seconds``, and for log Z
``temperature_seconds`` (annealed) and ``state_seconds`` (exact). Where errors of AIS are compared
too, ``log_z(parameters, base_means, n_chains, n_temperatures, seed)`` returns one estimate. Sparse
Gaussian models are timed by ``precision(S, alpha, tol)`` at one of ``TOLERANCES``, ``LOSS`` says of
which loss; noise-contrastive losses by ``descend(contrast, n_threads, goal, max_iter)``, which
returns :class:`benchmarks.nce_trace.Evaluations`.
"""

import importlib
import time
from typing import NamedTuple

from benchmarks.scoring import Parameters

LIBRARIES = {
    "skebm": "benchmarks.adapters.skebm",
    "scikit-learn": "benchmarks.adapters.scikit_learn",
    "rbms": "benchmarks.adapters.rbms",
    "NumPy": "benchmarks.adapters.numpy",
    "independent": "benchmarks.adapters.independent",
    "skebm joint": "benchmarks.adapters.skebm",
    "scikit-learn lbfgs": "benchmarks.adapters.logistic",
    "scikit-learn newton-cholesky": "benchmarks.adapters.logistic",
    "scikit-learn liblinear": "benchmarks.adapters.logistic",
    "scikit-learn saga": "benchmarks.adapters.logistic",
    "skglm": "benchmarks.adapters.skglm",
    "dwave-samplers": "benchmarks.adapters.dwave",
    "skebm estimator": "benchmarks.adapters.skebm",
    "skebm with ridge": "benchmarks.adapters.skebm",
    "skebm lists": "benchmarks.adapters.skebm",
    "skebm tiles": "benchmarks.adapters.skebm",
    "scikit-learn GraphicalLasso": "benchmarks.adapters.graphical_lasso",
    "scikit-learn defaults": "benchmarks.adapters.graphical_lasso_defaults",
    "skglm GraphicalLasso": "benchmarks.adapters.skglm_graphical",
    "plain loops": "benchmarks.adapters.plain_descent",
    "PyTorch L-BFGS": "benchmarks.adapters.torch",
}

# Rows that a library learns from before the clock starts, so that nothing is compiled after.
WARM_UP_ROWS = 200


class Budget(NamedTuple):
    """How long to train: a number of epochs, or a number of seconds."""

    epochs: int | None = None
    seconds: float | None = None

    def epochs_at(self, seconds_per_epoch):
        """Whole epochs within the budget, at least one."""
        return self.epochs or max(1, round(self.seconds / seconds_per_epoch))


class Fitted(NamedTuple):
    """What was learned and what it took; ``seconds`` has no compilation in it."""

    parameters: Parameters
    epochs: float
    seconds: float
    compile_seconds: float


def adapter(library):
    """The module of ``library``; a peer that is not installed ends the run with a sentence."""
    try:
        return importlib.import_module(LIBRARIES[library])
    except ImportError as error:
        raise SystemExit(
            f"benchmark needs {library}, which cannot be imported ({error}); "
            'pip install "skebm[bench]" brings all peers'
        ) from error


def settle():
    """Wait until the threads of the last matrix product have stopped waiting for another one."""
    time.sleep(0.2)


def timed(function, *args, **kwargs):
    """Seconds on the wall that a call takes, and its result."""
    started = time.perf_counter()
    result = function(*args, **kwargs)
    return time.perf_counter() - started, result


def seconds_per_epoch(model, X, epochs=2):
    """What an epoch adds to a fit, so that checking the data counts for nobody."""
    once = timed(model.set_params(n_iter=1).fit, X)[0]
    return (timed(model.set_params(n_iter=1 + epochs).fit, X)[0] - once) / epochs
