"""OpenAI's responses API as the fake speaks it: the response, and the events of its stream.

Source: https://platform.openai.com/docs/api-reference/responses and the types of the official SDK.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shipway.testing.openai_wire import CREATED_S, Json, annotations, compact
from shipway.testing.said import Said, all_text, argument_parts
from shipway.testing.script import Usage


def prompt_text(body: Mapping[str, Any]) -> str:
    items = body.get("input", "")
    listed = [{"content": items}] if isinstance(items, str) else items
    texts = (all_text(item.get("content", item.get("output", ""))) for item in listed)
    return " ".join(filter(None, [body.get("instructions"), *texts]))


def wants_json(body: Mapping[str, Any]) -> bool:
    return ((body.get("text") or {}).get("format") or {}).get("type") in {"json_object", "json_schema"}


def usage(counts: Usage) -> Json:
    return {
        "input_tokens": counts.all_input,
        "input_tokens_details": {"cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write},
        "output_tokens": counts.all_output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.total,
    }


def response(body: Mapping[str, Any], heard: Said) -> Json:
    """The whole answer."""
    if heard.finish in {"length", "content_filter"}:
        why = {"length": "max_output_tokens"}.get(heard.finish, heard.finish)
        ended: Json = {"status": "incomplete", "incomplete_details": {"reason": why}}
    else:
        ended = {"status": "completed", "incomplete_details": None}
    output = [_finished(item) for item in _items(heard)]
    return {**_begun(body), "output": output, "usage": usage(heard.usage), **ended}


def events(body: Mapping[str, Any], heard: Said) -> Iterator[Json]:
    """The events of its stream, numbered."""
    for number, event in enumerate(_events(body, heard)):
        yield {**event, "sequence_number": number}


def framed(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {compact(event)}\n\n".encode()


def error_event(message: str, code: str) -> bytes:
    """What ends a stream that went wrong."""
    return framed({"type": "error", "code": code, "message": message, "param": None, "sequence_number": 99})


def _events(body: Mapping[str, Any], heard: Said) -> Iterator[Json]:
    begun = _begun(body)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(_items(heard)):
        yield {"type": "response.output_item.added", "output_index": index, "item": _opened(item)}
        for event in _inside(item, heard):
            yield {**event, "item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": _finished(item)}
    whole = response(body, heard)
    yield {"type": f"response.{whole['status']}", "response": whole}


def _inside(item: Json, heard: Said) -> Iterator[Json]:
    """The events between an item's beginning and its end."""
    if item["type"] == "function_call":
        for part in argument_parts(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", "delta": part}
        yield {
            "type": "response.function_call_arguments.done",
            "arguments": item["arguments"],
            "name": item["name"],
        }
        return
    if item["type"] == "reasoning":
        kind, place, pieces = "reasoning_summary_text", {"summary_index": 0}, heard.reasoning
        added, done, part = "reasoning_summary_part.added", "reasoning_summary_part.done", item["summary"][0]
        more: Json = {}
    else:
        kind, place, pieces = "output_text", {"content_index": 0}, heard.tokens
        added, done, part = "content_part.added", "content_part.done", item["content"][0]
        more = {"logprobs": []}
    emptied = {"text": "", **({"annotations": []} if "annotations" in part else {})}
    yield {"type": f"response.{added}", **place, "part": {**part, **emptied}}
    for piece in pieces:
        yield {"type": f"response.{kind}.delta", **place, "delta": piece, **more}
    for number, mark in enumerate(part.get("annotations", ())):
        named = {**place, "annotation_index": number, "annotation": mark}
        yield {"type": "response.output_text.annotation.added", **named}
    yield {"type": f"response.{kind}.done", **place, "text": part["text"], **more}
    yield {"type": f"response.{done}", **place, "part": part}


def _items(heard: Said) -> list[Json]:
    items: list[Json] = []
    if heard.reasoning:
        summary = {"type": "summary_text", "text": "".join(heard.reasoning)}
        items.append({"id": "rs_fake", "type": "reasoning", "summary": [summary]})
    if heard.tokens or not heard.tool_calls:
        marks = [{"type": "url_citation", **one["url_citation"]} for one in annotations(heard)]
        content = {"type": "output_text", "text": heard.text, "annotations": marks, "logprobs": []}
        items.append({"id": "msg_fake", "type": "message", "role": "assistant", "content": [content]})
    for number, call in enumerate(heard.tool_calls, start=1):
        named = {"id": f"fc_fake_{number}", "call_id": call.id, "name": call.name}
        items.append({**named, "type": "function_call", "arguments": call.arguments})
    return items


def _opened(item: Json) -> Json:
    """An item as it is when nothing of it was said yet."""
    empty: dict[str, Json] = {
        "reasoning": {"summary": []},
        "message": {"content": [], "status": "in_progress"},
        "function_call": {"arguments": "", "status": "in_progress"},
    }
    return {**item, **empty[item["type"]]}


def _finished(item: Json) -> Json:
    return item if item["type"] == "reasoning" else {**item, "status": "completed"}


def _begun(body: Mapping[str, Any]) -> Json:
    """The response when it begins, with what the request asked for."""
    return {
        "id": "resp_fake",
        "object": "response",
        "created_at": CREATED_S,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": body.get("model"),
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
    }
