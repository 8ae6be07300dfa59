"""Addresses with a health path are left out while they do not answer, and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shipway.testing.asgi_server import serving
from tests.gateway.conftest import ADMIN, RunningGateway, StartGateway
from tests.waiting import until

HEALTH = 'health = { path = "/health", interval = "50ms", timeout = "200ms", failures = 2 }\n'


class Sick:
    """A service whose health is a switch."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200
        self.url = ""

    async def health(self, request: Request) -> Response:
        return Response(status_code=self.status)

    async def answer(self, request: Request) -> Response:
        choice = '{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"NAME"}}'
        content = f'{{"id":"x","object":"chat.completion","choices":[{choice}],"usage":null}}'
        content = content.replace("NAME", self.name)
        return PlainTextResponse(content, media_type="application/json", headers={"x-who": self.name})


@pytest.fixture
async def service() -> AsyncIterator[Callable[[str], Awaitable[Sick]]]:
    async with AsyncExitStack() as stack:

        async def start(name: str) -> Sick:
            sick = Sick(name)
            routes = [Route("/health", sick.health), Route("/{rest:path}", sick.answer, methods=["GET", "POST"])]
            sick.url = await stack.enter_async_context(serving(Starlette(routes=routes)))
            return sick

        yield start


async def until_health(gateway: RunningGateway, wanted: list[bool]) -> None:
    async def is_so() -> bool:
        return await health(gateway) == wanted

    await until(is_so, 5)


async def health(gateway: RunningGateway) -> list[bool]:
    answer = (await gateway.admin.get("/v1/upstreams", headers=ADMIN)).json()
    return sorted(upstream["healthy"] for upstream in answer["upstreams"])


async def test_unhealthy_replica_of_a_provider_is_left_out_and_comes_back(
    start_gateway: StartGateway, service: Callable[[str], Awaitable[Sick]]
) -> None:
    first, second = await service("first"), await service("second")
    gateway = await start_gateway(
        f'name = "app"\n[providers.p]\nkind = "openai"\nbase_url = ["{first.url}", "{second.url}"]\n{HEALTH}'
        '[models.chat]\nupstreams = ["p/m"]\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )

    async def who_answers() -> set[str]:
        call = {"model": "chat", "messages": []}
        answers = [await gateway.http.post("/v1/chat/completions", json=call) for _ in range(12)]
        return {answer.json()["choices"][0]["message"]["content"] for answer in answers}

    first.status = 503
    await until_health(gateway, [False, True])
    assert await who_answers() == {"second"}
    first.status = 200
    await until_health(gateway, [True, True])
    assert await who_answers() == {"first", "second"}


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_only_address_of_a_service_is_asked_even_when_it_looks_unhealthy(
    start_gateway: StartGateway, service: Callable[[str], Awaitable[Sick]], status: int
) -> None:
    only = await service("only")
    gateway = await start_gateway(
        f'name = "app"\n[services.web]\nurl = "{only.url}"\nroutes = ["/"]\n{HEALTH}'
        '[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )
    only.status = status
    await until_health(gateway, [False])
    assert (await gateway.http.get("/x")).headers["x-who"] == "only"


async def test_only_upstream_of_a_model_that_is_unhealthy_is_503_until_it_is_back(
    start_gateway: StartGateway, service: Callable[[str], Awaitable[Sick]]
) -> None:
    only = await service("only")
    gateway = await start_gateway(
        f'name = "app"\n[providers.p]\nkind = "openai"\nbase_url = "{only.url}"\n{HEALTH}'
        '[models.chat]\nupstreams = ["p/m"]\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )
    only.status = 500
    await until_health(gateway, [False])
    refused = await gateway.http.post("/v1/chat/completions", json={"model": "chat", "messages": []})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    only.status = 200
    await until_health(gateway, [True])
    assert (await gateway.http.post("/v1/chat/completions", json={"model": "chat", "messages": []})).status_code == 200


async def test_reload_forgets_what_checks_said_of_an_address_that_is_no_longer_checked(
    start_gateway: StartGateway, service: Callable[[str], Awaitable[Sick]]
) -> None:
    only = await service("only")
    app = f'name = "app"\n[services.web]\nurl = "{only.url}"\nroutes = ["/"]\nHEALTH[gateway]\ndrain = "1s"\n'
    gateway = await start_gateway(app.replace("HEALTH", HEALTH))
    only.status = 500
    await until_health(gateway, [False])
    gateway.app_file.write_text(app.replace("HEALTH", ""))
    await gateway.admin.post("/v1/reload", headers=ADMIN)
    await until_health(gateway, [True])


async def test_reload_keeps_what_checks_said_of_an_address_that_still_is(
    start_gateway: StartGateway, service: Callable[[str], Awaitable[Sick]]
) -> None:
    only = await service("only")
    app = f'name = "app"\n[services.web]\nurl = "{only.url}"\nroutes = ["/"]\n{HEALTH}[gateway]\ndrain = "1s"\n'
    gateway = await start_gateway(app)
    only.status = 500
    await until_health(gateway, [False])
    for _ in range(5):
        await gateway.admin.post("/v1/reload", headers=ADMIN)
        await asyncio.sleep(0.01)
        assert await health(gateway) == [False]
