"""log Z after training, so that models can be compared by likelihood.

Which method
------------
``exact`` sums over all states of an RBM's smaller layer, or of all spins (or has a closed form).
No error; its time doubles with every unit. Whatever can be had exactly should be: ``auto`` takes
it where that is a matter of a moment.

``ais``, annealed importance sampling, carries chains from a distribution with a known Z, the
*base*, to the model over many temperatures in between, and weighs them on the way. The mean
weight is an unbiased estimate of Z. How many temperatures K it takes depends on how far the model
is from the base: the variance of a log-weight is about Lambda^2 / K, where Lambda^2 measures that
distance, and a base at the means of the data is several times nearer than fair coins. What is
left open is planned by pilot runs.

``bridge`` also carries draws of the model, made by other AIS chains, back to the base, and puts
both directions together (Bennett's acceptance ratio). It takes four times the sweeps and comes
about as near as AIS with four times the chains; what it adds is that two directions must agree.
It is no check against unseen modes, since both directions start from the base.

``nce``, reverse logistic regression, tells draws of the model from draws of the base, ten of them
for each, and log Z is what makes it fair: noise-contrastive estimation with the parameters held
fixed, the best that can be done with both sets. Draws are exact where the energy can make them
and come from AIS else. There is nothing in between: it is quick where model and base overlap, and
says so where they do not, as trained models and independent variables seldom do. A base fitted
to the model brings them together, such as a Chow-Liu tree or a mixture of :mod:`skebm.nce`.

``check="reverse"`` carries long Gibbs chains back, at least 1,000 sweeps long, only to see
whether they contradict the estimate.

Why a likelihood by AIS flatters
--------------------------------
The mean weight is unbiased for Z, so its logarithm is too *small* on average (Jensen), by about
half the variance of the mean; log p(x) = -E(x) - log Z is too large by as much. While the
effective sample is large that is far below the standard error. It is not when few chains carry
the weight: those that would have are then missing, the error bar is made of what was seen, and
both are wrong together. Hence ``converged=False`` where the effective sample is less than half of
the chains; below that, intervals were measured to cover less often than they say. A run near that
limit does not judge itself, since it looks best when it has missed most: a separate run does.

No chain can report a mode that none has visited. Take this model, with 86 % of its mass in one
narrow hole among 2^64 states::

    PCDRBM.from_parameters(np.full((1, 64), 6.0), np.zeros(64), np.array([-338.0]))

AIS misses it with a tiny, honest-looking error bar, wrong by 1.95 nats, and so does every method
that starts from the base. ``check="reverse"`` finds it, since half of the backward chains (64 at
least) start at random hidden states (of an Ising model at random spins), and the two halves
disagree. A mode that neither kind of start leads to stays unseen: there is no certificate, only
better witnesses.

Bounds
------
In expectation AIS is a lower bound of log Z, always. The reverse value would be an upper bound if
the backward chains began at exact draws; from long chains it is a heuristic upper side, and is
called nothing better here. :func:`raise_log_likelihood` bounds a likelihood from the safe side
without log Z: in expectation it is below the log-likelihood of the *annealed* model, which tends
to the model as temperatures are added.

=====================================  ========================================================
:func:`log_partition`                  log Z of an energy by a named method (what estimators call)
:func:`exact_moments`                  means and products of a model's units, summed
:func:`exact_log_likelihood_gradient`  where the likelihood rises, from the same sum
:func:`raise_log_likelihood`           per row, a lower bound for the annealed model
:func:`log_likelihood_difference`      two models compared by annealing from one to the other
:class:`LogPartition`                  an estimate with its interval, and its doubts in words
:class:`ReverseCheck`                  what the backward chains said
:class:`LogLikelihood`                 a mean over rows, with the errors of rows and log Z apart
:class:`AnnealedLikelihood`            what :func:`raise_log_likelihood` returns
=====================================  ========================================================

References
----------
R. M. Neal (2001). Annealed importance sampling. Statistics and Computing 11.

R. Salakhutdinov, I. Murray (2008). On the quantitative analysis of deep belief networks. ICML.

C. H. Bennett (1976). Efficient estimation of free energy differences from Monte Carlo data.
Journal of Computational Physics 22, equations 12a and 12b.

C. J. Geyer (1994). Estimating normalizing constants and reweighting mixtures. Technical report
568, University of Minnesota.

X.-L. Meng, W. H. Wong (1996). Simulating ratios of normalizing constants via a simple identity.
Statistica Sinica 6.

Y. Burda, R. Grosse, R. Salakhutdinov (2015). Accurate and conservative estimates of MRF
log-likelihood using reverse annealing. AISTATS.

I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, section 18.7.
"""

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters, duration
from skebm._warn import warn
from skebm.energies import LONGEST
from skebm.partition._asked import LOG_PARTITION_RULES
from skebm.partition._result import LogPartition, ReverseCheck
from skebm.partition.ais import anneal
from skebm.partition.bridge import bridge, check_by_reverse, with_check
from skebm.partition.contrast import contrast
from skebm.partition.exact import (
    cheap_log_partition,
    exact_log_likelihood_gradient,
    exact_log_partition,
    exact_moments,
)
from skebm.partition.likelihood import LogLikelihood, log_likelihood_difference
from skebm.partition.raising import AnnealedLikelihood, raise_log_likelihood

