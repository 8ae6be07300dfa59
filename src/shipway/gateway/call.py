"""One request with what the gateway has found out about it so far, from its arrival to its line in the log."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final

from shipway.gateway.admission import Credential, Principal
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.request_head import RequestHead
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.refusals import DRAINING, MISSING_KEY, Refusal, Refused, Writer, as_problem
from shipway.gateway.releases import session_key, session_point
from shipway.gateway.snapshot import ONLY, Snapshot
from shipway.monitoring.logging import AccessRecord, subject_of

if TYPE_CHECKING:
    from shipway.cost.prices import Prices
    from shipway.gateway.cache.recording import Recording
    from shipway.gateway.guards.watch import Watch

StreamError = Callable[[Refusal], bytes]

_process: Final = secrets.token_hex(8).encode()
_count: Final = itertools.count()


_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")


def request_id_for(sent: bytes | None) -> bytes:
    """The id that a client sent, if it is one; else a new one.

    New ones are unique without asking the kernel for randomness each time: 64 random bits a process, then a count.
    """
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return b"req-%b-%x" % (_process, next(_count))


class _HeadNotes:
    """What follows from a head alone; worked out once for a head that is repeated."""

    __slots__ = ("credential", "subject")

    def __init__(self, head: RequestHead) -> None:
        self.credential = Credential(head.authorization, head.x_api_key)
        self.subject = subject_of(head.method, head.path)


class Call(AccessRecord):
    """One exchange being answered: its line in the log as it comes to be, and the ticket it shows to admission.

    Attributes:
        arrived_s: When it arrived, in seconds of `time.perf_counter`, for durations; the loop's clock is coarser.
        id_field: The request id as a header line, for upstreams.
        fields: Header lines that each response gets: the request id, the state of limits, the release.
        notes: What follows from its head alone.
        prices: Of the upstream that was asked last; None where they are unknown, or the call is not billed by tokens.
        now_s: When it arrived, on the loop's clock.
        total_deadline_s: When all of it must be over, on the loop's clock.
        write_refusal: Writes errors in the dialect that the client speaks.
        status_of: The status with which that dialect says a refusal; None where it is the refusal's own.
        recording: What its answer is kept by; None where it is not to be kept.
        watch: What its model's guards see of it; None where it has none.
        stream_error: Says an error inside a stream of that dialect; None where a stream can only be cut.
    """

    __slots__ = (
        "_dropped_field",
        "arrived_s",
        "caller",
        "credential",
        "exchange",
        "fields",
        "id_field",
        "notes",
        "now_s",
        "prices",
        "recording",
        "snapshot",
        "status_of",
        "stream_error",
        "total_deadline_s",
        "watch",
        "write_refusal",
    )

    def __init__(self, exchange: Exchange, snapshot: Snapshot) -> None:
        head = exchange.head
        request_id = request_id_for(head.request_id)
        AccessRecord.__init__(self, head.method, head.path, request_id)
        self.exchange = exchange
        self.snapshot = snapshot
        self.fields = self.id_field = b"x-request-id: %b\r\n" % request_id
        self.arrived_s = perf_counter()
        self.write_refusal: Writer = as_problem
        self.status_of: Callable[[Refusal], int] | None = None
        self.stream_error: StreamError | None = None
        self.watch: Watch | None = None
        self._dropped_field = b""
        self.recording: Recording | None = None
        self.prices: Prices | None = None
        self.now_s = exchange.connection.server.loop.time()
        self.total_deadline_s = self.now_s + snapshot.deadlines.total_s
        self.caller: Principal | None = None
        notes = head.notes
        if type(notes) is not _HeadNotes:
            notes = head.notes = _HeadNotes(head)
        self.notes = notes
        self.subject = notes.subject

    def admit(self) -> Awaitable[None] | None:
        """Ask for admission: given at once (None), or when what is returned has been awaited. Raises: Refused."""
        self.credential = self.notes.credential
        waiting = self.snapshot.admission.admit(self)
        if waiting is not None:
            return self._admit_later(waiting)
        if self.caller is None:  # no link said who it is
            raise Refused(MISSING_KEY)
        return None

    async def _admit_later(self, waiting: Awaitable[None]) -> None:
        await waiting
        if self.caller is None:
            raise Refused(MISSING_KEY)

    def choose_release(self, target: str, conversation: Callable[[], bytes]) -> str:
        """The release of *target* that this call's session belongs to; *conversation* is asked if no header names one."""
        split = self.snapshot.splits.get(target)
        if split is None:
            return ONLY
        named = self.exchange.head.field(self.snapshot.session_header)
        key = session_key(self.caller.id if self.caller else "", conversation() if named is None else named)
        release = split.at(session_point(key))
        self.release = release
        self.fields += b"x-shipway-release: %b\r\n" % release.encode()
        return release

    def respond(self, status: int, fields: bytes, body: bytes, *, dated: bool = False) -> None:
        """Send a whole response. *dated*: whether *fields* have a Date."""
        self.exchange.respond(status, fields + self.fields, body, dated=dated)

    def note_dropped(self, names: bytes) -> None:
        """The response will name these fields of the request, which this attempt's upstream was not told."""
        if self._dropped_field:
            self.fields = self.fields.replace(self._dropped_field, b"")
        self._dropped_field = b"x-shipway-dropped: %b\r\n" % names if names else b""
        self.fields += self._dropped_field

    def forget_attempt(self) -> None:
        """Another upstream is asked: what was left out for the one before, or used by it, is not said of this one."""
        self.note_dropped(b"")
        self.input_tokens = self.output_tokens = self.usage = None

    def name_request(self, name: bytes) -> None:
        """The response will have the request id under this name too."""
        self.fields += b"%b: %b\r\n" % (name, self.request_id)

    @property
    def dropped_field(self) -> bytes:
        """The header line that `note_dropped` has added."""
        return self._dropped_field

    def inform(self, head: ResponseHead) -> None:
        """Pass on an interim response."""
        self.exchange.inform(head.status, head.lines)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with *refusal*; once a response has begun its status is spent, and the error is said in-band or by a cut."""
        self.error = refusal.code
        exchange = self.exchange
        if exchange.gone or exchange.ended:
            return
        if not exchange.started:
            fields, body = self.write_refusal(refusal, self.request_id.decode("ascii"))
            self.respond(refusal.status if self.status_of is None else self.status_of(refusal), fields, body)
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
        exchange = self.exchange
        self.duration_s = perf_counter() - self.arrived_s
        self.status = exchange.status or 499  # nginx's code for a client that left before any answer
        self.request_bytes = exchange.request_bytes
        self.response_bytes = exchange.response_bytes
        if self.caller is not None:
            self.principal = self.caller.id
        return self
