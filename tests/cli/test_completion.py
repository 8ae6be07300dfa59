"""Completion in the shell, asked for as bash's generated function does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def _shipway(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("shipway")
    environment = {**os.environ, **variables}
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["shipway", "ch"], ["check"]),
        (["shipway", "up", "--log-f"], ["--log-format"]),
        (["shipway", "up", "--log-format", "j"], ["json"]),
    ],
)
def test_bash_completes_commands_options_and_values(words: list[str], expected: list[str]) -> None:
    process = _shipway(_SHIPWAY_COMPLETE="complete_bash", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
    assert process.stdout.split() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_can_be_printed(shell: str) -> None:
    process = _shipway(_SHIPWAY_COMPLETE=f"source_{shell}")
    assert "_SHIPWAY_COMPLETE=" in process.stdout
