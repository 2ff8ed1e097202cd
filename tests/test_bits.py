"""Packed states: their products, lists and transposes, and the instructions beneath them."""

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from compiled import called

from skebm import _bits, _simd, _words
from skebm._rows import Rows

DTYPES = [np.float32, np.float64]


def random_bits(n, width, density, seed=0):
    return np.random.default_rng(seed).random((n, width)) < density


def states_of(X, like):
    states = _bits.empty_states(len(X), X.shape[1], like)
    words = _bits.pack(X)
    states.bits[:, : words.shape[1]] = words
    return states


@numba.njit
def list_all(states, n):
    _bits.list_ones(states, 0, states.bits.shape[0], n)


@numba.njit
def product(states, tiles, out):
    table = _bits.sums_table(tiles)
    for t in range(tiles.shape[0]):
        _bits.multiply(states, states.bits.shape[0], tiles[t], out[t], table)


# -- packing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 100])
def test_packing_and_back(width):
    X = random_bits(7, width, 0.4)
    words = _bits.pack(X)
    assert words.dtype == np.uint32 and words.shape == (7, -(-width // 32))
    for i in range(width):
        assert (((words[:, i // 32] >> np.uint32(i % 32)) & 1) == X[:, i]).all()
    for given in (X.astype(np.uint8), X.astype(float), X.astype(np.float32)):
        assert (_bits.pack(given) == words).all()
    assert (_bits.unpack(words, width, np.float32) == X).all()
    padded = _bits.pack(X, width + 64)
    assert padded.shape[1] == -(-(width + 64) // 32) and (padded[:, -2:] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 64), (33, 65), (70, 130)])
def test_tiles_hold_the_matrix_and_zeros(dtype, shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(dtype)
    tiles = _bits.to_tiles(matrix)
    assert tiles.dtype == dtype and tiles.ctypes.data % 64 == 0
    assert (_bits.from_tiles(tiles, shape) == matrix).all()
    assert np.abs(tiles).sum(dtype=float) == pytest.approx(np.abs(matrix).sum(dtype=float))
    row = _bits.row_tiles(matrix[0])
    assert (row.ravel()[: shape[1]] == matrix[0]).all() and (row.ravel()[shape[1] :] == 0).all()


# -- products ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.0, 0.05, 0.21, 0.23, 0.5, 1.0])
@pytest.mark.parametrize("n, width, columns", [(1, 1, 1), (9, 70, 130), (130, 64, 64)])
def test_products_are_those_of_dense_matrices(dtype, density, n, width, columns):
    """Lists, tables and both: a wrong bit would be an error of a whole entry."""
    X = random_bits(n, width, density)
    matrix = np.random.default_rng(1).normal(size=(width, columns)).astype(dtype)
    states, tiles = states_of(X, matrix), _bits.to_tiles(matrix)
    list_all(states, width)
    out = _bits.aligned_empty((len(tiles), n, tiles.shape[2]), dtype)
    out[:] = 0.5
    product(states, tiles, out)
    found = out.transpose(1, 0, 2).reshape(n, -1)
    expected = X.astype(float) @ matrix.astype(float) + 0.5
    assert np.allclose(found[:, :columns], expected, atol=200 * np.finfo(dtype).eps)
    assert (found[:, columns:] == 0.5).all()


def test_a_product_does_not_depend_on_the_other_states():
    """Each state takes its own way, so that chains are the same whoever they run with."""
    X = np.vstack([random_bits(20, 200, density) for density in (0.1, 0.2, 0.24, 0.9)])
    matrix = np.random.default_rng(1).normal(size=(200, 64)).astype(np.float32)
    tiles = _bits.to_tiles(matrix)

    def products(rows):
        states = states_of(X[rows], matrix)
        list_all(states, 200)
        out = _bits.aligned_empty((1, len(rows), 64), np.float32)
        out[:] = 0
        product(states, tiles, out)
        return out[0]

    together = products(np.arange(80))
    assert (together == np.vstack([products(np.array([r])) for r in range(80)])).all()


@pytest.mark.parametrize("width", [1, 40, 64, 300])
def test_lists_of_ones(width):
    X = np.vstack([random_bits(6, width, d) for d in (0.0, 0.02, 0.2, 0.22, 0.23, 0.6)])
    states = states_of(X, np.empty(0, np.float32))
    list_all(states, width)
    for row, ones, count in zip(X, states.ones, states.counts):
        if row.sum() > _bits.SPARSE * width:
            assert count == -1
        else:
            n = row.sum()
            assert n <= count < n + 8 and count % 8 == 0
            assert (ones[:n] == np.flatnonzero(row)).all()
            assert (ones[n:count] == 32 * _bits.n_words(width)).all()


def test_lists_leave_room_for_what_is_written_too_much():
    for n in range(1, 400):
        states = _bits.empty_states(1, n, np.empty(0, np.float32))
        assert states.ones.shape[1] >= int(_bits.SPARSE * n) + 8


@pytest.mark.parametrize("n", [1, 31, 32, 33, 100])
def test_transposed_words(n):
    X = random_bits(n, 70, 0.5)
    words, out = _bits.pack(X), np.full((96, _bits.n_words(n)), 7, np.uint32)
    for w in range(3):
        called(_bits.transpose_word)(words, w, n, out)
    assert (_bits.unpack(out, n, bool)[:70] == X.T).all()
    assert (_bits.unpack(out, 32 * out.shape[1], bool)[:, n:] == 0).all()


def test_column_sums():
    X, weights = random_bits(50, 70, 0.5), np.random.default_rng(1).random(50)
    total = np.zeros(96)
    _bits.sum_columns(_bits.pack(X), weights, total)
    assert np.allclose(total[:70], weights @ X) and (total[70:] == 0).all()


# -- instructions ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_instructions_are_their_twins(dtype):
    """Compiled code beside the plain Python that stands for it, on numbers that are exact."""
    rng = np.random.default_rng(0)
    width = _simd.lanes(np.empty(0, dtype))
    side = _simd.square_side(np.empty(0, dtype))
    assert (width, side) == ((64, 16) if dtype == np.float32 else (32, 8))
    numbers = rng.integers(-8, 9, 40 * width).astype(dtype)
    places = np.array([2, 0, 7], np.int32)
    calls = {
        _simd.combine_blocks: (5, numbers, places, 1, 3, numbers),
        _simd.add_blocks: (3, numbers, (0, 5, 2 * width)),
        _simd.add_scaled: (1, dtype(-0.5), numbers, 7),
        _words.add_masked: (4, dtype(3), np.uint32(0x80000005)),
        _words.add_selected: (4, numbers.astype(np.float32), 7, np.uint32(0x80000005)),
        _simd.tabulate_sums: (2, numbers, 9),
    }
    for function, arguments in calls.items():
        plain, compiled = (np.ones(20 * width, dtype) for _ in range(2))
        function(plain, *arguments)
        called(function)(compiled, *arguments)
        assert (plain == compiled).all() and (plain != 1).any(), function.__name__
    assert called(_simd.dot_blocks)(numbers, 3, numbers, 5 * width) == _simd.dot_blocks(
        numbers, 3, numbers, 5 * width
    ) == numbers[3 : 3 + width] @ numbers[5 * width : 6 * width]  # fmt: skip
    plain, compiled = np.zeros((2, 30 * width), dtype)
    _simd.transpose_square(numbers, 3, width, plain, 5, 2 * side)
    called(_simd.transpose_square)(numbers, 3, width, compiled, 5, 2 * side)
    assert (plain == compiled).all() and (plain != 0).sum() > side
    square = numbers[3 : 3 + side * width].reshape(side, width)[:, :side]
    assert (plain[5 : 5 + 2 * side * side].reshape(side, 2 * side)[:, :side] == square.T).all()
    tau = rng.integers(0, 2, 40 * width).astype(dtype)  # factors of -3, -1, 1, 3, 5
    even = 2 * rng.integers(1, 3, 20).astype(dtype)
    plain, compiled = np.ones((2, 3 * width), dtype)
    for multiply, out in (
        (_words.multiply_factors, plain),
        (called(_words.multiply_factors), compiled),
    ):
        multiply(out, 5, tau, 40, width, even, 3, np.uint32(0x80F00005))
    assert (plain == compiled).all() and (plain[:5] == 1).all() and (plain[37:] == 1).all()
    assert (plain[5:37] != 1).sum() > 20 and (plain != 0).all()
    results = []
    for mix, divide in (
        (_words.multiply_mixtures, _words.add_quotients),
        (called(_words.multiply_mixtures), called(_words.add_quotients)),
    ):
        product, change, total = np.ones((3, 3 * width), dtype)
        word, table = np.uint32(0x80F00005), np.abs(numbers)
        mix(product, 5, table, 40, 2 * width, even, even[::-1].copy(), 1, 2, word)
        divide(change, 5, total, table, 40, 90, numbers, 7, dtype(2), dtype(3), word)
        results.append((product, change, total))
    for one, other in zip(*results):
        assert np.allclose(one, other, rtol=1e-5 if dtype == np.float32 else 1e-13)
        assert (one != 1).sum() > 15
    for product, change, total in results:
        for bit in (0, 1, 31):  # 0 and 31 are set, 1 is not
            e = table[40 + bit + width * (bit != 1) :: 2 * width][: _words.FACTORS]
            p, q = even[1::2][: _words.FACTORS], even[::-1][1::2][: _words.FACTORS]
            assert np.isclose(product[5 + bit], np.prod(q + p * e), rtol=1e-5)
            odds = 2 * table[(40 if bit == 1 else 90) + bit]
            x, g = odds / (3 + odds), numbers[7 + bit]
            assert np.isclose(change[5 + bit], 1 + (g * x if bit == 1 else -g * x), rtol=1e-4)
            assert np.isclose(total[bit], 1 + g * (x - 2), rtol=1e-4)
    special = np.tile(np.array([0.0, -0.0, -1.0, 2.0, np.inf, -np.inf, np.nan, -1e-30], dtype), 5)
    word = called(_words.signs)(special, 3)
    assert word == _words.signs(special, 3) == sum(1 << i for i in range(32) if special[3 + i] < 0)


@pytest.mark.parametrize("word", [0, 1, 2, 0x80000000, 0xFFFFFFFF, 0x00F0A000])
def test_bits_of_a_word(word):
    ones = [bit for bit, digit in enumerate(bin(word)[:1:-1]) if digit == "1"]
    for count_ones in (_words.count_ones, called(_words.count_ones)):
        assert count_ones(np.uint32(word)) == len(ones)
    for write_ones in (_words.write_ones, called(_words.write_ones)):
        numbers = np.full(50, -1, np.int32)
        assert write_ones(numbers, 3, np.uint32(word), 64) == len(ones)
        assert (numbers[3 : 3 + len(ones)] == 64 + np.array(ones)).all()
        assert (numbers[:3] == -1).all() and (numbers[3 + len(ones) + 8 :] == -1).all()


# -- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "sparse", "mean-field", "sparse mean-field"])
def test_rows_are_what_they_were(kind):
    X = np.random.default_rng(0).random((300, 70)) * random_bits(300, 70, 0.3)
    given = sp.csr_array(X) if "sparse" in kind else X
    rows = Rows(given) if "mean" in kind else Rows.binary(given, 0.5)
    expected = X if "mean" in kind else (X > 0.5).astype(float)
    chosen = np.array([5, 0, 299, 5])
    weights = np.random.default_rng(1).random(300)
    assert (len(rows), rows.n_features) == (300, 70)
    assert rows.is_binary == ("mean" not in kind)
    assert (rows.dense(chosen, np.float64) == expected[chosen]).all()
    assert np.allclose(rows.column_means(weights), np.average(expected, axis=0, weights=weights))
    blocks = list(rows.blocks(np.float64, 128))
    assert [part.stop for part, _ in blocks] == [128, 256, 300]
    kept = rows.keep(X[:, 0] > 0)
    assert (kept.dense(np.arange(len(kept)), float) == expected[X[:, 0] > 0]).all()
    taken = rows.take(chosen, np.float64)
    if rows.is_binary:
        taken = _bits.unpack(taken, 70, np.float64)
    assert (taken == expected[chosen]).all()
