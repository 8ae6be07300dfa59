"""What a guard is shown and what it may say, the same for a function and for an HTTP endpoint, whatever dialect a call is in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import msgspec

from shipway.gateway.refusals import Refusal

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["text", "reasoning", "tool", "tool_call", "tool_result", "attachment", "citation", "field"]
When = Literal["before", "after"]

MAX_MESSAGE_CHARS = 500
OTHER = "other"
"""The reason of a refusal whose guard gave none that it declares."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A text of a conversation or an answer.

    Attributes:
        kind: `text`; `reasoning`; a `tool` that may be called (its description and schema), a `tool_call` (its arguments), a
            `tool_result`; an `attachment`, of which only the address or the type is shown; a `citation`; or a `field` of the
            request that has no name in common between dialects, as JSON.
        name: The tool's name; the path of a field.
        checked: Of a stream, how many characters in front were allowed in an earlier check.
    """

    role: Role
    kind: Kind
    text: str
    name: str = ""
    checked: int = 0


class Check(msgspec.Struct, frozen=True, gc=False):
    """One question to a guard.

    Attributes:
        when: `before` the model is asked, or `after`, of its answer.
        streamed: Whether this is a part of a stream; others come, for which the guard is asked again.
        principal: Who calls, by the name that logs have for the key.
    """

    guard: str
    when: When
    model: str
    request_id: str
    principal: str
    streamed: bool
    texts: tuple[Piece, ...]


class Verdict(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a guard says. `reason` and `message` are for refusals: the message is told to the client."""

    verdict: Literal["allow", "refuse"]
    reason: str = ""
    message: str = ""


ALLOW = Verdict("allow")


def refuse(reason: str, message: str = "") -> Verdict:
    """*reason* is one of those that the app file declares for the guard; *message* is told to the client."""
    return Verdict("refuse", reason, message)


class GuardFault(Exception):
    """A guard gave no verdict.

    Attributes:
        kind: `raised`, `nonsense` or `unreachable`.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind


def read_verdict(said: object, reasons: Collection[str]) -> Verdict:
    """What a guard's function returned or its endpoint's document holds, as a verdict with a reason of *reasons* or `other`.

    Raises:
        GuardFault: it is none. In particular nothing at all is no permission.
    """
    if said is ALLOW:
        return ALLOW
    try:
        # One that a function made may hold anything.
        verdict = msgspec.convert(msgspec.structs.asdict(said) if isinstance(said, Verdict) else said, Verdict)
    except msgspec.ValidationError as error:
        raise GuardFault("nonsense", "no verdict") from error
    if verdict.verdict == "allow":
        return ALLOW
    reason, message = verdict.reason, verdict.message
    shown = "".join(letter if letter.isprintable() else " " for letter in message[:MAX_MESSAGE_CHARS])
    return Verdict("refuse", reason if reason in reasons else OTHER, shown)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended.

    Attributes:
        kind: `allowed`, `refused`, or why there is no verdict (`metrics.GUARD_OUTCOME`).
        passes: Whether the text may pass; where there is no verdict the app file decides that.
    """

    guard: str
    when: When
    kind: str
    passes: bool
    duration_s: float = 0.0
    reason: str = ""
    message: str = ""

    def refusal(self) -> Refusal:
        """What the client is told where it does not pass."""
        if self.kind == "refused":
            return guard_refused(self.when, self.reason, self.message)
        return GUARD_UNREADABLE if self.kind == "unreadable" else GUARD_UNAVAILABLE


def guard_refused(when: When, reason: str, message: str) -> Refusal:
    """A verdict. 400 is what providers answer where their own filters refuse, and no SDK sends a 400 again."""
    said = message or f"The {'request' if when == 'before' else 'answer'} is not allowed here."
    field = b"x-shipway-guard-reason: %b\r\n" % reason.encode()
    return Refusal(HTTPStatus.BAD_REQUEST, "guard_refused", f"{said} ({reason})", fields=field)


GUARD_UNAVAILABLE = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "guard_unavailable",
    "What must be checked here could not be checked. Try again.",
    kind="api_error",
    retry_after_s=1,
)
"""A guard gave no verdict: nobody's fault who asks, and another try may find it well."""

GUARD_UNREADABLE = Refusal(
    HTTPStatus.BAD_REQUEST,
    "guard_unreadable",
    "What this asks for or is answered with has a form that cannot be checked here.",
)
"""What guards must see cannot be read; asking again would change nothing."""
