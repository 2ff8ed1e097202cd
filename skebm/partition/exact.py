"""Exact log Z, moments and likelihood gradients, where the energy can be summed in time."""

import numpy as np
from sklearn.utils import Bunch

from skebm._jit import threads
from skebm._validation import duration
from skebm.energies import LONGEST
from skebm.partition._asked import checked_estimator
from skebm.partition._result import LogPartition

# Predicted seconds on one core below which "auto" is exact.
CHEAP = 2.0


def cheap_log_partition(energy, *, level=0.95):
    """log Z without error where that takes a moment, else None."""
    value = energy.exact_log_partition() if energy.exact_seconds() <= CHEAP else None
    return None if value is None else LogPartition(value=value, level=level)


def exact_log_partition(energy, *, level=0.95):
    """log Z without error, or a ``ValueError`` that says how long it would have taken."""
    value = energy.exact_log_partition()
    if value is None:
        raise ValueError(
            f"method='exact' is out of reach for this {type(energy).__name__}: "
            f"{_cost(energy, energy.exact_seconds())}. Use method='ais'."
        )
    return LogPartition(value=value, level=level)


def _cost(energy, seconds):
    bits = energy.n_exact_bits()
    if bits is None:
        return "it knows no sum over its states"
    time = f"about {duration(seconds)} on one core, the limit is {duration(LONGEST)}"
    return f"the sum over 2^{bits} states would take {time}"


def exact_moments(estimator):
    """Means of all units and of their products under a fitted model, without error.

    Parameters
    ----------
    estimator : estimator
        An RBM or an Ising model of this package, fitted or made by ``from_parameters``.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Of an RBM, coded as 0 and 1: ``visible`` (n_features,), the means E[v]; ``hidden``
        (n_components,), E[h]; ``products`` (n_components, n_features), E[h_j v_i].
        Of an Ising model, coded as -1 and 1: ``spins`` (n_features,), E[s_i]; ``products``
        (n_features, n_features), E[s_i s_j].
        Always ``log_partition``, log Z in nats. All float64.

    Raises
    ------
    ValueError
        If it would take more than an hour on one core; the message says how long.

    Notes
    -----
    Of an RBM the states of the smaller layer are summed over, some 3 ns for each and for each
    unit of the larger layer on one core; of an Ising model all states, some 15 ns for each.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import PCDRBM
    >>> from skebm.partition import exact_moments
    >>> model = PCDRBM.from_parameters(np.zeros((2, 3)), np.zeros(3), np.zeros(2))
    >>> exact_moments(model).products
    array([[0.25, 0.25, 0.25],
           [0.25, 0.25, 0.25]])
    """
    energy = checked_estimator(estimator)._energy()
    with threads(estimator.n_jobs):
        moments = _moments(energy)
    named = energy.name_moments(moments.gradient)
    return Bunch(**named, log_partition=moments.log_partition)


def exact_log_likelihood_gradient(estimator, X):
    """Gradient of the mean log-likelihood of some rows, without error.

    Parameters
    ----------
    estimator : estimator
        An RBM or an Ising model of this package, fitted or made by ``from_parameters``.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, coded as in training.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Of an RBM ``components`` (n_components, n_features), ``intercept_visible``
        (n_features,) and ``intercept_hidden`` (n_components,); of an Ising model ``field``
        (n_features,) and ``coupling`` (n_features, n_features), whose entries ij and ji are both
        the derivative by the coupling of that pair. The derivatives of ``estimator.score(X)`` by
        the parameters of these names, float64, nats per row.

    Raises
    ------
    ValueError
        If it would take more than an hour on one core; the message says how long.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville (2016). Deep Learning, equations 18.4 to 18.13.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import PCDRBM
    >>> from skebm.partition import exact_log_likelihood_gradient
    >>> model = PCDRBM.from_parameters(np.zeros((1, 2)), np.zeros(2), np.zeros(1))
    >>> exact_log_likelihood_gradient(model, [[1, 0], [1, 1]]).intercept_visible
    array([0.5, 0. ])
    """
    checked_estimator(estimator)
    rows, energy = estimator._rows(X), estimator._energy()
    with threads(estimator.n_jobs):
        gradient = -_moments(energy).gradient
        for _, taken in rows.blocks(energy.dtype, energy.rows_per_call()):
            block = energy.states_of(taken)
            gradient -= energy.gradient(block, np.full(len(block), 1.0 / len(rows)))
    return Bunch(**energy.unflatten(gradient))


def _moments(energy):
    moments = energy.exact_moments()
    if moments is None:
        raise ValueError(
            f"exact moments are out of reach for this {type(energy).__name__}: "
            f"{_cost(energy, energy.exact_moments_seconds())}."
        )
    return moments
