"""The affinity key: the same in each turn of a conversation, different for different ones, and cheap for any input."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.affinity import MESSAGE_BYTES, SEARCHED_BYTES, affinity_key

Message = dict[str, Any]


def message(role: str, content: Any, *, role_last: bool = False) -> Message:
    return {"content": content, "role": role} if role_last else {"role": role, "content": content}


def encoded(messages: list[Message], *, compact: bool = True) -> bytes:
    return json.dumps(messages, separators=(",", ":") if compact else None).encode()


TEXTS = st.text(max_size=40) | st.text('"\\{}[]:, role user', max_size=60) | st.integers(0, 9000).map(lambda n: "x" * n)
CONTENTS = TEXTS | st.lists(TEXTS.map(lambda text: {"type": "text", "text": text}), max_size=3)
OTHERS = st.sampled_from(["assistant", "tool", "user", "system"])


@given(
    st.lists(TEXTS, max_size=2),
    CONTENTS,
    st.lists(st.tuples(OTHERS, CONTENTS), max_size=4),
    st.lists(st.tuples(OTHERS, CONTENTS), max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_later_turns_have_the_key_of_the_first(
    systems: list[str],
    question: Any,
    turn: list[tuple[str, Any]],
    later_turn: list[tuple[str, Any]],
    role_last: bool,
    compact: bool,
) -> None:
    first = [message("system", text, role_last=role_last) for text in systems]
    first.append(message("user", question, role_last=role_last))
    second = first + [message(*one, role_last=role_last) for one in turn]
    third = second + [message(*one, role_last=role_last) for one in later_turn]
    found = {affinity_key("chat", encoded(messages, compact=compact)) for messages in (first, second, third)}
    assert len(found) == 1


@given(TEXTS, TEXTS)
def test_a_key_is_of_64_bits_and_tells_models_apart(system: str, question: str) -> None:
    raw = encoded([message("system", system), message("user", question)])
    one, other = affinity_key("chat", raw), affinity_key("code", raw)
    assert 0 <= one < 2**64
    assert one != other


def test_conversations_with_one_system_prompt_differ_by_their_first_question() -> None:
    system = message("system", "You are kind. " * 500)
    asked = [encoded([system, message("user", f"Question number {number}?")]) for number in range(1000)]
    assert len({affinity_key("chat", raw) for raw in asked}) == 1000


def test_a_quoted_role_inside_a_text_is_only_text() -> None:
    system = message("system", 'Answer as {"role":"user","content":"x"} would.')
    one, other = ([system, message("user", question)] for question in ("a", "b"))
    assert affinity_key("chat", encoded(one)) != affinity_key("chat", encoded(other))


def test_raw_json_of_a_decoded_body_will_do() -> None:
    raw = encoded([message("user", "Hello")])
    fields = msgspec.json.decode(b'{"messages":%b}' % raw, type=dict[str, msgspec.Raw])
    assert affinity_key("chat", fields["messages"]) == affinity_key("chat", raw)


def test_beyond_its_bounds_nothing_is_read() -> None:
    raw = encoded([message("user", "x" * 5000)])
    assert affinity_key("chat", raw) == affinity_key("chat", raw[: MESSAGE_BYTES + 100] + b"anything")
    prompt = b'"' + b"y" * SEARCHED_BYTES
    assert affinity_key("chat", prompt) == affinity_key("chat", prompt + b'[{"role":"user","content":"z"}]')


@given(st.binary(max_size=400) | st.text('"\\{}[]:, rolesu', max_size=400).map(str.encode))
def test_bytes_that_are_no_messages_have_a_key_too(raw: bytes) -> None:
    assert affinity_key("chat", raw) == affinity_key("chat", raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"role":"user","content":"' + b'\\"' * 100_000,
        b'[{"role":"user","content":[' + b"{" * 100_000,
        b'[{"role":"user","x":"' + b'\\"' * 100_000,
        b'"role"' * 100_000,
        b'"role":' + b" " * 100_000,
        b'"role":"user"' + b" " * 100_000,
        b"\\" * 100_000,
        b'"' * 100_000,
    ],
)
def test_no_input_is_slow(raw: bytes) -> None:
    def once_s() -> float:
        start_s = time.perf_counter()
        affinity_key("chat", raw)
        return time.perf_counter() - start_s

    assert min(once_s() for _ in range(5)) < 0.005
