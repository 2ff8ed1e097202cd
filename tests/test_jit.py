"""Compilation, caching and threads: the right result, or one warning and the right result."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import prange
from threadpoolctl import threadpool_info, threadpool_limits

import skebm
from skebm import PCDRBM, _jit, energies
from skebm._jit import kernel
from skebm.energies import BernoulliRBM

pytestmark = pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")

# Two small kernels, their results and the number of warnings about the cache.
SCRIPT = """
import sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as record:
    warnings.simplefilter("always")
    from skebm.energies import BernoulliRBM
    if "full disk" in sys.argv:
        from numba.core.caching import IndexDataCacheFile
        def save(*_):
            raise OSError(28, "No space left on device")
        IndexDataCacheFile.save = save
    energy = BernoulliRBM(np.arange(6.0).reshape(2, 3) / 9, np.ones(3), np.zeros(2))
    hidden = energy.hidden_probability(np.eye(3))
    visible = energy.visible_probability(np.eye(2))
assert np.allclose(hidden, 1 / (1 + np.exp(-np.arange(6).reshape(2, 3).T / 9)))
assert np.allclose(visible, 1 / (1 + np.exp(-1 - np.arange(6).reshape(2, 3) / 9)))
print(sum(issubclass(w.category, RuntimeWarning) for w in record))
"""


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """A folder with the cache that SCRIPT leaves behind."""
    folder = tmp_path_factory.mktemp("cache")
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    status = os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", SCRIPT], env)
    assert status == 0 and len(list(folder.rglob("*.nbc"))) == 2
    return folder


def spoil(path, how):
    content = path.read_bytes()
    garbage = np.random.default_rng(0).bytes(len(content))
    spoiled = {"truncated": content[: len(content) // 2], "empty": b"", "garbage": garbage}
    path.write_bytes(spoiled[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "garbage"])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_spoiled_cache_files(run_python, filled_cache, tmp_path, suffix, how):
    cache = tmp_path / "cache"
    shutil.copytree(filled_cache, cache)
    for path in cache.rglob(f"*.{suffix}"):
        spoil(path, how)
    assert int(run_python(SCRIPT, NUMBA_CACHE_DIR=str(cache)).stdout) <= 1


def test_a_spoiled_cache_is_repaired(run_python, filled_cache, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(filled_cache, cache)
    for path in cache.rglob("*.nbc"):
        spoil(path, "truncated")
    run_python(SCRIPT, NUMBA_CACHE_DIR=str(cache))
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")}
    assert int(run_python(SCRIPT, NUMBA_CACHE_DIR=str(cache)).stdout) == 0
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")} == before


def test_full_disk(run_python, tmp_path):
    done = run_python(SCRIPT, "full disk", NUMBA_CACHE_DIR=str(tmp_path))
    assert int(done.stdout) == 1
    assert not list(tmp_path.rglob("*.nbc"))


def test_no_folder_to_write_a_cache_into(run_python, tmp_path):
    """All places where Numba would look are files or lie below one, so no user can write there."""
    shutil.copytree(
        Path(skebm.__file__).parent,
        tmp_path / "skebm",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for folder in [tmp_path / "skebm", *(tmp_path / "skebm").iterdir()]:
        if folder.is_dir():
            (folder / "__pycache__").touch()
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "below")
    done = run_python(
        SCRIPT, PYTHONPATH=str(tmp_path), NUMBA_CACHE_DIR=nowhere, HOME=nowhere,
        XDG_CACHE_HOME=nowhere, PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    assert int(done.stdout) == 1


def test_switched_off_cache(run_python, tmp_path):
    done = run_python(SCRIPT, NUMBA_CACHE_DIR=str(tmp_path), SKEBM_CACHE="0")
    assert int(done.stdout) == 0
    assert not list(tmp_path.rglob("*.nb*"))


# -- threads and processes ---------------------------------------------------------------------

# Everything parallel that may be, then the same elsewhere: in threads, or in a forked child.
ELSEWHERE = """
import os, sys, threading, warnings
import numba
import numpy as np
warnings.simplefilter("ignore")
from concurrent.futures import ThreadPoolExecutor
from skebm import PCDRBM, energies, criteria
energies.rbm.PARALLEL_FLOPS = criteria.contrastive.PARALLEL_FLOPS = 0.0
X = (np.random.default_rng(0).random((300, 20)) < 0.3).astype(float)

def work(_=None):
    model = PCDRBM(70, batch_size=100, n_iter=2, random_state=0).fit(X)
    drawn = model.sample(100, n_gibbs_steps=5, random_state=0)
    return model.components_.tobytes() + drawn.tobytes() + model.transform(X).tobytes()

