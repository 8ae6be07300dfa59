"""Anthropic messages: requests. Source: https://docs.anthropic.com/en/api/messages and the types of anthropic-sdk-python."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.conversation import (
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
from shipway.gateway.dialects.signatures import opened_from

FAMILY = "anthropic"

DEFAULT_MAX_TOKENS = 8192
"""Messages must say how long an answer may be; other dialects need not. Every model since Claude 3.5 takes this."""


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class _CacheControl(Wire, tag_field="type", tag="ephemeral"):
    ttl: str | None = None


class _Text(Wire, tag_field="type", tag="text"):
    text: str
    cache_control: _CacheControl | None = None
    citations: None = None


class _Base64(Wire, tag_field="type", tag="base64"):
    media_type: str
    data: str


class _Url(Wire, tag_field="type", tag="url"):
    url: str


class _PlainText(Wire, tag_field="type", tag="text"):
    media_type: str
    data: str


class _Image(Wire, tag_field="type", tag="image"):
    source: _Base64 | _Url
    cache_control: _CacheControl | None = None


class _Citations(Wire):
    enabled: bool = False


class _Document(Wire, tag_field="type", tag="document"):
    source: _Base64 | _Url | _PlainText
    title: str | None = None
    context: str | None = None
    citations: _Citations | None = None
    cache_control: _CacheControl | None = None


class _Thinking(Wire, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class _Redacted(Wire, tag_field="type", tag="redacted_thinking"):
    data: str


class _Direct(Wire, tag_field="type", tag="direct"):
    pass


class _ToolUse(Wire, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Raw
    cache_control: _CacheControl | None = None
    caller: _Direct | None = None


class _ToolResult(Wire, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[_Text | _Image | _Document] | None = None
    is_error: bool = False
    cache_control: _CacheControl | None = None


_Block = _Text | _Image | _Document | _Thinking | _Redacted | _ToolUse | _ToolResult


class _Message(Wire):
    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]


class _Tool(Wire):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: _CacheControl | None = None
    type: Literal["custom"] | None = None


class _Auto(Wire, tag_field="type", tag="auto"):
    disable_parallel_tool_use: bool | None = None


class _Any(Wire, tag_field="type", tag="any"):
    disable_parallel_tool_use: bool | None = None


class _Named(Wire, tag_field="type", tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class _None(Wire, tag_field="type", tag="none"):
    pass


class _Enabled(Wire, tag_field="type", tag="enabled"):
    budget_tokens: int
    display: Literal["summarized", "omitted"] | None = None


class _Adaptive(Wire, tag_field="type", tag="adaptive"):
    display: Literal["summarized", "omitted"] | None = None


class _Disabled(Wire, tag_field="type", tag="disabled"):
    pass


class _Format(Wire, tag_field="type", tag="json_schema"):
    schema: Raw


class _OutputConfig(Wire):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(Wire):
    user_id: str | None = None


class _Request(Wire):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[_Text] | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Auto | _Any | _Named | _None | None = None
    thinking: _Enabled | _Adaptive | _Disabled | None = None
    output_config: _OutputConfig | None = None
    metadata: _Metadata | None = None
    stream: bool | None = None


_reader = StrictReader(
    _Request, neutral={"service_tier": frozenset((b'"auto"',)), "speed": frozenset((b'"standard"',))}
)
_encode = msgspec.json.Encoder().encode
_NAMES = {
    "stop": "stop_sequences",
    "format": "output_config.format",
    "thinking_effort": "output_config.effort",
    "thinking_budget": "thinking.budget_tokens",
    "thinking_shown": "thinking.display",
    "user": "metadata.user_id",
    "cache": "cache_control",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    wire = _reader.read(body, losses)
    turns = []
    for index, message in enumerate(wire.messages):
        at = f"messages[{index}]"
        content = message.content
        if isinstance(content, str):
            parts: tuple[Part, ...] = (Text(content),)
        else:
            parts = tuple([_part(block, f"{at}.content[{place}]") for place, block in enumerate(content)])
        turns.append(Turn(message.role, parts, at))
    choice, parallel = _tool_choice(wire.tool_choice)
    config = wire.output_config
    form = None if config is None or config.format is None else Format(bytes(config.format.schema).decode())
    return Conversation(
        wire.model,
        merged(turns),
        _system(wire.system),
        tuple([_tool(tool, f"tools[{index}]") for index, tool in enumerate(wire.tools or ())]),
        choice,
        parallel,
        Sampling(wire.max_tokens, wire.temperature, wire.top_p, wire.top_k, tuple(wire.stop_sequences or ())),
        form,
        _thinking(wire.thinking, config),
        bool(wire.stream),
        True,
        wire.metadata.user_id if wire.metadata is not None else None,
        {},
        _NAMES,
    )


def _system(system: str | list[_Text] | None) -> tuple[Text, ...]:
    if isinstance(system, str):
        return (Text(system),) if system else ()
    return tuple([_text(block, f"system[{index}]") for index, block in enumerate(system or ())])


def _cache(control: _CacheControl | None) -> str | None:
    return None if control is None else control.ttl or ""


def _text(block: _Text, at: str) -> Text:
    if block.cache_control is None:
        return Text(block.text)
    return Text(block.text, _cache(block.cache_control), at)


def _part(block: _Block, at: str) -> Part:
    if isinstance(block, _Text):
        return _text(block, at)
    if isinstance(block, _ToolUse):
        arguments = bytes(block.input).decode()
        return ToolCall(block.id, block.name, arguments, _cache(block.cache_control), f"{at}.input")
    if isinstance(block, _ToolResult):
        parts = _result_parts(block.content, at)
        return ToolResult(block.tool_use_id, parts, block.is_error, _cache(block.cache_control), at)
    if isinstance(block, _Thinking):
        signature, origin = opened_from(FAMILY, block.signature)
        return Reasoning(block.thinking, signature or None, origin=origin if signature else "", at=at)
    if isinstance(block, _Redacted):
        data, origin = opened_from(FAMILY, block.data)
        return Reasoning(sealed=data, origin=origin, at=at)
    if isinstance(block, _Image):
        return _image(block, at)
    return _document(block, at)


def _result_parts(content: str | list[_Text | _Image | _Document] | None, at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(block, f"{at}.content[{index}]") for index, block in enumerate(content or ())])


def _image(block: _Image, at: str) -> Image:
    source, cache = block.source, _cache(block.cache_control)
    if isinstance(source, _Url):
        return Image(url=source.url, cache=cache, at=at)
    return Image(source.media_type, source.data, cache=cache, at=at)


def _document(block: _Document, at: str) -> Document:
    source = block.source
    data = text = url = media_type = None
    if isinstance(source, _Url):
        url = source.url
    elif isinstance(source, _PlainText):
        text = source.data
    else:
        media_type, data = source.media_type, source.data
    cited = block.citations is not None and block.citations.enabled
    return Document(media_type, data, text, url, block.title, block.context, cited, _cache(block.cache_control), at)


def _tool(tool: _Tool, at: str) -> Tool:
    schema = bytes(tool.input_schema).decode()
    return Tool(tool.name, tool.description, schema, tool.strict, _cache(tool.cache_control), at)


def _tool_choice(choice: _Auto | _Any | _Named | _None | None) -> tuple[ToolChoice | None, bool | None]:
    if choice is None:
        return None, None
    if isinstance(choice, _None):
        return ToolChoice("none"), None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if isinstance(choice, _Named):
        return ToolChoice("named", choice.name), parallel
    return ToolChoice("auto" if isinstance(choice, _Auto) else "required"), parallel


def _thinking(thinking: _Enabled | _Adaptive | _Disabled | None, config: _OutputConfig | None) -> Thinking:
    effort = None if config is None else config.effort
    if thinking is None:
        return Thinking(effort)
    if isinstance(thinking, _Disabled):
        return Thinking(effort, 0)
    shown = None if thinking.display is None else thinking.display == "summarized"
    if isinstance(thinking, _Enabled):
        return Thinking(effort, thinking.budget_tokens, shown)
    return Thinking(effort, None if effort else -1, shown)


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "seed", "presence_penalty", "frequency_penalty")
    if conversation.metadata:
        losses.lose(conversation.name("metadata"))
    sampling = conversation.sampling
    thinking = _written_thinking(conversation.thinking)
    max_tokens = sampling.max_tokens
    if max_tokens is None:
        budget = thinking.budget_tokens if isinstance(thinking, _Enabled) else 0
        max_tokens = budget + DEFAULT_MAX_TOKENS
    request = _Request(
        model,
        [_Message(turn.role, written_content(turn.parts, losses)) for turn in conversation.turns],
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
        None if conversation.user is None else _Metadata(conversation.user),
        conversation.stream or None,
    )
    return _encode(request)


def _written_system(system: tuple[Text, ...]) -> str | list[_Text] | None:
    if len(system) == 1 and system[0].cache is None:
        return system[0].text
    return [_Text(text.text, _control(text.cache)) for text in system] or None


def _control(cache: str | None) -> _CacheControl | None:
    return None if cache is None else _CacheControl(cache or None)


def written_content(parts: tuple[Part, ...], losses: Losses) -> str | list[_Block]:
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
        return parts[0].text
    return [block for part in parts if (block := _block(part, losses)) is not None]


def _block(part: Part, losses: Losses) -> _Block | None:
    if isinstance(part, Text):
        return _Text(part.text, _control(part.cache)) if part.text else None
    if isinstance(part, ToolCall):
        return _ToolUse(part.id, part.name, json_object(part.arguments, part.at), _control(part.cache))
    if isinstance(part, ToolResult):
        content = written_content(part.parts, losses) or None
        return _ToolResult(part.call_id, content, part.is_error, _control(part.cache))  # type: ignore[arg-type]
    if isinstance(part, Image):
        if part.detail is not None:
            losses.lose(f"{part.at}.detail")
        source = _Url(part.url or "") if part.data is None else _Base64(part.media_type or "", part.data)
        return _Image(source, _control(part.cache))
    if isinstance(part, Document):
        citations = _Citations(enabled=True) if part.cited else None
        return _Document(_source(part), part.title, part.context, citations, _control(part.cache))
    if isinstance(part, Reasoning):
        return _written_thought(part, losses)
    losses.lose(part.at)
    return None


def _source(document: Document) -> _Base64 | _Url | _PlainText:
    if document.text is not None:
        return _PlainText("text/plain", document.text)
    if document.data is not None:
        return _Base64(document.media_type or "application/pdf", document.data)
    return _Url(document.url or "")


def _written_thought(thought: Reasoning, losses: Losses) -> _Thinking | _Redacted | None:
    """Thoughts without Anthropic's own proof are not taken by it."""
    if thought.origin != FAMILY:
        losses.note(thought.at)
        return None
    if thought.sealed is not None:
        return _Redacted(thought.sealed)
    return _Thinking(thought.text, thought.signature or "")


