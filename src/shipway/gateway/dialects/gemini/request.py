"""Gemini generateContent: requests. The model and whether a stream is wanted are in the address, not in the body.

Source: https://ai.google.dev/api/generate-content and the types of google-genai.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

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
    call_names,
    merged,
)
from shipway.gateway.dialects.losses import Losses, StrictReader, json_object
from shipway.gateway.dialects.media import AUDIO_FORMATS, AUDIO_TYPES

FAMILY = "gemini"


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class _Blob(Wire):
    mimeType: str
    data: str


class _FileData(Wire):
    fileUri: str
    mimeType: str | None = None


class _FunctionCall(Wire):
    name: str
    args: Raw | UnsetType = UNSET
    id: str | None = None


class _ResponsePart(Wire):
    inlineData: _Blob


class _FunctionResponse(Wire):
    name: str
    response: Raw
    id: str | None = None
    parts: list[_ResponsePart] | None = None


class _Part(Wire):
    """Exactly one of the first five is there."""

    text: str | None = None
    inlineData: _Blob | None = None
    fileData: _FileData | None = None
    functionCall: _FunctionCall | None = None
    functionResponse: _FunctionResponse | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None


class _Content(Wire):
    parts: list[_Part]
    role: Literal["user", "model", "function"] | None = None


class _Declaration(Wire):
    name: str
    description: str | None = None
    parametersJsonSchema: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET


class _Tools(Wire):
    functionDeclarations: list[_Declaration]


class _Calling(Wire):
    mode: Literal["AUTO", "ANY", "NONE"]
    allowedFunctionNames: list[str] | None = None


class _ToolConfig(Wire):
    functionCallingConfig: _Calling | None = None


class _ThinkingConfig(Wire):
    includeThoughts: bool | None = None
    thinkingBudget: int | None = None
    thinkingLevel: str | None = None


class _Generation(Wire):
    maxOutputTokens: int | None = None
    temperature: int | float | None = None
    topP: int | float | None = None
    topK: int | float | None = None
    stopSequences: list[str] | None = None
    seed: int | None = None
    presencePenalty: int | float | None = None
    frequencyPenalty: int | float | None = None
    responseMimeType: Literal["application/json", "text/plain"] | None = None
    responseJsonSchema: Raw | UnsetType = UNSET
    thinkingConfig: _ThinkingConfig | None = None


class _Request(Wire):
    contents: list[_Content]
    systemInstruction: _Content | None = None
    tools: list[_Tools] | None = None
    toolConfig: _ToolConfig | None = None
    generationConfig: _Generation | None = None


_reader = StrictReader(_Request, neutral={"generationConfig.candidateCount": frozenset((b"1",))})
_encode = msgspec.json.Encoder().encode
_NAMES = {
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "format": "generationConfig.responseMimeType",
    "tool_choice": "toolConfig.functionCallingConfig",
    "thinking_effort": "generationConfig.thinkingConfig.thinkingLevel",
    "thinking_budget": "generationConfig.thinkingConfig.thinkingBudget",
    "thinking_shown": "generationConfig.thinkingConfig.includeThoughts",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    wire = _reader.read(body, losses)
    turns = [
        Turn(
            "assistant" if content.role == "model" else "user",
            _parts(content, f"contents[{index}]"),
            f"contents[{index}]",
        )
        for index, content in enumerate(wire.contents)
    ]
    generation = wire.generationConfig or _Generation()
    system = () if wire.systemInstruction is None else wire.systemInstruction.parts
    calling = None if wire.toolConfig is None else wire.toolConfig.functionCallingConfig
    return Conversation(
        "",
        merged(turns),
        tuple([Text(part.text or "") for part in system]),
        tuple([_tool(one) for tools in wire.tools or () for one in tools.functionDeclarations]),
        None if calling is None else _tool_choice(calling),
        None,
        Sampling(
            generation.maxOutputTokens,
            generation.temperature,
            generation.topP,
            None if generation.topK is None else int(generation.topK),
            tuple(generation.stopSequences or ()),
            generation.seed,
            generation.presencePenalty,
            generation.frequencyPenalty,
        ),
        _format(generation),
        _thinking(generation.thinkingConfig),
        names=_NAMES,
    )


def _parts(content: _Content, at: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, part in enumerate(content.parts):
        place = f"{at}.parts[{index}]"
        if part.thoughtSignature is not None:
            _sign(parts, part, place)
            if part.thought or part.text == "":
                continue  # the signature was all, or is with its thoughts
        parts.append(_part(part, place))
    return tuple(parts)


def _sign(parts: list[Part], part: _Part, at: str) -> None:
    """A signature belongs to the thoughts that led to its part."""
    signature = part.thoughtSignature
    if part.thought:
        parts.append(Reasoning(part.text or "", signature, origin=FAMILY, at=at))
        return
    for index, thought in enumerate(parts):
        if isinstance(thought, Reasoning) and thought.signature is None:
            parts[index] = Reasoning(thought.text, signature, origin=FAMILY, at=thought.at)
            return
    parts.append(Reasoning("", signature, origin=FAMILY, at=at))


def _part(part: _Part, at: str) -> Part:
    if part.text is not None:
        return Reasoning(part.text, at=at) if part.thought else Text(part.text)
    if part.functionCall is not None:
        call = part.functionCall
        arguments = "{}" if isinstance(call.args, UnsetType) else bytes(call.args).decode()
        return ToolCall(call.id or call.name, call.name, arguments, at=f"{at}.functionCall.args")
    if part.functionResponse is not None:
        return _result(part.functionResponse, f"{at}.functionResponse")
    if part.inlineData is not None:
        return read_blob(part.inlineData.mimeType, part.inlineData.data, f"{at}.inlineData")
    file = part.fileData
    if file is None:
        return Text("")
    if file.mimeType is None or file.mimeType.startswith("image/"):
        return Image(file.mimeType, url=file.fileUri, at=f"{at}.fileData")
    return Document(file.mimeType, url=file.fileUri, at=f"{at}.fileData")


def read_blob(media_type: str, data: str, at: str) -> Part:
    if media_type.startswith("image/"):
        return Image(media_type, data, at=at)
    if media_type.startswith("audio/"):
        return Audio(AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/")), data, at)
    if media_type == "text/plain":
        try:
            return Document(text=base64.b64decode(data, validate=True).decode(), at=at)
        except (binascii.Error, UnicodeDecodeError):
            pass
    return Document(media_type, data, at=at)


class _Output(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """How Gemini's documentation asks for results that are no objects: under `output`, or `error` where the tool failed."""

    output: str | list[str] | None = None
    error: str | list[str] | None = None


