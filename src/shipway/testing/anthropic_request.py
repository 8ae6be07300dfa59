"""What Anthropic's messages API accepts, as far as the fake knows it: a field that is not here is refused, as there.

Source: https://platform.claude.com/docs/en/api/messages and the parameter types of the official SDK.
"""

from typing import Any, Literal

import msgspec

Json = dict[str, Any]

VERSIONS = ("2023-06-01", "2026-10-21")
"""Of the API, as the header `anthropic-version` has them."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class CacheControl(_Strict):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Base64Source(_Strict, tag="base64"):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"]
    data: str


class UrlSource(_Strict, tag="url"):
    url: str


class TextSource(_Strict, tag="text"):
    media_type: Literal["text/plain"]
    data: str


class FileSource(_Strict, tag="file"):
    file_id: str


class _Block(_Strict):
    cache_control: CacheControl | None = None


class Text(_Block, tag="text", kw_only=True):
    text: str
    citations: list[Json] | None = None


class Image(_Block, tag="image", kw_only=True):
    source: Base64Source | UrlSource | FileSource


class Document(_Block, tag="document", kw_only=True):
    source: Base64Source | UrlSource | TextSource | FileSource
    title: str | None = None
    context: str | None = None
    citations: Json | None = None


class ToolUse(_Block, tag="tool_use", kw_only=True):
    id: str
    name: str
    input: Json


class ToolResult(_Block, tag="tool_result", kw_only=True):
    tool_use_id: str
    content: str | list[Text | Image | Document] = ""
    is_error: bool = False


class Thinking(_Strict, tag="thinking"):
    thinking: str
    signature: str


class RedactedThinking(_Strict, tag="redacted_thinking"):
    data: str


Content = Text | Image | Document | ToolUse | ToolResult | Thinking | RedactedThinking


class Message(_Strict):
    role: Literal["user", "assistant", "system"]
    content: str | list[Content]


class Tool(_Block, kw_only=True):
    name: str
    input_schema: Json
    description: str = ""
    type: Literal["custom"] | None = None
    strict: bool = False


class ToolChoice(_Strict):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class ThinkingConfig(_Strict):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(_Strict):
    type: Literal["json_schema"]
    schema: Json


class OutputConfig(_Strict):
    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class CountRequest(_Block, kw_only=True):
    """What is counted, and the part of a request that says something."""

    model: str
    messages: list[Message]
    system: str | list[Text] = ""
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(CountRequest, kw_only=True):
    max_tokens: int
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Json | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


def fault(body: Any, version: str, *, counting: bool) -> str | None:
    """What is wrong with a request of API version *version*, in words; None where nothing is."""
    if version not in VERSIONS:
        return f"anthropic-version: '{version}' is not a valid version"
    try:
        request = msgspec.convert(body, CountRequest if counting else MessagesRequest)
    except msgspec.ValidationError as error:
        return str(error)
    if not request.messages:
        return "messages: at least one message is required"
    if isinstance(request, MessagesRequest) and request.max_tokens < 1:
        return "max_tokens: must be greater than or equal to 1"
    for number, message in enumerate(request.messages):
        if message.content in ("", []) and not (number == len(request.messages) - 1 and message.role == "assistant"):
            return f"messages.{number}: all messages must have non-empty content"
    return _tool_fault(request.messages) or (_newer_fault(body, request.messages) if version != VERSIONS[0] else None)


def _newer_fault(body: Any, messages: list[Message]) -> str | None:
    """What the version of 2026-10-21 does not take any more."""
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            return f"{name}: Extra inputs are not permitted"
    for number, message in enumerate(messages):
        for block in message.content if isinstance(message.content, list) else ():
            if message.role == "assistant" and isinstance(block, Document):
                return f"messages.{number}: `document` blocks are not permitted in assistant messages"
            if message.role == "user" and isinstance(block, Text) and block.citations:
                return f"messages.{number}: `citations` are not permitted in user messages"
    return None


def _tool_fault(messages: list[Message]) -> str | None:
    """Results stand in the message after that of their calls, all of them, and nowhere else."""
    called: set[str] = set()
    for number, message in enumerate(messages):
        blocks = message.content if isinstance(message.content, list) else []
        results = {block.tool_use_id for block in blocks if isinstance(block, ToolResult)}
        if results - called:
            return f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {min(results - called)}"
        if called - results:
            return f"messages.{number}: `tool_use` ids were found without `tool_result` blocks after: {min(called)}"
        called = {block.id for block in blocks if isinstance(block, ToolUse)}
    return None
