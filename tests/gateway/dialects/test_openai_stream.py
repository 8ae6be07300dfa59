"""The reader of streams, alone: what it passes on and how it judges does not depend on where the bytes were cut."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shipway.gateway.dialects.openai import Usage
from shipway.gateway.dialects.openai_stream import DONE, StreamReader
from shipway.gateway.dialects.usage import TokenUsage

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}\n\n'
TOKEN = 'data: {"choices":[{"index":0,"delta":{"content":"é \\"error\\" [DONE]"},"finish_reason":null}]}\n\n'.encode()
SPACED = TOKEN.replace(b":", b": ")
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\r\n\r\n'
ERROR = b'data: {"error":{"message":"no"}}\n\n'
BROKEN = TOKEN.replace(b"}}", b"}BROKEN}")
EVENTS = (
    ROLE,
    TOKEN,
    SPACED,
    END,
    USAGE,
    DONE,
    ERROR,
    b": ping\n\n",
    b"\n\n",
    b"data: {oops\n\n",
    BROKEN,
    b"<html>\n\n",
)


def read(pieces: list[bytes]) -> tuple[bytes, str, bytes | None, bool, object]:
    reader = StreamReader()
    passed = b"".join([reader.pass_on(piece) for piece in pieces])
    return passed, reader.failed, reader.finish(), reader.begun, reader.usage


def told(passed: object) -> object:
    """Without the line ends' form and blank lines beyond the one that ends an event, which both say nothing."""
    return re.sub(rb"\n{3,}", b"\n\n", passed.replace(b"\r\n", b"\n")) if isinstance(passed, bytes) else passed


@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.lists(st.integers(0, 900), max_size=12))
@example([USAGE.replace(b"\n", b"\r\n"), b"\n\n"], [171])
def test_cuts_change_neither_bytes_nor_judgement(events: list[bytes], cuts: list[int]) -> None:
    stream = b"".join([TOKEN, *events])
    places = [0, *sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places) if end > start]
    whole, cut = read([TOKEN, *events]), read(pieces)
    assert [told(one) for one in cut[:3]] == [told(one) for one in whole[:3]]
    assert cut[3] == whole[3]


@given(st.lists(st.sampled_from(EVENTS), max_size=8))
def test_what_is_passed_on_is_the_beginning_of_what_came_in_whole_events(events: list[bytes]) -> None:
    stream = b"".join(events).replace(b"\r\n", b"\n")
    passed = read(events)[0].replace(b"\r\n", b"\n")
    assert stream.startswith(passed)
    assert not passed or passed.endswith(b"\n\n")


def test_ordinary_tokens_pass_as_the_same_object() -> None:
    reader = StreamReader()
    assert reader.pass_on(TOKEN) == TOKEN
    assert reader.pass_on(TOKEN) is TOKEN


def test_done_counts_only_after_each_choice_has_finished() -> None:
    other = END.replace(b'"index":0', b'"index":1').replace(b'"stop"', b"null")
    assert read([other, END, DONE])[1] == "cut"
    assert read([other, END, END.replace(b'"index":0', b'"index":1'), DONE])[1:3] == ("", b"")


def test_event_that_only_looks_like_the_rest_is_not_passed_on() -> None:
    assert read([TOKEN, TOKEN.replace(b"delta", b'"delta'), TOKEN])[:2] == (TOKEN, "garbage")


def test_missing_done_is_added_once() -> None:
    assert read([TOKEN, END])[2] == DONE
    assert read([TOKEN, END, DONE])[2] == b""
    assert read([TOKEN])[2] is None


def test_what_only_begins_an_event_when_the_stream_ends_is_not_made_one() -> None:
    for begun in (b"data", b"data:", b"data: "):
        passed, failed, rest, _, _ = read([TOKEN + END + begun])
        assert (passed, failed, rest) == (TOKEN + END, "", DONE)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([{"prompt_tokens": 5}, {"completion_tokens": 3}], (5, 3)),
        ([{"prompt_tokens": 5, "completion_tokens": 3}, {"prompt_tokens": -1, "completion_tokens": "3"}], (5, 3)),
        ([{"prompt_tokens": 5, "completion_tokens": 3}, {}], (5, 3)),
        ([{"prompt_tokens": 5, "completion_tokens": 1}, {"prompt_tokens": 5, "completion_tokens": 3}], (5, 3)),
        ([{"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}, {"completion_tokens": 3}], (5, 3)),
    ],
)
def test_usage_that_comes_in_parts_is_put_together(
    reports: list[dict[str, object]], expected: tuple[int | None, int | None]
) -> None:
    events = [f'data: {{"choices":[],"usage":{json.dumps(one)}}}\n\n'.encode() for one in reports]
    usage = read([ROLE, *events, END])[4]
    assert isinstance(usage, Usage | TokenUsage)
    assert (usage.prompt_tokens, usage.completion_tokens) == expected
