"""Chat completions: requests as they are sent.

Thoughts have no place in OpenAI's own format; `reasoning_content` and `reasoning_details` are those of OpenRouter, DeepSeek
and vLLM. Source: https://platform.openai.com/docs/api-reference/chat/create and https://openrouter.ai/docs (reasoning tokens).
"""

from __future__ import annotations

from typing import Literal, final

import msgspec
from msgspec import UNSET, Raw, UnsetType

FAMILY = "openai"


MAX_ID = 40
"""Characters of a tool call's id."""


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


@final
class TextPart(Wire, tag_field="type", tag="text"):
    text: str


@final
class RefusalPart(Wire, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Wire):
    url: str
    detail: str | None = None


@final
class ImagePart(Wire, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class AudioData(Wire):
    data: str
    format: str


@final
class AudioPart(Wire, tag_field="type", tag="input_audio"):
    input_audio: AudioData


class File(Wire):
    file_data: str
    filename: str | None = None


@final
class FilePart(Wire, tag_field="type", tag="file"):
    file: File


Content = TextPart | ImagePart | AudioPart | FilePart


class ReasoningDetail(msgspec.Struct, gc=False, omit_defaults=True):
    """Thoughts as OpenRouter writes them: `reasoning.text` with a signature, `reasoning.summary`, or `reasoning.encrypted`
    with data. Clients put the pieces of a stream together by *index*."""

    type: str
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    index: int | None = None
    summary: str | None = None


class Function(Wire):
    name: str
    arguments: str


class GoogleExtra(Wire):
    thought_signature: str | None = None


class Extra(Wire):
    """What Google's own server of this dialect says beside a call."""

    google: GoogleExtra | None = None


class CallPart(Wire, tag_field="type", tag="function"):
    id: str
    function: Function
    extra_content: Extra | None = None


@final
class System(Wire, tag_field="role", tag="system"):
    content: str | list[TextPart]


@final
class Developer(Wire, tag_field="role", tag="developer"):
    content: str | list[TextPart]


@final
class User(Wire, tag_field="role", tag="user"):
    content: str | list[Content]


@final
class Assistant(Wire, tag_field="role", tag="assistant"):
    content: str | list[TextPart | RefusalPart] | None = None
    tool_calls: list[CallPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    images: list[ImagePart] | None = None
    audio: None = None
    function_call: None = None


@final
class ToolMessage(Wire, tag_field="role", tag="tool"):
    content: str | list[TextPart]
    tool_call_id: str


class Definition(Wire):
    name: str
    description: str | None = None
    parameters: Raw | UnsetType = UNSET
    strict: bool | None = None


class Tool(Wire, tag_field="type", tag="function"):
    function: Definition


class Name(Wire):
    name: str


@final
class Choice(Wire, tag_field="type", tag="function"):
    function: Name


@final
class TextFormat(Wire, tag_field="type", tag="text"):
    pass


@final
class JsonFormat(Wire, tag_field="type", tag="json_object"):
    pass


class Schema(Wire):
    name: str
    description: str | None = None
    schema: Raw | UnsetType = UNSET
    strict: bool | None = None


@final
class SchemaFormat(Wire, tag_field="type", tag="json_schema"):
    json_schema: Schema


class StreamOptions(Wire):
    include_usage: bool = False


class Request(Wire):
    model: str
    messages: list[System | Developer | User | Assistant | ToolMessage]
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: int | float | None = None
    frequency_penalty: int | float | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
