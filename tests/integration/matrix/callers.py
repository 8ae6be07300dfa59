"""The callers of the matrix: the official SDKs, each speaking one dialect to the gateway."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai

from tests.integration.matrix.asks import Ask, Assistant, Called, Counts, Heard, Results, User
from tests.integration.sdks.questions import ARGUMENTS, PIXEL, SCHEMA

Json = dict[str, Any]
Call = Callable[[str, str, Json, bool], Awaitable[Heard]]
"""Asks arguments of the gateway at an address with a key, streamed or whole."""

WEATHER = {"name": "weather", "description": "Of a city."}
DATA_URL = f"data:image/png;base64,{PIXEL}"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One dialect that the gateway is spoken to in.

    Attributes:
        arguments: The SDK's arguments for a question.
        call: Asks them, streamed or whole.
        finishes: What the dialect calls the reasons why an answer ended.
        errors: By the name of a kind of error what the SDK raises, and the status that makes it.
        in_band: What the SDK raises for an error inside a stream.
    """

    arguments: Callable[[Ask], Json]
    call: Call
    finishes: Mapping[str, str]
    errors: Mapping[str, tuple[type[Exception], int]]
    in_band: type[Exception]


def options(key: str) -> Json:
    """Without the certificates of authorities, which take longer to load than a test to run."""
    return {"api_key": key, "max_retries": 0, "http_client": httpx2.AsyncClient(verify=False)}


# --- OpenAI: chat completions


def chat_arguments(ask: Ask) -> Json:
    messages: list[Json] = [] if ask.system is None else [{"role": "system", "content": ask.system}]
    for turn in ask.turns:
        match turn:
            case User(text, image):
                parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": DATA_URL}}]
                messages.append({"role": "user", "content": parts if image else text})
            case Assistant(text):
                messages.append({"role": "assistant", "content": text})
            case Called(ids):
                function = {"name": "weather", "arguments": ARGUMENTS}
                calls = [{"id": one, "type": "function", "function": function} for one in ids]
                messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            case Results(texts):
                messages += [{"role": "tool", "tool_call_id": one, "content": text} for one, text in texts.items()]
    arguments: Json = {"messages": messages}
    if ask.tools:
        arguments["tools"] = [{"type": "function", "function": {**WEATHER, "parameters": SCHEMA}}]
    if ask.choice is not None:
        named = {"type": "function", "function": {"name": "weather"}}
        arguments["tool_choice"] = named if ask.choice == "weather" else ask.choice
    if ask.json is not None:
        schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
        arguments["response_format"] = schema if ask.json == "schema" else {"type": "json_object"}
    if ask.stop:
        arguments["stop"] = list(ask.stop)
    if ask.max_tokens is not None:
        arguments["max_completion_tokens"] = ask.max_tokens
    if ask.thinks:
        arguments["reasoning_effort"] = "low"
    return arguments


def with_usage(arguments: Json, stream: bool) -> Json:
    """Of streams OpenAI reports it to those that ask."""
    return {"stream_options": {"include_usage": True}, **arguments, "stream": True} if stream else arguments


