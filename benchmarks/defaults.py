"""Which defaults suit small real data: ``python -m benchmarks.defaults STAGE... --data FOLDER``.

Every setting of a stage in ``config.toml`` is fitted to every data set, scored by test
log-likelihood and appended to ``results/defaults.csv``. The table printed at the end (``--table``
alone prints it again) ranks settings by *regret*: nats per row below the best setting of the same
estimator on the same data set, hidden units and epochs.
"""

import argparse
import csv
import itertools
import time
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

import skebm
from benchmarks.data import load
from benchmarks.run import header
from benchmarks.scoring import Parameters, likelihood

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "defaults.csv"
CELL = ["dataset", "n_components", "n_iter", "seed"]
COLUMNS = [*CELL, "estimator", "params", "seconds", "loglik", "stderr_log_z", "converged"]

# Enough for a ranking; what it costs does not grow when a setting has learned a bad model.
AIS = {"n_chains": 256, "n_temperatures": 1000}


def settings(grid):
    """All combinations of the values that ``grid`` lists per parameter."""
    return [dict(zip(grid, values)) for values in itertools.product(*grid.values())]


def measure(estimator, params, data):
    """Fit on one thread and score; a fit that diverged shows in its likelihood."""
    model = getattr(skebm, estimator)(**params, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        started = time.perf_counter()
        model.fit(data.train)
        seconds = time.perf_counter() - started
    found = Parameters(model.components_, model.intercept_visible_, model.intercept_hidden_)
    return seconds, likelihood(found, data, **({} if _exact(model) else AIS))


def _exact(model):
    return min(model.components_.shape) <= 20


def run(stage, folder, seeds):
    """Yield one row per fit of a stage."""
    sizes, epochs = stage["n_components"], stage["n_iter"]
    for name in stage["datasets"]:
        data = load(name, folder)
        cells = itertools.product(sizes, epochs, range(seeds), stage["grid"].items())
        for hidden, n_iter, seed, (estimator, grid) in cells:
            for chosen in settings(grid):
                params = dict(chosen, n_components=hidden, n_iter=n_iter, random_state=seed)
                seconds, score = measure(estimator, params, data)
                text = " ".join(f"{key}={value}" for key, value in chosen.items())
                yield dict(zip(COLUMNS, [
                    name, hidden, n_iter, seed, estimator, text, round(seconds, 3),
                    round(score.loglik, 4), round(score.stderr_log_z, 3), score.converged,
                ]))  # fmt: skip


def table(results):
    """Regret of every setting: mean and worst over data sets, per number of epochs."""
    results = results.groupby([*CELL, "estimator", "params"], as_index=False).last()
    results["loglik"] = results.loglik.replace(-np.inf, np.nan).fillna(results.loglik.min() * 2)
    best = results.groupby([*CELL, "estimator"]).loglik.transform("max")
    results["regret"] = best - results.loglik
    groups = results.groupby(["estimator", "params"])
    summary = groups.agg(mean=("regret", "mean"), worst=("regret", "max"), fits=("regret", "size"))
    by_epochs = results.pivot_table("regret", ["estimator", "params"], "n_iter")
    by_set = results.pivot_table("regret", ["estimator", "params"], "dataset")
    return (
        summary.join(by_epochs.add_prefix("n_iter="))
        .join(by_set)
        .sort_values(["estimator", "mean"])
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help="names under [defaults] in config.toml")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table only")
    options = parser.parse_args()
    if not options.table:
        append(options)
    with pd.option_context("display.width", 200, "display.max_rows", 999):
        print(table(pd.read_csv(options.output, comment="#")).round(3).to_string())


def append(options):
    """Fit all settings of the stages that were asked for, adding a row each to the output."""
    stages = tomllib.loads((HERE / "config.toml").read_text())["defaults"]
    new = not options.output.exists()
    with options.output.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            for key, value in header("defaults", [f"skebm {skebm.__version__}"]).items():
                file.write(f"# {key}: {value}\n")
            writer.writeheader()
        for name in options.stages or stages:
            for row in run(stages[name], options.data, options.seeds):
                writer.writerow(row)
                file.flush()


if __name__ == "__main__":
    main()
