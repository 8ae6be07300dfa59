"""generateContent and streamGenerateContent as Gemini answers. Source: https://ai.google.dev/api/generate-content and
https://ai.google.dev/gemini-api/docs/thought-signatures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.gateway.dialects.recorded.exchange import Exchange, Said, document, events

USAGE: dict[str, Any] = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 5,
    "totalTokenCount": 15,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
    "serviceTier": "standard",
}
COUNTED = (10, None, None, 5, None)
SAFE = [{"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "NEGLIGIBLE"}]
ARGUMENTS = {"city": 'Köln "am" Rhein', "days": 3.0}
CALL = {"functionCall": {"name": "weather", "args": ARGUMENTS}}
CLOCK = {"functionCall": {"name": "clock", "args": {}}}
WEATHER = ("", "weather", ARGUMENTS)
SIGNATURE = "CiQB7yjkNZ+x1aGVsbG8="
GROUNDING = {
    "searchEntryPoint": {"renderedContent": "<div>secret</div>"},
    "groundingChunks": [
        {"web": {"uri": "https://a.example", "title": "a.example"}},
        {"retrievedContext": {"uri": "gs://x"}},
    ],
    "groundingSupports": [
        {
            "segment": {"startIndex": 0, "endIndex": 3, "text": "Hi"},
            "groundingChunkIndices": [0, 1, 7],
            "confidenceScores": [0.9, 0.5, 0.1],
        }
    ],
    "webSearchQueries": ["x"],
}
SOURCES = {"citationSources": [{"startIndex": 0, "endIndex": 2, "uri": "https://a.example", "license": "mit"}]}


def response(parts: Any, reason: str | None = None, usage: Any = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, **fields}
    if parts is not None:
        candidate["content"] = {"parts": parts, "role": "model"}
    if reason is not None:
        candidate["finishReason"] = reason
    said = {"candidates": [candidate], "modelVersion": "gemini-3-pro-preview", "responseId": "Il0taoSYJ5Cez7IP"}
    return said | ({} if usage is None else {"usageMetadata": usage})


def stream(*said: dict[str, Any], end: str = "\r\n") -> bytes:
    return events(*said, end=end)


TEXT = {"text": "Hi there."}
PIECES = [[{"text": "Hi "}], [{"text": "there."}]]
BOTH: list[tuple[str, list[dict[str, Any]], list[list[dict[str, Any]]], str, Said]] = [
    ("text", [TEXT], PIECES, "STOP", Said("Hi there.", usage=COUNTED)),
    ("two texts", [TEXT, TEXT], [*PIECES, *PIECES], "STOP", Said("Hi there." * 2, usage=COUNTED)),
    (
        "texts that are empty",
        [{"text": ""}, TEXT],
        [[{"text": ""}], *PIECES, [{"text": ""}]],
        "STOP",
        Said("Hi there.", usage=COUNTED),
    ),
    (
        "an emoji",
        [{"text": "👩‍👩‍👧 ok"}],
        [[{"text": "👩‍"}], [{"text": "👩‍👧 ok"}]],
        "STOP",
        Said("👩‍👩‍👧 ok", usage=COUNTED),
    ),
    ("a limit", [TEXT], PIECES, "MAX_TOKENS", Said("Hi there.", stop="length", usage=COUNTED)),
    *(
        (f"{reason}", [TEXT], PIECES, reason, Said("Hi there.", stop="content_filter", usage=COUNTED))
        for reason in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")
    ),
    ("a call", [CALL], [[CALL]], "STOP", Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED)),
    (
        "a call with an id",
        [{"functionCall": {"id": "8f2b1a3c", "name": "weather", "args": ARGUMENTS}}],
        [[{"functionCall": {"id": "8f2b1a3c", "name": "weather", "args": ARGUMENTS}}]],
        "STOP",
        Said(calls=(("8f2b1a3c", "weather", ARGUMENTS),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a call without arguments",
        [{"functionCall": {"name": "clock"}}],
        [[{"functionCall": {"name": "clock"}}]],
        "STOP",
        Said(calls=(("", "clock", {}),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a call with arguments null",
        [{"functionCall": {"name": "clock", "args": None}}],
        [[{"functionCall": {"name": "clock", "args": None}}]],
        "STOP",
        Said(calls=(("", "clock", {}),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "text and two calls",
        [TEXT, CALL, CLOCK],
        [*PIECES, [CALL, CLOCK]],
        "STOP",
        Said("Hi there.", (WEATHER, ("", "clock", {})), "tool_calls", usage=COUNTED),
    ),
    (
        "two calls in two events",
        [CALL, CALL],
        [[CALL], [CALL]],
        "STOP",
        Said(calls=(WEATHER, WEATHER), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a signed call",
        [CALL | {"thoughtSignature": SIGNATURE}, CLOCK],
        [[CALL | {"thoughtSignature": SIGNATURE}], [CLOCK]],
        "STOP",
        Said(calls=(WEATHER, ("", "clock", {})), stop="tool_calls", thoughts=(("", SIGNATURE, None),), usage=COUNTED),
    ),
    (
        "thoughts",
        [{"text": "Hm. So.", "thought": True}, TEXT],
        [[{"text": "Hm. ", "thought": True}], [{"text": "So.", "thought": True}], *PIECES],
        "STOP",
        Said("Hi there.", thoughts=(("Hm. So.", None, None),), usage=COUNTED),
    ),
    (
        "thoughts and a signed call",
        [{"text": "Hm.", "thought": True}, CALL | {"thoughtSignature": SIGNATURE}],
        [[{"text": "Hm.", "thought": True}], [CALL | {"thoughtSignature": SIGNATURE}]],
        "STOP",
        Said(calls=(WEATHER,), stop="tool_calls", thoughts=(("Hm.", SIGNATURE, None),), usage=COUNTED),
    ),
    (
        "a signed text",
        [TEXT, {"text": "", "thoughtSignature": SIGNATURE}],
        [*PIECES, [{"text": "", "thoughtSignature": SIGNATURE}]],
        "STOP",
        Said("Hi there.", thoughts=(("", SIGNATURE, None),), usage=COUNTED),
    ),
    (
        "an image",
        [TEXT, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
        [*PIECES, [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]],
        "STOP",
        Said("Hi there.", images=1, usage=COUNTED),
    ),
]
USAGES: list[tuple[str, Any, tuple[int | None, ...]]] = [
    ("no usage", None, (None,) * 5),
    ("thoughts come on top", USAGE | {"thoughtsTokenCount": 7, "totalTokenCount": 22}, (10, None, None, 12, 7)),
    (
        "cached",
        USAGE
        | {
            "cachedContentTokenCount": 8,
            "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 8}],
        },
        (10, 8, None, 5, None),
    ),
    ("what tools read", USAGE | {"toolUsePromptTokenCount": 4, "totalTokenCount": 19}, (14, None, None, 5, None)),
    (
        "an image in",
        USAGE
        | {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2}, {"modality": "IMAGE", "tokenCount": 8}]},
        (10, None, None, 5, None),
    ),
    ("nothing said", {"promptTokenCount": 10, "totalTokenCount": 10}, (10, None, None, None, None)),
    (
        "Vertex's",
        USAGE | {"trafficType": "ON_DEMAND", "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]},
        COUNTED,
    ),
]


def exchanges() -> Iterator[Exchange]:
    for name, parts, pieces, reason, said in BOTH:
        yield Exchange("gemini", name, document(response(parts, reason, USAGE, safetyRatings=SAFE)), False, said)
        first = [response(one, usage=USAGE | {"candidatesTokenCount": 1}) for one in pieces[:-1]]
        yield Exchange("gemini", name, stream(*first, response(pieces[-1], reason, USAGE)), True, said)
        apart = [response(one) for one in pieces]
        yield Exchange(
            "gemini",
            f"{name}, with an end of its own",
            stream(*apart, response([{"text": ""}], reason, USAGE)),
            True,
            said,
        )
    for name, usage, counts in USAGES:
        said = Said("Hi there.", usage=counts)
        yield Exchange("gemini", name, document(response([TEXT], "STOP", usage)), False, said)
        yield Exchange("gemini", name, stream(response([TEXT]), response(None, "STOP", usage)), True, said)
    for name, fields in (("grounded", {"groundingMetadata": GROUNDING}), ("recited", {"citationMetadata": SOURCES})):
        said = Said("Hi there.", sources=("https://a.example",), usage=COUNTED)
        yield Exchange("gemini", name, document(response([TEXT], "STOP", USAGE, **fields)), False, said)
        yield Exchange("gemini", name, stream(response([TEXT]), response(None, "STOP", USAGE, **fields)), True, said)
    yield from _blocked()
    yield from _failed()
    yield from _streamed()


def _blocked() -> Iterator[Exchange]:
    for reason in ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY"):
        said = Said(stop="content_filter", usage=(10, None, None, None, None))
        body = {
            "promptFeedback": {"blockReason": reason, "safetyRatings": SAFE},
            "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10},
            "modelVersion": "gemini-3-pro-preview",
        }
        yield Exchange("gemini", f"a prompt blocked for {reason}", document(body), False, said)
        yield Exchange("gemini", f"a prompt blocked for {reason}", stream(body), True, said)
    nothing = Said(stop="content_filter", usage=COUNTED)
    yield Exchange("gemini", "a filter without content", document(response(None, "SAFETY", USAGE)), False, nothing)
    yield Exchange("gemini", "a filter without content", stream(response(None, "SAFETY", USAGE)), True, nothing)
    limited = Said(stop="length", usage=(10, None, None, 8, 8))
    spent = {"promptTokenCount": 10, "totalTokenCount": 18, "thoughtsTokenCount": 8}
    empty = {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}],
        "usageMetadata": spent,
    }
    yield Exchange("gemini", "thoughts used the limit up", document(empty), False, limited)
    yield Exchange("gemini", "thoughts used the limit up", stream(empty), True, limited)


def _failed() -> Iterator[Exchange]:
    for reason in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER", "NO_IMAGE"):
        body = response([], reason, USAGE, finishMessage="Malformed function call: print(secret)")
        yield Exchange("gemini", reason, document(body), False, None)
        yield Exchange("gemini", reason, stream(body), True, None)
    two = response([TEXT], "STOP", USAGE)
    two["candidates"].append(two["candidates"][0] | {"index": 1})
    error = {"error": {"code": 503, "message": "secret", "status": "UNAVAILABLE"}}
    code = response([{"executableCode": {"language": "PYTHON", "code": "print(1)"}}], "STOP", USAGE)
    for name, body in (
        ("two candidates", two),
        ("no candidate", {"usageMetadata": USAGE}),
        ("no reason", response([TEXT], None, USAGE)),
        ("an error with a good status", error),
        ("code that it ran", code),
    ):
        yield Exchange("gemini", name, document(body), False, None)


def _streamed() -> Iterator[Exchange]:
    hi = Said("Hi there.", usage=COUNTED)
    each = [response([{"text": one}], "STOP", USAGE) for one in ("Hi ", "there.")]
    unspecified = [response([TEXT], "FINISH_REASON_UNSPECIFIED"), response(None, "STOP", USAGE)]
    counted = {"usageMetadata": USAGE, "modelVersion": "gemini-3-pro-preview"}
    error = {"error": {"code": 503, "message": "secret", "status": "UNAVAILABLE"}}
    feedback = {"promptFeedback": {"safetyRatings": SAFE}}
    for name, body, said, kind in (
        ("a reason with every event", stream(*each), hi, ""),
        ("a reason that is none yet", stream(*unspecified), hi, ""),
        ("usage alone at the end", stream(response([TEXT]), response(None, "STOP"), counted), hi, ""),
        ("usage alone at the beginning", stream(counted, response([TEXT]), response(None, "STOP", USAGE)), hi, ""),
        ("feedback that blocks nothing", stream(feedback, *each), hi, ""),
        ("parts null", stream({"candidates": [{"content": {"parts": None}}]}, *each), hi, ""),
        ("LF line ends", stream(*each, end="\n"), hi, ""),
        ("nothing behind the last event", stream(*each).rstrip(), hi, ""),
        ("an error at once", stream(error), None, "overloaded_error"),
        ("an error midway", stream(response([TEXT]), error), None, "overloaded_error"),
        ("no reason", stream(response([TEXT])), None, ""),
        ("no byte", b"", None, ""),
    ):
        yield Exchange("gemini", name, body, True, said, kind)
