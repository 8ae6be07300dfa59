"""One request id through all services: taken from the caller, put on every answer, every call onward and every log line.

The gateway makes the id and logs it too, so one search finds all that happened for one question.
"""

import contextvars
import logging
import re
import uuid
from typing import Any

HEADER = "x-request-id"
_WELL_FORMED = re.compile(rb"[\w.-]{1,128}")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")

log = logging.getLogger(__package__)


def onward() -> dict[str, str]:
    """Return the header for a call that is made on behalf of the request under way."""
    return {HEADER: _current.get()}


class RequestIds:
    """ASGI middleware. Plain, so that it passes streams through part by part and disconnects at once."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Set the id for this request. An id that could garble a log line is replaced."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER.encode(), b"")
        request_id = given.decode() if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex
        _current.set(request_id)

        async def send_with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (HEADER.encode(), request_id.encode())]
                if scope["path"] != "/health":
                    log.info("request_id=%s %s %s", request_id, scope["path"], message["status"])
            await send(message)

        await self._app(scope, receive, send_with_id)
