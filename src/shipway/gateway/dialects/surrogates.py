"""Characters that an upstream cut in two: some count in UTF-16 and end an event between the halves of one.

JSON can say half a character (`"\\ud83d"`), text cannot. The first half waits for the event that begins with the second.
"""

from __future__ import annotations

import re

_FIRST = re.compile(rb'(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2})"')
_SECOND = re.compile(rb'"(\\u[dD][c-fC-F][0-9a-fA-F]{2})')
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
)
_HALF_BYTES = len(rb"\ud83d")


def without_halves(document: bytes) -> bytes:
    """*document* with a replacement character for each half that stands alone; itself where there is none."""
    if b"\\ud" not in document and b"\\uD" not in document:
        return document
    return _ESCAPE.sub(lambda found: rb"\ufffd" if len(found[0]) == _HALF_BYTES else found[0], document)


class PairJoiner:
    """Follows the documents of one stream."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = b""

    def joined(self, document: bytes) -> bytes:
        """*document* with whole characters only."""
        if self._half:
            half, self._half = self._half, b""
            document = _SECOND.sub(lambda second: b'"' + half + second[1], document, count=1)
        first = _FIRST.search(document)
        if first is None:
            return without_halves(document)
        self._half = first[2]
        return without_halves(document[: first.start(2)] + document[first.end(2) :])
