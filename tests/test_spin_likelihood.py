"""The likelihood of an Ising model where it is not met through an estimator's scores."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skebm import PCDIsing
from skebm.criteria.spin_likelihood import SpinLikelihood


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_fields_that_do_not_move_are_not_shrunk_by_chains(l1_ratio):
    """A constant column has a field from its counts, penalised or not, exactly or by chains."""
    X = (np.random.default_rng(0).random((500, 4)) < 0.4).astype(float)
    X[:, 3] = 1.0

    def field(**params):
        with pytest.warns(UserWarning, match="field from counts"):
            model = PCDIsing(0.1, l1_ratio=l1_ratio, random_state=0, **params).fit(X)
        return model.field_[3]

    expected = np.log(500.5 / 0.5) / 2.0
    for params in ({}, {"penalize_field": True}):
        assert field(n_gibbs_steps="exact", **params) == pytest.approx(expected, rel=1e-12)
        assert field(n_iter=200, **params) == pytest.approx(expected, rel=1e-12)


def test_threads_of_blas_do_not_matter_to_a_step():
    rng, p = np.random.default_rng(0), 1001
    likelihood = SpinLikelihood(
        rng.uniform(-0.9, 0.9, p), np.zeros((p, p)), np.ones((p, p + 1), bool), 0.0, 0.01, False
    )
    J, slope, h, field_slope = *rng.normal(size=(2, p, p)), *rng.normal(size=(2, p))

    def step(n_threads):
        with threadpool_limits(n_threads, user_api="blas"):
            units = np.ones((p, p)), np.ones(p)
            return likelihood._moved(J, h, slope, field_slope, 0.05, units)

    for one, other in zip(step(1), step(2)):
        np.testing.assert_array_equal(one, other)
