"""Bedrock Converse: requests. The model and whether a stream is wanted are in the address, not in the body.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and botocore's service model.
"""

from __future__ import annotations

import re
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
from shipway.gateway.dialects.losses import Losses, StrictReader, json_object, lose_sampling
from shipway.gateway.dialects.media import DOCUMENT_FORMATS, DOCUMENT_TYPES

FAMILY = "anthropic"
"""Thoughts are signed by Anthropic's models alone, and those of its own API are as good."""


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class _S3(Wire):
    uri: str


class _Source(Wire):
    bytes: str | None = None
    s3Location: _S3 | None = None
    text: str | None = None


class _Image(Wire):
    format: str
    source: _Source


class _Citations(Wire):
    enabled: bool


class _Document(Wire):
    name: str
    source: _Source
    format: str | None = None
    context: str | None = None
    citations: _Citations | None = None


class _ToolUse(Wire):
    toolUseId: str
    name: str
    input: Raw


class _ReasoningText(Wire):
    text: str
    signature: str | None = None


class _Reasoning(Wire):
    reasoningText: _ReasoningText | None = None
    redactedContent: str | None = None


class _CachePoint(Wire):
    type: str
    ttl: str | None = None


class _ResultBlock(Wire):
    text: str | None = None
    json: Raw | None = None
    image: _Image | None = None
    document: _Document | None = None


class _ToolResult(Wire):
    toolUseId: str
    content: list[_ResultBlock]
    status: Literal["success", "error"] | None = None


class _Block(Wire):
    """Exactly one field is there."""

    text: str | None = None
    image: _Image | None = None
    document: _Document | None = None
    audio: _Image | None = None
    toolUse: _ToolUse | None = None
    toolResult: _ToolResult | None = None
    reasoningContent: _Reasoning | None = None
    cachePoint: _CachePoint | None = None


class _Message(Wire):
    role: Literal["user", "assistant", "system"]
    content: list[_Block]


class _System(Wire):
    text: str | None = None
    cachePoint: _CachePoint | None = None


class _Inference(Wire):
    maxTokens: int | None = None
    temperature: int | float | None = None
    topP: int | float | None = None
    stopSequences: list[str] | None = None


class _Schema(Wire):
    json: Raw


class _ToolSpec(Wire):
    name: str
    inputSchema: _Schema
    description: str | None = None
    strict: bool | None = None


class _Tool(Wire):
    toolSpec: _ToolSpec | None = None
    cachePoint: _CachePoint | None = None


class _Nothing(Wire):
    pass


class _Named(Wire):
    name: str


class _Choice(Wire):
    auto: _Nothing | None = None
    any: _Nothing | None = None
    tool: _Named | None = None


class _ToolConfig(Wire):
    tools: list[_Tool]
    toolChoice: _Choice | None = None


class _JsonSchema(Wire):
    schema: str
    name: str | None = None
    description: str | None = None


class _Structure(Wire):
    jsonSchema: _JsonSchema


class _TextFormat(Wire):
    type: Literal["json_schema"]
    structure: _Structure


class _OutputConfig(Wire):
    textFormat: _TextFormat | None = None
    effort: str | None = None


class _ModelThinking(Wire):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None


class _ModelInference(Wire):
    topK: int


class _ModelFields(Wire):
    """What is not the same for all models: Anthropic's `top_k` and `thinking`, Amazon's `topK`."""

    top_k: int | None = None
    thinking: _ModelThinking | None = None
    inferenceConfig: _ModelInference | None = None


class _Request(Wire):
    messages: list[_Message]
    system: list[_System] | None = None
    inferenceConfig: _Inference | None = None
    toolConfig: _ToolConfig | None = None
    outputConfig: _OutputConfig | None = None
    requestMetadata: dict[str, str] | None = None
    additionalModelRequestFields: _ModelFields | None = None


