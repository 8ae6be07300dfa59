"""Chat completions: a request as this dialect says it, or what of it cannot be said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, Raw

from shipway.gateway.dialects.call_ids import short_id
from shipway.gateway.dialects.conversation import (
    Audio,
    Conversation,
    Document,
    Format,
    Image,
    Part,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from shipway.gateway.dialects.losses import Losses, lose_cache, lose_sampling
from shipway.gateway.dialects.media import data_url, image_url
from shipway.gateway.dialects.openai_chat import wire
from shipway.gateway.dialects.signatures import sealed_for

_encode = msgspec.json.Encoder().encode


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "top_k")
    thinking = conversation.thinking
    if thinking.budget not in (None, 0, -1):
        losses.lose(conversation.name("thinking_budget"))
    messages: list[wire.System | wire.Developer | wire.User | wire.Assistant | wire.ToolMessage] = []
    if conversation.system:
        messages.append(wire.System(_text_content(conversation.system, conversation, losses)))
    for turn in conversation.turns:
        if turn.role == "user":
            _write_user(turn, conversation, losses, messages)
        elif turn.role == "assistant":
            message = _written_assistant(turn, losses)
            if message != wire.Assistant():  # of thoughts that are left out, nothing may be left
                messages.append(message)
        else:
            messages.append(wire.System(_text_content(turn.parts, conversation, losses)))
    sampling = conversation.sampling
    stop = sampling.stop
    request = wire.Request(
        model,
        messages,
        sampling.max_tokens,
        None,
        sampling.temperature,
        sampling.top_p,
        list(stop) if stop else None,
        sampling.seed,
        sampling.presence_penalty,
        sampling.frequency_penalty,
        [_written_tool(tool, conversation, losses) for tool in conversation.tools] or None,
        _written_choice(conversation.tool_choice),
        conversation.parallel_tool_calls,
        _written_format(conversation.format),
        "none" if thinking.budget == 0 else thinking.effort,
        conversation.stream or None,
        wire.StreamOptions(include_usage=True) if conversation.stream else None,
        conversation.user,
        dict(conversation.metadata) or None,
    )
    return _encode(request)


def detail_of(thought: Reasoning) -> wire.ReasoningDetail:
    if thought.sealed is not None:
        return wire.ReasoningDetail("reasoning.encrypted", data=sealed_for(wire.FAMILY, thought.sealed, thought.origin))
    signature = None if thought.signature is None else sealed_for(wire.FAMILY, thought.signature, thought.origin)
    return wire.ReasoningDetail("reasoning.text", thought.text, signature)


def _text_content(parts: Iterable[Part], conversation: Conversation, losses: Losses) -> str | list[wire.TextPart]:
    texts = []
    for part in parts:
        if type(part) is Text:
            if part.cache is not None:
                lose_cache(part, conversation, losses)
            texts.append(wire.TextPart(part.text))
        else:
            losses.lose(part.at)
    return texts[0].text if len(texts) == 1 else texts or ""


def _write_user(
    turn: Turn,
    conversation: Conversation,
    losses: Losses,
    messages: list[wire.System | wire.Developer | wire.User | wire.Assistant | wire.ToolMessage],
) -> None:
    content: list[wire.Content] = []
    for part in turn.parts:
        if part.cache is not None:
            lose_cache(part, conversation, losses)
        if type(part) is ToolResult:
            if part.is_error:
                losses.lose(f"{part.at}.is_error")
            messages.append(
                wire.ToolMessage(_text_content(part.parts, conversation, losses), short_id(part.call_id, wire.MAX_ID))
            )
        elif (written := _written_part(part, losses)) is not None:
            content.append(written)
    if len(content) == 1 and isinstance(content[0], wire.TextPart):
        messages.append(wire.User(content[0].text))
    elif content or not turn.parts:
        messages.append(wire.User(content))


def _written_part(part: Part, losses: Losses) -> wire.Content | None:
    if type(part) is Text:
        return wire.TextPart(part.text)
    if type(part) is Image:
        return wire.ImagePart(wire.ImageUrl(image_url(part), part.detail))
    if type(part) is Audio and part.format in ("wav", "mp3"):
        return wire.AudioPart(wire.AudioData(part.data, part.format))
    if type(part) is Document and part.data is not None:
        if part.cited:
            losses.lose(f"{part.at}.citations")
        if part.context is not None:
            losses.lose(f"{part.at}.context")
        return wire.FilePart(wire.File(data_url(part.media_type, part.data), part.title))
    losses.lose(part.at)
    return None


def _written_assistant(turn: Turn, losses: Losses) -> wire.Assistant:
    texts: list[wire.TextPart | wire.RefusalPart] = []
    calls: list[wire.CallPart] = []
    plain: list[str] = []
    details: list[wire.ReasoningDetail] = []
    for part in turn.parts:
        if type(part) is Text:
            texts.append(wire.TextPart(part.text))
        elif type(part) is ToolCall:
            calls.append(wire.CallPart(short_id(part.id, wire.MAX_ID), wire.Function(part.name, part.arguments)))
        elif type(part) is Reasoning and part.origin not in ("", wire.FAMILY):
            losses.note(part.at)
        elif type(part) is Reasoning:
            plain.append(part.text)
            details.append(detail_of(part))
        else:
            losses.lose(part.at)
    only = texts[0] if len(texts) == 1 else None
    signed = any(detail.data is not None or detail.signature is not None for detail in details) or len(details) > 1
    return wire.Assistant(
        only.text if isinstance(only, wire.TextPart) else texts or None,
        calls or None,
        None,
        "".join(plain) or None,
        details if signed else None,
    )


def _written_tool(tool: Tool, conversation: Conversation, losses: Losses) -> wire.Tool:
    if tool.cache is not None:
        lose_cache(tool, conversation, losses)
    schema = UNSET if tool.schema is None else Raw(tool.schema.encode())
    return wire.Tool(wire.Definition(tool.name, tool.description, schema, tool.strict))


def _written_choice(choice: ToolChoice | None) -> Literal["none", "auto", "required"] | wire.Choice | None:
    if choice is None:
        return None
    if choice.mode == "named":
        return wire.Choice(wire.Name(choice.name or ""))
    return choice.mode


def _written_format(form: Format | None) -> wire.JsonFormat | wire.SchemaFormat | None:
    if form is None:
        return None
    if form.schema is None:
        return wire.JsonFormat()
    schema = wire.Schema(form.name or "answer", form.description, Raw(form.schema.encode()), form.strict)
    return wire.SchemaFormat(schema)
