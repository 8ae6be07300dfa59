"""One request and its response on a client's connection.

The handler reads the body whole (`read_body`) or has it piped to an upstream (`pipe_body`), and answers whole
(`respond`) or in pieces (`begin`, `write`, `end`). Framing follows the client: chunked for HTTP/1.1 when the length
is unknown, closing the connection for HTTP/1.0, nothing for HEAD, 204 and 304.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from shipway.gateway.http1.chunked import size_line
from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.fields import Fields, trailer_lines
from shipway.gateway.http1.request_head import BadMessage, RequestHead
from shipway.gateway.http1.running import Running, Waiter

if TYPE_CHECKING:
    from shipway.gateway.http1.client_connection import ClientConnection
    from shipway.gateway.http1.listener import Server

# Plain numbers: looking a member up in an Enum costs a third of a microsecond on Python 3.11.
_CONTINUE: Final = HTTPStatus.CONTINUE.value
_NOT_MODIFIED: Final = HTTPStatus.NOT_MODIFIED.value
_NO_CONTENT: Final = HTTPStatus.NO_CONTENT.value

HIGH_WATER_BYTES: Final = 256 * 1024
"""Body bytes held for a handler that is not reading yet; past this the socket is not read."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class ClientGone(Exception):
    """The client closed its connection; nobody waits for the answer."""


class BodyTooLarge(Exception):
    """The request body is larger than the handler accepts."""


class BodySink(Protocol):
    """Where a piped request body goes."""

    def body_piece(self, data: bytes) -> bool:
        """Take *data*; False asks for a pause until `Exchange.resume_body`."""

    def body_end(self, trailers: Fields) -> None: ...

    def body_broken(self) -> None:
        """The client will not send the rest."""


