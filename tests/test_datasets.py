"""Generators: the numbers they state and the rows they draw belong to one distribution."""

import numpy as np
import pytest
import reference

from benchmarks.known import ising_log_partition
from skebm import datasets
from skebm.datasets import make_bars_and_stripes, make_ising, make_rbm
from skebm.energies import Ising


@pytest.mark.parametrize("size", [2, 3, 4])
def test_bars_and_stripes(size):
    problem = make_bars_and_stripes(10, size=size, random_state=0)
    expected = {}
    for lines in reference.all_states(size):  # each orientation, then each line, by a coin
        for image in (np.tile(lines, (size, 1)), np.tile(lines, (size, 1)).T):
            pattern = tuple(image.ravel())
            expected[pattern] = expected.get(pattern, 0.0) + 0.5 ** (size + 1)
    stated = dict(zip(map(tuple, problem.patterns), problem.probabilities))
    assert stated == expected
    assert len(expected) == 2 ** (size + 1) - 2
    p = problem.probabilities
    assert problem.entropy == pytest.approx(-(p * np.log(p)).sum(), rel=1e-13)


def test_entropy_of_four_by_four():
    assert make_bars_and_stripes(1).entropy == pytest.approx(3.379093, abs=5e-7)


def test_bars_and_stripes_are_drawn_as_stated():
    """Pearson's test over 30 images, alpha = 1e-6, 50,000 rows: finds total variation 0.029."""
    problem = make_bars_and_stripes(50_000, random_state=0)
    match = problem.data.astype(int) @ 2 ** np.arange(16)
    counts = np.array([(match == key).sum() for key in problem.patterns @ 2 ** np.arange(16)])
    assert counts.sum() == 50_000
    assert reference.chi_square_p_value(counts, problem.probabilities) > reference.ALPHA
    assert reference.detected_variation(50_000, 30) < 0.029


@pytest.mark.parametrize("n_features, n_components, scale", [(7, 4, 1.0), (5, 9, 3.0), (1, 1, 0)])
def test_rbm(n_features, n_components, scale):
    """By the twin's enumeration; Pearson's test over at most 128 states finds TV 0.035."""
    size = {"n_features": n_features, "n_components": n_components, "scale": scale}
    truth = make_rbm(50_000, **size, random_state=1)
    parameters = truth.components, truth.intercept_visible, truth.intercept_hidden
    assert [array.shape for array in parameters] == [
        (n_components, n_features), (n_features,), (n_components,)
    ]  # fmt: skip
    assert truth.log_partition == pytest.approx(reference.log_partition(*parameters), rel=1e-12)
    p = reference.probabilities(*parameters)
    assert truth.entropy == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum(), abs=1e-9)
    counts = reference.state_counts(truth.data)
    assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    assert reference.detected_variation(50_000, 128) < 0.035


def test_rbm_parameters_have_the_stated_scale():
    """The sd of 12,000 normal numbers is known to 0.65 %; five of those are 3.3 %."""
    truth = make_rbm(1, n_features=12, n_components=1000, scale=0.01, random_state=0)
    assert truth.components.std() == pytest.approx(0.01, rel=0.033)


@pytest.mark.parametrize("make", [make_bars_and_stripes, make_rbm])
def test_seeds(make):
    first, second, other = (make(20, random_state=seed).data for seed in (0, 0, 1))
    assert (first == second).all()
    assert (first != other).any()
    assert (make(20).data != make(20).data).any()


@pytest.mark.parametrize(
    "make, values, name",
    [
        (make_bars_and_stripes, {"n_samples": 0}, "n_samples"),
        (make_bars_and_stripes, {"size": 1}, "size"),
        (make_bars_and_stripes, {"size": 13}, "size"),
        (make_rbm, {"n_features": 21}, "n_features"),
        (make_rbm, {"n_components": 0}, "n_components"),
        (make_rbm, {"scale": -1.0}, "scale"),
        (make_rbm, {"random_state": -1}, "random_state"),
    ],
)
def test_bad_values_are_named(make, values, name):
    with pytest.raises(ValueError, match=name):
        make(**values)


# -- Ising models ------------------------------------------------------------------------------

GRAPHS = [
    {"size": 4},
    {"size": (3, 4), "glass": True, "field": 0.2},
    {"size": (2, 5), "periodic": False, "field": -0.3},
    {"graph": "regular", "size": 12, "glass": True},
    {"graph": "complete", "size": 9, "coupling": 1.5},
]


