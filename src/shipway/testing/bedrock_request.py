"""What Bedrock's Converse operations accept, as far as the fake knows it: a field that is not here is refused.

Bedrock itself ignores some unknown fields; a translation that invents one is a mistake all the same.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and botocore's model of the service.
"""

from itertools import pairwise
from typing import Any, Literal

import msgspec

Json = dict[str, Any]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    pass


class CachePoint(_Strict):
    type: Literal["default"]
    ttl: Literal["5m", "1h"] | None = None


class S3Location(_Strict):
    uri: str
    bucket_owner: str | None = None


class Source(_Strict):
    bytes: str | None = None
    s3_location: S3Location | None = None
    text: str | None = None


class Image(_Strict):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: Source


class Document(_Strict):
    name: str
    source: Source
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"] | None = None
    context: str | None = None
    citations: Json | None = None


class Media(_Strict):
    format: str
    source: Source


class ToolUse(_Strict):
    tool_use_id: str
    name: str
    input: Any


class ToolResultContent(_Strict):
    text: str | None = None
    json: Any = None
    image: Image | None = None
    document: Document | None = None


class ToolResult(_Strict):
    tool_use_id: str
    content: list[ToolResultContent]
    status: Literal["success", "error"] | None = None


class ReasoningText(_Strict):
    text: str
    signature: str | None = None


class Reasoning(_Strict):
    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class Content(_Strict):
    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    video: Media | None = None
    audio: Media | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    guard_content: Json | None = None
    cache_point: CachePoint | None = None
    reasoning_content: Reasoning | None = None


class Message(_Strict):
    role: Literal["user", "assistant"]
    content: list[Content]


class SystemContent(_Strict):
    text: str | None = None
    guard_content: Json | None = None
    cache_point: CachePoint | None = None


class InferenceConfig(_Strict):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] = []


class ToolSpec(_Strict):
    name: str
    input_schema: Json
    description: str | None = None
    strict: bool | None = None


class Tool(_Strict):
    tool_spec: ToolSpec | None = None
    cache_point: CachePoint | None = None


class ToolChoice(_Strict):
    auto: Json | None = None
    any: Json | None = None
    tool: Json | None = None


class ToolConfig(_Strict):
    tools: list[Tool]
    tool_choice: ToolChoice | None = None


class Conversation(_Strict):
    messages: list[Message] = []
    system: list[SystemContent] = []
    tool_config: ToolConfig | None = None
    additional_model_request_fields: Json | None = None


class ConverseRequest(Conversation):
    inference_config: InferenceConfig | None = None
    guardrail_config: Json | None = None
    prompt_variables: Json | None = None
    additional_model_response_field_paths: list[str] = []
    request_metadata: dict[str, str] | None = None
    performance_config: Json | None = None
    service_tier: Json | None = None
    output_config: Json | None = None


class CountInput(_Strict):
    converse: Conversation | None = None
    invoke_model: Json | None = None


class CountRequest(_Strict):
    input: CountInput


def fault(body: Any, *, counting: bool) -> str | None:
    """What is wrong with a request, in words; None where nothing is."""
    try:
        if counting:
            msgspec.convert(body, CountRequest)
            return None
        request = msgspec.convert(body, ConverseRequest)
    except msgspec.ValidationError as error:
        return f"Malformed input request: {error}, please reformat your input and try again."
    if not request.messages or request.messages[0].role != "user":
        return "A conversation must start with a user message. Try again with a conversation that starts with a user message."
    for number, message in enumerate(request.messages):
        if not message.content:
            return f"The content field in the Message object at messages.{number} is empty."
        if any(len(msgspec.to_builtins(block)) != 1 for block in message.content):
            return f"The content block at messages.{number} must have exactly one member."
    for before, after in pairwise(request.messages):
        if before.role == after.role:
            return "A conversation must alternate between user and assistant roles."
    return _tool_fault(request)


def _tool_fault(request: ConverseRequest) -> str | None:
    called: set[str] = set()
    for number, message in enumerate(request.messages):
        results = {block.tool_result.tool_use_id for block in message.content if block.tool_result is not None}
        if results != called:
            return f"Expected toolResult blocks at messages.{number}.content for the following Ids: {sorted(called)}"
        called = {block.tool_use.tool_use_id for block in message.content if block.tool_use is not None}
        if (called or results) and request.tool_config is None:
            return "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    return None
