"""Reverse logistic regression: log Z by telling draws of the model from draws of the base.

Where a row is one of n_1 draws of the model or of n_0 draws of the base q, the odds of the model
are (n_1 / n_0) e^{-E(x) - log Z} / q(x), and log Z is the only unknown of this logistic
regression (Geyer 1994): noise-contrastive estimation with all else held fixed. Its likelihood is
steepest nowhere but where Bennett's ratio is for paths of one step, which is how it is solved,
and no other use of these draws has less variance (Meng and Wong 1996). With h the probability of
the model and H the sum of h (1 - h) over all rows, the sandwich

    Var(log Z) = [n_0 Var_base(h) + n_1 Var_model(1 - h)] / H^2

is the sum of the relative variances of both sides' mistakes, since H tends to the sum of either
side's. Draws of the model that are resampled, and so not independent, count as many as they are
worth.

No temperatures lie between model and base: where the two hardly overlap, hardly any row tells
anything. That is seen, and said.
"""

import inspect

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skebm._rng import derive_seed
from skebm.energies._codes import codes_of
from skebm.partition._result import MINIMAL_CHAINS, LogPartition, doubts_of
from skebm.partition._ways import DrawnStarts, Way, up_from_base
from skebm.partition._weights import bennett, gaussian_work
from skebm.partition.ais import MAX_CHAIN_TEMPERATURES, MIN_CHAINS, TARGET_STDERR, plan
from skebm.partition.exact import CHEAP

# Purposes of random numbers.
_PILOT, _FINAL, _MODEL, _BASE, _SEED = 130, 131, 132, 133, 134

# Draws of the base for each draw of the model: they cost one energy, not sweeps.
RATIO = 10

# Draws of the model in a pilot, and the most that are planned: where a draw takes no sweeps, and
# where pilots see that more would not help.
_PILOT_DRAWS, _MOST, _MOST_IN_VAIN = 512, 200_000, 8192

# Fewest effective rows that know their own error, and those of a pilot that more would not help.
FEWEST, _HOPELESS = 30, 3


def contrast(
    energy, base, entropy, *, level=0.95, n_chains=None, n_temperatures="auto", target_stderr=None
):
    """A :class:`LogPartition` and the draws of the model that it comes from, (n, n_features)."""
    base = noise_as_base(energy, base)
    draws = _ModelDraws(energy, base, entropy, n_temperatures)
    target = TARGET_STDERR if target_stderr is None else target_stderr
    if n_chains is None:
        n_chains = draws.affordable(_planned(draws.contrast(_PILOT_DRAWS, _PILOT), target))
    found = draws.contrast(n_chains, _FINAL)
    result = LogPartition.from_estimate(
        found.estimate, level=level, doubts=[*found.doubts(), *draws.doubts(n_chains)],
        method="nce", n_chains=n_chains, n_temperatures=draws.n_temperatures,
        **found.second_opinion(),
    )  # fmt: skip
    return result, draws.states


class Contrast:
    """log Z from u(x) = -E(x) - log q(x) of draws of both sides.

    Parameters
    ----------
    of_base, of_model : ndarray of shape (n,)
        u of each draw of the base, -inf where the model never is; and of the model, finite.
    ess : float
        How many independent draws those of the model are worth; inf if they are.
    """

    def __init__(self, of_base, of_model, ess=np.inf):
        inside = np.isfinite(of_base)
        finite = np.concatenate([of_base[inside], of_model])
        # No row so far off counts; a finite number keeps the bracket of the root finite.
        self.of_base = np.where(inside, of_base, finite.min() - 800.0)
        self.of_model, self.inside = of_model, inside
        with np.errstate(divide="ignore", invalid="ignore"):
            self.estimate, self.overlap = bennett(self.of_base, of_model, (np.inf, ess))

    def auc(self):
        """How often a draw of the model has the larger u, of two that are drawn at random."""
        ordered = np.sort(self.of_base)
        below = np.searchsorted(ordered, self.of_model, "left")
        below = below + np.searchsorted(ordered, self.of_model, "right")
        return float(below.mean() / (2.0 * len(ordered)))

    def doubts(self):
        """Why the estimate should not be believed."""
        n, auc, ess = len(self.of_model), self.auc(), self.estimate.ess
        if n < MINIMAL_CHAINS:
            yield f"{n} draws of the model are too few to know their own error"
        elif not ess >= FEWEST:
            yield (
                f"draws of the model and of the base hardly overlap (area under the curve "
                f"{auc:.6g}): {ess:.1f} effective rows lie where both are, {FEWEST} are needed"
            )

    def second_opinion(self):
        """What importance sampling from the base says if its log-weights are Gaussian."""
        if not self.inside.all():
            return {}
        second = gaussian_work(self.of_base)
        return {"second_opinion": second.value, "second_stderr": second.stderr}


