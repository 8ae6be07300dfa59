"""Kept answers in a real Redis: shared by gateways, and of no harm when it is slow, dead or confused."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from shipway.gateway.cache.entry import Entry, packed
from shipway.gateway.cache.redis_store import DEADLINE_S, RedisStore
from shipway.gateway.serve import GatewayServer, ServeOptions
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app
from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.running_app import free_ports
from tests.gateway.conftest import KEY, SECOND_KEY, model_app
from tests.gateway.embeddings import FakeEmbeddings
from tests.waiting import until, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="needs redis-server (apt-get install redis-server)"
    ),
]

ANSWER = Entry(True, b"data: x\n\n", b"", 5.0, None, 7)
ENOUGH_S = 0.5
"""More than any call here takes beside a healthy or a dead Redis, and less than one that is waited for takes."""


class RedisServer:
    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self.start()

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        wait_until(lambda: self.cli("ping") == "PONG", 5)

    def cli(self, *words: str) -> str:
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, timeout=5, check=False
        )
        return done.stdout.strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.kill()


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@asynccontextmanager
async def gateway(folder: Path, fake: FakeOpenAI, address: str, more: str = "") -> AsyncIterator[httpx.AsyncClient]:
    path = folder / "shipway.toml"
    path.write_text(model_app(fake, extra='[models.chat.cache]\nttl = "1h"\nstore = "env:CACHE"\n' + more))
    environ = {"SHIPWAY_API_KEYS": f"{KEY},{SECOND_KEY}", "CACHE": address}
    server = GatewayServer(load_app(path), environ, AllottedAddresses(), ServeOptions(port=0, admin_port=0))
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
            client.headers["x-admin"] = f"http://127.0.0.1:{server.admin_port}"
            yield client
    finally:
        await server.drain()


async def ask(client: httpx.AsyncClient, text: str, key: str = KEY, *, stream: bool = False) -> httpx.Response:
    body = {"model": "chat", "messages": [{"role": "user", "content": text}], "stream": stream}
    response = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    assert response.status_code == 200
    return response


async def kept(server: RedisServer, count: int) -> None:
    """Wait until *count* answers are kept."""

    async def is_so() -> bool:
        return await asyncio.to_thread(server.cli, "dbsize") == str(count)

    await until(is_so, 5)


async def test_what_one_gateway_keeps_another_gives(
    redis_server: RedisServer, fake: FakeOpenAI, tmp_path: Path
) -> None:
    async with (
        gateway(tmp_path, fake, redis_server.address) as one,
        gateway(tmp_path, fake, redis_server.address) as two,
    ):
        first = [await ask(one, "hi", stream=stream) for stream in (False, True)]
        await kept(redis_server, 2)
        second = [await ask(two, "hi", stream=stream) for stream in (False, True)]
        assert [answer.headers["x-shipway-cache"] for answer in second] == ["hit", "hit"]
        assert [answer.content for answer in second] == [answer.content for answer in first]
        other = await ask(two, "hi", SECOND_KEY)
        assert other.headers["x-shipway-cache"] == "miss"
    key = redis_server.cli("keys", "*").split()[0]
    assert 3_590_000 < int(redis_server.cli("pttl", key)) <= 3_600_000


async def test_similar_question_gets_the_answer_that_redis_keeps_until_it_keeps_it_no_more(
    redis_server: RedisServer, fake: FakeOpenAI, tmp_path: Path
) -> None:
    questions = ("How do I reset it?", "Which way is there to have a new one?", "I forgot mine, what now?")
    async with FakeEmbeddings() as embeddings:
        more = (
            '[models.chat.cache.semantic]\nembeddings = "small"\n[models.small]\nupstreams = ["e/m"]\n'
            f'[providers.e]\nkind = "openai"\nbase_url = "{embeddings.base_url}"\n'
        )
        async with gateway(tmp_path, fake, redis_server.address, more) as client:
            first = await ask(client, questions[0])
            await kept(redis_server, 1)
            similar = await ask(client, questions[1])
            assert similar.headers["x-shipway-cache-similarity"] == "1.000"
            assert similar.content == first.content
            redis_server.cli("flushall")
            assert (await ask(client, questions[2])).headers["x-shipway-cache"] == "miss"


async def test_dead_redis_costs_nothing_and_fails_nothing(
    redis_server: RedisServer, fake: FakeOpenAI, tmp_path: Path
) -> None:
    async with gateway(tmp_path, fake, redis_server.address) as client:
        await ask(client, "before")
        await kept(redis_server, 1)
        redis_server.kill()
        began_s = time.monotonic()
        answers = [await ask(client, f"during {at}") for at in range(50)]
        assert time.monotonic() - began_s < ENOUGH_S
        assert {answer.headers["x-shipway-cache"] for answer in answers} == {"miss"}
        redis_server.start()
        await _hits_again(client)


async def test_redis_that_hangs_is_soon_not_waited_for(
    redis_server: RedisServer, fake: FakeOpenAI, tmp_path: Path
) -> None:
    async with gateway(tmp_path, fake, redis_server.address) as client:
        await ask(client, "before")
        await kept(redis_server, 1)
        redis_server.process.send_signal(signal.SIGSTOP)
        durations_s = []
        for at in range(50):
            began_s = time.monotonic()
            await ask(client, f"during {at}")
            durations_s.append(time.monotonic() - began_s)
        assert sum(one >= DEADLINE_S for one in durations_s) <= 5
        assert sum(durations_s) < ENOUGH_S
        metrics = (await client.get(f"{client.headers['x-admin']}/metrics")).text
        assert 'shipway_cache_store_faults_total{fault="timeout"} 3\n' in metrics
        redis_server.process.send_signal(signal.SIGCONT)
        await _hits_again(client)


async def test_redis_that_is_not_there_at_the_start_fails_nothing(fake: FakeOpenAI, tmp_path: Path) -> None:
    async with gateway(tmp_path, fake, f"redis://127.0.0.1:{free_ports(1)[0]}/0") as client:
        for _ in range(5):
            await ask(client, "hi")
    assert len(fake.requests) == 5


async def test_answer_that_is_not_that_of_the_key_is_not_given(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.address)
    store.put(b"key", ANSWER, 60.0)
    await kept(redis_server, 1)
    assert await store.get(b"key") == ANSWER
    await store._client.set(f"shipway:answer:{b'key'.hex()}", packed(b"another", ANSWER))
    assert await store.get(b"key") is None
    assert store.faults["error"] == 1
    await store.close()


async def test_look_ups_that_were_given_up_do_not_mix_up_later_ones(redis_server: RedisServer) -> None:
    """A client library that leaves an answer unread on a connection would give it to whoever asks next."""
    store = RedisStore(redis_server.address)
    keys = [b"key-%d" % at for at in range(20)]
    for key in keys:
        store.put(key, Entry(False, b"{%b}" % key, b"", 0.0), 60.0)
    await kept(redis_server, 20)
    redis_server.process.send_signal(signal.SIGSTOP)
    given_up = [asyncio.create_task(store.get(key)) for key in keys]
    await asyncio.sleep(0.01)
    for task in given_up[::2]:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    redis_server.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(1.2)  # until the breaker lets ask again
    found = [await store.get(key) for key in keys]
    assert [entry.body for entry in found if entry is not None] == [b"{%b}" % key for key in keys]
    await store.close()


async def _hits_again(client: httpx.AsyncClient) -> None:
    """Wait until what is kept is given again."""

    async def is_so() -> bool:
        await ask(client, "afterwards")
        return (await ask(client, "afterwards")).headers["x-shipway-cache"] == "hit"

    await until(is_so, 6)
