"""Functions that kernels alone can call, made callable from Python."""

import functools

import numba


@functools.cache
def called(function):
    """A compiled function that does nothing but call the other one."""

    @numba.njit
    def call(*arguments):
        return function(*arguments)

    return call
