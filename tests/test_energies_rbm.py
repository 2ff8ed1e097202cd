"""The energy of a Bernoulli RBM and its Gibbs kernels against enumeration."""

import numpy as np
import pytest
import reference

from skebm._bits import pack
from skebm.energies import BernoulliRBM, IndependentBernoulli

KEY = np.array([2024, 11], dtype=np.uint32)


def random_parameters(seed, n_visible, n_hidden, scale=1.0, dtype=np.float64):
    """Asymmetric on purpose: no unit is like another and biases do not cancel weights."""
    rng = np.random.default_rng(seed)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    W, b, c = (rng.normal(0.3, scale, shape).astype(dtype) for shape in shapes)
    return W, b, c


def random_rows(seed, n, n_visible, dtype=np.float64):
    return (np.random.default_rng(seed).random((n, n_visible)) < 0.4).astype(dtype)


def rounding(parameters, n_terms):
    """Bound on the rounding of sums over all parameters in their own precision."""
    W, b, c = parameters
    size = sum(np.abs(array).sum(dtype=float) for array in (W, b, c)) + n_terms
    return 4 * np.finfo(W.dtype).eps * size


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_visible, n_hidden", [(1, 1), (33, 65), (129, 40), (64, 64)])
def test_packed_rows_are_the_same_rows(n_visible, n_hidden, dtype):
    """Densities of packed rows beside those of dense ones, with lists and with tables."""
    energy = BernoulliRBM(*random_parameters(3, n_visible, n_hidden, dtype=dtype))
    rng = np.random.default_rng(0)
    X = (rng.random((90, n_visible)) < rng.random((90, 1))).astype(dtype)
    base = energy.base(rng.uniform(0.1, 0.9, n_visible))
    eps = 100 * n_visible * np.finfo(dtype).eps
    for method in (
        energy.energy,
        energy.hidden_probability,
        lambda X: energy.log_path(X, 0.3, base),
    ):
        assert np.allclose(method(pack(X)), method(X), rtol=eps, atol=eps)
    for integers in (np.uint8, np.uint32, np.int64):
        assert (energy.energy(X.astype(integers)) == energy.energy(X)).all()


def test_plain_python_gives_the_same_chains(run_python):
    """Without compilation every slice is checked: nothing reads or writes beyond its array."""
    code = """
import numpy as np
from skebm import CDRBM, PCDRBM, RdmRBM
rng = np.random.default_rng(0)
for V, H, n, dtype in [(1, 1, 1, "f4"), (33, 3, 5, "f8"), (3, 33, 2, "f4"), (65, 64, 7, "f4")]:
    X = (rng.random((6, V)) < 0.4).astype(dtype)
    for cls in (CDRBM, PCDRBM, RdmRBM):
        model = cls(H, n_iter=1, batch_size=4, n_gibbs_steps=1, random_state=0).fit(X)
        print(*model.components_.ravel()[:9].round(5), model.sample(n, n_gibbs_steps=2,
              random_state=0).sum(), *model.free_energy(X).round(3))
        print(round(float(model.log_partition("ais", n_chains=n, n_temperatures=3,
              random_state=0)), 3))
"""
    plain, compiled = (
        run_python(code, NUMBA_DISABLE_JIT=flag, PYTHONWARNINGS="ignore") for flag in ("1", "0")
    )
    numbers = [np.array(done.stdout.split(), dtype=float) for done in (plain, compiled)]
    assert len(numbers[0]) > 100
    assert np.allclose(*numbers, atol=2e-3)


