"""Request heads that were read on any connection of a listener, so that a new connection need not have them read again.

They are looked up by a keyed hash, so how long that takes tells nothing about another client's key, and forgotten once a
minute, their credentials with them. Only the digits of Content-Length may differ.
"""

from __future__ import annotations

from typing import Final

from shipway.gateway.http1.repeats import CONTENT_LENGTH
from shipway.gateway.http1.request_head import RequestHead, read_request_head

_MAX_HEADS: Final = 128
_MAX_HEAD_BYTES: Final = 4096
"""A longer head is read each time."""


class KnownHeads:
    """Reads heads, and remembers the latest."""

    __slots__ = ("_heads", "_max_header_bytes", "_max_kept_bytes", "_max_target_bytes", "_minute")

    def __init__(self, *, max_target_bytes: int, max_header_bytes: int) -> None:
        self._max_target_bytes = max_target_bytes
        self._max_header_bytes = max_header_bytes
        self._max_kept_bytes = _MAX_HEAD_BYTES
        self._heads: dict[bytes, RequestHead] = {}
        self._minute = 0

    def read(self, raw: bytes) -> tuple[RequestHead, int | None]:
        """The head that *raw* is, with the empty line that ends it, and its Content-Length.

        Raises:
            BadMessage: See `read_request_head`.
        """
        digits = CONTENT_LENGTH.search(raw) if len(raw) <= _MAX_HEAD_BYTES else None
        key = raw
        if digits is not None:
            start, stop = digits.span(1)
            # As many zeros: a head with more digits may be above a limit that this one keeps.
            key = b"".join((raw[:start], b"0" * (stop - start), raw[stop:]))
        head = self._heads.get(key)
        if head is not None:
            length = head.content_length
            return head, length if digits is None or length is None else int(digits[1])
        head = read_request_head(raw, max_target_bytes=self._max_target_bytes, max_header_bytes=self._max_header_bytes)
        if head.repeatable and len(raw) <= self._max_kept_bytes:
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            self._heads[key] = head
        return head, head.content_length

    def tick(self, second: int) -> None:
        """Forget all, once a minute. Called each *second* of the loop's clock."""
        if second // 60 != self._minute:
            self._minute = second // 60
            self._heads.clear()

    def retire(self) -> None:
        """Remember no more heads: who still reads with these limits is not told of further seconds."""
        self._max_kept_bytes = 0
        self._heads.clear()
