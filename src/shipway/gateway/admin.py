"""The admin API, on a listener and with credentials of its own.

Probes and metrics are open to whoever reaches the listener, which is loopback unless the app file says otherwise.
Everything else wants the token in `SHIPWAY_ADMIN_TOKEN`; without that variable it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shipway.errors import ShipwayError, UsageError
from shipway.gateway.admin_schema import openapi
from shipway.gateway.configuration import Configuration, problems_of
from shipway.gateway.quality_labels import LabelProblem, QualityLabels, read_label
from shipway.gateway.undecodable import UNDECODABLE
from shipway.monitoring.exposition import accepted_format, render
from shipway.monitoring.registry import Registry
from shipway.secret import Secret

VERSION_HEADER = "x-shipway-snapshot"


class AdminApi:
    """The handlers, over the parts of the process that they show and change."""

    def __init__(
        self,
        configuration: Configuration,
        registry: Registry,
        *,
        ready: Callable[[], bool],
        reload: Callable[[], Any],
        token: Secret | None,
        now_s: Callable[[], float],
    ) -> None:
        self._configuration = configuration
        self._registry = registry
        self._ready = ready
        self._reload = reload
        self._token = token
        self._now_s = now_s
        self._labels = QualityLabels(registry)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
                Route("/openapi.json", self._openapi),
                Route("/v1/snapshot", self._closed(self._snapshot)),
                Route("/v1/reload", self._closed(self._reload_now), methods=["POST"]),
                Route("/v1/upstreams", self._closed(self._upstreams)),
                Route("/v1/weights", self._closed(self._weights)),
                Route("/v1/weights/{target}", self._closed(self._set_weights), methods=["PUT"]),
                Route("/v1/labels", self._closed(self._label), methods=["POST"]),
            ],
            exception_handlers={HTTPException: self._refused},
        )

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Starlette's own 404 and 405, as JSON like everything else."""
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        body = {"error": HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"), "message": error.detail}
        answer = self._answer(body, error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    async def _healthz(self, request: Request) -> Response:
        return self._answer({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        if self._ready():
            return self._answer({"status": "ok"})
        return self._answer({"status": "draining"}, 503)

    async def _metrics(self, request: Request) -> Response:
        text_format = accepted_format(request.headers.get("accept", ""))
        return Response(render(self._registry, text_format), headers={"content-type": text_format.content_type})

    async def _openapi(self, request: Request) -> Response:
        return self._answer(openapi())

    async def _snapshot(self, request: Request) -> Response:
        snapshot = self._configuration.snapshot
        app = self._configuration.app
        return self._answer(
            {
                "version": snapshot.version,
                "app": app.name,
                "environment": app.environment,
                "services": sorted(snapshot.services),
                "models": sorted(snapshot.models),
            }
        )

    async def _reload_now(self, request: Request) -> Response:
        try:
            await self._reload()
        except ShipwayError as error:
            return self._answer({"error": error.code, "problems": problems_of(error)}, 422)
        configuration = self._configuration
        return self._answer({"version": configuration.snapshot.version, "needs_restart": configuration.needs_restart()})

    async def _upstreams(self, request: Request) -> Response:
        now_s = self._now_s()
        endpoints = sorted(self._configuration.snapshot.endpoints(), key=lambda one: one.authority)
        return self._answer(
            {
                "upstreams": [
                    {
                        "address": one.authority.decode(),
                        "breaker": one.breaker.state(now_s).value,
                        "in_flight": one.in_flight,
                        "healthy": one.healthy,
                    }
                    for one in endpoints
                ]
            }
        )

    async def _weights(self, request: Request) -> Response:
        splits = self._configuration.splits
        return self._answer({"weights": {target: _readable(split.shares()) for target, split in splits.items()}})

    async def _set_weights(self, request: Request) -> Response:
        try:
            weights = msgspec.json.decode(await request.body(), type=dict[str, float])
        except UNDECODABLE:
            return self._answer({"error": "invalid", "message": "expected an object: release name → weight"}, 400)
        target = request.path_params["target"]
        # Shielded: a client that leaves must not leave weights behind that are saved but not in use.
        change = asyncio.get_running_loop().create_task(self._configuration.set_weights(target, weights))
        try:
            await asyncio.shield(change)
        except UsageError as error:
            status = 404 if target not in self._configuration.splits else 422
            return self._answer({"error": error.code, "message": error.message, "hint": error.hint}, status)
        except OSError as error:
            return self._answer({"error": "not-saved", "message": f"the weights were not saved: {error.strerror}"}, 507)
        return self._answer({"weights": _readable(self._configuration.splits[target].shares())})

    async def _label(self, request: Request) -> Response:
        snapshot = self._configuration.snapshot
        try:
            sent = read_label(await request.body())
            counted = self._labels.take(sent, snapshot.releases(), snapshot.objectives.good_score)
        except LabelProblem as problem:
            return self._answer({"error": problem.code, "message": problem.message}, problem.status)
        return self._answer({"counted": counted})

    def _closed(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            if self._token is None:
                return self._answer(
                    {"error": "closed", "message": "this gateway was started without SHIPWAY_ADMIN_TOKEN"}, 403
                )
            scheme, _, sent = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self._token.matches(sent.strip()):
                return self._answer({"error": "unauthorized", "message": "the admin token is missing or wrong"}, 401)
            answer: Response = await handler(request)
            return answer

        return guarded

    def _answer(self, body: dict[str, Any], status: int = 200) -> Response:
        headers = {VERSION_HEADER: str(self._configuration.snapshot.version)}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(body, status, headers)


def _readable(shares: dict[str, float]) -> dict[str, float]:
    """Nine in ten as 0.9: what adding and subtracting leaves behind it is nobody's weight."""
    return {name: round(share, 9) for name, share in shares.items()}
