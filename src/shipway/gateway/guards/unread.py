"""What a dialect's reader passes over: the strings of a document of a provider that are in none of the texts it read.

A request, a stream or an answer that passes untouched may hold more than the readers take: a transcript of speech, a block of a
kind that came later, a summary beside the thought that it is of. Guards are shown it by its path, so that it does not reach the
model or the client unseen.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Any

ANSWER = frozenset(
    {
        # names and states
        "id", "object", "model", "type", "role", "system_fingerprint", "service_tier", "finish_reason", "stop_reason",
        "stop_sequence", "status", "call_id", "item_id", "response_id", "container", "phase", "created_at",
        "provider", "native_finish_reason",
        "images", "logprobs", "usage",
        # said back to the client that sent them
        "instructions", "tools", "tool_choice", "metadata", "prompt", "previous_response_id", "prompt_cache_key",
        "reasoning_effort", "safety_identifier", "truncation", "user",
    }
)  # fmt: skip
"""Keys below which no provider puts what a model says. `logprobs` repeat the text, token by token."""

REQUEST = frozenset(
    {
        # names, states and settings
        "id", "model", "type", "role", "status", "phase", "call_id", "tool_call_id", "tool_use_id", "tool_choice", "reasoning",
        "reasoning_effort", "effort", "display", "verbosity", "format", "detail", "media_type", "cache_control", "include",
        "metadata", "user", "stop", "stop_sequences", "service_tier", "truncation", "modalities", "speed",
        # opaque to everyone but the provider, or shown as what they hold
        "signature", "thought_signature", "encrypted_content", "data", "file_data", "url", "image_url", "file_url",
        "parameters", "input_schema", "schema",
    }
)  # fmt: skip
"""Keys that the readers of requests know, below which nothing is said to a model that they do not read."""

_OPAQUE = frozenset(("obfuscation", "signature", "encrypted_content", "data"))
_SEALED = re.compile(r"[A-Za-z0-9+/=_:.-]*")
"""What is opaque to everyone but the provider; the same keys may hold text, such as that of a page that was fetched."""


def unread_strings(
    document: Any, read: Container[str], no_text: Container[str] = ANSWER, path: str = ""
) -> Iterator[tuple[str, str]]:
    """Path and text of what is not in *read*, nor below a key of *no_text*."""
    if isinstance(document, str):
        if document and document not in read:
            yield path, document
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from unread_strings(item, read, no_text, f"{path}[{index}]")
    elif isinstance(document, dict):
        for key, item in document.items():
            if key in no_text or (key in _OPAQUE and isinstance(item, str) and _SEALED.fullmatch(item)):
                continue
            # The arguments of a tool call as an object, which readers read as text.
            if not (key == "input" and isinstance(item, dict)):
                yield from unread_strings(item, read, no_text, f"{path}.{key}" if path else key)
