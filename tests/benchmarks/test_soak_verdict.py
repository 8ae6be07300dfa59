"""What counts as growth: a steady rise does, steps of an allocator and single odd samples do not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.soak.process import Sample
from benchmarks.soak.verdict import Bounds, chance_of_rise, findings, theil_sen

BOUNDS = Bounds(slope_kib=500, total_kib=3000)


def samples(memory_kib: list[float]) -> list[Sample]:
    return [Sample(10.0 * at, int(kib), 20, 0, 0, 3) for at, kib in enumerate(memory_kib)]


def noisy(slope_kib_per_min: float, count: int = 26) -> list[float]:
    rng = random.Random(1)
    return [60_000 + slope_kib_per_min * at / 6 + rng.uniform(-1500, 1500) for at in range(count)]


def test_theil_sen_is_the_slope_and_ignores_an_odd_sample() -> None:
    points = [(float(at), 3.0 * at) for at in range(10)]
    points[4] = (4.0, 1000.0)
    assert theil_sen(points) == 3.0


def test_chance_is_small_for_a_rise_and_even_for_nothing() -> None:
    assert chance_of_rise([float(at) for at in range(12)]) < 0.0001
    assert chance_of_rise([5.0] * 12) == 1.0
    assert chance_of_rise([float(-at) for at in range(12)]) > 0.99


@pytest.mark.parametrize(
    "memory", [noisy(0), noisy(-800), [*([90_000.0] * 4), *noisy(0)[4:]], [*noisy(0)[:12], 90_000.0, *noisy(0)[13:]]]
)
def test_noise_warm_up_and_an_odd_sample_are_no_growth(memory: list[float]) -> None:
    assert findings(samples(memory), BOUNDS) == []


@pytest.mark.parametrize("memory", [noisy(2500), noisy(900), [60_000.0] * 16 + [64_000.0] * 10])
def test_steady_rise_and_a_lasting_step_are_growth(memory: list[float]) -> None:
    assert any("memory" in line for line in findings(samples(memory), BOUNDS))


def test_what_is_left_at_rest_is_found() -> None:
    good = samples(noisy(0))
    assert "3 requests in flight" in findings([*good[:9], replace(good[9], in_flight=3), *good[10:]], BOUNDS)[0]
    assert "1 client connections" in findings([*good[:9], replace(good[9], clients=1), *good[10:]], BOUNDS)[0]
    assert "files" in findings([*good[:-1], replace(good[-1], files=200)], BOUNDS)[0]


def test_too_few_samples_are_no_verdict() -> None:
    assert "too few" in findings(samples([60_000.0] * 3), BOUNDS)[0]
