"""The commands that look after an environment, as far as they go without an engine."""

from pathlib import Path

import pytest

from shipway.cli.exec import input_of
from shipway.cli.status import since_words
from tests.cli.conftest import Project, Shipway

APP = """
name = "shop"
[services.api]
app = "main:app"
health = "/healthz"
[environments.prod]
target = "docker"
"""
COMMANDS = (["status"], ["logs"], ["restart"], ["stop"], ["destroy", "--yes"])


@pytest.fixture
def shop(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    return project({"shipway.toml": APP, "main.py": "app = None\n"})


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_an_engine_a_command_fails_and_says_so(shipway: Shipway, shop: Path, command: list[str]) -> None:
    outcome = shipway(command[0], "prod", "--app", shop, *command[1:])
    assert (outcome.code, outcome.stderr) == (
        1,
        f"error: the Docker engine is not running: nothing answers at {shop.parent}/none.sock\n"
        "hint: start it (sudo systemctl start docker), or set DOCKER_HOST=unix:///PATH\n",
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_environment_on_this_machine_has_nothing_to_look_after(
    shipway: Shipway, shop: Path, command: list[str]
) -> None:
    outcome = shipway(command[0], "dev", "--app", shop, *command[1:])
    assert (outcome.code, outcome.stderr) == (
        2,
        'error: environment dev runs on "local", where there is nothing to look after\n'
        'hint: set target = "docker" in [environments.dev], or: shipway up\n',
    )


def test_export_writes_into_an_empty_folder_alone(shipway: Shipway, shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "exported"
    assert shipway("export", "prod", "--app", shop, "-o", target).code == 0
    assert (target / "docker-compose.yml").is_file()
    again = shipway("export", "prod", "--app", shop, "-o", target)
    assert (again.code, "is not an empty folder" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("stdin", "tty", "sits_here", "reads", "terminal"),
    [
        (None, None, False, False, False),  # in a script: its input is its own
        (True, None, False, True, False),
        (None, None, True, True, True),
        (None, False, True, False, False),
        (True, False, True, True, False),
        (False, None, True, False, False),
        (None, True, False, True, True),  # typed here, printed into a file
    ],
)
def test_exec_reads_what_is_typed_and_what_it_is_told_to(
    stdin: bool | None, tty: bool | None, sits_here: bool, reads: bool, terminal: bool
) -> None:
    assert input_of(stdin, tty, sits_here=sits_here) == (reads, terminal)


def test_how_long_something_runs_is_said_whatever_the_zone_of_the_reader() -> None:
    now_s = 1_795_774_905.0
    assert since_words("2026-11-27T10:16:36.123456789Z", now_s) == "5 min"
    assert since_words("", now_s) == ""
