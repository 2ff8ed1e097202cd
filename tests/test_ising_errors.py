"""Standard errors of Ising models: against derivatives of criteria, closed forms, simulation."""

import itertools
import math
import pickle

import numpy as np
import pytest
from reference import ising_distribution, z_limit
from scipy import stats

from skebm.ising import (
    InteractionScreeningIsing,
    PCDIsing,
    PseudoLikelihoodIsing,
    RatioMatchingIsing,
)
from skebm.ising._model import BaseIsing

CASES = [
    ("pseudolikelihood", "joint"), ("ratio_matching", "joint"), ("rise", "joint"),
    ("pseudolikelihood", "mean"), ("ratio_matching", "mean"), ("rise", "or"), ("logrise", "mean"),
]  # fmt: skip


def estimator_of(loss, **params):
    if loss in ("rise", "logrise"):
        return InteractionScreeningIsing(loss=loss, **params)
    classes = {
        "pseudolikelihood": PseudoLikelihoodIsing,
        "ratio_matching": RatioMatchingIsing,
    }
    return classes[loss](**params)


class LikelihoodIsing(BaseIsing):
    """A model that counts as learned by maximum likelihood."""

    _rules = {}  # noqa: RUF012

    def __init__(self, binarize=0.5, n_jobs=None, random_state=None):
        self.binarize = binarize
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y=None):
        """Only there to be found: the parameters are always given."""
        raise NotImplementedError


def spins_of(n=60, p=4, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 1)) + rng.normal(size=(n, p)) * 1.5 + 0.3
    spins = np.where(hidden > 0, 1.0, -1.0)
    spins[rng.random((n, p)) < missing] = np.nan
    return spins, rng.integers(1, 4, n).astype(float)


# -- the slow twin: derivatives of the criterion itself ----------------------------------------


def criterion(loss, C, spins, weights, nodes):
    """Mean loss of some conditionals, a list, from its definition."""
    values = []
    for i in nodes:
        total, mass = 0.0, 0.0
        for s, w in zip(spins, weights):
            t = s[i] * (sum(C[i][j] * s[j] for j in range(len(C)) if j != i) + C[i][-1])
            flip = 1.0 / (1.0 + math.exp(2.0 * t))
            f = {
                "pseudolikelihood": -math.log(1.0 - flip),
                "ratio_matching": flip**2,
                "rise": math.exp(-t),
                "logrise": math.exp(-t),
            }[loss]
            total, mass = total + w * f, mass + w
        values.append(math.log(total / mass) if loss == "logrise" else total / mass)
    return values


def influences(objective, theta, weights):
    """d theta / d w of a minimiser, (k, n): - H^-1 d^2 objective / d theta d w, by differences."""
    k, n, a, b = len(theta), len(weights), 2e-4, 1e-3

    def at(step, change):
        return objective(theta + step, weights + change)

    def unit(size, i, by):
        return by * np.eye(size)[i]

    zero = np.zeros(n)
    H, mixed = np.empty((k, k)), np.empty((k, n))
    signs = list(itertools.product((1, -1), (1, -1)))
    for i, j in itertools.product(range(k), range(k)):
        H[i, j] = sum(
            u * v * at(unit(k, i, u * a) + unit(k, j, v * a), zero) for u, v in signs
        ) / (4 * a * a)  # fmt: skip
    for i, m in itertools.product(range(k), range(n)):
        mixed[i, m] = sum(
            u * v * at(unit(k, i, u * a), unit(n, m, v * b)) for u, v in signs
        ) / (4 * a * b)  # fmt: skip
    return -np.linalg.solve(H, mixed)


