"""What of a request may differ by its words alone: the text of its last turn. All the rest is compared to the byte.

The last turn has to be the user's and of text alone: to what a picture or the result of a tool means, no text is near. Of
several texts in it the last one is the question, since those before it are what it is about.
"""

from __future__ import annotations

from typing import Any

from shipway.gateway.cache.request import UNREADABLE, decode, digest_of, encode
from shipway.gateway.cache.semantic import Question
from shipway.gateway.cache.wording import exact_part
from shipway.gateway.call import Call
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.model_api import ModelPath

_TURNS = {"openai_chat": "messages", "anthropic": "messages", "openai_responses": "input"}
"""Where the turns are, by the dialect of a conversation."""
_TEXT_PARTS = frozenset(("text", "input_text"))


def question_of(
    call: Call, path: ModelPath, request: ModelRequest, generation: bytes, *, max_bytes: int
) -> Question | None:
    """The question of an admitted request; None where it has none, or a longer one than *max_bytes*.

    Args:
        generation: What answers, and what makes the vectors.
    """
    field = _TURNS.get(path.conversation)
    if field is None or path.name == "count_tokens":
        return None
    try:
        document = decode(request.body)
        document.pop("stream", None)
        text = _taken(document, field)
        if not text or text.isspace() or len(text.encode()) > max_bytes:
            return None
        frame = encode(document)
    except UNREADABLE:
        return None
    partition = digest_of(call, path, request, generation, b"question", frame, exact_part(text))
    return None if partition is None else Question(partition, text)


def _taken(document: dict[str, Any], field: str) -> str | None:
    """Take the question's text out of *document*."""
    turns = document.get(field)
    if isinstance(turns, str):
        document[field] = None
        return turns
    last = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(last, dict) or last.get("role") != "user" or last.get("type", "message") != "message":
        return None
    content = last.get("content")
    if isinstance(content, str):
        last["content"] = None
        return content
    if not isinstance(content, list) or not content or not all(map(_is_text, content)):
        return None
    text: str = content[-1]["text"]
    content[-1]["text"] = None
    return text


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str)
