"""OpenAI responses: whole answers and usage. Errors are in `dialects.openai`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader, usage_of
from shipway.gateway.dialects.events import Answer, AnswerPart, Envelope, StopReason
from shipway.gateway.dialects.openai_responses.wire import FAMILY
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.dialects.usage import NOTHING, TokenUsage


def written_usage(usage: TokenUsage) -> dict[str, object] | None:
    """None where nothing is known. The SDK's types ask for the details of both, so what is unknown there is 0."""
    if usage.prompt_tokens is None and usage.completion_tokens is None:
        return None
    details = {"cached_tokens": usage.cached_read or 0, "cache_write_tokens": usage.cached_write or 0}
    return {
        "input_tokens": usage.prompt_tokens or 0,
        "input_tokens_details": details,
        "output_tokens": usage.completion_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.total_tokens,
    }


class AnnotationRead(UpstreamPart):
    type: str
    url: str = ""
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


def read_citation(read: AnnotationRead) -> Citation | None:
    if read.type != "url_citation":
        return None
    return Citation(read.url, read.title, unit="answer", start=read.start_index, end=read.end_index)


def written_citation(citation: Citation, text_length: int) -> dict[str, object] | None:
    """None for what cites no address. Without a position of its own it stands for the text so far."""
    if citation.url is None:
        return None
    start, end = (citation.start, citation.end) if citation.unit == "answer" else (0, text_length)
    cited: dict[str, object] = {"type": "url_citation", "url": citation.url, "title": citation.title or ""}
    return cited | {"start_index": start, "end_index": end}


class ContentRead(UpstreamPart):
    type: str = ""
    text: str = ""
    refusal: str = ""
    annotations: list[AnnotationRead] | None = None


class ItemRead(UpstreamPart):
    type: str
    id: str = ""
    content: list[ContentRead] | None = None
    summary: list[ContentRead] | None = None
    encrypted_content: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class _Details(UpstreamPart):
    reason: str | None = None


class ErrorRead(UpstreamPart):
    code: str | None = None


class ResponseRead(UpstreamPart):
    """Without what it puts out, of which events tell one by one."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    usage: Any = None
    incomplete_details: _Details | None = None
    error: ErrorRead | None = None


class _Whole(ResponseRead, kw_only=True):
    output: list[ItemRead]


_read = document_reader(_Whole)
_encode = msgspec.json.Encoder().encode


def read_answer_usage(body: bytes) -> TokenUsage:
    """See `usage_of`."""
    return usage_of(body, read_usage)


def read_stop(response: ResponseRead, has_calls: bool, refused: bool) -> StopReason:
    """Raises: ValueError."""
    if response.status == "completed":
        return "refusal" if refused else "tool_calls" if has_calls else "end"
    reason = response.incomplete_details.reason if response.incomplete_details else None
    if response.status == "incomplete" and reason == "max_output_tokens":
        return "length"
    if response.status == "incomplete" and reason == "content_filter":
        return "content_filter"
    raise ValueError("not a finished response")


def read_proof(item: ItemRead) -> Reasoning:
    text = "".join([one.text for one in item.content or item.summary or ()])
    if item.encrypted_content is None:
        return Reasoning(text)
    return opened(text, item.encrypted_content)


_SEALED = "sealed:"
"""Before thoughts that only their provider can read, as there is one field for these and for proofs of what can be read."""


def opened(text: str, encrypted: str, at: str = "") -> Reasoning:
    """Thoughts with what *encrypted* holds of them."""
    proof, origin = opened_from(FAMILY, encrypted.removeprefix(_SEALED))
    if encrypted.startswith(_SEALED):
        return Reasoning(sealed=proof, origin=origin, at=at)
    return Reasoning(text, proof, origin=origin, at=at)


def read_answer(body: bytes) -> Answer:
    """Raises: ValueError."""
    response = _read(body)
    parts: list[AnswerPart] = []
    refused = False
    for item in response.output:
        if item.type == "message":
            for content in item.content or ():
                refused = refused or content.type == "refusal"
                parts.append(Text(content.text or content.refusal))
                cited = [read_citation(one) for one in content.annotations or ()]
                parts.extend(one for one in cited if one is not None)
        elif item.type == "function_call":
            parts.append(ToolCall(item.call_id, item.name, item.arguments))
        elif item.type == "reasoning":
            parts.append(read_proof(item))
        else:
            raise ValueError("an item of an unknown type")
    stop = read_stop(response, any(isinstance(part, ToolCall) for part in parts), refused)
    usage = NOTHING if response.usage is None else read_usage(response.usage)
    return Answer(tuple(parts), stop, None, usage, response.id or "", response.model or "")


def write_answer(answer: Answer, envelope: Envelope) -> bytes:
    """Raises: ValueError, for an image."""
    output = list(written_items(answer.parts, envelope, refused=answer.stop == "refusal"))
    return _encode(response(envelope, answer.stop, output, answer.usage))


def written_items(
    parts: Iterable[AnswerPart], envelope: Envelope, *, refused: bool = False
) -> Iterable[dict[str, object]]:
    content: list[dict[str, Any]] = []
    index = 0
    for part in parts:
        if isinstance(part, Text):
            content.append(written_text(part.text, refused=refused))
            continue
        if isinstance(part, Citation):
            if content and (cited := written_citation(part, len(str(content[-1].get("text", ""))))) is not None:
                content[-1].setdefault("annotations", []).append(cited)
            continue
        if content:
            yield written_message(content, envelope, index)
            content, index = [], index + 1
        yield written_item(part, envelope, index)
        index += 1
    if content:
        yield written_message(content, envelope, index)


def written_text(text: str, *, refused: bool = False) -> dict[str, Any]:
    if refused:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def written_message(
    content: list[dict[str, object]], envelope: Envelope, index: int, status: str = "completed"
) -> dict[str, object]:
    message_id = f"msg_{envelope.id}_{index}"
    return {"type": "message", "id": message_id, "role": "assistant", "status": status, "content": content}


def written_item(part: Reasoning | ToolCall | Image, envelope: Envelope, index: int) -> dict[str, object]:
    """Raises: ValueError, for an image."""
    if isinstance(part, Image):
        raise ValueError("an image in an answer")
    if isinstance(part, ToolCall):
        return {
            "type": "function_call",
            "id": f"fc_{envelope.id}_{index}",
            "call_id": part.id or f"call_{envelope.id}_{index}",
            "name": part.name,
            "arguments": part.arguments or "{}",
            "status": "completed",
        }
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    item: dict[str, object] = {"type": "reasoning", "id": f"rs_{envelope.id}_{index}", "summary": summary}
    if part.sealed is not None:
        item["encrypted_content"] = _SEALED + sealed_for(FAMILY, part.sealed, part.origin)
    elif part.signature is not None:
        item["encrypted_content"] = sealed_for(FAMILY, part.signature, part.origin)
    return item


_INCOMPLETE = {"length": "max_output_tokens", "context_window": "max_output_tokens", "content_filter": "content_filter"}


def response(
    envelope: Envelope, stop: StopReason | None, output: list[dict[str, object]], usage: TokenUsage
) -> dict[str, object]:
    """*stop* is None while it is in progress."""
    reason = _INCOMPLETE.get(stop or "")
    status = "in_progress" if stop is None else "completed" if reason is None else "incomplete"
    return {
        "id": f"resp_{envelope.id}",
        "object": "response",
        "created_at": envelope.created_s,
        "status": status,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": envelope.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "store": False,
        "usage": written_usage(usage),
    }
