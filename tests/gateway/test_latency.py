"""The latency estimate: up at once, down slowly, and never a blank cheque for an idle endpoint."""

from math import e

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.latency import DECAY_S, PeakEwma


def test_it_jumps_up_at_once_and_comes_down_slowly() -> None:
    latency = PeakEwma()
    latency.observe(100.0, 0.1)
    latency.observe(100.0, 2.0)
    assert latency.estimate_s(100.0) == 2.0
    latency.observe(100.0 + DECAY_S, 0.1)
    assert latency.estimate_s(100.0 + DECAY_S) == pytest.approx(2.0 / e + 0.1 * (1 - 1 / e))


def test_an_idle_endpoints_bad_memory_fades() -> None:
    latency = PeakEwma()
    latency.observe(100.0, 2.0)
    assert latency.cost_s(100.0 + 5 * DECAY_S, 0) == pytest.approx(2.0 / e**5)


def test_once_one_request_is_there_the_next_ones_count_on_what_is_known() -> None:
    latency = PeakEwma()
    latency.observe(100.0, 2.0)
    assert latency.cost_s(100.0 + 50 * DECAY_S, 1) == 4.0


def test_an_unknown_endpoint_is_tried_by_one_request() -> None:
    latency, known = PeakEwma(), PeakEwma()
    known.observe(100.0, 30.0)
    assert latency.cost_s(100.0, 0) < known.cost_s(100.0, 0) < known.cost_s(100.0, 100) < latency.cost_s(100.0, 1)
    assert latency.cost_s(100.0, 1) < latency.cost_s(100.0, 2)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 100)), min_size=1))
def test_the_estimate_stays_within_what_was_observed(steps: list[tuple[float, float]]) -> None:
    latency, now_s = PeakEwma(), 0.0
    for elapsed_s, latency_s in steps:
        now_s += elapsed_s
        latency.observe(now_s, latency_s)
        seen = [one for _, one in steps]
        assert min(seen) * 0.999999 <= latency.estimate_s(now_s) <= max(seen)
        assert latency.estimate_s(now_s) >= latency_s * 0.999999
