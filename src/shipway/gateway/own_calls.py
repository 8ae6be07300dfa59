"""Calls that the gateway makes itself, for a call of a client: of one model of the app on behalf of another.

They go the way of any call: upstreams in order, breakers, the model's own guards and cache, metrics, a line in the log with
the request id of the client's. Only admission is past: the client's call was admitted and counted.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec

from shipway.gateway.cache.semantic import Embedded
from shipway.gateway.call import Call
from shipway.gateway.http1.exchange import BodyTooLarge, Exchange
from shipway.gateway.http1.fields import Fields, as_lines
from shipway.gateway.http1.request_head import RequestHead
from shipway.gateway.http1.running import Waiter
from shipway.gateway.http1.upstream_connection import UpstreamFault
from shipway.gateway.model_api import PATHS, ModelPath
from shipway.gateway.refusals import Refused
from shipway.gateway.telemetry import Telemetry

_EMBEDDINGS: Final = b"/v1/embeddings"
_JSON: Final[Fields] = [(b"content-type", b"Content-Type", b"application/json")]
_NOT_KEPT: Final[Fields] = [(b"cache-control", b"Cache-Control", b"no-store")]
"""For the model's own cache: a kept answer does not say which upstream it is from, and so of which space its vectors are."""
_TRACE: Final = frozenset((b"traceparent", b"tracestate", b"baggage"))
_OK: Final = HTTPStatus.OK.value
_encode: Final = msgspec.json.Encoder().encode

Answer = Callable[[Call, ModelPath], Awaitable[None]]


class OwnExchange(Exchange):
    """An exchange with nobody: what would be sent is kept here. It is told to stop as an exchange whose client left is.

    Attributes:
        answer: The body of its response.
    """

    __slots__ = ("answer",)

    def __init__(self, outer: Exchange, head: RequestHead, body: bytes) -> None:
        # Of the client's connection only its server is used, for the clock: nothing is read or written.
        Exchange.__init__(self, outer.connection, head, len(body), body)
        self.answer = b""

    def respond(self, status: int, fields: bytes, body: bytes, *, dated: bool = False) -> None:
        self.status = status
        self._ended = True
        self.answer = body

    def begin(self, status: int, fields: bytes, length: int | None, *, dated: bool = False) -> None:
        """A response in pieces, as one that is too large to be held."""
        raise BodyTooLarge

    def inform(self, status: int, fields: bytes) -> None:
        """Nobody is there to be told."""


class OwnCall(Call):
    """A call for *outer*, admitted as that was."""

    __slots__ = ("_outer_caller",)

    def __init__(self, outer: Call, exchange: OwnExchange) -> None:
        Call.__init__(self, exchange, outer.snapshot)
        self._outer_caller = outer.caller
        self.subject += b',"shipway.asked_for":%b' % _encode(outer.model)
        self.total_deadline_s = outer.total_deadline_s

    def admit(self) -> None:
        self.caller = self._outer_caller


class OwnCalls:
    """Makes them. *answer* answers a call to a path of the model API."""

    def __init__(self, answer: Answer, telemetry: Telemetry) -> None:
        self._answer = answer
        self._telemetry = telemetry

    async def embed(self, outer: Call, model: str, texts: list[str], within_s: float) -> Embedded | None:
        """Ask *model* for the vectors of *texts*, for at most so long; None where it gives none, for whatever reason."""
        exchange = OwnExchange(outer.exchange, _head(outer), _encode({"model": model, "input": texts}))
        call = OwnCall(outer, exchange)
        done: Waiter[None] = Waiter()
        # Not a deadline of the call's own: who is too slow for this is not ill, and its breaker is not to be told so.
        timer = exchange.connection.server.loop.call_later(within_s, exchange.stop)
        exchange.start(self._run(call, PATHS[_EMBEDDINGS], done))
        try:
            await done
        finally:  # also of a client that left
            timer.cancel()
            exchange.stop()
        if exchange.status != _OK:
            return None
        return Embedded(exchange.answer, call.upstream or "")

    async def _run(self, call: OwnCall, path: ModelPath, done: Waiter[None]) -> None:
        try:
            await self._answer(call, path)
        except Refused as refused:
            call.refuse(refused.refusal)
        except UpstreamFault as fault:
            call.error = f"upstream_{fault.kind}"
        except BodyTooLarge:
            call.error = "body_too_large"
        except asyncio.CancelledError:
            call.error = call.error or "client_gone"
        except Exception:  # a bug of ours costs a miss, and is seen in the log
            traceback.print_exc(file=sys.stderr)
            call.error = "internal_error"
        finally:
            if call.recording is not None:
                call.recording.end()
            self._telemetry.finished(call.finish())
            done.set(None)


def _head(outer: Call) -> RequestHead:
    traced = [field for field in outer.exchange.head.passed_on if field[0] in _TRACE]
    fields = [*_JSON, *traced]
    return RequestHead(
        b"POST",
        http_1_0=False,
        target=_EMBEDDINGS,
        path=_EMBEDDINGS,
        request_id=outer.request_id,
        passed_on=fields + _NOT_KEPT,
        lines=as_lines(fields),
    )
