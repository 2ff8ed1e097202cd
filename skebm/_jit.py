"""How kernels are compiled, cached and run: the only user of Numba's decorators.

A *kernel* is a function called from Python. It exists as two twins compiled from the same
source: one with ``parallel=True``, and a serial one for the places where Numba's threading
layer cannot be entered (a forked child, or a worker thread over the ``workqueue`` layer) and
for problems too small to be worth waking a second thread. Both give the same bits: the work is
split into fixed chunks, or into parts none of which another one enters. An *inline* function is
called from kernels only.
"""

import functools
import hashlib
import inspect
import os
import pickle
import threading
import types
from contextlib import contextmanager
from pathlib import Path

import numba
import numba.core.errors
import numba.extending
import numpy as np
from joblib import effective_n_jobs
from numba.extending import register_jitable
from threadpoolctl import ThreadpoolController

from skebm._warn import warn

# Fused multiply-adds, and nothing else: NaN and inf stay what they are, and sums keep their
# order, which the compiler would otherwise choose differently from build to build.
FASTMATH = {"contract"}
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}

# Only explicit prange loops run in parallel; array expressions never become parallel sums.
_PARALLEL = dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
) | {"prange": True}

# Rows that one thread works on at a time. Fixed, so that results never depend on the threads.
CHUNK = 64

# Work of one kernel call: some tens of milliseconds on one core, so that Ctrl-C is answered.
FLOPS_PER_CALL = 4e9

# Below this much work, some 0.4 ms, waking a second thread may cost more than it brings.
PARALLEL_FLOPS = 2e7

# What a missing, truncated or foreign cache file, or a full disk, has been seen to raise.
_CACHE_ERRORS = (
    OSError,
    EOFError,
    pickle.UnpicklingError,
    RuntimeError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    ValueError,
)

_PROCESS = os.getpid()

# Without wrappers for callers elsewhere, which would take as long to compile as the function.
# To call one from Python is a crash, not an exception.
inline = numba.njit(**_OPTIONS, no_cfunc_wrapper=True, no_cpython_wrapper=True)

# For the few functions that Python and kernels share.
anywhere = register_jitable(**_OPTIONS)


def kernel(writes):
    """Decorate a kernel; ``writes`` names what it changes, all other arrays arrive read-only.

    Arrays in tuples stay as they are, so that functions are compiled once for all kernels.
    """
    return lambda function: Kernel(function, writes)


class Kernel:
    """A function compiled at its first call, in the twin that is safe where it is called."""

    def __init__(self, function, writes, cache=None):
        functools.update_wrapper(self, function)
        names = list(inspect.signature(function).parameters)
        unknown = set(writes) - set(names)
        if unknown:
            raise TypeError(f"{function.__name__} has no parameters {sorted(unknown)}")
        self.function, self._cache = function, cache
        self._writes = [name in writes for name in names]
        self._twins = {}

    def __call__(self, *arguments, parallel=True):
        arguments = [
            argument if written or not isinstance(argument, np.ndarray) else _read_only(argument)
            for argument, written in zip(arguments, self._writes, strict=True)
        ]
        kind = "parallel" if parallel and parallel_is_safe() else "serial"
        with single_threaded_blas:
            return self._run(kind, arguments)

    def compiled(self):
        """Whether some twin has been compiled (or loaded from the cache) in this process."""
        return any(getattr(twin, "signatures", True) for twin in self._twins.values())

    def _run(self, kind, arguments):
        twin = self._twins.get(kind) or self._build(kind)
        try:
            return twin(*arguments)
        except _CACHE_ERRORS as error:
            # Kernels do not raise, so this is the cache: a bad entry is dropped and made anew,
            # and where files cannot be written at all the kernel stays in memory.
            if not getattr(twin, "_skebm_cached", False):
                raise
            self._drop_cache_entry(twin)
            try:
                if isinstance(error, OSError):
                    raise
                return self._build(kind)(*arguments)
            except _CACHE_ERRORS:
                _warn_without_cache(error)
                return self._build(kind, cache=False)(*arguments)

    def _build(self, kind, cache=None):
        cache = self._cache if cache is None else cache
        cache = os.environ.get("SKEBM_CACHE", "1") != "0" if cache is None else cache
        function = _renamed(self.function, f"{self.function.__name__}_{kind}_{_digest()}")
        try:
            twin = numba.njit(cache=cache, **_options(kind))(function)
        except RuntimeError as error:  # no folder to write a cache into
            _warn_without_cache(error)
            cache, twin = False, numba.njit(**_options(kind))(function)
        if hasattr(twin, "py_func"):  # a plain function under NUMBA_DISABLE_JIT
            twin._skebm_cached = cache
        self._twins[kind] = twin
        return twin

    @staticmethod
    def _drop_cache_entry(twin):
        for path in Path(twin.stats.cache_path or os.devnull).glob(f"*.{twin.__name__}-*.nb*"):
            try:
                path.unlink()
            except OSError:
                pass


