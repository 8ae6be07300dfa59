"""Shipway's part: the same exchange through its dialects, in microseconds of CPU."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.dialects import exchange
from shipway.gateway.dialects.bedrock.framing import framed
from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.sse import framed as event_framed
from shipway.gateway.dialects.translated_stream import TranslatedStream

EVENTS = 200
ENVELOPE = Envelope("request-1", "m", 1_700_000_000)


def microseconds(act: Callable[[], object], seconds: float, batch: int = 20) -> float:
    """The fastest of batches, since whatever else runs here can only add."""
    for _ in range(batch):
        act()
    fastest, ends = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.process_time()
        for _ in range(batch):
            act()
        fastest = min(fastest, (time.process_time() - began) / batch)
    return fastest * 1e6


def event_bytes(provider: str, number: int) -> bytes:
    """One event as it comes from the wire."""
    payload = exchange.delta(provider, number)
    if provider == "bedrock":
        return framed(b"contentBlockDelta", payload)
    return event_framed(payload, b"content_block_delta" if provider == "anthropic" else b"")


def measure(provider: str, seconds: float) -> dict[str, float]:
    caller, upstream = open_dialect("openai_chat"), open_dialect(provider)
    sent, model = exchange.answer(provider), exchange.MODELS[provider]
    events = [event_bytes(provider, number) for number in range(EVENTS)]

    def whole() -> bytes:
        losses = Losses()
        upstream.write_request(caller.read_request(exchange.REQUEST, losses), model, losses)
        return caller.write_answer(upstream.read_answer(sent), ENVELOPE)

    def streamed() -> list[bytes]:
        stream = TranslatedStream(upstream, caller, ENVELOPE)
        return [stream.pass_on(event) for event in events]

    assert b"get_weather" in whole()
    assert all(b" again" in one for one in streamed())
    return {
        "whole_us": microseconds(whole, seconds),
        "event_us": microseconds(streamed, seconds, 1) / EVENTS,
    }
