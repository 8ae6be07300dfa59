"""What is counted and logged of each request: one place where facts become metrics and a line in the log.

Instruments are looked up once for each combination of labels and kept, so a request costs a few additions.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from shipway.cost.prices import TokenClasses
from shipway.gateway.breaker import State
from shipway.gateway.model_api import PATHS
from shipway.gateway.refusals import CODES
from shipway.gateway.snapshot import Snapshot
from shipway.gateway.upstreams import Endpoint
from shipway.monitoring import metrics
from shipway.monitoring.instruments import Counter, Histogram
from shipway.monitoring.logging import AccessLog, AccessRecord
from shipway.monitoring.registry import Registry

_OPERATION_NAMES = {path: model_path.name for path, model_path in PATHS.items()}
_UNBILLED = frozenset(path for path, model_path in PATHS.items() if not model_path.billed)
_MAX_BUNDLES = 4096

UNREAD_CODES = {408: "request_timeout", 414: "target_too_long", 431: "header_too_large", 501: "unknown_method"}
"""Codes for metrics of what never became a request, by the status of the answer; any other is `malformed_request`."""

_TOLD_TO_CLIENTS = frozenset(CODES) - {"client_gone"}


class _Labels(NamedTuple):
    operation: str
    target: str
    upstream: str
    release: str
    status: int
    error: str


class _Tokens:
    """The instruments of tokens of one combination of labels."""

    __slots__ = ("_classes", "_registry", "_who", "input", "output", "plain_input", "plain_output")

    def __init__(self, registry: Registry, who: tuple[str, str, str, str]) -> None:
        self._registry = registry
        self._who = who
        self.input = registry.child(metrics.TOKENS, *who, "input")
        self.output = registry.child(metrics.TOKENS, *who, "output")
        self.plain_input = registry.child(metrics.TOKEN_CLASSES, *who, "input")
        self.plain_output = registry.child(metrics.TOKEN_CLASSES, *who, "output")
        self._classes = {"input": self.plain_input, "output": self.plain_output}

    def count(self, usage: TokenClasses) -> None:
        """Count each class. The counter of one is made when there is something to count: most classes never have."""
        for name, tokens in (
            ("input", usage.input),
            ("cached_read", usage.cached_read),
            ("cached_write", usage.cached_write),
            ("input_audio", usage.input_audio),
            ("input_image", usage.input_image),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
            ("output_audio", usage.output_audio),
            ("output_image", usage.output_image),
        ):
            if tokens:
                known = self._classes.get(name)
                if known is None:
                    known = self._classes[name] = self._registry.child(metrics.TOKEN_CLASSES, *self._who, name)
                known.value += tokens


class _Bundle:
    """The instruments of one combination of labels."""

    __slots__ = (
        "cost",
        "cost_bad",
        "cost_good",
        "cost_unknown",
        "duration",
        "first_token",
        "output_token",
        "overhead",
        "refusals",
        "requests",
        "stream",
        "tokens",
    )

    def __init__(self, registry: Registry, labels: _Labels, kind: str) -> None:
        release = labels.release
        status = "499" if labels.status == 499 else f"{labels.status // 100}xx"
        self.requests = registry.child(metrics.REQUESTS, kind, labels.target, status, release)
        self.overhead = registry.child(metrics.OVERHEAD, kind)
        self.refusals: Counter | None = None
        if labels.error in _TOLD_TO_CLIENTS:
            self.refusals = registry.child(metrics.REFUSALS, labels.error)
        self.stream: Counter | None = None
        self.duration: Histogram | None = None
        self.first_token: Histogram | None = None
        self.output_token: Histogram | None = None
        self.tokens: _Tokens | None = None
        self.cost: Counter | None = None
        self.cost_good: Counter | None = None
        self.cost_bad: Counter | None = None
        self.cost_unknown: Counter | None = None
        """Only of calls that may be billed."""
        if kind == "model":
            who = (labels.operation, labels.upstream.partition("/")[0], labels.target, release)
            self.duration = registry.child(metrics.MODEL_DURATION, *who, labels.error)
            self.first_token = registry.child(metrics.FIRST_TOKEN, *who)
            self.output_token = registry.child(metrics.OUTPUT_TOKEN, *who)
            self.tokens = _Tokens(registry, who)
            self.stream = registry.child(metrics.STREAMS, _stream_outcome(labels.error))
        elif kind == "service":
            self.duration = registry.child(metrics.SERVICE_DURATION, labels.target, release)

    def count_money(self, registry: Registry, labels: _Labels, *, priced: bool, limited: bool) -> None:
        """Have instruments for what calls cost that an upstream bills.

        Args:
            priced: Whether the upstream's prices are known. Without them there is no sum: a 0 would look like one.
            limited: Whether there is an objective.
        """
        payer = (labels.target, labels.upstream.partition("/")[0], labels.release)
        if priced:
            self.cost = registry.child(metrics.COST, *payer)
            if limited:
                self.cost_good = registry.child(metrics.COST_OBJECTIVE, labels.target, labels.release, "good")
                self.cost_bad = registry.child(metrics.COST_OBJECTIVE, labels.target, labels.release, "bad")
        if labels.status < 300 or labels.status == 499:  # nobody bills an error
            reason = "usage" if priced else "price"
            self.cost_unknown = registry.child(metrics.COST_UNKNOWN_CALLS, *payer, reason)


_BundleKey = tuple[bytes, str | None, str | None, str | None, str | None, int, str | None]


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
        self._bundles: dict[_BundleKey, _Bundle] = {}
        self._priced: frozenset[tuple[str, str, str]] = frozenset()
        self._cost_limit: int | None = None
        self._attempts: dict[tuple[str, str], Counter] = {}
        self._timeouts: dict[str, Counter] = {}
        self._guards: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._to_client = registry.child(metrics.RELAYED, "to_client")
        self._to_upstream = registry.child(metrics.RELAYED, "to_upstream")
        self.in_flight = registry.child(metrics.IN_FLIGHT)
        registry.allow(metrics.CODE, (*_TOLD_TO_CLIENTS, *UNREAD_CODES.values(), "malformed_request"))
        registry.allow(metrics.ERROR_TYPE, CODES)
        registry.read_at_scrape(metrics.LOG_LINES_DROPPED, lambda: 0 if log is None else log.dropped)

    def follow(self, snapshot: Snapshot) -> None:
        """Take the label values that *snapshot* knows; anything else is counted as `other`."""
        registry = self.registry
        self._bundles.clear()
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
        bundle = self._bundles.get(key)
        if bundle is None:
            if len(self._bundles) >= _MAX_BUNDLES:
                self._bundles.clear()
            bundle = self._bundles[key] = self._new_bundle(record)
        bundle.requests.value += 1
        if bundle.refusals is not None:
            bundle.refusals.value += 1
        if record.stale:
            self.registry.child(metrics.RETRIES, "stale").inc(record.stale)
        duration_s = record.duration_s
        overhead_s = duration_s - record.waited_s
        bundle.overhead.observe(overhead_s if overhead_s > 0.0 else 0.0)
        self._to_client.value += record.response_bytes
        self._to_upstream.value += record.request_bytes
        if bundle.duration is not None:
            bundle.duration.observe(duration_s)
        if model:
            _count_answer(record, bundle)
            if record.cost_pico_usd is not None:
                self._count_cost(record.cost_pico_usd, bundle)
            elif bundle.cost_unknown is not None:
                bundle.cost_unknown.value += 1
        if self._log is not None:
            self._log.write(record)

    def _count_cost(self, cost_pico_usd: int, bundle: _Bundle) -> None:
        if bundle.cost is not None:
            bundle.cost.value += cost_pico_usd
        met = bundle.cost_good if self._cost_limit is None or cost_pico_usd <= self._cost_limit else bundle.cost_bad
        if met is not None:
            met.value += 1

    def _new_bundle(self, record: AccessRecord) -> _Bundle:
        kind = "model" if record.model else "service" if record.service else "gateway"
        labels = _Labels(
            _OPERATION_NAMES.get(record.path, "") if kind == "model" else "",
            record.model or record.service or "",
            record.upstream or "",
            record.release or "",
            record.status,
            record.error or "",
        )
        bundle = _Bundle(self.registry, labels, kind)
        if kind == "model" and record.upstream and record.path not in _UNBILLED:
            priced = (labels.target, labels.release, record.upstream) in self._priced
            bundle.count_money(self.registry, labels, priced=priced, limited=self._cost_limit is not None)
        return bundle

    def breakers(self, snapshot: Snapshot, now_s: float) -> dict[tuple[str, ...], float]:
        """The state of each upstream's breaker; of several endpoints the worst."""
        states: dict[tuple[str, ...], float] = {}
        for label, endpoint in _labelled(snapshot):
            state = _STATE_NUMBERS[endpoint.breaker.state(now_s)]
            states[(label,)] = max(states.get((label,), 0.0), state)
        return states

    def breaker_openings(self, snapshot: Snapshot) -> dict[tuple[str, ...], float]:
        counts: dict[tuple[str, ...], float] = {}
        for label, endpoint in _labelled(snapshot):
            counts[(label,)] = counts.get((label,), 0.0) + endpoint.breaker.openings
        return counts

    def upstreams_in_flight(self, snapshot: Snapshot) -> dict[tuple[str, ...], float]:
        counts: dict[tuple[str, ...], float] = {}
        for label, endpoint in _labelled(snapshot):
            counts[(label,)] = counts.get((label,), 0.0) + endpoint.in_flight
        return counts


