"""Sounds, pictures and rankings on their way through: streams end whole or with an error, and usage is what was said."""

from __future__ import annotations

import itertools
import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.openai import image_usage, transcript_usage
from shipway.gateway.dialects.openai_media import ranking_usage
from shipway.gateway.dialects.openai_media_stream import MediaStream
from shipway.gateway.dialects.usage import TokenUsage
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import StartGateway, model_app
from tests.gateway.test_models import sdk

SOUND = ("a.wav", b"RIFF" + bytes(496))
SPOKEN = {"model": "chat", "voice": "alloy", "input": "Hi there.", "stream_format": "sse"}
DRAWN = {"model": "chat", "prompt": "A red dot.", "stream": True, "partial_images": 2}


async def test_a_streamed_transcript_comes_event_by_event(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="One two.", part_bytes=7))
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        stream = await client.audio.transcriptions.create(model="chat", file=SOUND, stream=True)
        events: list[Any] = [event async for event in stream]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == "One two."
    assert (fake.requests[0].form["model"], fake.requests[0].form["stream"]) == (b"m0", b"true")


@pytest.mark.parametrize(("path", "body"), [("/v1/audio/speech", SPOKEN), ("/v1/images/generations", DRAWN)])
async def test_events_pass_untouched(
    start_gateway: StartGateway, fake: FakeOpenAI, path: str, body: dict[str, Any]
) -> None:
    gateway = await start_gateway(model_app(fake))
    through = await gateway.http.post(path, json=body)
    direct = await gateway.http.post(f"{fake.url}{path}", json=body)
    assert through.headers["content-type"] == direct.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert through.content == direct.content


@pytest.mark.parametrize("fault", [Reply(cut_after=1), Reply(end_after=1), Reply(error_after=1)])
async def test_a_stream_that_breaks_off_ends_with_an_error(
    start_gateway: StartGateway, fake: FakeOpenAI, fault: Reply
) -> None:
    fake.script(fault, fault, fault)
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        transcript = await client.audio.transcriptions.create(model="chat", file=SOUND, stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            _ = [event async for event in transcript]
        pictures = await client.images.generate(model="chat", prompt="A dot.", stream=True, partial_images=2)
        with pytest.raises(openai.APIError, match="broke off"):
            _ = [event async for event in pictures]
    speech = await gateway.http.post("/v1/audio/speech", json=SPOKEN)
    *_, last = speech.text.strip().split("\n\n")
    error = json.loads(last.removeprefix("data: "))["error"]
    assert error["message"] == "What should answer this broke off or made no sense."


@pytest.mark.parametrize("fault", [Reply(cut_after=0), Reply(error_after=0), Reply(insert={0: b"data: {\n\n"})])
async def test_another_upstream_is_asked_before_the_first_event(
    start_gateway: StartGateway, fake: FakeOpenAI, fault: Reply
) -> None:
    fake.script(fault)
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second))
        response = await gateway.http.post("/v1/audio/speech", json=SPOKEN)
    assert "speech.audio.done" in response.text
    assert len(second.requests) == 1


@pytest.mark.parametrize("value", [7, ["sse"], {}])
async def test_a_format_of_speech_that_is_no_text_is_refused(
    start_gateway: StartGateway, fake: FakeOpenAI, value: Any
) -> None:
    gateway = await start_gateway(model_app(fake))
    response = await gateway.http.post("/v1/audio/speech", json={**SPOKEN, "stream_format": value})
    assert (response.status_code, response.json()["error"]["param"], fake.requests) == (400, "stream_format", [])


async def test_a_plain_sound_is_a_file(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    for wanted in ("audio", None):
        response = await gateway.http.post("/v1/audio/speech", json={**SPOKEN, "stream_format": wanted})
        assert (response.headers["content-type"], len(response.content)) == ("audio/mpeg", 1000)


@pytest.mark.parametrize("content_type", [b"application/json", b"application/problem+json; charset=utf-8"])
async def test_a_document_in_place_of_a_sound_is_no_answer(
    start_gateway: StartGateway, fake: FakeOpenAI, content_type: bytes
) -> None:
    body = b'{"error":{"message":"canary"}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (content_type, len(body))
    fake.script(Reply(raw=head + body))
    gateway = await start_gateway(model_app(fake))
    response = await gateway.http.post("/v1/audio/speech", json={**SPOKEN, "stream_format": "audio"})
    assert (response.status_code, "canary" in response.text) == (502, False)


@pytest.mark.parametrize(
    "head",
    [
        b"200 OK\r\ncontent-length: 0",
        b"204 No Content",
        b"200 OK",
        b"200 OK\r\ncontent-length: 1000",
        b"200 OK\r\ntransfer-encoding: chunked",
    ],
)
async def test_a_sound_without_content_is_no_answer(start_gateway: StartGateway, fake: FakeOpenAI, head: bytes) -> None:
    fake.script(Reply(raw=b"HTTP/1.1 %b\r\ncontent-type: audio/mpeg\r\n\r\n" % head))
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second))
        response = await gateway.http.post("/v1/audio/speech", json={**SPOKEN, "stream_format": "audio"})
    assert (response.status_code, len(response.content)) == (200, 1000)


