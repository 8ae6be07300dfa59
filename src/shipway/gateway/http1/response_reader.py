"""Responses as their bytes say them: heads, interim and final, and bodies without their transfer framing.

No sockets and no waiting: whoever owns the connection feeds what came and does what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shipway.gateway.http1.chunked import ChunkedBody
from shipway.gateway.http1.fields import BARE_LINE_END, Fields, without
from shipway.gateway.http1.repeats import KnownHead
from shipway.gateway.http1.response_head import BadResponse, ResponseHead, read_response_head

MAX_HEAD_BYTES: Final = 512 * 1024
"""What may arrive before a response's head is complete."""
_BEGINNING: Final = b"HTTP/1."

# What the next bytes are. Plain numbers: looking a member up in an Enum costs more than comparing it.
_HEAD: Final = 0
_LENGTH: Final = 1
_CHUNKS: Final = 2
_UNTIL_CLOSE: Final = 3
_NOTHING: Final = 4


class ResponseReader:
    """Reads the responses on one connection, one after the other.

    Attributes:
        answered: Whether a byte came that belongs to the response under way.
        chunks: How its body is chunked, where it is.
        content_length: Of its body, once the head is here; None where it says none.
        done: Whether the response is over, or none is expected.
        head: The final one, once it is here.
        pieces: What came of the body and was not taken yet.
    """

    __slots__ = (
        "_held",
        "_known",
        "_left_bytes",
        "_method",
        "_phase",
        "_usual",
        "answered",
        "chunks",
        "content_length",
        "done",
        "head",
        "pieces",
    )

    def __init__(self) -> None:
        self.answered = False
        self.chunks: ChunkedBody | None = None
        self.content_length: int | None = None
        self.done = True
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self._held = b""
        """The beginning of a head."""
        self._known: KnownHead[ResponseHead] | None = None
        self._left_bytes = 0
        self._method = b""
        self._phase = _NOTHING
        self._usual = False
        """Whether a response that is recognised and whole can be taken as it is."""

    def expect(self, method: bytes) -> None:
        """A response to a request with *method* comes next."""
        self._phase = _HEAD
        self._method = method
        self._usual = method != b"HEAD"
        self.answered = False
        self.head = None
        self.done = False

    def recognise(self, data: bytes) -> ResponseHead | None:
        """The head, if *data* is the last one again and the whole body with it; then all of it is taken."""
        known = self._known
        if known is None or not self._usual or self._phase != _HEAD:
            return None
        end = known.end_in(data)
        if not end or len(data) - end != known.length or known.head.bodiless:
            return None
        head = self.head = known.head
        self.content_length = known.length
        self.pieces.append(data[end:])
        self.done = True
        self._phase = _NOTHING
        return head

    def feed(self, data: bytes, on_inform: Callable[[ResponseHead], None] | None) -> bytes:
        """Take what came; gives what follows the response's end, which belongs to nothing.

        Args:
            on_inform: Told of interim responses.

        Raises:
            BadResponse, BadChunks: From here on nothing can be read.
        """
        if self._phase == _HEAD:
            data = self._behind_heads(data, on_inform)
        return self._read_body(data) if data else b""

    def end_of_input(self) -> bool:
        """Nothing more comes; gives whether the response ends in that way."""
        if self._phase != _UNTIL_CLOSE:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Expect nothing more of the response."""
        self.done = True
        self._phase = _NOTHING

    def take(self) -> bytes:
        """What came of the body and was not taken yet."""
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def held_bytes(self) -> int:
        """How much came of the body and was not taken yet."""
        return sum(map(len, self.pieces))

    def trailers(self) -> Fields:
        """Those of a response that is done, without the fields that were for this connection."""
        chunks, self.chunks = self.chunks, None
        if chunks is None or self.head is None or not chunks.trailers:
            return []
        return without(chunks.trailers, self.head.named)

    def forget(self) -> None:
        """Drop what is left of a response that nobody waits for any more."""
        self.pieces = []
        self.chunks = None

    def _behind_heads(self, data: bytes, on_inform: Callable[[ResponseHead], None] | None) -> bytes:
        """Read interim heads and the final one; gives what follows, nothing while they are not all here."""
        self.answered = True
        self._usual = False
        while data:
            known = self._known
            end = 0 if known is None or self._held else known.end_in(data)
            if known is not None and end:
                head, length = known.head, known.length
            else:
                data = self._held + data
                end = self._head_end(data)
                if not end:
                    self._held = data
                    return b""
                self._held = b""
                raw = data[:end]
                head = read_response_head(raw)
                length = head.content_length
                if not head.interim:
                    self._known = KnownHead.of(raw, head, length, MAX_HEAD_BYTES)
            data = data[end:]
            if not head.interim:
                self._begin_body(head, length)
                return data
            if on_inform is not None:
                on_inform(head)
        return b""

    @staticmethod
    def _head_end(data: bytes) -> int:
        """Where the head at the beginning of *data* ends; 0 while it is not all here. Raises: BadResponse."""
        end = data.find(b"\r\n\r\n") + 4
        whole = end >= 4
        if not data.startswith(_BEGINNING[: len(data)]) or (end if whole else len(data)) > MAX_HEAD_BYTES:
            raise BadResponse("not an HTTP/1 response")
        if whole:
            return end
        if BARE_LINE_END.search(data):
            raise BadResponse("the response is not HTTP")
        return 0

    def _begin_body(self, head: ResponseHead, length: int | None) -> None:
        self.head = head
        self.content_length = length
        if head.bodiless or self._method == b"HEAD" or (length == 0 and not head.chunked):
            self.end()
        elif head.chunked:
            self.chunks = ChunkedBody(MAX_HEAD_BYTES, of_response=True)
            self._phase = _CHUNKS
        elif length is not None:
            self._left_bytes = length
            self._phase = _LENGTH
        else:
            self._phase = _UNTIL_CLOSE

    def _read_body(self, data: bytes) -> bytes:
        """Take the next part of the body; gives what follows it."""
        phase = self._phase
        excess = b""
        if phase == _LENGTH:
            left = self._left_bytes - len(data)
            self._left_bytes = left
            if left < 0:
                data, excess = data[:left], data[left:]
            self.pieces.append(data)
            if left > 0:
                return b""
        elif phase == _CHUNKS and self.chunks is not None:
            rest = self.chunks.feed(data, self.pieces)
            if rest is None:
                return b""
            excess = rest
        elif phase == _UNTIL_CLOSE:
            self.pieces.append(data)
            return b""
        else:
            excess = data
        self.end()
        return excess
