"""AWS event-stream messages of ConverseStream, as names and payloads, and back."""

from __future__ import annotations

from binascii import crc32

from shipway.gateway.dialects.sse import Message
from shipway.gateway.providers.event_stream import EventStreamDecoder


class EventStreamFraming:
    """An exception's or error's name begins with `!`, which no event's does."""

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder()

    @property
    def whole(self) -> bool:
        return self._decoder.whole

    def rest(self) -> list[Message]:
        """Nothing: the length of each message is said."""
        return []

    def feed(self, data: bytes) -> list[Message]:
        """Raises: BadFrame, which is a ValueError."""
        return [
            (
                message.text(":event-type")
                or f"!{message.text(':exception-type') or message.text(':error-code') or 'error'}",
                message.payload,
            )
            for message in self._decoder.feed(data)
        ]


def framed(kind: bytes, payload: bytes, message_type: bytes = b"event") -> bytes:
    """One message: an event of this kind, or an exception where *message_type* says so."""
    headers = b"".join(
        [
            _header(b":%b-type" % message_type, kind),
            _header(b":content-type", b"application/json"),
            _header(b":message-type", message_type),
        ]
    )
    prelude = (16 + len(headers) + len(payload)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    message = b"".join((prelude, crc32(prelude).to_bytes(4, "big"), headers, payload))
    return message + crc32(message).to_bytes(4, "big")


def _header(name: bytes, value: bytes) -> bytes:
    return b"%c%b\x07%b%b" % (len(name), name, len(value).to_bytes(2, "big"), value)
