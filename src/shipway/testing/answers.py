"""An answer as it goes on the wire, whole or event by event; `fake_server` sends it, with the faults of its reply."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shipway.testing.script import Usage


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream, framed; *usage* is what the client knows after it, None where it says nothing of that."""

    data: bytes
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """An answer in one piece."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Streamed:
    """An answer event by event. *error* is the event that `Reply.error_after` sends."""

    events: Sequence[Event]
    error: bytes
    content_type: str = "text/event-stream; charset=utf-8"
    usage: Usage | None = None
