"""The gateway around an app in the same process: `shipway.Gateway`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import shipway
from shipway.gateway.middleware import AsgiApp, Gateway
from shipway.testing.asgi_server import serving
from tests.gateway.conftest import KEY, StartGateway, raw_client

APP_FILE = (
    'name = "app"\n[services.web]\nurl = "http://127.0.0.1:1"\nroutes = ["/", { path = "/open", public = true }]\n'
    '[limits.default]\nrequests = "3/h"\n[gateway]\nmax_body = "1KiB"\ndrain = "1s"\ngrace = "1ms"\n'
)
AUTH = {"authorization": f"Bearer {KEY}"}

Serve = Callable[[AsgiApp], AbstractAsyncContextManager[tuple[Gateway, httpx.AsyncClient]]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves an app inside a gateway on a real port."""
    (tmp_path / "shipway.toml").write_text(APP_FILE)

    @asynccontextmanager
    async def serve_app(app: AsgiApp) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
        gateway: Gateway = shipway.Gateway(app, tmp_path, environ={"SHIPWAY_API_KEYS": KEY})
        async with serving(gateway) as url, httpx.AsyncClient(base_url=url) as client:
            yield gateway, client

    return serve_app


async def log_lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    await asyncio.sleep(0.25)
    return [json.loads(line)["Attributes"] for line in capfd.readouterr().out.splitlines()]


async def shown(request: Request) -> Response:
    return JSONResponse({"headers": dict(request.headers), "length": len(await request.body())})


async def test_admitted_request_reaches_the_app_without_its_key_and_the_answer_says_the_limit(serve: Serve) -> None:
    async with serve(Starlette(routes=[Route("/{rest:path}", shown, methods=["POST"])])) as (gateway, client):
        answer = await client.post("/x", headers={**AUTH, "x-request-id": "mine"}, content=b"abc")
        assert (answer.status_code, answer.json()["length"]) == (200, 3)
        assert answer.headers["x-request-id"] == answer.json()["headers"]["x-request-id"] == "mine"
        assert answer.headers["ratelimit"] == '"default";r=2;t=1200'
        assert KEY not in answer.text
        open_one = await client.post("/open/x", headers={"authorization": "Basic dTpw"})
        assert open_one.json()["headers"]["authorization"] == "Basic dTpw"
        counted = gateway.metrics()
    assert 'shipway_requests_total{kind="service",target="web",status_class="2xx"} 2' in counted
    assert "shipway_build_info{" in counted


async def test_refusals_are_those_of_the_process_in_front(start_gateway: StartGateway, serve: Serve) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await Starlette()(scope, receive, send)
        else:
            raise AssertionError("asked")

    in_front = await start_gateway(APP_FILE)
    in_front.http.headers.pop("authorization")
    requests: list[tuple[str, dict[str, str], bytes]] = [
        ("/x", {}, b""),
        ("/x", {"authorization": "Bearer wrong"}, b""),
        ("/a%2f..%2fb", AUTH, b""),
        ("/x", AUTH, b"x" * 2000),
    ]
    async with serve(never) as (gateway, client):
        for path, headers, body in requests:
            sent = {**headers, "x-request-id": "same"}
            ours = await client.post(path, headers=sent, content=body)
            theirs = await in_front.http.post(path, headers=sent, content=body)
            assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
            varying = {"date", "server", "connection"}
            assert {n: v for n, v in ours.headers.items() if n not in varying} == {
                n: v for n, v in theirs.headers.items() if n not in varying
            }
        assert 'shipway_refusals_total{code="body_too_large"} 1' in gateway.metrics()


