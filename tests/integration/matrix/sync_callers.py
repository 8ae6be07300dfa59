"""The same SDKs' synchronous clients, which have code of their own for connections, streams and errors.

They ask in a thread beside the event loop of the gateway and the fake.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai

from tests.integration.matrix.asks import Heard
from tests.integration.matrix.callers import (
    Call,
    Json,
    hear_chat,
    hear_completions,
    hear_message,
    hear_responses,
    raw_inputs,
    streamed_inputs,
    with_usage,
)


def _options(key: str) -> Json:
    """Without the certificates of authorities, as `callers.options`."""
    return {"api_key": key, "max_retries": 0, "http_client": httpx2.Client(verify=False)}


def _parts(response: Any, stream: bool) -> tuple[Any, list[Any]]:
    answer = response.parse()
    return response.headers, [*answer] if stream else [answer]


def _call_chat(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    with openai.OpenAI(base_url=f"{url}/v1", **_options(key)) as client:
        response: Any = client.chat.completions.with_raw_response.create(**with_usage(arguments, stream))
        return hear_chat(*_parts(response, stream))


def _call_responses(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    with openai.OpenAI(base_url=f"{url}/v1", **_options(key)) as client:
        response: Any = client.responses.with_raw_response.create(**arguments, stream=stream)
        return hear_responses(*_parts(response, stream))


def _call_completions(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    with openai.OpenAI(base_url=f"{url}/v1", **_options(key)) as client:
        response: Any = client.completions.with_raw_response.create(**with_usage(arguments, stream))
        return hear_completions(*_parts(response, stream))


def _call_messages(url: str, key: str, arguments: Json, stream: bool) -> Heard:
    with anthropic.Anthropic(base_url=url, **_options(key)) as client:
        if not stream:
            response: Any = client.messages.with_raw_response.create(**arguments)
            return hear_message(response.headers, response.parse(), raw_inputs(response.text()))
        with client.messages.stream(**arguments) as stream_of:
            inputs = streamed_inputs([*stream_of])
            return hear_message(stream_of.response.headers, stream_of.get_final_message(), inputs)


def _beside(ask: Callable[[str, str, Json, bool], Heard]) -> Call:
    return lambda *arguments: asyncio.to_thread(ask, *arguments)


SYNC_CALLS: dict[str, Call] = {
    "chat": _beside(_call_chat),
    "responses": _beside(_call_responses),
    "completions": _beside(_call_completions),
    "messages": _beside(_call_messages),
}
"""By the name of a caller, in place of `Caller.call`."""
