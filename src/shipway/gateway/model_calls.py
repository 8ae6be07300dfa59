"""Calls to models: which upstreams are asked, in which order, and what their answers mean.

Upstreams are tried in the order of the app file, each at most once, until one answers. Its answer counts when it makes
sense in the dialect: a page of HTML with a good status, a body cut short or an error said inside a stream before its first
token send the request on to the next upstream, invisibly to the client.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from shipway.cost.prices import Prices
from shipway.gateway import refusals
from shipway.gateway.affinity import affinity_key
from shipway.gateway.attempt import Attempt, fault_kind
from shipway.gateway.balancing import by_affinity, by_weight, least_in_flight, lowest_latency
from shipway.gateway.cache.kept_answers import KeptAnswers
from shipway.gateway.cache.recording import RecordedReader
from shipway.gateway.call import Call
from shipway.gateway.delivery import Delivery, delivery_to
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.dialects.openai import STREAM_CONTENT_TYPE
from shipway.gateway.dialects.openai_stream import MAX_EVENT_BYTES
from shipway.gateway.dialects.usage import TokenUsage
from shipway.gateway.guards.watch import Watch
from shipway.gateway.http1.content_coding import BadCoding, inflater_for
from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.http1.upstream_connection import UpstreamFault
from shipway.gateway.model_api import AnswerReader, ModelPath, Usage
from shipway.gateway.model_stream import Heart, ModelStream
from shipway.gateway.own_calls import OwnCalls
from shipway.gateway.providers.credentials import NoCredentialError
from shipway.gateway.providers.provider import field_value
from shipway.gateway.refusals import JSON_FIELD, Refusal, Refused
from shipway.gateway.retry_budget import RetryBudget
from shipway.gateway.snapshot import ONLY, Candidate, Group
from shipway.gateway.telemetry import Telemetry
from shipway.gateway.upstream_refusals import Busy, busy_in_band, refuse_status
from shipway.gateway.upstreams import Endpoint

MAX_ATTEMPTS: Final = 3
MAX_HELD_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""An unstreamed answer is held whole up to this size, so that one cut short never reaches a client as a success."""

_OK: Final = HTTPStatus.OK.value


class TryNext(Exception):
    """This upstream did not answer; *refusal* is what the client is told if no other does."""

    def __init__(self, refusal: Refusal, error: str, reason: str) -> None:
        super().__init__(error)
        self.refusal = refusal
        self.error = error
        self.reason = reason