_reader = StrictReader(_Request)
_encode = msgspec.json.Encoder().encode
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
    "cache": "cachePoint",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    wire = _reader.read(body, losses)
    turns = []
    for index, message in enumerate(wire.messages):
        at = f"messages[{index}]"
        turns.append(Turn(message.role, _parts(message.content, at, losses), at))
    inference = wire.inferenceConfig or _Inference()
    extra = wire.additionalModelRequestFields or _ModelFields()
    top_k = extra.top_k if extra.inferenceConfig is None else extra.inferenceConfig.topK
    output = wire.outputConfig or _OutputConfig()
    config = wire.toolConfig
    return Conversation(
        "",
        merged(turns),
        _system(wire.system or []),
        _tools(config.tools) if config is not None else (),
        _tool_choice(config.toolChoice) if config is not None else None,
        None,
        Sampling(
            inference.maxTokens, inference.temperature, inference.topP, top_k, tuple(inference.stopSequences or ())
        ),
        _format(output.textFormat),
        _thinking(extra.thinking, output.effort),
        metadata=wire.requestMetadata or {},
        names=_NAMES,
    )


def _parts(content: list[_Block], at: str, losses: Losses) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, block in enumerate(content):
        place = f"{at}.content[{index}]"
        if block.cachePoint is not None:
            _mark(parts, block.cachePoint, place, losses)  # it stands behind what it is about
        else:
            parts.append(_part(block, place))
    return tuple(parts)


def _mark(parts: list[Part], point: _CachePoint, at: str, losses: Losses) -> None:
    last = parts[-1] if parts else None
    if last is None or isinstance(last, Audio | Reasoning):
        losses.lose(at)
    else:
        parts[-1] = msgspec.structs.replace(last, cache=point.ttl or "", at=last.at or at)


def _part(block: _Block, at: str) -> Part:
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


def read_thought(thought: _Reasoning, at: str) -> Reasoning:
    if thought.reasoningText is None:
        return Reasoning(sealed=thought.redactedContent or "", origin=FAMILY, at=at)
    text = thought.reasoningText
    return Reasoning(text.text, text.signature, origin=FAMILY if text.signature else "", at=at)


def _result_part(block: _ResultBlock, at: str) -> Part:
    if block.image is not None:
        return _image(block.image, f"{at}.image")
    if block.document is not None:
        return _document(block.document, f"{at}.document")
    if block.json is not None:
        return Text(bytes(block.json).decode())
    return Text(block.text or "")


def _image(image: _Image, at: str) -> Image:
    source = image.source
    url = None if source.s3Location is None else source.s3Location.uri
    return Image(f"image/{image.format}", source.bytes, url, at=at)


def _document(document: _Document, at: str) -> Document:
    source = document.source
    url = None if source.s3Location is None else source.s3Location.uri
    media_type = DOCUMENT_TYPES.get(document.format or "") if source.text is None else None
    cited = document.citations is not None and document.citations.enabled
    title = None if document.name == _NO_NAME else document.name
    return Document(media_type, source.bytes, source.text, url, title, document.context, cited, at=at)


def _system(system: list[_System]) -> tuple[Text, ...]:
    texts: list[Text] = []
    for index, block in enumerate(system):
        if block.text is not None:
            texts.append(Text(block.text, at=f"system[{index}]"))
        elif block.cachePoint is not None and texts:
            texts[-1] = Text(texts[-1].text, block.cachePoint.ttl or "", texts[-1].at)
    return tuple(texts)


