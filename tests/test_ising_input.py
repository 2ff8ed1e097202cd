"""What Ising estimators take as data: holes in every container, codes, and what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skebm import (
    PCDRBM,
    InteractionScreeningIsing,
    PCDIsing,
    PseudoLikelihoodIsing,
    RatioMatchingIsing,
)

CONVEX = (PseudoLikelihoodIsing, RatioMatchingIsing, InteractionScreeningIsing)


@pytest.fixture(scope="module")
def holed():
    """(120, 5) of 0 and 1, dependent, with NaN in one of six rows."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(120, 1)) + rng.normal(size=(120, 5)) > 0).astype(float)
    X[::6, 2] = np.nan
    return X


# -- unknown entries ---------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CONVEX)
def test_unknown_entries_are_so_in_every_container(cls, holed):
    plain = cls(0.02).fit(holed)
    frame = pd.DataFrame(holed)
    nullable = frame.astype("Int64")
    assert nullable.isna().to_numpy().sum() == 20
    objects = frame.astype(object).where(frame.notna(), None)
    for X in (
        sp.csr_array(holed), sp.csc_array(holed), np.asfortranarray(holed), frame, nullable,
        frame.astype("boolean"), objects, 2 * np.asfortranarray(holed) - 1,
    ):  # fmt: skip
        model = cls(0.02).fit(X)
        np.testing.assert_array_equal(model.coupling_, plain.coupling_)
        np.testing.assert_array_equal(model.field_, plain.field_)


@pytest.mark.parametrize("spins", [False, True])
def test_questions_about_sparse_rows_with_unknown_entries(spins, holed):
    dense = 2 * holed - 1 if spins else holed
    model = PseudoLikelihoodIsing(0.02, random_state=0).fit(dense)
    stored = sp.csr_array(dense)
    for method in ("conditional_probability", "log_pseudolikelihood", "ratio_matching_loss"):
        np.testing.assert_array_equal(getattr(model, method)(stored), getattr(model, method)(dense))
    for method in ("impute", "conditional_sample"):
        ask = getattr(model, method)
        found, expected = (ask(X, n_gibbs_steps=5, random_state=0) for X in (stored, dense))
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        model.moment_check(stored).z_correlation, model.moment_check(dense).z_correlation
    )


def test_sparse_unknown_entries_are_refused_where_rows_must_be_complete(holed):
    stored = sp.csr_array(holed)
    with pytest.raises(ValueError, match="PCDIsing: X contains NaN in column 2"):
        PCDIsing().fit(stored)
    model = PseudoLikelihoodIsing().fit(holed)
    for ask in (model.score_samples, model.gibbs):
        with pytest.raises(ValueError, match="X contains NaN in column 2"):
            ask(stored)


def test_machines_that_take_probabilities_impute_binary_rows_too(holed):
    """Without a threshold NaN beside 0 and 1 alone was once taken for 0."""
    complete = np.nan_to_num(holed)
    by_threshold, without = (
        PCDRBM(3, n_iter=2, binarize=binarize, random_state=0).fit(complete)
        for binarize in (0.5, None)
    )
    found, expected = (
        model.impute(holed, n_gibbs_steps=5, random_state=0) for model in (without, by_threshold)
    )
    np.testing.assert_array_equal(found, expected)
    assert ((found[::6, 2] > 0) & (found[::6, 2] < 1)).all()


# -- codes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("binarize", [0.5, None])
def test_sparse_spins_without_zeros_are_spins(binarize):
    rng = np.random.default_rng(0)
    spins = np.where(rng.random((80, 4)) < 0.5, -1.0, 1.0)
    plain = PseudoLikelihoodIsing(0.02).fit(spins)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PseudoLikelihoodIsing(0.02, binarize=binarize).fit(sp.csr_array(spins))
    np.testing.assert_array_equal(model.coupling_, plain.coupling_)
    assert set(np.unique(model.sample(20, random_state=0))) == {-1, 1}


def test_zeros_that_are_not_stored_are_found():
    spins = np.where(np.random.default_rng(0).random((80, 4)) < 0.5, -1.0, 1.0)
    spins[7, 2] = 0.0
    with pytest.raises(ValueError, match=r"with binarize=None, found 0 in column 2\."):
        PseudoLikelihoodIsing(binarize=None).fit(sp.csr_array(spins))
    with pytest.warns(UserWarning, match="X mixes -1, 0 and 1"):
        PseudoLikelihoodIsing().fit(sp.csr_array(spins))