def twin_errors(loss, rule, J, h, C, spins, weights, ridge):
    """Errors of couplings (p, p) and fields (p,), each row counting once per unit of weight."""
    p = len(h)
    pairs = list(itertools.combinations(range(p), 2))
    if rule == "joint":
        theta = np.concatenate([h, [J[i, j] for i, j in pairs]])

        def objective(theta, weights):
            C = np.zeros((p, p + 1))
            C[:, -1] = theta[:p]
            for (i, j), value in zip(pairs, theta[p:]):
                C[i, j] = C[j, i] = value
            return (
                sum(criterion(loss, C, spins, weights, range(p))) + ridge * (theta[p:] ** 2).sum()
            )

        phi = influences(objective, theta, weights)
        of_fields, of_pairs = phi[:p], phi[p:]
    else:
        of_fields, directed = np.empty((p, len(weights))), {}
        for i in range(p):
            others = [j for j in range(p) if j != i]

            def objective(theta, weights, i=i, others=others):
                row = np.zeros((p, p + 1))
                row[i, others], row[i, -1] = theta[:-1], theta[-1]
                value = criterion(loss, row, spins, weights, [i])[0]
                return value + ridge * (theta[:-1] ** 2).sum() / 2

            phi = influences(objective, np.append(C[i, others], h[i]), weights)
            of_fields[i] = phi[-1]
            directed.update({(i, j): phi[m] for m, j in enumerate(others)})
        of_pairs = [(directed[i, j] + directed[j, i]) / 2 for i, j in pairs]
    coupling = np.zeros((p, p))
    for (i, j), phi in zip(pairs, of_pairs):
        coupling[i, j] = coupling[j, i] = math.sqrt((weights * phi**2).sum())
    return coupling, np.sqrt((weights * of_fields**2).sum(axis=1))


@pytest.mark.parametrize(("loss", "rule"), CASES)
def test_errors_are_those_of_the_derivatives(loss, rule):
    """The twin is good to some 1e-6; a wrong sign or factor anywhere is far larger."""
    spins = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    weights = np.array([9.0, 2.0, 4.0, 3.0, 1.0, 6.0, 2.0, 8.0])
    model = estimator_of(loss, alpha=0.05, symmetrize=rule, tol=1e-10).fit(
        spins, sample_weight=weights
    )
    found = model.standard_errors()
    coupling, field = twin_errors(
        loss, rule, model.coupling_, model.field_, model.nodewise_coupling_, spins, weights, 0.05
    )
    np.testing.assert_allclose(found.coupling, coupling, rtol=2e-5)
    np.testing.assert_allclose(found.field, field, rtol=2e-5)
    again = model.standard_errors(spins, sample_weight=weights)
    np.testing.assert_allclose(again.coupling, found.coupling, rtol=1e-10)


def test_errors_of_likelihood_are_those_of_its_derivatives():
    """Exact maximum likelihood with a ridge: log Z from the sum over all states."""
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    weights = np.array([9.0, 2.0, 4.0, 3.0, 1.0, 6.0, 2.0, 8.0])
    model = PCDIsing(0.05, n_gibbs_steps="exact", tol=1e-9).fit(states, sample_weight=weights)
    pairs = list(itertools.combinations(range(3), 2))

    def objective(theta, weights):
        logs = [
            sum(theta[i] * s[i] for i in range(3))
            + sum(value * s[i] * s[j] for (i, j), value in zip(pairs, theta[3:]))
            for s in states
        ]
        log_partition = math.log(sum(map(math.exp, logs)))
        mean = sum(w * value for w, value in zip(weights, logs)) / sum(weights)
        return log_partition - mean + 0.05 * (theta[3:] ** 2).sum()

    theta = np.append(model.field_, [model.coupling_[pair] for pair in pairs])
    expected = np.sqrt((weights * influences(objective, theta, weights) ** 2).sum(axis=1))
    errors = model.standard_errors()
    found = np.append(errors.field, [errors.coupling[pair] for pair in pairs])
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize(("loss", "rule"), CASES)
def test_unknown_entries_cost_their_conditionals_alone(loss, rule):
    """With all pairs coupled a row with NaN has no conditional left, and might as well be absent;

    without, the spins of the other block keep theirs.
    """
    spins, weights = spins_of(n=40, p=3, missing=0.1)
    model = estimator_of(loss, alpha=0.05, symmetrize=rule, tol=1e-10).fit(spins)
    whole = ~np.isnan(spins).any(axis=1)
    assert 10 < whole.sum() < 40
    few = model.standard_errors(spins[whole], sample_weight=weights[whole])
    all_rows = model.standard_errors(spins, sample_weight=weights)
    np.testing.assert_allclose(all_rows.coupling, few.coupling, rtol=1e-10)

    blocks = np.kron(np.eye(2), np.ones((3, 3))) > 0
    other, _ = spins_of(n=40, p=3, seed=1)
    both = estimator_of(loss, alpha=0.05, symmetrize=rule, mask=blocks, tol=1e-10).fit(
        np.hstack([spins, other]), sample_weight=weights
    )
    errors = both.standard_errors()
    one = estimator_of(loss, alpha=0.05, symmetrize=rule, tol=1e-10).fit(
        other, sample_weight=weights
    )
    np.testing.assert_allclose(errors.coupling[3:, 3:], one.standard_errors().coupling, rtol=1e-5)
    assert (errors.coupling[~blocks] == 0).all()


