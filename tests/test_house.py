"""Rules of the house that a machine can check: imports, kernels, documentation, size, cost."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import skebm
from skebm import datasets, partition
from skebm._jit import Kernel

ROOT = Path(skebm.__file__).parent
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
TREES = {name: ast.parse((ROOT / name).read_text()) for name in SOURCES}

CELLAR, ENERGIES, SAMPLERS, TOOLS, BASE, ESTIMATORS, TOP = range(7)
LAYERS = {
    **dict.fromkeys(
        ["_version", "_jit", "_simd", "_words", "_bits", "_rng", "_rows", "_numerics",
         "_validation", "_callbacks", "_warn", "_distribute", "_lattices"], CELLAR
    ),
    "energies": ENERGIES,
    "samplers": SAMPLERS,
    "partition": TOOLS,
    "criteria": TOOLS,
    "_base": BASE,
    "__init__": TOP,
    "__main__": TOP,
    "_command": TOP,
}  # fmt: skip


def part(name):
    """The part of the house that a file or a module below skebm belongs to."""
    return re.split(r"[/.]", name)[0]


def layer(name):
    return LAYERS.get(part(name), ESTIMATORS)


def imported(tree):
    """Dotted names that a module imports; relative imports are refused elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own_imports(name):
    """Modules of this package that a file imports, without ``skebm.``."""
    for module in imported(TREES[name]):
        if module.split(".")[0] == "skebm":
            below = module.split(".", 1)[1]
            exists = (ROOT / part(below)).is_dir() or f"{part(below)}.py" in SOURCES
            yield below if exists else "__init__"


# -- imports -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_one_way(name):
    assert not [n for n in ast.walk(TREES[name]) if isinstance(n, ast.ImportFrom) and n.level]
    for module in own_imports(name):
        same_part = part(module) == part(name)
        same_floor = layer(module) == layer(name) and layer(name) != TOOLS
        assert same_part or same_floor or layer(module) < layer(name), f"{name} <- {module}"


def test_the_cellar_stands_on_its_own():
    """The files of one floor do not import each other in a circle."""
    needs = {name: {f"{m.split('.')[0]}.py" for m in own_imports(name)} for name in SOURCES}
    done = set()
    cellar = {name for name in SOURCES if layer(name.removesuffix(".py")) == CELLAR}
    while cellar - done:
        ready = {name for name in cellar - done if needs[name] & cellar <= done}
        assert ready, f"circle among {sorted(cellar - done)}"
        done |= ready


def test_numba_is_met_in_few_places():
    allowed = {"numba.types", "numba.extending.overload"}
    vectors = allowed | {"numba.extending.intrinsic", "numba.core.cgutils"}
    for name in SOURCES:
        found = {module for module in imported(TREES[name]) if part(module) == "numba"}
        if name in ("_simd.py", "_words.py", "_rng.py"):
            assert found <= vectors
        elif name == "_numerics.py":
            assert found <= allowed
        elif name != "_jit.py":
            assert found <= {"numba.prange"}, name


# -- kernels -----------------------------------------------------------------------------------


