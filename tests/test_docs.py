"""The docs say what is true: pages made from the code are fresh, everything has its line, every example works."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from shipway.cli import COMMANDS, build_app
from shipway.cli.reference import pages
from shipway.spec.load import load_app
from shipway.spec.schema import json_schema
from tests.integration.matrix import fields_page
from tests.integration.matrix import table as matrix

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")])

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_SHELL_JOINERS = {"|", "&&", ";", ">"}


@dataclass(frozen=True)
class Block:
    """A fenced block of one of our pages."""

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}#{self.number}-{self.language}"


def _blocks(*languages: str) -> list[Block]:
    return [
        Block(str(page.relative_to(ROOT)), number, language, text)
        for page in MARKDOWN
        for number, (language, text) in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")), start=1)
        if language in languages
    ]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", pages().keys())
def test_a_page_made_from_the_code_is_fresh(name: str) -> None:
    assert _read(f"docs/{name}") == pages()[name], "stale: run scripts/fix"


def test_the_matrix_of_providers_is_fresh() -> None:
    text = _read(f"docs/{matrix.PAGE}")
    assert text == matrix.page(text), "stale: run scripts/fix"


def test_the_page_of_documented_fields_is_fresh() -> None:
    assert _read(f"docs/{fields_page.PAGE}") == fields_page.fields_markdown(), "stale: run scripts/fix"


@pytest.mark.parametrize("name", [command.__name__.rstrip("_") for command in COMMANDS])
def test_every_command_has_its_line_in_the_readme(name: str) -> None:
    assert f"| `shipway {name}` |" in _read("README.md")


def test_every_script_has_its_line_in_the_readme() -> None:
    readme = _read("README.md")
    scripts = [file.name for file in (ROOT / "scripts").iterdir() if file.is_file() and file.name != "setup"]
    assert [name for name in scripts if f"| `scripts/{name}` |" not in readme] == []


def test_every_guide_and_reference_has_its_line_in_the_readme() -> None:
    readme = _read("README.md")
    pages = [
        page.relative_to(ROOT) for folder in ("guides", "reference") for page in (ROOT / "docs" / folder).glob("*.md")
    ]
    assert sorted(str(page) for page in pages if f"({page})" not in readme) == []


def _error_codes() -> Iterator[str]:
    """The `code = "…"` of every class in the sources whose name ends in Error."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                for item in node.body:
                    target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
                    value = getattr(item, "value", None)
                    if isinstance(target, ast.Name) and target.id == "code" and isinstance(value, ast.Constant):
                        yield str(value.value)


def test_every_error_code_has_its_line_and_belongs_to_one_class() -> None:
    codes = list(_error_codes())
    page = _read("docs/reference/errors.md")
    assert [code for code in codes if f"| `{code}` |" not in page] == []
    assert sorted(set(codes)) == sorted(codes)


def test_every_setting_has_its_line() -> None:
    page = _read("docs/reference/app-file.md")
    schema = json_schema()
    names = {name for part in [schema, *schema["$defs"].values()] for name in part.get("properties", {})}
    assert sorted(name for name in names if f"`{name}`" not in page) == []


@pytest.mark.parametrize("block", _blocks("toml"), ids=str)
def test_an_example_of_the_app_file_is_valid(block: Block, tmp_path: Path) -> None:
    assert "name" in tomllib.loads(block.text), "show a whole file, so that it can be pasted"
    (tmp_path / "shipway.toml").write_text(block.text, encoding="utf-8")
    load_app(tmp_path)


@pytest.mark.parametrize("block", _blocks("python"), ids=str)
def test_an_example_in_python_runs(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    # As `shipway up` sets them; making a client sends nothing.
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    exec(compile(block.text, str(block), "exec"), {"__name__": "example"})


def test_examples_in_json_parse() -> None:
    for block in _blocks("json"):
        json.loads(block.text)


def _commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in shlex.split(line, comments=True):
            if word in _SHELL_JOINERS:
                yield words
                words = []
            else:
                words.append(word)
        if words:
            yield words


@pytest.mark.parametrize("block", _blocks("sh", "bash", "shell", "console"), ids=str)
def test_an_example_for_the_shell_names_what_exists(block: Block) -> None:
    program = typer.main.get_group(build_app())
    for words in _commands(block.text):
        while "=" in words[0]:
            words = words[1:]  # VARIABLE=value in front
        if words[0].startswith("scripts/"):
            assert (ROOT / words[0]).exists()
        if words[0] == "shipway":
            # Parses the arguments as the program would, without running anything.
            program.commands[words[1]].make_context(words[1], words[2:])


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in _LINK.findall(page.read_text(encoding="utf-8"))]
    broken = [link for link in links if link and "://" not in link and not (page.parent / link).exists()]
    assert broken == []
