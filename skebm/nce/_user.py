"""Energies that a user gives: compiled scalar functions, functions of rows, and classes.

Everything that they return is looked at, and what is wrong is said with the name of the function
and the row.
"""

import inspect

import numpy as np

from skebm._jit import CHANGED_THETA, CHUNK, UNDONE, CompilationError, loops_over
from skebm.criteria import _noise_kernels as kernels
from skebm.criteria._noise_forms import Evaluation, Form, Pairs
from skebm.criteria._noise_kernels import ROWS
from skebm.criteria._noise_sample import in_blocks, spread
from skebm.nce._given import (
    NOISE_ROWS,
    GivenEnergy,
    as_numbers,
    check_precision,
    described,
    first_line,
    moved,
    name_of,
    shown,
)

# Numbers that features of one call may hold.
_NUMBERS = 2**21

# Energies of one row that a compiled function gives in a call of a kernel.
_CALLS = 2**18

# Rows up to which a second thread saves less than its loop takes to compile.
_SERIAL = 2**14

# Parameters up to which the curvature is worth as many calls of an energy that has a gradient.
_CHEAP = 30


class RowFunctions(GivenEnergy):
    """NumPy functions ``energy(theta, X)`` and, if there is one, ``gradient(theta, X, w)``."""

    def __init__(self, energy, gradient=None):
        self._energy, self._gradient = energy, gradient
        self.name = f"energy {name_of(energy)!r}"
        if gradient is not None:
            self.gradient_name = f"gradient {name_of(gradient)!r}"
            self._slopes = self._given_slopes

    def _called_energies(self, theta, X, whose):
        values = self._called(self._energy, self.name, (theta, X), whose)
        if values.shape != (len(X),):
            raise ValueError(
                f"{self.name} must return shape ({len(X)},), one energy for each row of X, got "
                f"{values.shape} ({whose.row(0)}, and {len(X) - 1} after it). A function of one "
                "row must be compiled, by numba.njit."
            )
        return values

    def _given_slopes(self, theta, X, weights, whose):
        values = self._called(self._gradient, self.gradient_name, (theta, X, weights), whose)
        if values.shape != theta.shape:
            raise ValueError(
                f"{self.gradient_name} must return shape {theta.shape}, the weighted sum over "
                f"rows, got {values.shape}."
            )
        if not np.isfinite(values).all():
            r = next((r for r in range(len(X)) if not self._is_finite(theta, X, r)), 0)
            raise ValueError(
                f"{self.gradient_name} must be finite where the energy is, found {shown(values)} "
                f"in {described(whose, r, X, theta)}."
            )
        return values

    def _is_finite(self, theta, X, r):
        with np.errstate(all="ignore"):
            return np.isfinite(np.asarray(self._gradient(theta, X[r : r + 1], np.ones(1)))).all()

    def _called(self, function, name, arguments, whose):
        """The answer as float64, from copies that must come back unchanged."""
        given = [array.copy() for array in arguments]
        try:
            with np.errstate(all="ignore"):
                values = function(*given)
        except Exception as error:
            r = self._raising_row(function, arguments)
            raise RuntimeError(raised(name, error, whose, r, arguments[1], arguments[0])) from error
        for word, array, copy in zip(("theta", "X", "w"), arguments, given):
            if not np.array_equal(array, copy):
                changed = (array != copy).reshape(len(array), -1).any(axis=1)
                r = int(np.argmax(changed))
                place = f"in {whose.row(r)}" if word == "X" else f"at place {r}"
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

    _parallel = None

    def __init__(self, energy):
        self._energy = energy
        self.name = f"energy {name_of(energy)!r}"
        self._fill, self._add = loops_over(energy)

    def expect(self, n_rows):
        """Take the loops on threads or those on one, whose compilation takes less long."""
        self._parallel = n_rows > _SERIAL

    def parts_of(self, X, n_params=1):
        """As many rows as take a moment."""
        step = CHUNK * max(1, _CALLS // (n_params * CHUNK))
        return [slice(low, min(len(X), low + step)) for low in range(0, len(X), step)]

    def _check_alone(self, theta, X, energies):
        """It never sees other rows; but what it returns, and asks for, is known now."""
        for signature in self._energy.nopython_signatures:
            name = str(signature.return_type)
            if name.startswith("float"):
                check_precision(self.name, np.dtype(name))
        try:
            self._energy.py_func(theta.copy(), X[0].copy())
        except IndexError as error:  # compiled, it would read what lies behind
            raise ValueError(
                f"{self.name} asks for an entry that is not there ({error}): theta has as many as "
                f"init, {len(theta)}, and a row has {X.shape[1]}."
            ) from error
        except Exception:  # what works when compiled only
            return

    def _called_energies(self, theta, X, whose):
        out = np.empty(len(X))
        self._run(self._fill, (theta,), (theta,), X, whose, out)
        return out

    def _slopes(self, theta, X, weights, whose):
        parts, (_, *sides) = np.zeros((-(-len(X) // CHUNK), len(theta))), self.sides(theta, X)
        points = [moved(theta, j, side[j]) for side in sides for j in range(len(theta))]
        self._run(self._add, (theta, *sides), points, X, whose, weights, parts)
        return parts.sum(axis=0)

    def _run(self, loop, first, points, X, whose, *arrays):
        """Run a loop, and look at what it says of its chunks; ``points`` are where it calls."""
        status, cause = np.full(-(-len(X) // CHUNK), UNDONE), None
        parallel = len(X) > _SERIAL if self._parallel is None else self._parallel
        try:
            loop(*first, X, *arrays, status, parallel=parallel)
        except CompilationError as error:
            raise TypeError(
                f"{self.name} must be a compiled function of theta (n_params,) and a row x "
                f"(n_features,) that returns a number: {self._said(error, points[0], X)}"
            ) from error
        except Exception as error:
            cause = error
        if cause is not None or (status == UNDONE).any():
            raise self._complaint(np.flatnonzero(status == UNDONE), points, X, whose) from cause
        if status.any():
            mark = int(status[np.flatnonzero(status)[0]])
            changed = "theta" if mark % 2 == CHANGED_THETA else "x"
            raise ValueError(
                f"{self.name} must not change its input: it changed {changed} in "
                f"{whose.row(mark // 2 - 1)}."
            )

    def _said(self, error, theta, X):
        """Why it does not compile as a number."""
        try:
            shape = np.shape(self._energy(theta.copy(), X[0].copy()))
        except Exception:
            shape = ()
        return f"it returned an array of shape {shape}." if shape else first_line(error)

    def _complaint(self, chunks, points, X, whose):
        """About the first row of some chunks that raises."""
        for r in (r for c in chunks for r in range(c * CHUNK, min(len(X), (c + 1) * CHUNK))):
            for point in points:
                try:
                    self._energy(point.copy(), X[r].copy())
                except Exception as error:
                    return RuntimeError(raised(self.name, error, whose, r, X, point))
        r = int(chunks[0]) * CHUNK if len(chunks) else 0
        return RuntimeError(f"{self.name} raised in {whose.row(r)} or a little after it.")


def functions_of_class(cls, states):
    """:class:`RowFunctions` of a class of the :class:`~skebm.energies.Energy` protocol.

    ``states`` turns rows into states of the energy.
    """

    def energy(theta, X):
        return cls(theta).energy(states(X))

    def gradient(theta, X, weights):
        return cls(theta).gradient(states(X), weights)

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

    foreign = True

    def __init__(self, given, X, noise, n_params):
        self.given, self.X, self.noise, self.n_params = given, X, noise, n_params
        numbers = np.arange(n_params + 1)
        scales = np.append(-np.ones(n_params), 1.0)
        self.scaled = given.gradient_name is None or n_params <= _CHEAP
        self.pairs = Pairs(numbers, np.full(len(numbers), n_params), scales)

    def evaluate(self, sample, theta, c):
        """:class:`Evaluation` of a :class:`Sample` of these rows."""
        data = self.given.energies(theta, self.X, self.given.data)
        noise = self.given.energies(theta, self.noise, NOISE_ROWS)
        if not (np.isfinite(data).all() and (noise > -np.inf).all()):  # a step too far
            nowhere = np.full(sample.offsets.shape, np.nan)
            return Evaluation(np.inf, np.zeros(self.n_params + 1), nowhere)
        energies = np.concatenate([spread(data), spread(noise)])
        margins, slopes = np.empty_like(energies), np.empty_like(energies)
        values = np.empty(len(energies))
        kernels.contrast_energies(
            energies, sample.offsets, sample.weights, sample.split, float(c), margins, values,
            slopes, parallel=len(values) > 64,
        )  # fmt: skip
        by_theta = self.given.slopes(theta, self.X, sample.of_data(slopes), self.given.data)
        reached = np.isfinite(noise)
        by_theta = by_theta + self.given.slopes(
            theta, self.noise[reached], sample.of_noise(slopes)[reached],
            NOISE_ROWS.part(np.flatnonzero(reached)),
        )  # fmt: skip
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


def raised(name, error, whose, r, X, theta):
    """What is said of a function that raises."""
    where = described(whose, r, X, theta)
    return f"{name} raised {type(error).__name__} in {where}: {error}"


def is_energy_class(energy):
    """Whether something is a class with the methods of the protocol that learning needs."""
    return inspect.isclass(energy) and all(hasattr(energy, m) for m in ("energy", "gradient"))
