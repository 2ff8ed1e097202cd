"""Few chains by colours: the graph is coloured along the scan, and the scan keeps its bits."""

import numpy as np
import pytest
import reference

from skebm._lattices import lattice_edges, regular_edges
from skebm.energies import IndependentSpins, Ising, _ising_chains, _ising_colours

DTYPES = (np.float32, np.float64)
KEY = np.array([7, 11], np.uint32)


def of_edges(p, edges, dtype=np.float64, seed=0):
    """Normal couplings along these edges, and normal fields."""
    rng, J = np.random.default_rng(seed), np.zeros((p, p))
    J[tuple(edges.T)] = rng.normal(0.0, 0.5, len(edges))
    return Ising((J + J.T).astype(dtype), rng.normal(0.0, 0.3, p).astype(dtype))


def torus(size=12, dtype=np.float64):
    return of_edges(size**2, lattice_edges(size, size, True), dtype)


def scattered(p=170, dtype=np.float64):
    """A random graph of degree 3."""
    return of_edges(p, regular_edges(p, 3, np.random.default_rng(1)), dtype)


@pytest.fixture
def always(monkeypatch):
    """Colours are always worth it."""
    for name in ("_FEWEST_SPINS", "_FEWEST_DRAWS"):
        monkeypatch.setattr(_ising_colours, name, 0)
    monkeypatch.setattr(_ising_colours, "few_chains", lambda *_: True)
    monkeypatch.setattr(_ising_colours, "pays", lambda *_: True)


@pytest.mark.parametrize("make", [torus, scattered])
def test_colours_are_along_the_scan(make):
    """Neighbours have different colours, the later one the higher: no scan is changed."""
    energy = make()
    order, starts = _ising_colours.colours_of(energy._spins)
    assert sorted(order) == list(range(len(energy.field))) and (np.diff(starts) > 0).all()
    colour = np.empty(len(order), int)
    colour[order] = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    i, j = np.nonzero(np.triu(energy.coupling))
    assert (colour[i] < colour[j]).all()
    for k in np.flatnonzero(colour):  # none is higher than it has to be
        earlier = np.flatnonzero(energy.coupling[k, :k])
        assert colour[earlier].max() == colour[k] - 1


def test_a_torus_has_diagonals():
    order, starts = _ising_colours.colours_of(torus(20)._spins)
    assert len(starts) - 1 == 39
    row, column = np.divmod(order[starts[7] : starts[8]], 20)
    assert (row + column == 7).all() and len(row) == 8


def test_graphs_of_many_colours_have_none():
    """All pairs coupled, and a ring numbered along itself."""
    ring = np.column_stack([np.arange(40), np.roll(np.arange(40), -1)])
    assert _ising_colours.colours_of(of_edges(40, ring)._spins) is None
    assert _ising_colours.colours_of(of_edges(9, lattice_edges(3, 3, True))._spins) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [torus, scattered])
@pytest.mark.parametrize("n", [1, 5, 70])
def test_the_scan_keeps_its_bits(always, dtype, make, n):
    """In both directions, each chain at its own beta, whatever chains are beside it."""
    energy = make(dtype=dtype)
    p = len(energy.field)
    base, betas = IndependentSpins(np.linspace(-1.0, 1.0, p)), np.linspace(0.1, 1.0, n)
    X = np.random.default_rng(0).choice([-1.0, 1.0], (n, p)).astype(dtype)
    Y, start = X.copy(), X.copy()
    for move in (energy.sweep, energy.reverse_sweep):
        move(X, betas, base, KEY, step=2**33, n_sweeps=3, first_chain=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ising_colours, "few_chains", lambda *_: False)
        for move in (energy.sweep, energy.reverse_sweep):
            move(Y, betas, base, KEY, step=2**33, n_sweeps=3, first_chain=4)
    assert np.array_equal(X, Y) and (X != start).any()


@pytest.mark.parametrize("backwards", [False, True])
def test_a_sweep_is_its_twin(always, backwards):
    energy, beta = torus(5), 0.8
    base = IndependentSpins(np.linspace(-1.0, 1.0, 25))
    X = np.random.default_rng(0).choice([-1.0, 1.0], (3, 25))
    expected = X.copy()
    (energy.reverse_sweep if backwards else energy.sweep)(X, beta, base, KEY, step=3, n_sweeps=2)
    tempered = reference.tempered(*energy.parameters, beta, base.field)
    for r, s in enumerate(expected.tolist()):
        for step in (3, 4):
            s = reference.ising_sweep(*tempered, s, KEY, r, step, backwards)
        assert s == X[r].tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sweeps_keep_exact_draws_where_they_are(always, dtype):
    """Pearson's test after a sweep of a 4-ring: finds a variation of 0.02, alpha = 1e-6."""
    ring, n = np.array([[0, 1], [1, 2], [2, 3], [0, 3]]), 200_000
    energy, base = of_edges(4, ring, dtype), IndependentSpins([0.7, -0.4, 0.0, 1.1])
    assert len(energy._colours.starts) - 1 == 4
    J, h = (array.astype(np.float64) for array in energy.parameters)
    p = reference.ising_probabilities(*reference.tempered(J, h, 0.6, base.field))
    S = reference.all_spins(4)[np.random.default_rng(0).choice(16, n, p=p)].astype(dtype)
    for move in (energy.sweep, energy.reverse_sweep):
        X = S.copy()
        move(X, 0.6, base, KEY)
        counts = reference.state_counts(X > 0)
        assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    assert reference.detected_variation(n, 16) < 0.02


def test_the_way_is_chosen_by_the_work(monkeypatch):
    """By colours where couplings and chains are few and sweeps many, and nowhere else."""
    ways = []
    for module, name in (
        (_ising_chains, "gibbs_spins"), (_ising_colours, "gibbs_coloured_spins")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, lambda *_, name=name, **__: ways.append(name))

    def way(energy, n_chains, n_sweeps):
        energy.sweep(np.ones((n_chains, energy.n_features)), 1.0, None, KEY, n_sweeps=n_sweeps)
        (name,) = set(ways)
        ways.clear()
        return name == "gibbs_coloured_spins"

    dense = of_edges(60, np.column_stack(np.triu_indices(60, 1)))
    assert way(torus(16), 1, 1000) and way(torus(16), 8, 1000) and way(scattered(), 4, 2000)
    assert not way(torus(16), 1, 100)
    assert not way(torus(16), 9, 1000)
    assert not way(dense, 1, 10_000)
