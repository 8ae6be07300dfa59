"""Chances found by counting, and how sure the count is."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """*hits* of *runs*, with Wilson's interval of 95%."""

    hits: int
    runs: int

    @property
    def value(self) -> float:
        return self.hits / self.runs

    @property
    def interval(self) -> tuple[float, float]:
        z, n = 1.96, self.runs
        middle = (self.value + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(self.value * (1 - self.value) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def is_at_most(self, bound: float) -> bool:
        """Whether the count is in keeping with a chance of at most *bound*."""
        return self.interval[0] <= bound

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%})"


def middle(values: list[float], part: float = 0.5) -> float:
    """The value that *part* of them do not exceed."""
    return sorted(values)[min(int(part * len(values)), len(values) - 1)]
