"""What it means that an upstream refuses: by a status that is no success, or by an error said in a stream before its first
token.

Either the request is at fault, which its client is told, or the upstream is, and another one may be asked. How long it wants to
be left alone is read from wherever its provider says so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from shipway.gateway import refusals
from shipway.gateway.breaker import DEFAULT_POLICY
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.http1.upstream_connection import UpstreamFault
from shipway.gateway.refusals import Refusal, Refused
from shipway.gateway.retry_budget import asked_wait_s

if TYPE_CHECKING:
    from shipway.gateway.attempt import Attempt

MAX_ERROR_BYTES = 64 * 1024
WAIT_TOLD_WITHIN_S = 1.0
"""How long the body of an error may take that is awaited for nothing but how long to wait."""

_BUSY = frozenset((429, 503, 529))
_OUR_FAULT = frozenset((401, 402, 403, 407))
"""An upstream that does not accept the gateway's own credentials: nothing that a client could mend."""
_BUSY_KINDS = {"rate_limit_error": 429, "overloaded_error": 503}
"""Errors said in a stream, by the status that would have said the same."""


class Busy(Exception):
    """The upstream said: not now, or not here.

    Attributes:
        wait_s: How long it wants to be left alone, if it says so.
        refusal: What the client is told if no other upstream answers.
        outcome: Of the attempt, as `metrics.OUTCOME` has it.
    """

    def __init__(self, status: int, wait_s: float | None, refusal: Refusal, outcome: str = "error_status") -> None:
        super().__init__(status)
        self.status = status
        self.wait_s = wait_s
        self.refusal = refusal
        self.outcome = outcome

    @classmethod
    def saying(cls, status: int, wait_s: float | None, outcome: str = "error_status") -> Busy:
        """One that limits its callers or is overloaded."""
        if wait_s is not None:
            wait_s = min(wait_s, DEFAULT_POLICY.longest_wait_s)
        return cls(status, wait_s, refusals.upstream_busy(status, wait_s), outcome)


class Reading(Protocol):
    """How a provider's refusals are read.

    Attributes:
        read_wait: Reads from the body of one how many seconds to wait; None where that is never said there.
    """

    read_wait: Callable[[bytes], float | None] | None

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal: ...


async def refuse_status(attempt: Attempt, response: ResponseHead, reading: Reading) -> None:
    """Decide what a status that is no success means. Always raises: Busy, Refused.

    The body is awaited only where it is needed: an upstream that is ill may take its time for it.
    """
    status = response.status
    if status in _BUSY:
        wait_s = asked_wait_s(response.retry_after, response.retry_after_ms, time.time())
        if wait_s is None:
            wait_s = reset_wait_s(response.lines)
        if wait_s is None and reading.read_wait is not None:
            wait_s = reading.read_wait(await _error_body(attempt, WAIT_TOLD_WITHIN_S))
        raise Busy.saying(status, wait_s)
    if status >= 500 or status in _OUR_FAULT or status == HTTPStatus.REQUEST_TIMEOUT or status < 400:
        raise Busy(status, None, refusals.upstream_failed("error"))
    refusal = reading.refusal(response, await _error_body(attempt))
    if refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Busy.saying(refusal.status.value, None)
    if refusal.status >= 500 or refusal.status in _OUR_FAULT:  # what it says is worse than its status
        raise Busy(status, None, refusals.upstream_failed("error"))
    raise Refused(refusal)


def busy_in_band(kind: str, wait_s: float | None) -> Busy | None:
    """What an error of this *kind* (`Refusal.kind`) in a stream means before the first token; None for an ordinary fault."""
    status = _BUSY_KINDS.get(kind)
    return None if status is None else Busy.saying(status, wait_s, "error")


async def _error_body(attempt: Attempt, within_s: float | None = None) -> bytes:
    try:
        pieces = await attempt.read(MAX_ERROR_BYTES, within_s)
    except UpstreamFault:  # the status said enough
        pieces = None
    return b"".join(pieces or ())


_REMAINING = re.compile(rb"^x-ratelimit-remaining-([a-z]{1,20}): *0+\r$", re.IGNORECASE | re.MULTILINE)
_RESET = re.compile(rb"^x-ratelimit-reset-([a-z]{1,20}): *([0-9.hms]{1,40})\r$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(
    rb"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)(?:s|\Z))?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)


def reset_wait_s(lines: bytes) -> float | None:
    """When the limits that are used up will not be any more, in seconds, from OpenAI's `x-ratelimit-*` header *lines*.

    Of several the longest: none of them may be used up. A limit of which something is left says nothing, since nobody knows how
    much the request would have needed.
    """
    used_up = {name.lower() for name in _REMAINING.findall(lines)}
    if not used_up:
        return None
    waits = [_duration_s(value) for name, value in _RESET.findall(lines) if name.lower() in used_up]
    return max((wait_s for wait_s in waits if wait_s is not None), default=None)


def _duration_s(text: bytes) -> float | None:
    """Seconds of a duration such as `6m0s`, `1.5s`, `12ms`, or a bare number of seconds."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
