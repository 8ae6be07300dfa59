"""Faults of every kind while many ask for a few answers and leave: nobody is left waiting, and only good answers are kept."""

from __future__ import annotations

import asyncio
import json
import random

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway, model_app
from tests.gateway.test_failover import ANY_FAULT, STREAM_FAULTS, TIMEOUTS, nothing_under_way, read_and_leave
from tests.gateway.test_failover_streams import BAD_ENDS

CACHE = '[models.chat.cache]\nttl = "1h"\n'
CHAT = "/v1/chat/completions"
QUESTIONS = [
    json.dumps({"model": "chat", "stream": stream, "messages": [{"role": "user", "content": f"question {number}"}]})
    for number in range(8)
    for stream in (False, True)
]


async def test_chaos_leaves_no_flight_and_no_broken_answer(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    chance = random.Random(11)
    faults = [*STREAM_FAULTS.values(), *ANY_FAULT.values(), *BAD_ENDS.values(), *[Reply(delay_s=0.05)] * 20]
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second, extra=TIMEOUTS + CACHE))
        for upstream in (fake, second):
            upstream.script(*chance.choices(faults, k=400))

        async def one() -> None:
            await asyncio.sleep(chance.random() * 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            body = chance.choice(QUESTIONS)
            control = chance.choice(("", "", "", "Cache-Control: no-cache\r\n"))
            head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n{AUTH}{control}Content-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await read_and_leave(chance, reader, writer)

        await asyncio.gather(*(one() for _ in range(300)))
        await nothing_under_way(gateway)
        for upstream in (fake, second):
            upstream.forget_script()
        seen = [await _sound_answer(gateway, body) for body in QUESTIONS]
        assert "hit" in seen
        assert [await _sound_answer(gateway, body) for body in QUESTIONS] == ["hit"] * len(QUESTIONS)


async def _sound_answer(gateway: RunningGateway, body: str) -> str:
    """What a question is answered with: whole, and at once, where breakers are closed again."""
    for _ in range(40):
        response = await gateway.http.post(CHAT, content=body, timeout=3)
        if response.status_code == 200:
            break
        await asyncio.sleep(0.25)
    if json.loads(body)["stream"]:
        assert response.content.endswith(b"data: [DONE]\n\n")
        events = [json.loads(event[6:]) for event in response.text.split("\n\n")[:-2] if event.startswith("data: ")]
        assert not any("error" in event for event in events)
        assert any(choice["finish_reason"] for event in events for choice in event["choices"])
    else:
        assert response.json()["choices"][0]["finish_reason"]
    return response.headers["x-shipway-cache"]
