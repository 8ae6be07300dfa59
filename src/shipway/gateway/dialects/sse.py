"""Server-sent events, cut out of bytes as they come.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, of which `event` and `data` are read.
"""

from __future__ import annotations

from shipway.gateway.dialects.openai_stream import MAX_EVENT_BYTES

Message = tuple[str, bytes]
"""The event's name ("" where it has none) and its data."""


class EventSplitter:
    """Gives whole events only; the rest waits for its end, so that no character is ever cut."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._held = b""
        self._max_event_bytes = max_event_bytes

    @property
    def whole(self) -> bool:
        """Whether the stream may end here: not in the middle of an event."""
        return not self._held.strip()

    def feed(self, data: bytes) -> list[Message]:
        """The events that *data* completes; those without data are left out.

        Raises:
            ValueError: an event is too large to be one, or what came is no event stream.
        """
        if self._held:
            data = self._held + data
        elif data.endswith(b"\n\n") and b"\r" not in data:  # one event, as nearly always
            lines = data.count(b"\n")
            if lines == 2 and data.startswith(b"data: "):
                return [("", data[6:-2])]
            if lines == 3 and data.startswith(b"event: "):
                name, _, rest = data[7:-2].partition(b"\n")
                if rest.startswith(b"data: "):
                    return [(name.decode("ascii", "replace"), rest[6:])]
        plain, crlf = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
        end = max(plain + 2 if plain >= 0 else 0, crlf + 4 if crlf >= 0 else 0)
        if len(data) - end > self._max_event_bytes:
            raise ValueError("an event that does not end")
        self._held = data[end:]
        if not end:
            return []
        whole = data[:end]
        if b"\r" in whole:
            whole = whole.replace(b"\r\n", b"\n")
        return [message for event in whole.split(b"\n\n") if event and (message := _message(event)) is not None]


def _message(event: bytes) -> Message | None:
    """Raises: ValueError."""
    name, data = "", []
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip().decode("ascii", "replace")
        elif field and field not in _IGNORED:
            raise ValueError("not an event stream")
    return (name, b"\n".join(data)) if data else None


_IGNORED = frozenset((b"id", b"retry"))


def framed(payload: bytes, name: bytes = b"") -> bytes:
    """An event with this data, of any number of lines."""
    if b"\n" in payload:
        payload = payload.replace(b"\n", b"\ndata: ")
    return b"event: %b\ndata: %b\n\n" % (name, payload) if name else b"data: %b\n\n" % payload
