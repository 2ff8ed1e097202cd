"""NCEEstimator: built-in energies against what else is known, and what it warns of."""

import pickle
import warnings

import numpy as np
import pytest
import reference
import scipy.sparse as sp
import scipy.stats
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning

from skebm import NCEEstimator, PseudoLikelihoodIsing
from skebm.criteria._noise_sample import in_blocks
from skebm.criteria.noise_contrastive import (
    LAPLACE,
    LOGISTIC,
    STUDENT,
    Experts,
    Features,
    Hidden,
    Problem,
    Quadratic,
    Sample,
)
from skebm.energies import BernoulliRBM
from skebm.nce import ICA, RBM, ConditionalNoise, ExponentialFamily, TruncatedGaussian

# -- the criterion -----------------------------------------------------------------------------

P, N_DATA, N_NOISE, NU = 4, 300, 700, 3.0


def quadratic(theta, x):
    b, A = theta[:P], np.zeros((P, P))
    A[np.triu_indices(P)] = theta[P:]
    A += np.triu(A, 1).T
    return -0.5 * np.einsum("ni,ij,nj->n", x, A, x) + x @ b


def couplings(theta, x):
    J = np.zeros((P, P))
    J[np.triu_indices(P, 1)] = theta[P:]
    return x @ theta[:P] + np.einsum("ni,ij,nj->n", x, J, x)


def experts(f, intercept):
    def exponent(theta, x):
        u = x @ theta[: 5 * P].reshape(5, P).T + (theta[5 * P :] if intercept else 0.0)
        return -f(u).sum(axis=1)

    return exponent


def hidden(theta, x):
    W, b, a = np.split(theta, [3 * P, 4 * P])
    return x @ b + np.logaddexp(0.0, x @ W.reshape(3, P).T + a).sum(axis=1)


DF = 4.0
FORMS = {
    "quadratic": (Quadratic(P, diagonal=True), quadratic),
    "couplings": (Quadratic(P, diagonal=False, sign=-1.0), couplings),
    "laplace": (
        Experts(5, P, LAPLACE, False),
        experts(lambda u: np.sqrt(2.0) * np.abs(u), False),
    ),
    "rounded": (
        Experts(5, P, LAPLACE, False).rounded(4)[0],
        experts(lambda u: np.sqrt(2.0 * (u**2 + 0.25**2)), False),
    ),
    "logistic": (
        Experts(5, P, LOGISTIC, True),
        experts(
            lambda u: (
                -scipy.stats.logistic.logpdf(u, scale=np.sqrt(3) / np.pi)
                - np.log(4 * np.sqrt(3) / np.pi)
            ),
            True,
        ),
    ),
    "student": (
        Experts(5, P, STUDENT, True, DF),
        experts(lambda u: -scipy.stats.t.logpdf(u, DF) + scipy.stats.t.logpdf(0.0, DF), True),
    ),
    "hidden": (Hidden(3, P), hidden),
    "features": (Features(P), lambda theta, x: x @ theta),
}


def problem_of(form, rng, l2=0.0, scale=1.0, fixed=0):
    X, Y = rng.normal(size=(N_DATA, P)), rng.normal(size=(N_NOISE, P))
    weights = rng.integers(1, 4, N_DATA).astype(float)
    logs = rng.normal(size=N_DATA), rng.normal(size=N_NOISE)
    sample = Sample.of(X, weights, Y, logs, NU)
    theta = scale * rng.normal(size=form.n_params)
    free = np.arange(form.n_params) >= fixed
    return Problem(form, sample, theta, free, np.full(form.n_params, l2)), (X, Y, weights, logs)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("scale", [0.5, 500.0])
def test_the_loss_is_the_formula(name, scale):
    """Against loops over rows, also where log-odds are hundreds or thousands of nats."""
    form, exponent = FORMS[name]
    problem, (X, Y, weights, logs) = problem_of(form, np.random.default_rng(0), scale=scale)
    c = 0.7 * scale
    point = problem.at(problem.reduce(problem.theta, c))
    expected = reference.contrast(
        exponent(problem.theta, X) + c, exponent(problem.theta, Y) + c, *logs, NU, weights
    )
    assert point.value == pytest.approx(expected, rel=1e-11)
    assert np.isfinite(point.slopes).all()


