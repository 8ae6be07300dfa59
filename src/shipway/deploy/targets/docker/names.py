"""What the things of one environment are called on an engine, and the labels by which they are ours. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shipway.deploy.engine.values import Container
from shipway.deploy.releases import release_name, release_number
from shipway.errors import UsageError

_LABEL = "dev.shipway"
GATEWAY_PART = "gateway/gateway"
"""In place of a service, in the name of an image that is kept; no service has a slash in its name."""

_REPLICA = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Replica:
    """Which replica of which service of which release a container is."""

    service: str
    release: int
    index: int


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment of one app. A dot separates, as no part of a name can hold one."""

    app: str
    environment: str

    def __post_init__(self) -> None:
        for name in (self.app, self.environment):
            if name.endswith("-"):
                raise UsageError(f"an engine takes no name that ends with a hyphen, such as {name!r}", "rename it")

    @property
    def labels(self) -> dict[str, str]:
        """On everything of this environment. What lacks one of them is not ours, and is never touched."""
        return {f"{_LABEL}.app": self.app, f"{_LABEL}.environment": self.environment}

    def labelled(self, role: str, **more: str) -> dict[str, str]:
        """The labels of something in a *role*: `service`, `gateway`, `store`, `network`, `volume`."""
        return {**self.labels, f"{_LABEL}.role": role, **{f"{_LABEL}.{key}": value for key, value in more.items()}}

    @property
    def network(self) -> str:
        return f"{self._prefix}.network"

    @property
    def secrets_volume(self) -> str:
        return f"{self._prefix}.secrets"

    @property
    def state_volume(self) -> str:
        return f"{self._prefix}.state"

    @property
    def store(self) -> str:
        """The container that is never started, through which files of the volumes are written and read."""
        return f"{self._prefix}.store"

    def replica(self, replica: Replica) -> str:
        return f"{self._prefix}.{replica.service}.{release_name(replica.release)}.{replica.index}"

    def replica_labels(self, replica: Replica) -> dict[str, str]:
        return self.labelled(
            "service",
            service=replica.service,
            release=release_name(replica.release),
            replica=str(replica.index),
        )

    def gateway(self, sequence: int) -> str:
        """Each gateway of an environment has a name of its own, as two overlap while one hands over to the next."""
        return f"{self._prefix}.gateway.{sequence}"

    def installed(self, part: str, release: int) -> tuple[str, str]:
        """Repository and tag by which an image is kept for *release*; *part* is a service or `GATEWAY_PART`."""
        return f"shipway/{self.app}/{self.environment}/{part}", release_name(release)

    @property
    def all_installed(self) -> tuple[str, str]:
        """Patterns of the repositories of all parts."""
        return self.installed("*", 0)[0], self.installed(GATEWAY_PART, 0)[0]

    @staticmethod
    def alias(service: str, release: int) -> str:
        """How services of a release find each other in the network."""
        return f"{service}.{release_name(release)}"

    @property
    def _prefix(self) -> str:
        return f"{self.app}.{self.environment}"


def role_of(labels: Mapping[str, str]) -> str:
    return labels.get(f"{_LABEL}.role", "")


def label(labels: Mapping[str, str], key: str) -> str:
    return labels.get(f"{_LABEL}.{key}", "")


def replica_of(container: Container) -> Replica | None:
    """Which replica a container is; None for one that is none."""
    labels = container.labels
    release, index = release_number(label(labels, "release")), label(labels, "replica")
    if role_of(labels) != "service" or release is None or not _REPLICA.fullmatch(index):
        return None
    return Replica(label(labels, "service"), release, int(index))


def gateway_sequence(container: Container) -> int:
    """Which gateway of its environment a container is, counted from 1; 0 for one that is none."""
    tail = container.name.rpartition(".")[2]
    return int(tail) if role_of(container.labels) == "gateway" and tail.isdigit() else 0