SIZES = [(1, 1), (5, 1), (1, 6), (4, 7), (7, 4), (20, 12)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_visible, n_hidden", SIZES)
def test_densities_and_conditionals(n_visible, n_hidden, dtype):
    parameters = random_parameters(n_visible, n_visible, n_hidden, dtype=dtype)
    W, b, c = parameters
    energy, error = BernoulliRBM(*parameters), rounding(parameters, n_hidden)
    V, H = random_rows(1, 5, n_visible), random_rows(2, 5, n_hidden)

    expected = [reference.free_energy(*parameters, v) for v in V]
    assert np.abs(energy.energy(V) - expected).max() < error
    assert energy.energy(V).dtype == np.float64
    expected = [reference.joint_energy(*parameters, v, h) for v, h in zip(V, H)]
    assert np.abs(energy.joint_energy(V, H) - expected).max() < error
    hidden, visible = energy.hidden_probability(V), energy.visible_probability(H)
    assert hidden.dtype == visible.dtype == dtype
    expected = np.array([reference.hidden_probability(W, c, v) for v in V])
    assert np.abs(hidden - expected).max() < error
    expected = np.array([reference.visible_probability(W, b, h) for h in H])
    assert np.abs(visible - expected).max() < error


def test_conditionals_are_those_of_the_joint_energy():
    """P(h_j = 1 | v) and P(v_i = 1 | h) from sums of e^{-E(v, h)}, not from a sigmoid."""
    parameters = random_parameters(0, 3, 4)
    energy = BernoulliRBM(*parameters)
    V, H = reference.all_states(3), reference.all_states(4)
    joint = np.exp([[-reference.joint_energy(*parameters, v, h) for h in H] for v in V])
    expected = joint @ H / joint.sum(axis=1, keepdims=True)
    assert np.allclose(energy.hidden_probability(V), expected, rtol=1e-12)
    expected = joint.T @ V / joint.sum(axis=0)[:, None]
    assert np.allclose(energy.visible_probability(H), expected, rtol=1e-12)


@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 1000])
def test_rows_are_independent_of_their_company(n_rows):
    """Chunks of rows, whole and ragged, and both twins of the kernels give what one row gives."""
    energy = BernoulliRBM(*random_parameters(0, 37, 150))
    V = random_rows(1, n_rows, 37)
    for method in (energy.energy, energy.log_pseudolikelihood, energy.hidden_probability):
        alone = np.concatenate([method(V[:1]), method(V[-1:])])
        assert np.allclose(method(V)[[0, -1]], alone, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log_path(beta, dtype):
    parameters = random_parameters(3, 6, 5, dtype=dtype)
    base = IndependentBernoulli(np.random.default_rng(0).normal(0, 1, 6))
    V = reference.all_states(6)
    computed = BernoulliRBM(*parameters).log_path(V, beta, base)
    expected = [reference.log_path(*parameters, base.field, beta, v) for v in V]
    assert np.abs(computed - expected).max() < rounding(parameters, 10)
    if beta == 0.0:  # the base is normalised
        assert np.exp(computed).sum() == pytest.approx(1.0, abs=rounding(parameters, 10))


def test_base():
    energy = BernoulliRBM(*random_parameters(3, 6, 5))
    assert (energy.base().field == energy.intercept_visible).all()
    means = np.linspace(0.1, 0.9, 6)
    base, V = energy.base(means), reference.all_states(6)
    p = np.exp(base.log_density(V))
    assert p.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.allclose(p @ V, means, rtol=1e-12)


def test_base_sample():
    """Draws have the density: Pearson's test over 32 states, alpha = 1e-6, finds TV 0.02."""
    base, n = IndependentBernoulli([-1.0, 0.5, 0.0, 2.0, -0.3]), 100_000
    p = np.exp(base.log_density(reference.all_states(5)))
    counts = reference.state_counts(base.sample(n, (1, 2, 3, 4)))
    assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    assert reference.detected_variation(n, 32) < 0.02


@pytest.mark.parametrize("n_visible, n_hidden", [(5, 3), (3, 5), (20, 12)])
def test_gradient_by_central_differences(n_visible, n_hidden):
    """Each partial derivative of the weighted sum of free energies, step 1e-5, error O(1e-9)."""
    parameters = random_parameters(1, n_visible, n_hidden)
    X = random_rows(1, 4, n_visible)
    weights = np.array([0.5, -1.0, 2.0, 0.25])
    computed = BernoulliRBM(*parameters).gradient(X, weights)
    flat = np.concatenate([array.ravel() for array in parameters])

    def total(theta):
        W, b, c = np.split(theta, [n_hidden * n_visible, n_hidden * n_visible + n_visible])
        model = W.reshape(n_hidden, n_visible), b, c
        return sum(w * reference.closed_free_energy(*model, x) for w, x in zip(weights, X))

    chosen = np.random.default_rng(0).permutation(flat.size)[:60]
    for index in chosen:
        step = np.zeros_like(flat)
        step[index] = 1e-5
        expected = (total(flat + step) - total(flat - step)) / 2e-5
        assert computed[index] == pytest.approx(expected, abs=1e-7)


def test_gradient_of_log_partition():
    """d log Z = E[d log p~], both exactly: central differences against the model's moments."""
    parameters = random_parameters(4, 5, 4)
    p = reference.probabilities(*parameters)
    expected = -BernoulliRBM(*parameters).gradient(reference.all_states(5), p)
    flat = np.concatenate([array.ravel() for array in parameters])

    def log_partition(theta):
        return reference.log_partition(theta[:20].reshape(4, 5), theta[20:25], theta[25:])

    for index in range(flat.size):
        step = np.zeros_like(flat)
        step[index] = 1e-5
        slope = (log_partition(flat + step) - log_partition(flat - step)) / 2e-5
        assert slope == pytest.approx(expected[index], abs=1e-8)


# -- log Z by enumeration ----------------------------------------------------------------------


def test_twins_agree_on_log_partition():
    parameters = random_parameters(0, 4, 6)
    joint = reference.joint_log_partition(*parameters)
    assert reference.log_partition(*parameters) == pytest.approx(joint, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 3.0, 10.0, 20.0])