@pytest.mark.parametrize("name", FORMS)
def test_slopes_are_those_of_the_loss(name):
    """Central differences of loss and penalties; some parameters do not move."""
    problem, _ = problem_of(FORMS[name][0], np.random.default_rng(1), l2=0.3, scale=0.4, fixed=2)
    x = problem.reduce(problem.theta, -0.3)
    slopes = problem.at(x).slopes
    assert len(slopes) == len(problem.theta) - 1
    for j in range(len(x)):
        step = 1e-5 * np.eye(len(x))[j]
        difference = (problem.at(x + step).value - problem.at(x - step).value) / 2e-5
        assert slopes[j] == pytest.approx(difference, abs=2e-8, rel=1e-6)


@pytest.mark.parametrize("name", ["quadratic", "couplings", "features"])
def test_the_information_is_the_curvature(name):
    """Of a convex loss: differences of slopes, and its diagonal."""
    problem, _ = problem_of(FORMS[name][0], np.random.default_rng(2), l2=0.1, scale=0.3, fixed=1)
    x = problem.reduce(problem.theta, 0.2)
    point = problem.at(x)
    found = problem.information(point)
    for j in range(len(x)):
        step = 1e-5 * np.eye(len(x))[j]
        difference = (problem.at(x + step).slopes - problem.at(x - step).slopes) / 2e-5
        np.testing.assert_allclose(found[j], difference, atol=1e-8)
    np.testing.assert_allclose(problem.curvatures(point), found.diagonal(), rtol=1e-10)


@pytest.mark.parametrize("name", FORMS)
def test_products_of_features(name):
    """The Gram of features that differences of energies give, weighted."""
    form, exponent = FORMS[name]
    problem, (X, Y, _, _) = problem_of(form, np.random.default_rng(3), scale=0.5)
    rows, theta = np.vstack([X, Y]), problem.theta
    features = np.ones((len(rows), len(theta) + 1))
    for j in range(len(theta)):
        step = 1e-6 * np.eye(len(theta))[j]
        features[:, j] = (exponent(theta + step, rows) - exponent(theta - step, rows)) / 2e-6
    weights = np.zeros_like(problem.sample.offsets)
    own = np.random.default_rng(4).random(len(rows))
    weights[: problem.sample.n_data].ravel()[:N_DATA] = own[:N_DATA]
    noise = np.zeros(weights[problem.sample.n_data :].size)
    noise[:N_NOISE] = own[N_DATA:]
    weights[problem.sample.n_data :] = noise.reshape(-1, weights.shape[1])
    weights[0].ravel()[:N_DATA] = own[: weights.shape[1]]
    found = form.gram(problem.sample, theta, weights)
    np.testing.assert_allclose(found, (features.T * own) @ features, rtol=1e-5, atol=1e-5)


def test_rows_come_back_from_blocks():
    X = np.random.default_rng(0).normal(size=(700, 3))
    blocks = in_blocks(X)
    assert blocks.shape == (3, 4, 256)
    np.testing.assert_array_equal(blocks[1, :3].T, X[256:512])
    assert (blocks[2, :, 700 - 512 :] == 0).all() and (blocks[2, 3, : 700 - 512] == 1).all()


# -- Gaussians ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    """Rows of four variables with means and scales of their own."""
    rng, p = np.random.default_rng(0), 4
    scale = np.geomspace(0.01, 100.0, p)
    K = np.eye(p) + 0.4 * (np.eye(p, k=1) + np.eye(p, k=-1))
    return rng.multivariate_normal(3.0 * scale, np.linalg.inv(K) * np.outer(scale, scale), 5000)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("standardize", ["auto", False])
def test_a_gaussian_has_the_moments_of_the_rows(real, solver, standardize):
    """Differences are owed to the noise alone: within 4 of the errors it makes."""
    model = NCEEstimator(solver=solver, standardize=standardize, random_state=0).fit(real)
    precision = np.linalg.inv(np.cov(real.T, bias=True))
    expected = np.append(real.mean(axis=0), precision[np.triu_indices(4)])
    errors = np.sqrt(model.params_cov_noise_.diagonal())
    assert (np.abs(model.params_ - expected) < 4 * errors).all()
    assert (errors < 0.5 * model.params_stderr_).all()
    log_z = model.log_partition("exact").value
    assert abs(model.log_partition_.value - log_z) < 4 * model.log_partition_.stderr
    assert model.score(real) == pytest.approx(
        scipy.stats.multivariate_normal(real.mean(axis=0), np.cov(real.T)).logpdf(real).mean(),
        abs=0.05,
    )
    draws = model.sample(4000, random_state=0)
    np.testing.assert_allclose(draws.std(axis=0), real.std(axis=0), rtol=0.08)
    assert model.check_gradient() < 1e-6


