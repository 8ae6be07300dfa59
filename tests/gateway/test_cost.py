"""What a live gateway makes of usage and prices: money in the scrape and in the log, and what it does not know."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shipway.spec.prices import PICO
from shipway.testing.openai_server import FakeOpenAI, Reply, Usage
from tests.gateway.conftest import RunningGateway, StartGateway, model_app
from tests.gateway.test_metrics import CHAT, ask, value
from tests.gateway.test_releases_live import released

PRICE = (
    '[models.chat.price]\ninput = "3 USD/Mtok"\ncached_read = "0.3 USD/Mtok"\noutput = "15 USD/Mtok"\n'
    'input_audio = "40 USD/Mtok"\n'
)
USED = Usage(input=100, cache_read=900, output=20, reasoning=30)
COST = (100 * 3_000_000 + 900 * 300_000 + 50 * 15_000_000) / PICO  # reasoning is in the output and once
WHO = 'gen_ai_request_model="chat",gen_ai_provider_name="p0"'


async def unknown(gateway: RunningGateway) -> dict[str, float]:
    return {
        reason: await value(gateway, f'shipway_cost_unknown_total{{{WHO},reason="{reason}"}}')
        for reason in ("price", "usage")
    }


async def log_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> list[dict[str, Any]]:
    await asyncio.sleep(0.25)  # more than the log waits before it writes
    return [json.loads(line)["Attributes"] for line in capfdbinary.readouterr().out.splitlines()]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_costs_its_tokens_by_class_and_the_log_says_the_same(
    start_gateway: StartGateway, fake: FakeOpenAI, capfdbinary: pytest.CaptureFixture[bytes], stream: bool
) -> None:
    fake.script(*[Reply(usage=USED)] * 3)
    gateway = await start_gateway(model_app(fake, extra=PRICE))
    for _ in range(3):
        await ask(gateway, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
    assert await value(gateway, f"shipway_cost_usd_total{{{WHO}}}") == 3 * COST
    assert await unknown(gateway) == {"price": 0, "usage": 0}
    assert [line["cost_usd"] for line in await log_lines(capfdbinary)] == [COST] * 3


async def test_a_model_at_an_address_of_nobody_has_no_price_and_no_sum(
    start_gateway: StartGateway, fake: FakeOpenAI, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    gateway = await start_gateway(model_app(fake))
    await ask(gateway)
    assert await unknown(gateway) == {"price": 1, "usage": 0}
    assert "shipway_cost_usd_total{" not in await gateway.metrics()
    assert "cost_usd" not in (await log_lines(capfdbinary))[0]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(usage_on="never"),
        Reply(cut_after=2),
        Reply(usage=Usage(input=5, output=5, audio_output=3)),  # which has no price
    ],
    ids=["unreported", "cut", "unpriced class"],
)
async def test_what_a_call_used_is_unknown_and_not_nothing(
    start_gateway: StartGateway, fake: FakeOpenAI, reply: Reply
) -> None:
    fake.script(reply)
    gateway = await start_gateway(model_app(fake, extra=PRICE))
    await ask(gateway, stream=True, stream_options={"include_usage": True})
    assert await unknown(gateway) == {"price": 0, "usage": 1}
    assert await value(gateway, f"shipway_cost_usd_total{{{WHO}}}") == 0


async def test_an_error_is_not_billed_and_neither_is_a_count_of_tokens(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(status=400))
    gateway = await start_gateway(model_app(fake, extra=PRICE))
    assert (await ask(gateway)).status_code == 400
    assert await unknown(gateway) == {"price": 0, "usage": 0}


async def test_an_upstream_may_have_a_price_of_its_own(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as second:
        fake.script(Reply(status=500))
        second.script(Reply(usage=Usage(input=10, output=1)))
        app = model_app(fake, second, extra=PRICE).replace(
            '"p1/m1"', '{ model = "p1/m1", price = { input = "1 USD/Mtok", output = "2 USD/Mtok" } }'
        )
        gateway = await start_gateway(app)
        assert (await ask(gateway)).status_code == 200
        who = 'gen_ai_request_model="chat",gen_ai_provider_name="p1"'
        assert await value(gateway, f"shipway_cost_usd_total{{{who}}}") == 12e-6


async def test_calls_are_counted_good_and_bad_exactly_at_the_objective(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    # 10 tokens out are exactly 0.00015 dollars, which no bucket ends at.
    used = [Usage(output=10), Usage(output=11), Usage(output=1), Usage(input=1, output=10)]
    fake.script(*[Reply(usage=one) for one in used], Reply(status=400))
    gateway = await start_gateway(model_app(fake, extra=PRICE + '[objectives]\ncost = "95% under 0.00015 USD"\n'))
    for _ in range(5):
        await ask(gateway)
    counts = [
        await value(gateway, f'shipway_cost_objective_total{{gen_ai_request_model="chat",result="{met}"}}')
        for met in ("good", "bad")
    ]
    assert counts == [2, 2]


async def test_money_and_objective_are_counted_by_release(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as new:
        fake.script(*[Reply(usage=Usage(output=1))] * 40)
        new.script(*[Reply(usage=Usage(output=100))] * 40)
        extra = PRICE + '[objectives]\ncost = "95% under 0.001 USD"\n'
        gateway = await start_gateway(released(fake, new, (1, 1), extra))
        found = [
            (await gateway.http.post("/v1/chat/completions", json=CHAT, headers={"x-session-id": str(at)})).headers[
                "x-shipway-release"
            ]
            for at in range(40)
        ]
        for release, result, provider, tokens in (("v1", "good", "old", 1), ("v2", "bad", "new", 100)):
            times = found.count(release)
            series = f'gen_ai_request_model="chat",release="{release}",result="{result}"'
            assert await value(gateway, f"shipway_cost_objective_total{{{series}}}") == times > 0
            series = f'gen_ai_request_model="chat",gen_ai_provider_name="{provider}",release="{release}"'
            assert await value(gateway, f"shipway_cost_usd_total{{{series}}}") == times * tokens * 15_000_000 / PICO


@pytest.mark.parametrize("priced", [True, False])
async def test_a_kept_answer_saves_what_it_had_cost(
    start_gateway: StartGateway, fake: FakeOpenAI, priced: bool
) -> None:
    fake.script(Reply(usage=USED))
    gateway = await start_gateway(
        model_app(fake, extra=(PRICE if priced else "") + '[models.chat.cache]\nttl = "1h"\n')
    )
    answers = [await ask(gateway) for _ in range(3)]
    assert [one.headers["x-shipway-cache"] for one in answers] == ["miss", "hit", "hit"]
    saved = 'shipway_cache_saved_usd_total{gen_ai_request_model="chat"}'
    assert (saved in await gateway.metrics()) is priced
    assert await value(gateway, saved) == (2 * COST if priced else 0.0)
    assert await value(gateway, f"shipway_cost_usd_total{{{WHO}}}") == (COST if priced else 0.0)
    assert await unknown(gateway) == {"price": 0 if priced else 1, "usage": 0}
