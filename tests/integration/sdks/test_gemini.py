"""The fake of Gemini satisfies Google's own client: answers, streams in both framings, functions, errors."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from shipway.testing.gemini_request import camel
from shipway.testing.gemini_server import FakeGemini
from shipway.testing.gemini_wire import STATUS_OF
from shipway.testing.script import Reply, ToolCall, Usage
from tests.integration.sdks.questions import ARGUMENTS, CITATIONS, PIXEL, SCHEMA

pytestmark = pytest.mark.integration

COUNTS = Usage(input=11, cache_read=5, image_input=3, output=7, reasoning=2)
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="weather", description="Of a city.", parameters_json_schema=SCHEMA)
    ]
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeGemini]:
    async with FakeGemini(models=["gemini-x"], api_key="right") as server:
        yield server


def client_of(fake: FakeGemini, key: str = "right") -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=fake.url))


@pytest.fixture
async def client(fake: FakeGemini) -> AsyncIterator[genai.Client]:
    instance = client_of(fake)
    yield instance
    await instance.aio.aclose()
    instance.close()


async def asked(client: genai.Client, stream: bool, contents: Any = "Say three words.", **config: Any) -> list[Any]:
    """The responses that came: one, or those of a stream."""
    options: dict[str, Any] = {
        "model": "gemini-x",
        "contents": contents,
        "config": types.GenerateContentConfig(
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), **config
        ),
    }
    if not stream:
        return [await client.aio.models.generate_content(**options)]
    return [chunk async for chunk in await client.aio.models.generate_content_stream(**options)]


def parts(responses: list[Any]) -> list[Any]:
    return [part for response in responses for part in response.candidates[0].content.parts]


def text(responses: list[Any]) -> str:
    return "".join(part.text or "" for part in parts(responses) if not part.thought)


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
async def test_text_and_every_class_of_usage_arrive(fake: FakeGemini, client: genai.Client, stream: bool) -> None:
    fake.script(Reply(text="One two three.", usage=COUNTS))
    responses = await asked(client, stream)
    assert len(responses) == (4 if stream else 1)
    assert text(responses) == "One two three."
    assert responses[-1].candidates[0].finish_reason == types.FinishReason.STOP
    usage = responses[-1].usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count, usage.total_token_count) == (19, 5, 28)
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (7, 2)
    details = {one.modality.value: one.token_count for one in usage.prompt_tokens_details}
    assert details == {"TEXT": 16, "IMAGE": 3}
    assert fake.requests[0].usage == fake.requests[0].reported == COUNTS


@both
async def test_thoughts_are_marked(fake: FakeGemini, client: genai.Client, stream: bool) -> None:
    fake.script(Reply(reasoning="Let me see.", text="Yes."))
    responses = await asked(client, stream, thinking_config=types.ThinkingConfig(include_thoughts=True))
    thoughts = [part.text for part in parts(responses) if part.thought]
    assert (thoughts, text(responses)) == (["Let me see."], "Yes.")


@both
async def test_functions_are_called_with_their_arguments(fake: FakeGemini, client: genai.Client, stream: bool) -> None:
    fake.script(Reply(tool_calls=[ToolCall("weather", ARGUMENTS), ToolCall("weather", "{}", "id-2")]))
    responses = await asked(client, stream, tools=[WEATHER])
    calls = [part.function_call for part in parts(responses) if part.function_call]
    assert [(call.name, call.args, call.id) for call in calls] == [
        ("weather", json.loads(ARGUMENTS), None),
        ("weather", {}, "id-2"),
    ]
    assert fake.requests[0].json["tools"][0]["functionDeclarations"][0]["name"] == "weather"


async def test_responses_of_functions_and_images_are_taken(fake: FakeGemini, client: genai.Client) -> None:
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    contents = [
        types.Content(role="user", parts=[types.Part(text="What is this?"), image]),
        types.Content(role="model", parts=[types.Part.from_function_call(name="weather", args={"city": "Bonn"})]),
        types.Content(
            role="user", parts=[types.Part.from_function_response(name="weather", response={"result": "sunny"})]
        ),
    ]
    await asked(client, False, contents, tools=[WEATHER], system_instruction="Be brief.")
    sent = camel(fake.requests[0].json)
    assert sent["contents"][0]["parts"][1] == {"inlineData": {"data": PIXEL, "mimeType": "image/png"}}
    assert sent["contents"][2]["parts"][0]["functionResponse"]["response"] == {"result": "sunny"}
    assert fake.requests[0].usage == Usage(input=5, output=5)


@both
async def test_stop_sequences_and_limits_end_the_text(fake: FakeGemini, client: genai.Client, stream: bool) -> None:
    fake.script(Reply(text="One two three."), Reply(text="One two three."))
    stopped = await asked(client, stream, stop_sequences=["three"])
    assert (text(stopped), stopped[-1].candidates[0].finish_reason) == ("One two ", types.FinishReason.STOP)
    limited = await asked(client, stream, max_output_tokens=2)
    assert (text(limited), limited[-1].candidates[0].finish_reason) == ("One two", types.FinishReason.MAX_TOKENS)


@both
async def test_citations_come_as_grounding(fake: FakeGemini, client: genai.Client, stream: bool) -> None:
    fake.script(Reply(text="Größe zählt.", citations=CITATIONS))
    grounding = (await asked(client, stream))[-1].candidates[0].grounding_metadata
    assert [(chunk.web.uri, chunk.web.title) for chunk in grounding.grounding_chunks] == [
        (one.url, one.title) for one in CITATIONS
    ]
    assert grounding.grounding_supports[0].segment.end_index == 15


async def test_json_is_said_where_it_is_asked_for(client: genai.Client) -> None:
    said = await asked(client, False, response_mime_type="application/json", response_json_schema=SCHEMA)
    assert json.loads(text(said)) == {"answer": "This is a fake answer."}


async def test_tokens_are_counted(client: genai.Client) -> None:
    counted = await client.aio.models.count_tokens(model="gemini-x", contents="Say three words.")
    assert counted.total_tokens == 3


@both
@pytest.mark.parametrize("name", STATUS_OF)
async def test_every_error_is_the_clients_own_exception(
    fake: FakeGemini, client: genai.Client, name: str, stream: bool
) -> None:
    fake.script(Reply(error_type=name, status=STATUS_OF[name]))
    expected = errors.ClientError if STATUS_OF[name] < 500 else errors.ServerError
    with pytest.raises(expected) as caught:
        await asked(client, stream)
    assert (caught.value.code, caught.value.status) == (STATUS_OF[name], name)
    assert caught.value.message == f"The fake was told to answer {STATUS_OF[name]}."


async def test_what_the_fake_itself_refuses(fake: FakeGemini, client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await client.aio.models.generate_content(model="gemini-y", contents="Hi.")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    with client_of(fake, "wrong") as stranger, pytest.raises(errors.ClientError) as caught:
        await asked(stranger, False)
    await stranger.aio.aclose()
    assert (caught.value.code, caught.value.details["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    orphan = types.Content(role="user", parts=[types.Part.from_function_response(name="f", response={"a": 1})])
    with pytest.raises(errors.ClientError, match="number of function response parts"):
        await asked(client, False, [types.Content(role="model", parts=[types.Part(text="x")]), orphan])


async def test_error_inside_a_stream_is_raised(fake: FakeGemini, client: genai.Client) -> None:
    fake.script(Reply(error_after=2))
    with pytest.raises(errors.ServerError) as caught:
        await asked(client, True)
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")


async def test_cut_stream_is_noticed_by_an_exception_of_the_http_library(
    fake: FakeGemini, client: genai.Client
) -> None:
    fake.script(Reply(cut_after=2))
    with pytest.raises(httpx2.RemoteProtocolError):
        await asked(client, True)
    assert fake.requests[0].reported == Usage(input=3)


async def test_stream_that_ends_in_order_but_early_is_not_noticed(fake: FakeGemini, client: genai.Client) -> None:
    fake.script(Reply(text="One two three.", end_after=2))
    responses = await asked(client, True)
    assert (text(responses), responses[-1].candidates[0].finish_reason) == ("One two", None)


async def test_without_server_sent_events_a_stream_is_one_json_array(fake: FakeGemini) -> None:
    async with httpx2.AsyncClient(base_url=fake.url, headers={"x-goog-api-key": "right"}) as http:
        body = {"contents": [{"parts": [{"text": "Hi."}]}]}
        answer = await http.post("/v1beta/models/gemini-x:streamGenerateContent", json=body)
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    chunks = answer.json()
    assert [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks] == [
        *("This", " is", " a", " fake", " answer."),
        "",
    ]


EMBEDDING_MODEL = "gemini-embedding-001"
"""Of others the client sends several texts as one content."""


async def test_texts_are_embedded_alone_and_in_a_batch() -> None:
    config = types.EmbedContentConfig(output_dimensionality=4, task_type="RETRIEVAL_QUERY")
    async with FakeGemini(models=[EMBEDDING_MODEL], api_key="right") as fake, client_of(fake).aio as client:
        several = await client.models.embed_content(
            model=EMBEDDING_MODEL, contents=["same one", "same one", "other"], config=config
        )
        alone = await client.models.embed_content(model=EMBEDDING_MODEL, contents="same one", config=config)
    vectors = [one.values for one in several.embeddings or ()]
    assert vectors[0] == vectors[1] != vectors[2]
    assert [one.values for one in alone.embeddings or ()] == vectors[:1]
    assert [len(values or ()) for values in vectors] == [4, 4, 4]
    assert several.usage_metadata is not None
    assert several.usage_metadata.prompt_token_count == 5
    assert [request.reported for request in fake.requests] == [Usage(input=5), Usage(input=2)]
    assert {request.path.rpartition(":")[2] for request in fake.requests} == {"batchEmbedContents"}


@pytest.mark.parametrize(("count", "text", "message"), [(101, "x", "at most 100 requests"), (1, "", "is empty")])
async def test_a_batch_that_is_too_large_and_an_empty_text_are_refused(count: int, text: str, message: str) -> None:
    async with FakeGemini() as fake, client_of(fake).aio as client:
        with pytest.raises(errors.ClientError, match=message):
            await client.models.embed_content(model=EMBEDDING_MODEL, contents=[text] * count)


async def test_one_text_is_embedded_by_the_method_for_one() -> None:
    async with FakeGemini() as fake, httpx2.AsyncClient(base_url=fake.base_url) as http:
        asked = {"content": {"parts": [{"text": "one two"}]}, "embedContentConfig": {"outputDimensionality": 3}}
        answer = (await http.post(f"/models/{EMBEDDING_MODEL}:embedContent", json=asked)).json()
    assert (len(answer["embedding"]["values"]), answer["usageMetadata"]["promptTokenCount"]) == (3, 2)