def _options(kind):
    # Numba empties the dict of parallel options, so every kernel needs one of its own.
    return dict(_OPTIONS, parallel=dict(_PARALLEL) if kind == "parallel" else False)


def _renamed(function, name):
    """A copy under another name, since Numba's cache tells functions apart by their names."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, name, function.__defaults__, function.__closure__
    )
    copy.__qualname__ = name
    copy.__module__ = function.__module__
    return copy


def _read_only(array):
    # One compiled version serves writable, read-only and memory-mapped arrays alike.
    view = array.view(np.ndarray)
    view.flags.writeable = False
    return view


@functools.cache
def _digest():
    """Digest of the package's sources: a change in any file makes every cached kernel stale."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


_warned_of_cache = threading.Event()


def _warn_without_cache(error):
    if _warned_of_cache.is_set():
        return
    _warned_of_cache.set()
    warn(
        "skebm cannot keep its compiled kernels on disk and will compile them anew in every "
        f"process ({type(error).__name__}: {error}). Set NUMBA_CACHE_DIR to a writable folder, "
        "or SKEBM_CACHE=0 to do without a cache and without this warning.",
        RuntimeWarning,
    )


# -- functions of users ------------------------------------------------------------------------

# What the compilation of somebody else's function has been seen to raise.
CompilationError = numba.core.errors.NumbaError


def is_compiled(function):
    """Whether something is a function that its user has compiled with Numba."""
    return numba.extending.is_jitted(function)


# What is said of a chunk: that it was not finished; else 0, or of the first row r that a function
# changed 2 (r + 1), with this on top if it changed theta.
UNDONE, CHANGED_THETA = -1, 1


@anywhere
def changed(x, row, point, theta):
    """0, or 2 where a function changed its row, or 2 + CHANGED_THETA."""
    for i in range(x.shape[0]):
        if x[i] != row[i]:
            return 2
    for j in range(theta.shape[0]):
        if point[j] != theta[j]:
            return 2 + CHANGED_THETA
    return 0


