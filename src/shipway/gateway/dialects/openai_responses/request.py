"""OpenAI responses: requests. Nothing is kept between them, so what refers to an earlier one cannot be translated.

Source: https://platform.openai.com/docs/api-reference/responses/create and the types of openai-python.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shipway.gateway.dialects.conversation import (
    Audio,
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
from shipway.gateway.dialects.losses import Losses, StrictReader, lose_sampling
from shipway.gateway.dialects.media import data_url, document_from, image_from, image_url
from shipway.gateway.dialects.signatures import opened_from
from shipway.gateway.refusals import Refused, bad_field

FAMILY = "openai"


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class _InputText(Wire, tag_field="type", tag="input_text"):
    text: str


class _OutputText(Wire, tag_field="type", tag="output_text"):
    text: str
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None


class _RefusalText(Wire, tag_field="type", tag="refusal"):
    refusal: str


class _Image(Wire, tag_field="type", tag="input_image"):
    image_url: str
    detail: str | None = None


class _File(Wire, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


_Content = _InputText | _OutputText | _RefusalText | _Image | _File


class _Message(Wire, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[_Content]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class _Call(Wire, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class _Output(Wire, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[_InputText | _Image | _File]
    id: str | None = None
    status: str | None = None


class _Summary(Wire, tag_field="type", tag="summary_text"):
    text: str


class _Thought(Wire, tag_field="type", tag="reasoning_text"):
    text: str


class _Reasoning(Wire, tag_field="type", tag="reasoning", omit_defaults=False):
    id: str
    summary: list[_Summary]
    content: list[_Thought] | None = None
    encrypted_content: str | None = None
    status: str | None = None


_Item = _Message | _Call | _Output | _Reasoning


class _Tool(Wire, tag_field="type", tag="function"):
    name: str
    parameters: Raw | UnsetType = UNSET
    strict: bool | None = None
    description: str | None = None


class _Named(Wire, tag_field="type", tag="function"):
    name: str


class _TextFormat(Wire, tag_field="type", tag="text"):
    pass


class _JsonFormat(Wire, tag_field="type", tag="json_object"):
    pass


class _SchemaFormat(Wire, tag_field="type", tag="json_schema"):
    name: str
    schema: Raw
    description: str | None = None
    strict: bool | None = None


class _Text(Wire):
    format: _TextFormat | _JsonFormat | _SchemaFormat | None = None


class _Effort(Wire):
    effort: str | None = None
    summary: str | None = None


class _Request(Wire):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Named | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Effort | None = None
    stream: bool | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    include: list[str] | None = None


_reader = StrictReader(
    _Request,
    neutral={
        "truncation": frozenset((b'"disabled"',)),
        "background": frozenset((b"false",)),
        "top_logprobs": frozenset((b"0",)),
        "service_tier": frozenset((b'"auto"', b'"default"')),
        "text.verbosity": frozenset((b'"medium"',)),
        "stream_options": frozenset((b"{}",)),
    },
)
_encode = msgspec.json.Encoder().encode
_decode_input = msgspec.json.Decoder(dict[str, Raw]).decode
_NAMES = {
    "max_tokens": "max_output_tokens",
    "format": "text.format",
    "thinking_effort": "reasoning.effort",
    "thinking_shown": "reasoning.summary",
    "cache": "prompt_cache_breakpoint",
}
_ENCRYPTED = "reasoning.encrypted_content"


def _with_types(body: bytes) -> bytes:
    """*body* with the type of messages that leave it out, as they may."""
    try:
        fields = _decode_input(body)
        items = msgspec.json.decode(fields.get("input", Raw(b"")), type=list[dict[str, Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if all("type" in item for item in items):
        return body
    typed = [item if "type" in item else {"type": Raw(b'"message"'), **item} for item in items]
    fields["input"] = Raw(_encode(typed))
    return _encode(fields)


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    wire = _reader.read(_with_types(body), losses)
    if any(kind != _ENCRYPTED for kind in wire.include or ()):
        losses.lose("include")
    turns: list[Turn] = []
    system: list[Text] = [] if wire.instructions is None else [Text(wire.instructions)]
    if isinstance(wire.input, str):
        turns.append(Turn("user", (Text(wire.input),), "input"))
    else:
        for index, item in enumerate(wire.input):
            _item(item, f"input[{index}]", system, turns)
    form = None if wire.text is None else wire.text.format
    return Conversation(
        wire.model,
        merged(turns),
        tuple(system),
        tuple([_tool(tool, f"tools[{index}]") for index, tool in enumerate(wire.tools or ())]),
        _tool_choice(wire.tool_choice),
        wire.parallel_tool_calls,
        Sampling(wire.max_output_tokens, wire.temperature, wire.top_p),
        _format(form),
        _thinking(wire.reasoning),
        bool(wire.stream),
        True,
        wire.user,
        wire.metadata or {},
        _NAMES,
    )


def _item(item: _Item, at: str, system: list[Text], turns: list[Turn]) -> None:
    if isinstance(item, _Call):
        turns.append(Turn("assistant", (ToolCall(item.call_id, item.name, item.arguments, at=f"{at}.arguments"),), at))
    elif isinstance(item, _Output):
        turns.append(Turn("user", (ToolResult(item.call_id, _contents(item.output, f"{at}.output"), at=at),), at))
    elif isinstance(item, _Reasoning):
        turns.append(Turn("assistant", (_thought(item, at),), at))
    else:
        parts = _contents(item.content, f"{at}.content")
        if item.role in ("user", "assistant"):
            turns.append(Turn("user" if item.role == "user" else "assistant", parts, at))
        elif turns:
            turns.append(Turn("system", parts, at))
        else:
            system.extend(part for part in parts if isinstance(part, Text))


def _contents(content: str | list[_Content] | list[_InputText | _Image | _File], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(part, f"{at}[{index}]") for index, part in enumerate(content)])


def _part(part: _Content, at: str) -> Part:
    if isinstance(part, _InputText | _OutputText):
        return Text(part.text)
    if isinstance(part, _RefusalText):
        return Text(part.refusal)
    if isinstance(part, _Image):
        return image_from(part.image_url, part.detail, at)
    if part.file_data is None and part.file_url is None:
        raise Refused(bad_field(f"{at}.file_data", f"The field '{at}.file_data' is missing."))
    return document_from(part.file_data or part.file_url or "", part.filename, at)


def _thought(item: _Reasoning, at: str) -> Reasoning:
    text = "".join([one.text for one in item.content or item.summary])
    if item.encrypted_content is None:
        return Reasoning(text, at=at)
    proof, origin = opened_from(FAMILY, item.encrypted_content)
    return Reasoning(text, proof, origin=origin, at=at)


def _tool(tool: _Tool, at: str) -> Tool:
    parameters = tool.parameters
    schema = None if isinstance(parameters, UnsetType) or bytes(parameters) == b"null" else bytes(parameters).decode()
    return Tool(tool.name, tool.description, schema, tool.strict, at=at)


def _tool_choice(choice: str | _Named | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, _Named):
        return ToolChoice("named", choice.name)
    return ToolChoice(choice)  # type: ignore[arg-type]  # the wire type lets nothing else through


def _format(form: _TextFormat | _JsonFormat | _SchemaFormat | None) -> Format | None:
    if isinstance(form, _SchemaFormat):
        return Format(bytes(form.schema).decode(), form.name, form.description, form.strict)
    return Format() if isinstance(form, _JsonFormat) else None


def _thinking(reasoning: _Effort | None) -> Thinking:
    if reasoning is None:
        return Thinking()
    shown = None if reasoning.summary is None else True
    return Thinking(budget=0, shown=shown) if reasoning.effort == "none" else Thinking(reasoning.effort, shown=shown)


def write_request(conversation: Conversation, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    lose_sampling(conversation, losses, "top_k", "stop", "seed", "presence_penalty", "frequency_penalty")
    thinking = conversation.thinking
    if thinking.budget not in (None, 0, -1):
        losses.lose(conversation.name("thinking_budget"))
    items: list[_Item] = []
    for turn in conversation.turns:
        _write_turn(turn, conversation, losses, items)
    for text in conversation.system:
        _lose_cache(text, conversation, losses)
    first: list[_Item] = []
    instructions = conversation.system[0].text if len(conversation.system) == 1 else None
    if len(conversation.system) > 1:
        first = [_Message("system", [_InputText(text.text) for text in conversation.system])]
    effort = "none" if thinking.budget == 0 else thinking.effort
    summary = "auto" if thinking.shown else None
    sampling = conversation.sampling
    form = _written_format(conversation.format)
    request = _Request(
        model,
        first + items,
        instructions,
        sampling.max_tokens,
        sampling.temperature,
        sampling.top_p,
        [_written_tool(tool, conversation, losses) for tool in conversation.tools] or None,
        _written_choice(conversation.tool_choice),
        conversation.parallel_tool_calls,
        None if form is None else _Text(form),
        _Effort(effort, summary) if effort is not None or summary is not None else None,
        conversation.stream or None,
        conversation.user,
        dict(conversation.metadata) or None,
        False,
        [_ENCRYPTED] if effort not in (None, "none") else None,
    )
    return _encode(request)


def _lose_cache(part: Part | Tool, conversation: Conversation, losses: Losses) -> None:
    if not isinstance(part, Audio | Reasoning) and part.cache is not None:
        losses.lose(f"{part.at}.{conversation.name('cache')}")


def _write_turn(turn: Turn, conversation: Conversation, losses: Losses, items: list[_Item]) -> None:
    """Items in the order of the turn's parts; text and images that stand together are one message."""
    content: list[_Content] = []
    for part in turn.parts:
        _lose_cache(part, conversation, losses)
        item = _written_item(part, len(items), losses)
        if item is not None:
            if content:
                items.append(_Message(turn.role, content))
                content = []
            items.append(item)
        elif not isinstance(part, ToolCall | ToolResult | Reasoning):
            written = _written_content(part, turn.role, losses)
            if written is not None:
                content.append(written)
    if content:
        items.append(_Message(turn.role, content))