def _tools(wires: list[_Tool]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, wire in enumerate(wires):
        spec = wire.toolSpec
        if spec is not None:
            schema = bytes(spec.inputSchema.json).decode()
            tools.append(Tool(spec.name, spec.description, schema, spec.strict, at=f"toolConfig.tools[{index}]"))
        elif wire.cachePoint is not None and tools:
            tools[-1] = msgspec.structs.replace(tools[-1], cache=wire.cachePoint.ttl or "")
    return tuple(tools)


def _tool_choice(choice: _Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.tool is not None:
        return ToolChoice("named", choice.tool.name)
    return ToolChoice("auto" if choice.any is None else "required")


def _format(wire: _TextFormat | None) -> Format | None:
    if wire is None:
        return None
    schema = wire.structure.jsonSchema
    return Format(schema.schema, schema.name, schema.description)


def _thinking(thinking: _ModelThinking | None, effort: str | None) -> Thinking:
    if thinking is None:
        return Thinking(effort)
    if thinking.type == "adaptive":
        return Thinking(effort, None if effort else -1)
    return Thinking(effort, 0 if thinking.type == "disabled" else thinking.budget_tokens)


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "seed", "presence_penalty", "frequency_penalty")
    if conversation.user is not None:
        losses.lose(conversation.name("user"))
    if conversation.parallel_tool_calls is False:
        losses.lose(conversation.name("parallel_tool_calls"))
    sampling = conversation.sampling
    inference = _Inference(sampling.max_tokens, sampling.temperature, sampling.top_p, list(sampling.stop) or None)
    system = [block for text in conversation.system for block in _written_system(text)]
    request = _Request(
        [_Message(turn.role, _written_blocks(turn.parts, losses)) for turn in conversation.turns],
        system or None,
        None if inference == _Inference() else inference,
        _tool_config(conversation, losses),
        _output_config(conversation, losses),
        dict(conversation.metadata) or None,
        _model_fields(conversation, model, losses),
    )
    return _encode(request)


def _written_system(text: Text) -> list[_System]:
    block = _System(text.text)
    return [block] if text.cache is None else [block, _System(cachePoint=_point(text.cache))]


def _point(cache: str) -> _CachePoint:
    return _CachePoint("default", cache or None)


def _written_blocks(parts: tuple[Part, ...], losses: Losses) -> list[_Block]:
    blocks: list[_Block] = []
    for part in parts:
        block = _written_block(part, losses)
        if block is not None:
            blocks.append(block)
        cache = None if isinstance(part, Audio | Reasoning) else part.cache
        if cache is not None:
            blocks.append(_Block(cachePoint=_point(cache)))
    return blocks


def _written_block(part: Part, losses: Losses) -> _Block | None:
    if isinstance(part, Text):
        return _Block(part.text) if part.text else None
    if isinstance(part, ToolCall):
        return _Block(toolUse=_ToolUse(part.id, part.name, json_object(part.arguments, part.at)))
    if isinstance(part, ToolResult):
        blocks = [block for one in part.parts if (block := _written_result(one, losses)) is not None]
        status: Literal["error"] | None = "error" if part.is_error else None
        return _Block(toolResult=_ToolResult(part.call_id, blocks, status))
    if isinstance(part, Reasoning):
        return _written_thought(part, losses)
    if isinstance(part, Image):
        image = _written_image(part, losses)
        return None if image is None else _Block(image=image)
    if isinstance(part, Audio):
        return _Block(audio=_Image(part.format, _Source(part.data)))
    document = _written_document(part, losses)
    return None if document is None else _Block(document=document)


def _written_result(part: Part, losses: Losses) -> _ResultBlock | None:
    if isinstance(part, Text):
        return _ResultBlock(part.text)
    if isinstance(part, Image) and (image := _written_image(part, losses)) is not None:
        return _ResultBlock(image=image)
    if isinstance(part, Document) and (document := _written_document(part, losses)) is not None:
        return _ResultBlock(document=document)
    if not isinstance(part, Image | Document):
        losses.lose(part.at)
    return None


def _written_thought(thought: Reasoning, losses: Losses) -> _Block | None:
    if thought.origin not in ("", FAMILY):
        losses.note(thought.at)
        return None
    if thought.sealed is not None:
        return _Block(reasoningContent=_Reasoning(redactedContent=thought.sealed))
    return _Block(reasoningContent=_Reasoning(_ReasoningText(thought.text, thought.signature)))


def _source(data: str | None, url: str | None, at: str, losses: Losses) -> _Source | None:
    if data is not None:
        return _Source(data)
    if url is not None and url.startswith("s3://"):
        return _Source(s3Location=_S3(url))
    losses.lose(at)  # no other address is fetched
    return None


def _written_image(image: Image, losses: Losses) -> _Image | None:
    if image.detail is not None:
        losses.lose(f"{image.at}.detail")
    source = _source(image.data, image.url, image.at, losses)
    if source is None:
        return None
    return _Image((image.media_type or "image/png").removeprefix("image/"), source)


_NO_NAME = "document"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9()\[\]-]+")


