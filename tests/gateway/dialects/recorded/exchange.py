"""What a provider answered, and what was said with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, ToolCall
from shipway.gateway.dialects.events import Answer, StopReason


@dataclass(frozen=True)
class Said:
    """An answer's meaning. *thoughts* are (text, signature, sealed); *usage* is prompt, read from a cache, written to one,
    completion, thoughts."""

    text: str = ""
    calls: tuple[tuple[str, str, Any], ...] = ()
    stop: StopReason = "end"
    thoughts: tuple[tuple[str, str | None, str | None], ...] = ()
    sources: tuple[str, ...] = ()
    images: int = 0
    usage: tuple[int | None, ...] = (10, None, None, 5, None)


@dataclass(frozen=True)
class Exchange:
    """One answer as its provider writes it; *said* is None where it is a failure, *error* the kind of one said in a stream."""

    provider: str
    name: str
    body: bytes
    streamed: bool
    said: Said | None
    error: str = ""

    @property
    def id(self) -> str:
        return f"{self.provider}, {'streamed' if self.streamed else 'whole'}: {self.name}"


def said_by(answer: Answer) -> Said:
    parts, usage = answer.parts, answer.usage
    return Said(
        answer.text(),
        tuple((part.id, part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)),
        answer.stop,
        tuple((part.text, part.signature, part.sealed) for part in parts if isinstance(part, Reasoning)),
        tuple(part.url or part.title or "" for part in parts if isinstance(part, Citation)),
        sum(isinstance(part, Image) for part in parts),
        (usage.prompt_tokens, usage.cached_read, usage.cached_write, usage.completion_tokens, usage.reasoning),
    )


def document(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def events(*values: Any, named: bool = False, end: str = "\n") -> bytes:
    """Server-sent events with these data."""
    said = [
        (f"event: {value['type']}{end}" if named else "") + f"data: {json.dumps(value, ensure_ascii=False)}{end}{end}"
        for value in values
    ]
    return "".join(said).encode()
