"""Binary states packed 32 to a word, and their products with matrices of floats.

A product of n states with a matrix needs no multiplication: row r of the result is the sum of
those rows of the matrix whose bit is set in state r. Two ways to add them up:

- few bits set: one row after the other, from a list of the ones;
- many bits set: tables with all 16 sums of four neighbouring rows, looked up four bits at a time
  (the "method of the four Russians": Arlazarov, Dinic, Kronrod, Faradzev 1970).

Each state takes the way that its own number of ones asks for, whatever its neighbours are.
Matrices are kept in *tiles*: (T, 32 * words + 1, L), tile t holds columns t * L ... of the
matrix, whose other rows are zero; L is the block of :mod:`skebm._simd`.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from skebm._jit import anywhere, inline, kernel
from skebm._simd import ALIGNMENT, add_blocks, lanes, tabulate_sums
from skebm._words import add_masked, count_ones, write_ones

WORD = 32

# Share of ones up to which a list is faster than tables that are shared by some 100 states.
SPARSE = 0.22

# Work of a product per state, and of its tables, for each word and tile: the flops that a dense
# product has done in the same time.
_STATE_FLOPS, _TABLE_FLOPS = 9e2, 2.5e4

# Ones that are added at a time; lists are padded to a multiple with the number of a zero row.
# Eight blocks are summed in registers, written out as many times in :func:`multiply`.
_GROUP = 8

# Sums in the tables of one word: eight groups of four bits, 16 subsets each.
TABLE_BLOCKS = 8 * 16


class States(NamedTuple):
    """Packed states with the lists of their ones.

    ``bits`` (n, words) uint32; ``counts`` (n,) int32 entries of each row of ``ones``
    (n, capacity) int32, -1 where the state is dense and has no list.
    """

    bits: np.ndarray
    ones: np.ndarray
    counts: np.ndarray


class Packed(np.ndarray):
    """Words (n, words) uint32 of packed rows: a type, so that nobody takes them for numbers."""


# -- in Python ---------------------------------------------------------------------------------


def n_words(n):
    """Words that hold ``n`` bits."""
    return -(-n // WORD)


def aligned_empty(shape, dtype):
    """An uninitialised array that begins where vector instructions like it."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def pack(X, n_bits=0):
    """Words of dense rows, set where they are not zero; with room for ``n_bits`` at least."""
    X = np.asarray(X)
    packed = np.packbits(
        X if X.dtype in (np.uint8, np.bool_) else X != 0, axis=1, bitorder="little"
    )
    bits = np.zeros((len(packed), 4 * n_words(max(n_bits, X.shape[1]))), np.uint8)
    bits[:, : packed.shape[1]] = packed
    return bits.view("<u4").astype(np.uint32, copy=False).view(Packed)


def unpack(bits, n, dtype):
    """Dense rows (len(bits), n) of zeros and ones."""
    as_bytes = np.ascontiguousarray(bits).astype("<u4", copy=False).view(np.uint8)
    return np.unpackbits(as_bytes, axis=1, count=n, bitorder="little").astype(dtype)


