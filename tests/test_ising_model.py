"""What is asked of a fitted Ising model, against enumeration and the equations."""

import itertools
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from reference import (
    ALPHA,
    all_spins,
    all_states,
    chi_square_p_value,
    detected_variation,
    ising_probabilities,
    state_counts,
    z_limit,
)
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skebm.ising import InteractionScreeningIsing, PseudoLikelihoodIsing, RatioMatchingIsing

CLASSES = (PseudoLikelihoodIsing, RatioMatchingIsing, InteractionScreeningIsing)
N = 100_000


def parameters(p=6, seed=0, scale=0.4):
    rng = np.random.default_rng(seed)
    J = np.triu(rng.normal(0.0, scale, (p, p)), 1)
    return J + J.T, rng.normal(0.2, 0.3, p)


def model_of(p=6, **params):
    return PseudoLikelihoodIsing.from_parameters(*parameters(p), **params)


def counts_of(spins):
    return state_counts((spins + 1) / 2)


def conditional(J, h, s, i):
    """P(s_i = 1 | the others) from the equation."""
    field = h[i] + sum(J[i, j] * s[j] for j in range(len(h)) if j != i)
    return 1.0 / (1.0 + math.exp(-2.0 * field))


# -- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_likelihood_is_that_of_enumeration(cls, dtype):
    J, h = parameters()
    states, p = all_spins(len(h)), ising_probabilities(J, h)
    model = cls.from_parameters(J.astype(dtype), h)
    assert model.coupling_.dtype == model.field_.dtype == dtype
    np.testing.assert_allclose(model.score_samples(states), np.log(p), atol=2e-6)


def test_every_base_leads_to_log_z():
    """Annealing from each; 256 chains have a standard error of a few hundredths of a nat."""
    model = model_of()
    for base in ("marginals", "uniform", "biases", np.full(6, 0.3)):
        found = model.log_partition("ais", base=base, n_chains=256, random_state=0)
        assert abs(found.value - model.log_partition_.value) < z_limit(4) * found.stderr
        assert found.stderr < 0.1


def test_parameters_come_in_any_shape_that_means_the_same():
    J, h = parameters()
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    for coupling in (J.tolist(), sp.csr_array(J), pd.DataFrame(J)):
        other = PseudoLikelihoodIsing.from_parameters(coupling, list(h))
        np.testing.assert_array_equal(other.coupling_, model.coupling_)
    rounded = J.copy()
    rounded[0, 1] *= 1 + 1e-14
    coupling = PseudoLikelihoodIsing.from_parameters(rounded, h).coupling_
    np.testing.assert_array_equal(coupling, coupling.T)
    J[:] = 0.0
    assert model.coupling_.any()  # a copy


def changed(i, j, value):
    J = np.zeros((3, 3))
    J[0, 1] = J[1, 0] = 0.5
    J[i, j] = value
    return J


@pytest.mark.parametrize(
    ("coupling", "field", "said"),
    [
        (changed(0, 1, 0.75), np.zeros(3), r"\(0, 1\) and \(1, 0\) are 0.75 and 0.5, 0.25 apart"),
        (changed(2, 2, 1.5), np.zeros(3), r"zero diagonal, found 1.5 at \(2, 2\)"),
        (changed(0, 2, np.nan), np.zeros(3), r"coupling must be finite, found nan at \(0, 2\)"),
        (changed(0, 1, 0.5), [0, 0, np.inf], r"field must be finite, found inf at \(2,\)"),
        (changed(0, 1, 0.5), np.zeros(4), r"got \(3, 3\) and \(4,\)"),
        (np.zeros((3, 2)), np.zeros(3), r"got \(3, 2\) and \(3,\)"),
        (np.zeros(3), np.zeros(3), r"got \(3,\) and \(3,\)"),
        (np.zeros((0, 0)), np.zeros(0), r"got \(0, 0\) and \(0,\)"),
        (1.0, 1.0, r"got \(\) and \(\)"),
    ],
)
def test_wrong_parameters_are_named(coupling, field, said):
    with pytest.raises(ValueError, match=said):
        PseudoLikelihoodIsing.from_parameters(coupling, field)


