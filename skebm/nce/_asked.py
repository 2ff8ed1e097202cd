"""What the estimator may be asked for, and what its energy means."""

import inspect
import numbers

import numpy as np
from sklearn.base import clone

from skebm._jit import is_compiled
from skebm._validation import Choice, Jobs, Number, RandomState, positive_integer
from skebm.nce._binary import RBM, IsingModel
from skebm.nce._experts import ICA
from skebm.nce._family import BINARY, Family
from skebm.nce._features import ExponentialFamily
from skebm.nce._gaussians import DiagonalGaussian, FullGaussian, TruncatedGaussian
from skebm.nce._noises import NoiseRule
from skebm.nce._user import RowFunctions, ScalarFunction, functions_of_class, is_energy_class

FAMILIES = {
    "gaussian": FullGaussian,
    "diagonal_gaussian": DiagonalGaussian,
    "ica": ICA,
    "ising": IsingModel,
    "rbm": RBM,
    "truncated_gaussian": TruncatedGaussian,
}

SOLVERS = ("auto", "newton", "lbfgs")


class EnergyRule:
    """A rule: one of the names, an energy of :mod:`skebm.nce`, a function, or a class."""

    @staticmethod
    def check(name, value):
        names = ", ".join(map(repr, FAMILIES))
        accepted = (
            f"{name} must be one of {names}, an energy of skebm.nce, a compiled function of "
            "(theta, x), a function of (theta, X), or a class with methods energy and gradient"
        )
        if isinstance(value, str):
            if value not in FAMILIES:
                raise ValueError(f"{accepted}, got {value!r}.")
        elif inspect.isclass(value):
            if issubclass(value, Family) or not is_energy_class(value):
                said = "; an instance is needed" if issubclass(value, Family) else ""
                raise TypeError(f"{accepted}, got the class {value.__name__}{said}.")
        elif not isinstance(value, Family) and not callable(value):
            raise TypeError(f"{accepted}, got {value!r}.")
        elif is_compiled(value) and getattr(value, "targetoptions", {}).get("parallel"):
            raise ValueError(
                f"{name} must be compiled without parallel=True, got {value.__name__!r}: rows are "
                "shared among threads here, and a function of one row must not start its own."
            )


class FunctionRule:
    """A rule: None, or a function."""

    @staticmethod
    def check(name, value):
        if value is not None and (not callable(value) or inspect.isclass(value)):
            raise TypeError(f"{name} must be a function of (theta, X, w) or None, got {value!r}.")


class VectorRule:
    """A rule: None, or a one-dimensional array of finite numbers or of truth values."""

    def __init__(self, kind):
        self.kind = kind

    def check(self, name, value):
        if value is None:
            return
        words = "truth values" if self.kind is bool else "finite numbers"
        accepted = f"{name} must be a one-dimensional array of {words} or None"
        try:
            array = np.asarray(value)
            array = array if self.kind is bool else array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{accepted}, got {value!r}.") from error
        if self.kind is bool and array.dtype != bool:
            raise TypeError(f"{accepted}, got {value!r}.")
        if array.ndim != 1 or not array.size:
            raise ValueError(f"{accepted}, got shape {array.shape}.")
        if self.kind is not bool and not np.isfinite(array).all():
            place = int(np.argmin(np.isfinite(array)))
            raise ValueError(f"{accepted}, found {array[place]} at place {place}.")


class AutoFlag:
    """A rule: "auto", True or False."""

    @staticmethod
    def check(name, value):
        if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and value == "auto"):
            return
        raise TypeError(f"{name} must be 'auto', True or False, got {value!r}.")


RULES = {
    "energy": EnergyRule(),
    "gradient": FunctionRule(),
    "noise": NoiseRule(),
    "noise_ratio": Number(numbers.Real, 0, above=True),
    "noise_inflation": Number(numbers.Real, 0, above=True),
    "solver": Choice(SOLVERS),
    "l2": Number(numbers.Real, 0),
    "fixed": VectorRule(bool),
    "init": VectorRule(float),
    "standardize": AutoFlag(),
    "tol": Number(numbers.Real, 0, above=True),
    "max_iter": positive_integer(),
    "random_state": RandomState(),
    "n_jobs": Jobs(),
}


def family_of(estimator):
    """The :class:`Family` that is asked for, or None if the energy is the user's own."""
    energy = estimator.energy
    if isinstance(energy, str):
        energy = FAMILIES[energy]()
    if not isinstance(energy, Family):
        return None
    energy.check()
    return clone(energy)  # what is done to it afterwards does not change what was learned


def is_binary(energy):
    """Whether an energy that comes with this estimator is for binary data."""
    known = FAMILIES.get(energy) if isinstance(energy, str) else energy
    return getattr(known, "kind", None) == BINARY


def given_of(energy, gradient, coding):
    """The :class:`GivenEnergy` of a user's own, of rows in the codes of the data."""
    if is_energy_class(energy):
        return functions_of_class(energy, coding.states)
    if is_compiled(energy) and gradient is None:
        return ScalarFunction(energy)
    if is_compiled(energy):
        raise ValueError(
            "gradient is for energies of rows (theta, X); a compiled energy of one row (theta, x) "
            "has central differences. Wrap it in a function of rows to give both."
        )
    return RowFunctions(energy, gradient)


def check_together(estimator):
    """Raise if parameters that are right by themselves do not go together."""
    family = family_of(estimator)
    is_class = inspect.isclass(estimator.energy)
    if estimator.gradient is not None and (family is not None or is_class):
        raise ValueError("gradient is for an energy that is a function; this one has its own.")
    if family is None and estimator.init is None:
        raise ValueError(
            "init is required with an energy of your own: it gives the number of parameters."
        )
    if estimator.fixed is not None and estimator.init is None:
        raise ValueError("fixed needs init, which says where parameters stay.")
    if estimator.standardize is True and (family is None or not family.standardizes):
        raise ValueError(
            "standardize must be 'auto' or False for this energy, whose columns have a scale of "
            "their own."
        )


__all__ = [
    "FAMILIES",
    "RULES",
    "ExponentialFamily",
    "check_together",
    "family_of",
    "given_of",
    "is_binary",
]
