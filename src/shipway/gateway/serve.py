"""The gateway's process: its listeners, its signals and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from shipway.errors import PortTakenError
from shipway.gateway.admin import admin_app
from shipway.gateway.http1.asgi import serve_asgi
from shipway.gateway.http1.deadlines import Sweep
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.server import Limits, Server
from shipway.gateway.proxy import Proxy
from shipway.gateway.snapshot import AllottedAddresses, compile_snapshot
from shipway.gateway.upstreams import Endpoints
from shipway.monitoring.logging import AccessLog, LogFormat
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.gateway import Gateway as GatewaySettings

BACKLOG = 2048


@dataclass(frozen=True)
class ServeOptions:
    """How one gateway process runs, apart from what the app file says."""

    port: int | None = None
    admin_port: int | None = None
    log_format: LogFormat = "json"


def keys_from(environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """The API keys of `SHIPWAY_API_KEYS`, comma-separated."""
    return tuple(Secret(key.strip()) for key in environ.get("SHIPWAY_API_KEYS", "").split(",") if key.strip())


def listener_limits(settings: GatewaySettings) -> Limits:
    timeouts = settings.timeouts
    return Limits(
        max_header_bytes=settings.max_header,
        max_target_bytes=settings.max_target,
        header_s=timeouts.header,
        body_s=timeouts.body,
        keep_alive_s=timeouts.keep_alive,
        unread_s=timeouts.idle,
    )


def serve(app: App, environ: Mapping[str, str], allotted: AllottedAddresses, options: ServeOptions) -> int:
    """Run the gateway until SIGTERM or SIGINT has drained it. Returns the exit status."""
    return _run(_serve(app, environ, allotted, options))


async def _serve(app: App, environ: Mapping[str, str], allotted: AllottedAddresses, options: ServeOptions) -> int:
    loop = asyncio.get_running_loop()
    settings = app.gateway
    endpoints = Endpoints()
    snapshot = compile_snapshot(app, keys_from(environ), endpoints, environ, allotted)
    main_socket = _bind(settings.host, options.port if options.port is not None else settings.port)
    admin_socket = _bind(
        settings.admin_host, options.admin_port if options.admin_port is not None else settings.admin_port
    )

    stopping = asyncio.Event()
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            sys.stdout.flush()
            signal.raise_signal(signal.SIGKILL)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)

    log = AccessLog(sys.stdout.buffer, options.log_format)

    def ready() -> bool:
        return not stopping.is_set()

    proxy = Proxy(snapshot, log, ready=ready)
    admin = admin_app(ready=ready)

    async def handle_admin(exchange: Exchange) -> None:
        try:
            await serve_asgi(admin, exchange)
        except asyncio.CancelledError:
            pass
        except Exception:  # one admin request must not end the process
            traceback.print_exc(file=sys.stderr)
            exchange.abort()

    main = Server(proxy.handle, listener_limits(settings))
    side = Server(handle_admin, Limits())
    sweeps = (Sweep(main.connections, also=endpoints.trim), Sweep(side.connections))
    for sweep in sweeps:
        sweep.start()
    admin_listener = await loop.create_server(side.connect, sock=admin_socket, backlog=BACKLOG)
    main_listener = await loop.create_server(main.connect, sock=main_socket, backlog=BACKLOG)

    await stopping.wait()
    main_listener.close()
    await main.drain(settings.drain)
    admin_listener.close()
    await side.drain(0.0)
    for sweep in sweeps:
        sweep.stop()
    endpoints.close()
    log.close()
    return 0


def _bind(host: str, port: int) -> socket.socket:
    """A listening address, bound. Raises: PortTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortTakenError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    bound.setblocking(False)
    return bound


def _run(main: Coroutine[Any, Any, int]) -> int:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:  # absent on some platforms; plain asyncio is slower but the same
        pass
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)
