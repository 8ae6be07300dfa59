"""One coarse clock for all deadlines of a listener.

Setting a deadline is an attribute assignment and meeting it costs nothing, because a sweep every `TICK_S` looks at each
connection; a timer per phase of each request would cost more than the parsing of its head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

TICK_S: Final = 0.05
"""How late a deadline may be noticed, in seconds."""

NEVER: Final = float("inf")


class Expiring(Protocol):
    """Something with a moment after which it must act."""

    def expire(self, now_s: float) -> None:
        """Compare every deadline held with *now_s* (the loop's clock) and act on those that have passed."""


class Sweep:
    """Calls `expire` on every member of a collection, until stopped."""

    def __init__(self, members: Collection[Expiring], also: Callable[[float], None] | None = None) -> None:
        self._members = members
        self._also = also
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._timer = loop.call_later(TICK_S, self._tick)
        for member in tuple(self._members):
            member.expire(now_s)
        if self._also is not None:
            self._also(now_s)
