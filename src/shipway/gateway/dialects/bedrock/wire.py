"""Bedrock Converse: requests as they are sent.

The model and whether a stream is wanted are in the address, not in the body.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and botocore's service model.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

FAMILY = "anthropic"
"""Thoughts are signed by Anthropic's models alone, and those of its own API are as good."""


MAX_ID = 64
"""Characters of a tool call's id."""


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class S3(Wire):
    uri: str


class Source(Wire):
    bytes: str | None = None
    s3Location: S3 | None = None
    text: str | None = None


class Image(Wire):
    format: str
    source: Source


class Citations(Wire):
    enabled: bool


class Document(Wire):
    name: str
    source: Source
    format: str | None = None
    context: str | None = None
    citations: Citations | None = None


class ToolUse(Wire):
    toolUseId: str
    name: str
    input: Raw


class ReasoningText(Wire):
    text: str
    signature: str | None = None


class Reasoning(Wire):
    reasoningText: ReasoningText | None = None
    redactedContent: str | None = None


class CachePoint(Wire):
    type: str
    ttl: str | None = None


class ResultBlock(Wire):
    text: str | None = None
    json: Raw | None = None
    image: Image | None = None
    document: Document | None = None


class ToolResult(Wire):
    toolUseId: str
    content: list[ResultBlock]
    status: Literal["success", "error"] | None = None


class Block(Wire):
    """Exactly one field is there."""

    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    audio: Image | None = None
    toolUse: ToolUse | None = None
    toolResult: ToolResult | None = None
    reasoningContent: Reasoning | None = None
    cachePoint: CachePoint | None = None


class Message(Wire):
    role: Literal["user", "assistant", "system"]
    content: list[Block]


class System(Wire):
    text: str | None = None
    cachePoint: CachePoint | None = None


class Inference(Wire):
    maxTokens: int | None = None
    temperature: int | float | None = None
    topP: int | float | None = None
    stopSequences: list[str] | None = None


class Schema(Wire):
    json: Raw


class ToolSpec(Wire):
    name: str
    inputSchema: Schema
    description: str | None = None
    strict: bool | None = None


class Tool(Wire):
    toolSpec: ToolSpec | None = None
    cachePoint: CachePoint | None = None


class Nothing(Wire):
    pass


class Named(Wire):
    name: str


class Choice(Wire):
    auto: Nothing | None = None
    any: Nothing | None = None
    tool: Named | None = None


class ToolConfig(Wire):
    tools: list[Tool]
    toolChoice: Choice | None = None


class JsonSchema(Wire):
    schema: str
    name: str | None = None
    description: str | None = None


class Structure(Wire):
    jsonSchema: JsonSchema


class TextFormat(Wire):
    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(Wire):
    textFormat: TextFormat | None = None
    effort: str | None = None


class ModelThinking(Wire):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class ModelInference(Wire):
    topK: int


class ModelFields(Wire):
    """What is not the same for all models: Anthropic's `top_k` and `thinking`, Amazon's `topK`."""

    top_k: int | None = None
    thinking: ModelThinking | None = None
    inferenceConfig: ModelInference | None = None


class Request(Wire):
    messages: list[Message]
    system: list[System] | None = None
    inferenceConfig: Inference | None = None
    toolConfig: ToolConfig | None = None
    outputConfig: OutputConfig | None = None
    requestMetadata: dict[str, str] | None = None
    additionalModelRequestFields: ModelFields | None = None


NO_NAME = "document"
