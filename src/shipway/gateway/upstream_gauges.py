"""What a scrape reads of upstreams and services: how their breakers are, and what is under way."""

from __future__ import annotations

from collections.abc import Callable

from shipway.gateway.breaker import State
from shipway.gateway.snapshot import Snapshot
from shipway.gateway.upstreams import Endpoint

Readings = dict[tuple[str, ...], float]
"""Values by the label that metrics give an upstream."""

_STATE_NUMBERS = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0}


def breakers(snapshot: Snapshot, now_s: float) -> Readings:
    """The state of each upstream's breaker; of several endpoints the worst."""
    states: Readings = {}
    for label, endpoint in _labelled(snapshot):
        state = _STATE_NUMBERS[endpoint.breaker.state(now_s)]
        states[(label,)] = max(states.get((label,), 0.0), state)
    return states


def breaker_openings(snapshot: Snapshot) -> Readings:
    return _sums(snapshot, lambda endpoint: endpoint.breaker.openings)


def in_flight(snapshot: Snapshot) -> Readings:
    return _sums(snapshot, lambda endpoint: endpoint.in_flight)


def _sums(snapshot: Snapshot, count: Callable[[Endpoint], int]) -> Readings:
    sums: Readings = {}
    for label, endpoint in _labelled(snapshot):
        sums[(label,)] = sums.get((label,), 0.0) + count(endpoint)
    return sums


def _labelled(snapshot: Snapshot) -> set[tuple[str, Endpoint]]:
    """Every endpoint with the name that metrics give it."""
    pairs = {(one.upstream.label, one.endpoint) for one in snapshot.candidates()}
    for service in snapshot.services.values():
        pairs |= {(service.name, endpoint) for endpoints in service.releases.values() for endpoint in endpoints}
    return pairs