__all__ = [
    "AnnealedLikelihood",
    "LogLikelihood",
    "LogPartition",
    "ReverseCheck",
    "exact_log_likelihood_gradient",
    "exact_moments",
    "log_likelihood_difference",
    "log_partition",
    "raise_log_likelihood",
]


def log_partition(
    energy, base=None, *, method="auto", n_chains=None, n_temperatures="auto", check="none",
    target_stderr=None, level=0.95, random_state=None, n_jobs=None, return_chains=False,
):  # fmt: skip
    """log Z of an energy, a user's own included.

    Parameters
    ----------
    energy : Energy
        The model; :mod:`skebm.energies` says how to write one.
    base : object with ``sample`` and ``log_density``, default=None
        Where annealing begins, a distribution with Z = 1; None means ``energy.base()``. With
        ``method="nce"`` what draws of the model are told from, which may also be a fitted noise
        of :mod:`skebm.nce`.
    method : {"auto", "exact", "ais", "bridge", "nce"}, default="auto"
        ``"auto"`` is exact where ``energy.exact_seconds()`` is at most 2, else AIS.
    n_chains : int or None, default=None
        Number of chains, with ``"nce"`` of draws of the model; None plans it for
        ``target_stderr``, at least 128 and, times temperatures, at most 20 million.
    n_temperatures : int or "auto", default="auto"
        Number of temperatures, with ``"nce"`` of those that lead to draws of the model;
        ``"auto"`` plans it by pilot runs, 100 to 20,000.
    check : {"none", "reverse"}, default="none"
        Whether long chains carried back may contradict the estimate; not with ``"nce"``.
    target_stderr : float or None, default=None
        Standard error in nats that ``n_chains`` is planned for; None means 0.05.
    level : float, default=0.95
        Level of the interval, between 0 and 1.
    random_state : None, int, RandomState or Generator, default=None
        Seed; None differs at every call.
    n_jobs : int or None, default=None
        Threads; None leaves Numba's own setting.
    return_chains : bool, default=False
        Whether to return the chains of AIS too.

    Returns
    -------
    LogPartition
        Or, with ``return_chains``, a pair of it and a Bunch of ``states`` (n_chains, n_features)
        and ``log_weights`` (n_chains,), with ``"nce"`` draws of equal weight; None instead of the
        Bunch if the result is exact.

    Raises
    ------
    ValueError
        If ``method="exact"`` is out of reach, energies are not finite, or ``check="reverse"`` is
        asked of ``method="nce"``.
    TypeError
        If ``energy`` or ``base`` is none.
    Warns
    -----
    ConvergenceWarning
        If the run itself shows that its interval cannot be trusted; the message says why.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm.energies import BernoulliRBM
    >>> from skebm.partition import log_partition
    >>> energy = BernoulliRBM(np.zeros((2, 3)), np.zeros(3), np.zeros(2))
    >>> bool(np.isclose(log_partition(energy).value, 5 * np.log(2)))
    True
    """
    options = {
        "method": method, "n_chains": n_chains, "n_temperatures": n_temperatures, "check": check,
        "target_stderr": target_stderr, "level": level, "return_chains": return_chains,
    }  # fmt: skip
    values = {**options, "random_state": random_state, "n_jobs": n_jobs}
    check_parameters(LOG_PARTITION_RULES, values, "log_partition")
    if not hasattr(energy, "anneal"):
        raise TypeError(
            f"log_partition: an Energy is needed, got {type(energy).__name__}; an estimator has a "
            "method log_partition of its own."
        )
    base = energy.base() if base is None else base
    needed = "log_density" if method != "nce" or hasattr(base, "log_density") else "log_prob"
    if isinstance(base, type) or not (hasattr(base, "sample") and hasattr(base, needed)):
        raise TypeError(
            "log_partition: base must have sample and log_density, or with method='nce' sample "
            f"and log_prob, got {type(base).__name__}."
        )
    with threads(n_jobs):
        return estimated(energy, base, draw_entropy(random_state), **options)