def _count_answer(record: AccessRecord, bundle: _Bundle) -> None:
    """Tokens, and how a stream went: only streams have a first token."""
    first_s = record.first_token_s
    output = record.output_tokens
    tokens = bundle.tokens
    if tokens is not None:
        usage = record.usage
        if record.input_tokens is not None:
            tokens.input.observe(record.input_tokens)
            if usage is None:
                tokens.plain_input.value += record.input_tokens
        if output is not None:
            tokens.output.observe(output)
            if usage is None:
                tokens.plain_output.value += output
        if usage is not None:
            tokens.count(usage)
    if first_s is not None and bundle.first_token is not None:
        bundle.first_token.observe(first_s)
        if bundle.stream is not None:
            bundle.stream.inc()
        if output is not None and output > 1 and bundle.output_token is not None:
            bundle.output_token.observe(max(0.0, record.duration_s - first_s) / (output - 1))


_STREAM_OUTCOMES = {"client_gone": "client_left"} | dict.fromkeys(
    ("upstream_error", "guard_refused", "guard_unavailable", "guard_unreadable"), "in_band_error"
)


def _stream_outcome(error: str) -> str:
    if not error:
        return "whole"
    return _STREAM_OUTCOMES.get(error, "cut")


_STATE_NUMBERS = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0}


def _labelled(snapshot: Snapshot) -> set[tuple[str, Endpoint]]:
    """Every endpoint with the name that metrics give it."""
    pairs = {(one.upstream.label, one.endpoint) for one in snapshot.candidates()}
    for service in snapshot.services.values():
        pairs |= {(service.name, endpoint) for endpoints in service.releases.values() for endpoint in endpoints}
    return pairs
