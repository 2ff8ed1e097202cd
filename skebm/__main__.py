"""``python -m skebm``: choose a model of data by its likelihood and show what it learned."""

import argparse
import sys
import time
import warnings
from pathlib import Path

from skebm import __version__
from skebm._command import _binary, _continuous, _data


def main(arguments=None):
    """Run the command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    figure = Path(options.figure)
    if figure.suffix.lower() != ".png" or not figure.absolute().parent.is_dir():
        parser.error(f"--figure must be a .png file in a folder that exists, got {figure}")
    try:
        jobs = _jobs(options.data, figure)
    except _data.UNREADABLE as error:
        print(f"skebm: cannot read {options.data}: {error}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    for number, (run, data, path) in enumerate(jobs):
        print("\n" if number else f"skebm {__version__}: ", end="")
        with warnings.catch_warnings():
            # Blank pixels are no news: an Ising model says of each fit that they have no couplings.
            warnings.filterwarnings("ignore", ".*no couplings and a field from counts", UserWarning)
            run(data, path)
    print(f"\nDone in {time.perf_counter() - started:.0f} s.")
    return 0


def _jobs(path, figure):
    """(job, its data, its picture) for a file, or for the two data sets of scikit-learn."""
    if path is not None:
        data = _data.read(path)
        return [((_binary if data.binary else _continuous).run, data, figure)]
    graph = figure.with_stem(f"{figure.stem}-graph")
    return [
        (_binary.run, _data.digits(), figure),
        (_continuous.run, _data.measurements(), graph),
    ]


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m skebm",
        description=(
            "Fits restricted Boltzmann machines and Ising models by several principles, chooses "
            "between them by held-out log-likelihood in nats in one grid search, and compares the "
            "winners with scikit-learn's BernoulliRBM and with independent units on test data. "
            "Then the same on continuous data: Gaussian models by score matching beside "
            "scikit-learn's GraphicalLasso, GaussianMixture and EmpiricalCovariance, and the graph "
            "that they find. Without --data it uses scikit-learn's handwritten digits, binarised, "
            "and its breast cancer measurements; nothing is downloaded."
        ),
    )
    parser.add_argument("--version", action="version", version=f"skebm {__version__}")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="a matrix of your own, rows are samples, all entries 0 and 1, or -1 and 1, or "
        "continuous, none missing: .npz (key X, or its only array) or .csv (numbers, "
        "comma-separated; a header line names the columns)",
    )
    parser.add_argument(
        "--figure",
        metavar="PNG",
        default="skebm.png",
        help="where the picture goes, if matplotlib is installed (default: %(default)s); without "
        "--data that of the second job goes beside it, its name ending in -graph",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
