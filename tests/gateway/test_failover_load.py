"""Many requests at failing upstreams: attempts stay bounded, breakers open and close, and equals share the load."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import time
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import RunningGateway, StartGateway, model_app, swallowing_port
from tests.gateway.test_failover import (
    ANY_FAULT,
    CHAT,
    STREAM_FAULTS,
    TIMEOUTS,
    chat,
    nothing_under_way,
    read_and_leave,
)
from tests.gateway.test_failover_streams import BAD_ENDS, send_chat

ILL = [Reply(status=500), Reply(raw=b""), Reply(raw=b"", reset=True), Reply(body=b"<html>")]


async def statuses(gateway: RunningGateway, count: int, *, at_once: bool = False, stream: bool = False) -> Counter[int]:
    async def one() -> int:
        response = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
        if response.status_code == 503:
            assert 1 <= int(response.headers["retry-after"]) <= 15
        return response.status_code

    if at_once:
        return Counter(await asyncio.gather(*(one() for _ in range(count))))
    return Counter([await one() for _ in range(count)])


async def breaker_state(gateway: RunningGateway, upstream: str = "p0/m0") -> int:
    text = (await gateway.admin.get("/metrics")).text
    found = re.search(rf'shipway_upstream_breaker_state{{upstream="{upstream}"}} (\d)', text)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("ill", ILL)
@pytest.mark.parametrize("stream", [False, True])
async def test_all_down_means_few_attempts_and_quick_refusals(
    start_gateway: StartGateway, fake: FakeOpenAI, ill: Reply, stream: bool
) -> None:
    async with FakeOpenAI(default=ill) as second:
        fake.default = ill
        gateway = await start_gateway(model_app(fake, second, extra=TIMEOUTS))
        began_s = time.perf_counter()
        seen = await statuses(gateway, 40, stream=stream)
        assert time.perf_counter() - began_s < 5
        assert set(seen) == {502, 503}
        assert seen[503] >= 25
        assert max(len(fake.requests), len(second.requests)) <= 10
        await nothing_under_way(gateway)


async def test_a_burst_at_ill_upstreams_asks_each_at_most_once_a_request_and_then_no_more(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.default = Reply(status=500)
    async with FakeOpenAI(default=Reply(status=500)) as second:
        gateway = await start_gateway(model_app(fake, second))
        await statuses(gateway, 60, at_once=True)
        assert max(len(fake.requests), len(second.requests)) <= 60
        before = len(fake.requests) + len(second.requests)
        await statuses(gateway, 60, at_once=True)
        assert len(fake.requests) + len(second.requests) - before <= 4
        await nothing_under_way(gateway)


async def test_no_request_makes_more_than_three_attempts(start_gateway: StartGateway) -> None:
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(FakeOpenAI(default=Reply(status=500))) for _ in range(6)]
        gateway = await start_gateway(model_app(*fakes))
        await statuses(gateway, 1)
        assert [len(one.requests) for one in fakes] == [1, 1, 1, 0, 0, 0]


async def test_refused_connections_are_a_quick_503(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gateway = await start_gateway(model_app(fake).replace(str(fake.port), str(port)))
    began_s = time.perf_counter()
    assert await statuses(gateway, 10) == {503: 10}
    assert time.perf_counter() - began_s < 1


async def test_address_that_swallows_connections_is_given_up_at_the_connect_deadline(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    with swallowing_port() as port:
        lost = model_app(fake, extra=TIMEOUTS).replace(str(fake.port), str(port))
        response = await (await start_gateway(lost)).http.post("/v1/chat/completions", json=CHAT)
        assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_connect_timeout")
        both = model_app(fake, fake, extra=TIMEOUTS).replace(str(fake.port), str(port), 1)
        assert await chat(await start_gateway(both)) == "This is a fake answer."


async def test_deadlines_of_a_try_count_while_it_connects(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    timeouts = '[gateway.timeouts]\nconnect = "30s"\nfirst_token = "600ms"\nheartbeat = "200ms"\ntotal = "900ms"\n'
    with swallowing_port() as port:
        both = await start_gateway(model_app(fake, fake, extra=timeouts).replace(str(fake.port), str(port), 1))
        response = await both.http.post("/v1/chat/completions", json={**CHAT, "stream": True})
        assert response.text.startswith(": waiting")
        assert response.text.endswith("data: [DONE]\n\n")
        alone = await start_gateway(model_app(fake, extra=timeouts).replace(str(fake.port), str(port)))
        response = await alone.http.post("/v1/chat/completions", json=CHAT)
        assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_total_timeout")


async def test_retries_among_equals_stay_within_the_budget(start_gateway: StartGateway) -> None:
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(FakeOpenAI()) for _ in range(3)]
        for one in fakes:
            one.script(*[Reply(), Reply(status=500), Reply()] * 100)
        gateway = await start_gateway(replicas(fakes))
        began_s = time.perf_counter()
        seen = await statuses(gateway, 150)
        attempts = sum(len(one.requests) for one in fakes)
        assert attempts <= 150 * 1.2 + 10 + (time.perf_counter() - began_s) + 1
        assert seen[200] > 100


def replicas(fakes: list[FakeOpenAI], extra: str = "") -> str:
    urls = ", ".join(f'"{one.base_url}"' for one in fakes)
    return (
        f'name = "app"\n[providers.p]\nkind = "openai"\nbase_url = [{urls}]\n'
        f'[models.chat]\nupstreams = ["p/m"]\n{extra}[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )


@pytest.mark.parametrize("policy", ["weighted", "least-in-flight", "lowest-latency", "prefix-affinity"])
async def test_dead_replica_costs_no_client_anything(start_gateway: StartGateway, policy: str) -> None:
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(FakeOpenAI()) for _ in range(3)]
        gateway = await start_gateway(replicas(fakes, f'balance = "{policy}"\n'))
        assert await statuses(gateway, 30, at_once=True) == {200: 30}
        fakes[0].default = Reply(raw=b"", reset=True)
        before = len(fakes[0].requests)
        assert await statuses(gateway, 60) == {200: 60}
        assert len(fakes[0].requests) - before <= 8
        await nothing_under_way(gateway)


async def test_refused_connection_of_a_replica_costs_no_client_anything_and_no_budget(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    async with FakeOpenAI() as gone:
        app_file = replicas([gone, fake])
    gateway = await start_gateway(app_file)
    assert await statuses(gateway, 90, at_once=True) == {200: 90}
    assert "shipway_retries_withheld_total 0\n" in await gateway.metrics()


async def test_load_spreads_over_equals_and_affinity_keeps_a_conversation_in_its_place(
    start_gateway: StartGateway,
) -> None:
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(FakeOpenAI(default=Reply(delay_s=0.05))) for _ in range(3)]
        least = await start_gateway(replicas(fakes))
        await statuses(least, 30, at_once=True)
        assert [len(one.requests) for one in fakes] == [10, 10, 10]
        near = await start_gateway(replicas(fakes, 'balance = "prefix-affinity"\n'))
        before = [len(one.requests) for one in fakes]
        await statuses(near, 12)
        assert sorted(len(one.requests) - had for one, had in zip(fakes, before, strict=True)) == [0, 0, 12]


async def test_slow_replica_gets_little_with_lowest_latency(start_gateway: StartGateway) -> None:
    async with FakeOpenAI() as quick, FakeOpenAI(default=Reply(delay_s=0.2)) as slow:
        gateway = await start_gateway(replicas([quick, slow], 'balance = "lowest-latency"\n'))
        await statuses(gateway, 40)
        assert len(slow.requests) <= 10


async def test_failed_try_does_not_make_the_next_upstream_look_slow(start_gateway: StartGateway) -> None:
    async with FakeOpenAI() as quick, FakeOpenAI() as ill, FakeOpenAI(default=Reply(delay_s=0.1)) as slow:
        ill.default = Reply(delay_s=30)
        gateway = await start_gateway(
            f'name = "app"\n[providers.i]\nkind = "openai"\nbase_url = "{ill.base_url}"\n[providers.p]\nkind = "openai"\n'
            f'base_url = ["{quick.base_url}", "{slow.base_url}"]\n[models.chat]\nupstreams = ["i/m", "p/m"]\n'
            f'balance = "lowest-latency"\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n[gateway.timeouts]\nfirst_byte = "300ms"\n'
        )
        await statuses(gateway, 16)
        assert len(quick.requests) > len(slow.requests)


async def test_weights_are_the_shares(start_gateway: StartGateway) -> None:
    async with FakeOpenAI() as most, FakeOpenAI() as least:
        app_file = model_app(most, least).replace(
            'upstreams = ["p0/m0", "p1/m1"]',
            'upstreams = [{ model = "p0/m0", weight = 4 }, { model = "p1/m1", weight = 1 }]',
        )
        gateway = await start_gateway(app_file)
        await statuses(gateway, 200)
        assert 15 <= len(least.requests) <= 70


async def test_order_is_kept_while_the_first_works(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second))
        await statuses(gateway, 30, at_once=True)
        assert (len(fake.requests), len(second.requests)) == (30, 0)


# -- breakers


async def test_breaker_opens_lets_probes_pass_and_closes(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(*[Reply(status=503)] * 5)
    gateway = await start_gateway(model_app(fake))
    assert await statuses(gateway, 5) == {503: 5}
    assert await breaker_state(gateway) == 2
    assert await statuses(gateway, 5) == {503: 5}
    assert len(fake.requests) == 5
    await asyncio.sleep(1.05)
    assert await breaker_state(gateway) == 1
    assert await statuses(gateway, 3) == {200: 3}
    assert await breaker_state(gateway) == 0


@pytest.mark.parametrize("wait", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_breaker_opens_on_what_fails_and_asks_for_no_pause(
    start_gateway: StartGateway, fake: FakeOpenAI, wait: str
) -> None:
    fake.default = Reply(status=503, headers={"retry-after": wait})
    gateway = await start_gateway(model_app(fake))
    assert await statuses(gateway, 10) == {503: 10}
    assert len(fake.requests) == 5


async def test_half_open_lets_two_at_a_time_pass(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(*[Reply(status=500)] * 5)
    gateway = await start_gateway(model_app(fake))
    await statuses(gateway, 5)
    await asyncio.sleep(1.05)
    fake.default = Reply(delay_s=0.3)
    assert await statuses(gateway, 20, at_once=True) == {200: 2, 503: 18}
    assert await statuses(gateway, 20, at_once=True) == {200: 20}


async def test_open_breaker_of_the_first_sends_all_to_the_second_and_the_first_comes_back(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(*[Reply(status=500)] * 6)
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second))
        assert await statuses(gateway, 20) == {200: 20}
        assert (len(fake.requests), len(second.requests)) == (5, 20)
        for _ in range(8):
            await asyncio.sleep(0.5)
            assert await statuses(gateway, 2) == {200: 2}
        assert await breaker_state(gateway) == 0
        before = len(second.requests)
        await statuses(gateway, 5)
        assert len(second.requests) == before


async def test_clients_mistakes_do_not_open_a_breaker(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(*[Reply(status=400)] * 30)
    gateway = await start_gateway(model_app(fake))
    assert await statuses(gateway, 31) == {400: 30, 200: 1}


# -- once is once


@pytest.mark.parametrize("stream", [False, True])
async def test_kept_connection_that_breaks_under_a_call_does_not_repeat_it(
    start_gateway: StartGateway, fake: FakeOpenAI, stream: bool
) -> None:
    gateway = await start_gateway(model_app(fake))
    assert await chat(gateway) == "This is a fake answer."
    fake.script(Reply(raw=b""))
    assert await statuses(gateway, 1, stream=stream) == {502: 1}
    assert len(fake.requests) == 2
    assert fake.requests[0].connection == fake.requests[1].connection


async def test_limited_account_leaves_another_at_the_same_address_alone(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(status=429, headers={"retry-after": "30"}))
    gateway = await start_gateway(model_app(fake, fake).replace("p1/m1", "p1/m0"))
    assert await statuses(gateway, 3) == {200: 3}
    assert len(fake.requests) == 4


async def test_errors_and_cancelled_streams_leave_no_connection_behind(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake, extra=TIMEOUTS))
    fake.script(
        *[one for _ in range(8) for one in (Reply(), Reply(cut_after=3), Reply(), Reply(error_after=3), Reply())]
    )
    await statuses(gateway, 40, at_once=True, stream=True)
    await statuses(gateway, 10, at_once=True)
    await nothing_under_way(gateway)
    metrics = (await gateway.admin.get("/metrics")).text
    found = re.search(r'shipway_connections_open{side="upstream"} (\d+)', metrics)
    assert found is not None
    assert int(found[1]) == fake.open_connections


async def test_the_connections_of_a_burst_are_kept_for_the_next_one(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake))
    fake.script(*[Reply(delay_s=1.0)] * 150)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway.http.base_url, headers=gateway.http.headers, limits=limits) as client:
        asked = [client.post("/v1/chat/completions", json=CHAT, timeout=20) for _ in range(150)]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert fake.open_connections == 150


async def test_chaos_leaves_nothing_behind(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    """Faults of every kind while clients come, read a little, and leave: afterwards all is as it was."""
    chance = random.Random(7)
    faults = [*STREAM_FAULTS.values(), *ANY_FAULT.values(), *BAD_ENDS.values(), *[Reply()] * 60]
    async with FakeOpenAI() as second:
        gateway = await start_gateway(model_app(fake, second, extra=TIMEOUTS))
        assert await chat(gateway) == "This is a fake answer."
        tasks_before = len(asyncio.all_tasks())
        for upstream in (fake, second):
            upstream.script(*chance.choices(faults, k=400))

        async def one() -> None:
            await asyncio.sleep(chance.random() * 2)
            reader, writer = await send_chat(gateway, stream=chance.random() < 0.7)
            await read_and_leave(chance, reader, writer)

        await asyncio.gather(*(one() for _ in range(300)))
        await nothing_under_way(gateway)
        await asyncio.sleep(0.3)
        lines = (await gateway.admin.get("/metrics")).text.splitlines()
        (connections,) = [line for line in lines if line.startswith('shipway_connections_open{side="upstream"}')]
        assert int(connections.split()[-1]) == fake.open_connections + second.open_connections
        assert len(asyncio.all_tasks()) <= tasks_before + fake.open_connections + second.open_connections + 4
        for upstream in (fake, second):
            upstream.forget_script()
        await asyncio.sleep(4.1)
        assert await statuses(gateway, 4) == {200: 4}
