"""What differs between two releases."""

from shipway.deploy.diff import difference
from shipway.deploy.releases import Image, Images
from tests.deploy.records import GATEWAY, release

API = {"app": "m:a", "env": {"LEVEL": "info", "TOKEN": "env:TOKEN"}, "routes": ["/"]}


def _said(*changes: object) -> list[str]:
    return [str(change) for change in changes]


def test_the_first_release_is_all_new() -> None:
    assert _said(*difference(None, release(1, {"services": {"api": {"app": "m:a"}}}))) == [
        '+ name = "shop"',
        '+ services.api.app = "m:a"',
        '+ image of api = "api:1"',
        '+ image of the gateway = "gateway:1"',
    ]


def test_each_kind_of_change_has_its_line() -> None:
    before = release(1, {"services": {"api": API}}, secrets={"env:TOKEN": "aa"}, weights={"local/x": "sha256:1"})
    changed = {"app": "m:b", "env": {"TOKEN": "env:OTHER"}, "routes": ["/", "/x"]}
    after = release(
        2,
        {"services": {"api": changed}, "limits": {"default": {"requests": "60/min"}}},
        secrets={"env:OTHER": "bb"},
        weights={"local/x": "sha256:2"},
        images=Images({"api": Image("api:2", "sha256:2")}, GATEWAY),
    )
    assert _said(*difference(before, after)) == [
        '~ services.api.app: "m:a" -> "m:b"',
        "- services.api.env.LEVEL = (not shown)",
        '~ services.api.env.TOKEN: "env:TOKEN" -> "env:OTHER"',
        '~ services.api.routes: ["/"] -> ["/","/x"]',
        '+ limits.default.requests = "60/min"',
        '~ image of api: "api:1" -> "api:2"',
        "- secret env:TOKEN = version aa",
        "+ secret env:OTHER = version bb",
        '~ weights of local/x: "sha256:1" -> "sha256:2"',
    ]


def test_a_value_that_may_be_a_secret_is_not_shown_and_its_change_is() -> None:
    tables = [{"services": {"api": {"app": "m:a", "env": {"KEY": value}}}} for value in ("sk-one", "sk-two")]
    images = Images({"api": Image("api:1")}, GATEWAY)
    before, after = (release(number, table, images=images) for number, table in enumerate(tables))
    assert _said(*difference(before, after)) == ["~ services.api.env.KEY: (not shown) -> (not shown)"]


def test_versions_of_secrets_are_compared_within_an_environment() -> None:
    one = release(1, {}, secrets={"env:A": "aa"})
    other = release(1, {}, secrets={"env:A": "bb"}, environment="staging")
    assert difference(one, other) == ()
