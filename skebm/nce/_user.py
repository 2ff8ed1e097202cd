"""Energies that a user gives: compiled scalar functions, functions of rows, and classes.

Everything that they return is looked at, and what is wrong is said with the name of the function
and the row.
"""

import inspect

import numpy as np

from skebm._jit import CHUNK, CompilationError, loops_over
from skebm.criteria import _noise_kernels as kernels
from skebm.criteria._noise_forms import Evaluation, Form, Pairs
from skebm.criteria._noise_kernels import ROWS
from skebm.criteria._noise_sample import in_blocks, spread
from skebm.nce._sums import weighted_sum

# Steps of central differences, in units of a parameter or of one.
_STEP = np.finfo(float).eps ** (1.0 / 3.0)

# Rows of one call of a user's function, and the numbers that these may hold.
_ROWS, _NUMBERS = 4096, 2**21

# Energies of one row that a compiled function gives in a call of a kernel.
_CALLS = 2**18

# Relative error of a slope beyond which it is wrong: differences themselves are good to 1e-9.
TOLERANCE = 1e-4

# Parameters up to which the curvature is worth as many calls of an energy that has a gradient.
_CHEAP = 30

# Rows and weights that slopes are looked at with before they are used.
_LOOKED_AT = 5


class GivenEnergy:
    """E(theta, x) and its slopes as functions of rows; subclasses say how they are called.

    ``name`` and ``gradient_name`` are what messages call them.
    """

    gradient_name = None

    def parts_of(self, X, n_params=1):
        """Slices of rows for one call each."""
        step = max(1, min(_ROWS, _NUMBERS // max(1, X.shape[1])))
        return [slice(low, min(len(X), low + step)) for low in range(0, len(X), step)]

    def energies(self, theta, X):
        """Checked energies of rows, (n,) float64; inf is for rows without density."""
        out = np.empty(len(X))
        for part in self.parts_of(X):
            out[part] = self._checked(theta, X[part], part.start)
        return out

    def slopes(self, theta, X, weights):
        """Sum of weights times dE / dtheta over rows, (k,) float64."""
        total = np.zeros(len(theta))
        for part in self.parts_of(X, len(theta)):
            total += self._slopes(theta, X[part], weights[part])
        return total

    def _slopes(self, theta, X, weights):
        return weighted_sum(weights, self.features(theta, X))

    def features(self, theta, X):
        """dE / dtheta of each row by central differences, (n, k)."""
        steps, out = steps_of(theta), np.empty((len(X), len(theta)))
        for j, step in enumerate(steps):
            above, below = theta.copy(), theta.copy()
            above[j] += step
            below[j] -= step
            above, below = self._checked(above, X, 0), self._checked(below, X, 0)
            finite = np.isfinite(above) & np.isfinite(below)
            out[:, j] = np.subtract(above, below, out=np.zeros(len(X)), where=finite)
            out[:, j] /= 2.0 * step
        return out

    def check_slopes(self, theta, X):
        """Largest relative error of the user's gradient on some rows, one at a time; and its row.

        0 where slopes are differences anyway.
        """
        if self.gradient_name is None:
            return 0.0, 0
        expected = self.features(theta, X)
        found = np.stack([self.slopes(theta, X[r : r + 1], np.ones(1)) for r in range(len(X))])
        size = np.maximum(np.abs(expected).max(axis=1, keepdims=True), 1.0)
        errors = (np.abs(found - expected) / size).max(axis=1)
        both = self.slopes(theta, X, np.arange(1.0, len(X) + 1.0))
        summed = np.arange(1.0, len(X) + 1.0) @ expected
        together = np.abs(both - summed).max() / max(np.abs(summed).max(), 1.0)
        row = int(np.argmax(errors))
        return float(max(errors[row], together / len(X))), row

    def check(self, theta, X):
        """Raise if the gradient is not that of the energy."""
        rows = X[:: max(1, len(X) // _LOOKED_AT)][:_LOOKED_AT]
        error, row = self.check_slopes(theta, rows)
        if error > TOLERANCE:
            row *= max(1, len(X) // _LOOKED_AT)
            raise ValueError(
                f"{self.gradient_name} is not the gradient of {self.name}: in row {row} it differs "
                f"from central differences by {error:.2g} of its size. It is to return the sum "
                "over rows of w times dE / dtheta."
            )

    def _checked(self, theta, X, first):
        raise NotImplementedError


class RowFunctions(GivenEnergy):
    """NumPy functions ``energy(theta, X)`` and, if there is one, ``gradient(theta, X, w)``."""

    def __init__(self, energy, gradient=None):
        self._energy, self._gradient = energy, gradient
        self.name = f"energy {name_of(energy)!r}"
        if gradient is not None:
            self.gradient_name = f"gradient {name_of(gradient)!r}"
            self._slopes = self._given_slopes

    def _checked(self, theta, X, first):
        values = self._called(self._energy, self.name, (theta, X), first)
        if values.shape != (len(X),):
            raise ValueError(
                f"{self.name} must return shape ({len(X)},), one energy for each row of X, got "
                f"{values.shape} (rows {first} to {first + len(X) - 1})."
            )
        return finite_energies(self.name, values, first)

    def _given_slopes(self, theta, X, weights):
        values = self._called(self._gradient, self.gradient_name, (theta, X, weights), 0)
        if values.shape != theta.shape:
            raise ValueError(
                f"{self.gradient_name} must return shape {theta.shape}, the weighted sum over "
                f"rows, got {values.shape}."
            )
        if not np.isfinite(values).all():
            row = next((r for r in range(len(X)) if not self._is_finite(theta, X, r)), 0)
            raise ValueError(
                f"{self.gradient_name} is not finite in row {row} of a call: {X[row]}."
            )
        return values

    def _is_finite(self, theta, X, r):
        with np.errstate(all="ignore"):
            return np.isfinite(np.asarray(self._gradient(theta, X[r : r + 1], np.ones(1)))).all()

    def _called(self, function, name, arguments, first):
        """The answer as float64, from copies that must come back unchanged."""
        given = [array.copy() for array in arguments]
        try:
            with np.errstate(all="ignore"):
                values = function(*given)
        except Exception as error:
            row = first + self._raising_row(function, arguments)
            raise RuntimeError(
                f"{name} raised {type(error).__name__} in row {row}: {error}"
            ) from error
        for word, array, copy in zip(("theta", "X", "w"), arguments, given):
            if not np.array_equal(array, copy):
                changed = (array != copy).reshape(len(array), -1).any(axis=1)
                row = int(np.argmax(changed)) + (first if word == "X" else 0)
                place = f"in row {row}" if word == "X" else f"at place {row}"
                raise ValueError(f"{name} must not change its input: it changed {word} {place}.")
        return as_numbers(name, values)

    @staticmethod
    def _raising_row(function, arguments):
        theta, X, *weights = arguments
        for r in range(len(X)):
            try:
                function(theta.copy(), X[r : r + 1].copy(), *(w[r : r + 1] for w in weights))
            except Exception:
                return r
        return 0


class ScalarFunction(GivenEnergy):
    """A compiled function ``energy(theta, x)`` of one row."""

    def __init__(self, energy):
        self._energy = energy
        self.name = f"energy {name_of(energy)!r}"
        self._fill, self._add = loops_over(energy)

    def _checked(self, theta, X, first):
        out, status = np.full(len(X), np.nan), np.zeros(-(-len(X) // CHUNK), np.int64)
        try:
            self._fill(theta, X, out, status, parallel=len(X) > CHUNK)
        except CompilationError as error:
            raise TypeError(
                f"{self.name} must be a compiled function of theta (n_params,) and a row x "
                f"(n_features,) that returns a number: {first_line(error)}"
            ) from error
        except Exception as error:
            raise self._raised(theta, X, first) from error
        if status.any():
            mark = int(status[np.flatnonzero(status)[0]])
            raise ValueError(
                f"{self.name} must not change its input: it changed {'x' if mark > 0 else 'theta'} "
                f"in row {first + abs(mark) - 1}."
            )
        if np.isnan(out).any():
            raised = self._raised(theta, X, first)
            if raised is not None:
                raise raised
        return finite_energies(self.name, out, first)

    def parts_of(self, X, n_params=1):
        """As many rows as take a moment."""
        step = CHUNK * max(1, _CALLS // (n_params * CHUNK))
        return [slice(low, min(len(X), low + step)) for low in range(0, len(X), step)]

    def _raised(self, theta, X, first):
        """The complaint about the first row that raises, if there is one."""
        for r in range(len(X)):
            try:
                self._energy(theta.copy(), X[r].copy())
            except Exception as error:
                said = f"{self.name} raised {type(error).__name__} in row {first + r}: {error}"
                return RuntimeError(said)
        return None

    def _slopes(self, theta, X, weights):
        parts = np.zeros((-(-len(X) // CHUNK), len(theta)))
        self._add(theta, steps_of(theta), X, weights, parts, parallel=len(X) > CHUNK)
        return parts.sum(axis=0)


def functions_of_class(cls):
    """:class:`RowFunctions` of a class of the :class:`~skebm.energies.Energy` protocol."""

    def energy(theta, X):
        return cls(theta).energy(X)

    def gradient(theta, X, weights):
        return cls(theta).gradient(X, weights)

    energy.__name__, gradient.__name__ = f"{cls.__name__}.energy", f"{cls.__name__}.gradient"
    return RowFunctions(energy, gradient)


class GivenForm(Form):
    """The form of a user's energy, which rows are asked of as they came.

    Parameters
    ----------
    given : GivenEnergy
        Energy and slopes.
    X, noise : ndarray of shape (n, p)
        Rows of data and of noise.
    n_params : int
        Length of theta.
    """

    def __init__(self, given, X, noise, n_params):
        self.given, self.X, self.noise, self.n_params = given, X, noise, n_params
        numbers = np.arange(n_params + 1)
        scales = np.append(-np.ones(n_params), 1.0)
        self.scaled = given.gradient_name is None or n_params <= _CHEAP
        self.pairs = Pairs(numbers, np.full(len(numbers), n_params), scales)

    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample` of these rows."""
        data, noise = (self.given.energies(theta, rows) for rows in (self.X, self.noise))
        energies = np.concatenate([spread(data), spread(noise)])
        margins, slopes = np.empty_like(energies), np.empty_like(energies)
        values = np.empty(len(energies))
        kernels.contrast_energies(
            energies, sample.offsets, sample.weights, sample.split, float(c), margins, values,
            slopes, parallel=len(values) > 64,
        )  # fmt: skip
        by_theta = self.given.slopes(theta, self.X, sample.of_data(slopes))
        reached = np.isfinite(noise)
        by_theta = by_theta + self.given.slopes(
            theta, self.noise[reached], sample.of_noise(slopes)[reached]
        )
        total = float(slopes.sum(axis=1).sum())
        return Evaluation(float(values.sum()), np.append(-by_theta, total), margins)

    def factors(self, sample, theta, part):
        """dE / dtheta of rows by differences, and one."""
        start, stop, _ = part.indices(sample.n_blocks)
        blocks = []
        for first, rows in ((0, self.X), (sample.n_data, self.noise)):
            low, high = (max(0, (edge - first) * ROWS) for edge in (start, stop))
            chosen = rows[low:high] if low < len(rows) else rows[:0]
            if len(chosen):
                blocks.append(in_blocks(self.given.features(theta, chosen)))
        blocks = np.concatenate(blocks)
        return blocks, blocks

    def gram_blocks(self, size):
        """A few, since their features are kept."""
        return max(1, _NUMBERS // (ROWS * size))


# -- shared by the above -----------------------------------------------------------------------


def steps_of(theta):
    """Steps of central differences, (k,)."""
    return _STEP * np.maximum(np.abs(theta), 1.0)


def as_numbers(name, values):
    """What a function returned as float64, tensors of other libraries included."""
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must return numbers, got {type(values).__name__}.") from error


def finite_energies(name, values, first):
    """Energies without NaN and -inf."""
    bad = np.isnan(values) | (values == -np.inf)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name} must not return NaN or -inf, found {values[row]} in row "
                         f"{first + row}.")  # fmt: skip
    return values


def name_of(function):
    """The name of a function or of what can be called."""
    function = getattr(function, "func", function)  # of functools.partial
    return getattr(function, "__name__", type(function).__name__)


def first_line(error):
    """The line of a compiler's message that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "rror" in line), lines[0] if lines else "")


def is_energy_class(energy):
    """Whether something is a class with the methods of the protocol that learning needs."""
    return inspect.isclass(energy) and all(hasattr(energy, m) for m in ("energy", "gradient"))
