"""One conversation and its answer as each provider documents them: all say the same to the model between them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipway.gateway.dialects.conversation import Conversation, Text, ToolCall
from shipway.gateway.dialects.events import Answer, Envelope, Event, fold
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.testing.bedrock_frames import frame
from tests.gateway.dialects.strategies import bare

EXCHANGES = Path(__file__).parent / "exchanges"
CONVERSATION = msgspec.json.decode((EXCHANGES / "conversation.json").read_bytes(), type=Conversation)
EXPECTED: dict[str, Any] = msgspec.json.decode((EXCHANGES / "answer.json").read_bytes())
ENVELOPE = Envelope("1", "model", 1)


def exchanged(name: str, document: str) -> bytes:
    return (EXCHANGES / name / document).read_bytes()


def streamed(name: str) -> bytes:
    """A stream as it is sent; Bedrock's in the frames that the fakes make."""
    sent = exchanged(name, "stream.txt")
    if name != "bedrock":
        return sent
    frames = []
    for line in sent.decode().splitlines():
        kind, _, payload = line.partition(" ")
        headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        frames.append(frame(headers, payload.encode()))
    return b"".join(frames)


def told(answer: Answer) -> dict[str, Any]:
    parts = [part for part in answer.parts if isinstance(part, Text | ToolCall)]
    return {
        "parts": [
            {"type": "text", "text": part.text}
            if isinstance(part, Text)
            else {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
            for part in parts
        ],
        "stop": answer.stop,
        "prompt_tokens": answer.usage.prompt_tokens,
        "cached_read": answer.usage.cached_read,
        "completion_tokens": answer.usage.completion_tokens,
    }


def events_of(name: str, pieces: list[bytes]) -> list[Event]:
    dialect = open_dialect(name)
    framing, parser = dialect.framing(), dialect.stream_parser()
    events = [event for piece in pieces for message in framing.feed(piece) for event in parser.read(*message)]
    return [*events, *parser.end()]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_documented_request_is_understood(name: str) -> None:
    losses = Losses()
    assert bare(open_dialect(name).read_request(exchanged(name, "request.json"), losses)) == bare(CONVERSATION)
    assert losses.dropped == []


@pytest.mark.parametrize("name", DIALECTS)
def test_a_documented_answer_is_understood(name: str) -> None:
    assert told(open_dialect(name).read_answer(exchanged(name, "answer.json"))) == EXPECTED


@pytest.mark.parametrize("name", DIALECTS)
def test_a_documented_stream_is_understood(name: str) -> None:
    assert told(fold(events_of(name, [streamed(name)]))) == EXPECTED


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_says_the_same_wherever_it_is_cut(name: str) -> None:
    sent = streamed(name)
    whole = events_of(name, [sent])
    for at in range(1, len(sent)):
        assert events_of(name, [sent[:at], sent[at:]]) == whole, at


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_says_the_same_byte_by_byte(name: str) -> None:
    sent = streamed(name)
    assert events_of(name, [sent[at : at + 1] for at in range(len(sent))]) == events_of(name, [sent])


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_a_stream_that_breaks_off_never_ends_as_if_it_were_whole(upstream: str, caller: str) -> None:
    sent = streamed(upstream)
    end = open_dialect(caller)
    whole = TranslatedStream(open_dialect(upstream), end, ENVELOPE)
    last_needed = _bytes_needed(upstream)
    for at in range(0, last_needed, 7):
        stream = TranslatedStream(open_dialect(upstream), end, ENVELOPE)
        stream.pass_on(sent[:at])
        assert (stream.finish(), stream.done, stream.failed) == (None, False, "cut"), at
    whole.pass_on(sent)
    assert whole.finish() is not None
    assert (whole.done, whole.failed) == (True, "")
    assert whole.usage is not None
    assert whole.usage.total_tokens == 125


@cache
def _bytes_needed(upstream: str) -> int:
    """From how many bytes on a stream may end in order; as far as its stop reason."""
    sent = streamed(upstream)

    def is_enough(size: int) -> bool:
        stream = TranslatedStream(open_dialect(upstream), open_dialect("openai_chat"), ENVELOPE)
        stream.pass_on(sent[:size])
        return stream.finish() is not None

    return next(size for size in range(len(sent) + 1) if is_enough(size))


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_a_documented_exchange_is_told_in_every_dialect(upstream: str, caller: str) -> None:
    theirs, ours = open_dialect(upstream), open_dialect(caller)
    answer = theirs.read_answer(exchanged(upstream, "answer.json"))
    assert told(ours.read_answer(ours.write_answer(answer, ENVELOPE))) == EXPECTED
    request = ours.read_request(exchanged(caller, "request.json"), Losses())
    sent = theirs.write_request(request, "model", Losses())
    assert bare(theirs.read_request(sent, Losses())) == bare(CONVERSATION)


@pytest.mark.parametrize("escapes", [(r"\ud83d", r"\ude00"), (r"\uD83D", r"\uDE00")])
def test_a_character_cut_between_its_utf16_halves_is_put_together(escapes: tuple[str, str]) -> None:
    first, second = escapes
    deltas = [rf"a\\{first}", rf"{second}b{first}", second, "c"]
    chunks = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % delta.encode() for delta in deltas]
    stream = TranslatedStream(open_dialect("openai_chat"), open_dialect("anthropic"), ENVELOPE)
    received = b"".join(map(stream.pass_on, [*chunks, b'data: {"choices":[{"finish_reason":"stop"}]}\n\n']))
    received += stream.finish() or b""
    assert fold(events_of("anthropic", [received])).text() == "a\\😀b😀c"
    assert stream.failed == ""
