"""Compressed answers, for upstreams that compress although they were asked not to. Bounded: what inflates too far is a fault."""

from __future__ import annotations

import zlib

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PLAIN = frozenset((b"", b"identity"))
_INFLATED_HERE = frozenset((b"gzip", b"x-gzip", b"deflate"))


class BadCoding(ValueError):
    """A coding that is not known here, or content that is not in it."""


class Inflater:
    """One answer being read as it was before it was compressed."""

    def __init__(self, coding: bytes, max_bytes: int) -> None:
        """*coding*: the value of Content-Encoding in lower case. *max_bytes*: what one piece may become. Raises: BadCoding."""
        if coding not in _INFLATED_HERE:
            raise BadCoding("a content coding that nobody asked for")
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> bytes:
        """What *data* adds. Raises: BadCoding."""
        try:
            inflated = self._inflate.decompress(data, self._max_bytes)
        except zlib.error as error:
            raise BadCoding("not in the coding that was named") from error
        if self._inflate.unconsumed_tail:
            raise BadCoding("inflates too far")
        return inflated

    @property
    def whole(self) -> bool:
        """Whether the end of what was compressed has come."""
        return self._inflate.eof


def inflater_for(coding: bytes, max_bytes: int) -> Inflater | None:
    """What is needed to read content in *coding*; None where it is plain. Raises: BadCoding."""
    return None if coding in _PLAIN else Inflater(coding, max_bytes)
