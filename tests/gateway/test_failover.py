"""Upstreams that fail before anything of their answer was sent: the next one answers, and the client notices nothing.

Each fault is told to the first of two fakes. With a second upstream the client gets its answer; without one it gets an
error of the right class, and in either case the first was asked exactly once.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import openai
import pytest

from shipway.gateway import refusals
from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import KEY, RunningGateway, StartGateway, model_app
from tests.waiting import until

TIMEOUTS = (
    '[gateway.timeouts]\nconnect = "500ms"\nfirst_byte = "400ms"\nfirst_token = "600ms"\nidle = "300ms"\ntotal = "4s"\n'
)
CHAT: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
CANARY = "upstream-secret-text"
BODY = json.dumps({"error": {"message": CANARY, "type": "server_error", "code": None}}).encode()


def raw(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """A response as it stands on the wire, with just these fields."""
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body


JSON, SSE = "Content-Type: application/json", "Content-Type: text/event-stream"
GOOD = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"ok"}}]}'
)
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
FILTERED = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}\n\n'
"""How Azure begins a stream: no token yet."""

ANY_FAULT = {
    "closed": Reply(raw=b""),
    "reset": Reply(raw=b"", reset=True),
    "garbage": Reply(raw=b"\x00\x01 this is not HTTP\r\n\r\n"),
    "half a head": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "silent": Reply(delay_s=30),
    "html with status 200": Reply(body=b"<html>Bad gateway</html>", headers={"content-type": "text/html"}),
    "text with status 200": Reply(body=b"busy", headers={"content-type": "text/plain"}),
    "empty 200": Reply(body=b""),
    "204": Reply(raw=raw(b"", status="204 No Content")),
    "null": Reply(body=b"null"),
    "no object": Reply(body=b"[]"),
    "an object that is no answer": Reply(body=b'{"ok":true}'),
    "an answer to something else": Reply(body=b'{"object":"list","data":[{"object":"model","id":"m"}]}'),
    "no choices": Reply(body=b'{"choices":null}'),
    "an empty list of choices": Reply(body=b'{"choices":[],"usage":{"prompt_tokens":9}}'),
    "a choice that says nothing": Reply(body=b'{"choices":[{}],"usage":{"prompt_tokens":9}}'),
    "truncated JSON": Reply(body=GOOD[:60]),
    "invalid JSON": Reply(body=GOOD + b"}"),
    "invalid UTF-8": Reply(body=GOOD.replace(b'"ok"', b'"\xff\xfe"') + b"\xff"),
    "an error under 200": Reply(body=BODY),
    "a length too long": Reply(raw=raw(GOOD, JSON, f"Content-Length: {len(GOOD) + 50}")),
    "a length too short": Reply(raw=raw(GOOD, JSON, f"Content-Length: {len(GOOD) - 50}")),
    "chunks cut": Reply(raw=raw(b"ff\r\n" + GOOD[:50], JSON, "Transfer-Encoding: chunked")),
    "malformed chunk": Reply(raw=raw(b"zz\r\n" + GOOD, JSON, "Transfer-Encoding: chunked")),
    "endless HTML": Reply(body=b"<html>" * 2_000_000, headers={"content-type": "text/html"}),
    "early hints and a close": Reply(raw=raw(b"", "Link: <http://secret-host/>", status="103 Early Hints")),
    "endless head": Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000),
    "compressed": Reply(raw=raw(b"\x1f\x8b\x08", JSON, "Content-Encoding: gzip")),
    "redirect": Reply(raw=raw(b"", "Location: http://127.0.0.1:1/", "Content-Length: 0", status="307 Temporary Redirect")),
    "body cut at once": Reply(cut_after=0),
    "body reset": Reply(cut_after=10, reset=True),
    "stalled body": Reply(stall_after=10),
    **{f"status {status}": Reply(status=status, body=BODY) for status in (401, 402, 403, 408, 500, 502, 503, 504, 529)},
    "429": Reply(status=429, body=BODY),
    "429 with a wait": Reply(status=429, headers={"retry-after": "7"}),
    "500 whose body stalls": Reply(status=500, stall_after=3),
}  # fmt: skip

STREAM_FAULTS = {
    "cut before an event": Reply(cut_after=0),
    "reset before an event": Reply(cut_after=0, reset=True),
    "cut after the role": Reply(cut_after=1),
    "cut after what was filtered of the prompt": Reply(raw=raw(FILTERED, SSE)),
    "silent after what was filtered of the prompt": Reply(insert={0: FILTERED}, stall_after=0),
    "ended after the role": Reply(end_after=1),
    "ended at once": Reply(end_after=0),
    "error before an event": Reply(error_after=0),
    "error after the role": Reply(error_after=1),
    "error by event name": Reply(raw=raw(b'event: error\ndata: {"message":"no"}\n\n', SSE)),
    "error as object": Reply(raw=raw(b'data: {"object":"error","message":"no","code":500}\n\n', SSE)),
    "only [DONE]": Reply(raw=raw(b"data: [DONE]\n\n", SSE)),
    "[DONE] after the role": Reply(raw=raw(ROLE + b"data: [DONE]\n\n", SSE)),
    "events that are no JSON": Reply(raw=raw(b"data: <html>\n\n", SSE)),
    "no events": Reply(raw=raw(b"<html>oops</html>\n\n", SSE)),
    "a plain JSON error": Reply(raw=raw(BODY + b"\n\n", SSE)),
    "cut inside the first event": Reply(raw=raw(ROLE[:30], SSE)),
    "cut inside a character": Reply(raw=raw(ROLE + 'data: {"choices":[{"delta":{"content":"é'.encode()[:-1], SSE)),
    "silent after the head": Reply(stall_after=0),
    "silent after the role": Reply(stall_after=1),
    "an answer in one piece": Reply(body=GOOD),
    "comments only": Reply(raw=raw(b": processing\n\n" * 5, SSE)),
}


async def chat(gateway: RunningGateway, *, stream: bool = False, **more: Any) -> str:
    """What the official SDK makes of one call."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEY, max_retries=0, timeout=20
    ) as client:
        if not stream:
            answer = await client.chat.completions.create(**CHAT, **more)
            return answer.choices[0].message.content or ""
        chunks = await client.chat.completions.create(**CHAT, stream=True, **more)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


