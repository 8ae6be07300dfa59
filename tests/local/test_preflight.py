"""What is found before anything starts."""

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from shipway.errors import (
    CannotStartError,
    MissingExtraError,
    ModelFileError,
    PortTakenError,
    SecretError,
    ShipwayError,
)
from shipway.local import preflight as module
from shipway.local.addresses import address_of, free_port, listening_socket
from shipway.local.preflight import preflight
from tests.local.apps import app_of

ENVIRON = {"PATH": "/usr/bin:/bin", "TOKEN": "t0ken"}


@pytest.fixture
def ports() -> str:
    """A `[gateway]` section with free ports."""
    port = free_port(set())
    return f"[gateway]\nport = {port}\nadmin_port = {free_port({port})}\n"


def test_an_app_that_lacks_nothing_passes_with_its_secrets_resolved(tmp_path: Path, ports: str) -> None:
    app = app_of(tmp_path, f'[services.web]\ncommand = ["sh"]\nenv = {{ A = "env:TOKEN", B = "plain" }}\n{ports}')

    assert preflight(app, ENVIRON, reload=True).service_env == {"web": {"A": "t0ken", "B": "plain"}}


def test_a_service_elsewhere_needs_nothing_here(tmp_path: Path, ports: str) -> None:
    assert preflight(app_of(tmp_path, f'[services.web]\nurl = "http://h"\n{ports}'), {}, reload=False).errors == []


def test_all_that_is_missing_is_said_at_once(tmp_path: Path, ports: str) -> None:
    (tmp_path / "run.sh").write_text("")
    (tmp_path / "half.gguf").write_bytes(b"GGUF")
    app = app_of(
        tmp_path,
        f"""
[services.image]
image = "ghcr.io/team/api"
routes = ["/image"]
[services.folder]
app = "a:app"
cwd = "nowhere"
routes = ["/folder"]
[services.program]
command = ["no-such-program"]
env = {{ KEY = "env:MISSING" }}
routes = ["/program"]
[services.script]
command = ["./run.sh"]
routes = ["/script"]
[models.chat]
upstreams = ["local/none.gguf", "openai/gpt-5-mini", "local/half.gguf"]
{ports}
""",
    )

    with pytest.raises(CannotStartError) as caught:
        preflight(app, ENVIRON, reload=False)

    assert [(problem.path, problem.message, problem.hint) for problem in caught.value.problems] == [
        (
            "models.chat.upstreams[0]",
            f"there is no model file {tmp_path}/none.gguf",
            "check the path; it starts at the app file",
        ),
        (
            "models.chat.upstreams[2]",
            f"the model file {tmp_path}/half.gguf is cut off: it ends within its head",
            "fetch it again",
        ),
        (
            "providers.openai.api_key",
            "the environment variable OPENAI_API_KEY is not set",
            "export OPENAI_API_KEY=…",
        ),
        (
            "services.image.image",
            "an image does not run locally",
            "give app or command for this machine in [environments.dev.services.image]",
        ),
        ("services.folder.cwd", f"there is no folder {tmp_path}/nowhere", None),
        ("services.program.env.KEY", "the environment variable MISSING is not set", "export MISSING=…"),
        ("services.program.command", "there is no program 'no-such-program' on PATH", None),
        ("services.script.command", f"{tmp_path}/run.sh is not executable", f"chmod +x {tmp_path}/run.sh"),
    ]


def test_one_missing_thing_keeps_its_own_class(tmp_path: Path, ports: str) -> None:
    with pytest.raises(SecretError):
        preflight(app_of(tmp_path, f'[models.chat]\nupstreams = ["openai/x"]\n{ports}'), {}, reload=False)
    with pytest.raises(ModelFileError):
        preflight(app_of(tmp_path, f'[models.chat]\nupstreams = ["local/x.gguf"]\n{ports}'), {}, reload=False)


@pytest.mark.parametrize(("key", "option"), [("port", "--port"), ("admin_port", "--admin-port")])
def test_a_taken_port_says_which_option_chooses_another(tmp_path: Path, key: str, option: str) -> None:
    with listening_socket() as listener:
        port = address_of(listener).port
        app = app_of(tmp_path, f'[services.web]\nurl = "http://h"\n[gateway]\n{key} = {port}\n')
        other = {"port": app.gateway.port, "admin_port": app.gateway.admin_port} | {key: port}
        app = app.model_copy(update={"gateway": app.gateway.model_copy(update=_free_except(other, key))})

        with pytest.raises(PortTakenError) as caught:
            preflight(app, {}, reload=False)

    assert f"port {port} is taken by process " in caught.value.message
    assert f"{option} " in (caught.value.hint or "")


def _free_except(ports: dict[str, int], kept: str) -> dict[str, int]:
    return {key: port if key == kept else free_port({ports[kept]}) for key, port in ports.items()}


def _without(*names: str) -> Callable[[str], ModuleSpec | None]:
    return lambda name: None if name in names else importlib.util.find_spec(name)


@pytest.mark.parametrize(
    ("toml", "reload", "missing", "extra"),
    [
        ('[services.web]\nurl = "http://h"', True, "watchfiles", "local"),
        ('[models.chat]\nupstreams = ["local/smollm2-135m-instruct"]', False, "xllamacpp", "local"),
        (
            '[models.e]\nupstreams = ["openai/e"]\n[models.chat]\nupstreams = ["openai/m"]\n'
            '[models.chat.cache]\nttl = "1h"\nsemantic = { embeddings = "e" }',
            False,
            "numpy",
            "semantic",
        ),
    ],
)
def test_a_missing_extra_says_the_command(
    tmp_path: Path, ports: str, monkeypatch: pytest.MonkeyPatch, toml: str, reload: bool, missing: str, extra: str
) -> None:
    monkeypatch.setattr(module, "find_spec", _without(missing))

    with pytest.raises(ShipwayError) as caught:
        preflight(app_of(tmp_path, f"{toml}\n{ports}"), {}, reload=reload)

    errors = [caught.value] if isinstance(caught.value, MissingExtraError) else getattr(caught.value, "problems", [])
    assert f"pip install 'shipway[{extra}]'" in [error.hint for error in errors]
