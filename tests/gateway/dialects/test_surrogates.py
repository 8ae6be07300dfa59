"""Halves of characters, which JSON can say and text cannot: streams cut characters in two, and limits cut answers there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.openai_stream import DONE, StreamReader
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.surrogates import without_halves
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.texts import answer_pieces
from shipway.gateway.model_api import PATHS
from shipway.gateway.passed_stream import PassedStream

HALVES = [(rb"a\ud83d", rb"\ude00b"), (rb"\ude00", rb"\ud83d"), (rb"a\ud83d b", rb"\\\uDE00"), (rb"a\ud83d", b"b")]
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


def chat(text: bytes) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text


def claude(text: bytes) -> bytes:
    return b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n' % text


@pytest.mark.parametrize("halves", HALVES)
def test_events_with_halves_pass_untouched(halves: tuple[bytes, bytes]) -> None:
    sent = [chat(half) for half in halves]
    reader = StreamReader()
    assert ([reader.pass_on(event) for event in [*sent, END]], reader.finish()) == ([*sent, END], DONE)
    sent = [claude(half) for half in halves]
    stream = PassedStream(open_dialect("anthropic"))
    assert ([stream.pass_on(event) for event in sent], stream.failed) == (sent, "")


@pytest.mark.parametrize(
    ("halves", "said"), list(zip(HALVES, ["a😀b", "\ufffd", "a\ufffd b\\\ufffd", "ab"], strict=True))
)
def test_events_with_halves_are_translated(halves: tuple[bytes, bytes], said: str) -> None:
    stream = TranslatedStream(open_dialect("anthropic"), open_dialect("openai_chat"), Envelope("1", "m", 1))
    events = b"".join([stream.pass_on(claude(half)) for half in halves]).split(b"\n\n")[:-1]
    texts = [json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"]["content"] for event in events]
    assert ("".join(texts), stream.failed) == (said, "")


@pytest.mark.parametrize("halves", HALVES)
def test_guards_are_shown_events_with_halves(halves: tuple[bytes, bytes]) -> None:
    texts = StreamTexts(open_dialect("openai_chat"))
    said = "".join([text for half in halves for _, _, text in texts.read(chat(half))])
    assert "\ufffd" in said


@pytest.mark.parametrize(
    ("path", "dialect", "body"),
    [
        (
            b"/v1/chat/completions",
            "openai_chat",
            rb'{"choices":[{"message":{"content":"a\ud83d"},"finish_reason":"length"}]}',
        ),
        (
            b"/v1/messages",
            "anthropic",
            rb'{"content":[{"type":"text","text":"a\ud83d"}],"stop_reason":"max_tokens","usage":{}}',
        ),
        (
            b"/v1/responses",
            "openai_responses",
            rb'{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"a\ud83d"}]}]}',
        ),
    ],
)
def test_an_answer_that_ends_in_a_half_is_one(path: bytes, dialect: str, body: bytes) -> None:
    PATHS[path].read_usage(body)
    assert open_dialect(dialect).read_answer(body).text() == "a\ufffd"
    assert [piece.text for piece in answer_pieces(open_dialect(dialect), body)] == ["a\ufffd"]


@given(st.lists(st.sampled_from(["\\ud83d", "\\ude00", "\\\\", "\\n", "ud83d", "x", "\\u0041"])).map("".join))
def test_only_halves_are_replaced(escaped: str) -> None:
    said: str = json.loads(f'"{escaped}"')
    whole: str = json.loads(without_halves(f'"{escaped}"'.encode()))
    assert whole == said.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode().decode()