def test_log_partition_of_random_models(scale, dtype):
    """float32 weights are numbers like others: log Z of them is just as exact."""
    sizes = [(1, 1), (1, 7), (9, 1), (3, 5), (5, 3), (8, 8), (30, 4), (4, 30), (200, 3), (7, 9)]
    for seed, (n_visible, n_hidden) in enumerate(sizes):
        parameters = random_parameters(seed, n_visible, n_hidden, scale, dtype)
        computed = BernoulliRBM(*parameters).exact_log_partition()
        expected = reference.log_partition(*parameters)
        assert computed == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_visible, n_hidden", [(20, 12), (12, 20), (20, 16)])
def test_log_partition_by_the_larger_layer(n_visible, n_hidden):
    """2^20 states of the larger layer: the other sum, and many Gray-code chunks of the first."""
    parameters = random_parameters(5, n_visible, n_hidden, 0.7)
    W, b, c = parameters if n_visible == 20 else (parameters[0].T, parameters[2], parameters[1])
    states = ((np.arange(2**20)[:, None] >> np.arange(20)) & 1).astype(float)
    values = states @ b
    for row, bias in zip(W, c):
        values += np.logaddexp(0.0, states @ row + bias)
    largest = values.max()
    expected = largest + np.log(np.exp(values - largest).sum())
    computed = BernoulliRBM(*parameters).exact_log_partition()
    assert computed == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [200.0, 1e3])
@pytest.mark.parametrize("n_visible, n_hidden", [(7, 9), (9, 7), (1, 3), (3, 1)])
def test_extreme_weights(size, n_visible, n_hidden):
    """Far beyond where e^x overflows, everything is finite and right."""
    rng = np.random.default_rng(0)
    shapes = (n_hidden, n_visible), n_visible, n_hidden
    parameters = [rng.choice([-size, size], shape) + rng.normal(0, 1, shape) for shape in shapes]
    energy, V = BernoulliRBM(*parameters), reference.all_states(n_visible)
    expected = reference.log_partition(*parameters)
    assert energy.exact_log_partition() == pytest.approx(expected, rel=1e-12)
    expected = [reference.closed_free_energy(*parameters, v) for v in V]
    assert np.allclose(energy.energy(V), expected, rtol=1e-12)
    expected = [reference.log_pseudolikelihood(*parameters, v) for v in V]
    assert np.allclose(energy.log_pseudolikelihood(V), expected, rtol=1e-12, atol=1e-9)
    probability = energy.hidden_probability(V)
    assert ((0 <= probability) & (probability <= 1)).all()


# -- pseudolikelihood --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0, 300.0, 1e3])
def test_log_pseudolikelihood(scale, dtype):
    """From products of many factors to the fallback that takes one logarithm each."""
    for seed, (n_visible, n_hidden) in enumerate([(1, 1), (6, 1), (1, 6), (5, 70), (12, 8)]):
        parameters = random_parameters(seed, n_visible, n_hidden, scale, dtype)
        V = random_rows(seed, 8, n_visible)
        computed = BernoulliRBM(*parameters).log_pseudolikelihood(V)
        expected = np.array([reference.log_pseudolikelihood(*parameters, v) for v in V])
        error = rounding(parameters, n_hidden) * n_visible
        assert np.abs(computed - expected).max() < error


def test_log_pseudolikelihood_is_made_of_conditionals():
    """Sum of log p(v_i | rest) from the enumerated joint distribution."""
    parameters = random_parameters(8, 6, 4)
    V, p = reference.all_states(6), reference.probabilities(*parameters)
    total = np.zeros(64)
    for i in range(6):
        flipped = np.arange(64) ^ 2 ** (5 - i)
        total += np.log(p / (p + p[flipped]))
    assert np.allclose(BernoulliRBM(*parameters).log_pseudolikelihood(V), total, rtol=1e-11)


