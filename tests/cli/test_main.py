"""What all commands share: exit codes, where errors go, and how they look."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

import shipway as package
from shipway import cli, compiled
from shipway.errors import AppFileError, Problem, ShipwayError, UsageError
from tests.cli.conftest import Shipway


def _failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(as_json: Annotated[bool, typer.Option("--json")] = False) -> int:
        raise error

    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, explode))


def test_version_is_the_package_s_version(shipway: Shipway) -> None:
    assert shipway("--version").stdout == f"shipway {package.__version__} ({compiled.build()})\n"
    assert shipway("--version", "--json").json == {"version": package.__version__, "build": compiled.build()}


def test_no_command_shows_help_and_is_a_usage_error(shipway: Shipway) -> None:
    outcome = shipway()
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Usage: shipway [OPTIONS] COMMAND")


@pytest.mark.parametrize("arguments", [["chek"], ["check", "--nope"], ["up", "--port", "0"], ["--json", "check"]])
def test_what_cannot_be_asked_exits_2_with_a_hint(shipway: Shipway, arguments: list[str]) -> None:
    outcome = shipway(*arguments)
    assert outcome.code == 2
    printed = outcome.stdout + outcome.stderr
    assert "hint" in printed


def test_an_error_is_a_message_and_a_hint_on_stderr(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_with(ShipwayError("release v41 is not in prod", "shipway releases prod"), monkeypatch)
    outcome = shipway("explode")
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.stderr == "error: release v41 is not in prod\nhint: shipway releases prod\n"


def test_an_error_under_json_is_one_object_on_stdout(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_with(UsageError("no"), monkeypatch)
    outcome = shipway("explode", "--json")
    assert outcome.code == 2
    assert outcome.stderr == ""
    assert outcome.json["error"]["code"] == "usage"


def test_every_problem_of_a_file_has_its_place_and_its_hint(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [
        Problem("models.chat", "is empty", "write an upstream", line=4, column=1),
        Problem("", "is not TOML", line=9),
    ]
    _failing_with(AppFileError("shipway.toml", problems), monkeypatch)
    assert shipway("explode").stderr == (
        "error: shipway.toml:4:1: models.chat: is empty\nhint: write an upstream\nerror: shipway.toml:9: is not TOML\n"
    )


def test_long_messages_are_not_folded(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "word " * 60 + "end"
    _failing_with(ShipwayError(message), monkeypatch)
    assert shipway("explode").stderr == f"error: {message}\n"


def test_square_brackets_in_messages_are_no_markup(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_with(ShipwayError("models.chat.upstreams[2]: [red]no[/red]"), monkeypatch)
    assert shipway("explode").stderr == "error: models.chat.upstreams[2]: [red]no[/red]\n"


def test_a_bug_stays_an_exception(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_with(ZeroDivisionError("ours"), monkeypatch)
    with pytest.raises(ZeroDivisionError, match="ours"):
        shipway("explode")


def test_an_interrupt_exits_130_without_a_word(shipway: Shipway, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_with(KeyboardInterrupt(), monkeypatch)
    outcome = shipway("explode")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (130, "", "")


@pytest.mark.parametrize("arguments", [["--help"], *[[each.__name__.rstrip("_"), "--help"] for each in cli.COMMANDS]])
def test_help_fits_80_columns(shipway: Shipway, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = shipway(*arguments)
    assert outcome.code == 0
    assert max(len(line) for line in outcome.stdout.splitlines()) <= 80
    command = "" if arguments == ["--help"] else arguments[0]
    assert f"  Example: `shipway {command}" in outcome.stdout or not command


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch, shipway: Shipway) -> None:
    _failing_with(ShipwayError("no"), monkeypatch)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" not in shipway("explode").stderr
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror:" in shipway("explode").stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in shipway("explode").stderr


def test_a_reader_that_leaves_is_no_traceback() -> None:
    """`shipway schema | head -1`, with the reader gone before the first byte."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as stdout:
        process = subprocess.run(
            [sys.executable, "-m", "shipway", "--version"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (process.returncode, process.stderr) == (1, "")


def test_undecodable_names_are_shown_and_not_fatal(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable.encode(), b"-m", b"shipway", b"check", bytes(tmp_path) + b"/\xff"],
        capture_output=True,
        check=False,
    )
    assert process.returncode == 2
    assert b"Traceback" not in process.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_good_as_the_null_device(closed: str) -> None:
    command = ("bash", "-c", f'"$0" -m shipway --version {closed}', sys.executable)
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_an_error_in_one_line() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is Linux's")
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "shipway", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (process.returncode, process.stderr) == (1, "error: No space left on device\n")
