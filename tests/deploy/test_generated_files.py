"""What is generated is as the linters of its own world want it: hadolint for Dockerfiles, Compose's own schema."""

import subprocess
import sys
from pathlib import Path

import pytest

from shipway.deploy.build_context import write_entries
from shipway.deploy.export import exported_files
from shipway.spec.load import load_app, tables

GOLDEN = Path(__file__).parent / "golden"
BIN = Path(sys.executable).parent

# One RUN for the project's packages and one for its server: the first layer stays when only the server's version changes.
IGNORED = ("--ignore", "DL3059")

APP = """
name = "shop"

[services.api]
app = "main:app"
routes = [{ path = "/", public = true }]
health = "/healthz"
env = { TOKEN = "env:API_TOKEN", CERT = "file:secrets/cert" }
resources = { cpu = 0.5, memory = "256MiB", gpu = 1 }

[services.worker]
command = ["python", "-m", "http.server", "8000"]
routes = ["/worker"]
health = "/"

[models.chat]
upstreams = ["openai/gpt-5-mini"]

[environments.prod]
target = "docker"
"""


def _complaints(*command: str) -> str:
    done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.Dockerfile")), ids=lambda file: file.stem)
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    assert _complaints("hadolint", "--no-color", *IGNORED, str(file)) == ""


def test_hadolint_would_have_something_to_say(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /x && sudo ls\n")
    assert "DL3006" in _complaints("hadolint", "--no-color", *IGNORED, str(tmp_path / "Dockerfile"))


def test_all_that_is_exported_passes_too(tmp_path: Path) -> None:
    project, folder = tmp_path / "project", tmp_path / "exported"
    (project / "secrets").mkdir(parents=True)
    (project / "shipway.toml").write_text(APP)
    (project / "main.py").write_text("app = None\n")
    (project / "requirements.txt").write_text("fastapi==0.140.0\n")
    (project / "secrets" / "cert").write_text("hush")
    write_entries(exported_files(load_app(project, "prod"), tables(project, "prod")[1]), folder)
    dockerfiles = [str(file) for file in sorted(folder.rglob("Dockerfile"))]
    assert len(dockerfiles) == 3
    assert _complaints("hadolint", "--no-color", *IGNORED, *dockerfiles) == ""
    compose = str(folder / "docker-compose.yml")
    assert _complaints("check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose) == ""


def test_the_schema_of_compose_would_refuse_something(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("services: {api: {image: x, replicas: 2}}\n")
    compose = str(tmp_path / "docker-compose.yml")
    assert "replicas" in _complaints("check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose)
