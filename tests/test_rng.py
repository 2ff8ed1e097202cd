"""Random numbers are the published generator, addressed by (key, unit, chain, step, stream)."""

import numba
import numpy as np
import pytest
import reference
from compiled import called
from scipy import stats

from skebm._rng import (
    BLOCK,
    derive_key,
    draw_entropy,
    fill_bits,
    host_generator,
    philox4x32,
    uniform,
)

# tests/kat_vectors of Random123: (counter, key, result).
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (*PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@numba.njit
def uniforms_of(bits, like):
    return np.array([uniform(word, like) for word in bits])


def drawn_bits(key, chain, step, stream, n_units):
    bits = np.empty((-(-n_units // BLOCK), BLOCK), np.uint32)
    for block, part in enumerate(bits):
        called(fill_bits)(np.array(key, dtype=np.uint32), chain, step, stream, block, part)
    return bits.ravel()[:n_units]


@pytest.mark.parametrize("counter, key, expected", KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, expected):
    compiled = called(philox4x32)(*(np.uint64(word) for word in (*key, *counter)))
    assert tuple(int(word) for word in compiled) == expected
    assert reference.philox4x32(counter, key) == expected


@pytest.mark.parametrize("n_units", [1, 4, 17, 64, 65, 200])
def test_bits_are_addressed(n_units):
    key = (0x12345678, 0xFEDCBA98)
    for address in [(0, 0, 0), (7, 3, 1), (2**20, 2**31 + 5, 2)]:
        expected = reference.random_bits(key, *address, n_units)
        assert drawn_bits(key, *address, n_units).tolist() == expected


def test_distinct_addresses_have_distinct_bits():
    """64 draws of 64 bits agree by chance with probability 2^-52."""
    addresses = {
        (key, chain, step, stream)
        for key in [(1, 2), (2, 1)]
        for chain in (0, 1, 5, 70_000)
        for step in (0, 1, 5, 70_000, 2**32, 2**33)
        for stream in (0, 1)
    }
    words = {tuple(drawn_bits(*address, 2).tolist()) for address in addresses}
    assert len(words) == len(addresses)
    units = drawn_bits((1, 2), 0, 0, 0, 1000)
    assert len(set(units.tolist())) == 1000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_never_reaches_its_ends(dtype):
    bits = np.array([0, 1, 2**9, 2**31, 2**32 - 2**9, 2**32 - 1], dtype=np.uint32)
    compiled = uniforms_of(bits, dtype(0))
    assert compiled.dtype == dtype
    assert compiled.min() > 0.0
    assert compiled.max() < 1.0
    assert compiled.tolist() == [float(uniform(word, dtype(0))) for word in bits]
    if dtype == np.float32:
        expected = [((int(word) >> 9) + 0.5) / 2**23 for word in bits]
    else:
        expected = [(int(word) + 0.5) / 2**32 for word in bits]
    assert compiled.tolist() == expected


@pytest.mark.parametrize("axis", ["unit", "chain", "step"])
def test_uniformity_and_independence(axis):
    """Pairs of neighbours along one axis fill the cells of a 16 x 16 grid evenly.

    Pearson's test with 2^17 pairs and alpha = 1e-6: finds total variation 0.024 but for one
    case in 10^6. Counters are as regular as inputs can be.
    """
    n_pairs, key = 2**17, (2024, 11)
    if axis == "unit":
        bits = drawn_bits(key, 3, 4, 0, 2 * n_pairs)
    else:
        address = {"chain": lambda i: (i, 4, 0), "step": lambda i: (3, i, 0)}[axis]
        bits = np.concatenate([drawn_bits(key, *address(i), 256) for i in range(n_pairs // 128)])
        bits = bits.reshape(-1, 256).T.ravel()  # neighbours differ in the axis alone
    cells = (uniforms_of(bits, 0.0) * 16).astype(int).reshape(-1, 2)
    counts = np.bincount(16 * cells[:, 0] + cells[:, 1], minlength=256)
    assert counts.sum() == n_pairs
    assert stats.chisquare(counts).pvalue > reference.ALPHA
    assert reference.detected_variation(n_pairs, 256) < 0.0245


def test_entropy_and_keys():
    assert draw_entropy(3) == draw_entropy(np.int64(3)) != draw_entropy(4)
    assert draw_entropy(None) != draw_entropy(None)
    for make in (np.random.RandomState, np.random.default_rng):
        first, second = make(0), make(0)
        assert draw_entropy(first) == draw_entropy(second) != draw_entropy(first)
    entropy = draw_entropy(3)
    keys = {tuple(derive_key(entropy, *purpose)) for purpose in [(1,), (2,), (1, 2), (2, 1)]}
    assert len(keys) == 4
    assert host_generator(entropy, 1).random() == host_generator(entropy, 1).random()
    with pytest.raises(ValueError, match="random_state must not be negative"):
        draw_entropy(-1)
    with pytest.raises(TypeError, match="random_state must be None"):
        draw_entropy("0")


def test_global_state_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    host_generator(draw_entropy(0)).random(10)
    drawn_bits((1, 2), 0, 0, 0, 10)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
