"""What a metric is, as declared, and the three instruments that count on the request path.

An instrument is looked up once and kept by whoever uses it; using it is then one method call, or one addition to its
`value` where even that is too much, without a lock, a look-up or an allocation. That holds on one thread (the event
loop's); another thread keeps its own number and has it read by a callback at scrape.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Kind = Literal["counter", "gauge", "histogram", "info"]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_SUFFIX: dict[Kind, str] = {"counter": "_total", "info": "_info"}
_RESERVED = frozenset({"le", "quantile"})


class Counter:
    """A number that only grows. Negative and non-finite amounts are the caller's bug and are not looked for here."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class Gauge:
    """A number that goes up and down. What can be read when asked for is better a callback of the registry."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        self.value -= amount

    def set(self, value: float) -> None:
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
        self.sum: float = 0

    def observe(self, value: float) -> None:
        """Count *value*; one that is negative or no number is left out, as an upstream may report anything."""
        if value >= 0:
            self.counts[bisect_left(self._bounds, value)] += 1
            self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)


InstrumentT = TypeVar("InstrumentT", bound=Counter | Gauge | Histogram)


@dataclass(frozen=True, slots=True)
class Label:
    """A dimension of a metric, with the closed set of values it may take.

    Attributes:
        values: All values, where they are known here; None where the app file decides (`Registry.allow`).
    """

    name: str
    help: str
    values: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not _NAME.match(self.name) or self.name in _RESERVED:
            raise ValueError(f"not a label name: {self.name!r}")


@dataclass(frozen=True, eq=False)
class Metric(Generic[InstrumentT]):
    """One declaration. Made by `counter`, `gauge`, `histogram` and `info`, which know its instrument's type.

    Attributes:
        unit: Base unit, which the name ends with (`seconds`, `bytes`), or what is counted; empty for plain numbers.
        bounds: Upper ends of a histogram's buckets, ascending, without the last one (`+Inf`).
        parts: How many of what its instruments count make one unit. Whole numbers of small parts sum up exactly.
    """

    name: str
    help: str
    kind: Kind
    unit: str
    labels: tuple[Label, ...]
    make: Callable[[], InstrumentT]
    bounds: tuple[float, ...] = ()
    parts: int = 1

    def __post_init__(self) -> None:
        suffix = _SUFFIX.get(self.kind, "")
        if not _NAME.match(self.name) or not self.name.endswith(suffix):
            raise ValueError(f"not the name of a {self.kind}: {self.name!r}")
        if self.kind not in _SUFFIX and self.name.endswith(tuple(_SUFFIX.values())):
            raise ValueError(f"{self.name!r} ends as another kind's names do")
        if list(self.bounds) != sorted(set(self.bounds)) or not all(map(math.isfinite, self.bounds)):
            raise ValueError(f"{self.name}: bucket bounds must be finite and ascending")

    @property
    def family(self) -> str:
        """The name without what its kind adds, as OpenMetrics names the whole."""
        return self.name.removesuffix(_SUFFIX.get(self.kind, ""))


def counter(name: str, help: str, *labels: Label, unit: str = "", parts: int = 1) -> Metric[Counter]:
    return Metric(name, help, "counter", unit, labels, Counter, parts=parts)


def gauge(name: str, help: str, *labels: Label, unit: str = "") -> Metric[Gauge]:
    return Metric(name, help, "gauge", unit, labels, Gauge)


def info(name: str, help: str, *labels: Label) -> Metric[Gauge]:
    """A gauge that is always 1 and says its facts in labels."""
    return Metric(name, help, "info", "", labels, Gauge)


def histogram(name: str, help: str, *labels: Label, unit: str, bounds: Sequence[float]) -> Metric[Histogram]:
    # Whole bounds stay integers where all are: comparing like with like makes counting whole numbers twice as fast.
    fixed = tuple(bounds) if all(isinstance(bound, int) for bound in bounds) else tuple(map(float, bounds))
    return Metric(name, help, "histogram", unit, labels, lambda: Histogram(fixed), fixed)