def _written_tool(tool: Tool) -> _Tool:
    schema = Raw((tool.schema or '{"type":"object","properties":{}}').encode())
    return _Tool(tool.name, schema, tool.description, tool.strict, _control(tool.cache))


def _written_choice(conversation: Conversation) -> _Auto | _Any | _Named | _None | None:
    choice, parallel = conversation.tool_choice, conversation.parallel_tool_calls
    single = None if parallel is None else not parallel
    if choice is None:
        return _Auto(single) if single is not None and conversation.tools else None
    if choice.mode == "none":
        return _None()
    if choice.mode == "named":
        return _Named(choice.name or "", single)
    return _Auto(single) if choice.mode == "auto" else _Any(single)


def _written_thinking(thinking: Thinking) -> _Enabled | _Adaptive | _Disabled | None:
    display: Literal["summarized", "omitted"] | None = None
    if thinking.shown is not None:
        display = "summarized" if thinking.shown else "omitted"
    if thinking.budget == 0:
        return _Disabled()
    if thinking.budget is not None and thinking.budget > 0:
        return _Enabled(thinking.budget, display)
    return _Adaptive(display) if thinking.budget == -1 or thinking.effort is not None else None


def _output_config(conversation: Conversation, losses: Losses) -> _OutputConfig | None:
    effort, form = conversation.thinking.effort, conversation.format
    if effort == "minimal":
        losses.lose(conversation.name("thinking_effort"))
        effort = None
    written = None
    if form is not None:
        if form.schema is None:  # JSON of any shape cannot be asked for
            losses.lose(conversation.name("format"))
        else:
            written = _Format(Raw(form.schema.encode()))
        if form.description is not None:
            losses.lose(f"{conversation.name('format')}.description")
    return _OutputConfig(effort, written) if effort is not None or written is not None else None