@functools.lru_cache(maxsize=64)
def loops_over(energy):
    """Kernels for a compiled function ``energy(theta, x)``: its values, and weighted slopes.

    It gets copies, so that what it does to its arguments is noticed. ``status`` (chunks,) begins
    as UNDONE: an error within threads cannot be told otherwise. Slopes leave out rows where an
    energy is not finite.
    """

    def fill_energies(theta, X, out, status):
        n, p = X.shape
        for chunk in numba.prange(status.shape[0]):
            point, x, mark = theta.copy(), np.empty(p), 0
            for r in range(chunk * CHUNK, min(n, (chunk + 1) * CHUNK)):
                x[:] = X[r]
                out[r] = energy(point, x)
                found = changed(x, X[r], point, theta)
                if found and not mark:
                    mark = 2 * r + found
            status[chunk] = mark

    def add_slopes(theta, above, below, X, weights, parts, status):
        n, p = X.shape
        for chunk in numba.prange(status.shape[0]):
            moved, point, x, mark = theta.copy(), theta.copy(), np.empty(p), 0
            for r in range(chunk * CHUNK, min(n, (chunk + 1) * CHUNK)):
                x[:] = X[r]
                for j in range(theta.shape[0]):
                    moved[j] = point[j] = above[j]
                    high = energy(point, x)
                    found = changed(x, X[r], point, moved)
                    moved[j] = point[j] = below[j]
                    low = energy(point, x)
                    found = max(found, changed(x, X[r], point, moved))
                    moved[j] = point[j] = theta[j]
                    if found and not mark:
                        mark = 2 * r + found
                    rise = high - low
                    if np.isfinite(rise):
                        parts[chunk, j] += weights[r] * (rise / (above[j] - below[j]))
            status[chunk] = mark

    return (
        Kernel(fill_energies, ("out", "status"), cache=False),
        Kernel(add_slopes, ("parts", "status"), cache=False),
    )


# -- threads -----------------------------------------------------------------------------------


def parallel_is_safe():
    """Whether a parallel kernel may be entered here and now."""
    if os.getpid() != _PROCESS:  # threads do not survive a fork
        return False
    if threading.current_thread() is threading.main_thread():
        return True
    return _threading_layer() in ("omp", "tbb")


@functools.cache
def _threading_layer():
    numba.get_num_threads()  # starts the layer, whose name is known only then
    return numba.threading_layer()


def n_threads():
    """Threads that a parallel kernel will run on here and now."""
    return numba.get_num_threads() if parallel_is_safe() else 1


@contextmanager
def threads(n_jobs):
    """Limit Numba to ``n_jobs`` threads (scikit-learn's meaning); None leaves it as it is."""
    if n_jobs is None or not parallel_is_safe():
        yield
        return
    before = numba.get_num_threads()
    numba.set_num_threads(max(1, min(effective_n_jobs(n_jobs), numba.config.NUMBA_NUM_THREADS)))
    try:
        yield
    finally:
        numba.set_num_threads(before)


class _SingleThreadedBLAS:
    """Limits BLAS to one thread while any kernel runs: kernels call it from each of their own."""

    def __init__(self):
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset_in_child)

    def _reset(self):
        self._lock = threading.Lock()
        self._depth = 0
        self._before = None  # threads of each library outside of kernels

    def _reset_in_child(self):
        before = self._before  # known if another thread of the parent was in a kernel
        self._reset()
        if before is not None:
            self._before = before
            self._set(before)

    def __enter__(self):
        with self._lock:
            if self._before is None:
                self._before = [library.get_num_threads() for library in _blas_libraries()]
            self._set([1] * len(self._before))  # some libraries limit the calling thread only
            self._depth += 1

    def __exit__(self, *_):
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._set(self._before)
                self._before = None

    def _set(self, counts):
        try:
            for set_num_threads, count in zip(_blas_setters(), counts):
                set_num_threads(count)
        except KeyboardInterrupt:  # Ctrl-C must not leave the rest of the program on one thread
            for set_num_threads, count in zip(_blas_setters(), self._before):
                set_num_threads(count)
            raise


@functools.cache
def _blas_libraries():
    import scipy.linalg.cython_blas  # noqa: F401  (the BLAS behind np.dot in kernels)

    return ThreadpoolController().select(user_api="blas").lib_controllers


@functools.cache
def _blas_setters():
    # threadpoolctl heeds only the first Python thread that asks; kernels run in any thread, and
    # their bits must not depend on which.
    return [
        getattr(library, "_real_set_num_threads", library.set_num_threads)
        for library in _blas_libraries()
    ]


single_threaded_blas = _SingleThreadedBLAS()
