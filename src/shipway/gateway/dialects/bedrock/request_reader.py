"""Bedrock Converse: what a request says."""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.bedrock import wire
from shipway.gateway.dialects.conversation import (
    Audio,
    Conversation,
    Document,
    Format,
    Image,
    Part,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    merged,
)
from shipway.gateway.dialects.losses import Losses, StrictReader, json_object
from shipway.gateway.dialects.media import DOCUMENT_TYPES

_reader = StrictReader(wire.Request)
_NAMES = {
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "top_k": "additionalModelRequestFields.top_k",
    "stop": "inferenceConfig.stopSequences",
    "tool_choice": "toolConfig.toolChoice",
    "format": "outputConfig.textFormat",
    "thinking_effort": "outputConfig.effort",
    "thinking_budget": "additionalModelRequestFields.thinking",
    "metadata": "requestMetadata",
    "format_description": "outputConfig.textFormat.structure.jsonSchema.description",
    "title": "name",
    "cache": "cachePoint",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    sent = _reader.read(body, losses)
    turns = []
    for index, message in enumerate(sent.messages):
        at = f"messages[{index}]"
        turns.append(Turn(message.role, _parts(message.content, at, losses), at))
    inference = sent.inferenceConfig or wire.Inference()
    extra = sent.additionalModelRequestFields or wire.ModelFields()
    top_k = extra.top_k if extra.inferenceConfig is None else extra.inferenceConfig.topK
    output = sent.outputConfig or wire.OutputConfig()
    config = sent.toolConfig
    return Conversation(
        "",
        merged(turns),
        _system(sent.system or []),
        _tools(config.tools) if config is not None else (),
        _tool_choice(config.toolChoice) if config is not None else None,
        None,
        Sampling(
            inference.maxTokens, inference.temperature, inference.topP, top_k, tuple(inference.stopSequences or ())
        ),
        _format(output.textFormat),
        _thinking(extra.thinking, output.effort),
        metadata=sent.requestMetadata or {},
        names=_NAMES,
    )


def _parts(content: list[wire.Block], at: str, losses: Losses) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, block in enumerate(content):
        place = f"{at}.content[{index}]"
        if block.cachePoint is not None:
            _mark(parts, block.cachePoint, place, losses)  # it stands behind what it is about
        else:
            parts.append(_part(block, place))
    return tuple(parts)


def _mark(parts: list[Part], point: wire.CachePoint, at: str, losses: Losses) -> None:
    last = parts[-1] if parts else None
    if last is None or isinstance(last, Audio | Reasoning):
        losses.lose(at)
    else:
        parts[-1] = msgspec.structs.replace(last, cache=point.ttl or "", at=last.at or at)


def _part(block: wire.Block, at: str) -> Part:
    if block.text is not None:
        return Text(block.text)
    if block.toolUse is not None:
        call = block.toolUse
        return ToolCall(call.toolUseId, call.name, bytes(call.input).decode(), at=f"{at}.toolUse.input")
    if block.toolResult is not None:
        result = block.toolResult
        place = f"{at}.toolResult"
        parts = tuple([_result_part(one, f"{place}.content[{index}]") for index, one in enumerate(result.content)])
        return ToolResult(result.toolUseId, parts, result.status == "error", at=place)
    if block.reasoningContent is not None:
        return read_thought(block.reasoningContent, f"{at}.reasoningContent")
    if block.image is not None:
        return _image(block.image, f"{at}.image")
    if block.audio is not None:
        return Audio(block.audio.format, block.audio.source.bytes or "", f"{at}.audio")
    return _document(block.document, f"{at}.document") if block.document is not None else Text("")


def read_thought(thought: wire.Reasoning, at: str) -> Reasoning:
    if thought.reasoningText is None:
        return Reasoning(sealed=thought.redactedContent or "", origin=wire.FAMILY, at=at)
    text = thought.reasoningText
    return Reasoning(text.text, text.signature, origin=wire.FAMILY if text.signature else "", at=at)


def _result_part(block: wire.ResultBlock, at: str) -> Part:
    if block.image is not None:
        return _image(block.image, f"{at}.image")
    if block.document is not None:
        return _document(block.document, f"{at}.document")
    if block.json is not None:
        return Text(bytes(block.json).decode())
    return Text(block.text or "")


def _image(image: wire.Image, at: str) -> Image:
    source = image.source
    url = None if source.s3Location is None else source.s3Location.uri
    return Image(f"image/{image.format}", source.bytes, url, at=at)


def _document(document: wire.Document, at: str) -> Document:
    source = document.source
    url = None if source.s3Location is None else source.s3Location.uri
    media_type = DOCUMENT_TYPES.get(document.format or "") if source.text is None else None
    cited = document.citations is not None and document.citations.enabled
    title = None if document.name == wire.NO_NAME else document.name
    return Document(media_type, source.bytes, source.text, url, title, document.context, cited, at=at)


def _system(system: list[wire.System]) -> tuple[Text, ...]:
    texts: list[Text] = []
    for index, block in enumerate(system):
        if block.text is not None:
            texts.append(Text(block.text, at=f"system[{index}]"))
        elif block.cachePoint is not None and texts:
            texts[-1] = Text(texts[-1].text, block.cachePoint.ttl or "", texts[-1].at)
    return tuple(texts)


def _tools(wires: list[wire.Tool]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, sent in enumerate(wires):
        spec = sent.toolSpec
        if spec is not None:
            schema = bytes(spec.inputSchema.json).decode()
            tools.append(Tool(spec.name, spec.description, schema, spec.strict, at=f"toolConfig.tools[{index}]"))
        elif sent.cachePoint is not None and tools:
            tools[-1] = msgspec.structs.replace(tools[-1], cache=sent.cachePoint.ttl or "")
    return tuple(tools)


def _tool_choice(choice: wire.Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.tool is not None:
        return ToolChoice("named", choice.tool.name)
    return ToolChoice("auto" if choice.any is None else "required")


def _format(sent: wire.TextFormat | None) -> Format | None:
    if sent is None:
        return None
    schema = sent.structure.jsonSchema
    place = "outputConfig.textFormat.structure.jsonSchema.schema"
    return Format(bytes(json_object(schema.schema, place)).decode(), schema.name, schema.description)


def _thinking(thinking: wire.ModelThinking | None, effort: str | None) -> Thinking:
    if thinking is None:
        return Thinking(effort)
    if thinking.type == "adaptive":
        return Thinking(effort, None if effort else -1)
    return Thinking(effort, 0 if thinking.type == "disabled" else thinking.budget_tokens)
