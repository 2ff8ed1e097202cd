"""The Ising estimators against published numbers, closed forms, scikit-learn and each other."""

import warnings

import numpy as np
import pandas as pd
import pytest
import reference
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skebm import (
    InteractionScreeningIsing,
    PCDIsing,
    PseudoLikelihoodIsing,
    RatioMatchingIsing,
)

CONVEX = (PseudoLikelihoodIsing, RatioMatchingIsing, InteractionScreeningIsing)

PRECISE = {"tol": 1e-10, "max_iter": 2000}


def model_of(loss, **params):
    """The estimator of a loss by its name."""
    if loss == "pseudolikelihood":
        return PseudoLikelihoodIsing(**params)
    if loss == "ratio_matching":
        return RatioMatchingIsing(**params)
    if loss == "logrise":
        params = {"symmetrize": "mean", **params}
    return InteractionScreeningIsing(loss=loss, **params)


def random_model(p, sd=0.5, seed=0):
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(0.0, sd, (p, p)), 1)
    return J + J.T, rng.normal(0.0, sd, p)


def draws(J, h, n, seed=0):
    """Independent rows of a small model, as distinct states and their counts."""
    states, p = reference.ising_distribution(J, h)
    counts = np.random.default_rng(seed).multinomial(n, p)
    return states[counts > 0], counts[counts > 0].astype(float)


@pytest.fixture(scope="module")
def spins():
    """(400, 6) of -1 and 1, dependent, none constant."""
    states, counts = draws(*random_model(6, 0.4), 400)
    return np.repeat(states, counts.astype(int), axis=0)[np.random.default_rng(1).permutation(400)]


# -- numbers of others -------------------------------------------------------------------------

# Histograms and estimates published with GraphicalModelLearning.jl (LANL): counts of all states,
# the first spin slowest and -1 before 1; L1 by the rule of theory, two directions averaged.
HISTOGRAMS = {
    "a": [211725, 77620, 95346, 115717, 115981, 94788, 77625, 211198],
    "b": [106108, 47339, 70959, 105427, 106127, 106265, 106454, 351321],
    "c": [201951, 33543, 50220, 27308, 60827, 33181, 33418, 60680,
          60668, 33104, 32823, 60528, 27428, 49544, 33342, 201435],
}  # fmt: skip
PUBLISHED = {
    ("a", "pseudolikelihood"): (
        [0.09935050, 0.20067827, 0.29950536], [-0.00056183, 0.00026352, -0.00130870]),
    ("a", "rise"): ([0.09899205, 0.20031048, 0.29912664], [-0.00054983, 0.00028207, -0.00126922]),
    ("a", "logrise"): (
        [0.09829136, 0.19958414, 0.29838344], [-0.00055088, 0.00028027, -0.00126973]),
    ("b", "pseudolikelihood"): (
        [0.09959444, 0.20010752, 0.29861392], [0.30203014, 0.19962480, 0.09827447]),
    ("b", "rise"): ([0.09913190, 0.19969052, 0.29820454], [0.30221233, 0.19984903, 0.09848620]),
    ("b", "logrise"): ([0.09840433, 0.19894448, 0.29745544], [0.30246548, 0.20019944, 0.09892552]),
    ("c", "pseudolikelihood"): (
        [0.10223473, 0.19792080, 0.29996035, 0.19985453, 0.29799913, 0.30037552],
        [-0.00215880, 0.00047307, 0.00038785, -0.00081472]),
    ("c", "rise"): (
        [0.10187174, 0.19758896, 0.29965167, 0.19952324, 0.29769043, 0.30008332],
        [-0.00203454, 0.00048439, 0.00058086, -0.00063755]),
    ("c", "logrise"): (
        [0.10133217, 0.19703189, 0.29912016, 0.19896513, 0.29715990, 0.29959059],
        [-0.00203518, 0.00048199, 0.00057778, -0.00063939]),
}  # fmt: skip


def histogram(name):
    counts = np.array(HISTOGRAMS[name], dtype=float)
    return 2 * reference.all_states(int(np.log2(len(counts)))) - 1, counts


