"""What OpenAI's chat completions accept, for a fake that is to be as strict as OpenAI itself (others are not).

Source: https://platform.openai.com/docs/api-reference/chat/create and the parameter types of the official SDK.
"""

from typing import Any, Literal

import msgspec

Json = dict[str, Any]


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Text(_Strict, tag="text"):
    text: str
    prompt_cache_breakpoint: Json | None = None


class ImageUrl(_Strict):
    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class Image(_Strict, tag="image_url"):
    image_url: ImageUrl
    prompt_cache_breakpoint: Json | None = None


class Sound(_Strict):
    data: str
    format: Literal["wav", "mp3"]


class Audio(_Strict, tag="input_audio"):
    input_audio: Sound
    prompt_cache_breakpoint: Json | None = None


class FileContent(_Strict):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class File(_Strict, tag="file"):
    file: FileContent
    prompt_cache_breakpoint: Json | None = None


class RefusalPart(_Strict, tag="refusal"):
    refusal: str


class Function(_Strict):
    name: str
    arguments: str


class FunctionCall(_Strict):
    id: str
    type: Literal["function"]
    function: Function


class _Message(_Strict, tag_field="role"):
    pass


class System(_Message, tag="system"):
    content: str | list[Text]
    name: str | None = None


class Developer(_Message, tag="developer"):
    content: str | list[Text]
    name: str | None = None


class User(_Message, tag="user"):
    content: str | list[Text | Image | Audio | File]
    name: str | None = None


class Assistant(_Message, tag="assistant"):
    content: str | list[Text | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[FunctionCall] = []
    name: str | None = None
    audio: Json | None = None


class Tool(_Message, tag="tool"):
    content: str | list[Text]
    tool_call_id: str


class FunctionDefinition(_Strict):
    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class ToolDefinition(_Strict):
    type: Literal["function"]
    function: FunctionDefinition


class JsonSchema(_Strict):
    name: str
    schema: Json | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = True


class ChatRequest(_Strict):
    model: str
    messages: list[System | Developer | User | Assistant | Tool]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[ToolDefinition] = []
    tool_choice: Literal["none", "auto", "required"] | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: Json | None = None
    prediction: Json | None = None
    moderation: Json | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Json | None = None
    prompt_cache_retention: str | None = None
    web_search_options: Json | None = None


def fault(body: Any) -> str | None:
    """What is wrong with a request, in words; None where nothing is."""
    try:
        request = msgspec.convert(body, ChatRequest)
    except msgspec.ValidationError as error:
        return str(error)
    if not request.messages:
        return "Invalid 'messages': empty array. Expected an array with minimum length 1."
    if request.stream_options is not None and not request.stream:
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if request.stop is not None and len(request.stop) > 4 and isinstance(request.stop, list):
        return "Invalid 'stop': array too long. Expected an array with maximum length 4."
    texts = [message.content for message in request.messages if isinstance(message.content, str)]
    if request.response_format is not None and request.response_format.type == "json_object":
        parts = [part.text for m in request.messages for part in (m.content or ()) if isinstance(part, Text)]
        if not any("json" in text.lower() for text in (*texts, *parts)):
            return (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
            )
    return _tool_fault(request.messages)


def _tool_fault(messages: list[System | Developer | User | Assistant | Tool]) -> str | None:
    """Results follow their calls at once, all of them, and nowhere else."""
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        if isinstance(message, Tool):
            if message.tool_call_id not in open_calls:
                return f"messages.[{number}].role: 'tool' must be a response to a preceding message with 'tool_calls'."
            open_calls.discard(message.tool_call_id)
        elif open_calls:
            return f"An assistant message with 'tool_calls' must be followed by tool messages: {', '.join(sorted(open_calls))}"
        elif isinstance(message, Assistant):
            open_calls = {call.id for call in message.tool_calls}
            if message.content is None and not open_calls and message.refusal is None and message.audio is None:
                return f"Invalid value for 'content' at messages.[{number}]: expected a string, got null."
    return f"Nothing answers the tool calls {', '.join(sorted(open_calls))}" if open_calls else None