def test_parameters_of_the_estimator_are_checked():
    with pytest.raises(ValueError, match="l1_ratio"):
        PseudoLikelihoodIsing.from_parameters(*parameters(), l1_ratio=2.0)


def test_a_single_spin():
    model = PseudoLikelihoodIsing.from_parameters([[0.0]], [0.5])
    assert model.score([[1.0]]) == pytest.approx(0.5 - math.log(2 * math.cosh(0.5)))
    assert model.conditional_probability([[-1.0]])[0, 0] == pytest.approx(1 / (1 + math.exp(-1)))
    assert model.sample(5, random_state=0).shape == (5, 1)
    assert model.moment_check([[1.0], [-1.0]]).worst is None


# -- conditionals ------------------------------------------------------------------------------


def test_conditionals():
    J, h = parameters()
    states = all_spins(6)
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    expected = np.array([[conditional(J, h, s, i) for i in range(6)] for s in states])
    np.testing.assert_allclose(model.conditional_probability(states), expected, rtol=1e-12)
    own = np.where(states > 0, expected, 1.0 - expected)
    np.testing.assert_allclose(
        model.log_pseudolikelihood(states), np.log(own).sum(axis=1), rtol=1e-12
    )
    loss = ((1.0 - own) ** 2).sum(axis=1).mean()
    assert model.ratio_matching_loss(states) == pytest.approx(loss, rel=1e-12)


def test_unknown_spins_touch_their_neighbours_alone():
    J, h = parameters()
    J[0, 3:] = J[3:, 0] = 0.0  # spin 0 is coupled to 1 and 2
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    X = np.where(np.random.default_rng(0).random((50, 6)) < 0.5, -1.0, 1.0)
    X[::3, 4] = np.nan
    X[::7, 0] = np.nan
    P, log_pl = np.full(X.shape, np.nan), np.zeros(len(X))
    loss, mass = np.zeros(6), np.zeros(6)
    for r, i in itertools.product(range(len(X)), range(6)):
        if not np.isnan(X[r, np.flatnonzero(J[i])]).any():
            P[r, i] = conditional(J, h, np.nan_to_num(X[r]), i)
            if not np.isnan(X[r, i]):
                own = P[r, i] if X[r, i] > 0 else 1.0 - P[r, i]
                log_pl[r] += math.log(own)
                loss[i], mass[i] = loss[i] + (1.0 - own) ** 2, mass[i] + 1
    assert np.isnan(P).any() and not np.isnan(P[0]).all()
    np.testing.assert_allclose(model.conditional_probability(X), P, rtol=1e-12)
    np.testing.assert_allclose(model.log_pseudolikelihood(X), log_pl, rtol=1e-12)
    assert model.ratio_matching_loss(X) == pytest.approx((loss / mass).sum(), rel=1e-12)
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match="no known value in column 1"):
        model.ratio_matching_loss(X)
    with pytest.raises(ValueError, match="NaN in column 0"):
        model.score_samples(X)


def test_strong_couplings_do_not_overflow():
    J = 500.0 * (np.ones((4, 4)) - np.eye(4))
    model = PseudoLikelihoodIsing.from_parameters(J, np.zeros(4))
    against = np.array([[1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]])
    # t = -1500 and 500 thrice; and 1500 four times.
    np.testing.assert_allclose(model.log_pseudolikelihood(against), [-3000.0, 0.0], atol=1e-12)
    against[0, 3] = np.nan
    np.testing.assert_array_equal(model.log_pseudolikelihood(against), [0.0, 0.0])
    assert model.conditional_probability([[1, 1, 1, -1]])[0].tolist() == [1.0, 1.0, 1.0, 1.0]


# -- other forms -------------------------------------------------------------------------------


