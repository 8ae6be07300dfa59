"""Tokens are counted once, in whatever convention they come: classes sum to the totals, and unknown is not zero."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.events import Answer, Envelope
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.usage import NOTHING, TokenUsage, remainder

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
