"""Chat completions as OpenAI, Azure, and servers of the same API (vLLM, DeepSeek, OpenRouter, Mistral, Groq) answer.

Source: https://platform.openai.com/docs/api-reference/chat/object, .../chat-streaming, and the servers' own references.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.gateway.dialects.recorded.exchange import Exchange, Said, document, events

USAGE: dict[str, Any] = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
PLAIN_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
COUNTED = (10, 0, None, 5, 0)
FILTERED = {
    "hate": {"filtered": False, "severity": "safe"},
    "self_harm": {"filtered": False, "severity": "safe"},
    "protected_material_code": {"filtered": False, "detected": False},
}
URL = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 2, "title": "A", "url": "https://a.example"},
}


def answer(
    message: dict[str, Any], finish_reason: str | None = "stop", usage: Any = USAGE, **fields: Any
) -> dict[str, Any]:
    said = {"role": "assistant", "content": None, "refusal": None, "annotations": [], **message}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        **fields,
    }


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": [choice],
        "usage": None,
        "obfuscation": "Xq2",
        **fields,
    }


def stream(*deltas: dict[str, Any], finish_reason: str = "stop", usage: Any = USAGE) -> bytes:
    first = chunk({"role": "assistant", "content": "", "refusal": None})
    counted = chunk(None, choices=[], usage=usage)
    return events(first, *map(chunk, deltas), chunk({}, finish_reason), counted) + b"data: [DONE]\n\n"


def call(name: str, arguments: str, call_id: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


ARGUMENTS = '{"city":"Köln \\"am\\" Rhein","days":3.0}'
SPLIT = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ARGUMENTS]
WEATHER = ("call_1", "weather", {"city": 'Köln "am" Rhein', "days": 3.0})
DETAIL = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}
SEALED = {"type": "reasoning.encrypted", "data": "ENC", "format": "openai-responses-v1", "id": "rs_1", "index": 0}
SUMMARY = {"type": "reasoning.summary", "summary": "Hm.", "format": "openai-responses-v1", "index": 0}

BOTH: list[tuple[str, dict[str, Any], list[dict[str, Any]], str, Said]] = [
    (
        "text",
        {"content": "Hi there."},
        [{"content": "Hi"}, {"content": " there."}],
        "stop",
        Said("Hi there.", usage=COUNTED),
    ),
    (
        "an emoji",
        {"content": "👩‍👩‍👧 ok"},
        [{"content": "👩‍"}, {"content": "👩‍👧 ok"}],
        "stop",
        Said("👩‍👩‍👧 ok", usage=COUNTED),
    ),
    (
        "white space",
        {"content": "\n\n  "},
        [{"content": "\n"}, {"content": "\n  "}],
        "stop",
        Said("\n\n  ", usage=COUNTED),
    ),
    ("nothing", {"content": ""}, [], "stop", Said(usage=COUNTED)),
    ("content null", {"content": None}, [{"content": None}], "stop", Said(usage=COUNTED)),
    ("a limit", {"content": "Hi"}, [{"content": "Hi"}], "length", Said("Hi", stop="length", usage=COUNTED)),
    (
        "a filter",
        {"content": "Hi"},
        [{"content": "Hi"}],
        "content_filter",
        Said("Hi", stop="content_filter", usage=COUNTED),
    ),
    (
        "a refusal",
        {"refusal": "I can't."},
        [{"refusal": "I"}, {"refusal": " can't."}],
        "stop",
        Said("I can't.", stop="refusal", usage=COUNTED),
    ),
    (
        "a call",
        {"tool_calls": [call("weather", ARGUMENTS)]},
        [{"tool_calls": [call("weather", "", index=0)]}, *SPLIT],
        "tool_calls",
        Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a call with a text before it and content empty",
        {"content": "", "tool_calls": [call("weather", ARGUMENTS)]},
        [{"content": "", "tool_calls": [call("weather", ARGUMENTS, index=0)]}],
        "tool_calls",
        Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED),
    ),
    (
        "text and two calls",
        {"content": "Let me.", "tool_calls": [call("weather", ARGUMENTS), call("clock", "{}", "call_2")]},
        [
            {"content": "Let me."},
            {"tool_calls": [call("weather", ARGUMENTS, index=0)]},
            {"tool_calls": [call("clock", "", "call_2", index=1)]},
            {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        ],
        "tool_calls",
        Said("Let me.", (WEATHER, ("call_2", "clock", {})), "tool_calls", usage=COUNTED),
    ),
    (
        "a named call that ends with stop",
        {"tool_calls": [call("weather", ARGUMENTS)]},
        [{"tool_calls": [call("weather", ARGUMENTS, index=0)]}],
        "stop",
        Said(calls=(WEATHER,), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a call without arguments",
        {"tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "clock"}}]},
        [{"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "clock"}}]}],
        "tool_calls",
        Said(calls=(("call_1", "clock", {}),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a call with arguments empty",
        {"tool_calls": [call("clock", "")]},
        [{"tool_calls": [call("clock", "", index=0)]}],
        "tool_calls",
        Said(calls=(("call_1", "clock", {}),), stop="tool_calls", usage=COUNTED),
    ),
    (
        "a source",
        {"content": "Hi", "annotations": [URL]},
        [{"content": "Hi"}, {"annotations": [URL]}],
        "stop",
        Said("Hi", sources=("https://a.example",), usage=COUNTED),
    ),
    (
        "thoughts of DeepSeek and vLLM",
        {"reasoning_content": "Hm. So.", "content": "Hi"},
        [{"reasoning_content": "Hm. ", "content": None}, {"reasoning_content": "So."}, {"content": "Hi"}],
        "stop",
        Said("Hi", thoughts=(("Hm. So.", None, None),), usage=COUNTED),
    ),
    (
        "thoughts of Groq",
        {"reasoning": "Hm.", "content": "Hi"},
        [{"reasoning": "Hm.", "channel": "analysis"}, {"content": "Hi"}],
        "stop",
        Said("Hi", thoughts=(("Hm.", None, None),), usage=COUNTED),
    ),
    (
        "signed thoughts of OpenRouter",
        {"reasoning": "Hm.", "reasoning_details": [DETAIL], "content": "Hi"},
        [
            {"reasoning": "Hm.", "reasoning_details": [DETAIL | {"signature": None}]},
            {"reasoning": None, "reasoning_details": [DETAIL | {"text": None}]},
            {"content": "Hi"},
        ],
        "stop",
        Said("Hi", thoughts=(("Hm.", "c2ln", None),), usage=COUNTED),
    ),
    (
        "sealed thoughts of OpenRouter",
        {"reasoning": None, "reasoning_details": [SEALED], "content": "Hi"},
        [{"reasoning_details": [SEALED]}, {"content": "Hi"}],
        "stop",
        Said("Hi", thoughts=(("", None, "ENC"),), usage=COUNTED),
    ),
    (
        "summarised thoughts of OpenRouter",
        {"reasoning": "Hm.", "reasoning_details": [SUMMARY], "content": "Hi"},
        [{"reasoning": "Hm.", "reasoning_details": [SUMMARY]}, {"content": "Hi"}],
        "stop",
        Said("Hi", thoughts=(("Hm.", None, None),), usage=COUNTED),
    ),
    (
        "an image of OpenRouter",
        {"content": "Here.", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        [
            {"content": "Here."},
            {"images": [{"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,AA=="}}]},
        ],
        "stop",
        Said("Here.", images=1, usage=COUNTED),
    ),
    ("an end of Together's", {"content": "Hi"}, [{"content": "Hi"}], "eos", Said("Hi", usage=COUNTED)),
    (
        "a limit of Mistral's",
        {"content": "Hi"},
        [{"content": "Hi"}],
        "model_length",
        Said("Hi", stop="length", usage=COUNTED),
    ),
]

HI = {"content": "Hi"}
USAGES: list[tuple[str, Any, tuple[int | None, ...]]] = [
    ("usage without details", PLAIN_USAGE, (10, None, None, 5, None)),
    (
        "details null",
        PLAIN_USAGE | {"prompt_tokens_details": None, "completion_tokens_details": None},
        (10, None, None, 5, None),
    ),
    (
        "cached and thought tokens",
        PLAIN_USAGE
        | {
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": None},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        (10, 8, None, 5, 3),
    ),
    (
        "audio in and out",
        PLAIN_USAGE
        | {
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 4, "text_tokens": 6},
            "completion_tokens_details": {"audio_tokens": 2, "text_tokens": 3},
        },
        (10, 0, None, 5, None),
    ),
    (
        "tokens written to a cache",
        PLAIN_USAGE
        | {"prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 7}, "cost": 0.00014, "is_byok": False},
        (10, 1, 7, 5, None),
    ),
    (
        "DeepSeek's counts",
        PLAIN_USAGE | {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
        (10, None, None, 5, None),
    ),
    (
        "Groq's times",
        PLAIN_USAGE | {"queue_time": 0.03, "prompt_time": 0.0001, "total_time": 0.5},
        (10, None, None, 5, None),
    ),
    (
        "more cached than there are",
        PLAIN_USAGE | {"prompt_tokens_details": {"cached_tokens": 99}},
        (10, 10, None, 5, None),
    ),
    ("no usage", None, (None, None, None, None, None)),
]
AZURE: dict[str, Any] = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]}


def exchanges() -> Iterator[Exchange]:
    for name, message, deltas, reason, said in BOTH:
        yield Exchange("openai_chat", name, document(answer(message, reason)), False, said)
        yield Exchange("openai_chat", name, stream(*deltas, finish_reason=reason), True, said)
    for name, usage, counts in USAGES:
        yield Exchange("openai_chat", name, document(answer(HI, usage=usage)), False, Said("Hi", usage=counts))
        yield Exchange("openai_chat", name, stream(HI, usage=usage), True, Said("Hi", usage=counts))
    yield from _whole()
    yield from _streamed()


def _whole() -> Iterator[Exchange]:
    hi = Said("Hi", usage=COUNTED)
    azure = answer(HI, **AZURE)
    azure["choices"][0]["content_filter_results"] = FILTERED
    logprobs = answer(HI)
    logprobs["choices"][0]["logprobs"] = {
        "content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]
    }
    for name, body, said in (
        ("Azure's filter results", azure, hi),
        ("logprobs", logprobs, hi),
        ("vLLM's fields", answer(HI, prompt_logprobs=None, kv_transfer_params=None), hi),
        ("an answer of little", {"choices": [{"message": HI, "finish_reason": "stop"}], "usage": USAGE}, hi),
        (
            "audio null and function_call null",
            answer(HI | {"audio": None, "function_call": None, "tool_calls": None}),
            hi,
        ),
        ("an error with a good status", {"error": {"message": "secret", "type": "server_error", "code": 500}}, None),
        ("no choice", answer(HI, choices=[]), None),
        ("a reason that nobody knows", answer(HI, "insufficient_system_resource"), None),
        ("no reason", answer(HI, None), None),
    ):
        yield Exchange("openai_chat", name, document(body), False, said)
    yield Exchange("openai_chat", "half an answer", document(answer(HI))[:-20], False, None)


def _streamed() -> Iterator[Exchange]:
    hi = Said("Hi", usage=COUNTED)
    unknown = Said("Hi", usage=(None,) * 5)
    done = b"data: [DONE]\n\n"
    counted = chunk(None, choices=[], usage=USAGE)
    azure_first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", **AZURE}
    azure_last = chunk(None)
    azure_last["choices"] = [
        {
            "index": 0,
            "finish_reason": None,
            "content_filter_results": FILTERED,
            "content_filter_offsets": {"start_offset": 0},
        }
    ]
    azure_last["choices"][0]["delta"] = {}
    no_delta = chunk(None)
    del no_delta["choices"][0]["delta"]
    every = [chunk(HI) | {"usage": PLAIN_USAGE | {"completion_tokens": 1}}, chunk({}, "stop") | {"usage": USAGE}]
    error = {"error": {"message": "secret", "type": "server_error", "param": None, "code": "overloaded"}}
    for name, body, said, kind in (
        (
            "Azure's filter results",
            events(azure_first, chunk(HI), chunk({}, "stop"), azure_last, counted) + done,
            hi,
            "",
        ),
        ("a choice without delta", events(no_delta, chunk(HI), chunk({}, "stop"), counted) + done, hi, ""),
        ("usage on every chunk", events(*every) + done, hi, ""),
        ("usage on the last choice", events(chunk(HI), chunk({}, "stop") | {"usage": USAGE}) + done, hi, ""),
        ("text with the reason", events(chunk(HI, "stop"), counted) + done, hi, ""),
        ("no usage chunk", events(chunk(HI), chunk({}, "stop")) + done, unknown, ""),
        ("no [DONE]", events(chunk(HI), chunk({}, "stop"), counted), hi, ""),
        (
            "roles repeated",
            events(*[chunk({"role": "assistant", "content": one}) for one in "Hi"], chunk({}, "stop"), counted) + done,
            hi,
            "",
        ),
        ("an error at once", events(error), None, "overloaded_error"),
        ("an error midway", events(chunk(HI), error), None, "overloaded_error"),
        (
            "an error of another form",
            events(chunk(HI), {"object": "error", "message": "secret", "code": 500}),
            None,
            "api_error",
        ),
        ("[DONE] before the reason", events(chunk(HI)) + done, None, ""),
        ("no byte", b"", None, ""),
        ("only [DONE]", done, None, ""),
        ("a half event", events(chunk(HI)) + b'data: {"choices":[{"ind', None, ""),
        (
            "two choices",
            events(chunk(HI), chunk(None, choices=[{"index": 1, "delta": HI, "finish_reason": None}])),
            None,
            "",
        ),
    ):
        yield Exchange("openai_chat", name, body, True, said, kind)
