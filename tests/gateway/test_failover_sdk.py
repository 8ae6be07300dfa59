"""The official SDK, sync and async, against healthy and ill upstreams: the same answers, the same exceptions."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import KEY, RunningGateway, StartGateway, model_app
from tests.gateway.test_failover import CHAT, GOOD, TIMEOUTS, chat, nothing_under_way
from tests.gateway.test_failover_streams import STREAM, chunk, events

TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
CALL = b'"tool_calls":[{"index":0,"id":"call-1","type":"function","function":{"name":"weather","arguments":"{\\"city\\":"}}]'
MORE = b'"tool_calls":[{"index":0,"function":{"arguments":"\\"Bonn\\"}"}}]'


def address(gateway: RunningGateway, key: str = KEY, retries: int = 0) -> dict[str, Any]:
    return {"base_url": f"http://127.0.0.1:{gateway.port}/v1", "api_key": key, "max_retries": retries, "timeout": 20}


async def in_thread(gateway: RunningGateway, *, stream: bool, **more: Any) -> str:
    """What the synchronous SDK makes of one call."""

    def ask() -> str:
        with openai.OpenAI(**address(gateway)) as client:
            if not stream:
                return client.chat.completions.create(**CHAT, **more).choices[0].message.content or ""
            chunks = client.chat.completions.create(**CHAT, stream=True, **more)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    return await asyncio.to_thread(ask)


CASES: list[tuple[str, Reply, type[Exception] | None]] = [
    ("good", Reply(), None),
    ("bad request", Reply(status=400), openai.BadRequestError),
    ("our credentials", Reply(status=401), openai.InternalServerError),
    ("our rights", Reply(status=403), openai.InternalServerError),
    ("unknown there", Reply(status=404), openai.NotFoundError),
    ("unprocessable", Reply(status=422), openai.UnprocessableEntityError),
    ("limited", Reply(status=429, headers={"retry-after": "1"}), openai.RateLimitError),
    ("ill", Reply(status=500), openai.InternalServerError),
    ("overloaded", Reply(status=529), openai.InternalServerError),
    ("gone", Reply(raw=b""), openai.InternalServerError),
    ("silent", Reply(delay_s=30), openai.InternalServerError),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("reply", "error"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_sync_and_async_see_the_same(
    start_gateway: StartGateway, fake: FakeOpenAI, reply: Reply, error: type[Exception] | None, stream: bool
) -> None:
    fake.default = reply
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS))
    for ask in (chat, in_thread):
        if error is None:
            assert await ask(gateway, stream=stream) == "This is a fake answer."
        else:
            with pytest.raises(error) as raised:
                await ask(gateway, stream=stream)
            assert type(raised.value) is error
            assert isinstance(raised.value, openai.APIStatusError)
            assert raised.value.request_id
        await asyncio.sleep(1.05 if error is openai.RateLimitError else 0)
    await nothing_under_way(gateway)


@pytest.mark.parametrize("reply", [Reply(cut_after=3), Reply(error_after=3), Reply(stall_after=3), Reply(end_after=3)])
async def test_sync_stream_that_breaks_raises(start_gateway: StartGateway, fake: FakeOpenAI, reply: Reply) -> None:
    fake.script(reply)
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS))
    with pytest.raises(openai.APIError):
        await in_thread(gateway, stream=True)


async def test_tools_arrive_whole_streamed_and_not(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    message = GOOD.replace(b'"content":"ok"', CALL.replace(b'"{\\"city\\":"', b'"{}"') + b',"content":null')
    delta = b'data: {"choices":[{"index":0,"delta":{%b}}]}\n\n'
    fake.script(Reply(body=message), events(delta % CALL, delta % MORE, chunk(None, "tool_calls"), b"data: [DONE]\n\n"))
    gateway = await start_gateway(model_app(fake))
    async with openai.AsyncOpenAI(**address(gateway)) as client:
        whole = await client.chat.completions.create(**CHAT, tools=TOOLS)
        chunks = await client.chat.completions.create(**CHAT, tools=TOOLS, stream=True)
        calls = [call async for one in chunks for call in one.choices[0].delta.tool_calls or ()]
    assert whole.choices[0].message.tool_calls is not None
    assert "".join(call.function.arguments or "" for call in calls if call.function) == '{"city":"Bonn"}'
    assert fake.requests[0].json["tools"] == TOOLS


async def test_patient_sdk_gets_its_answer_after_the_pause_it_was_told(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(status=429, headers={"retry-after": "1"}))
    gateway = await start_gateway(model_app(fake))
    async with openai.AsyncOpenAI(**address(gateway, retries=2)) as client:
        answer = await client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == "This is a fake answer."
    assert len(fake.requests) == 2


async def test_embeddings_and_completions_fail_over_too(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(body=b'{"choices":[]}'))
    fake.default = Reply(body=b'{"data":{}}')
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second))
        async with openai.AsyncOpenAI(**address(gateway)) as client:
            vectors = await client.embeddings.create(model="chat", input=["a", "b"])
            text = await client.completions.create(model="chat", prompt="x")
    assert len(vectors.data) == 2
    assert text.choices[0].text == "This is a fake answer."
    assert len(fake.requests) == 2


async def test_total_deadline_inside_a_stream_is_an_error_in_it(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(token_delay_s=0.2))
    gateway = await start_gateway(model_app(fake, extra='[gateway.timeouts]\ntotal = "500ms"\n'))
    response = await gateway.http.post("/v1/chat/completions", json=STREAM)
    assert '"code":"upstream_total_timeout"' in response.text
    assert "[DONE]" not in response.text


async def test_streams_leave_their_connection_for_the_next(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    for stream in (True, True, False, True):
        await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    assert {request.connection for request in fake.requests} == {1}
