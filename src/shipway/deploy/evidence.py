"""From what gateways count to what a verdict is reached on: good and bad requests of both arms between two scrapes.

Counters are cumulative, so a scrape that is missing loses nothing: the next one is compared with the last there was
(`kept`). A gateway that began anew, or withdrew a series, counts from zero. What is counted under the release `other`,
beyond the bound on label values, belongs to no arm and is left out.

Scrape just before the canary's share changes, so that what was counted belongs to one share. Where that scrape fails,
leave out what lies between the last one before the change and the first one after it. And count as not settled what ends
soon after a change (`Counts.plus`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shipway.deploy.counts import Arms, Tally
from shipway.deploy.scrape import Key, Labels, Scrape
from shipway.monitoring import metrics
from shipway.monitoring.declarations import Metric

Scrapes = Mapping[str, Scrape]
"""By gateway; one that could not be scraped is absent."""

_AT_FAULT = "upstream_.*|internal_error"
"""Codes of errors that are held against the release; a request that is at fault itself, or was given up, is not."""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one name whose labels match; each pattern has to match the whole value, an absent label is empty."""

    name: str
    where: Labels

    def match(self, labels: Labels) -> bool:
        return all(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in self.where.items())


@dataclass(frozen=True, slots=True)
class Measure:
    """How the requests of one objective are counted: *total* and one of *good* and *bad*, a part of it.

    What is *bad* may be counted in several series, a request in no more than one of them.

    """

    objective: str
    total: Series
    good: Series | None = None
    bad: tuple[Series, ...] = ()

    def __post_init__(self) -> None:
        if (self.good is None) == (not self.bad):
            raise ValueError(f"{self.objective}: a measure has either good or bad requests, the others follow")


def service_errors(service: str, objective: str = "errors") -> Measure:
    """Answers with a 5xx are bad, and those that broke off; clients that left before an answer are not counted."""
    where = {"kind": "service", "target": re.escape(service)}
    name = metrics.REQUESTS.name
    return Measure(
        objective,
        Series(name, {**where, "status_class": "[1-5]xx"}),
        bad=(
            Series(name, {**where, "status_class": "5xx"}),
            Series(metrics.SERVICE_CUT.name, {"target": re.escape(service)}),
        ),
    )


def model_errors(model: str, objective: str = "errors") -> Measure:
    """Calls that ended with an error of an upstream or of the gateway are bad, also where the status was sent before."""
    name = metrics.MODEL_DURATION.name + "_count"
    where = {metrics.MODEL.name: re.escape(model)}
    label = metrics.ERROR_TYPE.name
    return Measure(
        objective,
        Series(name, {**where, label: f"|refused_by_model|{_AT_FAULT}"}),
        bad=(Series(name, {**where, label: _AT_FAULT}),),
    )


def service_duration(service: str, at_most_s: float, objective: str = "latency") -> Measure:
    """Requests that took longer than *at_most_s* are bad."""
    return _within(metrics.SERVICE_DURATION, at_most_s, {"target": re.escape(service)}, objective)


def model_duration(model: str, at_most_s: float, objective: str = "latency") -> Measure:
    """Calls without an error that took longer than *at_most_s* are bad."""
    where = {metrics.MODEL.name: re.escape(model), metrics.ERROR_TYPE.name: ""}
    return _within(metrics.MODEL_DURATION, at_most_s, where, objective)


def model_first_token(model: str, at_most_s: float, objective: str = "first_token") -> Measure:
    """Streams whose first token came later than *at_most_s* are bad."""
    return _within(metrics.FIRST_TOKEN, at_most_s, {metrics.MODEL.name: re.escape(model)}, objective)


def model_cost(model: str, objective: str = "cost") -> Measure:
    """Calls of known cost that cost more than the gateway's app file has for its objective are bad."""
    where = {metrics.MODEL.name: re.escape(model)}
    return _labelled(metrics.COST_OBJECTIVE, metrics.MET.name, where, objective)


def quality(objective: str = "quality") -> Measure:
    """Answers that were labelled bad, whatever gave them: a label says only whose release it is about."""
    return _labelled(metrics.QUALITY_LABELS, metrics.QUALITY.name, {}, objective)


def counted(
    before: Scrapes, after: Scrapes, measures: Iterable[Measure], canary: str, baseline: str
) -> dict[str, Arms]:
    """What both arms were sent between two scrapes, by objective, over all gateways that are in both.

    Args:
        canary: The release that is judged, as the label `release` has it.
        baseline: The release that it is compared with.

    Raises:
        ValueError: a gateway has no bucket that ends at a measure's bound.
    """
    pairs = [(before[name], scrape) for name, scrape in after.items() if name in before]
    return {
        measure.objective: Arms(
            sum((_tally(*pair, measure, canary) for pair in pairs), Tally()),
            sum((_tally(*pair, measure, baseline) for pair in pairs), Tally()),
        )
        for measure in measures
    }


def kept(before: Scrapes, after: Scrapes) -> Scrapes:
    """What the next scrape is compared with: the latest of each gateway."""
    return {**before, **after}


def _labelled(metric: Metric[Any], label: str, where: Labels, objective: str) -> Measure:
    """The gateway has told good from bad itself."""
    return Measure(objective, Series(metric.name, where), bad=(Series(metric.name, {**where, label: "bad"}),))


def _within(metric: Metric[Any], bound: float, where: Labels, objective: str) -> Measure:
    if bound not in metric.bounds:
        edges = ", ".join(f"{edge:g}" for edge in metric.bounds)
        raise ValueError(f"{objective}: no bucket of {metric.name} ends at {bound:g}; the bounds are {edges}")
    return Measure(
        objective,
        Series(metric.name + "_count", where),
        good=Series(metric.name + "_bucket", {**where, "le": re.escape(repr(float(bound)))}),
    )


def _tally(before: Scrape, after: Scrape, measure: Measure, release: str) -> Tally:
    total = _increase(before, after, measure.total, release) or 0
    if measure.good is None:
        # An answer may be counted as bad a moment before it is counted at all.
        bad = min(total, sum(_increase(before, after, one, release) or 0 for one in measure.bad))
        return Tally(total - bad, bad)
    good = _increase(before, after, measure.good, release)
    if good is None and total:
        raise ValueError(f"{measure.objective}: the gateway counts {measure.total.name} in other buckets")
    return Tally(good or 0, total - (good or 0))


def _increase(before: Scrape, after: Scrape, series: Series, release: str) -> int | None:
    """By how much *series* grew; None where there is no such series."""
    start = metrics.PROCESS_START_TIME.name
    earlier = before.samples if before.single(start) == after.single(start) else {}
    grown = [
        _growth(earlier, key, value)
        for key, labels, value in after.named(series.name)
        if labels.get(metrics.RELEASE.name) == release and series.match(labels)
    ]
    return sum(grown) if grown else None


def _growth(earlier: Mapping[Key, float], key: Key, value: float) -> int:
    """A series that was not there began at zero; one that shrank was withdrawn and began anew."""
    previous = earlier.get(key, 0.0)
    return round(value - previous if value >= previous else value)