def test_solvers_and_units_agree(real):
    newton = NCEEstimator(random_state=0).fit(real)
    for other in ({"solver": "lbfgs", "tol": 1e-8}, {"standardize": False}):
        model = NCEEstimator(random_state=0, **other).fit(real)
        np.testing.assert_allclose(model.params_, newton.params_, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(model.params_stderr_, newton.params_stderr_, rtol=1e-4)
        assert model.log_partition_.value == pytest.approx(newton.log_partition_.value, abs=1e-5)


def test_errors_follow_the_units(real):
    """The delta method: errors of scaled and shifted rows, and of log Z, which gains log scale."""
    scale, shift = np.array([3.0, 0.5, 20.0, 0.1]), np.array([1.0, -50.0, 0.0, 7.0])
    model = NCEEstimator(random_state=0).fit(real)
    other = NCEEstimator(random_state=0).fit(real * scale + shift)
    i, j = np.triu_indices(4)
    factor = np.append(scale, 1 / (scale[i] * scale[j]))
    np.testing.assert_allclose(other.params_stderr_, model.params_stderr_ * factor, rtol=1e-6)
    np.testing.assert_allclose(other.params_[4:], model.params_[4:] * factor[4:], rtol=1e-6)
    gained = other.log_partition_.value - model.log_partition_.value
    assert gained == pytest.approx(np.log(scale).sum(), abs=1e-6)
    assert other.log_partition_.stderr == pytest.approx(model.log_partition_.stderr, rel=1e-6)


def test_the_jacobian_is_that_of_the_report(real):
    from skebm.nce._family import Units
    from skebm.nce._gaussians import DiagonalGaussian, FullGaussian

    rng = np.random.default_rng(0)
    p, mixing = 3, np.tril(rng.normal(size=(3, 3)), -1) + np.diag([1.0, 0.8, 0.5])
    families = (FullGaussian(), DiagonalGaussian(), ICA(), ICA(n_components=4))
    for family, root in [(FullGaussian(), mixing), *((each, None) for each in families)]:
        units = Units(rng.normal(size=p), rng.uniform(0.5, 2.0, p), root)
        theta = 0.1 * rng.normal(size=len(family.names(p)))
        if not isinstance(family, ICA):
            theta[[k for k, name in enumerate(family.names(p)) if "precision" in name]] += 0.2
            full = isinstance(family, FullGaussian)
            theta[p + np.array([0, 3, 5] if full else [0, 1, 2])] += 1.0
        J = family.report(theta, 0.3, units).jacobian()
        for k in range(len(theta) + 1):
            step = 1e-6 * np.eye(len(theta) + 1)[k]
            up, down = (
                family.report(theta + s * step[:-1], 0.3 + s * step[-1], units) for s in (1, -1)
            )
            np.testing.assert_allclose(J[:-1, k], (up.params - down.params) / 2e-6, atol=1e-7)
            rise = (up.log_partition - down.log_partition) / 2e-6
            assert J[-1, k] == pytest.approx(rise, abs=1e-7)
        params = family.report(theta, 0.3, units).params
        np.testing.assert_allclose(family.internal(params, units), theta, atol=1e-12)


def test_a_diagonal_gaussian(real):
    model = NCEEstimator("diagonal_gaussian", random_state=0).fit(real)
    expected = np.append(real.mean(axis=0), 1 / real.var(axis=0))
    assert (np.abs(model.params_ / expected - 1) < 0.1).all()
    log_z = 0.5 * (np.log(2 * np.pi / model.params_[4:])).sum()
    assert abs(model.log_partition_.value - log_z) < 4 * model.log_partition_.stderr


def test_fixed_entries_of_the_precision(real):
    """Pairs without a coupling, and a known location."""
    Z = (real - real.mean(axis=0)) / real.std(axis=0)
    i, j = np.triu_indices(4)
    init = np.append(np.zeros(4), np.where(i == j, 1.0, 0.0))
    fixed = np.append(np.ones(4, bool), j > i + 1)
    model = NCEEstimator(init=init, fixed=fixed, random_state=0).fit(Z)
    assert (model.params_[fixed] == init[fixed]).all() and (model.params_stderr_[fixed] == 0).all()
    free = NCEEstimator(random_state=0).fit(Z)
    assert (np.abs(model.params_ - free.params_)[~fixed] < 4 * free.params_stderr_[~fixed]).all()
    assert (model.params_stderr_ <= 1.001 * free.params_stderr_).all()
    with pytest.raises(ValueError, match="all entries of the location or none"):
        NCEEstimator(init=init, fixed=np.arange(14) == 0).fit(Z)


def test_a_truncated_gaussian():
    rng = np.random.default_rng(0)
    X = rng.normal(1.0, 1.0, size=(20000, 1))
    X = X[X[:, 0] > 0]
    model = NCEEstimator("truncated_gaussian", random_state=0).fit(X)
    assert (np.abs(model.params_ - 1.0) < 4 * model.params_stderr_).all()
    log_z = model.log_partition("exact").value
    assert abs(model.log_partition_.value - log_z) < 4 * model.log_partition_.stderr
    assert model.score_samples([[-0.1], [0.1]])[0] == -np.inf
    assert (model.sample(50, n_gibbs_steps=20, random_state=0) >= 0).all()
    with pytest.raises(ValueError, match="support of the energy, found -1 in column 0"):
        NCEEstimator(TruncatedGaussian()).fit(np.vstack([X, [[-1.0]]]))


def test_a_penalty_shrinks_couplings_alone(real):
    plain, shrunk = (NCEEstimator(l2=l2, random_state=0).fit(real) for l2 in (0.0, 0.3))
    scale = real.std(axis=0)
    i, j = np.triu_indices(4)
    R = [(model.params_[4:] * scale[i] * scale[j]) for model in (plain, shrunk)]
    assert (np.abs(R[1][i + 1 == j]) < 0.7 * np.abs(R[0][i + 1 == j])).all()
    np.testing.assert_allclose(shrunk.params_[:4], plain.params_[:4], atol=0.1 * scale.max())


# -- weights and seeds -------------------------------------------------------------------------


@pytest.mark.parametrize("energy", ["gaussian", "ising", RBM(1)])
def test_weights_are_repetition(real, energy):
    rng = np.random.default_rng(1)
    X = real[:200]
    if energy != "gaussian":
        X = (X + 0.3 * X.std(axis=0) * rng.normal(size=X.shape) > X.mean(axis=0)).astype(float)
    weights = rng.integers(0, 4, len(X))
    weighted = NCEEstimator(energy, random_state=0).fit(X, sample_weight=weights)
    repeated = NCEEstimator(energy, random_state=0).fit(np.repeat(X, weights, axis=0))
    tolerance = 1e-3 if isinstance(energy, RBM) else 1e-7
    np.testing.assert_allclose(weighted.params_, repeated.params_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(weighted.params_stderr_, repeated.params_stderr_, rtol=1e-2)
    assert weighted.log_partition_.value == pytest.approx(repeated.log_partition_.value, abs=1e-3)
    assert weighted.classifier_auc_ == pytest.approx(repeated.classifier_auc_, abs=1e-6)


@pytest.mark.parametrize("energy", ["gaussian", "ica", "ising", RBM(2)])
def test_seeds_and_threads(real, energy):
    X = real if energy in ("gaussian", "ica") else (real > np.median(real, axis=0)).astype(float)
    first = NCEEstimator(energy, noise_ratio=3, max_iter=20, random_state=0, n_jobs=1)
    fits = [first, NCEEstimator(energy, noise_ratio=3, max_iter=20, random_state=0, n_jobs=2),
            NCEEstimator(energy, noise_ratio=3, max_iter=20, random_state=1)]  # fmt: skip
    with pytest.warns() if isinstance(energy, RBM) else _nothing():
        params = [model.fit(X).params_ for model in fits]
    np.testing.assert_array_equal(params[0], params[1])
    assert not np.array_equal(params[0], params[2])
    np.testing.assert_array_equal(*(model.score_samples(X[:99]) for model in fits[:2]))
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.score_samples(X), first.score_samples(X))
    np.testing.assert_array_equal(again.sample(9, random_state=3), first.sample(9, random_state=3))


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize("energy", ["gaussian", "ising"])
def test_the_loss_can_be_had_again(real, energy):
    X = real if energy == "gaussian" else (real > np.median(real, axis=0)) * 2.0 - 1.0
    model = NCEEstimator(energy, random_state=0).fit(X)
    assert model.noise_contrastive_loss(X) == pytest.approx(model.loss_, rel=1e-10)
    blind = np.log(11.0) + 10 * np.log(1.1)
    assert model.loss_ < blind


# -- binary data -------------------------------------------------------------------------------


def test_spins_agree_with_pseudolikelihood_and_exact_log_z():
    """Within 4 errors of the noise and of what pseudolikelihood loses."""
    rng, p = np.random.default_rng(0), 6
    J = np.triu(rng.normal(0, 0.4, (p, p)), 1)
    J, h = J + J.T, rng.normal(0, 0.3, p)
    states = reference.all_spins(p)
    X = states[rng.choice(2**p, 20000, p=reference.ising_probabilities(J, h))]
    truth = np.append(h, J[np.triu_indices(p, 1)])
    model = NCEEstimator("ising", random_state=0).fit(X)
    assert (np.abs(model.params_ - truth) < 4 * model.params_stderr_).all()
    assert (model.params_stderr_ < 0.03).all()
    other = PseudoLikelihoodIsing(0.0).fit(X)
    found = np.append(other.field_, other.coupling_[np.triu_indices(p, 1)])
    errors = np.sqrt(model.params_cov_noise_.diagonal()) + 0.1 * model.params_stderr_
    assert (np.abs(model.params_ - found) < 4 * errors).all()
    exact = model.log_partition("exact").value
    assert abs(model.log_partition_.value - exact) < 4 * model.log_partition_.stderr < 0.1
    assert model.param_names_[:1] == ["field[0]"] and model.param_names_[-1] == "coupling[4,5]"
    bits = NCEEstimator("ising", random_state=0).fit((X + 1) / 2)
    np.testing.assert_allclose(bits.params_, model.params_, rtol=1e-9)
    assert set(np.unique(model.sample(50, n_gibbs_steps=20, random_state=0))) == {-1.0, 1.0}
    assert set(np.unique(bits.sample(50, n_gibbs_steps=20, random_state=0))) == {0.0, 1.0}
    assert np.exp(model.score_samples(states)).sum() == pytest.approx(1.0, abs=0.05)


def test_an_rbm_against_enumeration():
    """log p of all states of a model of 6 units, learned from them with their probabilities."""
    rng = np.random.default_rng(0)
    W, b, c = rng.normal(0, 1.0, (2, 6)), rng.normal(0, 0.5, 6), rng.normal(0, 0.5, 2)
    p = reference.probabilities(W, b, c)
    p, states = p / p.sum(), reference.all_states(6)
    X = states[rng.choice(64, 20000, p=p)]
    model = NCEEstimator(RBM(2), random_state=0).fit(X)
    exact = model.log_partition("exact").value
    # The error of log Z is mostly that of parameters, with which it moves.
    assert abs(model.log_partition_.value - exact) < 0.03 < model.log_partition_.stderr
    assert exact == pytest.approx(BernoulliRBM(*_rbm_of(model)).exact_log_partition())
    q = np.exp(model.score_samples(states))
    # Twice the divergence times rows has some 20 degrees of freedom: 60 is one in 10^5.
    assert 2 * 20000 * (p * np.log(p / q)).sum() + 2 * 20000 * (q.sum() - 1) < 60
    assert abs(q.sum() - 1) < 0.03


def _rbm_of(model):
    W, b, c = np.split(model.params_, [12, 18])
    return W.reshape(2, 6), b, c


def test_binary_codes_are_checked():
    X = np.array([[0.0, 1.0], [1.0, 0.5]])
    with pytest.raises(ValueError, match=r"0 and 1, or -1 and 1, .* found 0\.5 in column 1"):
        NCEEstimator("ising").fit(X)
    model = NCEEstimator("ising", random_state=0).fit(
        np.random.default_rng(0).integers(0, 2, (50, 2))
    )
    with pytest.raises(ValueError, match="must hold 0 and 1 as the training data, found -1"):
        model.score_samples([[-1.0, 1.0]])


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csc_array, sp.coo_array])
@pytest.mark.parametrize("energy", ["ising", RBM(2)], ids=["ising", "rbm"])
def test_sparse_bits_are_those_of_a_dense_table(energy, container):
    X = np.random.default_rng(0).integers(0, 2, (60, 3))
    dense, sparse = (NCEEstimator(energy, noise_ratio=2, max_iter=5, random_state=0) for _ in "ab")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        dense.fit(X), sparse.fit(container(X))
    np.testing.assert_array_equal(sparse.params_, dense.params_)
    np.testing.assert_array_equal(sparse.score_samples(container(X)), dense.score_samples(X))
    assert sparse.__sklearn_tags__().input_tags.sparse


