"""Compare two result files: ``python -m benchmarks.compare BEFORE.csv AFTER.csv``.

Prints the ratio of times and the difference of likelihoods row by row, and names regressions: a
row that is slower by more than 15 % and by more than 0.05 s, or whose likelihood is lower by more
than three standard errors. Rows of speed problems are timed per step: there only the share of the
peak counts, or where a job has none, the time relative to the peak; and a fit may not need 15 %
and 5 MB more memory. Ends with status 1 if there is a regression or a row is missing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

SLOWER, SECONDS, STANDARD_ERRORS = 1.15, 0.05, 3.0
LARGER, MEGABYTES = 1.15, 5.0

# Jobs that wait for disks and compilers, not for products.
FIRST_USE = ("import", "first fit")


def read(path):
    """The table of a result file, by row."""
    return pd.read_csv(path, comment="#").set_index("row")


def compared(before, after):
    """One line per row of either table, with what became of it."""
    lines = []
    for name in dict.fromkeys([*before.index, *after.index]):
        if name not in after.index or name not in before.index:
            lines.append((name, np.nan, np.nan, "missing" if name in before.index else "new"))
            continue
        old, new = before.loc[name], after.loc[name]
        found = [_slower(old, new), _less_likely(old, new), _larger(old, new)]
        verdict = " and ".join(filter(None, found))
        gain = new.get("loglik", np.nan) - old.get("loglik", np.nan)
        lines.append((name, new.seconds / old.seconds, gain, verdict))
    return pd.DataFrame(lines, columns=["row", "time ratio", "nats gained", "verdict"])


def _slower(old, new):
    if _both(old, new, "megabytes"):
        return None  # the times of memory rows are of no interest
    if _both(old, new, "share_of_peak"):
        slower = old.share_of_peak > SLOWER * new.share_of_peak
    elif _both(old, new, "peak_gflops") and old.get("job") not in FIRST_USE:
        slower = new.seconds * new.peak_gflops > SLOWER * old.seconds * old.peak_gflops
    else:
        slower = new.seconds > SLOWER * old.seconds and new.seconds - old.seconds > SECONDS
    return "slower" if slower else None


def _both(old, new, column):
    return pd.notna(old.get(column)) and pd.notna(new.get(column))


def _larger(old, new):
    if not _both(old, new, "megabytes"):
        return None
    more = new.megabytes - old.megabytes
    return "larger" if more > max(MEGABYTES, (LARGER - 1.0) * old.megabytes) else None


def _less_likely(old, new):
    if pd.isna(old.get("loglik")) or "loglik" not in new:
        return None  # of a search, only the chosen candidate is tested
    # The test rows are the same, so their error is counted on one side only.
    error = np.sqrt(_squared(old, "stderr_log_z") + _squared(new, "stderr_log_z") + _of_rows(new))
    worse = old.loglik - new.loglik > STANDARD_ERRORS * error or not np.isfinite(new.loglik)
    return "less likely" if worse else None


def _squared(row, column):
    return row.get(column, 0.0) ** 2


def _of_rows(row):
    """Squared error of a likelihood by the rows that were held out, or by the splits."""
    if "splits" in row:
        return row.loglik_sd**2 / row.splits
    return row.stderr_rows**2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    table = compared(read(options.before), read(options.after))
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep=""))
    regressions = table[~table.verdict.isin(["", "new"])]
    if len(regressions):
        raise SystemExit(f"{len(regressions)} regressions: {', '.join(regressions.row)}")


if __name__ == "__main__":
    main()
