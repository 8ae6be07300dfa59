"""What a live gateway counts of each request, and that nothing a client sends makes it count more things."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from shipway.gateway.refusals import CODES
from shipway.gateway.telemetry import UNREAD_CODES, Telemetry
from shipway.monitoring import metrics
from shipway.monitoring.logging import AccessRecord
from shipway.testing.openai_server import FakeOpenAI, Reply, Usage
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway, model_app, raw_client, service_app
from tests.gateway.echo_service import EchoService, echo_service
from tests.waiting import until

SIDES = ("input", "output")
CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


async def value(gateway: RunningGateway, series: str) -> float:
    """The value of one series, written as in the scrape; 0.0 where it is not in it."""
    found = re.search(rf"^{re.escape(series)} (.+)$", await gateway.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def ask(gateway: RunningGateway, **more: object) -> httpx.Response:
    return await gateway.http.post("/v1/chat/completions", json={**CHAT, **more})


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(), "whole"),
        (Reply(cut_after=3), "cut"),
        (Reply(error_after=3), "in_band_error"),
    ],
)
async def test_stream_is_counted_by_how_it_ended(
    start_gateway: StartGateway, fake: FakeOpenAI, reply: Reply, outcome: str
) -> None:
    fake.script(reply)
    gateway = await start_gateway(model_app(fake))
    await ask(gateway, stream=True)
    counts = {one: await value(gateway, f'shipway_streams_total{{outcome="{one}"}}') for one in (outcome, "whole")}
    assert counts == {"whole": 0, outcome: 1}


async def test_stream_that_its_client_leaves_is_counted_as_left(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(stall_after=3))
    gateway = await start_gateway(model_app(fake))
    async with gateway.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as response:
        async for _ in response.aiter_bytes():
            break
    await until(lambda: value(gateway, 'shipway_streams_total{outcome="client_left"}'), 3)
    assert await value(gateway, 'shipway_upstream_attempts_total{upstream="p0/m0",outcome="client_left"}') == 1
    assert await value(gateway, "shipway_requests_in_flight") == 0


async def test_stream_whose_client_goes_at_its_last_event_is_whole(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    # As the synchronous client of OpenAI's SDK does, while a server ends its response a moment after `[DONE]`.
    fake.script(Reply(stall_after=8))
    gateway = await start_gateway(model_app(fake, extra='[models.chat.cache]\nttl = "1h"\n'))
    async with gateway.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as response:
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                break
    await until(lambda: value(gateway, 'shipway_streams_total{outcome="whole"}'), 3)
    assert await value(gateway, 'shipway_streams_total{outcome="client_left"}') == 0
    assert await value(gateway, 'shipway_upstream_attempts_total{upstream="p0/m0",outcome="answered"}') == 1
    assert "[DONE]" in (await ask(gateway, stream=True)).text
    assert len(fake.requests) == 1  # the answer was kept


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_gateway_itself_takes_of_a_call_is_its_time_less_the_upstreams(
    start_gateway: StartGateway, fake: FakeOpenAI, *, stream: bool
) -> None:
    fake.script(Reply(delay_s=0.5))
    gateway = await start_gateway(model_app(fake))
    await ask(gateway, stream=stream)
    assert 0 < await value(gateway, 'shipway_overhead_seconds_sum{kind="model"}') < 0.3


async def test_time_until_a_client_leaves_is_not_the_gateways_own(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(stall_after=3))
    gateway = await start_gateway(model_app(fake))
    async with gateway.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as response:
        async for _ in response.aiter_bytes():
            await asyncio.sleep(0.5)
            break
    await until(lambda: value(gateway, 'shipway_streams_total{outcome="client_left"}'), 3)
    assert await value(gateway, 'shipway_overhead_seconds_sum{kind="model"}') < 0.3


async def test_time_of_an_upgraded_connection_is_not_the_gateways_own(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    async with raw_client(gateway.port) as client:
        await client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.head())[0] == 101
        await asyncio.sleep(0.5)
    await until(lambda: value(gateway, 'shipway_service_request_duration_seconds_sum{target="web"}'), 3)
    assert await value(gateway, 'shipway_overhead_seconds_sum{kind="service"}') < 0.3


async def test_tokens_times_and_bytes_of_a_call_are_counted(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    answer = await ask(gateway)
    who = 'gen_ai_operation_name="chat",gen_ai_provider_name="p0",gen_ai_request_model="chat"'
    usage = answer.json()["usage"]
    assert (
        await value(gateway, f'gen_ai_client_token_usage_sum{{{who},gen_ai_token_type="input"}}')
        == (usage["prompt_tokens"])
    )
    assert await value(gateway, f"gen_ai_server_request_duration_seconds_count{{{who}}}") == 1
    assert await value(gateway, 'shipway_requests_total{kind="model",target="chat",status_class="2xx"}') == 1
    assert await value(gateway, 'shipway_relayed_bytes_total{direction="to_client"}') == len(answer.content)
    assert await value(gateway, 'shipway_upstream_attempts_total{upstream="p0/m0",outcome="answered"}') == 1
    assert await value(gateway, 'shipway_connections_open{side="upstream"}') == 1
    assert await value(gateway, 'shipway_connections_open{side="admin"}') == 1


USAGE = Usage(input=1, cache_read=2, cache_write=3, audio_input=4, image_input=5, output=6, reasoning=7, audio_output=8)
CLASSES = {
    "input": 1, "cached_read": 2, "cached_write": 3, "input_audio": 4, "input_image": 5,
    "output": 6, "reasoning": 7, "output_audio": 8,
}  # fmt: skip


async def classes(gateway: RunningGateway) -> dict[str, float]:
    """What was counted of each class that was counted at all."""
    found = re.findall(r'^shipway_tokens_total\{.*class="(\w+)"\} (\S+)$', await gateway.metrics(), re.MULTILINE)
    return {name: float(count) for name, count in found}


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_counted_in_classes_that_sum_to_the_totals(
    start_gateway: StartGateway, fake: FakeOpenAI, capfd: pytest.CaptureFixture[str], stream: bool
) -> None:
    fake.script(Reply(usage=USAGE), Reply(usage=USAGE))
    gateway = await start_gateway(model_app(fake))
    options: dict[str, object] = {"stream_options": {"include_usage": True}} if stream else {}
    for _ in range(2):
        await ask(gateway, stream=stream, **options)
    assert await classes(gateway) == {name: 2 * count for name, count in CLASSES.items()}
    who = 'gen_ai_operation_name="chat",gen_ai_provider_name="p0",gen_ai_request_model="chat"'
    sums = [await value(gateway, f'gen_ai_client_token_usage_sum{{{who},gen_ai_token_type="{one}"}}') for one in SIDES]
    assert sums == [2 * USAGE.all_input, 2 * USAGE.all_output]
    await asyncio.sleep(0.25)  # more than the log waits before it writes
    logged = json.loads(capfd.readouterr().out.splitlines()[0])["Attributes"]
    assert {name: count for name, count in logged.items() if name.startswith("gen_ai.usage.")} == {
        "gen_ai.usage.input_tokens": USAGE.all_input,
        "gen_ai.usage.output_tokens": USAGE.all_output,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.audio.input_tokens": 4,
        "gen_ai.usage.image.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 7,
        "gen_ai.usage.audio.output_tokens": 8,
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_that_come_on_top_of_what_came_out_are_counted(
    start_gateway: StartGateway, fake: FakeOpenAI, stream: bool
) -> None:
    usage = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
    told = json.dumps(usage | {"completion_tokens_details": {"reasoning_tokens": 94}})
    said = '"delta":{"content":"x"}' if stream else '"message":{"role":"assistant","content":"x"}'
    answer = f'{{"choices":[{{"index":0,{said},"finish_reason":"stop"}}],"usage":{told}}}'
    kind, body = (
        ("text/event-stream", f"data: {answer}\n\ndata: [DONE]\n\n") if stream else ("application/json", answer)
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    fake.script(Reply(raw=(head + body).encode()))
    gateway = await start_gateway(model_app(fake))
    await ask(gateway, stream=stream)
    assert await classes(gateway) == {"input": 32, "output": 9, "reasoning": 94}
    who = 'gen_ai_operation_name="chat",gen_ai_provider_name="p0",gen_ai_request_model="chat"'
    sums = [await value(gateway, f'gen_ai_client_token_usage_sum{{{who},gen_ai_token_type="{one}"}}') for one in SIDES]
    assert sums == [32, 103]


async def test_usage_that_makes_no_sense_is_unknown_and_breaks_nothing(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    told = json.dumps({"choices": [choice], "usage": {"prompt_tokens": -5, "completion_tokens": "many"}}).encode()
    fake.script(Reply(body=told))
    gateway = await start_gateway(model_app(fake))
    assert (await ask(gateway)).content == told
    assert await classes(gateway) == {"input": 0, "output": 0}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("part_bytes", [None, 7])
async def test_usage_of_a_stream_is_known_without_a_trace_where_the_app_file_wants_it(
    start_gateway: StartGateway, fake: FakeOpenAI, path: str, part_bytes: int | None
) -> None:
    fake.script(*[Reply(usage=USAGE, part_bytes=part_bytes)] * 3)
    asked = {"model": "m0", "stream": True, "messages": CHAT["messages"], "prompt": "hi"}
    async with httpx.AsyncClient() as client:
        plain = (await client.post(f"{fake.base_url}{path.removeprefix('/v1')}", json=asked)).content
    app = model_app(fake).replace("[gateway]", "stream_usage = true\n[gateway]", 1)
    gateway = await start_gateway(app)
    answer = await gateway.http.post(path, json={**asked, "model": "chat"})
    assert answer.content == plain
    assert await classes(gateway) == CLASSES
    wanted = {**asked, "model": "chat", "stream_options": {"include_usage": True}}
    answer = await gateway.http.post(path, json=wanted)
    assert b'"usage":{' in answer.content
    sent = [one.json.get("stream_options") for one in fake.requests]
    assert sent == [None, {"include_usage": True}, {"include_usage": True}]


async def test_failover_retries_and_breakers_are_counted(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as second:
        fake.script(*[Reply(status=500)] * 10)
        gateway = await start_gateway(model_app(fake, second))
        for _ in range(7):
            assert (await ask(gateway)).status_code == 200
        assert await value(gateway, 'shipway_upstream_attempts_total{upstream="p0/m0",outcome="error_status"}') == 5
        assert await value(gateway, 'shipway_upstream_breaker_openings_total{upstream="p0/m0"}') == 1
        assert await value(gateway, 'shipway_upstream_breaker_state{upstream="p0/m0"}') == 2
        assert await value(gateway, 'shipway_retries_total{reason="status"}') == 5


async def test_kept_connection_that_was_closed_is_counted_as_a_stale_retry(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    await gateway.http.get("/x")
    assert (await gateway.http.get("/close")).status_code == 502
    assert await value(gateway, 'shipway_retries_total{reason="stale"}') == 1


async def test_refusals_are_counted_by_the_code_the_client_was_told(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url, 'max_body = "10B"\nmax_target = "50B"\n'))
    told = []
    for request in (
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer no\r\n\r\n",
        f"POST /x HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: 11\r\n\r\n12345678901",
        "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        told.append((await gateway.ask(request)).body.split(b'"code":"')[1].split(b'"')[0].decode())
    assert told == ["missing_api_key", "invalid_api_key", "body_too_large", "ambiguous_path"]
    assert (await gateway.ask(f"GET /{'x' * 60} HTTP/1.1\r\nHost: a\r\n\r\n")).status == 414
    assert (await gateway.ask("NONSENSE\r\n\r\n")).status == 400
    for code in (*told, "target_too_long"):
        assert await value(gateway, f'shipway_refusals_total{{code="{code}"}}') == 1


async def test_deadlines_of_clients_and_upstreams_are_counted(
    start_gateway: StartGateway, service: EchoService
) -> None:
    timeouts = '[gateway.timeouts]\nheader = "100ms"\nbody = "100ms"\nfirst_byte = "300ms"\n'
    gateway = await start_gateway(service_app(service.url, timeouts))
    assert (await gateway.ask("GET /x HTTP/1.1\r\nHo")).status == 408
    assert (await gateway.ask(f"POST /x HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: 5\r\n\r\nab")).status == 408
    assert (await gateway.http.get("/hang")).status_code == 504
    counts = {
        name: await value(gateway, f'shipway_deadlines_expired_total{{deadline="{name}"}}')
        for name in ("header", "body", "first_byte")
    }
    assert counts == {"header": 1, "body": 1, "first_byte": 1}


async def test_scanners_and_typos_make_no_new_series(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))

    async def knock(number: int) -> None:
        await gateway.http.get(f"/wp-login-{number}.php")
        await gateway.http.post("/v1/chat/completions", json={**CHAT, "model": f"gpt-{number}"})
        await gateway.http.get(f"/v1/models/m{number}", headers={"authorization": f"Bearer k{number}"})
        await gateway.http.request("PURGE", "/x", headers={"x-request-id": f"id-{number}", "host": f"h{number}"})

    await knock(0)
    before = {line.rsplit(" ", 1)[0] for line in (await gateway.metrics()).splitlines()}
    for number in range(1, 30):
        await knock(number)
    assert {line.rsplit(" ", 1)[0] for line in (await gateway.metrics()).splitlines()} == before


def test_every_refusal_code_is_a_label_value() -> None:
    telemetry = Telemetry(metrics.gateway_registry(), None)
    for code in CODES:
        record = AccessRecord(b"GET", b"/", b"id")
        record.status, record.error = 500, code
        telemetry.finished(record)
    for status in (400, *UNREAD_CODES):
        telemetry.refused_unread(status)
    counted = dict(telemetry.registry.collect())[metrics.REFUSALS]
    assert {values[0] for values in counted} == {*CODES, *UNREAD_CODES.values(), "malformed_request"} - {"client_gone"}


def test_stream_that_the_end_of_the_gateway_breaks_off_is_not_counted_as_its_upstreams_fault() -> None:
    telemetry = Telemetry(metrics.gateway_registry(), None)
    record = AccessRecord(b"POST", b"/v1/chat/completions", b"id")
    record.model, record.upstream, record.status, record.error, record.first_token_s = (
        "chat",
        "p/m",
        200,
        "draining",
        0.1,
    )
    telemetry.finished(record)
    counted = dict(telemetry.registry.collect())[metrics.STREAMS]
    assert {values for values, count in counted.items() if count.value} == {("in_band_error",)}


def test_every_kind_of_fault_is_an_outcome_of_attempts() -> None:
    sources = "".join(file.read_text() for file in (Path(metrics.__file__).parents[1] / "gateway").rglob("*.py"))
    kinds = set(re.findall(r'UpstreamFault\("(\w+)"', sources)) | set(
        re.findall(r'(?:enter\w*\(|kind, by_s = )"(\w+)"', sources)
    )
    kinds |= {"cut", "reset", "unsent"}  # by how far it came, when a connection is lost
    assert len(kinds) >= 6
    assert kinds - set(metrics.OUTCOME.values or ()) == set()


def test_counting_a_request_takes_microseconds() -> None:
    telemetry = Telemetry(metrics.gateway_registry(), None)
    record = AccessRecord(b"POST", b"/v1/chat/completions", b"req-1")
    record.model, record.upstream, record.status, record.duration_s = "chat", "p/m", 200, 0.5
    record.input_tokens, record.output_tokens = 10, 20
    began_s = time.process_time()
    for _ in range(20_000):
        telemetry.finished(record)
    per_request_us = (time.process_time() - began_s) / 20_000 * 1e6
    assert per_request_us < 30, "a busy machine may double it; this is ten times"
