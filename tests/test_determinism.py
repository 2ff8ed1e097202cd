"""The same seed gives the same bits, whatever threads, twins, layers and backends are at work."""

import functools
import hashlib
from pathlib import Path
from unittest import mock

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits

from skebm import (
    CDRBM,
    PCDRBM,
    InteractionScreeningIsing,
    NCEEstimator,
    PCDIsing,
    PseudoLikelihoodIsing,
    PseudoLikelihoodRBM,
    RatioMatchingIsing,
    RatioMatchingRBM,
    RdmRBM,
    ScoreMatchingGaussianCV,
    _jit,
    criteria,
    energies,
)
from skebm._lattices import lattice_edges
from skebm.criteria import score_matching
from skebm.criteria._residual_form import ResidualForm
from skebm.criteria._support import Support
from skebm.energies import BernoulliRBM, Gaussian, IndependentSpins, Ising
from skebm.nce import ICA, RBM
from skebm.partition import exact_log_likelihood_gradient, raise_log_likelihood, tracking

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood"),
    pytest.mark.filterwarnings("ignore:.*did not converge"),
    pytest.mark.filterwarnings("ignore:NCEEstimator"),
]

ESTIMATORS = (PseudoLikelihoodRBM, RatioMatchingRBM, CDRBM, PCDRBM, RdmRBM)
DTYPES = ("float32", "float64")


def data(dtype):
    """(700, 130): eleven chunks, the last one ragged."""
    return (np.random.default_rng(0).random((700, 130)) < 0.3).astype(dtype)


def followed(shadow, energy, *_):
    """Shadow chains that have followed over three temperatures, and log Z, nothing summed."""
    shadow = shadow.follow(energy, 3)
    return tracking.Tracked(shadow, shadow.result(), 0.0)


def results(dtype, **params):
    """Everything random or parallel that an estimator does, below and above every threshold."""
    X = data(dtype)
    hole = np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.nan, X).astype(dtype)
    for cls in ESTIMATORS:
        for n_components, batch_size in ((7, 10), (128, 130)):
            params = {"n_iter": 1, "random_state": 0, **params}
            model = cls(n_components, batch_size=batch_size, **params).fit(X)
            model.partial_fit(X[:65])
            yield from (model.components_, model.intercept_visible_, model.intercept_hidden_)
            yield from model.history_.values()
    yield model.transform(X)
    yield model.score_samples(X)
    yield model.free_energy(X[:50])
    yield model.transform(X[:50])
    yield model.log_pseudolikelihood(X)
    yield np.array(model.ratio_matching_loss(X))
    yield model.sample(700, n_gibbs_steps=3, random_state=0)
    yield model.conditional_sample(hole, n_gibbs_steps=2, random_state=0)
    yield model.impute(hole, n_gibbs_steps=2, random_state=0)
    yield model.sample(3, n_gibbs_steps=3, random_state=0)
    yield np.array(
        model.log_partition("ais", n_chains=700, n_temperatures=10, random_state=0).value
    )
    yield BernoulliRBM(*model._parameters()).visible_probability(model.transform(X))
    soft = cls(5, binarize=None, n_iter=1, random_state=0).fit(0.9 * X)
    yield from (soft.components_, soft.transform(0.9 * X), soft.free_energy(0.9 * X))
    yield soft.gibbs(0.9 * X, random_state=0)
    yield cls(5, n_iter=1, random_state=0).fit(sp.csr_array(X)).components_
    small = cls.from_parameters(model.components_[:17], model.intercept_visible_, np.ones(17))
    yield np.array(small.log_partition("exact").value)
    other = cls.from_parameters(0.5 * model.components_[:77], model.intercept_visible_, np.ones(77))
    for path in model._energy().paths_to(other._energy()):
        states, log_weights = X.copy(), np.zeros(len(X))
        path.anneal(states, log_weights, np.linspace(0, 1, 4), np.array([1, 2], np.uint32))
        yield from (states, log_weights)
    yield raise_log_likelihood(
        model, X[:30], n_chains=5, n_temperatures=4, random_state=0
    ).log_likelihood
    with mock.patch.object(tracking, "tracked", followed):
        tracked = cls(9, n_iter=2, track_log_partition=True, random_state=0).fit(X)
    yield from tracked.history_.values()
    few = cls.from_parameters(model.components_[:13], model.intercept_visible_, np.ones(13))
    yield from exact_log_likelihood_gradient(few, X).values()
    yield few._energy().exact_sample(700, (1, 2, 3))
    few = cls(12, n_gibbs_steps="exact", batch_size=300, n_iter=1, random_state=0).fit(X)
    yield from (*few._parameters(), *few.history_.values())


