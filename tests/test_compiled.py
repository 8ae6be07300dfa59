"""The compiled build is used where it was made from the source that is there, and nowhere else."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import shipway.gateway.call
from shipway import compiled

ROOT = Path(__file__).parents[1]
SUFFIX = EXTENSION_SUFFIXES[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package of one module, and what it was compiled to."""
    (tmp_path / "call.py").write_text("A = 1\n")
    folder = tmp_path / compiled.FOLDER
    folder.mkdir()
    _write_manifest(folder)
    return folder


def _write_manifest(folder: Path, **changes: object) -> None:
    source = folder.parent / "call.py"
    manifest = {
        "suffix": SUFFIX,
        "files": {"package.call": "package.call" + SUFFIX},
        "sources": {"call.py": compiled.digest_of(source)},
    }
    (folder / compiled.MANIFEST).write_text(json.dumps(manifest | changes))


def test_the_build_of_this_very_source_is_used(folder: Path) -> None:
    assert compiled.fresh_files(folder) == {"package.call": folder / f"package.call{SUFFIX}"}


def test_an_edited_source_runs_itself(folder: Path) -> None:
    (folder.parent / "call.py").write_text("A = 2\n")
    assert compiled.fresh_files(folder) == {}


def test_the_build_for_another_interpreter_is_left_alone(folder: Path) -> None:
    _write_manifest(folder, suffix=".cpython-27-vax.so")
    assert compiled.fresh_files(folder) == {}


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"suffix": 1}'])
def test_a_manifest_that_is_none_means_the_source(folder: Path, content: str) -> None:
    (folder / compiled.MANIFEST).write_text(content)
    assert compiled.fresh_files(folder) == {}


@pytest.mark.parametrize("lost", ["manifest.json", "../call.py"])
def test_a_build_that_is_not_whole_means_the_source(folder: Path, lost: str) -> None:
    (folder / lost).unlink()
    assert compiled.fresh_files(folder) == {}


def test_these_tests_run_the_build_that_they_were_told_to() -> None:
    expected = "source" if os.environ["SHIPWAY_PURE_PYTHON"] == "1" else "compiled"
    of_call = "source" if shipway.gateway.call.__file__.endswith(".py") else "compiled"
    assert (compiled.build(), of_call) == (expected, expected)


def test_the_build_depends_on_what_its_modules_import() -> None:
    # Of these the compiler takes types and constants: an older build would not run with another one, or run wrong.
    build = runpy.run_path(str(ROOT / "hatch_build.py"))
    imported = {*build["sources"]()} - {*build["MODULES"]}
    assert {"shipway/gateway/refusals.py", "shipway/monitoring/metrics.py"} <= imported


_TYPE = re.compile(r"_?[A-Z](?:\w*[a-z]\w*)?")
"""What a module calls an alias or a variable of types, and nothing else."""


def is_lax(node: ast.stmt) -> bool:
    """Whether a constant is made there that could be changed."""
    if isinstance(node, ast.AnnAssign):
        return not ast.unparse(node.annotation).startswith("Final")
    return isinstance(node, ast.Assign) and not all(_TYPE.fullmatch(ast.unparse(name)) for name in node.targets)


def test_constants_of_compiled_modules_are_final() -> None:
    """Else each use of one would look it up by its name."""
    lax = [
        f"{module}:{node.lineno}"
        for module in runpy.run_path(str(ROOT / "hatch_build.py"))["MODULES"]
        for node in ast.parse((ROOT / "src" / module).read_text()).body
        if is_lax(node)
    ]
    assert lax == []


def test_numbers_of_compiled_modules_are_compared_by_value() -> None:
    """A compiled attribute that is a number is no object: `is` would compare two that were made for the comparison."""
    wrong = [
        f"{module}:{node.lineno}"
        for module in runpy.run_path(str(ROOT / "hatch_build.py"))["MODULES"]
        for node in ast.walk(ast.parse((ROOT / "src" / module).read_text()))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops)
        and any(isinstance(one, ast.Name) and one.id == "NEVER" for one in (node.left, *node.comparators))
    ]
    assert wrong == []


def test_the_finder_finds_nothing_else() -> None:
    finders = [finder for finder in sys.meta_path if isinstance(finder, compiled._Finder)]
    found = {name.partition(".")[0] for finder in finders for name in finder.files}
    assert found <= {"shipway", compiled.LIBRARY}


def test_a_build_that_this_system_cannot_load_leaves_the_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{compiled.LIBRARY}{SUFFIX}").write_bytes(b"\x7fELF, but not really")
    _write_manifest(
        folder, files={compiled.LIBRARY: compiled.LIBRARY + SUFFIX, "shipway.gateway.call": "call" + SUFFIX}
    )
    finder = compiled._Finder(folder)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    monkeypatch.delitem(sys.modules, compiled.LIBRARY, raising=False)
    assert (finder.files, finder.find_spec("shipway.gateway.call", None)) == ({}, None)
