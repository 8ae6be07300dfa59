"""A stream's texts in overlapping windows. Pure: what came, what is to be checked next, what may go.

Each of the texts of an answer (what is said, what is thought, the arguments of each tool call) is checked on its own: new
characters, with those before them that were allowed already. A part of the stream may go once all text in it and before it was
allowed, so that nothing overtakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from shipway.gateway.guards.check import Kind, Piece

Key = tuple[Kind, int]
"""One text of an answer: its kind, and which of those there are."""
Said = tuple[Key, str, str]
"""(which text, the name of its tool or field or "", more of it)."""


class _Text:
    """One text: `before` was allowed and is shown again, `new` waits. Of the characters that came, *allowed* may go; it is
    -1 as long as even the text's beginning (a tool's name) waits."""

    __slots__ = ("allowed", "before", "came", "name", "new")

    def __init__(self, name: str) -> None:
        self.name = name
        self.before = ""
        self.new = ""
        self.came = 0
        self.allowed = -1


class Windows:
    """What of one stream is held.

    Args:
        window: So many characters are shown at most again, and so many new ones at once.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self._texts: dict[Key, _Text] = {}
        self._held: deque[tuple[bytes, dict[Key, int]]] = deque()
        self._asked: dict[Key, int] = {}
        self.held_bytes = 0

    @property
    def unchecked(self) -> int:
        """Characters that no check has yet, and one for each text that has only begun."""
        asked = self._asked
        return sum(
            len(text.new) - asked.get(key, 0) + (text.allowed < 0 and key not in asked)
            for key, text in self._texts.items()
        )

    def add(self, data: bytes, said: Iterable[Said]) -> None:
        """*data* came, in which *said* is said."""
        needs: dict[Key, int] = {}
        for key, name, more in said:
            text = self._texts.get(key)
            if text is None:
                text = self._texts[key] = _Text(name)
            text.new += more
            text.came += len(more)
            needs[key] = text.came
        self._held.append((data, needs))
        self.held_bytes += len(data)

    def ask(self) -> tuple[Piece, ...]:
        """What is to be checked now; say `allow` before the next."""
        pieces = []
        for key, text in self._texts.items():
            if text.new or text.allowed < 0:
                new = text.new[: self.window]
                self._asked[key] = len(new)
                pieces.append(Piece("assistant", key[0], text.before + new, text.name, len(text.before)))
        return tuple(pieces)

    def allow(self) -> None:
        """What was asked last is allowed."""
        for key, length in self._asked.items():
            text = self._texts[key]
            text.before = (text.before + text.new[:length])[-self.window :]
            text.new = text.new[length:]
            text.allowed = max(text.allowed, 0) + length
        self._asked.clear()

    def free(self) -> bytes:
        """What may go now."""
        going = []
        while self._held and all(self._texts[key].allowed >= end for key, end in self._held[0][1].items()):
            going.append(self._held.popleft()[0])
        data = b"".join(going)
        self.held_bytes -= len(data)
        return data