def test_sparse_tables_of_real_numbers_are_refused():
    """Their zeros would be numbers like others."""
    assert not NCEEstimator().__sklearn_tags__().input_tags.sparse
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        NCEEstimator().fit(sp.csr_array(np.eye(6)))
    with pytest.raises(ValueError, match=r"0 and 1, or -1 and 1, .* found 0\.5 in column 1"):
        NCEEstimator("ising").fit(sp.csr_array([[0.0, 1.0], [1.0, 0.5]]))


def test_one_spin_is_a_logit():
    """Of two states with counts, against uniform noise."""
    model = NCEEstimator("ising", noise="uniform", noise_ratio=200, random_state=0)
    model.fit([[0.0], [1.0]], sample_weight=[30.0, 70.0])
    assert model.params_[0] == pytest.approx(0.5 * logit(0.7), abs=0.02)
    expected = 0.5 / np.sqrt(100 * 0.21)
    assert np.sqrt(model.params_cov_data_[0, 0]) == pytest.approx(expected, rel=0.05)


# -- exponential families and experts ----------------------------------------------------------


def squares(X):
    return np.hstack([X, X**2])


def test_an_exponential_family_is_the_gaussian(real):
    Z = (real[:, :2] - real[:, :2].mean(axis=0)) / real[:, :2].std(axis=0)
    family = NCEEstimator(ExponentialFamily(squares), random_state=0).fit(Z)
    diagonal = NCEEstimator("diagonal_gaussian", random_state=0).fit(Z)
    scores = (model.score_samples(Z) for model in (family, diagonal))
    np.testing.assert_allclose(*(each - each[0] for each in scores), atol=1e-8)
    losses = (model.noise_contrastive_loss(Z) for model in (family, diagonal))
    assert next(losses) == pytest.approx(next(losses), rel=1e-12)
    np.testing.assert_allclose(-2 * family.params_[2:], diagonal.params_[2:], rtol=1e-8)


