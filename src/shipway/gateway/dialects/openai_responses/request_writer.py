"""OpenAI responses: a request as this dialect says it, or what of it cannot be said."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

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
from shipway.gateway.dialects.openai_responses import wire

_encode = msgspec.json.Encoder().encode


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "top_k", "stop", "seed", "presence_penalty", "frequency_penalty")
    thinking = conversation.thinking
    if thinking.budget not in (None, 0, -1):
        losses.lose(conversation.name("thinking_budget"))
    items: list[wire.Item] = []
    for turn in conversation.turns:
        _write_turn(turn, conversation, losses, items)
    for text in conversation.system:
        if text.cache is not None:
            lose_cache(text, conversation, losses)
    first: list[wire.Item] = []
    instructions = conversation.system[0].text if len(conversation.system) == 1 else None
    if len(conversation.system) > 1:
        first = [wire.Message("system", [wire.InputText(text.text) for text in conversation.system])]
    effort = "none" if thinking.budget == 0 else thinking.effort
    summary = "auto" if thinking.shown else None
    sampling = conversation.sampling
    form = _written_format(conversation.format)
    request = wire.Request(
        model,
        first + items,
        instructions,
        sampling.max_tokens,
        sampling.temperature,
        sampling.top_p,
        [_written_tool(tool, conversation, losses) for tool in conversation.tools] or None,
        _written_choice(conversation.tool_choice),
        conversation.parallel_tool_calls,
        None if form is None else wire.Text(form),
        wire.Effort(effort, summary) if effort is not None or summary is not None else None,
        conversation.stream or None,
        conversation.user,
        dict(conversation.metadata) or None,
        False,
        [wire.ENCRYPTED] if effort not in (None, "none") else None,
    )
    return _encode(request)


def _write_turn(turn: Turn, conversation: Conversation, losses: Losses, items: list[wire.Item]) -> None:
    """Items in the order of the turn's parts; what a user says and shows together is one message.

    A text of the assistant is a message of its own, without the id that its own parts would have to have.
    """
    content: list[wire.Content] = []
    for part in turn.parts:
        if part.cache is not None:
            lose_cache(part, conversation, losses)
        if turn.role == "assistant" and type(part) is Text:
            item: wire.Item | None = wire.Message("assistant", part.text)
        else:
            item = _written_item(part, len(items), losses)
        if item is not None:
            if content:
                items.append(wire.Message(turn.role, content))
                content = []
            items.append(item)
        elif turn.role == "assistant" and isinstance(part, Image | Document | Audio):
            losses.lose(part.at)
        elif type(part) is not Reasoning and (written := _written_content(part, losses)) is not None:
            content.append(written)
    if content:
        items.append(wire.Message(turn.role, content))


def _written_item(part: Part, index: int, losses: Losses) -> wire.Item | None:
    if type(part) is ToolCall:
        return wire.Call(part.id, part.name, part.arguments)
    if type(part) is ToolResult:
        if part.is_error:
            losses.lose(f"{part.at}.is_error")
        return wire.Output(part.call_id, _written_output(part, losses))
    if type(part) is Reasoning:
        if part.origin != wire.FAMILY or (part.signature is None and part.sealed is None):
            losses.note(part.at)
            return None
        summary = [wire.Summary(part.text)] if part.text else []
        return wire.Reasoning(f"rs_{index}", summary, None, part.signature or part.sealed)
    return None


def _written_output(result: ToolResult, losses: Losses) -> str | list[wire.Given]:
    if len(result.parts) == 1 and type(result.parts[0]) is Text:
        return result.parts[0].text
    written = [one for part in result.parts if (one := _written_content(part, losses)) is not None]
    return written or ""


def _written_content(part: Part, losses: Losses) -> wire.Given | None:
    if type(part) is Text:
        return wire.InputText(part.text)
    if type(part) is Image:
        return wire.Image(image_url(part), part.detail or "auto")
    if type(part) is Document and part.text is None:
        for field, value in (("citations", part.cited or None), ("context", part.context)):
            if value is not None:
                losses.lose(f"{part.at}.{field}")
        if part.data is not None:
            return wire.File(data_url(part.media_type, part.data), None, part.title)
        return wire.File(None, part.url, part.title)
    losses.lose(part.at)
    return None


def _written_tool(tool: Tool, conversation: Conversation, losses: Losses) -> wire.Tool:
    if tool.cache is not None:
        lose_cache(tool, conversation, losses)
    schema = (tool.schema or '{"type":"object","properties":{}}').encode()
    return wire.Tool(tool.name, Raw(schema), bool(tool.strict), tool.description)


def _written_choice(choice: ToolChoice | None) -> Literal["none", "auto", "required"] | wire.Named | None:
    if choice is None:
        return None
    return wire.Named(choice.name or "") if choice.mode == "named" else choice.mode


def _written_format(form: Format | None) -> wire.JsonFormat | wire.SchemaFormat | None:
    if form is None:
        return None
    if form.schema is None:
        return wire.JsonFormat()
    return wire.SchemaFormat(form.name or "answer", Raw(form.schema.encode()), form.description, form.strict)
