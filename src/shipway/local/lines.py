"""A child's output as lines that are safe to print: bounded, decoded, and without control of our terminal."""

import re

LINE_BYTES = 16 * 1024
"""Longest line that is shown whole; of a longer one the rest is counted and dropped."""

_COLOUR = r"\x1b\[[0-9;:]*m"
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")


class LineSplitter:
    """Cuts a stream of bytes into lines and never holds more than one bounded line."""

    def __init__(self, limit_bytes: int = LINE_BYTES) -> None:
        self._limit = limit_bytes
        self._partial = bytearray()
        self._dropped = 0

    @property
    def has_partial(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._partial)

    def feed(self, chunk: bytes) -> list[str]:
        """Take *chunk*; returns the lines that it completes, without their ends."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for piece in ended:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return lines

    def flush(self) -> list[str]:
        """The line that has begun, if any: at the end of the stream, or when its end is long in coming (a prompt)."""
        return [self._take()] if self._partial else []

    def _add(self, piece: bytes) -> None:
        room = max(0, self._limit - len(self._partial))
        self._partial += piece[:room]
        self._dropped += len(piece) - len(piece[:room])

    def _take(self) -> str:
        text = self._partial.decode("utf-8", "replace").removesuffix("\r")
        if self._dropped:
            text += f" … ({self._dropped:,} more bytes)"
        self._partial = bytearray()
        self._dropped = 0
        return text


def printable(line: str, *, colour: bool) -> str:
    """*line* without anything that moves the cursor, rings or renames the window; its colours stay if *colour*.

    Of a progress bar, which overwrites itself by carriage returns, the last state stays.
    """
    shown = line.rstrip("\r").rsplit("\r", 1)[-1]
    if "\x1b" in shown:
        shown = _SEQUENCE.sub(lambda found: found[0] if colour and re.fullmatch(_COLOUR, found[0]) else "", shown)
    return _CONTROL.sub("", shown)