class _ModelDraws:
    """Draws of a model, exact where it can; else as the bridge makes them, by annealing."""

    def __init__(self, energy, base, entropy, n_temperatures):
        self.energy, self.base, self.entropy = energy, base, entropy
        self.states, self.estimate, self.alike = None, None, False
        self.is_exact = _exact_draws(energy, 1, (*entropy, _PILOT)) is not None
        self.n_temperatures, self._first = 0, base
        if self.is_exact:
            return
        if isinstance(base, NoiseAsBase):  # Gibbs sweeps do not know it
            self._first = energy.base()
        way = up_from_base(energy, self._first)
        # Any number of chains: temperatures alone are planned here.
        self.n_temperatures = plan(way, entropy, 1, n_temperatures, None).n_temperatures

    def contrast(self, n, purpose):
        """The :class:`Contrast` of ``n`` draws of the model with ``RATIO`` times as many others."""
        entropy, step = (*self.entropy, purpose), _Step(self.energy, self.base)
        if self.is_exact:
            starts = lambda n, entropy: _exact_draws(self.energy, n, entropy)  # noqa: E731
        else:
            starts = DrawnStarts(self.energy, self._first, self.n_temperatures)
        way = Way(step, starts, rising=False, model=None if self.is_exact else self.energy)
        carried = way.run(n, 1, (*entropy, _MODEL), self.n_temperatures)
        self.states, self.alike = carried.states, carried.alike
        self.estimate = None if self.is_exact else starts.estimate
        ess = np.inf if self.is_exact else self.estimate.ess
        return Contrast(self._of_base(RATIO * n, entropy), carried.log_weights, ess)

    def _of_base(self, n, entropy):
        """u of ``n`` draws of the base, made block by block."""
        out, step = np.empty(n), self.energy.rows_per_call()
        for number, low in enumerate(range(0, n, step)):
            part = slice(low, min(n, low + step))
            drawn = (*entropy, _BASE, number)
            X = self.base.sample(part.stop - low, drawn, self.energy.dtype)
            out[part] = log_ratio(self.energy, self.base, X)
        if np.isnan(out).any() or (out == np.inf).any():
            raise ValueError(
                "energies of draws of the base must be finite, or inf where the model never is, "
                f"found -E(x) - log q(x) = {out[~(out < np.inf)][0]:g}."
            )
        return out

    def affordable(self, n):
        """``n`` within bounds on the work that it takes."""
        most = _MOST
        if not self.is_exact:
            most = MAX_CHAIN_TEMPERATURES // (2 * self.n_temperatures)
        return int(np.clip(n, MIN_CHAINS, max(MIN_CHAINS, most)))

    def doubts(self, n):
        """Why the draws should not be believed."""
        if self.alike:
            yield "all draws of the model are one state"
        elif self.estimate is not None and n >= MINIMAL_CHAINS:
            yield from doubts_of(self.estimate, n, "chains that draws of the model come from")


def _planned(pilot, target):
    """Draws that a standard error takes, a multiple of 64."""
    stderr = pilot.estimate.stderr
    needed = _PILOT_DRAWS * (stderr / target) ** 2 if np.isfinite(stderr) else np.inf
    most = _MOST if pilot.estimate.ess > _HOPELESS else _MOST_IN_VAIN
    return 64 * int(np.ceil(min(needed, most) / 64))


