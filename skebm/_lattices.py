"""Graphs of spins, and lattices of which one side is short enough to be summed exactly.

A strip of n x w spins with free ends is summed spin by spin (the transfer matrix, factorised):
row by row, a *front* of w spins knows all that matters to the rest, and a new spin takes the
place of the one above it. Its 2^w log-sums after every spin are kept, so that independent draws
can be made on the way back, each spin given the front that follows it.
"""

import numpy as np

# Spins on the short side of a strip.
MOST_ACROSS = 12


def lattice_edges(n_rows, n_columns, periodic):
    """(m, 2) sites of the edges between neighbours of a square lattice, numbered row by row."""
    sites = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    right, below = np.roll(sites, -1, axis=1), np.roll(sites, -1, axis=0)
    keep = slice(None) if periodic else slice(-1)
    across = sites[:, keep].ravel(), right[:, keep].ravel()
    down = sites[keep].ravel(), below[keep].ravel()
    return np.vstack([np.column_stack(across), np.column_stack(down)])


def regular_edges(n, degree, generator):
    """(n degree / 2, 2) ends of a random graph in which every vertex has so many neighbours.

    Half-edges are paired at random until no pair is a loop and none occurs twice.
    """
    halves = np.repeat(np.arange(n), degree)
    while True:
        edges = np.sort(generator.permutation(halves).reshape(-1, 2), axis=1)
        if (edges[:, 0] < edges[:, 1]).all() and len(np.unique(edges, axis=0)) == len(edges):
            return edges


class Strip:
    """Exact sums and draws of an Ising model on a lattice with free ends.

    Parameters
    ----------
    coupling : ndarray of shape (n_rows * n_columns, n_rows * n_columns)
        Couplings; those of other pairs than neighbours are not looked at.
    field : ndarray of shape (n_rows * n_columns,)
        Fields.
    n_rows, n_columns : int
        Shape of the lattice; the time grows with 2^n_columns.

    Attributes
    ----------
    log_partition : float
        log Z in nats.
    entropy : float
        Entropy in nats.
    """

    def __init__(self, coupling, field, n_rows, n_columns):
        self._J, self._across, self._n = coupling, n_columns, n_rows * n_columns
        fronts = np.arange(2**n_columns)
        # Each row of ``_sums`` (1 + n, 2^w) is that of a front; bit c of its number is spin c.
        self._sums = np.empty((1 + self._n, len(fronts)))
        self._sums[0] = -n_columns * np.log(2.0)  # spins above the first row, which do not matter
        mean = np.zeros(len(fronts))  # of log p~ so far, given the front
        for site in range(self._n):
            self._sums[site + 1], mean = self._take(site, field[site], fronts, mean)
        last = self._sums[-1]
        self.log_partition = float(np.logaddexp.reduce(last))
        self.entropy = float(self.log_partition - np.exp(last - self.log_partition) @ mean)

    def _take(self, site, h, fronts, mean):
        """Log-sums and means of the fronts in which this site has taken its place."""
        column, before = site % self._across, self._sums[site]
        spin, own = _spin(fronts, column), h
        if column:
            own = h + self._J[site, site - 1] * _spin(fronts, column - 1)
        rise, above = spin * own, spin * self._above(site)
        down, up = fronts & ~(1 << column), fronts | (1 << column)
        after = np.logaddexp(before[down] - above, before[up] + above)
        with np.errstate(under="ignore"):
            share = np.exp(before[up] + above - after)
            mean = share * (mean[up] + above) + (1.0 - share) * (mean[down] - above)
        return after + rise, mean + rise

    def _above(self, site):
        return self._J[site, site - self._across] if site >= self._across else 0.0

    def sample(self, n_samples, generator):
        """Independent draws (n_samples, n_rows * n_columns) of -1 and 1."""
        last = np.cumsum(np.exp(self._sums[-1] - self.log_partition))
        chosen = np.searchsorted(last, generator.random(n_samples) * last[-1], side="right")
        fronts, out = np.minimum(chosen, len(last) - 1), np.empty((n_samples, self._n))
        for site in reversed(range(self._n)):
            column, before = site % self._across, self._sums[site]
            out[:, site] = _spin(fronts, column)
            down, up = fronts & ~(1 << column), fronts | (1 << column)
            odds = before[up] - before[down] + 2.0 * self._above(site) * out[:, site]
            # u < sigmoid(odds), of the spin above
            uniform = generator.random(n_samples)
            fronts = np.where(np.log(uniform) - np.log1p(-uniform) < odds, up, down)
        return out


def _spin(numbers, bit):
    return 2.0 * ((numbers >> bit) & 1) - 1.0
