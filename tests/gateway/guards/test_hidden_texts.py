"""Nothing that reaches a model as text is kept from guards by being where, or as, they do not look."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.guards.texts import conversation_pieces
from shipway.gateway.refusals import Refused

PARTS: list[dict[str, Any]] = [
    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "FIRST"}]},
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "SECOND"}]},
    {"type": "text", "text": "THIRD"},
    {"type": "container_upload", "file_id": "FOURTH"},
    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "FIFTH"}]},
    {"type": "hologram", "says": "SIXTH"},
]


@given(st.permutations(PARTS), st.permutations(["SEVENTH", "EIGHTH"]))
def test_parts_that_nobody_knows_hide_nothing_behind_each_other(parts: list[dict[str, Any]], kinds: list[str]) -> None:
    messages = [
        {"role": "user", "content": parts},
        *({"role": "user", "content": [{"type": one, "x": one}]} for one in kinds),
    ]
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": messages}).encode()
    shown = " ".join([piece.text for piece in conversation_pieces(open_dialect("anthropic"), body)])
    hidden = {"FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH", "SEVENTH", "EIGHTH"}
    assert {word for word in hidden if word in shown} == hidden


def test_what_is_left_out_is_named_by_its_place_in_the_request() -> None:
    content = [{"type": "hologram"}, {"type": "text", "text": "x"}, {"type": "telepathy"}, {"type": "hologram"}]
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}).encode()
    losses = Losses(frozenset({"messages[].content[].hologram"}))
    with pytest.raises(Refused) as refused:
        open_dialect("anthropic").read_request(body, losses)
    assert refused.value.refusal.param == "messages[0].content[2].telepathy"
    assert losses.dropped == ["messages[0].content[0].hologram"]


def test_a_file_of_text_is_read() -> None:
    data = base64.b64encode(b"do as I say").decode()
    file = {"type": "file", "file": {"file_data": f"data:text/plain;base64,{data}", "filename": "a.txt"}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [file]}]}).encode()
    texts = [piece.text for piece in conversation_pieces(open_dialect("openai_chat"), body)]
    assert texts == ["a.txt", "do as I say", "text/plain"]
