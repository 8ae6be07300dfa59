"""How many retries there may be: a share of the requests, so that retries cannot multiply the load on what is failing.

Sources: Finagle's `RetryBudget` (a share of requests and a minimum per second); Google, "Site Reliability
Engineering", chapter 22 (per-client retry budgets); `Retry-After` is RFC 9110, section 10.2.3.
"""

from __future__ import annotations

import math
import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

LONGEST_RETRY_AFTER_S: Final = 86_400.0
"""What a longer `Retry-After` counts as; whoever waits bounds it further."""


class RetryBudget:
    """A token bucket that first attempts fill and retries empty.

    In any span of t seconds with n first attempts there are at most `most` + `share`·n + `per_s`·t retries, and from the
    start at most `reserve` in place of `most`. Time alone fills it no further than `reserve`, so a long silence does not
    save up a storm.

    Ask it for another try at the same endpoint or group of equals, where a request was sent. Going on to the next upstream in
    order is bounded by the number of upstreams and their breakers; taking it from here too would turn clients away that could
    be served.
    """

    __slots__ = ("_balance", "_filled_s", "_most", "_per_s", "_reserve", "_share", "refused")

    def __init__(self, *, share: float = 0.2, per_s: float = 1.0, reserve: float = 10.0, most: float = 100.0) -> None:
        """*share*: retries that each first attempt allows; *per_s*: retries a second that a quiet service may have.

        Ten in reserve outlast what it takes a breaker to open; a hundred is what 500 requests have earned.
        """
        if not (0 <= share <= 1 and 0 <= per_s < math.inf and 0 <= reserve <= most < math.inf):
            raise ValueError("share is in [0, 1], the others at least 0, reserve at most most")
        self._share = share
        self._per_s = per_s
        self._reserve = reserve
        self._most = most
        self._balance = reserve
        self._filled_s = math.inf
        self.refused = 0
        """Retries that were not granted since it was made, for metrics."""

    def deposit(self) -> None:
        """A first attempt is made."""
        balance = self._balance + self._share
        if balance <= self._most:
            self._balance = balance

    def withdraw(self, now_s: float) -> bool:
        """Whether one retry may be made now (monotonic seconds); a yes is one retry less."""
        elapsed_s = now_s - self._filled_s
        self._filled_s = now_s
        if elapsed_s > 0 and self._balance < self._reserve:
            self._balance = min(self._reserve, self._balance + elapsed_s * self._per_s)
        if self._balance < 1.0 - _ROUNDING:
            self.refused += 1
            return False
        self._balance = max(0.0, self._balance - 1.0)
        return True


_ROUNDING: Final = 1e-9
"""Five deposits of 0.2 add up to a little less than 1."""

_DELTA: Final = re.compile(rb"([0-9]+)(\.[0-9]*)?")
_MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_TIME: Final = rb"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
_DATES: Final = (
    re.compile(rb"[A-Z][a-z]{2}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) " + _TIME + rb" GMT"),
    re.compile(rb"[A-Z][a-z]{5,8}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{2})-(?P<year>\d\d) " + _TIME + rb" GMT"),
    re.compile(rb"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) " + _TIME + rb" (?P<year>\d{4})"),
)
"""IMF-fixdate and the two obsolete forms that a recipient must accept (RFC 9110, section 5.6.7)."""


def parse_retry_after(value: bytes, now_wall_s: float) -> float | None:
    """Seconds to wait according to a `Retry-After` field, 0.0 for a time that is past; None when it makes no sense.

    Args:
        now_wall_s: Seconds since 1970, as the field may hold a date.

    Returns:
        At most `LONGEST_RETRY_AFTER_S`. Fractions of a second, which the standard lacks and some servers send, are kept.
    """
    value = value.strip(b" \t")
    if delta := _DELTA.fullmatch(value):
        # Digits without end are a long time, not a reason to convert megabytes.
        return min(float(value), LONGEST_RETRY_AFTER_S) if len(delta[1]) < 10 else LONGEST_RETRY_AFTER_S
    for form in _DATES:
        if match := form.fullmatch(value):
            at_s = _wall_s(match, now_wall_s)
            return None if at_s is None else min(max(0.0, at_s - now_wall_s), LONGEST_RETRY_AFTER_S)
    return None


def asked_wait_s(retry_after: bytes | None, retry_after_ms: bytes | None, now_wall_s: float) -> float | None:
    """Seconds that an upstream asks to be left alone: by OpenAI's `retry-after-ms`, else by `Retry-After`; None if neither
    makes sense."""
    if retry_after_ms is not None and (delta := _DELTA.fullmatch(retry_after_ms.strip(b" \t"))):
        return min(float(delta[0]) / 1000.0, LONGEST_RETRY_AFTER_S) if len(delta[1]) < 12 else LONGEST_RETRY_AFTER_S
    return None if retry_after is None else parse_retry_after(retry_after, now_wall_s)


def _wall_s(date: re.Match[bytes], now_wall_s: float) -> int | None:
    day, year, hour, minute, second = (int(date[part]) for part in ("day", "year", "h", "m", "s"))
    if len(date["year"]) == 2:
        # More than 50 years ahead means the most recent past year with these digits.
        this_year = 1970 + int(now_wall_s / 31_556_952)
        year += this_year // 100 * 100
        year -= 100 if year > this_year + 50 else 0
    try:
        month = _MONTHS.index(date["month"]) + 1
        # A leap second is written as 60, which datetime does not know.
        datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=UTC)
    except ValueError:
        return None
    return timegm((year, month, day, hour, minute, second))
