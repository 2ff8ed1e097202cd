"""What a fit starts from: rows in the codes of energy and noise, noise rows, and densities."""

import inspect
import os
from typing import NamedTuple

import numpy as np

from skebm._rng import derive_seed
from skebm._validation import check_real, check_sample_weight, column_name
from skebm.energies._codes import BITS, REALS, codes_of
from skebm.nce._family import BINARY, REAL
from skebm.nce._noise_given import GivenNoise
from skebm.nce._noises import is_for_reals, noise_of

_NOISE = 121  # purpose of random numbers

# What the built-in energies of a kind take; spins are made by those that have them.
_CODES = {REAL: REALS, BINARY: BITS, None: None}

# Fewest rows of noise; and of those that log Z is estimated with after steps, for each row of data,
# and fewest.
_FEWEST, _PER_ROW_AFTER, _FEWEST_AFTER = 16, 10, 10000

# Numbers of 8 bytes that a fit keeps at its peak for each row of data and noise: so many, and so
# many for each column or feature. By tracemalloc it is 45 % to nearly all of this, for 1 to 40
# columns and all energies and noises; what curvatures take does not grow with the rows. With steps
# also so many for each parameter and step from as many rows as are worked on together.
_FIXED, _OF_COLUMNS, _OF_SLOPES, _TOGETHER = 32, 4, 3, 4096

# Share of the memory that a fit may take.
_SHARE = 0.75


class Coding(NamedTuple):
    """Whether data are binary, and then coded as -1 and 1. Noise is always of 0 and 1.

    ``of_energy`` says whether states of the energy are -1 and 1, or 0 and 1; None takes rows as
    they are.
    """

    binary: bool
    spins: bool
    of_energy: object = None

    def bits(self, X):
        """Rows as noise has them."""
        return (X + 1.0) / 2.0 if self.spins else X

    def codes(self, bits):
        """Rows as data have them."""
        return 2.0 * bits - 1.0 if self.spins else bits

    def states(self, X):
        """Rows as the energy has them."""
        if self.of_energy is None or self.of_energy == self.spins:
            return X
        return 2.0 * X - 1.0 if self.of_energy else (X + 1.0) / 2.0

    def codes_of_states(self, states):
        """Rows as data have them, of states of the energy."""
        if self.of_energy is None:
            return states
        return self.codes((states > 0.5).astype(np.float64))


def coding_of(estimator, X, accepted, sample_weight):
    """The :class:`Coding` of data for an energy of some :class:`Codes`; one of None takes any."""
    if accepted is not None and not accepted.binary:
        return Coding(False, False)
    ones, zeros, minus = X == 1, X == 0, X == -1
    spins = bool(minus.any())
    good = (ones | minus) if spins else (ones | zeros)
    if good.all():
        if accepted is None and is_for_reals(estimator.noise, X, sample_weight):
            return Coding(False, False)
        return Coding(True, spins, None if accepted is None else accepted.spins)
    if accepted is not None:
        row, column = np.argwhere(~good)[0]
        raise ValueError(
            f"{type(estimator).__name__}: X must hold 0 and 1, or -1 and 1, for this energy, found "
            f"{X[row, column]:g} in {column_name(estimator, column)}."
        )
    return Coding(False, False)


def accepted_codes(estimator, family):
    """The :class:`Codes` that an energy is of, or None if it takes any."""
    if family is not None:
        return _CODES[family.kind]
    if not inspect.isclass(estimator.energy):
        return None
    try:
        energy = estimator.energy(np.array(estimator.init, dtype=np.float64))
    except Exception:  # is said with its row when energies are asked for
        return None
    return codes_of(energy)


def checked_rows(estimator, X, *, reset):
    """Accepted rows, (n, p) float64."""
    return check_real(
        estimator, X, reset=reset, min_rows=2 if reset else 1,
        remedy="an imputer of scikit-learn stands in",
        sparse=estimator.__sklearn_tags__().input_tags.sparse,
    )  # fmt: skip


def checked_codes(estimator, X, coding):
    """A ``ValueError`` if new rows are not coded as the training data."""
    if not coding.binary:
        return X
    low = -1.0 if coding.spins else 0.0
    good = (X == 1) | (X == low)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        said = ""
        if coding.of_energy is None:
            said = (
                " Rows of these two values alone were taken for binary; fitted with "
                "noise='gaussian' they are real numbers."
            )
        raise ValueError(
            f"{type(estimator).__name__}: X must hold {low:g} and 1 as the training data, found "
            f"{X[row, column]:g} in {column_name(estimator, column)}.{said}"
        )
    return X


def inside(X, low, high):
    """Which rows are in the box, (n,) bool."""
    within = np.ones(len(X), bool)
    if low is not None:
        within &= (X >= low).all(axis=1)
    if high is not None:
        within &= (X <= high).all(axis=1)
    return within


class Setting(NamedTuple):
    """Data and noise of a fit.

    ``X`` (n, p) and ``noise_rows`` (M, p) are in the codes of the data, ``log_noise`` log p_n of
    both. ``ratio`` is nu; ``weights`` (n,) are positive.
    """

    X: np.ndarray
    weights: np.ndarray
    coding: Coding
    bounds: tuple
    noise: object
    noise_rows: np.ndarray
    log_noise: tuple
    ratio: float


