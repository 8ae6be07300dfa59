"""Chat completions: requests.

Thoughts have no place in OpenAI's own format; `reasoning_content` and `reasoning_details` are those of OpenRouter, DeepSeek
and vLLM. Source: https://platform.openai.com/docs/api-reference/chat/create and https://openrouter.ai/docs (reasoning tokens).
"""

from __future__ import annotations

from collections.abc import Iterable
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
    merged,
)
from shipway.gateway.dialects.losses import Losses, StrictReader, lose_sampling
from shipway.gateway.dialects.media import data_url, document_from, image_from, image_url
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.refusals import Refused, bad_field

FAMILY = "openai"


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class _TextPart(Wire, tag_field="type", tag="text"):
    text: str


class _RefusalPart(Wire, tag_field="type", tag="refusal"):
    refusal: str


class _ImageUrl(Wire):
    url: str
    detail: str | None = None


class _ImagePart(Wire, tag_field="type", tag="image_url"):
    image_url: _ImageUrl


class _AudioData(Wire):
    data: str
    format: str


class _AudioPart(Wire, tag_field="type", tag="input_audio"):
    input_audio: _AudioData


class _File(Wire):
    file_data: str
    filename: str | None = None


class _FilePart(Wire, tag_field="type", tag="file"):
    file: _File


_Content = _TextPart | _ImagePart | _AudioPart | _FilePart


class ReasoningDetail(msgspec.Struct, gc=False, omit_defaults=True):
    """Thoughts as OpenRouter writes them: `reasoning.text` with a signature, or `reasoning.encrypted` with data."""

    type: str
    text: str | None = None
    signature: str | None = None
    data: str | None = None


class _Function(Wire):
    name: str
    arguments: str


class CallPart(Wire, tag_field="type", tag="function"):
    id: str
    function: _Function


class _System(Wire, tag_field="role", tag="system"):
    content: str | list[_TextPart]


class _Developer(Wire, tag_field="role", tag="developer"):
    content: str | list[_TextPart]


class _User(Wire, tag_field="role", tag="user"):
    content: str | list[_Content]