@pytest.mark.parametrize("case", sorted(PUBLISHED), ids="-".join)
def test_published_estimates(case):
    X, counts = histogram(case[0])
    model = model_of(case[1], alpha="theory", l1_ratio=1.0, symmetrize="mean", **PRECISE)
    model.fit(X, sample_weight=counts)
    coupling, field = PUBLISHED[case]
    pairs = np.triu_indices(X.shape[1], 1)
    np.testing.assert_allclose(model.coupling_[pairs], coupling, atol=1e-7)
    np.testing.assert_allclose(model.field_, field, atol=1e-7)


UNPENALISED = {
    "pseudolikelihood": (1.9299616767, [0.09975784, 0.20111924, 0.29997318],
                         [-0.00056140, 0.00026452, -0.00130886], 2.3081339236),
    "rise": (2.8483855597, [0.09975786, 0.20111911, 0.29997311],
             [-0.00054871, 0.00028408, -0.00126862], 3.5184304006),
    "ratio_matching": (0.6772725184, [0.09975782, 0.20111951, 0.29997334],
                       [-0.00058720, 0.00022485, -0.00138965], 0.7824640580),
}  # fmt: skip


@pytest.mark.parametrize("loss", sorted(UNPENALISED))
def test_unpenalised_estimates_of_independent_code(loss):
    objective, coupling, field, other = UNPENALISED[loss]
    X, counts = histogram("a")
    model = model_of(loss, alpha=0.0, **PRECISE).fit(X, sample_weight=counts)
    np.testing.assert_allclose(model.coupling_[np.triu_indices(3, 1)], coupling, atol=2e-8)
    np.testing.assert_allclose(model.field_, field, atol=2e-8)
    assert model.objective_ == pytest.approx(objective, abs=1e-10)
    X, counts = histogram("c")
    assert model.fit(X, sample_weight=counts).objective_ == pytest.approx(other, abs=1e-10)


def test_exact_likelihood_of_independent_code():
    for name, objective in (("a", 2.0007257833), ("c", 2.5008118953)):
        X, counts = histogram(name)
        model = PCDIsing(0.0, n_gibbs_steps="exact", tol=1e-8).fit(X, sample_weight=counts)
        assert model.objective_ == pytest.approx(objective, abs=1e-9)
        assert model.kkt_ < 1e-8
    coupling = [0.10261918, 0.19834722, 0.30043312, 0.20028180, 0.29847088, 0.30082954]
    np.testing.assert_allclose(model.coupling_[np.triu_indices(4, 1)], coupling, atol=2e-8)


# -- the truth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["pseudolikelihood", "rise", "logrise", "ratio_matching"])
def test_the_whole_distribution_gives_its_parameters(loss):
    J, h = random_model(5)
    states, p = reference.ising_distribution(J, h)
    for symmetrize in ("joint", "mean") if loss != "logrise" else ("mean",):
        model = model_of(loss, alpha=0.0, symmetrize=symmetrize, **PRECISE)
        model.fit(states, sample_weight=p)
        np.testing.assert_allclose(model.coupling_, J, atol=1e-7)
        np.testing.assert_allclose(model.field_, h, atol=1e-7)


def test_likelihood_gives_the_parameters_of_the_whole_distribution():
    J, h = random_model(5)
    states, p = reference.ising_distribution(J, h)
    model = PCDIsing(0.0, n_gibbs_steps="exact", tol=1e-8).fit(states, sample_weight=p)
    np.testing.assert_allclose(model.coupling_, J, atol=1e-7)
    np.testing.assert_allclose(model.field_, h, atol=1e-7)


@pytest.mark.parametrize("cls", [PseudoLikelihoodIsing, PCDIsing])
def test_two_spins_have_a_closed_form(cls):
    X = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    n = np.array([40.0, 7.0, 11.0, 25.0])
    exact = {"n_gibbs_steps": "exact", "tol": 1e-8} if cls is PCDIsing else PRECISE
    model = cls(0.0, **exact).fit(X, sample_weight=n)
    assert model.coupling_[0, 1] == pytest.approx(np.log(n[0] * n[3] / (n[1] * n[2])) / 4, abs=1e-8)


