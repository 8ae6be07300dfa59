"""The exchange that is translated: a request of 2 KB with tools and history, its answer, and a stream.

Imports nothing, so that it runs in LiteLLM's environment too.
"""

import json

LINE = "The quick brown fox jumps over the lazy dog, again and again. "
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
ARGUMENTS = {"city": "Paris", "days": 3}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": json.dumps(ARGUMENTS)}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": LINE, "parameters": SCHEMA}}]

REQUEST = json.dumps(
    {
        "model": "m",
        "max_tokens": 500,
        "temperature": 0.7,
        "messages": [
            {"role": "system", "content": LINE * 3},
            {"role": "user", "content": LINE * 4},
            {"role": "assistant", "content": LINE, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": LINE * 4},
            {"role": "assistant", "content": LINE * 4},
            {"role": "user", "content": [{"type": "text", "text": LINE * 4}]},
        ],
        "tools": TOOLS,
    }
).encode()

TEXT = LINE * 16

ANSWERS = {
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [
            {"type": "text", "text": TEXT},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": ARGUMENTS},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 90,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 10,
            "output_tokens": 25,
        },
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [{"text": TEXT}, {"functionCall": {"name": "get_weather", "args": ARGUMENTS}}],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 25, "totalTokenCount": 125},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    },
    "bedrock": {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"text": TEXT},
                    {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather", "input": ARGUMENTS}},
                ],
            }
        },
        "stopReason": "tool_use",
        "usage": {"inputTokens": 90, "outputTokens": 25, "totalTokens": 115},
        "metrics": {"latencyMs": 100},
    },
}
MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
}

DELTAS = {
    "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " again"}},
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": " again"}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 5, "totalTokenCount": 105},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    },
    "bedrock": {"contentBlockIndex": 0, "delta": {"text": " again"}},
}
"""One event of a stream: a token."""


def answer(provider: str) -> bytes:
    return json.dumps(ANSWERS[provider]).encode()


def delta(provider: str, number: int = 0) -> bytes:
    """With a number in its text, since LiteLLM ends a stream that repeats itself."""
    return json.dumps(DELTAS[provider]).replace(" again", f" again {number}").encode()
