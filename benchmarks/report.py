"""Write what was measured into the README: ``python -m benchmarks.report``.

Reads ``results/speed.csv`` and ``results/scaling.csv``, prints their tables, puts a section
between the two ``speed`` comments of the README and draws ``docs/speed.png``. Tables of
``coverage.csv``, ``accuracy.csv`` and ``tracking.csv`` go between the two ``log Z`` comments, those
of ``ising_speed.csv``, ``structure.csv`` and ``densities.csv`` between the two ``Ising`` comments,
that of ``flips.csv`` between the two ``flips`` comments, that of ``search.csv`` between the two
``search`` comments, those of ``gaussian_speed.csv``, ``gaussian_graphs.csv`` and
``gaussian_real.csv`` between the two ``Gaussian`` comments with ``docs/gaussian.png``, those of
``nce_asymptotics.csv``, ``nce_slopes.csv`` and ``nce_speed.csv`` between the two ``NCE`` comments
with ``docs/nce.png``, where these files are there. With ``--targets`` it does nothing but compare
results with the targets of ``config.toml``, and ends with status 1 if one is missed or not
measured. Result files that lack a row are refused.
"""

import argparse
from pathlib import Path

from benchmarks import (
    estimate_tables,
    flip_tables,
    gaussian_quality_tables,
    gaussian_tables,
    ising_quality_tables,
    ising_tables,
    nce_tables,
    search_tables,
    tables,
)
from benchmarks.settings import CONFIG, HERE, label, problems
from benchmarks.targets import FIGURES, verdicts

ESTIMATES = ("coverage", "accuracy", "tracking")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder to read")
    parser.add_argument("--readme", type=Path, default=HERE.parent / "README.md")
    parser.add_argument("--picture", type=Path, default=HERE.parent / "docs" / "speed.png")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--targets", action="store_true", help="compare with the targets only")
    options = parser.parse_args(arguments)
    settings = problems(options.config)
    if options.targets:
        check_targets(settings, options.results)
        return
    from benchmarks.figure import draw  # needs Matplotlib, which the rest does not

    (header, speed), (_, scaling) = [
        complete(settings[name], options.results / f"{name}.csv") for name in ("speed", "scaling")
    ]
    for rows in (speed, scaling):
        print("\n".join([tables.HEADING, *map(tables.line, tables.groups(rows)), ""]))
    sections = {"speed": section(header, speed, scaling)}
    if estimates := estimate_results(settings, options.results):
        sections["log Z"] = estimate_tables.section(estimates)
        print(sections["log Z"])
    if ising := ising_section(settings, options.results):
        sections["Ising"] = ising
        print(ising)
    if (path := options.results / "flips.csv").exists():
        sections["flips"] = flip_tables.section(*tables.read(path), settings["flips"])
        print(sections["flips"])
    if (path := options.results / "search.csv").exists():
        sections["search"] = search_tables.section(*complete(settings["search"], path))
        print(sections["search"])
    if gaussian := gaussian_section(settings, options.results, options.picture.parent):
        sections["Gaussian"] = gaussian
        print(gaussian)
    if contrasts := nce_section(settings, options.results, options.picture.parent):
        sections["NCE"] = contrasts
        print(contrasts)
    rewrite(options.readme, sections)
    draw(scaling, options.picture)
    print(f"wrote {options.readme.name} and {options.picture.name}")


def ising_section(settings, folder):
    """The text of the README about Ising models, of what was measured; empty if nothing was."""
    found = measured(settings, folder, ("ising_speed", "structure", "densities"))
    speed = found.pop("ising_speed", None)
    parts = [ising_tables.section(*speed)] if speed else []
    parts += [ising_quality_tables.section(found)] if found else []
    return "".join(parts)


def gaussian_section(settings, folder, pictures):
    """The text of the README about Gaussian models, of what was measured; draws their picture."""
    found = measured(settings, folder, ("gaussian_speed", "gaussian_graphs", "gaussian_real"))
    parts = []
    if speed := found.pop("gaussian_speed", None):
        from benchmarks.gaussian_figure import draw

        draw(speed[1], pictures / "gaussian.png")
        parts.append(gaussian_tables.section(*speed))
    parts += [gaussian_quality_tables.section(found)] if found else []
    return "".join(parts)