@pytest.mark.filterwarnings("ignore:.*largest slope")
def test_experts_more_than_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_t(4, size=(3000, 2)) @ np.array([[1.0, 0.3], [0.0, 1.0]])
    few = NCEEstimator(ICA("student_t"), random_state=0).fit(X)
    many = NCEEstimator(ICA("student_t", n_components=4), random_state=0).fit(X)
    assert many.loss_ < few.loss_ + 1e-6
    draws, ess = many.sample(500, random_state=0, return_ess=True)
    assert draws.shape == (500, 2) and 500 < ess < 10000
    with pytest.raises(ValueError, match="n_components must be at least the number of columns, 2"):
        NCEEstimator(ICA(n_components=1)).fit(X)


@pytest.mark.parametrize("expert", ["laplace", "logistic", "student_t"])
def test_draws_of_components_are_those_of_the_model(expert):
    """Mean log-likelihood of draws against that of the training rows, which know it to 1 %."""
    rng = np.random.default_rng(0)
    draws = {
        "laplace": rng.laplace, "logistic": rng.logistic,
        "student_t": lambda size: rng.standard_t(5, size),
    }  # fmt: skip
    sources = draws[expert](size=(6000, 2))
    X = sources @ rng.normal(size=(2, 2)) + [5.0, -3.0]
    model = NCEEstimator(ICA(expert), random_state=0).fit(X)
    draws = model.sample(6000, random_state=1)
    assert model.score(draws) == pytest.approx(model.score(X), abs=0.1)
    np.testing.assert_allclose(np.median(draws, axis=0), np.median(X, axis=0), atol=0.2)


