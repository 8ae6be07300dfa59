"""A limit's state as header fields: the IETF draft's, OpenAI's, and `Retry-After`.

All times are rounded up: a client that waits as told is not refused again.

Sources: draft-ietf-httpapi-ratelimit-headers-10; OpenAI's guide on rate limits, "Rate limits in headers" (its durations
are those of Go's `time.Duration`); RFC 9110, section 10.2.3.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from shipway.security.rate_limiting.decision import Decision
from shipway.security.rate_limiting.gcra import Quota

_EARLY_S: Final = 1e-6
"""What a duration may be above a whole unit before it rounds up: the rest is how floats add."""


class LimitFields:
    """Writes what one limit says in each answer: `RateLimit-Policy`, `RateLimit` and OpenAI's three lines for requests."""

    __slots__ = ("_form",)

    def __init__(self, name: str, quota: Quota) -> None:
        """*name*: the limit's name: letters, digits, hyphens."""
        window_s = max(1, ceil(quota.window_s - _EARLY_S))
        # What does not change is written once.
        self._form = (
            b'RateLimit-Policy: "%b";q=%d;w=%d\r\nRateLimit: "%b";r=%%d;t=%%d\r\nx-ratelimit-limit-requests: %d\r\n'
            b"x-ratelimit-remaining-requests: %%d\r\nx-ratelimit-reset-requests: %%b\r\n"
        ) % (name.encode("ascii"), int(quota.burst), window_s, name.encode("ascii"), int(quota.burst))

    def lines(self, decision: Decision) -> bytes:
        """What is left after *decision*, and when all of it is there again."""
        left, reset_s = decision.remaining, decision.reset_s
        return self._form % (left, ceil(reset_s - _EARLY_S), left, duration(reset_s))


def retry_after_s(decision: Decision) -> int:
    """The value of `Retry-After`: whole seconds, at least one, so that nobody retries at once."""
    return max(1, ceil(decision.retry_after_s - _EARLY_S))


def duration(seconds: float) -> bytes:
    """As OpenAI writes durations: `12ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`; milliseconds below a minute, then seconds."""
    if seconds < 60.0:
        milliseconds = ceil((seconds - _EARLY_S) * 1000.0)
        if milliseconds < 1000:
            return b"%dms" % (milliseconds if milliseconds > 0 else 0)
        if milliseconds < 60_000:
            return b"%gs" % (milliseconds / 1000.0)
    whole_s = ceil(seconds - _EARLY_S)
    minutes, rest_s = divmod(whole_s, 60)
    if minutes < 60:
        return b"%dm%ds" % (minutes, rest_s)
    return b"%dh%dm%ds" % (minutes // 60, minutes % 60, rest_s)
