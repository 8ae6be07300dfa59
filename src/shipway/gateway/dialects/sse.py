"""Server-sent events, cut out of bytes as they come.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, of which `event` and `data` are read.
"""

from __future__ import annotations

from shipway.gateway.dialects.openai_stream import MAX_EVENT_BYTES

BOM = b"\xef\xbb\xbf"
"""Some servers begin a stream with it, and readers skip it."""

Message = tuple[str, bytes]
"""The event's name ("" where it has none) and its data."""


class EventSplitter:
    """Gives whole events only; the rest waits for its end, so that no character is ever cut."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._held = b""
        self._ended_in_cr = False
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
        if self._ended_in_cr:
            data = data.removeprefix(b"\n")  # the other half of a line's end
            self._ended_in_cr = False
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
        if b"\r" in data:
            self._ended_in_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            end = 0
        if len(data) - end > self._max_event_bytes:
            raise ValueError("an event that does not end")
        self._held = data[end:]
        if not end:
            return []
        events = data[:end].split(b"\n\n")
        return [message for event in events if event and (message := _message(event)) is not None]

    def rest(self) -> list[Message]:
        """The event that the stream ended with, where what should end it was left out.

        Raises:
            ValueError: it is none.
        """
        held, self._held = self._held, b""
        message = _message(held.strip(b"\n")) if held.strip() else None
        return [] if message is None else [message]


def _message(event: bytes) -> Message | None:
    """Raises: ValueError."""
    name, data, unknown = "", [], False
    for line in event.removeprefix(BOM).split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip().decode("ascii", "replace")
        elif field and field not in _IGNORED:
            unknown = True
    if unknown and not data:  # a field of its own may stand beside the data
        raise ValueError("not an event stream")
    return (name, b"\n".join(data)) if data else None


_IGNORED = frozenset((b"id", b"retry"))


def framed(payload: bytes, name: bytes = b"") -> bytes:
    """An event with this data, of any number of lines."""
    if b"\n" in payload:
        payload = payload.replace(b"\n", b"\ndata: ")
    return b"event: %b\ndata: %b\n\n" % (name, payload) if name else b"data: %b\n\n" % payload
