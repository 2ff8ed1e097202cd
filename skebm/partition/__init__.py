"""log Z after training, so that models can be compared by likelihood.

Which method
------------
``exact`` sums over all states of the smaller layer (or has a closed form). No error; its time
doubles with every unit. Whatever can be had exactly should be: ``auto`` takes it where that is a
matter of a moment.

``ais``, annealed importance sampling, carries chains from a distribution with a known Z, the
*base*, to the model over many temperatures in between, and weighs them on the way. The mean
weight is an unbiased estimate of Z. How many temperatures K it takes depends on how far the model
is from the base: the variance of a log-weight is about Lambda^2 / K, and a base at the means of
the data has a Lambda^2 several times smaller than fair coins. What is left open is planned by
pilot runs.

``bridge`` carries as many chains back, from long Gibbs chains of the model to the base, and puts
both directions together (Bennett's acceptance ratio). ``check="reverse"`` runs the same chains
back only to see whether they contradict AIS.

Why a likelihood by AIS flatters
--------------------------------
The mean weight is unbiased for Z, so its logarithm is too *small* on average (Jensen), by about
half the variance of the mean; log p(x) = -E(x) - log Z is too large by as much. While the
effective sample is large that is far below the standard error. It is not when few chains carry
the weight: those that would have are then missing, the error bar is made of what was seen, and
both are wrong together. Hence ``converged=False`` where the effective sample is less than half of
the chains; below that, intervals were measured to cover less often than they say.

No chain can report a mode that none has visited. Take a model that has 86 % of its mass in one
narrow hole among 2^64 states (``W = 6`` for one hidden unit on 64 visible ones, with a bias of
-338): AIS misses it with a tiny, honest-looking error bar, wrong by 1.95 nats, and so does every
method that starts from the base. ``check="reverse"`` finds it, since half of the backward chains
start at random hidden states, and the two halves disagree. A mode that neither kind of start
leads to stays unseen: there is no certificate, only better witnesses.

Bounds
------
In expectation AIS is a lower bound of log Z, always. The reverse value would be an upper bound if
the backward chains began at exact draws; from Gibbs chains it is a heuristic upper side, and is
called nothing better here. :func:`raise_log_likelihood` bounds a likelihood from the safe side
without log Z: in expectation it is below the log-likelihood of the *annealed* model, which tends
to the model as temperatures are added.

=====================================  ========================================================
:func:`log_partition`                  log Z of an energy by a named method (what estimators call)
:func:`exact_moments`                  means and products of an RBM's units, summed
:func:`exact_log_likelihood_gradient`  where the likelihood rises, from the same sum
:func:`raise_log_likelihood`           per row, a lower bound for the annealed model
:func:`log_likelihood_difference`      two models compared by annealing from one to the other
:class:`LogPartition`                  an estimate with its interval, and its doubts in words
:class:`ReverseCheck`                  what the backward chains said
:class:`LogLikelihood`                 a mean over rows, with the errors of rows and log Z apart
=====================================  ========================================================

References
----------
R. M. Neal (2001). Annealed importance sampling. Statistics and Computing 11.

R. Salakhutdinov, I. Murray (2008). On the quantitative analysis of deep belief networks. ICML.

C. H. Bennett (1976). Efficient estimation of free energy differences from Monte Carlo data.
Journal of Computational Physics 22, equations 12a and 12b.

Y. Burda, R. Grosse, R. Salakhutdinov (2015). Accurate and conservative estimates of MRF
log-likelihood using reverse annealing. AISTATS.

I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, section 18.7.
"""

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

from skebm._warn import warn
from skebm.partition._result import LogPartition, ReverseCheck
from skebm.partition.ais import anneal
from skebm.partition.bridge import anneal_back, bridge_result, compare, with_check
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

METHODS = ("auto", "exact", "ais", "bridge")
CHECKS = ("none", "reverse")


def log_partition(
    energy, base, entropy, *, method="auto", n_chains=None, n_temperatures="auto",
    target_stderr=None, level=0.95, check="none", return_chains=False,
):  # fmt: skip
    """log Z of ``energy`` by the named method; ``auto`` is exact where that takes seconds.

    Parameters
    ----------
    energy : Energy
        The model.
    base : object with ``sample`` and ``log_density``
        Where annealing begins, a distribution with Z = 1.
    entropy : tuple of int
        What all random numbers are made of.
    method, n_chains, n_temperatures, target_stderr, level, check, return_chains
        As :meth:`skebm.PCDRBM.log_partition` takes them.

    Returns
    -------
    LogPartition, or (LogPartition, Bunch or None) with ``return_chains``
    """
    exact = None
    if method == "exact":
        exact = exact_log_partition(energy, level=level)
    elif method == "auto":
        exact = cheap_log_partition(energy, level=level)
    if exact is not None:
        return (exact, None) if return_chains else exact
    plan = {
        "n_chains": n_chains,
        "n_temperatures": n_temperatures,
        "target_stderr": target_stderr,
    }
    annealed = anneal(energy, base, entropy, **plan)
    result, chains = annealed.result(level), annealed.chains
    if method == "bridge" or check == "reverse":
        backward, n_sweeps = anneal_back(annealed.plan, energy, base, entropy)
        checked = compare(chains.log_weights, backward, n_sweeps)
        result = with_check(result, checked)
        if method == "bridge":
            result = bridge_result(
                chains.log_weights, backward, checked, level=level,
                n_temperatures=result.n_temperatures,
            )  # fmt: skip
    if not result.converged:
        warn(_complaint(result), ConvergenceWarning)
    if return_chains:
        return result, Bunch(states=chains.states, log_weights=chains.log_weights)
    return result


def _complaint(result):
    """Why an estimate is not to be trusted, what else could be believed, and what to try."""
    other = (
        f"If log-weights were Gaussian it would be {result.second_opinion:.3f} ± "
        f"{result.second_stderr:.3f}."
    )
    if result.check is not None:
        other += f" The reverse run says: {result.check}."
    return (
        f"log Z is not to be trusted: {result}: {'; '.join(result.doubts)}. {other} Raise "
        "n_temperatures (or n_chains), or choose another base."
    )
