"""Noises that a user gives: frozen distributions of SciPy, and objects of their own."""

import contextlib
import copy
import inspect

import numpy as np
from sklearn.base import clone

from skebm._rng import derive_seed, draw_entropy, host_generator
from skebm._validation import check_sample_weight
from skebm.nce._noise import DRAWS, checked_rows

_SEED = 135  # purpose of random numbers

# Methods that give a normalised log-density, the first that an object has is asked.
LOG_PROBS = ("log_prob", "score_samples")

# How methods are called that draw.
_CALLED = {
    "sample": "sample(n_samples, random_state)",
    "rvs": "rvs(size=n_samples, random_state=generator)",
}


class GivenNoise:
    """A user's object with ``sample`` and ``log_prob``, whose answers are looked at.

    It is copied. What has a method ``fit`` is fitted to the data, but for what scikit-learn's
    ``FrozenEstimator`` holds, whose ``fit`` does nothing.

    Parameters
    ----------
    noise : object
        With ``sample(n_samples, random_state)`` and ``log_prob(X)``, or ``score_samples(X)``.
    binary : bool, default=False
        Whether draws have to be 0 and 1.
    low, high : ndarray of shape (n_features,) or None, default=None
        Edges that draws have to stay inside of.
    """

    is_conditional = False

    def __init__(self, noise, binary=False, low=None, high=None):
        self.noise, self.binary, self.low, self.high = noise, binary, low, high
        self.name = type(noise).__name__

    def fit(self, X, sample_weight=None):
        """Copy the noise, and fit the copy if it can be fitted."""
        X = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = X.shape[1]
        if hasattr(self.noise, "fit"):
            weights = check_sample_weight(sample_weight, len(X))
            noise = self._copy()
            known = _parameters(noise.fit)
            options = {"y": None} if "y" in known else {}
            if sample_weight is not None:
                if not known & {"sample_weight", "**"}:
                    raise TypeError(
                        f"noise: {self.name}.fit takes no sample_weight; fit it beforehand and "
                        "give it without a method fit, or inside sklearn's FrozenEstimator."
                    )
                options["sample_weight"] = weights[weights > 0]
            noise.fit(X[weights > 0].copy(), **options)
            self.noise = noise
        else:
            with contextlib.suppress(Exception):  # what cannot be copied is taken as it is
                self.noise = self._copy()
        return self

    def sample(self, n_samples=1, random_state=None):
        """Checked draws, (n_samples, n_features) float64."""
        X = self._called(self._drawing, self._draw, n_samples, draw_entropy(random_state))
        method = f"noise: {self.name}.{self._drawing}"
        try:
            X = np.array(X, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{method} must return numbers, got {type(X).__name__}.") from error
        if self.n_features_in_ == 1 and X.shape == (n_samples,):
            X = X[:, None]
        expected = n_samples, self.n_features_in_
        if X.shape != expected:
            raise ValueError(f"{method} must return shape {expected}, got {X.shape}.")
        self._check_draws(method, X)
        return X

    def log_prob(self, X, places=None):
        """Checked log-densities, (n_samples,) float64; ``places`` are numbers of rows."""
        X = checked_rows(self, X)
        found = self._called(self._weighing, self._evaluate, X.copy())
        method = f"noise: {self.name}.{self._weighing}"
        try:
            found = np.array(found, dtype=np.float64)
        except (TypeError, ValueError) as error:
            kind = type(found).__name__
            raise TypeError(f"{method} must return numbers, got {kind}.") from error
        if found.shape != (len(X),):
            raise ValueError(f"{method} must return shape ({len(X)},), got {found.shape}.")
        good = np.isfinite(found)
        if not good.all():
            row = int(np.argmin(good))
            why = " there: noise has to cover the data" if found[row] == -np.inf else ""
            number = row if places is None else places[row]
            raise ValueError(
                f"{method} must be finite, found {found[row]:g} in row {number}{why} (the row is "
                f"{_short(X[row])})."
            )
        return found

    @property
    def _drawing(self):
        return "sample"

    @property
    def _weighing(self):
        return next(name for name in LOG_PROBS if hasattr(self.noise, name))

    def _draw(self, n_samples, entropy):
        seed = derive_seed(entropy, _SEED) % 2**32  # as large as a seed of NumPy's may be
        known = _parameters(self.noise.sample)
        if "random_state" in known or "**" in known:
            return self.noise.sample(n_samples, random_state=seed)
        return self.noise.sample(n_samples, seed)

    def _evaluate(self, X):
        return getattr(self.noise, self._weighing)(X)

    def _copy(self):
        if hasattr(self.noise, "get_params") and not isinstance(self.noise, type):
            return clone(self.noise)
        return copy.deepcopy(self.noise)

    def _called(self, method, function, *arguments):
        try:
            return function(*arguments)
        except Exception as error:
            known = _CALLED.get(method, f"{method}(X)")
            raise ValueError(
                f"noise: {self.name}.{method}, called as {known}, raised {type(error).__name__}: "
                f"{error}"
            ) from error

    def _check_draws(self, method, X):
        if not np.isfinite(X).all():
            row = int(np.argwhere(~np.isfinite(X))[0, 0])
            raise ValueError(f"{method} must be finite, row {row} is {_short(X[row])}.")
        if self.binary and not ((X == 0) | (X == 1)).all():
            row = int(np.argwhere((X != 0) & (X != 1))[0, 0])
            raise ValueError(
                f"{method} must return 0 and 1 for binary data (also for those coded as -1 and "
                f"1), row {row} is {_short(X[row])}."
            )
        for word, edge, sign in (("below low", self.low, 1.0), ("above high", self.high, -1.0)):
            if edge is not None and (outside := sign * X < sign * edge).any():
                row = int(np.argwhere(outside)[0, 0])
                raise ValueError(
                    f"{method} must stay inside of the support, row {row} is {word}: "
                    f"{_short(X[row])}."
                )


class ScipyNoise(GivenNoise):
    """A frozen distribution of SciPy; a univariate one is drawn for each column.

    Parameters
    ----------
    noise : frozen distribution
        With ``rvs`` and ``logpdf``, or ``logpmf``.
    binary : bool, default=False
        Whether draws have to be 0 and 1.
    low, high : ndarray of shape (n_features,) or None, default=None
        Edges that draws have to stay inside of.
    """

    def __init__(self, noise, binary=False, low=None, high=None):
        super().__init__(noise, binary, low, high)
        self.name = f"scipy.stats {type(getattr(noise, 'dist', noise)).__name__}"

    def fit(self, X, sample_weight=None):
        """Note how many columns there are."""
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    @property
    def _drawing(self):
        return "rvs"

    @property
    def _weighing(self):
        return "logpmf" if is_discrete(self.noise) else "logpdf"

    @property
    def _is_univariate(self):
        return hasattr(self.noise, "dist")

    def _draw(self, n_samples, entropy):
        generator = host_generator(entropy, DRAWS)
        if self._is_univariate:
            return self.noise.rvs(size=(n_samples, self.n_features_in_), random_state=generator)
        X = np.asarray(self.noise.rvs(size=n_samples, random_state=generator))
        if X.size == n_samples * self.n_features_in_:  # SciPy drops axes of length 1
            return X.reshape(n_samples, self.n_features_in_)
        return X

    def _evaluate(self, X):
        values = getattr(self.noise, self._weighing)(X)
        return values.sum(axis=1) if self._is_univariate else np.reshape(values, len(X))


def is_frozen(noise):
    """Whether something is a frozen distribution of SciPy, or looks like one.

    What waits for its parameters can be called.
    """
    weighs = hasattr(noise, "logpdf") or hasattr(noise, "logpmf")
    return hasattr(noise, "rvs") and weighs and not callable(noise)


def is_discrete(noise):
    """Whether a frozen distribution has probabilities rather than a density."""
    if hasattr(noise, "dist"):  # univariate ones have both names in some versions
        return hasattr(noise.dist, "logpmf")
    return hasattr(noise, "logpmf") and not hasattr(noise, "logpdf")


def is_given(noise):
    """Whether something can be drawn from and evaluated."""
    return callable(getattr(noise, "sample", None)) and any(
        callable(getattr(noise, name, None)) for name in LOG_PROBS
    )


def takes_seeds(noise):
    """Whether draws can be told a seed, as far as a signature says."""
    try:
        parameters = inspect.signature(noise.sample).parameters.values()
    except (TypeError, ValueError):
        return True
    named = any(p.name == "random_state" or p.kind is p.VAR_KEYWORD for p in parameters)
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named or len(places) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _parameters(function):
    """Names of what a function takes, with ``**`` if anything."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set()
    return {"**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters}


def _short(row):
    return np.array2string(row, precision=4, threshold=6, edgeitems=2)