def kernels():
    """Every kernel of the package, by ``file:name``."""
    found = {}
    for info in pkgutil.walk_packages([str(ROOT)], "skebm."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            for value in vars(module).values():
                if isinstance(value, Kernel) and value.__module__ == module.__name__:
                    found[f"{module.__name__}:{value.function.__name__}"] = value
    return found


KERNELS = kernels()


def tree_of(function):
    return ast.parse(inspect.getsource(function)).body[0]


def is_prange(loop):
    return getattr(getattr(getattr(loop, "iter", None), "func", None), "id", None) == "prange"


# What costs no more than the arithmetic around it, or only allocates.
_LIGHT = {"range", "min", "max", "abs", "int", "float", "len", "type", "reshape", "empty", "zeros",
          "ones", "empty_like", "zeros_like", "float64", "float32", "int64", "States",
          "chunk_of", "lanes"}  # fmt: skip
# Called outside prange: a few numbers for each row, where the update makes products with it.
_BOOKKEEPING = {"weigh_rows", "load_rows", "move_weights"}


def heavy(node):
    """Whether ``node`` does more than constant work: a loop in it, a call, or a product."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.For):
            return True
        if isinstance(inner, ast.Call):
            name = getattr(inner.func, "attr", getattr(inner.func, "id", None))
            if name not in _LIGHT | _BOOKKEEPING:
                return True
    return False


def serial_work(statements):
    """Statements of a kernel that do heavy work outside any prange."""
    for statement in statements:
        loops = [n for n in ast.walk(statement) if isinstance(n, ast.For)]
        if any(map(is_prange, loops)):
            if not is_prange(statement):  # a loop over minibatches, say: look inside
                yield from serial_work(statement.body)
        elif isinstance(statement, ast.For):
            if any(map(heavy, statement.body)):
                yield statement
        elif heavy(statement):
            yield statement


def test_all_kernels_are_known():
    decorated = {
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(
            getattr(getattr(d, "func", None), "id", None) == "kernel" for d in node.decorator_list
        )
    }
    assert {name.split(":")[1] for name in KERNELS} == decorated
    assert len(decorated) == len(KERNELS) >= 9


def test_rows_and_chains_are_looped_over_in_parallel():
    """Lists the kernels that do work per row or chain outside prange: there are none."""
    serial = {
        name: [ast.unparse(statement) for statement in found]
        for name, each in KERNELS.items()
        if (found := list(serial_work(tree_of(each.function).body)))
    }
    assert serial == {}
    without = [
        name
        for name, each in KERNELS.items()
        if not any(
            isinstance(n, ast.For) and is_prange(n) for n in ast.walk(tree_of(each.function))
        )
    ]
    assert without == []


def test_the_search_for_serial_loops_finds_them():
    """The rule above, on kernels that break it."""
    loop = "def k(x, out):\n    for r in range(x.shape[0]):\n        {}"
    product = (
        "def k(x, W, out):\n    np.dot(x, W, out)\n    for r in prange(3):\n        out[r] = 0"
    )
    for source, expected in (
        (loop.format("out[r] = softplus(x[r])"), 1),
        (loop.format("for i in range(3):\n            out[r] += x[r, i]"), 1),
        (loop.format("out[r] = x[r]"), 0),
        (loop.replace("range", "prange").format("out[r] = softplus(x[r])"), 0),
        (product, 1),
    ):
        assert len(list(serial_work(ast.parse(source).body[0].body))) == expected, source


def test_every_kernel_is_compiled_for_threads():
    assert _parallel_option() == {"prange": True}


def _parallel_option():
    from skebm._jit import _PARALLEL

    return {name: value for name, value in _PARALLEL.items() if value}


@pytest.mark.parametrize("name", SOURCES)
def test_no_flag_assumes_nan_and_inf_away(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.keyword) and node.arg == "fastmath":
            assert not isinstance(node.value, ast.Constant), name
        if isinstance(node, ast.Constant):
            assert node.value not in ("fast", "nnan", "ninf", "afn"), name


def test_kernels_do_not_raise():
    for name, each in KERNELS.items():
        raising = [
            n for n in ast.walk(tree_of(each.function)) if isinstance(n, ast.Raise | ast.Assert)
        ]
        assert not raising, name


def decorations(function):
    return {getattr(d, "id", getattr(getattr(d, "func", None), "id", None)) for d in
            function.decorator_list}  # fmt: skip


def inline_calls(tree, inline):
    """Calls of inline functions, by name or through a module, from code that is not compiled."""
    if isinstance(tree, ast.FunctionDef) and decorations(tree) & {"inline", "kernel", "overload"}:
        return
    if isinstance(tree, ast.Call):
        owner = getattr(getattr(tree.func, "value", None), "id", "")
        name = getattr(tree.func, "attr" if owner.startswith("_") else "id", None)
        if name in inline:
            yield ast.unparse(tree)
    for child in ast.iter_child_nodes(tree):
        yield from inline_calls(child, inline)


def test_python_does_not_call_inline_functions():
    """They have no entry from Python: the process would crash."""
    functions = [n for t in TREES.values() for n in ast.walk(t) if isinstance(n, ast.FunctionDef)]
    inline = {node.name for node in functions if "inline" in decorations(node)}
    assert len(inline) > 35
    for name, tree in TREES.items():
        assert not list(inline_calls(tree, inline)), name
    for call in ("list_ones(x)", "_bits.list_ones(x)"):
        assert len(list(inline_calls(ast.parse(f"def f(x):\n    return {call}"), inline))) == 1


# -- documentation -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_everything_public_says_what_it_is(name):
    """A docstring on every module, class, function and method, its own or that of what it fills."""
    assert ast.get_docstring(TREES[name]) or name == "_version.py"
    if name in ("_version.py", "__main__.py", "_callbacks.py"):
        return
    module = importlib.import_module(dotted(name))
    for owner in [module, *filter(inspect.isclass, vars(module).values())]:
        if getattr(owner, "__module__", module.__name__) != module.__name__:
            continue
        for attribute, value in vars(owner).items():
            own = getattr(value, "__module__", None) == module.__name__
            if own and callable(value) and not attribute.startswith("_"):
                named = f"{name}: {getattr(owner, '__name__', '')}.{attribute}"
                assert inspect.getdoc(getattr(owner, attribute)) or attribute in OBVIOUS, named


# Methods whose class says all.
OBVIOUS = {"check", "is_finite", "energy"}


def dotted(name):
    return ("skebm." + name.removesuffix(".py").replace("/", ".").removesuffix("__init__")).strip(
        "."
    )


def typed_by_users():
    """(name, object) of all that has a numpydoc docstring: estimators, methods, generators."""
    for name in skebm.__all__:
        cls = getattr(skebm, name)
        if inspect.isclass(cls):
            yield name, cls
            for attribute, value in inspect.getmembers(cls, callable):
                own = (getattr(value, "__module__", "") or "").startswith("skebm")
                if own and not attribute.startswith("_"):
                    yield f"{name}.{attribute}", value
    for module in (datasets, partition):
        for name in module.__all__:
            if not inspect.isclass(getattr(module, name)):
                yield name, getattr(module, name)
    for name in ("exact_moments", "exact_log_likelihood_gradient"):
        yield name, getattr(partition, name)


TYPED = dict(typed_by_users())


def section(text, title):
    """The body of a numpydoc section, or an empty string."""
    match = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)", text, re.M | re.S)
    return match.group(1) if match else ""


def documented(text):
    """{parameter: documented default or None} of a numpydoc docstring, in order."""
    found = {}
    for names, kind in re.findall(
        r"^(\*{0,2}\w[\w, ]*?)(?: : (.*))?$", section(text, "Parameters"), re.M
    ):
        names = names.split(", ")
        default = re.search(r"default=(.*)$", kind)
        defaults = [default.group(1)] if default else [None]
        if default and len(names) > 1:
            defaults = default.group(1).split(", ")
        found.update(zip(names, defaults, strict=default is not None))
    return found


@pytest.mark.parametrize("name", TYPED)
def test_parameters_are_documented_with_their_defaults(name):
    value = TYPED[name]
    signature = inspect.signature(value).parameters
    expected = {each: p.default for each, p in signature.items() if each not in ("self", "cls")}
    found = documented(inspect.getdoc(value))
    assert [each.strip("*") for each in found] == list(expected)
    for each, default in expected.items():
        if default is inspect.Parameter.empty or each == "y":
            continue
        assert found[each] == (f'"{default}"' if isinstance(default, str) else repr(default)), each


# What the classes of a family have once fitted, beside what all have.
FITTED = {
    "Ising": ("coupling_", "field_", "log_partition_"),
    "RBM": ("components_", "history_"),
    "NCE": ("params_", "param_names_", "params_stderr_", "params_cov_", "log_partition_", "noise_"),
    "Gaussian": ("precision_", "location_", "covariance_", "log_partition_"),
}


@pytest.mark.parametrize("name", TYPED)
def test_results_are_documented(name):
    text = inspect.getdoc(TYPED[name])
    summary = text.split("\n")[0]
    assert summary.endswith((".", ":")) or "." in text.split("\n\n")[0], name
    if inspect.isclass(TYPED[name]):
        attributes = section(text, "Attributes")
        family = next(each for each in FITTED if each in name)
        for attribute in (*FITTED[family], "n_iter_", "n_features_in_"):
            assert f"\n{attribute} :" in "\n" + attributes
        assert ">>>" in section(text, "Examples") and section(text, "References")
    else:
        assert section(text, "Returns"), name


RESULTS = [each for each in vars(partition).values() if hasattr(each, "__dataclass_fields__")]


@pytest.mark.parametrize("result", RESULTS, ids=lambda each: each.__name__)
def test_results_document_their_fields(result):
    attributes = section(inspect.getdoc(result), "Attributes")
    names = {
        name
        for line in re.findall(r"^(\w[\w, ]*) :", attributes, re.M)
        for name in line.split(", ")
    }
    assert names == set(result.__dataclass_fields__)


def test_purposes_of_random_numbers_are_unique():
    """Two streams of one seed never have the same key: every purpose has a number of its own."""
    found = []
    for name in SOURCES:
        lines = iter((ROOT / name).read_text().splitlines())
        for line in lines:
            if line.startswith("# Purposes of random numbers"):
                line = next(lines)
            elif not re.search(r"# purposes? of (the )?random numbers", line):
                continue
            numbers = line.split("=")[1].split("#")[0]
            found += eval(numbers) if "range" in numbers else map(int, numbers.split(","))
    assert len(found) > 25 and len(set(found)) == len(found)


def test_the_map_names_every_room():
    for name in SOURCES:
        room = part(name).removesuffix(".py")
        if room not in ("__init__", "__main__", "_version"):
            assert room in skebm.__doc__, f"the package docstring does not mention {name}"


# -- size and cost -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_files_are_short(name):
    assert len((ROOT / name).read_text().splitlines()) <= 400


def test_import_is_cheap_and_compiles_nothing(run_python, tmp_path):
    """At most 0.15 s of processor time over what Numba and scikit-learn take themselves.

    Or, on a machine where these two take more than 1.5 s, a tenth of what they do. The first of
    the runs writes the bytecode that the others read, as on any machine.
    """
    code = """
import gc, time
gc.disable()  # passes over what the others have loaded fall into ours by chance
before = time.process_time()
import joblib, numba, scipy.sparse, scipy.special, sklearn.base, sklearn.utils.validation
import numba.extending, threadpoolctl
try:
    import sklearn.callback
except ImportError:
    pass
import sys
loaded = set(sys.modules)
started = time.process_time()
import skebm
print(time.process_time() - started, started - before)
from skebm._jit import Kernel
assert not any(each.compiled() for each in gc.get_objects() if isinstance(each, Kernel))
assert not {"matplotlib", "pandas", "rich", "torch"} & (set(sys.modules) - loaded)
"""
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    times = [run_python(code, **bytecode).stdout.split() for _ in range(4)]
    ours, theirs = (min(map(float, each)) for each in zip(*times))
    assert ours < max(0.15, 0.1 * theirs)


def test_no_path_of_any_machine():
    home = r"(?<![\w.:/])/(?:" + "|".join(["root", "home", "work", "tmp", "Users"]) + r")/\w"
    checkout = (ROOT.parent / "pyproject.toml").exists()
    folders = (
        [ROOT.parent / each for each in ("skebm", "tests", "benchmarks")] if checkout else [ROOT]
    )
    kinds = (".py", ".md", ".toml", ".cfg", ".json")
    files = [p for folder in folders for p in folder.rglob("*") if p.suffix in kinds]
    files += [p for p in ROOT.parent.glob("*") if checkout and p.suffix in kinds]
    assert len(files) >= len(SOURCES)
    found = [str(p) for p in files if re.search(home, p.read_text(errors="replace"))]
    assert found == []
