"""Declarations and instruments: what a bucket holds, and which names are refused."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.monitoring.declarations import Label, counter, gauge, histogram
from shipway.monitoring.instruments import Gauge, Histogram

BOUNDS = st.lists(st.floats(0, 1e9), min_size=1, max_size=20, unique=True).map(sorted)
VALUES = st.lists(st.floats(0, 1e12), max_size=50)


@given(BOUNDS, VALUES)
def test_a_bucket_holds_what_is_above_the_bound_before_and_not_above_its_own(
    bounds: list[float], values: list[float]
) -> None:
    counted = Histogram(bounds)
    for value in values:
        counted.observe(value)
    edges = [-1.0, *bounds, math.inf]
    assert counted.counts == [sum(low < value <= high for value in values) for low, high in itertools.pairwise(edges)]
    assert counted.count == len(values)
    assert counted.sum == pytest.approx(sum(values))


@pytest.mark.parametrize("value", [-1, -0.5, math.nan])
def test_a_value_that_cannot_be_is_not_counted(value: float) -> None:
    counted = Histogram((1.0,))
    counted.observe(value)
    assert (counted.counts, counted.sum) == ([0, 0], 0)


def test_a_gauge_goes_both_ways() -> None:
    level = Gauge()
    level.set(5)
    level.inc(3)
    level.dec()
    assert level.value == 7


def test_whole_bounds_stay_whole() -> None:
    assert histogram("a", "A.", unit="tokens", bounds=(1, 4)).bounds == (1, 4)
    assert all(isinstance(bound, float) for bound in histogram("a", "A.", unit="s", bounds=(0.5, 1)).bounds)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: counter("requests", "No suffix."),
        lambda: gauge("requests_total", "A counter's suffix."),
        lambda: gauge("Requests", "Upper case."),
        lambda: histogram("a", "Descending.", unit="", bounds=(2, 1)),
        lambda: histogram("a", "Twice the same.", unit="", bounds=(1, 1)),
        lambda: histogram("a", "Not finite.", unit="", bounds=(1, math.inf)),
        lambda: Label("le", "Reserved."),
        lambda: Label("a-b", "A hyphen."),
    ],
)
def test_a_declaration_that_no_scraper_would_read_is_refused(declare: object) -> None:
    assert callable(declare)
    with pytest.raises(ValueError):
        declare()
