"""The gateway's process: its listeners, its signals and its end."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipway.errors import ShipwayError
from shipway.gateway import upstream_gauges
from shipway.gateway.admin import AdminApi
from shipway.gateway.cache.model_cache import LiveCaches
from shipway.gateway.call import request_id_for
from shipway.gateway.compiling import Surroundings
from shipway.gateway.configuration import LOOK_EVERY_S, Configuration
from shipway.gateway.guards.live import LiveGuards
from shipway.gateway.health_checks import HealthChecks
from shipway.gateway.http1.asgi import serve_asgi
from shipway.gateway.http1.deadlines import Sweep
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.listener import Limits, Server
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.listening import bind, steer_away
from shipway.gateway.live_providers import LiveProviders
from shipway.gateway.proxy import Proxy
from shipway.gateway.snapshot import AllottedAddresses, LiveLimits, Snapshot
from shipway.gateway.telemetry import Telemetry
from shipway.gateway.tls import ListenerCertificate
from shipway.gateway.upstreams import Endpoints
from shipway.monitoring import metrics
from shipway.monitoring.background_writer import BackgroundWriter, UnblockedText, unbuffered
from shipway.monitoring.logging import AccessLog, LogFormat
from shipway.monitoring.process import read_process_at_scrape
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
    take_over: bool = False
    """Share the ports with the gateway that has them; whoever starts this one then ends the other."""
    announce: bool = False
    """Say on standard error where it listens, once it does."""
    weights: Path | None = None
    """Where live weights of releases are kept across restarts; nowhere if None."""


def keys_from(environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """The API keys of `SHIPWAY_API_KEYS`, comma-separated."""
    return tuple(Secret(key.strip()) for key in environ.get("SHIPWAY_API_KEYS", "").split(",") if key.strip())


def _asks_for_keys(app: App) -> bool:
    services = app.services.values()
    return bool(app.models) or not all(one.is_public(route) for one in services for route in one.routes)


def admin_token(environ: Mapping[str, str]) -> Secret | None:
    """The admin API's credential, `SHIPWAY_ADMIN_TOKEN`."""
    token = environ.get("SHIPWAY_ADMIN_TOKEN", "").strip()
    return Secret(token) if token else None


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


