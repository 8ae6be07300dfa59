"""Chat completions: whole answers, usage, stop reasons. Errors are in `dialects.openai`."""

from __future__ import annotations

from typing import Any

import msgspec

from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader
from shipway.gateway.dialects.events import Answer, AnswerPart, Envelope, StopReason
from shipway.gateway.dialects.media import image_from, image_url
from shipway.gateway.dialects.openai_chat.request_reader import thoughts
from shipway.gateway.dialects.openai_chat.request_writer import detail_of
from shipway.gateway.dialects.openai_chat.wire import ReasoningDetail
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.usage import NOTHING, TokenUsage

_READ_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # of compatible servers
    "eos": "end",
    "model_length": "length",
}
_WRITTEN_STOPS: dict[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "context_window": "length",
}


class _PromptDetails(msgspec.Struct, gc=False, omit_defaults=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _CompletionDetails(msgspec.Struct, gc=False, omit_defaults=True):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


_NO_PROMPT_DETAILS = _PromptDetails()
_NO_COMPLETION_DETAILS = _CompletionDetails()


def written_usage(usage: TokenUsage) -> dict[str, object] | None:
    """None where nothing is known; a detail that is unknown is left out."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None and completion is None:
        return None
    written: dict[str, object] = {
        "prompt_tokens": prompt or 0,
        "completion_tokens": completion or 0,
        "total_tokens": (prompt or 0) + (completion or 0),
    }
    given = _PromptDetails(usage.cached_read, usage.cached_write, usage.input_audio, usage.input_image)
    if given != _NO_PROMPT_DETAILS:
        written["prompt_tokens_details"] = given
    made = _CompletionDetails(usage.reasoning, usage.output_audio, usage.output_image)
    if made != _NO_COMPLETION_DETAILS:
        written["completion_tokens_details"] = made
    return written


class _Function(UpstreamPart):
    name: str
    arguments: str | None = None


class _Call(UpstreamPart):
    function: _Function
    id: str | None = None


class _UrlCitation(UpstreamPart):
    url: str = ""
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


class Annotation(UpstreamPart):
    url_citation: _UrlCitation | None = None


class _Url(UpstreamPart):
    url: str


class _Image(UpstreamPart):
    image_url: _Url


class Said(UpstreamPart):
    """What messages and the deltas of streams have in common."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    annotations: list[Annotation] | None = None
    images: list[_Image] | None = None


class _Message(Said):
    tool_calls: list[_Call] | None = None


class _Choice(UpstreamPart):
    message: _Message
    finish_reason: str


class _Completion(UpstreamPart):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    usage: Any = None


_read = document_reader(_Completion)
_encode = msgspec.json.Encoder().encode


def read_stop(reason: str, has_calls: bool) -> StopReason:
    """A call of the tool that was asked for by name ends with `stop`. Raises: ValueError."""
    stop = _READ_STOPS.get(reason)
    if stop is None:
        raise ValueError("an unknown finish reason")
    return "tool_calls" if stop == "end" and has_calls else stop


def written_stop(reason: StopReason) -> str:
    return _WRITTEN_STOPS[reason]


def read_citation(annotation: Annotation) -> Citation | None:
    cited = annotation.url_citation
    if cited is None:
        return None
    return Citation(cited.url, cited.title, unit="answer", start=cited.start_index, end=cited.end_index)


def written_citation(citation: Citation, text_length: int) -> dict[str, object] | None:
    """None for what cites no address. Without a position of its own it stands for the text so far."""
    if citation.url is None:
        return None
    start, end = (citation.start, citation.end) if citation.unit == "answer" else (0, text_length)
    cited = {"url": citation.url, "title": citation.title or "", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": cited}


def extra_content(proof: str | None) -> dict[str, object]:
    """What stands beside a call that Gemini's thoughts led to, as Google's own server of this dialect has it: Gemini takes no
    call back without this, and many clients keep nothing but the calls."""
    return {} if proof is None else {"extra_content": {"google": {"thought_signature": proof}}}


def written_image(image: Image) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": image_url(image)}}


def read_answer(body: bytes) -> Answer:
    """Raises: ValueError."""
    completion = _read(body)
    if len(completion.choices) != 1:
        raise ValueError("not one choice")
    choice = completion.choices[0]
    message = choice.message
    parts: list[AnswerPart] = list(thoughts(message.reasoning_content or message.reasoning, message.reasoning_details))
    if message.content:
        parts.append(Text(message.content))
    if message.refusal:
        parts.append(Text(message.refusal))
    parts.extend(cited for one in message.annotations or () if (cited := read_citation(one)) is not None)
    parts.extend(image_from(image.image_url.url) for image in message.images or ())
    parts.extend(
        ToolCall(call.id or "", call.function.name, call.function.arguments or "{}")
        for call in message.tool_calls or ()
    )
    usage = NOTHING if completion.usage is None else read_usage(completion.usage)
    stop = "refusal" if message.refusal else read_stop(choice.finish_reason, bool(message.tool_calls))
    return Answer(tuple(parts), stop, None, usage, completion.id or "", completion.model or "")


def write_answer(answer: Answer, envelope: Envelope) -> bytes:
    """Raises: nothing; what cites no address is left out."""
    message = _written_message(answer, envelope)
    choice = {"index": 0, "message": message, "finish_reason": _WRITTEN_STOPS[answer.stop], "logprobs": None}
    completion: dict[str, object] = {
        "id": f"chatcmpl-{envelope.id}",
        "object": "chat.completion",
        "created": envelope.created_s,
        "model": envelope.model,
        "choices": [choice],
    }
    usage = written_usage(answer.usage)
    if usage is not None:
        completion["usage"] = usage
    return _encode(completion)


def _written_message(answer: Answer, envelope: Envelope) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": None}
    texts: list[str] = []
    calls: list[dict[str, object]] = []
    reasoning: list[Reasoning] = []
    annotations: list[dict[str, object]] = []
    images: list[dict[str, object]] = []
    proof: str | None = None
    for part in answer.parts:
        if type(part) is Text:
            texts.append(part.text)
        elif type(part) is ToolCall:
            function = {"name": part.name, "arguments": part.arguments or "{}"}
            call_id = part.id or f"call_{envelope.id}_{len(calls)}"
            calls.append({"id": call_id, "type": "function", "function": function, **extra_content(proof)})
            proof = None
        elif type(part) is Reasoning:
            reasoning.append(part)
            proof = part.signature if part.origin == "gemini" else None
        elif type(part) is Image:
            images.append(written_image(part))
        elif (cited := written_citation(part, sum(map(len, texts)))) is not None:
            annotations.append(cited)
    text = "".join(texts)
    if answer.stop == "refusal":
        message["refusal"] = text
    elif texts:
        message["content"] = text
    if reasoning:
        message |= _written_thoughts(reasoning)
    if calls:
        message["tool_calls"] = calls
    if annotations:
        message["annotations"] = annotations
    if images:
        message["images"] = images
    return message


def _written_thoughts(reasoning: list[Reasoning]) -> dict[str, object]:
    written: dict[str, object] = {}
    if text := "".join([thought.text for thought in reasoning]):
        written["reasoning_content"] = text
    if any(thought.signature is not None or thought.sealed is not None for thought in reasoning):
        written["reasoning_details"] = [detail_of(thought) for thought in reasoning]
    return written
