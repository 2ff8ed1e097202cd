"""log Z of Ising models: exact against brute force and solved models, annealed against those."""

import math

import numpy as np
import pytest
import reference

from benchmarks.known import ising_log_partition, torus_edges
from skebm._base import UnnormalizedModel
from skebm._rows import Rows
from skebm.datasets import make_ising
from skebm.energies import Ising, _ising_exact, _ising_moments
from skebm.partition import (
    exact_log_likelihood_gradient,
    exact_moments,
    log_likelihood_difference,
    log_partition,
    raise_log_likelihood,
)
from skebm.partition.tracking import ShadowChains

# Level of an interval that misses one truth in a million.
SURE = 1 - reference.ALPHA


def model(p=5, seed=0, scale=0.5, field=0.5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(0, scale, (p, p)), 1)
    return Ising((J + J.T).astype(dtype), rng.normal(0, field, p).astype(dtype))


def on_edges(n, edges, strengths, dtype=np.float64):
    J = np.zeros((n, n))
    J[edges[:, 0], edges[:, 1]] = strengths
    return Ising((J + J.T).astype(dtype), np.zeros(n, dtype))


def torus(n_rows, n_columns, coupling, dtype=np.float64):
    return on_edges(n_rows * n_columns, torus_edges(n_rows, n_columns), coupling, dtype)