# -- conditional noise -------------------------------------------------------------------------


def test_conditional_noise_learns_the_same(real):
    Z = real / real.std(axis=0)
    model = NCEEstimator(noise="conditional", random_state=0).fit(Z)
    precision = np.linalg.inv(np.cov(Z.T, bias=True))
    expected = np.append(Z.mean(axis=0), precision[np.triu_indices(4)])
    assert (np.abs(model.params_ - expected) < 4 * model.params_stderr_).all()
    assert (model.params_stderr_ < 0.1).all()
    exact = model.log_partition("exact").value
    assert abs(model.log_partition_.value - exact) < 4 * model.log_partition_.stderr < 0.4
    assert model.log_partition_.method == "importance"
    assert model.noise_contrastive_loss(Z) == pytest.approx(model.loss_, rel=1e-9)


def test_small_steps_are_score_matching():
    """Ceylan and Gutmann: for steps of no length the precision is the inverse of the covariance.

    Steps of a tenth of the rows' spread, 400 for each of 500 rows, leave errors of noise of some
    2 %, where the data's own are 6 %.
    """
    X = np.random.default_rng(0).normal(size=(500, 1)) * 2.0
    model = NCEEstimator(noise=ConditionalNoise(0.1), noise_ratio=400, random_state=0).fit(X)
    assert model.params_[1] == pytest.approx(1 / X.var(), rel=0.08)


