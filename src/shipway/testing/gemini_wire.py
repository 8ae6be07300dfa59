"""Gemini's wire format as the fake speaks it: responses, the chunks of a stream in both framings, errors.

Source: https://ai.google.dev/api/generate-content and https://google.aip.dev/193.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from shipway.testing.answers import Event
from shipway.testing.said import Said, all_text
from shipway.testing.script import Usage

Json = dict[str, Any]

SIGNATURE: Final = "ZmFrZS1zaWduYXR1cmU="
_REASONS: Final = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
STATUS_OF: Final = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""Names of errors with the status that each comes with (google.rpc.Code)."""


def prompt_text(body: Mapping[str, Any]) -> str:
    return " ".join(filter(None, [all_text(body.get("systemInstruction")), all_text(body.get("contents"))]))


def usage(counts: Usage) -> Json:
    """Usage as it is reported: cached tokens are part of the prompt's, thoughts are beside the candidates'; no zeros."""
    details = {"TEXT": counts.input + counts.cache_read, "IMAGE": counts.image_input, "AUDIO": counts.audio_input}
    modalities = {"TEXT": counts.output, "IMAGE": counts.image_output, "AUDIO": counts.audio_output}
    numbers = {
        "promptTokenCount": counts.all_input,
        "candidatesTokenCount": counts.all_output - counts.reasoning,
        "totalTokenCount": counts.total,
        "cachedContentTokenCount": counts.cache_read,
        "thoughtsTokenCount": counts.reasoning,
    }
    listed = {"promptTokensDetails": _modalities(details)}
    if counts.image_output or counts.audio_output:
        listed["candidatesTokensDetails"] = _modalities(modalities)
    return {**{name: count for name, count in numbers.items() if count}, **listed}


def response(body: Mapping[str, Any], heard: Said, model: str) -> Json:
    """Build the answer to an unstreamed request."""
    parts = [*_thoughts(heard), *([{"text": heard.text}] if heard.tokens else []), *_calls(heard)]
    return _response(parts, heard, heard.usage, model, ended=True)


def chunks(body: Mapping[str, Any], heard: Said, model: str) -> Iterator[tuple[Json, Usage]]:
    """Yield the responses of a stream, each with the usage so far: a part of text each, calls of tools whole."""
    parts = [*_thoughts(heard), *({"text": token} for token in heard.tokens), *_calls(heard)]
    so_far = replace(heard.usage, output=0, reasoning=0, audio_output=0, image_output=0)
    for part in parts:
        yield _response([part], heard, so_far, model, ended=False), so_far
    yield _response([{"text": ""}], heard, heard.usage, model, ended=True), heard.usage


def as_events(documents: Iterator[tuple[Json, Usage]]) -> Iterator[Event]:
    """The stream with `alt=sse`."""
    yield from (Event(sse(document), known) for document, known in documents)


def as_array(documents: Iterator[tuple[Json, Usage]]) -> Iterator[Event]:
    """The stream without: one JSON array, whose elements come as they are made."""
    for number, (document, known) in enumerate(documents):
        yield Event(
            b",\r\n"[: 3 * bool(number)] + b"["[number:] + json.dumps(document, indent=2).encode() + b"\n", known
        )
    yield Event(b"]")


def sse(document: Json) -> bytes:
    return f"data: {json.dumps(document)}\r\n\r\n".encode()


def error(name: str, text: str, status: int, details: list[Json] | None = None) -> Json:
    more = {"details": details} if details else {}
    return {"error": {"code": status, "message": text, "status": name, **more}}


def _response(parts: list[Json], heard: Said, counts: Usage, model: str, *, ended: bool) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if ended:
        candidate["finishReason"] = _REASONS.get(heard.finish, heard.finish)
        if heard.citations:
            candidate["groundingMetadata"] = _grounding(heard)
    return {
        "candidates": [candidate],
        "usageMetadata": usage(counts),
        "modelVersion": model,
        "responseId": "fake-response",
    }


def _thoughts(heard: Said) -> list[Json]:
    return [{"text": "".join(heard.reasoning), "thought": True}] if heard.reasoning else []


def _calls(heard: Said) -> list[Json]:
    calls: list[Json] = []
    for call in heard.tool_calls:
        named = {"name": call.name, "args": json.loads(call.arguments or "{}"), **({"id": call.id} if call.id else {})}
        calls.append({"functionCall": named, "thoughtSignature": SIGNATURE})
    return calls


def _grounding(heard: Said) -> Json:
    """What the text rests on; places in it are counted in bytes of UTF-8."""
    segment = {"endIndex": len(heard.text.encode()), "text": heard.text}
    return {
        "groundingChunks": [{"web": {"uri": one.url, "title": one.title}} for one in heard.citations],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": list(range(len(heard.citations)))}],
    }


def _modalities(counts: Mapping[str, int]) -> list[Json]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count]
