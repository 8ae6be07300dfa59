"""Chat completions: what a request says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import UnsetType

from shipway.gateway.dialects.conversation import (
    NO_THINKING,
    Audio,
    Conversation,
    Format,
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
from shipway.gateway.dialects.media import document_from, image_from
from shipway.gateway.dialects.openai_chat import wire
from shipway.gateway.dialects.signatures import opened_from
from shipway.gateway.refusals import Refused, bad_field

_reader = StrictReader(
    wire.Request,
    neutral={
        "n": frozenset((b"1",)),
        "logprobs": frozenset((b"false",)),
        "store": frozenset((b"false",)),
        "logit_bias": frozenset((b"{}",)),
        "modalities": frozenset((b'["text"]',)),
        "service_tier": frozenset((b'"auto"', b'"default"')),
        "verbosity": frozenset((b'"medium"',)),
        "messages[].annotations": frozenset((b"[]",)),
        "stream_options.include_obfuscation": frozenset((b"true", b"false")),
    },
    aside=frozenset(
        (
            "messages[].annotations",
            "messages[].parsed",
            "messages[].tool_calls[].index",
            "messages[].tool_calls[].function.parsed_arguments",
        )
    ),
)
_NAMES = {
    "max_tokens": "max_completion_tokens",
    "format": "response_format",
    "thinking_effort": "reasoning_effort",
    "format_description": "response_format.json_schema.description",
    "title": "filename",
    "cache": "prompt_cache_breakpoint",
}


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    sent = _reader.read(body, losses)
    system: list[Text] = []
    turns: list[Turn] = []
    for index, message in enumerate(sent.messages):
        at = f"messages[{index}]"
        if type(message) is wire.User:
            turns.append(Turn("user", _user_parts(message.content, at), at))
        elif type(message) is wire.Assistant:
            turns.append(Turn("assistant", _assistant_parts(message, at), at))
        elif type(message) is wire.ToolMessage:
            turns.append(Turn("user", (ToolResult(message.tool_call_id, _texts(message.content), at=at),), at))
        elif turns:
            turns.append(Turn("system", _texts(message.content), at))
        else:
            system.extend(_texts(message.content))
    if sent.max_tokens is not None and sent.max_completion_tokens not in (None, sent.max_tokens):
        raise Refused(bad_field("max_tokens", "'max_tokens' and 'max_completion_tokens' differ."))
    return Conversation(
        sent.model,
        merged(turns),
        tuple(system),
        tuple([_tool(tool, f"tools[{index}].function") for index, tool in enumerate(sent.tools or ())]),
        _tool_choice(sent.tool_choice),
        sent.parallel_tool_calls,
        Sampling(
            sent.max_tokens if sent.max_completion_tokens is None else sent.max_completion_tokens,
            sent.temperature,
            sent.top_p,
            None,
            (sent.stop,) if isinstance(sent.stop, str) else tuple(sent.stop or ()),
            sent.seed,
            sent.presence_penalty,
            sent.frequency_penalty,
        ),
        _format(sent.response_format),
        _thinking(sent.reasoning_effort),
        bool(sent.stream),
        sent.stream_options is not None and sent.stream_options.include_usage,
        sent.user,
        sent.metadata or {},
        _NAMES,
    )


def _thinking(effort: str | None) -> Thinking:
    if effort is None:
        return NO_THINKING
    return Thinking(budget=0) if effort == "none" else Thinking(effort)


def _texts(content: str | list[wire.TextPart]) -> tuple[Text, ...]:
    return (Text(content),) if isinstance(content, str) else tuple([Text(part.text) for part in content])


def _user_parts(content: str | list[wire.Content], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(part, f"{at}.content[{index}]") for index, part in enumerate(content)])


def _part(part: wire.Content, at: str) -> Part:
    if type(part) is wire.TextPart:
        return Text(part.text)
    if type(part) is wire.ImagePart:
        return image_from(part.image_url.url, part.image_url.detail, f"{at}.image_url")
    if type(part) is wire.AudioPart:
        return Audio(part.input_audio.format, part.input_audio.data, f"{at}.input_audio")
    return document_from(part.file.file_data, part.file.filename, f"{at}.file")


def _assistant_parts(message: wire.Assistant, at: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    if message.reasoning_content or message.reasoning_details:
        parts.extend(thoughts(message.reasoning_content, message.reasoning_details, at))
    content = message.content
    if isinstance(content, str):
        if content:
            parts.append(Text(content))
    elif content:
        parts.extend(Text(part.text if type(part) is wire.TextPart else part.refusal) for part in content)
    if message.refusal:
        parts.append(Text(message.refusal))
    if message.images:
        parts.extend(_part(image, f"{at}.images[{index}]") for index, image in enumerate(message.images))
    for index, call in enumerate(message.tool_calls or ()):
        place = f"{at}.tool_calls[{index}].function.arguments"
        proof = signed_by_google(call.extra_content)
        if proof is not None and not any(type(part) is Reasoning and part.signature == proof for part in parts):
            parts.append(Reasoning("", proof, origin="gemini", at=f"{at}.tool_calls[{index}].extra_content"))
        parts.append(ToolCall(call.id, call.function.name, call.function.arguments, at=place))
    return tuple(parts)


def signed_by_google(extra: wire.Extra | None) -> str | None:
    """The proof of the thoughts that led to a call, for clients that send back calls alone."""
    return extra.google.thought_signature if extra is not None and extra.google is not None else None


def thoughts(content: str | None, details: list[wire.ReasoningDetail] | None, at: str = "") -> Iterable[Reasoning]:
    """Raises nothing: details of a kind that is not known are left to their text."""
    if not details:
        if content:
            yield Reasoning(content, at=f"{at}.reasoning_content")
        return
    # Streams may say the text only once, beside the details.
    apart = None if any(detail.text or detail.summary for detail in details) else content
    for index, detail in enumerate(details):
        place = f"{at}.reasoning_details[{index}]"
        if detail.data is not None:
            data, origin = opened_from(wire.FAMILY, detail.data)
            yield Reasoning(sealed=data, origin=origin, at=place)
        elif detail.signature is not None:
            signature, origin = opened_from(wire.FAMILY, detail.signature)
            yield Reasoning(detail.text or apart or "", signature, origin=origin, at=place)
            apart = None
        elif text := detail.text or detail.summary:
            yield Reasoning(text, at=place)


def _tool(tool: wire.Tool, at: str) -> Tool:
    function = tool.function
    parameters = function.parameters
    schema = "null" if isinstance(parameters, UnsetType) else bytes(parameters).decode()
    return Tool(function.name, function.description, None if schema == "null" else schema, function.strict, at=at)


def _tool_choice(choice: Literal["auto", "none", "required"] | wire.Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if type(choice) is wire.Choice:
        return ToolChoice("named", choice.function.name)
    return ToolChoice(choice)


def _format(sent: wire.TextFormat | wire.JsonFormat | wire.SchemaFormat | None) -> Format | None:
    if type(sent) is wire.JsonFormat:
        return Format()
    if type(sent) is wire.SchemaFormat:
        schema = sent.json_schema
        text = "{}" if isinstance(schema.schema, UnsetType) else bytes(schema.schema).decode()
        return Format(text, schema.name, schema.description, schema.strict)
    return None