def test_binary_parameters_mean_the_same_distribution():
    J, h = parameters()
    p = ising_probabilities(J, h)
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    J01, h01 = model.to_binary_params()
    x = all_states(6)
    logs = x @ h01 + 0.5 * np.einsum("ni,ij,nj->n", x, J01, x)
    np.testing.assert_allclose(np.exp(logs) / np.exp(logs).sum(), p, rtol=1e-12)
    constant = h.sum() - np.triu(J).sum()
    np.testing.assert_allclose(-model._energy().energy(2 * x - 1), logs - constant, atol=1e-12)


def test_dimod_minimises():
    J, h = parameters()
    J[0, 1] = J[1, 0] = 0.0
    states, p = all_spins(len(h)), ising_probabilities(J, h)
    fields, couplings = PseudoLikelihoodIsing.from_parameters(J, h).to_dimod()
    assert list(fields) == list(range(6)) and (0, 1) not in couplings and len(couplings) == 14
    energies = np.array([
        sum(v * s[i] for i, v in fields.items())
        + sum(v * s[i] * s[j] for (i, j), v in couplings.items())
        for s in states
    ])  # fmt: skip
    np.testing.assert_allclose(np.exp(-energies) / np.exp(-energies).sum(), p, rtol=1e-12)
    frame = pd.DataFrame((states > 0).astype(int), columns=list("abcdef"))
    fields, couplings = PseudoLikelihoodIsing().fit(frame, sample_weight=p).to_dimod()
    assert list(fields) == list("abcdef") and ("a", "b") in couplings


def test_graph():
    J, h = parameters()
    J[0, 1:] = J[1:, 0] = 0.0
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    assert isinstance(model.graph_, sp.csr_array) and model.graph_.nnz == 2 * model.n_edges_ == 20
    np.testing.assert_array_equal(model.graph_.toarray(), J)


# -- draws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exact", "gibbs"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_draws_have_the_enumerated_distribution(method, dtype):
    """Every row is independent, so Pearson's test over 64 states is exact.

    100,000 draws at alpha = 1e-6 find a total variation of 0.022 but for one case in 10^6.
    """
    J, h = parameters()
    model = PseudoLikelihoodIsing.from_parameters(J.astype(dtype), h)
    X = model.sample(N, method=method, n_gibbs_steps=50, random_state=1)
    assert X.dtype == dtype and set(np.unique(X)) == {-1, 1}
    p = ising_probabilities(J, h)
    assert chi_square_p_value(counts_of(X), p) > ALPHA
    assert detected_variation(N, 64) < 0.022
    h[2] += 0.1
    assert chi_square_p_value(counts_of(X), ising_probabilities(J, h)) < ALPHA


def test_few_chains_give_many_rows():
    """500 chains of 200 rows, 40 sweeps apart: as good as independent (as their correlation,

    below 5 / sqrt(n), says), with the enumerated distribution.
    """
    J, h = parameters()
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    settings = {"n_gibbs_steps": 50, "n_chains": 500, "thin": 40, "random_state": 1}
    X = model.sample(N, **settings)
    p = ising_probabilities(J, h)
    assert chi_square_p_value(counts_of(X), p) > ALPHA
    energy = model.score_samples(X)
    energy = (energy - energy.mean()) / energy.std()
    assert abs(np.mean(energy[:-500] * energy[500:])) < 5 / math.sqrt(N)
    # A shorter run is the beginning of a longer one, and a chain does not know of the others.
    np.testing.assert_array_equal(model.sample(1234, **settings), X[:1234])
    alone = model.sample(3, **{**settings, "n_chains": 1})
    np.testing.assert_array_equal(alone, X[[0, 500, 1000]])
    # Close in time rows are alike: one sweep apart.
    near = model.score_samples(model.sample(N, **{**settings, "thin": 1}))
    near = (near - near.mean()) / near.std()
    assert np.mean(near[:-500] * near[500:]) > 0.1