async def read_and_leave(chance: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read an answer for a while, in pieces of any size, and go: orderly or with a reset."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(chance.random() * 1.5):
            while await reader.read(1 + int(chance.random() * 2000)):
                pass
    if chance.random() < 0.5:
        writer.transport.abort()
    writer.close()


async def nothing_under_way(gateway: RunningGateway) -> None:
    """Returns when no request, attempt or connection that is in use is left; an assertion after two seconds."""

    async def is_so() -> bool:
        lines = (await gateway.admin.get("/metrics")).text.splitlines()
        counts = [line for line in lines if "requests_in_flight" in line and not line.startswith("#")]
        return all(line.endswith((" 0", " 0.0")) for line in counts)

    await until(is_so, 2)


@pytest.mark.parametrize(("name", "stream"), [
    *((name, False) for name in ANY_FAULT),
    *((name, True) for name in ANY_FAULT if name not in {"body reset", "stalled body", "body cut at once"}),
    *((name, True) for name in STREAM_FAULTS),
])  # fmt: skip
async def test_fault_before_the_first_token_is_invisible_or_an_error_of_the_right_class(
    start_gateway: StartGateway, fake: FakeOpenAI, name: str, stream: bool
) -> None:
    fault = (STREAM_FAULTS | ANY_FAULT)[name]
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second, extra=TIMEOUTS))
        fake.script(fault)
        assert await chat(gateway, stream=stream) == "This is a fake answer."
        assert (len(fake.requests), len(second.requests)) == (1, 1)
        await nothing_under_way(gateway)
    async with FakeOpenAI() as alone:
        gateway = await start_gateway(model_app(alone, extra=TIMEOUTS))
        alone.script(fault)
        expected = openai.RateLimitError if "429" in name else openai.InternalServerError
        with pytest.raises(expected) as raised:
            await chat(gateway, stream=stream)
        assert len(alone.requests) == 1
        assert CANARY not in str(raised.value.body)
        assert "retry-after" in raised.value.response.headers or raised.value.status_code in {502, 504}
        await nothing_under_way(gateway)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(delay_s=30), "upstream_first_byte_timeout"),
        (Reply(stall_after=0), "upstream_idle_timeout"),
        (Reply(stall_after=20), "upstream_idle_timeout"),
    ],
)
async def test_each_deadline_has_its_own_code(
    start_gateway: StartGateway, fake: FakeOpenAI, reply: Reply, code: str
) -> None:
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS))
    fake.script(reply)
    response = await gateway.http.post("/v1/chat/completions", json=CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (504, code)
    await asyncio.wait_for(fake.requests[0].gone.wait(), 1)


async def test_total_deadline_ends_the_tries(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI(default=Reply(delay_s=30)) as second:
        fake.default = Reply(delay_s=30)
        timeouts = TIMEOUTS.replace('total = "4s"', 'total = "600ms"')
        gateway = await start_gateway(model_app(fake, second, extra=timeouts))
        began_s = time.perf_counter()
        response = await gateway.http.post("/v1/chat/completions", json=CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_total_timeout")
    assert time.perf_counter() - began_s < 2


async def test_silent_upstream_of_a_stream_is_given_up_at_the_first_token_deadline_and_not_later(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.default = Reply(delay_s=30)
    timeouts = TIMEOUTS.replace('first_byte = "400ms"', 'first_byte = "10s"')
    gateway = await start_gateway(model_app(fake, extra=timeouts))
    response = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_first_token_timeout")


async def test_slow_body_that_keeps_coming_is_no_timeout(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw(b"", JSON, f"Content-Length: {len(GOOD)}"))
        for at in range(0, len(GOOD), 20):
            await asyncio.sleep(0.12)
            writer.write(GOOD[at : at + 20])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    app_file = model_app(fake, extra=TIMEOUTS).replace(str(fake.port), str(port))
    assert await chat(await start_gateway(app_file)) == "ok"
    server.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_clients_own_mistake_passes_with_class_code_and_param_but_without_text(
    start_gateway: StartGateway, fake: FakeOpenAI, status: int, error: type[openai.APIStatusError], stream: bool
) -> None:
    said = {"message": CANARY, "type": "invalid_request_error", "code": "context_length_exceeded", "param": "messages"}
    fake.script(Reply(status=status, body=json.dumps({"error": said}).encode()))
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second))
        with pytest.raises(error) as raised:
            await chat(gateway, stream=stream)
    answer = raised.value
    assert (answer.status_code, answer.code, answer.param) == (status, "context_length_exceeded", "messages")
    assert CANARY not in str(answer.body)
    assert second.requests == []


async def test_client_error_whose_body_stalls_keeps_its_status(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(status=400, stall_after=3))
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS))
    assert (await gateway.http.post("/v1/chat/completions", json=CHAT)).status_code == 400


