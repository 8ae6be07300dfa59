"""The fake's responses API satisfies OpenAI's own client: items, events, tools, errors."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.script import Reply, ToolCall, Usage
from tests.integration.sdks.questions import ARGUMENTS, CITATIONS, PIXEL, SCHEMA

pytestmark = pytest.mark.integration

ASK: dict[str, Any] = {"model": "chat", "input": "Say three words."}
TOOLS: dict[str, Any] = {"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]}
COUNTS = Usage(input=11, cache_read=5, cache_write=3, output=7, reasoning=2)


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(models=["chat"], api_key="right") as server:
        yield server


@pytest.fixture
async def client(fake: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key="right", max_retries=0) as instance:
        yield instance


async def asked(client: openai.AsyncOpenAI, stream: bool, **question: Any) -> Any:
    """The response; where it was streamed, put together by the SDK from its events."""
    options: dict[str, Any] = {**ASK, **question}
    if not stream:
        return await client.responses.create(**options)
    async with client.responses.stream(**options) as events:
        return await events.get_final_response()


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
async def test_text_and_every_class_of_usage_arrive(fake: FakeOpenAI, client: openai.AsyncOpenAI, stream: bool) -> None:
    fake.script(Reply(text="One two three.", usage=COUNTS))
    response = await asked(client, stream)
    assert (response.output_text, response.status) == ("One two three.", "completed")
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (19, 9, 28)
    details = usage.input_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (5, 3)
    assert usage.output_tokens_details.reasoning_tokens == 2
    assert fake.requests[0].usage == fake.requests[0].reported == COUNTS


@both
async def test_reasoning_and_tools_are_items_of_their_own(
    fake: FakeOpenAI, client: openai.AsyncOpenAI, stream: bool
) -> None:
    calls = [ToolCall("weather", ARGUMENTS), ToolCall("weather", "{}", "mine")]
    fake.script(Reply(reasoning="Let me see.", text="Wait.", tool_calls=calls))
    thought, message, *called = (await asked(client, stream, **TOOLS)).output
    assert [part.text for part in thought.summary] == ["Let me see."]
    assert [part.text for part in message.content] == ["Wait."]
    assert [(one.call_id, one.name, one.arguments) for one in called] == [
        ("call_fake_1", "weather", ARGUMENTS),
        ("mine", "weather", "{}"),
    ]


async def test_events_come_in_order_and_are_numbered(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(text="One two."))
    stream: Any = await client.responses.create(**ASK, stream=True)
    events = [event async for event in stream]
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))


async def test_results_of_tools_and_images_are_taken(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]
    await asked(client, False, input=items, instructions="Be brief.", **TOOLS)
    assert fake.requests[0].json["input"] == items
    assert fake.requests[0].usage == Usage(input=6, output=5)


async def test_limit_makes_it_incomplete(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(text="One two three."), Reply(text="One two three."))
    whole = await asked(client, False, max_output_tokens=2)
    # Not by the SDK's own helper, which knows no end of a stream but `response.completed`.
    stream: Any = await client.responses.create(**ASK, max_output_tokens=2, stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "response.incomplete"
    for response in (whole, last.response):
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert response.output_text == "One two"


@both
async def test_citations_are_annotations(fake: FakeOpenAI, client: openai.AsyncOpenAI, stream: bool) -> None:
    fake.script(Reply(text="One two.", citations=CITATIONS))
    (message,) = (await asked(client, stream)).output
    assert [(mark.url, mark.title, mark.end_index) for mark in message.content[0].annotations] == [
        (one.url, one.title, 8) for one in CITATIONS
    ]


async def test_json_is_said_where_it_is_asked_for(client: openai.AsyncOpenAI) -> None:
    form = {"type": "json_schema", "name": "answer", "schema": SCHEMA}
    response = await asked(client, False, text={"format": form})
    assert json.loads(response.output_text) == {"answer": "This is a fake answer."}


async def test_what_went_before_is_known_by_its_id(client: openai.AsyncOpenAI) -> None:
    first = await asked(client, False)
    assert (await asked(client, False, previous_response_id=first.id)).previous_response_id == first.id
    with pytest.raises(openai.BadRequestError) as caught:
        await asked(client, False, previous_response_id="resp_unknown")
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


@both
async def test_errors_are_the_clients_own_exceptions(
    fake: FakeOpenAI, client: openai.AsyncOpenAI, stream: bool
) -> None:
    fake.script(Reply(status=429), Reply(status=500))
    with pytest.raises(openai.RateLimitError):
        await asked(client, stream)
    with pytest.raises(openai.InternalServerError):
        await asked(client, stream)


async def test_error_inside_a_stream_is_an_event_and_no_exception(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(error_after=4))
    stream: Any = await client.responses.create(**ASK, stream=True)
    last = [event async for event in stream][-1]
    assert (last.type, last.code, last.message) == ("error", "server_error", "The server had an error.")
    fake.script(Reply(error_after=4))
    with pytest.raises(RuntimeError, match=r"response\.completed"):  # by whoever asks for the whole response
        await asked(client, True)


async def test_stream_that_ends_in_order_but_early_is_noticed_by_whoever_asks_for_all_of_it(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply(end_after=5), Reply(end_after=5))
    stream: Any = await client.responses.create(**ASK, stream=True)
    assert len([event async for event in stream]) == 5
    with pytest.raises(RuntimeError, match=r"response\.completed"):
        await asked(client, True)


async def test_cut_stream_is_noticed(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(cut_after=4))
    with pytest.raises(openai.APIConnectionError):
        await asked(client, True)
    assert fake.requests[0].reported is None
