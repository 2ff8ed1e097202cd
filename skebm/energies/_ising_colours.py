"""Few chains of an Ising model with sparse couplings: all spins of one colour at a time.

A tile of :mod:`skebm.energies._ising_chains` costs the same however few of its lanes hold a chain.
Where couplings are few, spins of one chain can fill the lanes instead: the graph of the couplings
is coloured in the order of the scan, each spin with the first colour after those of all neighbours
before it. Spins of one colour are not coupled, and every neighbour is drawn before or after a spin
as it was in the scan, so that to go through the colours in turn, or from the last to the first, is
the same scan: with the same random numbers it gives the same bits, whichever way is taken.

A single chain on a torus of 64 x 64 spins, which has 127 colours, is some ten times faster than in
a tile. Two colours in turn, as on a chequerboard, would be another scan, and less than twice as
fast again: the sums over neighbours, spin by spin, take most of the time. Chains go to different
threads, colours do not: they are drawn in a few microseconds.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._bits import aligned
from skebm._jit import inline, kernel
from skebm._rng import BLOCK, fill_bits, uniform
from skebm._simd import lanes
from skebm.energies._ising_chains import DRAW, decide, set_beta, tile_for

# Spins that a colour must have on average.
_FEWEST_SPINS = 4

# Draws of one chain that are worth finding colours for, and compiling another kernel.
_FEWEST_DRAWS = 2e5


class Colours(NamedTuple):
    """Spins of colour c are order[starts[c]:starts[c + 1]]; ``order`` (p,) int32."""

    order: np.ndarray
    starts: np.ndarray


def colours_of(model):
    """:class:`Colours` of the graph of ``model``, along its scan; None where they are many."""
    n, neighbours, indptr = len(model.h), model.neighbours.tolist(), model.indptr.tolist()
    colour = [0] * n
    for i in range(n):
        for j in neighbours[indptr[i] : indptr[i + 1]]:
            if j >= i:  # they are in order
                break
            colour[i] = max(colour[i], colour[j] + 1)
    starts = np.searchsorted(np.sort(colour), np.arange(max(colour) + 2))
    if n < _FEWEST_SPINS * (len(starts) - 1):
        return None
    return Colours(np.argsort(colour, kind="stable").astype(np.int32), starts.astype(np.int64))


def few_chains(model, n_chains, n_sweeps):
    """Whether so few chains make so many sweeps that colours may be worth finding."""
    n, few = len(model.h), n_chains <= lanes(model.h) // 4
    return few and n_sweeps * n >= _FEWEST_DRAWS and len(model.J) * _FEWEST_SPINS <= n**2


def pays(colours, n_chains):
    """Whether colours have spins enough to go through them instead of a tile."""
    if colours is None:
        return False
    return n_chains * (len(colours.starts) - 1) <= len(colours.order)


@inline
def fill_uniforms_of(key, chain, step, bits, random):
    """random[i] <- the uniform of spin i of one chain; ``random`` (a multiple of 64,)."""
    like = random[0]
    for block in range(random.shape[0] // BLOCK):
        fill_bits(key, chain, step, DRAW, block, bits)
        row = random[block * BLOCK : (block + 1) * BLOCK]
        for k in range(BLOCK):
            row[k] = uniform(bits[k], like)


@inline
def draw_some(model, base_field, order, low, high, random, tile, spins):
    """Draw the spins order[low:high] of one chain, at most L and no two of them coupled."""
    # Names of their own, as in decide.
    field, other, chosen, outcome = tile.field, tile.other, tile.random, tile.outcome
    h, J, neighbours, indptr = model.h, model.J, model.neighbours, model.indptr
    for r in range(high - low):
        i = order[low + r]
        total = h[i]
        for k in range(indptr[i], indptr[i + 1]):
            total += J[k] * spins[neighbours[k]]
        field[r] = total
        other[r] = base_field[i]
        chosen[r] = random[i]
    decide(chosen, tile)
    for r in range(high - low):
        spins[order[low + r]] = outcome[r]


@inline
def sweep_colours(model, base_field, colours, beta, key, chain, step, n_sweeps, backwards, spins):
    """Sweeps of one chain, ``spins`` (p,)."""
    tile, width = tile_for(1, spins), lanes(spins)
    random = aligned((spins.shape[0] + BLOCK - 1) // BLOCK * BLOCK, spins)
    order, starts = colours.order, colours.starts
    set_beta(beta, tile)
    n_colours = starts.shape[0] - 1
    for s in range(step, step + n_sweeps):
        fill_uniforms_of(key, chain, s, tile.bits, random)
        for k in range(n_colours):
            c = n_colours - 1 - k if backwards else k
            for low in range(starts[c], starts[c + 1], width):
                high = min(low + width, starts[c + 1])
                draw_some(model, base_field, order, low, high, random, tile, spins)


@kernel(writes=("X",))
def gibbs_coloured_spins(
    model, base_field, colours, beta, key, first_chain, step, n_sweeps, backwards, X
):
    """Sweeps of all chains ``X`` (n, p), each at its own ``beta`` (n,), from independent spins."""
    for r in prange(X.shape[0]):
        chain = first_chain + np.int64(r)
        sweep_colours(
            model, base_field, colours, beta[r], key, chain, step, n_sweeps, backwards, X[r]
        )
