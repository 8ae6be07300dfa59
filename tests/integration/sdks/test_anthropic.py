"""The fake of Anthropic satisfies Anthropic's own client: answers, streams, tools, errors."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest

from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.anthropic_wire import STATUS_OF
from shipway.testing.script import Reply, ToolCall, Usage
from tests.integration.sdks.questions import ARGUMENTS, CITATIONS, PIXEL, SCHEMA

pytestmark = pytest.mark.integration

ASK: dict[str, Any] = {
    "model": "claude",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Say three words."}],
}
TOOLS: dict[str, Any] = {"tools": [{"name": "weather", "description": "Of a city.", "input_schema": SCHEMA}]}
COUNTS = Usage(input=11, cache_read=5, cache_write=3, output=7, reasoning=2)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic(models=["claude"], api_key="right") as server:
        yield server


@pytest.fixture
async def client(fake: FakeAnthropic) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=fake.url, api_key="right", max_retries=0) as instance:
        yield instance


async def final(client: anthropic.AsyncAnthropic, **question: Any) -> Any:
    """The message that a stream comes to, put together by the SDK."""
    async with client.messages.stream(**{**ASK, **question}) as stream:
        return await stream.get_final_message()


async def asked(client: anthropic.AsyncAnthropic, stream: bool, **question: Any) -> Any:
    return await final(client, **question) if stream else await client.messages.create(**{**ASK, **question})


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
async def test_text_and_every_class_of_usage_arrive(
    fake: FakeAnthropic, client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    fake.script(Reply(text="One two three.", usage=COUNTS))
    answer = await asked(client, stream)
    assert [block.text for block in answer.content] == ["One two three."]
    assert (answer.stop_reason, answer.role, answer.model) == ("end_turn", "assistant", "claude")
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (11, 5, 3)
    assert usage.output_tokens == 9
    assert usage.output_tokens_details.thinking_tokens == 2
    assert fake.requests[0].usage == fake.requests[0].reported == COUNTS


@both
async def test_thinking_comes_before_the_text_with_its_signature(
    fake: FakeAnthropic, client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    fake.script(Reply(reasoning="Let me see.", text="Yes."))
    answer = await asked(client, stream, thinking={"type": "enabled", "budget_tokens": 1024})
    thought, text = answer.content
    assert (thought.type, thought.thinking, bool(thought.signature)) == ("thinking", "Let me see.", True)
    assert text.text == "Yes."


@both
async def test_tools_are_called_with_their_arguments(
    fake: FakeAnthropic, client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    fake.script(Reply(tool_calls=[ToolCall("weather", ARGUMENTS), ToolCall("weather", "{}")]))
    answer = await asked(client, stream, **TOOLS)
    assert answer.stop_reason == "tool_use"
    assert [(one.id, one.name, one.input) for one in answer.content] == [
        ("toolu_fake_1", "weather", json.loads(ARGUMENTS)),
        ("toolu_fake_2", "weather", {}),
    ]


async def test_results_of_tools_and_images_are_taken(fake: FakeAnthropic, client: anthropic.AsyncAnthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}, image]}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    await client.messages.create(**{**ASK, "messages": messages, **TOOLS})
    assert fake.requests[0].json["messages"] == messages
    assert fake.requests[0].usage == Usage(input=4, output=5)


@both
async def test_stop_sequences_and_limits_end_the_text(
    fake: FakeAnthropic, client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    fake.script(Reply(text="One two three."), Reply(text="One two three."))
    stopped = await asked(client, stream, stop_sequences=["three"])
    assert (stopped.stop_reason, stopped.stop_sequence, stopped.content[0].text) == (
        "stop_sequence",
        "three",
        "One two ",
    )
    limited = await asked(client, stream, max_tokens=2)
    assert (limited.stop_reason, limited.content[0].text) == ("max_tokens", "One two")


@both
async def test_citations_stand_at_the_text(fake: FakeAnthropic, client: anthropic.AsyncAnthropic, stream: bool) -> None:
    fake.script(Reply(citations=CITATIONS))
    (text,) = (await asked(client, stream)).content
    assert [(one.url, one.title, one.cited_text) for one in text.citations] == [
        (one.url, one.title, one.quote) for one in CITATIONS
    ]


async def test_json_is_said_where_a_schema_asks_for_it(client: anthropic.AsyncAnthropic) -> None:
    answer = await asked(client, False, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    assert json.loads(answer.content[0].text) == {"answer": "This is a fake answer."}


async def test_tokens_are_counted(fake: FakeAnthropic, client: anthropic.AsyncAnthropic) -> None:
    counted = await client.messages.count_tokens(model="claude", messages=ASK["messages"], system="Be brief.")
    assert counted.input_tokens == 5


ERRORS: dict[str, type[anthropic.APIStatusError]] = {
    "invalid_request_error": anthropic.BadRequestError,
    "authentication_error": anthropic.AuthenticationError,
    "billing_error": anthropic.PaymentRequiredError,
    "permission_error": anthropic.PermissionDeniedError,
    "not_found_error": anthropic.NotFoundError,
    "request_too_large": anthropic.ContentTooLargeError,
    "rate_limit_error": anthropic.RateLimitError,
    "api_error": anthropic.InternalServerError,
    "timeout_error": anthropic.GatewayTimeoutError,
    "overloaded_error": anthropic.OverloadedError,
}


@both
@pytest.mark.parametrize(("kind", "expected"), ERRORS.items())
async def test_every_error_is_the_clients_own_exception(
    fake: FakeAnthropic,
    client: anthropic.AsyncAnthropic,
    kind: str,
    expected: type[anthropic.APIStatusError],
    stream: bool,
) -> None:
    fake.script(Reply(error_type=kind, status=STATUS_OF[kind]))
    with pytest.raises(expected) as caught:
        await asked(client, stream)
    assert caught.value.type == kind
    assert caught.value.request_id == "req_fake_1"
    assert ERRORS.keys() == STATUS_OF.keys()


async def test_what_the_fake_itself_refuses(fake: FakeAnthropic, client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claudia"):
        await client.messages.create(**{**ASK, "model": "claudia"})
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="wrong").messages.create(**ASK)
    with pytest.raises(anthropic.BadRequestError, match="unknown field `n`"):
        await client.messages.create(**ASK, extra_body={"n": 2})
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs"):
        await client.messages.create(**ASK, extra_body={"temperature": 1})
    await client.messages.create(
        **ASK, extra_body={"temperature": 1}, extra_headers={"anthropic-version": "2023-06-01"}
    )
    orphan = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": ""}]}
    with pytest.raises(anthropic.BadRequestError, match="unexpected `tool_use_id`"):
        await client.messages.create(**{**ASK, "messages": [orphan]})


async def test_error_inside_a_stream_is_raised(fake: FakeAnthropic, client: anthropic.AsyncAnthropic) -> None:
    fake.script(Reply(error_after=4))
    with pytest.raises(anthropic.APIStatusError) as caught:
        await final(client)
    # Its status is the stream's own, which was good, so only its type says what it is.
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


async def test_cut_stream_is_noticed_by_an_exception_of_the_http_library(
    fake: FakeAnthropic, client: anthropic.AsyncAnthropic
) -> None:
    fake.script(Reply(cut_after=5))
    with pytest.raises(httpx2.RemoteProtocolError):
        await final(client)
    # Of the usage only the beginning was said.
    assert fake.requests[0].reported == Usage(input=3, output=1)
    assert fake.requests[0].usage == Usage(input=3, output=5)


async def test_stream_that_ends_in_order_but_early_is_not_noticed(
    fake: FakeAnthropic, client: anthropic.AsyncAnthropic
) -> None:
    fake.script(Reply(text="One two three.", end_after=5))
    answer = await final(client)
    assert (answer.content[0].text, answer.stop_reason) == ("One two", None)
