"""Guards of calls that are not streamed, through the gateway: callers of two dialects, passed on and translated."""

from __future__ import annotations

import asyncio
import json
import threading

import anthropic
import openai
import pytest

from shipway.gateway.guards import ALLOW, Check, Piece, Verdict, refuse
from shipway.gateway.model_calls import MAX_HELD_ANSWER_BYTES
from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.openai_server import FakeOpenAI, Reply, ToolCall
from tests.gateway.conftest import AUTH, KEY, RunningGateway, StartGateway
from tests.gateway.guards.conftest import CHECK, CHECK_ASYNC, guarded
from tests.gateway.guards.hooks import Hook

HELLO = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}


def openai_client(gateway: RunningGateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEY, max_retries=0)


def anthropic_client(gateway: RunningGateway) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{gateway.port}", api_key=KEY, max_retries=0)


@pytest.mark.parametrize("guard", [CHECK, CHECK_ASYNC])
async def test_a_guard_sees_what_is_asked_and_what_is_answered(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, guard: str
) -> None:
    gateway = await start_gateway(guarded(fake.base_url, guard))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO, headers={"x-request-id": "r1"})
    assert response.status_code == 200
    principal = hook.seen[0].principal
    assert principal.startswith("key-")
    assert hook.seen == [
        Check("g", "before", "chat", "r1", principal, False, (Piece("user", "text", "hello"),)),
        Check("g", "after", "chat", "r1", principal, False, (Piece("assistant", "text", "This is a fake answer."),)),
    ]
    metrics = await gateway.metrics()
    assert 'shipway_guard_checks_total{guard="g",when="before",outcome="allowed"} 1' in metrics
    assert 'shipway_guard_checks_total{guard="g",when="after",outcome="allowed"} 1' in metrics


@pytest.mark.parametrize(("use", "seen"), [("before", ["before"]), ("after", ["after"])])
async def test_a_guard_sees_only_the_side_that_it_is_for(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, use: str, seen: list[str]
) -> None:
    gateway = await start_gateway(guarded(fake.base_url, use=f'{{ name = "g", when = "{use}" }}'))
    assert (await gateway.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
    assert [check.when for check in hook.seen] == seen


async def test_a_refused_request_reaches_no_model(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    hook.refuse_word("hell")
    gateway = await start_gateway(guarded(fake.base_url))
    async with openai_client(gateway) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])
    assert (raised.value.code, raised.value.status_code) == ("guard_refused", 400)
    assert raised.value.message == "Error code: 400 - No such words. (policy)"
    assert raised.value.response.headers["x-shipway-guard-reason"] == "policy"
    assert fake.requests == []
    metrics = await gateway.metrics()
    assert 'shipway_guard_refusals_total{guard="g",reason="policy"} 1' in metrics
    assert 'shipway_refusals_total{code="guard_refused"} 1' in metrics


async def test_a_refused_answer_is_not_passed_on(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    hook.refuse_word("fake")
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "guard_refused")
    assert "fake" not in response.text
    assert len(fake.requests) == 1
    assert 'outcome="answered"' in await gateway.metrics()  # the upstream is not to blame


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize("word", ["hello", "fake"])
async def test_a_caller_of_anthropics_dialect_gets_its_error(
    start_gateway: StartGateway, fake: FakeOpenAI, fake_anthropic: FakeAnthropic, hook: Hook, kind: str, word: str
) -> None:
    hook.refuse_word(word)
    upstream = fake if kind == "openai" else fake_anthropic
    gateway = await start_gateway(guarded(f"{upstream.url}/v1", kind=kind))
    async with anthropic_client(gateway) as client:
        with pytest.raises(anthropic.BadRequestError, match=r"No such words\. \(policy\)"):
            await client.messages.create(model="chat", max_tokens=9, messages=[{"role": "user", "content": "hello"}])


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_an_allowed_answer_reaches_a_caller_of_another_dialect(
    start_gateway: StartGateway, fake: FakeOpenAI, fake_anthropic: FakeAnthropic, hook: Hook, kind: str
) -> None:
    upstream = fake if kind == "openai" else fake_anthropic
    gateway = await start_gateway(guarded(f"{upstream.url}/v1", kind=kind))
    async with openai_client(gateway) as client:
        answer = await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == "This is a fake answer."
    assert hook.texts("after") == ["This is a fake answer."]