# -- closed forms ------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "rule"), CASES)
def test_two_spins(loss, rule):
    """A saturated table of counts: every parameter is 1/4 of a contrast of their logarithms."""
    counts = np.array([30.0, 12.0, 5.0, 21.0])
    table = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    model = estimator_of(loss, alpha=0.0, symmetrize=rule, tol=1e-11).fit(
        table, sample_weight=counts
    )
    expected = math.sqrt((1.0 / counts).sum()) / 4.0
    errors = model.standard_errors()
    np.testing.assert_allclose(errors.coupling, [[0, expected], [expected, 0]], rtol=1e-7)
    np.testing.assert_allclose(errors.field, expected, rtol=1e-7)
    likelihood = LikelihoodIsing.from_parameters(model.coupling_, model.field_)
    errors = likelihood.standard_errors(table, sample_weight=counts)
    np.testing.assert_allclose(errors.coupling[0, 1], expected, rtol=1e-7)
    np.testing.assert_allclose(errors.field, expected, rtol=1e-7)


def test_a_single_spin():
    """The field of one spin has variance 1 / (n (1 - m^2))."""
    errors = PseudoLikelihoodIsing(0.0).fit([[1], [1], [1], [1], [-1], [-1]]).standard_errors()
    m = 1 / 3
    np.testing.assert_allclose(errors.field, 1 / math.sqrt(6 * (1 - m * m)), rtol=1e-9)
    assert errors.coupling.tolist() == [[0.0]]


def test_likelihood_has_the_inverse_fisher_information_in_expectation():
    """All states weighted by their probabilities: the sandwich is the inverse covariance."""
    rng = np.random.default_rng(0)
    p, n = 5, 1000.0
    J = np.triu(rng.normal(0.0, 0.5, (p, p)), 1)
    J, h = J + J.T, rng.normal(0.0, 0.5, p)
    states, chances = ising_distribution(J, h)
    pairs = list(itertools.combinations(range(p), 2))
    T = np.array([[*s, *(s[i] * s[j] for i, j in pairs)] for s in states])
    mean = chances @ T
    fisher = sum(c * np.outer(t - mean, t - mean) for c, t in zip(chances, T))
    expected = np.sqrt(np.diagonal(np.linalg.inv(fisher)) / n)
    model = LikelihoodIsing.from_parameters(J, h)
    errors = model.standard_errors(states, sample_weight=n * chances)
    np.testing.assert_allclose(errors.field, expected[:p], rtol=1e-9)
    np.testing.assert_allclose([errors.coupling[pair] for pair in pairs], expected[p:], rtol=1e-9)
    # Pseudolikelihood cannot be more exact, and with such couplings is nearly as good.
    other = PseudoLikelihoodIsing.from_parameters(J, h)
    errors = other.standard_errors(states, sample_weight=n * chances)
    found = np.append(errors.field, [errors.coupling[pair] for pair in pairs])
    assert 1.0 < (found**2).sum() / (expected**2).sum() < 1.1


# -- what is in the model ----------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["joint", "mean", "and"])
def test_couplings_left_out_are_certain(rule):
    spins, _ = spins_of(n=400, p=6)
    model = PseudoLikelihoodIsing(0.06, l1_ratio=1.0, symmetrize=rule).fit(spins)
    zero = model.coupling_ == 0
    assert 6 < zero.sum() < 36
    errors = model.standard_errors().coupling
    np.testing.assert_array_equal(errors == 0, zero)
    # Those kept are the errors of a model that has no others.
    if rule == "joint":
        alone = PseudoLikelihoodIsing.from_parameters(model.coupling_, model.field_)
        np.testing.assert_allclose(errors, alone.standard_errors(spins).coupling, rtol=1e-9)


