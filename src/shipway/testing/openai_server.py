"""A fake OpenAI server: a small real HTTP server that answers as told, misbehaves as told and remembers what it got.

    async with FakeOpenAI(models=["chat"]) as fake:
        fake.script(Reply(text="Hello there."), Reply(status=503), Reply(text="cut off here", cut_after=2))
        client = openai.AsyncOpenAI(base_url=fake.base_url, api_key="any")
        ...
        assert fake.requests[0].json["messages"][0]["content"] == "Hi"

It speaks chat completions, completions, embeddings and models, streamed with usage and not. Written on asyncio streams
alone, so that a test of the gateway's HTTP code does not use that code on both ends. The documents themselves come from
`openai_wire`, the HTTP framing from `http_connection`.
"""

import asyncio
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Final

from shipway.testing import openai_wire as wire
from shipway.testing.http_connection import HttpConnection, WireError, chunk, head_bytes
from shipway.testing.openai_script import ReceivedRequest, Reply, chunks, document, error_body, faults, parts

__all__ = ["FakeOpenAI", "ReceivedRequest", "Reply"]

_ENDPOINTS: Final = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings"}


class _CutError(Exception):
    """The reply asks for the connection to be closed here."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reset = reply.reset


class FakeOpenAI:
    """The server. Enter it to listen on a free port of 127.0.0.1; leaving closes it and every open connection.

    Args:
        models: Names it knows; any other name is a 404, as at OpenAI. None knows every name.
        api_key: The only key it accepts; None accepts anything.
        default: The reply when no scripted one is left.
        port: 0 takes a free one; a fixed one lets a test start the server after its client.
    """

    def __init__(
        self,
        *,
        models: Iterable[str] | None = None,
        api_key: str | None = None,
        default: Reply | None = None,
        port: int = 0,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.default = default or Reply()
        self._models = None if models is None else tuple(models)
        self._api_key = api_key
        self._port = port
        self._script: deque[Reply] = deque()
        self._resume = asyncio.Event()
        self._arrival = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._connections)

    def script(self, *replies: Reply) -> None:
        """Add *replies* to the queue: each answers one request to a model, in order of arrival."""
        self._script.extend(replies)

    def forget_script(self) -> None:
        """Drop the replies that were not asked for; the default answers from here on."""
        self._script.clear()

    def resume(self) -> None:
        """Let every stalled answer, and every later one, go on to its end."""
        self._resume.set()

    async def received(self, count: int, timeout_s: float = 5.0) -> list[ReceivedRequest]:
        """Wait until *count* requests have come in altogether, and return them all.

        Raises:
            TimeoutError: They did not come in time.
        """
        async with asyncio.timeout(timeout_s), self._arrival:
            await self._arrival.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def __aenter__(self) -> "FakeOpenAI":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101 - __aenter__ ran
        self._server.close()
        tasks = tuple(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio.start_server runs this as a task
        self._connections.add(task)
        self._accepted += 1
        connection = HttpConnection(reader, writer)
        reset = False
        try:
            await self._serve(connection, self._accepted)
        except _CutError as cut:
            reset = cut.reset
        except (ConnectionError, WireError):
            pass  # the client left: that is on the request's record
        except asyncio.CancelledError:
            pass  # it left, or the server is being closed; asyncio would report a cancelled connection as an error
        finally:
            self._connections.discard(task)
            connection.close(reset=reset)

    async def _serve(self, connection: HttpConnection, number: int) -> None:
        while (head := await connection.head()) is not None:
            body = await connection.body(head)
            request = ReceivedRequest(
                method=head.method, target=head.target, headers=head.headers, body=body, connection=number
            )
            async with self._arrival:
                self.requests.append(request)
                self._arrival.notify_all()
            async with _noticing_departure(connection, request):
                await self._answer(connection, request)
            if not head.keep_alive:
                return

    async def _answer(self, connection: HttpConnection, request: ReceivedRequest) -> None:
        refusal = self._refusal(request)
        if refusal is not None:
            return await self._send(connection, refusal[0], json.dumps(refusal[1]).encode(), Reply())
        if request.method == "GET":
            return await self._send(connection, 200, json.dumps(self._model_document(request.path)).encode(), Reply())
        reply = self._script.popleft() if self._script else self.default
        await asyncio.sleep(reply.delay_s)
        if reply.raw is not None:
            await connection.send(reply.raw)
            raise _CutError(reply)
        if reply.status >= HTTPStatus.BAD_REQUEST or reply.body is not None:
            body = error_body(reply.status) if reply.body is None else reply.body
            return await self._send(connection, reply.status, body, reply)
        if request.json.get("stream"):
            return await self._stream(connection, request, reply)
        return await self._send(connection, reply.status, json.dumps(document(request, reply)).encode(), reply)

    def _refusal(self, request: ReceivedRequest) -> tuple[int, wire.Json] | None:
        """Decide whether the request is answered with an error of the server's own, before any script."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and not hmac.compare_digest(given.encode(), self._api_key.encode()):
            return 401, wire.error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        if request.method == "GET" and (request.path == "/v1/models" or request.path.startswith("/v1/models/")):
            return self._unknown_model(request.path.removeprefix("/v1/models").removeprefix("/") or None)
        if request.method != "POST" or request.path not in _ENDPOINTS:
            return 404, wire.error(f"Invalid URL ({request.method} {request.path})", "invalid_request_error")
        try:
            body = request.json
        except ValueError:
            return 400, wire.error("We could not parse the JSON body of your request.", "invalid_request_error")
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            return 400, wire.error("you must provide a model parameter", "invalid_request_error")
        return self._unknown_model(body["model"])

    def _unknown_model(self, name: str | None) -> tuple[int, wire.Json] | None:
        if name is None or self._models is None or name in self._models:
            return None
        message = f"The model `{name}` does not exist or you do not have access to it."
        return 404, wire.error(message, "invalid_request_error", "model_not_found")

    def _model_document(self, path: str) -> wire.Json:
        name = path.removeprefix("/v1/models").removeprefix("/")
        if name:
            return wire.model(name)
        return {"object": "list", "data": [wire.model(known) for known in self._models or ("fake",)]}

    async def _send(self, connection: HttpConnection, status: int, body: bytes, reply: Reply) -> None:
        """Send an unstreamed answer with its faults."""
        length = {"content-type": "application/json", "content-length": str(len(body)), **reply.headers}
        await connection.send(head_bytes(status, length))
        for at, fault in faults(reply):
            if fault == "cut":
                await connection.send(body[:at])
                raise _CutError(reply)
            if fault == "stall":
                await connection.send(body[:at])
                await self._resume.wait()
                body = body[at:]
        await connection.send(body)

    async def _stream(self, connection: HttpConnection, request: ReceivedRequest, reply: Reply) -> None:
        """Send a stream, an event a chunk, with its faults."""
        framing = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked", **reply.headers}
        await connection.send(head_bytes(reply.status, framing))
        places = dict(faults(reply))
        events = [wire.event(document) for document in chunks(request, reply)]
        if reply.done:
            events.append(wire.event("[DONE]"))
        for index, event in enumerate([*events, b""]):  # the last one is the place of a fault after all of them
            fault = places.get(index)
            if fault == "cut":
                raise _CutError(reply)
            if fault == "stall":
                await self._resume.wait()
            if fault == "error":
                await connection.send(chunk(wire.event(wire.error("The server had an error.", "server_error"))))
            if fault in ("error", "end"):
                break
            await asyncio.sleep(reply.token_delay_s)
            for part in parts(reply.insert.get(index, b"") + event, reply.part_bytes):
                await connection.send(chunk(part))
        await connection.send(chunk(b""))


@asynccontextmanager
async def _noticing_departure(connection: HttpConnection, request: ReceivedRequest) -> AsyncIterator[None]:
    """Note how an answer ends: given as planned, or broken off because the client closed the connection."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - runs inside a task

    async def watch() -> None:
        try:
            await connection.until_closed()
        except ConnectionError:
            pass  # left with a reset
        request.gone.set()
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except ConnectionError:
        request.gone.set()
        raise
    except _CutError:
        request.answered.set()
        raise
    else:
        request.answered.set()
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])  # only then may the next request be read
