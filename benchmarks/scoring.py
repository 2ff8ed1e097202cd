"""One likelihood for every model, whoever trained it: skebm's log Z of its parameters."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning


class Parameters(NamedTuple):
    """p(v, h) ~ exp(b'v + c'h + h'Wv): W (n_components, n_features), visible b, hidden c."""

    W: np.ndarray
    b: np.ndarray
    c: np.ndarray


class Likelihood(NamedTuple):
    """Mean test log-likelihood in nats; what is uncertain about log Z and about the rows."""

    loglik: float
    lower: float
    upper: float
    stderr_log_z: float
    stderr_rows: float
    method: str
    converged: bool


def marginals(X):
    """Means of the columns with one row of ones and one of zeros added, strictly inside (0, 1)."""
    return (X.sum(axis=0, dtype=np.float64) + 1.0) / (len(X) + 2.0)


def likelihood(parameters, data, **options):
    """Score ``parameters`` on ``data.test``; ``options`` go to ``log_partition``.

    AIS starts from the means of the training data. ``lower`` and ``upper`` are the 95 % interval
    that the error of log Z leaves, ``stderr_rows`` is the standard error over test rows.
    """
    from skebm import PCDRBM  # only here: a peer whose memory is measured does without

    if not all(np.isfinite(array).all() for array in parameters):
        return Likelihood(*[-np.inf] * 3, np.nan, np.nan, "diverged", False)
    model = PCDRBM.from_parameters(*parameters, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stands in the table
        log_z = model.log_partition(base=marginals(data.train), random_state=0, **options)
    unnormalized = -model.free_energy(data.test)
    mean = unnormalized.mean()
    return Likelihood(
        loglik=mean - log_z.value,
        lower=mean - log_z.upper,
        upper=mean - log_z.lower,
        stderr_log_z=log_z.stderr,
        stderr_rows=unnormalized.std(ddof=1) / np.sqrt(len(unnormalized)),
        method=log_z.method,
        converged=log_z.converged,
    )
