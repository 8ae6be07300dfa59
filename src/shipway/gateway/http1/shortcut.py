"""The way of chunks that are like the one before: from an upstream's connection to a client's without being taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipway.gateway.http1.connection import Connection
    from shipway.gateway.http1.outbox import Outbox


class Shortcut:
    """Takes what one read brought, if that is one chunk like the one before, and has it written to the client.

    All that this takes is in here, and whoever else wants to know of it asks afterwards: with many streams nothing of one
    is left in the processor's caches when its next chunk comes, so each object that is looked at is waited for. It is a class,
    as calling a method of one is what a compiler does best.

    Attributes:
        taken: How many chunks.
        taken_bytes: What they carried.
        taken_s: When the last one came, on the loop's clock.
    """

    __slots__ = ("_client", "_outbox", "taken", "taken_bytes", "taken_s")

    def __init__(self) -> None:
        self._client: Connection | None = None
        self._outbox: Outbox | None = None
        self.taken_s = 0.0
        self.taken = 0
        self.taken_bytes = 0

    def lead_to(self, client: Connection, outbox: Outbox) -> None:
        """Pass chunks on to *client*, to which the beginning of a chunked body was written."""
        self._client = client
        self._outbox = outbox

    def carried_by(self, chunk: bytes) -> int:
        """How many bytes of body *chunk* carries, if it is one whole chunk that is like the one before; else 0."""
        raise NotImplementedError

    def take(self, chunk: bytes) -> bool:
        """Pass *chunk* on, if it is to be; gives whether it is."""
        client, outbox = self._client, self._outbox
        if client is None or outbox is None:
            return False
        carried_bytes = self.carried_by(chunk)
        if not carried_bytes:
            return False
        outbox.put(client, chunk)
        self.taken += 1
        self.taken_bytes += carried_bytes
        self.taken_s = outbox.turn_s
        return True
