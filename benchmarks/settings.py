"""Settings of ``config.toml``; its rows with several values written out one by one."""

import itertools
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE / "config.toml"


def problems(path=CONFIG):
    """All problems by name, their rows written out."""
    found = tomllib.loads(Path(path).read_text())["problems"]
    for problem in found.values():
        common = problem.pop("common", {})
        problem["rows"] = [
            row for short in problem["rows"] for row in written_out({**common, **short})
        ]
    return found


def written_out(row):
    """One row per combination of the values that ``row`` lists, libraries varying fastest.

    Braces in the name are filled in. With ``one_thread`` skebm is measured twice, with all
    threads and with one (``threads = 1``); its peers always have all.
    """
    row = dict(row)
    one_thread = row.pop("one_thread", False)
    lists = {key: value for key, value in row.items() if isinstance(value, list)}
    order = sorted(lists, key=lambda key: key == "library")
    rows = []
    for values in itertools.product(*(lists[key] for key in order)):
        each = row | dict(zip(order, values))
        if "name" in each:
            each["name"] = each["name"].format(**each)
        rows.append(each)
        if one_thread and each["library"] == "skebm":
            rows.append(each | {"threads": 1})
    return rows


def label(row):
    """What tells a row from all others of its problem, once written out."""
    alone = ", 1 thread" if "threads" in row else ""
    return f"{row['name']}, {row['library']}{alone}"


def grouped(rows):
    """Rows in lists of those that follow each other under one name: what is set side by side."""
    return [list(group) for _, group in itertools.groupby(rows, key=lambda row: row["name"])]


def data_sets(problem):
    """Names of the data sets that the rows of a problem read, each once."""
    names = [*problem.get("data", []), *(row.get("data") for row in problem["rows"])]
    return [name for name in dict.fromkeys(names) if name]


def quick(problem):
    """Make a problem of speed small enough to see whether it runs; its numbers mean nothing."""
    for row in problem["rows"]:
        row.update(repeats=1, rounds=1)
        for key, small in _QUICK.items():
            if key in row:
                row[key] = min(row[key], small)


_QUICK = {
    "n_rows": 1500, "gflop": 1, "temperatures": 5, "states": 2048, "epochs": 1,
    "n_spins": 16, "n_alphas": 4, "n_sweeps": 20, "p": 120,
}  # fmt: skip
