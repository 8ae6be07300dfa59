"""Events that repeat: while a model talks, one event of its stream differs from the one before in a few words of text.

Reading such an event again would find nothing new, so it is recognised by its bytes and passed on in the chunk that it came
in. What is recognised is exact: one whole chunk with the same bytes in it as the last, but for the inside of one JSON
string of which nothing follows, put in place of another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from shipway.gateway.http1.chunked import SIZE_LINES
from shipway.gateway.http1.shortcut import Shortcut

if TYPE_CHECKING:
    from mypy_extensions import i64  # see http1/chunked.py

MAX_CHUNK_BYTES: Final = 4096
"""A longer one is read each time; they are rare."""

_SIZE_LINE_OF: Final = [b""] * MAX_CHUNK_BYTES
"""How a chunk begins whose length, with its framing, is the index; empty where none is that long."""
for _carried, _line in enumerate(SIZE_LINES):
    if _carried and len(_line) + _carried + 2 < MAX_CHUNK_BYTES:
        _SIZE_LINE_OF[len(_line) + _carried + 2] = _line

_LETTERS: Final = rb'[^"\\\x00-\x1f\x80-\xff]*+'
_TEXT: Final = re.compile(
    # ASCII, then again and again what is none or is escaped, and more ASCII. Halves of surrogate pairs are left to readers.
    _LETTERS + rb'(?:(?:\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9A-Fa-f]{4})'
    rb"|[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]"
    rb"|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2})" + _LETTERS + rb")*+"
)
"""The inside of a JSON string in well-formed UTF-8 (RFC 3629 section 4)."""
_PLAIN: Final = bytes(0x20 <= code < 0x80 and code not in b'"\\' for code in range(256))
"""For each byte, whether it stands for itself in a JSON string."""
_SHORT_BYTES: Final = 16
"""A text up to this length is looked at byte by byte, which compiled takes a tenth of the expression's time."""
# A quotation mark inside of a string has a backslash before it, so where these end a string begins that is the value of
# such a key, or of one with a longer name that ends so.
_CONTENT: Final = b'"content":"'
_TEXT_FOLLOWS: Final = re.compile(rb'"(?:content|reasoning|reasoning_content|text)": ?"')
MAX_UNLIKE: Final = 32
"""After so many events that were unlike the one before, none is remembered: each event of this stream has something new."""


class RepeatedEvent(Shortcut):
    """An event that was read, to be recognised when it comes again with another text."""

    __slots__ = ("_after", "_before")

    def __init__(self, before: bytes, after: bytes) -> None:
        Shortcut.__init__(self)
        self._before = before
        self._after = after

    @classmethod
    def of(cls, event: bytes) -> Self | None:
        """*event*, of which whoever reads it has no use for the text; None where no text is found in it."""
        begin = event.find(_CONTENT) + len(_CONTENT)
        if begin >= len(_CONTENT):
            end: i64 = begin
            size: i64 = len(event)
            while end < size and _PLAIN[event[end]]:
                end += 1
            if end > begin and event[end : end + 1] == b'"':  # as nearly always
                return cls(event[:begin], event[end:] + b"\r\n")
        text: re.Match[bytes] | None = None
        for found in _TEXT_FOLLOWS.finditer(event):
            inside = _TEXT.match(event, found.end())
            if inside is None or event[inside.end() : inside.end() + 1] != b'"':
                continue
            if inside.group():
                text = inside
                break
            text = text or inside  # likely to stay empty, beside a thought
        return None if text is None else cls(event[: text.start()], event[text.end() :] + b"\r\n")

    def carried_by(self, chunk: bytes) -> int:
        before, after = self._before, self._after
        size = len(chunk)
        line = _SIZE_LINE_OF[size] if size < MAX_CHUNK_BYTES else b""
        at = len(line)
        text_at = at + len(before)
        if (
            at
            and chunk.startswith(line)
            and chunk[at:text_at] == before
            and chunk.endswith(after)
            and _is_text(chunk, text_at, size - len(after))
        ):
            return size - at - 2
        return 0


def _is_text(chunk: bytes, begin: int, end: int) -> bool:
    """Whether the bytes from *begin* to *end* are the inside of a JSON string."""
    if not 0 <= end - begin <= _SHORT_BYTES:
        return _TEXT.fullmatch(chunk, begin, end) is not None
    at: i64 = begin
    stop: i64 = end
    while at < stop:
        byte: i64 = chunk[at]
        if not _PLAIN[byte]:
            return _TEXT.fullmatch(chunk, begin, end) is not None
        at += 1
    return True
