"""The providers' own clients read what the dialects write: answers, streams, and the class of each error."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any

import anthropic
import botocore.session
import httpx2
import openai
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.parsers import create_parser
from botocore.validate import ParamValidator
from google.genai import types as genai_types
from hypothesis import given, settings
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from shipway.gateway import refusals
from shipway.gateway.dialects.conversation import Citation, Conversation, Reasoning, Text, ToolCall
from shipway.gateway.dialects.events import Answer, Envelope, Started, TextDelta, unfold
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.usage import TokenUsage
from shipway.gateway.refusals import Refusal
from tests.gateway.dialects.strategies import EXPRESSES, conversations

ENVELOPE = Envelope("request-1", "model", 1_700_000_000)
ARGUMENTS = '{"zone": "Europe\\/Paris", "at": 1e3}'
ANSWER = Answer(
    (
        Reasoning("Hm.", "cHJvb2Y=", origin="gemini"),
        Text("It is 18 °C."),
        Citation("https://source.example/", "Source", "18"),
        ToolCall("call_1", "get_time", ARGUMENTS),
        ToolCall("", "get_weather", "{}"),
    ),
    "tool_calls",
    usage=TokenUsage(90, 10, output=20, reasoning=5),
)
MESSAGES: TypeAdapter[Any] = TypeAdapter(anthropic.types.message_create_params.MessageCreateParamsNonStreaming)
COMPLETIONS: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
RESPONSES: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)


@cache
def bedrock_runtime() -> Any:
    """The description of the service that boto3 is made from."""
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def written(name: str) -> bytes:
    return open_dialect(name).write_answer(ANSWER, ENVELOPE)


def streamed(name: str) -> bytes:
    writer = open_dialect(name).stream_writer(ENVELOPE)
    return b"".join([writer.write(event) for event in unfold(ANSWER)])


def broken_off(name: str) -> bytes:
    writer = open_dialect(name).stream_writer(ENVELOPE)
    said = writer.write(Started()) + writer.write(TextDelta("x"))
    return said + open_dialect(name).stream_error(refusals.upstream_failed("cut"))


def served(body: bytes, status: int = 200, kind: str = "text/event-stream", fields: bytes = b"") -> httpx2.Client:
    headers = dict(line.split(": ", 1) for line in fields.decode().split("\r\n") if line)
    response = {"content-type": kind} | {name.lower(): value for name, value in headers.items()}
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(status, content=body, headers=response))
    return httpx2.Client(transport=transport)


def openai_client(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=http, max_retries=0)


def anthropic_client(http: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", http_client=http, max_retries=0)


def sent(conversation: Conversation, name: str) -> Any:
    return json.loads(open_dialect(name).write_request(conversation, "us.anthropic.claude", Losses()))


@settings(max_examples=30)
@given(conversations(EXPRESSES["anthropic"]))
def test_anthropics_types_take_the_requests(conversation: Conversation) -> None:
    MESSAGES.validate_python(sent(conversation, "anthropic"))


@settings(max_examples=30)
@given(conversations(EXPRESSES["openai_chat"] - {"openai"}))
def test_openais_types_take_the_requests(conversation: Conversation) -> None:
    COMPLETIONS.validate_python(sent(conversation, "openai_chat"))


@settings(max_examples=30)
@given(conversations(EXPRESSES["openai_responses"]))
def test_openais_types_take_the_requests_for_responses(conversation: Conversation) -> None:
    RESPONSES.validate_python(sent(conversation, "openai_responses"))


@settings(max_examples=30)
@given(conversations(EXPRESSES["gemini"] - {"gemini"}))
def test_geminis_types_take_the_requests(conversation: Conversation) -> None:
    request = sent(conversation, "gemini")
    for content in request["contents"]:
        genai_types.Content.model_validate(content)
    config = request.get("generationConfig", {}) | {
        name: request[name] for name in ("systemInstruction", "tools", "toolConfig") if name in request
    }
    genai_types.GenerateContentConfig.model_validate(config)


@settings(max_examples=30)
@given(conversations(EXPRESSES["bedrock"]))
def test_bedrocks_service_model_takes_the_requests(conversation: Conversation) -> None:
    model = bedrock_runtime()
    report = ParamValidator().validate(
        sent(conversation, "bedrock") | {"modelId": "m"}, model.operation_model("Converse").input_shape
    )
    assert report.generate_report() == ""


def test_openais_types_take_the_answers() -> None:
    message = ChatCompletion.model_validate_json(written("openai_chat")).choices[0].message
    calls = [call for call in message.tool_calls or () if call.type == "function"]
    assert [call.function.arguments for call in calls] == [ARGUMENTS, "{}"]
    response = Response.model_validate_json(written("openai_responses"))
    assert response.output_text == "It is 18 °C."
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]


def test_anthropics_types_take_the_answer() -> None:
    message = anthropic.types.Message.model_validate_json(written("anthropic"))
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (message.stop_reason, message.usage.cache_read_input_tokens) == ("tool_use", 10)


def test_geminis_types_take_the_answer() -> None:
    response = genai_types.GenerateContentResponse.model_validate(json.loads(written("gemini")))
    calls = response.function_calls or []
    assert [call.args for call in calls] == [{"zone": "Europe/Paris", "at": 1000.0}, {}]
    assert response.usage_metadata is not None
    assert response.usage_metadata.total_token_count == 125


def test_bedrocks_parser_takes_the_answer_and_the_stream() -> None:
    model = bedrock_runtime()
    parser = create_parser(model.protocol)
    operation = model.operation_model("Converse")
    answer = parser.parse({"status_code": 200, "headers": {}, "body": written("bedrock")}, operation.output_shape)
    assert [next(iter(block)) for block in answer["output"]["message"]["content"]] == [
        "reasoningContent",
        "citationsContent",
        "toolUse",
        "toolUse",
    ]
    shape = model.operation_model("ConverseStream").output_shape.members["stream"]
    buffer = EventStreamBuffer()
    buffer.add_data(streamed("bedrock"))
    events = [parser._event_stream_parser.parse(event.to_response_dict(), shape) for event in buffer]
    inputs = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"]
        for event in events
        if "toolUse" in str(event.get("contentBlockDelta"))
    ]
    assert inputs == [ARGUMENTS, "{}"]
    assert next(iter(events[-1])) == "metadata"


def test_openais_client_follows_the_streams() -> None:
    client = openai_client(served(streamed("openai_chat")))
    with client.chat.completions.stream(model="m", messages=[]) as chat:
        choice = chat.until_done().get_final_completion().choices[0]
    assert choice.message.content == "It is 18 °C."
    assert [call.function.arguments for call in choice.message.tool_calls or ()] == [ARGUMENTS, "{}"]
    client = openai_client(served(streamed("openai_responses")))
    with client.responses.stream(model="m", input="x") as stream:
        response = stream.until_done().get_final_response()
    assert (response.output_text, response.status) == ("It is 18 °C.", "completed")
    assert response.usage is not None
    assert response.usage.total_tokens == 125


def test_anthropics_client_follows_the_stream() -> None:
    client = anthropic_client(served(streamed("anthropic")))
    with client.messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 25)


ERRORS: list[tuple[Refusal, type[Exception], type[Exception]]] = [
    (refusals.bad_field("x", "No."), openai.BadRequestError, anthropic.BadRequestError),
    (refusals.INVALID_KEY, openai.AuthenticationError, anthropic.AuthenticationError),
    (Refusal(HTTPStatus.FORBIDDEN, "forbidden", "No."), openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    (refusals.unknown_model("m"), openai.NotFoundError, anthropic.NotFoundError),
    (refusals.rate_limited(3), openai.RateLimitError, anthropic.RateLimitError),
    (refusals.INTERNAL, openai.InternalServerError, anthropic.InternalServerError),
    (refusals.resting(1), openai.InternalServerError, anthropic.InternalServerError),
    (refusals.upstream_failed("idle_timeout"), openai.InternalServerError, anthropic.InternalServerError),
]


@pytest.mark.parametrize(("refusal", "of_openai", "of_anthropic"), ERRORS)
def test_each_error_has_the_class_that_its_client_knows(
    refusal: Refusal, of_openai: type[Exception], of_anthropic: type[Exception]
) -> None:
    def refused(name: str) -> httpx2.Client:
        dialect = open_dialect(name)
        fields, body = dialect.write_error(refusal, "request-1")
        return served(body, dialect.status(refusal), "application/json", fields)

    with pytest.raises(of_openai):
        openai_client(refused("openai_chat")).chat.completions.create(model="m", messages=[])
    with pytest.raises(of_openai):
        openai_client(refused("openai_responses")).responses.create(model="m", input="x")
    with pytest.raises(of_anthropic):
        anthropic_client(refused("anthropic")).messages.create(model="m", max_tokens=9, messages=[])


def test_a_stream_that_broke_off_makes_each_client_raise() -> None:
    calls: list[tuple[type[Exception], Callable[[], Any]]] = [
        (
            openai.APIError,
            lambda: openai_client(served(broken_off("openai_chat"))).chat.completions.create(
                model="m", messages=[], stream=True
            ),
        ),
        (
            openai.APIError,
            lambda: openai_client(served(broken_off("openai_responses"))).responses.create(
                model="m", input="x", stream=True
            ),
        ),
        (
            anthropic.APIStatusError,
            lambda: anthropic_client(served(broken_off("anthropic"))).messages.create(
                model="m", max_tokens=9, messages=[], stream=True
            ),
        ),
    ]
    for error, call in calls:
        with pytest.raises(error):
            list(call())
