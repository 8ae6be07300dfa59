"""Anthropic messages: what a request says."""

from __future__ import annotations

from shipway.gateway.dialects.anthropic import wire
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
from shipway.gateway.dialects.losses import Losses, StrictReader
from shipway.gateway.dialects.signatures import opened_from

_reader = StrictReader(
    wire.Request,
    neutral={
        "service_tier": frozenset((b'"auto"',)),
        "speed": frozenset((b'"standard"',)),
        "messages[].content[].citations": frozenset((b"[]",)),
    },
    aside=frozenset(("messages[].content[].citations",)),
)
_NAMES = {
    "stop": "stop_sequences",
    "format": "output_config.format",
    "thinking_effort": "output_config.effort",
    "thinking_budget": "thinking.budget_tokens",
    "thinking_shown": "thinking.display",
    "thinking_off": "thinking.type",
    "user": "metadata.user_id",
    "cache": "cache_control",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    sent = _reader.read(body, losses)
    turns = []
    for index, message in enumerate(sent.messages):
        at = f"messages[{index}]"
        content = message.content
        if isinstance(content, str):
            parts: tuple[Part, ...] = (Text(content),)
        else:
            parts = tuple([_part(block, f"{at}.content[{place}]") for place, block in enumerate(content)])
        turns.append(Turn(message.role, parts, at))
    choice, parallel = _tool_choice(sent.tool_choice)
    config = sent.output_config
    form = None if config is None or config.format is None else Format(bytes(config.format.schema).decode())
    return Conversation(
        sent.model,
        merged(turns),
        _system(sent.system),
        tuple([_tool(tool, f"tools[{index}]") for index, tool in enumerate(sent.tools or ())]),
        choice,
        parallel,
        Sampling(sent.max_tokens, sent.temperature, sent.top_p, sent.top_k, tuple(sent.stop_sequences or ())),
        form,
        _thinking(sent.thinking, config),
        bool(sent.stream),
        True,
        sent.metadata.user_id if sent.metadata is not None else None,
        {},
        _NAMES,
    )


def _system(system: str | list[wire.Text] | None) -> tuple[Text, ...]:
    if isinstance(system, str):
        return (Text(system),) if system else ()
    return tuple([_text(block, f"system[{index}]") for index, block in enumerate(system or ())])


def _cache(control: wire.CacheControl | None) -> str | None:
    return None if control is None else control.ttl or ""


def _text(block: wire.Text, at: str) -> Text:
    if block.cache_control is None:
        return Text(block.text)
    return Text(block.text, _cache(block.cache_control), at)


def _part(block: wire.Block, at: str) -> Part:
    if isinstance(block, wire.Text):
        return _text(block, at)
    if isinstance(block, wire.ToolUse):
        arguments = bytes(block.input).decode()
        return ToolCall(block.id, block.name, arguments, _cache(block.cache_control), f"{at}.input")
    if isinstance(block, wire.ToolResult):
        parts = _result_parts(block.content, at)
        return ToolResult(block.tool_use_id, parts, block.is_error, _cache(block.cache_control), at)
    if isinstance(block, wire.Thinking):
        signature, origin = opened_from(wire.FAMILY, block.signature)
        return Reasoning(block.thinking, signature or None, origin=origin if signature else "", at=at)
    if isinstance(block, wire.Redacted):
        data, origin = opened_from(wire.FAMILY, block.data)
        return Reasoning(sealed=data, origin=origin, at=at)
    if isinstance(block, wire.Image):
        return _image(block, at)
    return _document(block, at)


def _result_parts(content: str | list[wire.Text | wire.Image | wire.Document] | None, at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(block, f"{at}.content[{index}]") for index, block in enumerate(content or ())])


def _image(block: wire.Image, at: str) -> Image:
    source, cache = block.source, _cache(block.cache_control)
    if isinstance(source, wire.Url):
        return Image(url=source.url, cache=cache, at=at)
    return Image(source.media_type, source.data, cache=cache, at=at)


def _document(block: wire.Document, at: str) -> Document:
    source = block.source
    data = text = url = media_type = None
    if isinstance(source, wire.Url):
        url = source.url
    elif isinstance(source, wire.PlainText):
        text = source.data
    else:
        media_type, data = source.media_type, source.data
    cited = block.citations is not None and block.citations.enabled
    return Document(media_type, data, text, url, block.title, block.context, cited, _cache(block.cache_control), at)


def _tool(tool: wire.Tool, at: str) -> Tool:
    schema = bytes(tool.input_schema).decode()
    return Tool(tool.name, tool.description, schema, tool.strict, _cache(tool.cache_control), at)


def _tool_choice(
    choice: wire.Auto | wire.Any | wire.Named | wire.NoTool | None,
) -> tuple[ToolChoice | None, bool | None]:
    if choice is None:
        return None, None
    if isinstance(choice, wire.NoTool):
        return ToolChoice("none"), None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if isinstance(choice, wire.Named):
        return ToolChoice("named", choice.name), parallel
    return ToolChoice("auto" if isinstance(choice, wire.Auto) else "required"), parallel


def _thinking(
    thinking: wire.Enabled | wire.Adaptive | wire.Disabled | None, config: wire.OutputConfig | None
) -> Thinking:
    effort = None if config is None else config.effort
    if thinking is None:
        return Thinking(effort)
    if isinstance(thinking, wire.Disabled):
        return Thinking(effort, 0)
    shown = None if thinking.display is None else thinking.display == "summarized"
    if isinstance(thinking, wire.Enabled):
        return Thinking(effort, thinking.budget_tokens, shown)
    return Thinking(effort, None if effort else -1, shown)
