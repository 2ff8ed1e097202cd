"""What keeps an estimator from being pickled, said in words."""

import pickle
import sys

from skebm._jit import is_compiled

# What copies functions as they are, and picklers that carry them by value, lambdas included.
_AS_THEY_ARE = {"copy", "cloudpickle", "dill"}


def check_picklable(estimator):
    """Raise if a function of the user cannot be found by its name when it is loaded again."""
    if _takes_all_functions():
        return
    for name, value in estimator.get_params(deep=True).items():
        if not callable(value) or is_compiled(value) or hasattr(value, "get_params"):
            continue
        try:
            pickle.dumps(value)
        except Exception as error:
            called = getattr(value, "__qualname__", type(value).__name__)
            raise pickle.PicklingError(
                f"{type(estimator).__name__}: {name}={called} cannot be pickled: pickle finds "
                "functions by their names, so that lambdas and functions inside of others do not "
                "work. Define it at the top of a module, or use cloudpickle."
            ) from error


def _takes_all_functions():
    """Whether what asks is a copier, or a pickler that carries functions by value."""
    frame = sys._getframe(1)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").split(".")[0]
        if package in _AS_THEY_ARE:
            return True
        frame = frame.f_back
    return False
