"""Work over joblib's workers: when it is sent, in what order it returns, and that bits agree."""

import pickle

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config

from skebm import PCDRBM, _distribute
from skebm._distribute import is_distributed, over_workers
from skebm.energies import BernoulliRBM, _rbm_exact
from skebm.partition import _ways, likelihood, log_likelihood_difference, raise_log_likelihood

BACKENDS = ("threading", "loky", "multiprocessing")


def model(n_hidden=16, n_visible=40):
    rng = np.random.default_rng(0)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    return BernoulliRBM(*(rng.normal(0.0, 0.5, shape) for shape in shapes))


def test_nothing_is_sent_without_a_backend():
    assert not is_distributed()
    with parallel_config(backend="sequential", n_jobs=2):
        assert not is_distributed()


@pytest.mark.parametrize("backend", BACKENDS)
def test_work_is_sent_where_there_are_workers(backend):
    with parallel_config(backend=backend):
        assert not is_distributed()
    with parallel_config(backend=backend, n_jobs=1):
        assert not is_distributed()
    with parallel_config(backend=backend, n_jobs=2):
        assert is_distributed()
        assert over_workers(is_distributed, [()] * 4) == [False] * 4  # a worker sends no more
        assert Parallel()(delayed(is_distributed)() for _ in range(4)) == [False] * 4
    assert not is_distributed()


@pytest.mark.parametrize("backend", ("sequential", *BACKENDS))
def test_results_come_in_the_order_of_the_tasks(backend):
    with parallel_config(backend=backend, n_jobs=2):
        assert over_workers(divmod, ((n, 7) for n in range(40))) == [
            divmod(n, 7) for n in range(40)
        ]
        assert over_workers(divmod, []) == []
        with pytest.raises(ZeroDivisionError):
            over_workers(divmod, [(1, 1), (1, 0)])


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_log_partition_is_the_same_bits(monkeypatch, backend, scale):
    """The prefixes of 2^16 states in many tasks, with products and with single logarithms."""
    energy = model()
    energy.components *= scale
    here, sent = energy.exact_log_partition(), []

    def spy(function, tasks):
        sent.extend(tasks)
        return over_workers(function, sent)

    monkeypatch.setattr(_rbm_exact, "over_workers", spy)
    with parallel_config(backend=backend, n_jobs=2):
        assert energy.exact_log_partition() == here and not sent  # not worth it
        monkeypatch.setattr(_rbm_exact, "WORTH_SENDING", 0.0)
        monkeypatch.setattr(_rbm_exact, "_SECONDS_PER_TASK", 1e-4)
        assert energy.exact_log_partition() == here
    assert len(sent) >= 4


def test_number_of_tasks_does_not_matter(monkeypatch):
    energy = model()
    here = energy.exact_log_partition()
    monkeypatch.setattr(_rbm_exact, "WORTH_SENDING", 0.0)
    with parallel_config(backend="threading", n_jobs=2):
        for most in (1, 2, 3):
            monkeypatch.setattr(_rbm_exact, "_MOST_TASKS", most)
            monkeypatch.setattr(_rbm_exact, "_SECONDS_PER_TASK", 1e-9)
            assert energy.exact_log_partition() == here


def estimates():
    """Everything that carries chains along a path, on models that are cheap to anneal."""
    a, b = (PCDRBM.from_parameters(*model(n)._parameters) for n in (16, 20))
    X = (np.random.default_rng(0).random((4, 40)) < 0.5).astype(float)
    run = {"n_chains": 300, "n_temperatures": 5, "random_state": 0}
    yield a.log_partition("ais", check="reverse", **run)
    yield a.log_partition("bridge", **run)
    yield log_likelihood_difference(a, b, X, **run).log_partition
    values = raise_log_likelihood(a, X, n_chains=100, n_temperatures=5, random_state=0)
    yield tuple(values.log_likelihood)


@pytest.mark.filterwarnings("ignore:.*not to be trusted")
@pytest.mark.parametrize("backend", BACKENDS)
def test_annealing_is_the_same_bits(monkeypatch, backend):
    """Chains cut into tasks of 128, or of 7, for other workers."""
    monkeypatch.setattr(likelihood, "cheap_log_partition", lambda energy, **_: None)
    here, sent = list(estimates()), []

    def spy(function, tasks):
        sent.extend(tasks)
        return over_workers(function, tasks)

    monkeypatch.setattr(_ways, "over_workers", spy)
    with parallel_config(backend=backend, n_jobs=2):
        assert list(estimates()) == here and not sent  # not worth it
        monkeypatch.setattr(_ways, "WORTH_SENDING", 0.0)
        for size in (128, 7) if backend == "threading" else (128,):
            monkeypatch.setattr(_ways, "CHAINS_PER_TASK", size)
            assert list(estimates()) == here
    assert len(sent) >= 3 * 7


def test_arrays_travel_with_their_task(monkeypatch):
    """What a backend is given has no weak references, by which a cluster would take it apart."""
    given = []
    monkeypatch.setattr(_distribute, "Parallel", lambda: lambda calls: given.extend(calls))
    over_workers(np.add, [(np.ones(1000), np.ones(1000))])
    ((_, arguments, _),) = given
    assert arguments[0] is np.add and type(arguments[1]) is tuple


def test_energies_pickle_small():
    """Only the parameters: layers and tables that were derived from them stay behind."""
    energy = model(30, 200)
    X = np.ones((3, 200))
    expected = energy.energy(X), energy.log_pseudolikelihood(X)
    energy.sweep(X.copy(), 1.0, None, np.array([1, 2], np.uint32))
    data = pickle.dumps(energy)
    assert len(data) < sum(array.nbytes for array in energy._parameters) + 1000
    copy = pickle.loads(data)
    assert (copy.energy(X) == expected[0]).all()
    assert (copy.log_pseudolikelihood(X) == expected[1]).all()
