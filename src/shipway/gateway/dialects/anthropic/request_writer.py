"""Anthropic messages: a request as this dialect says it, or what of it cannot be said."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.anthropic import wire
from shipway.gateway.dialects.call_ids import plain_id
from shipway.gateway.dialects.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    arguments_schema,
)
from shipway.gateway.dialects.losses import Losses, json_object, lose_sampling

_encode = msgspec.json.Encoder().encode


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "seed", "presence_penalty", "frequency_penalty")
    if conversation.metadata:
        losses.lose(conversation.name("metadata"))
    sampling = conversation.sampling
    thinking = _written_thinking(conversation.thinking)
    max_tokens = sampling.max_tokens
    if max_tokens is None:
        budget = thinking.budget_tokens if isinstance(thinking, wire.Enabled) else 0
        max_tokens = budget + wire.DEFAULT_MAX_TOKENS
    request = wire.Request(
        model,
        [
            wire.Message(turn.role, content)
            for turn in conversation.turns
            if (content := written_content(turn.parts, losses))  # of thoughts that are left out, nothing may be left
        ],
        max_tokens,
        _written_system(conversation.system),
        sampling.temperature,
        sampling.top_p,
        sampling.top_k,
        list(sampling.stop) or None,
        [_written_tool(tool) for tool in conversation.tools] or None,
        _written_choice(conversation),
        thinking,
        _output_config(conversation, losses),
        None if conversation.user is None else wire.Metadata(conversation.user),
        conversation.stream or None,
    )
    return _encode(request)


def _written_system(system: tuple[Text, ...]) -> str | list[wire.Text] | None:
    said = [text for text in system if text.text]
    if len(said) == 1 and said[0].cache is None:
        return said[0].text
    return [wire.Text(text.text, _control(text.cache)) for text in said] or None


def _control(cache: str | None) -> wire.CacheControl | None:
    return None if cache is None else wire.CacheControl(cache or None)


def written_content(parts: tuple[Part, ...], losses: Losses) -> str | list[wire.Block]:
    if len(parts) == 1 and type(parts[0]) is Text and parts[0].cache is None:
        return parts[0].text
    return [block for part in parts if (block := _block(part, losses)) is not None]


def _block(part: Part, losses: Losses) -> wire.Block | None:
    if type(part) is Text:
        return wire.Text(part.text, _control(part.cache)) if part.text else None
    if type(part) is ToolCall:
        return wire.ToolUse(
            plain_id(part.id, wire.MAX_ID), part.name, json_object(part.arguments, part.at), _control(part.cache)
        )
    if type(part) is ToolResult:
        content = written_content(part.parts, losses) or None
        call_id = plain_id(part.call_id, wire.MAX_ID)
        # No dialect lets a caller put anything but texts, pictures and documents into a result.
        return wire.ToolResult(call_id, content, part.is_error, _control(part.cache))  # type: ignore[arg-type]
    if type(part) is Image:
        if part.detail is not None:
            losses.lose(f"{part.at}.detail")
        source = wire.Url(part.url or "") if part.data is None else wire.Base64(part.media_type or "", part.data)
        return wire.Image(source, _control(part.cache))
    if type(part) is Document:
        citations = wire.Citations(enabled=True) if part.cited else None
        return wire.Document(_source(part), part.title, part.context, citations, _control(part.cache))
    if type(part) is Reasoning:
        return _written_thought(part, losses)
    losses.lose(part.at)
    return None


def _source(document: Document) -> wire.Base64 | wire.Url | wire.PlainText:
    if document.text is not None:
        return wire.PlainText("text/plain", document.text)
    if document.data is not None:
        return wire.Base64(document.media_type or "application/pdf", document.data)
    return wire.Url(document.url or "")


def _written_thought(thought: Reasoning, losses: Losses) -> wire.Thinking | wire.Redacted | None:
    """Thoughts without Anthropic's own proof are not taken by it."""
    if thought.origin != wire.FAMILY:
        losses.note(thought.at)
        return None
    if thought.sealed is not None:
        return wire.Redacted(thought.sealed)
    return wire.Thinking(thought.text, thought.signature or "")


def _written_tool(tool: Tool) -> wire.Tool:
    schema = Raw(arguments_schema(tool).encode())
    return wire.Tool(tool.name, schema, tool.description, tool.strict, _control(tool.cache))


def _written_choice(conversation: Conversation) -> wire.Auto | wire.Any | wire.Named | wire.NoTool | None:
    choice, parallel = conversation.tool_choice, conversation.parallel_tool_calls
    single = None if parallel is None else not parallel
    if choice is None:
        return wire.Auto(single) if single is not None and conversation.tools else None
    if choice.mode == "none":
        return wire.NoTool()
    if choice.mode == "named":
        return wire.Named(choice.name or "", single)
    return wire.Auto(single) if choice.mode == "auto" else wire.Any(single)


def _written_thinking(thinking: Thinking) -> wire.Enabled | wire.Adaptive | wire.Disabled | None:
    display: Literal["summarized", "omitted"] | None = None
    if thinking.shown is not None:
        display = "summarized" if thinking.shown else "omitted"
    if thinking.budget == 0:
        return wire.Disabled()
    if thinking.budget is not None and thinking.budget > 0:
        return wire.Enabled(thinking.budget, display)
    return wire.Adaptive(display) if thinking.budget == -1 or thinking.effort is not None else None


def _output_config(conversation: Conversation, losses: Losses) -> wire.OutputConfig | None:
    effort, form = conversation.thinking.effort, conversation.format
    if effort == "minimal":
        losses.lose(conversation.name("thinking_effort"))
        effort = None
    written = None
    if form is not None:
        if form.schema is None:  # JSON of any shape cannot be asked for
            losses.lose(conversation.name("format"))
        else:
            written = wire.Format(Raw(form.schema.encode()))
        if form.description is not None:
            losses.lose(conversation.name("format_description"))
    return wire.OutputConfig(effort, written) if effort is not None or written is not None else None