class ModelCalls:
    """Answers calls to models, with one budget for all second tries of the process."""

    def __init__(self, budget: RetryBudget, telemetry: Telemetry) -> None:
        self._budget = budget
        self._telemetry = telemetry
        self._kept = KeptAnswers(telemetry, OwnCalls(self.answer, telemetry).embed)

    async def answer(self, call: Call, path: ModelPath) -> None:
        """Answer one call to *path*. Raises: Refused."""
        exchange = call.exchange
        call.write_refusal = path.write_refusal
        call.status_of = path.status_of
        if path.id_name:
            call.name_request(path.id_name)
        if exchange.head.method != b"POST":
            raise Refused(refusals.method_not_allowed("POST"))
        waiting = call.admit()
        if waiting is not None:
            await waiting
        max_bytes = call.snapshot.max_body_bytes
        body = exchange.whole_body(max_bytes)
        if body is None:
            body = await exchange.read_body(max_bytes)
        read = path.read_request
        request = ModelRequest(body) if read is None else read(body, exchange.head.field(b"content-type"))
        model = call.snapshot.models.get(request.model)
        if model is None:
            raise Refused(refusals.unknown_model(request.model))
        call.model = model.name
        if request.stream:
            call.stream_error = path.stream_error
        if model.guards is not None:
            call.watch = Watch(model.guards, call, path, self._telemetry)
            await call.watch.before(request)
        release = call.choose_release(f"models.{model.name}", request.beginning) if call.snapshot.splits else ONLY
        if model.cache is not None and await self._kept.answer(call, path, request, model.cache, release):
            return
        self._budget.deposit()
        groups = model.releases[release]
        last: TryNext | None = None
        unsuited: Refusal | None = None
        tried: tuple[Endpoint, ...] = ()
        now_s = exchange.connection.server.loop.time
        heart = Heart(call) if request.stream else None
        kind = (call.path, request.stream)
        for group in groups:
            is_retry = False
            while (candidate := self._next(group, tried, is_retry, now_s, request)) is not None:
                tried += (candidate.endpoint,)
                delivery = candidate.deliveries.get(kind)
                if delivery is None:
                    delivery = _delivery(candidate, path, kind)
                if delivery is None:
                    unsuited = refusals.not_offered(model.name, path.operation)
                    continue
                is_retry = True
                breaker = candidate.endpoint.breaker
                if not (breaker.closed or breaker.allows(now_s())):
                    continue
                if last is not None:
                    self._telemetry.retry(last.reason)
                    call.forget_attempt()
                try:
                    await self._try(call, request, candidate, delivery, heart)
                    return
                except TryNext as failed:
                    last = failed
                    call.error = failed.error
                    if failed.error == "connect":  # no request was sent, so the next try adds no load
                        is_retry = False
                if call.attempts == MAX_ATTEMPTS or now_s() >= call.total_deadline_s:
                    raise Refused(last.refusal)
        raise Refused(last.refusal if last else unsuited or _all_resting(groups, now_s()))

    async def _try(
        self, call: Call, request: ModelRequest, candidate: Candidate, delivery: Delivery, heart: Heart | None
    ) -> None:
        """Have one endpoint answer. Raises: TryNext, when it did not and another may."""
        upstream, endpoint = candidate.upstream, candidate.endpoint
        call.upstream = upstream.label
        call.attempts += 1
        call.error = None
        call.prices = delivery.prices
        call.cost_pico_usd = None
        try:
            message = delivery.message(call, request)
        except Exception as error:
            endpoint.breaker.probe_abandoned(call.now_s)
            if isinstance(error, NoCredentialError):
                raise TryNext(refusals.upstream_failed("error"), "no_credential", "fault") from error
            raise
        attempt = Attempt(call, endpoint)
        outcome = "client_left"
        try:
            token_by_s = NEVER
            if heart is not None:
                token_by_s = attempt.began_s + call.snapshot.deadlines.first_token_s
                attempt.beat_with(heart)
            answer = attempt.send(b"POST", message, safe=False, first_token_by_s=token_by_s)
            try:
                response = await answer
            except UpstreamFault as fault:
                response = await attempt.send_again(fault)
            attempt.answered()
            call.upstream_request_id = response.request_id
            if delivery.id_fields:
                call.upstream_request_id = field_value(response.lines, delivery.id_fields) or response.request_id
            if response.status >= 300:
                await refuse_status(attempt, response, delivery)
            streamed = delivery.content_type
            if not (streamed or delivery.held):
                if response.content_type.startswith(b"text/html") or b"json" in response.content_type:
                    raise UpstreamFault("garbage", "a page or a document, not a file")
                # Its first bytes are waited for, until which another upstream can still take its place.
                if await attempt.read(0) == []:
                    raise UpstreamFault("garbage", "a file without content")
                await attempt.relay(response)
            elif response.content_type.startswith(streamed or STREAM_CONTENT_TYPE) != bool(streamed):
                raise UpstreamFault("garbage", "not the kind of answer that was asked for")
            elif streamed:
                reader = delivery.reader(call, request)
                if call.recording is not None:
                    reader = RecordedReader(reader, call.recording)
                await _deliver_stream(call, attempt, reader, response.content_encoding)
            else:
                pieces = attempt.connection.whole_body() or await attempt.read(MAX_HELD_ANSWER_BYTES)
                if pieces is not None:
                    body = _whole_answer(call, request, delivery, response, pieces)
                    if call.watch is not None:
                        await call.watch.answer(body)
                    if call.recording is not None:
                        call.recording.whole(body)
                    # Of the upstream's other fields none: they are about its own limits, site and cookies.
                    fields = JSON_FIELD if body.startswith(b"{") else b"Content-Type: %b\r\n" % response.content_type
                    call.respond(_OK, fields, body)
                    attempt.works(attempt.age_s() if candidate.timed else None)
                elif delivery.translated or (call.watch is not None and call.watch.after):
                    raise UpstreamFault("garbage", "an answer too large to be translated, or checked")
                else:
                    await _relay_unread(attempt, response)
            outcome = attempt.midway_fault or "answered"
        except Refused:
            outcome = "answered"  # the client's mistake; the upstream works
            raise
        except UpstreamFault as fault:
            outcome = fault.kind
            reason = "deadline" if fault.kind.endswith("_timeout") else "fault"
            raise TryNext(refusals.upstream_failed(fault.kind), fault.kind, reason) from fault
        except Busy as busy:
            outcome = busy.outcome
            if busy.wait_s:  # a wait of nothing asks for nothing, and it has failed like one that names none
                outcome = ""
                endpoint.told_to_wait(attempt.now_s(), busy.wait_s, limited=busy.status == HTTPStatus.TOO_MANY_REQUESTS)
            raise TryNext(busy.refusal, f"status_{busy.status}", "status") from busy
        finally:
            if outcome == "answered":
                attempt.works()
            elif outcome == "client_left":
                endpoint.breaker.probe_abandoned(attempt.began_s)
            elif outcome:
                endpoint.breaker.failed(attempt.now_s(), attempt.began_s)
            self._telemetry.attempt(upstream.label, outcome or "error_status")
            attempt.end()

    def _next(
        self,
        group: Group,
        tried: Sequence[Endpoint],
        is_retry: bool,
        now_s: Callable[[], float],
        request: ModelRequest,
    ) -> Candidate | None:
        """Which of *group* to ask, passing over those that rest; None when that is nobody.

        The next group in order is what the app file asks for; another try among equals that were asked is a retry and needs the
        budget.
        """
        willing = _willing(group.candidates, tried, now_s)
        if not willing or (is_retry and not self._budget.withdraw(now_s())):
            return None
        return willing[0] if len(willing) == 1 else _pick(group.policy, willing, now_s, request)


