"""The noise that an estimator is asked for by name, by a distribution, or by an object."""

import inspect

import numpy as np
from sklearn.base import clone

from skebm.nce._noise import Noise
from skebm.nce._noise_binary import BernoulliNoise, ChowLiuNoise
from skebm.nce._noise_box import TruncatedNoise, UniformNoise
from skebm.nce._noise_conditional import ConditionalNoise
from skebm.nce._noise_continuous import GaussianNoise, MixtureNoise, StudentTNoise
from skebm.nce._noise_given import (
    GivenNoise,
    ScipyNoise,
    is_discrete,
    is_frozen,
    is_given,
    takes_seeds,
)

_REAL = {
    "gaussian": GaussianNoise,
    "student_t": StudentTNoise,
    "mixture": MixtureNoise,
    "uniform": UniformNoise,
    "truncated": TruncatedNoise,
    "conditional": ConditionalNoise,
}
_BINARY = {"bernoulli": BernoulliNoise, "chow_liu": ChowLiuNoise}

NAMES = ("auto", *_REAL, *_BINARY)

# Draws of a user's noise that are looked at.
_LOOKED_AT = 64

_ALSO = "a noise of skebm.nce, a frozen distribution of SciPy or an object with sample and log_prob"


class NoiseRule:
    """A rule: one of the names, or something that can be drawn from and evaluated."""

    @staticmethod
    def check(name, value):
        accepted = f"{name} must be one of {_listed(NAMES)}, {_ALSO}"
        if isinstance(value, str):
            if value not in NAMES:
                raise ValueError(f"{accepted}, got {value!r}.")
            return
        if inspect.isclass(value):
            raise TypeError(f"{accepted}, got the class {value.__name__}; an instance is needed.")
        if isinstance(value, Noise) or is_frozen(value):
            return
        if is_given(value):
            if takes_seeds(value):
                return
            raise TypeError(
                f"{accepted}, got {value!r}, whose method sample takes no random_state: it must be "
                "sample(n_samples, random_state), beside log_prob(X). A Gaussian mixture is "
                "noise='mixture' or MixtureNoise of skebm.nce."
            )
        if callable(value) and hasattr(value, "rvs"):
            kind = type(value).__name__
            raise TypeError(f"{accepted}, got {kind} without its parameters: call it.")
        lacks = [
            each
            for each, methods in (
                ("sample", ("sample", "rvs")),
                ("log_prob", ("log_prob", "score_samples", "logpdf", "logpmf")),
            )
            if not any(callable(getattr(value, method, None)) for method in methods)
        ]
        said = f" without {' and '.join(lacks)}" if len(lacks) == 1 else ""
        raise TypeError(f"{accepted}, got {value!r}{said}.")


def noise_of(noise, *, binary, inflation, low=None, high=None):
    """A noise that is not fitted yet, from what a user may give.

    Parameters
    ----------
    noise : str or object
        See :data:`NAMES`; ``"auto"`` is Gaussian on the reals, truncated normal inside bounds, and
        independent on binary data.
    binary : bool
        Whether data are binary; the noise sees and gives them as 0 and 1.
    inflation : float
        Factor on standard deviations, of noises that are given by a name.
    low, high : float, array-like or None, default=None
        Edges of the support, if it has any.

    Returns
    -------
    object
        With ``fit(X, sample_weight=None)``, ``sample(n_samples, random_state)`` and
        ``log_prob(X)``.

    Raises
    ------
    ValueError
        If the name is not known, or the noise is for data of another kind.
    TypeError
        If it is no noise at all.
    """
    NoiseRule.check("noise", noise)
    bounded = any(edge is not None and np.isfinite(edge).any() for edge in (low, high))
    if isinstance(noise, str):
        return _named(noise, binary, bounded, inflation, low, high)
    if isinstance(noise, Noise):
        return _own(noise, binary, bounded, low, high)
    if is_frozen(noise):
        if binary and not is_discrete(noise):
            raise ValueError(
                "noise must give probabilities of binary data, got a SciPy distribution with a "
                f"density, {type(getattr(noise, 'dist', noise)).__name__}. Accepted are "
                f"{_listed(_names_for(True, False))} and distributions with logpmf."
            )
        return ScipyNoise(noise, binary, low, high)
    return GivenNoise(noise, binary, low, high)


def is_for_reals(noise, X, sample_weight=None):
    """Whether a noise that a user gave is for real data alone, even if these are binary.

    Draws of an object of the user's own are looked at, fitted to ``X``.
    """
    if isinstance(noise, str):
        return noise in _REAL and noise not in _names_for(True, False)
    if isinstance(noise, Noise):
        return "binary" not in noise.kinds
    if is_frozen(noise):
        return not is_discrete(noise)
    try:
        draws = GivenNoise(noise).fit(X, sample_weight=sample_weight).sample(_LOOKED_AT, 0)
    except Exception:  # is said when it is fitted in earnest
        return False
    return not any(((draws == 1) | (draws == low)).all() for low in (0, -1))


def _named(noise, binary, bounded, inflation, low, high):
    if noise == "auto":
        noise = "bernoulli" if binary else ("truncated" if bounded else "gaussian")
    if noise not in (accepted := _names_for(binary, bounded)):
        raise ValueError(
            f"noise={noise!r} is not for {_words(binary, bounded)}: accepted are "
            f"{_listed(accepted)}, {_ALSO}."
        )
    if binary and noise == "uniform":
        return BernoulliNoise(1.0, uniform_share=0.0)
    cls = (_REAL | _BINARY)[noise]
    taken = inspect.signature(cls).parameters
    options = {"inflation": inflation, "low": low, "high": high}
    return cls(**{name: value for name, value in options.items() if name in taken})


def _own(noise, binary, bounded, low, high):
    """A noise of this package, as the user set it up."""
    if ("binary" if binary else "real") not in noise.kinds or (bounded and not noise.bounded):
        names = [n for n in _names_for(binary, bounded) if n != "auto"]
        accepted = dict.fromkeys((_REAL | _BINARY)[n].__name__ for n in names)
        raise ValueError(
            f"noise={noise!r} is not for {_words(binary, bounded)}: accepted are "
            f"{', '.join(accepted)}, a frozen distribution of SciPy or an object with sample and "
            "log_prob."
        )
    if binary and isinstance(noise, UniformNoise):
        return BernoulliNoise(1.0, uniform_share=0.0)
    noise = clone(noise)
    given = noise.get_params(deep=False)
    edges = {name: edge for name, edge in (("low", low), ("high", high)) if name in given}
    return noise.set_params(**{name: edge for name, edge in edges.items() if given[name] is None})


def _names_for(binary, bounded):
    if binary:
        return ("auto", "uniform", *_BINARY)
    fitting = (name for name, cls in _REAL.items() if cls.bounded or not bounded)
    return ("auto", *(name for name in fitting if bounded or name != "truncated"))


def _words(binary, bounded):
    return "binary data" if binary else ("data inside bounds" if bounded else "real data")


def _listed(names):
    return ", ".join(map(repr, names))
