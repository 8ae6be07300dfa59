"""A changed app file: taken whole, at once, without a dropped request; or refused whole."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import ADMIN, AUTH, RunningGateway, StartGateway, service_app
from tests.gateway.echo_service import EchoService, echo_service
from tests.waiting import until

RELEASES = (
    '\n[services.two]\nroutes = ["/two"]\n'
    'releases.v1 = {{ url = "{url}", weight = 1 }}\n'
    'releases.v2 = {{ url = "{url}", weight = 1 }}\n'
)


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


async def reload(gateway: RunningGateway) -> httpx.Response:
    return await gateway.admin.post("/v1/reload", headers=ADMIN)


async def version(gateway: RunningGateway) -> int:
    return int((await gateway.admin.get("/healthz")).headers["x-shipway-snapshot"])


async def until_version(gateway: RunningGateway, wanted: int) -> None:
    async def is_so() -> bool:
        return await version(gateway) == wanted

    await until(is_so, 5)


def replace(path: Path, text: str) -> None:
    """As careful editors and Kubernetes do: a new file takes the name of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


async def test_changed_file_is_taken_by_itself(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url))
    replace(gateway.app_file, service_app(service.url, 'max_target = "200B"\n'))
    await until_version(gateway, 2)
    assert "shipway_snapshot_version 2" in await gateway.metrics()
    assert 'shipway_reloads_total{result="ok"} 1' in await gateway.metrics()


async def test_limits_of_the_listener_change_with_a_reload(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url))
    request = f"GET /{'x' * 300} HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n"
    assert (await gateway.ask(request)).status == 200
    gateway.app_file.write_text(service_app(service.url, 'max_target = "200B"\n'))
    assert (await reload(gateway)).json() == {"version": 2, "needs_restart": []}
    assert (await gateway.ask(request)).status == 414


async def test_connections_to_an_address_that_is_gone_from_the_file_are_closed(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    assert (await gateway.http.get("/x")).status_code == 200
    assert 'shipway_connections_open{side="upstream"} 1' in await gateway.metrics()
    gateway.app_file.write_text(service_app("http://127.0.0.1:1"))
    assert (await reload(gateway)).status_code == 200
    assert 'shipway_connections_open{side="upstream"} 0' in await gateway.metrics()


async def test_broken_file_is_refused_with_all_its_problems_and_changes_nothing(
    start_gateway: StartGateway, service: EchoService, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(service_app(service.url))
    gateway.app_file.write_text('name = "app"\nnonsense = 1\n[gateway]\nport = "x"\nmax_body = "1 parsec"\n')
    answer = await reload(gateway)
    assert answer.status_code == 422
    assert {problem["path"] for problem in answer.json()["problems"]} >= {
        "nonsense",
        "gateway.port",
        "gateway.max_body",
    }
    await asyncio.sleep(2.2)
    assert (await gateway.http.get("/x")).status_code == 200
    assert await version(gateway) == 1
    assert 'shipway_reloads_total{result="refused"} 1' in await gateway.metrics()
    assert capfd.readouterr().err == ""  # who asked was told


async def test_file_that_is_gone_or_cannot_be_read_is_told_once_and_taken_when_it_is_back(
    start_gateway: StartGateway, service: EchoService, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(service_app(service.url))
    text = gateway.app_file.read_text()
    gateway.app_file.unlink()
    await asyncio.sleep(2.2)
    assert capfd.readouterr().err.count("error:") == 1
    gateway.app_file.mkdir()
    await asyncio.sleep(1.2)
    assert capfd.readouterr().err.count("error:") == 1
    gateway.app_file.rmdir()
    gateway.app_file.write_bytes(b"\xff\xfe")
    assert (await reload(gateway)).status_code == 422
    assert (await gateway.http.get("/x")).status_code == 200
    replace(gateway.app_file, text)
    await until_version(gateway, 2)


async def test_what_only_a_restart_can_change_is_said(
    start_gateway: StartGateway, service: EchoService, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(service_app(service.url))
    gateway.app_file.write_text(service_app(service.url, 'port = 9999\nadmin_host = "0.0.0.0"\n'))
    answer = await reload(gateway)
    assert answer.json() == {"version": 2, "needs_restart": ["gateway.port", "gateway.admin_host"]}
    assert capfd.readouterr().err == "".join(
        f"warning: {setting} has changed; it takes effect when the gateway is started anew\n"
        for setting in ("gateway.port", "gateway.admin_host")
    )


async def test_no_request_is_dropped_during_fifty_reloads_and_changes_of_weights(
    start_gateway: StartGateway, service: EchoService
) -> None:
    def app(number: int) -> str:
        return service_app(service.url, f'max_body = "{10_000 + number}B"\n') + RELEASES.format(url=service.url)

    gateway = await start_gateway(app(0))
    seen: Counter[int] = Counter()
    over = asyncio.Event()

    async def load() -> None:
        while not over.is_set():
            seen[(await gateway.http.get("/two/x")).status_code] += 1
            seen[(await gateway.http.post("/y", content=b"x" * 9000)).status_code] += 1

    async def weights() -> None:
        for number in range(25):
            answer = await gateway.admin.put(
                "/v1/weights/services.two", headers=ADMIN, json={"v1": number, "v2": 25 - number}
            )
            assert answer.status_code == 200

    async def reloads() -> None:
        for number in range(1, 51):
            replace(gateway.app_file, app(number))
            assert (await reload(gateway)).status_code == 200

    clients = [asyncio.create_task(load()) for _ in range(4)]
    await asyncio.gather(reloads(), weights())
    over.set()
    await asyncio.gather(*clients)
    assert set(seen) == {200}
    assert seen.total() > 50
    shares = (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()["weights"]["services.two"]
    assert shares == pytest.approx({"v1": 24 / 25, "v2": 1 / 25})
