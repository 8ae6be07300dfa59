"""What a provider says in its own dialect reaches its own clients also where the gateway does not know it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.dialects.usage import TokenUsage
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.texts import answer_pieces
from shipway.gateway.model_api import PATHS
from shipway.gateway.passed_stream import PassedStream

MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 5}}
CLAUDE: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": '{"query": "Köln"}'},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "E"}
            ],
        },
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "something_new", "note": "unknown events are to be skipped"},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": "", "citations": []}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "new_delta", "more": "x"}},
    {"type": "content_block_stop", "index": 2},
]


def last(stop_reason: str) -> list[dict[str, Any]]:
    usage = {"output_tokens": 3, "server_tool_use": {"web_search_requests": 1}}
    return [
        {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


RESPONSE = {
    "id": "r",
    "object": "response",
    "model": "m",
    "output": [],
    "usage": {"input_tokens": 5, "output_tokens": 3},
}
RESPONSES: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE | {"status": "in_progress", "usage": None}},
    {"type": "response.queued", "sequence_number": 1, "response": RESPONSE | {"status": "queued", "usage": None}},
    {
        "type": "response.output_item.added",
        "sequence_number": 2,
        "output_index": 0,
        "item": {"type": "web_search_call", "id": "ws_1", "status": "in_progress", "action": {"type": "search"}},
    },
    {"type": "response.web_search_call.searching", "sequence_number": 3, "output_index": 0, "item_id": "ws_1"},
    {
        "type": "response.output_item.done",
        "sequence_number": 4,
        "output_index": 0,
        "item": {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    },
    {"type": "response.new_kind.delta", "sequence_number": 5, "delta": "x"},
    {
        "type": "response.incomplete",
        "sequence_number": 6,
        "response": RESPONSE | {"status": "incomplete", "incomplete_details": {"reason": "new_reason"}},
    },
]


SEARCH = {"type": "tool_search_call", "id": "ts_1", "call_id": None, "execution": "server", "arguments": {"query": "x"}}
SHELL = {"type": "shell_call", "id": "sh_1", "call_id": "c", "action": {"commands": ["ls"]}, "name": None}
OF_ANOTHER_FORM: list[dict[str, Any]] = [
    {"type": "response.created", "response": RESPONSE | {"model": None, "output": [SEARCH], "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": SEARCH},
    {"type": "response.output_item.done", "output_index": 0, "item": SEARCH},
    {"type": "response.output_item.added", "output_index": 1, "item": SHELL},
    {"type": "response.shell_call_output_content.delta", "output_index": 1, "delta": {"stdout": "a\n", "stderr": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
    {"type": "response.completed", "response": RESPONSE | {"status": "completed", "output": [SEARCH, SHELL]}},
]
CLAUDE_OF_ANOTHER_FORM: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE | {"model": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "new_block", "data": {"a": 1}, "name": None}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": None}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi", "citation": "a"}},
    {"type": "message_delta", "delta": {"stop_reason": ["end_turn"]}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]


def stream_of(events: list[dict[str, Any]]) -> bytes:
    return b"".join([f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events])


@pytest.mark.parametrize(
    ("dialect", "events"),
    [
        ("anthropic", CLAUDE + last("end_turn")),
        ("anthropic", CLAUDE + last("a_new_reason")),
        ("openai_responses", RESPONSES),
        ("openai_responses", OF_ANOTHER_FORM),
        ("anthropic", CLAUDE_OF_ANOTHER_FORM),
    ],
)
def test_a_stream_with_kinds_that_nobody_knows_passes_untouched_and_is_counted(
    dialect: str, events: list[dict[str, Any]]
) -> None:
    sent = stream_of(events)
    for pieces in ([sent], [sent[at : at + 1] for at in range(len(sent))]):
        stream = PassedStream(open_dialect(dialect))
        passed = b"".join([stream.pass_on(piece) for piece in pieces])
        assert (passed, stream.finish(), stream.failed) == (sent, b"", "")
        assert stream.usage == TokenUsage(5, output=3)


@pytest.mark.parametrize(
    ("dialect", "name", "error"),
    [
        ("anthropic", "error", {"type": "error", "error": {"type": ["overloaded_error"], "message": "canary"}}),
        ("anthropic", "error", {"type": "ping", "index": None, "message": "canary"}),
        ("anthropic", "x", {"type": "x", "index": None, "error": "canary"}),
        ("anthropic", "error", {"index": 0, "error": "canary"}),
        ("openai_responses", "error", {"type": "error", "delta": 1, "message": "canary"}),
        ("openai_responses", "response.failed", {"type": "response.failed", "response": {"error": "canary"}}),
        ("openai_responses", "", {"type": "response.x", "delta": 1, "error": {"message": "canary"}}),
    ],
)
def test_an_error_never_passes_whatever_its_form(dialect: str, name: str, error: dict[str, Any]) -> None:
    stream = PassedStream(open_dialect(dialect))
    assert stream.pass_on(f"event: {name}\ndata: {json.dumps(error)}\n\n".encode()) == b""
    assert (stream.finish(), stream.over, stream.done) == (None, True, False)


def test_what_is_not_known_is_not_translated() -> None:
    stream = TranslatedStream(open_dialect("anthropic"), open_dialect("openai_chat"), Envelope("1", "m", 1))
    stream.pass_on(stream_of(CLAUDE + last("end_turn")))
    assert (stream.finish(), stream.failed) == (None, "garbage")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (
            b"/v1/messages",
            MESSAGE
            | {
                "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}],
                "stop_reason": "pause_turn",
                "usage": {"input_tokens": 5, "output_tokens": 3},
            },
        ),
        (b"/v1/responses", RESPONSE | {"status": "completed", "output": [{"type": "web_search_call", "id": "w"}]}),
    ],
)
def test_an_answer_of_a_kind_that_nobody_knows_is_counted(path: bytes, answer: dict[str, Any]) -> None:
    assert PATHS[path].read_usage(json.dumps(answer).encode()) == TokenUsage(5, output=3)


def test_guards_are_shown_what_no_parser_knows() -> None:
    texts = StreamTexts(open_dialect("anthropic"))
    said = [text for _, _, text in texts.read(stream_of(CLAUDE + last("end_turn")))]
    assert {'{"query": "Köln"}', "https://a.example", "A", "Hi", "x"} <= set(said)


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("anthropic", {"content": [{"type": "server_tool_use", "id": "s", "name": "f", "input": {"SECRET": 1}}]}),
        ("anthropic", {"content": [{"type": "text", "text": "SECRET"}], "stop_reason": "a_new_reason"}),
        ("openai_responses", {"output": [{"type": "shell_call", "action": {"commands": ["SECRET"]}}]}),
        ("openai_responses", {"output": [], "status": "a_new_status", "output_text": "SECRET"}),
    ],
)
def test_guards_are_shown_all_of_an_answer_of_a_newer_kind(dialect: str, said: dict[str, Any]) -> None:
    known = {"id": "m", "model": "m", "usage": {"input_tokens": 1}, "stop_reason": "end_turn", "status": "completed"}
    pieces = answer_pieces(open_dialect(dialect), json.dumps(known | said).encode())
    assert {piece.kind for piece in pieces} == {"field"}
    assert any("SECRET" in piece.text for piece in pieces)
    assert {piece.name for piece in pieces} <= {"content", "output", "output_text"}


FETCHED = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words of a page"}}
PAGE = {"type": "web_fetch_result", "url": "https://a.example", "content": FETCHED}


def test_guards_are_shown_text_where_others_have_what_is_sealed() -> None:
    block = {"type": "web_fetch_tool_result", "tool_use_id": "s", "content": PAGE, "signature": "RXFR/QkNnSVlB+g=="}
    said = StreamTexts(open_dialect("anthropic")).read(
        stream_of([{"type": "content_block_start", "index": 0, "content_block": block}])
    )
    assert "words of a page" in [text for _, _, text in said]
    assert "RXFR/QkNnSVlB+g==" not in [text for _, _, text in said]


START = {"type": "tool_use", "id": "t", "name": "f"}
AT_ONCE = {"type": "content_block_start", "index": 0, "content_block": START | {"input": {"a": 1.0, "b": "é"}}}
AGAIN = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1.0}'}}


@pytest.mark.parametrize("deltas", [[], [AGAIN]])
def test_arguments_that_are_said_when_a_call_begins_are_its_arguments(deltas: list[dict[str, Any]]) -> None:
    sent = stream_of([{"type": "message_start", "message": MESSAGE}, AT_ONCE, *deltas])
    sent += stream_of([{"type": "content_block_stop", "index": 0}, *last("tool_use")])
    stream = TranslatedStream(open_dialect("anthropic"), open_dialect("openai_responses"), Envelope("1", "m", 1))
    written = stream.pass_on(sent)
    assert stream.done
    assert written.count(b'"arguments":"{\\"a\\": 1.0, \\"b\\": \\"\\\\u00e9\\"}"') == 3
    said = StreamTexts(open_dialect("anthropic")).read(stream_of([AT_ONCE]))
    assert said == [(("tool_call", 0), "f", ""), (("tool_call", 0), "", '{"a": 1.0, "b": "\\u00e9"}')]
