"""RAISE: a likelihood bounded from the safe side, by annealing back from the data.

The *annealed* model of K temperatures is what forward AIS draws: x_0 from the base, then one
sweep at each of beta_1, ..., beta_K = 1. Its density at v is a sum over all paths that end there,
and importance sampling of these paths, each made backwards from v, has

    log p^(v) = -E(v) + sum over k of log f_{k-1}(x_{k-1}) - log f_k(x_{k-1}),

with x_{K-1} drawn by the reversed sweep at beta_K from v, x_{K-2} by that at beta_{K-1} from
x_{K-1}, and so on down to x_0. The mean of p^(v) over paths is the annealed density, so its
logarithm is a lower bound on average: where AIS flatters, this errs on the other side, and it
needs no log Z. As K grows the annealed model tends to the model itself; for finite K it is
another model, usually a worse one, sometimes a better one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from skebm._jit import threads
from skebm._rng import draw_entropy, host_generator
from skebm._validation import check_parameters, positive_integer
from skebm.partition._asked import RULES, checked_estimator
from skebm.partition._ways import FromBase, Way, up_from_base
from skebm.partition.ais import MAX_TEMPERATURES, barrier_of

_ROWS, _PILOT, _PATHS = 81, 82, 83  # purposes of random numbers

# Values of states (rows x chains x variables) that are carried together.
_VALUES = 2e7

# Temperatures for each unit of Lambda^2, where they are planned: the log-weights of a row's paths
# then have a variance of about 1/20.
_PER_BARRIER, _MIN_TEMPERATURES = 20.0, 1000

_RULES = {
    "max_rows": positive_integer(None),
    "n_chains": positive_integer(),
    **{name: RULES[name] for name in ("n_temperatures", "random_state", "n_jobs")},
}


@dataclass(frozen=True)
class AnnealedLikelihood:
    """Lower bounds of an annealed model's log-likelihood, in nats.

    Attributes
    ----------
    value : float
        Their mean over rows; ``float(result)`` is the same.
    stderr : float
        Its standard error over rows, that of the paths included; infinite for a single row.
    log_likelihood : ndarray of shape (n_rows,)
        The bound of each row.
    rows : ndarray of shape (n_rows,)
        Which rows of X these are.
    n_chains, n_temperatures : int
        Paths per row, and their temperatures.
    """

    value: float
    stderr: float
    log_likelihood: np.ndarray
    rows: np.ndarray
    n_chains: int
    n_temperatures: int

    def __float__(self):
        return self.value

    def __str__(self):
        return (
            f"{self.value:.3f} ± {self.stderr:.3f} (annealed model, from below; {len(self.rows)} "
            f"rows × {self.n_chains} chains × {self.n_temperatures} temperatures)"
        )


def raise_log_likelihood(
    estimator, X, *, max_rows=100, n_chains=32, n_temperatures="auto", random_state=None,
    n_jobs=None,
):  # fmt: skip
    """Reverse AIS estimator (RAISE): a stochastic lower bound of the log-likelihood, per row.

    In expectation each value is at most the log-density of the *annealed* model, which forward
    annealing over so many temperatures draws from; that tends to the model's own as temperatures
    are added. Set beside ``score``, which AIS makes too large on average, it tells how much a
    likelihood may flatter.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of this package.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Binary data, coded as in training.
    max_rows : int or None, default=100
        Rows that are looked at, drawn without replacement where X has more; None takes all.
    n_chains : int, default=32
        Paths per row; more make the bound tighter.
    n_temperatures : int or "auto", default="auto"
        Temperatures; ``"auto"`` plans them by pilot runs, 1,000 to 20,000.
    random_state : None, int, RandomState or Generator, default=None
        Seed; None differs at every call.
    n_jobs : int or None, default=None
        Threads; None means those of the estimator.

    Returns
    -------
    AnnealedLikelihood

    Raises
    ------
    ValueError
        If X has values between the codes (``binarize=None``), which have no likelihood.

    Notes
    -----
    Costs ``n_chains`` x ``n_temperatures`` sweeps *for every row*, hence ``max_rows``.

    References
    ----------
    Y. Burda, R. Grosse, R. Salakhutdinov (2015). Accurate and conservative estimates of MRF
    log-likelihood using reverse annealing. AISTATS.

    Examples
    --------
    >>> from skebm import PCDRBM
    >>> from skebm.datasets import make_bars_and_stripes
    >>> from skebm.partition import raise_log_likelihood
    >>> X = make_bars_and_stripes(200, size=3, random_state=0).data
    >>> model = PCDRBM(8, n_iter=30, random_state=0).fit(X)
    >>> bound = raise_log_likelihood(model, X, max_rows=50, random_state=0)
    >>> bound.log_likelihood.shape
    (50,)
    >>> bool(abs(bound.value - model.score(X[bound.rows])) < 0.1)
    True
    """
    values = {
        "max_rows": max_rows, "n_chains": n_chains, "n_temperatures": n_temperatures,
        "random_state": random_state, "n_jobs": n_jobs,
    }  # fmt: skip
    check_parameters(_RULES, values, "raise_log_likelihood")
    rows, energy = checked_estimator(estimator)._rows(X), estimator._energy()
    if not rows.is_binary:
        raise ValueError("raise_log_likelihood: X must be binary, values between 0 and 1 are not.")
    entropy, base = draw_entropy(random_state), energy.base(estimator._marginals())
    chosen = _chosen_rows(len(rows), max_rows, entropy)
    with threads(estimator.n_jobs if n_jobs is None else n_jobs):
        if n_temperatures == "auto":
            barrier = barrier_of(up_from_base(energy, base), (*entropy, _PILOT))
            planned = np.clip(_PER_BARRIER * barrier, _MIN_TEMPERATURES, MAX_TEMPERATURES)
            n_temperatures = int(planned)
        size = max(1, int(_VALUES / (n_chains * energy.n_features)))
        blocks = [chosen[low : low + size] for low in range(0, len(chosen), size)]
        bounds = np.concatenate([
            _bounds(energy.states_of(rows.take(block, energy.dtype)), energy, base, n_chains,
                    n_temperatures, (*entropy, _PATHS, number))
            for number, block in enumerate(blocks)
        ])  # fmt: skip
    n = len(bounds)
    stderr = float(bounds.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return AnnealedLikelihood(
        float(bounds.mean()), stderr, bounds, chosen, n_chains, n_temperatures
    )


def _bounds(states, energy, base, n_chains, n_temperatures, entropy):
    """The bound of each of some rows."""
    start = lambda n, _: np.repeat(states, n_chains, axis=0)  # noqa: E731
    back = Way(FromBase(energy, base), start, rising=False, model=energy)
    carried = back.run(len(states) * n_chains, n_temperatures, entropy, n_sweeps=1)
    weights = -carried.log_weights.reshape(len(states), n_chains)
    step = energy.rows_per_call()
    energies = [energy.energy(states[low : low + step]) for low in range(0, len(states), step)]
    return logsumexp(weights, axis=1) - np.log(n_chains) - np.concatenate(energies)


def _chosen_rows(n, max_rows, entropy):
    if max_rows is None or n <= max_rows:
        return np.arange(n)
    return np.sort(host_generator(entropy, _ROWS).choice(n, max_rows, replace=False))
