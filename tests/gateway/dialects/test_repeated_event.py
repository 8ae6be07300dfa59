"""An event that is recognised says what it would have said if it had been read."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.repeated_event import MAX_CHUNK_BYTES, MAX_UNLIKE, RepeatedEvent
from shipway.gateway.passed_stream import PassedStream


def event(text: str, *, escaped: bool = True, compact: bool = False, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    whole = {"id": "a", "choices": [choice], "usage": None, **more}
    separators = (",", ":") if compact else None
    return b"data: %b\n\n" % json.dumps(whole, ensure_ascii=escaped, separators=separators).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ONE = event("one")
ROLE = ONE.replace(b'"content": "one"', b'"role": "assistant", "content": ""')


def repeated() -> RepeatedEvent:
    found = RepeatedEvent.of(ONE)
    assert found is not None
    return found


@given(st.text(max_size=300), st.booleans())
def test_the_same_event_with_any_text_is_recognised(text: str, escaped: bool) -> None:
    assume(not escaped or all(ord(letter) < 0x10000 for letter in text))
    other = event(text, escaped=escaped)
    assert repeated().carried_by(chunk(other)) == len(other)


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_event_without_spaces_between_its_members_is_recognised_after_any_text(before: str, text: str) -> None:
    assume(all(ord(letter) < 0x10000 for letter in before + text))
    found = RepeatedEvent.of(event(before, compact=True))
    assert found is not None
    other = event(text, compact=True)
    assert found.carried_by(chunk(other)) == len(other)
    assert found.carried_by(chunk(ONE)) == 0


def test_a_text_that_goes_on_is_recognised_beside_one_that_stays_empty() -> None:
    def thought(text: bytes) -> bytes:
        return b'data: {"delta":{"content":"","reasoning":"%b"}}\n\n' % text

    found = RepeatedEvent.of(thought(b"one"))
    assert found is not None
    assert found.carried_by(chunk(thought(b"two"))) == len(thought(b"two"))


@pytest.mark.parametrize(
    "size", [1, 15, 16, 255, 256, 4095 - len(ONE), MAX_CHUNK_BYTES - len(ONE) - 7, MAX_CHUNK_BYTES - len(ONE) - 4]
)
def test_sizes_around_each_number_of_digits_are_framed_as_they_say(size: int) -> None:
    other = event("x" * size)
    whole = chunk(other)
    assert repeated().carried_by(whole) == (len(other) if len(whole) < MAX_CHUNK_BYTES else 0)


@pytest.mark.parametrize(
    "text",
    [
        b'", "x": "',
        b'"}, "finish_reason": "stop", "x": {"y": "',
        b"\n",
        b"\n\ndata: [DONE]\n\n",
        b"\x00",
        b"\\",
        b"\\x",
        b"\\u12",
        b"\\u12 4",
        b'\\\\"',
    ],
)
def test_what_would_not_stay_inside_the_string_is_not_recognised(text: bytes) -> None:
    other = ONE.replace(b"one", text)
    assert repeated().carried_by(chunk(other)) == 0


@pytest.mark.parametrize(
    "other",
    [
        event("one", usage={"prompt_tokens": 1}),
        event("one", error={"message": "no"}),
        event("one").replace(b'"index": 0', b'"index": 1'),
        event("one").replace(b'reason": null', b'reason": "stop"'),
        b"data: [DONE]\n\n",
        ONE[:-1],
        ONE + b": comment\n\n",
    ],
)
def test_an_event_that_says_something_else_is_not_recognised(other: bytes) -> None:
    assert repeated().carried_by(chunk(other)) == 0


@pytest.mark.parametrize(
    "framed",
    [
        ONE,
        chunk(ONE)[:-2],
        chunk(ONE) + chunk(ONE),
        b"0" + chunk(ONE),
        chunk(ONE).replace(b"\r\n", b";a=b\r\n", 1),
        chunk(ONE).upper(),
        b"%x\r\n%b\r\n" % (len(ONE) - 1, ONE),
        b"%x\r\n%b\r\n" % (len(ONE) + 1, ONE),
        b"%x\r\n%b\n\n" % (len(ONE), ONE),
    ],
)
def test_anything_but_one_whole_plain_chunk_is_not_recognised(framed: bytes) -> None:
    assert repeated().carried_by(framed) == 0


def test_a_name_that_ends_like_the_texts_is_as_good() -> None:
    odd = b'data: {"x\\"content":"one","choices":[{"delta":{"content":"two"}}]}\n\n'
    found = RepeatedEvent.of(odd)
    assert found is not None
    assert found.carried_by(chunk(odd.replace(b"one", b"three"))) == len(odd) + 2
    assert found.carried_by(chunk(odd.replace(b"two", b"three"))) == 0


@pytest.mark.parametrize("data", [b'data: {"choices":[]}\n\n', b'data: {"content":"', b'data: {"content":1}\n\n'])
def test_an_event_without_a_text_is_none_to_recognise(data: bytes) -> None:
    assert RepeatedEvent.of(data) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (event("two"), True),
        (event("two", usage={"prompt_tokens": 1, "completion_tokens": 1}), False),
        (event("two").replace(b'reason": null', b'reason": "stop"'), False),
        (b": comment\n\n", False),
        (event("two") + event("three"), False),
        (event("two")[:-1], False),
    ],
)
def test_a_reader_remembers_a_text_that_came_alone_and_nothing_else(data: bytes, expected: bool) -> None:
    reader = StreamReader()
    reader.pass_on(ROLE)
    assert reader.repeated is None  # the first token is still to come
    reader.pass_on(data)
    assert (reader.repeated is not None) is expected


def test_a_stream_with_something_new_in_each_event_is_soon_no_longer_remembered() -> None:
    reader = StreamReader()
    kept = []
    for number in range(2 * MAX_UNLIKE):
        reader.pass_on(event("one", obfuscation=f"{number}"))
        kept.append(reader.repeated is not None)
    assert kept == [True] * (MAX_UNLIKE - 1) + [False] * (MAX_UNLIKE + 1)


@given(st.binary(max_size=12), st.booleans())
def test_bytes_that_are_no_text_are_not_recognised(text: bytes, after_letters: bool) -> None:
    other = ONE.replace(b"one", b"letters" * after_letters + text)
    try:
        inside = json.loads(other[6:])["choices"][0]["delta"]["content"]
    except ValueError:
        inside = None
    if inside is None or len(json.loads(other[6:])) != len(json.loads(ONE[6:])):
        assert repeated().carried_by(chunk(other)) == 0
    elif "\\u" not in other.decode():
        assert repeated().carried_by(chunk(other)) == len(other)


@pytest.mark.parametrize("text", [b"\\ud83d", b"\\uDE00", b"\\ud83d\\ude00"])
def test_halves_of_a_pair_are_left_to_the_reader(text: bytes) -> None:
    assert repeated().carried_by(chunk(ONE.replace(b"one", text))) == 0


def said_by_anthropic(text: str) -> bytes:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: %b\n\n" % json.dumps(delta).encode()


def test_texts_of_anthropic_are_remembered_where_they_pass() -> None:
    reader = PassedStream(open_dialect("anthropic"))
    kept = []
    for data in (
        b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n',
        b'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text","text":""}}\n\n',
        said_by_anthropic("one"),
        said_by_anthropic("two"),
        said_by_anthropic("three") + said_by_anthropic("four"),
        said_by_anthropic("five")[:30],
        said_by_anthropic("five")[30:],
        said_by_anthropic("six"),
        b'event: ping\ndata: {"type":"ping"}\n\n',
    ):
        assert reader.pass_on(data) in (data, b"", said_by_anthropic("five"))
        kept.append(reader.repeated is not None)
    assert kept == [False, False, False, True, False, False, False, True, False]
