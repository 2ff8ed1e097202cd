"""What every energy of a user is, and how its rows and parameters are spoken of."""

from typing import NamedTuple

import numpy as np

from skebm.nce._steps import steps_from
from skebm.nce._sums import weighted_sum

# Rows of one call of a user's function, and the numbers that these may hold.
_ROWS, _NUMBERS = 4096, 2**21

# Relative error of a slope beyond which it is wrong: differences themselves are good to 1e-9.
TOLERANCE = 1e-4

# Errors of differences that are owed to the rounding of energies: so many of the smallest.
_ROUNDED = 20.0 * np.finfo(float).eps

# Relative difference beyond which the energy of a row depends on other rows.
_MIXED = 1e-8

# Rows and weights that slopes are looked at with before they are used, and rows of data and as many
# of noise that steps of differences are found from.
_LOOKED_AT, _STEPPED = 5, 16


class Whose(NamedTuple):
    """What rows are called: those of the data, or of the noise, by their numbers in what was given.

    ``places`` (n,) are these numbers, None where rows are counted as they are; rows beyond the last
    one are copies of it.
    """

    word: str
    places: object = None

    def number(self, r):
        """Number of row ``r``."""
        return r if self.places is None else int(self.places[min(r, len(self.places) - 1)])

    def row(self, r):
        """'row 7 of the data'."""
        return f"row {self.number(r)} of {self.word}"

    def part(self, chosen):
        """Those of a slice, or of some indices."""
        if isinstance(chosen, slice):
            chosen = np.arange(chosen.start, chosen.stop)
        if self.places is not None:
            chosen = self.places[np.minimum(chosen, len(self.places) - 1)]
        return Whose(self.word, chosen)


X_ROWS, NOISE_ROWS = Whose("X"), Whose("the noise")


