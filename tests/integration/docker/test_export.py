"""What is exported runs with the engine and Compose alone."""

import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.integration.docker.conftest import Deployment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="not installed: docker-compose"),
]


def test_exported_files_run_without_shipway(deployment: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    done = deployment.shipway("export", "prod", "-o", str(folder))
    assert done.code == 0, done.stderr
    (folder / ".env").write_text("SHIPWAY_API_KEYS=sk-one\nSHIPWAY_APP_KEY=sk-app\nTOKEN=hush-hush\n")
    environ = {
        **os.environ,
        "DOCKER_HOST": deployment.engine.docker_host,
        "DOCKER_BUILDKIT": "0",
        "COMPOSE_DOCKER_CLI_BUILD": "0",
    }

    def compose(*words: str) -> None:
        command = ["docker-compose", "--project-name", deployment.name, *words]
        ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]

    try:
        compose("up", "-d", "--build")
        with deployment.engine.let_through(f"{deployment.name}_default"):
            assert _answer(deployment.port, "/environment") == (
                '{"TOKEN": "hush-hush", "SHIPWAY_RELEASE": "export", "SHIPWAY_SERVICE": "api", "PORT": "8000"}'
            )
    finally:
        compose("down", "--volumes")


def _answer(port: int, path: str) -> str:
    deadline_s = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)
