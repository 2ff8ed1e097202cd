"""Variances of noise-contrastive estimates beside theory, by thousands of fits, and coverage.

A row fits its model to new data and new noise ``repetitions`` times, and compares N times the mean
squared error, of all parameters together and of log Z, with what theory says of N -> infinity. N
is what leaves the rest of the expansion small beside the error of the simulation. z is the
difference in standard errors. ``coverage`` is how many intervals at 95 %, of parameters and of log
Z, hold the truth.
"""

import warnings
import zlib
from typing import NamedTuple

import numpy as np
import scipy.stats

from benchmarks import nce_theory as theory
from benchmarks.adapters import timed
from benchmarks.nce_data import mixing
from benchmarks.processes import fresh_processes
from benchmarks.settings import label

# Times sqrt(N), slopes at the end of a fit that is not convex: some 0.2 of their standard
# deviation, which adds less than 1 % to a variance.
_SLOPES = 0.2

_NORMAL_95 = float(scipy.stats.norm.ppf(0.975))

_WORKERS, _PART = 2, 50


class Errors(NamedTuple):
    """Of one fit: squared errors of all parameters together and of log Z, intervals that hold the
    truth, and all of them; NaN if sources were not told apart."""

    parameters: float
    log_z: float
    inside: float
    intervals: float


def asymptotics(problem, folder):
    """Measure a problem, row by row; the last row pools the intervals of all others."""
    inside, intervals, lines = 0.0, 0.0, []
    with fresh_processes(_WORKERS) as pool:
        for row in problem["rows"]:
            if row["model"] == "pooled":
                yield _line(row, {"coverage": inside / intervals, "intervals": intervals})
                continue
            if row["model"] == "limit":
                yield _line(row, limit_of(row, lines))
                continue
            starts = range(0, row["repetitions"], _PART)
            seconds, parts = timed(lambda row=row, s=starts: list(
                pool.map(simulate, [row] * len(s), s)
            ))  # fmt: skip
            found = np.concatenate(parts)
            inside, intervals = inside + np.nansum(found[:, 2]), intervals + np.nansum(found[:, 3])
            lines.append(_line(row, compared(row, found) | {"seconds": seconds}))
            yield lines[-1]


