"""How a limit's state reads in header fields; every time is one that it suffices to wait."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.security.rate_limiting.decision import Decision
from shipway.security.rate_limiting.fields import LimitFields, duration, retry_after_s
from shipway.security.rate_limiting.gcra import Quota

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:(\d+)ms)?")


def seconds_of(text: bytes) -> float:
    match = _DURATION.fullmatch(text.decode())
    assert match
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, b"0ms"),
        (0.012, b"12ms"),
        (0.0001, b"1ms"),
        (0.9995, b"1s"),
        (1.0, b"1s"),
        (8.64, b"8.64s"),
        (59.9999, b"1m0s"),
        (60.0, b"1m0s"),
        (360.0, b"6m0s"),
        (75.2, b"1m16s"),
        (3599.5, b"1h0m0s"),
        (86_400.0, b"24h0m0s"),
    ],
)
def test_durations_are_written_as_openai_does(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e8))
def test_a_duration_is_never_too_short_and_not_much_too_long(seconds: float) -> None:
    written = seconds_of(duration(seconds))
    assert seconds - 2e-6 <= written <= seconds + (0.001001 if seconds < 59.9 else 1.001)


@pytest.mark.parametrize(
    ("quota", "line"),
    [
        (Quota(1.0, 60.0), b'RateLimit-Policy: "default";q=60;w=60\r\n'),
        (Quota(100 / 60, 100.0), b'RateLimit-Policy: "default";q=100;w=60\r\n'),
        (Quota(5.0, 5.0), b'RateLimit-Policy: "default";q=5;w=1\r\n'),
        (Quota(100.0, 10.0), b'RateLimit-Policy: "default";q=10;w=1\r\n'),
        (Quota(0.3, 1.0), b'RateLimit-Policy: "default";q=1;w=4\r\n'),
    ],
)
def test_the_policy_says_the_burst_and_the_time_that_brings_it_back(quota: Quota, line: bytes) -> None:
    lines = LimitFields("default", quota).lines(Decision(True, 1, 0, 0.0, 0.0))
    assert lines.startswith(line)


def test_the_state_is_said_in_both_manners() -> None:
    assert LimitFields("default", Quota(1.0, 60.0)).lines(Decision(True, 60, 59, 1.0, 0.0)) == (
        b'RateLimit-Policy: "default";q=60;w=60\r\n'
        b'RateLimit: "default";r=59;t=1\r\n'
        b"x-ratelimit-limit-requests: 60\r\n"
        b"x-ratelimit-remaining-requests: 59\r\n"
        b"x-ratelimit-reset-requests: 1s\r\n"
    )


@pytest.mark.parametrize(("wait_s", "value"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.00000001, 1), (1.1, 2), (59.5, 60)])
def test_retry_after_is_whole_seconds_rounded_up(wait_s: float, value: int) -> None:
    assert retry_after_s(Decision(False, 1, 0, 0.0, wait_s)) == value
