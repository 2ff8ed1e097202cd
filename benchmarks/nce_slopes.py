"""How errors of independent components fall with rows, after Gutmann and Hyvärinen (2012), fig. 4.

Four Laplace sources of unit variance are mixed by random matrices of condition numbers below ten,
and learned against normal noise with the covariance of the data. The squared error of the unmixing
matrix B is that of BA, order and signs resolved; that of log Z is its own. A row is one number of
rows and one noise ratio, with ``repetitions`` data sets, each with a mixture of its own.
"""

import warnings

import numpy as np

from benchmarks.adapters import timed
from benchmarks.nce_asymptotics import errors_of_sources
from benchmarks.nce_data import mixing
from benchmarks.processes import fresh_processes
from benchmarks.settings import label

_SLOPES = 0.1  # as in benchmarks.nce_asymptotics, smaller for the sake of large N

_WORKERS, _SOURCES = 2, 4


def slopes(problem, folder):
    """Measure a problem, row by row."""
    with fresh_processes(_WORKERS) as pool:
        for row in problem["rows"]:
            numbers = range(row["repetitions"])
            seconds, found = timed(lambda row=row, n=numbers: list(
                pool.map(fitted, [row] * len(n), n)
            ))  # fmt: skip
            yield table_row(row, np.array(found), seconds)


def fitted(row, number):
    """Squared errors of B and of log Z in one data set, NaN if sources were not told apart."""
    from skebm import NCEEstimator
    from skebm.nce import ICA

    generator, n = np.random.default_rng([11, number]), row["n_rows"]
    A = mixing(_SOURCES, generator)
    X = generator.laplace(scale=np.sqrt(0.5), size=(n, _SOURCES)) @ A.T
    model = NCEEstimator(
        ICA(fit_intercept=False), noise="gaussian", noise_inflation=1.0, random_state=number,
        noise_ratio=row["noise_ratio"], tol=_SLOPES / np.sqrt(n), max_iter=200, n_jobs=1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return errors_of_sources(model.fit(X), A)[:2]


def table_row(row, squares, seconds):
    """The line of the result file, from (repetitions, 2) squared errors.

    ``rmse`` is the root of their median, as the paper has it, ``rmse_error`` its standard error by
    resampling; ``rms`` is the root of their mean.
    """
    good = squares[np.isfinite(squares[:, 0])]
    line = {
        "row": label(row), "name": row["name"], "library": row["library"],
        "n_rows": row["n_rows"], "noise_ratio": row["noise_ratio"],
        "repetitions": row["repetitions"], "failed": len(squares) - len(good),
    }  # fmt: skip
    generator = np.random.default_rng(0)
    for name, values in zip(("b", "log_z"), good.T):
        again = generator.choice(values, size=(500, len(values)))
        line |= {
            f"{name}_rmse": np.sqrt(np.median(values)),
            f"{name}_rmse_error": np.sqrt(np.median(again, axis=1)).std(),
            f"{name}_rms": np.sqrt(values.mean()),
            f"{name}_rms_error": np.sqrt(again.mean(axis=1)).std(),
        }
    return line | {"seconds": seconds}
