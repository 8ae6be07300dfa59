"""What is counted and logged of each request: one place where facts become metrics and a line in the log."""

from __future__ import annotations

import asyncio
from typing import Final

from shipway.gateway.call_instruments import TOLD_TO_CLIENTS, CallInstruments, CallLabels
from shipway.gateway.model_api import PATHS
from shipway.gateway.refusals import CODES
from shipway.gateway.snapshot import Snapshot
from shipway.monitoring import metrics
from shipway.monitoring.instruments import Counter, Histogram
from shipway.monitoring.logging import AccessLog, AccessRecord
from shipway.monitoring.registry import Registry

_OPERATION_NAMES: Final = {path: model_path.name for path, model_path in PATHS.items()}
_UNBILLED: Final = frozenset(path for path, model_path in PATHS.items() if not model_path.billed)
_MAX_KINDS: Final = 4096

UNREAD_CODES: Final = {408: "request_timeout", 414: "target_too_long", 431: "header_too_large", 501: "unknown_method"}
"""Codes for metrics of what never became a request, by the status of the answer; any other is `malformed_request`."""

_Kind = tuple[bytes, str | None, str | None, str | None, str | None, int, str | None]


class Telemetry:
    """Counts and logs the calls of one process.

    Args:
        loop: The event loop of those that end calls: they are then counted together at the end of its turn, which costs half
            of what each costs between other work. None: at once.
    """

    def __init__(
        self, registry: Registry, log: AccessLog | None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.registry = registry
        self._log = log
        self._loop = loop
        self._ended: list[AccessRecord] = []
        self._instruments: dict[_Kind, CallInstruments] = {}
        self._priced: frozenset[tuple[str, str, str]] = frozenset()
        self._cost_limit: int | None = None
        self._attempts: dict[tuple[str, str], Counter] = {}
        self._timeouts: dict[str, Counter] = {}
        self._guards: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._to_client = registry.child(metrics.RELAYED, "to_client")
        self._to_upstream = registry.child(metrics.RELAYED, "to_upstream")
        self.in_flight = registry.child(metrics.IN_FLIGHT)
        registry.allow(metrics.CODE, (*TOLD_TO_CLIENTS, *UNREAD_CODES.values(), "malformed_request"))
        registry.allow(metrics.ERROR_TYPE, CODES)
        registry.read_at_scrape(metrics.LOG_LINES_DROPPED, lambda: 0 if log is None else log.dropped)

    def follow(self, snapshot: Snapshot) -> None:
        """Take the label values that *snapshot* knows; anything else is counted as `other`."""
        registry = self.registry
        self._instruments.clear()
        self._attempts.clear()
        self._guards.clear()
        upstreams = {candidate.upstream.label for candidate in snapshot.candidates()}
        registry.allow(metrics.MODEL, snapshot.models)
        guards = snapshot.guards()
        registry.allow(metrics.GUARD, {guard.name for guard in guards})
        registry.allow(metrics.GUARD_REASON, {reason for guard in guards for reason in guard.terms.reasons})
        registry.allow(metrics.PROVIDER, {label.partition("/")[0] for label in upstreams})
        registry.allow(metrics.TARGET, {*snapshot.models, *snapshot.services})
        registry.allow(metrics.UPSTREAM, {*upstreams, *snapshot.services})
        registry.allow(metrics.RELEASE, snapshot.releases())
        self._priced = frozenset(snapshot.priced())
        self._cost_limit = snapshot.objectives.cost_pico_usd

    def attempt(self, upstream: str, outcome: str) -> None:
        """One attempt at *upstream* ended with *outcome* (`metrics.OUTCOME`)."""
        counter = self._attempts.get((upstream, outcome))
        if counter is None:
            counter = self._attempts[upstream, outcome] = self.registry.child(metrics.ATTEMPTS, upstream, outcome)
            if outcome.endswith("_timeout"):
                deadline = outcome.removesuffix("_timeout")
                self._timeouts[outcome] = self.registry.child(metrics.DEADLINES, deadline)
        counter.value += 1
        if outcome != "answered" and outcome in self._timeouts:
            self._timeouts[outcome].value += 1

    def looked_up(self, model: str, result: str) -> None:
        """A call of a model with a cache had that *result* (`metrics.CACHE_RESULT`)."""
        self.registry.child(metrics.CACHE_LOOKUPS, model, result).inc()

    def similarity(self, model: str, cosine: float) -> None:
        """A question was compared, and this is how near the nearest one was."""
        self.registry.child(metrics.CACHE_SIMILARITY, model).observe(cosine)

    def saved(self, model: str, input_tokens: int | None, output_tokens: int | None, cost_pico_usd: int | None) -> None:
        """A kept answer was given again; None is unknown."""
        for count, kind in ((input_tokens, "input"), (output_tokens, "output")):
            if count:
                self.registry.child(metrics.CACHE_TOKENS_SAVED, model, kind).inc(count)
        if cost_pico_usd is not None:
            self.registry.child(metrics.CACHE_SAVED, model).inc(cost_pico_usd)

    def retry(self, reason: str) -> None:
        self.registry.child(metrics.RETRIES, reason).inc()

    def guard(self, guard: str, when: str, outcome: str, reason: str, duration_s: float) -> None:
        """A check ended (`metrics.GUARD_OUTCOME`); *reason* is that of a refusal."""
        key = (guard, when, outcome)
        known = self._guards.get(key)
        if known is None:
            child = self.registry.child
            known = child(metrics.GUARD_CHECKS, *key), child(metrics.GUARD_DURATION, guard, when)
            self._guards[key] = known
        known[0].value += 1
        known[1].observe(duration_s)
        if outcome == "refused":
            self.registry.child(metrics.GUARD_REFUSALS, guard, reason).inc()

    def refused_unread(self, status: int) -> None:
        """What a client sent never became a request, and was answered with *status*."""
        self.registry.child(metrics.REFUSALS, UNREAD_CODES.get(status, "malformed_request")).inc()

    def client_too_slow(self, deadline: str) -> None:
        """A client let a *deadline* of the listener pass (`metrics.DEADLINE`)."""
        self.registry.child(metrics.DEADLINES, deadline).inc()

    def finished(self, record: AccessRecord) -> None:
        """A request is over: count it and write its line."""
        if self._loop is None:
            self._count(record)
        else:
            if not self._ended:
                self._loop.call_soon(self.settle)
            self._ended.append(record)

    def settle(self) -> None:
        """Count what has ended in this turn."""
        ended, self._ended = self._ended, []
        for record in ended:
            self._count(record)

    def _count(self, record: AccessRecord) -> None:
        model = record.model
        # A path is one of a few where it led to a model, and anything elsewhere.
        path = record.path if model else b""
        key = (path, model, record.service, record.upstream, record.release, record.status, record.error)
        instruments = self._instruments.get(key)
        if instruments is None:
            if len(self._instruments) >= _MAX_KINDS:
                self._instruments.clear()
            instruments = self._instruments[key] = self._new_instruments(record)
        instruments.requests.value += 1
        if instruments.refusals is not None:
            instruments.refusals.value += 1
        if record.stale:
            self.registry.child(metrics.RETRIES, "stale").inc(record.stale)
        duration_s = record.duration_s
        overhead_s = duration_s - record.waited_s
        instruments.overhead.observe(overhead_s if overhead_s > 0.0 else 0.0)
        self._to_client.value += record.response_bytes
        self._to_upstream.value += record.request_bytes
        if instruments.duration is not None:
            instruments.duration.observe(duration_s)
        if model:
            instruments.count_answer(record)
            if record.cost_pico_usd is not None:
                instruments.count_cost(record.cost_pico_usd, self._cost_limit)
            elif instruments.cost_unknown is not None:
                instruments.cost_unknown.value += 1
        if self._log is not None:
            self._log.write(record)

    def _new_instruments(self, record: AccessRecord) -> CallInstruments:
        kind = "model" if record.model else "service" if record.service else "gateway"
        labels = CallLabels(
            _OPERATION_NAMES.get(record.path, "") if kind == "model" else "",
            record.model or record.service or "",
            record.upstream or "",
            record.release or "",
            record.status,
            record.error or "",
        )
        instruments = CallInstruments(self.registry, labels, kind)
        if kind == "model" and record.upstream and record.path not in _UNBILLED:
            priced = (labels.target, labels.release, record.upstream) in self._priced
            instruments.add_money(self.registry, labels, priced=priced, limited=self._cost_limit is not None)
        return instruments
