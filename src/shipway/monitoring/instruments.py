"""The three instruments that count on the request path.

An instrument is looked up once and kept by whoever uses it; using it is then one method call, or one addition to its
`value` where even that is too much, without a lock, a look-up or an allocation. That holds on one thread (the event
loop's); another thread keeps its own number and has it read by a callback at scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Number = int | float
"""Whole numbers stay whole, and so exact: for the compiler a plain `float` is a double."""


class Counter:
    """A number that only grows. Negative and non-finite amounts are the caller's bug and are not looked for here."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Number = 0

    def inc(self, amount: Number = 1) -> None:
        self.value += amount


class Gauge:
    """A number that goes up and down. What can be read when asked for is better a callback of the registry."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Number = 0

    def inc(self, amount: Number = 1) -> None:
        self.value += amount

    def dec(self, amount: Number = 1) -> None:
        self.value -= amount

    def set(self, value: Number) -> None:
        self.value = value


class Histogram:
    """Observations counted by bucket; a value on a bound belongs to the bucket that ends there.

    Attributes:
        counts: Observations per bucket, not cumulated; the last one is beyond every bound.
    """

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: Number = 0

    def observe(self, value: Number) -> None:
        """Count *value*; one that is negative or no number is left out, as an upstream may report anything."""
        if value >= 0:
            self.counts[bisect_left(self._bounds, value)] += 1
            self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)
