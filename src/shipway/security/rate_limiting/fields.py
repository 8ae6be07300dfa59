"""A limit's state as header fields: the IETF draft's, OpenAI's, and `Retry-After`.

All times are rounded up: a client that waits as told is not refused again.

Sources: draft-ietf-httpapi-ratelimit-headers-10; OpenAI's guide on rate limits, "Rate limits in headers" (its durations
are those of Go's `time.Duration`); RFC 9110, section 10.2.3.
"""

from __future__ import annotations

from math import ceil

from shipway.security.rate_limiting.gcra import Decision, Quota

_EARLY_S = 1e-6
"""What a duration may be above a whole unit before it rounds up: the rest is how floats add."""


def policy_field(name: str, quota: Quota) -> bytes:
    """The line `RateLimit-Policy`, which does not change: make it once.

    Args:
        name: The limit's name: letters, digits, hyphens.
    """
    window_s = max(1, ceil(quota.window_s - _EARLY_S))
    return b'RateLimit-Policy: "%b";q=%d;w=%d\r\n' % (name.encode("ascii"), int(quota.burst), window_s)


def state_field(name: bytes, decision: Decision) -> bytes:
    """The line `RateLimit`: what is left and when all of it is there again."""
    return b'RateLimit: "%b";r=%d;t=%d\r\n' % (name, decision.remaining, ceil(decision.reset_s - _EARLY_S))


def openai_fields(decision: Decision) -> bytes:
    """OpenAI's three lines for requests."""
    return (
        b"x-ratelimit-limit-requests: %d\r\nx-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: %b\r\n"
        % (decision.limit, decision.remaining, duration(decision.reset_s))
    )


def retry_after_s(decision: Decision) -> int:
    """The value of `Retry-After`: whole seconds, at least one, so that nobody retries at once."""
    return max(1, ceil(decision.retry_after_s - _EARLY_S))


def duration(seconds: float) -> bytes:
    """As OpenAI writes durations: `12ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`; milliseconds below a minute, then seconds."""
    if seconds < 60.0:
        milliseconds = ceil((seconds - _EARLY_S) * 1000.0)
        if milliseconds < 1000:
            return b"%dms" % max(0, milliseconds)
        if milliseconds < 60_000:
            return b"%gs" % (milliseconds / 1000.0)
    whole_s = ceil(seconds - _EARLY_S)
    minutes, rest_s = divmod(whole_s, 60)
    if minutes < 60:
        return b"%dm%ds" % (minutes, rest_s)
    return b"%dh%dm%ds" % (minutes // 60, minutes % 60, rest_s)