async def test_all_of_a_conversation_is_seen(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    fake.script(Reply(text="Done.", tool_calls=[ToolCall("find", '{"q": "é"}')]))
    gateway = await start_gateway(guarded(fake.base_url))
    body = {
        "model": "chat",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "look", "weight": 3}, {"type": "new", "what": "x"}]},
            {"role": "assistant", "content": "I will.", "tool_calls": [_call("c1", "find", '{"q": "a\\u0062c"}')]},
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
        ],
        "tools": [{"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {}}}],
        "logit_bias": {"50256": -100},
    }
    assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200
    before, after = hook.seen
    assert before.texts == (
        Piece("system", "text", "Be kind."),
        Piece("system", "tool", "Finds.\n{}", "find"),
        Piece("user", "text", "look"),
        Piece("assistant", "text", "I will."),
        Piece("assistant", "tool_call", '{"q":"abc"}', "find"),
        Piece("tool", "tool_result", "found", "find"),
        Piece("user", "field", "3", "messages[1].content[0].weight"),
        Piece("user", "field", '{"type":"new","what":"x"}', "messages[1].content[1].new"),
        Piece("user", "field", '{"50256":-100}', "logit_bias"),
    )
    assert after.texts == (Piece("assistant", "text", "Done."), Piece("assistant", "tool_call", '{"q":"é"}', "find"))


def _call(call_id: str, name: str, arguments: str) -> dict[str, object]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


async def test_what_an_answer_says_in_a_field_that_nobody_knows_is_seen(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    answer = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "a", "audio": {"transcript": "b", "data": "//"}},
            }
        ],
    }
    fake.script(Reply(body=json.dumps(answer).encode()))
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    assert response.json() == answer
    assert hook.seen[1].texts == (
        Piece("assistant", "text", "a"),
        Piece("assistant", "field", "b", "choices[0].message.audio.transcript"),
    )


@pytest.mark.parametrize(("when", "passes"), [("before", True), ("after", False)])
async def test_an_answer_too_large_to_be_held_never_passes_a_guard_that_checks_answers(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, when: str, passes: bool
) -> None:
    # A mebibyte above it: what ends in the very read that passes the limit is still held, and checked.
    text = "x" * (MAX_HELD_ANSWER_BYTES + (1 << 20))
    answer = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}
    fake.script(Reply(body=json.dumps(answer).encode()))
    gateway = await start_gateway(guarded(fake.base_url, use=f'{{ name = "g", when = "{when}" }}'))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    if passes:
        assert (response.status_code, response.json()) == (200, answer)
    else:
        assert (response.status_code, "xxx" in response.text) == (502, False)
        assert 'outcome="garbage"} 1' in await gateway.metrics()
    assert [check.when for check in hook.seen] == (["before"] if passes else [])