class _Assistant(Wire, tag_field="role", tag="assistant"):
    content: str | list[_TextPart | _RefusalPart] | None = None
    tool_calls: list[CallPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    audio: None = None
    function_call: None = None


class _ToolMessage(Wire, tag_field="role", tag="tool"):
    content: str | list[_TextPart]
    tool_call_id: str


class _Definition(Wire):
    name: str
    description: str | None = None
    parameters: Raw | UnsetType = UNSET
    strict: bool | None = None


class _Tool(Wire, tag_field="type", tag="function"):
    function: _Definition


class _Name(Wire):
    name: str


class _Choice(Wire, tag_field="type", tag="function"):
    function: _Name


class _TextFormat(Wire, tag_field="type", tag="text"):
    pass


class _JsonFormat(Wire, tag_field="type", tag="json_object"):
    pass


class _Schema(Wire):
    name: str
    description: str | None = None
    schema: Raw | UnsetType = UNSET
    strict: bool | None = None


class _SchemaFormat(Wire, tag_field="type", tag="json_schema"):
    json_schema: _Schema


class _StreamOptions(Wire):
    include_usage: bool = False


class _Request(Wire):
    model: str
    messages: list[_System | _Developer | _User | _Assistant | _ToolMessage]
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: int | float | None = None
    frequency_penalty: int | float | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _TextFormat | _JsonFormat | _SchemaFormat | None = None
    reasoning_effort: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None


_reader = StrictReader(
    _Request,
    neutral={
        "n": frozenset((b"1",)),
        "logprobs": frozenset((b"false",)),
        "store": frozenset((b"false",)),
        "logit_bias": frozenset((b"{}",)),
        "modalities": frozenset((b'["text"]',)),
        "service_tier": frozenset((b'"auto"', b'"default"')),
        "verbosity": frozenset((b'"medium"',)),
        "messages[].annotations": frozenset((b"[]",)),
        "stream_options.include_obfuscation": frozenset((b"true", b"false")),
    },
)
_encode = msgspec.json.Encoder().encode
_NAMES = {
    "max_tokens": "max_completion_tokens",
    "format": "response_format",
    "thinking_effort": "reasoning_effort",
    "cache": "prompt_cache_breakpoint",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    wire = _reader.read(body, losses)
    system: list[Text] = []
    turns: list[Turn] = []
    for index, message in enumerate(wire.messages):
        at = f"messages[{index}]"
        if isinstance(message, _User):
            turns.append(Turn("user", _user_parts(message.content, at), at))
        elif isinstance(message, _Assistant):
            turns.append(Turn("assistant", _assistant_parts(message, at), at))
        elif isinstance(message, _ToolMessage):
            turns.append(Turn("user", (ToolResult(message.tool_call_id, _texts(message.content), at=at),), at))
        elif turns:
            turns.append(Turn("system", _texts(message.content), at))
        else:
            system.extend(_texts(message.content))
    if wire.max_tokens is not None and wire.max_completion_tokens not in (None, wire.max_tokens):
        raise Refused(bad_field("max_tokens", "'max_tokens' and 'max_completion_tokens' differ."))
    return Conversation(
        wire.model,
        merged(turns),
        tuple(system),
        tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(wire.tools or ())),
        _tool_choice(wire.tool_choice),
        wire.parallel_tool_calls,
        Sampling(
            wire.max_tokens if wire.max_completion_tokens is None else wire.max_completion_tokens,
            wire.temperature,
            wire.top_p,
            None,
            (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
            wire.seed,
            wire.presence_penalty,
            wire.frequency_penalty,
        ),
        _format(wire.response_format),
        _thinking(wire.reasoning_effort),
        bool(wire.stream),
        wire.stream_options is not None and wire.stream_options.include_usage,
        wire.user,
        wire.metadata or {},
        _NAMES,
    )


def _thinking(effort: str | None) -> Thinking:
    return Thinking(budget=0) if effort == "none" else Thinking(effort)


def _texts(content: str | list[_TextPart]) -> tuple[Text, ...]:
    return (Text(content),) if isinstance(content, str) else tuple(Text(part.text) for part in content)


def _user_parts(content: str | list[_Content], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, f"{at}.content[{index}]") for index, part in enumerate(content))


def _part(part: _Content, at: str) -> Part:
    if isinstance(part, _TextPart):
        return Text(part.text)
    if isinstance(part, _ImagePart):
        return image_from(part.image_url.url, part.image_url.detail, f"{at}.image_url")
    if isinstance(part, _AudioPart):
        return Audio(part.input_audio.format, part.input_audio.data, f"{at}.input_audio")
    return document_from(part.file.file_data, part.file.filename, f"{at}.file")


def _assistant_parts(message: _Assistant, at: str) -> tuple[Part, ...]:
    parts: list[Part] = list(thoughts(message.reasoning_content, message.reasoning_details, at))
    content = message.content
    if isinstance(content, str):
        if content:
            parts.append(Text(content))
    elif content:
        parts.extend(Text(part.text if isinstance(part, _TextPart) else part.refusal) for part in content)
    if message.refusal:
        parts.append(Text(message.refusal))
    for index, call in enumerate(message.tool_calls or ()):
        place = f"{at}.tool_calls[{index}].function.arguments"
        parts.append(ToolCall(call.id, call.function.name, call.function.arguments, at=place))
    return tuple(parts)


def thoughts(content: str | None, details: list[ReasoningDetail] | None, at: str = "") -> Iterable[Reasoning]:
    """Raises nothing: details of a kind that is not known are left to their text."""
    if not details:
        if content:
            yield Reasoning(content, at=f"{at}.reasoning_content")
        return
    for index, detail in enumerate(details):
        place = f"{at}.reasoning_details[{index}]"
        if detail.data is not None:
            data, origin = opened_from(FAMILY, detail.data)
            yield Reasoning(sealed=data, origin=origin, at=place)
        elif detail.signature is not None:
            signature, origin = opened_from(FAMILY, detail.signature)
            yield Reasoning(detail.text or "", signature, origin=origin, at=place)
        elif detail.text:
            yield Reasoning(detail.text, at=place)


def detail_of(thought: Reasoning) -> ReasoningDetail:
    if thought.sealed is not None:
        return ReasoningDetail("reasoning.encrypted", data=sealed_for(FAMILY, thought.sealed, thought.origin))
    signature = None if thought.signature is None else sealed_for(FAMILY, thought.signature, thought.origin)
    return ReasoningDetail("reasoning.text", thought.text, signature)


def _tool(tool: _Tool, at: str) -> Tool:
    function = tool.function
    schema = None if isinstance(function.parameters, UnsetType) else bytes(function.parameters).decode()
    return Tool(function.name, function.description, schema, function.strict, at=at)


def _tool_choice(choice: str | _Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, _Choice):
        return ToolChoice("named", choice.function.name)
    return ToolChoice(choice)  # type: ignore[arg-type]  # the wire type lets nothing else through


def _format(wire: _TextFormat | _JsonFormat | _SchemaFormat | None) -> Format | None:
    if isinstance(wire, _JsonFormat):
        return Format()
    if isinstance(wire, _SchemaFormat):
        schema = wire.json_schema
        text = "{}" if isinstance(schema.schema, UnsetType) else bytes(schema.schema).decode()
        return Format(text, schema.name, schema.description, schema.strict)
    return None


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "top_k")
    thinking = conversation.thinking
    if thinking.budget not in (None, 0, -1):
        losses.lose(conversation.name("thinking_budget"))
    messages: list[_System | _Developer | _User | _Assistant | _ToolMessage] = []
    if conversation.system:
        messages.append(_System(_text_content(conversation.system, conversation, losses)))
    for turn in conversation.turns:
        if turn.role == "user":
            _write_user(turn, conversation, losses, messages)
        elif turn.role == "assistant":
            messages.append(_written_assistant(turn, losses))
        else:
            messages.append(_System(_text_content(turn.parts, conversation, losses)))
    sampling = conversation.sampling
    stop = sampling.stop
    request = _Request(
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
        _StreamOptions(include_usage=True) if conversation.stream else None,
        conversation.user,
        dict(conversation.metadata) or None,
    )
    return _encode(request)


