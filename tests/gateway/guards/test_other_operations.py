"""Guards of what is no conversation: completions and transcripts both ways, all else before the model alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shipway.gateway.guards import Piece
from shipway.gateway.guards.answers import Transcripts
from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.guards.conftest import CHECK, guarded
from tests.gateway.guards.hooks import Hook
from tests.gateway.guards.test_streams import got
from tests.gateway.guards.test_whole import openai_client

QUICK = f'{CHECK}\nhold = "20ms"'
BEFORE, AFTER = ('{ name = "g", when = "before" }', '{ name = "g", when = "after" }')
SOUND = ("a.wav", b"RIFF\xff" + bytes(495), "audio/wav")
PROMPT: dict[str, Any] = {"model": "chat", "prompt": "one"}


async def upload(gateway: RunningGateway, **fields: Any) -> httpx.Response:
    form = {"model": "chat", **fields}
    return await gateway.http.post("/v1/audio/transcriptions", data=form, files={"file": SOUND})


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_completion_is_seen_as_it_is_asked_and_answered(
    start_gateway: StartGateway, fake: FakeOpenAI, fake_anthropic: FakeAnthropic, hook: Hook, kind: str
) -> None:
    upstream = fake if kind == "openai" else fake_anthropic
    gateway = await start_gateway(guarded(upstream.base_url, QUICK, kind=kind))
    async with openai_client(gateway) as client:
        answer: Any = await client.completions.create(**PROMPT)
        stream: Any = await client.completions.create(**PROMPT, stream=True)
        text = "".join([choice.text async for chunk in stream for choice in chunk.choices])
    assert text == answer.choices[0].text == "This is a fake answer."
    assert [check.texts for check in hook.seen if check.when == "before"] == [
        (Piece("user", "text", "one", "prompt"),)
    ] * 2
    assert hook.seen[1].texts == (Piece("assistant", "text", text),)
    assert hook.seen[-1].texts[0].text == text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_completion_does_not_arrive(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, stream: bool
) -> None:
    hook.refuse_word("fake")
    gateway = await start_gateway(guarded(fake.base_url, QUICK, use=AFTER))
    response = await gateway.http.post("/v1/completions", json={**PROMPT, "stream": stream})
    assert code(response) == (400, "guard_refused")


@pytest.mark.parametrize(
    ("more", "several"),
    [
        ({"n": 2}, True),
        ({"prompt": ["a", "b"]}, True),
        ({"prompt": [[1, 2], [3]]}, True),
        ({"prompt": ["a"]}, False),
        ({"prompt": [1, 2]}, False),
        ({"n": 1, "best_of": 2}, False),
    ],
)
async def test_several_completions_at_once_are_refused_before_a_model_works(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, more: dict[str, Any], several: bool
) -> None:
    gateway = await start_gateway(guarded(fake.base_url, use=AFTER))
    response = await gateway.http.post("/v1/completions", json={**PROMPT, **more})
    if several:
        assert (code(response), fake.requests) == ((400, "guard_unreadable"), [])
    else:
        assert response.status_code == 200


async def test_a_second_choice_that_nobody_asked_for_does_not_pass(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    choices = [{"index": at, "text": "a", "finish_reason": "stop"} for at in (0, 1)]
    chunks = "".join(f"data: {json.dumps({'choices': [one]})}\n\n" for one in choices)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(chunks)}\r\n\r\n"
    fake.script(Reply(body=json.dumps({"choices": choices}).encode()), Reply(raw=f"{head}{chunks}".encode()))
    gateway = await start_gateway(guarded(fake.base_url, QUICK, use=AFTER))
    assert code(await gateway.http.post("/v1/completions", json=PROMPT)) == (400, "guard_unreadable")
    streamed = await gateway.http.post("/v1/completions", json={**PROMPT, "stream": True})
    assert "guard_unreadable" in streamed.text
    assert '"text": "a"' not in streamed.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_transcript_is_seen_and_may_be_refused(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, stream: bool
) -> None:
    gateway = await start_gateway(guarded(fake.base_url, QUICK))
    response = await upload(gateway, prompt="spell é", **({"stream": "true"} if stream else {}))
    assert (response.status_code, "This is a fake answer." in response.text) == (200, True)
    before = [Piece("user", "text", "spell é", "prompt"), Piece("user", "attachment", "file", "file")]
    stream_field = [Piece("user", "text", "true", "stream")] if stream else []
    assert sorted(hook.seen[0].texts, key=str) == sorted([*before, *stream_field], key=str)
    assert hook.seen[-1].texts[0].text == "This is a fake answer."
    hook.refuse_word("fake")
    assert code(await upload(gateway, **({"stream": "true"} if stream else {}))) == (400, "guard_refused")


async def test_of_a_streamed_transcript_only_what_was_allowed_goes(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    fake.script(Reply(text="good one bad two", token_delay_s=0.05))
    hook.refuse_word("bad")
    gateway = await start_gateway(guarded(fake.base_url, QUICK, use=AFTER))

    async def heard() -> AsyncIterator[str]:
        async with openai_client(gateway) as client:
            async for event in await client.audio.transcriptions.create(model="chat", file=SOUND, stream=True):
                yield getattr(event, "delta", "")

    text, error = await got(heard())
    assert text.strip() in ("good", "good one")
    assert str(error) == "No such words. (policy)"


async def test_a_plain_transcript_is_seen_too(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    gateway = await start_gateway(guarded(fake.base_url, use=AFTER))
    response = await upload(gateway, response_format="text")
    assert response.text == "This is a fake answer.\n"
    assert hook.texts("after") == ["This is a fake answer.\n"]


def test_what_a_transcript_says_beside_its_text_is_a_field() -> None:
    document = {
        "task": "transcribe",
        "text": "One two. Three.",
        "segments": [{"id": 0, "text": " One two."}, {"id": 1, "text": " Something else.", "speaker": "A"}],
        "words": [{"word": "One"}, {"word": "two"}],
        "usage": {"type": "tokens"},
    }
    assert Transcripts().whole(json.dumps(document).encode()) == (
        Piece("assistant", "text", "One two. Three."),
        Piece("assistant", "field", "transcribe", "task"),
        Piece("assistant", "field", " Something else.", "segments[1].text"),
        Piece("assistant", "field", "A", "segments[1].speaker"),
    )
    for body in (b'{"segments":[]}', b"\xff", b'{"text":7}'):
        with pytest.raises(ValueError, match=r"dialect|utf-8"):
            Transcripts().whole(body)


def test_pieces_of_a_stream_that_are_no_deltas_are_fields() -> None:
    segment = {"type": "transcript.text.segment", "id": "s", "text": "One", "speaker": "A"}
    chunk = {"object": "transcription.chunk", "choices": [{"delta": {"content": "Two"}}]}
    events = [
        {"type": "transcript.text.delta", "delta": "One"},
        segment,
        chunk,
        {"type": "transcript.text.done", "text": "One"},
    ]
    texts = Transcripts().stream()
    said = texts.read("".join(f"data: {json.dumps(one)}\n\n" for one in events).encode() + b"data: [DONE]\n\n")
    assert [(key[0], name, text) for key, name, text in said] == [
        ("text", "", "One"),
        ("field", "speaker", "A"),
        ("field", "choices[0].delta.content", "Two"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "texts"),
    [
        ("/v1/audio/speech", {"input": "say it", "instructions": "softly"}, ["say it", "softly"]),
        ("/v1/audio/speech", {"input": "say it", "stream_format": "sse"}, ["say it", "sse"]),
        ("/v1/images/generations", {"prompt": "draw it"}, ["draw it"]),
        ("/v1/images/generations", {"prompt": "draw it", "stream": True}, ["draw it"]),
    ],
)
async def test_sounds_and_pictures_are_guarded_before_alone(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, path: str, body: dict[str, Any], texts: list[str]
) -> None:
    before = await start_gateway(guarded(fake.base_url, use=BEFORE))
    assert (await before.http.post(path, json={"model": "chat", **body})).status_code == 200
    assert hook.texts("before") == texts
    hook.refuse_word(" it")
    assert code(await before.http.post(path, json={"model": "chat", **body})) == (400, "guard_refused")
    both = await start_gateway(guarded(fake.base_url))
    assert code(await both.http.post(path, json={"model": "chat", **body})) == (400, "guard_unreadable")
    assert len(fake.requests) == 1


async def test_answers_that_are_numbers_are_not_looked_at(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/embeddings", json={"model": "chat", "input": ["one", "two"]})
    assert response.status_code == 200
    assert [check.texts for check in hook.seen] == [
        (Piece("user", "text", "one", "input[0]"), Piece("user", "text", "two", "input[1]"))
    ]
