"""The command ``python -m skebm``: its files, its errors, its table and its picture."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from skebm import CDRBM, PCDRBM, PseudoLikelihoodIsing, RdmRBM, __main__
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
        {"model": [RdmRBM(3, n_iter=2, **seed), __main__.BernoulliRBM(3, n_iter=2, **seed)]},
    ]
    monkeypatch.setattr(__main__, "_grid", lambda: grid)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(text):
    """The rows of the printed table without their times."""
    lines = text[text.index("---") :].splitlines()[1:6]
    return [(line[:46], line.split("s  ")[-1]) for line in lines]


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
    grid = [{"model": [PseudoLikelihoodIsing(), __main__.BernoulliRBM(3, n_iter=2)]},
            {"model": [PCDRBM(3, n_iter=2, random_state=0)]}]  # fmt: skip
    monkeypatch.setattr(__main__, "_grid", lambda: grid)
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


def write_bad_files(folder, matrix):
    np.savez(folder / "two.npz", a=matrix, b=matrix)
    np.savez(folder / "greys.npz", matrix / 2)
    np.savez(folder / "short.npz", matrix[:5])
    np.savez(folder / "flat.npz", matrix[0])
    np.savez(folder / "narrow.npz", matrix[:, :0])
    np.savez(folder / "words.npz", np.array([["a", "b"]] * 30))
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
    monkeypatch.setattr(__main__, "run", None)
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["--figure", figure])
    assert "--figure must be a .png file" in capsys.readouterr().err
