"""A valid file becomes the values that it says."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from shipway.secret import SecretReference
from shipway.spec.app import App
from shipway.spec.environments import Environment
from shipway.spec.gateway import Gateway, Timeouts, Tls
from shipway.spec.health import Health
from shipway.spec.limits import Limit, Limits
from shipway.spec.models import Model, ModelRelease, Upstream
from shipway.spec.providers import Provider
from shipway.spec.services import Example, Resources, Route, Service, ServiceRelease
from shipway.spec.units import Rate

SHORTEST = 'name = "a"\n[services.api]\napp = "main:app"\n'


def test_the_shortest_file_gets_all_defaults(load: Callable[..., App], tmp_path: Path) -> None:
    assert load(SHORTEST) == App(
        name="a",
        services={"api": Service(app="main:app", routes=(Route(path="/"),), health=Health(), resources=Resources())},
        environment="dev",
        environments=("dev",),
        settings=Environment(target="local"),
        root=tmp_path,
        source=tmp_path / "shipway.toml",
    )


def test_a_service_takes_all_its_settings(load: Callable[..., App]) -> None:
    service = load("""
        name = "a"
        [services.api]
        command = ["python", "serve.py"]
        routes = ["/api/", { path = "/about", public = true }]
        replicas = 3
        env = { LEVEL = "info", KEY = "env:OTHER_KEY", TOKEN = "file:token", ADDRESS = "http://env:80" }
        cwd = "server"
        health = { path = "/healthz", interval = "250ms", timeout = "1s", start = "5m", failures = 5 }
        drain = "1m"
        resources = { cpu = 2, memory = "1GiB", gpu = 1 }
        example = { path = "/api/ask?x=1", json = { text = "hello" } }
    """).services["api"]
    assert service == Service(
        command=("python", "serve.py"),
        routes=(Route(path="/api"), Route(path="/about", public=True)),
        replicas=3,
        env={
            "LEVEL": "info",
            "KEY": SecretReference("env", "OTHER_KEY"),
            "TOKEN": SecretReference("file", "token"),
            "ADDRESS": "http://env:80",
        },
        cwd="server",
        health=Health(path="/healthz", interval=0.25, timeout=1.0, start=300.0, failures=5),
        drain=60.0,
        resources=Resources(cpu=2.0, memory=1024**3, gpu=1),
        example=Example(path="/api/ask?x=1", json={"text": "hello"}),
    )
    assert [service.is_public(route) for route in service.routes] == [False, True]


def test_a_string_stands_for_a_health_check_and_an_example(load: Callable[..., App]) -> None:
    service = load(SHORTEST + 'health = "/up"\nexample = "/x?y=1"\n').services["api"]
    assert (service.health, service.example) == (Health(path="/up"), Example(path="/x?y=1"))


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ('app = "pkg.main:app.inner"', "app"),
        ('command = ["a"]', "command"),
        ('image = "ghcr.io/t/a@sha256:0f"', "image"),
        ('url = "http://[::1]:9/"', "url"),
        ('releases.v1.url = "http://127.0.0.1:9"', "releases"),
    ],
)
def test_a_service_knows_what_it_is_given_by(load: Callable[..., App], line: str, source: str) -> None:
    assert load(f'name = "a"\n[services.api]\n{line}\n').services["api"].source == source


def test_public_on_a_service_opens_the_routes_that_do_not_say_otherwise() -> None:
    service = Service(app="a:b", public=True, routes=(Route(path="/"), Route(path="/admin", public=False)))
    assert [service.is_public(route) for route in service.routes] == [True, False]


def test_upstreams_are_providers_with_their_models(load: Callable[..., App]) -> None:
    app = load("""
        name = "a"
        [models.chat]
        upstreams = ["openai/gpt-5-mini", { model = "local/models/a.gguf", weight = 3 }]
    """)
    assert app.models["chat"] == Model(
        upstreams=(
            Upstream(provider="openai", model="gpt-5-mini"),
            Upstream(provider="local", model="models/a.gguf", weight=3.0),
        )
    )
    assert app.models["chat"].upstreams[1].target == "local/models/a.gguf"


def test_a_service_may_be_given_by_its_releases(load: Callable[..., App]) -> None:
    service = load("""
        name = "a"
        [services.api.releases]
        "v1.2" = { url = "http://one:9/", weight = 9 }
        next = { url = "http://two:9" }
    """).services["api"]
    assert service.releases == {
        "v1.2": ServiceRelease(url=("http://one:9",), weight=9.0),
        "next": ServiceRelease(url=("http://two:9",), weight=1.0),
    }
    assert (service.source, service.runs_elsewhere, service.url) == ("releases", True, None)


def test_only_what_has_an_address_runs_elsewhere() -> None:
    assert Service(url="http://x").runs_elsewhere
    assert not Service(app="a:b").runs_elsewhere


def test_a_model_may_be_given_by_its_releases(load: Callable[..., App]) -> None:
    model = load("""
        name = "a"
        [models.chat]
        balance = "prefix-affinity"
        [models.chat.releases]
        "v1.2" = { upstreams = ["openai/x", "local/y"], weight = 9 }
        next = { upstreams = [{ model = "local/y", weight = 2 }], weight = 0 }
    """).models["chat"]
    first, second = Upstream(provider="openai", model="x"), Upstream(provider="local", model="y")
    weighted = Upstream(provider="local", model="y", weight=2.0)
    assert model == Model(
        releases={
            "v1.2": ModelRelease(upstreams=(first, second), weight=9.0),
            "next": ModelRelease(upstreams=(weighted,), weight=0.0),
        },
        balance="prefix-affinity",
    )
    assert model.upstreams == ()
    assert model.upstreams_by_place == {
        ("releases", "v1.2", "upstreams", 0): first,
        ("releases", "v1.2", "upstreams", 1): second,
        ("releases", "next", "upstreams", 0): weighted,
    }


def test_upstreams_without_releases_have_their_places_too(load: Callable[..., App]) -> None:
    model = load('name = "a"\n[models.m]\nupstreams = ["local/x", "local/y"]\n').models["m"]
    assert (model.releases, model.balance) == ({}, None)
    assert list(model.upstreams_by_place) == [("upstreams", 0), ("upstreams", 1)]


def test_limits_are_rates_with_bursts(load: Callable[..., App]) -> None:
    app = load(SHORTEST + '[limits.default]\nrequests = "1.5k/h"\nburst = 20\n')
    assert app.limits == Limits(default=Limit(requests=Rate(Decimal(1500), 3600.0), burst=20))
    assert load(SHORTEST).limits == Limits(default=None)


@pytest.mark.parametrize(
    ("limit", "burst"),
    [('requests = "60/min"', 60), ('requests = "0.1/s"', 1), ('requests = "2.5/s"', 3), ('requests="9/s"\nburst=2', 2)],
)
def test_without_a_burst_the_count_of_the_rate_may_come_at_once(
    load: Callable[..., App], limit: str, burst: int
) -> None:
    default = load(SHORTEST + f"[limits.default]\n{limit}\n").limits.default
    assert default is not None
    assert default.burst_requests == burst


def test_a_provider_may_have_replicas_and_a_health_check(load: Callable[..., App]) -> None:
    text = SHORTEST + '[providers.vllm]\nkind = "openai"\nbase_url = ["http://one/v1/", "http://two/v1"]\n'
    provider = load(text + 'health = { path = "/health", interval = "1s" }\n').providers["vllm"]
    assert provider.base_urls == ("http://one/v1", "http://two/v1")
    assert provider.health == Health(path="/health", interval=1.0)
    assert load(text).providers["vllm"].health is None


def test_five_providers_are_built_in(load: Callable[..., App]) -> None:
    assert load(SHORTEST).providers == {
        "openai": Provider(
            kind="openai",
            base_url=("https://api.openai.com/v1",),
            api_key=SecretReference("env", "OPENAI_API_KEY"),
        ),
        "anthropic": Provider(kind="anthropic", api_key=SecretReference("env", "ANTHROPIC_API_KEY")),
        "gemini": Provider(kind="gemini", api_key=SecretReference("env", "GEMINI_API_KEY")),
        "bedrock": Provider(kind="bedrock"),
        "local": Provider(kind="local", context=4096, slots=2),
    }


def test_a_section_changes_a_built_in_provider_key_by_key(load: Callable[..., App]) -> None:
    text = SHORTEST + '[providers.openai]\napi_key = "file:key"\n[providers.local]\nslots = 8\n'
    providers = load(text).providers
    assert providers["openai"].base_urls == ("https://api.openai.com/v1",)
    assert providers["openai"].api_key == SecretReference("file", "key")
    assert (providers["local"].kind, providers["local"].slots) == ("local", 8)


def test_the_built_in_key_is_not_sent_to_another_address(load: Callable[..., App]) -> None:
    provider = load(SHORTEST + '[providers.openai]\nbase_url = "http://proxy/v1"\n').providers["openai"]
    assert (provider.base_urls, provider.api_key) == (("http://proxy/v1",), None)


def test_a_built_in_provider_can_become_local(load: Callable[..., App]) -> None:
    assert load(SHORTEST + '[providers.openai]\nkind = "local"\n').providers["openai"] == Provider(kind="local")


def test_the_gateway_takes_all_its_settings(load: Callable[..., App]) -> None:
    text = """
        name = "a"
        [models.m]
        upstreams = ["local/x"]
        [gateway]
        host = "::1"
        port = 443
        admin_host = "localhost"
        admin_port = 444
        drain = "1s"
        max_header = "1KiB"
        max_target = "2KiB"
        max_body = "3KiB"
        session_header = "X-Thread"
        tls = { cert = "a.pem", key = "/b.pem" }
        [gateway.timeouts]
        connect = "1s"
        first_byte = "2s"
        idle = "3s"
        total = "4s"
        header = "5s"
        body = "6s"
        keep_alive = "7s"
    """
    assert load(text).gateway == Gateway(
        host="::1",
        port=443,
        admin_host="localhost",
        admin_port=444,
        drain=1.0,
        max_header=1024,
        max_target=2048,
        max_body=3072,
        session_header="x-thread",
        tls=Tls(cert=Path("a.pem"), key=Path("/b.pem")),
        timeouts=Timeouts(connect=1.0, first_byte=2.0, idle=3.0, total=4.0, header=5.0, body=6.0, keep_alive=7.0),
    )


def test_values_are_frozen(load: Callable[..., App]) -> None:
    app = load(SHORTEST)
    with pytest.raises(ValidationError, match="frozen"):
        app.gateway.port = 1


def test_code_may_give_seconds_and_bytes_as_numbers() -> None:
    assert (Timeouts(connect=0.5).connect, Gateway(max_body=10).max_body) == (0.5, 10)


def test_a_service_may_be_for_other_services_alone(load: Callable[..., App]) -> None:
    assert load(SHORTEST + "routes = []\n").services["api"].routes == ()
