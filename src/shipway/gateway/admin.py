"""The admin listener: probes now; the admin API proper grows here. It listens on loopback unless the app file says
otherwise."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def admin_app(*, ready: Callable[[], bool]) -> Starlette:
    """The admin listener's application.

    Args:
        ready: Whether new requests are welcome; false from the first moment of a drain.
    """

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}) if ready() else JSONResponse({"status": "draining"}, status_code=503)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz)])