def to_tiles(matrix):
    """Tiles of a matrix (n, N): (T, 32 * n_words(n) + 1, L)."""
    n, width = len(matrix), lanes(matrix)
    count = -(-matrix.shape[1] // width)
    tiles = aligned_empty((count, WORD * n_words(n) + 1, width), matrix.dtype)
    tiles[:] = 0
    for t in range(count):
        part = matrix[:, t * width : (t + 1) * width]
        tiles[t, :n, : part.shape[1]] = part
    return tiles


def row_tiles(row):
    """Tiles (T, L) of one row (n,), zero beyond its end."""
    count = -(-len(row) // lanes(row))
    tiles = aligned_empty((count, lanes(row)), row.dtype)
    tiles[:] = 0
    tiles.ravel()[: len(row)] = row
    return tiles


def from_tiles(tiles, shape):
    """The matrix of that shape, in C order."""
    rows = tiles[:, : shape[0]].transpose(1, 0, 2).reshape(shape[0], -1)
    return np.ascontiguousarray(rows[:, : shape[1]])


def product_flops(n_states, n_bits, n_columns, dtype):
    """Work of the product of states with a matrix, in the time of flops of a dense product."""
    tiles = -(-n_columns // lanes(np.empty(0, dtype)))
    return tiles * n_words(n_bits) * (_STATE_FLOPS * n_states + _TABLE_FLOPS)


# -- in kernels --------------------------------------------------------------------------------


@kernel(writes=("bits",))
def pack_ones(indptr, indices, rows, bits):
    """bits[k] <- row ``rows[k]`` of a CSR matrix whose stored entries are ones."""
    for k in prange(rows.shape[0]):
        for entry in range(indptr[rows[k]], indptr[rows[k] + 1]):
            i = np.int64(indices[entry])
            bits[k, i // WORD] |= np.uint32(1 << (i % WORD))


@kernel(writes=("out",))
def sum_columns(bits, weights, out):
    """out[i] += the weights (n,) of the rows of ``bits`` whose bit i is set, in float64."""
    for w in prange(bits.shape[1]):
        for r in range(bits.shape[0]):
            add_masked(out, w * WORD, weights[r], bits[r, w])


@anywhere
def empty_states(n_states, n, like):
    """States of ``n`` bits that are zero, with words for whole tiles in the dtype of ``like``."""
    words = (n + lanes(like) - 1) // lanes(like) * (lanes(like) // WORD)
    capacity = (int(SPARSE * n) // _GROUP + 2) * _GROUP  # write_ones needs some to spare
    return States(
        np.zeros((n_states, words), np.uint32),
        np.empty((n_states, capacity), np.int32),
        np.zeros(n_states, np.int32),
    )


@inline
def aligned(n, like):
    """``n`` numbers like those of an array, to begin where vector instructions like it."""
    size = like.itemsize
    buffer = np.empty(n + ALIGNMENT // size, like.dtype)
    start = (ALIGNMENT - buffer.ctypes.data % ALIGNMENT) % ALIGNMENT // size
    return buffer[start : start + n]


@inline
def sums_table(like):
    """Scratch for :func:`multiply`."""
    return aligned(TABLE_BLOCKS * lanes(like), like)


@inline
def list_ones(states, low, high, n):
    """Write the lists of states ``low:high`` of ``n`` bits, or that they are dense."""
    words = (n + WORD - 1) // WORD
    zero_row = words * WORD
    for r in range(low, high):
        total = 0
        for w in range(words):
            total += count_ones(states.bits[r, w])
        if total > SPARSE * n:
            states.counts[r] = -1
            continue
        row = states.ones[r]
        k = 0
        for w in range(words):
            k += write_ones(row, k, states.bits[r, w], w * WORD)
        while k % _GROUP:
            row[k] = zero_row
            k += 1
        states.counts[r] = k


@inline
def multiply(states, n_states, tile, out, table):
    """out[r] += the product of state r with one tile (rows, L), for the first ``n_states``.

    The lists are up to date. ``table`` is scratch from :func:`sums_table`.
    """
    n = lanes(tile)
    source, target = tile.ravel(), out.ravel()
    dense = False
    for r in range(n_states):
        count = states.counts[r]
        dense = dense or count < 0
        row = states.ones[r]
        for k in range(0, count, _GROUP):
            add_blocks(
                target, r * n, source,
                (
                    row[k] * n, row[k + 1] * n, row[k + 2] * n, row[k + 3] * n,
                    row[k + 4] * n, row[k + 5] * n, row[k + 6] * n, row[k + 7] * n,
                ),
            )  # fmt: skip
    if not dense:
        return
    for w in range((tile.shape[0] - 1) // WORD):
        first = w * WORD * n
        for start in range(0, table.shape[0], 16 * n):
            tabulate_sums(table, start, source, first + start // 4)
        for r in range(n_states):
            if states.counts[r] < 0:
                x = np.int64(states.bits[r, w])
                add_blocks(
                    target, r * n, table,
                    (
                        (x & 15) * n, (16 + (x >> 4 & 15)) * n,
                        (32 + (x >> 8 & 15)) * n, (48 + (x >> 12 & 15)) * n,
                        (64 + (x >> 16 & 15)) * n, (80 + (x >> 20 & 15)) * n,
                        (96 + (x >> 24 & 15)) * n, (112 + (x >> 28)) * n,
                    ),
                )  # fmt: skip


@inline
def transpose_word(bits, w, n_rows, out):
    """out[i, q] <- bits of column i in rows 32 q ... of ``bits``, for the 32 columns of word w."""
    block = np.empty(WORD, np.uint32)
    for q in range((n_rows + WORD - 1) // WORD):
        for r in range(WORD):
            block[r] = bits[q * WORD + r, w] if q * WORD + r < n_rows else np.uint32(0)
        mask = np.uint32(0x0000FFFF)
        j = 16
        while j != 0:
            k = 0
            while k < WORD:
                change = ((block[k] >> np.uint32(j)) ^ block[k + j]) & mask
                block[k + j] ^= change
                block[k] ^= change << np.uint32(j)
                k = (k + j + 1) & ~j
            j >>= 1
            mask ^= mask << np.uint32(j)
        for i in range(WORD):
            out[w * WORD + i, q] = block[i]