async def call_chat(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", **options(key)) as client:
        response: Any = await client.chat.completions.with_raw_response.create(**with_usage(arguments, stream))
        answer = response.parse()
        return hear_chat(response.headers, [chunk async for chunk in answer] if stream else [answer])


def hear_chat(fields: Mapping[str, str], parts: Sequence[Any]) -> Heard:
    """*parts*: the chunks of a stream, or the one answer."""
    heard = Heard(fields=fields)
    for part in parts:
        choice = part.choices[0] if part.choices else None
        _hear_chat(heard, part, choice, choice and (choice.delta if hasattr(choice, "delta") else choice.message))
    return heard


def _hear_chat(heard: Heard, answer: Any, choice: Any, said: Any) -> None:
    heard.finish = (choice and choice.finish_reason) or heard.finish
    if said is not None:
        heard.text += said.content or said.refusal or ""
        heard.reasoning += getattr(said, "reasoning_content", None) or ""
        for call in said.tool_calls or ():
            if call.id:
                heard.calls.append([call.id, call.function.name, ""])
            heard.calls[getattr(call, "index", -1)][2] += call.function.arguments or ""
    if answer.usage is not None:
        inputs, outputs = answer.usage.prompt_tokens_details, answer.usage.completion_tokens_details
        heard.usage = Counts(
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
            getattr(inputs, "cached_tokens", None),
            getattr(inputs, "cache_write_tokens", None),
            getattr(outputs, "reasoning_tokens", None),
        )


# --- OpenAI: responses


def responses_arguments(ask: Ask) -> Json:
    items: list[Json] = []
    for turn in ask.turns:
        match turn:
            case User(text, image):
                picture = {"type": "input_image", "image_url": DATA_URL, "detail": "auto"}
                parts = [{"type": "input_text", "text": text}, picture]
                items.append({"role": "user", "content": parts if image else text})
            case Assistant(text):
                items.append({"role": "assistant", "content": text})
            case Called(ids):
                named = {"type": "function_call", "name": "weather", "arguments": ARGUMENTS}
                items += [{**named, "call_id": one} for one in ids]
            case Results(texts):
                results = texts.items()
                items += [{"type": "function_call_output", "call_id": one, "output": text} for one, text in results]
    arguments: Json = {"input": items}
    if ask.system is not None:
        arguments["instructions"] = ask.system
    if ask.tools:
        arguments["tools"] = [{"type": "function", **WEATHER, "parameters": SCHEMA, "strict": False}]
    if ask.choice is not None:
        arguments["tool_choice"] = {"type": "function", "name": "weather"} if ask.choice == "weather" else ask.choice
    if ask.json is not None:
        schema = {"type": "json_schema", "name": "answer", "schema": SCHEMA}
        arguments["text"] = {"format": schema if ask.json == "schema" else {"type": "json_object"}}
    if ask.stop:
        arguments["stop"] = list(ask.stop)  # which the SDK does not have
    if ask.max_tokens is not None:
        arguments["max_output_tokens"] = ask.max_tokens
    if ask.thinks:
        arguments["reasoning"] = {"effort": "low", "summary": "auto"}
    return arguments


async def call_responses(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", **options(key)) as client:
        response: Any = await client.responses.with_raw_response.create(**arguments, stream=stream)
        answer = response.parse()
        return hear_responses(response.headers, [event async for event in answer] if stream else [answer])


def hear_responses(fields: Mapping[str, str], parts: Sequence[Any]) -> Heard:
    """*parts*: the events of a stream, whose last has the whole answer, or that alone."""
    streamed, answer = Heard(), parts[-1]
    if not hasattr(answer, "output"):
        for event in parts:
            _hear_event(streamed, event)
        answer = answer.response
    heard = Heard(fields=fields)
    _hear_response(heard, answer)
    if answer is not parts[-1]:  # the pieces come to the same as the whole that ends them
        pieces = (streamed.text, streamed.reasoning, streamed.calls)
        assert pieces == (heard.text, heard.reasoning, [[*call] for call in heard.calls])
    return heard


def _hear_event(heard: Heard, event: Any) -> None:
    match event.type:
        case "response.output_text.delta":
            heard.text += event.delta
        case "response.reasoning_summary_text.delta":
            heard.reasoning += event.delta
        case "response.output_item.added" if event.item.type == "function_call":
            heard.calls.append([event.item.call_id, event.item.name, ""])
        case "response.function_call_arguments.delta":
            heard.calls[-1][2] += event.delta


def _hear_response(heard: Heard, answer: Any) -> None:
    for item in answer.output:
        if item.type == "message":
            heard.text += "".join(part.refusal if part.type == "refusal" else part.text for part in item.content)
        elif item.type == "reasoning":
            heard.reasoning += "".join(part.text for part in item.summary)
        elif item.type == "function_call":
            heard.calls.append([item.call_id, item.name, item.arguments])
    details = answer.incomplete_details
    heard.finish = answer.status if details is None else details.reason
    usage = answer.usage
    if usage is not None:
        heard.usage = Counts(
            usage.input_tokens,
            usage.output_tokens,
            usage.input_tokens_details.cached_tokens,
            getattr(usage.input_tokens_details, "cache_write_tokens", None),
            usage.output_tokens_details.reasoning_tokens,
        )


# --- Anthropic: messages


def messages_arguments(ask: Ask) -> Json:
    messages: list[Json] = []
    for turn in ask.turns:
        match turn:
            case User(text, image):
                source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
                parts = [{"type": "text", "text": text}, {"type": "image", "source": source}]
                messages.append({"role": "user", "content": parts if image else text})
            case Assistant(text):
                messages.append({"role": "assistant", "content": text})
            case Called(ids):
                used = {"type": "tool_use", "name": "weather", "input": json.loads(ARGUMENTS)}
                messages.append({"role": "assistant", "content": [{**used, "id": one} for one in ids]})
            case Results(texts):
                results = texts.items()
                blocks = [{"type": "tool_result", "tool_use_id": one, "content": text} for one, text in results]
                messages.append({"role": "user", "content": blocks})
    arguments: Json = {"messages": messages, "max_tokens": ask.max_tokens or 4096}
    if ask.system is not None:
        arguments["system"] = ask.system
    if ask.tools:
        arguments["tools"] = [{**WEATHER, "input_schema": SCHEMA}]
    if ask.choice is not None:
        kinds = {"required": {"type": "any"}, "weather": {"type": "tool", "name": "weather"}}
        arguments["tool_choice"] = kinds.get(ask.choice, {"type": ask.choice})
    if ask.json is not None:
        schema = {"type": "json_schema", "schema": SCHEMA}
        arguments["output_config"] = {"format": schema if ask.json == "schema" else {"type": "json_object"}}
    if ask.stop:
        arguments["stop_sequences"] = list(ask.stop)
    if ask.thinks:
        arguments["thinking"] = {"type": "adaptive"}
    return arguments


async def call_messages(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    async with anthropic.AsyncAnthropic(base_url=url, **options(key)) as client:
        if not stream:
            response: Any = await client.messages.with_raw_response.create(**arguments)
            return hear_message(response.headers, await response.parse(), raw_inputs(await response.text()))
        async with client.messages.stream(**arguments) as stream_of:
            inputs = streamed_inputs([event async for event in stream_of])
            return hear_message(stream_of.response.headers, await stream_of.get_final_message(), inputs)


def streamed_inputs(events: Sequence[Any]) -> list[str]:
    inputs: list[str] = []
    for event in events:
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            inputs.append("")
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            inputs[-1] += event.delta.partial_json
    return inputs


def raw_inputs(document: str) -> list[str]:
    """The text of each `input` in an answer: the SDK shows only what it means."""
    decoder = json.JSONDecoder()
    places = [at + len('"input":') for at in _finds(document, '"input":')]
    starts = [place + len(document[place:]) - len(document[place:].lstrip()) for place in places]
    return [document[start : decoder.raw_decode(document, start)[1]] for start in starts]


def _finds(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def hear_message(fields: Mapping[str, str], answer: Any, inputs: list[str]) -> Heard:
    """*inputs*: the arguments of its calls as text."""
    heard = Heard(fields=fields)
    for block in answer.content:
        if block.type == "text":
            heard.text += block.text
        elif block.type == "thinking":
            heard.reasoning += block.thinking
        else:
            text = inputs[len(heard.calls)]
            assert json.loads(text) == block.input
            heard.calls.append([block.id, block.name, text])
    heard.finish, heard.stop = answer.stop_reason, answer.stop_sequence
    usage = answer.usage
    details = usage.output_tokens_details
    heard.usage = Counts(
        usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0),
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        None if details is None else details.thinking_tokens,
    )
    return heard


# --- OpenAI: completions


def completions_arguments(ask: Ask) -> Json:
    (turn,) = ask.turns
    assert isinstance(turn, User)
    arguments: Json = {"prompt": turn.text}
    if ask.stop:
        arguments["stop"] = list(ask.stop)
    if ask.max_tokens is not None:
        arguments["max_tokens"] = ask.max_tokens
    return arguments


async def call_completions(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", **options(key)) as client:
        response: Any = await client.completions.with_raw_response.create(**with_usage(arguments, stream))
        answer = response.parse()
        return hear_completions(response.headers, [part async for part in answer] if stream else [answer])


def hear_completions(fields: Mapping[str, str], parts: Sequence[Any]) -> Heard:
    heard = Heard(fields=fields)
    for part in parts:
        for choice in part.choices:
            heard.text += choice.text
        _hear_chat(heard, part, part.choices[0] if part.choices else None, None)
    return heard


OPENAI_ERRORS: Mapping[str, tuple[type[Exception], int]] = {
    "bad request": (openai.BadRequestError, 400),
    "not found": (openai.NotFoundError, 404),
    "conflict": (openai.ConflictError, 409),
    "unprocessable": (openai.UnprocessableEntityError, 422),
    "too large": (openai.APIStatusError, 413),
    "rate limit": (openai.RateLimitError, 429),
    "failed": (openai.InternalServerError, 502),
    "overloaded": (openai.InternalServerError, 503),
    "timeout": (openai.InternalServerError, 504),
}
"""The client retries by status, so 503 is overloaded."""

CALLERS: dict[str, Caller] = {
    "chat": Caller(
        arguments=chat_arguments,
        call=call_chat,
        finishes={
            "stop": "stop",
            "length": "length",
            "tool_calls": "tool_calls",
            "stop_sequence": "stop",
            "content_filter": "content_filter",
            "refusal": "content_filter",
        },
        errors=OPENAI_ERRORS,
        in_band=openai.APIError,
    ),
    "responses": Caller(
        arguments=responses_arguments,
        call=call_responses,
        finishes={
            "stop": "completed",
            "length": "max_output_tokens",
            "tool_calls": "completed",
            "content_filter": "content_filter",
            "refusal": "completed",
        },
        errors=OPENAI_ERRORS,
        in_band=openai.APIError,
    ),
    "completions": Caller(
        arguments=completions_arguments,
        call=call_completions,
        finishes={
            "stop": "stop",
            "length": "length",
            "stop_sequence": "stop",
            "content_filter": "content_filter",
            "refusal": "content_filter",
        },
        errors=OPENAI_ERRORS,
        in_band=openai.APIError,
    ),
    "messages": Caller(
        arguments=messages_arguments,
        call=call_messages,
        finishes={
            "stop": "end_turn",
            "length": "max_tokens",
            "tool_calls": "tool_use",
            "stop_sequence": "stop_sequence",
            "content_filter": "refusal",
            "refusal": "refusal",
        },
        errors={
            "bad request": (anthropic.BadRequestError, 400),
            "not found": (anthropic.NotFoundError, 404),
            "conflict": (anthropic.ConflictError, 409),
            "unprocessable": (anthropic.UnprocessableEntityError, 422),
            "too large": (anthropic.RequestTooLargeError, 413),
            "rate limit": (anthropic.RateLimitError, 429),
            "failed": (anthropic.InternalServerError, 502),
            "overloaded": (anthropic.OverloadedError, 529),
            "timeout": (anthropic.DeadlineExceededError, 504),
        },
        in_band=anthropic.APIStatusError,
    ),
}

CONVERSATIONS = ("chat", "responses", "messages")
"""Callers with everything that a conversation can have."""
