"""Guards that are HTTP endpoints: what they get, and what happens when they hang, lie, die and come back."""

from __future__ import annotations

import asyncio

import pytest

from shipway.testing.guard_server import FakeGuard
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import KEY, StartGateway
from tests.gateway.guards.conftest import guarded
from tests.gateway.guards.test_streams import AFTER, TEXT, got, openai_stream
from tests.gateway.guards.test_whole import HELLO
from tests.waiting import until


def at(guard: FakeGuard, more: str = "") -> str:
    return f'url = "{guard.url}/check"\n{more}'


async def test_an_endpoint_gets_checks_as_json_over_a_kept_connection(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    async with FakeGuard() as guard:
        gateway = await start_gateway(
            guarded(fake.base_url, at(guard, 'headers = { Authorization = "env:OPENAI_API_KEY" }'))
        )
        response = await gateway.http.post("/v1/chat/completions", json=HELLO, headers={"x-request-id": "r1"})
    assert response.status_code == 200
    before, after = guard.requests
    assert (before.path, before.headers["authorization"]) == ("/check", "sk-upstream")
    assert (before.connection, after.connection) == (1, 1)
    principal = before.json["principal"]
    shared = {"guard": "g", "model": "chat", "request_id": "r1", "principal": principal, "streamed": False}
    text = {"role": "user", "kind": "text", "text": "hello", "name": "", "checked": 0}
    assert before.json == {**shared, "when": "before", "texts": [text]}
    answer = {"role": "assistant", "kind": "text", "text": "This is a fake answer.", "name": "", "checked": 0}
    assert after.json == {**shared, "when": "after", "texts": [answer]}
    assert KEY.encode() not in before.body


async def test_an_endpoint_refuses(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeGuard(lambda check: {"verdict": "refuse", "reason": "injection", "message": "Nice try."}) as guard:
        gateway = await start_gateway(guarded(fake.base_url, at(guard)))
        response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "Nice try. (injection)")
    assert fake.requests == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(raw=b""), "unreachable"),
        (Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), "unreachable"),
        (Reply(body=b'{"verdict":"allow"}', cut_after=4), "unreachable"),
        (Reply(body=b"<html>"), "nonsense"),
        (Reply(body=b"x" * 100_000), "nonsense"),
        (Reply(status=500), "nonsense"),
        (Reply(status=204, body=b""), "nonsense"),
        (Reply(delay_s=5), "timeout"),
        (Reply(body=b'{"verdict":"allow"}', stall_after=4), "timeout"),
    ],
)
async def test_an_endpoint_without_a_verdict_fails_closed(
    start_gateway: StartGateway, fake: FakeOpenAI, reply: Reply, outcome: str
) -> None:
    async with FakeGuard() as guard:
        guard.script(reply)
        gateway = await start_gateway(guarded(fake.base_url, at(guard, 'deadline = "200ms"')))
        response = await gateway.http.post("/v1/chat/completions", json=HELLO)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "guard_unavailable")
        assert fake.requests == []
        assert f'when="before",outcome="{outcome}"}} 1' in await gateway.metrics()
        response = await gateway.http.post("/v1/chat/completions", json=HELLO)
        assert response.status_code == 200  # one failure opens no breaker


async def test_a_dead_endpoint_is_not_waited_for_and_found_again_when_it_is_back(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    async def is_asked_again() -> bool:
        return (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200

    loop = asyncio.get_running_loop()
    async with FakeGuard() as guard:
        guard.default = Reply(delay_s=30)
        gateway = await start_gateway(guarded(fake.base_url, at(guard, 'deadline = "100ms"')))
        for _ in range(5):
            await gateway.http.post("/v1/chat/completions", json=HELLO)
        asked = len(guard.requests)
        began_s = loop.time()
        for _ in range(5):
            response = await gateway.http.post("/v1/chat/completions", json=HELLO)
            assert response.json()["error"]["code"] == "guard_unavailable"
        assert loop.time() - began_s < 0.4
        assert len(guard.requests) == asked
        guard.default = Reply()
        await until(is_asked_again, 5)


async def test_an_endpoint_killed_midway_of_a_stream_ends_it(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text=TEXT, token_delay_s=0.05))
    async with FakeGuard() as guard:
        gateway = await start_gateway(guarded(fake.base_url, at(guard, 'hold = "40ms"'), use=AFTER))
        stream = openai_stream(gateway)
        first = ""
        while not first:
            first = await anext(stream)
    text, error = await got(stream)  # the guard is gone
    assert str(error) == "What must be checked here could not be checked. Try again."
    assert not (first + text).endswith("ten")
    await asyncio.wait_for(fake.requests[0].gone.wait(), 2)


async def test_an_endpoint_that_restarts_loses_no_check(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeGuard() as guard:
        gateway = await start_gateway(guarded(fake.base_url, at(guard)))
        assert (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
    async with FakeGuard(port=guard.port) as again:
        assert (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
        assert len(again.requests) == 2


async def test_a_reload_keeps_a_guard_whose_settings_stay_the_same(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    async with FakeGuard() as guard:
        text = guarded(fake.base_url, at(guard))
        gateway = await start_gateway(text)
        assert (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
        gateway.app_file.write_text(f'{text}max_body = "1MiB"\n')
        await gateway.server.reload()
        assert (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
        assert {request.connection for request in guard.requests} == {1}
        gateway.app_file.write_text(text.replace('guards = ["g"]', ""))
        await gateway.server.reload()
        assert (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
        assert len(guard.requests) == 4