# -- what is known of no row -------------------------------------------------------------------


def holes_of(kind):
    """Every row lacks one of three columns, or columns 0 and 1 are never known together."""
    X = np.random.default_rng(1).integers(0, 2, (60, 3)).astype(float)
    X[np.arange(60), np.arange(60) % (3 if kind == "one each" else 2)] = np.nan
    return X


@pytest.mark.parametrize(
    ("kind", "mask", "column"),
    [
        ("one each", None, 0),
        ("apart", None, 0),
        ("apart", [[0, 1, 0], [1, 0, 0], [0, 0, 0]], 0),
        ("apart", [[0, 0, 0], [0, 0, 1], [0, 1, 0]], None),
    ],
)
@pytest.mark.parametrize("cls", CONVEX)
def test_a_conditional_without_rows_is_named(cls, kind, mask, column):
    X = holes_of(kind)
    if column is None:
        model = cls(mask=mask).fit(X)
        assert np.isfinite(model.field_).all() and np.isfinite(model.standard_errors().field).all()
        return
    said = (
        rf"no row where column {column} and all columns that it may be coupled to are known; mask"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=said):
            cls(mask=mask).fit(X)
        model = cls(mask=mask).fit(np.eye(3)[np.arange(60) % 3])
        for ask in (model.standard_errors, model.ratio_matching_loss):
            with pytest.raises(ValueError, match=said):
                ask(X)


def test_rows_without_weight_do_not_count_as_known(holed):
    """Without those of weight zero column 2 is unknown, and so is all that needs it."""
    weights = np.where(np.isnan(holed[:, 2]), 1.0, 0.0)
    model = PseudoLikelihoodIsing().fit(holed)
    for ask in (model.standard_errors, PseudoLikelihoodIsing().fit):
        with pytest.raises(ValueError, match="no known value in column 2"):
            ask(holed, sample_weight=weights)
    frame = pd.DataFrame(holed, columns=list("abcde"))
    with pytest.raises(ValueError, match=r"no known value in column 2 \('c'\)"):
        PseudoLikelihoodIsing().fit(frame, sample_weight=weights)


def test_moments_of_nothing_are_not_compared(holed):
    model = PseudoLikelihoodIsing().fit(holed)
    with pytest.raises(ValueError, match="moment_check: X has no known value"):
        model.moment_check(np.full((4, 5), np.nan))
    one = np.full((4, 5), np.nan)
    one[:, 1] = 1.0
    check = model.moment_check(one)
    assert 0 < check.p_value <= 1 and np.isnan(check.z_mean).sum() == 4


