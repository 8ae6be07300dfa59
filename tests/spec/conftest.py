"""How the tests of the app file load one from a text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shipway.errors import AppFileError, Problem
from shipway.spec.app import App
from shipway.spec.load import load_app

Load = Callable[..., App]
Problems = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """load(text, environment): the app of a file with that text."""

    def loaded(text: str | bytes, environment: str = "dev") -> App:
        file = tmp_path / "shipway.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_app(file, environment)

    return loaded


@pytest.fixture
def raw_problems(load: Load) -> Callable[..., tuple[Problem, ...]]:
    def found(text: str | bytes, environment: str = "dev") -> tuple[Problem, ...]:
        try:
            load(text, environment)
        except AppFileError as error:
            return error.problems
        return ()

    return found


@pytest.fixture
def problems(raw_problems: Callable[..., tuple[Problem, ...]]) -> Problems:
    """problems(text, environment): what is wrong with a file of that text, as lines; nothing when it loads."""
    return lambda text, environment="dev": [str(problem) for problem in raw_problems(text, environment)]
