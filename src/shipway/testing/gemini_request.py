"""What Google's Gemini API accepts, as far as the fake knows it: a field that is not here is refused, as there.

Source: https://ai.google.dev/api/generate-content and the request converters of the official SDK.
"""

import re
from itertools import pairwise
from typing import Any, Literal

import msgspec

Json = dict[str, Any]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    pass


class Blob(_Strict):
    mime_type: str
    data: str
    display_name: str | None = None


class FileData(_Strict):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(_Strict):
    name: str
    args: Json = {}
    id: str | None = None


class FunctionResponse(_Strict):
    name: str
    response: Json
    id: str | None = None
    parts: list[Json] = []


class Part(_Strict):
    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought: bool = False
    thought_signature: str | None = None


class Content(_Strict):
    parts: list[Part]
    role: Literal["user", "model"] | None = None


class FunctionDeclaration(_Strict):
    name: str
    description: str = ""
    parameters: Json | None = None
    parameters_json_schema: Json | None = None
    response: Json | None = None
    behavior: str | None = None


class Tool(_Strict):
    function_declarations: list[FunctionDeclaration] = []
    google_search: Json | None = None
    code_execution: Json | None = None
    url_context: Json | None = None


class FunctionCallingConfig(_Strict):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] = []


class ToolConfig(_Strict):
    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(_Strict):
    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(_Strict):
    stop_sequences: list[str] = []
    response_mime_type: str | None = None
    response_schema: Json | None = None
    response_json_schema: Json | None = None
    response_modalities: list[str] = []
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    media_resolution: str | None = None
    speech_config: Json | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateContentRequest(_Strict):
    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Tool] = []
    tool_config: ToolConfig | None = None
    safety_settings: list[Json] = []
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None
    model: str | None = None


class CountTokensRequest(_Strict):
    contents: list[Content] = []
    generate_content_request: GenerateContentRequest | None = None


_SCHEMAS_CLASH = "parameters and parameters_json_schema are mutually exclusive"


_OPAQUE = frozenset({"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"})
"""Fields whose content is the user's own."""


def camel(body: Any) -> Any:
    """*body* with its fields in camel case. Gemini reads both spellings, as protocol buffers do; its client mixes them."""
    if isinstance(body, list):
        return [camel(one) for one in body]
    if not isinstance(body, dict):
        return body
    named = {re.sub(r"_([a-z])", lambda match: match[1].upper(), name): value for name, value in body.items()}
    return {name: value if name in _OPAQUE else camel(value) for name, value in named.items()}


def fault(body: Any, *, counting: bool) -> str | None:
    """What is wrong with a request, given in camel case, in words; None where nothing is."""
    try:
        if counting:
            msgspec.convert(body, CountTokensRequest)
            return None
        request = msgspec.convert(body, GenerateContentRequest)
    except msgspec.ValidationError as error:
        return f"Invalid JSON payload received. {error}"
    if not request.contents:
        return "* GenerateContentRequest.contents: contents is not specified"
    for number, content in enumerate(request.contents):
        if not content.parts:
            return f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty."
        for part in content.parts:
            if len(msgspec.to_builtins(part).keys() - {"thought", "thoughtSignature"}) != 1:
                return f"* GenerateContentRequest.contents[{number}].parts: required oneof field 'data' must have one value"
    declared = [one for tool in request.tools for one in tool.function_declarations]
    if any(one.parameters is not None and one.parameters_json_schema is not None for one in declared):
        return _SCHEMAS_CLASH
    return _call_fault(request.contents)


def _call_fault(contents: list[Content]) -> str | None:
    """As many responses follow a turn with calls as it has calls."""
    for call_turn, response_turn in pairwise(contents):
        calls = sum(part.function_call is not None for part in call_turn.parts)
        responses = sum(part.function_response is not None for part in response_turn.parts)
        if responses != calls:
            return (
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn."
            )
    return None