def nce_section(settings, folder, pictures):
    """The text of the README about noise-contrastive estimation; draws its picture."""
    found = measured(settings, folder, nce_tables.PARTS)
    if slopes := found.get("nce_slopes"):
        from benchmarks.nce_figure import draw

        draw(slopes[1], pictures / "nce.png")
    return nce_tables.section(found) if found else ""


def measured(settings, folder, names):
    """{problem: (header, rows)} of the named problems that have a result file."""
    paths = {name: folder / f"{name}.csv" for name in names}
    return {name: complete(settings[name], path) for name, path in paths.items() if path.exists()}


def check_targets(settings, folder):
    """Print every target with what was found; status 1 if one is missed."""
    found = []
    for name, problem in settings.items():
        if problem["kind"] in FIGURES:
            path = folder / f"{name}.csv"
            found += verdicts(problem, tables.read(path)[1] if path.exists() else [])
    print("\n".join(map(str, found)))
    missed = [each for each in found if not each.reached]
    if missed:
        raise SystemExit(f"{len(missed)} of {len(found)} targets missed")
    print(f"all {len(found)} targets reached")


def estimate_results(settings, folder):
    """{problem: (header, rows)} of the problems about log Z that were measured."""
    return measured(settings, folder, ESTIMATES)


def complete(problem, path):
    """Header and rows of a result file that has every row of its problem."""
    header, rows = tables.read(path)
    missing = {label(row) for row in problem["rows"]} - {row["row"] for row in rows}
    if missing:
        raise SystemExit(f"{path.name} lacks {len(missing)} rows: {'; '.join(sorted(missing))}")
    return header, rows


def rewrite(readme, sections):
    """Put every text between the two comments of its name, in place of what is there."""
    page = readme.read_text()
    for name, text in sections.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found, rest = page.partition(f"{begin}\n")
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{readme.name} has no {begin} ... {end}")
        page = f"{before}{found}{text}\n{closed}{after}"
    readme.write_text(page)


# -- the section -----------------------------------------------------------------------------


_ABOUT = (
    "Speed of float32 models, 784 visible units of which half are active and 500 hidden ones "
    "where nothing else is said: {machine}, {date}; {versions}. “of sgemm” is the share of what "
    "NumPy's product of two 2048 × 2048 matrices reached in the same process, counting 3 + 2k "
    "dense products an update and 2 a temperature. It passes 100 %, since binary states are not "
    "multiplied: tabulated sums are added up, or single rows where few units are on. The columns "
    "with × say how many times faster skebm is than a peer, and with all threads than with one."
)

_PICTURE = (
    "![Time of an update against batch size, Gibbs steps, hidden units and share of active units]"
    "(docs/speed.png)"
)


def section(header, speed, scaling):
    """The text of the README about speed, every number from the result files."""
    found = tables.groups(speed)
    learning = [each for each in found if "share_of_peak" in each]
    others = [each for each in found if "share_of_peak" not in each]
    about = _ABOUT.format(
        machine=header["processor"], date=header["date"], versions=header["versions"]
    )
    parts = [
        tables.wrapped(about), tables.markdown(learning), tables.markdown(others), _PICTURE,
        tables.wrapped(sparse_sentence(scaling)),
    ]  # fmt: skip
    return "\n" + "\n\n".join(parts) + "\n"


def sparse_sentence(scaling):
    """From where on zeros are worth skipping, and what the form of the input changes."""
    array, csr = density_times(scaling, ""), density_times(scaling, "csr")
    fewest, half = min(array), array[0.5]
    worthwhile = [each for each in array if each < 0.5 and array[each] < 0.9 * half]
    ratios = {each: csr[each] / array[each] for each in array if each in csr}
    parts = [
        f"An update with {tables.percent(fewest)} of the visible units active takes "
        f"{array[fewest] / half:.2f} of the time of one with 50 %",
        f"; skipping zeros saves a tenth or more up to {tables.percent(max(worthwhile))}"
        if worthwhile
        else "",
        f". CSR takes {min(ratios.values()):.2f} to {max(ratios.values()):.2f} of the time of the "
        "same rows as an array.",
    ]
    return "".join(parts)


def density_times(scaling, form):
    """{density: seconds} of skebm with all threads."""
    return {
        row["density"]: row["seconds"]
        for row in scaling
        if row["sweep"] == "density"
        and row["input"] == form
        and row["row"] == f"{row['name']}, skebm"
    }


if __name__ == "__main__":
    main()
