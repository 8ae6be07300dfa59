"""The breaker with a clock of our own: when it opens, for how long, and that it never shuts for ever."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.breaker import Breaker, BreakerPolicy, State

POLICY = BreakerPolicy()
EXACT = BreakerPolicy(jitter=0.0)


def failing(breaker: Breaker, now_s: float, times: int = POLICY.consecutive_failures) -> None:
    for _ in range(times):
        breaker.failed(now_s)


def opened(policy: BreakerPolicy = EXACT, now_s: float = 100.0) -> Breaker:
    breaker = Breaker(policy)
    failing(breaker, now_s, policy.consecutive_failures)
    return breaker


def test_it_opens_on_failures_in_a_row() -> None:
    breaker = Breaker(EXACT)
    failing(breaker, 100.0, 4)
    assert (breaker.state(100.0), breaker.allows(100.0)) == (State.CLOSED, True)
    breaker.failed(100.0)
    assert (breaker.state(100.0), breaker.allows(100.0), breaker.openings) == (State.OPEN, False, 1)


def test_a_success_breaks_the_row() -> None:
    breaker = Breaker(EXACT)
    for _ in range(9):  # below the minimum for a share
        breaker.failed(100.0)
        breaker.succeeded(100.0)
    failing(breaker, 100.0, 1)
    assert breaker.state(100.0) is State.CLOSED


def test_it_opens_on_a_share_of_failures_once_there_are_enough_requests() -> None:
    breaker = Breaker(EXACT)
    states = []
    for second in range(20):
        (breaker.failed if second % 2 else breaker.succeeded)(100.0 + second)
        states.append(breaker.state(100.0 + second))
    assert states == [State.CLOSED] * 19 + [State.OPEN]


def test_failures_older_than_the_window_are_forgotten() -> None:
    breaker = Breaker(EXACT)
    for second in range(19):
        (breaker.failed if second % 2 == 0 else breaker.succeeded)(100.0 + second)
    breaker.succeeded(160.0)
    for second in range(4):
        breaker.failed(161.0 + second)
    assert breaker.state(165.0) is State.CLOSED


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=120))
def test_the_share_is_that_of_a_sliding_window_counted_by_slots(steps: list[tuple[float, bool]]) -> None:
    policy = BreakerPolicy(consecutive_failures=1000, minimum_requests=5, window_s=10.0)
    breaker, now_s, seen = Breaker(policy), 50.0, list[tuple[int, bool]]()
    for elapsed_s, fails in steps:
        now_s += elapsed_s
        (breaker.failed if fails else breaker.succeeded)(now_s)
        seen.append((int(now_s), fails))
        recent = [failed for slot, failed in seen if slot > int(now_s) - 10]
        opens = fails and len(recent) >= 5 and sum(recent) >= 0.5 * len(recent)
        assert (breaker.state(now_s) is State.OPEN) == opens
        if opens:
            return


def test_the_open_time_doubles_up_to_its_cap_while_probes_fail() -> None:
    breaker, now_s, waits = opened(), 100.0, []
    for _ in range(9):
        wait_s = breaker.retry_in_s(now_s)
        waits.append(wait_s)
        assert not breaker.allows(now_s + wait_s * 0.999)
        now_s += wait_s
        assert breaker.allows(now_s)
        breaker.failed(now_s)
    assert waits == [1, 2, 4, 8, 15, 15, 15, 15, 15]


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_jitter_shortens_the_open_time_by_at_most_its_part(openings: int, draw: float) -> None:
    whole_s = EXACT.open_s(openings, draw)
    assert 0.5 * whole_s <= POLICY.open_s(openings, draw) <= whole_s <= POLICY.longest_open_s


def test_flapping_is_not_forgiven_by_good_probes_and_a_healthy_time_is() -> None:
    breaker = opened()
    for _ in range(2):
        assert breaker.allows(101.0)
        breaker.succeeded(101.0)
    assert breaker.state(101.0) is State.CLOSED
    failing(breaker, 102.0)
    assert breaker.retry_in_s(102.0) == 2.0
    for _ in range(2):
        assert breaker.allows(104.0)
        breaker.succeeded(104.0)
    failing(breaker, 164.0)
    assert breaker.retry_in_s(164.0) == 1.0


def test_half_open_lets_a_bounded_number_of_probes_pass() -> None:
    breaker = opened()
    assert breaker.state(101.0) is State.HALF_OPEN
    assert [breaker.allows(101.0) for _ in range(4)] == [True, True, False, False]
    breaker.succeeded(101.5)
    assert breaker.state(101.5) is State.HALF_OPEN
    assert [breaker.allows(101.5) for _ in range(2)] == [True, False]
    breaker.succeeded(101.6)
    assert breaker.state(101.6) is State.CLOSED


def test_asking_whether_it_would_allow_takes_no_probe() -> None:
    breaker = opened()
    assert all(breaker.would_allow(101.0) for _ in range(10))
    assert [breaker.allows(101.0) for _ in range(3)] == [True, True, False]
    assert not breaker.would_allow(101.0)


def test_a_probe_that_never_reports_loses_its_lease() -> None:
    breaker = opened()
    assert [breaker.allows(101.0), breaker.allows(103.0), breaker.allows(104.0)] == [True, True, False]
    assert [breaker.allows(160.9), breaker.allows(161.0), breaker.allows(161.0)] == [False, True, False]


def test_an_abandoned_probe_makes_room_for_another_and_proves_nothing() -> None:
    breaker = opened()
    for _ in range(10):
        assert breaker.allows(101.0)
        breaker.probe_abandoned()
    assert breaker.state(101.0) is State.HALF_OPEN


def test_attempts_from_before_the_opening_neither_close_nor_reopen_it() -> None:
    breaker = opened()
    assert [breaker.allows(101.0) for _ in range(2)] == [True, True]
    for _ in range(5):
        breaker.succeeded(102.0, begun_s=99.0)
        breaker.failed(102.0, begun_s=99.0)
        breaker.probe_abandoned(begun_s=99.0)
    assert (breaker.state(102.0), breaker.allows(102.0)) == (State.HALF_OPEN, False)
    breaker.succeeded(102.0, begun_s=101.0)
    breaker.succeeded(102.0, begun_s=101.0)
    assert breaker.state(102.0) is State.CLOSED


def test_failures_while_open_do_not_prolong_it() -> None:
    breaker = opened()
    failing(breaker, 100.5)
    assert (breaker.retry_in_s(100.5), breaker.openings) == (0.5, 1)


def test_it_waits_as_told_and_then_probes() -> None:
    breaker = Breaker()
    breaker.told_to_wait(100.0, 20.0)
    assert (breaker.allows(119.9), breaker.retry_in_s(110.0)) == (False, 10.0)
    assert (breaker.state(120.0), breaker.allows(120.0)) == (State.HALF_OPEN, True)


def test_being_told_to_wait_prolongs_an_open_time_and_never_shortens_it() -> None:
    breaker = Breaker()
    for seconds in (20.0, 5.0, 30.0, 1.0):
        breaker.told_to_wait(100.0, seconds)
    assert (breaker.retry_in_s(100.0), breaker.openings) == (30.0, 1)


def test_being_told_to_wait_does_not_count_towards_longer_open_times() -> None:
    breaker = Breaker(EXACT)
    breaker.told_to_wait(100.0, 20.0)
    assert breaker.allows(120.0)
    breaker.failed(120.0)
    assert breaker.retry_in_s(120.0) == 1.0


@pytest.mark.parametrize(
    ("seconds", "wait_s"), [(0.0, 0.0), (-5.0, 0.0), (math.nan, 0.0), (math.inf, 60.0), (1e9, 60.0)]
)
def test_senseless_waits_are_bounded(seconds: float, wait_s: float) -> None:
    breaker = Breaker()
    breaker.told_to_wait(100.0, seconds)
    assert breaker.retry_in_s(100.0) == wait_s


def test_a_wait_of_nothing_ends_a_probe() -> None:
    breaker = opened()
    for _ in range(5):
        assert breaker.allows(101.0)
        breaker.told_to_wait(101.0, 0.0)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: BreakerPolicy(consecutive_failures=0),
        lambda: BreakerPolicy(probes=0),
        lambda: BreakerPolicy(window_s=0.0),
        lambda: BreakerPolicy(window_s=math.nan),
        lambda: BreakerPolicy(longest_open_s=0.5),
        lambda: BreakerPolicy(failure_share=0.0),
        lambda: BreakerPolicy(jitter=1.0),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(broken: Callable[[], BreakerPolicy]) -> None:
    with pytest.raises(ValueError):
        broken()


REPORTS = frozenset({"succeeded", "failed", "wait", "abandoned"})
EVENTS = st.lists(
    st.tuples(
        st.floats(0, 90),
        st.sampled_from(["ask", "succeeded", "failed", "stale success", "stale failure", "wait", "abandoned"]),
        st.floats(0, 1000),
    ),
    max_size=80,
)


@given(EVENTS, st.floats(0, 1, exclude_max=True))
def test_whatever_happens_it_keeps_its_promises(events: list[tuple[float, str, float]], draw: float) -> None:
    """Closed lets pass; open lets nothing pass until its time; half-open at most `probes` leases; never shut for ever."""
    breaker, now_s = Breaker(BreakerPolicy(consecutive_failures=2), lambda: draw), 1000.0
    leases: list[float] = []
    for elapsed_s, event, seconds in events:
        now_s += elapsed_s
        state = breaker.state(now_s)
        if event == "ask":
            leases = [lease for lease in leases if lease > now_s]
            allowed = breaker.allows(now_s)
            if state is State.HALF_OPEN:
                assert allowed == (len(leases) < POLICY.probes)
                if allowed:
                    leases.append(now_s + POLICY.probe_lease_s)
            else:
                assert allowed == (state is State.CLOSED)
        elif event in {"succeeded", "failed"}:
            getattr(breaker, event)(now_s)
        elif event == "wait":
            breaker.told_to_wait(now_s, seconds)
        elif event == "abandoned":
            breaker.probe_abandoned()
        else:
            before = (state, breaker.retry_in_s(now_s))
            report = breaker.succeeded if event == "stale success" else breaker.failed
            if state is not State.CLOSED:
                report(now_s, begun_s=0.0)
                assert (breaker.state(now_s), breaker.retry_in_s(now_s)) == before
        if event in REPORTS:
            leases = leases[1:] if breaker.state(now_s) is State.HALF_OPEN else []
        assert breaker.retry_in_s(now_s) <= POLICY.longest_wait_s + 1e-6
    later_s = now_s + 1e-6 + max(POLICY.longest_wait_s, POLICY.longest_open_s, POLICY.probe_lease_s)
    assert breaker.allows(later_s)
