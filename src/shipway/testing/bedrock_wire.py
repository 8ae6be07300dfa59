"""Bedrock's wire format as the fake speaks it: Converse, the events of ConverseStream, exceptions in both.

Source: botocore's model of the service, and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

from shipway.testing.answers import Event
from shipway.testing.bedrock_frames import frame
from shipway.testing.said import Said, all_text, argument_parts
from shipway.testing.script import Usage

Json = dict[str, Any]

SIGNATURE: Final = base64.b64encode(b"fake-signature").decode()
_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}
STATUS_OF: Final = {
    "ValidationException": 400,
    "ServiceQuotaExceededException": 400,
    "ConflictException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
    "MissingAuthenticationTokenException": 403,
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
}
"""Exceptions with the status that each comes with."""


def prompt_text(body: Any) -> str:
    return " ".join(filter(None, [all_text(body.get("system")), all_text(body.get("messages"))]))


def usage(counts: Usage) -> Json:
    """Usage as it is reported: caches are beside the input, and reasoning is not told from the rest of the output."""
    caches = {"cacheReadInputTokens": counts.cache_read, "cacheWriteInputTokens": counts.cache_write}
    numbers = {"inputTokens": counts.input, "outputTokens": counts.output, "totalTokens": counts.total}
    return {**numbers, **{name: count for name, count in caches.items() if count}}


def response(heard: Said) -> Json:
    """Build the answer to Converse."""
    message = {"role": "assistant", "content": _blocks(heard)}
    return {
        "output": {"message": message},
        "stopReason": _REASONS.get(heard.finish, heard.finish),
        "usage": usage(heard.usage),
        "metrics": {"latencyMs": 1},
    }


def events(heard: Said) -> Iterator[Event]:
    """Yield the events of ConverseStream. Only blocks of tools begin with an event; usage comes last, in `metadata`."""
    yield _event("messageStart", {"role": "assistant"})
    for index, block in enumerate(_blocks(heard)):
        place = {"contentBlockIndex": index}
        if "toolUse" in block:
            start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            yield _event("contentBlockStart", {**place, "start": {"toolUse": start}})
        for delta in _deltas(block, heard):
            yield _event("contentBlockDelta", {**place, "delta": delta})
        yield _event("contentBlockStop", place)
    yield _event("messageStop", {"stopReason": _REASONS.get(heard.finish, heard.finish)})
    yield _event("metadata", {"usage": usage(heard.usage), "metrics": {"latencyMs": 1}}, heard.usage)


def exception(name: str, text: str) -> bytes:
    """An exception inside a stream, which ends it. *name* as in STATUS_OF."""
    headers = {
        ":exception-type": name[0].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps({"message": text}).encode())


def _event(kind: str, document: Json, known: Usage | None = None) -> Event:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    # Bedrock pads its events, so that their sizes say nothing of the tokens in them.
    return Event(frame(headers, json.dumps({**document, "p": "abcdefghijklm"}).encode()), known)


def _blocks(heard: Said) -> list[Json]:
    blocks: list[Json] = []
    if heard.reasoning:
        thought = {"text": "".join(heard.reasoning), "signature": SIGNATURE}
        blocks.append({"reasoningContent": {"reasoningText": thought}})
    if heard.tokens and heard.citations:
        blocks.append({"citationsContent": {"content": [{"text": heard.text}], "citations": _cited(heard)}})
    elif heard.tokens:
        blocks.append({"text": heard.text})
    for call in heard.tool_calls:
        arguments = json.loads(call.arguments or "{}")
        blocks.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments}})
    return blocks


def _cited(heard: Said) -> list[Json]:
    return [
        {"title": one.title, "sourceContent": [{"text": one.quote}], "location": {"web": {"url": one.url}}}
        for one in heard.citations
    ]


def _deltas(block: Json, heard: Said) -> Iterator[Json]:
    if "text" in block or "citationsContent" in block:
        yield from ({"text": token} for token in heard.tokens)
        yield from ({"citation": one} for one in _cited(heard))
    elif "toolUse" in block:
        arguments = next(call.arguments for call in heard.tool_calls if call.id == block["toolUse"]["toolUseId"])
        yield from ({"toolUse": {"input": part}} for part in argument_parts(arguments))
    else:
        yield from ({"reasoningContent": {"text": piece}} for piece in heard.reasoning)
        yield {"reasoningContent": {"signature": SIGNATURE}}
