"""What `shipway up` says: events of its own and the lines of its children, as values on their way to the output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Severity = Literal["info", "good", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that `shipway up` did or noticed.

    Attributes:
        kind: A stable name for programs: waiting, ready, restarting, reloading, unhealthy, stopping, …
        message: The same for people.
        fields: Facts for programs that the message holds as words.
    """

    kind: str
    message: str
    severity: Severity = "info"
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a child wrote."""

    source: str
    stream: str
    text: str


class Reporter(Protocol):
    """Takes events to show, at once, and lines, with back-pressure."""

    def event(self, event: Event) -> None: ...

    async def line(self, source: str, stream: str, text: str) -> None: ...
