"""Where the dialects of caller and provider agree, answers pass to the byte, and so does each value of a request but `model`.

Between a request's own members no space is left and each name is there once, so that what was admitted is what is asked. An
upstream that is no more than bytes shows it, with JSON that nobody would write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.gateway.conftest import AUTH, RunningGateway, StartGateway

VALUES = (
    (b'"z"', b"1e400"),
    (b'"big"', b"123456789012345678901234567890.10"),
    (b'"n"', b"-0.0"),
    (b'"e"', b"1E+2"),
    (b'"s"', b'"\\u00e9\\/\\ud83d\\ude00 \xc3\xa9 \\u0000"'),
    (b'"a"', b'[ 1 ,\t2.50,\r\n{"k":null , "k":true}]'),
)
SPACED = b" ,\t".join(b"%b :\r\n%b" % member for member in VALUES)
CLOSE = b",".join(b"%b:%b" % member for member in VALUES)
USAGE = b'"usage" : {"prompt_tokens":3,"completion_tokens":1,"input_tokens":3,"output_tokens":1}'
WHOLE = (
    b'{ %b , "z":2,"choices": [ {"index":0 ,"text":"", "message":{ }} ],"data":[{ }],"content":[ ],"output":[], %b,'
    b'"model":"up\\u0073tream"} \n'
    % (
        SPACED,
        USAGE,
    )
)
EVENTS = {
    "chat/completions": (
        b": odd \xc3\xa9\r\n\r\n",
        b'id: 7\r\nretry:  5\r\ndata:{"choices" : [ {"index":0,"delta":{"content":"\\u00e9\\/"}} ],"z":1e400 , "z":2}\r\n\r\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}], "usage":null}\n\n\n',
        b"data: [DONE]\n\n",
    ),
    "completions": (
        b'data:{"choices" : [ {"index":0,"text":"\\u00e9\\/"} ],"z":1e400 , "z":2}\r\n\r\n',
        b'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    ),
    "responses": (
        b'event: response.created\ndata: {"type" : "response.created","z":1e400, "response":{"id":"r"}}\n\n',
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"\\u00e9\\/" }\n\n',
        b'event: response.completed\ndata: {"type":"response.completed", "response":{"status":"completed","usage":null}}\n\n',
    ),
    "messages": (
        b'event: message_start\ndata: {"type" : "message_start","z":1e400,"message":{"usage":{"input_tokens":3}}}\n\n',
        b'event:content_block_delta\r\ndata: {"type":"content_block_delta", "index":0,'
        b'"delta":{"type":"text_delta","text":"\\u00e9\\/"}}\r\n\r\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":1}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop" }\n\n',
    ),
}
QUESTIONS = {
    "chat/completions": b'"messages":[{"content":"\\u0068i","role":"user"}]',
    "completions": b'"prompt":"\\u0068i"',
    "embeddings": b'"input":[ "\\u0068i"]',
    "responses": b'"input":"\\u0068i"',
    "messages": b'"max_tokens":5,"messages":[{"content":"\\u0068i","role":"user"}]',
}


class Upstream:
    """Answers each request with `answer`, and keeps what it got."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.got: list[tuple[bytes, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.got.append((head, await reader.readexactly(length)))
        writer.write(self.answer)
        writer.close()


@asynccontextmanager
async def upstream(answer: bytes) -> AsyncIterator[tuple[Upstream, int]]:
    here = Upstream(answer)
    server = await asyncio.start_server(here.serve, "127.0.0.1", 0)
    try:
        yield here, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def app(port: int, path: str) -> str:
    kind = "anthropic" if path == "messages" else "openai"
    return (
        f'name = "app"\n[providers.p]\nkind = "{kind}"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        f'[models.chat]\nupstreams = ["p/of:mine"]\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )


def response(body: bytes, kind: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nX-Odd:  \xe9 a,  b \r\nx-ODD: again\r\n"
        b"openai-processing-ms: 7\r\nConnection: close\r\n\r\n%b" % (kind, len(body), body)
    )


async def asked(gateway: RunningGateway, path: str, body: bytes) -> tuple[dict[str, str], bytes]:
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Type: application/json\r\n"
    head += f"X-Custom: a,  b\r\nx-custom: c\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = await gateway.ask(head.encode() + body)
    assert answer.status == 200
    return answer.headers, answer.body


@pytest.mark.parametrize("path", QUESTIONS)
async def test_values_pass_both_ways_to_the_byte(start_gateway: StartGateway, path: str) -> None:
    question = QUESTIONS[path]
    sent = b'{ "z":0,%b , %b , "mod\\u0065l" : "ch\\u0061t" , "q":1} \n' % (SPACED, question)
    async with upstream(response(WHOLE, b"application/json")) as (provider, port):
        gateway = await start_gateway(app(port, path))
        fields, body = await asked(gateway, path, sent)
    assert body == WHOLE
    assert provider.got[0][1] == b'{%b,%b,"model":"of:mine","q":1}' % (CLOSE, question)
    assert fields["content-type"] == "application/json"
    assert "x-odd" not in fields  # what a provider says beside its answer is the gateway's to know
    assert b"\r\nX-Custom: a,  b\r\nx-custom: c\r\n" in provider.got[0][0]


async def test_what_a_client_has_for_others_does_not_reach_a_provider(start_gateway: StartGateway) -> None:
    names = [
        "Cookie",
        "Referer",
        "Origin",
        "api-key",
        "x-goog-api-key",
        "x-amz-security-token",
        "Ocp-Apim-Subscription-Key",
        "X-Api_Key",
    ]
    body = b'{"model":"chat",%b}' % QUESTIONS["completions"]
    async with upstream(response(WHOLE, b"application/json")) as (provider, port):
        gateway = await start_gateway(app(port, "completions"))
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: {len(body)}\r\n"
        fields = "".join(f"{name}: canary\r\n" for name in names)
        answer = await gateway.ask(f"{head}{fields}\r\n".encode() + body)
    assert (answer.status, b"canary" in provider.got[0][0]) == (200, False)


@pytest.mark.parametrize("path", EVENTS)
async def test_events_pass_to_the_byte(start_gateway: StartGateway, path: str) -> None:
    events = b"".join(EVENTS[path])
    async with upstream(response(events, b"text/event-stream")) as (provider, port):
        gateway = await start_gateway(app(port, path))
        _, body = await asked(gateway, path, b'{"stream" : true,"model":"chat",%b}' % QUESTIONS[path])
    assert body == events
    assert provider.got[0][1] == b'{"stream":true,"model":"of:mine",%b}' % QUESTIONS[path]
