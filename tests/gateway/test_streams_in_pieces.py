"""A stream means the same in whatever pieces it comes, although what repeats in it is not read each time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

import pytest

from tests.gateway.conftest import AUTH, RunningGateway, StartGateway
from tests.gateway.dialects.test_repeated_event import chunk, event
from tests.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
WORDS = [event(f"word {number}") for number in range(6)]
STOP = event("").replace(b'reason": null', b'reason": "stop"')
DONE = b"data: [DONE]\n\n"

STREAMS: dict[str, Sequence[bytes]] = {
    "whole": [*WORDS, STOP, DONE],
    "whole, with usage": [*WORDS, STOP, event("", usage={"prompt_tokens": 3, "completion_tokens": 6}), DONE],
    "cut": WORDS,
    "an error among the words": [*WORDS, event("more", error={"message": "no"}), *WORDS],
    "an error said by name": [*WORDS, b"event: error\ndata: {}\n\n", *WORDS],
    "no JSON among the words": [*WORDS, WORDS[0].replace(b"word", b'"word'), *WORDS, STOP, DONE],
    "a line end inside a text": [*WORDS, WORDS[0].replace(b"word", b"wo\nrd"), *WORDS, STOP, DONE],
    "two choices": [*WORDS, WORDS[0].replace(b'"index": 0', b'"index": 1'), *WORDS, STOP, DONE],
    "words after the end": [*WORDS, STOP, DONE, *WORDS],
    "a word in two chunks": [*WORDS, WORDS[0][:40], WORDS[0][40:], *WORDS, STOP, DONE],
    "two words in one chunk": [*WORDS, WORDS[0] + WORDS[1], *WORDS, STOP, DONE],
}


@asynccontextmanager
async def upstream(writes: Sequence[bytes], pause_s: float = 0.002) -> AsyncIterator[int]:
    """Answers one request with *writes*, each a read of its own for whoever asks."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            for data in writes:
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause_s)
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def request(version: str = "HTTP/1.1") -> bytes:
    body = b'{"model":"chat","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
    head = f"POST /v1/chat/completions {version}\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def app(port: int, timeouts: str = "") -> str:
    return (
        f'name = "shop"\n[providers.mine]\nkind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        f'[models.chat]\nupstreams = ["mine/m"]\n{timeouts}'
    )


async def stream(gateway: RunningGateway, version: str) -> bytes:
    async with gateway.raw() as client:
        await client.send(request(version))
        response = await client.response() if version == "HTTP/1.1" else None
        return response.body if response is not None else await asyncio.wait_for(client.reader.read(-1), 5)


async def said(
    start_gateway: StartGateway, writes: Sequence[bytes], version: str = "HTTP/1.1"
) -> tuple[bytes, list[str]]:
    """What the client of a stream got, and what was counted of it."""
    async with upstream(writes) as port:
        gateway = await start_gateway(app(port))
        body = await stream(gateway, version)
        return body, await counted(gateway)


async def counted(gateway: RunningGateway) -> list[str]:
    lines = (await gateway.metrics()).splitlines()
    names = ("shipway_streams_total", "gen_ai_client_token_usage_sum", "shipway_relayed_bytes_total")
    return sorted(line for line in lines if line.startswith(names))


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_means_the_same_event_by_event_and_all_at_once(start_gateway: StartGateway, name: str) -> None:
    events = STREAMS[name]
    one_by_one = await said(start_gateway, [HEAD, *map(chunk, events), LAST])
    at_once = await said(start_gateway, [HEAD + b"".join(map(chunk, events)) + LAST])
    assert one_by_one == at_once
    assert one_by_one[0].startswith(b"".join(WORDS))


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_means_the_same_where_its_head_brings_the_first_event(
    start_gateway: StartGateway, name: str
) -> None:
    first, *rest = map(chunk, STREAMS[name])
    with_head = await said(start_gateway, [HEAD + first, *rest, LAST])
    at_once = await said(start_gateway, [HEAD + first + b"".join(rest) + LAST])
    assert with_head == at_once


