"""Generators: the numbers they state and the rows they draw belong to one distribution."""

import numpy as np
import pytest
import reference

from skebm.datasets import make_bars_and_stripes, make_rbm


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
