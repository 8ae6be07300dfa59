"""Answers as providers document them reach the official SDKs through a gateway, whole and streamed. Failures raise, and nothing
of an upstream's text or of a failure of the gateway's own is ever seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from shipway.gateway.serve import GatewayServer, ServeOptions
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app
from tests.gateway.dialects.recorded.exchange import Exchange
from tests.gateway.dialects.test_recorded import EXCHANGES

pytestmark = pytest.mark.integration

KINDS = {
    "openai_responses": 'kind = "openai"\napi_key = "env:UPSTREAM_KEY"',
    "openai_chat": 'kind = "openai"\napi_key = "env:UPSTREAM_KEY"',
    "anthropic": 'kind = "anthropic"\napi_key = "env:UPSTREAM_KEY"',
    "gemini": 'kind = "gemini"\napi_key = "env:UPSTREAM_KEY"',
    "bedrock": 'kind = "bedrock"\nregion = "eu-central-1"',
}
STREAM_TYPES = {"bedrock": "application/vnd.amazon.eventstream"}
ENVIRON = {
    "SHIPWAY_API_KEYS": "sk-caller",
    "UPSTREAM_KEY": "k",
    "AWS_ACCESS_KEY_ID": "AKIDFAKE",
    "AWS_SECRET_ACCESS_KEY": "s",
}


def tape_of(dialect: str) -> str:
    return f"{dialect.replace('_', '-')}-tape"


class Tape:
    """A server that answers every request with what it is set to, closing the connection behind it."""

    def __init__(self) -> None:
        self.playing: Exchange | None = None
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:"))
        await reader.readexactly(length)
        exchange = self.playing
        assert exchange is not None
        kind = "application/json"
        if exchange.streamed:
            kind = STREAM_TYPES.get(exchange.provider, "text/event-stream")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode() + exchange.body)
        writer.close()


@asynccontextmanager
async def playing(folder: Path) -> AsyncIterator[tuple[Tape, str]]:
    tape = Tape()
    async with await asyncio.start_server(tape.answer, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        providers = [
            f'[providers.{tape_of(name)}]\nbase_url = "http://127.0.0.1:{port}"\n{lines}\n'
            f'[models.{name}]\nupstreams = ["{tape_of(name)}/m"]\n'
            for name, lines in KINDS.items()
        ]
        text = "".join(['name = "app"\n', *providers, '[gateway]\ndrain = "1s"\ngrace = "1ms"\n'])
        (folder / "shipway.toml").write_text(text)
        options = ServeOptions(port=0, admin_port=0, weights=folder / "weights.json")
        server = GatewayServer(load_app(folder), ENVIRON, AllottedAddresses(), options)
        await server.start()
        try:
            yield tape, f"http://127.0.0.1:{server.port}"
        finally:
            await server.drain()


def http() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(verify=False)


async def chat(url: str, model: str, *, stream: bool) -> tuple[str, list[str]]:
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="sk-caller", max_retries=0, http_client=http()
    ) as client:
        ask: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "x"}]}
        if stream:
            async with client.chat.completions.stream(**ask, stream_options={"include_usage": True}) as said:
                async for _ in said:
                    pass
                message: Any = (await said.get_final_completion()).choices[0].message
        else:
            message = (await client.chat.completions.create(**ask)).choices[0].message
    return (message.content or "") + (message.refusal or ""), [one.function.name for one in message.tool_calls or ()]


async def responses(url: str, model: str, *, stream: bool) -> tuple[str, list[str]]:
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="sk-caller", max_retries=0, http_client=http()
    ) as client:
        if stream:
            async with client.responses.stream(model=model, input="x") as said:
                whole: Any = None
                async for event in said:
                    if event.type in ("response.completed", "response.incomplete"):
                        whole = event.response
        else:
            whole = await client.responses.create(model=model, input="x")
    parts = [part for item in whole.output if item.type == "message" for part in item.content]
    text = "".join([part.text if part.type == "output_text" else part.refusal for part in parts])
    return text, [item.name for item in whole.output if item.type == "function_call"]


async def messages(url: str, model: str, *, stream: bool) -> tuple[str, list[str]]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-caller", max_retries=0, http_client=http()) as client:
        ask: dict[str, Any] = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        if stream:
            async with client.messages.stream(**ask) as said:
                message: Any = await said.get_final_message()
        else:
            message = await client.messages.create(**ask)
    text = "".join([block.text for block in message.content if block.type == "text"])
    return text, [block.name for block in message.content if block.type == "tool_use"]


CALLERS: dict[str, Callable[..., Awaitable[tuple[str, list[str]]]]] = {
    "openai_chat": chat,
    "openai_responses": responses,
    "anthropic": messages,
}


async def play(tape: Tape, url: str, exchange: Exchange, caller: str) -> str:
    """What went wrong; "" where nothing did."""
    tape.playing = exchange
    passes = exchange.provider == caller
    try:
        got = await CALLERS[caller](url, exchange.provider, stream=exchange.streamed)
    except (openai.APIError, anthropic.APIError) as error:
        if "secret" in str(error) or "internal_error" in str(error):
            return f"it says {error}"
        return "" if exchange.said is None else f"it raised {error}"
    except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):  # how it takes such an end
        cut = exchange.said is not None and exchange.said.stop not in ("end", "tool_calls")
        return "" if cut else "it was taken for cut"
    except Exception as error:  # of the SDK, which could not read it
        return "" if passes else f"the SDK could not read it: {error!r}"
    if exchange.said is None:
        return "" if passes else f"a failure was taken for an answer: {got}"
    expected = (exchange.said.text, [name for _, name, _ in exchange.said.calls])
    return "" if got == expected else f"{got} for {expected}"


def answers_to(caller: str) -> list[Exchange]:
    """Those that this caller can get: a provider of OpenAI's answers responses with responses, all else with chat completions."""
    other = "openai_chat" if caller == "openai_responses" else "openai_responses"
    known = [one for one in EXCHANGES if one.provider != other]
    return [one for one in known if not (one.said and one.said.images and caller != "openai_chat")]


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_sdk_understands_every_recorded_answer(
    caller: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong: dict[str, str] = {}
    async with playing(tmp_path) as (tape, url):
        for exchange in answers_to(caller):
            fault = await play(tape, url, exchange, caller)
            if fault:
                wrong[exchange.id] = fault
            for _ in range(0 if exchange.said else 2):
                # Else the breaker would open for the failures, and the rest not be heard.
                await play(tape, url, FINE[exchange.provider], caller)
    assert wrong == {}
    assert "Traceback" not in capfd.readouterr().err


FINE = {one.provider: one for one in reversed(EXCHANGES) if not one.streamed and one.name == "text"}
