"""Converse and ConverseStream as Bedrock answers. Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
API_runtime_ConverseStream.html and API_runtime_ConverseStreamOutput.html. Frames are laid out here from
https://smithy.io/2.0/aws/amazon-eventstream.html."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from tests.gateway.dialects.recorded.exchange import Exchange, Said, document

USAGE: dict[str, Any] = {
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 15,
    "cacheReadInputTokens": 0,
    "cacheWriteInputTokens": 0,
    "cacheDetails": [],
}
COUNTED = (10, 0, 0, 5, None)
ARGUMENTS = {"city": 'Köln "am" Rhein', "days": 3}
WEATHER = ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "weather", ARGUMENTS)
CALL = {"toolUse": {"toolUseId": WEATHER[0], "name": "weather", "input": ARGUMENTS}}
CLOCK = {"toolUse": {"toolUseId": "tooluse_2", "name": "clock", "input": {}}}
TEXT = {"text": "Hi there."}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm. So.", "signature": "EqQBCgIYAhIM"}}}
UNSIGNED = {"reasoningContent": {"reasoningText": {"text": "Hm. So."}}}
SEALED = {"reasoningContent": {"redactedContent": "EmwKAhgBEgy3"}}
PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "web": ({"web": {"url": "https://a.example", "domain": "a.example"}}, "https://a.example"),
    "documentChar": ({"documentChar": {"documentIndex": 0, "start": 0, "end": 3}}, "A"),
    "documentPage": ({"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}, "A"),
    "documentChunk": ({"documentChunk": {"documentIndex": 0, "start": 0, "end": 1}}, "A"),
}


def cited(location: dict[str, Any]) -> dict[str, Any]:
    return {"title": "A", "sourceContent": [{"text": "Cologne"}], "location": location}


def frame(kind: str, payload: bytes, message_type: str = "event") -> bytes:
    said = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    if message_type == "error":
        said = {":message-type": "error", ":error-code": kind, ":error-message": "secret"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in said.items()
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    checked = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return checked + struct.pack("!I", zlib.crc32(checked))


def event(kind: str, **fields: Any) -> bytes:
    return frame(kind, json.dumps({**fields, "p": "abcdefghij"}, ensure_ascii=False).encode())


def answer(
    content: list[dict[str, Any]], reason: str = "end_turn", usage: Any = USAGE, **fields: Any
) -> dict[str, Any]:
    return {
        "metrics": {"latencyMs": 1034},
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": reason,
        "usage": usage,
        **fields,
    }


def block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    deltas: list[dict[str, Any]] = []
    if "text" in block:
        deltas = [{"text": block["text"][:3]}, {"text": block["text"][3:]}, {"text": ""}]
    elif "toolUse" in block:
        call = block["toolUse"]
        start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
        yield event("contentBlockStart", contentBlockIndex=index, start=start)
        text = json.dumps(call["input"], ensure_ascii=False) if call["input"] else ""
        deltas = [{"toolUse": {"input": one}} for one in ("", text[:9], text[9:])]
    elif "citationsContent" in block:
        content = block["citationsContent"]
        deltas = [{"text": content["content"][0]["text"]}, *({"citation": one} for one in content["citations"])]
    else:
        thought = block["reasoningContent"]
        text = thought.get("reasoningText", {})
        deltas = [{"reasoningContent": {"text": one}} for one in text.get("text", "")]
        deltas += [{"reasoningContent": {"signature": text["signature"]}}] if "signature" in text else []
        deltas += (
            [{"reasoningContent": {"redactedContent": thought["redactedContent"]}}]
            if "redactedContent" in thought
            else []
        )
    for delta in deltas:
        yield event("contentBlockDelta", contentBlockIndex=index, delta=delta)
    yield event("contentBlockStop", contentBlockIndex=index)


def stream(content: list[dict[str, Any]], reason: str = "end_turn", usage: Any = USAGE, **metadata: Any) -> list[bytes]:
    said = [one for index, block in enumerate(content) for one in block_events(index, block)]
    last = event("metadata", metrics={"latencyMs": 1034}, usage=usage, **metadata)
    return [event("messageStart", role="assistant"), *said, event("messageStop", stopReason=reason), last]


BOTH: list[tuple[str, list[dict[str, Any]], str, Said]] = [
    ("text", [TEXT], "end_turn", Said("Hi there.", usage=COUNTED)),
    ("two texts", [TEXT, TEXT], "end_turn", Said("Hi there." * 2, usage=COUNTED)),
    ("an emoji", [{"text": "ok 👩‍👩‍👧"}], "end_turn", Said("ok 👩‍👩‍👧", usage=COUNTED)),
    ("nothing", [], "end_turn", Said(usage=COUNTED)),
    ("a text that is empty", [{"text": ""}], "end_turn", Said(usage=COUNTED)),
    ("a limit", [TEXT], "max_tokens", Said("Hi there.", stop="length", usage=COUNTED)),
    ("a stop sequence", [TEXT], "stop_sequence", Said("Hi there.", stop="stop_sequence", usage=COUNTED)),
    ("a guardrail", [TEXT], "guardrail_intervened", Said("Hi there.", stop="content_filter", usage=COUNTED)),
    ("a filter", [TEXT], "content_filtered", Said("Hi there.", stop="content_filter", usage=COUNTED)),
    (
        "the context's end",
        [TEXT],
        "model_context_window_exceeded",
        Said("Hi there.", stop="context_window", usage=COUNTED),
    ),
    ("a call", [CALL], "tool_use", Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED)),
    (
        "a call of nothing",
        [CLOCK],
        "tool_use",
        Said(calls=(("tooluse_2", "clock", {}),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "text and two calls",
        [TEXT, CALL, CLOCK],
        "tool_use",
        Said("Hi there.", (WEATHER, ("tooluse_2", "clock", {})), "tool_calls", usage=COUNTED),
    ),
    (
        "thoughts",
        [THOUGHT, TEXT],
        "end_turn",
        Said("Hi there.", thoughts=(("Hm. So.", "EqQBCgIYAhIM", None),), usage=COUNTED),
    ),
    (
        "unsigned thoughts",
        [UNSIGNED, TEXT],
        "end_turn",
        Said("Hi there.", thoughts=(("Hm. So.", None, None),), usage=COUNTED),
    ),
    (
        "sealed thoughts",
        [SEALED, TEXT],
        "end_turn",
        Said("Hi there.", thoughts=(("", None, "EmwKAhgBEgy3"),), usage=COUNTED),
    ),
    (
        "thoughts of both kinds, then a call",
        [THOUGHT, SEALED, CALL],
        "tool_use",
        Said(
            calls=(WEATHER,),
            stop="tool_calls",
            thoughts=(("Hm. So.", "EqQBCgIYAhIM", None), ("", None, "EmwKAhgBEgy3")),
            usage=COUNTED,
        ),
    ),
    *(
        (
            f"cited: {name}",
            [{"citationsContent": {"content": [TEXT], "citations": [cited(location)]}}],
            "end_turn",
            Said("Hi there.", sources=(source,), usage=COUNTED),
        )
        for name, (location, source) in PLACES.items()
    ),
]
USAGES: list[tuple[str, dict[str, Any], tuple[int | None, ...]]] = [
    ("usage of totals alone", {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, (10, None, None, 5, None)),
    ("read from a cache", USAGE | {"cacheReadInputTokens": 90, "totalTokens": 105}, (100, 90, 0, 5, None)),
    (
        "written to a cache",
        USAGE | {"cacheWriteInputTokens": 30, "cacheDetails": [{"ttl": "5m", "inputTokens": 30}]},
        (40, 0, 30, 5, None),
    ),
    ("nulls", USAGE | {"cacheReadInputTokens": None, "cacheWriteInputTokens": None}, (10, None, None, 5, None)),
]
TRACE: dict[str, Any] = {"trace": {"guardrail": {"inputAssessment": {"g1": {}}}}}
MORE: list[tuple[str, dict[str, Any]]] = [
    ("a trace", TRACE),
    ("a tier", {"performanceConfig": {"latency": "standard"}, "serviceTier": {"type": "default"}}),
    ("a router's trace", {"trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1:1:x"}}}),
]
KINDS = {
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
    "serviceUnavailableException": "overloaded_error",
    "internalServerException": "api_error",
    "modelStreamErrorException": "api_error",
}


def exchanges() -> Iterator[Exchange]:
    for name, content, reason, said in BOTH:
        yield Exchange("bedrock", name, document(answer(content, reason)), False, said)
        yield Exchange("bedrock", name, b"".join(stream(content, reason)), True, said)
    for name, usage, counts in USAGES:
        said = Said("Hi there.", usage=counts)
        yield Exchange("bedrock", name, document(answer([TEXT], usage=usage)), False, said)
        yield Exchange("bedrock", name, b"".join(stream([TEXT], usage=usage)), True, said)
    for name, fields in MORE:
        said = Said("Hi there.", usage=COUNTED)
        yield Exchange("bedrock", name, document(answer([TEXT], **fields)), False, said)
        yield Exchange("bedrock", name, b"".join(stream([TEXT], **fields)), True, said)
    yield from _failed()
    whole = stream([TEXT])
    secret = document({"message": "secret", "originalMessage": "secret", "originalStatusCode": 500})
    for kind, error in KINDS.items():
        thrown = frame(kind, secret, "exception")
        yield Exchange("bedrock", f"{kind} at once", thrown, True, None, error)
        yield Exchange("bedrock", f"{kind} midway", b"".join(whole[:3]) + thrown, True, None, error)
    news = event("contentBlockNews", contentBlockIndex=0)
    hi = Said("Hi there.", usage=COUNTED)
    for name, body, said_then in (
        ("an error without a model of it", b"".join(whole[:3]) + frame("InternalFailure", b"", "error"), None),
        ("an event that nobody knows", b"".join([whole[0], news, *whole[1:]]), hi),
        ("no metadata", b"".join(whole[:-1]), Said("Hi there.", usage=(None,) * 5)),
        ("no messageStop", b"".join([*whole[:-2], whole[-1]]), None),
        ("half a frame", b"".join(whole[:-2]) + whole[-2][:-3], None),
        ("a wrong checksum", b"".join(whole[:2]) + whole[2][:-1] + b"\x00", None),
        ("no byte", b"", None),
    ):
        kind = "api_error" if name.startswith("an error") else ""
        yield Exchange("bedrock", name, body, True, said_then, kind)


def _failed() -> Iterator[Exchange]:
    for reason in ("malformed_model_output", "malformed_tool_use", "tired"):
        yield Exchange("bedrock", reason, document(answer([TEXT], reason)), False, None)
        yield Exchange("bedrock", reason, b"".join(stream([TEXT], reason)), True, None)
    for name, body in (
        ("a block that nobody knows", answer([{"hologram": {"format": "h"}}])),
        ("no output", {"stopReason": "end_turn", "usage": USAGE}),
        ("a message with a good status", {"message": "secret"}),
        (
            "an unknown operation",
            {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"},
        ),
    ):
        yield Exchange("bedrock", name, document(body), False, None)
