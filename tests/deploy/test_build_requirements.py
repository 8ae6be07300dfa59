"""The text for pip that follows from each kind of lock."""

from pathlib import Path

import pytest

from shipway.deploy.build_requirements import Requirements, requirements_of
from shipway.errors import BuildError

LOCKS = Path(__file__).parent / "locks"
UV_PACKAGE = '[[package]]\nname = "{name}"\nversion = "1"\nsource = {{ registry = "https://index.example/simple" }}\n'


def _pins(name: str) -> list[str]:
    text = requirements_of(name, (LOCKS / name).read_text(), (LOCKS / "pyproject.toml").read_text()).text
    return [line.removesuffix(" \\") for line in text.splitlines() if "--hash" not in line]


@pytest.mark.parametrize(
    ("name", "pins"),
    [
        ("uv.lock", ["click==8.5.1", "h11==0.16.0", "tzdata==2026.6 ; (sys_platform == 'win32')", "uvicorn==0.54.0"]),
        ("pylock.toml", ["click==8.5.1", "h11==0.16.0", "tzdata==2026.6 ; sys_platform == 'win32'", "uvicorn==0.54.0"]),
        ("poetry.lock", ["click==8.5.1", 'tzdata==2026.6 ; sys_platform == "win32"']),
        ("pyproject.toml", ["click>=8", "tzdata; sys_platform == 'win32'", "uvicorn"]),
    ],
)
def test_a_lock_gives_what_runs_in_production_and_no_development_tools(name: str, pins: list[str]) -> None:
    assert _pins(name) == pins


def test_a_lock_is_complete_and_brings_its_hashes() -> None:
    requirements = requirements_of("uv.lock", (LOCKS / "uv.lock").read_text(), None)
    assert (requirements.is_complete, requirements.has_hashes) == (True, True)
    assert "click==8.5.1 \\\n    --hash=sha256:8bb5376d \\\n    --hash=sha256:9bbfada7\n" in requirements.text
    assert requirements.names == {"click", "h11", "tzdata", "uvicorn"}


def test_a_requirements_file_stays_as_it_is() -> None:
    text = "-r base.txt\nFast_API>=1  # why\n"
    requirements = requirements_of("requirements/production.txt", text, None)
    assert requirements == Requirements(text, "requirements/production.txt", is_complete=False)
    assert requirements.names == {"fast-api"}


def test_a_package_is_needed_where_any_way_to_it_is_open() -> None:
    lock = (
        '[[package]]\nname = "app"\nsource = { editable = "." }\ndependencies = [\n'
        '    { name = "a", marker = "os_name == \'nt\'" },\n'
        '    { name = "b", marker = "sys_platform == \'darwin\'" },\n'
        '    { name = "c", extra = ["fast"] },\n]\n'
        + UV_PACKAGE.format(name="a")
        + 'dependencies = [{ name = "d" }]\n'
        + UV_PACKAGE.format(name="b")
        + 'dependencies = [{ name = "d", marker = "python_version < \'3.12\'" }]\n'
        + UV_PACKAGE.format(name="c")
        + '[package.optional-dependencies]\nfast = [{ name = "e" }]\n'
        + UV_PACKAGE.format(name="d")
        + UV_PACKAGE.format(name="e")
    )
    assert requirements_of("uv.lock", lock, None).text.splitlines() == [
        "a==1 ; (os_name == 'nt')",
        "b==1 ; (sys_platform == 'darwin')",
        "c==1",
        "d==1 ; ((os_name == 'nt')) or ((python_version < '3.12') and (sys_platform == 'darwin'))",
        "e==1",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("uv.lock", "[[package]\n", "uv.lock is not valid TOML"),
        ("uv.lock", 'package = [{ name = "a", source = { registry = "x" } }]', "does not hold the project itself"),
        ("poetry.lock", 'package = [{ name = "a", groups = ["main"] }]', "has a form that is not known here"),
        ("requirements.txt", "click\n-e .\n", '"-e ." comes from a folder'),
        ("requirements.txt", "./vendored/x\n", '"./vendored/x" comes from a folder'),
        ("pyproject.toml", "[tool.x]\n", "has no \\[project\\]"),
        (
            "uv.lock",
            'package = [{ name = "app", source = { virtual = "." }, dependencies = [{ name = "x" }] },'
            ' { name = "x", version = "1", source = { git = "https://git.example/x" } }]',
            "x comes from a folder or a repository",
        ),
    ],
)
def test_what_an_image_cannot_get_is_said(name: str, text: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        requirements_of(name, text, None)
