"""skebm itself."""

import warnings

from sklearn.exceptions import ConvergenceWarning

import skebm
from benchmarks.adapters import WARM_UP_ROWS, Fitted, seconds_per_epoch, timed
from benchmarks.scoring import Parameters


def version():
    return f"skebm {skebm.__version__}"


def fit(data, params, budget, seed=0):
    """``params`` are those of the estimator, and ``estimator``, its name."""
    params = dict(params, random_state=seed)
    model = getattr(skebm, params.pop("estimator", "PCDRBM"))(**params)
    compiling, _ = timed(model.set_params(n_iter=1).fit, data.train[:WARM_UP_ROWS])
    epochs = budget.epochs
    if epochs is None:
        epochs = budget.epochs_at(timed(model.fit, data.train)[0])
    seconds, _ = timed(model.set_params(n_iter=epochs).fit, data.train)
    found = Parameters(model.components_, model.intercept_visible_, model.intercept_hidden_)
    return Fitted(found, epochs, seconds, compiling)


def update_seconds(X, n_components, batch_size, n_gibbs_steps):
    """Time of one PCD update, out of the later epochs of a fit."""
    model = skebm.PCDRBM(
        n_components, batch_size=batch_size, n_gibbs_steps=n_gibbs_steps, learning_rate=0.01,
        random_state=0,
    )  # fmt: skip
    return seconds_per_epoch(model, X) / -(-X.shape[0] // batch_size)


def fitted(parameters):
    """A model of given parameters."""
    return skebm.PCDRBM.from_parameters(*parameters, random_state=0)


def temperature_seconds(parameters, n_chains, n_temperatures):
    """Time of one AIS temperature of all chains."""
    seconds, _ = timed(_ais, fitted(parameters), n_chains, n_temperatures)
    return seconds / n_temperatures


def log_z(parameters, base_means, n_chains, n_temperatures, seed):
    """An AIS estimate from independent units of these means, what a fit has by default."""
    options = {"base": base_means, "random_state": seed}
    return _ais(fitted(parameters), n_chains, n_temperatures, **options).value


def _ais(model, n_chains, n_temperatures, random_state=0, **options):
    sweeps = {"n_chains": n_chains, "n_temperatures": n_temperatures}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it warns of is measured
        return model.log_partition("ais", random_state=random_state, **sweeps, **options)


def state_seconds(parameters, n_states):
    """Time per hidden state of the exact log Z; all are summed, whatever ``n_states``."""
    return timed(fitted(parameters).log_partition, "exact")[0] / 2.0 ** len(parameters.c)
