"""How a loss falls as seconds go by, whoever minimises it."""

import time

import numpy as np


class Enough(Exception):
    """The loss is as low as was asked for."""


class Evaluations:
    """Seconds since this was made, and the loss, of every evaluation of loss and slopes.

    Parameters
    ----------
    goal : float
        Loss at which :meth:`add` raises :class:`Enough`.
    """

    def __init__(self, goal=-np.inf):
        self.goal, self.seconds, self.losses = goal, [], []
        self._started, self.total = time.perf_counter(), np.nan

    def add(self, loss):
        """Keep an evaluation; what is a function is called for the loss, off the clock."""
        now = time.perf_counter()
        self.seconds.append(now - self._started)
        if callable(loss):
            loss = loss()
            self._started += time.perf_counter() - now
        self.losses.append(float(loss))
        if loss <= self.goal:
            raise Enough

    def ended(self):
        """Keep when the search ended; returns itself."""
        self.total = time.perf_counter() - self._started
        return self

    @property
    def best(self):
        """The lowest loss."""
        return min(self.losses)

    def reached(self, loss):
        """Seconds until the first evaluation at most at ``loss``, or until the end if none was."""
        for seconds, each in zip(self.seconds, self.losses):
            if each <= loss:
                return seconds
        return self.total
