"""Gemini generateContent: a request as this dialect says it, or what of it cannot be said."""

from __future__ import annotations

import base64
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shipway.gateway.dialects.conversation import (
    NO_THINKING,
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from shipway.gateway.dialects.gemini import wire
from shipway.gateway.dialects.losses import Losses, json_object, lose_cache
from shipway.gateway.dialects.media import AUDIO_TYPES

_encode = msgspec.json.Encoder().encode
_NOTHING_SAID = wire.Generation()


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    if conversation.parallel_tool_calls is False:
        losses.lose(conversation.name("parallel_tool_calls"))
    if conversation.user is not None:
        losses.lose(conversation.name("user"))
    if conversation.metadata:
        losses.lose(conversation.name("metadata"))
    names: dict[str, str] = {}
    contents: list[wire.Content] = []
    for turn in conversation.turns:
        if turn.role == "system":
            losses.lose(f"{turn.at}.role")
            continue
        parts = _written_parts(turn.parts, names, conversation, losses)
        if parts:  # of thoughts that are left out, nothing may be left
            contents.append(wire.Content(parts, "model" if turn.role == "assistant" else "user"))
    system = _written_parts(conversation.system, names, conversation, losses)
    generation = _generation(conversation, losses)
    request = wire.Request(
        contents,
        wire.Content(system) if system else None,
        _written_tools(conversation, losses),
        _written_choice(conversation.tool_choice),
        None if generation == _NOTHING_SAID else generation,
    )
    return _encode(request)


def _written_parts(
    parts: tuple[Part, ...], names: dict[str, str], conversation: Conversation, losses: Losses
) -> list[wire.Part]:
    """A turn's signatures go to its calls in turn, without which Gemini takes no calls, or else to what comes next.

    Args:
        names: Of the tools that were called so far, by the ids of their calls: Gemini has a result say it too.
    """
    written: list[wire.Part] = []
    signatures: list[str] = []
    for part in parts:
        if part.cache is not None:
            lose_cache(part, conversation, losses)
        if type(part) is Reasoning:
            if part.origin not in ("", wire.FAMILY):
                losses.note(part.at)
                continue
            if part.signature is not None:
                signatures.append(part.signature)
            if part.text:
                written.append(wire.Part(part.text, thought=True))
            continue
        one = _written_part(part, names, conversation, losses)
        if signatures and (one.functionCall is not None or not _calls_follow(parts, part)):
            one.thoughtSignature = signatures.pop(0)
        written.append(one)
    for signature in signatures:
        written.append(wire.Part("", thoughtSignature=signature))
    return written


def _calls_follow(parts: tuple[Part, ...], part: Part) -> bool:
    at = next(index for index, one in enumerate(parts) if one is part)
    return any(type(one) is ToolCall for one in parts[at + 1 :])


def _written_part(
    part: Text | ToolCall | ToolResult | Image | Audio | Document,
    names: dict[str, str],
    conversation: Conversation,
    losses: Losses,
) -> wire.Part:
    if type(part) is Text:
        return wire.Part(part.text)
    if type(part) is ToolCall:
        if part.id:
            names[part.id] = part.name
        return wire.Part(
            functionCall=wire.FunctionCall(part.name, json_object(part.arguments, part.at), part.id or None)
        )
    if type(part) is ToolResult:
        return wire.Part(functionResponse=_written_result(part, names, losses))
    if type(part) is Image:
        if part.detail is not None:
            losses.lose(f"{part.at}.detail")
        if part.data is not None:
            return wire.Part(inlineData=wire.Blob(part.media_type or "image/png", part.data))
        return wire.Part(fileData=wire.FileData(part.url or "", part.media_type))
    if type(part) is Audio:
        return wire.Part(inlineData=wire.Blob(AUDIO_TYPES.get(part.format, f"audio/{part.format}"), part.data))
    return _written_document(part, conversation, losses)


def _written_document(document: Document, conversation: Conversation, losses: Losses) -> wire.Part:
    for field, value in (
        ("title", document.title),
        ("context", document.context),
        ("citations", document.cited or None),
    ):
        if value is not None:
            losses.lose(f"{document.at}.{conversation.name(field)}")
    if document.text is not None:
        return wire.Part(inlineData=wire.Blob("text/plain", base64.b64encode(document.text.encode()).decode()))
    if document.data is not None:
        return wire.Part(inlineData=wire.Blob(document.media_type or "application/pdf", document.data))
    return wire.Part(fileData=wire.FileData(document.url or "", document.media_type or "application/pdf"))


def _written_result(result: ToolResult, names: dict[str, str], losses: Losses) -> wire.FunctionResponse:
    texts: list[str] = []
    images: list[wire.ResponsePart] = []
    for part in result.parts:
        if type(part) is Text:
            texts.append(part.text)
        elif (type(part) is Image or type(part) is Document) and part.data is not None:
            images.append(wire.ResponsePart(wire.Blob(part.media_type or "application/octet-stream", part.data)))
        else:
            losses.lose(part.at)
    said = texts[0] if len(texts) == 1 else texts
    output = wire.Output(error=said) if result.is_error else wire.Output(said)
    name = names.get(result.call_id, result.call_id)
    return wire.FunctionResponse(name, Raw(_encode(output)), result.call_id or None, images or None)


def _written_tools(conversation: Conversation, losses: Losses) -> list[wire.Tools] | None:
    declarations: list[wire.Declaration] = []
    for tool in conversation.tools:
        if tool.cache is not None:
            lose_cache(tool, conversation, losses)
        if tool.strict:
            losses.lose(f"{tool.at}.strict")
        schema = UNSET if tool.schema is None else Raw(tool.schema.encode())
        declarations.append(wire.Declaration(tool.name, tool.description, schema))
    return [wire.Tools(declarations)] if declarations else None


def _written_choice(choice: ToolChoice | None) -> wire.ToolConfig | None:
    if choice is None:
        return None
    if choice.mode == "named":
        return wire.ToolConfig(wire.Calling("ANY", [choice.name or ""]))
    mode: Literal["AUTO", "ANY", "NONE"] = "AUTO" if choice.mode == "auto" else "ANY"
    return wire.ToolConfig(wire.Calling("NONE" if choice.mode == "none" else mode))


def _generation(conversation: Conversation, losses: Losses) -> wire.Generation:
    sampling, form = conversation.sampling, conversation.format
    schema: Raw | UnsetType = UNSET
    if form is not None and form.description is not None:
        losses.lose(conversation.name("format_description"))
    if form is not None and form.schema is not None:
        schema = Raw(form.schema.encode())
    return wire.Generation(
        sampling.max_tokens,
        sampling.temperature,
        sampling.top_p,
        sampling.top_k,
        list(sampling.stop) or None,
        sampling.seed,
        sampling.presence_penalty,
        sampling.frequency_penalty,
        None if form is None else "application/json",
        schema,
        _written_thinking(conversation.thinking, conversation, losses),
    )


def _written_thinking(thinking: Thinking, conversation: Conversation, losses: Losses) -> wire.ThinkingConfig | None:
    if thinking == NO_THINKING:
        return None
    effort = thinking.effort
    if effort == "max":
        losses.lose(conversation.name("thinking_effort"))
        effort = None
    if thinking.budget is not None and effort is not None:  # it takes one of both; 0 or a number says more than a level
        losses.lose(conversation.name("thinking_effort"))
        effort = None
    config = wire.ThinkingConfig(thinking.shown, thinking.budget, None if effort is None else effort.upper())
    return None if config == wire.ThinkingConfig() else config
