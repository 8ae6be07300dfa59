"""How the command line's tests run a command and lay out a folder to run it in."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shipway.cli import run


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Shipway = Callable[..., Outcome]
Project = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def shipway(capsys: pytest.CaptureFixture[str]) -> Shipway:
    """Runs `shipway ARGUMENTS` inside this process."""

    def invoke(*arguments: str | Path) -> Outcome:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return invoke


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Writes files, given by relative path, into a folder called `shop`."""

    def write(files: Mapping[str, str]) -> Path:
        root = tmp_path / "shop"
        root.mkdir(exist_ok=True)
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return root

    return write
