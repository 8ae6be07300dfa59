"""Listening sockets, and handing a port from one gateway process to the next without losing a connection."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys

from shipway.errors import PortTakenError

_SO_ATTACH_REUSEPORT_CBPF = 51
_BPF_RETURN_CONSTANT = 0x06


def bind(host: str, port: int, *, take_over: bool = False) -> socket.socket:
    """A socket bound for listening.

    Args:
        take_over: Share the port with another gateway that has it. Otherwise a taken port is an error.

    Raises:
        PortTakenError: the address is taken, not this machine's, or not for this user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    can_share = hasattr(socket, "SO_REUSEPORT")
    try:
        if can_share and port and not take_over:
            # Sharing is for hand-overs alone: a second gateway started by mistake must hear that the port is taken.
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if can_share:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind((host, port))
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise PortTakenError(
            f"{host}:{port} cannot be listened on: {error.strerror}",
            hint="stop who listens there, or start with another --port" if taken else None,
        ) from error
    bound.setblocking(False)
    return bound


def steer_away(listening: socket.socket) -> None:
    """Have new connections go to the gateway that took the port over, while this one accepts what already waits for it.

    Without this the kernel spreads connections over both sockets to the very end, and resets those that the closing one
    has not accepted yet. A socket filter that names the second socket of the group does it; the group is in the order
    of binding, and the one that leaves is the first. Where there is no second socket, the kernel ignores the filter.

    Source: socket(7), SO_ATTACH_REUSEPORT_CBPF; Linux's reuseport_select_sock.
    """
    if sys.platform != "linux":
        return
    instruction = struct.pack("HBBI", _BPF_RETURN_CONSTANT, 0, 0, 1)
    code = ctypes.create_string_buffer(instruction)
    program = struct.pack("HL", 1, ctypes.addressof(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
    except OSError:
        pass  # an old kernel, or a sandbox without it: the hand-over works as well as it did before
