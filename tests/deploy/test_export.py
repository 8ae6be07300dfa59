"""What `shipway export` writes, compared whole with tests/deploy/golden/export."""

from pathlib import Path

import pytest

from shipway.deploy.export import exported_files
from shipway.errors import UnsupportedError
from shipway.spec.load import load_app, tables

GOLDEN = Path(__file__).parent / "golden" / "export"
APP = """
name = "shop"

[services.api]
app = "main:app"
routes = [{ path = "/", public = true }]
health = "/healthz"
replicas = 2
env = { MODE = "a$b", TOKEN = "env:API_TOKEN", CERT = "file:secrets/cert" }
resources = { cpu = 0.5, memory = "256MiB" }

[services.search]
image = "registry.example.com/search:1"
routes = ["/search"]

[services.archive]
url = "http://10.0.0.9:80"
routes = ["/archive"]

[providers.vllm]
kind = "openai"
base_url = "http://10.0.0.8/v1"
api_key = "file:secrets/vllm"

[models.chat]
upstreams = ["vllm/llama", "openai/gpt-5-mini"]

[build]
network = "host"

[environments.prod]
target = "docker"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shipway.toml").write_text(APP)
    (tmp_path / "main.py").write_text("app = None\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "cert").write_text("hush")
    return tmp_path


@pytest.mark.parametrize("name", ["docker-compose.yml", "shipway.toml", ".env.example"])
def test_the_files_of_an_environment(project: Path, name: str) -> None:
    files = exported_files(load_app(project, "prod"), tables(project, "prod")[1])
    assert files[name].content.decode() == (GOLDEN / name).read_text()


def test_contexts_are_whole_and_no_secret_is_in_them(project: Path) -> None:
    files = exported_files(load_app(project, "prod"), tables(project, "prod")[1])
    assert {path for path in files if path.startswith("api/")} == {
        "api/.dockerignore",
        "api/Dockerfile",
        "api/app/main.py",
        "api/app/shipway.toml",
        "api/entrypoint.sh",
    }
    assert {"gateway/Dockerfile", "gateway/shipway/gateway/serve.py", "gateway/requirements/requirements.txt"} <= set(
        files
    )
    assert not any(b"hush" in entry.content for entry in files.values())


def test_the_gateways_configuration_is_an_app_file(project: Path, tmp_path: Path) -> None:
    written = exported_files(load_app(project, "prod"), tables(project, "prod")[1])["shipway.toml"].content
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "shipway.toml").write_bytes(written)
    app = load_app(folder)
    assert {name: service.url for name, service in app.services.items()} == {
        "api": "http://api:8000",
        "search": "http://search:8000",
        "archive": "http://10.0.0.9:80",
    }


def test_a_service_called_as_the_gateway_is_refused(project: Path) -> None:
    (project / "shipway.toml").write_text(APP.replace("[services.search]", "[services.gateway]"))
    with pytest.raises(UnsupportedError, match='called "gateway"'):
        exported_files(load_app(project, "prod"), tables(project, "prod")[1])


def test_what_only_runs_on_this_machine_is_not_exported(tmp_path: Path) -> None:
    text = 'name = "shop"\n[models.chat]\nupstreams = ["local/smollm2-135m-instruct"]\n'
    (tmp_path / "shipway.toml").write_text(text)
    with pytest.raises(UnsupportedError, match=r"models\.chat: local/smollm2-135m-instruct is run by shipway up alone"):
        exported_files(load_app(tmp_path), tables(tmp_path, "dev")[1])
