"""Anthropic's wire format as the fake speaks it: messages, the events of a stream, errors.

Source: https://platform.claude.com/docs/en/api/messages, /errors and /versioning.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from shipway.testing.answers import Event
from shipway.testing.said import Said, all_text, argument_parts
from shipway.testing.script import Usage

Json = dict[str, Any]

SIGNATURE: Final = "ZmFrZS1zaWduYXR1cmU="
_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
STATUS_OF: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Types of errors with the status that each comes with."""


def prompt_text(body: Mapping[str, Any]) -> str:
    messages = body.get("messages", ())
    return " ".join(filter(None, [all_text(body.get("system")), *(all_text(one.get("content")) for one in messages)]))


def wants_json(body: Mapping[str, Any]) -> bool:
    return bool((body.get("output_config") or {}).get("format"))


def usage(counts: Usage) -> Json:
    """Usage as it is reported: caches are beside the input, thinking is inside the output."""
    return {
        "input_tokens": counts.input,
        "cache_creation_input_tokens": counts.cache_write,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": counts.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": counts.all_output,
        **({"output_tokens_details": {"thinking_tokens": counts.reasoning}} if counts.reasoning else {}),
        "service_tier": "standard",
    }


def message(body: Mapping[str, Any], heard: Said) -> Json:
    """Build the answer to an unstreamed request."""
    return {**_begun(body, heard), "content": _blocks(heard), **_ended(heard), "usage": usage(heard.usage)}


def events(body: Mapping[str, Any], heard: Said) -> Iterator[Event]:
    """Yield the events of a stream; usage is known in part from the first, and wholly from the one before the last."""
    started = replace(heard.usage, output=1, reasoning=0)
    opening = {**_begun(body, heard), "content": [], "stop_reason": None, "stop_sequence": None}
    yield framed({"type": "message_start", "message": {**opening, "usage": usage(started)}}, started)
    yield framed({"type": "ping"})
    for index, block in enumerate(_blocks(heard)):
        yield framed({"type": "content_block_start", "index": index, "content_block": _emptied(block)})
        for delta in _deltas(block, heard):
            yield framed({"type": "content_block_delta", "index": index, "delta": delta})
        yield framed({"type": "content_block_stop", "index": index})
    yield framed({"type": "message_delta", "delta": _ended(heard), "usage": usage(heard.usage)}, heard.usage)
    yield framed({"type": "message_stop"})


def error(kind: str, text: str, request_id: str | None = None) -> Json:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": request_id}


def framed(document: Mapping[str, Any], known: Usage | None = None) -> Event:
    data = json.dumps(document, separators=(",", ":"))
    return Event(f"event: {document['type']}\ndata: {data}\n\n".encode(), known)


def _begun(body: Mapping[str, Any], heard: Said) -> Json:
    return {"id": "msg_fake", "type": "message", "role": "assistant", "model": body.get("model")}


def _ended(heard: Said) -> Json:
    return {"stop_reason": _REASONS.get(heard.finish, heard.finish), "stop_sequence": heard.stop}


def _blocks(heard: Said) -> list[Json]:
    blocks: list[Json] = []
    if heard.reasoning:
        blocks.append({"type": "thinking", "thinking": "".join(heard.reasoning), "signature": SIGNATURE})
    if heard.tokens:
        blocks.append({"type": "text", "text": heard.text, **({"citations": _cited(heard)} if heard.citations else {})})
    for call in heard.tool_calls:
        arguments = json.loads(call.arguments or "{}")
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    return blocks


def _emptied(block: Json) -> Json:
    empty: dict[str, Json] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": "", **({"citations": []} if block.get("citations") else {})},
        "tool_use": {"input": {}},
    }
    return {**block, **empty[block["type"]]}


def _cited(heard: Said) -> list[Json]:
    return [
        {
            "type": "web_search_result_location",
            "url": one.url,
            "title": one.title,
            "cited_text": one.quote,
            "encrypted_index": "ZmFrZQ==",
        }
        for one in heard.citations
    ]


def _deltas(block: Json, heard: Said) -> Iterator[Json]:
    if block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in heard.reasoning)
        yield {"type": "signature_delta", "signature": SIGNATURE}
    elif block["type"] == "text":
        yield from ({"type": "text_delta", "text": token} for token in heard.tokens)
        yield from ({"type": "citations_delta", "citation": one} for one in block.get("citations", ()))
    else:
        arguments = next(call.arguments for call in heard.tool_calls if call.id == block["id"])
        for part in ("", *argument_parts(arguments)):
            yield {"type": "input_json_delta", "partial_json": part}