expected = work()
assert numba.threading_layer() == os.environ["NUMBA_THREADING_LAYER"]
"""

IN_THREADS = """
with ThreadPoolExecutor(4) as pool:
    pending = [pool.submit(work) for _ in range(8)]
    here = [work() for _ in range(4)]  # the main thread is parallel at the same time
    assert {result.result() for result in pending} | set(here) == {expected}
print("agreed")
"""

IN_A_FORK = """
child = os.fork()
if child == 0:
    os._exit(0 if work() == expected else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == 0, status
assert work() == expected  # the parent is as it was
print("agreed")
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("place", ["threads", "fork"])
def test_kernels_elsewhere(run_python, layer, place):
    code = ELSEWHERE + {"threads": IN_THREADS, "fork": IN_A_FORK}[place]
    done = run_python(code, check=False, NUMBA_THREADING_LAYER=layer)
    assert (done.returncode, done.stdout.strip()) == (0, "agreed"), done.stderr


def test_worker_threads_first(run_python):
    """The threading layer may be started by a thread that is not the main one."""
    code = (
        ELSEWHERE.replace(
            "expected = work()", "expected = ThreadPoolExecutor(1).submit(work).result()"
        )
        + 'assert work() == expected\nprint("agreed")'
    )
    for layer in ("omp", "workqueue"):
        done = run_python(code, check=False, NUMBA_THREADING_LAYER=layer)
        assert (done.returncode, done.stdout.strip()) == (0, "agreed"), done.stderr


def test_python_threads_fit_at_once(bits):
    def fit(seed):
        model = PCDRBM(5, n_iter=5, random_state=seed, n_jobs=1 + seed % 2).fit(bits)
        return model.components_

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(8)))
    for seed, components in enumerate(together):
        np.testing.assert_array_equal(components, fit(seed))


def test_n_jobs_is_given_back(bits):
    before = numba.get_num_threads()
    with _jit.threads(1):
        assert numba.get_num_threads() == 1
        with pytest.raises(ZeroDivisionError), _jit.threads(2):
            raise ZeroDivisionError
        assert numba.get_num_threads() == 1
    PCDRBM(3, n_iter=1, n_jobs=1).fit(bits)
    assert numba.get_num_threads() == before


def blas_threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_threads_of_blas_are_given_back(fitted, bits):
    for limit in (2, 1):
        with threadpool_limits(limit, user_api="blas"):
            before = blas_threads()
            assert set(before) == {limit}
            with _jit.single_threaded_blas:
                assert set(blas_threads()) == {1}
                with _jit.single_threaded_blas:
                    pass
                assert set(blas_threads()) == {1}
            fitted.transform(bits)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: fitted.sample(5, n_gibbs_steps=50), range(8)))
            assert blas_threads() == before


def test_threads_of_blas_are_given_back_after_an_error():
    before = blas_threads()
    with pytest.raises(numba.core.errors.TypingError):
        _shift(np.array(["no number"]), np.zeros(1))
    assert blas_threads() == before


# -- arguments ---------------------------------------------------------------------------------


@kernel(writes=("out",))
def _shift(x, out):
    for i in prange(x.shape[0]):
        out[i] = x[i] + 1


@kernel(writes=())
def _spoil(x):
    for i in prange(x.shape[0]):
        x[i] = 0


def test_what_is_not_named_cannot_be_written():
    out, x = np.zeros(3), np.ones(3)
    _shift(x, out)
    np.testing.assert_array_equal(out, 2.0)
    with pytest.raises(numba.core.errors.TypingError, match=r"(?i)read-?only"):
        _spoil(x)
    np.testing.assert_array_equal(x, 1.0)
    assert x.flags.writeable


def test_names_of_written_arrays_are_checked():
    with pytest.raises(TypeError, match="has no parameters"):
        kernel(writes=("output",))(lambda out: None)


def test_one_version_serves_every_kind_of_array(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.random((4, 6)), rng.random(6), rng.random(4)]
    X = rng.random((10, 6))

    def through(convert):
        energy = BernoulliRBM(*map(convert, arrays))
        return energy.hidden_probability(convert(X)), energy.energy(convert(X))

    def mapped(array):
        path = tmp_path / f"{array.shape}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    def read_only(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    expected = through(np.array)
    kernels = (energies._rbm_kernels.hidden_probability, energies._rbm_kernels.log_path)
    before = [len(each._twins["serial"].signatures) for each in kernels]
    for convert in (read_only, mapped, np.asfortranarray, lambda a: np.repeat(a, 2, -1)[..., ::2]):
        for one, other in zip(through(convert), expected):
            np.testing.assert_array_equal(one, other)
    assert [len(each._twins["serial"].signatures) for each in kernels] == before
