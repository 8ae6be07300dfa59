"""The registry: closed label sets, bounds, reloads, and numbers read at scrape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.monitoring.declarations import Label, Metric, counter, gauge, histogram
from shipway.monitoring.registry import OTHER, Registry

MODEL = Label("model", "Open.")
SIDE = Label("side", "Fixed.", ("in", "out"))
CALLS = counter("calls_total", "Calls.", MODEL, SIDE)
OPEN = gauge("open", "Open now.", SIDE)
LEVEL = gauge("level", "A level.")


def _values(registry: Registry, metric: Metric[Any]) -> dict[tuple[str, ...], float]:
    return {
        values: child.value
        for found, children in registry.collect()
        if found is metric
        for values, child in children.items()
    }


def test_the_same_labels_give_the_same_instrument() -> None:
    registry = Registry([CALLS])
    registry.allow(MODEL, ["chat"])
    assert registry.child(CALLS, "chat", "in") is registry.child(CALLS, "chat", "in")
    assert registry.child(CALLS, "chat", "in") is not registry.child(CALLS, "chat", "out")


def test_what_is_not_allowed_is_counted_as_other() -> None:
    registry = Registry([CALLS])
    registry.allow(MODEL, ["chat"])
    registry.child(CALLS, "chat", "in").inc()
    registry.child(CALLS, "gpt-typo", "in").inc(2)
    registry.child(CALLS, "another-typo", "sideways").inc(3)
    registry.child(CALLS, "", "in").inc(4)
    assert _values(registry, CALLS) == {("chat", "in"): 1, (OTHER, "in"): 2, (OTHER, OTHER): 3, ("", "in"): 4}


@given(st.lists(st.tuples(st.text(), st.text()), max_size=60))
def test_children_never_exceed_their_bound_and_nothing_goes_uncounted(calls: list[tuple[str, str]]) -> None:
    registry = Registry([CALLS], max_children=5)
    registry.allow(MODEL, {model for model, _ in calls})
    for call in calls:
        registry.child(CALLS, *call).inc()
    counted = _values(registry, CALLS)
    assert len(counted) <= 6
    assert sum(counted.values()) == len(calls)


def test_values_withdrawn_by_a_reload_stay_until_their_room_is_needed() -> None:
    registry = Registry([CALLS], max_children=2)
    registry.allow(MODEL, ["a", "b"])
    registry.child(CALLS, "a", "in").inc()
    registry.child(CALLS, "b", "in").inc()
    registry.allow(MODEL, ["b", "c"])
    assert set(_values(registry, CALLS)) == {("a", "in"), ("b", "in")}
    registry.child(CALLS, "c", "in").inc()
    assert set(_values(registry, CALLS)) == {("b", "in"), ("c", "in")}


def test_few_and_known_combinations_are_there_from_the_start() -> None:
    registry = Registry([OPEN, LEVEL, CALLS])
    assert _values(registry, OPEN) == {("in",): 0, ("out",): 0}
    assert _values(registry, LEVEL) == {(): 0}
    assert _values(registry, CALLS) == {}


def test_two_labels_of_one_name_keep_their_own_values() -> None:
    first = counter("a_total", "A.", Label("outcome", "One.", ("whole",)))
    second = counter("b_total", "B.", Label("outcome", "Two.", ("answered",)))
    registry = Registry([first, second])
    registry.child(first, "whole").inc()
    registry.child(second, "answered").inc()
    assert _values(registry, first) == {("whole",): 1}
    assert _values(registry, second) == {("answered",): 1}


def test_a_callback_is_asked_at_each_scrape() -> None:
    registry = Registry([OPEN, LEVEL])
    level = [1.0]
    registry.read_at_scrape(LEVEL, lambda: level[0])
    registry.read_at_scrape(OPEN, lambda: {("in",): 3, ("strange",): 4, ("stranger",): 5})
    assert _values(registry, LEVEL) == {(): 1}
    level[0] = 2
    assert _values(registry, LEVEL) == {(): 2}
    assert _values(registry, OPEN) == {("in",): 3, (OTHER,): 9}


def test_a_callback_that_cannot_tell_leaves_the_metric_out() -> None:
    registry = Registry([LEVEL])
    registry.read_at_scrape(LEVEL, lambda: None)
    assert _values(registry, LEVEL) == {}


def test_misuse_is_an_error() -> None:
    registry = Registry([CALLS, histogram("h", "H.", unit="", bounds=(1,))])
    with pytest.raises(ValueError, match="labels"):
        registry.child(CALLS, "chat")
    with pytest.raises(ValueError, match="fixed"):
        registry.allow(SIDE, ["up"])
    with pytest.raises(ValueError, match="twice"):
        Registry([CALLS, CALLS])
    with pytest.raises(ValueError, match="histogram"):
        registry.read_at_scrape(histogram("h", "H.", unit="", bounds=(1,)), lambda: 1)
