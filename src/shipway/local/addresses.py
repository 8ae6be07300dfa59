"""Local addresses for children: sockets that we listen on and hand down, and free ports for those that bind their own."""

import errno
import random
import socket
from dataclasses import dataclass

from shipway.errors import PortTakenError, ShipwayError
from shipway.local.port_holder import port_holder

LOOPBACK = "127.0.0.1"
BACKLOG = 2048
_OWN_PORTS = range(20_000, 32_000)
"""Below what Linux (32768) and macOS (49152) take for outgoing connections, so that a child finds its port free again
when it is restarted."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listening_socket() -> socket.socket:
    """A socket that listens on a free loopback port. Connections wait in it until a child accepts them."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((LOOPBACK, 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def free_port(taken: set[int], choose: random.Random | None = None) -> int:
    """A loopback port that nobody listens on, and not in *taken*, for a child that binds it itself.

    It is not held meanwhile: another program may be faster, and then the child says so.
    """
    choose = choose or random.Random()  # noqa: S311 - only to stay out of each other's way
    for port in choose.sample(_OWN_PORTS, len(_OWN_PORTS)):
        if port not in taken and bind_error(Address(LOOPBACK, port)) is None:
            return port
    raise ShipwayError(f"no free port between {_OWN_PORTS.start} and {_OWN_PORTS.stop - 1}")


def bind_error(address: Address) -> OSError | None:
    """Why nobody could listen on *address* now, or None."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections of the last run that are still winding down do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def check_free(address: Address, option: str) -> None:
    """Raise when nobody could listen on *address*, naming who does and *option*, which chooses another.

    Raises:
        PortTakenError: Another process listens there.
        ShipwayError: The address is not to be had: not of this machine, or not for this user.
    """
    error = bind_error(address)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        hint = f"stop it, or choose another port: {option} {_neighbour(address)}"
        raise PortTakenError(f"port {address.port} is taken by {port_holder(address.port)}", hint) from error
    if error.errno == errno.EACCES:
        raise ShipwayError(f"this user may not listen on port {address.port}", f"{option} 8080") from error
    raise ShipwayError(f"cannot listen on {address}: {error.strerror or error}") from error


def _neighbour(address: Address) -> int:
    candidates = range(address.port + 2, min(address.port + 100, 65_536))
    return next((port for port in candidates if bind_error(Address(address.host, port)) is None), 0) or 18_080
