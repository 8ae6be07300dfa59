"""The generated Dockerfiles, compared whole with tests/deploy/golden."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from shipway.deploy.build import ENTRY_POINT, Recipe, command_of, folder_of, gateway_files, service_files
from shipway.deploy.build_requirements import Requirements
from shipway.errors import BuildError
from shipway.spec.services import Service

GOLDEN = Path(__file__).parent / "golden"
BASE = "python:3.13-slim"
LOCKED = Requirements("click==8.5.1 \\\n    --hash=sha256:8bb5376d\n", "uv.lock", is_complete=True)
LOOSE = Requirements("fastapi>=0.100\n", "requirements.txt", is_complete=False)


def _recipe(requirements: Requirements | None, **more: Any) -> Recipe:
    return Recipe("assistant api", BASE, requirements, **more)


CASES = {
    "locked": (
        _recipe(LOCKED, server=("uvicorn==0.54.0",)),
        Service.model_validate(
            {"app": "assistant.main:create", "factory": True, "health": {"path": "/healthz?deep=1"}, "drain": 60.0}
        ),
    ),
    "wheels": (
        _recipe(LOOSE, has_wheels=True, has_src=True),
        Service.model_validate({"command": ("python", "server.py", "--name", 'a "b"'), "cwd": "web/../tools"}),
    ),
    "nothing-to-install": (_recipe(None), Service.model_validate({"command": ("python", "-m", "http.server")})),
}


@pytest.mark.parametrize("name", CASES)
def test_the_dockerfile_of_a_service(name: str) -> None:
    files = service_files(*CASES[name])
    assert files["Dockerfile"] == (GOLDEN / f"{name}.Dockerfile").read_text()
    assert files["entrypoint.sh"] == ENTRY_POINT


def test_the_dockerfile_of_the_gateway() -> None:
    files = gateway_files(Recipe("shipway gateway", BASE, Requirements("uvloop==1\n", "here", False)), "1.2.3")
    assert files["Dockerfile"] == (GOLDEN / "gateway.Dockerfile").read_text()


def test_a_service_that_would_run_outside_of_its_image_is_refused() -> None:
    with pytest.raises(BuildError, match="outside of the project's folder"):
        folder_of(Service.model_validate({"app": "a:b", "cwd": "../other"}))


def test_an_asgi_app_ends_by_itself_before_it_would_be_killed() -> None:
    command = command_of(Service.model_validate({"app": "a:b", "drain": 10.0}))
    assert command[-2:] == ("--timeout-graceful-shutdown", "9")


def test_the_entry_point_exports_secrets_and_becomes_the_program(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "TOKEN").write_text("two\nlines $HOME `x`\n")
    (secrets / "not-a-name").write_text("no")
    script = tmp_path / "entrypoint.sh"
    script.write_text(ENTRY_POINT.replace("/run/secrets", str(secrets)))
    program = 'printf "%s|%s|%s|%s" "$TOKEN" "$PORT" "$UVICORN_PORT" "$$"'
    shell = subprocess.Popen(["sh", str(script), "sh", "-c", program], stdout=subprocess.PIPE, text=True)
    assert shell.communicate(timeout=10)[0] == f"two\nlines $HOME `x`|8000|8000|{shell.pid}"