def test_independent_columns_have_fields_alone():
    means = np.array([0.3, -0.6, 0.1])
    states = 2 * reference.all_states(3) - 1
    weights = np.prod((1 + states * means) / 2, axis=1)
    for loss in ("pseudolikelihood", "ratio_matching"):
        model = model_of(loss, alpha=0.0, **PRECISE).fit(states, sample_weight=weights)
        np.testing.assert_allclose(model.field_, np.arctanh(means), atol=1e-8)
        np.testing.assert_allclose(model.coupling_, 0.0, atol=1e-8)


@pytest.mark.parametrize("cls", [*CONVEX, PCDIsing])
def test_one_column(cls):
    X = np.array([[1], [1], [1], [0], [0]])
    model = cls(0.0).fit(X)
    assert model.coupling_.shape == (1, 1) and model.coupling_[0, 0] == 0
    assert model.field_[0] == pytest.approx(np.log(1.5) / 2, abs=0.02 if cls is PCDIsing else 1e-6)


def test_chains_come_near_the_exact_likelihood(spins):
    exact = PCDIsing(0.01, n_gibbs_steps="exact").fit(spins)
    chains = PCDIsing(0.01, random_state=0).fit(spins)
    start = PCDIsing(0.01, n_iter=0).fit(spins)
    gap = lambda model: np.abs(model.coupling_ - exact.coupling_).max()  # noqa: E731
    assert gap(chains) < 0.03
    assert chains.history_["moment_gap"].shape == (500,) and chains.n_iter_ == 500
    assert start.n_iter_ == 0


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0])
def test_spins_that_are_hardly_ever_up_do_not_lead_chains_astray(alpha):
    """Half of ten spins are up in 0.5 % of the rows: chains of 1,000 see five of those."""
    rng = np.random.default_rng(0)
    X = rng.random((4000, 10)) < np.repeat([0.5, 0.005], 5)
    X[:, 1] ^= X[:, 0] & (rng.random(4000) < 0.6)
    chains = PCDIsing(alpha, random_state=0).fit(X)
    exact = PCDIsing(alpha, n_gibbs_steps="exact", tol=1e-4).fit(X)
    assert abs(chains.score(X) - exact.score(X)) < 0.02


@pytest.mark.parametrize("l1_ratio", [0.0, 0.7])
@pytest.mark.parametrize("penalize_field", [True, False])
def test_exact_likelihood_satisfies_its_conditions(spins, l1_ratio, penalize_field):
    """By central differences of log-likelihoods from enumeration in loops."""
    alpha = 0.05
    model = PCDIsing(
        alpha, l1_ratio=l1_ratio, penalize_field=penalize_field, n_gibbs_steps="exact"
    ).fit(spins)
    states = {
        tuple(s): k
        for k, s in enumerate(reference.ising_distribution(np.zeros((6, 6)), np.zeros(6))[0])
    }
    counts = np.bincount([states[tuple(s)] for s in spins.astype(float)], minlength=64) / len(spins)

    def fit(J, h):
        return -counts @ np.log(reference.ising_distribution(J, h)[1])

    J, h = model.coupling_, model.field_
    for i, j in [(0, 1), (2, 5), (1, 3), (0, 4)]:
        E = np.zeros((6, 6))
        E[i, j] = E[j, i] = 1e-5
        slope = (fit(J + E, h) - fit(J - E, h)) / 2e-5 + 2 * alpha * (1 - l1_ratio) * J[i, j]
        limit = 2 * alpha * l1_ratio
        if J[i, j] == 0:
            assert abs(slope) <= limit + 1e-5
        else:
            assert slope == pytest.approx(-limit * np.sign(J[i, j]), abs=1e-5)
    e = np.eye(6)[2] * 1e-5
    slope = (fit(J, h + e) - fit(J, h - e)) / 2e-5 + penalize_field * alpha * (1 - l1_ratio) * h[2]
    limit = penalize_field * alpha * l1_ratio
    assert slope == pytest.approx(-limit * np.sign(h[2]), abs=1e-5) or (
        h[2] == 0 and abs(slope) <= limit + 1e-5
    )


