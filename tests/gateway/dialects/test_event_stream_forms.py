"""An event stream means the same in every form that the standard allows, however it is cut, passed on or translated."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.sse import EventSplitter
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.passed_stream import PassedStream

Reader = StreamReader | TranslatedStream
ENVELOPE = Envelope("1", "m", 1)


def chat_chunk(choices: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields}


def choice(finish_reason: str | None = None, **delta: str) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CHAT: list[dict[str, Any]] = [
    chat_chunk(choice(role="assistant", content="")),
    chat_chunk(choice(content="Köln")),
    chat_chunk(choice("stop")),
    chat_chunk([], usage=USAGE),
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "usage": {"input_tokens": 1},
}
CLAUDE: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Köln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def sent(events: list[dict[str, Any]], *, done: bool = False) -> bytes:
    said = [
        (f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ]
    return ("".join(said) + ("data: [DONE]\n\n" if done else "")).encode()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as usual": lambda stream: stream,
    "lines end in CR LF": lambda stream: stream.replace(b"\n", b"\r\n"),
    "lines end in CR": lambda stream: stream.replace(b"\n", b"\r"),
    "a blank line ends in LF after one in CR LF": lambda stream: stream.replace(b"\n\n", b"\r\n\n"),
    "a byte order mark": lambda stream: b"\xef\xbb\xbf" + stream,
    "comments between events": lambda stream: b": hello\n\n" + stream.replace(b"\n\n", b"\n\n: ping\n\n"),
    "comments within events": lambda stream: stream.replace(b"data: {", b": x\ndata: {"),
    "no space behind the colon": lambda stream: stream.replace(b"data: ", b"data:"),
    "data of several lines": lambda stream: stream.replace(b', "', b',\ndata: "'),
    "ids and waiting times": lambda stream: stream.replace(b"data: {", b"id: 1\nretry: 5\ndata: {"),
    "fields that nobody knows": lambda stream: stream.replace(b"data: {", b"x-extra: 1\ndata: {"),
    "more blank lines": lambda stream: stream.replace(b"\n\n", b"\n\n\n\n"),
    "nothing behind the last event": lambda stream: stream[:-2],
    "one line end behind the last event": lambda stream: stream[:-1],
}
READERS: dict[str, tuple[bytes, Callable[[], Reader]]] = {
    "chat, passed": (sent(CHAT, done=True), StreamReader),
    "chat, translated": (
        sent(CHAT, done=True),
        lambda: TranslatedStream(open_dialect("openai_chat"), open_dialect("anthropic"), ENVELOPE),
    ),
    "messages, passed": (sent(CLAUDE), lambda: PassedStream(open_dialect("anthropic"))),
    "messages, translated": (
        sent(CLAUDE),
        lambda: TranslatedStream(open_dialect("anthropic"), open_dialect("openai_chat"), ENVELOPE),
    ),
}


def read(make: Callable[[], Reader], pieces: list[bytes]) -> tuple[bytes | None, str, int | None]:
    reader = make()
    said = b"".join([reader.pass_on(piece) for piece in pieces])
    rest = reader.finish()
    usage = None if reader.usage is None else reader.usage.completion_tokens
    return (None if rest is None else said + rest), reader.failed, usage


def messages(stream: bytes) -> list[tuple[str, Any]]:
    splitter = EventSplitter()
    return [
        (name, data if data == b"[DONE]" else json.loads(data))
        for name, data in splitter.feed(stream) + splitter.rest()
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", READERS)
def test_a_stream_means_the_same_in_every_form(name: str, form: str) -> None:
    plain, make = READERS[name]
    stream = FORMS[form](plain)
    expected, _, _ = read(make, [plain])
    assert expected is not None
    for pieces in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        said, failed, tokens = read(make, pieces)
        assert (failed, tokens) == ("", 2)
        assert said is not None
        assert messages(said) == messages(expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", READERS)
def test_a_stream_cut_at_any_byte_is_never_taken_for_whole(name: str, form: str) -> None:
    plain, make = READERS[name]
    stream = FORMS[form](plain)
    needed = stream.rindex(b"stop")  # of the finish reason, or of the event that ends the stream
    for at in range(needed):
        said, failed, _ = read(make, [stream[:at]])
        assert (said, failed in ("", "cut")) == (None, True), at


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "openai_responses"])
def test_what_is_no_event_stream_is_garbage(dialect: str) -> None:
    stream = TranslatedStream(open_dialect(dialect), open_dialect("openai_chat"), ENVELOPE)
    assert stream.pass_on(b"<html>\n<body>\n\n</body></html>\n\n") == b""
    assert (stream.finish(), stream.failed) == (None, "garbage")


def test_a_last_event_that_is_cut_is_no_event() -> None:
    dialect: Dialect = open_dialect("gemini")
    stream = TranslatedStream(dialect, open_dialect("openai_chat"), ENVELOPE)
    stream.pass_on(b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"')
    assert (stream.finish(), stream.failed) == (None, "cut")
