"""What `shipway --help` must not pay for. The time itself is measured by `scripts/bench help`."""

import json
import subprocess
import sys

ALLOWED_OF_OURS = {"shipway", "shipway.compiled", "shipway.errors"}
HEAVY = (
    "asyncio",
    "fastapi",
    "httptools",
    "msgspec",
    "openai",
    "pydantic",
    "rich",
    "starlette",
    "uvicorn",
    "uvloop",
    "xllamacpp",
)

_PROGRAM = """
import json, sys
from shipway.cli import run
code = run(["--help"])
sys.stderr.write(json.dumps([code, sorted(sys.modules)]))
"""


def _modules_of_help() -> set[str]:
    process = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    code, modules = json.loads(process.stderr)
    assert code == 0
    return set(modules)


def test_help_imports_no_server_no_pydantic_and_no_sdk() -> None:
    modules = _modules_of_help()
    assert modules.isdisjoint(HEAVY)
    ours = {name for name in modules if name.partition(".")[0] == "shipway" and not name.startswith("shipway.cli")}
    assert ours == ALLOWED_OF_OURS
