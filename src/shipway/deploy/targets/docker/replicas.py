"""The containers of services: starting, verifying and stopping the replicas of a release."""

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shipway.deploy.build import PORT, SECRETS_FOLDER, USER
from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.faults import BusyError
from shipway.deploy.engine.values import Container, Network
from shipway.deploy.releases import Release, release_name, secret_file_name
from shipway.deploy.targets.docker.names import Names, Replica, replica_of
from shipway.deploy.targets.docker.probe import ill_because
from shipway.deploy.targets.docker.specification import Place, service_container
from shipway.deploy.targets.docker.store import APP_KEY, SecretStore
from shipway.errors import NotReadyError, TargetError
from shipway.secret import SecretReference
from shipway.spec.app import Sections
from shipway.spec.health import Health

LAST_LINES = 20
_POLL_S = 0.05
_AT_ONCE = 8
"""How many containers the engine is asked to start at the same time."""

_MAX_RESTARTS = 2
"""A replica that ended so often while it was to become healthy will not do so."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Replicas:
    """The replicas of one environment."""

    engine: Engine
    names: Names
    store: SecretStore

    def all(self) -> list[tuple[Replica, Container]]:
        found = self.engine.containers(self.names.labels)
        return [(replica, one) for one in found if (replica := replica_of(one)) is not None]

    def of(self, release: int, service: str | None = None) -> list[tuple[Replica, Container]]:
        """The replicas of a release, or of one service of it."""
        return [
            (replica, one)
            for replica, one in self.all()
            if replica.release == release and service in (None, replica.service)
        ]

    def start(self, release: Release, sections: Sections, service: str, count: int, gateway_url: str) -> None:
        """Have exactly *count* replicas run; what died, is ill or was never started is made anew at its old address."""
        present = self.of(release.number, service)
        for replica, container in present:
            if replica.index > count:
                self._end(container, sections.services[service].drain)
        alive = {replica.index for replica, one in present if one.is_running and one.health != "unhealthy"}
        network = self.network()
        taken = [one.addresses[network.name] for _, one in self.all() if network.name in one.addresses]
        urls = {
            name: f"http://{self.names.alias(name, release.number)}:{PORT}"
            for name, other in sections.services.items()
            if name != service and not other.runs_elsewhere
        }
        missing = []
        for index in sorted(set(range(1, count + 1)) - alive):
            replica = Replica(service, release.number, index)
            old = next((container for one, container in present if one == replica), None)
            address = old.addresses.get(network.name) if old else None
            if old is not None:
                self.engine.remove(old.id)
            if address is None:
                address = next_address(network.subnet, network.gateway, taken)
                taken.append(address)
            missing.append((replica, Place(network.name, address, gateway_url, urls)))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda one: self._run(release, sections, *one), missing))

    def verify(self, release: Release, sections: Sections, within_s: float) -> None:
        """Wait until every replica of *release* is healthy.

        Raises:
            NotReadyError: One is not, in the time; with the last lines that it printed.
        """
        deadline_s = time.monotonic() + within_s
        waiting = [
            Replica(name, release.number, index)
            for name, service in sections.services.items()
            if not service.runs_elsewhere
            for index in range(1, service.replicas + 1)
        ]
        while waiting:
            waiting = [
                one for one in waiting if not self._is_healthy(one, sections.services[one.service].health, deadline_s)
            ]
            if waiting:
                time.sleep(_POLL_S)

    def stop(self, release: int, service: str, patience_s: float) -> None:
        """Stop and remove the replicas of a service, all at the same time as far as the engine allows."""
        containers = [container for _, container in self.of(release, service)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda one: self._end(one, patience_s), containers))

    def addresses(self, release: int, service: str) -> list[str]:
        """Where the replicas of a service answer, as seen from the host."""
        network = self.names.network
        found = sorted(self.of(release, service), key=lambda one: one[0].index)
        return [f"http://{one.addresses[network]}:{PORT}" for _, one in found if network in one.addresses]

    def network(self) -> Network:
        """The environment's network, made when there is none. Its subnet is the engine's choice, but fixed: only then can
        containers have addresses that outlive a restart of the engine."""
        name, labels = self.names.network, self.names.labelled("network")
        network = self.engine.network(name)
        if network is None:
            trial = f"{name}.trial"
            self.engine.remove_network(trial)
            self.engine.create_network(trial, labels)
            chosen = self.engine.network(trial)
            self.engine.remove_network(trial)
            if chosen is None or not chosen.gateway:
                raise TargetError(f"the engine chose no addresses for the network {trial}", "docker network ls")
            self.engine.create_network(name, labels, chosen.subnet, chosen.gateway)
            network = self.engine.network(name)
        if network is None or network.labels != labels:
            raise TargetError(f"a network that is not ours is called {name}", f"docker network rm {name}")
        return network

    def _run(self, release: Release, sections: Sections, replica: Replica, place: Place) -> None:
        service = sections.services[replica.service]
        reads_files = service.dockerfile is None and service.image is None
        values = self._secrets(release, sections, replica.service, asks_models=bool(place.gateway_url))
        image = release.images.services[replica.service]
        name = self.names.replica(replica)
        body = service_container(
            self.names, replica, image.digest or image.reference, sections, place, {} if reads_files else values
        )
        try:
            self.engine.create(name, body)
        except BusyError as error:
            raise TargetError(
                f"a container that is not ours is called {name}", f"docker rename {name} ANOTHER"
            ) from error
        if reads_files and values:
            files = {f"{SECRETS_FOLDER}/{key}": value.encode("utf-8", "surrogatepass") for key, value in values.items()}
            self.engine.put_files(name, files, owner=USER)
        self.engine.start(name)

    def _secrets(self, release: Release, sections: Sections, service: str, *, asks_models: bool) -> dict[str, str]:
        values = {"OPENAI_API_KEY": self.store.needed(APP_KEY)} if asks_models else {}
        for variable, value in sections.services[service].env.items():
            if isinstance(value, SecretReference):
                version = release.secrets[str(value)]
                values[variable] = self.store.needed(secret_file_name(str(value), version))
        return values

    def _is_healthy(self, replica: Replica, health: Health, deadline_s: float) -> bool:
        container = self.engine.container(self.names.replica(replica))
        if container is None:
            raise NotReadyError(
                f"{self._called(replica)} is gone: somebody removed its container",
                f"shipway deploy {self.names.environment}",
            )
        address = container.addresses.get(self.names.network)
        ended = container.restarts >= _MAX_RESTARTS or container.state in ("exited", "dead")
        if ended:
            reason: str | None = f"it ends with status {container.exit_code} {container.error}".rstrip()
        elif not container.is_running or address is None:
            reason = f"it is {container.state}, last ended with status {container.exit_code}"
        else:
            reason = ill_because(address, PORT, health)
        if reason is not None and (ended or time.monotonic() > deadline_s):
            lines = self.engine.last_lines(container.id, LAST_LINES)
            raise NotReadyError(
                "\n".join(
                    [f"{self._called(replica)} did not become healthy: {reason}", *(f"  {line}" for line in lines)]
                )
                + ("" if lines else "\n  (it printed nothing)"),
                "mend what its last lines say, and deploy again"
                if ended
                else f"services.{replica.service}.health says what is asked, and how long the start may take",
            )
        return reason is None

    def _end(self, container: Container, patience_s: float) -> None:
        self.engine.stop(container.id, patience_s)
        self.engine.remove(container.id)

    def _called(self, replica: Replica) -> str:
        return f"{replica.service} {release_name(replica.release)} (replica {replica.index})"


def next_address(subnet: str, gateway: str, taken: Iterable[str]) -> str:
    """A free address, the one after the highest that is taken: what was just freed may still be in somebody's mind.

    Raises:
        TargetError: All are taken.
    """
    hosts = ipaddress.ip_network(subnet)
    used = {int(ipaddress.ip_address(one)) for one in (gateway, *taken) if one}
    first, last = int(hosts.network_address) + 1, int(hosts.broadcast_address) - 1
    start = max(used, default=first)
    span: Sequence[int] = range(first, last + 1)
    for offset in range(1, len(span) + 1):
        candidate = first + (start - first + offset) % len(span)
        if candidate not in used:
            return str(ipaddress.ip_address(candidate))
    raise TargetError(f"the network {subnet} has no free address", "stop releases that are not needed")