def ising_results(dtype):
    """The same of spins: sweeps, annealing, rows and sums, below and above every threshold."""
    rng, key = np.random.default_rng(3), np.array([1, 2], np.uint32)
    J = np.triu(rng.normal(0, 0.1, (130, 130)), 1)
    energy = Ising((J + J.T).astype(dtype), rng.normal(0, 0.3, 130).astype(dtype))
    base, spins = IndependentSpins(0.5 * energy.field), 2 * data(dtype) - 1
    for n in (3, 700):
        X = spins[:n].copy()
        energy.sweep(X, 0.7, base, key, n_sweeps=2)
        energy.reverse_sweep(X, 1.0, None, key, n_sweeps=2)
        known = np.where(spins[:n] > 0, np.nan, spins[:n])
        yield energy.sweep_clamped(X, known, key, n_sweeps=2)
        weights = np.zeros(n)
        energy.anneal(X, weights, np.linspace(0, 1, 6), base, key)
        energy.paths_to(Ising(-energy.coupling, energy.field))[0].anneal(
            X, weights, np.linspace(1, 0, 4), key
        )
        yield from (X, weights, energy.energy(X), energy.local_fields(X))
        yield from (energy.conditional_probability(X), energy.log_pseudolikelihood(X))
        yield energy.gradient(X, weights)
    for n in (15, 23):
        few = Ising(energy.coupling[:n, :n], energy.field[:n])
        yield np.array(few.exact_log_partition())
    torus, few = np.zeros((256, 256), dtype), spins[:3, :128].repeat(2, axis=1)
    torus[tuple(lattice_edges(16, 16, True).T)] = 0.3
    Ising(torus + torus.T, energy.field.repeat(2)[:256]).sweep(few, 1.0, None, key, n_sweeps=800)
    yield few  # of three chains, by colours
    few = Ising(energy.coupling[:13, :13], energy.field[:13])
    yield from (few.exact_moments().gradient, few.exact_sample(700, (1, 2, 3)))


def learned_ising(dtype, n_jobs=None, random_state=0):
    """Couplings by every solver and criterion, cut short where all spins take part."""
    X, common = data(dtype), {"n_jobs": n_jobs, "max_iter": 9}
    for model in (
        PseudoLikelihoodIsing(1e-3, **common),
        InteractionScreeningIsing(1e-3, symmetrize="mean", **common),
        PseudoLikelihoodIsing(0.05, l1_ratio=1.0, **common),
        InteractionScreeningIsing(0.05, l1_ratio=1.0, **common),
        PseudoLikelihoodIsing("ebic", l1_ratio=1.0, symmetrize="and", alphas=2, **common),
        RatioMatchingIsing(1e-3, **common),
        InteractionScreeningIsing(0.1, loss="logrise", l1_ratio=0.5, symmetrize="or", **common),
        PCDIsing(n_iter=3, random_state=random_state, n_jobs=n_jobs),
    ):
        yield from model.fit(X[:, :9])._parameters()
        if model.alpha == 1e-3 or isinstance(model, PCDIsing):
            yield from model.fit(X)._parameters()
    exact = PCDIsing(n_gibbs_steps="exact", **common).fit(X[:, :9])
    yield from (exact.coupling_, *exact.standard_errors().values())


