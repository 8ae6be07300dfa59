"""AWS event-stream framing (`application/vnd.amazon.eventstream`): bytes as they come to messages, each with its checksums.

A message is its length, its headers' length and their CRC, then headers, payload and the CRC of all before. Says nothing
of what messages mean: that is the dialect's.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import uuid
from binascii import crc32
from typing import NamedTuple

CONTENT_TYPE = b"application/vnd.amazon.eventstream"

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Of a message with its framing, as large as an event of any other stream may be. The format allows 24 MiB."""

_PRELUDE = struct.Struct(">III")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_NUMBERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_NUMBERS[8] = _NUMBERS[5]  # a time, in milliseconds since 1970
_MIN_MESSAGE_BYTES = _PRELUDE.size + _U32.size

HeaderValue = bool | int | bytes | str | uuid.UUID


class BadFrame(ValueError):
    """What came is not this framing, is damaged, or is larger than it may be. Nothing after it can be read."""


class Message(NamedTuple):
    headers: dict[str, HeaderValue]
    payload: bytes

    def text(self, name: str) -> str:
        """A header's text; "" where there is none. `:message-type` is `event`, `exception` or `error`; the kind is in
        `:event-type` or `:exception-type`."""
        value = self.headers.get(name, "")
        return value if isinstance(value, str) else ""


class EventStreamDecoder:
    """Cuts a stream into messages, however it was cut into pieces."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._buffer = bytearray()
        self._max_message_bytes = max_message_bytes

    @property
    def whole(self) -> bool:
        """Whether the stream may end here: not in the middle of a message."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Message]:
        """The messages that *data* completes.

        Raises:
            BadFrame: also where messages before the bad one were good; they are lost with it.
        """
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        start = 0
        while len(buffer) - start >= _PRELUDE.size:
            total, headers_size, prelude_crc = _PRELUDE.unpack_from(buffer, start)
            if crc32(buffer[start : start + 8]) != prelude_crc:
                raise BadFrame("a prelude with a wrong checksum")
            if total > self._max_message_bytes:
                raise BadFrame(f"a message of {total} bytes")
            if total < _MIN_MESSAGE_BYTES + headers_size:
                raise BadFrame("headers longer than their message")
            if len(buffer) - start < total:
                break
            messages.append(_message(bytes(buffer[start : start + total]), headers_size))
            start += total
        del buffer[:start]
        return messages


def _message(frame: bytes, headers_size: int) -> Message:
    if crc32(frame[: -_U32.size]) != _U32.unpack_from(frame, len(frame) - _U32.size)[0]:
        raise BadFrame("a message with a wrong checksum")
    headers_end = _PRELUDE.size + headers_size
    return Message(_headers(frame[_PRELUDE.size : headers_end]), frame[headers_end : -_U32.size])


def _headers(block: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name = block[at + 1 : name_end].decode()
            headers[name], at = _value(block, block[name_end], name_end + 1)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BadFrame("malformed headers") from error
    if at != len(block):
        raise BadFrame("a header longer than the headers")
    return headers


def _value(block: bytes, kind: int, at: int) -> tuple[HeaderValue, int]:
    """The value of type *kind* at *at*, and where it ends."""
    if kind == 7:
        end = at + 2 + _U16.unpack_from(block, at)[0]
        return block[at + 2 : end].decode(), end
    if kind == 6:
        end = at + 2 + _U16.unpack_from(block, at)[0]
        return block[at + 2 : end], end
    if kind in (0, 1):
        return kind == 0, at
    if kind == 9:
        return uuid.UUID(bytes=_exactly(block, at, 16)), at + 16
    number = _NUMBERS.get(kind)
    if number is None:
        raise BadFrame(f"a header of unknown type {kind}")
    return number.unpack_from(block, at)[0], at + number.size


def _exactly(block: bytes, at: int, size: int) -> bytes:
    found = block[at : at + size]
    if len(found) != size:
        raise BadFrame("a header longer than the headers")
    return found
