"""A provider is one module, one entry and one folder of exchanges: `made_up` has all of them, and no more."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MADE_UP = "tests/gateway/providers/made_up"


def test_a_provider_is_added_by_a_module_an_entry_and_a_folder() -> None:
    # In a process of its own, since the sections are made from the table when they are imported.
    plugin = f"{MADE_UP.replace('/', '.')}.entry"
    command = [sys.executable, "-m", "pytest", "-q", "-p", plugin, f"{MADE_UP}/cases.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, "4 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr
