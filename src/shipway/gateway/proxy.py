"""The proxy: what becomes of each request on the listener.

Own paths are answered here; `/v1` calls go to a model's upstreams, everything else to the service of its route. One handler
coroutine runs per request; it is stopped when the client leaves, and whatever it holds then is closed on the way out.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final

from shipway.gateway import refusals
from shipway.gateway.call import Call
from shipway.gateway.dialects import openai
from shipway.gateway.dialects.anthropic import DIALECT as ANTHROPIC
from shipway.gateway.dialects.anthropic import models as anthropic_models
from shipway.gateway.http1.exchange import BodyTooLarge, ClientGone, Exchange
from shipway.gateway.http1.upstream_connection import UpstreamFault
from shipway.gateway.model_api import PATHS
from shipway.gateway.model_calls import ModelCalls
from shipway.gateway.refusals import Refused
from shipway.gateway.retry_budget import RetryBudget
from shipway.gateway.routing import plain_path
from shipway.gateway.service_calls import answer_service_call
from shipway.gateway.snapshot import Snapshot
from shipway.gateway.telemetry import Telemetry


class Proxy:
    """Serves exchanges from the current snapshot, which may be replaced between any two requests."""

    def __init__(self, snapshot: Snapshot, telemetry: Telemetry, *, ready: Callable[[], bool]) -> None:
        self.snapshot = snapshot
        self._telemetry = telemetry
        self._ready = ready
        self._started_s = int(time.time())
        self._budget = RetryBudget()
        self._model_calls = ModelCalls(self._budget, telemetry)

    @property
    def retries_withheld(self) -> int:
        return self._budget.refused

    async def handle(self, exchange: Exchange) -> None:
        """Answer one exchange; every outcome ends here, none escapes."""
        call = Call(exchange, self.snapshot)
        telemetry = self._telemetry
        exchange.on_cut = call.cut_by_drain
        telemetry.in_flight.value += 1
        try:
            path = exchange.head.path
            model_path = PATHS.get(path)
            if model_path is not None:
                await self._model_calls.answer(call, model_path)
            elif path.startswith(b"/v1/") or path == b"/v1":
                await self._other_model_path(call, path)
            elif path in _PROBES:
                self._probe(call, path)
            elif path == b"*":  # OPTIONS of the gateway itself; no other method may have this target
                call.respond(204, b"", b"")
            else:
                await answer_service_call(call, telemetry)
        except Refused as refused:
            call.refuse(refused.refusal)
        except UpstreamFault as fault:
            call.refuse(refusals.upstream_failed(fault.kind))
        except BodyTooLarge:
            call.refuse(refusals.BODY_TOO_LARGE)
        except (ClientGone, asyncio.CancelledError):
            call.error = call.error or "client_gone"
        except Exception:  # a bug of ours costs this one request, and is seen in the log
            traceback.print_exc(file=sys.stderr)
            call.refuse(refusals.INTERNAL)
        finally:
            exchange.on_cut = None  # or the two would keep each other until the garbage collector came
            telemetry.in_flight.value -= 1
            if call.recording is not None:
                call.recording.end()
            telemetry.finished(call.finish())

    def _probe(self, call: Call, path: bytes) -> None:
        if path == b"/healthz" or self._ready():
            call.respond(200, refusals.JSON_FIELD, b'{"status":"ok"}')
        else:
            call.respond(503, refusals.JSON_FIELD, b'{"status":"draining"}')

    async def _other_model_path(self, call: Call, path: bytes) -> None:
        # Clients of Anthropic's API ask at the same addresses for other documents.
        anthropic = call.exchange.head.field(b"anthropic-version") is not None
        call.write_refusal = ANTHROPIC.write_error if anthropic else openai.as_openai_error
        if anthropic:
            call.status_of = ANTHROPIC.status
            call.name_request(anthropic_models.REQUEST_ID)
        waiting = call.admit()
        if waiting is not None:
            await waiting
        if path != b"/v1/models" and not path.startswith(b"/v1/models/"):
            raise Refused(refusals.NO_ROUTE)
        if call.exchange.head.method not in {b"GET", b"HEAD"}:
            raise Refused(refusals.method_not_allowed("GET, HEAD"))
        models = call.snapshot.models
        documents = anthropic_models if anthropic else openai
        if path == b"/v1/models":
            body = documents.model_list(tuple(models), self._started_s)
        else:
            name = _model_name(path)
            if name not in models:
                raise Refused(refusals.unknown_model(name))
            body = documents.model_entry(name, self._started_s)
        call.respond(200, refusals.JSON_FIELD, body)


_PROBES: Final = frozenset((b"/healthz", b"/readyz"))


def _model_name(path: bytes) -> str:
    try:
        return plain_path(path).decode().removeprefix("/v1/models/")
    except ValueError:  # an ambiguous path, or bytes that are no text: no model has such a name
        raise Refused(refusals.NO_ROUTE) from None
