"""Server-sent events of a model: the same stream however it is cut, and `[DONE]` only where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fuzz.transport import cut
from shipway.gateway.dialects.openai_stream import DONE, StreamReader
from shipway.gateway.model_api import Usage


@dataclass(frozen=True)
class Reading:
    """What became of one stream that ended in order."""

    passed_on: bytes
    usage: Usage | None
    done: bool
    failed: str
    whole: bool
    """Whether it may end as a success."""


def read(pieces: Iterable[bytes]) -> Reading:
    reader = StreamReader()
    passed_on = b"".join([reader.pass_on(piece) for piece in pieces])
    rest = reader.finish()
    passed_on = _plain(passed_on + (rest or b""))
    return Reading(passed_on, reader.usage, reader.done, reader.failed, rest is not None)


def _plain(data: bytes) -> bytes:
    """*data* with one kind of line end and no line more than it needs, which is how what comes before a fault is passed on."""
    return re.sub(rb"\n{3,}", b"\n\n", re.sub(rb"\r\n?", b"\n", data))


def _essence(reading: Reading) -> Reading:
    return replace(reading, passed_on=reading.passed_on.strip(b"\n"))


def check(data: bytes, places: Iterable[int]) -> None:
    """Raises: AssertionError, or whatever escapes from the reader."""
    readings = [
        read(cut(data, ())),
        read(cut(data, places)),
        read(bytes((byte,)) for byte in data),
    ]
    for reading in readings:
        assert _plain(data).startswith(reading.passed_on.removesuffix(DONE).rstrip(b"\n")), reading
        assert not (reading.whole and reading.failed), reading
        assert not reading.done or reading.whole, reading
    # Behind its first token a stream is not read event by event: what is no JSON may then pass, for its client to see.
    sane = [reading for reading in readings if reading.failed != "garbage"]
    assert all(_essence(reading) == _essence(sane[0]) for reading in sane), sane