def gaussian_results():
    """The same of Gaussian models, float64 always, on the reals and on half lines."""
    rng, key = np.random.default_rng(4), np.array([1, 2], np.uint32)
    K = np.triu(rng.normal(0, 0.1, (70, 70)), 1)
    K += K.T + np.diag(abs(K + K.T).sum(axis=1) + 0.5)
    for low in (-np.inf, 0.0):
        energy = Gaussian(K, rng.normal(0, 0.5, 70), low)
        base = energy.base((np.zeros(70), np.ones(70)))
        for n in (3, 200):
            X, weights = base.sample(n, (1, 2)), np.zeros(n)
            known = np.where(X > 0.5, np.nan, X)
            energy.sweep(X, 0.7, base, key, n_sweeps=2)
            energy.reverse_sweep(X, 1.0, None, key)
            yield energy.sweep_clamped(X, known, key, n_sweeps=2)
            energy.anneal(X, weights, np.linspace(0, 1, 6), base, key)
            yield from (X, weights, energy.energy(X), energy.gradient(X, weights))
            yield energy.scattered_states(n, (1, 2))
    energy = Gaussian(K, np.zeros(70))
    yield energy.exact_sample(200, (1, 2))
    yield from (np.array(energy.exact_log_partition()), energy.exact_moments().gradient)


def precisions_from_rows(n_jobs=None, **_):
    """Precision matrices by score matching, inside bounds and from few rows."""
    X, support = np.random.default_rng(4).gamma(2.0, size=(40, 20)), "nonnegative"
    X[:, 1::2] += X[:, ::2]
    for bounds, alphas in ((support, [0.05, 0.0]), ("real", [0.4, 0.3])):
        form = ResidualForm(X, Support.of(bounds, 20, "log1p", 1.0), ridge=0.1)
        with _jit.threads(n_jobs):
            for solution in score_matching.path(form, alphas):
                yield from (solution.pairs.toarray(), form.linear_term(solution.pairs))


def precisions(n_jobs=None, **_):
    """The same from covariances, of few pairs at work and of many."""
    X = np.random.default_rng(4).normal(size=(50, 130))
    for alphas in ([0.5, 0.4], [0.2]):
        model = ScoreMatchingGaussianCV(alphas, criterion="ebic", ridge=0.1, n_jobs=n_jobs)
        yield model.fit(X).precision_


@numba.njit
def ring(theta, x):
    return 0.5 * theta[1] * (np.sqrt(x[0] ** 2 + x[1] ** 2) - theta[0]) ** 2


def rings(theta, X):
    return 0.5 * theta[1] * (np.hypot(*X.T) - theta[0]) ** 2


def contrasts(n_jobs=None, random_state=0):
    """Parameters, errors and likelihoods by noise-contrastive estimation, cut short."""
    rng = np.random.default_rng(5)
    X, bits = rng.normal(size=(2000, 12)), (rng.random((2000, 12)) < 0.4) * 1.0
    common = {"max_iter": 3, "random_state": random_state, "n_jobs": n_jobs}
    for energy, rows in (
        ("gaussian", X), ("diagonal_gaussian", X), ("ica", X), (ICA("logistic"), X),
        (ICA("student_t", n_components=14), X), ("ising", bits), (RBM(5), bits),
        (rings, 3.0 * X[:, :2]), (ring, 3.0 * X[:, :2]),
    ):  # fmt: skip
        init = [2.0, 1.0] if callable(energy) else None
        model = NCEEstimator(energy, init=init, noise_ratio=3, **common).fit(rows)
        yield from (model.params_, model.params_stderr_, model.score_samples(rows))
    model = NCEEstimator(noise="conditional", noise_ratio=2, **common).fit(X)
    yield from (model.params_, model.params_stderr_)


def digest(dtype, **params):
    total, shared = hashlib.sha256(), {k: v for k, v in params.items() if k != "verbose"}
    for array in (
        *results(dtype, **params), *ising_results(dtype), *learned_ising(dtype, **shared),
        *gaussian_results(), *precisions_from_rows(**shared), *precisions(**shared),
        *contrasts(**shared),
    ):  # fmt: skip
        total.update(np.ascontiguousarray(array))
    return total.hexdigest()


