"""How long to wait before a restart."""

from hypothesis import given
from hypothesis import strategies as st

from shipway.local.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, factor=2, longest_s=15)

    assert [backoff.delay_s(failures) for failures in range(8)] == [0, 0.5, 1, 2, 4, 8, 15, 15]


def test_a_healthy_period_forgets_earlier_failures() -> None:
    backoff = Backoff(healthy_s=30)

    assert backoff.failures_after(5, ready_for_s=29.9) == 6
    assert backoff.failures_after(5, ready_for_s=30) == 1


@given(st.integers(min_value=0, max_value=10**9))
def test_a_delay_is_bounded_however_often_a_child_fails(failures: int) -> None:
    backoff = Backoff()

    assert 0 <= backoff.delay_s(failures) <= backoff.longest_s
    assert backoff.delay_s(failures) <= backoff.delay_s(failures + 1)