_decode_output = msgspec.json.Decoder(_Output).decode


def _result(response: _FunctionResponse, at: str) -> ToolResult:
    try:
        output = _decode_output(response.response)
        failed = output.error is not None
        said = output.error if output.error is not None else output.output
        texts = [said] if isinstance(said, str) else said or []
    except msgspec.ValidationError:  # an object of its own
        failed, texts = False, [bytes(response.response).decode()]
    images = [read_blob(one.inlineData.mimeType, one.inlineData.data, at) for one in response.parts or ()]
    return ToolResult(response.id or response.name, (*map(Text, texts), *images), failed, at=at)


def _tool(wire: _Declaration) -> Tool:
    schema = wire.parameters if isinstance(wire.parametersJsonSchema, UnsetType) else wire.parametersJsonSchema
    return Tool(wire.name, wire.description, None if isinstance(schema, UnsetType) else bytes(schema).decode())


def _tool_choice(calling: _Calling) -> ToolChoice:
    if calling.mode == "ANY":
        names = calling.allowedFunctionNames or []
        return ToolChoice("named", names[0]) if len(names) == 1 else ToolChoice("required")
    return ToolChoice("auto" if calling.mode == "AUTO" else "none")


def _format(generation: _Generation) -> Format | None:
    if not isinstance(generation.responseJsonSchema, UnsetType):
        return Format(bytes(generation.responseJsonSchema).decode())
    return Format() if generation.responseMimeType == "application/json" else None


def _thinking(config: _ThinkingConfig | None) -> Thinking:
    if config is None:
        return Thinking()
    effort = None if config.thinkingLevel is None else config.thinkingLevel.lower()
    return Thinking(effort, config.thinkingBudget, config.includeThoughts)


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    if conversation.parallel_tool_calls is False:
        losses.lose(conversation.name("parallel_tool_calls"))
    if conversation.user is not None:
        losses.lose(conversation.name("user"))
    if conversation.metadata:
        losses.lose(conversation.name("metadata"))
    names = call_names(conversation)
    contents: list[_Content] = []
    for turn in conversation.turns:
        if turn.role == "system":
            losses.lose(f"{turn.at}.role")
            continue
        role: Literal["model", "user"] = "model" if turn.role == "assistant" else "user"
        contents.append(_Content(_written_parts(turn.parts, names, conversation, losses), role))
    system = [_Part(text.text) for text in conversation.system]
    for text in conversation.system:
        _lose_cache(text, conversation, losses)
    generation = _generation(conversation, losses)
    request = _Request(
        contents,
        _Content(system) if system else None,
        _written_tools(conversation, losses),
        _written_choice(conversation.tool_choice),
        None if generation == _Generation() else generation,
    )
    return _encode(request)


def _lose_cache(part: Part | Tool, conversation: Conversation, losses: Losses) -> None:
    if not isinstance(part, Audio | Reasoning) and part.cache is not None:
        losses.lose(f"{part.at}.{conversation.name('cache')}")