def _written_item(part: Part, index: int, losses: Losses) -> _Item | None:
    if isinstance(part, ToolCall):
        return _Call(part.id, part.name, part.arguments)
    if isinstance(part, ToolResult):
        if part.is_error:
            losses.lose(f"{part.at}.is_error")
        return _Output(part.call_id, _written_output(part, losses))
    if isinstance(part, Reasoning):
        if part.origin != FAMILY or (part.signature is None and part.sealed is None):
            losses.note(part.at)
            return None
        summary = [_Summary(part.text)] if part.text else []
        return _Reasoning(f"rs_{index}", summary, None, part.signature or part.sealed)
    return None


def _written_output(result: ToolResult, losses: Losses) -> str | list[_InputText | _Image | _File]:
    if len(result.parts) == 1 and isinstance(result.parts[0], Text):
        return result.parts[0].text
    written = [one for part in result.parts if (one := _written_content(part, "user", losses)) is not None]
    return written  # type: ignore[return-value]  # of a user's content, none is an output


def _written_content(part: Part, role: str, losses: Losses) -> _Content | None:
    if isinstance(part, Text):
        return _OutputText(part.text) if role == "assistant" else _InputText(part.text)
    if isinstance(part, Image):
        return _Image(image_url(part), part.detail or "auto")
    if isinstance(part, Document) and part.text is None:
        for field, value in (("citations", part.cited or None), ("context", part.context)):
            if value is not None:
                losses.lose(f"{part.at}.{field}")
        if part.data is not None:
            return _File(data_url(part.media_type, part.data), None, part.title)
        return _File(None, part.url, part.title)
    losses.lose(part.at)
    return None


def _written_tool(tool: Tool, conversation: Conversation, losses: Losses) -> _Tool:
    _lose_cache(tool, conversation, losses)
    schema = (tool.schema or '{"type":"object","properties":{}}').encode()
    return _Tool(tool.name, Raw(schema), bool(tool.strict), tool.description)


def _written_choice(choice: ToolChoice | None) -> Literal["none", "auto", "required"] | _Named | None:
    if choice is None:
        return None
    return _Named(choice.name or "") if choice.mode == "named" else choice.mode


def _written_format(form: Format | None) -> _JsonFormat | _SchemaFormat | None:
    if form is None:
        return None
    if form.schema is None:
        return _JsonFormat()
    return _SchemaFormat(form.name or "answer", Raw(form.schema.encode()), form.description, form.strict)