def _willing(
    candidates: Sequence[Candidate], tried: Sequence[Endpoint], now_s: Callable[[], float]
) -> Sequence[Candidate]:
    """Those that were not tried yet and may be asked."""
    for one in candidates:
        endpoint = one.endpoint
        if endpoint in tried or not endpoint.healthy or not endpoint.breaker.closed:
            break
    else:
        return candidates  # as nearly always
    now = now_s()
    return [one for one in candidates if one.endpoint not in tried and one.endpoint.willing(now)]


def _pick(policy: str, willing: Sequence[Candidate], now_s: Callable[[], float], request: ModelRequest) -> Candidate:
    if policy == "weighted":
        return by_weight(willing)
    if policy == "lowest-latency":
        return lowest_latency(willing, now_s())
    if policy == "prefix-affinity":
        return by_affinity(willing, affinity_key(request.model, request.conversation()))
    return least_in_flight(willing)


def _whole_answer(
    call: Call, request: ModelRequest, delivery: Delivery, response: ResponseHead, pieces: list[bytes]
) -> bytes:
    """What the client gets for an upstream's answer, if it is one. Raises: UpstreamFault."""
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    try:
        if response.content_encoding:
            body = _inflated(body, response.content_encoding)
        body, usage = delivery.answer(call, request, response, body)
    except ValueError as error:
        raise UpstreamFault("garbage", str(error)) from error
    _note_usage(call, usage)
    return body


