"""What keeps answers: this protocol, and the memory of the process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from shipway.gateway.breaker import BreakerPolicy
from shipway.gateway.cache.entry import Entry

OVERHEAD_BYTES = 512
"""What an entry takes beside its body: its key, its numbers, its place in the order. Measured 430 on CPython 3.11."""

FAULTS = ("timeout", "error", "skipped")
"""How what a cache asks elsewhere (a shared store, a model of embeddings) can be of no use: no answer in time, an error, or not
asked since it was known to be ill or had too much to do."""

POLICY = BreakerPolicy(
    consecutive_failures=3, minimum_requests=20, first_open_s=1.0, longest_open_s=15.0, probes=1, probe_successes=1
)
"""While it is ill one request in a second, later in 15 seconds, waits for the deadline, and all others not at all."""


class Store(Protocol):
    """Keeps entries by key for a time. It may lose any of them at any time, and never raises for a reason of its own."""

    async def get(self, key: bytes) -> Entry | None: ...

    def put(self, key: bytes, entry: Entry, ttl_s: float) -> None:
        """Keep *entry*; does not wait until that is done."""

    async def close(self) -> None: ...


class MemoryStore:
    """Keeps at most *size_bytes*; what was not used for longest makes room.

    Attributes:
        held_bytes: What its entries take.
        evictions: Entries that made room for others before their time was over.
    """

    def __init__(self, size_bytes: int, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.held_bytes = 0
        self.evictions = 0
        self._size_bytes = size_bytes
        self._monotonic_s = monotonic_s
        self._entries: OrderedDict[bytes, tuple[float, Entry]] = OrderedDict()
        """When it is over, and the entry; those used last come last."""

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: bytes) -> Entry | None:
        found = self._entries.get(key)
        if found is None:
            return None
        if self._monotonic_s() >= found[0]:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return found[1]

    def put(self, key: bytes, entry: Entry, ttl_s: float) -> None:
        self._remove(key)
        taken = _bytes_of(entry)
        if taken > self._size_bytes:
            return
        self._entries[key] = (self._monotonic_s() + ttl_s, entry)
        self.held_bytes += taken
        while self.held_bytes > self._size_bytes:
            ends_s, oldest = self._entries.popitem(last=False)[1]
            self.held_bytes -= _bytes_of(oldest)
            if ends_s > self._monotonic_s():
                self.evictions += 1

    async def close(self) -> None:
        self._entries.clear()
        self.held_bytes = 0

    def _remove(self, key: bytes) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self.held_bytes -= _bytes_of(found[1])


def _bytes_of(entry: Entry) -> int:
    return len(entry.body) + len(entry.dropped) + OVERHEAD_BYTES
