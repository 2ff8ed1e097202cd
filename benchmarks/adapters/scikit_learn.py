"""scikit-learn's BernoulliRBM: PCD-1 at a constant learning rate, in float32 as the data."""

import sklearn
from sklearn.neural_network import BernoulliRBM

from benchmarks.adapters import WARM_UP_ROWS, Fitted, seconds_per_epoch, timed
from benchmarks.scoring import Parameters


def version():
    return f"scikit-learn {sklearn.__version__}"


def fit(data, params, budget, seed=0):
    """``params`` are those of BernoulliRBM; rows are shuffled, which it does not do itself."""
    model = BernoulliRBM(**params, random_state=seed)
    timed(model.set_params(n_iter=1).fit, data.train[:WARM_UP_ROWS])
    X = sklearn.utils.shuffle(data.train, random_state=seed)
    epochs = budget.epochs
    if epochs is None:
        epochs = budget.epochs_at(timed(model.fit, X)[0])
    seconds, _ = timed(model.set_params(n_iter=epochs).fit, X)
    found = Parameters(model.components_, model.intercept_visible_, model.intercept_hidden_)
    return Fitted(found, epochs, seconds, 0.0)


def update_seconds(X, n_components, batch_size, n_gibbs_steps):
    """Time of one PCD-1 update, out of the later epochs of a fit."""
    if n_gibbs_steps != 1:
        raise ValueError("BernoulliRBM knows PCD-1 only")
    model = BernoulliRBM(n_components, batch_size=batch_size, learning_rate=0.01, random_state=0)
    return seconds_per_epoch(model, X) / -(-X.shape[0] // batch_size)
