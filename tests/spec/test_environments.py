"""Overrides: what an environment sees, and where a mistake in one is reported."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from shipway.errors import Problem
from shipway.spec.app import App
from shipway.spec.environments import merged
from shipway.spec.health import Health
from shipway.spec.limits import Limit, Limits
from shipway.spec.services import Route, ServiceRelease
from shipway.spec.units import Rate

BASE = """
name = "a"

[services.api]
app = "main:create"
factory = true
replicas = 2
health = "/up"
env = { A = "1", B = "2" }

[models.chat]
upstreams = ["local/x"]
"""


def test_an_environment_sees_its_overrides_and_others_do_not(load: Callable[..., App]) -> None:
    text = (
        BASE
        + """
        [environments.prod]
        target = "local"
        [environments.prod.services.api]
        replicas = 4
        routes = ["/api"]
        env = { B = "3" }
        health = { interval = "1s" }
        [environments.prod.gateway.timeouts]
        idle = "9s"
    """
    )
    prod, dev = load(text, "prod"), load(text)
    assert (prod.environment, prod.environments, prod.target) == ("prod", ("dev", "prod"), "local")
    assert prod.services["api"].replicas == 4
    assert prod.services["api"].routes == (Route(path="/api"),)
    assert prod.services["api"].env == {"A": "1", "B": "3"}
    assert prod.services["api"].health == Health(path="/up", interval=1.0)
    assert (prod.gateway.timeouts.idle, prod.gateway.timeouts.total) == (9.0, 600.0)
    assert (dev.services["api"].replicas, dev.gateway.timeouts.idle) == (2, 60.0)


def test_an_environment_may_add_a_service(load: Callable[..., App]) -> None:
    text = BASE + '[environments.prod.services.web]\nimage = "web:1"\nroutes = ["/web"]\n'
    assert list(load(text, "prod").services) == ["api", "web"]


@pytest.mark.parametrize("source", ['command = ["x"]', 'image = "x:1"', 'url = "http://127.0.0.1:9"'])
def test_another_source_drops_the_old_one_and_what_has_no_meaning_with_it(
    load: Callable[..., App], source: str
) -> None:
    service = load(BASE + f"[environments.dev.services.api]\n{source}\n").services["api"]
    assert (service.source, service.app, service.factory) == (source.partition(" ")[0], None, False)


@pytest.mark.parametrize("source", ['app = "a:b"', 'image = "x:1"', 'url = "http://x"'])
def test_another_source_drops_the_releases(load: Callable[..., App], source: str) -> None:
    text = 'name = "a"\n[services.api.releases.v1]\nurl = "http://x"\n'
    service = load(text + f"[environments.dev.services.api]\n{source}\n").services["api"]
    assert (service.source, service.releases) == (source.partition(" ")[0], {})


def test_releases_drop_the_old_source_and_what_has_no_meaning_with_them(load: Callable[..., App]) -> None:
    service = load(BASE + '[environments.dev.services.api.releases]\nv1 = { url = "http://x" }\n').services["api"]
    assert (service.source, service.app, service.factory, service.replicas) == ("releases", None, False, 1)


def test_an_environment_changes_one_release_and_the_others_stay(load: Callable[..., App]) -> None:
    text = """
        name = "a"
        [services.api.releases]
        v1 = { url = "http://one", weight = 9 }
        v2 = { url = "http://two" }
        [models.m.releases]
        v1 = { upstreams = ["local/x"], weight = 9 }
        v2 = { upstreams = ["local/y"] }
        [environments.prod]
        services.api.releases.v2.weight = 0
        models.m.releases.v2.weight = 3
        models.m.releases.v3.upstreams = ["local/z"]
    """
    prod = load(text, "prod")
    assert prod.services["api"].releases == {
        "v1": ServiceRelease(url=("http://one",), weight=9.0),
        "v2": ServiceRelease(url=("http://two",), weight=0.0),
    }
    weights = {name: release.weight for name, release in prod.models["m"].releases.items()}
    assert weights == {"v1": 9.0, "v2": 3.0, "v3": 1.0}


def test_a_model_that_gets_releases_loses_its_upstreams_and_the_other_way_round(load: Callable[..., App]) -> None:
    text = BASE + '[environments.prod.models.chat.releases]\nv1.upstreams = ["local/y"]\n'
    assert list(load(text, "prod").models["chat"].upstreams_by_place) == [("releases", "v1", "upstreams", 0)]
    text = 'name = "a"\n[models.m]\nreleases.v1.upstreams = ["local/y"]\n'
    other = load(text + '[environments.dev.models.m]\nupstreams = ["local/x"]\n').models["m"]
    assert list(other.upstreams_by_place) == [("upstreams", 0)]


def test_an_environment_changes_a_part_of_a_limit(load: Callable[..., App]) -> None:
    text = BASE + '[limits.default]\nrequests = "60/min"\nburst = 5\n'
    prod = load(text + '[environments.prod.limits.default]\nrequests = "2/s"\n', "prod")
    assert prod.limits == Limits(default=Limit(requests=Rate(Decimal(2), 1.0), burst=5))


def test_an_environment_changes_a_part_of_a_providers_health_check(load: Callable[..., App]) -> None:
    text = BASE + '[providers.x]\nkind = "openai"\nbase_url = ["http://x", "http://y"]\nhealth = "/up"\n'
    prod = load(text + '[environments.prod.providers.x]\nbase_url = "http://z"\nhealth.interval = "1s"\n', "prod")
    assert prod.providers["x"].base_urls == ("http://z",)
    assert prod.providers["x"].health == Health(path="/up", interval=1.0)


def test_another_kind_drops_what_has_no_meaning_for_it(load: Callable[..., App]) -> None:
    text = (
        BASE
        + '[providers.x]\nkind = "openai"\nbase_url = "http://x/v1"\n[environments.dev.providers.x]\nkind = "local"\n'
    )
    assert load(text).providers["x"].base_urls == ()


def test_a_guard_that_becomes_an_endpoint_is_no_function_any_more(load: Callable[..., App]) -> None:
    text = BASE + '[guards.g]\ncall = "a:b"\ndeadline = "2s"\n[environments.prod.guards.g]\nurl = "http://a/b"\n'
    prod, dev = load(text, "prod").guards["g"], load(text).guards["g"]
    assert (prod.call, prod.url, prod.deadline) == (None, "http://a/b", 2.0)
    assert (dev.call, dev.url) == ("a:b", None)


def test_merging_leaves_both_sides_as_they_were() -> None:
    base = {"services": {"api": {"app": "a:b", "health": "/up", "env": {"A": "1"}}}}
    override = {"services": {"api": {"url": "http://x", "env": {"B": "2"}}}}
    merged(base, override)
    assert base == {"services": {"api": {"app": "a:b", "health": "/up", "env": {"A": "1"}}}}
    assert override == {"services": {"api": {"url": "http://x", "env": {"B": "2"}}}}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("services.api.replicas = 0", ["environments.prod.services.api.replicas: expected at least 1, found 0"]),
        (
            "services.api.rotues = []",
            ['environments.prod.services.api.rotues: unknown key "rotues" (did you mean "routes"?)'],
        ),
        ("services = 3", ["environments.prod.services: expected a table, found a whole number"]),
        ("services.api = 3", ["environments.prod.services.api: expected a table, found a whole number"]),
        ('target = "lokal"', ['environments.prod.target: unknown target "lokal" (did you mean "local"?)']),
        ('target = "mars"', ['environments.prod.target: unknown target "mars" (known: "local" or "docker")']),
        ('name = "b"', ['environments.prod.name: unknown key "name"']),
        ("gatway.port = 1", ['environments.prod.gatway: unknown key "gatway" (did you mean "gateway"?)']),
        ("gateway.port = 8081", ["environments.prod.gateway: port and admin_port are both 8081"]),
        (
            "services.apu.replicas = 3",
            [
                'environments.prod.services.apu: needs one of "app", "command", "image", "url" or "releases" '
                '(did you mean "api"?)'
            ],
        ),
        (
            'services.api.url = "http://x"\nservices.api.replicas = 2',
            ['environments.prod.services.api: "replicas" has no meaning for a service that is given by "url"'],
        ),
        (
            'limits.team.requests = "1/s"',
            ['environments.prod.limits.team: unknown limit "team": only "default" has a meaning yet'],
        ),
        (
            "limits.default.requests = 1",
            ['environments.prod.limits.default.requests: expected a rate such as "60/min", found 1 (write "1/min")'],
        ),
        (
            'models.chat.releases.v1.upstreams = ["opnai/x"]',
            [
                'environments.prod.models.chat.releases.v1.upstreams[0]: unknown provider "opnai" '
                '(did you mean "openai"?)'
            ],
        ),
        (
            "models.cat.balance = 'weighted'",
            ['environments.prod.models.cat: needs one of "upstreams" or "releases" (did you mean "chat"?)'],
        ),
        (
            'models.chat.upstreams = ["opnai/x"]',
            ['environments.prod.models.chat.upstreams[0]: unknown provider "opnai" (did you mean "openai"?)'],
        ),
    ],
)
def test_a_mistake_in_an_override_is_reported_there(
    problems: Callable[..., list[str]], override: str, expected: list[str]
) -> None:
    assert problems(BASE + f"[environments.prod]\n{override}\n") == expected


def test_a_collision_is_reported_in_the_override_that_makes_it(problems: Callable[..., list[str]]) -> None:
    text = BASE + '[services.web]\nimage = "web:1"\nroutes = ["/web"]\n'
    assert problems(text + '[environments.prod.services.api]\nroutes = ["/web"]\n') == [
        'environments.prod.services.api.routes[0]: route "/web" belongs to both "api" and "web"'
    ]


def test_problems_of_the_base_and_of_all_environments_come_at_once_and_once(
    raw_problems: Callable[..., tuple[Problem, ...]],
) -> None:
    text = (
        BASE.replace("replicas = 2", "replicas = 0")
        + """
[environments.prod.services.api]
drain = "x"
[environments.staging.gateway]
port = 0
"""
    )
    assert [(problem.path, problem.line) for problem in raw_problems(text)] == [
        ("services.api.replicas", 7),
        ("environments.prod.services.api.drain", 15),
        ("environments.staging.gateway.port", 17),
    ]


def test_a_base_that_every_environment_completes_is_no_problem(load: Callable[..., App]) -> None:
    text = BASE + '[providers.x]\nkind = "openai"\n[environments.dev.providers.x]\nbase_url = "http://x/v1"\n'
    assert load(text).providers["x"].base_urls == ("http://x/v1",)


@pytest.mark.parametrize(
    "declaration", ["environments = 3", "environments.dev = 3", "environments.B = {}", "environments.p = []"]
)
def test_environments_of_a_wrong_shape_are_one_problem(problems: Callable[..., list[str]], declaration: str) -> None:
    assert len(problems(declaration + "\n" + BASE)) == 1
