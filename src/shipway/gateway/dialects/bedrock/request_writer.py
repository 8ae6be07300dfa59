"""Bedrock Converse: a request as this dialect says it, or what of it cannot be said."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.bedrock import wire
from shipway.gateway.dialects.call_ids import plain_id
from shipway.gateway.dialects.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    arguments_schema,
)
from shipway.gateway.dialects.losses import Losses, json_object, lose_sampling
from shipway.gateway.dialects.media import DOCUMENT_FORMATS

_encode = msgspec.json.Encoder().encode


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "seed", "presence_penalty", "frequency_penalty")
    if conversation.user is not None:
        losses.lose(conversation.name("user"))
    if conversation.parallel_tool_calls is False:
        losses.lose(conversation.name("parallel_tool_calls"))
    sampling = conversation.sampling
    inference = wire.Inference(sampling.max_tokens, sampling.temperature, sampling.top_p, list(sampling.stop) or None)
    system = [block for text in conversation.system for block in _written_system(text)]
    request = wire.Request(
        _written_messages(conversation, losses),
        system or None,
        None if inference == wire.Inference() else inference,
        _tool_config(conversation, losses),
        _output_config(conversation, losses),
        dict(conversation.metadata) or None,
        _model_fields(conversation, model, losses),
    )
    return _encode(request)


def _written_messages(conversation: Conversation, losses: Losses) -> list[wire.Message]:
    """Of thoughts that are left out, and of nothing said, no message is left; roles alternate all the same."""
    messages: list[wire.Message] = []
    for turn in conversation.turns:
        blocks = _written_blocks(turn.parts, losses)
        if blocks and messages and messages[-1].role == turn.role:
            messages[-1].content.extend(blocks)
        elif blocks:
            messages.append(wire.Message(turn.role, blocks))
    return messages


def _written_system(text: Text) -> list[wire.System]:
    if not text.text:
        return []
    block = wire.System(text.text)
    return [block] if text.cache is None else [block, wire.System(cachePoint=_point(text.cache))]


def _point(cache: str) -> wire.CachePoint:
    return wire.CachePoint("default", cache or None)


def _written_blocks(parts: tuple[Part, ...], losses: Losses) -> list[wire.Block]:
    blocks: list[wire.Block] = []
    for part in parts:
        block = _written_block(part, losses)
        if block is not None:
            blocks.append(block)
        if part.cache is not None:
            blocks.append(wire.Block(cachePoint=_point(part.cache)))
    return blocks


def _written_block(part: Part, losses: Losses) -> wire.Block | None:
    if type(part) is Text:
        return wire.Block(part.text) if part.text else None
    if type(part) is ToolCall:
        return wire.Block(
            toolUse=wire.ToolUse(plain_id(part.id, wire.MAX_ID), part.name, json_object(part.arguments, part.at))
        )
    if type(part) is ToolResult:
        blocks = [block for one in part.parts if (block := _written_result(one, losses)) is not None]
        status: Literal["error"] | None = "error" if part.is_error else None
        return wire.Block(toolResult=wire.ToolResult(plain_id(part.call_id, wire.MAX_ID), blocks, status))
    if type(part) is Reasoning:
        return _written_thought(part, losses)
    if type(part) is Image:
        image = _written_image(part, losses)
        return None if image is None else wire.Block(image=image)
    if type(part) is Audio:
        return wire.Block(audio=wire.Image(part.format, wire.Source(part.data)))
    document = _written_document(part, losses)
    return None if document is None else wire.Block(document=document)


def _written_result(part: Part, losses: Losses) -> wire.ResultBlock | None:
    if type(part) is Text:
        return wire.ResultBlock(part.text)
    if type(part) is Image and (image := _written_image(part, losses)) is not None:
        return wire.ResultBlock(image=image)
    if type(part) is Document and (document := _written_document(part, losses)) is not None:
        return wire.ResultBlock(document=document)
    if not isinstance(part, Image | Document):
        losses.lose(part.at)
    return None


def _written_thought(thought: Reasoning, losses: Losses) -> wire.Block | None:
    if thought.origin not in ("", wire.FAMILY):
        losses.note(thought.at)
        return None
    if thought.sealed is not None:
        return wire.Block(reasoningContent=wire.Reasoning(redactedContent=thought.sealed))
    return wire.Block(reasoningContent=wire.Reasoning(wire.ReasoningText(thought.text, thought.signature)))


def _source(data: str | None, url: str | None, at: str, losses: Losses) -> wire.Source | None:
    if data is not None:
        return wire.Source(data)
    if url is not None and url.startswith("s3://"):
        return wire.Source(s3Location=wire.S3(url))
    losses.lose(at)  # no other address is fetched
    return None


def _written_image(image: Image, losses: Losses) -> wire.Image | None:
    if image.detail is not None:
        losses.lose(f"{image.at}.detail")
    source = _source(image.data, image.url, image.at, losses)
    if source is None:
        return None
    return wire.Image((image.media_type or "image/png").removeprefix("image/"), source)


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9()\[\]-]+")


def _written_document(document: Document, losses: Losses) -> wire.Document | None:
    """A name must be there and is of few characters."""
    name = _NOT_IN_NAMES.sub(" ", document.title or wire.NO_NAME).strip()[:200] or wire.NO_NAME
    citations = wire.Citations(enabled=True) if document.cited else None
    if document.text is not None:
        return wire.Document(name, wire.Source(text=document.text), "txt", document.context, citations)
    form = DOCUMENT_FORMATS.get(document.media_type or "application/pdf")
    source = _source(document.data, document.url, document.at, losses)
    if source is None:
        return None
    if form is None:
        losses.lose(document.at)
        return None
    return wire.Document(name, source, form, document.context, citations)


def _tool_config(conversation: Conversation, losses: Losses) -> wire.ToolConfig | None:
    choice = conversation.tool_choice
    if not conversation.tools:
        if choice is not None and choice.mode in ("required", "named"):
            losses.lose(conversation.name("tool_choice"))
        return None
    if choice is not None and choice.mode == "none":
        if any(isinstance(part, ToolCall | ToolResult) for turn in conversation.turns for part in turn.parts):
            losses.lose(conversation.name("tool_choice"))
        else:
            return None  # a model that is not told of its tools calls none
    tools: list[wire.Tool] = []
    for tool in conversation.tools:
        schema = wire.Schema(Raw(arguments_schema(tool).encode()))
        tools.append(wire.Tool(wire.ToolSpec(tool.name, schema, tool.description, tool.strict)))
        if tool.cache is not None:
            tools.append(wire.Tool(cachePoint=_point(tool.cache)))
    return wire.ToolConfig(tools, _written_choice(choice))


def _written_choice(choice: ToolChoice | None) -> wire.Choice | None:
    if choice is None or choice.mode == "none":
        return None
    if choice.mode == "named":
        return wire.Choice(tool=wire.Named(choice.name or ""))
    return wire.Choice(auto=wire.Nothing()) if choice.mode == "auto" else wire.Choice(any=wire.Nothing())


def _output_config(conversation: Conversation, losses: Losses) -> wire.OutputConfig | None:
    effort, form = conversation.thinking.effort, conversation.format
    written = None
    if form is not None and form.schema is None:
        losses.lose(conversation.name("format"))
    elif form is not None and form.schema is not None:
        schema = wire.JsonSchema(form.schema, form.name, form.description)
        written = wire.TextFormat("json_schema", wire.Structure(schema))
    return wire.OutputConfig(written, effort) if effort is not None or written is not None else None


def _model_fields(conversation: Conversation, model: str, losses: Losses) -> wire.ModelFields | None:
    top_k, budget = conversation.sampling.top_k, conversation.thinking.budget
    thinking = None
    if "anthropic." in model:
        if budget is not None:
            kind: Literal["enabled", "disabled", "adaptive"] = "enabled" if budget > 0 else "adaptive"
            thinking = wire.ModelThinking("disabled" if budget == 0 else kind, budget if budget > 0 else None)
        elif conversation.thinking.effort is not None:
            thinking = wire.ModelThinking("adaptive")
        return wire.ModelFields(top_k, thinking) if top_k is not None or thinking is not None else None
    if budget is not None and budget > 0:
        losses.lose(conversation.name("thinking_budget"))
    if top_k is None:
        return None
    if "amazon." in model:
        return wire.ModelFields(inferenceConfig=wire.ModelInference(top_k))
    losses.lose(conversation.name("top_k"))
    return None
