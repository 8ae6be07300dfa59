"""A request behind others that resemble it means what it would mean as the first of its kind, byte for byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import ADMIN, AUTH, KEY, SECOND_KEY, StartGateway
from tests.gateway.http1.likeness import END, Conversations, Seen
from tests.gateway.http1.recorder import Recorder, recorder
from tests.gateway.http1.test_mutations import Mutation, mutated, mutations

HOST = b"Host: NNNNNN.test\r\n"
KEYED = HOST + AUTH.encode()
ANSWER = b'{"object":"chat.completion","choices":[{"index":0,"message":{"content":"ok"},"finish_reason":"stop"}]}'
CHAT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)


def app(service: Recorder, patience: str = "1s") -> str:
    return (
        f'name = "app"\n[services.web]\nurl = "{service.url}"\nroutes = [{{ path = "/", public = true }}, "/closed"]\n'
        f'[providers.p]\nkind = "openai"\nbase_url = "{service.url}/v1"\n[models.chat]\nupstreams = ["p/m"]\n'
        '[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
        f'[gateway.timeouts]\nheader = "{patience}"\nbody = "{patience}"\nfirst_byte = "2s"\n'
    )


@asynccontextmanager
async def speaking(start_gateway: StartGateway, patience: str = "1s") -> AsyncIterator[Conversations]:
    async with recorder() as service:
        service.answer("completions", CHAT)
        yield Conversations(await start_gateway(app(service, patience)), service)


@pytest.fixture
async def conversations(start_gateway: StartGateway) -> AsyncIterator[Conversations]:
    async with speaking(start_gateway) as held:
        yield held


def get(fields: bytes = b"", line: bytes = b"GET /x HTTP/1.1", host: bytes = HOST) -> bytes:
    return b"%b\r\n%bX-Request-Id: NNNNNN\r\n%b\r\n" % (line, host, fields)


def post(body: bytes, fields: bytes | None = None, line: bytes = b"POST /x HTTP/1.1", host: bytes = HOST) -> bytes:
    framing = b"Content-Length: %d\r\n" % len(body) if fields is None else fields
    return b"%b\r\n%bX-Request-Id: NNNNNN\r\n%b\r\n%b" % (line, host, framing, body)


def chat(body: bytes, host: bytes = KEYED, fields: bytes | None = None) -> bytes:
    return post(body, fields, b"POST /v1/chat/completions HTTP/1.1", host)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
ASK = b'{"model":"chat","messages":[]}'
WRONG = HOST + b"Authorization: Bearer " + KEY.encode()[:-1] + b"2x\r\n"
SECOND = HOST + b"Authorization: Bearer " + SECOND_KEY.encode() + b"\r\n"
GET, POST, CALL = get(), post(b"abc"), chat(ASK)
CHUNKS = post(b"3\r\nabc\r\n0\r\n\r\n", CHUNKED)

ALIKE = {
    "the same": (GET, GET),
    "the same with a body": (POST, POST),
    "another body": (POST, post(b"xyz")),
    "another length": (POST, post(b"abcdef")),
    "no body": (POST, post(b"")),
    "a length one longer than the body": (POST, post(b"abc", b"Content-Length: 4\r\n")),
    "a length that takes the next request": (
        POST,
        post(b"abc" + END, b"Content-Length: %d\r\n" % (3 + 2 * len(END))) + END,
    ),
    "a length shorter than the body": (POST, post(b"abcGET /smuggled HTTP/1.1\r\n\r\n", b"Content-Length: 3\r\n")),
    "a length with zeros before it": (POST, post(b"abc", b"Content-Length: 003\r\n")),
    "a signed length": (POST, post(b"abc", b"Content-Length: +3\r\n")),
    "a length twice": (POST, post(b"abc", b"Content-Length: 3\r\nContent-Length: 3\r\n")),
    "a length listed": (POST, post(b"abc", b"Content-Length: 3, 3\r\n")),
    "a length in hexadecimal": (POST, post(b"abc", b"Content-Length: 0x3\r\n")),
    "no length": (POST, post(b"", b"")),
    "an empty length": (POST, post(b"abc", b"Content-Length:\r\n")),
    "a length beyond all": (POST, post(b"abc", b"Content-Length: 18446744073709551619\r\n")),
    "a length past max_body": (POST, post(b"abc", b"Content-Length: 999999999\r\n")),
    "chunks in place of a length": (POST, CHUNKS),
    "a length in place of chunks": (CHUNKS, POST),
    "other chunks": (CHUNKS, post(b"1;x\r\na\r\n2\r\nbc\r\n0\r\nT: 1\r\n\r\n", CHUNKED)),
    "both framings": (POST, post(b"0\r\n\r\n", b"Content-Length: 5\r\n" + CHUNKED)),
    "both framings, behind chunks": (CHUNKS, post(b"0\r\n\r\n", CHUNKED + b"Content-Length: 5\r\n")),
    "chunks twice": (CHUNKS, post(b"0\r\n\r\n", CHUNKED * 2)),
    "malformed chunks": (CHUNKS, post(b"4\r\nabc\r\n0\r\n\r\n", CHUNKED)),
    "another method": (POST, post(b"abc", None, b"PUT /x HTTP/1.1")),
    "a method in lower case": (GET, get(line=b"get /x HTTP/1.1")),
    "HEAD": (GET, get(line=b"HEAD /x HTTP/1.1")),
    "another version": (GET, get(line=b"GET /x HTTP/1.0")),
    "a version unknown": (GET, get(line=b"GET /x HTTP/1.2")),
    "two spaces": (GET, get(line=b"GET  /x HTTP/1.1")),
    "another path": (GET, get(line=b"GET /y HTTP/1.1")),
    "a path longer by a byte": (GET, get(line=b"GET /xx HTTP/1.1")),
    "a query": (GET, get(line=b"GET /x?x HTTP/1.1")),
    "a fragment": (GET, get(line=b"GET /x# HTTP/1.1")),
    "a closed path": (GET, get(line=b"GET /closed/x HTTP/1.1")),
    "a model's path": (POST, post(ASK, None, b"POST /v1/chat/completions HTTP/1.1", KEYED)),
    "an absolute target": (GET, get(line=b"GET http://other/x HTTP/1.1")),
    "an encrypted target": (GET, get(line=b"GET https://other/x HTTP/1.1")),
    "one more field": (GET, get(b"Y: 1\r\n")),
    "a field in other case": (get(b"y: 1\r\n"), get(b"Y: 1\r\n")),
    "a field changed by a byte": (get(b"Y: 1\r\n"), get(b"Y: 2\r\n")),
    "no Host": (GET, get(host=b"")),
    "another Host": (GET, get(host=b"Host: NNNNNN.other\r\n")),
    "two Hosts": (GET, get(host=HOST * 2)),
    "Connection: close": (GET, get(b"Connection: close\r\n")),
    "keep-alive after close was not said": (get(b"Connection: keep-alive\r\n"), get(b"Connection: close\r\n")),
    "a field named in Connection": (get(b"Y: 1\r\n"), get(b"Connection: y\r\nY: 1\r\n")),
    "a field no longer named in Connection": (get(b"Connection: y\r\nY: 1\r\n"), get(b"Connection: z\r\nY: 1\r\n")),
    "an expectation": (POST, post(b"abc", b"Content-Length: 3\r\nExpect: 100-continue\r\n")),
    "an expectation again": (post(b"abc", b"Content-Length: 3\r\nExpect: 100-continue\r\n"),) * 2,
    "an expectation unknown": (post(b"abc", b"Content-Length: 3\r\nExpect: 100-continue\r\n"), get(b"Expect: x\r\n")),
    "an upgrade": (GET, get(b"Connection: upgrade\r\nUpgrade: websocket\r\n")),
    "an upgrade again": (get(b"Connection: upgrade\r\nUpgrade: websocket\r\n"),) * 2,
    "Max-Forwards again": (get(b"Max-Forwards: 7\r\n", b"OPTIONS /x HTTP/1.1"),) * 2,
    "Max-Forwards at its end": (
        get(b"Max-Forwards: 1\r\n", b"TRACE /x HTTP/1.1"),
        get(b"Max-Forwards: 0\r\n", b"TRACE /x HTTP/1.1"),
    ),
    "a request id again": (get(b"X-Request-Id: mine\r\n"),) * 2,
    "another request id": (get(b"X-Request-Id: mine\r\n"), get(b"X-Request-Id: his\r\n")),
    "an address in X-Forwarded-For again": (get(b"X-Forwarded-For: 1.2.3.4\r\n"),) * 2,
    "line ends without CR": (GET, GET.replace(b"\r\n", b"\n")),
    "one line end without CR": (GET, GET.replace(b"test\r\n", b"test\n")),
    "a CR in a value": (get(b"Y: 12\r\n"), get(b"Y: 1\r2\r\n")),
    "a NUL in a value": (get(b"Y: 12\r\n"), get(b"Y: 1\x002\r\n")),
    "a folded field": (get(b"Y: 1\r\n"), get(b"Y: 1\r\n 2\r\n")),
    "space before the colon": (get(b"Y: 1\r\n"), get(b"Y : 1\r\n")),
    "an empty line before it": (GET, b"\r\n" + GET),
    "a bare LF before it": (GET, b"\n" + GET),
    "a CR before it": (GET, b"\r" + GET),
    "the same call": (CALL, CALL),
    "a call with another body": (CALL, chat(ASK.replace(b"[]", b'["x"]'))),
    "a call to another model": (CALL, chat(ASK.replace(b"chat", b"tach"))),
    "a call that is no JSON": (CALL, chat(ASK.replace(b"{", b"["))),
    "a call without a key": (CALL, chat(ASK, HOST)),
    "a call with a wrong key": (CALL, chat(ASK, WRONG)),
    "a call with another key": (CALL, chat(ASK, SECOND)),
    "a call with two keys": (CALL, chat(ASK, KEYED + AUTH.encode())),
    "a call with a key behind a wrong one": (chat(ASK, WRONG), CALL),
    "a call in chunks": (CALL, chat(b"1e\r\n" + ASK + b"\r\n0\r\n\r\n", KEYED, CHUNKED)),
    "a call after one in chunks": (chat(b"1e\r\n" + ASK + b"\r\n0\r\n\r\n", KEYED, CHUNKED), CALL),
    "a call with a cookie": (CALL, chat(ASK, KEYED + b"Cookie: a=b\r\n")),
    "a GET where a call was": (CALL, get(line=b"GET /v1/chat/completions HTTP/1.1", host=KEYED)),
    "a closed path without a key": (
        get(line=b"GET /closed HTTP/1.1", host=KEYED),
        get(line=b"GET /closed HTTP/1.1", host=HOST),
    ),
}
STEP = 5
"""Cases are cut at every so many bytes, each from a first place of its own."""


def places(name: str, data: bytes, step: int = STEP) -> Iterator[int]:
    """Where to cut *data*: inside heads alone where a body is refused unread, since the answer then need not wait for it."""
    heads = [(0, len(data))]
    if "key" in name:
        heads = [(found.start(), found.end()) for found in re.finditer(rb"[A-Z]+ /.*?\r\n\r\n", data, re.DOTALL)]
    for cut in range(1 + len(name) % step, len(data), step):
        if any(start <= cut < end for start, end in heads):
            yield cut


def without_status_of_refusals(seen: Seen) -> Seen:
    """For requests that are cut: which fault of a malformed one is found first, and so its status, may depend on where."""
    return replace(
        seen, answer=re.sub(rb"HTTP/1\.1 (400|501|505|414|431) [^\r]*\r\nConnection: close", b"refused", seen.answer)
    )


async def test_request_behind_others_like_it_is_the_request_it_would_be_alone(conversations: Conversations) -> None:
    unlike = []
    for name, (before, message) in ALIKE.items():
        alone = await conversations.hold(message)
        for others in ([before], [before] * 3, [before, GET, POST, CALL, before]):
            if await conversations.hold(message, after=others) != alone:
                unlike.append((name, len(others)))
    assert unlike == []


async def test_request_behind_others_like_it_may_come_in_two_reads(conversations: Conversations) -> None:
    unlike = []
    for name, (before, message) in ALIKE.items():
        alone = without_status_of_refusals(await conversations.hold(message))
        for cut in places(name, message):
            seen = await conversations.hold(message[:cut], message[cut:], after=[before, before])
            if without_status_of_refusals(seen) != alone:
                unlike.append((name, message[:cut]))
    assert unlike == []


async def test_request_behind_others_like_it_may_come_with_them_in_one_read(conversations: Conversations) -> None:
    unlike = []
    for name, (before, message) in ALIKE.items():
        both = before + message
        alone = await conversations.hold(before, message)
        if not alone == await conversations.hold(both) == await conversations.hold(both, after=[before, before]):
            unlike.append((name, b""))
        for cut in places(name, both, 13):
            seen = await conversations.hold(both[:cut], both[cut:], after=[before])
            if without_status_of_refusals(seen) != without_status_of_refusals(alone):
                unlike.append((name, both[:cut]))
    assert unlike == []


SEEDS = (
    GET,
    POST,
    CHUNKS,
    CALL,
    get(b"Connection: close, y\r\nY: 1\r\n"),
    get(b"Connection: keep-alive\r\n"),
    post(b"abc", b"Content-Length: 3\r\nExpect: 100-continue\r\n"),
    get(b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
)


async def test_mutated_request_behind_its_original_means_what_it_means_alone(start_gateway: StartGateway) -> None:
    async with speaking(start_gateway, patience="150ms") as conversations:
        loop = asyncio.get_running_loop()

        async def check(seed: bytes, changes: list[Mutation], cut: int) -> None:
            message = mutated(seed, changes)
            alone = await conversations.hold(message)
            assert await conversations.hold(message, after=[] if b"close" in seed else [seed, seed]) == alone, message
            cut %= max(1, message.find(b"\r\n\r\n"))  # not inside a body, which an early answer would not wait for
            halves = await conversations.hold(message[:cut], message[cut:], after=[] if b"close" in seed else [seed])
            assert without_status_of_refusals(halves) == without_status_of_refusals(alone), (message, cut)

        def run_one(seed: bytes, changes: list[Mutation], cut: int) -> None:
            asyncio.run_coroutine_threadsafe(check(seed, changes, cut), loop).result(20)

        fuzz = settings(max_examples=200, suppress_health_check=list(HealthCheck), derandomize=True, database=None)(
            given(st.sampled_from(SEEDS), mutations, st.integers(1, 300))(run_one)
        )
        await asyncio.to_thread(fuzz)


async def test_head_seen_before_a_reload_is_judged_by_the_rules_after_it(start_gateway: StartGateway) -> None:
    async with recorder() as service:
        open_app = app(service).replace(', "/closed"', "")
        closed_app = open_app.replace("public = true", "public = false")
        gateway = await start_gateway(open_app)
        head = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        async with gateway.raw() as client:
            for rules, status in ((open_app, 200), (closed_app, 401)) * 2:
                gateway.app_file.write_text(rules)
                answer = await gateway.admin.post("/v1/reload", headers=ADMIN)
                assert answer.status_code == 200, answer.text
                for _ in range(3):
                    await client.send(head)
                    assert (await client.response()).status == status


async def test_head_seen_from_one_client_does_not_speak_for_another(start_gateway: StartGateway) -> None:
    async with recorder() as service:
        gateway = await start_gateway(app(service))
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(address, 0))
            for _ in range(2):
                writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 2)
                assert service.requests[-1].values("x-forwarded-for") == [address.encode()]
            writer.close()
