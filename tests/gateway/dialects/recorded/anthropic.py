"""Messages as Anthropic answers. Source: https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.gateway.dialects.recorded.exchange import Exchange, Said, document, events

USAGE: dict[str, Any] = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 5,
    "service_tier": "standard",
    "inference_geo": "not_available",
}
COUNTED = (10, 0, 0, 5, None)
ARGUMENTS = {"city": 'Köln "am" Rhein', "days": 3}
PAGE = {
    "type": "page_location",
    "cited_text": "Cologne",
    "document_index": 0,
    "document_title": "A",
    "file_id": None,
    "start_page_number": 1,
    "end_page_number": 2,
}
CHAR = {
    "type": "char_location",
    "cited_text": "Cologne",
    "document_index": 0,
    "document_title": "A",
    "file_id": None,
    "start_char_index": 0,
    "end_char_index": 7,
}
BLOCK = {
    "type": "content_block_location",
    "cited_text": "Cologne",
    "document_index": 1,
    "document_title": "A",
    "start_block_index": 0,
    "end_block_index": 1,
}
WEB = {
    "type": "web_search_result_location",
    "cited_text": "Cologne",
    "encrypted_index": "Eo8B",
    "title": "A",
    "url": "https://a.example",
}
FOUND = {
    "type": "search_result_location",
    "cited_text": "Cologne",
    "source": "https://b.example",
    "title": "B",
    "search_result_index": 0,
    "start_block_index": 0,
    "end_block_index": 0,
}
WEATHER = ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "weather", ARGUMENTS)
CALL = {"type": "tool_use", "id": WEATHER[0], "name": "weather", "input": ARGUMENTS}
CLOCK = {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}
TEXT = {"type": "text", "text": "Hi there."}
THOUGHT = {"type": "thinking", "thinking": "Hm. So.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}
SEALED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}


def message(content: list[dict[str, Any]], stop_reason: str | None, usage: Any, **fields: Any) -> dict[str, Any]:
    return {
        "model": "claude-opus-4-5-20251101",
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
        "container": None,
        "context_management": None,
        **fields,
    }


def block_events(index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    first = dict(block)
    if block["type"] == "text":
        half = len(block["text"]) // 2
        first["text"] = ""
        deltas = [{"type": "text_delta", "text": one} for one in (block["text"][:half], block["text"][half:])]
        deltas += [{"type": "citations_delta", "citation": one} for one in block.get("citations") or ()]
        if "citations" in block:
            first["citations"] = []
    elif block["type"] == "thinking":
        first |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": one} for one in block["thinking"]]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "tool_use":
        first["input"] = {}
        text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
        deltas = [{"type": "input_json_delta", "partial_json": one} for one in ("", text[:9], text[9:])]
    yield {"type": "content_block_start", "index": index, "content_block": first}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def stream(
    content: list[dict[str, Any]],
    stop_reason: str = "end_turn",
    usage: Any = USAGE,
    sequence: str | None = None,
    **delta: Any,
) -> list[dict[str, Any]]:
    started = message([], None, {**usage, "output_tokens": 1})
    said = [one for index, block in enumerate(content) for one in block_events(index, block)]
    last = {"stop_reason": stop_reason, "stop_sequence": sequence, "container": None, **delta}
    return [
        {"type": "message_start", "message": started},
        {"type": "ping"},
        *said,
        {"type": "message_delta", "delta": last, "usage": {"output_tokens": usage["output_tokens"]}},
        {"type": "message_stop"},
    ]


BOTH: list[tuple[str, list[dict[str, Any]], str, Said]] = [
    ("text", [TEXT], "end_turn", Said("Hi there.", usage=COUNTED)),
    ("citations null", [TEXT | {"citations": None}], "end_turn", Said("Hi there.", usage=COUNTED)),
    ("two texts", [TEXT, TEXT], "end_turn", Said("Hi there.Hi there.", usage=COUNTED)),
    ("an emoji", [{"type": "text", "text": "👩‍👩‍👧 ok"}], "end_turn", Said("👩‍👩‍👧 ok", usage=COUNTED)),
    ("nothing", [], "end_turn", Said(usage=COUNTED)),
    ("a text that is empty", [{"type": "text", "text": ""}], "end_turn", Said(usage=COUNTED)),
    ("a limit", [TEXT], "max_tokens", Said("Hi there.", stop="length", usage=COUNTED)),
    (
        "the context's end",
        [TEXT],
        "model_context_window_exceeded",
        Said("Hi there.", stop="context_window", usage=COUNTED),
    ),
    ("a refusal", [TEXT], "refusal", Said("Hi there.", stop="refusal", usage=COUNTED)),
    ("a refusal without a word", [], "refusal", Said(stop="refusal", usage=COUNTED)),
    ("a pause", [TEXT], "pause_turn", Said("Hi there.", usage=COUNTED)),
    ("a call", [CALL], "tool_use", Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED)),
    (
        "a call with its caller",
        [CALL | {"caller": {"type": "direct"}}],
        "tool_use",
        Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED),
    ),
    (
        "text and two calls",
        [TEXT, CALL, CLOCK],
        "tool_use",
        Said("Hi there.", (WEATHER, ("toolu_2", "clock", {})), "tool_calls", usage=COUNTED),
    ),
    (
        "thoughts",
        [THOUGHT, TEXT],
        "end_turn",
        Said("Hi there.", thoughts=(("Hm. So.", THOUGHT["signature"], None),), usage=COUNTED),
    ),
    (
        "thoughts that are not shown",
        [THOUGHT | {"thinking": ""}, TEXT],
        "end_turn",
        Said("Hi there.", thoughts=(("", THOUGHT["signature"], None),), usage=COUNTED),
    ),
    (
        "sealed thoughts",
        [SEALED, TEXT],
        "end_turn",
        Said("Hi there.", thoughts=(("", None, SEALED["data"]),), usage=COUNTED),
    ),
    (
        "thoughts of both kinds, then calls",
        [THOUGHT, SEALED, THOUGHT | {"thinking": "More."}, CALL],
        "tool_use",
        Said(
            calls=(WEATHER,),
            stop="tool_calls",
            thoughts=(
                ("Hm. So.", THOUGHT["signature"], None),
                ("", None, SEALED["data"]),
                ("More.", THOUGHT["signature"], None),
            ),
            usage=COUNTED,
        ),
    ),
    (
        "thoughts between calls",
        [THOUGHT, CALL, THOUGHT, CLOCK],
        "tool_use",
        Said(
            calls=(WEATHER, ("toolu_2", "clock", {})),
            stop="tool_calls",
            thoughts=(("Hm. So.", THOUGHT["signature"], None),) * 2,
            usage=COUNTED,
        ),
    ),
    *(
        (
            f"cited: {one['type']}",
            [TEXT | {"citations": [one]}],
            "end_turn",
            Said(
                "Hi there.", sources=(str(one.get("url") or one.get("source") or one["document_title"]),), usage=COUNTED
            ),
        )
        for one in (PAGE, CHAR, BLOCK, WEB, FOUND)
    ),
    (
        "several citations of several texts",
        [TEXT | {"citations": [WEB, WEB]}, TEXT, TEXT | {"citations": [WEB]}],
        "end_turn",
        Said("Hi there." * 3, sources=("https://a.example",) * 3, usage=COUNTED),
    ),
]
USAGES: list[tuple[str, dict[str, Any], tuple[int | None, ...]]] = [
    ("usage of totals alone", {"input_tokens": 10, "output_tokens": 5}, (10, None, None, 5, None)),
    (
        "read from a cache",
        USAGE | {"cache_read_input_tokens": 90},
        (100, 90, 0, 5, None),
    ),
    (
        "written to a cache",
        USAGE
        | {
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        },
        (40, 0, 30, 5, None),
    ),
    (
        "nulls",
        USAGE | {"cache_creation_input_tokens": None, "cache_read_input_tokens": None},
        (10, None, None, 5, None),
    ),
    ("server tools", USAGE | {"server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0}}, COUNTED),
]


def exchanges() -> Iterator[Exchange]:
    for name, content, reason, said in BOTH:
        yield Exchange("anthropic", name, document(message(content, reason, USAGE)), False, said)
        yield Exchange("anthropic", name, events(*stream(content, reason), named=True), True, said)
    for name, usage, counts in USAGES:
        said = Said("Hi there.", usage=counts)
        yield Exchange("anthropic", name, document(message([TEXT], "end_turn", usage)), False, said)
        yield Exchange("anthropic", name, events(*stream([TEXT], usage=usage), named=True), True, said)
    stopped = message([TEXT], "stop_sequence", USAGE, stop_sequence="three")
    said = Said("Hi there.", stop="stop_sequence", usage=COUNTED)
    yield Exchange("anthropic", "a stop sequence", document(stopped), False, said)
    yield Exchange(
        "anthropic",
        "a stop sequence",
        events(*stream([TEXT], "stop_sequence", sequence="three"), named=True),
        True,
        said,
    )
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    refused = message([TEXT], "refusal", USAGE, stop_details=details)
    said = Said("Hi there.", stop="refusal", usage=COUNTED)
    yield Exchange("anthropic", "a refusal with its reason", document(refused), False, said)
    yield Exchange(
        "anthropic",
        "a refusal with its reason",
        events(*stream([TEXT], "refusal", stop_details=details), named=True),
        True,
        said,
    )
    yield from _failures()
    yield from _streamed()


def _failures() -> Iterator[Exchange]:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}, "request_id": "req_1"}
    for name, body in (
        ("an error with a good status", error),
        ("no stop reason", message([TEXT], None, USAGE)),
        ("a stop reason that nobody knows", message([TEXT], "tired", USAGE)),
        ("no content", {"type": "message", "stop_reason": "end_turn", "usage": USAGE}),
        ("a block that nobody knows", message([{"type": "hologram", "data": "x"}], "end_turn", USAGE)),
        ("half an answer", None),
    ):
        sent = document(message([TEXT], "end_turn", USAGE))[:-30] if body is None else document(body)
        yield Exchange("anthropic", name, sent, False, None)


def _streamed() -> Iterator[Exchange]:
    hi = Said("Hi there.", usage=COUNTED)
    whole = stream([TEXT])
    pings = [one for event in whole for one in (event, {"type": "ping"})]
    counted = [*whole[:-2], whole[-2] | {"usage": USAGE | {"output_tokens_details": {"thinking_tokens": 2}}}, whole[-1]]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}
    unnamed = events(*whole)
    started = dict(whole[2], content_block={"type": "text", "text": "Hi "})
    half = [
        whole[0],
        started,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there."}},
    ]
    news = {"type": "content_block_heartbeat", "index": 0, "note": "new"}
    for name, body, said, kind in (
        ("pings everywhere", events(*pings, named=True), hi, ""),
        ("events without names", unnamed, hi, ""),
        ("a block that begins with text", events(*half, *whole[-3:], named=True), hi, ""),
        ("an event that nobody knows", events(whole[0], news, *whole[1:], news, named=True), hi, ""),
        ("all of the usage at the end", events(*counted, named=True), Said("Hi there.", usage=(10, 0, 0, 5, 2)), ""),
        ("several message deltas", events(*whole[:-2], whole[-2] | {"delta": {}}, *whole[-2:], named=True), hi, ""),
        ("an error at once", events(error, named=True), None, "overloaded_error"),
        ("an error midway", events(*whole[:4], error, named=True), None, "overloaded_error"),
        ("no message_stop", events(*whole[:-1], named=True), None, ""),
        ("no stop reason", events(*whole[:-2], whole[-1], named=True), None, ""),
        ("no byte", b"", None, ""),
    ):
        yield Exchange("anthropic", name, body, True, said, kind)
