"""The bodies with which containers are created. Pure; no secret is in them, as everybody at the engine can read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shipway.deploy.build import PORT, USER
from shipway.deploy.releases import SECRETS_FOLDER, release_name
from shipway.deploy.targets.docker.names import Names, Replica
from shipway.spec.app import Sections
from shipway.spec.gateway import Gateway as GatewaySettings
from shipway.spec.services import Resources

STATE_FOLDER = "/var/lib/shipway"
CONFIGURATION_FOLDER = "/etc/shipway"

_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
_RESTART = {"Name": "unless-stopped"}
"""Back after a crash and after a restart of the engine, but not after `shipway stop`."""

_FIRST_UNPRIVILEGED_PORT = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replica is in the environment's network."""

    network: str
    address: str
    gateway_url: str
    """Where the models answer, up to and with `/v1`; empty when the app has none."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """Address of each other service of the release."""


def service_environment(sections: Sections, environment: str, replica: Replica, place: Place) -> dict[str, str]:
    """The variables of a replica that are no secrets."""
    own = {key: value for key, value in sections.services[replica.service].env.items() if isinstance(value, str)}
    models = {"OPENAI_BASE_URL": place.gateway_url} if place.gateway_url else {}
    return {
        **models,
        **own,
        **{f"SHIPWAY_URL_{name.upper().replace('-', '_')}": url for name, url in place.urls.items()},
        "PORT": str(PORT),
        "SHIPWAY_SERVICE": replica.service,
        "SHIPWAY_ENVIRONMENT": environment,
        "SHIPWAY_RELEASE": release_name(replica.release),
    }


def service_container(
    names: Names,
    replica: Replica,
    image_id: str,
    sections: Sections,
    place: Place,
    secret_env: Mapping[str, str],
) -> dict[str, Any]:
    """The container of one replica.

    Args:
        secret_env: Secrets for an image that is not made by Shipway, whose entry point would not read files. They can be
            read by whoever may use the engine, as everything can.
    """
    service = sections.services[replica.service]
    environ = {**service_environment(sections, names.environment, replica, place), **secret_env}
    made_here = service.app is not None or service.command is not None
    hardened = (
        {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]} if made_here and not service.dockerfile else {}
    )
    # An image that Shipway made has its command in it; one from the user's Dockerfile is told.
    told = {"Cmd": list(service.command)} if service.dockerfile and service.command else {}
    return {
        "Image": image_id,
        **told,
        "Labels": names.replica_labels(replica),
        "Env": [f"{name}={value}" for name, value in sorted(environ.items())],
        "StopTimeout": round(service.drain) + 5,
        "HostConfig": {
            "RestartPolicy": _RESTART,
            "LogConfig": _LOG,
            "NetworkMode": place.network,
            **hardened,
            **_limits(service.resources),
        },
        "NetworkingConfig": {
            "EndpointsConfig": {
                place.network: {
                    "Aliases": [names.alias(replica.service, replica.release)],
                    "IPAMConfig": {"IPv4Address": place.address},
                }
            }
        },
    }


def gateway_container(
    names: Names, image_id: str, settings: GatewaySettings, patience_s: float, fingerprint: str
) -> dict[str, Any]:
    """The gateway's container, on the host's network: see decision 0011.

    Args:
        fingerprint: What a running gateway cannot change; another one needs another container.
    """
    # In the host's network only root may listen on low ports: a container's user gets no capability there.
    low = min(settings.port, settings.admin_port) < _FIRST_UNPRIVILEGED_PORT
    return {
        "Image": image_id,
        "User": "0:0" if low else f"{USER}:{USER}",
        "Labels": names.labelled(
            "gateway", fingerprint=fingerprint, admin=f"{settings.admin_host}:{settings.admin_port}"
        ),
        "Env": [f"SHIPWAY_ADMIN_PORT={settings.admin_port}"],
        "Cmd": [
            *("python", "-m", "shipway", "gateway", CONFIGURATION_FOLDER),
            *("--state", STATE_FOLDER, "--take-over"),
        ],
        "StopTimeout": round(patience_s),
        "HostConfig": {
            "NetworkMode": "host",
            "RestartPolicy": _RESTART,
            "LogConfig": _LOG,
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_BIND_SERVICE", "DAC_OVERRIDE"] if low else [],
            "SecurityOpt": ["no-new-privileges"],
            "Mounts": [
                {"Type": "volume", "Source": names.secrets_volume, "Target": SECRETS_FOLDER, "ReadOnly": True},
                {"Type": "volume", "Source": names.state_volume, "Target": STATE_FOLDER},
            ],
        },
    }


def store_container(names: Names, image_id: str) -> dict[str, Any]:
    """The container that only holds the volumes, so that files can be written to them."""
    return {
        "Image": image_id,
        "Labels": names.labelled("store"),
        "NetworkDisabled": True,
        "HostConfig": {
            "Mounts": [
                {"Type": "volume", "Source": names.secrets_volume, "Target": SECRETS_FOLDER},
                {"Type": "volume", "Source": names.state_volume, "Target": STATE_FOLDER},
            ]
        },
    }


def _limits(resources: Resources) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if resources.cpu is not None:
        limits["NanoCpus"] = round(resources.cpu * 1e9)
    if resources.memory is not None:
        limits["Memory"] = resources.memory
    if resources.gpu:
        limits["DeviceRequests"] = [{"Count": resources.gpu, "Capabilities": [["gpu"]]}]
    return limits
