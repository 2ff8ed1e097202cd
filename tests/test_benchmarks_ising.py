"""Benchmarks of the quality of Ising models: trees, searches, scores and tables, no long runs."""

import csv
import itertools
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import (  # noqa: E402
    data,
    flip_tables,
    ising_densities,
    ising_quality_tables,
    ising_structure,
    problems,
    settings,
    tables,
    trees,
)

SETTINGS = settings.problems()
HEADER = {"versions": "skebm 9.9", "date": "2001-02-03", "processor": "An Abacus"}


def all_rows(p):
    """(2^p, p) of 0 and 1."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=p)))


def random_bits(n, p, seed):
    """Rows whose columns depend on each other."""
    rng = np.random.default_rng(seed)
    hidden = rng.random((n, 1)) < 0.5
    return np.where(rng.random((n, p)) < 0.3, rng.random((n, p)) < 0.5, hidden).astype(float)


# -- trees -------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [trees.Independent, trees.ChowLiu])
def test_densities_add_up_to_one(density):
    found = density(random_bits(50, 5, 0)).log_density(all_rows(5))
    assert np.exp(found).sum() == pytest.approx(1.0, abs=1e-12)


def test_tree_of_a_chain():
    """A chain x_0 - x_1 - ... with 20 % flips is found, and its conditionals too."""
    rng = np.random.default_rng(0)
    flips = (rng.random((20_000, 6)) < 0.2).astype(int)
    flips[:, 0] = rng.random(20_000) < 0.5
    chain = np.cumsum(flips, axis=1) % 2
    order = np.array([3, 0, 5, 1, 4, 2])
    found = trees.ChowLiu(chain[:, order])
    edges = {frozenset((int(order[a]), int(order[b]))) for a, b in found.pairs}
    assert edges == {frozenset((i, i + 1)) for i in range(5)}
    for table in found.given:  # sd 0.004: five of them
        np.testing.assert_allclose(table, [[0.8, 0.2], [0.2, 0.8]], atol=0.02)


def test_tree_is_the_best_of_all():
    """On 4 columns, no other of the 16 spanning trees has more mutual information."""
    weights = trees.mutual_information(trees.pair_tables(random_bits(60, 4, 3)))
    pairs = list(itertools.combinations(range(4), 2))
    totals = [
        sum(weights[edge] for edge in edges)
        for edges in itertools.combinations(pairs, 3)
        if _spans(edges, 4)
    ]
    assert len(totals) == 16
    found = sum(weights[edge] for edge in trees.spanning_tree(weights))
    assert found == pytest.approx(max(totals), rel=1e-12)


def _spans(edges, n):
    reached = {0}
    for _ in range(n):
        reached |= {node for edge in edges if reached & set(edge) for node in edge}
    return len(reached) == n


def test_pair_tables_by_counting():
    X = random_bits(30, 3, 1)
    found = trees.pair_tables(X)
    for a, b, i, j in itertools.product(range(2), range(2), range(3), range(3)):
        count = sum(1 for row in X if row[i] == a and row[j] == b)
        assert found[a, b, i, j] == pytest.approx((count + 1) / 34)


# -- structure ---------------------------------------------------------------------------------


@pytest.mark.parametrize("needed", [1, 2, 3, 999, 2000, 2001, 123_456])
def test_search_finds_a_threshold(needed):
    high, low, trials = ising_structure.least_rows(lambda M: M >= needed, 2000, 1.1)
    assert low < needed <= high
    assert high <= 1.1 * low or high - low == 1
    assert trials < 25


def test_search_gives_up():
    high, low, _ = ising_structure.least_rows(lambda M: False, 2000, 1.1)
    assert math.isinf(high)
    assert low > 2**30


@pytest.mark.parametrize("graph", ["ferromagnet", "spin glass"])
def test_states_of_the_lattice(graph):
    J, states, probabilities = ising_structure.lattice(graph, 0.5)
    assert (np.count_nonzero(J, axis=0) == 4).all()
    assert (np.abs(J[J != 0]) == 0.5).all()
    assert (J < 0).any() == (graph == "spin glass")
    assert len({row.tobytes() for row in states}) == 2**16
    unnormalized = np.exp(0.5 * np.einsum("ni,ij,nj->n", states, J, states))
    np.testing.assert_allclose(probabilities, unnormalized / unnormalized.sum(), rtol=1e-10)


@pytest.mark.parametrize("model", ["PL", "RISE", "RM", "RM ¼"])
def test_graph_is_found_with_enough_rows_only(model):
    """100,000 rows at 0.5 are enough (published), 60 are not, and the seeds decide."""
    row = {"graph": "spin glass", "coupling": 0.5, "model": model}
    assert all(ising_structure.recoveries(row, 0, 100_000, [0, 1]))
    assert not any(ising_structure.recoveries(row, 0, 60, [0, 1]))


def test_counts_are_of_the_search_the_seed_and_the_rows():
    truth = ising_structure.lattice("ferromagnet", 0.5)
    first, again, other, search = (
        ising_structure.counted(truth, 500, seed) for seed in [(0, 1), (0, 1), (0, 2), (1, 1)]
    )
    assert first.sum() == 500
    assert (first == again).all()
    assert (first != other).any()
    assert (first != search).any()


class Serial:
    """A pool of no processes that remembers how many seeds were looked at."""

    def __init__(self):
        self.seeds = []

    def map(self, function, parts):
        parts = list(parts)
        self.seeds += [seed for part in parts for seed in part]
        return map(function, parts)


def test_one_failure_is_enough(monkeypatch):
    monkeypatch.setattr(
        ising_structure, "recoveries", lambda row, search, M, seeds: [s < M for s in seeds]
    )
    pool = Serial()
    assert ising_structure.all_recovered(pool, 2, {"repetitions": 45}, 0, 45)
    assert sorted(pool.seeds) == list(range(45))
    pool = Serial()
    assert not ising_structure.all_recovered(pool, 2, {"repetitions": 45}, 0, 3)
    assert len(pool.seeds) < 45


def test_constant_of_ratio_matching_is_that_of_its_gradient():
    """Losses of section 2: slopes at t = 0 by central differences."""
    slope = {
        "PL": lambda t: math.log1p(math.exp(-2 * t)),
        "RM": lambda t: (1 / (1 + math.exp(2 * t))) ** 2,
    }
    steep = {name: (f(1e-5) - f(-1e-5)) / 2e-5 for name, f in slope.items()}
    constants = ising_structure.CONSTANTS
    for name in ("PL", "RISE", "RM"):
        assert constants[f"{name} ¼"] == constants[name] / 4
    assert constants["RM"] / constants["PL"] == pytest.approx(steep["RM"] / steep["PL"], rel=1e-6)


# -- densities ---------------------------------------------------------------------------------


@pytest.fixture
def bits():
    """Train, test and valid parts of five columns."""
    parts = [random_bits(n, 5, seed).astype(np.float32) for seed, n in enumerate([400, 200, 100])]
    return data.Data(*parts)


def test_score_is_the_enumerated_likelihood(bits):
    rng = np.random.default_rng(0)
    J = np.triu(rng.normal(size=(5, 5)), 1)
    J, h = J + J.T, rng.normal(size=5)
    found = ising_densities.score(J, h, bits)

    def log_weight(x):
        s = 2 * x - 1
        return h @ s + sum(J[i, j] * s[i] * s[j] for i in range(5) for j in range(i))

    log_z = math.log(sum(math.exp(log_weight(x)) for x in all_rows(5)))
    for key, part in [("loglik", bits.test), ("train_loglik", bits.train)]:
        expected = np.mean([log_weight(x.astype(float)) - log_z for x in part])
        assert found[key] == pytest.approx(expected, abs=1e-10)
    assert (found["method"], found["converged"]) == ("exact", 1)


def test_interval_of_a_likelihood_turns_that_of_log_z_round(bits, monkeypatch):
    from skebm import partition

    made_up = SimpleNamespace(
        value=3.0, lower=2.0, upper=5.0, stderr=0.5, method="ais", converged=False
    )
    monkeypatch.setattr(partition, "log_partition", lambda *args, **kwargs: made_up)
    found = ising_densities.score(np.zeros((5, 5)), np.zeros(5), bits)
    assert found["loglik"] == -3.0
    assert (found["lower"], found["upper"]) == (-5.0, -2.0)
    assert (found["stderr_rows"], found["converged"]) == (0.0, 0)


def test_every_model_of_a_set(bits, monkeypatch):
    """The optimum is the optimum on the train part, and trees beat independent columns."""
    monkeypatch.setattr(ising_densities, "load", lambda name, folder: bits)
    models = ["independent", "Chow-Liu", "PL", "RM", "RISE", "PCD", "exact"]
    rows = [
        {"name": f"bits, {m}", "data": "bits", "library": "skebm", "model": m, "alpha": 0.0}
        for m in models
    ]
    found = {row["model"]: row for row in ising_densities.measure_set(rows, {}, None)}
    best = found.pop("exact")["train_loglik"]
    assert all(row["train_loglik"] < best for row in found.values())
    assert found["Chow-Liu"]["train_loglik"] > found["independent"]["train_loglik"]
    # Independent columns fall short by 0.62, the tree by 0.17.
    for model, most in {"PL": 0.001, "PCD": 0.001, "RISE": 0.01, "RM": 0.03}.items():
        assert best - found[model]["train_loglik"] < most


def test_penalty_is_chosen_by_the_valid_part_and_halved_for_chains(bits, monkeypatch):
    from skebm.energies import Ising

    monkeypatch.setattr(ising_densities, "load", lambda name, folder: bits)
    alphas = [1e-4, 1e-2, 0.1, 3.0]
    rows = [
        {"name": m, "data": "bits", "library": "skebm", "model": m} for m in ("PL", "PCD")
    ]  # fmt: skip
    found = ising_densities.measure_set(rows, {"alphas": alphas}, None)
    scores = {}
    for alpha in alphas:
        model = ising_densities.fitted("PL", alpha, bits.train)
        energy = Ising(model.coupling_, model.field_)
        scores[alpha] = energy.log_pseudolikelihood(ising_densities.spins(bits.valid)).mean()
    assert found[0]["alpha"] == max(scores, key=scores.get)
    assert found[1]["alpha"] == found[0]["alpha"] / 2
    flipped = bits._replace(valid=1 - bits.valid[:, ::-1] * [1, 0, 1, 0, 1])
    assert ising_densities.chosen_alpha(flipped, alphas) > found[0]["alpha"]


# -- settings, files and tables ----------------------------------------------------------------


def made_up_structure():
    """Results as if rows needed were a thousand times the position of the row."""
    return [
        ising_structure.structure_row(row, (1000.0 * k, 1100.0 * k), (900.0 * k,) * 2, (9, 8), 1.5)
        for k, row in enumerate(SETTINGS["structure"]["rows"], 1)
    ]


def made_up_densities(converged=True):
    """Results with known likelihoods, by AIS on wide data."""
    found = []
    empty = data.Data(np.zeros((7, 3)), np.zeros((2, 3)))
    for k, row in enumerate(SETTINGS["densities"]["rows"]):
        wide = "alpha" not in row and row["model"] in ("PL", "PCD")
        method = "ais" if wide else "exact"
        test, train = np.array([1.0, 3.0]) - k, np.array([1.0]) - k
        scored = ising_densities.scores(test, train, 7.0, 6.5, 7.5) | {
            "stderr_log_z": 0.1, "method": method, "converged": int(converged or not wide),
        }  # fmt: skip
        found.append(ising_densities.density_row(row, empty, 0.1, 2.0, scored))
    return found


def written(path, rows):
    """Header and rows as they come back from a result file."""
    with path.open("w", newline="") as file:
        file.write("".join(f"# {key}: {value}\n" for key, value in HEADER.items()))
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(problems._rounded, rows))
    return tables.read(path)


def test_rows_have_names_of_their_own():
    for name in ("structure", "densities"):
        labels = [settings.label(row) for row in SETTINGS[name]["rows"]]
        assert len(set(labels)) == len(labels)
    assert len(SETTINGS["structure"]["rows"]) == 2 * 3 * 4
    known = {row["data"] for row in SETTINGS["densities"]["rows"]}
    assert known <= set(data._SETS)


def test_structure_table(tmp_path):
    header, rows = written(tmp_path / "structure.csv", made_up_structure())
    text = ising_quality_tables.structure(header, rows)
    assert "| ferromagnet | 0.5 | 1,000 (1,000–1,100) |" in text.replace("1,050", "1,000")
    assert "45 of 45" in text.replace("\n", " ")
    assert "0.2 for PL" in text.replace("\n", " ")
    assert text.count("\n| spin glass |") == 3
    never = rows[0] | {"rows_needed": math.inf}
    assert "not found" in ising_quality_tables.structure(header, [never, *rows[1:]])


def test_density_tables(tmp_path):
    header, rows = written(tmp_path / "densities.csv", made_up_densities())
    text = ising_quality_tables.densities(header, rows)
    optimum = next(row for row in rows if row["model"] == "exact")
    gap = rows[0]["train_loglik"] - optimum["train_loglik"]
    assert gap == 6.0
    assert "| nltcs | independent | −6.000000 | 6.0000 | −5.000000 | 6.0000 |" in text
    assert "| reinis | exact |" in text
    assert "−6.028409" in text
    assert "Rooshenas and Lowd (2014)" in " ".join(text.split())
    plants = next(line for line in text.splitlines() if line.startswith("| plants |"))
    assert plants.count("[") == 2
    assert plants.count("**") == 2
    assert "†" not in plants


def test_doubtful_likelihoods_are_marked_and_never_best(tmp_path):
    rows = written(tmp_path / "densities.csv", made_up_densities(converged=False))[1]
    rows = [r | {"loglik": 0.0} if r["model"] == "PCD" else r for r in rows]
    text = ising_quality_tables.densities(HEADER, rows)
    plants = next(line for line in text.splitlines() if line.startswith("| plants |"))
    assert plants.count("†") == 2
    assert "**0.00**" not in plants
    assert "**" in plants


@pytest.mark.parametrize("names", [("structure",), ("densities",), ("structure", "densities")])
def test_section_has_what_was_measured(names, tmp_path):
    made = {"structure": made_up_structure(), "densities": made_up_densities()}
    results = {name: written(tmp_path / f"{name}.csv", made[name]) for name in names}
    text = ising_quality_tables.section(results)
    assert ("| graph | J | PL | RISE | RM | RM ¼ |" in text) == ("structure" in names)
    assert ("| data | model |" in text) == ("densities" in names)
    assert text.startswith("\n") and text.endswith("|\n")


def test_table_of_flips(tmp_path):
    """Means and extremes over seeds; a model that was not measured ends the report."""
    problem = SETTINGS["flips"]
    rows = [
        {"row": f"{data} 16 {row['name']} seed {seed}", "loglik": -18.0 - seed, "converged": True}
        for data in problem["data"] for row in problem["rows"] for seed in range(3)
    ]  # fmt: skip
    header, rows = written(tmp_path / "flips.csv", rows)
    text = flip_tables.section(header, rows, problem)
    cell = "−19.00 (−20.00 to −18.00)"
    assert f"\n| RatioMatchingRBM | {cell} | {cell} |\n" in text and text.startswith("\n")
    with pytest.raises(SystemExit, match="lacks independent on digits"):
        flip_tables.section(header, rows[3:], problem)