async def test_what_looks_like_a_chunk_inside_of_one_is_none(start_gateway: StartGateway) -> None:
    looks_like_one = chunk(WORDS[1])
    size, rest = b"%x\r\n" % len(looks_like_one), b"".join((b"\r\n", chunk(STOP), chunk(DONE), LAST))
    in_pieces = await said(start_gateway, [HEAD + chunk(WORDS[0]) + size, looks_like_one, rest])
    at_once = await said(start_gateway, [HEAD + chunk(WORDS[0]) + size + looks_like_one + rest])
    assert in_pieces == at_once
    assert looks_like_one in in_pieces[0]


async def test_a_plain_word_in_a_compressed_stream_is_none(start_gateway: StartGateway) -> None:
    deflate = zlib.compressobj()
    compressed = deflate.compress(WORDS[0]) + deflate.flush(zlib.Z_SYNC_FLUSH)
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: deflate\r\n\r\n")
    body, _ = await said(start_gateway, [head, chunk(compressed), chunk(WORDS[1]), LAST])
    first, error, rest = body.split(b"\n\n")
    assert (first + b"\n\n", b'"error"' in error, rest) == (WORDS[0], True, b"")


@pytest.mark.parametrize("name", ["cut", "an error among the words", "no JSON among the words"])
async def test_each_piece_that_went_to_the_client_of_a_broken_stream_is_counted_as_a_token(
    start_gateway: StartGateway, name: str
) -> None:
    _, lines = await said(start_gateway, [HEAD, *map(chunk, STREAMS[name]), LAST])
    tokens = [line.rpartition(" ")[2] for line in lines if 'type="output"' in line]
    assert tokens == ["6"]


async def test_chunks_that_repeat_reach_a_client_that_knows_no_chunks_without_them(start_gateway: StartGateway) -> None:
    events = STREAMS["whole"]
    answer, _ = await said(start_gateway, [HEAD, *map(chunk, events), LAST], "HTTP/1.0")
    assert answer.partition(b"\r\n\r\n")[2] == b"".join(events)


@pytest.mark.parametrize("line", [b"%x" % (len(WORDS[0]) + 1), b"0x%x" % len(WORDS[0]), b" %x" % len(WORDS[0])])
async def test_a_size_that_is_wrong_among_the_words_breaks_the_stream_off(
    start_gateway: StartGateway, line: bytes
) -> None:
    words = list(map(chunk, WORDS))
    body, _ = await said(start_gateway, [HEAD, *words, b"%b\r\n%b\r\n" % (line, WORDS[0]), *words])
    events = body.split(b"\n\n")
    assert [part + b"\n\n" for part in events[:6]] == WORDS
    assert b'"error"' in events[6]
    assert events[7:] == [b""]


async def test_what_a_client_had_before_it_left_is_counted(start_gateway: StartGateway) -> None:
    async with upstream([HEAD, *map(chunk, WORDS)], pause_s=0.3) as port:
        gateway = await start_gateway(app(port))
        async with gateway.raw() as client:
            await client.send(request())
            await asyncio.wait_for(client.reader.readuntil(chunk(WORDS[3])), 5)

        async def left() -> bool:
            return any('outcome="client_left"' in line for line in await counted(gateway))

        await until(left)
        lines = await counted(gateway)
    numbers = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert numbers['shipway_relayed_bytes_total{direction="to_client"}'] == sum(map(len, WORDS[:4]))
    assert [number for name, number in numbers.items() if 'type="output"' in name] == [4]


async def test_words_that_repeat_each_put_off_the_idle_deadline(start_gateway: StartGateway) -> None:
    async with upstream([HEAD, *map(chunk, STREAMS["whole"]), LAST], pause_s=0.3) as port:
        gateway = await start_gateway(app(port, '[gateway.timeouts]\nidle = "1200ms"\n'))
        assert await stream(gateway, "HTTP/1.1") == b"".join(STREAMS["whole"])
