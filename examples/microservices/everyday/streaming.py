"""What the two services that stream share: the events, and the care for a client that leaves."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, TypeVar

from fastapi import HTTPException, Request

MEDIA_TYPE = "text/event-stream"
# Told not to, proxies neither collect the events into larger parts nor keep them.
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
# 499 is nginx's number for "the client went away". Nobody is left to read it; it is for the log.
CLIENT_GONE = 499

Result = TypeVar("Result")


def event(name: str, **data: Any) -> str:
    """Encode one server-sent event. A stream of these services ends with `done` or `error`; without, it was cut."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def unless_client_leaves(request: Request, work: Awaitable[Result]) -> Result:
    """Wait for *work*, and cancel it when the client closes the connection first.

    Starlette does this while a response is being sent, but not before that.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # the body is read, so what comes next is the disconnect
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(CLIENT_GONE)
        return await working
    finally:
        working.cancel()
        leaving.cancel()