@functools.cache
def reference(dtype):
    return digest(dtype)


def test_seeds_matter():
    assert reference("float64") == digest("float64") != digest("float64", random_state=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("params", [{"n_jobs": 1}, {"n_jobs": 2}, {"verbose": 2}])
def test_n_jobs_and_verbose_change_no_bit(dtype, params):
    assert digest(dtype, **params) == reference(dtype)


@pytest.mark.timeout(900)  # every kernel is compiled in both twins
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["serial", "parallel"])
def test_twins_agree(monkeypatch, dtype, kind):
    """All kernels in one twin, at every size, give the bits of the usual choice."""
    expected, ran, run = reference(dtype), set(), _jit.Kernel._run

    def run_one_twin(self, _, arguments):
        ran.add(self.function.__name__)
        return run(self, kind, arguments)

    monkeypatch.setattr(_jit.Kernel, "_run", run_one_twin)
    assert digest(dtype) == expected
    assert ran == {
        "activate_blocks", "add_conditionals", "add_gram", "add_products", "add_slopes", "anneal",
        "anneal_between", "anneal_normals", "anneal_spins", "colour_pairs", "contrast_energies",
        "contrast_experts", "contrast_features", "contrast_hidden", "contrast_quadratic",
        "copy_covariances", "curvature_blocks", "curve_nodes", "curve_pairs", "descend_nodes",
        "descend_pairs", "descend_precision", "descend_residual", "descend_shared", "descend_tile",
        "_enumerate", "fill_energies", "fill_residuals", "follow_flips", "gaussian_energy", "gibbs",
        "gibbs_clamped", "gibbs_clamped_normals", "gibbs_clamped_spins", "gibbs_coloured_spins",
        "gibbs_normals", "gibbs_spins", "hidden_probability", "list_marked", "list_pairs",
        "local_fields", "log_path", "log_pseudolikelihood", "look_at_pairs", "look_at_residuals",
        "multiply_blocks", "multiply_shared", "normal_quantiles", "pack_ones",
        "packed_hidden_probability", "packed_log_path", "plus_probability", "ratio_matching",
        "slope_nodes", "slope_pairs", "slope_precision", "spin_energy", "spin_log_pseudolikelihood",
        "spread_change", "sum_columns", "sum_moments", "sum_spins", "train", "visible_probability",
        "weigh_states",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_of_blas_do_not_matter(dtype):
    """As in a worker of joblib, whose BLAS has one thread; weights make sums inexact."""
    X = np.tile(data(dtype), (6, 1))
    weights = np.random.default_rng(2).random(len(X))

    def fit():
        model = PCDRBM(3, batch_size=2000, n_iter=1, random_state=0)
        model.fit(X, sample_weight=weights)
        return [model.visible_mean_, *model._parameters(), *model.history_.values()]

    with threadpool_limits(1, user_api="blas"):
        single, narrow = fit(), digest(dtype)
    for one, other in zip(fit(), single):
        np.testing.assert_array_equal(one, other)
    assert narrow == reference(dtype)


@pytest.mark.parametrize("params", [{}, {"l1_ratio": 1.0, "symmetrize": "mean"}])
def test_threads_of_blas_do_not_matter_to_spins(params):
    random = np.random.default_rng(3)
    X, weights = random.integers(0, 2, (6000, 40)), random.random(6000)

    def fit():
        model = PseudoLikelihoodIsing(**params).fit(X, sample_weight=weights)
        return model.coupling_, model.field_

    with threadpool_limits(1, user_api="blas"):
        single = fit()
    for one, other in zip(fit(), single):
        np.testing.assert_array_equal(one, other)


def test_the_reference_takes_both_sides_of_the_threshold(monkeypatch):
    kinds, run = set(), _jit.Kernel._run

    def spy(self, kind, arguments):
        kinds.add((self.function.__name__, kind))
        return run(self, kind, arguments)

    monkeypatch.setattr(_jit.Kernel, "_run", spy)
    digest("float32")
    for name in (
        "train",
        "follow_flips",
        "gibbs",
        "anneal",
        "packed_log_path",
        "packed_hidden_probability",
    ):
        assert {(name, "serial"), (name, "parallel")} <= kinds


@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 127, 128, 129, 200])
def test_threads_do_not_matter_around_the_chunk_size(monkeypatch, n_rows):
    X = data("float32")[:n_rows]

    def arrays():
        model = PCDRBM(70, batch_size=n_rows, n_iter=1, random_state=0).fit(X)
        return [*model._parameters(), model.chains_, model.transform(X), model.free_energy(X)]

    serial = arrays()
    for module in (energies.rbm, criteria.contrastive):
        monkeypatch.setattr(module, "PARALLEL_FLOPS", 0.0)
    for one, other in zip(arrays(), serial):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("start", [CDRBM, PCDRBM, RdmRBM])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density, binarize", [(0.05, 0.0), (0.6, 0.0), (0.3, None)])
