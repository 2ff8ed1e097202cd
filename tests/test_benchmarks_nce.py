"""Benchmarks of noise-contrastive estimation: losses, theory, simulations, tables, all tiny."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import (  # noqa: E402
    nce_asymptotics,
    nce_data,
    nce_slopes,
    nce_speed,
    nce_tables,
    nce_theory,
    problems,
    report,
    settings,
    targets,
)
from benchmarks.adapters import adapter  # noqa: E402
from benchmarks.nce_trace import Enough, Evaluations  # noqa: E402

SETTINGS = settings.problems()
SPEED, SLOPES, VARIANCES = (SETTINGS[f"nce_{name}"] for name in ("speed", "slopes", "asymptotics"))
HEADER = {"processor": "An Abacus", "date": "2001-02-03", "versions": "skebm 9.9"}
MODELS = ["gaussian", "laplace", "logistic", "rbm"]


def tiny(model, **changed):
    row = {"name": "a", "library": "skebm", "model": model, "n_features": 3, "n_rows": 300}
    row |= {"n_hidden": 2, "distance": 0.1, "l2": 1e-3} if model == "rbm" else {}
    return row | {"noise_ratio": 2, "n_threads": 1, "max_iter": 30, "repeats": 1} | changed


@pytest.fixture(scope="module")
def contrasts():
    return {model: nce_data.contrast(tiny(model)) for model in MODELS}


# -- what is compared --------------------------------------------------------------------------


def energies(given, X):
    """Row by row, from the formulas of :class:`benchmarks.nce_data.Contrast`."""
    theta, p, found = given.start[:-1], X.shape[1], []
    for x in X:
        if given.model == "gaussian":
            K = np.zeros((p, p))
            K[np.triu_indices(p)] = theta[p:]
            K = K + np.triu(K, 1).T
            found.append(0.5 * x @ K @ x - theta[:p] @ x)
        elif given.model == "rbm":
            m = given.n_hidden
            W, b, a = np.split(theta, [m * p, m * p + p])
            hidden = np.log1p(np.exp(W.reshape(m, p) @ x + a)).sum()
            found.append(-b @ x - hidden)
        else:
            u = theta.reshape(p, p) @ x
            f = np.sqrt(2.0) * abs(u) if given.model == "laplace" else None
            found.append((2 * np.log(np.cosh(np.pi * u / 12**0.5)) if f is None else f).sum())
    return np.array(found)


@pytest.mark.parametrize("model", MODELS)
def test_both_sides_have_the_loss_of_the_formula(contrasts, model):
    given = contrasts[model]
    G = [given.start[-1] - energies(given, rows) - logs - np.log(given.ratio)
         for rows, logs in zip((given.X, given.noise), given.log_noise)]  # fmt: skip
    expected = np.logaddexp(0, -G[0]).mean() + given.ratio * np.logaddexp(0, G[1]).mean()
    expected += 0.5 * given.l2 * (given.start[: given.n_penalised] ** 2).sum()
    assert nce_speed.own(given, max_iter=1).losses[0] == pytest.approx(expected, rel=1e-12)
    torch = pytest.importorskip("torch")
    peer, x = adapter("PyTorch L-BFGS"), torch.tensor(given.start)
    rows = [torch.from_numpy(each) for each in (given.X, given.noise)]
    logs = [torch.from_numpy(each) for each in given.log_noise]
    assert peer.loss(given, x, rows, logs).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("model", ["gaussian", "logistic"])
def test_both_sides_reach_the_same_minimum(contrasts, model):
    pytest.importorskip("torch")
    given = contrasts[model]
    own, peer = nce_speed.own(given), adapter("PyTorch L-BFGS").descend(given, 1)
    assert own.best == pytest.approx(peer.best, rel=1e-8)
    assert own.best < own.losses[0] - 1e-3
    assert adapter("PyTorch L-BFGS").version().startswith("torch ")


@pytest.mark.parametrize("model", MODELS)
def test_starts_are_nearly_normalised(contrasts, model):
    """Noise weights the energy at the start: exp(c) times their mean is one, within its error."""
    given = contrasts[model]
    log_noise = given.log_noise[1]
    weights = np.exp(given.start[-1] - energies(given, given.noise) - log_noise)
    error = weights.std() / np.sqrt(len(weights))
    assert abs(weights.mean() - 1.0) < 5 * error + 1e-9


def test_mixtures_are_well_conditioned():
    for p in (3, 16):
        A = nce_data.mixing(p, np.random.default_rng(p))
        assert A.shape == (p, p) and np.linalg.cond(A) < 10.0


def test_evaluations_are_kept_until_there_are_enough():
    found = Evaluations(goal=1.0)
    found.add(3.0)
    with pytest.raises(Enough):
        found.add(0.9)
    found.ended()
    assert found.best == 0.9 and found.losses == [3.0, 0.9]
    assert found.reached(3.0) == found.seconds[0] < found.reached(1.0) == found.seconds[1]
    assert found.reached(0.5) == found.total >= found.seconds[1]


@pytest.mark.parametrize("library", ["skebm", "skebm estimator", "PyTorch L-BFGS"])
def test_times_of_tiny_problems(library):
    if library.startswith("PyTorch"):
        pytest.importorskip("torch")
    row = tiny("gaussian", library=library)
    lowest = {"skebm": nce_speed.lowest_loss(tiny("gaussian"))}
    lowest[library] = lowest["skebm"] * (1 + 1e-9)
    found = nce_speed.measure(row, lowest)
    line = nce_speed.table_row(row, nce_speed.together(found, found))
    assert line["runs"] == 2 and 0 < line["fastest"] <= line["seconds"] <= line["slowest"]
    assert math.isnan(line["gap"]) == (library == "skebm estimator")
    assert math.isnan(line["gap"]) or 0 <= line["gap"] < 1e-8


# -- theory and simulations --------------------------------------------------------------------


@pytest.mark.parametrize("sigma, ratio, expected", [
    (1.0, 0.1, (22.0, 5.5)), (1.0, 1.0, (4.0, 1.0)), (1.3, 10.0, (2.118, 0.570)),
    (2.0, 1.0, (2.995, 1.815)), (3.0, 100.0, (2.017, 0.526)),
])  # fmt: skip
def test_theory_of_one_variable_is_the_published_table(sigma, ratio, expected):
    np.testing.assert_allclose(nce_theory.normal_variable(sigma, ratio), expected, rtol=2e-3)


def test_theory_of_noise_as_the_data():
    """In one dimension both formulas meet."""
    one = nce_theory.normal_vector(np.eye(1), 3.0)
    np.testing.assert_allclose(one, nce_theory.normal_variable(1.0, 3.0), rtol=1e-6)
    assert nce_theory.normal_vector(np.eye(5), 1.0)[1] == 5.0


def test_theory_of_sources(monkeypatch):
    """33.3 and 13.1, from a tenth of the draws."""
    monkeypatch.setattr(nce_theory, "_DRAWS", 100_000)
    np.testing.assert_allclose(nce_theory.laplace_sources(4, 1.0), (33.3, 13.1), rtol=0.03)


def test_theory_of_spins():
    """Much noise leaves maximum likelihood, the inverse covariance of the features."""
    theta = np.array([0.3, -0.2, 0.1, 0.5, 0.0, -0.4])
    states = nce_theory.states_of_spins(3)
    data, log_z = nce_theory.spin_probabilities(theta, 3)
    features = nce_theory.spin_features(states)
    assert data.sum() == pytest.approx(1.0)
    assert log_z == pytest.approx(np.log(np.exp(features @ theta).sum()))
    found = nce_theory.of_states(data, np.full(8, 0.125), features, 1e7)[:-1, :-1]
    centred = features - data @ features
    expected = np.linalg.inv((centred * data[:, None]).T @ centred)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def rows_by_model():
    return {row["model"]: row for row in VARIANCES["rows"]}


@pytest.mark.parametrize("model", ["normal variable", "normal vector", "sources", "spins"])
def test_a_few_fits_of_every_model(model, monkeypatch):
    """N times the error of 10 fits is within a factor of 4 of theory for parameters."""
    monkeypatch.setattr(nce_theory, "_DRAWS", 100_000)
    row = rows_by_model()[model] | {"repetitions": 10, "n_rows": 600, "noise_ratio": 2.0}
    row |= {"sigma": 1.3} if model == "normal variable" else {}
    found = nce_asymptotics.simulate(row, 0)
    assert found.shape == (10, 4) and np.isfinite(found).all()
    line = nce_asymptotics._line(row, nce_asymptotics.compared(row, found))
    assert 0.25 < line["parameters"] / line["parameters_theory"] < 4.0
    assert line["log_z"] > 0 and 0.7 < line["coverage"] <= 1.0 and line["failed"] == 0


def test_the_limit_of_many_rows_is_extrapolated():
    """A remainder that falls as the root of N is gone, one row with other noise is left alone."""
    lines = [
        {
            "model": "sources", "noise_ratio": nu, "n_rows": n,
            **{f"{name}{key}": value for name in ("parameters", "log_z") for key, value in
               (("", 5.0 + 30.0 / np.sqrt(n)), ("_theory", 4.9), ("_error", 0.03))},
        }
        for nu, n in ((1.0, 400), (1.0, 100), (2.0, 100))
    ]  # fmt: skip
    found = nce_asymptotics.limit_of({"of": "sources", "noise_ratio": 1.0}, lines)
    assert found["parameters"] == pytest.approx(5.0)
    assert found["log_z_error"] == pytest.approx(0.03 * np.sqrt(5.0))
    assert found["parameters_z"] == pytest.approx(0.1 / (0.03 * np.sqrt(5.0)))
    lines[0]["n_rows"] = 300
    with pytest.raises(ValueError, match="four times"):
        nce_asymptotics.limit_of({"name": "a", "of": "sources", "noise_ratio": 1.0}, lines)


def test_sources_in_any_order_and_sign():
    class Model:
        params_stderr_ = np.full(4, 0.2)

        class log_partition_:
            value, stderr = np.log(2.0) + np.log(2.0), 0.1

    A, model = np.array([[2.0, 0.0], [1.0, 1.0]]), Model()
    B = np.linalg.inv(A)
    model.params_ = np.array([-B[1], B[0] + [0.1, 0.0]]).ravel()
    found = nce_asymptotics.errors_of_sources(model, A)
    assert found.parameters == pytest.approx(0.2**2)
    assert (found.inside, found.intervals) == (5.0, 5.0)
    assert found.log_z == pytest.approx(0.0, abs=1e-12)
    model.params_ = np.array([B[0], B[0]]).ravel()
    assert np.isnan(nce_asymptotics.errors_of_sources(model, A)).all()


def test_a_few_points_of_slopes():
    row = tiny("", n_rows=1000, noise_ratio=1.0, repetitions=4)
    found = np.array([nce_slopes.fitted(row, number) for number in range(4)])
    line = nce_slopes.table_row(row, np.vstack([found, [[np.nan, np.nan]]]), 1.0)
    assert line["failed"] == 1 + np.isnan(found[:, 0]).sum()
    assert 0.05 < line["b_rmse"] < 0.6 and line["b_rmse_error"] > 0  # theory 0.18
    assert 0.0 < line["log_z_rmse"] < 0.5


# -- tables ------------------------------------------------------------------------------------


def made_up_speed(row):
    pace = {"skebm": 1.0, "skebm estimator": 1.5, "PyTorch L-BFGS": 8.0}[row["library"]]
    found = nce_speed.Found((pace, 2 * pace, pace), 40, 0.1, 2.3, 0.0)
    if row["library"] == "skebm estimator":
        found = nce_speed.Found((pace,), math.nan, 0.1)
    return as_read(nce_speed.table_row(row, found))


def made_up_variances(row):
    found = {"coverage": 0.951, "intervals": 1000.0}
    if row["model"] != "pooled":
        for name in ("parameters", "log_z"):
            found |= {name: 4.1, f"{name}_theory": 4.0, f"{name}_error": 0.05, f"{name}_z": -2.0}
    if row["model"] == "sources":
        found["parameters_z"] = math.nan
    if row["model"] == "limit":
        found |= nce_asymptotics.limit_of(row, [
            found | {"model": "sources", "noise_ratio": row["noise_ratio"], "n_rows": n}
            for n in (400, 100)
        ]) | {"coverage": math.nan}  # fmt: skip
    return as_read(nce_asymptotics._line(row, found))


def made_up_slopes(row):
    size = 3.0 / np.sqrt(row["n_rows"])
    found = nce_slopes.table_row(row, np.full((5, 2), size**2) * [[1], [1], [1], [0.9], [1.1]], 1.0)
    return as_read(found | {"b_rmse_error": 0.05 * size, "log_z_rmse_error": 0.05 * size})


def as_read(line):
    """As it comes back from a file: empty cells of numbers are NaN."""
    return {key: math.nan if value == "" else value for key, value in line.items()}


RESULTS = {
    "nce_speed": (HEADER, list(map(made_up_speed, SPEED["rows"]))),
    "nce_slopes": (HEADER, list(map(made_up_slopes, SLOPES["rows"]))),
    "nce_asymptotics": (HEADER, list(map(made_up_variances, VARIANCES["rows"]))),
}


def test_every_target_is_on_a_figure():
    for name, n_targets in (("nce_speed", 4), ("nce_slopes", 16), ("nce_asymptotics", 58)):
        found = targets.verdicts(SETTINGS[name], RESULTS[name][1])
        assert len(found) == n_targets and all(each.reached for each in found), name
    over = targets.verdicts(SPEED, RESULTS["nce_speed"][1])[0]
    assert over.found == 8.0


def test_rows_have_labels_of_their_own():
    for problem in (SPEED, SLOPES, VARIANCES):
        labels = [settings.label(row) for row in problem["rows"]]
        assert len(set(labels)) == len(labels)
        assert problem["kind"] in problems.KINDS


def test_slopes_are_weighted():
    rows = [{"n_rows": n, "b_rmse": y, "b_rmse_error": e * y}
            for n, y, e in ((300, 9.0, 0.1), (1000, 1.0, 0.1), (10_000, 0.1, 0.1))]  # fmt: skip
    value, error = nce_tables.slope(rows, "b")
    assert value == pytest.approx(-1.0)
    assert error == pytest.approx(0.1 / np.log(10) * np.sqrt(2))


def test_the_section_goes_between_its_comments(tmp_path):
    text = nce_tables.section(RESULTS)
    assert "| Gaussian, 20 variables | PyTorch L-BFGS | 8.00 s | 8.0 | 40 | 0e+00 |" in text
    assert "| Gaussian, 20 variables | skebm estimator | 1.50 s | 1.5 |  |  |" in text
    assert "| 10 | 0.17 | 0.017 | −0.50 ± 0.02 |" in text
    row = "| 4 Laplace sources, normal noise, ν = 10 | 20,000 | 4.10 ± 0.05 | 4.00 |"
    assert row in text and "95.1 % of 1,000 intervals" in " ".join(text.split())
    assert "nan" not in text and max(map(len, text.splitlines())) < 200
    readme = Path(shutil.copy(ROOT / "README.md", tmp_path))
    report.rewrite(readme, {"NCE": text})
    assert text in readme.read_text()


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks.nce_figure import draw

    draw(RESULTS["nce_slopes"][1], tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
