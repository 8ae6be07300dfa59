"""What the engine has, as values: containers, images, networks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine sees it now.

    Attributes:
        state: `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        addresses: IPv4 address by network; those it would have, when it does not run.
        exit_code: Of its last end; 0 while it never ended.
        health: `starting`, `healthy` or `unhealthy` by the check in its image; empty where there is none.
        started_at: RFC 3339, UTC.
    """

    id: str
    name: str
    image_id: str
    labels: Mapping[str, str]
    state: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0
    error: str = ""
    health: str = ""
    restarts: int = 0
    started_at: str = ""
    host_network: bool = False

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From what `GET /containers/ID/json` answers."""
        state, networks = raw["State"], raw["NetworkSettings"]["Networks"] or {}
        return cls(
            id=raw["Id"],
            name=raw["Name"].removeprefix("/"),
            image_id=raw["Image"],
            labels=raw["Config"]["Labels"] or {},
            state=state["Status"],
            addresses={
                name: address
                for name, one in networks.items()
                if (address := one.get("IPAddress") or (one.get("IPAMConfig") or {}).get("IPv4Address"))
            },
            exit_code=state.get("ExitCode", 0),
            error=state.get("Error", ""),
            health=(state.get("Health") or {}).get("Status", ""),
            restarts=raw.get("RestartCount", 0),
            started_at=state.get("StartedAt", ""),
            host_network=raw.get("HostConfig", {}).get("NetworkMode") == "host",
        )


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the engine has.

    Attributes:
        digests: `repository@sha256:…`, where a registry knows it.
    """

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    digests: tuple[str, ...] = ()
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    id: str
    name: str
    labels: Mapping[str, str]
    subnet: str
    gateway: str


@dataclass(frozen=True, slots=True)
class EngineVersion:
    version: str
    api: str
    platform: str
    """As in `linux/amd64`."""
