"""What cannot be said in another dialect is refused by its name in the caller's, or dropped where that is allowed."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from shipway.gateway.dialects.losses import HINTS, MAX_KINDS_DROPPED, Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.refusals import Refused

PART = "messages[1].content[0]"
USER = {"role": "user", "content": "Hello"}
CHAT: dict[str, Any] = {"model": "m", "messages": [USER]}
CLAUDE: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [USER]}
RESPONSES: dict[str, Any] = {"model": "m", "input": "Hello"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}}}
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}}
TOOL = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {}}}


def said(*content: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [USER, {"role": role, "content": list(content)}]}


MARK = {"cache_control": {"type": "ephemeral"}}
DISABLED = {"thinking": {"type": "disabled"}}
OMITTED = {"thinking": {"type": "adaptive", "display": "omitted"}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "x"} | MARK]}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {}} | MARK
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "high"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": [IMAGE]}
BOTH = {
    "type": "input_file",
    "file_data": "data:application/pdf;base64,AA==",
    "file_url": "https://files.example/a.pdf",
}

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "anthropic",
        CLAUDE | said({"type": "text", "text": "x"} | MARK, role="assistant"),
        "openai_chat",
        f"{PART}.cache_control",
    ),
    ("anthropic", CLAUDE | said(USE, role="assistant"), "openai_chat", f"{PART}.cache_control"),
    ("anthropic", CLAUDE | said(USE, role="assistant"), "gemini", f"{PART}.cache_control"),
    ("anthropic", CLAUDE | said(RESULT), "bedrock", f"{PART}.content[0].cache_control"),
    ("anthropic", CLAUDE | said(RESULT), "gemini", f"{PART}.content[0].cache_control"),
    ("anthropic", CLAUDE | DISABLED, "bedrock", "thinking.type"),
    ("anthropic", CLAUDE | OMITTED, "bedrock", "thinking.display"),
    ("anthropic", CLAUDE | OMITTED, "openai_chat", "thinking.display"),
    ("openai_chat", CHAT | {"reasoning_effort": "none"}, "bedrock", "reasoning_effort"),
    ("openai_chat", CHAT | {"reasoning_effort": "minimal"}, "bedrock", "reasoning_effort"),
    ("openai_responses", RESPONSES | {"reasoning": {"summary": "concise"}}, "gemini", "reasoning.summary"),
    (
        "openai_responses",
        RESPONSES | {"input": [{"role": "system", "content": [IMAGE]}]},
        "gemini",
        "input[0].content[0]",
    ),
    ("openai_responses", RESPONSES | {"input": [OUTPUT]}, "gemini", "input[0].output[0].detail"),
    (
        "openai_responses",
        RESPONSES | {"input": [{"role": "user", "content": [BOTH]}]},
        "gemini",
        "input[0].content[0].file_url",
    ),
    ("openai_chat", CHAT | {"logit_bias": {"50256": -100}}, "anthropic", "logit_bias"),
    ("openai_chat", CHAT | {"n": 2}, "gemini", "n"),
    ("openai_chat", CHAT | {"logprobs": True}, "bedrock", "logprobs"),
    ("openai_chat", CHAT | {"seed": 1}, "anthropic", "seed"),
    ("openai_chat", CHAT | {"presence_penalty": 0.5}, "bedrock", "presence_penalty"),
    ("openai_chat", CHAT | {"stop": ["a"]}, "openai_responses", "stop"),
    ("openai_chat", CHAT | {"response_format": {"type": "json_object"}}, "anthropic", "response_format"),
    (
        "openai_chat",
        CHAT | {"response_format": JSON_SCHEMA},
        "gemini",
        "response_format.json_schema.description",
    ),
    ("openai_chat", CHAT | {"user": "u"}, "gemini", "user"),
    ("openai_chat", CHAT | {"tools": [TOOL]}, "gemini", "tools[0].function.strict"),
    ("openai_chat", CHAT | {"parallel_tool_calls": False}, "bedrock", "parallel_tool_calls"),
    ("openai_chat", CHAT | {"tools": [{"type": "custom", "custom": {}}]}, "anthropic", "tools[0].custom"),
    (
        "openai_chat",
        CHAT
        | said({"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}),
        "anthropic",
        "messages[1].content[1].input_audio",
    ),
    ("openai_chat", CHAT | said(PDF), "gemini", "messages[1].content[0].file.filename"),
    ("openai_chat", CHAT | said({"type": "video", "video": {}}), "gemini", "messages[1].content[0].video"),
    (
        "openai_chat",
        CHAT | said({"type": "file", "file": {"file_id": "file-1"}}),
        "gemini",
        "messages[1].content[0].file.file_id",
    ),
    (
        "openai_chat",
        CHAT | {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]},
        "anthropic",
        "messages[1].tool_calls[0].function.arguments",
    ),
    ("openai_chat", CHAT | {"messages": [USER, {"role": "system", "content": "x"}]}, "gemini", "messages[1].role"),
    ("openai_chat", CHAT | {"messages": [{"role": "function", "content": "x"}]}, "gemini", "messages[0].role"),
    ("openai_chat", CHAT | {"messages": [{"role": "user"}]}, "gemini", "messages[0].content"),
    ("openai_chat", CHAT | {"temperature": "hot"}, "gemini", "temperature"),
    ("openai_chat", CHAT | {"max_tokens": 1, "max_completion_tokens": 900}, "gemini", "max_tokens"),
    ("openai_chat", CHAT | {"reasoning_effort": "minimal"}, "anthropic", "reasoning_effort"),
    ("openai_chat", CHAT | {"tool_choice": "required"}, "bedrock", "tool_choice"),
    ("openai_responses", RESPONSES | {"store": True}, "anthropic", "store"),
    ("openai_responses", RESPONSES | {"previous_response_id": "resp_1"}, "anthropic", "previous_response_id"),
    ("openai_responses", RESPONSES | {"tools": [{"type": "web_search"}]}, "anthropic", "tools[0].web_search"),
    ("openai_responses", RESPONSES | {"include": ["web_search_call.results"]}, "anthropic", "include"),
    (
        "openai_responses",
        RESPONSES | {"input": [{"type": "item_reference", "id": "i"}]},
        "anthropic",
        "input[0].item_reference",
    ),
    ("anthropic", CLAUDE | {"top_k": 5}, "openai_chat", "top_k"),
    ("anthropic", CLAUDE | {"stop_sequences": ["a"]}, "openai_responses", "stop_sequences"),
    ("anthropic", CLAUDE | {"top_k": 5}, "bedrock", "top_k"),
    (
        "anthropic",
        CLAUDE | {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "openai_chat",
        "thinking.budget_tokens",
    ),
    ("anthropic", CLAUDE | {"metadata": {"user_id": "u"}}, "bedrock", "metadata.user_id"),
    (
        "anthropic",
        CLAUDE | {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        "gemini",
        "system[0].cache_control",
    ),
    (
        "anthropic",
        CLAUDE | said({"type": "image", "source": {"type": "url", "url": "https://images.example/a.png"}}),
        "bedrock",
        "messages[1].content[0]",
    ),
    (
        "anthropic",
        CLAUDE | said({"type": "tool_result", "tool_use_id": "c", "content": "x", "is_error": True}),
        "openai_chat",
        "messages[1].content[0].is_error",
    ),
    (
        "anthropic",
        CLAUDE | said({"type": "search_result", "source": "s", "title": "t", "content": []}),
        "openai_chat",
        "messages[1].content[0].search_result",
    ),
    ("anthropic", CLAUDE | {"container": "c"}, "openai_chat", "container"),
]

ELSE_SAID = {
    "input[0].content[0].file_url": "The field 'input[0].content[0].file_url' says the file a second time.",
    "max_tokens": "'max_tokens' and 'max_completion_tokens' differ.",
    "messages[0].content": "The field 'messages[0].content' is missing.",
    "messages[1].tool_calls[0].function.arguments": (
        "The field 'messages[1].tool_calls[0].function.arguments' must hold a JSON object."
    ),
    "temperature": "Expected `int | float | null`, got `str` in 'temperature'.",
}
"""By field: what is wrong with it, where it is more than that it cannot be translated."""


@pytest.mark.parametrize(("caller", "body", "upstream", "field"), REFUSED)
def test_a_field_that_cannot_be_translated_is_refused_by_name(
    caller: str, body: dict[str, Any], upstream: str, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        translated(caller, body, upstream, Losses())
    refusal = refused.value.refusal
    assert (refusal.status, refusal.code, refusal.param) == (HTTPStatus.BAD_REQUEST, "invalid_request", field)
    assert refusal.message == ELSE_SAID.get(field, f"The model behind this name cannot be told '{field}'.")


def translated(caller: str, body: dict[str, Any], upstream: str, losses: Losses) -> dict[str, Any]:
    conversation = open_dialect(caller).read_request(json.dumps(body).encode(), losses)
    written: dict[str, Any] = json.loads(open_dialect(upstream).write_request(conversation, "model", losses))
    return written


def test_what_may_be_lost_is_dropped_and_reported_with_its_place() -> None:
    body = CHAT | {
        "logit_bias": {"1": 2},
        "seed": 7,
        "messages": [USER | {"name": "ann"}, {"role": "assistant", "content": "Hi"}, USER | {"name": "bob"}],
    }
    losses = Losses({"logit_bias", "seed", "messages[].name"})
    written = translated("openai_chat", body, "anthropic", losses)
    assert [message["content"] for message in written["messages"]] == ["Hello", "Hi", "Hello"]
    assert sorted(losses.dropped) == ["logit_bias", "messages[0].name", "messages[2].name", "seed"]
    assert sorted(losses.header_value().split(b", ")) == [b"logit_bias", b"messages[].name", b"seed"]


def test_a_part_that_may_be_lost_leaves_its_neighbours() -> None:
    video = {"type": "video", "video": {"url": "v"}}
    body = CHAT | said({"type": "text", "text": "a"}, video, {"type": "text", "text": "b"}, video)
    losses = Losses({"messages[].content[].video"})
    written = translated("openai_chat", body, "anthropic", losses)
    assert [part["text"] for part in written["messages"][0]["content"]] == ["Hello", "a", "b"]
    assert len(losses.dropped) == 2


def test_dropping_leaves_the_rest_as_it_was_sent() -> None:
    arguments = '{"b": 1.0,  "a": "\\u00e9"}'
    body = (
        '{"model":"m","max_tokens":5,"future":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":'
        '[{"type":"tool_use","id":"c","name":"f","input":ARGUMENTS,"future":{}}]}]}'
    )
    losses = Losses({"future", "messages[].content[].future"})
    conversation = open_dialect("anthropic").read_request(body.replace("ARGUMENTS", arguments).encode(), losses)
    written = json.loads(open_dialect("openai_chat").write_request(conversation, "m", losses))
    assert written["messages"][1]["tool_calls"][0]["function"]["arguments"] == arguments
    assert losses.dropped == ["future", "messages[1].content[0].future"]


def test_nulls_and_values_that_say_nothing_are_no_loss() -> None:
    losses = Losses()
    translated(
        "openai_chat", CHAT | {"audio": None, "n": 1, "logprobs": False, "service_tier": "auto"}, "gemini", losses
    )
    assert losses.dropped == []


def test_another_target_starts_from_what_was_lost_in_reading() -> None:
    losses = Losses({"future", "seed"})
    conversation = open_dialect("openai_chat").read_request(
        json.dumps(CHAT | {"future": 1, "seed": 3}).encode(), losses
    )
    for upstream, dropped in (("anthropic", ["future", "seed"]), ("gemini", ["future"])):
        target = losses.again()
        open_dialect(upstream).write_request(conversation, "m", target)
        assert target.dropped == dropped
    assert losses.dropped == ["future"]


def test_a_body_with_endless_unknown_fields_is_refused() -> None:
    body = CHAT | {f"x{index}": index for index in range(MAX_KINDS_DROPPED + 1)}
    with pytest.raises(Refused):
        open_dialect("openai_chat").read_request(json.dumps(body).encode(), Losses(set(body)))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"model":"m"}', b'{"messages":[]}', b'{"a":"\xff"}', b"[" * 100_000]
)
@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", "anthropic"])
def test_what_is_no_request_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        open_dialect(name).read_request(body, Losses())
    assert refused.value.refusal.status == HTTPStatus.BAD_REQUEST


def test_hints_of_a_cached_conversation_can_be_dropped_together() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = CLAUDE | said({"type": "text", "text": "x", **mark}) | {"metadata": {"user_id": "u"}, "service_tier": "auto"}
    losses = Losses(HINTS)
    translated("anthropic", body | {"system": [{"type": "text", "text": "s", **mark}]}, "gemini", losses)
    assert sorted(losses.dropped) == [
        "messages[1].content[0].cache_control",
        "metadata.user_id",
        "system[0].cache_control",
    ]


def test_thoughts_signed_by_another_provider_are_left_out_and_reported() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "gemini:abc"}
    body = CLAUDE | said(thought, {"type": "text", "text": "x"}, role="assistant")
    losses = Losses()
    written = translated("anthropic", body, "bedrock", losses)
    assert written["messages"][1]["content"] == [{"text": "x"}]
    assert losses.dropped == ["messages[1].content[0]"]
    parts = translated("anthropic", body, "gemini", Losses())["contents"][1]["parts"]
    assert parts == [{"text": "Hm.", "thought": True}, {"text": "x", "thoughtSignature": "abc"}]


@pytest.mark.parametrize("name", ["x" * 1_000_000, " - at `$" * 100_000, "a.b[0]`$"])
def test_a_refusal_stays_short_whatever_a_field_is_called(name: str) -> None:
    for body in (CHAT | {name: 1}, CHAT | {"messages": [USER | {name: 1}]}, CHAT | {"tool_choice": name}):
        with pytest.raises(Refused) as refused:
            open_dialect("openai_chat").read_request(json.dumps(body).encode(), Losses())
        assert len(refused.value.refusal.message) < 1000


def written(upstream: str, document: dict[str, Any]) -> Any:
    conversation = open_dialect("openai_chat").read_request(json.dumps(document).encode(), Losses())
    return json.loads(open_dialect(upstream).write_request(conversation, "m", Losses()))


@pytest.mark.parametrize("parameters", [{}, {"parameters": None}, {"parameters": {}}])
def test_a_tool_without_arguments_has_a_schema_that_every_provider_takes(parameters: dict[str, Any]) -> None:
    tool = {"type": "function", "function": {"name": "f", **parameters}}
    schema = {"type": "object", "properties": {}}
    assert written("anthropic", CHAT | {"tools": [tool]})["tools"][0]["input_schema"] == schema
    sent = written("bedrock", CHAT | {"tools": [tool]})
    assert sent["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": schema}


def test_messages_that_say_nothing_leave_roles_that_alternate() -> None:
    empty = {"role": "assistant", "content": ""}
    asked = CHAT | {"messages": [{"role": "system", "content": ""}, USER, empty, USER]}
    sent = written("bedrock", asked)
    assert sent == {"messages": [{"role": "user", "content": [{"text": "Hello"}, {"text": "Hello"}]}]}
    assert "system" not in written("anthropic", asked)
