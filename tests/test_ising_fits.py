"""Where fits of Ising models start, and what is said of those that did not arrive."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skebm import (
    InteractionScreeningIsing,
    PCDIsing,
    PseudoLikelihoodIsing,
    RatioMatchingIsing,
)
from skebm.ising import _fit

CONVEX = (PseudoLikelihoodIsing, RatioMatchingIsing, InteractionScreeningIsing)


@pytest.fixture(scope="module")
def rows():
    """(300, 5) of 0 and 1, dependent."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 1)) + rng.normal(size=(300, 5)) > 0).astype(int)


# -- starts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*CONVEX, PCDIsing])
def test_learning_goes_on_from_given_parameters(cls, rows):
    params = {"n_gibbs_steps": "exact"} if cls is PCDIsing else {}
    cold = cls(0.01, **params).fit(rows)
    warm = cls.from_parameters(
        cold.coupling_, cold.field_, alpha=0.01, warm_start=True, **params
    ).fit(rows)
    assert warm.n_iter_ < cold.n_iter_
    np.testing.assert_allclose(warm.coupling_, cold.coupling_, atol=1e-5)
    assert warm.mean_ is not None and warm.standard_errors().field.shape == (5,)


def test_given_parameters_of_another_width_are_no_start(rows):
    model = PseudoLikelihoodIsing.from_parameters(np.zeros((3, 3)), np.zeros(3), warm_start=True)
    cold = PseudoLikelihoodIsing().fit(rows)
    np.testing.assert_array_equal(model.fit(rows).coupling_, cold.coupling_)


# -- what is said ------------------------------------------------------------------------------


def test_a_mask_without_edges_needs_no_advice(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PseudoLikelihoodIsing("ebic", l1_ratio=1.0, mask=np.zeros((5, 5))).fit(rows)
    assert model.n_edges_ == 0


@pytest.mark.parametrize("chosen", [True, False])
def test_every_penalty_of_a_path_is_watched(chosen, rows, monkeypatch):
    follow = _fit.follow_path

    def astray(*args):
        path = follow(*args)
        best = int(np.argmin(path.ebic.sum(axis=1)))
        place = best if chosen else best - 1
        path.solutions[place] = path.solutions[place]._replace(residual=0.5)
        return path

    monkeypatch.setattr(_fit, "follow_path", astray)
    said = "did not converge: after" if chosen else "did not converge everywhere on its path"
    with pytest.warns(ConvergenceWarning, match=rf"{said}.* is 0\.5, tol is 1e-06") as caught:
        model = PseudoLikelihoodIsing("ebic", l1_ratio=1.0, alphas=5).fit(rows)
    assert len(caught) == 1 and (model.kkt_ == 0.5) is chosen


def test_the_selection_before_a_refit_is_watched(rows, monkeypatch):
    minimise, calls = _fit.minimise, []

    def astray(*args):
        calls.append(args)
        solution = minimise(*args)
        return solution._replace(residual=np.nan) if len(calls) == 1 else solution

    monkeypatch.setattr(_fit, "minimise", astray)
    with pytest.warns(ConvergenceWarning, match="before the refit") as caught:
        PseudoLikelihoodIsing(0.1, l1_ratio=1.0, refit=True).fit(rows)
    assert len(calls) == 2 and len(caught) == 1


@pytest.mark.parametrize(
    "params", [{"alpha": 0.0}, {"alpha": 0.02, "l1_ratio": 1.0, "refit": True}]
)
def test_couplings_without_a_finite_optimum_are_named(params):
    """Two columns that are the same; no warning with ridge, or where they differ in some rows."""
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).integers(0, 2, (400, 3))
    X[:, 2] = X[:, 0]
    with pytest.warns(UserWarning, match="columns 'a' and 'c' has grown to"):
        PseudoLikelihoodIsing(**params).fit(pandas.DataFrame(X, columns=list("abc")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PseudoLikelihoodIsing().fit(X)
        X[:40, 2] = 1 - X[:40, 2]
        PseudoLikelihoodIsing(**params).fit(X)