def _inflated(body: bytes, coding: bytes) -> bytes:
    """Raises: BadCoding."""
    inflater = inflater_for(coding, MAX_HELD_ANSWER_BYTES)
    if inflater is None:
        return body
    inflated = inflater.feed(body)
    if not inflater.whole:
        raise BadCoding("cut short")
    return inflated


async def _relay_unread(attempt: Attempt, response: ResponseHead) -> None:
    """Pass on an answer that is too large to be looked at, so its name must do. Raises: UpstreamFault."""
    if b"json" not in response.content_type or response.content_encoding not in {b"", b"identity"}:
        raise UpstreamFault("garbage", "not the kind of answer that was asked for")
    await attempt.relay(response, JSON_FIELD)


async def _deliver_stream(call: Call, attempt: Attempt, reader: AnswerReader, coding: bytes) -> None:
    try:
        inflater = inflater_for(coding, MAX_EVENT_BYTES)
    except BadCoding as bad:
        raise UpstreamFault("garbage", str(bad)) from bad
    gate = None if call.watch is None else call.watch.gate(attempt)
    stream = ModelStream(call, attempt, reader, inflater, gate)
    if gate is not None:
        gate.on_refused = partial(stream.done.set, None)
    attempt.enter_until("first_token_timeout", attempt.began_s + call.snapshot.deadlines.first_token_s)
    try:
        await attempt.pour(stream, stream.done)
        if gate is not None and stream.fault is None:
            await gate.emptied()
    except asyncio.CancelledError:
        if not stream.had_by_client():
            raise
    finally:  # also of a stream whose client left
        stream.count_taken()
        if gate is not None:
            gate.close()
        _note_usage(call, reader.usage)
        if not reader.done:
            _note_broken_off(call, stream.pieces)
    if stream.fault is not None:
        if not stream.flowing:
            busy = busy_in_band(reader.error_kind, reader.error_wait_s) if reader.failed == "error" else None
            raise stream.fault if busy is None else busy from stream.fault
        attempt.midway_fault = fault_kind(stream.fault)


def _note_usage(call: Call, usage: Usage | None) -> None:
    if usage is not None:
        call.input_tokens = usage.prompt_tokens
        call.usage = parts = usage.parts
        call.output_tokens = usage.completion_tokens if parts is None else parts.completion_tokens
        if call.prices is not None:
            call.cost_pico_usd = _cost(call.prices, call)


def _note_broken_off(call: Call, pieces: int) -> None:
    """What went to the client of a stream that broke off counts, however little was reported: a piece is a token at least."""
    reported = call.output_tokens or 0
    if pieces <= reported:
        return
    call.output_tokens = pieces
    call.output_estimated = True
    if isinstance(call.usage, TokenUsage):
        call.usage = call.usage.with_more_output(pieces - reported)
    if call.prices is not None:
        call.cost_pico_usd = _cost(call.prices, call)


def _cost(prices: Prices, call: Call) -> int | None:
    rates = prices.at(time.time()).for_input(call.input_tokens)
    return rates.plain(call.input_tokens, call.output_tokens) if call.usage is None else rates.cost(call.usage)


def _all_resting(groups: tuple[Group, ...], now_s: float) -> Refusal:
    endpoints = [one.endpoint for group in groups for one in group.candidates]
    soonest = min(endpoints, key=lambda one: one.breaker.retry_in_s(now_s))
    wait_s = soonest.breaker.retry_in_s(now_s)
    if soonest.limited_until_s > now_s:
        return refusals.upstream_busy(HTTPStatus.TOO_MANY_REQUESTS, wait_s)
    return refusals.resting(max(1, math.ceil(wait_s)))


def _delivery(candidate: Candidate, path: ModelPath, kind: tuple[bytes, bool]) -> Delivery | None:
    """The delivery of calls of this *kind* to *candidate*, which keeps it."""
    delivery = delivery_to(candidate, path, stream=kind[1])
    if delivery is not None:
        candidate.deliveries[kind] = delivery
    return delivery