# -- Gibbs kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_chains", [3, 130])
def test_sweeps_are_the_twin_bit_for_bit(n_chains, dtype):
    """Three sweeps, a temperature for each chain, a base, a first chain and a first step."""
    parameters = random_parameters(2, 7, 5, dtype=dtype)
    base = IndependentBernoulli(np.linspace(-1, 1, 7).astype(dtype))
    beta = np.linspace(0, 1, n_chains)
    X = random_rows(0, n_chains, 7, dtype)
    expected = X.copy()
    for chain in range(n_chains):
        for step in (40, 41, 42):
            expected[chain] = reference.addressed_sweep(
                *parameters, base.field, beta[chain], expected[chain], KEY, 500 + chain, step,
                single=dtype == np.float32,
            )  # fmt: skip
    BernoulliRBM(*parameters).sweep(X, beta, base, KEY, step=40, n_sweeps=3, first_chain=500)
    assert X.dtype == dtype
    assert (X == expected).all()


def test_sweeps_may_be_cut_anywhere():
    energy = BernoulliRBM(*random_parameters(2, 7, 5))
    whole, parts = random_rows(0, 200, 7), random_rows(0, 200, 7)
    energy.sweep(whole, 1.0, None, KEY, n_sweeps=5)
    energy.sweep(parts[:70], 1.0, None, KEY, n_sweeps=2)
    energy.sweep(parts[:70], 1.0, None, KEY, step=2, n_sweeps=3)
    energy.sweep(parts[70:], 1.0, None, KEY, n_sweeps=5, first_chain=70)
    assert (whole == parts).all()


@pytest.mark.parametrize("beta", [1.0, 0.5])
@pytest.mark.parametrize("n_sweeps", [1, 4])
def test_stationarity(beta, n_sweeps):
    """Exact draws stay exact draws: Pearson's test over 128 states at alpha = 1e-6.

    With 200,000 chains it finds a total variation of 0.018 but for one case in 10^6. The model
    is asymmetric and its base far from it, so a wrong field, base or temperature moves more.
    """
    n, parameters = 200_000, random_parameters(6, 7, 5, 0.8)
    base = IndependentBernoulli([1.0, -1.0, 0.5, 0.0, -2.0, 0.3, 1.5])
    p = reference.path_probabilities(*parameters, base.field, beta)
    start = np.random.default_rng(0).choice(128, n, p=p)
    X = reference.all_states(7)[start]
    BernoulliRBM(*parameters).sweep(X, beta, base, KEY, n_sweeps=n_sweeps)
    assert (X != reference.all_states(7)[start]).any(axis=1).mean() > 0.5
    assert reference.chi_square_p_value(reference.state_counts(X), p) > reference.ALPHA
    assert reference.detected_variation(n, 128) < 0.018


@pytest.mark.parametrize("wrong_beta", [0.48, 0.52])
def test_stationarity_has_power(wrong_beta):
    """A temperature wrong by 4 % fails the test above."""
    n, parameters = 200_000, random_parameters(6, 7, 5, 0.8)
    base = IndependentBernoulli([1.0, -1.0, 0.5, 0.0, -2.0, 0.3, 1.5])
    p = reference.path_probabilities(*parameters, base.field, 0.5)
    X = reference.all_states(7)[np.random.default_rng(0).choice(128, n, p=p)]
    BernoulliRBM(*parameters).sweep(X, wrong_beta, base, KEY, n_sweeps=4)
    assert reference.chi_square_p_value(reference.state_counts(X), p) < reference.ALPHA


def test_clamped_sweeps():
    """Gibbs with known units leaves p(unknown | known) invariant and the known untouched.

    32 states of 5 unknown units, 200,000 chains, alpha = 1e-6: finds total variation 0.014. The
    returned P(v = 1 | h) has the conditional's mean within 5 standard errors (alpha 4e-6 over
    five units), of 0.001 at most.
    """
    n, parameters = 200_000, random_parameters(7, 8, 5, 0.8)
    pattern = np.array([np.nan, 1, np.nan, np.nan, 0, np.nan, 1, np.nan])
    unknown = np.isnan(pattern)
    states, p = reference.all_states(8), reference.probabilities(*parameters)
    agrees = (states[:, ~unknown] == pattern[~unknown]).all(axis=1)
    states, p = states[agrees], p[agrees] / p[agrees].sum()
    X = states[np.random.default_rng(0).choice(32, n, p=p)]
    mean = BernoulliRBM(*parameters).sweep_clamped(X, np.tile(pattern, (n, 1)), KEY, n_sweeps=2)
    assert (X[:, ~unknown] == pattern[~unknown]).all()
    counts = reference.state_counts(X[:, unknown])
    assert reference.chi_square_p_value(counts, p) > reference.ALPHA
    assert reference.detected_variation(n, 32) < 0.014
    stderr = mean[:, unknown].std(axis=0) / np.sqrt(n)
    deviation = mean[:, unknown].mean(axis=0) - p @ states[:, unknown]
    assert (stderr < 0.001).all()
    assert (np.abs(deviation) < reference.z_limit(5) * stderr).all()
