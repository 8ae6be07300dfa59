"""The retry budget: never more than its share, and always a little for the quiet."""

from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.retry_budget import LONGEST_RETRY_AFTER_S, RetryBudget, asked_wait_s, parse_retry_after

NOW_S = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC).timestamp()


def test_when_all_fail_retries_are_a_fifth_of_the_requests() -> None:
    budget = RetryBudget(per_s=0.0)
    retries = 0
    for _ in range(1000):
        budget.deposit()
        retries += budget.withdraw(100.0)
    assert (retries, budget.refused) == (210, 790)


def test_a_quiet_service_may_retry() -> None:
    budget = RetryBudget(reserve=2.0)
    assert [budget.withdraw(100.0) for _ in range(3)] == [True, True, False]
    assert [budget.withdraw(101.0) for _ in range(2)] == [True, False]


def test_silence_does_not_save_up_more_than_the_reserve() -> None:
    budget = RetryBudget(reserve=3.0)
    budget.withdraw(0.0)
    assert sum(budget.withdraw(1e6) for _ in range(100)) == 3


def test_a_busy_service_saves_up_to_the_bound() -> None:
    budget = RetryBudget()
    for _ in range(100_000):
        budget.deposit()
    assert 99 <= sum(budget.withdraw(100.0) for _ in range(1000)) <= 100


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]),
    st.sampled_from([0.0, 0.5, 1.0, 10.0]),
    st.sampled_from([0.0, 1.0, 10.0]),
)
def test_retries_never_exceed_the_share_in_any_span(
    steps: list[tuple[float, bool]], share: float, per_s: float, reserve: float
) -> None:
    most = reserve + 5.0
    budget, now_s = RetryBudget(share=share, per_s=per_s, reserve=reserve, most=most), 100.0
    # What was spent beyond what was earned, after each step: from any point to any later one it rises by at most `most`.
    excess = [0.0]
    for elapsed_s, is_first in steps:
        now_s += elapsed_s
        if is_first:
            budget.deposit()
            excess.append(excess[-1] - per_s * elapsed_s - share)
        else:
            excess.append(excess[-1] - per_s * elapsed_s + budget.withdraw(now_s))
    assert max(excess) <= reserve + 1e-6
    lowest = accumulate(excess, min)
    assert all(here - low <= most + 1e-6 for here, low in zip(excess, lowest, strict=True))


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"share": -0.1}, {"per_s": -1.0}, {"reserve": 200.0}])
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        RetryBudget(**wrong)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"20", 20.0),
        (b" 7\t", 7.0),
        (b"1.5", 1.5),
        (b"86401", LONGEST_RETRY_AFTER_S),
        (b"9" * 5000, LONGEST_RETRY_AFTER_S),
        (b"Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        (b"Sunday, 22-Nov-26 12:01:00 GMT", 60.0),
        (b"Sun Nov 22 12:00:05 2026", 5.0),
        (b"Sun Nov  1 12:00:05 2026", 0.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        (b"Sun, 22 Nov 2026 12:00:60 GMT", 60.0),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: bytes, seconds: float) -> None:
    assert parse_retry_after(value, NOW_S) == seconds


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"soon",
        b"-1",
        b"+5",
        b"1e3",
        b"0x10",
        b"NaN",
        b"inf",
        b"\xb2",
        b"5 s",
        b"Sun, 31 Feb 2026 12:00:00 GMT",
        b"Sun, 22 Abc 2026 12:00:00 GMT",
        b"Sun, 22 Nov 2026 25:00:00 GMT",
        b"Sun, 22 Nov 2026 12:00:61 GMT",
        b"Sun, 22 Nov 2026 12:00:00 CET",
        b"Sun, 22 Nov 0000 12:00:00 GMT",
        b"2026-11-22T12:00:00Z",
    ],
)
def test_a_senseless_retry_after_is_none(value: bytes) -> None:
    assert parse_retry_after(value, NOW_S) is None


@given(st.integers(0, 86_400))
def test_a_date_is_as_far_away_as_it_says(seconds: int) -> None:
    at = datetime.fromtimestamp(NOW_S + seconds, UTC)
    assert parse_retry_after(format_datetime(at, usegmt=True).encode(), NOW_S) == seconds
    assert parse_retry_after(at.strftime("%A, %d-%b-%y %H:%M:%S GMT").encode(), NOW_S) == seconds


@given(st.binary(max_size=60) | st.text("0123456789 SunNov:,GMT-", max_size=40).map(str.encode), st.floats(0, 4e9))
def test_whatever_comes_is_none_or_a_bounded_time(value: bytes, now_wall_s: float) -> None:
    seconds = parse_retry_after(value, now_wall_s)
    assert seconds is None or 0.0 <= seconds <= LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("retry_after", "retry_after_ms", "wait_s"),
    [
        (None, None, None),
        (b"2", None, 2.0),
        (b"2", b"1500", 1.5),
        (None, b" 12.5\t", 0.0125),
        (b"2", b"soon", 2.0),
        (None, b"-5", None),
        (None, b"86400000", LONGEST_RETRY_AFTER_S),
        (None, b"86400001", LONGEST_RETRY_AFTER_S),
        (None, b"9" * 5000, LONGEST_RETRY_AFTER_S),
    ],
)
def test_milliseconds_outrank_seconds_where_they_make_sense(
    retry_after: bytes | None, retry_after_ms: bytes | None, wait_s: float | None
) -> None:
    assert asked_wait_s(retry_after, retry_after_ms, NOW_S) == wait_s
