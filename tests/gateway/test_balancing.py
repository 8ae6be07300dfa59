"""Choosing among equals: fair where nothing speaks for one, bounded where something does."""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.affinity import affinity_key, seed_of
from shipway.gateway.balancing import by_affinity, by_weight, least_in_flight, lowest_latency
from shipway.gateway.latency import PeakEwma


@dataclass(eq=False)
class Replica:
    name: str = "a"
    in_flight: int = 0
    weight: float = 1.0
    latency: PeakEwma = field(default_factory=PeakEwma)

    def __post_init__(self) -> None:
        self.affinity_seed = seed_of(f"http://{self.name}:8000".encode())


def replicas(*in_flight: int) -> list[Replica]:
    return [Replica(f"replica-{index}", busy) for index, busy in enumerate(in_flight)]


def keys(count: int) -> list[int]:
    return [affinity_key("chat", b'[{"role":"user","content":"question %d"}]' % number) for number in range(count)]


WEIGHTS = st.lists(st.floats(0.01, 100), min_size=1, max_size=8)
LOADS = st.lists(st.tuples(st.integers(0, 50), st.floats(0.1, 10)), min_size=1, max_size=8)
DRAW = st.floats(0, 1, exclude_max=True)


@given(WEIGHTS, DRAW)
def test_by_weight_gives_each_its_part_of_the_draw(weights: list[float], draw: float) -> None:
    ones = [Replica(weight=weight) for weight in weights]
    chosen = ones.index(by_weight(ones, lambda: draw))
    below, total = sum(weights[:chosen]), sum(weights)
    assert below - 1e-9 * total <= draw * total <= below + weights[chosen] + 1e-9 * total


@given(st.lists(st.sampled_from([0.0, 0.1, 3.0]), min_size=2, max_size=6).filter(any), DRAW)
def test_by_weight_never_takes_a_weight_of_zero(weights: list[float], draw: float) -> None:
    assert by_weight([Replica(weight=weight) for weight in weights], lambda: draw).weight > 0


def test_by_weight_refuses_weights_that_are_all_zero() -> None:
    with pytest.raises(ValueError):
        by_weight([Replica(weight=0.0), Replica(weight=0.0)])


@given(LOADS, DRAW)
def test_least_in_flight_takes_none_that_is_busier_for_its_weight(loads: list[tuple[int, float]], draw: float) -> None:
    ones = [Replica(in_flight=busy, weight=weight) for busy, weight in loads]
    chosen = least_in_flight(ones, lambda: draw)
    assert all(chosen.in_flight * one.weight <= one.in_flight * chosen.weight * (1 + 1e-9) for one in ones)


def test_least_in_flight_breaks_ties_by_weight() -> None:
    draw = random.Random(1).random
    ones = [Replica("busy", 9), Replica("one"), Replica("three", weight=3.0)]
    counts = Counter(least_in_flight(ones, draw).name for _ in range(4000))
    assert counts["busy"] == 0
    assert counts["three"] == pytest.approx(3000, abs=120)


def test_lowest_latency_prefers_the_faster_and_counts_what_is_under_way() -> None:
    fast, slow = Replica("fast"), Replica("slow")
    fast.latency.observe(100.0, 0.2)
    slow.latency.observe(100.0, 1.0)
    assert {lowest_latency([slow, fast], 100.0).name for _ in range(20)} == {"fast"}
    fast.in_flight = 10
    assert {lowest_latency([slow, fast], 100.0).name for _ in range(20)} == {"slow"}


def test_lowest_latency_looks_at_any_two_and_never_takes_the_worst() -> None:
    ones = replicas(0, 0, 0, 0)
    for index, one in enumerate(ones):
        one.latency.observe(100.0, 1.0 + index)
    draw = random.Random(1).random
    counts = Counter(ones.index(lowest_latency(ones, 100.0, draw)) for _ in range(6000))
    assert [counts[index] / 1000 for index in range(4)] == pytest.approx([3, 2, 1, 0], abs=0.15)


@given(st.integers(2, 6), DRAW, DRAW)
def test_lowest_latency_compares_two_different_ones(count: int, first: float, second: float) -> None:
    ones = replicas(*[0] * count)
    for one in ones:
        one.latency.observe(100.0, 1.0)
    draws = iter([first, second])
    one = lowest_latency(ones, 100.0, lambda: next(draws))
    one.latency.observe(100.0, 2.0)
    draws = iter([first, second])
    assert lowest_latency(ones, 100.0, lambda: next(draws)) is not one


def test_idle_and_unmeasured_replicas_are_tried_by_one_request_each() -> None:
    ones = replicas(0, 0)
    for expected in (1, 1), (2, 2):
        for _ in range(2):
            lowest_latency(ones, 100.0).in_flight += 1
        assert tuple(one.in_flight for one in ones) == expected


def test_affinity_keeps_a_conversation_on_its_replica() -> None:
    ones = replicas(0, 0, 0)
    for key in keys(50):
        assert len({by_affinity(ones, key).name for _ in range(3)} | {by_affinity(ones[::-1], key).name}) == 1


def test_affinity_ranks_replicas_in_each_order_equally_often() -> None:
    ones = replicas(0, 0, 0, 0)
    counts = Counter[tuple[str, ...]]()
    sample = keys(4800)
    for key in sample:
        left, order = list(ones), []
        while left:
            left.remove(best := by_affinity(left, key))
            order.append(best.name)
        counts[tuple(order)] += 1
    expected = len(sample) / 24
    chi_squared = sum((counts[order] - expected) ** 2 / expected for order in permutations(one.name for one in ones))
    assert chi_squared < 49.7  # 23 degrees of freedom, one in a thousand; the keys are fixed


def test_affinity_follows_weights() -> None:
    ones = [Replica("one"), Replica("three", weight=3.0)]
    counts = Counter(by_affinity(ones, key).name for key in keys(4000))
    assert counts["three"] == pytest.approx(3000, abs=120)


@given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 2**64 - 1))
def test_a_replica_that_goes_moves_only_its_own_conversations(count: int, gone: int, key: int) -> None:
    ones = replicas(*[0] * count)
    before = by_affinity(ones, key)
    if before is not ones[gone % count]:
        del ones[gone % count]
        assert by_affinity(ones, key) is before


@given(LOADS, st.integers(0, 2**64 - 1), st.floats(1.01, 3))
def test_affinity_never_takes_one_above_its_bound(loads: list[tuple[int, float]], key: int, bound: float) -> None:
    ones = [Replica(f"replica-{index}", busy, weight) for index, (busy, weight) in enumerate(loads)]
    chosen = by_affinity(ones, key, bound)
    if len(ones) > 1:
        total, weights = 1 + sum(one.in_flight for one in ones), sum(one.weight for one in ones)
        assert chosen.in_flight + 1 <= ceil(bound * total * chosen.weight / weights + 1e-9)


def test_one_hot_conversation_overflows_to_the_next_by_rank() -> None:
    ones = replicas(0, 0, 0, 0)
    (key,) = keys(1)
    for _ in range(100):
        by_affinity(ones, key).in_flight += 1
    assert max(one.in_flight for one in ones) <= ceil(1.25 * 100 / 4)