def test_refitted_couplings_have_no_penalty():
    spins, _ = spins_of(n=400, p=6)
    model = PseudoLikelihoodIsing(0.06, l1_ratio=0.5, refit=True, tol=1e-10).fit(spins)
    mask = model.coupling_ != 0
    plain = PseudoLikelihoodIsing(0.0, mask=mask, tol=1e-10).fit(spins)
    np.testing.assert_allclose(
        model.standard_errors().coupling, plain.standard_errors().coupling, rtol=1e-6
    )


@pytest.mark.parametrize("cls", [PseudoLikelihoodIsing, InteractionScreeningIsing, PCDIsing])
def test_errors_are_of_the_fit_whatever_is_set_afterwards(cls):
    """Parameters for the next fit do not change the last one, in this process or another."""
    spins, weights = spins_of(n=400, p=5)
    params = {"n_gibbs_steps": "exact"} if cls is PCDIsing else {}
    model = cls(0.05, **params).fit(spins, sample_weight=weights)
    errors = model.standard_errors()
    later = {
        "l1_ratio": 1.0, "alpha": 3.0, "penalize_field": True, "symmetrize": "and", "refit": True,
        "loss": "logrise", "mask": np.zeros((5, 5)),
    }  # fmt: skip
    model.set_params(**{name: later[name] for name in later if name in model.get_params()})
    for same in (model, pickle.loads(pickle.dumps(model))):
        for again in (same.standard_errors(), same.standard_errors(spins, sample_weight=weights)):
            np.testing.assert_allclose(again.coupling, errors.coupling, rtol=1e-12)
            np.testing.assert_allclose(again.field, errors.field, rtol=1e-12)
    sparse = cls(0.3, l1_ratio=1.0, **params).fit(spins)
    left_out = sparse.coupling_ == 0
    assert left_out.sum() > 5
    sparse.set_params(l1_ratio=0.0)
    assert (sparse.standard_errors().coupling[left_out] == 0).all()


@pytest.mark.parametrize("rule", ["joint", "mean"])
def test_rare_columns_have_no_errors(rule):
    spins, _ = spins_of(n=100, p=4)
    spins = np.insert(spins, 2, 1.0, axis=1)
    with pytest.warns(UserWarning, match="constant"):
        model = PseudoLikelihoodIsing(symmetrize=rule).fit(spins)
    errors = model.standard_errors()
    rest = np.delete(spins, 2, axis=1)
    without = PseudoLikelihoodIsing(symmetrize=rule).fit(rest).standard_errors()
    keep = np.array([0, 1, 3, 4])
    np.testing.assert_allclose(errors.coupling[np.ix_(keep, keep)], without.coupling, rtol=1e-4)
    assert np.isnan(errors.field[2]) and np.isnan(errors.coupling[2, keep]).all()
    assert not np.isnan(errors.field[keep]).any()


def test_penalised_fields_have_smaller_errors():
    spins, _ = spins_of()
    free = PseudoLikelihoodIsing(0.5).fit(spins).standard_errors()
    held = PseudoLikelihoodIsing(0.5, penalize_field=True).fit(spins).standard_errors()
    assert (held.field < free.field).all()


# -- invariance --------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "rule"), CASES)
def test_weights_are_repetitions(loss, rule):
    spins, weights = spins_of()
    repeated = np.repeat(spins, weights.astype(int), axis=0)
    model = estimator_of(loss, symmetrize=rule).fit(spins, sample_weight=weights)
    one, other = model.standard_errors(), model.standard_errors(repeated)
    np.testing.assert_allclose(one.coupling, other.coupling, rtol=1e-9)
    np.testing.assert_allclose(one.field, other.field, rtol=1e-9)


