"""The gateway as a process: its end by signals, and its ports handed from one process to the next under load."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import ADMIN, ADMIN_TOKEN, AUTH, KEY, RawClient, model_app, raw_client, service_app
from tests.gateway.echo_service import EchoService, echo_service
from tests.waiting import until

pytestmark = pytest.mark.integration

RATE_PER_S = 150
HAND_OVERS = 5


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


@dataclass
class Process:
    """One `shipway gateway`."""

    process: asyncio.subprocess.Process
    port: int
    admin_port: int

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait for the exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 10)

    async def readiness(self) -> int:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{self.admin_port}/readyz")).status_code


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@asynccontextmanager
async def started(
    folder: Path,
    app_file: str,
    ports: tuple[int, int],
    *options: str,
    stdout: int = subprocess.DEVNULL,
    keys: str = KEY,
) -> AsyncIterator[Process]:
    (folder / "shipway.toml").write_text(app_file)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shipway", "gateway", str(folder), "--port", str(ports[0])),
        *("--admin-port", str(ports[1]), *options),
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "SHIPWAY_API_KEYS": keys,
            "SHIPWAY_ADMIN_TOKEN": ADMIN_TOKEN,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert process.stderr is not None
    try:
        said = await asyncio.wait_for(process.stderr.readline(), 20)
        assert b"the gateway listens on" in said, said + await process.stderr.read()
        yield Process(process, *ports)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@dataclass
class Tally:
    answered: int = 0
    lost: tuple[str, ...] = ()


async def one_request(port: int, tally: Tally) -> None:
    try:
        async with raw_client(port) as client:
            await client.send(f"POST /x HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: 1\r\n\r\nx")
            assert (await client.response()).status == 200
            tally.answered += 1
    except (OSError, EOFError, AssertionError, TimeoutError) as error:
        tally.lost += (repr(error),)


async def kept_connection(port: int, tally: Tally, over: asyncio.Event) -> None:
    """Asks again on the same connection until an answer says that it closes, as every client does."""
    while not over.is_set():
        try:
            async with raw_client(port) as client:
                while not over.is_set() and await answered_and_kept(client, tally):  # noqa: ASYNC110 - the pace of a client
                    await asyncio.sleep(0.01)
        except (OSError, EOFError, AssertionError, TimeoutError) as error:
            tally.lost += (f"kept: {error!r}",)


async def answered_and_kept(client: RawClient, tally: Tally) -> bool:
    await client.send(f"POST /x HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: 1\r\n\r\nx")
    response = await client.response()
    assert response.status == 200
    tally.answered += 1
    return response.headers.get("connection") != "close"


@asynccontextmanager
async def open_loop(port: int) -> AsyncIterator[Tally]:
    """New connections at a fixed rate, whatever becomes of the earlier ones, and a few that are kept."""
    tally, over = Tally(), asyncio.Event()

    async def arrivals() -> None:
        async with asyncio.TaskGroup() as requests:
            begun_s = time.monotonic()
            number = 0
            while not over.is_set():
                requests.create_task(one_request(port, tally))
                number += 1
                await asyncio.sleep(begun_s + number / RATE_PER_S - time.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(arrivals())
        for _ in range(4):
            group.create_task(kept_connection(port, tally, over))
        yield tally
        over.set()


async def test_no_request_is_lost_over_several_hand_overs(tmp_path: Path, service: EchoService) -> None:
    app_file = service_app(service.url).replace("1ms", "250ms")
    ports = free_ports()
    async with AsyncExitStack() as processes:
        current = await processes.enter_async_context(started(tmp_path, app_file, ports))
        async with open_loop(current.port) as tally:
            for _ in range(HAND_OVERS):
                await asyncio.sleep(0.3)
                following = await processes.enter_async_context(started(tmp_path, app_file, ports, "--take-over"))
                assert await current.end() == 0
                current = following
            await asyncio.sleep(0.3)
        assert await current.end() == 0
    assert tally.lost == ()
    assert tally.answered > 200


async def test_taken_port_is_an_error_without_take_over(tmp_path: Path, service: EchoService) -> None:
    ports = free_ports()
    async with started(tmp_path, service_app(service.url), ports):
        with pytest.raises(AssertionError, match="cannot be listened on"):
            async with started(tmp_path, service_app(service.url), ports):
                pass


@pytest.mark.parametrize(
    ("keys", "routes", "warned"),
    [("", '["/"]', True), ("", '[{ path = "/", public = true }]', False), (KEY, '["/"]', False)],
)
async def test_start_without_keys_says_that_nobody_is_let_in(
    tmp_path: Path, keys: str, routes: str, warned: bool
) -> None:
    app_file = f'name = "app"\n[services.web]\nurl = "http://127.0.0.1:9"\nroutes = {routes}\n'
    async with started(tmp_path, app_file, free_ports(), keys=keys) as gateway:
        assert await gateway.end() == 0
        assert gateway.process.stderr is not None
        assert (b"SHIPWAY_API_KEYS has no key" in await gateway.process.stderr.read()) is warned


async def test_sigterm_fails_readiness_first_finishes_the_stream_and_exits_with_0(tmp_path: Path) -> None:
    async with FakeOpenAI() as fake:
        fake.script(Reply(token_delay_s=0.1))
        app_file = model_app(fake).replace("1ms", "300ms").replace('drain = "1s"', 'drain = "5s"')
        async with started(tmp_path, app_file, free_ports()) as gateway, raw_client(gateway.port) as client:
            body = '{"model":"chat","stream":true,"messages":[]}'
            await client.send(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}"
            )
            reading = asyncio.create_task(client.response())
            await fake.received(1)
            ending = asyncio.create_task(gateway.end())
            await asyncio.sleep(0.1)
            assert await gateway.readiness() == 503
            assert b"[DONE]" in (await reading).body
            assert await ending == 0


async def test_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with FakeOpenAI() as fake:
        fake.script(Reply(delay_s=30))
        app_file = model_app(fake).replace('drain = "1s"', 'drain = "30s"')
        async with started(tmp_path, app_file, free_ports()) as gateway, raw_client(gateway.port) as client:
            body = '{"model":"chat","messages":[]}'
            await client.send(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}"
            )
            await fake.received(1)
            gateway.process.terminate()
            await asyncio.sleep(0.3)
            began_s = time.monotonic()
            assert await gateway.end(signal.SIGINT) == 1
            assert time.monotonic() - began_s < 1


async def test_log_that_nobody_reads_holds_up_neither_requests_nor_the_end(
    tmp_path: Path, service: EchoService
) -> None:
    reader, writer = os.pipe()
    async with started(tmp_path, service_app(service.url), free_ports(), stdout=writer) as gateway:
        os.close(writer)
        async with raw_client(gateway.port) as client:
            for _ in range(400):
                path = "x" * 400
                await client.send(f"GET /{path} HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
                assert (await client.response()).status == 200
        assert await gateway.end() == 0
    os.close(reader)


async def test_standard_error_that_nobody_reads_holds_up_no_request(tmp_path: Path, service: EchoService) -> None:
    app_file = service_app(service.url)
    async with started(tmp_path, app_file, free_ports()) as gateway, httpx.AsyncClient() as http:
        stderr = gateway.process.stderr
        assert stderr is not None
        stderr._transport.pause_reading()  # type: ignore[attr-defined]
        changed = app_file + 'host = "0.0.0.0"\nport = 1\nadmin_host = "0.0.0.0"\nadmin_port = 2\n'
        (tmp_path / "shipway.toml").write_text(changed)
        reload = f"http://127.0.0.1:{gateway.admin_port}/v1/reload"
        for _ in range(300):
            answer = await http.post(reload, headers=ADMIN)
            assert (answer.status_code, len(answer.json()["needs_restart"])) == (200, 4)
        async with raw_client(gateway.port) as client:
            await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
            assert (await client.response()).status == 200
        gateway.process.terminate()
        # `wait` would wait for the end of standard error, too.
        await until(lambda: gateway.process.returncode is not None, 8)
        assert gateway.process.returncode == 0


async def test_log_whose_reader_is_gone_does_not_end_the_gateway(tmp_path: Path, service: EchoService) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    async with started(tmp_path, service_app(service.url), free_ports(), stdout=writer) as gateway:
        os.close(writer)
        for _ in range(3):
            async with raw_client(gateway.port) as client:
                await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
                assert (await client.response()).status == 200
            await asyncio.sleep(0.15)
        async with httpx.AsyncClient() as http:
            scraped = (await http.get(f"http://127.0.0.1:{gateway.admin_port}/metrics")).text
        assert "shipway_log_lines_dropped_total 0" not in scraped
        assert await gateway.end() == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
async def test_promtool_finds_nothing_wrong_with_a_live_scrape(tmp_path: Path) -> None:
    async with FakeOpenAI() as fake:
        fake.script(Reply(), Reply(status=500), Reply(cut_after=3))
        async with (
            started(tmp_path, model_app(fake), free_ports()) as gateway,
            httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as client,
        ):
            call = {"model": "chat", "messages": [], "stream": True}
            for _ in range(3):
                await client.post(f"http://127.0.0.1:{gateway.port}/v1/chat/completions", json=call)
            await client.get(f"http://127.0.0.1:{gateway.port}/nothing")
            scraped = (await client.get(f"http://127.0.0.1:{gateway.admin_port}/metrics")).content
    checked = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await checked.communicate(scraped)
    assert (checked.returncode, said.decode()) == (0, "")
