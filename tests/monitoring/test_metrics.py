"""The table of metrics and its page."""

from __future__ import annotations

import re
from pathlib import Path

from shipway.monitoring import metrics
from shipway.monitoring.declarations import Metric
from shipway.monitoring.reference import reference_markdown

SOURCES = Path(__file__).parents[2] / "src" / "shipway"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_every_declared_metric_is_in_the_table() -> None:
    declared = {value.name for value in vars(metrics).values() if isinstance(value, Metric)}
    assert {metric.name for _, table in metrics.TABLE for metric in table} == declared


def test_every_declared_metric_is_observed_or_read_somewhere() -> None:
    names = {name for name, value in vars(metrics).items() if isinstance(value, Metric)}
    sources = [file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.py") if file.name != "metrics.py"]
    used = set(re.findall(r"\bmetrics\.([A-Z_]+)\b", "".join(sources)))
    assert names - used == set()


def test_names_end_with_their_base_unit() -> None:
    with_unit = [metric for _, table in metrics.TABLE for metric in table if metric.unit in {"seconds", "bytes"}]
    assert [metric.name for metric in with_unit if not metric.family.endswith(metric.unit)] == []


def test_generative_ai_buckets_are_those_of_the_conventions() -> None:
    assert metrics.MODEL_DURATION.bounds[0] == 0.01
    assert metrics.MODEL_DURATION.bounds[-1] == 81.92
    assert metrics.TOKENS.bounds == tuple(4**n for n in range(14))


def test_the_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_markdown(), "run python -m shipway.monitoring.reference docs"