def test_chains_start_where_they_are_told():
    """One sweep has the transition probabilities of the equation, spin after spin."""
    J, h = parameters(p=3, scale=0.8)
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    X = np.tile([1.0, -1.0, 1.0], (N, 1))
    moved = model.gibbs(X, random_state=3)
    p = []
    for s in 2 * all_states(3) - 1:
        before, chance = X[0].copy(), 1.0
        for i in range(3):
            up = conditional(J, h, before, i)
            chance *= up if s[i] > 0 else 1.0 - up
            before[i] = s[i]
        p.append(chance)
    assert chi_square_p_value(counts_of(moved), p) > ALPHA
    np.testing.assert_array_equal(model.sample(X_init=X, n_gibbs_steps=1, random_state=3), moved)
    np.testing.assert_array_equal(model.gibbs(sp.csr_array(X > 0), random_state=3), moved)


def test_draws_that_make_no_sense():
    model = model_of()
    with pytest.raises(ValueError, match="method='exact' has no chains"):
        model.sample(3, method="exact", n_chains=2)
    with pytest.raises(ValueError, match="n_chains must be None"):
        model.sample(X_init=np.ones((2, 6)), n_chains=2)
    with pytest.raises(ValueError, match="sample: thin must be an integer >= 1"):
        model.sample(3, thin=0)
    with pytest.raises(ValueError, match="sample: method must be one of"):
        model.sample(3, method="metropolis")
    with pytest.raises(TypeError, match="impute: n_gibbs_steps"):
        model.impute(np.ones((1, 6)), n_gibbs_steps=2.5)
    with pytest.raises(ValueError, match="24 spins"):
        PseudoLikelihoodIsing.from_parameters(np.zeros((25, 25)), np.zeros(25)).sample(
            method="exact"
        )


def test_unknown_spins_are_drawn_given_the_known():
    """Of 6 spins two are known: 16 states, Pearson at 1e-6 finds a variation of 0.019."""
    J, h = parameters(scale=0.6)
    states, p = all_spins(len(h)), ising_probabilities(J, h)
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    X = np.full((N, 6), np.nan)
    X[:, 1], X[:, 4] = 1.0, -1.0
    given = (states[:, 1] == 1) & (states[:, 4] == -1)
    drawn = model.conditional_sample(X, n_gibbs_steps=40, random_state=0)
    assert (drawn[:, 1] == 1).all() and (drawn[:, 4] == -1).all()
    conditional_p = p[given] / p[given].sum()
    counts = counts_of(drawn)[given]
    assert counts.sum() == N
    assert chi_square_p_value(counts, conditional_p) > ALPHA
    assert detected_variation(N, 16) < 0.019
    # Means: of 2,000 rows, each the average of 200 sweeps.
    means = conditional_p @ states[given]
    filled = model.impute(X[:2000], n_gibbs_steps=200, random_state=0)
    error = filled.std(axis=0, ddof=1) / math.sqrt(2000)
    unknown = np.isnan(X[0])
    assert (np.abs(filled.mean(axis=0) - means)[unknown] < z_limit(4) * error[unknown]).all()
    assert (error[unknown] < 0.002).all()


def test_one_unknown_spin_is_imputed_exactly():
    for codes, low in ((np.array([-1.0, 1.0]), -1.0), (np.array([0.0, 1.0]), 0.0)):
        rows = codes[np.random.default_rng(0).integers(0, 2, (40, 6))]
        model = PseudoLikelihoodIsing().fit(rows)
        holes = rows.copy()
        holes[np.arange(40), np.arange(40) % 6] = np.nan
        P = model.conditional_probability(holes)
        expected = np.where(np.isnan(holes), P * (1.0 - low) + low, holes)
        np.testing.assert_allclose(model.impute(holes, n_gibbs_steps=2), expected, rtol=1e-12)
        for drawn in (model.conditional_sample(holes, n_gibbs_steps=1), model.sample(9)):
            assert np.isin(drawn, codes).all()


# -- moments -----------------------------------------------------------------------------------


