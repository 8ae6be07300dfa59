"""What the fakes of the providers say, which are written apart from the dialects, is understood to the last token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

import pytest

from shipway.gateway.dialects.conversation import Citation, Reasoning, ToolCall
from shipway.gateway.dialects.events import Answer, fold
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.testing import anthropic_wire, bedrock_wire, gemini_wire, openai_responses, openai_wire, script
from shipway.testing.said import Said, said

COUNTS = script.Usage(input=40, cache_read=60, output=20, reasoning=5)
REPLY = script.Reply(
    text="It is 18 °C in Paris.",
    reasoning="Let me see.",
    tool_calls=[
        script.ToolCall("get_time", '{"zone": "Europe/Paris"}', "call_1"),
        script.ToolCall("f", "{}", "call_2"),
    ],
    citations=[script.Citation("https://source.example/", "Source", "18 °C")],
    usage=COUNTS,
)
HEARD: Said = said(REPLY, "What is the weather?")
OF_BEDROCK = replace(HEARD, usage=script.Usage(input=40, cache_read=60, output=25))
"""It does not tell thoughts from the rest of its output."""
ASKED = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}

WHOLE: dict[str, Callable[[], object]] = {
    "openai_chat": lambda: openai_wire.chat_completion(ASKED, HEARD),
    "openai_responses": lambda: openai_responses.response(ASKED, HEARD),
    "anthropic": lambda: anthropic_wire.message(ASKED, HEARD),
    "bedrock": lambda: bedrock_wire.response(OF_BEDROCK),
    "gemini": lambda: gemini_wire.response(ASKED, HEARD, "m"),
}
STREAMED: dict[str, Callable[[], Iterator[bytes]]] = {
    "openai_chat": lambda: chain(
        map(openai_wire.event, openai_wire.chat_chunks(ASKED, HEARD)), [openai_wire.event("[DONE]")]
    ),
    "openai_responses": lambda: map(openai_responses.framed, openai_responses.events(ASKED, HEARD)),
    "anthropic": lambda: (event.data for event in anthropic_wire.events(ASKED, HEARD)),
    "bedrock": lambda: (event.data for event in bedrock_wire.events(OF_BEDROCK)),
    "gemini": lambda: (event.data for event in gemini_wire.as_events(gemini_wire.chunks(ASKED, HEARD, "m"))),
}


def check(name: str, answer: Answer) -> None:
    assert answer.text() == REPLY.text
    thoughts = [part for part in answer.parts if isinstance(part, Reasoning)]
    assert "".join(thought.text for thought in thoughts) == REPLY.reasoning
    if name in ("anthropic", "bedrock", "gemini"):
        assert any(thought.signature for thought in thoughts)
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in calls] == [
        (call.id, call.name, json.loads(call.arguments)) for call in REPLY.tool_calls
    ]
    cited = [part for part in answer.parts if isinstance(part, Citation)]
    assert [(one.url, one.title) for one in cited] == [("https://source.example/", "Source")]
    if cited[0].unit == "answer":
        assert (cited[0].start, cited[0].end) == (0, len(REPLY.text))
    assert answer.stop == "tool_calls"
    usage = answer.usage
    assert (usage.prompt_tokens, usage.cached_read, usage.completion_tokens) == (100, 60, 25)
    if usage.reasoning is not None:
        assert usage.reasoning == COUNTS.reasoning


@pytest.mark.parametrize("name", DIALECTS)
def test_what_a_fake_answers_is_understood(name: str) -> None:
    check(name, open_dialect(name).read_answer(json.dumps(WHOLE[name]()).encode()))


@pytest.mark.parametrize("name", DIALECTS)
def test_what_a_fake_streams_is_understood(name: str) -> None:
    dialect = open_dialect(name)
    framing, parser = dialect.framing(), dialect.stream_parser()
    events = [event for data in STREAMED[name]() for message in framing.feed(data) for event in parser.read(*message)]
    check(name, fold([*events, *parser.end()]))
