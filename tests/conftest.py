"""Fixtures that several files share."""

import os
import subprocess
import sys

# Threads that wait leave the processors to the tests that run beside.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numba
import numpy as np
import pytest

from skebm import CDRBM, PCDRBM, PseudoLikelihoodRBM, RatioMatchingRBM, RdmRBM
from skebm.datasets import make_bars_and_stripes

# Processes that run tests side by side share the processors.
numba.set_num_threads(
    max(1, numba.get_num_threads() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
)

RBMS = [CDRBM, PCDRBM, RdmRBM, PseudoLikelihoodRBM, RatioMatchingRBM]


@pytest.fixture(params=RBMS, ids=lambda cls: cls.__name__)
def estimator_class(request):
    """Every RBM estimator in turn."""
    return request.param


@pytest.fixture(scope="session")
def bits():
    """(150, 16) float64 of 0 and 1 with dependent columns, read-only."""
    X = make_bars_and_stripes(150, size=4, random_state=0).data
    X.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def fitted(bits):
    """A PCDRBM that nobody may change."""
    return PCDRBM(5, n_iter=20, random_state=0).fit(bits)


@pytest.fixture(scope="session")
def wide():
    """A random 784 x 500 model with small weights: its log Z is out of reach of enumeration."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0.0, 0.01, (500, 784)).astype(np.float32)
    return PCDRBM.from_parameters(
        weights, rng.normal(-1.0, 0.5, 784), rng.normal(0.0, 0.5, 500), random_state=0
    )


@pytest.fixture
def run_python(tmp_path):
    """A function that runs code in a fresh interpreter and returns the finished process."""

    def run(code, *arguments, check=True, timeout=120, **environment):
        env = {name: value for name, value in {**os.environ, **environment}.items() if value}
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"exit {done.returncode}\n{done.stderr}"
        return done

    return run
