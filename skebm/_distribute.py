"""Work that leaves this process, over whatever joblib backend the caller has set up.

A task is a pure function of its arguments, random seeds included, so that a backend may run it
anywhere and run it again where a worker has died; results are put together in the order of the
tasks. They are then the same bits as those of one thread of one process.
"""

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend


def is_distributed():
    """Whether ``joblib.parallel_config`` has set up several workers, or a cluster.

    If not, callers do all the work in one go on Numba's threads. It is also false in a worker
    of such a backend, which has a core to itself; dask alone takes work back from its workers.
    """
    backend, _ = get_active_backend()
    return _is_cluster(backend) or effective_n_jobs(None) > 1


def over_workers(function, tasks):
    """``[function(*task) for task in tasks]``, by the workers of the active backend.

    Parameters
    ----------
    function : callable
        A function of a module, so that it can be pickled by its name.
    tasks : iterable of tuple
        Arguments of each call; a tenth of a second of work or more is worth the way.

    Returns
    -------
    list
        One result for each task, in their order.
    """
    return Parallel()(delayed(_call)(function, tuple(task)) for task in tasks)


def _call(function, task):
    # In a tuple, which has no weak references, arrays travel with their task. By themselves they
    # would be put into the memory of one worker of a cluster, and would be lost with it.
    return function(*task)


def _is_cluster(backend):
    return type(backend).__name__ == "DaskDistributedBackend"
