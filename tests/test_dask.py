"""A real cluster of two processes gives the bits of one thread, also when one of them dies."""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skebm import PCDRBM
from skebm._distribute import is_distributed
from skebm._jit import threads
from skebm.energies import BernoulliRBM

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.timeout(120)


def exact_log_partition():
    """2^24 states, some two seconds on one core, which are cut into nine tasks."""
    rng = np.random.default_rng(0)
    shapes = (24, 200), 200, 24
    energy = BernoulliRBM(*(rng.normal(0.0, 0.3, shape) for shape in shapes))
    assert energy.exact_seconds() > 1.5
    return energy.exact_log_partition()


def annealed_log_partition():
    """1,600 chains there and back, in a dozen tasks each way, seeds fixed before they are sent."""
    rng = np.random.default_rng(0)
    shapes = (60, 300), 300, 60
    model = PCDRBM.from_parameters(*(rng.normal(0.0, 0.2, shape) for shape in shapes))
    run = {"n_chains": 1600, "n_temperatures": 300, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result, chains = model.log_partition("bridge", return_chains=True, **run)
    return result, chains.states.tobytes(), chains.log_weights.tobytes()


@pytest.fixture(params=[exact_log_partition, annealed_log_partition], ids=lambda job: job.__name__)
def job(request):
    """Everything that is sent to workers: functions that return what must be the same."""
    return request.param


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler in this process, and two workers with one thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            local_directory=tmp_path_factory.mktemp("dask"),
        ) as cluster,
        distributed.Client(cluster),
    ):  # fmt: skip
        yield cluster


@pytest.fixture(scope="module")
def expected():
    """Results of one thread of this process, computed once."""
    known = {}

    def of(job):
        if job not in known:
            with threads(1):
                known[job] = job()
        return known[job]

    return of


def test_a_cluster_gives_the_same_bits(cluster, job, expected):
    here = expected(job)
    before = cluster.scheduler.transition_counter
    with parallel_config(backend="dask"):
        assert is_distributed()
        assert job() == here
    assert not is_distributed()
    assert cluster.scheduler.transition_counter > before + 10  # the work was done there


class Assassin(threading.Thread):
    """Kills one worker as soon as it has work and some task of the cluster has been done."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self._scheduler = cluster.scheduler
        self._nanny = next(iter(cluster.workers.values()))
        self._over = threading.Event()
        self.victim, self.killed_at = self._nanny.pid, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()

    def run(self):
        address = self._nanny.worker_address
        while not self._over.wait(0.005):
            worker = self._scheduler.workers.get(address)
            states = [task.state for task in list(self._scheduler.tasks.values())]
            if worker is not None and worker.processing and "memory" in states:
                os.kill(self.victim, signal.SIGKILL)
                self.killed_at = time.perf_counter()
                return


def test_a_worker_may_die(cluster, job, expected):
    """Its tasks are made again by the other one, or by its successor."""
    here = expected(job)
    with parallel_config(backend="dask"), Assassin(cluster) as assassin:
        assert job() == here
        finished = time.perf_counter()
    assert assassin.killed_at is not None and assassin.killed_at < finished
    assert assassin.victim not in [nanny.pid for nanny in cluster.workers.values()]


def test_a_search_on_a_cluster(cluster):
    """Fits on the workers, whose long scores come back to the cluster, as in one process."""
    X = (np.random.default_rng(0).random((60, 20)) < 0.4).astype(np.float32)
    search = GridSearchCV(PCDRBM(4, n_iter=2, random_state=0), {"n_gibbs_steps": [1, 2]}, cv=2)
    here = search.fit(X).cv_results_["mean_test_score"]
    with parallel_config(backend="dask"):
        there = search.fit(X).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(there, here)
