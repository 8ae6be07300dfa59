"""Each provider's requests, written as the data path will write them, are accepted by the fake of that provider."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from shipway.gateway.providers import open_provider
from shipway.gateway.providers.event_stream import EventStreamDecoder
from shipway.gateway.providers.provider import Operation, Outgoing, Provider, Settings, field_value
from shipway.secret import Secret
from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.azure_server import FakeAzure
from shipway.testing.bedrock_server import FakeBedrock
from shipway.testing.fake_server import FakeServer
from shipway.testing.gemini_server import FakeGemini
from shipway.testing.identity_server import FakeIdentity
from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.script import Reply

KEY = Secret("right")
MODEL = "a/model:1"
AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "t", "AWS_REGION": "x-y-1"}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi."}]}
BODIES: dict[Operation, Any] = {
    "chat_completions": CHAT,
    "messages": {**CHAT, "max_tokens": 9},
    "converse": {"messages": [{"role": "user", "content": [{"text": "Hi."}]}]},
    "generate_content": {"contents": [{"parts": [{"text": "Hi."}]}]},
    "count_tokens": CHAT,
    "converse_count_tokens": {"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "Hi."}]}]}}},
    "generate_content_count_tokens": {"contents": [{"parts": [{"text": "Hi."}]}]},
}


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[tuple[FakeServer, Provider]]:
    """A fake that wants the right credentials, and the provider that has them."""
    fakes: dict[str, FakeServer] = {
        "openai": FakeOpenAI(api_key="right"),
        "anthropic": FakeAnthropic(api_key="right"),
        "gemini": FakeGemini(api_key="right"),
        "azure": FakeAzure(api_key="right", models=[MODEL]),
        "bedrock": FakeBedrock(keys={"AKID": "hush"}, models=[MODEL]),
    }
    async with fakes[kind] as fake:
        base: Any = fake
        url = base.deployments_url if kind == "azure" else base.base_url
        options = {"api_version": "2024-10-21"} if kind == "azure" else {}
        key = None if kind == "bedrock" else KEY
        yield fake, open_provider(kind, Settings(base_urls=(url,), api_key=key, options=options, environ=AWS))


async def exchange(provider: Provider, operation: Operation, *, stream: bool) -> tuple[int, bytes, bytes]:
    """Send one request; gives status, header lines and the body, without its chunks."""
    address = urlsplit(provider.base_urls[0])
    model = "tunedModels/mine" if operation.startswith("generate_content") else MODEL
    route = provider.route(operation, model, stream=stream)
    assert route is not None
    body = json.dumps(
        {**BODIES[operation], **({"stream": True} if stream and operation in ("chat_completions", "messages") else {})}
    ).encode()
    target = address.path.encode() + route.target
    signed = provider.sign(Outgoing("POST", target.decode(), address.netloc, body, time.time()))
    head = b"POST %b HTTP/1.1\r\nHost: %b\r\n%b%b%b%bContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        target,
        address.netloc.encode(),
        route.fields,
        provider.defaults,
        provider.fields,
        signed,
        len(body),
    )
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head + body)
    lines, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    first, _, fields = lines.partition(b"\r\n")
    return int(first.split()[1]), fields, _unchunked(answer) if stream else answer


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


KINDS = ["openai", "anthropic", "gemini", "azure", "bedrock"]


@pytest.mark.parametrize("kind", KINDS)
async def test_conversation_is_accepted_whole_and_streamed(kind: str) -> None:
    async with running(kind) as (fake, provider):
        status, fields, body = await exchange(provider, provider.converses_in, stream=False)
        assert (status, b"fake answer" in body) == (200, True)
        assert field_value(fields, provider.request_id_fields) == b"req_fake_1"
        status, fields, body = await exchange(provider, provider.converses_in, stream=True)
        assert status == 200
        kind_of_body = field_value(fields, (b"content-type",)) or b""
        assert kind_of_body.startswith(b"application/vnd.amazon" if kind == "bedrock" else b"text/event-stream")
        assert fake.requests[1].events > 5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"openai", "azure"}])
async def test_tokens_are_counted(kind: str) -> None:
    async with running(kind) as (_, provider):
        assert provider.counts_in is not None
        status, _, body = await exchange(provider, provider.counts_in, stream=False)
        assert (status, b": 1" in body) == (200, True)


async def test_tokens_of_entra_are_renewed_and_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeIdentity() as identity:
        environ = identity.entra_client("tenant", "client", "hush")
        async with FakeAzure(token="token-2", models=[MODEL]) as fake:
            provider = open_provider("azure", Settings(base_urls=(fake.base_url,), environ=environ))
            assert provider.held is not None
            await provider.held.refresh()
            assert (await exchange(provider, "chat_completions", stream=False))[0] == 401
            identity.number = 2
            await provider.held.refresh()
            assert (await exchange(provider, "chat_completions", stream=False))[0] == 200


async def test_frames_of_bedrock_are_decoded_and_its_errors_named() -> None:
    async with running("bedrock") as (fake, provider):
        fake.script(Reply(error_after=3, error_type="ThrottlingException"), Reply(status=429))
        _, _, body = await exchange(provider, "converse", stream=True)
        messages = EventStreamDecoder().feed(body)
        assert [message.text(":event-type") or message.text(":exception-type") for message in messages] == [
            "messageStart",
            "contentBlockDelta",
            "contentBlockDelta",
            "throttlingException",
        ]
        assert json.loads(messages[1].payload)["delta"] == {"text": "This"}
        status, fields, _ = await exchange(provider, "converse", stream=False)
        assert provider.error_type_field is not None
        error_type = field_value(fields, (provider.error_type_field,)) or b""
        assert (status, error_type.partition(b":")[0]) == (429, b"ThrottlingException")
