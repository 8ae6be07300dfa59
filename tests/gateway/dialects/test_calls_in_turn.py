"""Streams in which several tools are called say one call after another where the caller's dialect wants it so."""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.calls_in_turn import CallsInTurn
from shipway.gateway.dialects.events import Envelope, Event, TextDelta, ToolArguments, ToolCallStarted
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream


def chunk(finish_reason: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: %b\n\n" % json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()


def call(index: int, arguments: str = "", **fields: Any) -> dict[str, Any]:
    name = {"name": "f"} if "id" in fields else {}
    return {"index": index, "function": {**name, "arguments": arguments}, **fields}


STREAMS = {
    "one after the other": [
        chunk(tool_calls=[call(0, id="a")]),
        chunk(tool_calls=[call(0, '{"x"')]),
        chunk(tool_calls=[call(0, ":1}")]),
        chunk(tool_calls=[call(1, '{"y":2}', id="b")]),
    ],
    "in turns": [
        chunk(tool_calls=[call(0, id="a"), call(1, id="b")]),
        chunk(tool_calls=[call(0, '{"x"')]),
        chunk(tool_calls=[call(1, '{"y"')]),
        chunk(tool_calls=[call(0, ":1}"), call(1, ":2}")]),
    ],
    "all counted as the first": [
        chunk(tool_calls=[call(0, '{"x":1}', id="a")]),
        chunk(tool_calls=[call(0, '{"y":2}', id="b")]),
    ],
    "with the id on each piece": [
        chunk(tool_calls=[call(0, '{"x"', id="a")]),
        chunk(tool_calls=[call(0, ":1}", id="a")]),
        chunk(tool_calls=[call(1, '{"y":2}', id="b")]),
    ],
}
BLOCKS = {
    "anthropic": (rb"event: content_block_(start|delta|stop)\n", [b"start", b"delta", b"stop"]),
    "openai_responses": (
        rb"event: response\.(output_item\.added|function_call_arguments\.delta|output_item\.done)\n",
        [b"output_item.added", b"function_call_arguments.delta", b"output_item.done"],
    ),
}


@pytest.mark.parametrize("caller", BLOCKS)
@pytest.mark.parametrize("form", STREAMS)
def test_each_call_is_over_before_the_next_begins(form: str, caller: str) -> None:
    stream = TranslatedStream(open_dialect("openai_chat"), open_dialect(caller), Envelope("1", "m", 1))
    said = b"".join([stream.pass_on(piece) for piece in STREAMS[form]])
    said += stream.pass_on(chunk("tool_calls") + b"data: [DONE]\n\n")
    assert stream.done
    pattern, kinds = BLOCKS[caller]
    order = [kind for kind, _ in groupby(re.findall(pattern, said))]
    assert order == kinds * 2
    texts = [json.loads(text) for text in re.findall(rb'"(?:partial_json|delta)":("(?:[^"\\]|\\.)*")', said)]
    assert "".join(texts) == '{"x":1}{"y":2}'


def test_a_call_that_is_whole_is_over_at_once_for_who_waits_for_it() -> None:
    stream = TranslatedStream(open_dialect("openai_chat"), open_dialect("anthropic"), Envelope("1", "m", 1))
    said = b"".join([stream.pass_on(piece) for piece in STREAMS["one after the other"]])
    assert said.count(b"event: content_block_stop") == 1


def test_more_arguments_of_a_call_that_was_whole_are_a_fault() -> None:
    turns = CallsInTurn()
    turns.take(ToolCallStarted(0, "a", "f"))
    turns.take(ToolArguments(0, "{}"))
    assert turns.take(TextDelta("so")) == [TextDelta("so")]
    with pytest.raises(ValueError, match="whole"):
        turns.take(ToolArguments(0, "{}"))


def test_arguments_that_never_become_whole_let_the_rest_go_at_the_end() -> None:
    turns = CallsInTurn()
    first: list[Event] = [ToolCallStarted(0, "a", "f"), ToolArguments(0, '{"x":')]
    second: list[Event] = [ToolCallStarted(1, "b", "g"), ToolArguments(1, "{}")]
    assert [one for event in first for one in turns.take(event)] == first
    assert [one for event in [*second, TextDelta("x")] for one in turns.take(event)] == []
    assert turns.close() == [*second, TextDelta("x")]


def told(index: int) -> list[Event]:
    arguments = json.dumps({"at": index, "text": "}" * index})
    return [ToolCallStarted(index, str(index), "f"), *(ToolArguments(index, one) for one in arguments)]


@given(st.data())
def test_whatever_the_turns_every_call_is_said_whole_and_in_one_piece(data: st.DataObject) -> None:
    calls = range(data.draw(st.integers(1, 4)))
    left = {index: told(index) for index in calls}
    turns = CallsInTurn()
    said: list[Event] = []
    begun = 0
    while any(left.values()):
        # Calls begin in order; between them anything goes.
        index = data.draw(st.sampled_from([one for one in calls if left[one] and one <= begun]))
        begun = max(begun, index + 1)
        said += turns.take(left[index].pop(0))
    assert said + turns.close() == [event for index in calls for event in told(index)]
