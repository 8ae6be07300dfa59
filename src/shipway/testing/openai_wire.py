"""The OpenAI wire format as the fake server speaks it: pure functions from a request to JSON documents.

Covers chat completions, completions, embeddings and models, with the chunks of a stream. Knows nothing of sockets and
nothing of faults; `openai_server` adds both.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

Json = dict[str, Any]
UsageOn = Literal["final", "last-content", "never"]

CREATED_S: Final = 1_790_000_000  # a fixed date, so that whole documents can be compared
DEFAULT_DIMENSIONS: Final = 8
_PIECE = re.compile(r"\s*\S+\s*$|\s*\S+")


def pieces(text: str) -> tuple[str, ...]:
    """Split *text* into its "tokens": words with the white space before them. Joined they are *text* again."""
    return tuple(_PIECE.findall(text)) or ((text,) if text else ())


def prompt_text(body: Mapping[str, Any]) -> str:
    """Return all text of a request: its messages, its prompt or its input, joined by spaces."""
    if "messages" in body:
        return " ".join(_message_text(message.get("content")) for message in body["messages"])
    prompt = body.get("prompt", body.get("input", ""))
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))


def limited(tokens: Sequence[str], body: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Cut *tokens* at the request's token limit; the second value is the finish reason."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None and limit < len(tokens):
        return tuple(tokens[:limit]), "length"
    return tuple(tokens), "stop"


def usage(prompt: str, completion_tokens: int) -> Json:
    """Count usage: the prompt by words, the completion as given."""
    prompt_tokens = len(pieces(prompt))
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def chat_completion(body: Mapping[str, Any], tokens: Sequence[str], finish_reason: str) -> Json:
    """Build the answer to an unstreamed `/v1/chat/completions`."""
    message = {"role": "assistant", "content": "".join(tokens), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {
        **_stamp("chatcmpl-fake", "chat.completion", body),
        "choices": [choice],
        "usage": usage(prompt_text(body), len(tokens)),
    }


def completion(body: Mapping[str, Any], tokens: Sequence[str], finish_reason: str) -> Json:
    """Build the answer to an unstreamed `/v1/completions`."""
    choice = {"index": 0, "text": "".join(tokens), "logprobs": None, "finish_reason": finish_reason}
    return {
        **_stamp("cmpl-fake", "text_completion", body),
        "choices": [choice],
        "usage": usage(prompt_text(body), len(tokens)),
    }


def chat_chunks(
    body: Mapping[str, Any], tokens: Sequence[str], finish_reason: str, usage_on: UsageOn = "final"
) -> Iterator[Json]:
    """Yield the chunks of a streamed chat: the role, one a token, the finish reason, then usage where asked for.

    Args:
        usage_on: Where usage goes when the request has `stream_options.include_usage`: on a last chunk without
            choices (OpenAI), on the chunk with the finish reason (some other providers), or nowhere.
    """
    stamp = _stamp("chatcmpl-fake", "chat.completion.chunk", body)
    deltas: list[tuple[Json, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": token}, None) for token in tokens]
    deltas.append(({}, finish_reason))
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason} for delta, reason in deltas]
    yield from _with_usage(stamp, choices, usage(prompt_text(body), len(tokens)), _usage_place(body, usage_on))


def completion_chunks(
    body: Mapping[str, Any], tokens: Sequence[str], finish_reason: str, usage_on: UsageOn = "final"
) -> Iterator[Json]:
    """Yield the chunks of a streamed `/v1/completions`; arguments as for `chat_chunks`."""
    stamp = _stamp("cmpl-fake", "text_completion", body)
    texts: list[tuple[str, str | None]] = [*((token, None) for token in tokens), ("", finish_reason)]
    choices = [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason} for text, reason in texts]
    yield from _with_usage(stamp, choices, usage(prompt_text(body), len(tokens)), _usage_place(body, usage_on))


def embeddings(body: Mapping[str, Any]) -> Json:
    """Build the answer to `/v1/embeddings`: unit-free vectors made from a hash, so equal texts are equal vectors."""
    texts = body.get("input", "")
    batch = texts if isinstance(texts, list) and not all(isinstance(token, int) for token in texts) else [texts]
    dimensions = body.get("dimensions") or DEFAULT_DIMENSIONS
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(json.dumps(text), dimensions)}
        for index, text in enumerate(batch)
    ]
    count = sum(len(pieces(text)) if isinstance(text, str) else len(text) for text in batch)
    return {
        "object": "list",
        "data": data,
        "model": body.get("model"),
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def model(name: str) -> Json:
    """Build one entry of the list of models."""
    return {"id": name, "object": "model", "created": CREATED_S, "owned_by": "fake"}


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> Json:
    """Build an error document; also valid as the data of an event in a stream."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def event(document: Mapping[str, Any] | str) -> bytes:
    """Encode one server-sent event."""
    data = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


def _message_text(content: object) -> str:
    if isinstance(content, list):  # parts: {"type": "text", "text": …}, images and the like
        return " ".join(str(part.get("text", "")) for part in content)
    return "" if content is None else str(content)


def _stamp(identity: str, kind: str, body: Mapping[str, Any]) -> Json:
    return {"id": identity, "object": kind, "created": CREATED_S, "model": body.get("model")}


def _usage_place(body: Mapping[str, Any], usage_on: UsageOn) -> UsageOn:
    wanted = (body.get("stream_options") or {}).get("include_usage")
    return usage_on if wanted else "never"


def _with_usage(stamp: Json, choices: Sequence[Json], counts: Json, place: UsageOn) -> Iterator[Json]:
    blank = {} if place == "never" else {"usage": None}
    last = len(choices) - 1
    for index, choice in enumerate(choices):
        here = {"usage": counts} if place == "last-content" and index == last else blank
        yield {**stamp, "choices": [choice], **here}
    if place == "final":
        yield {**stamp, "choices": [], "usage": counts}


def _vector(text: str, dimensions: int) -> list[float]:
    digest = hashlib.shake_128(text.encode()).digest(dimensions)
    return [byte / 128 - 1 for byte in digest]