def test_deviations_are_those_of_the_multinomial():
    """Against the delta method over all states, where model and data are the same distribution

    but for a tiny shift.
    """
    J, h = parameters(p=4)
    states, p = all_spins(len(h)), ising_probabilities(J, h)
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    shifted = p * (1.0 + 1e-6 * np.random.default_rng(0).normal(size=16))
    n = 5000.0
    check = model.moment_check(states, sample_weight=n * shifted / shifted.sum())
    mean = p @ states
    centred = states - mean
    new = shifted / shifted.sum() @ states
    for i in range(4):
        error = math.sqrt((p @ centred[:, i] ** 2) / n)
        assert check.z_mean[i] == pytest.approx((new[i] - mean[i]) / error, rel=1e-4)
    for i, j in itertools.combinations(range(4), 2):
        products = centred[:, i] * centred[:, j]
        C = p @ products
        other = shifted / shifted.sum() @ (states[:, i] * states[:, j]) - new[i] * new[j]
        error = math.sqrt((p @ (products - C) ** 2) / n)
        assert check.z_correlation[i, j] == pytest.approx((other - C) / error, rel=1e-4)
        assert check.correlation_model[i, j] == pytest.approx(C, abs=1e-12)
    np.testing.assert_array_equal(check.z_correlation, check.z_correlation.T)
    assert check.n_samples == 0 and check.pearson > 0.999999


def test_right_models_pass_and_wrong_ones_do_not():
    """400 data sets of a right model: z^2 is 1 on average, and p_value below 0.05 in at most

    5 %. Bounds of 1e-6: more than 48 of 400 by the binomial distribution; a test that alarms in
    20 % is found with probability 0.9999.
    """
    J, h = parameters(p=5)
    states, p = all_spins(len(h)), ising_probabilities(J, h)
    model = PseudoLikelihoodIsing.from_parameters(J, h)
    rng = np.random.default_rng(0)
    checks = [
        model.moment_check(states, sample_weight=rng.multinomial(3000, p)) for _ in range(400)
    ]
    alarms = sum(check.p_value < 0.05 for check in checks)
    assert alarms <= stats.binom.isf(ALPHA, 400, 0.05)
    z2 = np.array([
        np.append(check.z_mean, check.z_correlation[np.triu_indices(5, 1)]) ** 2
        for check in checks
    ]).mean(axis=1)  # fmt: skip
    assert abs(z2.mean() - 1.0) < z_limit() * z2.std() / 20
    J[1, 3] = J[3, 1] = J[1, 3] + 0.3
    wrong = PseudoLikelihoodIsing.from_parameters(J, h)
    check = wrong.moment_check(states, sample_weight=rng.multinomial(3000, p))
    assert check.p_value < ALPHA and check.worst == (1, 3)
    assert check.z_correlation[1, 3] < -5  # data minus model


def test_large_models_are_checked_by_draws():
    """22 spins in two independent halves, drawn exactly: the same z but for the noise of draws.

    The error of a model's mean from 4,000 draws is added to that of 4,000 rows; z of a right
    model then is normal. False alarm 1e-6.
    """
    J, h = parameters(p=11, scale=0.15)
    half = PseudoLikelihoodIsing.from_parameters(J, h)
    both = PseudoLikelihoodIsing.from_parameters(np.kron(np.eye(2), J), np.tile(h, 2))
    X = np.hstack([half.sample(4000, random_state=seed) for seed in (0, 1)])
    settings = {"n_samples": 4000, "n_gibbs_steps": 60, "random_state": 0}
    check = both.moment_check(X, **settings)
    assert check.n_samples == 4000 and check.p_value > ALPHA and check.pearson > 0.9
    z = np.append(check.z_mean, check.z_correlation[np.triu_indices(22, 1)])
    assert 0.75 < (z**2).mean() < 1.3  # 253 deviates: sd 0.09, so 2.8 and 3.3 sd
    again = both.set_params(n_jobs=1).moment_check(X, **settings)
    np.testing.assert_array_equal(again.z_correlation, check.z_correlation)
    far = PseudoLikelihoodIsing.from_parameters(np.kron(np.eye(2), J), np.tile(h + 0.2, 2))
    assert far.moment_check(X, **settings).p_value < ALPHA


