"""The limiter: exact in every span of time, honest about when to come back, bounded in memory."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.security.rate_limiting.decision import Decision
from shipway.security.rate_limiting.gcra import EXAMINED, GcraTable, Quota, take

QUOTA = Quota(rate_per_s=1.0, burst=3.0)

RATES = st.sampled_from([1 / 86400, 1 / 60, 0.5, 1.0, 1.7, 100.0, 100_000 / 60, 1e6])
BURSTS = st.sampled_from([1.0, 2.0, 3.5, 10.0, 60.0, 100_000.0])
STARTS = st.sampled_from([0.0, 12.3, 1e7])  # the last: four months of uptime
STEPS = st.lists(st.tuples(st.floats(0, 3), st.sampled_from([0.25, 1.0, 1.0, 1.0, 2.0])), max_size=60)


def test_a_burst_passes_then_the_rate() -> None:
    table = GcraTable(QUOTA)
    assert [table.take("key", 100.0) for _ in range(4)] == [
        Decision(True, 3, 2, 1.0, 0.0),
        Decision(True, 3, 1, 2.0, 0.0),
        Decision(True, 3, 0, 3.0, 0.0),
        Decision(False, 3, 0, 3.0, 1.0),
    ]
    assert [table.take("key", now_s).allowed for now_s in (100.9, 101.0, 101.5, 102.0)] == [False, True, False, True]


def test_keys_do_not_share() -> None:
    table = GcraTable(QUOTA)
    for _ in range(4):
        table.take("one", 100.0)
    assert table.take("other", 100.0) == Decision(True, 3, 2, 1.0, 0.0)


def test_what_is_refused_costs_nothing() -> None:
    tat_s, decision = take(QUOTA, 103.0, 100.0)
    assert (tat_s, decision.allowed) == (103.0, False)


@pytest.mark.parametrize("cost", [0.0, -1.0, 3.1, inf, float("nan")])
def test_a_cost_that_could_never_be_admitted_is_refused_as_a_mistake(cost: float) -> None:
    table = GcraTable(QUOTA)
    with pytest.raises(ValueError, match="at most the burst of 3"):
        table.take("key", 100.0, cost)
    assert len(table) == 0


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.5), (inf, 1.0), (1.0, inf)])
def test_a_quota_that_makes_no_sense_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError):
        Quota(rate, burst)


@given(RATES, BURSTS, STARTS, STEPS)
def test_no_span_admits_more_than_burst_and_rate(
    rate: float, burst: float, start_s: float, steps: list[tuple[float, float]]
) -> None:
    quota, tat_s, now_s = Quota(rate, burst), -inf, start_s
    admitted: list[tuple[float, float]] = []
    for intervals, cost in steps:
        now_s += intervals / rate
        if cost <= burst:
            tat_s, decision = take(quota, tat_s, now_s, cost)
            if decision.allowed:
                admitted.append((now_s, cost))
    # What is above the bound is how floats round: less than the millionth part of a second.
    for first, (from_s, _) in enumerate(admitted):
        total = 0.0
        for at_s, cost in admitted[first:]:
            total += cost
            assert total <= burst + rate * (at_s - from_s + 1e-6)


@given(BURSTS, st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([0.25, 1.0, 2.0])), max_size=80))
def test_it_decides_as_an_exact_token_bucket_does(burst: float, steps: list[tuple[int, float]]) -> None:
    """Neither stricter nor laxer; the steps are in 1024ths, so that floats add them exactly."""
    quota, tat_s, now_s = Quota(1.0, burst), -inf, 0.0
    tokens, filled = Fraction(burst), Fraction(0)
    for milli, cost in steps:
        now_s += milli / 1024
        tokens = min(Fraction(burst), tokens + Fraction(now_s) - filled)
        filled = Fraction(now_s)
        if cost > burst:
            continue
        tat_s, decision = take(quota, tat_s, now_s, cost)
        fits = tokens >= Fraction(cost)
        tokens -= Fraction(cost) if fits else 0
        assert decision.allowed == fits
        assert decision.remaining == int(tokens)
        assert decision.reset_s == pytest.approx(float(Fraction(burst) - tokens))
        assert decision.retry_after_s == pytest.approx(0.0 if fits else float(Fraction(cost) - tokens))


@given(RATES, BURSTS, STARTS, STEPS)
def test_who_waits_as_told_is_admitted_and_not_sooner(
    rate: float, burst: float, start_s: float, steps: list[tuple[float, float]]
) -> None:
    quota, tat_s, now_s = Quota(rate, burst), -inf, start_s
    for intervals, cost in steps:
        now_s += intervals / rate
        if cost > burst:
            continue
        tat_s, decision = take(quota, tat_s, now_s, cost)
        if not decision.allowed:
            assert take(quota, tat_s, now_s + decision.retry_after_s, cost)[1].allowed
            assert not take(quota, tat_s, now_s + decision.retry_after_s - 1e-6, cost)[1].allowed
        for _ in range(min(decision.remaining, 5)):
            tat_s, one = take(quota, tat_s, now_s)
            assert one.allowed


def test_a_full_table_forgets_keys_that_are_full_again_before_active_ones() -> None:
    table = GcraTable(QUOTA, max_keys=3)
    for _ in range(3):
        table.take("busy", 100.0)
    table.take("done", 100.5)
    table.take("new", 101.0)
    table.take("newest", 101.6)
    assert (len(table), table.evicted_active) == (3, 0)
    assert not table.take("busy", 100.9).allowed


def test_with_active_keys_only_the_least_recently_used_goes_and_is_counted() -> None:
    table = GcraTable(QUOTA, max_keys=2)
    for key in ("one", "two", "one", "three"):
        table.take(key, 100.0)
    assert (len(table), table.evicted_active) == (2, 1)
    assert table.take("one", 100.0).remaining == 0
    assert table.take("two", 100.0).remaining == 2


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.floats(0, 4), st.sampled_from("abcdefghij")), max_size=80),
)
def test_the_table_stays_bounded_and_exact_as_long_as_no_active_key_went(
    max_keys: int, steps: list[tuple[float, str]]
) -> None:
    table, now_s, tats = GcraTable(QUOTA, max_keys), 100.0, dict[str, float]()
    for elapsed_s, key in steps:
        now_s += elapsed_s
        tats[key], expected = take(QUOTA, tats.get(key, -inf), now_s)
        active = sum(tat_s > now_s for tat_s in tats.values())
        decision = table.take(key, now_s)
        assert len(table) <= max_keys
        if table.evicted_active:
            assert active > 1
            return
        assert decision == expected


def test_of_many_keys_only_the_oldest_are_looked_at() -> None:
    table = GcraTable(QUOTA, max_keys=EXAMINED + 10)
    for number in range(EXAMINED):
        for _ in range(3):
            table.take(f"busy {number}", 100.0)
    for number in range(10):
        table.take(f"done {number}", 100.0)
    table.take("new", 101.5)
    assert (len(table), table.evicted_active) == (EXAMINED + 10, 1)


def test_trimming_forgets_what_is_full_again_and_nothing_else() -> None:
    table = GcraTable(QUOTA)
    for _ in range(3):
        table.take("busy", 100.0)
    for number in range(10):
        table.take(f"done {number}", 100.0)
    assert table.trim(101.5, at_most=5) == 4
    assert table.trim(101.5) == 6
    assert (len(table), table.take("busy", 101.5).remaining) == (1, 0)
