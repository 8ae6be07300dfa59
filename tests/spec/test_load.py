"""Finding and reading the file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shipway.errors import AppFileError, Problem
from shipway.spec.app import App
from shipway.spec.load import find_app_file, load_app

SHORTEST = 'name = "a"\n[services.api]\napp = "main:app"\n'
PYPROJECT = '[project]\nname = "x"\n\n[tool.shipway]\nname = "a"\n[tool.shipway.services.api]\napp = "main:app"\n'


def _problem(path: Path) -> Problem:
    with pytest.raises(AppFileError) as caught:
        load_app(path)
    (problem,) = caught.value.problems
    return problem


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert find_app_file(tmp_path) == tmp_path / "pyproject.toml"
    (tmp_path / "shipway.toml").write_text(SHORTEST)
    (tmp_path / "pyproject.toml").write_text("half a li")
    assert find_app_file(tmp_path) == tmp_path / "shipway.toml"


def test_two_app_files_in_one_folder_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "shipway.toml").write_text(SHORTEST)
    problem = _problem(tmp_path)
    assert problem.message == "both shipway.toml and [tool.shipway] in pyproject.toml describe the app"
    assert problem.hint == "remove one of them, or name the file to use"
    for name in ("pyproject.toml", "shipway.toml"):
        assert load_app(tmp_path / name).source == tmp_path / name


def test_the_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(SHORTEST)
    assert load_app(tmp_path / "other.toml").source == tmp_path / "other.toml"


def test_a_relative_path_gives_an_absolute_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shipway.toml").write_text(SHORTEST)
    monkeypatch.chdir(tmp_path)
    assert load_app(Path()).root == tmp_path


def test_pyproject_has_the_app_in_its_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert load_app(tmp_path).services["api"].app == "main:app"


def test_problems_in_pyproject_have_the_line_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace('app = "main:app"', 'image = "a b"'))
    problem = _problem(tmp_path)
    assert (problem.path, problem.line) == ("services.api.image", 7)


def test_a_folder_without_a_file_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert _problem(tmp_path) == Problem("", "there is no shipway.toml here", "shipway init")


def test_a_pyproject_without_the_table_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    assert _problem(tmp_path / "pyproject.toml").message == "there is no table [tool.shipway] in it"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.toml", "there is no such file or folder"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("shipway.toml", "cannot be read: Is a directory"),
        ("pipe", "this is not a regular file"),
    ],
)
def test_what_cannot_be_read_is_a_problem(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "shipway.toml").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert _problem(tmp_path if name == "shipway.toml" else tmp_path / name).message == message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "shipway.toml").write_text(SHORTEST)
    (tmp_path / "shipway.toml").chmod(0)
    assert _problem(tmp_path).message == "cannot be read: Permission denied"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "shipway.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    assert _problem(tmp_path).message == "the file is larger than 1 MiB, which no app file needs"


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf" + SHORTEST.encode(), SHORTEST.replace("\n", "\r\n").encode()])
def test_byte_order_marks_and_windows_line_ends_are_read(load: Callable[..., App], text: bytes) -> None:
    assert load(text).name == "a"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (b'name = "a"\nservices = [', 2, 13, "not valid TOML: invalid value"),
        (b'name = "a"\r\nname = "b"\r\n', 2, 11, "not valid TOML: cannot overwrite a value"),
        (b'name "a"\n', 1, 6, "not valid TOML: expected '=' after a key in a key/value pair"),
        (b'name = "a"\n[services.api]\ncwd = "\xff"', 3, 8, "the file is not UTF-8 text"),
    ],
)
def test_a_syntax_error_has_its_line_and_column(
    raw_problems: Callable[..., tuple[Problem, ...]], text: bytes, line: int, column: int, message: str
) -> None:
    (problem,) = raw_problems(text)
    assert (problem.line, problem.column, problem.message) == (line, column, message)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        "a = " + "[" * 100 + "]" * 100,
        ".".join(["a"] * 3000) + " = 1",
        "[" + ".".join(["a"] * 3000) + "]",
        "a = " + "{a = " * 100 + "1" + "}" * 100,
        "a = " + "9" * 5000,
    ],
    ids=["open brackets", "lists", "dotted key", "dotted header", "inline tables", "long number"],
)
def test_what_would_exhaust_the_parser_is_one_problem(problems: Callable[..., list[str]], text: str) -> None:
    (problem,) = problems(text)
    assert "deep" in problem


def test_an_unknown_environment_names_the_nearest(problems: Callable[..., list[str]]) -> None:
    text = SHORTEST + "[environments.prod]\n[environments.staging]\n"
    assert problems(text, "prd") == ['environments: unknown environment "prd" (did you mean "prod"?)']


def test_an_unknown_environment_names_all_that_are_known(raw_problems: Callable[..., tuple[Problem, ...]]) -> None:
    (problem,) = raw_problems(SHORTEST + "[environments.prod]\n", "x")
    assert problem.hint == ('known: "dev" and "prod"; one more is [environments.x] with a target, such as "docker"')
