"""The text that is scraped, in both formats."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.monitoring import metrics
from shipway.monitoring.declarations import Label, counter, gauge, histogram, info
from shipway.monitoring.exposition import (
    OPEN_METRICS,
    PROMETHEUS,
    TextFormat,
    accepted_format,
    escaped_value,
    render,
)
from shipway.monitoring.process import read_process_at_scrape
from shipway.monitoring.registry import Registry

MODEL = Label("model", "Open.")
CALLS = counter("calls_total", 'Calls, "all" of\nthem \\ counted.', MODEL)
WAIT = histogram("wait_seconds", "Waits.", MODEL, unit="seconds", bounds=(0.5, 1))
HEAP = gauge("heap_bytes", "Heap.", unit="bytes")
BUILD = info("build_info", "Build.", Label("version", "V.", ("1.2",)))


def _registry() -> Registry:
    registry = Registry([CALLS, WAIT, HEAP, BUILD])
    registry.allow(MODEL, ['a"b\\c\nd'])
    registry.child(CALLS, 'a"b\\c\nd').inc(3)
    for value in (0.25, 0.5, 0.75, 4):
        registry.child(WAIT, "").observe(value)
    registry.child(HEAP).set(1.5)
    registry.child(BUILD, "1.2").set(1)
    return registry


def test_prometheus_text() -> None:
    assert render(_registry()).splitlines() == [
        '# HELP calls_total Calls, "all" of\\nthem \\\\ counted.',
        "# TYPE calls_total counter",
        'calls_total{model="a\\"b\\\\c\\nd"} 3',
        "# HELP wait_seconds Waits.",
        "# TYPE wait_seconds histogram",
        'wait_seconds_bucket{le="0.5"} 2',
        'wait_seconds_bucket{le="1.0"} 3',
        'wait_seconds_bucket{le="+Inf"} 4',
        "wait_seconds_sum 5.5",
        "wait_seconds_count 4",
        "# HELP heap_bytes Heap.",
        "# TYPE heap_bytes gauge",
        "heap_bytes 1.5",
        "# HELP build_info Build.",
        "# TYPE build_info gauge",
        'build_info{version="1.2"} 1',
    ]


def test_open_metrics_text() -> None:
    lines = render(_registry(), OPEN_METRICS).splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        '# HELP calls Calls, \\"all\\" of\\nthem \\\\ counted.',
        "# TYPE calls counter",
        "# HELP wait_seconds Waits.",
        "# TYPE wait_seconds histogram",
        "# UNIT wait_seconds seconds",
        "# HELP heap_bytes Heap.",
        "# TYPE heap_bytes gauge",
        "# UNIT heap_bytes bytes",
        "# HELP build Build.",
        "# TYPE build info",
        "# EOF",
    ]
    assert [line for line in lines if not line.startswith("#")] == [
        line for line in render(_registry()).splitlines() if not line.startswith("#")
    ]


@given(st.text())
def test_escaping_loses_nothing_and_ends_no_line(value: str) -> None:
    escaped = escaped_value(value)
    assert "\n" not in escaped
    assert re.fullmatch(r'(?:[^"\\\n]|\\[\\"n])*', escaped)
    assert re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), escaped) == value


@given(st.lists(st.floats(0, 10), max_size=30))
def test_buckets_are_cumulative_and_the_last_equals_the_count(values: list[float]) -> None:
    registry = Registry([WAIT])
    for value in values:
        registry.child(WAIT, "").observe(value)
    rendered = dict(line.rsplit(" ", 1) for line in render(registry).splitlines() if not line.startswith("#"))
    if values:
        buckets = [int(rendered[f'wait_seconds_bucket{{le="{le}"}}']) for le in ("0.5", "1.0", "+Inf")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == int(rendered["wait_seconds_count"]) == len(values)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PROMETHEUS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4", OPEN_METRICS),
        ("application/openmetrics-text; version=1.0.0", OPEN_METRICS),
        ("application/openmetrics-text;q=0.1, text/plain", PROMETHEUS),
        ("application/openmetrics-text;q=0", PROMETHEUS),
        ("application/openmetrics-text;q=nonsense", PROMETHEUS),
    ],
)
def test_the_format_is_what_the_scraper_prefers(accept: str, expected: TextFormat) -> None:
    assert accepted_format(accept) is expected


def test_the_process_tells_of_itself() -> None:
    registry = metrics.gateway_registry()
    read_process_at_scrape(registry, started_s=12.5)
    text = render(registry)
    assert "\nprocess_start_time_seconds 12.5\n" in text
    assert int(text.split("\nprocess_open_fds ")[1].split("\n")[0]) > 0
    assert "shipway_build_info{version=" in text


@pytest.mark.integration
def test_promtool_finds_nothing_wrong_with_a_full_scrape() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    registry = metrics.gateway_registry()
    read_process_at_scrape(registry, started_s=time.time())
    for _, table in metrics.TABLE:
        for metric in table:
            if registry.child(metric, *("other" for _ in metric.labels)) and metric.kind == "histogram":
                registry.child(metric, *("other" for _ in metric.labels)).observe(0.3)
    registry.allow(metrics.MODEL, ['od"d\\na\nme'])
    registry.child(metrics.FIRST_TOKEN, "chat", "other", 'od"d\\na\nme', "").observe(0.3)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=render(registry), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
