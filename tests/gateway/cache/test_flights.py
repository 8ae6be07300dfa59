"""Identical requests at the same time: one asks, the others wait, and none of them is lost when it fails."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from shipway.gateway.cache.entry import Entry, Found
from shipway.gateway.cache.flights import MAX_IMPATIENT, Flight, Flights
from shipway.gateway.http1.running import Running, Waiter
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway, model_app

CACHE = '[models.chat.cache]\nttl = "1h"\n'
CHAT = "/v1/chat/completions"
BODY = '{"model":"chat","messages":[],"stream":%s}'
ANSWER = Found(Entry(False, b"answer", b"", 0.0))


class Waiting:
    """One that waits for a flight, as a handler does."""

    def __init__(self, flight: Flight) -> None:
        self.got: list[Found | None] = []
        self.flight = flight
        self.seat: Waiter[Found | None] | None = None
        self.running = Running()
        self.running.start(self._run())

    async def _run(self) -> None:
        self.seat = self.flight.take_seat()
        try:
            self.got.append(await self.seat)
        except asyncio.CancelledError:
            pass
        finally:
            self.flight.leave(self.seat)


def asking(waiting: list[Waiting]) -> int:
    return sum(one.got == [None] for one in waiting)


def test_all_that_wait_get_the_answer() -> None:
    flights = Flights()
    flight, leads = flights.join(b"k")
    assert leads
    assert flights.join(b"k") == (flight, False)
    waiting = [Waiting(flight) for _ in range(5)]
    flight.landed(ANSWER)
    assert [one.got for one in waiting] == [[ANSWER]] * 5
    assert len(flights) == 0


def test_after_a_failure_one_asks_then_two_then_four() -> None:
    flight, _ = Flights().join(b"k")
    waiting = [Waiting(flight) for _ in range(10)]
    seen = []
    flight.failed()
    for _ in range(3):
        seen.append(asking(waiting))
        for _ in range(seen[-1] - (seen[-2] if len(seen) > 1 else 0)):
            flight.failed()
    assert seen == [1, 3, 7]
    assert asking(waiting) == 10


def test_those_that_left_are_not_waited_for() -> None:
    flights = Flights()
    flight, _ = flights.join(b"k")
    waiting = [Waiting(flight) for _ in range(3)]
    waiting[0].running.stop()
    flight.failed()
    assert [one.got for one in waiting] == [[], [None], []]
    waiting[2].running.stop()
    flight.failed()
    assert (flight.waiting, len(flights)) == (0, 0)


def test_few_lose_patience_at_once() -> None:
    flight, _ = Flights().join(b"k")
    waiting = [Waiting(flight) for _ in range(10)]
    for one in waiting:
        assert one.seat is not None
        flight.lost_patience(one.seat)
    assert asking(waiting) == MAX_IMPATIENT - 1
    flight.landed(ANSWER)
    assert sum(one.got == [ANSWER] for one in waiting) == 10 - (MAX_IMPATIENT - 1)


def test_late_end_of_an_old_flight_does_not_end_a_new_one() -> None:
    flights = Flights()
    old, _ = flights.join(b"k")
    slow = Waiting(old)
    assert slow.seat is not None
    old.lost_patience(slow.seat)
    old.landed(ANSWER)
    new, leads = flights.join(b"k")
    assert leads
    old.failed()
    assert flights.join(b"k") == (new, False)


async def post(gateway: RunningGateway, stream: str) -> httpx.Response:
    return await gateway.http.post(CHAT, content=BODY % stream)


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_model_is_asked_once_by_many_at_the_same_time(
    start_gateway: StartGateway, fake: FakeOpenAI, stream: str
) -> None:
    fake.default = Reply(delay_s=0.3)
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    answers = await asyncio.gather(*(post(gateway, stream) for _ in range(30)))
    assert len(fake.requests) == 1
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers["x-shipway-cache"] for answer in answers) == ["hit"] * 29 + ["miss"]
    assert 'result="shared"} 29' in await gateway.metrics()


async def test_those_that_wait_go_on_when_the_one_that_asked_fails(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(delay_s=0.3, cut_after=5), Reply(delay_s=0.1, cut_after=5))
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    answers = await asyncio.gather(*(post(gateway, "false") for _ in range(20)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 18 + [502] * 2
    assert len(fake.requests) <= 4


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_those_that_wait_go_on_when_the_client_of_the_one_that_asked_leaves(
    start_gateway: StartGateway, fake: FakeOpenAI, stream: str
) -> None:
    fake.script(Reply(stall_after=2) if stream == "true" else Reply(delay_s=30))
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    body = BODY % stream
    async with gateway.raw() as leader:
        await leader.send(f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}")
        await fake.received(1)
        waiting = [asyncio.create_task(post(gateway, stream)) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert len(fake.requests) == 1
    answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(fake.requests) == 2


async def test_one_that_waits_may_leave(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(delay_s=0.5))
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    leader = asyncio.create_task(post(gateway, "false"))
    await fake.received(1)
    body = BODY % "false"
    async with gateway.raw() as client:
        await client.send(f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}")
        await asyncio.sleep(0.1)
    assert (await leader).status_code == 200
    assert len(fake.requests) == 1
    assert 'status_class="499"' in await gateway.metrics()


async def test_one_that_waits_is_answered_by_its_own_deadline(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(delay_s=30))
    timeouts = '[gateway.timeouts]\ntotal = "700ms"\n'
    gateway = await start_gateway(model_app(fake, extra=timeouts + CACHE))
    leader = asyncio.create_task(post(gateway, "false"))
    await fake.received(1)
    await asyncio.sleep(0.4)
    follower = asyncio.create_task(post(gateway, "false"))
    assert (await leader).json()["error"]["code"] == "upstream_total_timeout"
    assert (await follower).status_code == 200  # with what was left of its own time
    assert len(fake.requests) == 2


async def test_client_of_a_stream_that_waits_is_sent_comments(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(token_delay_s=0.15))
    timeouts = '[gateway.timeouts]\nheartbeat = "200ms"\n'
    gateway = await start_gateway(model_app(fake, extra=timeouts + CACHE))
    leader = asyncio.create_task(post(gateway, "true"))
    await fake.received(1)
    follower = await post(gateway, "true")
    beat = b": waiting for the model\n\n"
    assert follower.content.startswith(beat)
    assert follower.content.replace(beat, b"") == (await leader).content.replace(beat, b"")
    assert len(fake.requests) == 1


async def test_some_go_on_beside_one_that_takes_long(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(token_delay_s=0.25))
    timeouts = '[gateway.timeouts]\nfirst_token = "600ms"\n'
    gateway = await start_gateway(model_app(fake, extra=timeouts + CACHE))
    leader = asyncio.create_task(post(gateway, "true"))
    await fake.received(1)
    followers = await asyncio.gather(*(post(gateway, "true") for _ in range(10)))
    assert not leader.done()
    assert {answer.status_code for answer in followers} == {200}
    assert len(fake.requests) <= MAX_IMPATIENT
    await leader


async def test_others_do_not_wait_for_an_answer_that_is_too_large_to_be_kept(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.default = Reply(text="word " * 200, token_delay_s=0.005)
    gateway = await start_gateway(model_app(fake, extra=CACHE + 'max_answer = "2KiB"\n'))
    answers = await asyncio.gather(*(post(gateway, "true") for _ in range(4)))
    assert [answer.headers["x-shipway-cache"] for answer in answers] == ["miss"] * 4
    assert all(answer.content.endswith(b"[DONE]\n\n") for answer in answers)
