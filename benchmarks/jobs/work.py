"""What a job hands over to be timed."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.scoring import Parameters


class Measured(NamedTuple):
    """One run: seconds per unit, and where a job has them, seconds of the matrix product that
    the unit contains, megabytes that the run added to the process, megabytes of the process at
    its peak, and megabytes of weights and data."""

    seconds: float
    gemm_seconds: float = math.nan
    megabytes: float = math.nan
    process_megabytes: float = math.nan
    given_megabytes: float = math.nan


class Work(NamedTuple):
    """A job on given data: ``run`` measures it once, ``warm_up`` is called before.

    ``unit`` says what the seconds are counted per, ``flops`` what its dense matrix products take.
    """

    unit: str
    run: Callable[[], Measured]
    warm_up: Callable[[], object]
    flops: float = math.nan


def random_model(row):
    """Parameters of the shape of a row: small weights, units that are on half of the time."""
    hidden, visible = row["n_components"], row["n_features"]
    W = np.random.default_rng(0).normal(0.0, 0.05, (hidden, visible)).astype(np.float32)
    return Parameters(W, np.zeros(visible, np.float32), np.zeros(hidden, np.float32))


def random_rows(n_rows, row):
    """(n_rows, n_features) float32 of 0 and 1, of which a share of ``density`` are 1."""
    generator = np.random.default_rng(0)
    uniform = generator.random((n_rows, row["n_features"]), dtype=np.float32)
    return np.less(uniform, row["density"], out=uniform)
