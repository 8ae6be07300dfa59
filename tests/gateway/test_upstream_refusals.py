"""How long an upstream wants to be left alone, and what it means by an error, wherever it says so."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.dialects.gemini.errors import read_wait
from shipway.gateway.dialects.openai import in_band_kind
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.upstream_refusals import reset_wait_s
from shipway.testing.gemini_server import FakeGemini
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import StartGateway, model_app

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("fields", "wait_s"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12ms"}, 0.012),
        ({"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "17"}, 17.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2m59.56s",
            },
            179.56,
        ),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "8s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "8s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s1h"}, None),
        ({}, None),
    ],
)
def test_limit_that_is_used_up_says_when_it_is_not(fields: dict[str, str], wait_s: float | None) -> None:
    lines = "".join([f"{name}: {value}\r\n" for name, value in {"date": "now", **fields}.items()]).encode()
    assert reset_wait_s(lines) == pytest.approx(wait_s)


@given(st.binary(max_size=60))
def test_any_reset_is_a_wait_or_none(value: bytes) -> None:
    wait_s = reset_wait_s(b"x-ratelimit-remaining-x: 0\r\nx-ratelimit-reset-x: %b\r\n" % value)
    assert wait_s is None or 0 <= wait_s < 1e14


RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(
    ("details", "wait_s"),
    [
        ([{"@type": "other"}, {"@type": RETRY_INFO, "retryDelay": "12.5s"}], 12.5),
        ([{"@type": RETRY_INFO, "retryDelay": "999999999999s"}], 86_400.0),
        ([{"@type": RETRY_INFO, "retryDelay": "-1s"}], None),
        ([{"@type": RETRY_INFO, "retryDelay": {"seconds": 3}}], None),
        ([{"@type": RETRY_INFO}], None),
        ([7], None),
        (None, None),
    ],
)
def test_gemini_says_in_the_details_how_long_to_wait(details: Any, wait_s: float | None) -> None:
    body = json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}).encode()
    assert (read_wait(body), read_wait(b"[%b]" % body)) == (wait_s, wait_s)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"error": {"type": "rate_limit_exceeded", "code": None}}, "rate_limit_error"),
        ({"error": {"type": "requests", "code": "rate_limit_exceeded"}}, "rate_limit_error"),
        ({"error": {"type": "insufficient_quota"}}, "rate_limit_error"),
        ({"error": {"code": 429, "message": "x"}}, "rate_limit_error"),
        ({"object": "error", "type": "RateLimitError", "code": 429}, "rate_limit_error"),
        ({"error": {"code": 503}}, "overloaded_error"),
        ({"error": {"type": "overloaded_error"}}, "overloaded_error"),
        ({"error": {"code": "server_is_overloaded"}}, "overloaded_error"),
        ({"error": {"type": "server_error"}}, "api_error"),
        ({"error": "rate_limit"}, "api_error"),
        ({"error": {"type": ["429"], "code": {}}}, "api_error"),
    ],
)
def test_error_in_a_stream_is_told_by_its_type_or_code(said: dict[str, Any], kind: str) -> None:
    document = json.dumps(said).encode()
    reader = StreamReader()
    assert reader.pass_on(b"data: %b\n\n" % document) == b""
    assert (reader.failed, reader.error_kind, in_band_kind(document)) == ("error", kind, kind)


async def test_openais_reset_reaches_the_client_and_rests_the_upstream(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fields = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "8.2s"}
    fake.script(Reply(status=429, headers=fields))
    gateway = await start_gateway(model_app(fake))
    told = [await gateway.http.post("/v1/chat/completions", json=CHAT) for _ in range(2)]
    assert [(one.status_code, one.headers["retry-after"]) for one in told] == [(429, "9"), (429, "9")]
    assert len(fake.requests) == 1


async def test_wait_that_is_late_is_not_waited_for(start_gateway: StartGateway) -> None:
    """The body of a refusal is read for nothing but the wait, so another upstream is asked soon, whatever becomes of it."""
    body = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
    async with FakeGemini() as gemini, FakeOpenAI() as spare:
        gemini.script(Reply(status=429, body=b"{" + b" " * 900, stall_after=1), Reply(raw=body))
        app = model_app(spare, spare).replace(
            '[providers.p0]\nkind = "openai"\nbase_url = "' + spare.base_url,
            '[providers.p0]\nkind = "gemini"\napi_key = "env:OPENAI_API_KEY"\nbase_url = "' + gemini.base_url,
        )
        gateway = await start_gateway(app)
        for _ in range(2):
            began_s = time.perf_counter()
            assert (await gateway.http.post("/v1/chat/completions", json=CHAT)).status_code == 200
            assert time.perf_counter() - began_s < 2.0
        assert (len(gemini.requests), len(spare.requests)) == (2, 2)


async def test_limit_said_behind_comments_is_an_error_of_its_class_in_band(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    """The status is spent by then."""
    fake.script(Reply(delay_s=0.3, error_after=0, error_type="rate_limit_exceeded"))
    gateway = await start_gateway(model_app(fake, extra='[gateway.timeouts]\nheartbeat = "100ms"\n'))
    answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True})
    comments, _, last = answer.text.rpartition("\n\ndata: ")
    assert (answer.status_code, comments.startswith(": waiting for the model")) == (200, True)
    error = json.loads(last)["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "upstream_rate_limited")
