"""Anthropic messages: requests as they are sent.

Source: https://docs.anthropic.com/en/api/messages and the types of anthropic-sdk-python."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

FAMILY = "anthropic"

DEFAULT_MAX_TOKENS = 8192
"""Messages must say how long an answer may be; other dialects need not. Every model since Claude 3.5 takes this."""


MAX_ID = 64
"""Characters of a tool call's id; none longer is documented."""


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class CacheControl(Wire, tag_field="type", tag="ephemeral"):
    ttl: str | None = None


class Text(Wire, tag_field="type", tag="text"):
    text: str
    cache_control: CacheControl | None = None
    citations: None = None


class Base64(Wire, tag_field="type", tag="base64"):
    media_type: str
    data: str


class Url(Wire, tag_field="type", tag="url"):
    url: str


class PlainText(Wire, tag_field="type", tag="text"):
    media_type: str
    data: str


class Image(Wire, tag_field="type", tag="image"):
    source: Base64 | Url
    cache_control: CacheControl | None = None


class Citations(Wire):
    enabled: bool = False


class Document(Wire, tag_field="type", tag="document"):
    source: Base64 | Url | PlainText
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None
    cache_control: CacheControl | None = None


class Thinking(Wire, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class Redacted(Wire, tag_field="type", tag="redacted_thinking"):
    data: str


class Direct(Wire, tag_field="type", tag="direct"):
    pass


class ToolUse(Wire, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None
    caller: Direct | None = None


class ToolResult(Wire, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[Text | Image | Document] | None = None
    is_error: bool = False
    cache_control: CacheControl | None = None


Block = Text | Image | Document | Thinking | Redacted | ToolUse | ToolResult


class Message(Wire):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(Wire):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    type: Literal["custom"] | None = None


class Auto(Wire, tag_field="type", tag="auto"):
    disable_parallel_tool_use: bool | None = None


class Any(Wire, tag_field="type", tag="any"):
    disable_parallel_tool_use: bool | None = None


class Named(Wire, tag_field="type", tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoTool(Wire, tag_field="type", tag="none"):
    pass


class Enabled(Wire, tag_field="type", tag="enabled"):
    budget_tokens: int
    display: Literal["summarized", "omitted"] | None = None


class Adaptive(Wire, tag_field="type", tag="adaptive"):
    display: Literal["summarized", "omitted"] | None = None


class Disabled(Wire, tag_field="type", tag="disabled"):
    pass


class Format(Wire, tag_field="type", tag="json_schema"):
    schema: Raw


class OutputConfig(Wire):
    effort: str | None = None
    format: Format | None = None


class Metadata(Wire):
    user_id: str | None = None


class Request(Wire):
    model: str
    messages: list[Message]
    max_tokens: int | None = None
    system: str | list[Text] | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: Auto | Any | Named | NoTool | None = None
    thinking: Enabled | Adaptive | Disabled | None = None
    output_config: OutputConfig | None = None
    metadata: Metadata | None = None
    stream: bool | None = None
