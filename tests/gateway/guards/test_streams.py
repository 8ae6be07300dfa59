"""Guards of streams, through the gateway: nothing unchecked passes, and nothing is held for longer than stated."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest

from shipway.gateway.guards import ALLOW, Check, Piece, refuse
from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.fake_server import FakeServer
from shipway.testing.openai_server import FakeOpenAI, Reply, ToolCall
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway
from tests.gateway.guards.conftest import CHECK, CHECK_ASYNC, guarded
from tests.gateway.guards.hooks import Hook
from tests.gateway.guards.test_whole import anthropic_client, openai_client
from tests.gateway.test_failover import nothing_under_way
from tests.gateway.test_failover_streams import send_chat

AFTER = '{ name = "g", when = "after" }'
QUICK = f'{CHECK}\nhold = "20ms"'
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture(params=["openai", "anthropic"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[FakeServer]:
    """A provider of either dialect, so that each caller is once passed on and once translated."""
    async with FakeOpenAI() if request.param == "openai" else FakeAnthropic() as server:
        yield server


def app(upstream: FakeServer, guard: str = QUICK, use: str = AFTER) -> str:
    kind = "openai" if isinstance(upstream, FakeOpenAI) else "anthropic"
    return guarded(f"{upstream.url}/v1", guard, kind=kind, use=use)


async def openai_stream(gateway: RunningGateway) -> AsyncIterator[str]:
    async with openai_client(gateway) as client:
        stream = await client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        async for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""
                for call in choice.delta.tool_calls or ():
                    if call.function is not None:
                        yield call.function.arguments or ""


async def anthropic_stream(gateway: RunningGateway) -> AsyncIterator[str]:
    async with (
        anthropic_client(gateway) as client,
        client.messages.stream(model="chat", max_tokens=99, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        async for event in stream:
            if event.type == "content_block_delta":
                yield getattr(event.delta, "text", "") or getattr(event.delta, "partial_json", "")


async def got(stream: AsyncIterator[str]) -> tuple[str, Exception | None]:
    """What of a stream came, and the error that ended it."""
    text = ""
    try:
        async for piece in stream:
            text += piece
    except (openai.APIError, anthropic.APIError) as error:
        return text, error
    return text, None


callers = pytest.mark.parametrize("caller", [openai_stream, anthropic_stream])


@callers
async def test_an_allowed_stream_arrives_whole(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook, caller: type
) -> None:
    upstream.script(Reply(text=TEXT, token_delay_s=0.005))
    gateway = await start_gateway(app(upstream))
    assert await got(caller(gateway)) == (TEXT, None)
    assert all(check.streamed for check in hook.seen)
    assert "".join(piece.text[piece.checked :] for check in hook.seen for piece in check.texts) == TEXT


async def test_the_bytes_of_a_stream_that_is_passed_on_stay_as_they_are(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    gateway = await start_gateway(guarded(fake.base_url, QUICK))
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    through = await gateway.http.post("/v1/chat/completions", json={**body, "model": "chat"})
    direct = await gateway.http.post(f"{fake.base_url}/chat/completions", json=body)
    assert through.content == direct.content


@callers
async def test_a_stream_refused_midway_ends_with_an_error_and_stops_the_upstream(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook, caller: type
) -> None:
    hook.refuse_word("seven")
    upstream.script(Reply(text=TEXT, token_delay_s=0.03, stall_after=14))
    gateway = await start_gateway(app(upstream))
    text, error = await got(caller(gateway))
    assert error is not None
    assert "No such words. (policy)" in str(error)
    assert "one" in text
    assert "seven" not in text
    await asyncio.wait_for(upstream.requests[0].gone.wait(), 2)
    metrics = await gateway.metrics()
    assert 'shipway_streams_total{outcome="in_band_error"} 1' in metrics
    assert 'shipway_guard_refusals_total{guard="g",reason="policy"} 1' in metrics


@callers
async def test_text_that_comes_during_a_check_does_not_pass_with_it(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook, caller: type
) -> None:
    async def slow(asked: Check) -> object:
        await asyncio.sleep(0.1)
        return refuse("policy") if any("seven" in piece.text for piece in asked.texts) else ALLOW

    hook.decide_later = slow
    upstream.script(Reply(text=TEXT, token_delay_s=0.02))
    gateway = await start_gateway(app(upstream, f'{CHECK_ASYNC}\nhold = "2ms"'))
    text, error = await got(caller(gateway))
    assert "one" in text
    assert "seven" not in text
    assert error is not None


@callers
async def test_a_stream_refused_before_its_first_token_has_a_status(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook, caller: type
) -> None:
    hook.refuse_word("one")
    upstream.script(Reply(text=TEXT))
    gateway = await start_gateway(app(upstream))
    text, error = await got(caller(gateway))
    assert text == ""
    assert isinstance(error, openai.BadRequestError | anthropic.BadRequestError)


@callers
async def test_the_arguments_of_tool_calls_are_checked(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook, caller: type
) -> None:
    upstream.script(*[Reply(text="Wait.", tool_calls=[ToolCall("run", '{"command":"rm -rf everything"}')])] * 2)
    gateway = await start_gateway(app(upstream))
    text, error = await got(caller(gateway))
    assert (text, error) == ('Wait.{"command":"rm -rf everything"}', None)
    calls = [piece for check in hook.seen for piece in check.texts if piece.kind == "tool_call"]
    assert {call.name for call in calls} == {"run"}
    assert "".join(call.text[call.checked :] for call in calls) == '{"command":"rm -rf everything"}'
    hook.refuse_word("rm -rf")
    text, error = await got(caller(gateway))
    assert "rm -rf" not in text
    assert "No such words." in str(error)


@callers
async def test_a_name_of_a_tool_is_checked_before_it_passes(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook, caller: type
) -> None:
    hook.decide = lambda asked: refuse("policy") if any(piece.name == "format_disk" for piece in asked.texts) else ALLOW
    upstream.script(Reply(text="", tool_calls=[ToolCall("format_disk", "{}")]))
    gateway = await start_gateway(app(upstream))
    text, error = await got(caller(gateway))
    assert (text, type(error).__name__) == ("", "BadRequestError")


async def test_thoughts_are_checked(start_gateway: StartGateway, fake_anthropic: FakeAnthropic, hook: Hook) -> None:
    fake_anthropic.script(Reply(reasoning="secret plan", text="Yes."))
    gateway = await start_gateway(app(fake_anthropic))
    body = {"model": "chat", "max_tokens": 2048, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    await gateway.http.post("/v1/messages", json={**body, "thinking": {"type": "enabled", "budget_tokens": 1024}})
    assert {piece.kind for check in hook.seen for piece in check.texts} == {"reasoning", "text"}


async def test_a_phrase_is_found_across_windows(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    hook.refuse_word("three four")
    fake.script(Reply(text=TEXT, token_delay_s=0.03))
    gateway = await start_gateway(guarded(fake.base_url, f"{QUICK}\nwindow = 12", use=AFTER))
    text, error = await got(openai_stream(gateway))
    assert "four" not in text
    assert error is not None
    assert max(len(text) for text in hook.texts("after")) <= 24


@pytest.mark.parametrize("check_s", [0.0, 0.15])
async def test_text_is_held_no_longer_than_stated_where_the_guard_is_in_time(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, check_s: float
) -> None:
    """`hold` is 800 ms, so the guard may take 400; the bounds are generous, as the machine may be busy."""

    async def slow(asked: Check) -> object:
        await asyncio.sleep(check_s)
        return ALLOW

    hook.decide_later = slow
    words = [f"{at} " for at in range(10)]
    fake.script(Reply(tokens=words, token_delay_s=0.2))
    gateway = await start_gateway(guarded(fake.base_url, f'{CHECK_ASYNC}\nhold = "800ms"', use=AFTER))
    sent = time.monotonic()
    came: dict[str, float] = {}
    async for piece in openai_stream(gateway):
        for word in piece.split():
            came[word] = time.monotonic() - sent
    assert list(came) == [str(at) for at in range(10)]
    for at in range(10):
        arrived_s = (at + 2) * 0.2  # the role's event is first
        assert came[str(at)] <= arrived_s + 0.8 + 0.4, came
    # Gathered, not checked token by token: 2 s of stream, 0.4 s of gathering each.
    assert len(hook.seen) <= 6
    assert came["0"] < came["9"]


async def test_a_guard_that_hangs_midway_ends_the_stream_at_its_deadline(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook
) -> None:
    async def hang(asked: Check) -> object:
        if any("five" in piece.text for piece in asked.texts):
            await asyncio.sleep(30)
        return ALLOW

    hook.decide_later = hang
    upstream.script(Reply(text=TEXT, token_delay_s=0.03))
    gateway = await start_gateway(app(upstream, f'{CHECK_ASYNC}\nhold = "20ms"\ndeadline = "300ms"'))
    text, error = await asyncio.wait_for(got(openai_stream(gateway)), 5)
    assert "one" in text
    assert "five" not in text
    assert str(error) == "What must be checked here could not be checked. Try again."
    assert 'shipway_guard_checks_total{guard="g",when="after",outcome="timeout"} 1' in await gateway.metrics()


async def test_a_guard_that_fails_and_may_be_passed_by_lets_the_stream_go_on(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook
) -> None:
    hook.decide = lambda asked: None
    upstream.script(Reply(text=TEXT, token_delay_s=0.01))
    gateway = await start_gateway(app(upstream, f'{QUICK}\non_failure = "pass"'))
    assert await got(openai_stream(gateway)) == (TEXT, None)


async def test_a_client_that_leaves_during_a_check_stops_guard_and_upstream(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook
) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(asked: Check) -> object:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()
        return ALLOW

    hook.decide_later = hang
    upstream.script(Reply(text=TEXT, stall_after=6))
    gateway = await start_gateway(app(upstream, f'{CHECK_ASYNC}\nhold = "20ms"\ndeadline = "30s"'))
    body = '{"model":"chat","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    async with gateway.raw() as client:
        await client.send(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        await asyncio.wait_for(began.wait(), 2)
    await asyncio.wait_for(cancelled.wait(), 2)
    await asyncio.wait_for(upstream.requests[0].gone.wait(), 2)


async def test_a_stream_cut_by_its_upstream_ends_with_the_error_of_that(
    start_gateway: StartGateway, upstream: FakeServer, hook: Hook
) -> None:
    upstream.script(Reply(text=TEXT, token_delay_s=0.03, cut_after=8))
    gateway = await start_gateway(app(upstream))
    text, error = await got(openai_stream(gateway))
    assert TEXT.startswith(text)
    assert text
    assert str(error) == "What should answer this broke off or made no sense."


async def test_a_cut_before_the_first_token_still_asks_the_next_upstream(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    async with FakeOpenAI() as second:
        fake.script(Reply(cut_after=1))
        text = guarded(fake.base_url, QUICK, use=AFTER).replace(
            "[guards.g]", f'[providers.q]\nkind = "openai"\nbase_url = "{second.base_url}"\n[guards.g]'
        )
        gateway = await start_gateway(text.replace('["p/m"]', '["p/m", "q/m"]'))
        assert await got(openai_stream(gateway)) == ("This is a fake answer.", None)


async def test_a_fast_upstream_is_read_only_as_fast_as_the_guard_goes(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    async def slow(asked: Check) -> object:
        await asyncio.sleep(0.3)
        return ALLOW

    hook.decide_later = slow
    words = ["x" * 50_000] * 100
    fake.script(Reply(tokens=words))
    guard = f'{CHECK_ASYNC}\nhold = "10ms"\nwindow = 1000000\ndeadline = "20s"'
    gateway = await start_gateway(guarded(fake.base_url, guard, use=AFTER))
    seen = 0
    async for piece in openai_stream(gateway):
        if not seen and piece:
            # 5 MB of text, of which the gateway held 256 kB and the sockets what they take.
            assert fake.requests[0].events < 100
        seen += len(piece)
    assert seen == 5_000_000


async def test_what_a_stream_says_in_fields_that_nobody_knows_is_checked(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    chunk = {"id": "1", "choices": [{"index": 0, "delta": {"audio": {"transcript": "hidden words"}}}]}
    fake.script(*[Reply(text="a b", insert={1: b"data: " + json.dumps(chunk).encode() + b"\n\n"})] * 2)
    gateway = await start_gateway(guarded(fake.base_url, QUICK, use=AFTER))
    assert (await got(openai_stream(gateway)))[1] is None
    fields = [piece for check in hook.seen for piece in check.texts if piece.kind == "field"]
    assert fields == [Piece("assistant", "field", "hidden words", "choices[0].delta.audio.transcript")]
    hook.refuse_word("hidden")
    assert str((await got(openai_stream(gateway)))[1]) == "Error code: 400 - No such words. (policy)"


async def test_a_stream_that_cannot_be_read_is_refused(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    chunk = {"id": "1", "choices": [{"index": 1, "delta": {"content": "the second answer"}}]}
    fake.script(*[Reply(text="a b", insert={2: b"data: " + json.dumps(chunk).encode() + b"\n\n"})] * 2)
    gateway = await start_gateway(guarded(fake.base_url, QUICK, use=AFTER))
    text, error = await got(openai_stream(gateway))
    assert "second" not in text
    assert str(error) == (
        "Error code: 400 - What this asks for or is answered with has a form that cannot be checked here."
    )
    lenient = await start_gateway(guarded(fake.base_url, f'{QUICK}\non_failure = "pass"', use=AFTER))
    assert "second" in (await got(openai_stream(lenient)))[0]


async def test_a_stream_of_responses_is_checked_once_although_it_says_its_text_again(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    fake.script(Reply(text=TEXT, tool_calls=[ToolCall("run", '{"a":1}')]))
    gateway = await start_gateway(guarded(fake.base_url, QUICK, use=AFTER))
    body = {"model": "chat", "stream": True, "input": "hi", "instructions": "Be kind."}
    response = await gateway.http.post("/v1/responses", json=body)
    assert b"response.completed" in response.content
    shown = [(piece.kind, piece.text[piece.checked :]) for check in hook.seen for piece in check.texts]
    assert "".join(text for kind, text in shown if kind == "text") == TEXT
    assert [text for kind, text in shown if kind == "field"] == []


async def test_a_slow_reader_slows_the_upstream_and_loses_nothing(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    fake.script(Reply(tokens=["x" * 50_000] * 400))
    gateway = await start_gateway(guarded(fake.base_url, f"{QUICK}\nwindow = 1000000", use=AFTER))
    reader, writer = await send_chat(gateway, stream=True)
    await asyncio.sleep(1)
    (received,) = fake.requests
    assert not received.answered.is_set()
    taken = 0
    while b"[DONE]" not in (data := await asyncio.wait_for(reader.read(1 << 20), 5)):
        taken += data.count(b"x")
    assert taken + data.count(b"x") == 400 * 50_000 + 404  # each chunk and the finish have one in "index"
    writer.close()
    await nothing_under_way(gateway)


async def test_a_stream_past_the_drain_budget_ends_with_an_error_of_its_dialect(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    async def hang(asked: Check) -> object:
        if any("three" in piece.text for piece in asked.texts):
            await asyncio.sleep(30)
        return ALLOW

    hook.decide_later = hang
    fake.script(Reply(text=TEXT, token_delay_s=0.03))
    guard = f'{CHECK_ASYNC}\nhold = "20ms"\ndeadline = "30s"'
    gateway = await start_gateway(guarded(fake.base_url, guard, use=AFTER).replace('drain = "1s"', 'drain = "300ms"'))
    reader, writer = await send_chat(gateway, stream=True)
    await reader.readuntil(b"one")
    await gateway.server.drain()
    rest = await asyncio.wait_for(reader.read(), 2)
    assert b'"code":"draining"' in rest
    assert b"three" not in rest
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n")
    writer.close()