@pytest.mark.parametrize("batch_size", [1, 13])
def test_workers_may_share_a_tile(monkeypatch, start, dtype, density, binarize, batch_size):
    """Few tiles among more workers than threads: lists, tables, values, and a single chain."""
    X = (np.random.default_rng(0).random((26, 200)) < density).astype(dtype)
    X *= 0.7 if binarize is None else 1.0

    def arrays():
        params = {"batch_size": batch_size, "n_iter": 1, "binarize": binarize}
        model = start(70, random_state=0, **params).fit(X)
        return [*model._parameters(), model._state.chains]

    serial = arrays()
    monkeypatch.setattr(criteria.contrastive, "PARALLEL_FLOPS", 0.0)
    for n_workers in (2, 3, 9):
        monkeypatch.setattr(criteria.contrastive, "n_threads", lambda n=n_workers: n)
        for one, other in zip(arrays(), serial):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_threading_layers_agree(run_python, layer, n_threads):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import numba
from test_determinism import DTYPES, digest
print(*map(digest, DTYPES))
print(numba.threading_layer(), numba.get_num_threads())
"""
    done = run_python(
        code,
        Path(__file__).parent,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=str(n_threads),
    )
    digests, threads = done.stdout.splitlines()
    assert threads.split() == [layer, str(n_threads)]
    assert digests.split() == [reference(dtype) for dtype in DTYPES]


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_joblib_backends_agree(backend):
    with parallel_config(backend=backend, n_jobs=2):
        digests = Parallel()(delayed(digest)(dtype) for dtype in DTYPES)
    assert digests == [reference(dtype) for dtype in DTYPES]


def test_global_random_state_is_neither_read_nor_written(bits):
    np.random.seed(5)  # noqa: NPY002  (the legacy state is what must not be touched)
    before = np.random.get_state()  # noqa: NPY002
    expected = reference("float64")
    assert digest("float64") == expected
    PCDRBM(3, n_iter=1).fit(bits).sample()
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0] and before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_are_consumed(fitted, bits, make):
    """Equal generators give equal results, and one generator never the same twice."""
    draws = [fitted.sample(50, n_gibbs_steps=2, random_state=make(0)) for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    shared = make(0)
    first, second = (fitted.sample(50, n_gibbs_steps=2, random_state=shared) for _ in range(2))
    np.testing.assert_array_equal(first, draws[0])
    assert not np.array_equal(first, second)
    models = [PCDRBM(3, n_iter=1, random_state=make(0)).fit(bits) for _ in range(2)]
    np.testing.assert_array_equal(models[0].components_, models[1].components_)
    again = models[0].components_.copy()
    assert not np.array_equal(models[0].fit(bits).components_, again)


def test_integers_of_any_type_are_the_same_seed(bits):
    for cls in ESTIMATORS:
        models = [
            cls(3, n_iter=1, random_state=seed).fit(bits) for seed in (7, np.int64(7), np.uint8(7))
        ]
        for other in models[1:]:
            np.testing.assert_array_equal(other.components_, models[0].components_)
