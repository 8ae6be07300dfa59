"""Calls of models that have a cache: answered with what is kept, or on their way with a recording."""

from __future__ import annotations

from http import HTTPStatus
from time import perf_counter

from shipway.gateway.cache.entry import Entry
from shipway.gateway.cache.flights import Flight
from shipway.gateway.cache.model_cache import ModelCache
from shipway.gateway.cache.recording import Recording
from shipway.gateway.cache.request import key_of, may_be_kept, wishes
from shipway.gateway.call import Call
from shipway.gateway.dialects.openai import ModelRequest
from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.running import Waiter
from shipway.gateway.model_api import ModelPath
from shipway.gateway.model_stream import Heart, open_stream
from shipway.gateway.refusals import JSON_FIELD, Refused, upstream_failed
from shipway.gateway.telemetry import Telemetry

_OK = HTTPStatus.OK.value


class KeptAnswers:
    """Looks for what is kept, for all models of the process."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

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
            return False
        began_s = perf_counter()
        entry = await cache.store.get(key)
        call.waited_s += perf_counter() - began_s
        if entry is not None and entry.stream == request.stream and entry.age_s(cache.wall_s()) <= max_age_s:
            self._give(call, cache, entry, b"hit")
            return True
        flight, leads = cache.flights.join(key)
        if not leads:
            shared = await _wait(call, flight, stream=request.stream)
            if shared is not None:
                self._give(call, cache, shared, b"shared")
                return True
        call.recording = Recording(call, cache, key, flight, stream=request.stream)
        self._note(call, b"miss")
        return False

    def _give(self, call: Call, cache: ModelCache, entry: Entry, result: bytes) -> None:
        exchange = call.exchange
        if exchange.ended:  # refused meanwhile, since the gateway stops
            return
        call.cache = result
        call.fields += b"x-shipway-cache: hit\r\nAge: %d\r\n%b" % (entry.age_s(cache.wall_s()), entry.dropped)
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


async def _wait(call: Call, flight: Flight, *, stream: bool) -> Entry | None:
    """The answer that another call is getting; None when this one is to ask itself, which it then must report to *flight*.

    While it waits a client of a stream is sent comments, as it would be while it waits for the model. They come with the
    header of a miss, since nobody knows yet.
    """
    exchange = call.exchange
    now_s = exchange.connection.server.loop.time
    heart = Heart(call) if stream else None
    patience_s = call.snapshot.deadlines.first_token_s
    seat: Waiter[Entry | None] = flight.take_seat()
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
