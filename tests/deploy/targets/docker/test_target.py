"""The gateway's configuration with the addresses that replicas really have."""

from typing import Any

import pytest

from shipway.deploy.targets.docker.target import with_addresses
from shipway.errors import TargetError

TABLE: dict[str, Any] = {
    "name": "shop",
    "services": {
        "api": {"releases": {"v3": {"url": "http://api.v3:8000", "weight": 1.0}, "v4": {"url": "x", "weight": 0.0}}},
        "old": {"url": "http://10.9.9.9:80"},
        "far": {"releases": {"stable": {"url": "http://10.9.9.8:80"}}},
    },
}
ADDRESSES = {(3, "api"): ["http://10.0.0.2:8000", "http://10.0.0.3:8000"], (4, "api"): ["http://10.0.0.4:8000"]}


def test_every_release_has_the_addresses_of_its_replicas_and_the_users_own_stay() -> None:
    table = with_addresses(TABLE, lambda number, service: ADDRESSES[number, service], {"v3": 3, "v4": 4})
    services = table["services"]
    assert services["api"]["releases"] == {
        "v3": {"url": ["http://10.0.0.2:8000", "http://10.0.0.3:8000"], "weight": 1.0},
        "v4": {"url": ["http://10.0.0.4:8000"], "weight": 0.0},
    }
    assert (services["old"], services["far"]) == (TABLE["services"]["old"], TABLE["services"]["far"])


def test_a_release_without_a_container_is_not_put_behind_the_gateway() -> None:
    with pytest.raises(TargetError, match="api v3 has no container"):
        with_addresses(TABLE, lambda number, service: [], {"v3": 3})
