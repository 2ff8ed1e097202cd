"""Calls in processes of their own, so that no library meets another one's threads."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def fresh_processes(n):
    """A pool of ``n`` new processes."""
    return ProcessPoolExecutor(n, get_context("spawn"))


def in_fresh_process(function, *arguments):
    """The result of a call made in a new process."""
    with fresh_processes(1) as pool:
        return pool.submit(function, *arguments).result()
