"""Tokens are counted once, in whatever convention they come: classes sum to the totals, and unknown is not zero."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.anthropic.stream import Parser as AnthropicParser
from shipway.gateway.dialects.events import ENDED, Answer, Envelope, Started, Stopped, UsageKnown
from shipway.gateway.dialects.openai import answer_usage, image_usage, transcript_usage
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.usage import MOST_TOKENS, NOTHING, TokenUsage, counted, remainder
from shipway.gateway.model_api import Usage

ENVELOPE = Envelope("1", "m", 1)
ANSWERS: dict[str, dict[str, Any]] = {
    "openai_chat": {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]},
    "openai_responses": {"status": "completed", "output": []},
    "anthropic": {"content": [], "stop_reason": "end_turn"},
    "bedrock": {"output": {"message": {"content": []}}, "stopReason": "end_turn"},
    "gemini": {"candidates": [{"finishReason": "STOP"}]},
}


def usage_of(name: str, usage: dict[str, Any]) -> TokenUsage:
    field = "usageMetadata" if name == "gemini" else "usage"
    return open_dialect(name).read_answer(json.dumps(ANSWERS[name] | {field: usage}).encode()).usage


def modality(kind: str, count: int) -> dict[str, Any]:
    return {"modality": kind, "tokenCount": count}


@pytest.mark.parametrize(
    ("name", "usage", "expected"),
    [
        ("openai_chat", {"prompt_tokens": 10, "completion_tokens": 5}, TokenUsage(10, output=5)),
        (
            "openai_chat",
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 15},
                "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 5},
            },
            TokenUsage(25, 60, None, 15, None, 15, 30, 5),
        ),
        (
            "openai_responses",
            {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3},
            TokenUsage(5, 4, output=3),
        ),
        (
            "anthropic",
            {"input_tokens": 5, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 7, "output_tokens": 9},
            TokenUsage(5, 60, 7, output=9),
        ),
        (
            "anthropic",
            {"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            TokenUsage(5, output=5, reasoning=4),
        ),
        (  # the totals are without what shortened the conversation
            "anthropic",
            {
                "input_tokens": 5,
                "output_tokens": 9,
                "iterations": [
                    {"type": "compaction", "input_tokens": 100, "cache_read_input_tokens": 40, "output_tokens": 20},
                    {"type": "message", "input_tokens": 5, "output_tokens": 9},
                ],
            },
            TokenUsage(105, 40, output=29),
        ),
        (
            "bedrock",
            {"inputTokens": 5, "outputTokens": 9, "totalTokens": 74, "cacheReadInputTokens": 60},
            TokenUsage(5, 60, output=9),
        ),
        (
            "gemini",
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 30,
            },
            TokenUsage(40, 60, output=7, reasoning=30),
        ),
        (
            "gemini",
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "toolUsePromptTokenCount": 3,
                "promptTokensDetails": [modality("TEXT", 50), modality("AUDIO", 50)],
                "cacheTokensDetails": [modality("TEXT", 30), modality("AUDIO", 30)],
                "candidatesTokenCount": 20,
                "candidatesTokensDetails": [modality("IMAGE", 20)],
            },
            TokenUsage(23, 60, None, 20, None, 0, None, None, 20),
        ),
        (
            "gemini",
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 9,
                "toolUsePromptTokensDetails": [modality("TEXT", 4), modality("IMAGE", 5)],
            },
            TokenUsage(14, input_image=5),
        ),
        (
            "openai_chat",
            {
                "prompt_tokens": 100,
                "prompt_tokens_details": {
                    "cached_tokens": 50,
                    "cached_tokens_details": {"audio_tokens": 20},
                    "audio_tokens": 30,
                },
                "completion_tokens": 9,
                "completion_tokens_details": {"image_tokens": 4},
            },
            TokenUsage(40, 50, None, 10, None, 5, None, None, 4),
        ),
        (  # of xAI, whose thoughts come on top
            "openai_chat",
            {
                "prompt_tokens": 10120,
                "completion_tokens": 1499,
                "total_tokens": 14428,
                "prompt_tokens_details": {"cached_tokens": 128},
                "completion_tokens_details": {"reasoning_tokens": 2809},
            },
            TokenUsage(9992, 128, output=1499, reasoning=2809),
        ),
    ],
)
def test_conventions_become_the_same_classes(name: str, usage: dict[str, Any], expected: TokenUsage) -> None:
    assert usage_of(name, usage) == expected


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", "gemini"])
def test_usage_that_is_not_said_stays_unknown(name: str) -> None:
    dialect = open_dialect(name)
    answer = dialect.read_answer(json.dumps(ANSWERS[name]).encode())
    assert answer.usage == NOTHING
    assert answer.usage.total_tokens is None
    assert dialect.read_answer(dialect.write_answer(answer, ENVELOPE)).usage == NOTHING


@given(st.integers(0, 1000), st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=4))
def test_parts_and_their_remainder_always_sum_to_the_total(total: int, parts: list[int | None]) -> None:
    split = remainder(total, *parts)
    assert sum(count or 0 for count in split) == total
    assert all(count is None or count >= 0 for count in split)
    assert [count is None for count in split[1:]] == [part is None for part in parts]


REPORTS: list[tuple[str, dict[str, Any], int]] = [
    (
        "openai_chat",
        {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0},
        },
        29,
    ),
    (  # spoken to and answered with speech
        "openai_chat",
        {
            "prompt_tokens": 64,
            "completion_tokens": 90,
            "total_tokens": 154,
            "prompt_tokens_details": {"cached_tokens": 16, "text_tokens": 40, "audio_tokens": 24},
            "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": 18, "audio_tokens": 72},
        },
        154,
    ),
    (
        "openai_responses",
        {
            "input_tokens": 81,
            "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30},
            "output_tokens": 1035,
            "output_tokens_details": {"reasoning_tokens": 832},
            "total_tokens": 1116,
        },
        1116,
    ),
    (  # all that went in is the three together
        "anthropic",
        {
            "input_tokens": 50,
            "cache_read_input_tokens": 100000,
            "cache_creation_input_tokens": 248,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 503,
        },
        50 + 100000 + 248 + 503,
    ),
    (
        "bedrock",
        {
            "inputTokens": 8,
            "outputTokens": 109,
            "totalTokens": 1781,
            "cacheReadInputTokens": 1200,
            "cacheWriteInputTokens": 464,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 464}],
        },
        1781,
    ),
    (  # that ran code: what that read is not in the prompt's
        "gemini",
        {
            "promptTokenCount": 74,
            "candidatesTokenCount": 103,
            "thoughtsTokenCount": 293,
            "toolUsePromptTokenCount": 155,
            "totalTokenCount": 625,
        },
        625,
    ),
    (
        "gemini",
        {
            "promptTokenCount": 267,
            "candidatesTokenCount": 1290,
            "totalTokenCount": 1557,
            "promptTokensDetails": [modality("TEXT", 9), modality("IMAGE", 258)],
            "candidatesTokensDetails": [modality("IMAGE", 1290)],
        },
        1557,
    ),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("caller", ["openai_chat", "openai_responses", "anthropic", "completions"])
@pytest.mark.parametrize(("name", "usage", "total"), REPORTS)
def test_classes_sum_to_the_providers_total_and_so_does_what_callers_are_told(
    name: str, usage: dict[str, Any], total: int, caller: str, streamed: bool
) -> None:
    read = usage_of(name, usage)
    assert sum(count or 0 for count in msgspec.structs.astuple(read)) == read.total_tokens == total
    told = _told_to(caller, read, streamed)
    sums = ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"]
    sums += ["cache_read_input_tokens", "cache_creation_input_tokens"]
    assert sum(told.get(field) or 0 for field in sums) == total


def _told_to(caller: str, usage: TokenUsage, streamed: bool) -> dict[str, Any]:
    """The usage in an answer or a stream as *caller* is told it; of reports in a stream each replaces what was said."""
    dialect = open_dialect(caller)
    if not streamed:
        told: dict[str, Any] = json.loads(dialect.write_answer(Answer((), "end", usage=usage), ENVELOPE))["usage"]
        return told
    writer = dialect.stream_writer(ENVELOPE)
    stream = b"".join([writer.write(event) for event in (Started("1", "m"), UsageKnown(usage), Stopped("end"), ENDED)])
    said: dict[str, Any] = {}
    for line in stream.decode().splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            for part in (event, event.get("response") or {}, event.get("message") or {}):
                said |= part.get("usage") or {}
    return said


MEDIA = [
    (
        transcript_usage,
        {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 10}, "output_tokens": 3},
        TokenUsage(4, None, None, 10, None, 3),
    ),
    (transcript_usage, {"type": "duration", "seconds": 7}, NOTHING),
    (
        image_usage,
        {"input_tokens": 50, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}, "output_tokens": 9},
        TokenUsage(10, None, None, None, 40, 0, None, None, 9),
    ),
    (
        image_usage,
        {"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"text_tokens": 2, "image_tokens": 7}},
        TokenUsage(5, output=2, output_image=7),
    ),
]


@pytest.mark.parametrize(("read", "usage", "expected"), MEDIA)
def test_what_is_heard_and_drawn_is_told_apart(
    read: Callable[[bytes], TokenUsage | None], usage: dict[str, Any], expected: TokenUsage
) -> None:
    assert read(json.dumps({"data": [], "text": "x", "usage": usage}).encode()) == expected


NAMES = (
    *("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details", "input_tokens"),
    *("output_tokens", "input_tokens_details", "output_tokens_details", "cache_read_input_tokens", "cached_tokens"),
    *("cache_creation_input_tokens", "reasoning_tokens", "thinking_tokens", "audio_tokens", "image_tokens"),
    *("cache_write_tokens", "cached_tokens_details", "inputTokens", "outputTokens", "cacheReadInputTokens"),
    *("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "tokenCount"),
    *("toolUsePromptTokenCount", "promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "modality"),
    *("cacheWriteInputTokens", "toolUsePromptTokensDetails", "total_tokens"),
)
nonsense = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 200), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(("", "12", "AUDIO", "IMAGE")),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=12),
    max_leaves=30,
)  # fmt: skip
"""Whatever might be reported, in the names that are read."""

TOTALS = {  # what is part of what, as the names have it
    "openai_chat": (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")),
    "openai_responses": (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")),
}


@pytest.mark.parametrize("name", ANSWERS)
@given(st.dictionaries(st.sampled_from(NAMES), nonsense, max_size=20) | nonsense)
def test_classes_are_no_nonsense_whatever_is_reported(name: str, reported: object) -> None:
    field = "usageMetadata" if name == "gemini" else "usage"
    document = json.dumps(ANSWERS[name] | {field: reported}).encode()
    usage = open_dialect(name).read_answer(document).usage
    classes = msgspec.structs.astuple(usage)
    assert all(count is None or (type(count) is int and 0 <= count <= 3 * MOST_TOKENS) for count in classes)
    for said, total in zip(TOTALS.get(name, ()), (usage.prompt_tokens, usage.completion_tokens), strict=False):
        if isinstance(reported, dict):
            told = counted(next((reported[one] for one in said if reported.get(one) is not None), None))
            thought = usage.reasoning if said[0] == "completion_tokens" and "total_tokens" in reported else None
            assert total in (told, None if told is None or thought is None else told + thought)
    other_names = ("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
    if name == "openai_chat" and not (isinstance(reported, dict) and any(one in reported for one in other_names)):
        _assert_passed_reads_the_same(document, usage, reported)


def _assert_passed_reads_the_same(document: bytes, usage: TokenUsage, reported: object) -> None:
    """What passes untouched is read by other means, for speed."""
    read = answer_usage(document)
    assert _told(read or NOTHING) == _told(usage)
    reader = StreamReader()
    event = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}], "usage": reported}
    stream = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(event).encode()
    assert (reader.pass_on(stream), reader.failed, reader.done) == (stream, "", True)
    assert _told(reader.usage or NOTHING) == _told(usage)


def _told(usage: Usage) -> object:
    """What is counted and logged of it."""
    parts = usage.parts
    return (usage.prompt_tokens, usage.completion_tokens if parts is None else parts.completion_tokens, parts)


counts = st.integers(0, 1000)
usages = st.builds(
    TokenUsage,
    counts,
    counts,
    st.one_of(st.none(), counts),
    st.one_of(st.none(), counts),
    st.one_of(st.none(), counts),
    counts,
    st.one_of(st.none(), counts),
    st.one_of(st.none(), counts),
)


@pytest.mark.parametrize("name", DIALECTS)
@given(usages)
def test_every_dialect_tells_the_same_sums(name: str, usage: TokenUsage) -> None:
    dialect = open_dialect(name)
    told = dialect.read_answer(dialect.write_answer(Answer((), "end", usage=usage), ENVELOPE)).usage
    assert (told.prompt_tokens, told.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    assert told.cached_read == usage.cached_read


def test_what_is_said_later_in_a_stream_replaces_what_was_known() -> None:
    assert TokenUsage(90, 10, output=1).updated(TokenUsage(output=25)) == TokenUsage(90, 10, output=25)


def test_parts_of_two_reports_are_not_mixed() -> None:
    """The second knows the total alone, so nothing of the first may be added to it."""
    earlier, later = TokenUsage(50, 50, output=5, reasoning=15), TokenUsage(100, output=20)
    assert earlier.updated(later) == later


def test_anthropics_last_report_need_not_repeat_what_was_cached() -> None:
    parser = AnthropicParser()
    started = {"input_tokens": 5, "cache_read_input_tokens": 60, "output_tokens": 1}
    ended = {"input_tokens": 5, "cache_read_input_tokens": None, "output_tokens": 9}
    said = [{"type": "message_start", "message": {"usage": started}}, {"type": "message_delta", "usage": ended}]
    events = [event for one in said for event in parser.read("", json.dumps(one).encode())]
    assert [event.usage for event in events if isinstance(event, UsageKnown)] == [
        TokenUsage(5, 60, output=1),
        TokenUsage(5, 60, output=9),
    ]
