"""Streams after their first token: they end whole, or with an error said in-band; and what a client sees of silence."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import openai
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import AUTH, KEY, RunningGateway, StartGateway, model_app, swallowing_port
from tests.gateway.test_failover import CHAT, SSE, TIMEOUTS, chat, nothing_under_way, raw

STREAM = {**CHAT, "stream": True}


def chunk(content: str | None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def events(*parts: bytes) -> Reply:
    """A stream that ends with its connection, in order."""
    return Reply(raw=raw(b"".join(parts), SSE))


DONE = b"data: [DONE]\n\n"
ONE, END = chunk("one"), chunk(None, "stop")

BAD_ENDS = {
    "cut": Reply(cut_after=3),
    "reset": Reply(cut_after=3, reset=True),
    "ended before its finish": Reply(end_after=3),
    "cut before [DONE]": Reply(text="a b", cut_after=4),
    "an error event": Reply(error_after=3),
    "an error by event name": events(ONE, b'event: error\ndata: {"message":"no"}\n\n'),
    "an error as object": events(ONE, b'data: {"object":"error","message":"no"}\n\n'),
    "an error with its first token": events(ONE + b'data: {"error":{"message":"no"}}\n\n' + END + DONE),
    "[DONE] without a finish": events(ONE, DONE),
    "an empty finish reason": events(ONE, chunk(None, ""), DONE),
    "clean end without a finish": events(ONE),
    "cut inside an event": events(ONE, ONE[:20]),
    "cut inside a character": events(ONE, chunk("é").replace(b"\\u00e9", b"\xc3")[:-20]),
    "garbage": events(ONE, b"<html>oops</html>\n\n", END, DONE),
    "an event that is no JSON": events(ONE, b"data: {oops\n\n", END, DONE),
    "a truncated document": events(ONE, b'data: {"choices":[{"delta":{"content":"tw\n\n', END, DONE),
    "one choice of two unfinished": events(ONE, chunk("two", index=1), END, DONE),
    "silence": Reply(stall_after=3),
    "tool call cut": events(
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function",'
        b'"function":{"name":"f","arguments":"{\\"a"}}]}}]}\n\n'
    ),
}


@pytest.mark.parametrize("name", BAD_ENDS)
async def test_stream_that_goes_wrong_ends_with_an_error_and_is_not_tried_elsewhere(
    start_gateway: StartGateway, fake: FakeOpenAI, name: str
) -> None:
    more = {"n": 2} if "two" in name else {}
    async with FakeOpenAI() as second:
        fake.script(BAD_ENDS[name], BAD_ENDS[name])
        gateway = await start_gateway(model_app(fake, second, extra=TIMEOUTS))
        response = await gateway.http.post("/v1/chat/completions", json={**STREAM, **more})
        with pytest.raises(openai.APIError):
            await chat(gateway, stream=True, **more)
        assert (len(fake.requests), second.requests) == (2, [])
        await nothing_under_way(gateway)
    assert response.status_code == 200
    *before, last = response.text.removesuffix("\n\n").split("\n\n")
    assert "[DONE]" not in response.text
    assert json.loads(last.removeprefix("data: "))["error"]["code"].startswith("upstream_")
    assert all("error" not in event and json.loads(event.removeprefix("data: ")) for event in before)
    assert before


GOOD_ENDS = {
    "as it should": events(ONE, END, DONE),
    "no [DONE]": events(ONE, END),
    "no empty line at the end": events(ONE, END[:-1]),
    "[DONE] without an empty line": events(ONE, END, DONE[:-1]),
    "reset after [DONE]": Reply(text="one", cut_after=4, reset=True),
    "carriage returns": events((ONE + END + DONE).replace(b"\n", b"\r\n")),
    "no space after data:": events((ONE + END + DONE).replace(b"data: ", b"data:")),
    "spaces before colons": events((ONE + END + DONE).replace(b'":', b'" :')),
    "comments and retries between": events(b": hello\n\n", b"retry: 5\n" + ONE, b": ping\n\n", END, DONE),
    "usage on the last chunk with content": events(ONE, chunk(None, "stop", usage={"prompt_tokens": 3, "completion_tokens": 4}), DONE),  # noqa: E501
    "usage on a chunk of its own": events(ONE, END, b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n', DONE),  # noqa: E501
    "the whole answer in one event": events(chunk("one", "stop"), DONE),
    "something after [DONE]": events(ONE, END, DONE, b"data: more\n\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD_ENDS)
async def test_stream_that_said_all_ends_well(start_gateway: StartGateway, fake: FakeOpenAI, name: str) -> None:
    fake.script(GOOD_ENDS[name], GOOD_ENDS[name])
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS))
    response = await gateway.http.post("/v1/chat/completions", json=STREAM)
    assert await chat(gateway, stream=True) == "one"
    assert response.text.replace("\r\n", "\n").endswith("\n\ndata: [DONE]\n\n") or "no space" in name
    assert response.text.count("[DONE]") == 1
    if "usage" in name:
        metrics = (await gateway.admin.get("/metrics")).text
        assert 'gen_ai_token_type="output"' in metrics


async def test_upstream_that_hangs_after_done_holds_nobody(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="one", stall_after=4))
    gateway = await start_gateway(model_app(fake))
    began_s = time.perf_counter()
    response = await gateway.http.post("/v1/chat/completions", json={**STREAM, "messages": []})
    assert response.text.endswith(DONE.decode())
    assert time.perf_counter() - began_s < 5
    await nothing_under_way(gateway)


async def test_several_choices_and_tool_calls_and_old_completions_pass(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    ends = chunk(None, "stop", 0) + chunk(None, "length", 1)
    tool = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    call = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[%b]}}]}\n\n' % json.dumps(tool).encode()
    fake.script(events(ONE, chunk("two", index=1), ends, DONE), events(call, chunk(None, "tool_calls"), DONE))
    gateway = await start_gateway(model_app(fake))
    assert await chat(gateway, stream=True, n=2) == "onetwo"
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEY) as client:
        chunks = [one async for one in await client.chat.completions.create(**CHAT, stream=True)]
        assert chunks[0].choices[0].delta.tool_calls is not None
        texts = await client.completions.create(model="chat", prompt=["a"], stream=True)
        assert "".join([one.choices[0].text async for one in texts]) == "This is a fake answer."


# -- silence


@pytest.mark.parametrize("silent", [Reply(delay_s=30), Reply(stall_after=0), Reply(stall_after=1)])
async def test_heartbeats_during_silence_then_failover_then_a_good_stream(
    start_gateway: StartGateway, fake: FakeOpenAI, silent: Reply
) -> None:
    fake.default = silent
    extra = TIMEOUTS.replace('connect = "500ms"', 'connect = "500ms"\nheartbeat = "150ms"').replace("400ms", "2s")
    async with FakeOpenAI(default=Reply(delay_s=0.4)) as second:
        gateway = await start_gateway(model_app(fake, second, extra=extra))
        response = await gateway.http.post("/v1/chat/completions", json=STREAM)
        assert await chat(gateway, stream=True) == "This is a fake answer."
    assert response.headers["content-type"].startswith("text/event-stream")
    beats, _, stream = response.text.partition("data: ")
    assert 5 <= beats.count(": waiting for the model\n\n") <= 8
    assert stream.endswith("data: [DONE]\n\n")
    assert ": waiting" not in stream


async def test_heartbeats_then_failure_of_all_is_an_error_in_the_stream(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.default = Reply(delay_s=30)
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS + 'heartbeat = "100ms"\n'))
    with pytest.raises(openai.APIError, match="too long"):
        await chat(gateway, stream=True)
    await nothing_under_way(gateway)


async def test_heartbeats_fill_a_pause_between_tokens(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="a b c", token_delay_s=0.25))
    gateway = await start_gateway(model_app(fake, extra='[gateway.timeouts]\nheartbeat = "100ms"\n'))
    response = await gateway.http.post("/v1/chat/completions", json=STREAM)
    assert response.text.count(": waiting") >= 3
    assert "[DONE]" in response.text


# -- clients that leave or read slowly


async def send_chat(gateway: RunningGateway, *, stream: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = json.dumps({**CHAT, "stream": stream})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    return reader, writer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("when", ["before the first byte", "between", "during", "in the second try"])
async def test_departure_reaches_the_upstream_at_once_and_leaves_nothing_behind(
    start_gateway: StartGateway, fake: FakeOpenAI, stream: bool, reset: bool, when: str
) -> None:
    stall = {
        "before the first byte": Reply(delay_s=30),
        "between": Reply(stall_after=0),
        "during": Reply(stall_after=3),
    }
    async with FakeOpenAI() as second:
        asked = second if when == "in the second try" else fake
        fake.script(stall.get(when, Reply(status=500)))
        second.script(Reply(delay_s=30))
        gateway = await start_gateway(model_app(fake, second))
        reader, writer = await send_chat(gateway, stream=stream)
        (received,) = await asked.received(1)
        if when == "during" and stream:
            await reader.readuntil(b"fake")
        else:
            await asyncio.sleep(0.05)
        before_s = time.perf_counter()
        if reset:
            writer.transport.abort()
        else:
            writer.close()
        await asyncio.wait_for(received.gone.wait(), 2)
        assert time.perf_counter() - before_s < 0.25
        await nothing_under_way(gateway)
        if asked is fake:
            assert second.requests == []
        breakers = (await gateway.admin.get("/metrics")).text
        assert 'shipway_upstream_breaker_state{upstream="p0/m0"} 0' in breakers


async def test_departure_while_connecting_stops_the_attempt(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    with swallowing_port() as port:
        gateway = await start_gateway(model_app(fake).replace(str(fake.port), str(port)))
        _, writer = await send_chat(gateway, stream=True)
        await asyncio.sleep(0.1)
        writer.close()
        await nothing_under_way(gateway)


async def test_probe_of_a_client_that_left_is_given_back(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(*[Reply(status=500)] * 5, *[Reply(delay_s=30)] * 4)
    gateway = await start_gateway(model_app(fake))
    for _ in range(5):
        await gateway.http.post("/v1/chat/completions", json=CHAT)
    assert (await gateway.http.post("/v1/chat/completions", json=CHAT)).status_code == 503
    await asyncio.sleep(1.1)
    for at in range(4):
        _, writer = await send_chat(gateway, stream=False)
        received = (await fake.received(6 + at))[-1]
        writer.close()
        await asyncio.wait_for(received.gone.wait(), 2)
    assert await chat(gateway) == "This is a fake answer."


async def test_slow_reader_slows_the_upstream_and_loses_nothing(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(tokens=["x" * 50_000] * 400))
    gateway = await start_gateway(model_app(fake, extra='[gateway.timeouts]\nidle = "3s"\nheartbeat = "200ms"\n'))
    reader, writer = await send_chat(gateway, stream=True)
    await asyncio.sleep(1)
    (received,) = fake.requests
    assert not received.answered.is_set()
    taken = 0
    while b"[DONE]" not in (data := await asyncio.wait_for(reader.read(1 << 20), 5)):
        taken += data.count(b"x")
    assert taken + data.count(b"x") == 400 * 50_000 + 404  # each chunk and the finish have one in "index"
    writer.close()
    await nothing_under_way(gateway)


async def test_reader_that_never_reads_is_dropped_in_the_end(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(tokens=["x" * 50_000] * 400))
    gateway = await start_gateway(model_app(fake, extra='[gateway.timeouts]\nidle = "300ms"\n'))
    _, writer = await send_chat(gateway, stream=True)
    (received,) = await fake.received(1)
    await asyncio.wait_for(received.gone.wait(), 3)
    await nothing_under_way(gateway)
    writer.close()


async def test_stream_past_the_drain_budget_ends_with_an_error_and_an_unbegun_answer_with_503(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(stall_after=3), Reply(delay_s=30))
    gateway = await start_gateway(model_app(fake).replace('drain = "1s"', 'drain = "300ms"'))
    reader, first_writer = await send_chat(gateway, stream=True)
    await reader.readuntil(b" is")
    other, second_writer = await send_chat(gateway, stream=False)
    await fake.received(2)
    await gateway.server.drain()
    rest, refused = await asyncio.wait_for(reader.read(), 2), await asyncio.wait_for(other.read(), 2)
    assert b'"code":"draining"' in rest
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in refused
    for request in fake.requests:
        await asyncio.wait_for(request.gone.wait(), 1)
    first_writer.close()
    second_writer.close()
