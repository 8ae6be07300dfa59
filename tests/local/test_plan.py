"""Which children an app means, with which commands and environments."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from shipway.local.addresses import Address
from shipway.local.allotment import Allotment, Replica, allot, endpoints
from shipway.local.announcement import announcement, calls
from shipway.local.environment import base_environment, service_environment, url_variable
from shipway.local.models import ModelServer
from shipway.local.plan import Surroundings, admin_address, gateway_url, stages
from shipway.local.probes import AcceptsConnections, AnswersHttp, GeneratesToken
from shipway.secret import Secret
from shipway.spec.app import App
from tests.local.apps import app_of

KEY = Secret("sk-shipway-dev-0123")
FILE = Path("/weights/tiny.gguf")
TINY = ModelServer("tiny", FILE, 4096, 2, ("local/tiny.gguf", "same/tiny.gguf"))

APP = """
[services.web]
app = "web:app"
factory = true
drain = "10s"
health = "/healthz"
replicas = 2
[services.back-end]
command = ["python", "server.py"]
cwd = "back"
routes = ["/back"]
[services.elsewhere]
url = "http://10.0.0.1:9000"
routes = ["/elsewhere"]
[models.chat]
upstreams = ["local/tiny.gguf"]
"""


@pytest.fixture
def app(tmp_path: Path) -> App:
    return app_of(tmp_path, APP)


@pytest.fixture
def allotment() -> Allotment:
    return Allotment(
        replicas=(
            Replica("web", "web.1", Address("127.0.0.1", 41001)),
            Replica("web", "web.2", Address("127.0.0.1", 41002)),
            Replica("back-end", "back-end", Address("127.0.0.1", 21000)),
        ),
        service_urls={
            "web": "http://127.0.0.1:41000",
            "back-end": "http://127.0.0.1:21000",
            "elsewhere": "http://10.0.0.1:9000",
        },
        relays={},
        models=(Address("127.0.0.1", 22000),),
    )


def _around(**changes: Any) -> Surroundings:
    settings: dict[str, Any] = {
        "environ": {"HOME": "/home/me", "PATH": "/bin", "SHIPWAY_API_KEYS": "mine"},
        "service_env": {"web": {"MY_OWN": "1"}},
        "key": KEY,
        "endpoints_file": Path("/run/endpoints.json"),
        "cores": 8,
        "gateway_command": ("gateway",),
    }
    return Surroundings(**(settings | changes))


def test_models_start_first_then_the_gateway_then_the_services(app: App, allotment: Allotment) -> None:
    planned = stages(app, [TINY], allotment, _around())

    assert [[child.name for child in stage.children] for stage in planned] == [
        ["tiny"],
        ["gateway"],
        ["web.1", "web.2", "back-end"],
    ]


def test_the_gateway_leaves_first_then_the_services_then_the_models(app: App, allotment: Allotment) -> None:
    planned = stages(app, [TINY], allotment, _around())

    leaving = sorted(planned, key=lambda stage: stage.leaves)
    assert [stage.title for stage in leaving] == ["the gateway", "the services", "the models"]


def test_the_gateway_gets_its_keys_by_the_environment_alone(app: App, allotment: Allotment) -> None:
    (gateway,) = stages(app, [TINY], allotment, _around(log_format="json"))[1].children

    assert gateway.argv == (
        *("gateway", str(app.source), "--environment", "dev", "--port", "8080", "--admin-port", "8081"),
        *("--endpoints", "/run/endpoints.json", "--log-format", "json"),
    )
    assert gateway.env["SHIPWAY_API_KEYS"] == "sk-shipway-dev-0123,mine"
    assert (gateway.probe, gateway.address) == (AnswersHttp("/readyz"), Address("127.0.0.1", 8081))
    assert gateway.drain_s == 30


def test_an_asgi_service_is_served_by_us_and_ends_before_it_is_killed(app: App, allotment: Allotment) -> None:
    web, *_ = stages(app, [TINY], allotment, _around())[2].children

    assert web.argv == (
        *(sys.executable, "-P", "-m", "shipway.local.serve_asgi", "web:app", "--factory", "--drain", "9"),
    )
    assert (web.drain_s, web.probe, web.cwd) == (10, AnswersHttp("/healthz"), app.root.resolve())


def test_a_command_runs_as_it_is_in_its_folder(app: App, allotment: Allotment) -> None:
    *_, back = stages(app, [TINY], allotment, _around())[2].children

    assert (back.argv, back.cwd) == (("python", "server.py"), (app.root / "back").resolve())
    assert (back.env["PORT"], back.probe) == ("21000", AcceptsConnections())


def test_a_model_server_gets_its_share_of_the_cores_but_one(app: App, allotment: Allotment) -> None:
    two = Allotment(allotment.replicas, allotment.service_urls, {}, (Address("127.0.0.1", 1), Address("127.0.0.1", 2)))
    (one, other) = stages(app, [TINY, TINY], two, _around(cores=5, verbose=True))[0].children

    assert one.argv[3:] == (
        *("shipway.local.model_server", "--model", str(FILE), "--name", "tiny", "--port", "1"),
        *("--context", "4096", "--slots", "2", "--threads", "2", "--verbose"),
    )
    assert one.probe == GeneratesToken()
    assert other.address == Address("127.0.0.1", 2)
    assert one.noise is None
    (quiet, _) = stages(app, [TINY, TINY], two, _around(cores=1))[0].children
    assert "--threads 1" in " ".join(quiet.argv)
    assert quiet.noise is not None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("0.00.4 W init: embeddings required but some input tokens were not marked as outputs -> overriding", False),
        ("0.07.7 W slot   operator(): id  0 | task 35 | need to evaluate at least 1 token for each active slot", False),
        ("0.07.7 W slot   operator(): id  0 | task 35 | n_past was set to 36", False),
        ("0.01.1 W srv          stop: cancel task, id_task = 12", False),
        ('0.03.1 W srv    operator(): got exception: {"error":{"code":400,"message":"[json.exception', False),
        ("0.01.2 W srv    load_model: the slot context (16384) exceeds the training context of the model", True),
        ("0.01.1 E srv    send_error: task id = 12, error: request (3031 tokens) exceeds the available context", True),
    ],
)
def test_of_llama_cpps_lines_those_about_single_requests_are_not_shown(
    app: App, allotment: Allotment, line: str, shown: bool
) -> None:
    noise = stages(app, [TINY], allotment, _around())[0].children[0].noise
    assert noise is not None

    assert (noise.search(line) is None) is shown


def test_the_gateway_is_told_each_replica_and_each_target(allotment: Allotment) -> None:
    assert endpoints(allotment, [TINY]) == {
        "services": {
            "web": ["http://127.0.0.1:41001", "http://127.0.0.1:41002"],
            "back-end": ["http://127.0.0.1:21000"],
        },
        "models": {
            "local/tiny.gguf": ["http://127.0.0.1:22000/v1"],
            "same/tiny.gguf": ["http://127.0.0.1:22000/v1"],
        },
    }


def test_replicas_of_an_asgi_service_share_one_socket_beside_their_own(app: App) -> None:
    allotted = allot(app, [TINY])
    try:
        web = allotted.replicas_of("web")
        shared = {id(replica.sockets[1]) for replica in web}

        assert len(shared) == 1
        assert len({replica.address for replica in web}) == 2
        assert allotted.service_urls["web"] == f"http://127.0.0.1:{web[0].sockets[1].getsockname()[1]}"
        assert allotted.service_urls["elsewhere"] == "http://10.0.0.1:9000"
        assert allotted.relays == {}
    finally:
        allotted.close()


def test_the_environment_of_a_service(app: App, allotment: Allotment) -> None:
    env = service_environment(
        app,
        "web",
        41001,
        base={"HOME": "/home/me", "OPENAI_API_KEY": "sk-real", "PORT": "1", "SHIPWAY_SERVICE": "x"},
        own={"MY_OWN": "1", "PORT": "2"},
        urls=allotment.service_urls,
        openai_url="http://127.0.0.1:8080/v1",
        key=KEY,
    )

    assert env == {
        "HOME": "/home/me",
        "MY_OWN": "1",
        "PYTHONUNBUFFERED": "1",
        "OPENAI_BASE_URL": "http://127.0.0.1:8080/v1",
        "OPENAI_API_KEY": "sk-shipway-dev-0123",
        "PORT": "41001",
        "SHIPWAY_SERVICE": "web",
        "SHIPWAY_ENVIRONMENT": "dev",
        "SHIPWAY_RELEASE": "dev",
        "SHIPWAY_URL_BACK_END": "http://127.0.0.1:21000",
        "SHIPWAY_URL_ELSEWHERE": "http://10.0.0.1:9000",
    }


def test_a_service_may_call_another_openai_than_the_gateway(app: App) -> None:
    own = {"OPENAI_BASE_URL": "https://api.openai.com/v1"}
    env = service_environment(app, "web", 1, {}, own, {}, "http://127.0.0.1:8080/v1", KEY)

    assert env["OPENAI_BASE_URL"] == "https://api.openai.com/v1"


def test_url_variables_are_upper_case_without_hyphens() -> None:
    assert url_variable("back-end") == "SHIPWAY_URL_BACK_END"


def test_the_gateways_keys_are_not_passed_to_services_and_python_is_on_the_path() -> None:
    base = base_environment({"PATH": "/bin", "SHIPWAY_API_KEYS": "a,b"})

    assert "SHIPWAY_API_KEYS" not in base
    expected = ["/bin"] if sys.prefix == sys.base_prefix else [str(Path(sys.executable).parent), "/bin"]
    assert base["PATH"].split(":") == expected


@pytest.mark.parametrize(
    ("gateway", "url", "admin"),
    [
        ("", "http://127.0.0.1:8080", "http://127.0.0.1:8081"),
        ('host = "0.0.0.0"\nadmin_host = "0.0.0.0"', "http://127.0.0.1:8080", "http://127.0.0.1:8081"),
        ('host = "::1"\nport = 9000', "http://[::1]:9000", "http://127.0.0.1:8081"),
        ('tls = { cert = "c.pem", key = "k.pem" }', "https://127.0.0.1:8080", "http://127.0.0.1:8081"),
    ],
)
def test_the_gateways_address_is_one_that_can_be_called(tmp_path: Path, gateway: str, url: str, admin: str) -> None:
    app = app_of(tmp_path, f'[services.web]\nurl = "http://h"\n[gateway]\n{gateway}\n')

    assert (gateway_url(app), admin_address(app).url) == (url, admin)


def test_the_announcement_has_the_address_the_key_and_three_calls(tmp_path: Path) -> None:
    app = app_of(
        tmp_path,
        """
        [services.web]
        app = "web:app"
        example = { path = "/ask?x=1", json = { text = "it's" } }
        [models.chat]
        upstreams = ["openai/gpt-5-mini"]
        """,
    )
    question = {"model": "chat", "messages": [{"role": "user", "content": "Write one sentence about the sea."}]}
    fields = ["  -H 'Authorization: Bearer sk-shipway-dev-0123' \\", "  -H 'Content-Type: application/json' \\"]
    chat = "http://127.0.0.1:8080/v1/chat/completions"

    assert announcement(app, KEY, ".shipway/dev-key").split("\n") == [
        "shop is up at http://127.0.0.1:8080",
        "API key: sk-shipway-dev-0123",
        "(from .shipway/dev-key)",
        "",
        "# ask the model chat",
        f"curl {chat} \\",
        *fields,
        f"  -d '{json.dumps(question)}'",
        "",
        "# the same, streamed",
        f"curl -N {chat} \\",
        *fields,
        f"  -d '{json.dumps(question | {'stream': True})}'",
        "",
        "# ask the service web",
        "curl 'http://127.0.0.1:8080/ask?x=1' \\",
        *fields,
        """  -d '{"text": "it'"'"'s"}'""",
    ]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('[services.web]\nurl = "http://h"\npublic = true', ["curl http://127.0.0.1:8080/"]),
        (
            '[services.web]\nurl = "http://h"\nroutes = ["/a", { path = "/a/open", public = true }]\n'
            'example = "/a/open/x"',
            ["curl http://127.0.0.1:8080/a/open/x"],
        ),
        (
            '[services.web]\nurl = "http://h"\nroutes = ["/a"]\n[gateway.tls]\ncert = "c.pem"\nkey = "k.pem"',
            [
                "curl https://127.0.0.1:8080/a \\\n  --cacert {root}/c.pem \\\n"
                "  -H 'Authorization: Bearer sk-shipway-dev-0123'",
            ],
        ),
    ],
)
def test_a_call_has_the_key_only_where_it_is_needed(tmp_path: Path, toml: str, expected: list[str]) -> None:
    app = app_of(tmp_path, toml)

    assert [call for _, call in calls(app, KEY)] == [call.replace("{root}", str(app.root)) for call in expected]
