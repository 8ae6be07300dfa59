"""OpenAI responses: requests as they are sent.

Nothing is kept between them, so what refers to an earlier one cannot be translated.

Source: https://platform.openai.com/docs/api-reference/responses/create and the types of openai-python.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

FAMILY = "openai"


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class InputText(Wire, tag_field="type", tag="input_text"):
    text: str


class OutputText(Wire, tag_field="type", tag="output_text"):
    text: str
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None


class RefusalText(Wire, tag_field="type", tag="refusal"):
    refusal: str


class Image(Wire, tag_field="type", tag="input_image"):
    image_url: str
    detail: str | None = None


class File(Wire, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


Given = InputText | Image | File
"""What users and tools give."""

Content = Given | OutputText | RefusalText


class Message(Wire, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class Call(Wire, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class Output(Wire, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[Given]
    id: str | None = None
    status: str | None = None


class Summary(Wire, tag_field="type", tag="summary_text"):
    text: str


class Thought(Wire, tag_field="type", tag="reasoning_text"):
    text: str


class Reasoning(Wire, tag_field="type", tag="reasoning"):
    id: str
    summary: list[Summary]
    content: list[Thought] | None = None
    encrypted_content: str | None = None
    status: str | None = None


Item = Message | Call | Output | Reasoning


class Tool(Wire, tag_field="type", tag="function"):
    name: str
    parameters: Raw | UnsetType = UNSET
    strict: bool | None = None
    description: str | None = None


class Named(Wire, tag_field="type", tag="function"):
    name: str


class TextFormat(Wire, tag_field="type", tag="text"):
    pass


class JsonFormat(Wire, tag_field="type", tag="json_object"):
    pass


class SchemaFormat(Wire, tag_field="type", tag="json_schema"):
    name: str
    schema: Raw
    description: str | None = None
    strict: bool | None = None


class Text(Wire):
    format: TextFormat | JsonFormat | SchemaFormat | None = None


class Effort(Wire):
    effort: str | None = None
    summary: str | None = None


class StreamOptions(Wire):
    """Padding against eavesdroppers, which only OpenAI sends."""

    include_obfuscation: bool | None = None


class Request(Wire):
    model: str
    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | Named | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    reasoning: Effort | None = None
    stream: bool | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    include: list[str] | None = None
    stream_options: StreamOptions | None = None


ENCRYPTED = "reasoning.encrypted_content"