class GatewayServer:
    """The gateway of one app in this process: both listeners and everything behind them.

    `start` it inside a running event loop; `drain` ends it. Signals are the caller's business.
    """

    def __init__(
        self, app: App, environ: Mapping[str, str], allotted: AllottedAddresses, options: ServeOptions
    ) -> None:
        """Compile the app and take both ports.

        Raises:
            ShipwayError: a secret or an address is missing, a certificate is damaged, or a port is taken.
        """
        settings = app.gateway
        loop = asyncio.get_running_loop()
        outbox = Outbox(loop)
        self._endpoints = Endpoints(outbox)
        self._limits = LiveLimits()
        self._providers = LiveProviders()
        self._caches = LiveCaches()
        self._guards = LiveGuards()
        around = Surroundings(
            keys_from(environ),
            self._endpoints,
            self._limits,
            self._providers,
            self._caches,
            self._guards,
            environ,
            allotted,
        )
        self._configuration = Configuration(app, around, options.weights, self._apply)
        self._registry = metrics.gateway_registry()
        self._log = AccessLog(unbuffered(sys.stdout), options.log_format)
        self._telemetry = Telemetry(self._registry, self._log, loop)
        self._draining = False
        self._proxy = Proxy(self._configuration.snapshot, self._telemetry, ready=self._is_ready)
        self._main = Server(self._proxy.handle, listener_limits(settings), outbox)
        self._main.on_bad_message = self._telemetry.refused_unread
        self._main.on_deadline = self._telemetry.client_too_slow
        self._admin = AdminApi(
            self._configuration,
            self._registry,
            ready=self._is_ready,
            reload=self.reload,
            token=admin_token(environ),
            now_s=loop.time,
        ).app()
        self._side = Server(self._handle_admin, Limits(), outbox)
        self._certificate: ListenerCertificate | None = None
        if settings.tls is not None:
            self._certificate = ListenerCertificate(app.root / settings.tls.cert, app.root / settings.tls.key)
        self._sweeps = (
            Sweep(self._main.connections, also=self._trim),
            Sweep(self._side.connections, also=self._side.tick),
        )
        self._main_socket = bind(settings.host, _chosen(options.port, settings.port), take_over=options.take_over)
        self._side_socket = bind(
            settings.admin_host, _chosen(options.admin_port, settings.admin_port), take_over=options.take_over
        )
        self._listeners: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._checks = HealthChecks()
        self._describe_at_scrape(loop)
        self._telemetry.follow(self._configuration.snapshot)

    @property
    def port(self) -> int:
        return int(self._main_socket.getsockname()[1])

    @property
    def admin_port(self) -> int:
        return int(self._side_socket.getsockname()[1])

    async def start(self) -> None:
        """Listen; from here on both ports answer."""
        loop = asyncio.get_running_loop()
        self._providers.keep_only(self._proxy.snapshot.providers())
        await self._providers.wait_for_first()
        for sweep in self._sweeps:
            sweep.start()
        context = None if self._certificate is None else self._certificate.context
        for server, bound, tls in ((self._main, self._main_socket, context), (self._side, self._side_socket, None)):
            self._listeners.append(await loop.create_server(server.connect, sock=bound, backlog=BACKLOG, ssl=tls))
        self._tasks.append(loop.create_task(self._watch_files()))
        self._checks.replace(self._proxy.snapshot.checks)

    async def reload(self) -> None:
        """Serve by the app file and the certificate as they are now. Raises: ShipwayError; then the one in use stays."""
        try:
            self.reload_certificate()
            await self._configuration.reload()
        except ShipwayError:
            self._registry.child(metrics.RELOADS, "refused").inc()
            raise
        self._registry.child(metrics.RELOADS, "ok").inc()
        for name in self._configuration.needs_restart():
            _say(f"warning: {name} has changed; it takes effect when the gateway is started anew")

    def reload_certificate(self) -> bool:
        """Show a replaced certificate to new connections. Returns whether there was one. Raises: CertificateError."""
        return self._certificate is not None and self._certificate.reload_if_changed()

    async def drain(self) -> None:
        """Let what is under way finish within the drain budget, and close.

        Readiness fails at once; connections are still accepted for a moment, because whoever balances between gateways
        needs that long to see it.
        """
        self._draining = True
        for task in self._tasks:
            task.cancel()
        self._checks.stop()
        self._providers.stop()
        main_listener, side_listener = self._listeners
        settings = self._configuration.app.gateway
        for bound in (self._main_socket, self._side_socket):
            steer_away(bound)
        self._main.draining = True  # from now each answer closes its connection, so that its client goes elsewhere
        await asyncio.sleep(settings.grace)
        main_listener.close()
        await self._main.drain(settings.drain)
        side_listener.close()
        await self._side.drain(0.0)
        for sweep in self._sweeps:
            sweep.stop()
        self._guards.close()
        self._endpoints.close()
        await self._caches.close()
        self._telemetry.settle()
        self._log.close()

    def _apply(self, snapshot: Snapshot, app: App) -> None:
        self._proxy.snapshot = snapshot
        self._telemetry.follow(snapshot)
        self._main.limit(listener_limits(app.gateway))
        self._checks.replace(snapshot.checks)

    async def _watch_files(self) -> None:
        """Take a changed app file or certificate; say what is wrong with one that cannot be used, and go on."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self.reload_certificate()
                if self._configuration.changed():
                    await self.reload()
                    _say(f"serving by the changed {self._configuration.app.source.name}")
            except ShipwayError as error:
                _say(f"error: {error} (what was in use stays)")
            except Exception:  # a bug of ours must not end the watching
                traceback.print_exc(file=sys.stderr)

    def _describe_at_scrape(self, loop: asyncio.AbstractEventLoop) -> None:
        registry = self._registry
        read_process_at_scrape(registry, started_s=time.time())
        registry.read_at_scrape(metrics.SNAPSHOT_VERSION, lambda: self._configuration.snapshot.version)
        registry.read_at_scrape(
            metrics.CONNECTIONS,
            lambda: {
                ("client",): len(self._main.connections),
                ("admin",): len(self._side.connections),
                ("upstream",): self._endpoints.open_connections,
            },
        )
        registry.read_at_scrape(metrics.RETRIES_WITHHELD, lambda: self._proxy.retries_withheld)
        registry.read_at_scrape(metrics.BREAKER, lambda: upstream_gauges.breakers(self._proxy.snapshot, loop.time()))
        registry.read_at_scrape(
            metrics.BREAKER_OPENINGS, lambda: upstream_gauges.breaker_openings(self._proxy.snapshot)
        )
        registry.read_at_scrape(metrics.UPSTREAM_IN_FLIGHT, lambda: upstream_gauges.in_flight(self._proxy.snapshot))

        caches = self._caches
        registry.read_at_scrape(metrics.CACHE_BYTES, caches.held_bytes)
        registry.read_at_scrape(metrics.CACHE_EVICTIONS, caches.evictions)
        registry.read_at_scrape(metrics.CACHE_STORE_FAULTS, caches.store_faults)
        registry.read_at_scrape(metrics.CACHE_VECTOR_BYTES, caches.vector_bytes)
        registry.read_at_scrape(metrics.CACHE_EMBEDDING_FAULTS, caches.embedding_faults)

    def _trim(self, now_s: float) -> None:
        self._main.tick(now_s)
        self._endpoints.trim(now_s)
        self._limits.trim(now_s)

    def _is_ready(self) -> bool:
        return not self._draining

    async def _handle_admin(self, exchange: Exchange) -> None:
        try:
            request_id = request_id_for(exchange.head.request_id)
            await serve_asgi(self._admin, exchange, b"x-request-id: %b\r\n" % request_id)
        except asyncio.CancelledError:
            pass
        except Exception:  # one admin request must not end the process
            traceback.print_exc(file=sys.stderr)
            exchange.abort()


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads standard error any more
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def serve(app: App, environ: Mapping[str, str], allotted: AllottedAddresses, options: ServeOptions) -> int:
    """Run the gateway until SIGTERM or SIGINT has drained it; a second signal ends it at once. Returns the exit status."""
    told = BackgroundWriter(unbuffered(sys.stderr))
    _use_all_descriptors()
    try:
        with redirect_stderr(UnblockedText(told)):
            return _run(_serve(app, environ, allotted, options))
    finally:
        told.close()


def _use_all_descriptors() -> None:
    """Raise the soft limit of open files to the hard one; the usual 1024 are meant for programs that use `select`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # a system may have one of its own below
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(app: App, environ: Mapping[str, str], allotted: AllottedAddresses, options: ServeOptions) -> int:
    gateway = GatewayServer(app, environ, allotted, options)
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await gateway.start()
    if options.announce:
        settings = app.gateway
        scheme = "http" if settings.tls is None else "https"
        _say(
            f"the gateway listens on {scheme}://{settings.host}:{gateway.port}, "
            f"its admin API on http://{settings.admin_host}:{gateway.admin_port}"
        )
        if _asks_for_keys(app) and not keys_from(environ):
            _say("warning: SHIPWAY_API_KEYS has no key, so every model and closed route answers 401")
    # Requests make no reference cycles worth looking for often, and what start-up made is there to stay.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    await stopping.wait()
    await gateway.drain()
    return 0


def _chosen(override: int | None, setting: int) -> int:
    return setting if override is None else override


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
