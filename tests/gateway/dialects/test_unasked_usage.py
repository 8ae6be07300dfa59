"""Usage that only the gateway asked for: what is sent upstream for it, and that nothing of it is left in the stream."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.dialects.unasked_usage import UnaskedUsage, body_with, options_asking

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


def chunk(compact: bool, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": 'é,"usage":null,\\"'}, "finish_reason": None, "usage": None}
    document = {"id": "x", "choices": [choice], **more}
    return json.dumps(document, separators=(",", ":") if compact else None, ensure_ascii=False).encode()


def stream(documents: list[bytes], line_end: bytes) -> bytes:
    return b"".join([b"data: " + one + 2 * line_end for one in documents])


@given(
    compact=st.booleans(),
    line_end=st.sampled_from((b"\n", b"\r\n", b"\r")),
    tokens=st.integers(1, 4),
    filters=st.booleans(),
    cuts=st.lists(st.integers(0, 900), max_size=12),
)
def test_caller_gets_the_bytes_it_would_have_got(
    compact: bool, line_end: bytes, tokens: int, filters: bool, cuts: list[int]
) -> None:
    def said(**usage: Any) -> list[bytes]:
        separators = (",", ":") if compact else None
        begins = [{"choices": [], "prompt_filter_results": [], **usage, "model": "m"}] if filters else []
        ends = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **usage}
        first = [json.dumps({**usage, **one}, separators=separators).encode() for one in begins]
        last = json.dumps(ends, separators=separators).encode()
        return [*first, *[chunk(compact, **usage)] * tokens, last]

    plain = stream([*said(), b"[DONE]"], line_end)
    asked = stream([*said(usage=None), json.dumps({"choices": [], "usage": USAGE}).encode(), b"[DONE]"], line_end)
    places = [0, *sorted({min(cut, len(asked)) for cut in cuts}), len(asked)]
    reader = UnaskedUsage()
    passed = b"".join([reader.pass_on(asked[start:end]) for start, end in pairwise(places) if end > start])
    told = passed + (reader.finish() or b"")
    # Line ends are those of `StreamReader`, which may make them plain where [DONE] is.
    assert re.sub(rb"\r\n?", b"\n", told) == re.sub(rb"\r\n?", b"\n", plain)
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 2)


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE},
        {"choices": [{"index": 0, "delta": {"content": '{"usage":null}'}, "usage": None}]},
        {"choices": [], "x": {"usage": None}},
    ],
)
def test_what_comes_unasked_stays(document: dict[str, Any]) -> None:
    said = stream([json.dumps(document).encode()], b"\n")
    assert UnaskedUsage().pass_on(said) == said


def request(**more: Any) -> ModelRequest:
    return ModelRequest(json.dumps({"model": "m", "stream": True, **more}).encode())


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        ({"stream_options": {"include_usage": True}}, None),
        ({"stream_options": {"include_usage": "yes"}}, None),
        ({"stream_options": "usage"}, None),
    ],
)
def test_usage_is_asked_for_where_the_caller_does_not(more: dict[str, Any], options: dict[str, Any] | None) -> None:
    sent = request(**more)
    asking = options_asking(sent)
    assert (None if asking is None else json.loads(bytes(asking))) == options
    if asking is not None:
        body = json.loads(body_with(sent, msgspec.Raw(b'"there"'), asking))
        assert body == {"model": "there", "stream": True, "stream_options": options}
        plain = {"model": "there", "stream": True, **more}
        assert json.loads(sent.body_for(msgspec.Raw(b'"there"'))) == plain  # elsewhere it goes as it came


def test_an_event_that_has_to_be_changed_is_not_remembered_as_one_that_passes() -> None:
    words = [{"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}]}] * 2
    remembered = []
    for more in ({}, {"usage": None}):
        reader = UnaskedUsage()
        for word in words:
            reader.pass_on(stream([json.dumps({**word, **more}).encode()], b"\n"))
        remembered.append(reader.repeated is not None)
    assert remembered == [True, False]
