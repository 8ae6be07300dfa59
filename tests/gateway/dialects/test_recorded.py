"""Answers as providers document them, with all that they say: understood, and understood by callers of every dialect."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest

from shipway.gateway.dialects.events import Answer, Envelope, StopReason, fold
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from tests.gateway.dialects.recorded import anthropic, bedrock, gemini, openai_chat, openai_responses
from tests.gateway.dialects.recorded.exchange import Exchange, Said, said_by

EXCHANGES = [
    exchange
    for provider in (openai_chat, anthropic, gemini, bedrock, openai_responses)
    for exchange in provider.exchanges()
]
CALLERS = ("openai_chat", "anthropic", "openai_responses")
ENVELOPE = Envelope("1", "m", 1)
STOPS: dict[str, dict[StopReason, StopReason]] = {
    "openai_chat": {"stop_sequence": "end", "context_window": "length"},
    "openai_responses": {"stop_sequence": "end", "context_window": "length"},
    "anthropic": {"content_filter": "refusal"},
}
WHOLE = [one for one in EXCHANGES if not one.streamed]
STREAMED = [one for one in EXCHANGES if one.streamed]


def told(name: str, sent: bytes) -> Answer:
    """What a stream comes to in its own dialect."""
    dialect = open_dialect(name)
    framing, parser = dialect.framing(), dialect.stream_parser()
    said = [event for message in framing.feed(sent) + framing.rest() for event in parser.read(*message)]
    return fold([*said, *parser.end()])


def translated(exchange: Exchange, caller: str, size: int) -> tuple[TranslatedStream, bytes | None]:
    stream = TranslatedStream(open_dialect(exchange.provider), open_dialect(caller), ENVELOPE)
    body = exchange.body
    written = b"".join([stream.pass_on(body[at : at + size]) for at in range(0, len(body), size)])
    rest = stream.finish()
    return stream, None if rest is None else written + rest


def as_told_to(caller: str, said: Said, got: Said) -> Said:
    """*said* as far as callers of this dialect can be told."""
    stop = STOPS[caller].get(said.stop, said.stop)
    # Of a stream it is known too late that it is a refusal.
    late: StopReason = "content_filter" if caller == "openai_chat" else "end"
    return dataclasses.replace(said, stop=late if stop == "refusal" and got.stop == late else stop)


def check(caller: str, said: Said, got: Said) -> None:
    expected = as_told_to(caller, said, got)
    assert (got.text, got.stop, len(got.calls)) == (expected.text, expected.stop, len(expected.calls))
    assert [one[1:] for one in got.calls] == [one[1:] for one in expected.calls]
    for mine, theirs in zip(got.calls, expected.calls, strict=True):
        assert theirs[0] in ("", mine[0])
        assert mine[0]
    assert len({one[0] for one in got.calls}) == len(got.calls)
    if expected.usage[0] is not None:
        # A caller that must be told a number is told 0 for what is not known.
        assert [got.usage[0] or 0, got.usage[3] or 0] == [expected.usage[0] or 0, expected.usage[3] or 0]


def test_there_are_many_of_each_provider() -> None:
    counts = Counter(one.provider for one in EXCHANGES)
    assert counts.keys() == {"openai_chat", "anthropic", "gemini", "bedrock", "openai_responses"}
    assert min(counts.values()) >= 60
    assert len({one.id for one in EXCHANGES}) == len(EXCHANGES)


@pytest.mark.parametrize("exchange", WHOLE, ids=lambda one: one.id)
def test_a_whole_answer_is_understood(exchange: Exchange) -> None:
    dialect = open_dialect(exchange.provider)
    if exchange.said is None:
        with pytest.raises(ValueError):
            dialect.read_answer(exchange.body)
        return
    answer = dialect.read_answer(exchange.body)
    got = said_by(answer)
    assert got == dataclasses.replace(exchange.said, thoughts=got.thoughts)
    assert [one for one in got.thoughts if any(one)] == list(exchange.said.thoughts)
    for caller in CALLERS:
        ours = open_dialect(caller)
        if got.images and caller != "openai_chat":
            continue
        written = ours.write_answer(answer, ENVELOPE)
        json.loads(written)
        check(caller, exchange.said, said_by(ours.read_answer(written)))


@pytest.mark.parametrize("exchange", STREAMED, ids=lambda one: one.id)
def test_a_stream_is_understood(exchange: Exchange) -> None:
    for caller in CALLERS:
        if exchange.said is not None and exchange.said.images and caller != "openai_chat":
            continue
        stream, written = translated(exchange, caller, max(1, len(exchange.body)))
        by_byte, written_by_byte = translated(exchange, caller, 1)
        assert (by_byte.failed, written_by_byte) == (stream.failed, written)
        if exchange.said is None:
            assert (written, bool(stream.failed), stream.error_kind) == (None, True, exchange.error)
            continue
        assert (stream.failed, stream.done) == ("", True)
        assert written is not None
        check(caller, exchange.said, said_by(told(caller, written)))
    if exchange.said is not None:
        got = said_by(told(exchange.provider, exchange.body))
        assert got == dataclasses.replace(exchange.said, thoughts=got.thoughts)
        assert [one for one in got.thoughts if any(one)] == list(exchange.said.thoughts)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda one: one.id)
def test_no_text_of_a_failure_reaches_a_caller(exchange: Exchange) -> None:
    if exchange.streamed:
        stream = TranslatedStream(open_dialect(exchange.provider), open_dialect("openai_chat"), ENVELOPE)
        assert b"secret" not in stream.pass_on(exchange.body) + (stream.finish() or b"")
