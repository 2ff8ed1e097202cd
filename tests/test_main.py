"""The command ``python -m skebm``: its files, its errors, its table and its picture."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance, GraphicalLasso
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import BernoulliRBM

from skebm import (
    CDRBM,
    PCDRBM,
    NCEEstimator,
    PseudoLikelihoodIsing,
    RdmRBM,
    ScoreMatchingGaussian,
    __main__,
)
from skebm._command import _binary, _continuous, _data, _search
from skebm.datasets import make_bars_and_stripes


@pytest.fixture
def matrix():
    return make_bars_and_stripes(80, size=3, random_state=0).data


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A search of three quick candidates and the peer, run where its picture may fall."""
    seed = {"random_state": 0}
    grid = [
        {"model": [CDRBM(3, n_iter=2, **seed), PCDRBM(3, n_iter=2, **seed)]},
        {"model": [RdmRBM(3, n_iter=2, **seed), BernoulliRBM(3, n_iter=2, **seed)]},
    ]
    monkeypatch.setattr(_binary, "grid", lambda: grid)
    monkeypatch.setattr(_continuous, "grid", small_grid)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small_grid(n_rows, n_columns):
    """Candidates for continuous data; the last of them always fails."""
    return [
        {"model": [ScoreMatchingGaussian()], "model__alpha": [0.1, 0.03], "model__ridge": [0.01]},
        {"model": [EmpiricalCovariance(), GraphicalLasso(0.1), GraphicalLasso(max_iter=-1)]},
        {"model": [GaussianMixture(random_state=0)], "model__n_components": [1, 2]},
        {"model": [NCEEstimator(random_state=0)], "model__noise": ["gaussian"],
         "model__noise_ratio": [3]},
    ]  # fmt: skip


@pytest.fixture
def chain():
    """Normal rows, of which neighbouring columns depend on each other, and no others."""
    precision = np.eye(5) + 0.45 * (np.eye(5, k=1) + np.eye(5, k=-1))
    truth = ScoreMatchingGaussian.from_parameters(precision, np.arange(5.0))
    return truth.sample(400, random_state=0)


def table(text):
    """The rows of the printed table without their times."""
    lines = text[text.index("---") :].splitlines()[1:6]
    return [(line[:54], line.split("s  ")[-1]) for line in lines]


def test_help_says_what_it_does():
    done = subprocess.run(
        [sys.executable, "-m", "skebm", "--help"], capture_output=True, text=True, check=True
    )
    for word in ("log-likelihood", "--data", "--figure", "BernoulliRBM", "npz"):
        assert word in done.stdout


def test_files_of_every_kind_give_the_same_table(small, matrix, capsys):
    np.savez("named.npz", X=matrix, other=np.zeros(3))
    np.savez("only.npz", matrix.astype(bool))
    np.savez("spins.npz", 2 * matrix - 1)
    np.savetxt("plain.csv", matrix, fmt="%d", delimiter=",")
    np.savetxt("bom.csv", matrix, fmt="%d", delimiter=",", encoding="utf-8-sig")
    np.savetxt("header.csv", matrix, fmt="%d", delimiter=",", header="a" + 8 * ",b", comments="")
    tables = []
    for name in ("named.npz", "only.npz", "spins.npz", "plain.csv", "bom.csv", "header.csv"):
        assert __main__.main(["--data", name, "--figure", "p.png"]) == 0
        shown = capsys.readouterr().out
        assert f"skebm {__main__.__version__}: {name}, 60 training and 20 test rows." in shown
        tables.append(table(shown))
    assert tables[0][-1][0].startswith("independent")
    assert all(each == tables[0] for each in tables)