def planar_glass(n_rows, n_columns, seed=0, scale=0.5):
    """A lattice with free ends and one diagonal in every square, normal couplings; log Z too."""
    number = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    edges = np.vstack([
        np.column_stack([one.ravel(), other.ravel()])
        for one, other in (
            (number[:, :-1], number[:, 1:]),
            (number[:-1], number[1:]),
            (number[:-1, :-1], number[1:, 1:]),
        )
    ])  # fmt: skip
    strengths = np.random.default_rng(seed).normal(0, scale, len(edges))
    places = [(float(k // n_columns), float(k % n_columns)) for k in range(number.size)]
    log_z = reference.kac_ward_log_partition(places, edges.tolist(), strengths.tolist())
    return on_edges(number.size, edges, strengths), log_z


# -- exact -------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [0.0, 0.7])
@pytest.mark.parametrize("p", [1, 2, 3, 9])
def test_enumeration_against_loops(monkeypatch, p, field):
    """log Z and moments; with tables of few spins, so that many states are high ones."""
    for low in (14, 3):
        monkeypatch.setattr(_ising_exact, "LOW_SPINS", low)
        monkeypatch.setattr(_ising_moments, "LOW_SPINS", low)
        for scale in (0.5, 3.0, 1000.0):
            energy = model(p, scale=scale, field=scale * field)
            log_z = reference.ising_log_partition(*energy.parameters)
            probabilities = reference.ising_probabilities(*energy.parameters)
            assert energy.exact_log_partition() == pytest.approx(log_z, rel=1e-13, abs=1e-12)
            found, gradient = energy.exact_moments()
            assert found == pytest.approx(log_z, rel=1e-13, abs=1e-12)
            expected = -energy.gradient(reference.all_spins(p), probabilities)
            assert np.allclose(gradient, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("p", [14, 15, 17, 21])
@pytest.mark.parametrize("field", [-0.1, 0.0, 0.3])
def test_all_pairs_alike(p, field):
    J = np.full((p, p), 0.11)
    np.fill_diagonal(J, 0.0)
    energy = Ising(J, np.full(p, field))
    expected = reference.curie_weiss_log_partition(p, 0.11, field)
    assert energy.exact_log_partition() == pytest.approx(expected, abs=1e-11)
    if p < 18:
        assert energy.exact_moments().log_partition == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("field", [0.0, -0.2])
def test_a_closed_chain(field):
    strengths = np.random.default_rng(0).normal(0, 1, 22)
    edges = np.column_stack([np.arange(22), np.roll(np.arange(22), -1)])
    energy = on_edges(22, edges, strengths)
    energy = Ising(energy.coupling, np.full(22, field))
    expected = reference.ring_log_partition(strengths, field)
    assert energy.exact_log_partition() == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("coupling", [0.2, 0.4406867935097715, 0.7])
def test_a_torus_by_enumeration(coupling):
    energy = torus(4, 6, coupling)
    assert energy.exact_log_partition() == pytest.approx(
        ising_log_partition(4, 6, coupling), abs=1e-9
    )


def test_a_planar_glass_by_enumeration():
    energy, log_z = planar_glass(4, 6, scale=1.0)
    assert energy.exact_log_partition() == pytest.approx(log_z, abs=1e-10)


@pytest.mark.parametrize("p, mild", [(18, True), (16, False)])
def test_large_and_small_parameters(p, mild):
    """Products of exponentials and sums of them, on either side of the choice between them."""
    energy = model(p, scale=0.5 if mild else 1000.0)
    assert _ising_exact.is_mild(*energy.parameters) is mild
    log_z = energy.exact_log_partition()
    assert log_z == pytest.approx(_ising_moments.log_partition(*energy.parameters), rel=1e-13)
    if not mild:  # one state, or a pair of mirrored ones, has all the weight
        spins = _ising_moments.spins_of(np.arange(2**p), p)
        best = -energy.energy(spins).min()
        assert 0 <= log_z - best <= math.log(2) + 1e-6


def test_the_predicted_time_is_that_of_the_machine():
    """Within a factor of 20, which a slow or busy machine may need."""
    import time

    energy = model(24)
    energy.exact_log_partition()
    started = time.perf_counter()
    energy.exact_log_partition()
    took = time.perf_counter() - started
    assert took / 20 < energy.exact_seconds() < 20 * took
    assert model(36).exact_seconds() < 120
    assert model(60).exact_log_partition() is None and model(60).exact_moments() is None


@pytest.mark.parametrize("p", [3, 13])
def test_exact_draws(p):
    """Pearson's test over the first three spins and the last: finds a variation of 0.03."""
    energy = model(p, scale=0.6)
    draws = energy.exact_sample(100_000, (1, 2))
    few = [0, 1, p - 2, p - 1]
    spins = _ising_moments.spins_of(np.arange(2**p), p)
    p_of = np.exp(-energy.energy(spins) - energy.exact_log_partition())
    index = lambda S: (S[:, few] > 0) @ 2 ** np.arange(4)  # noqa: E731
    expected = np.bincount(index(spins), weights=p_of, minlength=16)
    counts = np.bincount(index(draws), minlength=16)
    seen = expected > 0
    assert counts[~seen].sum() == 0
    assert reference.chi_square_p_value(counts[seen], expected[seen]) > reference.ALPHA
    assert reference.detected_variation(100_000, 16) < 0.03
    with pytest.raises(ValueError, match="at most 24 spins"):
        model(25).exact_sample(1, (1,))


# -- annealed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("coupling", [0.2, 0.35])
def test_ais_on_a_torus(coupling, dtype):
    """8 x 8 against Kaufman's formula, by an interval of level 1 - 1e-6."""
    energy = torus(8, 8, coupling, dtype)
    found = log_partition(energy, method="ais", random_state=0, level=SURE)
    assert found.converged and found.stderr < 0.1
    assert found.lower < ising_log_partition(8, 8, coupling) < found.upper


@pytest.mark.parametrize("options", [{"method": "bridge"}, {"method": "ais", "check": "reverse"}])
def test_both_directions_on_a_planar_glass(options):
    """10 x 10 against Kac and Ward; backward chains, in the reversed scan, do not contradict."""
    energy, log_z = planar_glass(10, 10, scale=0.4)
    found = log_partition(energy, random_state=0, level=SURE, n_chains=256, **options)
    assert found.converged, str(found)
    assert found.stderr < 0.1 and found.lower < log_z < found.upper
    if found.check is not None:
        assert abs(found.check.gap) < 3.5 and found.check.starts.endswith("random spins")


def test_shadow_chains_follow_a_model():
    """Over six models, each known exactly, within five standard errors of a run's own."""
    last = model(8, scale=0.4)
    models = [Ising(t * last.coupling, last.field) for t in np.linspace(0, 1, 6)]
    shadow = ShadowChains.start(models[0], models[0].base(), (1, 2), n_chains=2000)
    for each in models[1:]:
        shadow = shadow.follow(each, 10)
        found = shadow.result()
        assert abs(found.value - each.exact_log_partition()) < 5 * found.stderr < 0.3
    assert shadow.stands_at(last) and not shadow.stands_at(models[0])


# -- estimators over it ------------------------------------------------------------------------


class Fixed(UnnormalizedModel):
    """The least estimator: an Ising model that is given."""

    def __init__(self, coupling, field):
        self.coupling, self.field, self.n_jobs = coupling, field, None
        self.fitted_, self._entropy = True, (1, 2, 3, 4)

    def fit(self, X, y=None):
        return self

    def _parameters(self):
        return self.coupling, self.field

    def _energy(self):
        return Ising(self.coupling, self.field)

    def _marginals(self):
        return None

    def _rows(self, X):
        return Rows.binary(np.asarray(X), 0.0)


@pytest.fixture(scope="module")
def glass():
    return make_ising(2000, graph="regular", size=12, glass=True, field=0.2, random_state=0)


@pytest.fixture
def fixed(glass):
    return Fixed(glass.coupling, glass.field)


def test_bases_are_spins(fixed):
    """Probabilities of a one, whatever the codes."""
    for base in ("uniform", "biases", "marginals", np.full(12, 0.3)):
        found, chains = fixed.log_partition(
            "ais", base=base, random_state=0, level=SURE, return_chains=True
        )
        assert found.lower < fixed.log_partition_.value < found.upper
        assert set(np.unique(chains.states)) == {-1.0, 1.0}
    base = fixed._base(fixed._energy(), np.full(12, 0.3))
    assert np.allclose(base.sample(50_000, (1,)).mean(axis=0), -0.4, atol=0.03)


def test_moments_by_name(fixed, glass):
    found = exact_moments(fixed)
    energy, S = fixed._energy(), reference.all_spins(12)
    p = np.exp(-energy.energy(S) - glass.log_partition)
    assert np.allclose(found.spins, p @ S, rtol=0, atol=1e-12)
    assert np.allclose(found.products, (S * p[:, None]).T @ S, rtol=0, atol=1e-12)
    assert found.log_partition == pytest.approx(glass.log_partition, abs=1e-12)


def test_gradient_of_the_likelihood(fixed, glass):
    """Central differences of ``score``: of a field, and of a coupling in both its places."""
    X = glass.data[:100]
    found = exact_log_likelihood_gradient(fixed, X)
    step = 1e-4
    for name, places in (("field", [(3,)]), ("coupling", [(2, 7), (7, 2)])):
        scores = []
        for sign in (1, -1):
            values = {"coupling": glass.coupling.copy(), "field": glass.field.copy()}
            for place in places:
                values[name][place] += sign * step
            scores.append(Fixed(**values).score(X))
        expected = (scores[0] - scores[1]) / (2 * step)
        for place in places:
            assert found[name][place] == pytest.approx(expected, abs=1e-7)


def test_likelihoods(fixed, glass):
    """The entropy, RAISE from below, and a difference over a path without any exact sum."""
    X = glass.data
    likelihood = fixed.log_likelihood(X)
    assert abs(likelihood.value + glass.entropy) < 5 * likelihood.stderr
    bound = raise_log_likelihood(fixed, X, max_rows=40, random_state=0)
    assert abs(bound.value - fixed.score(X[bound.rows])) < 0.1


def test_differences_by_annealing(monkeypatch, fixed, glass):
    """log(Z_a / Z_b) along the straight path, against enumeration: within five standard errors."""
    import skebm.partition.likelihood as likelihood

    other = Fixed(0.5 * glass.coupling, -glass.field)
    exact = log_likelihood_difference(fixed, other, glass.data)
    assert exact.log_partition.method == "exact"
    monkeypatch.setattr(likelihood, "cheap_log_partition", lambda energy: None)
    found = log_likelihood_difference(fixed, other, glass.data, random_state=0, check="reverse")
    assert found.log_partition.method == "bridge" and found.converged
    assert abs(found.value - exact.value) < 5 * found.log_partition.stderr < 0.3