class GivenEnergy:
    """E(theta, x) and its slopes as functions of rows; subclasses say how they are called.

    ``name`` and ``gradient_name`` are what messages call them, ``data`` is what they call rows of
    data.
    """

    gradient_name = None
    data = Whose("the data")
    _rows = _steps = None  # which steps are found from, and the last ones

    def parts_of(self, X, n_params=1):
        """Slices of rows for one call each."""
        step = max(1, min(_ROWS, _NUMBERS // max(1, X.shape[1])))
        return [slice(low, min(len(X), low + step)) for low in range(0, len(X), step)]

    def energies(self, theta, X, whose=X_ROWS):
        """Energies of rows as they are, (n,) float64; inf is for rows without density."""
        out = np.empty(len(X))
        for part in self.parts_of(X):
            out[part] = self._called_energies(theta, X[part], whose.part(part))
        return out

    def known_energies(self, theta, X, whose=X_ROWS):
        """Energies without NaN and -inf, or a ``ValueError`` that names the row."""
        values = self.energies(theta, X, whose)
        bad = np.isnan(values) | (values == -np.inf)
        if bad.any():
            r = int(np.argmax(bad))
            raise ValueError(
                f"{self.name} must not return NaN or -inf, found {values[r]} in "
                f"{described(whose, r, X, theta)}."
            )
        return values

    def slopes(self, theta, X, weights, whose=X_ROWS):
        """Sum of weights times dE / dtheta over rows, (k,) float64."""
        total = np.zeros(len(theta))
        for part in self.parts_of(X, len(theta)):
            total += self._slopes(theta, X[part], weights[part], whose.part(part))
        return total

    def _slopes(self, theta, X, weights, whose):
        return weighted_sum(weights, self._features(self.sides(theta, X), X, whose))

    def features(self, theta, X, whose=X_ROWS):
        """dE / dtheta of each row by central differences, (n, k); 0 where these are not finite."""
        return self._features(self.sides(theta, X, exactly=True), X, whose)

    def _features(self, sides, X, whose=X_ROWS):
        out = np.empty((len(X), len(sides.theta)))
        for j, values in enumerate(zip(sides.above, sides.below)):
            above, below = (moved(sides.theta, j, value) for value in values)
            above, below = (self._called_energies(t, X, whose) for t in (above, below))
            finite = np.isfinite(above) & np.isfinite(below)
            out[:, j] = np.subtract(above, below, out=np.zeros(len(X)), where=finite)
        return out / sides.lengths

    def sides(self, theta, X, exactly=False):
        """The :class:`~skebm.nce._steps.Sides` of theta, by the last steps if they are near.

        Or by none but its own, if ``exactly``. Steps are found from rows of ``X``, if from none
        before.
        """
        if self._rows is None:
            self._rows = X[looked_at(X, _STEPPED)]
        last = self._steps
        if exactly and last is not None and not np.array_equal(last.found_at, theta):
            last = None
        self._steps = steps_from(self._tried_energies, theta, last)
        return self._steps.around(theta)

    def _tried_energies(self, theta):
        """Energies that steps are found from, NaN where a function raises."""
        try:
            return self._called_energies(theta, self._rows, X_ROWS)
        except (RuntimeError, TypeError, ValueError):  # said where it is asked for in earnest
            return np.full(len(self._rows), np.nan)

    def check_slopes(self, theta, X):
        """Largest relative error of the user's gradient on some rows, one at a time; and its row.

        An error is relative to the largest slope of its parameter over the rows, or to what
        rounding leaves of differences, or to what these differ by with half the step. 0 where
        slopes are differences anyway.
        """
        energies = self.energies(theta, X) if self.gradient_name is not None else np.empty(0)
        finite = np.flatnonzero(np.isfinite(energies))
        if not len(finite):
            return 0.0, 0
        rows, ones, sides = X[finite], np.ones(1), self.sides(theta, X, exactly=True)
        expected = self._features(sides, rows)
        found = np.stack([self.slopes(theta, rows[r : r + 1], ones) for r in range(len(rows))])
        unsure = _ROUNDED * np.abs(energies[finite]).max() / sides.lengths
        unsure += np.abs(self._features(sides.halved(), rows) - expected).max(axis=0)
        size = np.maximum(np.abs(expected).max(axis=0), unsure / TOLERANCE)
        size = np.maximum(size, np.finfo(float).tiny)
        errors = (np.abs(found - expected) / size).max(axis=1)
        counts = np.arange(1.0, len(rows) + 1.0)
        both, summed = self.slopes(theta, rows, counts), (counts[:, None] * expected).sum(axis=0)
        together = float((np.abs(both - summed) / (size * counts.sum())).max())
        r = int(np.argmax(errors))
        return max(float(errors[r]), together), int(finite[r])

    # -- before a search, and after it ---------------------------------------------------------

    def check(self, theta, X, noise):
        """Raise if energies or slopes are not what they should be where a search begins.

        ``noise`` are its rows, or None.
        """
        self.expect(len(X) + (0 if noise is None else len(noise)))
        energies = self.known_energies(theta, X, self.data)
        if np.isinf(energies).any():
            r = int(np.argmax(np.isinf(energies)))
            raise ValueError(
                f"{self.name} is infinite in {described(self.data, r, X, theta)}: data must lie "
                "where the energy is finite."
            )
        if noise is not None:
            self.known_energies(theta, noise, NOISE_ROWS)
        self._check_alone(theta, X, energies)
        self._rows = X[looked_at(X, _STEPPED)]
        if noise is not None:
            self._rows = np.concatenate([self._rows, noise[looked_at(noise, _STEPPED)]])
        doubt = self.doubt(theta, X)
        if doubt:
            raise ValueError(doubt)

    def expect(self, n_rows):
        """Be told how many rows will be asked for together."""

    def _check_alone(self, theta, X, energies):
        """Raise if a row has another energy by itself than among others."""
        for r in looked_at(X):
            alone = self.known_energies(theta, X[r : r + 1], self.data.part(np.array([r])))[0]
            if not abs(alone - energies[r]) <= _MIXED * max(1.0, np.abs(energies).max()):
                raise ValueError(
                    f"{self.name} must give each row an energy of its own, always the same: "
                    f"{self.data.row(r)} has {energies[r]:.8g} among other rows, and {alone:.8g} "
                    "by itself."
                )

    def doubt(self, theta, X):
        """What is wrong with the gradient, in a sentence; or None."""
        rows = looked_at(X)
        error, r = self.check_slopes(theta, X[rows])
        if error <= TOLERANCE:
            return None
        return (
            f"{self.gradient_name} is not the gradient of {self.name}: in "
            f"{described(self.data, rows[r], X, theta)}, it differs from central differences by "
            f"{error:.2g} of their size. It is to return the sum over rows of w times dE / dtheta."
        )

    def _called_energies(self, theta, X, whose):
        raise NotImplementedError


# -- shared by all -----------------------------------------------------------------------------


def looked_at(X, count=_LOOKED_AT):
    """Indices of some rows."""
    return np.arange(0, len(X), max(1, len(X) // count))[:count]


def moved(theta, j, value):
    """Parameters with another one at place ``j``."""
    theta = theta.copy()
    theta[j] = value
    return theta


def described(whose, r, X, theta):
    """'row 7 of the data, [1. 2.], at theta = [0.5]'."""
    return f"{whose.row(r)}, {shown(X[r])}, at theta = {shown(theta)}"


def shown(vector):
    """A vector in few words."""
    return np.array2string(np.asarray(vector), precision=6, threshold=10, edgeitems=4)


def as_numbers(name, values, precise=True):
    """What a function returned as float64, tensors of other libraries included.

    ``precise`` says that it must have been computed so.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        values = np.asarray(values)
        if not np.iscomplexobj(values):
            numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must return numbers, got {type(values).__name__}.") from error
    if np.iscomplexobj(values):
        raise TypeError(f"{name} must return real numbers, got {values.dtype}.")
    if precise:
        check_precision(name, values.dtype)
    return numbers


def check_precision(name, dtype):
    """A ``TypeError`` about numbers that are too coarse for differences and small slopes."""
    if np.issubdtype(dtype, np.floating) and np.dtype(dtype).itemsize < 8:
        raise TypeError(
            f"{name} must compute in float64, got {dtype}, whose rounding hides small changes of "
            "the loss. JAX does after jax.config.update('jax_enable_x64', True), PyTorch with "
            ".double() or dtype=torch.float64."
        )


def name_of(function):
    """The name of a function or of what can be called."""
    function = getattr(function, "func", function)  # of functools.partial
    return getattr(function, "__name__", type(function).__name__)


def first_line(error):
    """The line of a compiler's message that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "rror" in line), lines[0] if lines else "")
