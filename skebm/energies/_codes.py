"""What values the states of an energy have: 0 and 1, -1 and 1, or real numbers."""

from typing import NamedTuple

import numpy as np

from skebm.energies._base import IndependentBernoulli
from skebm.energies._independent_normals import IndependentNormals
from skebm.energies.gaussian import Gaussian
from skebm.energies.ising import IndependentSpins, Ising
from skebm.energies.rbm import BernoulliRBM

_LOOKED_AT = 140  # purpose of random numbers

# Draws of a base of one's own that are looked at.
_DRAWS = 64


class Codes(NamedTuple):
    """Values of the states: ``binary`` ones are -1 and 1 if ``spins``, else 0 and 1."""

    binary: bool
    spins: bool


SPINS, BITS, REALS = Codes(True, True), Codes(True, False), Codes(False, False)

_KNOWN = (
    (SPINS, (Ising, IndependentSpins)),
    (BITS, (BernoulliRBM, IndependentBernoulli)),
    (REALS, (Gaussian, IndependentNormals)),
)


def codes_of(energy):
    """The :class:`Codes` of an energy, by its kind, that of its base, or draws of its base.

    None where neither tells.
    """
    found = _known(energy)
    if found is not None or not hasattr(energy, "base"):
        return found
    try:
        base = energy.base()
        found = _known(base)
        if found is None:
            dtype = getattr(energy, "dtype", np.float64)
            found = _of_draws(np.asarray(base.sample(_DRAWS, (_LOOKED_AT,), dtype)))
    except Exception:  # a base is not needed to learn, and is heard when it is
        return None
    return found


def _known(thing):
    return next((codes for codes, kinds in _KNOWN if isinstance(thing, kinds)), None)


def _of_draws(X):
    """Those of some states; all ones tell nothing."""
    ones, zeros, minus = X == 1, X == 0, X == -1
    if not (ones | zeros).all() and not (ones | minus).all():
        return REALS
    return None if ones.all() else (SPINS if minus.any() else BITS)
