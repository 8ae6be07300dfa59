"""What is recognised as a head that repeats: the same bytes but for the digits of its length, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.http1.repeats import KnownHead
from tests.gateway.conftest import StartGateway
from tests.gateway.http1.recorder import recorder
from tests.gateway.http1.test_repeated_requests import app

LINE, HOST, REST = b"POST / HTTP/1.1\r\n", b"Host: a\r\n", b"X: 1\r\n\r\n"
HEAD = LINE + HOST + b"Content-Length: 5\r\n" + REST


def known(raw: bytes = HEAD, length: int | None = 5) -> KnownHead[str]:
    found = KnownHead.of(raw, "head", length)
    assert found is not None
    return found


@given(st.lists(st.integers(0, 10**14), min_size=1, max_size=4))
def test_same_head_with_any_length_is_recognised_and_its_length_read(lengths: list[int]) -> None:
    head = known()
    for length in lengths:
        raw = HEAD.replace(b" 5\r", b" %d\r" % length)
        assert (head.end_in(raw + b"body"), head.length) == (len(raw), length)


@pytest.mark.parametrize(
    "digits", [b"", b"-5", b"+5", b"5 ", b" 5", b"0x5", b"5,5", b"1_0", b"1" * 16, "\u0665".encode()]
)
def test_what_is_no_plain_number_is_not_recognised(digits: bytes) -> None:
    assert known().end_in(HEAD.replace(b" 5\r", b" %b\r" % digits) + b"hello") == 0


@given(st.integers(0, len(HEAD) - 1), st.binary(min_size=1, max_size=1))
def test_one_other_byte_is_another_head(at: int, byte: bytes) -> None:
    changed = HEAD[:at] + byte + HEAD[at + 1 :]
    end = known().end_in(changed + b"hello")
    assert end == (len(HEAD) if changed == HEAD or (byte.isdigit() and HEAD[at : at + 1] == b"5") else 0)


@given(st.integers(0, len(HEAD) - 1))
def test_head_that_is_not_whole_is_not_recognised(cut: int) -> None:
    assert known().end_in(HEAD[:cut]) == 0


def test_head_without_length_is_recognised_as_it_is() -> None:
    head = known(LINE + HOST + REST, None)
    assert (head.end_in(LINE + HOST + REST), head.length) == (len(LINE + HOST + REST), None)
    assert head.end_in(HEAD) == 0


@pytest.mark.parametrize("field", [b"Content-Length: 5 \r\n", b"Content-Length: 0000000000000005\r\n"])
def test_length_in_an_odd_way_is_never_recognised(field: bytes) -> None:
    assert KnownHead.of(LINE + HOST + field + REST, "head", 5) is None


async def test_blank_lines_and_a_body_are_no_request(start_gateway: StartGateway) -> None:
    """As they were once taken for one, behind a head whose length is written in an odd way."""
    async with recorder() as service:
        gateway = await start_gateway(app(service))
        async with gateway.raw() as client:
            await client.send(LINE + HOST + b"Content-Length: 5 \r\n" + REST + b"hello")
            assert (await client.response()).status == 200
            await client.send(b"\r\n\r\nhe{lo")
            assert (await client.response()).status == 400
        assert len(service.requests) == 1
