"""What the log says of requests to a live gateway, and what it never says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import ADMIN, ADMIN_TOKEN, AUTH, KEY, SECOND_KEY, StartGateway, model_app

CANARIES = (KEY, SECOND_KEY, ADMIN_TOKEN, "sk-upstream", "canary-in-a-body", "canary-in-an-answer", "canary-in-a-query")
CHAT = {"model": "chat", "messages": [{"role": "user", "content": "canary-in-a-body"}]}


async def log_lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    await asyncio.sleep(0.25)  # more than the log waits before it writes
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


async def test_line_of_a_call_says_who_asked_whom_and_what_it_took(
    start_gateway: StartGateway, fake: FakeOpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(model_app(fake))
    await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers={"x-request-id": "my-id"})
    (line,) = await log_lines(capfd)
    attributes = line.pop("Attributes")
    assert line.keys() == {"Timestamp", "SeverityText", "SeverityNumber", "EventName"}
    measured = {"http.server.request.duration", "gen_ai.server.time_to_first_token", "http.response.body.size"}
    assert all(attributes.pop(name) > 0 for name in measured)
    attributes.pop("principal")
    assert {name: value for name, value in attributes.items() if not name.startswith("gen_ai.usage")} == {
        "http.request.method": "POST",
        "url.path": "/v1/chat/completions",
        "http.response.status_code": 200,
        "request_id": "my-id",
        "gen_ai.request.model": "chat",
        "upstream": "p0/m0",
        "upstream_request_id": "req_fake_1",
        "attempts": 1,
    }


async def test_secrets_and_bodies_are_in_no_log_error_or_metric(
    start_gateway: StartGateway, fake: FakeOpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = "canary-in-an-answer"
    faults = [
        Reply(status=401, body=b'{"error":{"message":"bad key sk-upstream canary-in-an-answer"}}'),
        Reply(status=500, body=b"canary-in-an-answer sk-upstream"),
        Reply(body=b"<html>canary-in-an-answer</html>"),
        Reply(text=f"{answer} and more", cut_after=4),
        Reply(raw=b"HTTP/9 canary-in-an-answer\r\n\r\n"),
        Reply(text=answer, error_after=1),
    ]
    app = model_app(fake).replace("[models.chat]", 'api_key = "env:OPENAI_API_KEY"\n[models.chat]')
    gateway = await start_gateway(app)
    told = []
    for fault in faults:
        for streamed in (False, True):
            fake.script(fault)
            call = {**CHAT, "stream": streamed}
            response = await gateway.http.post("/v1/chat/completions?q=canary-in-a-query", json=call)
            told.append(response.text.replace(answer, "") if fault.cut_after else response.text)
    for request in (
        f"GET /x?q=canary-in-a-query HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n",
        f"GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {SECOND_KEY}\r\n\r\n",
        f"GET /x HTTP/1.1\r\nHost: a\r\nx-api-key: {SECOND_KEY}x\r\n\r\n",
        f"BROKEN {KEY}\r\n\r\n",
        f"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: 19\r\n\r\n" + '{"canary-in-a-body"',
    ):
        told.append((await gateway.ask(request)).body.decode())
    gateway.app_file.write_text(app + '[providers.q]\nkind = "openai"\napi_key = "sk-upstream"\n')
    told.append((await gateway.admin.post("/v1/reload", headers=ADMIN)).text)
    told.append(await gateway.metrics())
    await asyncio.sleep(0.25)
    told += capfd.readouterr()
    found = {canary for canary in CANARIES for text in told if canary in text}
    assert found == set()


async def test_refused_requests_leave_a_line_with_the_code_and_no_upstream(
    start_gateway: StartGateway, fake: FakeOpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(model_app(fake))
    await gateway.ask("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
    await gateway.http.post("/v1/chat/completions", json={**CHAT, "model": "nope"})
    lines = [line["Attributes"] for line in await log_lines(capfd)]
    assert [(line["http.response.status_code"], line["error.type"]) for line in lines] == [
        (401, "missing_api_key"),
        (404, "model_not_found"),
    ]
    assert "principal" not in lines[0]
    assert lines[1]["principal"].startswith("key-")


async def test_request_id_of_the_upstream_is_logged_as_it_was_said_last(
    start_gateway: StartGateway, fake: FakeOpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(model_app(fake))
    for _ in range(3):  # of which the later heads are recognised, not read
        await gateway.http.post("/v1/chat/completions", json=CHAT)
    fake.script(Reply(headers={"x-request-id": 'a"b'}))
    response = await gateway.http.post("/v1/chat/completions", json=CHAT)
    lines = await log_lines(capfd)
    assert [line["Attributes"]["upstream_request_id"] for line in lines] == [
        "req_fake_1",
        "req_fake_2",
        "req_fake_3",
        'a"b',
    ]
    assert response.headers["x-request-id"].startswith("req-")