def test_picture(small, matrix, capsys):
    pytest.importorskip("matplotlib")
    np.savez("square.npz", matrix)
    np.savez("oblong.npz", matrix[:, :6])
    for name in ("square", "oblong"):
        assert __main__.main(["--data", f"{name}.npz", "--figure", f"{name}.png"]) == 0
        assert f"Picture: {name}.png" in capsys.readouterr().out
        assert (small / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_constant_columns_do_not_flood_the_page(small, matrix, capsys, monkeypatch):
    grid = [{"model": [PseudoLikelihoodIsing(), BernoulliRBM(3, n_iter=2)]},
            {"model": [PCDRBM(3, n_iter=2, random_state=0)]}]  # fmt: skip
    monkeypatch.setattr(_binary, "grid", lambda: grid)
    np.savez("X.npz", np.column_stack([matrix, np.zeros(len(matrix))]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert __main__.main(["--data", "X.npz"]) == 0
    said = capsys.readouterr().out
    assert "PseudoLikelihoodIsing" in said and "Chosen by held-out log-likelihood" in said


def test_without_matplotlib_it_says_so(small, matrix, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    np.savez("X.npz", matrix)
    assert __main__.main(["--data", "X.npz"]) == 0
    assert "No picture: matplotlib is not installed" in capsys.readouterr().out
    assert not (small / "skebm.png").exists()


# -- continuous data ---------------------------------------------------------------------------


def test_continuous_files_are_modelled_too(small, chain, capsys):
    np.savez("X.npz", chain)
    header = 'size,"depth, mean",width,age,'
    np.savetxt("X.csv", chain, delimiter=",", header=header, comments="", fmt="%.17g")
    for name, first in (("X.npz", "column 1 – column 2"), ("X.csv", "size – depth, mean")):
        assert __main__.main(["--data", name, "--figure", "p.png"]) == 0
        shown = capsys.readouterr().out
        assert f"{name}, 300 training and 100 test rows, columns standardised." in shown
        assert "whose likelihood is not to be trusted: 1 of GraphicalLasso." in shown
        assert first in shown and "Dependent given all other columns" in shown
        assert ("width – age" in shown) == (name == "X.csv")
    assert "age – column 5" in shown


def test_the_table_of_continuous_models(small, chain, capsys):
    """The same numbers as by hand, all in nats, with the scores that were chosen by."""
    np.savez("X.npz", chain)
    assert __main__.main(["--data", "X.npz"]) == 0
    shown = capsys.readouterr().out
    rows = shown[shown.index("---") :].splitlines()[1:7]
    names = [row.split()[0] for row in rows]
    assert set(names[:5]) == {"ScoreMatchingGaussian", "EmpiricalCovariance", "GraphicalLasso",
                              "GaussianMixture", "NCEEstimator"}  # fmt: skip
    assert names[5] == "independent"
    likelihoods = dict(zip(names, (float(row.split(" ± ")[0].split()[-1]) for row in rows)))
    train, test = _continuous.train_test_split(chain, test_size=0.25, random_state=0)
    scale = _continuous.StandardScaler().fit(train)
    exact = EmpiricalCovariance().fit(scale.transform(train)).score(scale.transform(test))
    assert likelihoods["EmpiricalCovariance"] == pytest.approx(exact, abs=6e-4)
    assert min(likelihoods, key=likelihoods.get) == "independent"
    held_out = max(float(row.split(" ± ")[0].split()[-2]) for row in rows[:5])
    assert f"Chosen by held-out log-likelihood, {held_out:.3f} nats in the mean" in shown
    contrasted = rows[names.index("NCEEstimator")]
    assert "noise gaussian, noise_ratio 3" in contrasted and "(nce, " in contrasted
    assert likelihoods["NCEEstimator"] == pytest.approx(exact, abs=0.3)
    assert all("exact" in row for row in rows if row != contrasted)


@pytest.mark.parametrize("converged", [True, False])
def test_likelihoods_of_fits_that_are_not_believed_do_not_count(chain, converged):
    pipeline = _continuous._pipeline(NCEEstimator(random_state=0)).fit(chain)
    model = pipeline[-1]
    model._kept_log_partition = SimpleNamespace(value=0.0, converged=converged)
    assert np.isfinite(_continuous._score(pipeline, chain)) == converged


def test_strongest_edges_are_those_of_the_truth(small, chain, capsys):
    np.savez("X.npz", chain)
    assert __main__.main(["--data", "X.npz"]) == 0
    lines = capsys.readouterr().out.split("adjusted p\n")[1].splitlines()[:4]
    found = {tuple(line.split("  ")[0].strip().split(" – ")) for line in lines}
    assert found == {(f"column {j}", f"column {j + 1}") for j in range(1, 5)}
    for line in lines:  # K has 0.45 there, of standardised columns more
        low, high = line.split("(")[1].split(")")[0].split(" to ")
        assert 0 < float(low) < float(high) and float(line.split()[-1]) < 0.05


def test_picture_of_the_graph(small, chain, capsys):
    pytest.importorskip("matplotlib")
    np.savez("X.npz", np.column_stack([chain, np.full(len(chain), 3.0)]))  # a constant one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert __main__.main(["--data", "X.npz", "--figure", "g.png"]) == 0
    assert "Picture: g.png" in capsys.readouterr().out
    assert (small / "g.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_a_file_both_jobs_run(small, matrix, chain, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    labels = np.arange(len(matrix)) % 2
    monkeypatch.setattr(_data, "digits", lambda: _data.Data("few", matrix, True, labels))
    names = list("abcde")
    monkeypatch.setattr(
        _data, "measurements", lambda: _data.Data("more", chain, False, None, names)
    )
    assert __main__.main([]) == 0
    shown = capsys.readouterr().out
    assert shown.count("Chosen by held-out log-likelihood") == 2
    assert f"skebm {__main__.__version__}: few, 60 training" in shown
    assert "\nmore, 300 training and 100 test rows" in shown
    assert (small / "skebm.png").exists() and (small / "skebm-graph.png").exists()


def test_the_real_data_and_grids_fit_together():
    data = _data.measurements()
    assert data.X.shape == (569, 30) == (569, len(data.columns))
    assert len(_search.ParameterGrid(_continuous.grid(284, 30))) == 17
    models = [part["model"][0] for part in _continuous.grid(50, 4000)]
    out = GraphicalLasso | GaussianMixture | NCEEstimator
    assert not any(isinstance(model, out) for model in models)


def test_progress_shows_the_best_mean_over_folds(capsys):
    """Not the best fold; candidates of which a fold failed have no mean."""
    progress = _search._Progress(lambda pipeline, X: X, 30)
    for alpha, folds in ((0.1, (-1.0, -9.0, -5.0)), (0.2, (-4.0, -4.0, -4.0)), (0.3, (-1.0,))):
        for score in folds:
            progress([ScoreMatchingGaussian(alpha)], score)
    progress.close()
    line = "  7/30 fits, best mean of 3 folds so far -4.000 nats"
    assert capsys.readouterr().out.splitlines() == [line]


@pytest.mark.parametrize("lowest, said", [(0.0, True), (-1.0, False), (50.0, False)])
def test_data_that_are_never_negative(capsys, lowest, said):
    X = lowest + np.random.default_rng(0).exponential(size=(100, 2))
    _continuous._print_remarks(X, ["a", "b"])
    assert ('support="nonnegative"' in capsys.readouterr().out) is said


@pytest.mark.parametrize("word", ["", "NA", "nan", " "])
def test_gaps_are_refused_with_what_is_accepted(small, chain, capsys, word):
    lines = [",".join(f"{x:.3f}" for x in row) for row in chain]
    lines[3] = lines[3].replace(lines[3].split(",")[1], word, 1)
    (small / "gap.csv").write_text("a,b,c,d,e\n" + "\n".join(lines))
    assert __main__.main(["--data", "gap.csv"]) == 2
    said = capsys.readouterr().err
    assert "1 of 2000 cells are empty or NaN, the first in row 4, column b;" in said
    assert "takes complete matrices" in said and "missing='pairwise'" in said


def test_names_of_binary_columns_reach_the_picture(small, matrix, monkeypatch):
    Figure = pytest.importorskip("matplotlib.figure").Figure
    names, save = "one,two,three,four,five,six", Figure.savefig
    np.savetxt("X.csv", matrix[:, :6], fmt="%d", delimiter=",", header=names, comments="")
    shown = []

    def record(figure, *args, **kwargs):
        for axes in figure.axes:
            shown.append([label.get_text() for label in axes.get_xticklabels()])
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    assert __main__.main(["--data", "X.csv"]) == 0
    assert names.split(",") in shown


# -- what is refused ---------------------------------------------------------------------------


def write_bad_files(folder, matrix):
    np.savez(folder / "two.npz", a=matrix, b=matrix)
    np.savez(folder / "greys.npz", matrix / 2)
    np.savez(folder / "short.npz", matrix[:5])
    np.savez(folder / "flat.npz", matrix[0])
    np.savez(folder / "narrow.npz", matrix[:, :0])
    np.savez(folder / "words.npz", np.array([["a", "b"]] * 30))
    np.savez(folder / "infinite.npz", np.where(matrix, np.inf, 0.5))
    (folder / "ragged.csv").write_text("a,b\n" + "1,2,3\n" * 30)
    np.savez(folder / "mixed.npz", np.where(matrix, 1, -1) * (matrix[::-1] > 0))
    (folder / "empty.npz").write_bytes(b"")
    (folder / "broken.npz").write_bytes((folder / "two.npz").read_bytes()[:100])
    np.save(folder / "array.npy", matrix)
    (folder / "array.npy").rename(folder / "renamed.npz")
    (folder / "words.csv").write_text("a,b\nc,d\n")
    (folder / "empty.csv").write_text("")
    (folder / "matrix.txt").write_text("0,1\n")


BAD_FILES = [
    "two.npz", "greys.npz", "short.npz", "flat.npz", "narrow.npz", "words.npz", "mixed.npz",
    "empty.npz", "broken.npz", "renamed.npz", "words.csv", "empty.csv", "matrix.txt", "none.npz",
    "infinite.npz", "ragged.csv",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*input contained no data")
@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_end_in_a_sentence(tmp_path, matrix, capsys, name):
    write_bad_files(tmp_path, matrix)
    assert __main__.main(["--data", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"skebm: cannot read {tmp_path / name}: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("figure", ["missing/p.png", "p.xyz", "p"])
def test_bad_figure_is_refused_before_any_work(tmp_path, monkeypatch, capsys, figure):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(__main__, "_jobs", None)
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["--figure", figure])
    assert "--figure must be a .png file" in capsys.readouterr().err
