"""The house: which module may import which, and what may not be imported at all.

`FLOORS` is the architecture, from the ground up. A module imports from its own floor and from floors below it; no
modules import each other in a circle; what is heavy is imported where it is needed and nowhere else.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

import bgrs_middleware

FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "the words",
        (
            *("errors", "hot", "failpoints", "models", "orders"),
            *("setting_forms", "setting_kinds", "setting_parts", "settings"),
        ),
    ),
    ("deciding, and what stands beside it", ("protocol", "pending", "progress")),
    ("what can be exchanged", ("stores", "bodies", "executors", "sealing", "keyfile", "advice")),
    ("the one writer, the one reader", ("batching", "ledger", "reader", "waiting")),
    ("the service", ("service",)),
    ("replaying", ("replay",)),
    (
        "the doors",
        (
            *("", "doorway", "lifespan", "asgi", "asgi_reply", "wsgi"),
            *("cli", "existing", "demo", "purge", "status", "worker"),
        ),
    ),
)
"""From the ground up: a floor's name, and its modules. A name stands for its submodules too; "" is `__init__.py`."""

UPWARD_FOR_TYPES = {"settings": ("bodies.base", "executors.base", "stores.base"), "models": ("protocol.filters",)}
"""Who may name types of a higher floor, under TYPE_CHECKING: a setting takes an object, a query a condition."""

UNKNOWN_TO_THE_PROTOCOL = {
    *("asyncio", "io", "os", "pathlib", "queue", "random", "secrets", "select", "selectors", "shutil", "signal"),
    *("socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request"),
}
"""Sans-IO: no clock, no disk, no network, no thread, no chance."""

KNOWN_TO_THE_PROTOCOL = {"itsdangerous"}
"""From outside the standard library the protocol has this alone: to sign a page token is to compute."""

HOMES = {
    "sqlalchemy": ("stores",),
    "sqlite3": ("stores",),
    "cryptography": ("sealing",),
    "django": ("demo",),
    "fastapi": ("demo",),
    "flask": ("demo",),
    "starlette": ("demo",),
    "uvicorn": ("demo",),
    "httpx": ("demo",),
    "rich": ("cli", "demo"),
}
"""What is heavy or a framework, and the only modules that may import it."""

MOST_LINES = 320

ROOT = Path(bgrs_middleware.__file__).parent
PACKAGE = bgrs_middleware.__name__


@dataclass(frozen=True)
class Import:
    """One import. `target` is a module of ours without the package's name, or a foreign one as it is written."""

    source: str
    target: str
    is_ours: bool
    when: Literal["at once", "in a call", "for types"]
    line: int

    def __str__(self) -> str:
        return f"{self.source or '__init__'}, line {self.line}: imports {self.target} ({self.when})"


def modules() -> dict[str, Path]:
    """All modules of the package, `stores.base` and the like, and their files; a package is its `__init__.py`."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imports_of(module: str) -> list[Import]:
    """All imports that stand in a module."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return list(_imports_below(tree, module, "at once"))


def _imports_below(node: ast.AST, module: str, when: Literal["at once", "in a call", "for types"]) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield _import(module, alias.name, when, child.lineno)
        elif isinstance(child, ast.ImportFrom):
            for target in _targets(child, module):
                yield _import(module, target, when, child.lineno)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports_below(ast.Module(body=child.body, type_ignores=[]), module, "for types")
            yield from _imports_below(ast.Module(body=child.orelse, type_ignores=[]), module, when)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "at once":
            yield from _imports_below(child, module, "in a call")
        else:
            yield from _imports_below(child, module, when)