def unlike(draws, problem):
    """p-value of Pearson's test on four of the spins, by the states of the whole model."""
    states, few = reference.all_spins(draws.shape[1]), [0, 1, 2, -1]
    energy = Ising(problem.coupling, problem.field).energy(states)
    p = np.exp(-energy - problem.log_partition)
    index = lambda S: (S[:, few] > 0) @ 2 ** np.arange(4)  # noqa: E731
    expected = np.bincount(index(states), weights=p, minlength=16)
    return reference.chi_square_p_value(np.bincount(index(draws), minlength=16), expected)


@pytest.mark.parametrize("params", GRAPHS, ids=str)
def test_ising(params):
    """log Z, entropy and draws of one model: 50,000 rows find a variation of 0.03 on 16 states."""
    problem = make_ising(50_000, **params, random_state=0)
    n = problem.data.shape[1]
    states = reference.all_spins(n)
    log_p = -Ising(problem.coupling, problem.field).energy(states) - problem.log_partition
    assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-11)
    assert problem.entropy == pytest.approx(-(np.exp(log_p) * log_p).sum(), abs=1e-10)
    assert unlike(problem.data, problem) > reference.ALPHA
    assert reference.detected_variation(50_000, 16) < 0.03
    assert (problem.field == params.get("field", 0.0)).all()


@pytest.mark.parametrize("params", [{}, {"field": 0.2}, {"glass": True, "field": -0.2}])
@pytest.mark.parametrize("size", [(1, 9), (3, 4), (5, 2)])
def test_strips_are_what_enumeration_says(monkeypatch, size, params):
    options = {"size": size, "periodic": False, "coupling": 0.7, "random_state": 1, **params}
    exact = make_ising(10, **options)
    monkeypatch.setattr(datasets, "_MAX_STATES_BITS", 1)
    strip = make_ising(50_000, **options)
    assert np.array_equal(strip.coupling, exact.coupling)
    assert strip.log_partition == pytest.approx(exact.log_partition, abs=1e-12)
    assert strip.entropy == pytest.approx(exact.entropy, abs=1e-12)
    assert unlike(strip.data, strip) > reference.ALPHA


def test_larger_lattices():
    """log Z by Kac and Ward's determinant; rows have the entropy: within five standard errors."""
    problem = make_ising(20_000, size=(9, 7), periodic=False, glass=True, random_state=0)
    rows, columns = np.nonzero(np.triu(problem.coupling))
    places = [(float(k // 7), float(k % 7)) for k in range(63)]
    edges = np.column_stack([rows, columns]).tolist()
    strengths = problem.coupling[rows, columns].tolist()
    expected = reference.kac_ward_log_partition(places, edges, strengths)
    assert len(edges) == 9 * 6 + 8 * 7
    assert problem.log_partition == pytest.approx(expected, abs=1e-9)
    energies = Ising(problem.coupling, problem.field).energy(problem.data)
    stderr = energies.std() / np.sqrt(len(energies))
    assert abs(energies.mean() + problem.log_partition - problem.entropy) < 5 * stderr < 0.2


def test_tori_and_regular_graphs():
    torus = make_ising(1, size=4, coupling=0.3)
    assert torus.log_partition == pytest.approx(ising_log_partition(4, 4, 0.3), abs=1e-11)
    assert ((torus.coupling != 0).sum(axis=0) == 4).all()
    assert np.array_equal(torus.coupling, torus.coupling.T)
    for seed in range(5):
        graph = make_ising(1, graph="regular", size=16, glass=True, random_state=seed)
        assert ((graph.coupling != 0).sum(axis=0) == 3).all()
        assert np.array_equal(graph.coupling, graph.coupling.T)
        assert set(np.unique(graph.coupling)) == {-0.4, 0.0, 0.4}
    assert not np.array_equal(*(make_ising(9, random_state=s).data for s in (0, 1)))
    assert np.array_equal(*(make_ising(9, random_state=0).data for _ in range(2)))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"size": 5}, ValueError, "at most 20 spins"),
        ({"size": 13, "periodic": False}, ValueError, "12 spins along"),
        ({"size": 2}, ValueError, "at least 3"),
        ({"graph": "regular", "size": 7}, ValueError, "even"),
        ({"graph": "complete", "size": 21}, ValueError, "at most 20 spins"),
        ({"graph": "complete", "size": (3, 3)}, TypeError, "an integer"),
        ({"size": 2.5}, TypeError, "integer or two"),
        ({"graph": "star"}, ValueError, "graph"),
        ({"coupling": np.inf}, ValueError, "coupling"),
        ({"glass": 1}, TypeError, "glass"),
    ],
)
def test_what_make_ising_refuses(params, error, message):
    with pytest.raises(error, match=message):
        make_ising(**params)
