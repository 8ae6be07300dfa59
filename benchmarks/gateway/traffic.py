"""What is sent and what comes back: one small chat call, whole or streamed."""

from __future__ import annotations

import json

KEY = "sk-bench-0123456789abcdef0123456789abcdef"
PATH = "/v1/chat/completions"
CHUNKS = 60
CHUNK_EVERY_S = 0.010

_MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant. Answer in one sentence."},
    {"role": "user", "content": "What does a gateway in front of language models do for a small team?"},
]
BODY = json.dumps({"model": "chat", "messages": _MESSAGES, "temperature": 0.2, "max_tokens": 64})
STREAM_BODY = json.dumps(
    {
        "model": "chat",
        "messages": _MESSAGES,
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
)

_USAGE = {"prompt_tokens": 38, "completion_tokens": 24, "total_tokens": 62}
_TEXT = "It checks keys, limits and budgets, picks an upstream, and counts what was used."
ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
)


def request(body: str, path: str = PATH) -> bytes:
    """The bytes of one call."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def stream_writes() -> list[bytes]:
    """What the backend writes for one stream, one item every `CHUNK_EVERY_S`; the first carries the response's head."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        # nginx, which buffers by default, passes a response with this field on as it comes.
        b"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writes = [_event({"delta": {"content": f" word{number}"}, "finish_reason": None}) for number in range(CHUNKS - 1)]
    last = _event({"delta": {}, "finish_reason": "stop"}) + _frame({"choices": [], "usage": _USAGE})
    return [head + writes[0], *writes[1:], last + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"]


def _event(choice: dict[str, object]) -> bytes:
    return _frame({"choices": [{"index": 0, **choice, "logprobs": None}], "usage": None})


def _frame(fields: dict[str, object]) -> bytes:
    event = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1790000000, "model": "gpt", **fields}
    return _framed(b"data: %b\n\n" % json.dumps(event, separators=(",", ":")).encode())


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
