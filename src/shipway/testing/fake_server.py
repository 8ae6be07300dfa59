"""What all fake providers share: a small real HTTP server that answers as told, misbehaves as told and remembers what it got.

A fake of one provider says what is wrong with a request, what answers it and how errors look; scripts, faults, connections
and notes are here. Written on asyncio streams alone, so that a test of the gateway's HTTP code does not use that code on both
ends.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Self

from shipway.testing.answers import Event, Streamed, Whole
from shipway.testing.http_connection import HttpConnection, WireError, chunk, head_bytes
from shipway.testing.script import ReceivedRequest, Reply, faults, parts


class _CutError(Exception):
    """The reply asks for the connection to be closed here."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reset = reply.reset


class FakeServer(ABC):
    """The server. Enter it to listen on a free port of 127.0.0.1; leaving closes it and every open connection.

    Args:
        models: Names it knows; any other name is an error, as at the provider. None knows every name.
        api_key: The only key it accepts; None accepts anything.
        default: The reply when no scripted one is left.
        port: 0 takes a free one; a fixed one lets a test start the server after its client.
    """

    request_id_field = "x-request-id"
    """The response header that has the request's id: `req_fake_1` for the first, and so on."""

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
        self.models = None if models is None else tuple(models)
        self.api_key = api_key
        self._port = port
        self._script: deque[Reply] = deque()
        self._resume = asyncio.Event()
        self._arrival = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._server: asyncio.Server | None = None

    @abstractmethod
    def refusal(self, request: ReceivedRequest) -> Whole | None:
        """The provider's own error for a request that it would not accept; asked before any script."""

    def unscripted(self, request: ReceivedRequest) -> Whole | None:
        """The answer to a request that no script is for, such as a list of models."""
        return None

    @abstractmethod
    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        """What *reply* comes to. Raises nothing for requests that `refusal` let pass."""

    @abstractmethod
    def error(self, reply: Reply) -> Whole:
        """The error document of a reply with a status of 400 and above."""

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

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

    async def __aenter__(self) -> Self:
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
                request_id = {self.request_id_field: f"req_fake_{len(self.requests)}"}
            async with _noticing_departure(connection, request):
                await self._answer(connection, request, request_id)
            if not head.keep_alive:
                return

    async def _answer(self, connection: HttpConnection, request: ReceivedRequest, fields: Mapping[str, str]) -> None:
        """Answer a request; *fields* go with whatever the answer is."""
        at_once = self.refusal(request) or self.unscripted(request)
        if at_once is not None:
            return await self._send(connection, request, at_once, Reply(), fields)
        reply = self._script.popleft() if self._script else self.default
        await asyncio.sleep(reply.delay_s)
        if reply.raw is not None:
            await connection.send(reply.raw)
            raise _CutError(reply)
        if reply.body is not None:
            whole = Whole(body=reply.body, status=reply.status)
            return await self._send(connection, request, whole, reply, fields)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            return await self._send(connection, request, self.error(reply), reply, fields)
        answer = self.answer(request, reply)
        request.usage = answer.usage
        if isinstance(answer, Streamed):
            return await self._stream(connection, request, answer, reply, fields)
        return await self._send(connection, request, answer, reply, fields)

    async def _send(
        self,
        connection: HttpConnection,
        request: ReceivedRequest,
        whole: Whole,
        reply: Reply,
        fields: Mapping[str, str],
    ) -> None:
        """Send an unstreamed answer with its faults."""
        body = whole.body
        framing = {"content-type": whole.content_type, "content-length": str(len(body))}
        await connection.send(head_bytes(whole.status, {**framing, **fields, **whole.headers, **reply.headers}))
        for at, fault in faults(reply):
            if fault == "cut":
                await connection.send(body[:at])
                raise _CutError(reply)
            if fault == "stall":
                await connection.send(body[:at])
                await self._resume.wait()
                body = body[at:]
        request.reported = whole.usage
        await connection.send(body)

    async def _stream(
        self,
        connection: HttpConnection,
        request: ReceivedRequest,
        streamed: Streamed,
        reply: Reply,
        fields: Mapping[str, str],
    ) -> None:
        """Send a stream, an event a chunk, with its faults."""
        framing = {"content-type": streamed.content_type, "transfer-encoding": "chunked", **fields, **reply.headers}
        await connection.send(head_bytes(reply.status, framing))
        places = dict(faults(reply))
        for index, event in enumerate([*streamed.events, Event(b"")]):  # the last is the place of a fault after all
            fault = places.get(index)
            if fault == "cut":
                raise _CutError(reply)
            if fault == "stall":
                await self._resume.wait()
            if fault == "error":
                await connection.send(chunk(streamed.error))
            if fault in ("error", "end"):
                break
            await asyncio.sleep(reply.token_delay_s)
            for part in parts(reply.insert.get(index, b"") + event.data, reply.part_bytes):
                await connection.send(chunk(part))
            request.events = min(index + 1, len(streamed.events))
            request.reported = event.usage or request.reported
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