async def test_calls_past_the_limit_are_429(serve: Serve) -> None:
    async with serve(Starlette(routes=[Route("/x", shown)])) as (_, client):
        answers = [await client.get("/x", headers=AUTH) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["retry-after"] in {"1199", "1200"}
    assert answers[3].headers["x-ratelimit-remaining-requests"] == "0"


async def test_body_of_unknown_length_past_the_limit_is_413_and_to_the_app_its_client_has_left(serve: Serve) -> None:
    left = asyncio.Event()

    async def reads(request: Request) -> Response:
        try:
            async for _ in request.stream():
                pass
        except ClientDisconnect:
            left.set()
            raise
        return PlainTextResponse("all of it")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with serve(Starlette(routes=[Route("/x", reads, methods=["POST"])])) as (_, client):
        answer = await client.post("/x", headers=AUTH, content=pieces())
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        await asyncio.wait_for(left.wait(), 1)


async def test_stream_arrives_piece_by_piece_and_a_client_that_leaves_is_logged(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = asyncio.Event()

    async def endless(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"piece\n"
                    await asyncio.sleep(0.01)
            finally:
                gone.set()

        return StreamingResponse(pieces())

    async with serve(Starlette(routes=[Route("/x", endless)])) as (_, client):
        async with client.stream("GET", "/x", headers=AUTH) as response:
            async for piece in response.aiter_lines():
                assert piece == "piece"
                break
        await asyncio.wait_for(gone.wait(), 2)
        (line,) = await log_lines(capfd)
    assert (line["http.response.status_code"], line["error.type"]) == (200, "client_gone")


async def test_client_that_leaves_before_any_answer_is_499(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    async def waits(request: Request) -> Response:
        while not await request.is_disconnected():  # noqa: ASYNC110 - Starlette has no event for it
            await asyncio.sleep(0.01)
        return PlainTextResponse("nobody hears")

    async with serve(Starlette(routes=[Route("/x", waits)])) as (gateway, client):
        async with raw_client(client.base_url.port or 0) as raw:
            await raw.send(f"GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n")
            await asyncio.sleep(0.1)
            assert "shipway_requests_in_flight 1" in gateway.metrics()
        (line,) = await log_lines(capfd)
        assert "shipway_requests_in_flight 0" in gateway.metrics()
    assert (line["http.response.status_code"], line["error.type"]) == (499, "client_gone")


async def test_app_that_fails_is_500_and_its_exception_goes_on_to_the_server(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    api = FastAPI()

    @api.get("/fails")
    async def fails() -> None:
        raise RuntimeError("secret detail")

    async with serve(api) as (gateway, client):
        assert (await client.get("/fails", headers=AUTH)).status_code == 500
        (line,) = await log_lines(capfd)
        assert (line["http.response.status_code"], line["error.type"]) == (500, "app_failed")
        assert "secret detail" not in json.dumps(line)
        assert (await client.get("/openapi.json", headers=AUTH)).status_code == 200
        assert 'target="web",status_class="5xx"} 1' in gateway.metrics()


async def test_lifespan_of_the_app_runs(serve: Serve) -> None:
    events = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        events.append("started")
        yield
        events.append("ended")

    async with serve(Starlette(lifespan=lifespan)):
        assert events == ["started"]
    assert events == ["started", "ended"]


async def talk(gateway: Gateway, headers: list[tuple[bytes, bytes]], **extensions: Any) -> list[dict[str, Any]]:
    """A WebSocket's handshake, and what the server is told to answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"type": "websocket", "path": "/x", "raw_path": b"/x", "headers": headers, "extensions": extensions}
    await gateway(scope, receive, send)
    return sent


async def test_websocket_is_admitted_by_the_same_rules(tmp_path: Path) -> None:
    async def accepts(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})

    (tmp_path / "shipway.toml").write_text(APP_FILE)
    gateway = Gateway(accepts, tmp_path, environ={"SHIPWAY_API_KEYS": KEY}, log_format=None)
    accept, *rest = await talk(gateway, [(b"authorization", f"Bearer {KEY}".encode())])
    assert {name for name, _ in accept["headers"]} >= {b"x-request-id", b"ratelimit"}
    assert [message["type"] for message in rest] == ["websocket.send", "websocket.close"]
    assert await talk(gateway, []) == [{"type": "websocket.close", "code": 1008, "reason": "missing_api_key"}]
    start, body = await talk(gateway, [], **{"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert json.loads(body["body"])["code"] == "missing_api_key"
    counted = gateway.metrics()
    assert 'status_class="1xx"} 1' in counted
    assert 'shipway_refusals_total{code="missing_api_key"} 2' in counted
