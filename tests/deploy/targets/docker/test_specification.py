"""The bodies of containers, compared whole: nothing secret is in them, nothing is left to the engine's defaults."""

from typing import Any

from shipway.deploy.targets.docker.names import Names, Replica
from shipway.deploy.targets.docker.specification import Place, gateway_container, service_container
from shipway.secret import SecretReference
from shipway.spec.app import Sections
from shipway.spec.gateway import Gateway
from shipway.spec.services import Resources, Service

NAMES = Names("shop", "prod")
REPLICA = Replica("api", 4, 1)
PLACE = Place("shop.prod.network", "10.0.0.2", "http://10.0.0.1:8080/v1", {"web-ui": "http://web-ui.v4:8000"})


def _sections(**more: Any) -> Sections:
    env: dict[str, str | SecretReference] = {"MODE": "fast", "TOKEN": SecretReference("env", "TOKEN")}
    return Sections(name="shop", services={"api": Service(app="a:b", env=env, **more)})


def test_the_container_of_a_service() -> None:
    sections = _sections(resources=Resources(cpu=0.5, memory=1024, gpu=2), drain=10.0)
    assert service_container(NAMES, REPLICA, "sha256:1", sections, PLACE, {}) == {
        "Image": "sha256:1",
        "Labels": {
            "dev.shipway.app": "shop",
            "dev.shipway.environment": "prod",
            "dev.shipway.role": "service",
            "dev.shipway.service": "api",
            "dev.shipway.release": "v4",
            "dev.shipway.replica": "1",
        },
        "Env": [
            "MODE=fast",
            "OPENAI_BASE_URL=http://10.0.0.1:8080/v1",
            "PORT=8000",
            "SHIPWAY_ENVIRONMENT=prod",
            "SHIPWAY_RELEASE=v4",
            "SHIPWAY_SERVICE=api",
            "SHIPWAY_URL_WEB_UI=http://web-ui.v4:8000",
        ],
        "StopTimeout": 15,
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "NetworkMode": "shop.prod.network",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NanoCpus": 500_000_000,
            "Memory": 1024,
            "DeviceRequests": [{"Count": 2, "Capabilities": [["gpu"]]}],
        },
        "NetworkingConfig": {
            "EndpointsConfig": {"shop.prod.network": {"Aliases": ["api.v4"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}}
        },
    }


def test_a_gateway_runs_as_nobody_unless_its_port_is_low() -> None:
    high = gateway_container(NAMES, "sha256:1", Gateway(), 40, "f")
    low = gateway_container(NAMES, "sha256:1", Gateway(port=443), 40, "f")
    assert (high["User"], high["HostConfig"]["CapAdd"]) == ("10001:10001", [])
    assert (low["User"], low["HostConfig"]["CapAdd"]) == ("0:0", ["NET_BIND_SERVICE", "DAC_OVERRIDE"])
    assert high["HostConfig"]["NetworkMode"] == "host"
    assert high["HostConfig"]["CapDrop"] == low["HostConfig"]["CapDrop"] == ["ALL"]
