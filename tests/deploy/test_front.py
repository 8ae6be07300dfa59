"""The gateway's configuration for the releases behind it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.deploy.front import as_toml, front_table, shares_anything, splits
from shipway.deploy.releases import Release
from shipway.spec.load import load_app
from tests.deploy.records import release

API = {"app": "main:app", "replicas": 2, "env": {"A": "env:A"}, "routes": ["/"], "health": "/up", "public": True}


def test_a_service_has_the_releases_that_have_it_and_the_lead_has_the_traffic() -> None:
    releases = [release(3, {"services": {"api": API}}), release(4, {"services": {"api": {**API, "routes": ["/api"]}}})]
    assert front_table(releases) == {
        "name": "shop",
        "gateway": {"host": "127.0.0.1"},
        "services": {
            "api": {
                "routes": ["/"],
                "public": True,
                "health": "/up",
                "releases": {
                    "v3": {"url": "http://api-v3:8000", "weight": 1.0},
                    "v4": {"url": "http://api-v4:8000", "weight": 0.0},
                },
            }
        },
    }


def test_what_the_lead_lacks_waits_until_the_lead_changes() -> None:
    old = release(3, {"services": {"api": API}})
    new = release(4, {"services": {"api": {**API, "routes": ["/api"]}, "web": {"command": ["web"], "routes": ["/"]}}})
    assert list(front_table([old, new])["services"]) == ["api"]
    assert splits(front_table([new, old])) == {
        "services.api": frozenset({"v3", "v4"}),
        "services.web": frozenset({"v4"}),
    }


def test_a_service_that_runs_elsewhere_stays_as_it_is() -> None:
    archive = {"url": "http://archive:9000", "routes": ["/archive"], "health": "/up"}
    both = [release(number, {"services": {"archive": archive}}) for number in (3, 4)]
    assert front_table(both)["services"] == {"archive": archive}
    assert not shares_anything(front_table(both))


def test_a_health_check_without_a_path_is_the_target_s_alone() -> None:
    table = front_table([release(3, {"services": {"api": {**API, "health": {"start": "2m"}}}})])
    assert "health" not in table["services"]["api"]


def test_models_that_differ_share_the_traffic_and_others_do_not() -> None:
    old = {"models": {"chat": {"upstreams": ["openai/a"], "balance": "weighted"}, "same": {"upstreams": ["openai/b"]}}}
    new = {"models": {"chat": {"upstreams": ["openai/c"]}, "same": {"upstreams": ["openai/b"]}}}
    assert front_table([release(3, old), release(4, new)])["models"] == {
        "chat": {
            "balance": "weighted",
            "releases": {
                "v3": {"upstreams": ["openai/a"], "weight": 1.0},
                "v4": {"upstreams": ["openai/c"], "weight": 0.0},
            },
        },
        "same": {"upstreams": ["openai/b"]},
    }


def test_a_price_that_a_model_states_stays_with_the_upstreams_of_its_release() -> None:
    dear, cheap = {"input": "3 USD/Mtok"}, {"input": "1 USD/Mtok"}
    own = {"model": "openai/own", "price": cheap}
    old = {"models": {"chat": {"upstreams": ["openai/a", own], "price": dear}}}
    new = {"models": {"chat": {"upstreams": [{"model": "openai/b", "weight": 2}], "price": cheap}}}
    newest = {"models": {"chat": {"upstreams": ["openai/c"]}}}
    front = front_table([release(3, old), release(4, new), release(5, newest)])
    assert front["models"]["chat"] == {
        "releases": {
            "v3": {"upstreams": [{"price": dear, "model": "openai/a"}, own], "weight": 1.0},
            "v4": {"upstreams": [{"price": cheap, "model": "openai/b", "weight": 2}], "weight": 0.0},
            "v5": {"upstreams": ["openai/c"], "weight": 0.0},
        }
    }


def test_the_gateway_counts_by_the_objectives_of_the_newest_release_whoever_leads() -> None:
    def declared(number: int, cost: str) -> Release:
        objectives = {"availability": "99.5%", "cost": cost}
        return release(number, {"services": {"api": API}, "objectives": objectives})

    old, new = declared(3, "95% under 0.02 USD"), declared(4, "95% under 0.03 USD")
    assert [front_table(both)["objectives"] for both in ([old, new], [new, old])] == [
        {"cost": "95% under 0.03 USD"},
        {"cost": "95% under 0.03 USD"},
    ]


def test_three_releases_of_a_model_stand_side_by_side() -> None:
    tables = [{"models": {"chat": {"upstreams": [f"openai/{name}"]}}} for name in "abc"]
    front = front_table([release(number, table) for number, table in enumerate(tables, start=1)])
    assert splits(front) == {"models.chat": frozenset({"v1", "v2", "v3"})}


def test_a_provider_that_changed_is_a_provider_of_its_own() -> None:
    def with_address(url: str) -> dict[str, Any]:
        provider = {"kind": "openai", "base_url": url}
        upstreams = [{"model": "vllm/qwen", "weight": 2}, "vllm/other"]
        return {"providers": {"vllm": provider}, "models": {"chat": {"upstreams": upstreams}}}

    front = front_table([release(3, with_address("http://old/v1")), release(4, with_address("http://new/v1"))])
    assert {name: provider["base_url"] for name, provider in front["providers"].items()} == {
        "vllm": "http://old/v1",
        "vllm-v4": "http://new/v1",
    }
    assert front["models"]["chat"]["releases"]["v4"]["upstreams"] == [
        {"model": "vllm-v4/qwen", "weight": 2},
        "vllm-v4/other",
    ]


def test_each_release_reads_its_own_version_of_a_secret() -> None:
    table = {"models": {"chat": {"upstreams": ["openai/a"]}}}
    releases = [
        release(number, table, secrets={"env:OPENAI_API_KEY": version}) for number, version in ((3, "one"), (4, "two"))
    ]
    front = front_table(releases)
    files = {name: provider["api_key"] for name, provider in front["providers"].items()}
    assert files["openai"].startswith("file:/run/shipway/secrets/env-OPENAI-API-KEY-")
    assert files["openai"].endswith("-one")
    assert files["openai-v4"].endswith("-two")
    assert front["models"]["chat"]["releases"]["v4"]["upstreams"] == ["openai-v4/a"]


def test_a_provider_that_only_one_release_uses_is_there_for_it() -> None:
    old = {"models": {"chat": {"upstreams": ["openai/a"]}}}
    new = {
        "providers": {"vllm": {"kind": "openai", "base_url": "http://new/v1"}},
        "models": {"chat": {"upstreams": ["vllm/a"]}},
    }
    front = front_table([release(3, old), release(4, new)])
    assert front["models"]["chat"]["releases"]["v4"]["upstreams"] == ["vllm-v4/a"]
    assert set(front["providers"]) == {"openai", "vllm-v4"}


def test_the_front_is_an_app_file_that_loads(tmp_path: Path) -> None:
    old = {
        "services": {"api": API, "x": {"url": "http://x", "routes": ["/x"]}},
        "models": {"chat": {"upstreams": ["openai/a"], "guards": ["far"]}},
        "guards": {"far": {"url": "http://guard:9000"}},
        "limits": {"default": {"requests": "60/min"}},
    }
    new = {"services": {"api": API}, "models": {"chat": {"upstreams": [{"model": "openai/b", "weight": 2}]}}}
    (tmp_path / "shipway.toml").write_text(as_toml(front_table([release(3, old), release(4, new)])))
    app = load_app(tmp_path)
    assert {name: one.weight for name, one in app.services["api"].releases.items()} == {"v3": 1.0, "v4": 0.0}
    assert {name: one.weight for name, one in app.models["chat"].releases.items()} == {"v3": 1.0, "v4": 0.0}
    assert [use.name for use in app.models["chat"].guards] == list(app.guards) == ["far"]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUE = st.recursive(
    st.one_of(_TEXT, st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_TEXT, _VALUE, max_size=4))
def test_any_table_comes_back_from_toml_as_it_was(table: dict[str, Any]) -> None:
    assert tomllib.loads(as_toml(table)) == table


@pytest.mark.parametrize("number", [1e16, 1e-7, 5e-324, 1.5, -0.0])
def test_floats_are_floats_in_toml(number: float) -> None:
    assert tomllib.loads(as_toml({"x": number})) == {"x": number}