# -- the same problem said otherwise -----------------------------------------------------------


@pytest.mark.parametrize("cls", [*CONVEX, PCDIsing])
def test_every_coding_and_type_gives_the_same_model(cls, spins):
    params = {"n_gibbs_steps": "exact"} if cls is PCDIsing else {}
    plain = cls(0.02, **params).fit(spins)
    bits = (spins + 1) / 2
    frame = pd.DataFrame(bits.astype(bool), columns=list("abcdef"))
    for X in (
        bits, bits.astype(bool), bits.astype(np.int8), spins.astype(np.int16), sp.csr_array(bits),
        frame, bits.astype(np.uint64), np.asfortranarray(bits),
    ):  # fmt: skip
        for binarize in (0.5, None):
            model = cls(0.02, binarize=binarize, **params).fit(X)
            np.testing.assert_array_equal(model.coupling_, plain.coupling_)
            np.testing.assert_array_equal(model.field_, plain.field_)
    single = cls(0.02, **params).fit(spins.astype(np.float32))
    assert single.coupling_.dtype == single.field_.dtype == np.float32
    np.testing.assert_allclose(single.coupling_, plain.coupling_, atol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("cls", CONVEX)
def test_order_of_rows_and_columns_does_not_matter(cls, spins, l1_ratio):
    params = {"alpha": 0.02, "l1_ratio": l1_ratio, **PRECISE}
    plain = cls(**params).fit(spins)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(400), rng.permutation(6)
    model = cls(**params).fit(spins[rows][:, columns])
    np.testing.assert_allclose(
        model.coupling_, plain.coupling_[np.ix_(columns, columns)], atol=1e-8
    )
    np.testing.assert_allclose(model.field_, plain.field_[columns], atol=1e-8)


@pytest.mark.parametrize("cls", [*CONVEX, PCDIsing])
def test_weights_are_repetitions(cls, spins):
    params = {"n_gibbs_steps": "exact", "tol": 1e-8} if cls is PCDIsing else PRECISE
    counts = np.random.default_rng(0).integers(0, 4, 400)
    repeated = cls(0.02, **params).fit(np.repeat(spins, counts, axis=0))
    weighted = cls(0.02, **params).fit(spins, sample_weight=counts)
    np.testing.assert_allclose(weighted.coupling_, repeated.coupling_, atol=1e-8)
    # A total of 10^9 and more is a number like any other.
    scaled = cls(0.02, **params).fit(spins, sample_weight=counts * 2.5e6)
    np.testing.assert_allclose(scaled.coupling_, repeated.coupling_, atol=1e-8)


def test_equal_rows_together_or_apart(spins, monkeypatch):
    from skebm._rows import Rows

    packed = PseudoLikelihoodIsing(0.02, **PRECISE).fit(spins)
    monkeypatch.setattr(Rows, "distinct", lambda self, weights: (self, weights))
    plain = PseudoLikelihoodIsing(0.02, **PRECISE).fit(spins)
    assert len(packed._training.rows) < 100 < len(plain._training.rows) == 400
    np.testing.assert_allclose(packed.coupling_, plain.coupling_, atol=1e-9)


def logistic(X, y, weight, alpha, l1_ratio):
    """scikit-learn's optimum of one conditional, with ridge or L1."""
    C = (2.0 if l1_ratio else 4.0) / (weight.sum() * alpha)
    model = LogisticRegression(C=C, tol=1e-10, max_iter=100_000, random_state=0)
    if not l1_ratio:
        return model.set_params(solver="newton-cholesky").fit(X, y, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # newer versions say l1_ratio=1
        return model.set_params(penalty="l1", solver="saga").fit(X, y, weight)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_conditionals_are_the_logistic_regressions_of_scikit_learn(spins, l1_ratio):
    weights = np.random.default_rng(0).random(400) + 0.5
    model = PseudoLikelihoodIsing(0.03, l1_ratio=l1_ratio, symmetrize="mean", **PRECISE)
    model.fit(spins, sample_weight=weights)
    for i in range(6):
        others = np.arange(6) != i
        expected = logistic(spins[:, others], spins[:, i], weights, 0.03, l1_ratio)
        tolerance = 2e-6 if l1_ratio else 1e-7
        np.testing.assert_allclose(
            2 * model.nodewise_coupling_[i, others], expected.coef_[0], atol=tolerance
        )
        assert 2 * model.field_[i] == pytest.approx(expected.intercept_[0], abs=tolerance)


def test_minimum_probability_flow_is_joint_rise(spins):
    """Sum over rows and flips of sqrt(p(flipped) / p(row)), by the definition."""
    model = InteractionScreeningIsing(0.0, **PRECISE).fit(spins)

    def flow(J, h):
        log_p = lambda s: s @ h + 0.5 * ((s @ J) * s).sum(axis=1)  # noqa: E731
        flips = [spins * np.where(np.arange(6) == i, -1, 1) for i in range(6)]
        return sum(np.exp((log_p(f) - log_p(spins)) / 2).mean() for f in flips)

    least = flow(model.coupling_, model.field_)
    assert least == pytest.approx(model.objective_, rel=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(20):
        J, h = random_model(6, 1e-3, rng.integers(1000))
        assert flow(model.coupling_ + J, model.field_ + h) > least


# -- penalties, masks and paths ----------------------------------------------------------------


def test_and_or_and_mean(spins):
    for alpha in np.linspace(0.02, 0.3, 30):  # where the two directions do not agree
        K = PseudoLikelihoodIsing(alpha, l1_ratio=1.0, symmetrize="or").fit(spins)
        K = K.nodewise_coupling_
        if ((K != 0) != (K.T != 0)).any():
            break
    fits = {
        rule: PseudoLikelihoodIsing(alpha, l1_ratio=1.0, symmetrize=rule).fit(spins)
        for rule in ("mean", "and", "or")
    }
    K = fits["mean"].nodewise_coupling_
    one_sided = (K != 0) != (K.T != 0)
    assert one_sided.any()
    np.testing.assert_array_equal(fits["mean"].coupling_, (K + K.T) / 2)
    np.testing.assert_array_equal(fits["or"].coupling_, (K + K.T) / 2)
    assert (fits["and"].coupling_[one_sided] == 0).all()
    assert fits["and"].n_edges_ == ((K != 0) & (K.T != 0)).sum() // 2


@pytest.mark.parametrize("cls", [*CONVEX, PCDIsing])
def test_a_mask_keeps_couplings_at_zero(cls, spins):
    mask = np.ones((6, 6), int)
    mask[0, 3] = mask[3, 0] = mask[1, 2] = mask[2, 1] = 0
    model = cls(0.01, mask=mask).fit(spins)
    np.testing.assert_array_equal(model.coupling_ == 0, (mask == 0) | np.eye(6, dtype=bool))
    empty = cls(0.01, mask=np.zeros((6, 6))).fit(spins)
    assert empty.n_edges_ == 0
    np.testing.assert_allclose(empty.field_, np.arctanh(spins.mean(axis=0)), atol=0.03)


def test_refitting_removes_the_penalty_from_selected_edges(spins):
    for symmetrize in ("joint", "and"):
        params = {"symmetrize": symmetrize, **PRECISE}
        first = PseudoLikelihoodIsing(0.08, l1_ratio=1.0, **params).fit(spins)
        again = PseudoLikelihoodIsing(0.08, l1_ratio=1.0, refit=True, **params).fit(spins)
        free = PseudoLikelihoodIsing(0.0, mask=first.coupling_ != 0, **params).fit(spins)
        assert 0 < first.n_edges_ < 15
        np.testing.assert_allclose(again.coupling_, free.coupling_, atol=1e-8)
        np.testing.assert_array_equal(again.coupling_ != 0, first.coupling_ != 0)


@pytest.mark.parametrize("cls", CONVEX)
@pytest.mark.parametrize("symmetrize", ["joint", "and"])
def test_ebic_takes_the_least_of_its_path(cls, symmetrize, spins):
    model = cls("ebic", l1_ratio=1.0, symmetrize=symmetrize, alphas=8).fit(spins)
    assert (np.diff(model.alphas_) < 0).all() and model.coupling_path_.shape == (8, 6, 6)
    best = int(np.argmin(model.ebic_path_))
    assert model.alpha_ == model.alphas_[best]
    np.testing.assert_array_equal(model.coupling_, model.coupling_path_[best])
    single = cls(model.alpha_, l1_ratio=1.0, symmetrize=symmetrize).fit(spins)
    assert not hasattr(single, "alphas_")
    np.testing.assert_allclose(single.coupling_, model.coupling_, atol=1e-5)
    chosen = cls("ebic", l1_ratio=1.0, symmetrize=symmetrize, alphas=[0.3, 0.01]).fit(spins)
    np.testing.assert_array_equal(chosen.alphas_, [0.3, 0.01])


def test_an_empty_graph_is_said_and_the_path_shown():
    X = np.random.default_rng(0).integers(0, 2, (60, 8))
    with pytest.warns(UserWarning, match=r"graph without edges.*coupling_path_, alphas_"):
        model = PseudoLikelihoodIsing("ebic", l1_ratio=1.0, ebic_gamma=2.0).fit(X)
    assert model.n_edges_ == 0 and (model.coupling_path_[-1] != 0).any()


def test_warm_start_needs_fewer_steps(spins):
    model = PseudoLikelihoodIsing(0.01, warm_start=True).fit(spins)
    first = model.n_iter_
    again = model.set_params(alpha=0.0101).fit(spins)
    assert again.n_iter_ < first
    cold = PseudoLikelihoodIsing(0.0101).fit(spins)
    np.testing.assert_allclose(again.coupling_, cold.coupling_, atol=1e-5)


# -- data as they come -------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*CONVEX, PCDIsing])
@pytest.mark.parametrize("odd", [0, 1])
def test_rare_columns_stay_with_a_field(cls, odd, spins):
    X = np.column_stack([spins, np.ones(400), -np.ones(400)])
    X[:odd, 6] = -1
    with pytest.warns(UserWarning, match="no couplings and a field from counts: 6, 7"):
        model = cls(0.01, random_state=0).fit(X)
    assert np.isfinite(model.field_).all() and model.field_[6] > 1.5 > -1.5 > model.field_[7]
    assert (model.coupling_[6:] == 0).all() and (model.coupling_[:, 6:] == 0).all()
    np.testing.assert_array_equal(model.rare_, [False] * 6 + [True] * 2)
    if cls is not PCDIsing:
        plain = cls(0.01).fit(spins)
        np.testing.assert_allclose(model.coupling_[:6, :6], plain.coupling_, atol=1e-5)


def test_rows_with_nan_leave_the_conditionals_that_they_touch(spins):
    """On a chain, whole rows without one end serve the conditionals far from it."""
    mask = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) == 1
    X = spins.astype(float).copy()
    X[:150, 0] = np.nan
    params = {"alpha": 0.01, "mask": mask, "symmetrize": "mean", **PRECISE}
    model = PseudoLikelihoodIsing(**params).fit(X)
    whole, rest = (PseudoLikelihoodIsing(**params).fit(Y) for Y in (spins, spins[150:]))
    np.testing.assert_allclose(
        model.nodewise_coupling_[2:], whole.nodewise_coupling_[2:], atol=1e-8
    )
    np.testing.assert_allclose(model.nodewise_coupling_[:2], rest.nodewise_coupling_[:2], atol=1e-8)
    for cls in CONVEX:
        everywhere = cls(0.01, **PRECISE).fit(X)
        complete = cls(0.01, **PRECISE).fit(spins[150:])
        np.testing.assert_allclose(everywhere.coupling_, complete.coupling_, atol=1e-8)


def test_separable_data_are_said_to_have_no_optimum():
    X = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 1], [1, 1, 0]] * 10)
    with pytest.warns(ConvergenceWarning, match=r"no finite optimum without a penalty"):
        PseudoLikelihoodIsing(0.0, tol=1e-12, max_iter=20).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PseudoLikelihoodIsing(0.01).fit(X)
    assert np.isfinite(model.coupling_).all() and model.coupling_[0, 1] > 1


