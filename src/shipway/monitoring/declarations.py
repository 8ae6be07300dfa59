"""What a metric is, as declared: its name, help, labels and the instrument that counts it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from shipway.monitoring.instruments import Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram", "info"]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_SUFFIX: dict[Kind, str] = {"counter": "_total", "info": "_info"}
_RESERVED = frozenset({"le", "quantile"})

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
