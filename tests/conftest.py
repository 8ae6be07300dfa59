"""What all tests share: no test may see the developer's own environment."""

import os

import pytest

SHIPWAY_VARIABLES = ("SHIPWAY_", "OPENAI_", "ANTHROPIC_")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and addresses exported in a developer's shell must not change what a test sees, or leave the machine."""
    for name in list(os.environ):
        if name.startswith(SHIPWAY_VARIABLES):
            monkeypatch.delenv(name)
