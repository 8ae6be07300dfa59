"""What the fakes say is what the gateway's dialects read, to the last token; what dialects write the fakes accept.

The two were written apart, so a mistake in either shows here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from shipway.gateway.dialects.conversation import Citation, Reasoning, ToolCall
from shipway.gateway.dialects.events import Answer, Ended, fold
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.usage import TokenUsage
from shipway.testing import (
    anthropic_request,
    anthropic_wire,
    bedrock_request,
    bedrock_wire,
    gemini_request,
    gemini_wire,
    openai_request,
    openai_responses,
    openai_wire,
    script,
)
from shipway.testing.said import Said, said, told_apart, with_ids
from tests.integration.sdks.questions import ARGUMENTS, CITATIONS, PIXEL, SCHEMA


@dataclass(frozen=True)
class Wire:
    """A dialect as its fake speaks it: a whole answer, a stream, what is wrong with a request, the classes of usage."""

    whole: Callable[[Said], Any]
    stream: Callable[[Said], bytes]
    fault: Callable[[Any], str | None]
    classes: tuple[str, ...]


DONE = openai_wire.event("[DONE]")
CHAT: Mapping[str, Any] = {"model": "m", "stream_options": {"include_usage": True}}
WIRES = {
    "openai_chat": Wire(
        lambda heard: openai_wire.chat_completion(CHAT, heard),
        lambda heard: b"".join(map(openai_wire.event, openai_wire.chat_chunks(CHAT, heard))) + DONE,
        openai_request.fault,
        ("cache_read", "cache_write", "audio_input", "image_input", "reasoning", "audio_output"),
    ),
    "openai_responses": Wire(
        lambda heard: openai_responses.response(CHAT, heard),
        lambda heard: b"".join(map(openai_responses.framed, openai_responses.events(CHAT, heard))),
        lambda body: None,
        ("cache_read", "cache_write", "reasoning"),
    ),
    "anthropic": Wire(
        lambda heard: anthropic_wire.message(CHAT, heard),
        lambda heard: b"".join(event.data for event in anthropic_wire.events(CHAT, heard)),
        lambda body: anthropic_request.fault(body, anthropic_request.VERSIONS[0], counting=False),
        ("cache_read", "cache_write", "reasoning"),
    ),
    "bedrock": Wire(
        bedrock_wire.response,
        lambda heard: b"".join(event.data for event in bedrock_wire.events(heard)),
        lambda body: bedrock_request.fault(body, counting=False),
        ("cache_read", "cache_write"),
    ),
    "gemini": Wire(
        lambda heard: gemini_wire.response(CHAT, heard, "m"),
        lambda heard: b"".join(event.data for event in gemini_wire.as_events(gemini_wire.chunks(CHAT, heard, "m"))),
        lambda body: gemini_request.fault(body, counting=False),
        ("cache_read", "audio_input", "image_input", "reasoning", "audio_output", "image_output"),
    ),
}
NAMES = {
    "cache_read": "cached_read",
    "cache_write": "cached_write",
    "audio_input": "input_audio",
    "image_input": "input_image",
    "audio_output": "output_audio",
    "image_output": "output_image",
}
USAGE = script.Usage(
    input=101, cache_read=31, cache_write=17, audio_input=7, image_input=5, output=53, reasoning=13, audio_output=3
)

every_dialect = pytest.mark.parametrize("name", DIALECTS)
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def heard(name: str, reply: script.Reply, **limits: Any) -> Said:
    return told_apart(with_ids(said(reply, "a b c", **limits), "id_"), *WIRES[name].classes)


def read(name: str, what: Said, stream: bool) -> Answer:
    """What the gateway makes of it."""
    dialect = open_dialect(name)
    if not stream:
        return dialect.read_answer(json.dumps(WIRES[name].whole(what)).encode())
    framing, parser = dialect.framing(), dialect.stream_parser()
    events = [event for kind, data in framing.feed(WIRES[name].stream(what)) for event in parser.read(kind, data)]
    if Ended() not in events:
        events += parser.end()
    assert framing.whole
    assert Ended() in events
    return fold(events)


def counts(usage: TokenUsage | script.Usage) -> dict[str, int]:
    """The classes that are not empty, by the gateway's names."""
    named = (
        msgspec.structs.asdict(usage)
        if isinstance(usage, TokenUsage)
        else {NAMES.get(name, name): getattr(usage, name) for name in script.Usage.__dataclass_fields__}
    )
    return {name: count for name, count in named.items() if count}


@both
@every_dialect
def test_every_class_of_usage_is_read_as_it_was_served(name: str, stream: bool) -> None:
    served = heard(name, script.Reply(usage=USAGE))
    assert counts(read(name, served, stream).usage) == counts(served.usage)
    assert served.usage.total == USAGE.total


@both
@every_dialect
def test_text_reasoning_and_tools_are_read(name: str, stream: bool) -> None:
    calls = [script.ToolCall("weather", ARGUMENTS), script.ToolCall("weather", "{}", "mine")]
    answer = read(name, heard(name, script.Reply(text="One two.", reasoning="Hm, well.", tool_calls=calls)), stream)
    assert answer.text() == "One two."
    assert [part.text for part in answer.parts if isinstance(part, Reasoning) and part.text] == ["Hm, well."]
    called = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert [(one.id, one.name, json.loads(one.arguments)) for one in called] == [
        ("id_1", "weather", json.loads(ARGUMENTS)),
        ("mine", "weather", {}),
    ]
    assert answer.stop == "tool_calls"


@both
@pytest.mark.parametrize("name", DIALECTS)
def test_citations_are_read(name: str, stream: bool) -> None:
    answer = read(name, heard(name, script.Reply(citations=CITATIONS)), stream)
    cited = [part for part in answer.parts if isinstance(part, Citation)]
    assert [(one.url, one.title) for one in cited] == [(one.url, one.title) for one in CITATIONS]


@both
@every_dialect
@pytest.mark.parametrize(("reason", "expected"), [("length", "length"), ("content_filter", "content_filter")])
def test_reasons_to_stop_are_read(name: str, reason: str, expected: str, stream: bool) -> None:
    answer = read(name, heard(name, script.Reply(finish_reason=reason)), stream)
    assert answer.stop in ({expected, "refusal"} if name == "anthropic" else {expected})


@every_dialect
def test_a_rich_conversation_is_accepted_by_every_fake(name: str) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief. Answer in JSON."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
            {"role": "assistant", "content": "I'll look.", "tool_calls": [call, {**call, "id": "c2"}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "c2", "content": '{"degrees": 21}'},
            {"role": "user", "content": "And tomorrow?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}}
        ],
        "tool_choice": "auto",
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        **({} if name == "openai_responses" else {"stop": ["END"]}),
    }
    losses = Losses()
    conversation = open_dialect("openai_chat").read_request(json.dumps(body).encode(), losses)
    written = json.loads(open_dialect(name).write_request(conversation, "m", losses))
    assert WIRES[name].fault(written) is None
    assert losses.dropped == []
