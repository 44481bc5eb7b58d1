"""The house rules that a machine can check: layers, sizes, imports, and what the text may say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (
    {"utils"},
    {"d2"},
    {"config", "ops"},
    {"layers", "data", "solver", "checkpoint", "visualization"},
    {"modeling", "evaluation"},
    {"export", "analysis"},
    {"engine"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
OPTIONAL_PACKAGES = {
    "detectron2", "hotcoco", "matplotlib", "tensorboard", "sklearn", "skimage", "timm",
}  # fmt: skip
MOST_LINES = 400

LIBRARY = sorted((ROOT / "yolov7").rglob("*.py"))
SCRIPTS = sorted(
    file
    for pattern in ("*.py", "tools/*.py", "datasets/*.py", "benchmarks/*.py")
    for file in ROOT.glob(pattern)
)


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.Import | ast.ImportFrom, module: str, *, is_package: bool) -> list[str]:
    """The absolute dotted names that one import statement takes (module, or module.name)."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = module.split(".") if is_package else module.split(".")[:-1]
        package = package[: len(package) - node.level + 1]
        base = ".".join([*package, base] if base else package)
    return [f"{base}.{alias.name}" for alias in node.names]


def imports(file: Path) -> Iterator[tuple[str, ast.stmt, bool]]:
    """(dotted name, statement, is it at the top of the module) of every import of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {
        id(child)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = imported(node, module_name(file), is_package=file.name == "__init__.py")
            for name in names:
                yield name, node, id(node) not in inside


def room(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "yolov7" and len(parts) > 1 and parts[1] in LEVEL else None


def identifier(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", LIBRARY, ids=identifier)
def test_imports_only_from_lower_layers_or_its_own_room(file: Path) -> None:
    own = room(module_name(file))
    if own is None:
        return
    wrong = [
        name
        for name, _, _ in imports(file)
        if (other := room(name)) is not None and other != own and LEVEL[other] >= LEVEL[own]
    ]
    assert not wrong, f"{own} may not import {wrong}"


@pytest.mark.parametrize("file", [*LIBRARY, *SCRIPTS], ids=identifier)
def test_detectron2_and_its_stand_in_come_only_through_the_seam(file: Path) -> None:
    inside_seam = module_name(file).startswith("yolov7.d2")
    benchmark = file.parent.name == "benchmarks"
    for name, _, _ in imports(file):
        if not inside_seam:
            assert name.split(".")[0] != "detectron2", "import from yolov7.d2 instead"
            assert benchmark or not name.startswith("yolov7.d2.embedded"), "import from yolov7.d2"


@pytest.mark.parametrize("file", LIBRARY, ids=identifier)
def test_functions_import_only_optional_packages(file: Path) -> None:
    if module_name(file).startswith("yolov7.d2"):
        return
    hidden = {name.split(".")[0] for name, _, at_top in imports(file) if not at_top}
    assert hidden <= OPTIONAL_PACKAGES, f"move to the top of the file: {hidden - OPTIONAL_PACKAGES}"


@pytest.mark.parametrize("file", [*LIBRARY, *SCRIPTS], ids=identifier)
def test_files_are_short_and_name_what_they_import(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{lines} lines: one concept a file, at most {MOST_LINES} lines"
    assert not any(name.endswith(".*") for name, _, _ in imports(file)), "no star imports"


def test_the_library_has_no_import_cycles() -> None:
    modules = {module_name(file): file for file in LIBRARY}
    edges: dict[str, set[str]] = {}
    for module, file in modules.items():
        targets = set()
        for name, _, at_top in imports(file):
            target = name if name in modules else name.rpartition(".")[0]
            package_of_itself = module.startswith(f"{target}.") or target == module
            if at_top and target in modules and not package_of_itself:
                targets.add(target)
        edges[module] = targets
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"import cycle: {' -> '.join((*path, module))}"
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in modules:
        visit(module, ())


@pytest.mark.parametrize("file", LIBRARY, ids=identifier)
def test_every_module_and_public_name_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module needs a docstring"
    missing = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not missing, f"public names without a docstring: {missing}"


@pytest.mark.parametrize("file", LIBRARY, ids=identifier)
def test_only_from_config_reads_the_config(file: Path) -> None:
    """No constructor takes `cfg`: config enters through `from_config` or a builder function."""
    if room(module_name(file)) in {"d2", "config"}:
        return
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]]
            assert "cfg" not in names, f"{file.name}:{node.lineno}: a constructor takes cfg"
