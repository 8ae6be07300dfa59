"""OpenAI's wire format as the fake speaks it: chat completions, completions and models, with the chunks of a stream.

Pure functions from a request and what is said to JSON documents. Knows nothing of sockets and nothing of faults.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shipway.testing.said import Said, all_text, argument_parts
from shipway.testing.script import Usage, UsageOn

Json = dict[str, Any]

CREATED_S: Final = 1_790_000_000  # a fixed date, so that whole documents can be compared
_REASONS: Final = {"stop_sequence": "stop"}


def prompt_text(body: Mapping[str, Any]) -> str:
    """Return all text of a request: its messages, its prompt or its input, joined by spaces."""
    if "messages" in body:
        return " ".join(all_text(message.get("content")) for message in body["messages"])
    prompt = body.get("prompt", body.get("input", ""))
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))


def token_limit(body: Mapping[str, Any]) -> int | None:
    return body.get("max_completion_tokens") or body.get("max_tokens")


def stops(body: Mapping[str, Any]) -> Sequence[str]:
    given = body.get("stop") or ()
    return (given,) if isinstance(given, str) else given


def wants_json(body: Mapping[str, Any]) -> bool:
    return (body.get("response_format") or {}).get("type") in {"json_object", "json_schema"}


def usage(counts: Usage) -> Json:
    """Usage as chat completions report it: details are parts of the sums, and those of audio come where there is any."""
    prompt: Json = {"cached_tokens": counts.cache_read}
    for name, count in (
        ("cache_write_tokens", counts.cache_write),
        ("audio_tokens", counts.audio_input),
        ("image_tokens", counts.image_input),
    ):
        prompt |= {name: count} if count else {}
    completion: Json = {"reasoning_tokens": counts.reasoning}
    completion |= {"audio_tokens": counts.audio_output} if counts.audio_output else {}
    return {
        "prompt_tokens": counts.all_input,
        "completion_tokens": counts.all_output,
        "total_tokens": counts.total,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }


def chat_completion(body: Mapping[str, Any], heard: Said) -> Json:
    """Build the answer to an unstreamed `/v1/chat/completions`."""
    message: Json = {"role": "assistant", "content": heard.text, "refusal": None}
    if heard.reasoning:  # not OpenAI's own, but DeepSeek's, vLLM's and others'
        message["reasoning_content"] = "".join(heard.reasoning)
    if heard.citations:
        message["annotations"] = annotations(heard)
    if heard.tool_calls:
        message["content"] = heard.text or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in heard.tool_calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason(heard)}
    return {**_stamp("chatcmpl-fake", "chat.completion", body), "choices": [choice], "usage": usage(heard.usage)}


def completion(body: Mapping[str, Any], heard: Said) -> Json:
    """Build the answer to an unstreamed `/v1/completions`."""
    choice = {"index": 0, "text": heard.text, "logprobs": None, "finish_reason": reason(heard)}
    return {**_stamp("cmpl-fake", "text_completion", body), "choices": [choice], "usage": usage(heard.usage)}


def chat_chunks(body: Mapping[str, Any], heard: Said, usage_on: UsageOn = "final") -> Iterator[Json]:
    """Yield the chunks of a streamed chat: the role, one a token, the finish reason, then usage where asked for.

    Args:
        usage_on: Where usage goes when the request has `stream_options.include_usage`: on a last chunk without
            choices (OpenAI), on the chunk with the finish reason (some other providers), or nowhere.
    """
    stamp = _stamp("chatcmpl-fake", "chat.completion.chunk", body)
    deltas: list[tuple[Json, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"reasoning_content": piece}, None) for piece in heard.reasoning]
    deltas += [({"content": token}, None) for token in heard.tokens]
    deltas += [({"annotations": annotations(heard)}, None)] if heard.citations else []
    deltas += [({"tool_calls": [part]}, None) for part in _call_parts(heard)]
    deltas.append(({}, reason(heard)))
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": why} for delta, why in deltas]
    yield from _with_usage(stamp, choices, usage(heard.usage), _usage_place(body, usage_on))


def completion_chunks(body: Mapping[str, Any], heard: Said, usage_on: UsageOn = "final") -> Iterator[Json]:
    """Yield the chunks of a streamed `/v1/completions`; arguments as for `chat_chunks`."""
    stamp = _stamp("cmpl-fake", "text_completion", body)
    texts: list[tuple[str, str | None]] = [*((token, None) for token in heard.tokens), ("", reason(heard))]
    choices = [{"index": 0, "text": text, "logprobs": None, "finish_reason": why} for text, why in texts]
    yield from _with_usage(stamp, choices, usage(heard.usage), _usage_place(body, usage_on))


def annotations(heard: Said) -> list[Json]:
    """What the text rests on, each on all of it."""
    return [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": len(heard.text), "title": one.title, "url": one.url},
        }
        for one in heard.citations
    ]


def reason(heard: Said) -> str:
    return _REASONS.get(heard.finish, heard.finish)


def model(name: str) -> Json:
    """Build one entry of the list of models."""
    return {"id": name, "object": "model", "created": CREATED_S, "owned_by": "fake"}


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> Json:
    """Build an error document; also valid as the data of an event in a stream."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def event(document: Mapping[str, Any] | str) -> bytes:
    """Encode one server-sent event."""
    return f"data: {document if isinstance(document, str) else compact(document)}\n\n".encode()


def compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _call_parts(heard: Said) -> Iterator[Json]:
    for index, call in enumerate(heard.tool_calls):
        function = {"name": call.name, "arguments": ""}
        yield {"index": index, "id": call.id, "type": "function", "function": function}
        yield from ({"index": index, "function": {"arguments": part}} for part in argument_parts(call.arguments))


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
