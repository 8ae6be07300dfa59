"""Names and labels on an engine."""

import pytest

from shipway.deploy.engine.values import Container
from shipway.deploy.targets.docker.names import Names, Replica, gateway_sequence, replica_of
from shipway.errors import UsageError

NAMES = Names("shop", "prod")


def _container(name: str, labels: dict[str, str]) -> Container:
    return Container("id", name, "sha256:1", labels, "running")


def test_a_replica_is_found_again_by_its_labels() -> None:
    replica = Replica("api", 4, 2)
    name, labels = NAMES.replica(replica), NAMES.replica_labels(replica)
    assert name == "shop.prod.api.v4.2"
    assert replica_of(_container(name, labels)) == replica
    assert gateway_sequence(_container(name, labels)) == 0


def test_a_gateway_is_no_replica() -> None:
    gateway = _container(NAMES.gateway(3), NAMES.labelled("gateway"))
    assert (gateway_sequence(gateway), replica_of(gateway)) == (3, None)


def test_a_container_of_somebody_else_is_neither() -> None:
    foreign = _container("shop.prod.gateway.1", {"com.example.role": "gateway"})
    assert (gateway_sequence(foreign), replica_of(foreign)) == (0, None)


def test_two_apps_never_share_a_name() -> None:
    one, other = Names("a-b", "c"), Names("a", "b-c")
    assert one.network != other.network
    assert one.installed("x", 1) != other.installed("x", 1)


def test_a_name_that_no_engine_takes_is_refused() -> None:
    with pytest.raises(UsageError, match="ends with a hyphen"):
        Names("shop-", "prod")
