"""Gemini generateContent: what a request says."""

from __future__ import annotations

import base64

import msgspec
from msgspec import UnsetType

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
from shipway.gateway.dialects.gemini import wire
from shipway.gateway.dialects.losses import Losses, StrictReader
from shipway.gateway.dialects.media import AUDIO_FORMATS

_reader = StrictReader(wire.Request, neutral={"generationConfig.candidateCount": frozenset((b"1",))})
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
    sent = _reader.read(body, losses)
    turns = [
        Turn(
            "assistant" if content.role == "model" else "user",
            _parts(content, f"contents[{index}]"),
            f"contents[{index}]",
        )
        for index, content in enumerate(sent.contents)
    ]
    generation = sent.generationConfig or wire.Generation()
    system = () if sent.systemInstruction is None else sent.systemInstruction.parts
    calling = None if sent.toolConfig is None else sent.toolConfig.functionCallingConfig
    return Conversation(
        "",
        merged(turns),
        tuple([Text(part.text or "") for part in system]),
        tuple([_tool(one) for tools in sent.tools or () for one in tools.functionDeclarations]),
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


def _parts(content: wire.Content, at: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, part in enumerate(content.parts):
        place = f"{at}.parts[{index}]"
        if part.thoughtSignature is not None:
            _sign(parts, part, place)
            if part.thought or part.text == "":
                continue  # the signature was all, or is with its thoughts
        parts.append(_part(part, place))
    return tuple(parts)


def _sign(parts: list[Part], part: wire.Part, at: str) -> None:
    """A signature belongs to the thoughts that led to its part."""
    signature = part.thoughtSignature
    if part.thought:
        parts.append(Reasoning(part.text or "", signature, origin=wire.FAMILY, at=at))
        return
    for index, thought in enumerate(parts):
        if isinstance(thought, Reasoning) and thought.signature is None:
            parts[index] = Reasoning(thought.text, signature, origin=wire.FAMILY, at=thought.at)
            return
    parts.append(Reasoning("", signature, origin=wire.FAMILY, at=at))


def _part(part: wire.Part, at: str) -> Part:
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
        except ValueError:  # no base64, or no text
            pass
    return Document(media_type, data, at=at)


_decode_output = msgspec.json.Decoder(wire.Output).decode


def _result(response: wire.FunctionResponse, at: str) -> ToolResult:
    try:
        output = _decode_output(response.response)
        failed = output.error is not None
        said = output.error if output.error is not None else output.output
        texts = [said] if isinstance(said, str) else said or []
    except msgspec.ValidationError:  # an object of its own
        failed, texts = False, [bytes(response.response).decode()]
    images = [read_blob(one.inlineData.mimeType, one.inlineData.data, at) for one in response.parts or ()]
    return ToolResult(response.id or response.name, (*map(Text, texts), *images), failed, at=at)


def _tool(sent: wire.Declaration) -> Tool:
    schema = sent.parameters if isinstance(sent.parametersJsonSchema, UnsetType) else sent.parametersJsonSchema
    return Tool(sent.name, sent.description, None if isinstance(schema, UnsetType) else bytes(schema).decode())


def _tool_choice(calling: wire.Calling) -> ToolChoice:
    if calling.mode == "ANY":
        names = calling.allowedFunctionNames or []
        return ToolChoice("named", names[0]) if len(names) == 1 else ToolChoice("required")
    return ToolChoice("auto" if calling.mode == "AUTO" else "none")


def _format(generation: wire.Generation) -> Format | None:
    if not isinstance(generation.responseJsonSchema, UnsetType):
        return Format(bytes(generation.responseJsonSchema).decode())
    return Format() if generation.responseMimeType == "application/json" else None


def _thinking(config: wire.ThinkingConfig | None) -> Thinking:
    if config is None:
        return Thinking()
    effort = None if config.thinkingLevel is None else config.thinkingLevel.lower()
    return Thinking(effort, config.thinkingBudget, config.includeThoughts)