async def test_a_key_that_is_there_twice_is_refused(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    gateway = await start_gateway(guarded(fake.base_url))
    body = '{"model":"chat","messages":[{"role":"user","content":"bad","content":"good"}]}'
    response = await gateway.http.post("/v1/chat/completions", content=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "content")
    assert (hook.seen, fake.requests) == ([], [])


async def test_several_answers_at_once_are_refused_before_a_model_works(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/chat/completions", json={**HELLO, "n": 2})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "guard_unreadable")
    assert fake.requests == []
    lenient = await start_gateway(guarded(fake.base_url, f'{CHECK}\non_failure = "pass"'))
    assert (await lenient.http.post("/v1/chat/completions", json={**HELLO, "n": 2})).status_code == 200
    assert 'when="after",outcome="unreadable"} ' in await lenient.metrics()


async def test_a_request_that_cannot_be_read_is_refused_with_its_field_or_passes_unasked(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    odd = {**HELLO, "temperature": "warm"}
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/chat/completions", json=odd)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "temperature")
    lenient = await start_gateway(guarded(fake.base_url, f'{CHECK}\non_failure = "pass"'))
    assert (await lenient.http.post("/v1/chat/completions", json=odd)).status_code == 200
    after = await start_gateway(guarded(fake.base_url, use='{ name = "g", when = "after" }'))
    assert (await after.http.post("/v1/chat/completions", json=odd)).status_code == 200  # it is not read
    assert [check.when for check in hook.seen] == ["after", "after"]
    assert 'when="before",outcome="unreadable"} 1' in await lenient.metrics()


async def test_an_unknown_reason_refuses_all_the_same(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    hook.decide = lambda asked: refuse("whatever", "Line\none\x1b[31m " + "x" * 1000)
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    message = response.json()["error"]["message"]
    assert (response.headers["x-shipway-guard-reason"], message[:12], len(message)) == ("other", "Line one [31", 508)


@pytest.mark.parametrize(
    ("decide", "outcome"),
    [
        (lambda asked: None, "nonsense"),
        (lambda asked: True, "nonsense"),
        (lambda asked: {"verdict": "maybe"}, "nonsense"),
        (lambda asked: {"verdict": "allow", "why": 1}, "nonsense"),
        (lambda asked: Verdict("no"), "nonsense"),  # type: ignore[arg-type]
        (lambda asked: 1 // 0, "raised"),
        (lambda asked: exit(1), "raised"),
    ],
)
@pytest.mark.parametrize("guard", [CHECK, CHECK_ASYNC])
@pytest.mark.parametrize("on_failure", ["refuse", "pass"])
async def test_a_guard_without_a_verdict_fails_as_declared(
    start_gateway: StartGateway,
    fake: FakeOpenAI,
    hook: Hook,
    decide: object,
    outcome: str,
    guard: str,
    on_failure: str,
) -> None:
    hook.decide = decide  # type: ignore[assignment]
    gateway = await start_gateway(guarded(fake.base_url, f'{guard}\non_failure = "{on_failure}"'))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    if on_failure == "pass":
        assert response.status_code == 200
    else:
        assert (response.status_code, response.json()["error"]["code"]) == (503, "guard_unavailable")
        assert response.headers["retry-after"] == "1"
        assert fake.requests == []
    assert f'shipway_guard_checks_total{{guard="g",when="before",outcome="{outcome}"}} 1' in await gateway.metrics()


@pytest.mark.parametrize("guard", [CHECK, CHECK_ASYNC])
async def test_a_guard_that_hangs_is_waited_for_until_its_deadline_and_then_left_alone(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, guard: str
) -> None:
    over = threading.Event()
    hook.decide = lambda asked: over.wait(20)

    async def never(asked: Check) -> object:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            await asyncio.sleep(1)  # takes its time to go
        return ALLOW

    hook.decide_later = never
    gateway = await start_gateway(guarded(fake.base_url, f'{guard}\ndeadline = "150ms"\nconcurrency = 2'))
    loop = asyncio.get_running_loop()
    try:
        for expected in ("timeout",) * 5 + ("resting",):  # five failures in a row open its breaker
            began_s = loop.time()
            response = await gateway.http.post("/v1/chat/completions", json=HELLO)
            took_s = loop.time() - began_s
            assert response.json()["error"]["code"] == "guard_unavailable"
            assert took_s >= 0.14 if expected == "timeout" else took_s < 0.14
    finally:
        over.set()
    # Two hang in their places; the others waited for one, and never began.
    assert len(hook.seen) == 2
    metrics = await gateway.metrics()
    assert 'shipway_guard_checks_total{guard="g",when="before",outcome="timeout"} 5' in metrics
    assert 'shipway_guard_checks_total{guard="g",when="before",outcome="resting"} 1' in metrics
    assert fake.requests == []


async def test_no_more_checks_are_under_way_than_allowed(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    under_way, most = 0, 0

    async def slow(asked: Check) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return ALLOW

    hook.decide_later = slow
    gateway = await start_gateway(guarded(fake.base_url, f'{CHECK_ASYNC}\nconcurrency = 3\ndeadline = "5s"'))
    calls = (gateway.http.post("/v1/chat/completions", json=HELLO) for _ in range(12))
    assert {response.status_code for response in await asyncio.gather(*calls)} == {200}
    assert most == 3


async def test_the_first_guard_that_refuses_decides(start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook) -> None:
    cancelled = asyncio.Event()

    async def slow(asked: Check) -> object:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ALLOW

    hook.decide_later = slow
    hook.refuse_word("hello")
    app = guarded(fake.base_url, f'{CHECK_ASYNC}\ndeadline = "20s"\n[guards.h]\n{CHECK}', use='"g", "h"')
    gateway = await start_gateway(app)
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    assert response.json()["error"]["code"] == "guard_refused"
    await asyncio.wait_for(cancelled.wait(), 2)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_client_that_leaves_ends_the_check(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, when: str
) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(asked: Check) -> object:
        began.set()
        try:
            await asyncio.sleep(20)
        finally:
            cancelled.set()
        return ALLOW

    hook.decide_later = slow
    app = guarded(fake.base_url, f'{CHECK_ASYNC}\ndeadline = "20s"', use=f'{{ name = "g", when = "{when}" }}')
    gateway = await start_gateway(app)
    body = json.dumps(HELLO)
    async with gateway.raw() as client:
        await client.send(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        await asyncio.wait_for(began.wait(), 2)
    await asyncio.wait_for(cancelled.wait(), 2)
    assert len(fake.requests) == (0 if when == "before" else 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_only_an_answer_that_was_allowed_is_kept(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, stream: bool
) -> None:
    app = guarded(fake.base_url, f'{CHECK}\non_failure = "pass"\nhold = "2ms"')
    gateway = await start_gateway(f'{app}[models.chat.cache]\nttl = "1m"\nsize = "10MB"\n')

    async def ask() -> tuple[bool, str]:
        response = await gateway.http.post("/v1/chat/completions", json={**HELLO, "stream": stream})
        return "guard_refused" in response.text, response.headers.get("x-shipway-cache", "")

    hook.decide = lambda asked: refuse("policy") if asked.when == "after" else ALLOW
    assert (await ask())[0]
    hook.decide = lambda asked: None if asked.when == "after" else ALLOW  # no verdict, and it may pass
    assert await ask() == (False, "miss")
    hook.decide = lambda asked: ALLOW
    assert await ask() == (False, "miss")
    assert await ask() == (False, "hit")
    assert len(fake.requests) == 3
    assert [check.when for check in hook.seen[-2:]][
        -1
    ] == "before"  # of what is kept only the question is checked again
    hook.refuse_word("hello")
    assert (await ask())[0]