def test_errors_of_conditional_noise_are_those_of_repeated_fits():
    """Variances of 300 fits: known to 8 %, and compared within 30 %."""
    rng, found, errors = np.random.default_rng(0), [], []
    for seed in range(300):
        X = rng.normal(size=(300, 1))
        model = NCEEstimator(noise="conditional", noise_ratio=3, random_state=seed).fit(X)
        found.append([*model.params_, model.log_partition_.value])
        errors.append([*model.params_stderr_, model.log_partition_.stderr])
    ratio = np.std(found, axis=0) / np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(ratio, 1.0, atol=0.15)


# -- warnings ----------------------------------------------------------------------------------


def test_separated_data_warn():
    """Data at a distance that noise of their own choice never covers."""
    X = np.random.default_rng(0).normal(size=(50, 2))
    far = scipy.stats.norm(100.0, 0.1)
    with pytest.warns(ConvergenceWarning, match="separated.*noise_inflation.*l2"):
        model = NCEEstimator(noise=far, random_state=0).fit(X)
    assert not model.log_partition_.converged and model.classifier_auc_ == 1.0


def test_a_chasm_warns():
    """Rows of variance 1e-12 against noise of variance 1: one ratio is not enough."""
    X = 1e-6 * np.random.default_rng(0).normal(size=(1000, 1))
    with pytest.warns(UserWarning, match="(AUC .*chasm|separated).*mixture"):
        model = NCEEstimator(noise=scipy.stats.norm(), random_state=0).fit(X)
    assert model.classifier_auc_ > 0.99 and not model.log_partition_.converged


def test_too_few_steps_warn(real):
    with pytest.warns(ConvergenceWarning, match="after max_iter=1 steps"):
        NCEEstimator(ICA(), max_iter=1, random_state=0).fit(real)


def test_draws_without_enough_rows_behind_them_warn():
    X = np.random.default_rng(0).normal(size=(300, 12))
    model = NCEEstimator(
        ExponentialFamily(squares), noise=scipy.stats.norm(scale=3.0), random_state=0
    ).fit(X)
    with pytest.warns(UserWarning, match="2000 are asked for, but the effective number"):
        model.sample(2000, random_state=0)


def test_constant_columns_are_named():
    X = np.random.default_rng(0).normal(size=(50, 2))
    X[:, 1] = 3.0
    with pytest.raises(ValueError, match="column 1 of X is constant"):
        NCEEstimator().fit(X)


def test_noise_that_does_not_cover_the_data_is_named():
    X = np.random.default_rng(0).normal(size=(50, 1))
    with pytest.raises(ValueError, match=r"finite, found -inf in row \d+.*cover"):
        NCEEstimator(noise=scipy.stats.uniform(-0.1, 0.2)).fit(X)
