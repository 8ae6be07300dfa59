"""Responses as OpenAI answers. Source: https://platform.openai.com/docs/api-reference/responses/object and
.../responses-streaming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shipway.gateway.dialects.events import StopReason
from tests.gateway.dialects.recorded.exchange import Exchange, Said, document, events

USAGE: dict[str, Any] = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 15,
}
COUNTED = (10, 0, None, 5, 0)
ARGUMENTS = '{"city":"Köln \\"am\\" Rhein","days":3.0}'
WEATHER = ("call_unLAR8MvFNptuiZK6K6HCy5k", "weather", {"city": 'Köln "am" Rhein', "days": 3.0})
URL = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "A", "url": "https://a.example"}
FILE = {"type": "file_citation", "index": 1, "file_id": "file-1", "filename": "a.pdf"}


def text(said: str = "Hi there.", *annotations: dict[str, Any]) -> dict[str, Any]:
    content = {"type": "output_text", "text": said, "annotations": list(annotations), "logprobs": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [content]}


def refusal(said: str) -> dict[str, Any]:
    return text() | {"content": [{"type": "refusal", "refusal": said}]}


def call(name: str = "weather", arguments: str = ARGUMENTS, call_id: str = WEATHER[0]) -> dict[str, Any]:
    item = {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments}
    return item | {"status": "completed"}


def thoughts(*summary: str, encrypted: str | None = None, content: list[Any] | None = None) -> dict[str, Any]:
    said = [{"type": "summary_text", "text": one} for one in summary]
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": said}
    if content is not None:
        item["content"] = content
    return item if encrypted is None else item | {"encrypted_content": encrypted}


def response(
    output: list[dict[str, Any]], status: str = "completed", usage: Any = USAGE, **fields: Any
) -> dict[str, Any]:
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc054267",
        "object": "response",
        "created_at": 1741476542,
        "status": status,
        "background": False,
        "completed_at": 1741476543,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": "medium", "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
        **fields,
    }


def item_events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"item_id": item["id"], "output_index": index}
    begun = item | {"status": "in_progress"}
    if item["type"] == "message":
        yield {"type": "response.output_item.added", "output_index": index, "item": begun | {"content": []}}
        for place, part in enumerate(item["content"]):
            yield from _part_events(at | {"content_index": place}, part)
    elif item["type"] == "function_call":
        yield {"type": "response.output_item.added", "output_index": index, "item": begun | {"arguments": ""}}
        for piece in item["arguments"]:
            yield {"type": "response.function_call_arguments.delta", **at, "delta": piece, "obfuscation": "a"}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]}
    elif item["type"] == "reasoning":
        yield {"type": "response.output_item.added", "output_index": index, "item": item | {"summary": []}}
        for place, part in enumerate(item["summary"]):
            where = at | {"summary_index": place}
            yield {"type": "response.reasoning_summary_part.added", **where, "part": part | {"text": ""}}
            for piece in part["text"]:
                yield {"type": "response.reasoning_summary_text.delta", **where, "delta": piece, "obfuscation": "a"}
            yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **where, "part": part}
        for place, part in enumerate(item.get("content") or ()):
            where = at | {"content_index": place}
            yield {"type": "response.reasoning_text.delta", **where, "delta": part["text"]}
            yield {"type": "response.reasoning_text.done", **where, "text": part["text"]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(at: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind, field = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    empty = part | {field: ""} | ({"annotations": []} if kind == "output_text" else {})
    yield {"type": "response.content_part.added", **at, "part": empty}
    half = len(part[field]) // 2
    for piece in (part[field][:half], part[field][half:]):
        yield {"type": f"response.{kind}.delta", **at, "delta": piece, "logprobs": [], "obfuscation": "abc"}
    for place, annotation in enumerate(part.get("annotations", ())):
        yield {
            "type": "response.output_text.annotation.added",
            **at,
            "annotation_index": place,
            "annotation": annotation,
        }
    yield {"type": f"response.{kind}.done", **at, field: part[field], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}


def stream(whole: dict[str, Any], *between: dict[str, Any]) -> bytes:
    begun = whole | {
        "status": "in_progress",
        "output": [],
        "usage": None,
        "incomplete_details": None,
        "completed_at": None,
    }
    said = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *(one for index, item in enumerate(whole["output"]) for one in item_events(index, item)),
        *between,
        {"type": f"response.{whole['status']}", "response": whole},
    ]
    return events(*[one | {"sequence_number": at} for at, one in enumerate(said)], named=True)


HI = "Hi there."
BOTH: list[tuple[str, list[dict[str, Any]], Said]] = [
    ("text", [text()], Said(HI, usage=COUNTED)),
    ("two messages", [text(), text()], Said(HI + HI, usage=COUNTED)),
    ("two parts", [text() | {"content": text()["content"] * 2}], Said(HI + HI, usage=COUNTED)),
    ("an emoji", [text("👩‍👩‍👧 ok")], Said("👩‍👩‍👧 ok", usage=COUNTED)),
    ("a text that is empty", [text("")], Said(usage=COUNTED)),
    ("nothing", [], Said(usage=COUNTED)),
    ("a phase", [text() | {"phase": "final_answer"}], Said(HI, usage=COUNTED)),
    ("a refusal", [refusal("I can't.")], Said("I can't.", stop="refusal", usage=COUNTED)),
    ("a source", [text(HI, URL)], Said(HI, sources=("https://a.example",), usage=COUNTED)),
    ("two sources", [text(HI, URL, URL)], Said(HI, sources=("https://a.example",) * 2, usage=COUNTED)),
    ("a file as a source", [text(HI, FILE)], Said(HI, usage=COUNTED)),
    ("a call", [call()], Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED)),
    (
        "a call of nothing",
        [call("clock", "{}")],
        Said(calls=((WEATHER[0], "clock", {}),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "text and two calls",
        [text(), call(), call("clock", "{}", "call_2")],
        Said(HI, (WEATHER, ("call_2", "clock", {})), "tool_calls", usage=COUNTED),
    ),
    ("thoughts that say nothing", [thoughts(), text()], Said(HI, usage=COUNTED)),
    ("a summary", [thoughts("Hm. So."), text()], Said(HI, thoughts=(("Hm. So.", None, None),), usage=COUNTED)),
    ("two summaries", [thoughts("Hm. ", "So."), text()], Said(HI, thoughts=(("Hm. So.", None, None),), usage=COUNTED)),
    (
        "thoughts with a proof",
        [thoughts("Hm.", encrypted="gAAAAAB"), text()],
        Said(HI, thoughts=(("Hm.", "gAAAAAB", None),), usage=COUNTED),
    ),
    (
        "a proof alone, and a call",
        [thoughts(encrypted="gAAAAAB"), call()],
        Said(calls=(WEATHER,), stop="tool_calls", thoughts=(("", "gAAAAAB", None),), usage=COUNTED),
    ),
    (
        "thoughts as they are",
        [thoughts(content=[{"type": "reasoning_text", "text": "Hm."}]), text()],
        Said(HI, thoughts=(("Hm.", None, None),), usage=COUNTED),
    ),
    (
        "thoughts twice",
        [thoughts("A.", encrypted="g1"), call(), thoughts("B.", encrypted="g2"), call("clock", "{}", "call_2")],
        Said(
            calls=(WEATHER, ("call_2", "clock", {})),
            stop="tool_calls",
            thoughts=(("A.", "g1", None), ("B.", "g2", None)),
            usage=COUNTED,
        ),
    ),
]
USAGES: list[tuple[str, Any, tuple[int | None, ...]]] = [
    ("no usage", None, (None,) * 5),
    ("usage without details", {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}, (10, None, None, 5, None)),
    (
        "cached and thought tokens",
        USAGE | {"input_tokens_details": {"cached_tokens": 8}, "output_tokens_details": {"reasoning_tokens": 3}},
        (10, 8, None, 5, 3),
    ),
    (
        "written to a cache",
        USAGE | {"input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 7}},
        (10, 1, 7, 5, 0),
    ),
]


CUT_SHORT: dict[str, StopReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def exchanges() -> Iterator[Exchange]:
    for name, output, said in BOTH:
        yield Exchange("openai_responses", name, document(response(output)), False, said)
        yield Exchange("openai_responses", name, stream(response(output)), True, said)
    for name, usage, counts in USAGES:
        said = Said(HI, usage=counts)
        yield Exchange("openai_responses", name, document(response([text()], usage=usage)), False, said)
        yield Exchange("openai_responses", name, stream(response([text()], usage=usage)), True, said)
    for reason, stop in CUT_SHORT.items():
        cut = response([text()], "incomplete", incomplete_details={"reason": reason})
        said = Said(HI, stop=stop, usage=COUNTED)
        yield Exchange("openai_responses", f"incomplete: {reason}", document(cut), False, said)
        yield Exchange("openai_responses", f"incomplete: {reason}", stream(cut), True, said)
    yield from _failed()
    news = {"type": "response.telepathy.delta", "delta": "x"}
    queued = {"type": "response.queued", "response": response([], "queued", None)}
    yield Exchange(
        "openai_responses",
        "an event that nobody knows",
        stream(response([text()]), news),
        True,
        Said(HI, usage=COUNTED),
    )
    yield Exchange("openai_responses", "a queue", stream(response([text()]), queued), True, Said(HI, usage=COUNTED))


def _failed() -> Iterator[Exchange]:
    for code, kind in (("server_error", "api_error"), ("rate_limit_exceeded", "rate_limit_error")):
        failed = response([], "failed", None, error={"code": code, "message": "secret"})
        yield Exchange("openai_responses", f"failed: {code}", document(failed), False, None)
        yield Exchange("openai_responses", f"failed: {code}", stream(failed), True, None, kind)
    error = {"type": "error", "sequence_number": 3, "code": "server_error", "message": "secret", "param": None}
    cut = stream(response([text()])).rpartition(b"event:")[0]
    for name, body, kind in (
        ("an error midway", cut + events(error, named=True), "api_error"),
        ("an error at once", events(error, named=True), "api_error"),
        ("no end", cut, ""),
        ("no byte", b"", ""),
    ):
        yield Exchange("openai_responses", name, body, True, None, kind)
    for name, whole in (
        ("still queued", response([], "queued", None)),
        ("cancelled", response([text()], "cancelled")),
        ("an item that nobody knows", response([{"type": "hologram", "id": "h"}])),
        (
            "incomplete for a reason that nobody knows",
            response([text()], "incomplete", incomplete_details={"reason": "tired"}),
        ),
        ("an error with a good status", {"error": {"message": "secret", "type": "server_error"}}),
    ):
        yield Exchange("openai_responses", name, document(whole), False, None)
