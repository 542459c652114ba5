"""The house rules of the package, checked on the source: who may import whom, how long, how quiet."""

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import anchorface

ROOT = Path(anchorface.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"
}

FLOORS = (
    "errors",
    "conventions",
    "types",
    "config",
    "provenance",
    "outputs",
    "face",
    "tracking",
    "motion",
    "control",
    "anchor",
    "pipeline",
    "video",
    "evaluation",
    "suite",
    "training",
    "commands",
    "cli",
    "__main__",
)
"""From the ground up (architecture.md): a floor imports itself and the floors before it, nothing after it."""

MAY_REACH_UP = {
    ("pipeline.animate", "*"): "the flow as one sentence",
    ("pipeline.loading", "suite"): "where the embedded models lie; suite/__init__.py imports nothing",
    ("pipeline.lora", "suite"): "where the shipped characters lie",
    ("pipeline.drive", "suite"): "the world's grammar reads a layout from a prompt",
    ("pipeline.anchoring", "video"): "an anchor picture is read from a file",
    ("pipeline.best_of", "video"): "reference photos are read from files",
    ("tracking.track", "video"): "`track_video` starts from a file",
    ("tracking.photos", "video"): "so does `shape_from_photos`",
}

ANCHOR_MAY_IMPORT = {"errors", "conventions", "types", "anchor", "torch", "diffusers"}
"""anchor/ can be lifted out whole."""

DIFFUSION = {"diffusers", "transformers", "peft", "accelerate"}
KNOWS_NO_DIFFUSION = ("face", "tracking", "motion", "control")
EXCEPT = {"control.adapter"}

LONGEST, COMFORTABLE = 400, 250


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """(name, ours) of all that ``module`` imports anywhere, in functions and under TYPE_CHECKING too."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names, level, base = [alias.name for alias in node.names], 0, None
        elif isinstance(node, ast.ImportFrom):
            names, level, base = [alias.name for alias in node.names], node.level, node.module
        else:
            continue
        for name in names:
            if level:
                start = [*package[: len(package) - level + 1], *(base.split(".") if base else [])]
                yield ".".join([*start, name] if ".".join([*start, name]) in MODULES else start), True
            else:
                full = base or name
                ours = full.split(".")[0] == "anchorface"
                yield full.removeprefix("anchorface.") if ours else full, ours


def floor(module: str) -> str:
    return module.split(".")[0]


def allowed_up(module: str, target: str) -> bool:
    whats = [what for who, what in MAY_REACH_UP if who == module]
    return any(what == "*" or target == what or target.startswith(what + ".") for what in whats)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    assert floor(module) in FLOORS, f"{module}: give it a place in FLOORS"
    rank = FLOORS.index(floor(module))
    for target, ours in imports(module):
        if ours and target:
            assert floor(target) in FLOORS, f"{module} imports {target}, which has no floor"
            ok = FLOORS.index(floor(target)) <= rank or allowed_up(module, target)
            assert ok, f"{module} imports {target}, which stands above it"


@pytest.mark.parametrize("module", [name for name in MODULES if floor(name) == "anchor"])
def test_anchor_can_be_lifted_out(module: str) -> None:
    for target, ours in imports(module):
        if ours or target.split(".")[0] not in sys.stdlib_module_names:
            assert floor(target) in ANCHOR_MAY_IMPORT, f"{module} imports {target}"


@pytest.mark.parametrize("module", [name for name in MODULES if floor(name) in KNOWS_NO_DIFFUSION])
def test_faces_know_nothing_about_diffusion(module: str) -> None:
    if module not in EXCEPT:
        named = {target.split(".")[0] for target, ours in imports(module) if not ours}
        assert not named & DIFFUSION, f"{module} imports {sorted(named & DIFFUSION)}"


def test_modules_are_short() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    long = {name: lines for name, lines in lengths.items() if lines > COMFORTABLE}
    if long:
        warnings.warn(f"longer than {COMFORTABLE} lines: {long}", stacklevel=1)
    assert not {name: lines for name, lines in long.items() if lines > LONGEST}


def test_file_names_say_what_is_inside() -> None:
    for path in MODULES.values():
        assert path.stem not in ("utils", "util", "helpers", "misc", "common"), path
        assert not re.search(r"_v?\d+$", path.stem), f"{path}: no version in a file name"


@pytest.mark.parametrize("name", anchorface.__all__)
def test_public_names_live_where_the_package_says(name: str) -> None:
    if name == "__version__":
        assert re.match(r"\d+\.\d+", anchorface.__version__)
        return
    path = MODULES[anchorface._HOME[name]]
    defined: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom) and path.name == "__init__.py":
            defined.update(alias.name for alias in node.names)
    assert name in defined


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_import_is_silent_light_and_fast() -> None:
    code = (
        "import time, sys; start = time.process_time(); import anchorface\n"
        "took = time.process_time() - start\n"
        "assert not {'torch', 'numpy', 'diffusers', 'av', 'PIL'} & set(sys.modules)\n"
        "assert 'animate' in dir(anchorface) and not hasattr(anchorface, 'nonsense')\n"
        "assert took < 0.3, took"
    )
    done = run(code)  # processor time: the machine may be busy with other things
    assert (done.stdout, done.stderr) == ("", "")


def test_nouns_need_no_torch() -> None:
    run("import sys, anchorface; anchorface.Clip, anchorface.InputError; assert 'torch' not in sys.modules")