def _text_content(parts: Iterable[Part], conversation: Conversation, losses: Losses) -> str | list[_TextPart]:
    texts = []
    for part in parts:
        if isinstance(part, Text):
            _lose_cache(part, conversation, losses)
            texts.append(_TextPart(part.text))
        else:
            losses.lose(part.at)
    return texts[0].text if len(texts) == 1 else texts


def _lose_cache(part: Part | Tool, conversation: Conversation, losses: Losses) -> None:
    if not isinstance(part, Audio | Reasoning) and part.cache is not None:
        losses.lose(f"{part.at}.{conversation.name('cache')}")


def _write_user(
    turn: Turn,
    conversation: Conversation,
    losses: Losses,
    messages: list[_System | _Developer | _User | _Assistant | _ToolMessage],
) -> None:
    content: list[_Content] = []
    for part in turn.parts:
        _lose_cache(part, conversation, losses)
        if isinstance(part, ToolResult):
            if part.is_error:
                losses.lose(f"{part.at}.is_error")
            messages.append(_ToolMessage(_text_content(part.parts, conversation, losses), part.call_id))
        elif (written := _written_part(part, losses)) is not None:
            content.append(written)
    if len(content) == 1 and isinstance(content[0], _TextPart):
        messages.append(_User(content[0].text))
    elif content or not turn.parts:
        messages.append(_User(content))


def _written_part(part: Part, losses: Losses) -> _Content | None:
    if isinstance(part, Text):
        return _TextPart(part.text)
    if isinstance(part, Image):
        return _ImagePart(_ImageUrl(image_url(part), part.detail))
    if isinstance(part, Audio) and part.format in ("wav", "mp3"):
        return _AudioPart(_AudioData(part.data, part.format))
    if isinstance(part, Document) and part.data is not None:
        if part.cited:
            losses.lose(f"{part.at}.citations")
        if part.context is not None:
            losses.lose(f"{part.at}.context")
        return _FilePart(_File(data_url(part.media_type, part.data), part.title))
    losses.lose(part.at)
    return None


def _written_assistant(turn: Turn, losses: Losses) -> _Assistant:
    texts: list[_TextPart | _RefusalPart] = []
    calls: list[CallPart] = []
    plain: list[str] = []
    details: list[ReasoningDetail] = []
    for part in turn.parts:
        if isinstance(part, Text):
            texts.append(_TextPart(part.text))
        elif isinstance(part, ToolCall):
            calls.append(CallPart(part.id, _Function(part.name, part.arguments)))
        elif isinstance(part, Reasoning) and part.origin not in ("", FAMILY):
            losses.note(part.at)
        elif isinstance(part, Reasoning):
            plain.append(part.text)
            details.append(detail_of(part))
        else:
            losses.lose(part.at)
    only = texts[0] if len(texts) == 1 else None
    signed = any(detail.data is not None or detail.signature is not None for detail in details) or len(details) > 1
    return _Assistant(
        only.text if isinstance(only, _TextPart) else texts or None,
        calls or None,
        None,
        "".join(plain) or None,
        details if signed else None,
    )


def _written_tool(tool: Tool, conversation: Conversation, losses: Losses) -> _Tool:
    _lose_cache(tool, conversation, losses)
    schema = UNSET if tool.schema is None else Raw(tool.schema.encode())
    return _Tool(_Definition(tool.name, tool.description, schema, tool.strict))


def _written_choice(choice: ToolChoice | None) -> Literal["none", "auto", "required"] | _Choice | None:
    if choice is None:
        return None
    if choice.mode == "named":
        return _Choice(_Name(choice.name or ""))
    return choice.mode


def _written_format(form: Format | None) -> _JsonFormat | _SchemaFormat | None:
    if form is None:
        return None
    if form.schema is None:
        return _JsonFormat()
    schema = _Schema(form.name or "answer", form.description, Raw(form.schema.encode()), form.strict)
    return _SchemaFormat(schema)
