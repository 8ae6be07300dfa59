"""The instruments that calls of one combination of labels count in: looked up once and kept, so that a call costs a few
additions."""

from __future__ import annotations

from typing import Final, NamedTuple

from shipway.cost.prices import CLASSES, TokenClasses
from shipway.gateway.refusals import CODES
from shipway.monitoring import metrics
from shipway.monitoring.instruments import Counter, Histogram
from shipway.monitoring.logging import AccessRecord
from shipway.monitoring.registry import Registry

TOLD_TO_CLIENTS: Final = frozenset(CODES) - {"client_gone"}
"""Codes of errors that somebody was there to be told of."""

_STREAM_OUTCOMES: Final = {"client_gone": "client_left"} | dict.fromkeys(
    ("upstream_error", "guard_refused", "guard_unavailable", "guard_unreadable", "draining"), "in_band_error"
)


def _stream_outcome(error: str) -> str:
    if not error:
        return "whole"
    return _STREAM_OUTCOMES.get(error, "cut")


class CallLabels(NamedTuple):
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
        for name in CLASSES:
            tokens = getattr(usage, name)
            if tokens:
                known = self._classes.get(name)
                if known is None:
                    known = self._classes[name] = self._registry.child(metrics.TOKEN_CLASSES, *self._who, name)
                known.value += tokens


class CallInstruments:
    """The instruments of calls of one combination of labels."""

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

    def __init__(self, registry: Registry, labels: CallLabels, kind: str) -> None:
        release = labels.release
        status = "499" if labels.status == 499 else f"{labels.status // 100}xx"
        self.requests = registry.child(metrics.REQUESTS, kind, labels.target, status, release)
        self.overhead = registry.child(metrics.OVERHEAD, kind)
        self.refusals: Counter | None = None
        if labels.error in TOLD_TO_CLIENTS:
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

    def add_money(self, registry: Registry, labels: CallLabels, *, priced: bool, limited: bool) -> None:
        """Add instruments for what calls cost that an upstream bills.

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

    def count_answer(self, record: AccessRecord) -> None:
        """Tokens, and how a stream went: only streams have a first token."""
        first_s = record.first_token_s
        output = record.output_tokens
        tokens = self.tokens
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
        if first_s is not None and self.first_token is not None:
            self.first_token.observe(first_s)
            if self.stream is not None:
                self.stream.inc()
            if output is not None and output > 1 and self.output_token is not None:
                self.output_token.observe(max(0.0, record.duration_s - first_s) / (output - 1))

    def count_cost(self, cost_pico_usd: int, limit_pico_usd: int | None) -> None:
        """Count what a call cost, and whether that is within the objective."""
        if self.cost is not None:
            self.cost.value += cost_pico_usd
        met = self.cost_good if limit_pico_usd is None or cost_pico_usd <= limit_pico_usd else self.cost_bad
        if met is not None:
            met.value += 1
