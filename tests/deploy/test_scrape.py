"""The text of `/metrics` becomes numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.deploy.scrape import Scrape, parse_scrape
from shipway.monitoring import metrics
from shipway.monitoring.exposition import OPEN_METRICS, PROMETHEUS, TextFormat, render
from shipway.monitoring.metrics import gateway_registry


@pytest.mark.parametrize("text_format", [PROMETHEUS, OPEN_METRICS], ids=["prometheus", "openmetrics"])
def test_what_the_gateway_writes_is_read(text_format: TextFormat) -> None:
    registry = gateway_registry()
    registry.allow(metrics.TARGET, ["api"])
    registry.allow(metrics.RELEASE, ['v"1\\2\n}'])
    registry.child(metrics.REQUESTS, "service", "api", "2xx", 'v"1\\2\n}').inc(3)
    registry.child(metrics.SNAPSHOT_VERSION).set(7)
    scrape = parse_scrape(render(registry, text_format))
    labels = {"kind": "service", "target": "api", "status_class": "2xx", "release": 'v"1\\2\n}'}
    assert [(found, value) for _, found, value in scrape.named("shipway_requests_total")] == [(labels, 3.0)]
    assert scrape.single("shipway_snapshot_version") == 7.0


def test_timestamps_exemplars_and_special_numbers_are_read() -> None:
    text = '# HELP a b\n\na 1 1395066363000\nb{le="+Inf"} 17 # {trace_id="x"} 0.67\nc NaN\nd{x="{}, y"} -Inf\n# EOF\n'
    scrape = parse_scrape(text)
    samples = dict(scrape.samples)
    assert math.isnan(samples.pop(("c", ())))
    assert Scrape(samples) == Scrape(
        {("a", ()): 1.0, ("b", (("le", "+Inf"),)): 17.0, ("d", (("x", "{}, y"),)): -math.inf}
    )


def test_the_order_of_labels_does_not_matter() -> None:
    assert parse_scrape('a{x="1",y="2"} 3') == parse_scrape('a{y="2",x="1"} 3')


@pytest.mark.parametrize("text", ["<html>", "a", "a{x=1", 'a{x="1} 2', "a one"])
def test_what_is_no_metric_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no sample|could not convert"):
        parse_scrape(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_scrape(text)
    except ValueError:
        pass
