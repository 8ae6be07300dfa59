"""What scripts/fuzz looks for over minutes, here with some hundred mutations of good messages each, and what it once found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import events, requests, responses
from fuzz.seeds import SEEDS, TOKENS

Change = tuple[str, int, bytes]
places = st.lists(st.integers(0, 400), max_size=4)


def messages(target: str) -> st.SearchStrategy[bytes]:
    """Seeds of *target*, joined and changed in up to four places."""
    change = st.tuples(
        st.sampled_from(("insert", "replace", "delete")),
        st.integers(0, 400),
        st.sampled_from(TOKENS[target]) | st.binary(min_size=1, max_size=2),
    )
    some = st.lists(st.sampled_from(SEEDS[target]), min_size=1, max_size=2).map(b"".join)
    return st.tuples(some, st.lists(change, max_size=4)).map(lambda drawn: _changed(*drawn))


def _changed(message: bytes, changes: list[Change]) -> bytes:
    for kind, where, token in changes:
        at = where % (len(message) + 1)
        kept = at + (len(token) if kind == "replace" else 1 if kind == "delete" else 0)
        message = message[:at] + (b"" if kind == "delete" else token) + message[kept:]
    return message


def run(check: Callable[..., Awaitable[None]], *arguments: object) -> None:
    async def checked() -> None:
        await check(*arguments)

    asyncio.run(checked())


quick = settings(max_examples=400, derandomize=True, database=None)


@quick
@given(messages("requests"), places)
def test_requests_are_the_same_however_they_are_cut(message: bytes, cuts: list[int]) -> None:
    run(requests.check, message, cuts)


@quick
@given(st.sampled_from((b"GET", b"HEAD")), messages("responses"), places)
def test_responses_are_the_same_however_they_are_cut(method: bytes, message: bytes, cuts: list[int]) -> None:
    run(responses.check, method, message, cuts)


@quick
@given(messages("events"), places)
def test_events_are_the_same_however_they_are_cut(message: bytes, cuts: list[int]) -> None:
    events.check(message, cuts)


@pytest.mark.parametrize("seed", SEEDS["requests"])
async def test_seeds_are_requests(seed: bytes) -> None:
    seen = await requests.read([seed])
    assert seen.requests
    assert b"refused" not in seen.statuses


async def test_bare_carriage_return_among_empty_lines_is_refused_wherever_it_is_cut() -> None:
    message = b"\r\n\r\r\n\r\n\n"
    for place in range(1, len(message)):
        await requests.check(message, [place])


async def test_white_space_before_a_colon_is_read_in_responses() -> None:
    await responses.check(b"GET", b"HTTP/1.1 200 OK\r\nContent-Length :\t2\r\n\r\nok", [30])


def test_carriage_return_inside_an_event_ends_a_line_however_it_is_cut() -> None:
    message = b'data: {"choices"\r:[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    assert events.read([message]) == events.read(bytes((byte,)) for byte in message)


def test_blank_lines_of_carriage_returns_are_the_same_however_they_are_cut() -> None:
    for message in (b"\r\r\ndata: [DONE]\n\n", b"\r\r\r\nx\n\n", b'"index"]}\r\r\ndata: {}\n\n'):
        for place in range(1, len(message)):
            events.check(message, [place])