def _written_document(document: Document, losses: Losses) -> _Document | None:
    """A name must be there and is of few characters."""
    name = _NOT_IN_NAMES.sub(" ", document.title or _NO_NAME).strip()[:200] or _NO_NAME
    citations = _Citations(enabled=True) if document.cited else None
    if document.text is not None:
        return _Document(name, _Source(text=document.text), "txt", document.context, citations)
    form = DOCUMENT_FORMATS.get(document.media_type or "application/pdf")
    source = _source(document.data, document.url, document.at, losses)
    if source is None:
        return None
    if form is None:
        losses.lose(document.at)
        return None
    return _Document(name, source, form, document.context, citations)


def _tool_config(conversation: Conversation, losses: Losses) -> _ToolConfig | None:
    if not conversation.tools:
        return None
    choice = conversation.tool_choice
    if choice is not None and choice.mode == "none":
        if any(isinstance(part, ToolCall | ToolResult) for turn in conversation.turns for part in turn.parts):
            losses.lose(conversation.name("tool_choice"))
        else:
            return None  # a model that is not told of its tools calls none
    tools: list[_Tool] = []
    for tool in conversation.tools:
        schema = _Schema(Raw((tool.schema or '{"type":"object","properties":{}}').encode()))
        tools.append(_Tool(_ToolSpec(tool.name, schema, tool.description, tool.strict)))
        if tool.cache is not None:
            tools.append(_Tool(cachePoint=_point(tool.cache)))
    return _ToolConfig(tools, _written_choice(choice))


def _written_choice(choice: ToolChoice | None) -> _Choice | None:
    if choice is None or choice.mode == "none":
        return None
    if choice.mode == "named":
        return _Choice(tool=_Named(choice.name or ""))
    return _Choice(auto=_Nothing()) if choice.mode == "auto" else _Choice(any=_Nothing())


def _output_config(conversation: Conversation, losses: Losses) -> _OutputConfig | None:
    effort, form = conversation.thinking.effort, conversation.format
    written = None
    if form is not None and form.schema is None:
        losses.lose(conversation.name("format"))
    elif form is not None and form.schema is not None:
        schema = _JsonSchema(form.schema, form.name, form.description)
        written = _TextFormat("json_schema", _Structure(schema))
    return _OutputConfig(written, effort) if effort is not None or written is not None else None


def _model_fields(conversation: Conversation, model: str, losses: Losses) -> _ModelFields | None:
    top_k, budget = conversation.sampling.top_k, conversation.thinking.budget
    thinking = None
    if "anthropic." in model:
        if budget is not None:
            kind: Literal["enabled", "disabled", "adaptive"] = "enabled" if budget > 0 else "adaptive"
            thinking = _ModelThinking("disabled" if budget == 0 else kind, budget if budget > 0 else None)
        elif conversation.thinking.effort is not None:
            thinking = _ModelThinking("adaptive")
        return _ModelFields(top_k, thinking) if top_k is not None or thinking is not None else None
    if budget is not None and budget > 0:
        losses.lose(conversation.name("thinking_budget"))
    if top_k is None:
        return None
    if "amazon." in model:
        return _ModelFields(inferenceConfig=_ModelInference(top_k))
    losses.lose(conversation.name("top_k"))
    return None