def _written_parts(
    parts: tuple[Part, ...], names: dict[str, str], conversation: Conversation, losses: Losses
) -> list[_Part]:
    """A turn's signature goes to its first call, without which Gemini takes no calls, or else to what comes next."""
    written: list[_Part] = []
    signature: str | None = None
    for part in parts:
        _lose_cache(part, conversation, losses)
        if isinstance(part, Reasoning):
            if part.origin not in ("", FAMILY):
                losses.note(part.at)
                continue
            signature = part.signature if part.signature is not None else signature
            if part.text:
                written.append(_Part(part.text, thought=True))
            continue
        one = _written_part(part, names, losses)
        if one is None:
            continue
        if signature is not None and (one.functionCall is not None or not _calls_follow(parts, part)):
            one.thoughtSignature, signature = signature, None
        written.append(one)
    if signature is not None:
        written.append(_Part("", thoughtSignature=signature))
    return written


def _calls_follow(parts: tuple[Part, ...], part: Part) -> bool:
    at = next(index for index, one in enumerate(parts) if one is part)
    return any(isinstance(one, ToolCall) for one in parts[at + 1 :])


def _written_part(part: Part, names: dict[str, str], losses: Losses) -> _Part | None:
    if isinstance(part, Text):
        return _Part(part.text)
    if isinstance(part, ToolCall):
        return _Part(functionCall=_FunctionCall(part.name, json_object(part.arguments, part.at), part.id or None))
    if isinstance(part, ToolResult):
        return _Part(functionResponse=_written_result(part, names, losses))
    if isinstance(part, Image):
        if part.detail is not None:
            losses.lose(f"{part.at}.detail")
        if part.data is not None:
            return _Part(inlineData=_Blob(part.media_type or "image/png", part.data))
        return _Part(fileData=_FileData(part.url or "", part.media_type))
    if isinstance(part, Audio):
        return _Part(inlineData=_Blob(AUDIO_TYPES.get(part.format, f"audio/{part.format}"), part.data))
    return _written_document(part, losses) if isinstance(part, Document) else None


def _written_document(document: Document, losses: Losses) -> _Part:
    for field, value in (
        ("title", document.title),
        ("context", document.context),
        ("citations", document.cited or None),
    ):
        if value is not None:
            losses.lose(f"{document.at}.{field}")
    if document.text is not None:
        return _Part(inlineData=_Blob("text/plain", base64.b64encode(document.text.encode()).decode()))
    if document.data is not None:
        return _Part(inlineData=_Blob(document.media_type or "application/pdf", document.data))
    return _Part(fileData=_FileData(document.url or "", document.media_type or "application/pdf"))


def _written_result(result: ToolResult, names: dict[str, str], losses: Losses) -> _FunctionResponse:
    texts: list[str] = []
    images: list[_ResponsePart] = []
    for part in result.parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Image | Document) and part.data is not None:
            images.append(_ResponsePart(_Blob(part.media_type or "application/octet-stream", part.data)))
        else:
            losses.lose(part.at)
    said = texts[0] if len(texts) == 1 else texts
    output = _Output(error=said) if result.is_error else _Output(said)
    name = names.get(result.call_id, result.call_id)
    return _FunctionResponse(name, Raw(_encode(output)), result.call_id or None, images or None)


def _written_tools(conversation: Conversation, losses: Losses) -> list[_Tools] | None:
    declarations: list[_Declaration] = []
    for tool in conversation.tools:
        _lose_cache(tool, conversation, losses)
        if tool.strict:
            losses.lose(f"{tool.at}.strict")
        schema = UNSET if tool.schema is None else Raw(tool.schema.encode())
        declarations.append(_Declaration(tool.name, tool.description, schema))
    return [_Tools(declarations)] if declarations else None


def _written_choice(choice: ToolChoice | None) -> _ToolConfig | None:
    if choice is None:
        return None
    if choice.mode == "named":
        return _ToolConfig(_Calling("ANY", [choice.name or ""]))
    mode: Literal["AUTO", "ANY", "NONE"] = "AUTO" if choice.mode == "auto" else "ANY"
    return _ToolConfig(_Calling("NONE" if choice.mode == "none" else mode))


def _generation(conversation: Conversation, losses: Losses) -> _Generation:
    sampling, form = conversation.sampling, conversation.format
    schema: Raw | UnsetType = UNSET
    if form is not None and form.description is not None:
        losses.lose(f"{conversation.name('format')}.description")
    if form is not None and form.schema is not None:
        schema = Raw(form.schema.encode())
    return _Generation(
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


def _written_thinking(thinking: Thinking, conversation: Conversation, losses: Losses) -> _ThinkingConfig | None:
    effort = thinking.effort
    if effort == "max":
        losses.lose(conversation.name("thinking_effort"))
        effort = None
    if thinking.budget is not None and effort is not None:  # it takes one of both; 0 or a number says more than a level
        losses.lose(conversation.name("thinking_effort"))
        effort = None
    config = _ThinkingConfig(thinking.shown, thinking.budget, None if effort is None else effort.upper())
    return None if config == _ThinkingConfig() else config
