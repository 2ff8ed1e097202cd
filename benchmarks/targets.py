"""Targets: the figures that a row of ``config.toml`` names, and what was measured."""

from typing import NamedTuple

from benchmarks import (
    estimate_tables,
    gaussian_quality_tables,
    gaussian_tables,
    ising_tables,
    nce_tables,
    tables,
)

# How the rows of a kind of problem become figures by name; other kinds have no targets.
FIGURES = {
    "speed": tables.groups,
    "coverage": estimate_tables.figures_of_rows,
    "accuracy": estimate_tables.accuracy_figures,
    "tracking": estimate_tables.figures_of_rows,
    "ising speed": ising_tables.figures,
    "gaussian speed": gaussian_tables.figures,
    "gaussian graphs": gaussian_quality_tables.figures,
    "nce speed": nce_tables.figures,
    "nce slopes": nce_tables.slope_figures,
    "nce asymptotics": nce_tables.variance_figures,
}


class Verdict(NamedTuple):
    """One target: what was wanted, what was found (None: not measured), by how much it differs.

    ``margin`` is the share by which the figure is better (positive) or worse than wanted.
    """

    name: str
    figure: str
    bound: str
    wanted: float
    found: float | None
    margin: float

    @property
    def reached(self):
        return self.margin >= 0.0

    def __str__(self):
        bound = f"{self.figure} {self.bound} {self.wanted:g}"
        if self.found is None:
            return f"MISSED   {self.name}: {bound}, not measured"
        state = "reached" if self.reached else "MISSED "
        words, difference = "better" if self.reached else "worse", 100.0 * abs(self.margin)
        return f"{state}  {self.name}: {bound}, found {self.found:.3g} ({difference:.0f} % {words})"


def verdicts(problem, rows):
    """One verdict per target of the problem, on the rows of its result file."""
    groups = {found["name"]: found for found in FIGURES[problem["kind"]](rows)}
    wanted = {row["name"]: row for row in problem["rows"]}
    return [
        _verdict(name, figure, bound, value, groups.get(name, {}).get(figure))
        for name, row in wanted.items()
        for bound in ("at_least", "at_most")
        for figure, value in row.get(bound, {}).items()
    ]


def _verdict(name, figure, bound, wanted, found):
    margin = -1.0
    if found is not None:
        margin = found / wanted - 1.0 if bound == "at_least" else 1.0 - found / wanted
    return Verdict(name, figure, bound.replace("_", " "), wanted, found, margin)
