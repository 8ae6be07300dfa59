"""Serves an ASGI app on a real port inside the running event loop, for tests of streaming and of disconnects.

An in-memory transport (httpx's, Starlette's) hands over a body only when it is complete and knows no closed connection.
"""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def serving(app: Any, *, shutdown_s: int = 1) -> AsyncIterator[str]:
    """Run *app*, with its lifespan, on a free port of 127.0.0.1 and yield its URL without a slash at the end.

    Args:
        shutdown_s: How long requests that still run at the end may go on.

    Raises:
        RuntimeError: The app's lifespan failed (its log says why).
    """
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=shutdown_s,
    )
    server = _Server(config)
    task = asyncio.create_task(_run(server))
    try:
        while not server.started:
            if task.done():
                raise RuntimeError("the app did not start") from task.exception()
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await asyncio.wait([task])


async def _run(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn's way to say that the app's lifespan failed; a task must not end the test run
        pass


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, as Ctrl-C belongs to the test run, and with a shorter tick than 0.1 s."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110 - a plain attribute, set from anywhere
            await asyncio.sleep(0.005)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
