"""The comparison's verdicts: ratios of rounds that were taken together, and what is said of those that were not taken."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.gateway.chart import draw
from benchmarks.gateway.clients import is_whole
from benchmarks.gateway.measures import Load, Memory, Streams, calmest
from benchmarks.gateway.report import Target, peers_table, targets, targets_table
from benchmarks.gateway.rounds import Measured
from benchmarks.gateway.traffic import CHUNKS, stream_writes


def _measured(cpu_us: list[float], *, speed: float = 100, p50_us: int = 100) -> Measured:
    return Measured(
        "1.0",
        loads=[Load(speed, one, 1.0, 0.0, 0) for one in cpu_us],
        blocks_ns=[[p50_us * 1000] * 3] * len(cpu_us),
        streams=[Streams(1.0, 2.0, 3.0, one, 600, 10, 10, 0.0) for one in cpu_us],
        memory=Memory(20, 50, 1000),
    )


def _results(**more: Measured) -> dict[str, Measured]:
    return {"direct": _measured([0.0, 0.0, 0.0], p50_us=50), "shipway": _measured([20, 30, 40], p50_us=170), **more}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    cpu = targets(_results(nginx=_measured([10, 20, 40], p50_us=120)))[0]
    assert (cpu.value, cpu.low, cpu.high, cpu.verdict) == (1.5, 1.0, 2.0, "reached")


def test_added_time_is_a_difference_of_neighbouring_blocks() -> None:
    found = {target.what: target for target in targets(_results(nginx=_measured([10, 20, 40], p50_us=120)))}
    assert found["added p50 at one connection against nginx"].value == 50


def test_what_was_not_measured_is_said_and_not_called_missed() -> None:
    found = targets(_results())
    assert [target.verdict for target in found] == ["not measured"] * 5 + ["reached"]
    assert "not measured" in targets_table(found)
    assert "envoy      missing    hint: pip" in peers_table(_results(), {"envoy": "pip"})


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(1.0, False, "stretch"), (1.5, False, "reached"), (2.5, False, "MISSED"), (1.0, True, "MISSED")],
)
def test_a_verdict_follows_from_the_bounds(value: float, at_least: bool, verdict: str) -> None:
    to_reach, stretch = (1.5, 2.0) if at_least else (2.0, 1.2)
    assert Target("x", "times", to_reach, stretch, at_least, value).verdict == verdict


def test_a_disturbed_turn_is_taken_again_and_the_calmest_counts() -> None:
    turns = [Load(1, 1, busy, 0, 0) for busy in (0.5, 0.8, 0.7, 1.0)]
    assert calmest(iter(turns).__next__) is turns[1]
    assert calmest(iter(turns[3:]).__next__) is turns[3]


def test_a_stream_of_the_backendis_whole() -> None:
    written = b"".join(stream_writes())
    assert len(stream_writes()) == CHUNKS
    assert written.count(b"data: {") == CHUNKS + 1
    assert is_whole(written)
    assert not is_whole(written[:-1])


def test_the_chart_is_well_formed_and_its_longest_bar_is_the_largest_value() -> None:
    svg = ElementTree.fromstring(draw({"us": (10.0, "10 <b>"), "them": (5.0, "5")}, title="A & B", ours="us"))
    bars = [float(bar.get("width", "0")) for bar in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars[0] == 2 * bars[1]
