"""Heads that repeat: on a kept connection most messages begin with the same bytes as the one before, but for their length.

Reading such a head again would come to the same result, so it is recognised by its bytes and not read. What is recognised
is exact: the same bytes up to the digits of Content-Length, digits, and the same bytes behind them.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

H = TypeVar("H")

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength:[ \t]*([0-9]{1,15})\r\n")
_MAX_DIGITS = 15


class KnownHead(Generic[H]):
    """A head that was read from *raw*, to be recognised when it comes again.

    Attributes:
        length: Content-Length of the message that `end_in` recognised last; None where the head has none.
    """

    __slots__ = ("_after", "_at", "_before", "head", "length")

    def __init__(self, raw: bytes, head: H, length: int | None) -> None:
        """*length*: its Content-Length, by whoever read it."""
        self.head = head
        self.length = length
        self._before = raw
        self._after = b""
        if length is not None:
            digits = _LENGTH.search(raw)
            # Written in some other way it is not recognised: no message begins with an empty line.
            self._before, self._after = (raw[: digits.start(1)], raw[digits.end(1) :]) if digits else (b"\r\n\r\n", b"")
        self._at = len(self._before)

    def end_in(self, data: bytes) -> int:
        """Where this head ends in *data*, which begins with a message; 0 if that begins otherwise."""
        at = self._at
        if not data.startswith(self._before):
            return 0
        after = self._after
        if not after:
            return at
        stop = data.find(b"\r", at, at + _MAX_DIGITS + 1)
        digits = data[at:stop]
        if stop < 0 or not digits.isdigit() or not data.startswith(after, stop):
            return 0
        self.length = int(digits)
        return stop + len(after)