async def test_answer_carries_none_of_the_upstreams_fields(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fields = {"set-cookie": "a=b", "server": "secret-host", "x-ratelimit-limit-requests": "1"}
    fake.script(Reply(headers={**fields, "content-type": "text/plain"}), Reply(headers=fields))
    gateway = await start_gateway(model_app(fake))
    whole = await gateway.http.post("/v1/chat/completions", json=CHAT)
    stream = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert whole.headers["content-type"] == "application/json"
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    for response in (whole, stream):
        assert response.status_code == 200
        assert not {"set-cookie", "server"} & set(response.headers)
        assert response.headers.get("x-ratelimit-limit-requests") != "1"


@pytest.mark.parametrize(
    ("sent", "told_s"),
    [
        ("3", {"3"}),
        ("0", {"1"}),
        ("99999999999999999999", {"60"}),
        ("-5", {"1"}),
        ("soon", {"1"}),
        ("1e9", {"1"}),
        ("", {"1"}),
        (formatdate(time.time() + 3000, usegmt=True), {"60"}),
        (formatdate(0, usegmt=True), {"1"}),
        ("Mon, 99 Foo 2026 99:99:99 GMT", {"1"}),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_told_within_reason(
    start_gateway: StartGateway, fake: FakeOpenAI, status: int, sent: str, told_s: set[str]
) -> None:
    fake.script(Reply(status=status, headers={"retry-after": sent}))
    gateway = await start_gateway(model_app(fake))
    response = await gateway.http.post("/v1/chat/completions", json=CHAT)
    assert response.status_code == status
    assert response.headers["retry-after"] in told_s


async def test_upstream_that_asked_for_a_pause_is_left_alone_and_then_asked_again(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(status=429, headers={"retry-after": "1"}))
    gateway = await start_gateway(model_app(fake))
    statuses = [(await gateway.http.post("/v1/chat/completions", json=CHAT)).status_code for _ in range(4)]
    assert (statuses, len(fake.requests)) == ([429] * 4, 1)
    await asyncio.sleep(1.05)
    assert await chat(gateway) == "This is a fake answer."


async def test_limit_of_one_model_leaves_the_others_of_its_provider_alone(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(status=429, headers={"retry-after": "30"}))
    app_file = model_app(fake).replace('upstreams = ["p0/m0"]', 'upstreams = ["p0/large", "p0/small"]')
    gateway = await start_gateway(app_file)
    assert [await chat(gateway) for _ in range(2)] == ["This is a fake answer."] * 2
    assert [request.json["model"] for request in fake.requests] == ["large", "small", "small"]


def two_kinds_app(first: FakeAnthropic, second: FakeOpenAI) -> str:
    return (
        f'name = "app"\n[providers.a]\nkind = "anthropic"\nbase_url = "{first.base_url}"\n'
        f'[providers.o]\nkind = "openai"\nbase_url = "{second.base_url}"\n'
        '[models.chat]\nupstreams = ["a/m", "o/m"]\nmay_drop = ["logit_bias"]\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )


async def test_tokens_of_an_upstream_that_failed_are_not_those_of_the_next(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    begun = b'{"type":"message_start","message":{"id":"m","model":"m","usage":{"input_tokens":3333,"output_tokens":1}}}'
    failed = b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}'
    async with FakeAnthropic() as first:
        first.script(Reply(raw=raw(b"data: %b\n\ndata: %b\n\n" % (begun, failed), SSE)))
        gateway = await start_gateway(two_kinds_app(first, fake))
        response = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True})
        assert response.text.endswith("data: [DONE]\n\n")
        assert "3333" not in await gateway.metrics()


async def test_what_an_upstream_that_failed_was_not_told_is_not_named_for_one_that_was_told_all(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    async with FakeAnthropic() as first:
        first.script(Reply(status=500))
        gateway = await start_gateway(two_kinds_app(first, fake))
        response = await gateway.http.post("/v1/chat/completions", json={**CHAT, "logit_bias": {"1": 1}})
        assert (response.status_code, fake.requests[0].json["logit_bias"]) == (200, {"1": 1})
        assert "x-shipway-dropped" not in response.headers


@pytest.mark.parametrize("kind", ["connect", "unsent"])
def test_upstream_that_took_nothing_is_unavailable_and_not_said_to_have_broken_off(kind: str) -> None:
    # `unsent` is what comes of an upstream that does not accept the gateway's certificate.
    assert refusals.upstream_failed(kind) == refusals.resting(1)
