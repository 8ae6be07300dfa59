"""The chunked transfer coding, read as strictly as its grammar (RFC 9112 section 7.1). Bounded by whoever feeds it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shipway.gateway.http1.fields import BARE_LINE_END, CR, LF, Fields, read_trailers

if TYPE_CHECKING:
    from mypy_extensions import i64  # an int of the processor, for the compiler alone: to it, others may be of any size

MAX_LINE_BYTES: Final = 16 * 1024
"""A chunk's size with its extensions."""
MAX_FRAMING_BYTES: Final = 64 * 1024
"""What a body may spend on framing, beside `_FRAMING_SHARE` times what it carries."""
_FRAMING_SHARE: Final = 16

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t !-~\x80-\xff])*"'
_SIZE_LINE: Final = re.compile(
    rb"(0*+[1-9A-Fa-f][0-9A-Fa-f]{0,14}|0++)(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*\r\n"
    % (_TOKEN, _TOKEN, _QUOTED)
)
_NOT_IN_SIZE_LINE: Final = re.compile(rb"[^\t -~\x80-\xff]|\A[^0-9A-Fa-f]")

_USUAL_DIGITS: Final = 5
"""What the size of a chunk below a megabyte has at most."""

_CRLF_NEXT: Final = -1
_TRAILERS_NEXT: Final = -2

SIZE_LINES: Final = tuple([b"%x\r\n" % size for size in range(4096)])
"""The lines before chunks by their sizes; larger ones are written each time."""
_SIZES: Final = {line: size for size, line in enumerate(SIZE_LINES)}


def size_line(size: int) -> bytes:
    """The line before a chunk of *size* bytes."""
    return SIZE_LINES[size] if size < len(SIZE_LINES) else b"%x\r\n" % size


def _line_end(data: bytes, start: int) -> int:
    """Where the first CRLF from *start* on is; -1 without one."""
    # The line of a size is short: to look at its bytes costs a tenth of a call of `find`.
    at: i64 = start
    last: i64 = len(data) - 1
    if last > at + _USUAL_DIGITS:
        last = at + _USUAL_DIGITS
    while at < last:
        if data[at] == CR and data[at + 1] == LF:
            return at
        at += 1
    return data.find(b"\r\n", at)


class BadChunks(ValueError):
    """What came is not a chunked body; where it would end is unknown."""


class TrailersTooLarge(BadChunks):
    """The trailers are larger than whoever reads the body takes."""


class ChunkedBody:
    """One body being decoded.

    Attributes:
        trailers: Once it has ended.
    """

    __slots__ = ("_carried_bytes", "_framing_bytes", "_held", "_left", "_max_trailer_bytes", "_of_response", "trailers")

    def __init__(self, max_trailer_bytes: int, *, of_response: bool = False) -> None:
        self.trailers: Fields = []
        self._max_trailer_bytes = max_trailer_bytes
        self._of_response = of_response
        self._held = b""
        """The beginning of a line that is not whole yet."""
        self._left = 0
        """What is missing of the chunk under way; 0 before a size, or what is next."""
        self._carried_bytes = 0
        self._framing_bytes = 0

    @property
    def between_chunks(self) -> bool:
        """Whether what was fed ended with a whole chunk, so that the next one begins with its size."""
        return not (self._left or self._held)

    def only_chunk(self, data: bytes) -> bytes | None:
        """What *data* carries if it is one whole chunk without extensions and nothing else; then it is taken in."""
        if not self.between_chunks:
            return None
        start = _line_end(data, 0) + 2
        size = len(data) - start - 2
        # In the way that nearly all write it; another way is for `feed` to judge.
        if size <= 0 or data[:start] != size_line(size) or not data.endswith(b"\r\n"):
            return None
        self._carried_bytes += size
        self._framing_bytes += start + 2
        return data[start:-2]

    def feed(self, data: bytes, pieces: list[bytes]) -> bytes | None:
        """Append what *data* carries to *pieces*.

        Returns:
            What follows the body once it has ended; None while it goes on.

        Raises:
            BadChunks: from here on nothing can be read.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        at = 0
        size = len(data)
        while at < size:
            left = self._left
            if left == 0:
                line_end = _line_end(data, at)
                if line_end < 0:
                    self._hold(data[at:], MAX_LINE_BYTES, _NOT_IN_SIZE_LINE)
                    return None
                begin = line_end + 2
                left = self._chunk_size(data[at:begin])
                end = begin + left
                if left and data[end : end + 2] == b"\r\n":  # all of it is here, as nearly always
                    pieces.append(data[begin:end])
                    self._carried_bytes += left
                    self._count_framing(begin - at + 2)
                    at = end + 2
                else:
                    self._count_framing(begin - at)
                    at = begin
                    self._left = left or _TRAILERS_NEXT
            elif left > 0:
                piece = data[at : at + left]
                pieces.append(piece)
                self._carried_bytes += len(piece)
                at += len(piece)
                self._left = left - len(piece) or _CRLF_NEXT
            elif left == _CRLF_NEXT:
                if not data.startswith(b"\r\n", at):
                    if data[at:] != b"\r":
                        raise BadChunks("a chunk is longer than its size")
                    self._held = b"\r"
                    return None
                at += 2
                self._count_framing(2)
                self._left = 0
            elif data.startswith(b"\r\n", at):
                return data[at + 2 :]
            else:
                return self._read_trailers(data[at:])
        return None

    @staticmethod
    def _chunk_size(line: bytes) -> int:
        """The size that *line*, with its end, says. Raises: BadChunks."""
        known = _SIZES.get(line)
        if known is not None:
            return known
        match = _SIZE_LINE.fullmatch(line)
        if match is None or len(line) > MAX_LINE_BYTES + 2:
            raise BadChunks("not the size of a chunk")
        return int(match[1], 16)

    def _read_trailers(self, data: bytes) -> bytes | None:
        end = data.find(b"\r\n\r\n") + 4
        whole = end >= 4
        if (end if whole else len(data)) > self._max_trailer_bytes:
            raise TrailersTooLarge("the trailers are too large")
        if not whole:
            self._hold(data, self._max_trailer_bytes, BARE_LINE_END)
            return None
        try:
            self.trailers = read_trailers(data[:end], of_response=self._of_response)
        except ValueError as error:
            raise BadChunks(str(error)) from error
        return data[end:]

    def _hold(self, line: bytes, most_bytes: int, never: re.Pattern[bytes]) -> None:
        """Wait for the rest of *line*, unless there is something in it that no rest can mend."""
        if len(line) > most_bytes or never.search(line, 0, len(line) - 1 if line.endswith(b"\r") else len(line)):
            raise BadChunks("malformed framing")
        self._held = line

    def _count_framing(self, more: int) -> None:
        self._framing_bytes += more
        if self._framing_bytes > MAX_FRAMING_BYTES + _FRAMING_SHARE * self._carried_bytes:
            raise BadChunks("chunk extensions without end")
