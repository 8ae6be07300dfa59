"""Whether samples show growth: pure functions from samples to findings.

Memory is judged by the Theil-Sen slope, the median of the slopes between all pairs of samples, which a few odd samples cannot
move, together with Kendall's test, which tells a trend from chance; and by how much the end holds more than the beginning.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmarks.soak.process import Sample

WARM_UP_SHARE = 0.3
"""Of the soak's time: pools fill, code is compiled, the allocator gets its arenas. Samples of it are not judged."""


@dataclass(frozen=True)
class Bounds:
    """What is no growth.

    Attributes:
        slope_kib: Theil-Sen slope of resident memory, in KiB a minute.
        total_kib: Median of the last quarter of samples above that of the first.
        chance: A slope above its bound counts if so steady a rise is less likely than this by chance.
        files: Open files of the last sample above the fewest of any.
    """

    slope_kib: float
    total_kib: float
    chance: float = 0.05
    files: int = 64


@dataclass(frozen=True)
class Trend:
    """Resident memory over time."""

    slope_kib_per_min: float
    chance: float
    """How likely so steady a rise is without any trend (Kendall's test, one-sided)."""
    growth_kib: float


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """The median slope between any two of *points* (time, value)."""
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x1 != x2]
    return statistics.median(slopes)


def chance_of_rise(values: Sequence[float]) -> float:
    """The probability that values in random order rise as steadily as these: Mann-Kendall, normal approximation with
    ties.

    Source: Kendall, Rank Correlation Methods, chapter 4.
    """
    count = len(values)
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    ties = [values.count(value) for value in set(values)]
    variance = (count * (count - 1) * (2 * count + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    if variance <= 0 or score == 0:
        return 1.0 if score <= 0 else 0.5
    z = (score - math.copysign(1, score)) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2))


def judged(samples: Sequence[Sample]) -> list[Sample]:
    """The samples behind the warm-up."""
    end_s = samples[-1].at_s
    return [sample for sample in samples if sample.at_s >= end_s * WARM_UP_SHARE]


def trend(samples: Sequence[Sample]) -> Trend:
    """The trend of *samples*, at least four."""
    memory = [float(sample.resident_kib) for sample in samples]
    quarter = max(1, len(memory) // 4)
    return Trend(
        theil_sen([(sample.at_s / 60, sample.resident_kib) for sample in samples]),
        chance_of_rise(memory),
        statistics.median(memory[-quarter:]) - statistics.median(memory[:quarter]),
    )


def findings(samples: Sequence[Sample], bounds: Bounds) -> list[str]:
    """What is wrong with *samples*; nothing, if nothing grew and nothing was left over."""
    found: list[str] = []
    for sample in samples:
        if sample.in_flight != 0:
            found.append(f"{sample.in_flight} requests in flight at {sample.at_s:.0f} s, while none was under way")
        if sample.clients != 0:
            found.append(f"{sample.clients} client connections open at {sample.at_s:.0f} s, while there were none")
    late = judged(samples)
    if len(late) < 4:
        return [*found, f"only {len(late)} samples behind the warm-up: too few to judge"]
    memory = trend(late)
    if memory.slope_kib_per_min > bounds.slope_kib and memory.chance < bounds.chance:
        found.append(
            f"memory grows by {memory.slope_kib_per_min:.0f} KiB a minute (at most {bounds.slope_kib:.0f},"
            f" by chance with p = {memory.chance:.3f})"
        )
    if memory.growth_kib > bounds.total_kib:
        found.append(f"memory grew by {memory.growth_kib:.0f} KiB in all (at most {bounds.total_kib:.0f})")
    files = [sample.files for sample in late]
    if files[-1] > min(files) + bounds.files:
        found.append(f"{files[-1]} files are open at the end, {min(files)} were at the fewest")
    return found