def status_line(status: int) -> bytes:
    """The status line, also for codes that the registry does not know."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def plain_refusal(bad: BadMessage, *, bodiless: bool) -> bytes:
    """A whole response for a message that never became a request: no dialect is known yet, so plain text.

    Args:
        bodiless: The request was a HEAD, so the body is only described.
    """
    body = bad.reason.encode() + b"\n"
    return (
        b"%bConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nDate: %b\r\n\r\n%b"
        % (
            status_line(bad.status.value),
            len(body),
            formatdate(usegmt=True).encode(),
            b"" if bodiless else body,
        )
    )


class Exchange(Running):
    """A request being answered. Owned by its connection; used by one handler task."""

    __slots__ = (
        "_body",
        "_body_done",
        "_chunked",
        "_ended",
        "_pending_head",
        "_sink",
        "_too_large_bytes",
        "_trailers",
        "_waiter",
        "after_upgrade",
        "connection",
        "content_length",
        "deadline_s",
        "expects_continue",
        "gone",
        "has_body",
        "head",
        "keep_alive",
        "on_cut",
        "on_expire",
        "on_slow",
        "request_bytes",
        "response_bytes",
        "slow",
        "status",
    )

    def __init__(
        self,
        connection: ClientConnection,
        head: RequestHead,
        content_length: int | None,
        body: bytes | None = None,
    ) -> None:
        """*body*: all of it, if it came with the head."""
        Running.__init__(self)
        self.connection = connection
        self.head = head
        self.content_length = content_length
        self.has_body = head.chunked or bool(content_length)
        self.expects_continue = head.expect_continue
        self.keep_alive = head.keep_alive
        self.status = 0
        self.response_bytes = 0
        self.deadline_s = NEVER
        self.gone = False
        self.slow = False
        self.after_upgrade: bytes | None = None
        """What the client sent behind an upgrade that it asks for; None where it asks for none."""
        self.on_slow: Callable[[bool], None] | None = None
        self.on_expire: Callable[[], None] | None = None
        self.on_cut: Callable[[], None] | None = None
        if body is None:
            self._body: list[bytes] = []
            self.request_bytes = 0
            self._body_done = not self.has_body
        else:
            self._body = [body]
            self.request_bytes = len(body)
            self._body_done = True
        self._too_large_bytes: int | None = None
        self._sink: BodySink | None = None
        self._waiter: Waiter[None] | None = None
        self._trailers: Fields = []
        self._pending_head = b""
        self._chunked = False
        self._ended = False

    def run(self, server: Server) -> None:
        """Start the server's handler for this exchange."""
        self.start(server.handler(self))

    # -- the request's body

    def whole_body(self, max_bytes: int) -> bytes | None:
        """The whole body if it is here already and no larger than *max_bytes*, as small ones are; else `read_body`."""
        if self._body_done and self.request_bytes <= max_bytes:
            body, self._body = self._body, []
            return body[0] if len(body) == 1 else b"".join(body)
        return None

    async def read_body(self, max_bytes: int) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge: at the first byte past *max_bytes*, whatever the client announced.
            ClientGone: it closed before the end.
        """
        if (self.content_length or 0) > max_bytes or self.request_bytes > max_bytes:
            raise BodyTooLarge
        if not self._body_done:
            self._too_large_bytes = max_bytes
            self._invite_body()
            self.connection.resume_reading()
            self._waiter = Waiter()
            await self._waiter
            if self.request_bytes > max_bytes:
                raise BodyTooLarge
            if not self._body_done:
                raise ClientGone
        body, self._body = self._body, []
        return b"".join(body)

    def pipe_body(self, sink: BodySink) -> None:
        """Give what has arrived and all that follows to *sink*, at its pace."""
        self._sink = sink
        held, self._body = self._body, []
        keep_going = True
        for piece in held:
            keep_going = sink.body_piece(piece)
        if self._body_done:
            self._sink = None
            sink.body_end(self._trailers)
        elif keep_going:
            self.connection.resume_reading()

    def resume_body(self) -> None:
        """The sink can take more."""
        if not self._body_done:
            self.connection.resume_reading()

    # -- the response

    def respond(self, status: int, fields: bytes, body: bytes, *, dated: bool = False) -> None:
        """Send a whole response. *fields* are complete header lines; length, framing and, unless *dated*, Date are added."""
        self.status = status
        self._ended = True
        self.response_bytes = length = len(body)
        connection = self.connection
        head = self.head
        usual = self.keep_alive and self._body_done
        if head.method == b"HEAD":
            body = b""
        connection.write(
            b"".join(
                (
                    STATUS_LINES.get(status) or status_line(status),
                    b"" if dated else connection.server.date_field,
                    fields,
                    b"" if usual and not connection.server.draining else self._connection_field(),
                    b"\r\n" if status == _NO_CONTENT else b"Content-Length: %d\r\n\r\n" % length,
                    body,
                )
            )
        )
        connection.exchange_done(self, reusable=self.keep_alive)

    def begin(self, status: int, fields: bytes, length: int | None, *, dated: bool = False) -> None:
        """Start a response of *length* bytes (None: unknown); the head leaves with the first bytes of the body or at
        `flush`."""
        self.status = status
        framing = b""
        bodiless = self.head.method == b"HEAD" or status in (_NO_CONTENT, _NOT_MODIFIED)
        if length is not None:
            if status != _NO_CONTENT:
                framing = b"Content-Length: %d\r\n" % length
        elif not bodiless and not self.head.http_1_0:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        connection = self._connection_field()
        date = b"" if dated else self.connection.server.date_field
        self._pending_head = b"%b%b%b%b%b\r\n" % (status_line(status), date, fields, framing, connection)

    def write(self, data: bytes) -> None:
        """Send a piece of the body in one write, with the head when it is still here."""
        if self.gone or not data:
            return
        self.response_bytes += len(data)
        if self._chunked:
            data = b"".join((self._pending_head, size_line(len(data)), data, b"\r\n"))
        elif self._pending_head:
            data = self._pending_head + data
        self._pending_head = b""
        self.connection.write(data)

    @property
    def chunked(self) -> bool:
        """Whether the response that was begun is sent in chunks."""
        return self._chunked

    def flush(self) -> None:
        """Send the head if it still waits for a body."""
        if self._pending_head and not self.gone:
            self.connection.write(self._pending_head)
            self._pending_head = b""

    def end(self, trailers: Fields | None = None) -> None:
        """Complete the response begun."""
        if self._ended or self.gone:
            return
        self._ended = True
        tail = self._pending_head
        self._pending_head = b""
        if self._chunked:
            tail += b"0\r\n%b\r\n" % (trailer_lines(trailers) if trailers else b"")
        if tail:
            self.connection.write(tail)
        self.connection.exchange_done(self, reusable=self.keep_alive)

    def abort(self) -> None:
        """Cut the connection: the response cannot be completed and the client must see that it is not whole."""
        self._ended = True
        self.keep_alive = False
        if not self.gone:
            self.flush()
            if self.head.http_1_0:  # for which the end of a connection may be the end of the body
                self.connection.reset()
            else:
                self.connection.close()

    @property
    def started(self) -> bool:
        """Whether a response has been begun: its status is spent."""
        return self.status != 0

    @property
    def ended(self) -> bool:
        return self._ended

    def inform(self, status: int, fields: bytes) -> None:
        """Pass on an interim (1xx) response; HTTP/1.0 knows none."""
        if not self.head.http_1_0 and not self.gone and not self.started:
            if status == _CONTINUE:
                self.expects_continue = False
            self.connection.write(b"%b%b\r\n" % (status_line(status), fields))

    # -- what the connection reports

    def body_arrived(self, data: bytes) -> None:
        self.request_bytes += len(data)
        if self._sink is not None:
            if not self._sink.body_piece(data):
                self.connection.pause_reading()
            return
        if self._too_large_bytes is None:
            self._body.append(data)
            if self.request_bytes > HIGH_WATER_BYTES:
                self.connection.pause_reading()
        elif self.request_bytes <= self._too_large_bytes:
            self._body.append(data)
        else:
            self._body.clear()
            self._wake()

    def body_ended(self, trailers: Fields) -> None:
        self._body_done = True
        self._trailers = trailers
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.body_end(trailers)
        self._wake()

    def broken_by_client(self, bad: BadMessage) -> None:
        """The rest of this request is unusable: refuse it if nothing was answered, and let the handler go."""
        self.keep_alive = False
        if not self.started:
            self.status = bad.status.value
            self.connection.write(plain_refusal(bad, bodiless=self.head.method == b"HEAD"))
        self.client_gone()
        self.connection.exchange_done(self, reusable=False)

    def client_gone(self) -> None:
        if self.gone:
            return
        self.gone = True
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.body_broken()
        self.stop()

    def client_slow(self, slow: bool) -> None:
        self.slow = slow
        if self.on_slow is not None:
            self.on_slow(slow)

    def expire(self) -> None:
        self.deadline_s = NEVER
        if self.on_expire is not None:
            self.on_expire()

    def cut_by_drain(self) -> None:
        if self.on_cut is not None:
            self.on_cut()

    # -- inside

    def _connection_field(self) -> bytes:
        if not self._body_done or self.connection.server.draining:
            self.keep_alive = False
        return b"" if self.keep_alive else b"Connection: close\r\n"

    def _invite_body(self) -> None:
        if self.expects_continue and not self.request_bytes:
            self.expects_continue = False
            self.connection.write(CONTINUE)

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.set(None)
