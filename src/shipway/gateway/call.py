"""One request with what the gateway has found out about it so far, from its arrival to its line in the log."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable
from time import perf_counter

from shipway.gateway.admission import Ticket
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.refusals import DRAINING, MISSING_KEY, Refusal, Refused, Writer, as_problem
from shipway.gateway.releases import session_key, session_point
from shipway.gateway.snapshot import ONLY, Snapshot
from shipway.monitoring.logging import AccessRecord

StreamError = Callable[[Refusal], bytes]

_process = secrets.token_hex(8).encode()
_count = itertools.count()


_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")


def request_id_for(sent: bytes | None) -> bytes:
    """The id that a client sent, if it is one; else a new one.

    New ones are unique without asking the kernel for randomness each time: 64 random bits a process, then a count.
    """
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return b"req-%b-%x" % (_process, next(_count))


class Call:
    """One exchange being answered.

    Attributes:
        arrived_s: When it arrived, in seconds of `time.perf_counter`, for durations; the loop's clock is coarser.
        id_field: The request id as a header line, for upstreams.
        fields: Header lines that each response gets: the request id, the state of limits, the release.
        started_s: When it arrived, on the loop's clock.
        total_deadline_s: When all of it must be over, on the loop's clock.
        write_refusal: Writes errors in the dialect that the client speaks.
        stream_error: Says an error inside a stream of that dialect; None where a stream can only be cut.
    """

    __slots__ = (
        "arrived_s",
        "exchange",
        "fields",
        "id_field",
        "record",
        "snapshot",
        "started_s",
        "stream_error",
        "total_deadline_s",
        "write_refusal",
    )

    def __init__(self, exchange: Exchange, snapshot: Snapshot) -> None:
        head = exchange.head
        request_id = request_id_for(head.request_id)
        self.exchange = exchange
        self.snapshot = snapshot
        self.id_field = b"x-request-id: %b\r\n" % request_id
        self.fields = self.id_field
        self.arrived_s = perf_counter()
        self.write_refusal: Writer = as_problem
        self.stream_error: StreamError | None = None
        self.started_s = exchange.connection.server.loop.time()
        self.total_deadline_s = self.started_s + snapshot.deadlines.total_s
        self.record = AccessRecord(head.method, head.path, request_id)

    async def admit(self) -> None:
        """Ask for admission. Raises: Refused."""
        head = self.exchange.head
        ticket = Ticket(head.authorization, head.x_api_key, self.started_s)
        try:
            waiting = self.snapshot.admission.admit(ticket)
            if waiting is not None:
                await waiting
        finally:
            if ticket.fields:
                self.fields += ticket.fields
            if ticket.principal is not None:
                self.record.principal = ticket.principal.id
        if ticket.principal is None:  # no link said who it is
            raise Refused(MISSING_KEY)

    def choose_release(self, target: str, conversation: Callable[[], bytes]) -> str:
        """The release of *target* that this call's session belongs to; *conversation* is asked if no header names one."""
        split = self.snapshot.splits.get(target)
        if split is None:
            return ONLY
        named = self.exchange.head.field(self.snapshot.session_header)
        key = session_key(self.record.principal or "", conversation() if named is None else named)
        release = split.at(session_point(key))
        self.record.release = release
        self.fields += b"x-shipway-release: %b\r\n" % release.encode()
        return release

    def respond(self, status: int, fields: bytes, body: bytes, *, dated: bool = False) -> None:
        """Send a whole response. *dated*: whether *fields* have a Date."""
        self.exchange.respond(status, fields + self.fields, body, dated=dated)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with *refusal*; once a response has begun its status is spent, and the error is said in-band or by a cut."""
        self.record.error = refusal.code
        exchange = self.exchange
        if exchange.gone or exchange.ended:
            return
        if not exchange.started:
            fields, body = self.write_refusal(refusal, self.record.request_id.decode("ascii"))
            self.respond(refusal.status, fields, body)
        elif self.stream_error is not None:
            exchange.keep_alive = False
            exchange.write(self.stream_error(refusal))
            exchange.end()
        else:
            exchange.abort()

    def cut_by_drain(self) -> None:
        """The drain budget is over: end what is under way with an error of its dialect."""
        self.refuse(DRAINING)

    def finish(self) -> AccessRecord:
        """The record, complete."""
        record = self.record
        exchange = self.exchange
        record.duration_s = perf_counter() - self.arrived_s
        record.status = exchange.status or 499  # nginx's code for a client that left before any answer
        record.request_bytes = exchange.request_bytes
        record.response_bytes = exchange.response_bytes
        return record