def _targets(node: ast.ImportFrom, module: str) -> Iterator[str]:
    """The full names of the modules that a `from … import …` imports from: a name in it may be a module itself."""
    base = node.module or ""
    if node.level:
        inside = f"{PACKAGE}.{module}".rstrip(".").split(".")
        package = inside if MODULES[module].name == "__init__.py" else inside[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner.removeprefix(f"{PACKAGE}.") in MODULES else base


def _import(module: str, target: str, when: Literal["at once", "in a call", "for types"], line: int) -> Import:
    is_ours = target == PACKAGE or target.startswith(f"{PACKAGE}.")
    name = target.removeprefix(PACKAGE).removeprefix(".") if is_ours else target
    return Import(source=module, target=name, is_ours=is_ours, when=when, line=line)


IMPORTS = [each for module in MODULES for each in imports_of(module)]
OURS = [each for each in IMPORTS if each.is_ours]


def belongs_to(module: str, names: Iterable[str]) -> bool:
    """Whether a module is one of these, or inside one of them."""
    return any(module == name or (name and module.startswith(f"{name}.")) for name in names)


def floor_of(module: str) -> int:
    """The number of a module's floor, the ground being 0."""
    floors = [number for number, (_, names) in enumerate(FLOORS) if belongs_to(module, names)]
    assert len(floors) == 1, f"{module!r} stands on {len(floors)} floors: FLOORS must name it once"
    return floors[0]


def packages_of(module: str) -> list[str]:
    """The packages that a module is in, without the outermost, which imports nothing."""
    parts = module.split(".")
    return [name for length in range(1, len(parts)) if (name := ".".join(parts[:length])) in MODULES]


def circle_in(edges: dict[str, set[str]]) -> list[str]:
    """One circle of imports, or nothing."""
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges[module]):
            if circle := walk(target, [*trail, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in edges if (circle := walk(module, []))), [])


def test_the_package_is_looked_at() -> None:
    assert {"settings", "protocol.message", "stores.base", "asgi"} <= set(MODULES)
    assert any(each.source == "ledger" and each.target == "stores.base" for each in OURS)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_stands_on_one_floor(module: str) -> None:
    floor_of(module)


def test_no_module_imports_from_a_higher_floor() -> None:
    upward = [
        str(each)
        for each in OURS
        if floor_of(each.target) > floor_of(each.source)
        and not (each.when == "for types" and each.target in UPWARD_FOR_TYPES.get(each.source, ()))
    ]
    assert upward == []


def test_every_exception_for_types_is_needed() -> None:
    used = {(each.source, each.target) for each in OURS if each.when == "for types"}
    assert {(source, target) for source, targets in UPWARD_FOR_TYPES.items() for target in targets} <= used


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {module: set() for module in MODULES}
    for each in OURS:
        if each.when == "at once" and each.target:
            edges[each.source].add(each.target)
            # Importing `a.b` runs `a/__init__.py` too, unless the importing module is inside `a` itself.
            edges[each.source] |= {
                package for package in packages_of(each.target) if not belongs_to(each.source, [package])
            }
    assert circle_in(edges) == []


def test_a_circle_would_be_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_protocol_has_no_clock_no_disk_and_no_framework() -> None:
    foreign = [each for each in IMPORTS if not each.is_ours and belongs_to(each.source, ["protocol"])]
    assert foreign
    assert [
        str(each)
        for each in foreign
        if belongs_to(each.target, UNKNOWN_TO_THE_PROTOCOL)
        or each.target.partition(".")[0] not in sys.stdlib_module_names | KNOWN_TO_THE_PROTOCOL
    ] == []


@pytest.mark.parametrize("library", HOMES)
def test_what_is_heavy_is_imported_only_where_it_is_needed(library: str) -> None:
    assert [
        str(each)
        for each in IMPORTS
        if belongs_to(each.target, [library])
        and not each.is_ours
        and each.when != "for types"
        and not belongs_to(each.source, HOMES[library])
    ] == []


def test_no_file_is_much_over_three_hundred_lines() -> None:
    lengths = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > MOST_LINES} == {}


def test_every_file_explains_itself() -> None:
    silent = [
        module
        for module, file in MODULES.items()
        if (tree := ast.parse(file.read_text(encoding="utf-8"))).body and ast.get_docstring(tree) is None
    ]
    assert silent == []