def _exact_draws(energy, n, entropy):
    """Independent draws of a model, or None where it cannot make them in a moment."""
    if energy.n_exact_bits() is not None and energy.exact_seconds() > CHEAP:
        return None
    try:
        return energy.exact_sample(n, entropy)
    except (NotImplementedError, ValueError):
        return None


class _Step:
    """The path of one step from a base to a model."""

    def __init__(self, energy, base):
        self.energy, self.base = energy, base

    def anneal(self, X, log_weights, betas, key, **where):
        """Weigh, and do not move."""
        step = self.energy.rows_per_call()
        for low in range(0, len(X), step):
            part = slice(low, low + step)
            log_weights[part] += (betas[-1] - betas[0]) * log_ratio(self.energy, self.base, X[part])


def log_ratio(energy, base, X):
    """u(x) = -E(x) - log q(x) of each row, (n,) nats."""
    return -energy.energy(X) - base.log_density(X)


# -- noises as bases ---------------------------------------------------------------------------


class NoiseAsBase:
    """A fitted noise of noise-contrastive estimation as a base distribution.

    Parameters
    ----------
    noise : object with ``sample`` and ``log_prob``
        Binary ones give and take 0 and 1.
    codes : Codes or None
        Values of the states of the energy; None takes them as the noise has them.
    """

    def __init__(self, noise, codes):
        self.noise, self.binary = noise, codes is not None and codes.binary
        self.spins = self.binary and codes.spins

    def sample(self, n_samples, entropy, dtype=np.float64):
        """Independent rows, a function of ``entropy``."""
        X = np.asarray(self.noise.sample(n_samples, derive_seed(entropy, _SEED) % 2**32))
        if self.binary and not ((X == 0) | (X == 1)).all():
            value = X[(X != 0) & (X != 1)][0]
            raise ValueError(
                f"log_partition: base {type(self.noise).__name__} must draw 0 and 1 for a model of "
                f"binary data, found {value:g}."
            )
        return np.ascontiguousarray(2.0 * X - 1.0 if self.spins else X, dtype=dtype)

    def log_density(self, X):
        """Normalised log-density of each row, (n,)."""
        X = np.asarray(X, dtype=np.float64)
        return np.asarray(self.noise.log_prob((X + 1.0) / 2.0 if self.spins else X))


def is_noise(base):
    """Whether something is, or looks like, a noise of noise-contrastive estimation."""
    return not inspect.isclass(base) and hasattr(base, "sample") and hasattr(base, "log_prob")


def noise_as_base(energy, base, method="nce"):
    """``base`` itself, or a base distribution that a noise makes."""
    if hasattr(base, "log_density"):
        return base
    return base_of_noise(base, energy.n_features, codes_of(energy), method)


def base_of_noise(noise, n_features, codes, method):
    """:class:`NoiseAsBase`, or an error if that does not suit the method, or such states."""
    name, kinds = type(noise).__name__, getattr(noise, "kinds", None)
    if method != "nce":
        raise ValueError(
            f"log_partition: base may be a noise with method='nce' only, got {name} with "
            f"method={method!r}; annealing begins at independent variables that are given by a "
            "name or by means."
        )
    if getattr(noise, "is_conditional", False):
        raise TypeError(
            f"log_partition: base must have a density, but {name} only steps from rows."
        )
    if isinstance(noise, BaseEstimator):
        check_is_fitted(noise)
    found = getattr(noise, "n_features_in_", n_features)
    if found != n_features:
        raise ValueError(
            f"log_partition: base must be of {n_features} features as the model, got {name} of "
            f"{found}."
        )
    if codes is not None and kinds is not None:
        kind = "binary" if codes.binary else "real"
        if kind not in kinds:
            raise ValueError(
                f"log_partition: base must be a noise of {kind} data for this model, got {name}, "
                f"which is of {' and '.join(kinds)} data."
            )
    return NoiseAsBase(noise, codes)
