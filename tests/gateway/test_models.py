"""Calls to models through the gateway, against the fake OpenAI server."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import AUTH, KEY, RunningGateway, StartGateway, model_app, raw_client


def sdk(gateway: RunningGateway, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=key, max_retries=0)


async def test_official_sdk_gets_an_answer_and_the_upstream_gets_its_own_model_name_and_key(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(
        model_app(fake).replace("[models.chat]", 'api_key = "env:OPENAI_API_KEY"\n[models.chat]')
    )
    async with sdk(gateway) as client:
        answer = await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == "This is a fake answer."
    (received,) = fake.requests
    assert received.json["model"] == "m0"
    assert received.headers["authorization"] == "Bearer sk-upstream"
    assert KEY not in json.dumps(dict(received.headers))


async def test_stream_arrives_whole_and_token_by_token(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        stream = await client.chat.completions.create(
            model="chat",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "This is a fake answer."
    assert chunks[-1].usage is not None


async def test_stream_bytes_pass_untouched(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    body = {"model": "m0", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with raw_client(fake.port) as direct_client:
        payload = json.dumps(body)
        await direct_client.send(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(payload)}\r\n\r\n{payload}"
        )
        direct = await direct_client.response()
    through = await gateway.http.post("/v1/chat/completions", json={**body, "model": "chat"})
    assert through.content == direct.body


@pytest.mark.parametrize("part_bytes", [1, 7, 40])
async def test_stream_survives_any_cut_into_chunks(
    start_gateway: StartGateway, fake: FakeOpenAI, part_bytes: int
) -> None:
    fake.script(Reply(text="é ü 漢字 done", part_bytes=part_bytes))
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        stream = await client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "é ü 漢字 done"


@pytest.mark.parametrize(
    "fault",
    [Reply(cut_after=3), Reply(cut_after=3, reset=True), Reply(end_after=3), Reply(finish_reason="", cut_after=4)],
)
async def test_cut_stream_ends_with_an_error_the_sdk_raises(
    start_gateway: StartGateway, fake: FakeOpenAI, fault: Reply
) -> None:
    fake.script(fault)
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        stream = await client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in stream:
                pass


async def test_answer_cut_inside_its_body_is_not_a_success(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(cut_after=20))
    gateway = await start_gateway(model_app(fake))
    response = await gateway.http.post("/v1/chat/completions", json={"model": "chat", "messages": []})
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_cut"


async def test_next_upstream_answers_when_the_first_breaks_off(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as second:
        fake.script(Reply(raw=b""))
        gateway = await start_gateway(model_app(fake, second))
        response = await gateway.http.post("/v1/chat/completions", json={"model": "chat", "messages": []})
    assert response.status_code == 200
    assert [request.json["model"] for request in second.requests] == ["m1"]


async def test_client_that_leaves_cancels_the_upstream(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(stall_after=2), Reply(delay_s=30))
    gateway = await start_gateway(model_app(fake))
    for streamed in ("true", "false"):
        body = f'{{"model":"chat","stream":{streamed},"messages":[]}}'
        async with gateway.raw() as client:
            await client.send(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}"
            )
            received = (await fake.received(len(fake.requests) + (streamed == "false") or 1))[-1]
            if streamed == "true":
                await client.head()
        await asyncio.wait_for(received.gone.wait(), 2)


async def test_embeddings_completions_and_the_list_of_models_work(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        assert (await client.embeddings.create(model="chat", input="x")).data[0].embedding
        assert (await client.completions.create(model="chat", prompt="x")).choices[0].text
        assert [model.id async for model in client.models.list()] == ["chat"]
        assert (await client.models.retrieve("chat")).id == "chat"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nothing")


async def test_errors_are_of_the_class_that_the_sdk_raises(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway, key="wrong") as stranger, sdk(gateway) as client:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(model="nope", messages=[])
    assert unknown.value.request_id is not None
    assert fake.requests == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"{", None),
        (b'{"a":1}', "model"),
        (b'{"model":1}', "model"),
        (b'{"model":"chat","stream":"yes"}', "stream"),
        (b"[" * 100_000, None),
        (b'{"model":"\xff"}', "model"),
    ],
)
async def test_bad_body_is_refused_with_the_field_at_fault(
    start_gateway: StartGateway, fake: FakeOpenAI, body: bytes, param: str | None
) -> None:
    gateway = await start_gateway(model_app(fake))
    response = await gateway.http.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert fake.requests == []


async def test_repeated_model_field_reaches_the_upstream_once(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    await gateway.http.post("/v1/chat/completions", content=b'{"model":"x","messages":[],"model":"chat"}')
    assert fake.requests[0].body.count(b'"model"') == 1


async def test_body_past_the_limit_is_413_and_reaches_no_upstream(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake, extra='max_body = "1KiB"\n'))
    for framing in ("Content-Length: 2000", "Transfer-Encoding: chunked"):
        async with gateway.raw() as client:
            await client.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}{framing}\r\n\r\n")
            if "chunked" in framing:
                await client.send(b"7d0\r\n" + b"x" * 2000 + b"\r\n")
            assert (await client.response()).status == 413
    assert fake.requests == []


async def test_readiness_fails_first_when_the_gateway_drains_and_the_stream_finishes(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(token_delay_s=0.05))
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        stream = await client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        draining = asyncio.create_task(gateway.server.drain())
        await asyncio.sleep(0)
        assert (await gateway.admin.get("/readyz")).status_code == 503
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        await draining
    assert text == "This is a fake answer."
