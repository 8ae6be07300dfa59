"""A conversation that began with one provider can go on with another, whatever its calls are called."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.call_ids import plain_id, short_id
from shipway.gateway.dialects.conversation import Conversation, Text, ToolCall, ToolResult, Turn
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect

ANY = st.text(st.characters(codec="utf-8"))


@given(ANY, ANY)
def test_an_id_has_one_other_that_is_its_own(first: str, second: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{0,64}", plain_id(first, 64))
    assert plain_id(plain_id(first, 64), 64) == plain_id(first, 64) == plain_id(first, 64)
    assert (plain_id(first, 64) == plain_id(second, 64)) == (first == second)
    assert len(short_id(first * 9, 40)) <= 40


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("anthropic", "[A-Za-z0-9_-]{1,64}"), ("bedrock", "[A-Za-z0-9_-]{1,64}"), ("openai_chat", ".{1,40}")],
)
@pytest.mark.parametrize(
    "call_id", ["functions.weather:0", "call_" + "a.b" * 60, "ünï", "toolu_01T1x1fJ34qAmk2tNTrN7Up6"]
)
def test_calls_and_their_results_keep_together(name: str, pattern: str, call_id: str) -> None:
    turns = (
        Turn("user", (Text("x"),)),
        Turn("assistant", (ToolCall(call_id, "f", "{}"),)),
        Turn("user", (ToolResult(call_id, (Text("r"),)),)),
    )
    sent = json.loads(open_dialect(name).write_request(Conversation("m", turns), "m", Losses()))
    asked, answered = sent["messages"][1:]
    ids = {
        "anthropic": lambda: (asked["content"][0]["id"], answered["content"][0]["tool_use_id"]),
        "bedrock": lambda: (
            asked["content"][0]["toolUse"]["toolUseId"],
            answered["content"][0]["toolResult"]["toolUseId"],
        ),
        "openai_chat": lambda: (asked["tool_calls"][0]["id"], answered["tool_call_id"]),
    }[name]()
    assert ids[0] == ids[1]
    assert re.fullmatch(pattern, ids[0])
    assert ids[0] == call_id or not re.fullmatch(pattern, call_id)


def test_a_result_is_named_after_the_call_before_it_where_ids_are_used_again() -> None:
    turns = (
        Turn("assistant", (ToolCall("call_0", "first", "{}"),)),
        Turn("user", (ToolResult("call_0", (Text("1"),)),)),
        Turn("assistant", (ToolCall("call_0", "second", "{}"),)),
        Turn("user", (ToolResult("call_0", (Text("2"),)),)),
    )
    sent = json.loads(open_dialect("gemini").write_request(Conversation("m", turns), "m", Losses()))
    results = [content["parts"][0]["functionResponse"] for content in sent["contents"][1::2]]
    assert results == [
        {"name": "first", "response": {"output": "1"}, "id": "call_0"},
        {"name": "second", "response": {"output": "2"}, "id": "call_0"},
    ]
