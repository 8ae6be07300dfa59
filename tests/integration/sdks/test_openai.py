"""The fakes of OpenAI and of Azure satisfy OpenAI's own client: chat, responses, and what is passed through."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest

from shipway.testing.azure_server import FakeAzure
from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.script import Reply, ToolCall, Usage
from tests.integration.sdks.questions import ARGUMENTS, CITATIONS, PIXEL, SCHEMA

pytestmark = pytest.mark.integration

ASK: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "Say three words."}]}
TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]}
COUNTS = Usage(
    input=11, cache_read=5, cache_write=3, audio_input=2, image_input=4, output=7, reasoning=2, audio_output=1
)
STRICT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


@dataclass
class Place:
    """A fake, and a client for it."""

    fake: FakeOpenAI
    client: openai.AsyncOpenAI


@pytest.fixture(params=["openai", "azure v1", "azure deployments", "azure Entra"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    fake: FakeOpenAI = (
        FakeOpenAI(models=["chat"], api_key="right", strict=True)
        if request.param == "openai"
        else FakeAzure(models=["chat"], api_key="right", token="token", strict=True)
    )
    async with fake, _client_of(fake, request.param, "right") as client:
        yield Place(fake, client)


def _client_of(fake: FakeOpenAI, kind: str, key: str) -> openai.AsyncOpenAI:
    if kind == "azure deployments":
        return openai.AsyncAzureOpenAI(azure_endpoint=fake.url, api_key=key, api_version="2024-10-21", max_retries=0)
    if kind == "azure Entra":
        key = "token" if key == "right" else key
    return openai.AsyncOpenAI(base_url=fake.base_url, api_key=key, max_retries=0)


@dataclass
class Said:
    """An answer of chat, put together from its chunks where it was streamed."""

    text: str = ""
    calls: list[list[str]] = field(default_factory=list)
    reason: str | None = None
    usage: Any = None
    annotations: list[Any] = field(default_factory=list)


async def asked(place: Place, stream: bool, **question: Any) -> Said:
    options: dict[str, Any] = {**ASK, **question}
    if not stream:
        answer: Any = await place.client.chat.completions.create(**options)
        choice = answer.choices[0]
        calls = [[one.id, one.function.name, one.function.arguments] for one in choice.message.tool_calls or ()]
        marks = [mark.model_dump() for mark in choice.message.annotations or ()]
        return Said(choice.message.content or "", calls, choice.finish_reason, answer.usage, marks)
    said = Said()
    chunks: Any = await place.client.chat.completions.create(
        **options, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in chunks:
        said.usage = chunk.usage or said.usage
        for choice in chunk.choices:
            said.text += choice.delta.content or ""
            said.reason = choice.finish_reason or said.reason
            said.annotations += (choice.delta.model_extra or {}).get("annotations", [])
            for call in choice.delta.tool_calls or ():
                if call.id:
                    said.calls.append([call.id, call.function.name, ""])
                said.calls[call.index][2] += call.function.arguments
    return said


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
async def test_text_and_every_class_of_usage_arrive(place: Place, stream: bool) -> None:
    place.fake.script(Reply(text="One two three.", usage=COUNTS))
    said = await asked(place, stream)
    assert (said.text, said.reason) == ("One two three.", "stop")
    usage = said.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (25, 10, 35)
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    assert (prompt.cached_tokens, prompt.cache_write_tokens, prompt.audio_tokens, prompt.image_tokens) == (5, 3, 2, 4)
    assert (completion.reasoning_tokens, completion.audio_tokens) == (2, 1)
    assert place.fake.requests[0].usage == place.fake.requests[0].reported == COUNTS


@both
async def test_tools_are_called_with_their_arguments_to_the_byte(place: Place, stream: bool) -> None:
    place.fake.script(Reply(tool_calls=[ToolCall("weather", ARGUMENTS), ToolCall("weather", "{}", "mine")]))
    said = await asked(place, stream, **TOOLS)
    assert said.reason == "tool_calls"
    assert said.calls == [["call_fake_1", "weather", ARGUMENTS], ["mine", "weather", "{}"]]


async def test_results_of_tools_and_images_are_taken(place: Place) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    assert (await asked(place, False, messages=messages, **TOOLS)).usage.prompt_tokens == 6
    assert place.fake.requests[0].json["messages"] == messages


@both
async def test_stop_sequences_and_limits_end_the_text(place: Place, stream: bool) -> None:
    place.fake.script(Reply(text="One two three."), Reply(text="One two three."))
    stopped = await asked(place, stream, stop=["three"])
    assert (stopped.text, stopped.reason) == ("One two ", "stop")
    limited = await asked(place, stream, max_completion_tokens=2)
    assert (limited.text, limited.reason) == ("One two", "length")


@both
async def test_citations_are_annotations(place: Place, stream: bool) -> None:
    place.fake.script(Reply(text="One two.", citations=CITATIONS))
    marks = (await asked(place, stream)).annotations
    assert [mark["url_citation"] for mark in marks] == [
        {"start_index": 0, "end_index": 8, "title": one.title, "url": one.url} for one in CITATIONS
    ]


@pytest.mark.parametrize("form", [{"type": "json_object"}, STRICT], ids=["object", "schema"])
async def test_json_is_said_where_it_is_asked_for(place: Place, form: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "Answer in JSON."}]
    said = await asked(place, False, messages=messages, response_format=form)
    assert json.loads(said.text) == {"answer": "This is a fake answer."}


ERRORS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@both
@pytest.mark.parametrize(("status", "expected"), ERRORS.items())
async def test_every_error_is_the_clients_own_exception(
    place: Place, status: int, expected: type[openai.APIStatusError], stream: bool
) -> None:
    place.fake.script(Reply(status=status))
    with pytest.raises(expected, match=f"told to answer {status}"):
        await asked(place, stream)


async def test_wrong_key_and_unknown_model_are_refused(place: Place, request: pytest.FixtureRequest) -> None:
    async with _client_of(place.fake, request.node.callspec.params["place"], "wrong") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(**ASK)
    with pytest.raises(openai.NotFoundError) as caught:
        await asked(place, False, model="other")
    assert caught.value.code in {"model_not_found", "DeploymentNotFound"}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"extra_body": {"top_k": 5}}, "unknown field `top_k`"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": ""}]}, "must be a response to a preceding"),
        ({"messages": []}, "empty array"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    ],
)
async def test_a_strict_fake_refuses_what_openai_would(place: Place, question: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        await asked(place, False, **question)


async def test_error_inside_a_stream_is_raised(place: Place) -> None:
    place.fake.script(Reply(error_after=3))
    with pytest.raises(openai.APIError, match="The server had an error"):
        await asked(place, True)


async def test_cut_stream_is_noticed(place: Place) -> None:
    place.fake.script(Reply(cut_after=3))
    with pytest.raises(openai.APIConnectionError):
        await asked(place, True)
    assert place.fake.requests[0].reported is None


async def test_stream_that_ends_in_order_but_early_is_not_noticed(place: Place) -> None:
    place.fake.script(Reply(text="One two three.", end_after=3))
    said = await asked(place, True)
    assert said.text.startswith("One")
    assert said.reason is None


async def test_azure_says_what_its_filters_found() -> None:
    async with FakeAzure() as fake, _client_of(fake, "azure deployments", "any") as client:
        answer: Any = await client.chat.completions.create(**ASK)
        assert answer.model_extra["prompt_filter_results"][0]["content_filter_results"]["hate"]["filtered"] is False
        assert answer.choices[0].model_extra["content_filter_results"]["violence"]["severity"] == "safe"
        stream: Any = await client.chat.completions.create(**ASK, stream=True)
        first, *_ = [chunk async for chunk in stream]
        assert (first.choices, first.model) == ([], "")
        assert "prompt_filter_results" in first.model_extra
        fake.script(Reply(status=400, error_type="content_filter"))
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**ASK)
        assert caught.value.code == "content_filter"
        body: Any = caught.value.body
        assert body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
        assert fake.requests[0].target == "/openai/deployments/chat/chat/completions?api-version=2024-10-21"


async def test_embeddings_are_floats_however_they_were_encoded(place: Place) -> None:
    given: Any = {"model": "chat", "input": ["same", "same", "other"], "dimensions": 4}
    encoded = await place.client.embeddings.create(**given)  # base64, unless it is asked for floats
    plain = await place.client.embeddings.create(**given, encoding_format="float")
    assert [one.embedding for one in encoded.data] == [one.embedding for one in plain.data]
    assert encoded.data[0].embedding == encoded.data[1].embedding != encoded.data[2].embedding
    assert place.fake.requests[0].reported == Usage(input=3)


async def test_audio_is_transcribed_and_spoken(place: Place) -> None:
    place.fake.script(Reply(text="One two."), Reply(text="One two."))
    sound = ("sound.wav", b"RIFF" + bytes(496))
    heard: Any = await place.client.audio.transcriptions.create(model="chat", file=sound)
    assert (heard.text, heard.usage.input_tokens, heard.usage.output_tokens) == ("One two.", 5, 2)
    assert place.fake.requests[0].form["file"] == sound[1]
    assert place.fake.requests[0].reported == Usage(audio_input=5, output=2)
    events: Any = await place.client.audio.transcriptions.create(model="chat", file=sound, stream=True)
    listed = [event async for event in events]
    assert "".join(event.delta for event in listed[:-1]) == listed[-1].text == "One two."
    spoken = await place.client.audio.speech.create(model="chat", voice="alloy", input="Hi.", response_format="wav")
    assert len(await spoken.aread()) == 1000
    assert spoken.response.headers["content-type"] == "audio/wav"


async def test_speech_and_pictures_are_streamed_with_usage_at_the_end(place: Place) -> None:
    words: dict[str, Any] = {"model": "chat", "voice": "alloy", "input": "Hi there."}
    async with place.client.audio.speech.with_streaming_response.create(**words, stream_format="sse") as spoken:
        lines = [line async for line in spoken.iter_lines() if line.startswith("data: ")]
    last = json.loads(lines[-1].removeprefix("data: "))
    assert (last["type"], last["usage"]["total_tokens"]) == ("speech.audio.done", 12)
    assert place.fake.requests[0].reported == Usage(input=2, audio_output=10)
    stream: Any = await place.client.images.generate(model="chat", prompt="A red dot.", stream=True, partial_images=2)
    events = [event async for event in stream]
    assert [event.type.removeprefix("image_generation.") for event in events] == [
        *("partial_image", "partial_image"),
        "completed",
    ]
    assert events[-1].usage.total_tokens == 103
    assert place.fake.requests[1].reported == Usage(input=3, image_output=100)


async def test_images_are_drawn(place: Place) -> None:
    drawn: Any = await place.client.images.generate(model="chat", prompt="A red dot.", n=2)
    assert [base64.b64decode(one.b64_json)[:4] for one in drawn.data] == [b"\x89PNG", b"\x89PNG"]
    assert drawn.usage.total_tokens == 203
    assert place.fake.requests[0].reported == Usage(input=3, image_output=200)
    edited: Any = await place.client.images.edit(model="chat", prompt="Blue.", image=("a.png", base64.b64decode(PIXEL)))
    assert len(edited.data) == 1


async def test_documents_are_reranked() -> None:
    async with FakeOpenAI() as fake, httpx2.AsyncClient(base_url=fake.base_url) as http:
        body = {"model": "m", "query": "red fox", "documents": ["a cat", "a red fox", {"text": "red"}], "top_n": 2}
        answer = (await http.post("/rerank", json=body)).json()
    assert [one["index"] for one in answer["results"]] == [1, 2]
    assert fake.requests[0].reported == Usage(input=8)
