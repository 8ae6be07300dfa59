"""Kept answers through the gateway: who gets one, what is kept, and what a request that gets one looks like."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import SECOND_KEY, RunningGateway, StartGateway, model_app

CACHE = '[models.chat.cache]\nttl = "1h"\n'
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
STREAM = {**HELLO, "stream": True}


async def ask(gateway: RunningGateway, body: object = HELLO, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.http.post(CHAT, json=body, headers=named)


def found(*responses: httpx.Response) -> list[str | None]:
    return [response.headers.get("x-shipway-cache") for response in responses]


async def test_same_request_is_answered_without_the_model(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    first, second = await ask(gateway), await ask(gateway)
    assert found(first, second) == ["miss", "hit"]
    assert second.content == first.content
    assert (second.headers["age"], second.headers["content-type"]) == ("0", "application/json")
    assert "age" not in first.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(fake.requests) == 1


async def test_nothing_is_kept_unless_the_app_file_says_so(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    assert found(await ask(gateway), await ask(gateway)) == [None, None]
    assert len(fake.requests) == 2


async def test_order_of_keys_and_white_space_make_no_other_request(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    bodies = [
        b'{"model":"chat","messages":[{"role":"user","content":"hi"}],"temperature":0.5}',
        b'{ "temperature" : 0.5, "messages": [ {"content":"hi", "role":"user"} ],\n"model":"chat", "stream": false}',
        b'{"model":"chat","messages":[{"role":"user","content":"h\\u0069"}],"temperature":0.50,"stream":null}',
    ]
    answers = [await gateway.http.post(CHAT, content=body) for body in bodies]
    assert found(*answers) == ["miss", "hit", "hit"]


@pytest.mark.parametrize(
    "other",
    [
        {**HELLO, "temperature": 0},
        {**HELLO, "messages": [{"role": "user", "content": "hello "}]},
        {**HELLO, "messages": [{"role": "system", "content": "hello"}]},
        {**HELLO, "user": "someone"},
        {**HELLO, "seed": None},
        STREAM,
    ],
    ids=json.dumps,
)
async def test_any_other_parameter_is_another_request(
    start_gateway: StartGateway, fake: FakeOpenAI, other: object
) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    assert found(await ask(gateway), await ask(gateway, other)) == ["miss", "miss"]
    assert len(fake.requests) == 2


async def test_another_tenant_never_gets_a_kept_answer(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="for the first"), Reply(text="for the second"))
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    other = f"Bearer {SECOND_KEY}"
    first, second = await ask(gateway), await ask(gateway, authorization=other)
    again, second_again = await ask(gateway), await ask(gateway, authorization=other)
    assert found(first, second, again, second_again) == ["miss", "miss", "hit", "hit"]
    assert "for the first" in again.text
    assert "for the second" in second_again.text
    assert found(await ask(gateway, authorization="Bearer wrong")) == [None]


async def test_another_release_never_gets_a_kept_answer(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    releases = '[models.chat.releases.v1]\nupstreams = ["p0/m0"]\n[models.chat.releases.v2]\nupstreams = ["p0/m0"]\nweight = 0\n'
    app = model_app(fake, extra=CACHE + releases).replace('upstreams = ["p0/m0"]\n[gateway]', "[gateway]")
    gateway = await start_gateway(app)
    admin = {"authorization": "Bearer admin-test-token-1"}
    first, again = await ask(gateway), await ask(gateway)
    moved = await gateway.admin.put("/v1/weights/models.chat", json={"v1": 0, "v2": 1}, headers=admin)
    assert moved.status_code == 200
    other = await ask(gateway)
    assert found(first, again, other) == ["miss", "hit", "miss"]
    assert [one.headers["x-shipway-release"] for one in (first, again, other)] == ["v1", "v1", "v2"]


async def test_changed_upstream_is_not_answered_for_by_the_old_one(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    app = model_app(fake, extra=CACHE)
    gateway = await start_gateway(app)
    await ask(gateway)
    gateway.app_file.write_text(app.replace("p0/m0", "p0/m1"))
    await gateway.server.reload()
    assert found(await ask(gateway), await ask(gateway)) == ["miss", "hit"]
    gateway.app_file.write_text(app)
    await gateway.server.reload()
    assert found(await ask(gateway)) == ["hit"]  # a reload keeps what is kept


async def test_stream_is_given_again_to_the_byte(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="é ü 漢字 done", part_bytes=7))
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    body = {**STREAM, "stream_options": {"include_usage": True}}
    first, second = await ask(gateway, body), await ask(gateway, body)
    assert found(first, second) == ["miss", "hit"]
    assert second.content == first.content
    assert second.content.endswith(b"data: [DONE]\n\n")
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "content-length" not in second.headers


@pytest.mark.parametrize(
    "fault",
    [
        Reply(cut_after=3),
        Reply(cut_after=3, reset=True),
        Reply(end_after=3),
        Reply(error_after=3),
        Reply(finish_reason="", cut_after=4),
    ],
)
async def test_stream_that_was_not_whole_is_not_kept(
    start_gateway: StartGateway, fake: FakeOpenAI, fault: Reply
) -> None:
    fake.script(fault)
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    broken, whole, kept = await ask(gateway, STREAM), await ask(gateway, STREAM), await ask(gateway, STREAM)
    assert b'"error"' in broken.content
    assert found(broken, whole, kept) == ["miss", "miss", "hit"]
    assert b'"error"' not in kept.content


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Reply(status=400), 400), (Reply(status=500), 502), (Reply(cut_after=20), 502), (Reply(body=b"<html>"), 502)],
)
async def test_error_is_not_kept(start_gateway: StartGateway, fake: FakeOpenAI, fault: Reply, status: int) -> None:
    fake.script(fault)
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    failed, good, kept = await ask(gateway), await ask(gateway), await ask(gateway)
    assert (failed.status_code, good.status_code, kept.status_code) == (status, 200, 200)
    assert found(good, kept) == ["miss", "hit"]


async def test_stream_after_a_failover_is_kept_without_what_the_first_upstream_said(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(cut_after=1))
    async with FakeOpenAI(default=Reply(text="from the second")) as second:
        gateway = await start_gateway(model_app(fake, second, extra=CACHE))
        first, again = await ask(gateway, STREAM), await ask(gateway, STREAM)
    assert found(first, again) == ["miss", "hit"]
    assert again.content == first.content
    assert first.content.count(b'"role"') == 1


async def test_answer_over_the_limit_is_not_kept(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.default = Reply(text="word " * 1000)
    gateway = await start_gateway(model_app(fake, extra=CACHE + 'max_answer = "4KiB"\n'))
    for body in (HELLO, STREAM):
        assert found(await ask(gateway, body), await ask(gateway, body)) == ["miss", "miss"]


async def test_client_may_want_an_answer_made_now_or_none_kept(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="one"), Reply(text="two"), Reply(text="three"))
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    await ask(gateway)
    not_kept = await ask(gateway, cache_control="no-store")
    fresh = await ask(gateway, cache_control="No-Cache, max-age=7")
    kept = await ask(gateway)
    old_enough = await ask(gateway, cache_control="max-age=60")
    assert found(not_kept, fresh, kept, old_enough) == ["bypass", "bypass", "hit", "hit"]
    assert ["two" in not_kept.text, "three" in fresh.text, "three" in kept.text] == [True, True, True]
    assert "age" not in fresh.headers


async def test_only_what_leaves_no_choice_is_kept_where_the_app_file_says_so(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE + "deterministic = true\n"))
    zero = {**HELLO, "temperature": 0.0}
    answers = [await ask(gateway, body) for body in (HELLO, {**HELLO, "temperature": 0.1}, zero, zero)]
    assert found(*answers) == ["bypass", "bypass", "miss", "hit"]
    embeddings = [await gateway.http.post("/v1/embeddings", json={"model": "chat", "input": "x"}) for _ in range(2)]
    assert found(*embeddings) == ["miss", "hit"]


async def test_version_of_the_api_that_is_wanted_is_part_of_the_request(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    answers = [await ask(gateway), await ask(gateway, openai_beta="x=1"), await ask(gateway, traceparent="0")]
    assert found(*answers) == ["miss", "miss", "hit"]


async def test_one_path_does_not_answer_for_another(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    body = {"model": "chat", "prompt": "x", "messages": [], "input": "x"}
    for path in (CHAT, "/v1/completions", "/v1/embeddings"):
        assert found(await gateway.http.post(path, json=body)) == ["miss"]


async def test_limits_hold_for_kept_answers_too(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    limit = '[limits.default]\nrequests = "2/min"\n'
    gateway = await start_gateway(model_app(fake, extra=CACHE + limit))
    answers = [await ask(gateway) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert "ratelimit" in answers[1].headers


async def test_metrics_and_the_log_tell_what_became_of_each_call(
    start_gateway: StartGateway, fake: FakeOpenAI, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    gateway = await start_gateway(model_app(fake, extra=CACHE))
    for control in ("", "", "no-store"):
        await ask(gateway, **({"cache_control": control} if control else {}))
    text = await gateway.metrics()
    usage = json.loads((await ask(gateway)).content)["usage"]
    for name, labels, value in (
        ("lookups_total", ',result="hit"', 1),
        ("lookups_total", ',result="miss"', 1),
        ("lookups_total", ',result="bypass"', 1),
        ("tokens_saved_total", ',gen_ai_token_type="output"', usage["completion_tokens"]),
        ("tokens_saved_total", ',gen_ai_token_type="input"', usage["prompt_tokens"]),
        ("evictions_total", "", 0),
    ):
        assert f'shipway_cache_{name}{{gen_ai_request_model="chat"{labels}}} {value}\n' in text
    assert 'shipway_cache_bytes{gen_ai_request_model="chat"} ' in text
    await asyncio.sleep(0.25)  # more than the log waits before it writes
    lines = [json.loads(line)["Attributes"] for line in capfdbinary.readouterr().out.splitlines()]
    assert [line.get("cache") for line in lines if line["url.path"] == CHAT] == ["miss", "hit", "bypass", "hit"]
    assert [line.get("gen_ai.usage.output_tokens") is None for line in lines] == [False, True, False, True]


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "stream"])
async def test_answer_of_another_dialect_is_kept_as_it_was_translated(
    start_gateway: StartGateway, body: dict[str, Any]
) -> None:
    async with FakeAnthropic() as fake:
        app = (
            f'name = "app"\n[providers.p0]\nkind = "anthropic"\nbase_url = "{fake.base_url}"\napi_key = "env:OPENAI_API_KEY"\n'
            '[models.chat]\nupstreams = ["p0/m0"]\nmay_drop = ["seed"]\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
        )
        gateway = await start_gateway(app + CACHE)
        first, second = [await ask(gateway, {**body, "seed": 7}) for _ in range(2)]
        other = await gateway.http.post("/v1/messages", json={**body, "max_tokens": 9})
    assert [answer.status_code for answer in (first, second, other)] == [200, 200, 200]
    assert found(first, second, other) == ["miss", "hit", "miss"]
    assert second.content == first.content
    assert second.headers["x-shipway-dropped"] == first.headers["x-shipway-dropped"] == "seed"
    assert len(fake.requests) == 2