def estimated(energy, base, entropy, *, method, level=0.95, return_chains=False, **options):
    """The same from checked options, with what all random numbers are made of."""
    exact = None
    if method == "nce" and options.get("check") == "reverse":
        raise ValueError(
            "log_partition: check='reverse' carries chains back to the base, of which "
            "method='nce' has none; use method='ais' or 'bridge', or check='none'."
        )
    if method == "exact":
        exact = exact_log_partition(energy, level=level)
    elif method == "auto":
        exact = cheap_log_partition(energy, level=level)
    if exact is not None:
        return (exact, None) if return_chains else exact
    estimate = _contrasted if method == "nce" else _annealed
    result, chains = estimate(energy, base, entropy, method, level, **options)
    if not result.converged:
        warn(_complaint(result, energy), ConvergenceWarning)
    return (result, chains) if return_chains else result


def _annealed(
    energy, base, entropy, method, level, *, check="none", n_chains=None, n_temperatures="auto",
    target_stderr=None,
):  # fmt: skip
    run = anneal(
        energy, base, entropy, n_chains=n_chains, n_temperatures=n_temperatures,
        target_stderr=target_stderr,
    )  # fmt: skip
    if method == "bridge":
        result = bridge(run, energy, base, entropy, level)
    else:
        result = run.result(level)
    if check == "reverse":
        result = with_check(result, check_by_reverse(run, energy, base, entropy))
    return result, Bunch(states=run.chains.states, log_weights=run.chains.log_weights)


def _contrasted(energy, base, entropy, method, level, *, check="none", **options):
    result, states = contrast(energy, base, entropy, level=level, **options)
    return result, Bunch(states=states, log_weights=np.zeros(len(states)))


def _complaint(result, energy):
    """Why an estimate is not to be trusted, what else could be believed, and what to try."""
    said = f"log Z is not to be trusted: {result}: {'; '.join(result.doubts)}."
    if abs(result.second_opinion - result.value) > result.stderr:
        said += (
            f" If log-weights were Gaussian it would be {result.second_opinion:.3f} ± "
            f"{result.second_stderr:.3f}."
        )
    if result.check is not None:
        said += f" The reverse run says: {result.check}."
    if result.check is not None and result.check.modes_differ:
        said += (
            " Where modes are separate none of these values is log Z, their errors do not cover "
            "what is missing, and more chains or temperatures do not help."
        )
    elif result.method == "nce":
        said += (
            " Choose a base that is nearer to the model, or method='bridge', which has as many "
            "temperatures in between as it takes."
        )
    else:
        said += " Raise n_temperatures or n_chains, or choose another base."
    seconds = energy.exact_seconds()
    if seconds <= LONGEST:
        takes = "a moment" if seconds < 0.1 else f"about {duration(seconds)}"
        said += f" method='exact' takes {takes}."
    return said
