"""Where a stream waits for its guards: what comes is held until all text in it was allowed.

New text is gathered for at most half of `hold`, or until a window is full, and then checked; what comes meanwhile is gathered
for the next check. So a guard that takes no longer than the other half lets each character go within `hold` of its arrival, and
one that is slower holds it for its deadline at most.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from shipway.gateway.guards.check import Piece
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.windows import Said, Windows
from shipway.gateway.http1.running import Waiter
from shipway.gateway.model_stream import open_stream
from shipway.gateway.refusals import INTERNAL, Refusal

if TYPE_CHECKING:
    from shipway.gateway.attempt import Attempt
    from shipway.gateway.call import Call

MAX_HELD_BYTES = 256 * 1024
"""While more than this is held, nothing more is read."""


class Watcher(Protocol):
    """What decides; see `watch.Watch`."""

    async def part(self, pieces: tuple[Piece, ...]) -> Refusal | None: ...

    def unreadable_part(self) -> Refusal | None: ...


class Gate:
    """Stands between one stream and the client's exchange, of which it has `write` and `end`. Whoever makes one must `close` it.

    Attributes:
        finished: Settled when all that was held has gone to the client, or the stream was refused.
        on_refused: Called then, to stop the upstream.
    """

    def __init__(
        self, call: Call, attempt: Attempt, watch: Watcher, texts: StreamTexts, windows: Windows, hold_s: float
    ) -> None:
        self.finished: Waiter[None] = Waiter()
        self.on_refused: Callable[[], None] = lambda: None
        self._call = call
        self._attempt = attempt
        self._watch = watch
        self._texts: StreamTexts | None = texts
        self._windows = windows
        self._gather_s = hold_s / 2
        self._loop = call.exchange.connection.server.loop
        self._checking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since_s = 0.0
        """When the oldest text came that no check has; what does not fit into one is due at once for the next."""
        self._ending = False
        self._over = False
        self._sent = False
        self._paused = False

    def write(self, data: bytes) -> None:
        """Take whole events of the stream."""
        if self._over:
            return
        said = self._said(data)
        if said and not self._windows.unchecked:
            self._since_s = self._loop.time()
        self._windows.add(data, said)
        if self._windows.held_bytes > MAX_HELD_BYTES and not self._ending:
            self._paused = True  # again, where the client was slow meanwhile, and its end set the flow going
            self._attempt.pause()
        self._go_on()

    def end(self) -> None:
        """Nothing follows: the response ends once what is held may go."""
        self._ending = True
        self._go_on()

    def close(self) -> None:
        """Forget what is held; no check goes on."""
        self._over = True
        self._stop_timer()
        if self._checking is not None:
            self._checking.cancel()

    async def emptied(self) -> None:
        """Until all that was held has gone, or was refused."""
        began_s = perf_counter()
        await self.finished
        self._call.waited_s += perf_counter() - began_s

    def _said(self, data: bytes) -> list[Said]:
        if self._texts is None:
            return []
        try:
            return self._texts.read(data)
        except ValueError:
            self._texts = None  # what follows makes no sense any more either
            refusal = self._watch.unreadable_part()
            if refusal is not None:
                self._over = True
                self._stop_timer()
                # Not at once: whoever brought the data is not done with it.
                self._timer = self._loop.call_later(0, self._refuse, refusal)
            return []

    def _go_on(self) -> None:
        """Let go what may, and see that the rest is checked in time."""
        if self._over or self._checking is not None:
            return
        waiting = self._windows.unchecked
        if not waiting:
            self._send(self._windows.free())
            if self._ending:
                self._over = True
                if not self._sent:  # a stream without anything in it
                    open_stream(self._call)
                self._call.exchange.end()
                self.finished.set(None)
            return
        due_s = self._since_s + self._gather_s
        if self._ending or waiting >= self._windows.window or self._loop.time() >= due_s:
            self._stop_timer()
            self._checking = self._loop.create_task(self._check(self._windows.ask()))
        elif self._timer is None:
            self._timer = self._loop.call_at(due_s, self._gathered)

    def _gathered(self) -> None:
        self._timer = None
        self._go_on()

    async def _check(self, pieces: tuple[Piece, ...]) -> None:
        try:
            refusal = await self._watch.part(pieces)
        except Exception:  # a bug of ours must not let anything pass
            traceback.print_exc(file=sys.stderr)
            refusal = INTERNAL
        self._checking = None
        if self._over:
            return
        if refusal is not None:
            self._refuse(refusal)
            return
        self._windows.allow()
        self._send(self._windows.free())
        self._go_on()

    def _send(self, data: bytes) -> None:
        exchange = self._call.exchange
        if data and not exchange.ended:
            if not self._sent:
                self._sent = True
                self._call.first_token_s = perf_counter() - self._call.arrived_s
                open_stream(self._call)
            exchange.write(data)
        if self._paused and self._windows.held_bytes <= MAX_HELD_BYTES // 2:
            self._paused = False
            if not (exchange.slow or self._ending):
                self._attempt.resume()

    def _refuse(self, refusal: Refusal) -> None:
        self._over = True
        self._stop_timer()
        if not self._sent:
            self._call.first_token_s = None
        self._call.refuse(refusal)
        self.finished.set(None)
        self.on_refused()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