# -- typed answers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mask": np.ones((5, 5))}, r"mask must have shape \(6, 6\), got \(5, 5\)"),
        ({"mask": np.triu(np.ones((6, 6)))}, r"mask must be symmetric, but its entries \(0, 1\)"),
        ({"mask": np.full((6, 6), 0.5)}, "mask must be bool, or hold 0 and 1"),
        ({"mask": "edges"}, "mask must be an array"),
        ({"alpha": -1.0}, "alpha must be a number >= 0"),
        ({"alpha": "aic"}, "alpha must be a number >= 0 or 'theory' or 'ebic', got 'aic'"),
        ({"alpha": "ebic"}, "needs l1_ratio > 0, got 0.0"),
        ({"alphas": 0}, "alphas must be an integer >= 1"),
        ({"alphas": [0.1, -0.1]}, "alphas must be positive finite numbers"),
        ({"l1_ratio": 1.5}, "l1_ratio must be a number >= 0 and <= 1"),
        ({"symmetrize": "max"}, "symmetrize must be one of 'joint', 'mean', 'and', 'or'"),
    ],
)
def test_bad_parameters_are_named(params, message, spins):
    with pytest.raises((TypeError, ValueError), match=message):
        PseudoLikelihoodIsing(**params).fit(spins)


def test_what_does_not_go_together_is_said(spins):
    with pytest.raises(ValueError, match=r"logrise.*symmetrize must be 'mean', 'and' or 'or'"):
        InteractionScreeningIsing(loss="logrise").fit(spins)
    with pytest.raises(ValueError, match="alpha='theory' is known for pseudolikelihood"):
        RatioMatchingIsing("theory", l1_ratio=1.0).fit(spins)
    with pytest.raises(ValueError, match=r"sums over 2\^40 states"):
        PCDIsing(n_gibbs_steps="exact").fit(np.random.default_rng(0).integers(0, 2, (20, 40)))


