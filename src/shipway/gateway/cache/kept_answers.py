"""Calls of models that have a cache: answered with what is kept, or on their way with a recording."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter

from shipway.gateway.cache.entry import Found
from shipway.gateway.cache.flights import Flight
from shipway.gateway.cache.model_cache import ModelCache
from shipway.gateway.cache.question import question_of
from shipway.gateway.cache.recording import Recording
from shipway.gateway.cache.request import key_of, may_be_kept, wishes
from shipway.gateway.cache.semantic import Embedded, Placed, Semantic
from shipway.gateway.call import Call
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.running import Waiter
from shipway.gateway.model_api import ModelPath
from shipway.gateway.model_stream import Heart, open_stream
from shipway.gateway.refusals import JSON_FIELD, Refused, upstream_failed
from shipway.gateway.telemetry import Telemetry

_OK = HTTPStatus.OK.value

Embedder = Callable[[Call, str, list[str], float], Awaitable[Embedded | None]]
"""(the call for which it is done, the model of embeddings, texts, seconds) → what it answered, None where it did not."""


class KeptAnswers:
    """Looks for what is kept, for all models of the process."""

    def __init__(self, telemetry: Telemetry, embed: Embedder) -> None:
        self._telemetry = telemetry
        self._embed = embed

    async def answer(self, call: Call, path: ModelPath, request: ModelRequest, cache: ModelCache, release: str) -> bool:
        """Answer an admitted call with what is kept, if there is something.

        Returns:
            Whether it is answered. If not, it is to be asked, and its answer told to `call.recording` where that is set.

        Raises:
            Refused: its time was over while it waited for the answer to another.
        """
        fields = call.exchange.head.passed_on
        keep, max_age_s = wishes(b",".join([value for name, _, value in fields if name == b"cache-control"]))
        key = None
        if keep and may_be_kept(path, request, deterministic=cache.deterministic):
            key = key_of(call, path, request, cache.generations[release])
        if key is None:
            self._note(call, b"bypass")
            return False
        if max_age_s < 0:  # wants an answer made now, which others may have
            self._note(call, b"bypass")
            call.recording = Recording(call, cache, key, None, stream=request.stream)
            call.recording.placed = _placed(call, path, request, cache.semantic, release)
            return False
        began_s = perf_counter()
        entry = await cache.store.get(key)
        call.waited_s += perf_counter() - began_s
        if entry is not None and entry.stream == request.stream and entry.age_s(cache.wall_s()) <= max_age_s:
            self._give(call, cache, Found(entry), b"hit")
            return True
        flight, leads = cache.flights.join(key)
        if not leads:
            shared = await _wait(call, flight, stream=request.stream)
            if shared is not None:
                self._give(call, cache, shared, b"shared")
                return True
        recording = call.recording = Recording(call, cache, key, flight, stream=request.stream)
        if cache.semantic is not None:
            recording.placed = placed = _placed(call, path, request, cache.semantic, release)
            similar = None if placed is None else await self._similar(call, cache, cache.semantic, placed, max_age_s)
            if similar is not None:
                recording.found(similar)
                self._give(call, cache, similar, b"similar")
                return True
        self._note(call, b"miss")
        return False

    async def _similar(
        self, call: Call, cache: ModelCache, semantic: Semantic, placed: Placed, max_age_s: float
    ) -> Found | None:
        """The answer to the most similar question that has one which may be given."""

        def embed(texts: list[str], within_s: float) -> Awaitable[Embedded | None]:
            return self._embed(call, semantic.embeddings, texts, within_s)

        began_s = perf_counter()
        try:
            near = await semantic.index.nearest(
                placed, embed, threshold=semantic.threshold, within_s=semantic.timeout_s
            )
            if placed.nearest is not None:
                self._telemetry.similarity(call.model or "", placed.nearest)
            for key, similarity in near:
                entry = await cache.store.get(key)
                if entry is None:
                    semantic.index.forget(placed, key)
                elif entry.age_s(cache.wall_s()) <= max_age_s:
                    return Found(entry, similarity)
            return None
        finally:
            call.waited_s += perf_counter() - began_s

    def _give(self, call: Call, cache: ModelCache, found: Found, result: bytes) -> None:
        exchange = call.exchange
        entry = found.entry
        if exchange.ended:  # refused meanwhile, since the gateway stops
            return
        call.cache = result
        call.fields += b"x-shipway-cache: hit\r\nAge: %d\r\n%b" % (entry.age_s(cache.wall_s()), entry.dropped)
        if found.similarity is not None:
            call.similarity = found.similarity
            call.fields += b"x-shipway-cache-similarity: %.3f\r\n" % found.similarity
        model = call.model or ""
        self._telemetry.looked_up(model, result.decode())
        self._telemetry.saved(model, entry.input_tokens, entry.output_tokens, entry.cost_pico_usd)
        if entry.stream:
            call.first_token_s = perf_counter() - call.arrived_s
            open_stream(call)
            exchange.write(entry.body)
            exchange.end()
        else:
            call.respond(_OK, JSON_FIELD, entry.body)

    def _note(self, call: Call, result: bytes) -> None:
        call.cache = result
        call.fields += b"x-shipway-cache: %b\r\n" % result
        self._telemetry.looked_up(call.model or "", result.decode())


def _placed(
    call: Call, path: ModelPath, request: ModelRequest, semantic: Semantic | None, release: str
) -> Placed | None:
    """The request's question, to be compared with others; None where it is not to be."""
    if semantic is None:
        return None
    question = question_of(call, path, request, semantic.generations[release], max_bytes=semantic.max_text_bytes)
    return None if question is None else Placed(question)


async def _wait(call: Call, flight: Flight, *, stream: bool) -> Found | None:
    """The answer that another call has got. None: this call has to ask the model itself, and report to *flight*.

    While it waits a client of a stream is sent comments, as it would be while it waits for the model. They come with the
    header of a miss, since nobody knows yet.
    """
    exchange = call.exchange
    now_s = exchange.connection.server.loop.time
    heart = Heart(call) if stream else None
    patience_s = call.snapshot.deadlines.first_token_s
    seat: Waiter[Found | None] = flight.take_seat()
    patient_until_s = call.now_s + patience_s

    def next_deadline() -> None:
        soonest_s = min(call.total_deadline_s, patient_until_s)
        exchange.deadline_s = soonest_s if heart is None else min(soonest_s, heart.beat_by_s)

    def expired() -> None:
        nonlocal patient_until_s
        at_s = now_s()
        if at_s >= call.total_deadline_s:
            seat.fail(Refused(upstream_failed("total_timeout")))
            return
        if at_s >= patient_until_s:
            patient_until_s = at_s + patience_s
            flight.lost_patience(seat)
            if seat.settled:
                return
        if heart is not None and at_s >= heart.beat_by_s:
            heart.beat_by_s = at_s + heart.every_s
            heart.beat()
        next_deadline()

    exchange.on_expire = expired
    next_deadline()
    began_s = perf_counter()
    try:
        return await seat
    finally:
        call.waited_s += perf_counter() - began_s
        exchange.on_expire = None
        exchange.deadline_s = NEVER
        flight.leave(seat)
