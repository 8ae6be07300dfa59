"""Upstreams that compress although they are asked not to: clients get plain answers, and what does not inflate is a fault."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from shipway.gateway.http1.content_coding import BadCoding, Inflater
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import KEY, StartGateway, model_app

CHAT: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
AUTH = {"Authorization": f"Bearer {KEY}"}
ANSWER = json.dumps(
    {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]}
).encode()
STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def raw(body: bytes, kind: str, coding: str) -> Reply:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Reply(raw=head.encode() + body)


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(ANSWER)), ("deflate", zlib.compress(ANSWER)), ("identity", ANSWER)],
    ids=["gzip", "deflate", "identity"],
)
async def test_compressed_answer_reaches_the_client_plain(
    start_gateway: StartGateway, fake: FakeOpenAI, coding: str, body: bytes
) -> None:
    fake.script(raw(body, "application/json", coding))
    gateway = await start_gateway(model_app(fake))
    answer = await gateway.http.post("/v1/chat/completions", json=CHAT, headers=AUTH)
    assert (answer.status_code, answer.content) == (200, ANSWER)
    assert "content-encoding" not in answer.headers


async def test_compressed_stream_reaches_the_client_plain(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(raw(gzip.compress(STREAM), "text/event-stream", "gzip"))
    gateway = await start_gateway(model_app(fake))
    answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=AUTH)
    assert (answer.status_code, answer.content) == (200, STREAM)


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(ANSWER)[:-9]), ("gzip", ANSWER), ("br", b"\x0b\x02\x80"), ("gzip, gzip", ANSWER)],
    ids=["cut", "plain", "unknown", "twice"],
)
async def test_what_does_not_inflate_is_garbage(
    start_gateway: StartGateway, fake: FakeOpenAI, coding: str, body: bytes
) -> None:
    fake.script(raw(body, "application/json", coding))
    gateway = await start_gateway(model_app(fake))
    answer = await gateway.http.post("/v1/chat/completions", json=CHAT, headers=AUTH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_garbage")


def test_what_inflates_too_far_is_refused() -> None:
    with pytest.raises(BadCoding):
        Inflater(b"gzip", max_bytes=1000).feed(gzip.compress(b"\0" * 1_000_000))


async def test_upstreams_of_models_are_asked_not_to_compress(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(model_app(fake))
    await gateway.http.post("/v1/chat/completions", json=CHAT, headers=AUTH | {"Accept-Encoding": "gzip"})
    assert fake.requests[0].headers["accept-encoding"] == "identity"
