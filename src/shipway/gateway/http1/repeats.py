"""Heads that repeat: on a kept connection most messages begin with the same bytes as the one before, but for their length.

Reading such a head again would come to the same result, so it is recognised by its bytes and not read. What is recognised
is exact: the same bytes up to the digits of Content-Length, digits, and the same bytes behind them.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

H = TypeVar("H")

_LENGTH = re.compile(rb"\r\n(?i:content-length):[ \t]*([0-9]{1,15})\r\n")
_MAX_DIGITS = 15


class KnownHead(Generic[H]):
    """A head that was read, to be recognised when it comes again.

    Attributes:
        length: Content-Length of the message that `end_in` recognised last; None where the head has none.
    """

    __slots__ = ("_after", "_at", "_before", "_digits", "_end", "_stop", "head", "length")

    def __init__(self, before: bytes, digits: bytes, after: bytes, head: H) -> None:
        """*digits*: those of Content-Length; empty, as is *after*, where the head has none."""
        self.head = head
        self.length = int(digits) if digits else None
        self._before = before
        self._digits = digits
        self._after = after
        self._at = len(before)
        self._stop = self._at + len(digits)
        self._end = self._stop + len(after)

    @classmethod
    def of(cls, raw: bytes, head: H, length: int | None) -> KnownHead[H] | None:
        """*head*, read from *raw* with a Content-Length of *length*; None where that is written in an odd way."""
        if length is None:
            return cls(raw, b"", b"", head)
        digits = _LENGTH.search(raw)
        return None if digits is None else cls(raw[: digits.start(1)], digits[1], raw[digits.end(1) :], head)

    def end_in(self, data: bytes) -> int:
        """Where this head ends in *data*, which begins with a message; 0 if that begins otherwise."""
        at, stop, end = self._at, self._stop, self._end
        # Comparing slices costs half of `startswith`.
        if data[:at] != self._before:
            return 0
        if data[stop:end] != self._after:  # more digits than last time, or fewer
            stop = data.find(b"\r", at, at + _MAX_DIGITS + 1)
            if stop < 0 or not data.startswith(self._after, stop):
                return 0
            end = stop + len(self._after)
        digits = data[at:stop]
        if digits != self._digits:
            if not digits.isdigit():
                return 0
            self.length = int(digits)
            self._digits, self._stop, self._end = digits, stop, end
        return end
