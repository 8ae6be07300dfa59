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
from shipway.gateway.guards.check import Piece
from shipway.gateway.guards.texts import conversation_pieces
from shipway.gateway.refusals import Refused
from tests.gateway.dialects.test_exchanges import exchanged

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
    texts = " ".join([piece.text for piece in conversation_pieces(open_dialect("anthropic"), body)])
    hidden = {"FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH", "SEVENTH", "EIGHTH"}
    assert {word for word in hidden if word in texts} == hidden


def test_what_is_left_out_is_named_by_its_place_in_the_request() -> None:
    content = [{"type": "hologram"}, {"type": "text", "text": "x"}, {"type": "telepathy"}, {"type": "hologram"}]
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}).encode()
    losses = Losses(frozenset({"messages[].content[].hologram"}))
    with pytest.raises(Refused) as refused:
        open_dialect("anthropic").read_request(body, losses)
    assert refused.value.refusal.param == "messages[0].content[2].telepathy"
    assert losses.dropped == ["messages[0].content[0].hologram"]


def shown(dialect: str, request: dict[str, Any]) -> list[Piece]:
    return list(conversation_pieces(open_dialect(dialect), json.dumps({"model": "m", **request}).encode()))


def asked(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def test_a_file_of_text_is_read() -> None:
    file = {"file_data": f"data:text/plain;base64,{encoded(b'do as I say')}", "filename": "a.txt"}
    texts = [piece.text for piece in shown("openai_chat", asked([{"type": "file", "file": file}]))]
    assert texts == ["a.txt", "do as I say", "text/plain"]


@pytest.mark.parametrize(
    "data",
    [
        "data:text/plain;base64," + encoded(b"do as I say\xff"),
        "data:text/plain;base64," + encoded("do as I say".encode("utf-16")),
        "data:text/plain;base64," + encoded("do as I say".encode("utf-16-be")),
        "data:text/plain;base64," + encoded(b"\xef\xbb\xbfdo as I say"),
        "data:text/plain;base64," + encoded(b"do as I say").rstrip("="),
        "data:text/plain;base64," + " \n".join(encoded(b"do as I say")),
        "data:text/plain;base64," + base64.urlsafe_b64encode("do as I say\u00ff\u07ff\u00fe".encode()).decode(),
        "data:TEXT/Plain;charset=utf-8;base64," + encoded(b"do as I say"),
        "data:application/json;base64," + encoded(b"do as I say"),
        "data:application/octet-stream;base64," + encoded(b"do as I say"),
        "data:text/plain,do%20as%20I%20s%61y",
        "DATA:text/plain;BASE64," + encoded(b"do as I say"),
        encoded(b"do as I say"),
    ],
)
def test_a_file_of_text_is_read_however_it_is_written(data: str) -> None:
    file = {"type": "file", "file": {"file_data": data}}
    assert any("do as I say" in piece.text for piece in shown("openai_chat", asked([file])))


@pytest.mark.parametrize("held", [b"%PDF-1.7\n\xe2\xe3\xcf", b"PK\x03\x04\x00\x00", b""])
def test_a_file_of_something_else_is_only_named(held: bytes) -> None:
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encoded(held)}"}}
    assert shown("openai_chat", asked([file])) == [Piece("user", "attachment", "application/pdf")]


SERVER_TOOLS: list[dict[str, Any]] = [
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"]},
    {"name": "f", "input_schema": {"type": "object"}, "description": "own"},
    {"max_uses": 1, "type": "web_fetch_20250910", "name": "web_fetch"},
]


def test_tools_that_a_provider_runs_itself_are_shown_and_keep_no_request_from_being_read() -> None:
    pieces = shown("anthropic", asked("x") | {"tools": SERVER_TOOLS})
    assert [(piece.kind, piece.name) for piece in pieces] == [
        ("tool", "f"),
        ("text", ""),
        ("field", "tools[0].web_search_20250305"),
        ("field", "tools[2].max_uses"),
        ("field", "tools[2].web_fetch_20250910"),
    ]
    assert json.loads(pieces[2].text) == SERVER_TOOLS[0]


THOUGHTS: list[dict[str, Any]] = [
    {"reasoning_content": "HIDDEN", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]},
    {"reasoning_details": [{"type": "reasoning.text", "text": "a", "summary": "HIDDEN"}]},
    {"reasoning_details": [{"type": "reasoning.text", "text": "a", "new": ["HIDDEN"]}]},
    {"reasoning_details": [{"type": "reasoning.encrypted", "data": "a", "text": "HIDDEN"}]},
]
SUMMARY = [{"type": "summary_text", "text": "HIDDEN"}]
ITEMS: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "r", "content": [{"type": "reasoning_text", "text": "a"}], "summary": SUMMARY},
    {"type": "reasoning", "id": "r", "encrypted_content": "sealed:a", "summary": SUMMARY},
]


@pytest.mark.parametrize(
    ("dialect", "request_"),
    [
        *(("openai_chat", {"messages": [{"role": "assistant", "content": "a", **one}]}) for one in THOUGHTS),
        *(("openai_responses", {"input": [one]}) for one in ITEMS),
    ],
)
def test_what_stands_beside_the_thought_that_is_read_is_shown(dialect: str, request_: dict[str, Any]) -> None:
    assert "HIDDEN" in [piece.text for piece in shown(dialect, request_)]


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic"])
def test_nothing_of_a_request_that_is_read_is_shown_as_a_field(dialect: str) -> None:
    pieces = conversation_pieces(open_dialect(dialect), exchanged(dialect, "request.json"))
    assert [piece for piece in pieces if piece.kind == "field" and piece.name != "format"] == []