# -- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [PseudoLikelihoodIsing, PCDIsing])
@pytest.mark.parametrize("total", [1e-6, 1.0, 2.5, 30.0])
def test_the_scale_of_weights_that_are_no_counts_does_not_matter(cls, total):
    """One column is constant, one up in a single row, which is then a row like any other."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (100, 5)).astype(float)
    X[:, 3], X[:, 4] = 1.0, 0.0
    X[7, 4] = 1.0
    weights = rng.random(100) + 0.1
    weights *= total / weights.sum()
    params = {"n_gibbs_steps": "exact"} if cls is PCDIsing else {}
    with pytest.warns(UserWarning, match="constant"):
        model = cls(0.05, tol=1e-8, **params).fit(X, sample_weight=weights)
        other = cls(0.05, tol=1e-8, **params).fit(X, sample_weight=weights / weights.max())
    np.testing.assert_array_equal(model.rare_, [False, False, False, True, False])
    for name in ("coupling_", "field_", "mean_"):
        np.testing.assert_allclose(getattr(model, name), getattr(other, name), atol=1e-7)
    # Half of the mean weight beside 100 of them.
    assert model.field_[3] == pytest.approx(np.log(100.5 / 0.5) / 2)
    assert model.mean_[3] == pytest.approx(100.5 / 101)


def test_weights_that_can_be_counts_are_rows():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (100, 4)).astype(float)
    X[:, 3] = 0.0
    X[7, 3] = 1.0
    counts = rng.integers(0, 4, 100)
    counts[7] = 1
    with pytest.warns(UserWarning, match="constant"):
        weighted = PseudoLikelihoodIsing(0.02).fit(X, sample_weight=counts)
        repeated = PseudoLikelihoodIsing(0.02).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_array_equal(weighted.rare_, [False, False, False, True])
    for name in ("coupling_", "field_", "mean_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-7)
    counts[7] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not PseudoLikelihoodIsing(0.02).fit(X, sample_weight=counts).rare_.any()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.r_[np.ones(7), -0.5, np.ones(112)], "finite and not negative, found -0.5 in row 7"),
        (np.r_[np.ones(119), np.nan], "finite and not negative, found nan in row 119"),
        (-2.0, "finite and not negative, found -2 in row 0"),
        (["a"] * 120, "sample_weight must be numbers.*'a'"),
    ],
)
def test_bad_weights_are_named_with_their_row(weights, said, holed):
    with pytest.raises((TypeError, ValueError), match=said):
        PseudoLikelihoodIsing().fit(holed, sample_weight=weights)


# -- parameters that come in several forms -----------------------------------------------------


def test_penalties_may_be_any_sequence(holed):
    values = [0.3, 0.1, 0.02]
    plain = PseudoLikelihoodIsing("ebic", l1_ratio=1.0, alphas=values).fit(holed)
    for alphas in (
        tuple(values),
        np.array(values),
        pd.Series(values),
        pd.Series(values, list("abc")),
    ):
        model = PseudoLikelihoodIsing("ebic", l1_ratio=1.0, alphas=alphas).fit(holed)
        np.testing.assert_array_equal(model.alphas_, values)
        np.testing.assert_array_equal(model.coupling_, plain.coupling_)


def test_a_mask_may_be_sparse_and_its_diagonal_is_ignored(holed):
    mask = np.ones((5, 5), bool)
    mask[0, 3] = mask[3, 0] = False
    plain = PseudoLikelihoodIsing(mask=mask).fit(holed)
    assert plain.coupling_[0, 3] == 0 and plain.n_edges_ == 9
    without = mask & ~np.eye(5, dtype=bool)
    for same in (sp.csr_array(mask), sp.coo_matrix(without), pd.DataFrame(mask), without.tolist()):
        model = PseudoLikelihoodIsing(mask=same).fit(holed)
        np.testing.assert_array_equal(model.coupling_, plain.coupling_)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"alphas": ["a"]}, "alphas must be positive finite numbers, found 'a' at place 0"),
        ({"alphas": [0.1, np.nan]}, "alphas must be positive finite numbers, found nan at place 1"),
        ({"alphas": [0.1, True]}, "alphas must be positive finite numbers, found True at place 1"),
        ({"alphas": [[0.1], [0.1, 0.2]]}, r"alphas must be positive .* found \[0.1\] at place 0"),
        ({"alphas": [[0.1, 0.2]]}, r"alphas must be .* one-dimensional, got shape \(1, 2\)"),
        ({"alphas": []}, r"alphas must be .* one-dimensional, got shape \(0,\)"),
        ({"mask": [[0, 1], [1]]}, r"mask must have shape \(5, 5\), got rows of several lengths"),
        ({"mask": sp.eye_array(4)}, r"mask must have shape \(5, 5\), got \(4, 4\)"),
        ({"mask": np.full((5, 5), 2)}, r"or hold 0 and 1, found 2 at \(0, 0\)"),
        ({"mask": np.eye(5) - 0.5}, r"or hold 0 and 1, found 0.5 at \(0, 0\)"),
        ({"mask": np.full((5, 5), "x")}, "or hold 0 and 1, got values of type <U1"),
    ],
)
def test_odd_forms_are_named(params, said, holed):
    with pytest.raises((TypeError, ValueError), match=rf"PseudoLikelihoodIsing: .*{said}"):
        PseudoLikelihoodIsing("ebic", l1_ratio=1.0).set_params(**params).fit(holed)


def test_theory_names_all_that_it_knows(holed):
    with pytest.raises(ValueError, match="pseudolikelihood, RISE and logRISE only"):
        RatioMatchingIsing("theory", l1_ratio=1.0).fit(holed)
    params = {"loss": "logrise", "symmetrize": "and", "l1_ratio": 1.0}
    assert InteractionScreeningIsing("theory", **params).fit(holed).alpha_ > 0