def test_bad_data_are_named(spins):
    X = spins.astype(float)
    with pytest.raises(ValueError, match="sample_weight must be finite and not negative"):
        PseudoLikelihoodIsing().fit(X, sample_weight=-np.ones(400))
    X[:, 2] = np.nan
    with pytest.raises(ValueError, match="no known value in column 2"):
        PseudoLikelihoodIsing().fit(X)
    with pytest.raises(ValueError, match="NaN in column 2"):
        PCDIsing().fit(X)
    with pytest.raises(ValueError, match=r"0 and 1, or -1 and 1, with binarize=None, found 0.3"):
        PseudoLikelihoodIsing(binarize=None).fit(np.where(spins > 0, 0.3, 0.0))
    with pytest.raises(ValueError, match="binarize=None, found 0 in column"):
        PseudoLikelihoodIsing(binarize=None).fit(np.where(np.arange(400)[:, None] < 9, 0, spins))


def test_nothing_is_half_fitted(spins):
    model = PseudoLikelihoodIsing().fit(spins)
    before = model.coupling_.copy()
    with pytest.raises(ValueError):
        model.fit(spins, sample_weight=-np.ones(400))
    np.testing.assert_array_equal(model.coupling_, before)
    assert not hasattr(clone(model), "coupling_")


@pytest.mark.parametrize("cls", [PseudoLikelihoodIsing, PCDIsing])
def test_an_interrupted_fit_leaves_the_last_model(cls, spins, monkeypatch):
    """Ctrl-C in the middle of another fit, on data of another width and with other names."""
    model = cls(random_state=0).fit(spins)
    before = dict(vars(model))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cls, "_learned", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(pd.DataFrame(spins[:, :4], columns=list("abcd")))
    assert vars(model).keys() == before.keys()
    assert model.n_features_in_ == 6
    assert np.isfinite(model.score(spins))
