"""The metrics of one process: which instruments exist, under which labels, and how many there may be.

Whatever a client can influence stays bounded: a label takes values of a closed set, anything else becomes `other`, and a
metric has at most `MAX_CHILDREN` combinations. The text that Prometheus reads is made in `exposition`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, cast

from shipway.monitoring.declarations import InstrumentT, Label, Metric
from shipway.monitoring.instruments import Gauge

OTHER = "other"
MAX_CHILDREN = 1000
"""Combinations of label values of one metric; the next one is counted under `other` in every label."""
_MAX_READY_CHILDREN = 64

Values = tuple[str, ...]
Reading = float | Mapping[Values, float] | None
"""What a callback gives: a number, numbers by label values, or None where the platform cannot tell."""


class Family(Generic[InstrumentT]):
    """One metric with its children, or the callback that is asked instead of keeping any."""

    __slots__ = ("_allowed", "_max_children", "children", "metric", "read")

    def __init__(self, metric: Metric[InstrumentT], allowed: Mapping[Label, frozenset[str]], max_children: int) -> None:
        self.metric = metric
        self.children: dict[Values, InstrumentT] = {}
        self.read: Callable[[], Reading] | None = None
        self._allowed = allowed
        self._max_children = max_children
        for values in _all_combinations(metric.labels):
            self.children[values] = metric.make()

    def child(self, values: Values) -> InstrumentT:
        known = self.children.get(values)
        return known if known is not None else self._new_child(self.closed(values))

    def closed(self, values: Values) -> Values:
        """*values* with `other` for what their labels do not allow."""
        labels = self.metric.labels
        if len(values) != len(labels):
            names = ", ".join(label.name for label in labels)
            raise ValueError(f"{self.metric.name} has the labels ({names}), not {len(values)}")
        return tuple(
            value if not value or value in self._allowed[label] else OTHER
            for label, value in zip(labels, values, strict=True)
        )

    def _new_child(self, values: Values) -> InstrumentT:
        known = self.children.get(values)
        if known is not None:
            return known
        if len(self.children) >= self._max_children:
            self._forget_withdrawn()
        if len(self.children) >= self._max_children:
            values = (OTHER,) * len(values)
        return self.children.setdefault(values, self.metric.make())

    def _forget_withdrawn(self) -> None:
        """Drop children of values that a reload took away: they were kept so that their last counts are scraped."""
        for values in [values for values in self.children if self.closed(values) != values]:
            del self.children[values]


class Registry:
    """Every metric of a process by its declaration.

    Args:
        metrics: The declarations; names are unique.
        max_children: See `MAX_CHILDREN`.
    """

    def __init__(self, metrics: Iterable[Metric[Any]], *, max_children: int = MAX_CHILDREN) -> None:
        declared = tuple(metrics)
        self._allowed = {
            label: frozenset(label.values or ()) | {OTHER} for metric in declared for label in metric.labels
        }
        self._families: dict[str, Family[Any]] = {}
        for metric in declared:
            if metric.name in self._families:
                raise ValueError(f"{metric.name} is declared twice")
            self._families[metric.name] = Family(metric, self._allowed, max_children)

    def child(self, metric: Metric[InstrumentT], *values: str) -> InstrumentT:
        """The instrument of *metric* for these label values, in the declared order; the same one each time.

        An empty value means that the label does not apply. Keep the result where calls are frequent.

        Raises:
            ValueError: the number of values is not that of the labels.
        """
        return cast(InstrumentT, self._families[metric.name].child(values))

    def allow(self, label: Label, values: Iterable[str]) -> None:
        """Say which values *label* may take from now on, in every metric that has it; each reload says it anew.

        Raises:
            ValueError: the label's values are fixed where it is declared.
        """
        if label.values is not None:
            raise ValueError(f"the values of {label.name} are fixed")
        self._allowed[label] = frozenset(values) | {OTHER}

    def read_at_scrape(self, metric: Metric[Any], read: Callable[[], Reading]) -> None:
        """Ask *read* at each scrape instead of keeping instruments; it must not block. For any kind but histograms."""
        if metric.kind == "histogram":
            raise ValueError(f"{metric.name}: a histogram cannot be read at scrape")
        family = self._families[metric.name]
        family.children.clear()
        family.read = read

    def collect(self) -> Iterator[tuple[Metric[Any], Mapping[Values, Any]]]:
        """Every metric with its instruments by label values, in the order of declaration."""
        for family in self._families.values():
            yield family.metric, family.children if family.read is None else _as_children(family, family.read())


def _as_children(family: Family[Any], reading: Reading) -> dict[Values, Gauge]:
    if reading is None:
        return {}
    series = reading if isinstance(reading, Mapping) else {(): reading}
    children: dict[Values, Gauge] = {}
    for values, value in itertools.islice(series.items(), MAX_CHILDREN):
        children.setdefault(family.closed(values), Gauge()).inc(value)
    return children


def _all_combinations(labels: tuple[Label, ...]) -> Iterator[Values]:
    """All label values where they are few and known from the start: a series that begins at 0 shows its first event."""
    count = 1
    for label in labels:
        count *= len(label.values or ())
    if 0 < count <= _MAX_READY_CHILDREN:
        yield from itertools.product(*(label.values or () for label in labels))
