"""What all tests share: no test may see the developer's own environment, or fail since the machine is busy.

Tests run the source, where a breakpoint and a traceback say most; with SHIPWAY_PURE_PYTHON=0 the compiled build, if there is one.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

PURE_PYTHON = "SHIPWAY_PURE_PYTHON"
os.environ.setdefault(PURE_PYTHON, "1")  # before anything of Shipway is imported

SHIPWAY_VARIABLES = ("SHIPWAY_", "OPENAI_", "ANTHROPIC_")

# How long one example took says more of the machine than of the code; pytest's timeout bounds them all.
settings.register_profile("shipway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipway")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and addresses exported in a developer's shell must not change what a test sees, or leave the machine."""
    for name in list(os.environ):
        if name.startswith(SHIPWAY_VARIABLES) and name != PURE_PYTHON:
            monkeypatch.delenv(name)
