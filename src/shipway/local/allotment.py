"""Which local address each replica and each model server of one run gets."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shipway.local.addresses import LOOPBACK, Address, address_of, free_port, listening_socket
from shipway.local.models import ModelServer
from shipway.spec.app import App


@dataclass(frozen=True)
class Replica:
    """One process of a service.

    Attributes:
        name: What logs call it: "api", or "api.2" when there are several.
        address: Where the gateway reaches this one.
        sockets: Listening sockets that it inherits: its own, then the service's. Empty for a command, which binds
            PORT itself.
    """

    service: str
    name: str
    address: Address
    sockets: tuple[socket.socket, ...] = ()


@dataclass(frozen=True)
class Allotment:
    """The addresses of one run.

    Attributes:
        service_urls: One address for each service, by which the other services call it: past the gateway, so of a
            service given by releases it is that of the heaviest.
        relays: For each service of several commands, the socket of its `service_urls` entry: nobody but a relay can
            listen there, as commands cannot share a socket.
        models: Address of each model server, in the order they were given.
    """

    replicas: tuple[Replica, ...]
    service_urls: Mapping[str, str]
    relays: Mapping[str, socket.socket]
    models: tuple[Address, ...]

    def close(self) -> None:
        """Close our ends of the listening sockets. From then on connections are refused."""
        for listener in (*self.relays.values(), *(one for replica in self.replicas for one in replica.sockets)):
            listener.close()

    def replicas_of(self, service: str) -> tuple[Replica, ...]:
        return tuple(replica for replica in self.replicas if replica.service == service)


def allot(app: App, models: Sequence[ModelServer]) -> Allotment:
    """Find an address for everything that *app* starts here.

    An ASGI service listens on sockets of ours, which stay open while its processes come and go: one for each replica,
    by which the gateway balances, and with several replicas one that all share, by which the kernel does, so that the
    other services have one address to call.
    """
    replicas: list[Replica] = []
    urls: dict[str, str] = {}
    relays: dict[str, socket.socket] = {}
    taken: set[int] = {app.gateway.port, app.gateway.admin_port}

    def own_port() -> Address:
        port = free_port(taken)
        taken.add(port)
        return Address(LOOPBACK, port)

    for service, settings in app.services.items():
        several = settings.replicas > 1
        names = [f"{service}.{number}" for number in range(1, settings.replicas + 1)] if several else [service]
        if settings.url is not None:
            urls[service] = settings.url
        elif settings.releases:
            urls[service] = max(settings.releases.values(), key=lambda release: release.weight).urls[0]
        elif settings.app is not None:
            shared = [listening_socket()] if several else []
            for name in names:
                own = listening_socket()
                replicas.append(Replica(service, name, address_of(own), (own, *shared)))
            urls[service] = (address_of(shared[0]) if several else replicas[-1].address).url
        else:
            replicas += (Replica(service, name, own_port()) for name in names)
            if several:
                relays[service] = listening_socket()
            urls[service] = (address_of(relays[service]) if several else replicas[-1].address).url
    return Allotment(tuple(replicas), urls, relays, tuple(own_port() for _ in models))


def endpoints(allotment: Allotment, models: Sequence[ModelServer]) -> dict[str, dict[str, list[str]]]:
    """What the gateway is told: the addresses of each service that runs here, and of each local upstream."""
    services: dict[str, list[str]] = {}
    for replica in allotment.replicas:
        services.setdefault(replica.service, []).append(replica.address.url)
    return {
        "services": services,
        "models": {
            target: [f"{address.url}/v1"]
            for server, address in zip(models, allotment.models, strict=True)
            for target in server.targets
        },
    }
