"""OpenAI responses: what a request says."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, UnsetType

from shipway.gateway.dialects.conversation import (
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
from shipway.gateway.dialects.openai_responses import wire
from shipway.gateway.dialects.openai_responses.answer import opened
from shipway.gateway.refusals import Refused, bad_field
from shipway.gateway.undecodable import UNDECODABLE

_reader = StrictReader(
    wire.Request,
    neutral={
        "truncation": frozenset((b'"disabled"',)),
        "background": frozenset((b"false",)),
        "top_logprobs": frozenset((b"0",)),
        "service_tier": frozenset((b'"auto"', b'"default"')),
        "text.verbosity": frozenset((b'"medium"',)),
        "input[].caller": frozenset((b'{"type":"direct"}',)),
    },
    aside=frozenset(("input[].content[].parsed", "input[].parsed_arguments")),
)
_encode = msgspec.json.Encoder().encode
_decode_input = msgspec.json.Decoder(dict[str, Raw]).decode
_NAMES = {
    "max_tokens": "max_output_tokens",
    "format": "text.format",
    "thinking_effort": "reasoning.effort",
    "thinking_shown": "reasoning.summary",
    "thinking_off": "reasoning.effort",
    "format_description": "text.format.description",
    "title": "filename",
    "cache": "prompt_cache_breakpoint",
}


def _with_types(body: bytes) -> bytes:
    """*body* with the type of messages that leave it out, as they may."""
    try:
        fields = _decode_input(body)
        items = msgspec.json.decode(fields.get("input", Raw(b"")), type=list[dict[str, Raw]])
    except UNDECODABLE:
        return body
    if all("type" in item for item in items):
        return body
    typed = [item if "type" in item else {"type": Raw(b'"message"'), **item} for item in items]
    fields["input"] = Raw(_encode(typed))
    return _encode(fields)


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused."""
    sent = _reader.read(_with_types(body), losses)
    if any(kind != wire.ENCRYPTED for kind in sent.include or ()):
        losses.lose("include")
    if sent.store:
        losses.lose("store")
    if sent.reasoning is not None and sent.reasoning.summary == "concise":  # of how long it is nobody else is told
        losses.lose("reasoning.summary")
    turns: list[Turn] = []
    system: list[Text] = [] if sent.instructions is None else [Text(sent.instructions)]
    if isinstance(sent.input, str):
        turns.append(Turn("user", (Text(sent.input),), "input"))
    else:
        for index, item in enumerate(sent.input):
            _item(item, f"input[{index}]", system, turns, losses)
            _note_aside(item, f"input[{index}]", losses)
    form = None if sent.text is None else sent.text.format
    return Conversation(
        sent.model,
        merged(turns),
        tuple(system),
        tuple([_tool(tool, f"tools[{index}]") for index, tool in enumerate(sent.tools or ())]),
        _tool_choice(sent.tool_choice),
        sent.parallel_tool_calls,
        Sampling(sent.max_output_tokens, sent.temperature, sent.top_p),
        _format(form),
        _thinking(sent.reasoning),
        bool(sent.stream),
        True,
        sent.user,
        sent.metadata or {},
        _NAMES,
    )


def _item(item: wire.Item, at: str, system: list[Text], turns: list[Turn], losses: Losses) -> None:
    if isinstance(item, wire.Call):
        turns.append(Turn("assistant", (ToolCall(item.call_id, item.name, item.arguments, at=f"{at}.arguments"),), at))
    elif isinstance(item, wire.Output):
        turns.append(Turn("user", (ToolResult(item.call_id, _contents(item.output, f"{at}.output"), at=at),), at))
    elif isinstance(item, wire.Reasoning):
        turns.append(Turn("assistant", (_thought(item, at),), at))
    else:
        parts = _contents(item.content, f"{at}.content")
        if item.role in ("user", "assistant"):
            turns.append(Turn("user" if item.role == "user" else "assistant", parts, at))
        elif turns:
            turns.append(Turn("system", parts, at))
        else:
            for part in parts:
                if isinstance(part, Text):
                    system.append(part)
                else:
                    losses.lose(part.at)


def _note_aside(item: wire.Item, at: str, losses: Losses) -> None:
    """What an earlier answer says beside its text says something to the model that wrote it, if to anyone."""
    if not isinstance(item, wire.Message):
        return
    if item.phase is not None:
        losses.note(f"{at}.phase")
    if isinstance(item.content, str):
        return
    for index, part in enumerate(item.content):
        if isinstance(part, wire.OutputText):
            if part.annotations:
                losses.note(f"{at}.content[{index}].annotations")
            if part.logprobs:
                losses.note(f"{at}.content[{index}].logprobs")


def _contents(content: str | list[wire.Content] | list[wire.Given], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(part, f"{at}[{index}]") for index, part in enumerate(content)])


def _part(part: wire.Content, at: str) -> Part:
    if isinstance(part, wire.InputText | wire.OutputText):
        return Text(part.text)
    if isinstance(part, wire.RefusalText):
        return Text(part.refusal)
    if isinstance(part, wire.Image):
        return image_from(part.image_url, part.detail, at)
    if part.file_data is None and part.file_url is None:
        raise Refused(bad_field(f"{at}.file_data", f"The field '{at}.file_data' is missing."))
    if part.file_data is not None and part.file_url is not None:
        raise Refused(bad_field(f"{at}.file_url", f"The field '{at}.file_url' says the file a second time."))
    return document_from(part.file_data or part.file_url or "", part.filename, at)


def _thought(item: wire.Reasoning, at: str) -> Reasoning:
    text = "".join([one.text for one in item.content or item.summary])
    if item.encrypted_content is None:
        return Reasoning(text, at=at)
    return opened(text, item.encrypted_content, at)


def _tool(tool: wire.Tool, at: str) -> Tool:
    parameters = tool.parameters
    schema = None if isinstance(parameters, UnsetType) or bytes(parameters) == b"null" else bytes(parameters).decode()
    return Tool(tool.name, tool.description, schema, tool.strict, at=at)


def _tool_choice(choice: Literal["auto", "none", "required"] | wire.Named | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, wire.Named):
        return ToolChoice("named", choice.name)
    return ToolChoice(choice)


def _format(form: wire.TextFormat | wire.JsonFormat | wire.SchemaFormat | None) -> Format | None:
    if isinstance(form, wire.SchemaFormat):
        return Format(bytes(form.schema).decode(), form.name, form.description, form.strict)
    return Format() if isinstance(form, wire.JsonFormat) else None


def _thinking(reasoning: wire.Effort | None) -> Thinking:
    if reasoning is None:
        return Thinking()
    shown = None if reasoning.summary is None else True
    return Thinking(budget=0, shown=shown) if reasoning.effort == "none" else Thinking(reasoning.effort, shown=shown)
