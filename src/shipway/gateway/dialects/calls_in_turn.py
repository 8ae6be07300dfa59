"""What a stream says in turn, for dialects that finish each tool call before anything else is said.

Chat completions may go back to an earlier call for more of its arguments. Nearly no provider does, and holding all calls open
until the end would keep clients from acting on the first. So a call is over when something else begins while its arguments
are a whole JSON document; while they are not, what begins waits.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.events import Event, ToolArguments, ToolCallStarted

_decode = msgspec.json.Decoder(msgspec.Raw).decode


class CallsInTurn:
    """Puts the content of one stream in order.

    Attributes:
        open: The call that may go on; None while anything may be said at once.
    """

    __slots__ = ("_last_key", "_over", "_pieces", "_waiting", "open")

    def __init__(self) -> None:
        self.open: int | None = None
        self._pieces: list[str] = []
        self._over: set[int] = set()
        self._waiting: dict[int, list[Event]] = {}
        """By call; what is between calls has numbers below 0."""
        self._last_key = 0

    def take(self, event: Event) -> list[Event]:
        """What may be said now, *event* being of the answer's content. Raises: ValueError, for a call that was over."""
        index = event.index if type(event) is ToolArguments or type(event) is ToolCallStarted else None
        if index is not None and index == self.open:
            if type(event) is ToolArguments:
                self._pieces.append(event.text)
            return [event, *self._released()] if self._waiting and _may_end(event) else [event]
        if index in self._over:
            raise ValueError("more arguments of a call that was whole")
        if self.open is None or (not self._waiting and self._whole()):
            self._begin(index, [event])
            return [event]
        self._wait(index, event)
        return []

    def close(self) -> list[Event]:
        """Nothing more comes: all that waits, in the order in which it began."""
        said = [event for events in self._waiting.values() for event in events]
        self._waiting.clear()
        self._begin(None, [])
        return said

    def _wait(self, index: int | None, event: Event) -> None:
        if index is None:
            index = self._last_key if self._last_key < 0 else -len(self._waiting) - 1
        self._last_key = index if index not in self._waiting else self._last_key
        self._waiting.setdefault(index, []).append(event)

    def _whole(self) -> bool:
        try:
            _decode("".join(self._pieces).encode())
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def _begin(self, index: int | None, events: list[Event]) -> None:
        if self.open is not None:
            self._over.add(self.open)
        self.open = index
        self._pieces = [event.text for event in events if type(event) is ToolArguments]

    def _released(self) -> list[Event]:
        """What waited for the open call, if that is whole, as far as each that follows is."""
        said: list[Event] = []
        while self._waiting and (self.open is None or self._whole()):
            key = next(iter(self._waiting))
            events = self._waiting.pop(key)
            self._begin(key if key >= 0 else None, events)
            said += events
        if not self._waiting:
            self._last_key = 0
        return said


def _may_end(event: Event) -> bool:
    return type(event) is ToolArguments and event.text.rstrip().endswith("}")