@pytest.mark.parametrize("rule", ["joint", "mean"])
def test_codings_orders_and_threads(rule):
    spins, _ = spins_of(n=3000, p=12)
    model = PseudoLikelihoodIsing(symmetrize=rule, n_jobs=1).fit(spins)
    errors = model.standard_errors()
    model.set_params(n_jobs=2)
    np.testing.assert_array_equal(model.standard_errors().coupling, errors.coupling)
    binary = PseudoLikelihoodIsing(symmetrize=rule).fit((spins + 1) / 2)
    np.testing.assert_array_equal(binary.standard_errors().coupling, errors.coupling)
    turned = PseudoLikelihoodIsing(symmetrize=rule, tol=1e-9).fit(spins[::-1, ::-1])
    again = turned.standard_errors().coupling[::-1, ::-1]
    np.testing.assert_allclose(again, errors.coupling, rtol=1e-4)
    narrow = PseudoLikelihoodIsing(symmetrize=rule).fit(spins.astype(np.float32))
    np.testing.assert_allclose(narrow.standard_errors().coupling, errors.coupling, rtol=1e-4)


# -- simulation --------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "rule"), [CASES[0], CASES[1], CASES[2], CASES[6]])
def test_intervals_cover(loss, rule):
    """300 sets of 4,000 rows of 4 spins: z^2 is 1 on average, and |z| < 1.96 in 95 %.

    Data sets are independent, their ten parameters are not, so that the error comes from the
    means of the sets, of standard deviation 0.5 and 0.07: 0.029 and 0.004 for the mean of all.
    A false alarm has rate 2e-6; standard errors that are wrong by a tenth, so that z^2 is 0.83 or
    1.23, are found in 19 of 20 cases.
    """
    rng = np.random.default_rng(5)
    p = 4
    J = np.triu(rng.normal(0.0, 0.4, (p, p)), 1)
    J, h = J + J.T, rng.normal(0.0, 0.3, p)
    states, chances = ising_distribution(J, h)
    upper = np.triu_indices(p, 1)
    z = np.empty((300, p + len(upper[0])))
    for each in z:
        counts = rng.multinomial(4000, chances).astype(float)
        model = estimator_of(loss, alpha=0.0, symmetrize=rule).fit(states, sample_weight=counts)
        errors = model.standard_errors()
        each[:p] = (model.field_ - h) / errors.field
        each[p:] = ((model.coupling_ - J) / np.where(errors.coupling, errors.coupling, 1.0))[upper]
    limit = z_limit()
    for means, expected in (
        ((z**2).mean(axis=1), 1.0),
        ((np.abs(z) < stats.norm.isf(0.025)).mean(axis=1), 0.95),
    ):
        error = means.std(ddof=1) / math.sqrt(len(means))
        assert abs(means.mean() - expected) < limit * error, (means.mean(), error)


# -- complaints --------------------------------------------------------------------------------


def test_what_cannot_be_answered():
    spins, weights = spins_of()
    model = PseudoLikelihoodIsing().fit(spins)
    with pytest.raises(ValueError, match="sample_weight is of the rows of X"):
        model.standard_errors(sample_weight=weights)
    with pytest.raises(ValueError, match="standard_errors needs X"):
        PseudoLikelihoodIsing.from_parameters(np.zeros((2, 2)), np.zeros(2)).standard_errors()
    same = np.hstack([spins, spins[:, :1]])
    J = np.ones((5, 5)) - np.eye(5)
    twins = PseudoLikelihoodIsing.from_parameters(J / 10, np.zeros(5), symmetrize="mean")
    with pytest.raises(ValueError, match="no invertible curvature"):
        twins.standard_errors(same)
    wide = np.ones((200, 200)) - np.eye(200)
    with pytest.raises(ValueError, match="curvatures of 20100 parameters at once"):
        PseudoLikelihoodIsing.from_parameters(wide, np.zeros(200)).standard_errors(np.eye(200))
    J, h = np.zeros((21, 21)), np.zeros(21)
    with pytest.raises(ValueError, match="up to 20 spins, this model has 21"):
        LikelihoodIsing.from_parameters(J, h).standard_errors(np.eye(21))
    with pytest.raises(ValueError, match="NaN"):
        LikelihoodIsing.from_parameters(J, h).standard_errors(np.full((3, 21), np.nan))