def test_moments_of_rows_with_unknown_spins():
    """Each pair over the rows where both are known; constant columns have no deviation of 0/0."""
    model = model_of(p=3)
    X = np.where(np.random.default_rng(0).random((200, 3)) < 0.6, 1.0, -1.0)
    X[:80, 0] = np.nan
    X[50:90, 1] = np.nan
    check = model.moment_check(X)
    for i, j in itertools.combinations(range(3), 2):
        pair = X[~np.isnan(X[:, [i, j]]).any(axis=1)][:, [i, j]]
        expected = np.cov(pair.T, bias=True)[0, 1]
        assert check.correlation_data[i, j] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(check.mean_data, np.nanmean(X, axis=0), rtol=1e-12)
    X[:] = 1.0
    certain = PseudoLikelihoodIsing.from_parameters(np.zeros((3, 3)), np.full(3, 400.0))
    check = certain.moment_check(X)
    assert (check.z_mean == 0).all() and (check.z_correlation == 0).all() and check.p_value == 1.0
    assert math.isnan(check.pearson)
    with pytest.raises(ValueError, match="moment_check needs X"):
        model.moment_check()


def test_moments_of_the_training_rows():
    """Unpenalised pseudolikelihood of pairs: the moments of a saturated model are the data's."""
    model = PseudoLikelihoodIsing(0.0, tol=1e-10).fit([[0, 0], [1, 1], [1, 1], [0, 1], [1, 0]])
    check = model.moment_check()
    assert np.abs(check.z_mean).max() < 1e-6 and np.abs(check.z_correlation).max() < 1e-6


# -- scikit-learn's manners --------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_codings_and_containers_agree(cls, bits):
    """0 and 1, -1 and 1, booleans, CSR and pandas: the same bits."""
    model = cls().fit(bits)
    for X in (2 * bits - 1, bits > 0, sp.csr_array(bits), pd.DataFrame(bits).astype("int8")):
        other = cls().fit(X)
        np.testing.assert_array_equal(other.coupling_, model.coupling_)
        for method in ("conditional_probability", "log_pseudolikelihood", "score_samples"):
            np.testing.assert_array_equal(getattr(other, method)(X), getattr(model, method)(bits))
        assert other.ratio_matching_loss(X) == model.ratio_matching_loss(bits)
        drawn, expected = (each.sample(5, random_state=0) for each in (other, model))
        np.testing.assert_array_equal(drawn > 0, expected > 0)


def test_bits_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((2000, 70)) < 0.5, 1.0, -1.0)
    J, h = parameters(p=70, scale=0.05)
    models = [PseudoLikelihoodIsing.from_parameters(J, h, n_jobs=n) for n in (1, 2)]
    for ask in (
        lambda m: m.conditional_probability(X),
        lambda m: m.log_pseudolikelihood(X),
        lambda m: m.ratio_matching_loss(X),
        lambda m: m.sample(300, n_gibbs_steps=20, random_state=0),
        lambda m: m.impute(np.where(X[:300] > 0, X[:300], np.nan), n_gibbs_steps=5, random_state=0),
    ):
        one, other = map(ask, models)
        np.testing.assert_array_equal(one, other)


def test_clone_and_pickle(bits):
    model = PseudoLikelihoodIsing(random_state=0).fit(bits)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(bits), model.score_samples(bits))
    np.testing.assert_array_equal(again.standard_errors().field, model.standard_errors().field)
    np.testing.assert_array_equal(clone(model).fit(bits).coupling_, model.coupling_)
    given = model_of()
    assert pickle.loads(pickle.dumps(given)).to_dimod() == given.to_dimod()


def test_nothing_is_answered_before_fit(bits):
    model = PseudoLikelihoodIsing()
    for ask in (
        model.sample, model.standard_errors, model.moment_check, model.to_dimod,
        model.to_binary_params, lambda: model.graph_, lambda: model.impute(bits),
        lambda: model.log_pseudolikelihood(bits), lambda: model.ratio_matching_loss(bits),
        lambda: model.conditional_probability(bits), lambda: model.gibbs(bits),
    ):  # fmt: skip
        with pytest.raises(NotFittedError):
            ask()
    with pytest.raises(ValueError, match="features"):
        PseudoLikelihoodIsing().fit(bits).log_pseudolikelihood(bits[:, :3])