def simulate(row, start):
    """:class:`Errors` of some of the fits of a row, (fits, 4)."""
    model, seed = MODELS[row["model"]](row), zlib.crc32(label(row).encode())
    numbers = range(start, min(start + _PART, row["repetitions"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([model.errors(np.random.default_rng([seed, i])) for i in numbers])


def compared(row, found):
    """What the errors of all fits say beside theory.

    Parameters whose slopes jump with rows reach it slowly; only :func:`limit_of` compares them.
    """
    model = MODELS[row["model"]](row)
    target = model.theory()
    good = np.isfinite(found[:, 0])
    line = {"failed": int((~good).sum())}
    for name, squares, expected in zip(("parameters", "log_z"), found[good].T, target):
        values = row["n_rows"] * squares
        error = values.std(ddof=1) / np.sqrt(len(values))
        line |= {
            name: values.mean(), f"{name}_theory": expected, f"{name}_error": error,
            f"{name}_z": (values.mean() - expected) / error,
        }  # fmt: skip
    if not model.is_smooth:
        line["parameters_z"] = np.nan
    held, of = found[good, 2].sum(), found[good, 3].sum()
    return line | {"coverage": held / of, "intervals": of}


def limit_of(row, lines):
    """Mean squared errors for ever more rows of data, from lines of the model ``row["of"]``.

    Where slopes jump at rows the remainder falls as the root of their number (Bahadur 1966), so
    that it is gone from twice the error with 4N rows less that with N.
    """
    same = [x for x in lines if (x["model"], x["noise_ratio"]) == (row["of"], row["noise_ratio"])]
    fewer, more = sorted(same, key=lambda line: line["n_rows"])
    if more["n_rows"] != 4 * fewer["n_rows"]:
        raise ValueError(f"{row['name']}: one row must have four times the rows of the other.")
    found = {}
    for name in ("parameters", "log_z"):
        expected, value = more[f"{name}_theory"], 2.0 * more[name] - fewer[name]
        error = float(np.hypot(2.0 * more[f"{name}_error"], fewer[f"{name}_error"]))
        found |= {
            name: value, f"{name}_theory": expected, f"{name}_error": error,
            f"{name}_z": (value - expected) / error,
        }  # fmt: skip
    return found


_COLUMNS = (
    "parameters", "parameters_theory", "parameters_error", "parameters_z", "log_z", "log_z_theory",
    "log_z_error", "log_z_z", "coverage", "intervals", "failed", "seconds",
)  # fmt: skip


def _line(row, found):
    return {
        "row": label(row),
        "name": row["name"],
        "library": row["library"],
        "model": row["model"],
        **{key: row.get(key, "") for key in ("noise", "sigma", "noise_ratio", "n_rows")},
        "repetitions": row.get("repetitions", "") if row["model"] in MODELS else "",
        **{key: found.get(key, np.nan) for key in _COLUMNS},
    }


# -- models ----------------------------------------------------------------------------------


class NormalVariable:
    """-lambda x^2 / 2 + c of one variable, noise of another width."""

    is_smooth = True

    def __init__(self, row):
        self.n, self.ratio, self.sigma = row["n_rows"], row["noise_ratio"], row["sigma"]

    def theory(self):
        return theory.normal_variable(self.sigma, self.ratio)

    def errors(self, generator):
        model = _estimator(
            "gaussian", generator, noise=scipy.stats.norm(0.0, self.sigma), init=[0.0, 1.0],
            noise_ratio=self.ratio, fixed=[True, False], standardize=False,
        ).fit(generator.normal(size=(self.n, 1)))  # fmt: skip
        return errors(model, [0.0, 1.0], 0.5 * np.log(2.0 * np.pi))


class NormalVector:
    """Centred normal variables, noise as the data."""

    is_smooth = True

    def __init__(self, row):
        self.n, self.ratio, p = row["n_rows"], row["noise_ratio"], row["n_features"]
        self.K = np.eye(p) + 0.4 * (np.eye(p, k=1) + np.eye(p, k=-1))

    def theory(self):
        return theory.normal_vector(self.K, self.ratio)

    def errors(self, generator):
        p, S = len(self.K), np.linalg.inv(self.K)
        truth = np.append(np.zeros(p), self.K[np.triu_indices(p)])
        model = _estimator(
            "gaussian", generator, noise=scipy.stats.multivariate_normal(np.zeros(p), S),
            noise_ratio=self.ratio, init=truth, fixed=np.arange(len(truth)) < p, standardize=False,
        ).fit(generator.multivariate_normal(np.zeros(p), S, size=self.n))  # fmt: skip
        log_z = 0.5 * (p * np.log(2.0 * np.pi) + np.linalg.slogdet(S)[1])
        return errors(model, truth, log_z)


class Sources:
    """Independent Laplace sources, mixed, and noise with their covariance.

    Searches begin at the truth, since theory is about the minimum next to it.
    """

    is_smooth = False

    def __init__(self, row):
        self.n, self.ratio, self.p = row["n_rows"], row["noise_ratio"], row["n_features"]

    def theory(self):
        return theory.laplace_sources(self.p, self.ratio)

    def errors(self, generator):
        from skebm.nce import ICA

        p, A = self.p, mixing(self.p, generator)
        model = _estimator(
            ICA(fit_intercept=False), generator, noise_ratio=self.ratio,
            noise=scipy.stats.multivariate_normal(np.zeros(p), A @ A.T),
            init=np.linalg.inv(A).ravel(), tol=_SLOPES / np.sqrt(self.n), max_iter=200,
        ).fit(generator.laplace(scale=np.sqrt(0.5), size=(self.n, p)) @ A.T)  # fmt: skip
        return errors_of_sources(model, A)


class Spins:
    """Five spins with random fields and couplings, noise independent or uniform."""

    is_smooth = True

    def __init__(self, row):
        self.n, self.ratio, self.p = row["n_rows"], row["noise_ratio"], row["n_features"]
        self.states, k = theory.states_of_spins(self.p), self.p * (self.p + 1) // 2
        self.truth = np.random.default_rng(5).normal(0.0, 0.5, k)
        self.probabilities, self.log_z = theory.spin_probabilities(self.truth, self.p)
        self.means = np.full(self.p, 0.5)
        if row["noise"] == "marginals":
            self.means = self.probabilities @ (self.states + 1.0) / 2.0

    def theory(self):
        bits = self.states > 0
        noise = np.where(bits, self.means, 1.0 - self.means).prod(axis=1)
        features = theory.spin_features(self.states)
        return theory.summed(theory.of_states(self.probabilities, noise, features, self.ratio))

    def errors(self, generator):
        counts = generator.multinomial(self.n, self.probabilities)
        model = _estimator(
            "ising", generator, noise=Independent(self.means), noise_ratio=self.ratio
        ).fit(np.repeat(self.states, counts, axis=0))
        return errors(model, self.truth, self.log_z)


class Independent:
    """Independent binary columns of known means, as noise of one's own."""

    def __init__(self, means):
        self.means = means

    def sample(self, n_samples, random_state=None):
        draws = np.random.default_rng(random_state).random((n_samples, len(self.means)))
        return (draws < self.means).astype(float)

    def log_prob(self, X):
        return X @ np.log(self.means) + (1.0 - X) @ np.log1p(-self.means)


MODELS = {
    "normal variable": NormalVariable,
    "normal vector": NormalVector,
    "sources": Sources,
    "spins": Spins,
}


def _estimator(energy, generator, **parameters):
    from skebm import NCEEstimator

    seed = int(generator.integers(2**31))
    return NCEEstimator(energy, random_state=seed, n_jobs=1, **parameters)


def errors(model, truth, log_z):
    """:class:`Errors` of a fit, of parameters that were not fixed."""
    free = model.params_stderr_ > 0
    away = (model.params_ - truth)[free]
    inside = (np.abs(away) <= _NORMAL_95 * model.params_stderr_[free]).sum()
    found = model.log_partition_
    inside += abs(found.value - log_z) <= _NORMAL_95 * found.stderr
    return Errors(float(away @ away), (found.value - log_z) ** 2, float(inside), len(away) + 1.0)


def errors_of_sources(model, A):
    """The same of sources, on BA, whose order and signs mean nothing."""
    p = len(A)
    B = model.params_.reshape(p, p)
    found = B @ A
    order = np.abs(found).argmax(axis=1)
    if len(set(order)) < p:
        return Errors(np.nan, np.nan, np.nan, np.nan)
    signs = np.sign(found[np.arange(p), order])
    truth = signs[:, None] * np.linalg.inv(A)[order]
    log_z = p * np.log(np.sqrt(2.0)) + np.linalg.slogdet(A)[1]
    known = errors(model, truth.ravel(), log_z)
    found = signs[:, None] * found - np.eye(p)[order]
    return known._replace(parameters=float((found**2).sum()))