def weighted_rows(estimator, X, sample_weight):
    """Rows that have a weight, their weights, and their numbers in X."""
    X = checked_rows(estimator, X, reset=True)
    weights = check_sample_weight(sample_weight, len(X))
    places = np.flatnonzero(weights > 0)
    return X[places], weights[places], places


def setting_of(estimator, X, weights, places, weighted, family, entropy):
    """The :class:`Setting` of a fit; ``weighted`` if the user gave weights, ``places`` as above."""
    given_weights = weights if weighted else None
    coding = coding_of(estimator, X, accepted_codes(estimator, family), given_weights)
    bounds = (None, None) if family is None else family.bounds(X.shape[1])
    check_inside(estimator, X, *bounds)
    is_box = isinstance(estimator.noise, str) and estimator.noise == "uniform"
    if is_box and not coding.binary and estimator.noise_inflation < 1:
        raise ValueError(
            "noise_inflation must be >= 1 with noise='uniform', a box that has to hold the data, "
            f"got {estimator.noise_inflation!r}."
        )
    noise = noise_of(
        estimator.noise, binary=coding.binary, inflation=estimator.noise_inflation,
        low=bounds[0], high=bounds[1],
    )  # fmt: skip
    noise = noise.fit(coding.bits(X), sample_weight=given_weights)
    counted = max(float(weights.sum()), float(len(X)))
    if noise.is_conditional:
        steps = n_steps(estimator.noise_ratio) * len(X)
        check_memory(estimator, X, family, steps, True, weighted)
        return Setting(X, weights, coding, bounds, noise, None, None, float(estimator.noise_ratio))
    n_noise = max(_FEWEST, round(estimator.noise_ratio * counted))
    check_memory(estimator, X, family, n_noise, False, weighted)
    rows = drawn(noise, n_noise, entropy)
    log_noise = covering(noise, coding.bits(X), "data", places), covering(noise, rows, "noise")
    return Setting(
        X, weights, coding, bounds, noise, coding.codes(rows), log_noise, n_noise / counted
    )


def check_memory(estimator, X, family, n_noise, conditional, weighted):
    """A ``ValueError`` if a fit would take more than three quarters of the machine's memory."""
    n, p = X.shape
    width = p if family is None else max(p, family.rows(X[:1]).shape[1])
    per_row = _FIXED + p + _OF_COLUMNS * width
    numbers = (n + n_noise) * per_row
    if conditional:
        k = len(estimator.init) if family is None else len(family.names(p))
        numbers += _OF_SLOPES * (k + 1) * min(n, _TOGETHER) * n_noise / n
        numbers = max(numbers, (n + rows_afterwards(n)) * per_row)
    most, needed = _SHARE * memory(), 8 * numbers
    if needed > most:
        of, remedy = "the number of rows", "a smaller noise_ratio, or fewer rows"
        if weighted and not conditional:
            of, remedy = "the sum of sample_weight", "a smaller noise_ratio, or smaller weights"
        raise ValueError(
            f"noise_ratio={estimator.noise_ratio!r} times {of} asks for {n_noise:,} rows of noise. "
            f"A fit takes up to {needed / 2**30:,.1f} GiB with them, more than three quarters of "
            f"the memory ({most / 2**30:,.1f} GiB). Take {remedy}."
        )


def n_steps(noise_ratio):
    """Steps of conditional noise from each row."""
    return max(1, round(noise_ratio))


def rows_afterwards(n):
    """Rows of noise that log Z is estimated with after ``n`` rows were learned from by steps."""
    return max(_FEWEST_AFTER, _PER_ROW_AFTER * n)


def memory():
    """Bytes of the machine's memory; where it does not say, a great many."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40


def drawn(noise, n_samples, entropy):
    """Rows of noise."""
    return noise.sample(n_samples, random_state=derive_seed(entropy, _NOISE))


def covering(noise, bits, whose, places=None):
    """log p_n of rows, finite, or a ``ValueError`` that names the row."""
    named = {"places": places} if isinstance(noise, GivenNoise) else {}
    found = noise.log_prob(bits, **named)
    if not np.isfinite(found).all():
        r = int(np.argmin(np.isfinite(found)))
        number = r if places is None else places[r]
        raise ValueError(
            f"noise must cover the {whose}: its log-density is {found[r]:g} in row {number}. "
            "Widen it, or take another one."
        )
    return found


def check_inside(estimator, X, low, high):
    """A ``ValueError`` if a row lies outside of the support."""
    within = inside(X, low, high)
    if not within.all():
        row = int(np.argmin(within))
        out = (X[row] < low) | (X[row] > high)
        column = int(np.argmax(out))
        raise ValueError(
            f"{type(estimator).__name__}: X must lie in the support of the energy, found "
            f"{X[row, column]:g} in {column_name(estimator, column)}, outside of "
            f"[{low[column]:g}, {high[column]:g}]."
        )
