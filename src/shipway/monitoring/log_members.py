"""The parts of a log line that msgspec encodes. They are apart from `logging` because a compiled module can hold no structs."""

from __future__ import annotations

import msgspec


class GuardNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one guard's checks of one call came to; the worst outcome of them."""

    guard: str
    when: str
    outcome: str
    checks: int
    duration_s: float = msgspec.field(name="duration")
    reason: str = ""


class Names(msgspec.Struct, omit_defaults=True, gc=False):
    """What a record says in words of closed sets. Names follow OpenTelemetry's semantic conventions where it has one."""

    principal: str | None = None
    service: str | None = None
    model: str | None = msgspec.field(name="gen_ai.request.model", default=None)
    upstream: str | None = None
    error: str | None = msgspec.field(name="error.type", default=None)
    release: str | None = None
    attempts: int = 0
