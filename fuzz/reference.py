"""RFC 9112 read by its grammar, slowly and without any state: what the gateway's readers may at most accept.

Where this finds no message, the gateway must find none; where it finds one, the gateway finds the same one or refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rb"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?"
_REQUEST_LINE = re.compile(rb"(%b) ([!-~]+) HTTP/1\.([01])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")  # nobody passes the phrase on
_FIELD = re.compile(rb"(%b):[ \t]*(%b)[ \t]*" % (_TOKEN, _VALUE))
_SPACED_FIELD = re.compile(rb"(%b)[ \t]*:[ \t]*(%b)[ \t]*" % (_TOKEN, _VALUE))
"""As a proxy must read it in a response, and in nothing else (section 5.1)."""
_CHUNK_LINE = re.compile(rb"(0*[0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_LENGTH = re.compile(rb"[0-9]+")


class NoMessage(Exception):
    """What is here is not, or not yet, a message."""


@dataclass(frozen=True)
class Message:
    """A request or response; *end* is where the next message begins."""

    start: re.Match[bytes]
    body: bytes
    end: int
    closes: bool = False


def requests(data: bytes) -> Iterator[Message]:
    """The requests that *data* begins with."""
    at = 0
    while at < len(data):
        while data.startswith(b"\r\n", at):
            at += 2
        try:
            start, fields, body_at = _head(data, at, _REQUEST_LINE)
            coded, length = _framing(fields)
            body, at = _chunked(data, body_at) if coded else _exactly(data, body_at, length or 0)
        except NoMessage:
            return
        yield Message(start, body, at)


def response(method: bytes, data: bytes) -> Message:
    """The final response to *method* that *data* holds. Raises: NoMessage."""
    at = 0
    while True:
        start, fields, at = _head(data, at, _STATUS_LINE)
        status = int(start[2])
        if status >= 200 or status == 101:
            break
    coded, length = _framing(fields)
    if status in {204, 304} or method == b"HEAD":
        return Message(start, b"", at)
    if coded:
        return Message(start, *_chunked(data, at))
    if length is not None:
        return Message(start, *_exactly(data, at, length))
    return Message(start, data[at:], len(data), closes=True)


def _head(data: bytes, at: int, line: re.Pattern[bytes]) -> tuple[re.Match[bytes], list[tuple[bytes, bytes]], int]:
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        raise NoMessage("no end of the head")
    first, *lines = data[at:end].split(b"\r\n")
    start = line.fullmatch(first)
    if start is None:
        raise NoMessage(f"first line {first!r}")
    return start, _fields(lines, _SPACED_FIELD if line is _STATUS_LINE else _FIELD), end + 4


def _fields(lines: list[bytes], field: re.Pattern[bytes] = _FIELD) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        found = field.fullmatch(line)
        if found is None:
            raise NoMessage(f"field {line!r}")
        fields.append((found[1].lower(), found[2]))
    return fields


def _framing(fields: list[tuple[bytes, bytes]]) -> tuple[bool, int | None]:
    """Whether the body is in chunks, and else its length."""
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    if codings:
        if codings != [b"chunked"] or lengths:
            raise NoMessage("framing")
        return True, None
    if not lengths:
        return False, None
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise NoMessage("length")
    return False, int(lengths[0])


def _exactly(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if len(data) < at + length:
        raise NoMessage("the body is cut")
    return data[at : at + length], at + length


def _chunked(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, at = _line(data, at)
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise NoMessage(f"chunk {line!r}")
        size = int(found[1], 16)
        if size == 0:
            break
        piece, at = _exactly(data, at, size)
        nothing, at = _line(data, at)
        if nothing:
            raise NoMessage("a chunk longer than it said")
        body += piece
    trailers: list[bytes] = []
    while True:
        line, at = _line(data, at)
        if not line:
            _fields(trailers)
            return body, at
        trailers.append(line)


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise NoMessage("no end of the line")
    return data[at:end], end + 2