def followed(*events: dict[str, Any] | str) -> MediaStream:
    """A reader that was given *events*."""
    reader = MediaStream()
    for event in events:
        reader.pass_on(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
    return reader


DELTA = {"type": "transcript.text.delta", "delta": "a"}
DONE = {"type": "transcript.text.done", "text": "a"}
CHUNK = {"object": "transcription.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]}
LAST_CHUNK = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}


def test_a_stream_may_end_after_its_last_event_alone() -> None:
    assert followed(DELTA, DONE).finish() == b""
    assert followed(DELTA, DONE, "[DONE]").finish() == b""
    assert followed(DELTA).finish() is None
    assert followed(DELTA, "[DONE]").failed == "cut"
    assert followed(DELTA, {"type": "error", "error": {"message": "x"}}).failed == "error"
    assert followed(DELTA, {"error": {"message": "x"}}).failed == "error"
    assert followed(DELTA, "{").failed == "garbage"
    assert followed(DELTA, "[]").failed == "garbage"


def test_a_stream_that_ends_inside_of_an_event_was_cut() -> None:
    reader = followed(DELTA)
    reader.pass_on(b'data: {"type":"transcript.text.d')
    assert (reader.finish(), reader.failed) == (None, "cut")


def test_an_event_whose_end_never_came_counts_if_it_is_whole() -> None:
    reader = followed(DELTA)
    last = f"data: {json.dumps(DONE)}".encode()
    reader.pass_on(last)
    assert (reader.finish(), reader.failed) == (last + b"\n\n", "")


@given(st.lists(st.integers(1, 30), min_size=1), st.sampled_from([b"\n", b"\r\n"]))
def test_a_stream_is_the_same_however_it_is_cut(sizes: list[int], line_end: bytes) -> None:
    events: list[dict[str, Any]] = [DELTA, DELTA, {**DONE, "usage": {"input_tokens": 3, "output_tokens": 2}}]
    data = b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)
    data = data.replace(b"\n", line_end)
    reader, at, passed = MediaStream(), 0, b""
    for size in itertools.cycle(sizes):
        passed += reader.pass_on(data[at : at + size])
        at += size
        if at >= len(data):
            break
    rest = reader.finish()
    assert rest is not None
    assert (passed + rest).replace(b"\r\n", b"\n").strip() == data.replace(b"\r\n", b"\n").strip()
    assert (reader.usage, reader.failed) == (TokenUsage(3, output=2), "")


def test_every_picture_of_a_stream_passes() -> None:
    drawn = {"type": "image_generation.completed", "b64_json": "", "usage": {"input_tokens": 1, "output_tokens": 2}}
    event = f"event: {drawn['type']}\ndata: {json.dumps(drawn)}\n\n".encode()
    reader = MediaStream()
    assert reader.pass_on(event) + reader.pass_on(event * 2) == event * 3
    assert (reader.begun, reader.done, reader.over) == (True, False, False)
    assert (reader.usage, reader.finish()) == (TokenUsage(1, output=0, output_image=2), b"")


def test_a_transcript_in_chunks_of_chat_is_followed_too() -> None:
    reader = followed(CHUNK)
    assert (reader.begun, reader.finish()) == (True, None)
    reader = followed(CHUNK, LAST_CHUNK, "[DONE]")
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.done, reader.finish()) == (3, True, b"")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "total_tokens": 5}, TokenUsage(3)),
        ({"total_tokens": 5}, TokenUsage(5)),
        ({}, TokenUsage()),
        (None, TokenUsage()),
        ("x", TokenUsage()),
    ],
)
def test_a_ranking_has_at_least_its_total(usage: Any, expected: TokenUsage) -> None:
    assert ranking_usage(json.dumps({"results": [], "usage": usage}).encode()) == expected


@pytest.mark.parametrize("read", [image_usage, transcript_usage, ranking_usage])
@pytest.mark.parametrize("body", [b"<html>", b'{"error":{"message":"x"}}'])
def test_errors_and_pages_are_no_answers(read: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer|page"):
        read(body)


@pytest.mark.parametrize("body", [b"{}", b'{"created":1,"usage":{"input_tokens":3}}'])
def test_images_without_images_are_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError, match="no answer"):
        image_usage(body)


def test_what_is_counted_in_seconds_has_no_tokens() -> None:
    assert transcript_usage(b'{"text":"a","usage":{"type":"duration","seconds":3}}') == TokenUsage()
    assert transcript_usage(b'{"text":"a"}') is None
    assert transcript_usage(b"a plain text") is None


def test_a_transcript_may_be_cut_between_the_halves_of_a_character() -> None:
    reader = followed(
        *(rf'{{"type":"transcript.text.delta","delta":"{half}"}}' for half in (r"\ud83d", r"\ude00")), DONE
    )
    assert (reader.done, reader.failed) == (True, "")
