"""Limits of requests, as clients meet them: exact, per key, in the dialect that the client speaks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from shipway.testing.openai_server import FakeOpenAI
from tests.gateway.conftest import ADMIN, SECOND_KEY, StartGateway, model_app, service_app
from tests.gateway.echo_service import EchoService, echo_service

LIMIT = '[limits.default]\nrequests = "3/h"\n'
RATE_FIELDS = ("ratelimit-policy", "ratelimit", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


def rate_fields(response: httpx.Response) -> list[str | None]:
    return [response.headers.get(name) for name in RATE_FIELDS]


async def test_call_past_the_limit_is_429_in_the_dialect_of_models(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake, extra=LIMIT))
    answers = [await gateway.http.get("/v1/models") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert rate_fields(answers[0]) == ['"default";q=3;w=3600', '"default";r=2;t=1200', "3", "2"]
    assert rate_fields(answers[3]) == ['"default";q=3;w=3600', '"default";r=0;t=3600', "3", "0"]
    assert answers[0].headers["x-ratelimit-reset-requests"] == "20m0s"
    assert 1195 <= int(answers[3].headers["retry-after"]) <= 1200
    error = answers[3].json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limited")
    assert fake.requests == []


async def test_request_past_the_limit_is_429_with_problem_details_on_a_service(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url, LIMIT))
    answers = [await gateway.http.get("/x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert answers[3].json()["code"] == "rate_limited"
    assert rate_fields(answers[2]) == ['"default";q=3;w=3600', '"default";r=0;t=3600', "3", "0"]
    assert (await gateway.http.get("/open/x")).status_code == 200
    assert len(service.requests) == 4


async def test_limit_is_exact_for_each_key_however_many_ask_at_once(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url, '[limits.default]\nrequests = "20/h"\n'))

    async def many(headers: dict[str, str]) -> Counter[int]:
        answers = await asyncio.gather(*(gateway.http.get("/x", headers=headers) for _ in range(50)))
        return Counter(answer.status_code for answer in answers)

    first, second = await asyncio.gather(many({}), many({"authorization": f"Bearer {SECOND_KEY}"}))
    assert first == second == {200: 20, 429: 30}


async def test_wrong_key_uses_up_nothing(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url, LIMIT))
    for _ in range(10):
        refused = await gateway.http.get("/x", headers={"authorization": "Bearer wrong"})
        assert (refused.status_code, rate_fields(refused)) == (401, [None] * 4)
    assert (await gateway.http.get("/x")).headers["x-ratelimit-remaining-requests"] == "2"


async def test_state_survives_a_reload_that_leaves_the_limit_and_starts_anew_with_another(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url, LIMIT))
    for _ in range(3):
        assert (await gateway.http.get("/x")).status_code == 200
    await gateway.admin.post("/v1/reload", headers=ADMIN)
    assert (await gateway.http.get("/x")).status_code == 429
    gateway.app_file.write_text(service_app(service.url, LIMIT.replace("3/h", "5/h")))
    await gateway.admin.post("/v1/reload", headers=ADMIN)
    assert (await gateway.http.get("/x")).headers["x-ratelimit-remaining-requests"] == "4"
    gateway.app_file.write_text(service_app(service.url))
    await gateway.admin.post("/v1/reload", headers=ADMIN)
    assert rate_fields(await gateway.http.get("/x")) == [None] * 4


async def test_reload_that_is_refused_keeps_the_state(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url, LIMIT))
    for _ in range(3):
        await gateway.http.get("/x")
    lost_its_address = service_app(service.url, LIMIT.replace("3/h", "9/h")).replace("url =", "command = [] #")
    gateway.app_file.write_text(lost_its_address)
    assert (await gateway.admin.post("/v1/reload", headers=ADMIN)).status_code == 422
    gateway.app_file.write_text(service_app(service.url, LIMIT))
    assert (await gateway.admin.post("/v1/reload", headers=ADMIN)).status_code == 200
    assert (await gateway.http.get("/x")).status_code == 429
