"""Every example is complete, runs without Shipway in its code, and shows a page that works by itself."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shipway.spec.load import load_app

ROOT = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path.parent for path in ROOT.glob("*/shipway.toml"))
PAGES = sorted(ROOT.glob("**/page.html"))
GUIDE = ROOT.parent / "docs" / "guides" / "examples.md"

per_example = pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
per_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT).parts[0]))


def code(folder: Path) -> list[Path]:
    """The example's own modules, without its tests."""
    hidden = {"tests", ".shipway"}
    return [file for file in folder.rglob("*.py") if not hidden.intersection(file.relative_to(folder).parts)]


def imported(file: Path) -> set[str]:
    """Top-level names of what *file* imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@per_example
def test_example_has_a_readme_requirements_and_tests_of_its_own(folder: Path) -> None:
    assert (folder / "README.md").is_file()
    assert (folder / "requirements.txt").is_file()
    assert list((folder / "tests").glob("test_*.py"))


@per_example
def test_app_file_is_valid_in_every_environment(folder: Path) -> None:
    app = load_app(folder)
    for environment in app.environments:
        load_app(folder, environment)


@per_example
def test_code_imports_nothing_of_shipway(folder: Path) -> None:
    assert {str(file) for file in code(folder) if "shipway" in imported(file)} == set()


@per_example
def test_requirements_name_what_the_code_imports(folder: Path) -> None:
    own = {path.stem for path in folder.iterdir()}
    needed = set().union(*map(imported, code(folder))) - own - sys.stdlib_module_names
    named = {re.split(r"[<>=\[ ]", line)[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert needed - named <= {"pydantic"}  # comes with FastAPI


@per_example
def test_guide_speaks_of_the_example(folder: Path) -> None:
    assert f"examples/{folder.name}" in GUIDE.read_text(encoding="utf-8")


@per_page
def test_page_loads_nothing_from_elsewhere(page: Path) -> None:
    assert re.findall(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", page.read_text(encoding="utf-8")) == []


@per_page
def test_every_field_of_a_page_has_a_name_for_screen_readers(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    labelled = set(re.findall(r'<label for="([\w-]+)"', text))
    for tag in re.findall(r"<(?:input|textarea)[^>]*>", text):
        name = re.search(r'id="([\w-]+)"', tag)
        assert "aria-label=" in tag or (name and name[1] in labelled), tag


@pytest.mark.integration
@per_page
def test_script_of_a_page_runs_in_a_browser(page: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}"]
    dom = subprocess.run(
        [browser, *options, "--virtual-time-budget=2000", "--dump-dom", page.as_uri() + "#key=from-the-link"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    shown = {"simple_api": "0 of 12,000 characters", "microservices": "Who invented the QR code?</button>"}
    assert shown[page.relative_to(ROOT).parts[0]] in dom
    assert "from-the-link" not in dom  # the key is in the field's value and nowhere in the document
